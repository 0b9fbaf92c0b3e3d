"""The O(nodes) gradient engine against automatic differentiation with stored activations."""

import functools

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf
import tf_keras

import gnf_tf
from gnf_tf import graphs, networks, reversible
from tests import cases, checks

pytestmark = pytest.mark.usefixtures("kept_half_steps")


def make_pair(num_steps=2, dtype=tf.float64, **options):
    """The same network twice, with the two ways to the gradient."""
    options = {"make_conditioner": cases.message_passing, **cases.WIDTHS} | options
    nets = []
    for memory in reversible.MEMORY_MODES:
        tf.random.set_seed(0)  # for conditioners whose variables `randomize` can't find
        net = gnf_tf.models.GRevNet(
            num_steps, cases.NODE_SIZE, memory=memory, dtype=dtype, **options
        )
        nets.append(cases.randomize(net))
    return nets


def gradients(net, graph, call=None, is_training=False):
    """Of a scalar by nodes, edges and every variable."""
    call = call or net
    sources = [graph.nodes, graph.edges, *net.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch([graph.nodes, graph.edges])
        loss = tf.reduce_sum(tf.sin(call(graph, is_training=is_training).nodes))
    return tape.gradient(loss, sources)


def relative_difference(actual, expected):
    actual, expected = (np.concatenate([np.ravel(g) for g in gs]) for gs in (actual, expected))
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize(
    "coupling, options",
    [("affine", None), ("affine", {}), ("affine", {"jit_compile": True}), ("additive", None)],
    ids=str,
)
def test_gradients_equal_stored_ones(coupling, options):
    graph = cases.mixed_graph()
    reversible_net, stored_net = make_pair(coupling=coupling)

    def run():
        return gradients(reversible_net, graph)

    actual = run() if options is None else tf.function(run, **options)()
    expected = gradients(stored_net, graph)
    assert all(np.abs(g).max() > 0 for g in expected)
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    "num_steps, dtype, bound", [(12, tf.float32, 1e-5), (64, tf.float64, 1e-10)]
)
def test_gradients_at_depth(num_steps, dtype, bound):
    """The bounds of the issue, on the default initialization."""
    tf.random.set_seed(1)
    graph = cases.mixed_graph(dtype)
    net = gnf_tf.models.GRevNet(num_steps, cases.NODE_SIZE, dtype=dtype, **cases.WIDTHS)
    layers = net._stack.layers

    def stored(graph, is_training):
        return reversible.run(layers, graph, memory="stored", is_training=is_training)[0]

    assert relative_difference(gradients(net, graph), gradients(net, graph, stored)) < bound


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "function"])
def test_batch_norm_in_training_between_steps(compiled):
    """The gradient runs through the batch statistics, and the averages move once."""
    graph = cases.mixed_graph()
    nets = make_pair(batch_norm=True)
    results = []
    for net in nets:
        call = tf.function(net) if compiled else net
        results.append(gradients(net, graph, call, is_training=True))
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)
    for a, b in zip(nets[0].variables, nets[1].variables, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_gradient_to_captured_tensors():
    """Tensors held as attribute, closure cell or partial argument get their gradient."""
    held = {
        name: tf.constant([value], tf.float64)
        for name, value in (("attribute", 0.3), ("closure", -0.7), ("partial", 1.1))
    }

    class Scaled(snt.Module):
        def __init__(self, output_size):
            super().__init__()
            self.inner = cases.message_passing(output_size)
            self.factor = held["attribute"]

        def __call__(self, graph):
            graph = self.inner(graph)
            return graph.replace(nodes=graph.nodes * self.factor)

    def make_conditioner(output_size):
        shift = held["closure"]

        def conditioner(graph, module, factor):
            graph = module(graph)
            return graph.replace(nodes=tf.sin(graph.nodes * factor) + shift)

        return functools.partial(conditioner, module=Scaled(output_size), factor=held["partial"])

    graph = cases.mixed_graph()
    results = []
    for net in make_pair(make_conditioner=make_conditioner):
        with tf.GradientTape() as tape:
            tape.watch(list(held.values()))
            loss = tf.reduce_sum(tf.square(net(graph).nodes))
        results.append(tape.gradient(loss, list(held.values())))
    for a, b in zip(*results, strict=True):
        assert abs(b.numpy()) > 1e-3
        np.testing.assert_allclose(a, b, rtol=1e-9)


def test_shared_weights_add_up():
    graph = cases.mixed_graph()
    results = [gradients(net, graph) for net in make_pair(share_weights=True)]
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "function"])
def test_second_derivative(compiled):
    """Gradient of a gradient's norm, by nodes and variables."""
    graph = cases.mixed_graph()

    def second(net):
        with tf.GradientTape() as outer:
            outer.watch(graph.nodes)
            with tf.GradientTape() as inner:
                inner.watch(graph.nodes)
                loss = tf.reduce_sum(tf.sin(net(graph).nodes))
            norm = tf.reduce_sum(tf.square(inner.gradient(loss, graph.nodes)))
        sources = [graph.nodes, *net.trainable_variables]
        return outer.gradient(norm, sources, unconnected_gradients="zero")

    reversible_net, stored_net = make_pair(num_steps=1)
    actual = (tf.function(second) if compiled else second)(reversible_net)
    expected = second(stored_net)
    assert np.abs(expected[0]).max() > 1e-3
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8)


def test_only_the_final_state_is_kept(monkeypatch):
    """Eager: between forward and backward no intermediate state is alive."""
    import gc
    import weakref

    graph = cases.mixed_graph()
    alive, states = [], []
    make_conditioner = cases.observed_message_passing(
        lambda graph: states.append(weakref.ref(graph.nodes))
    )
    for memory in reversible.MEMORY_MODES:
        net = gnf_tf.models.GRevNet(
            6,
            cases.NODE_SIZE,
            memory=memory,
            make_conditioner=make_conditioner,
            dtype=tf.float64,
            **cases.WIDTHS,
        )
        cases.randomize(net)
        states.clear()
        with tf.GradientTape() as tape:
            tape.watch(graph.nodes)
            nodes = net(graph).nodes
        gc.collect()
        alive.append(sum(state() is not None for state in states))
        assert tape.gradient(nodes, graph.nodes) is not None
    assert alive[0] <= 2 and alive[1] >= 10, alive


def test_each_network_runs_once_forward_and_once_backward():
    calls = []

    def make_conditioner(output_size):
        inner = cases.message_passing(output_size)

        def conditioner(graph):
            calls.append(inner)
            return inner(graph)

        return conditioner

    net, _ = make_pair(make_conditioner=make_conditioner)
    calls.clear()
    with tf.GradientTape() as tape:
        nodes = net(cases.mixed_graph()).nodes
    assert len(calls) == len(set(map(id, calls))) == 4
    calls.clear()
    tape.gradient(nodes, net.trainable_variables)
    assert len(calls) == len(set(map(id, calls))) == 4


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=lambda d: d.name)
def test_inverse_reconstructs(dtype):
    graph = cases.mixed_graph(dtype)
    net, _ = make_pair(num_steps=6, dtype=dtype)
    out = net(graph)
    assert np.abs(out.nodes - graph.nodes).max() > 0.1
    checks.close(net.inverse(out).nodes, graph.nodes, dtype)


def test_without_edges_and_globals_none_stays_none():
    graph = cases.mixed_graph().replace(edges=None, globals=None)
    net, stored = make_pair(edge_size=0, global_size=0)
    out = net(graph)
    assert out.edges is None and out.globals is None
    np.testing.assert_allclose(out.nodes, stored(graph).nodes, rtol=1e-12)


def test_keras_fit_with_clipping_follows_the_stored_network():
    """Twenty steps of Adam with clipped gradients end at the same weights.

    In float64: some weights have a gradient of zero but for rounding, which in float32 is not
    small beside Adam's epsilon, so that Adam would make whole steps of it.
    """
    graph = cases.mixed_graph()
    target = tf.reduce_sum(graph.nodes, axis=-1, keepdims=True)
    weights = []
    for net in make_pair(batch_norm=True, make_conditioner=networks.GraphConvolution):

        class Regressor(tf_keras.Model):
            def __init__(self, net):
                super().__init__(dtype=tf.float64)
                self.net = net
                self.head = cases.randomize_after(networks.MLP((8, 1)), graph)

            def call(self, inputs, training=False):
                graph = graphs.GraphsTuple(**inputs)
                return self.head(self.net(graph, is_training=bool(training))).nodes

        model = Regressor(net)
        model.compile(
            optimizer=tf_keras.optimizers.Adam(1e-2, clipnorm=0.5, jit_compile=False), loss="mse"
        )
        data = tf.data.Dataset.from_tensors((graph._asdict(), target)).repeat(10)
        losses = model.fit(data, epochs=2, verbose=0).history["loss"]
        assert losses[1] < losses[0]
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8)


def test_bad_arguments():
    layers = gnf_tf.GNF(1, 2, make_conditioner=cases.attention).layers
    with pytest.raises(ValueError, match="`memory` must be one of .* got 'none'"):
        reversible.run(layers, graphs.edgeless([2], 2), memory="none")
    with pytest.raises(ValueError, match="`node_size` must be at least 2, .* got 1; append"):
        reversible.run(layers, graphs.edgeless([2], 1))
    with pytest.raises(ValueError, match="float32"):
        reversible.run(layers, graphs.edgeless([2], 2), tf.zeros([2, 0], tf.int32))
