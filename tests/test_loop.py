"""A loop over stacked weights against the same layers one by one."""

import functools
import itertools

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf
import tf_keras

import gnf_tf
from gnf_tf import graphs, networks, reversible
from gnf_tf.reversible import engine
from gnf_tf.reversible.loop import repeated
from gnf_tf.substitution import created_variables
from tests import cases, checks
from tests.checks import EXECUTIONS

pytestmark = pytest.mark.usefixtures("kept_half_steps")

NUM_STEPS = 3


def in_a_closure(output_size):
    network = cases.message_passing(output_size)
    return lambda graph: network(graph)


NETWORKS = []


def dropping(output_size):
    return networks.MessagePassing((5, 6), output_size, dropout=0.4)


def make_layers(make_conditioner=cases.message_passing, **options):
    """Two couplings, and a mixing that changes all features, with a conditional input."""
    options = cases.WIDTHS | {"conditional_size": 1, "dtype": tf.float64} | options
    step = gnf_tf.GNFStep(cases.NODE_SIZE, make_conditioner=make_conditioner, **options)
    mixing = gnf_tf.GraphMixing(cases.NODE_SIZE, dtype=tf.float64)
    return (*step.layers, mixing)


def make_few_layers(make_conditioner=cases.message_passing, mixing=gnf_tf.GraphMixing):
    """One coupling and a mixing, for what takes long."""
    options = cases.WIDTHS | {"conditional_size": 1, "dtype": tf.float64}
    coupling = gnf_tf.GraphCoupling(make_conditioner, cases.NODE_SIZE, **options)
    return coupling, mixing(cases.NODE_SIZE, dtype=tf.float64)


def make_both(make):
    """(the loop, the layers one by one, and their variables), of the same initial weights."""
    tf.random.set_seed(0)
    loop = reversible.Loop(make, NUM_STEPS)
    tf.random.set_seed(0)
    with created_variables() as created:
        layers = [layer for _ in range(NUM_STEPS) for layer in make()]
    return loop, layers, created


def outputs_and_gradients(layers, graph, variables, **options):
    """Nodes, log|det J|, and the gradient of both by all inputs."""
    condition = tf.linspace(tf.constant(-1.0, tf.float64), 1.0, graph.nodes.shape[0])[:, None]
    sources = [graph.nodes, graph.edges, graph.globals, condition]
    with tf.GradientTape() as tape:
        tape.watch(sources)
        out, log_det = reversible.run(layers, graph, condition, **options)
        loss = tf.reduce_sum(tf.sin(out.nodes)) + tf.reduce_sum(tf.cos(log_det))
    sources += variables
    return [out.nodes, log_det], tape.gradient(loss, sources, unconnected_gradients="zero")


def dropping_layers():
    return make_layers(dropping)


def few_dropping_layers():
    return make_few_layers(dropping)


def few_layers_of_closures():
    return make_few_layers(in_a_closure)


@functools.cache
def loop_and_expected(inverse, make):
    """(a loop, its options, the results of the layers one by one: outputs and gradients)."""
    loop, layers, created = make_both(make)
    options = {"inverse": inverse, "is_training": True, "seed": 5}
    outputs, gradients = outputs_and_gradients(
        layers, cases.mixed_graph(), created, memory="stored", **options
    )
    of_inputs, of_weights = gradients[:4], gradients[4:]
    each = len(created) // NUM_STEPS
    stacked = [tf.stack(of_weights[i::each]) for i in range(each)]
    assert all(np.abs(g).max() > 0 for g in stacked)
    return loop, options, [*outputs, *of_inputs, *stacked]


@pytest.mark.parametrize(
    "inverse, make, memory, execution",
    [
        *itertools.product([True], [dropping_layers], ["reversible"], EXECUTIONS),
        *itertools.product([False], [few_dropping_layers], ["stored"], ["function", "xla"]),
        # Under XLA the other tests run loops forward.
        *itertools.product([False], [dropping_layers], ["reversible"], ["eager", "function"]),
        (False, few_layers_of_closures, "reversible", "function"),
    ],
)
def test_same_numbers_as_one_by_one(inverse, make, memory, execution):
    """Outputs and gradients, with dropout, which draws by the index of a layer."""
    loop, options, expected = loop_and_expected(inverse, make)
    graph = cases.mixed_graph()
    outputs, gradients = EXECUTIONS[execution](
        lambda: outputs_and_gradients(loop, graph, loop.stacked, memory=memory, **options)
    )()
    for found, one_by_one in zip([*outputs, *gradients], expected, strict=True):
        np.testing.assert_allclose(found, one_by_one, rtol=1e-8, atol=1e-10)


class Scaled(snt.Module):
    """A network of its own, with a gain and a mask that others may hold, too."""

    def __init__(self, output_size, gain, mask):
        super().__init__()
        self.inner, self.gain, self.mask = cases.message_passing(output_size), gain, mask

    def __call__(self, graph):
        graph = self.inner(graph)
        return graph.replace(nodes=self.gain * self.mask * tf.sin(graph.nodes))


def shared_gain():
    gain, mask = tf.Variable(0.5, dtype=tf.float64), tf.constant(0.3, tf.float64)
    return lambda output_size: Scaled(output_size, gain, mask)


def shared_network():
    network = cases.message_passing(cases.NODE_SIZE)
    return lambda output_size: network


def masks():
    one, made = tf.constant(1.0, tf.float64), itertools.count(1)
    return lambda output_size: Scaled(output_size, one, tf.constant(0.2 * next(made), tf.float64))


@pytest.mark.parametrize("execution", ["eager", "xla"])
@pytest.mark.parametrize("make, num_shared", [(shared_gain, 1), (shared_network, 9), (masks, 0)])
def test_what_steps_share_and_what_they_hold_apart(make, num_shared, execution):
    """Variables that all steps hold are trained and saved once; tensors may differ by step."""
    maker, steps = make(), []

    def make_step():
        steps.append(make_few_layers(maker))
        return steps[-1]

    with created_variables() as created:
        loop = reversible.Loop(make_step, NUM_STEPS)
    shared = {variable.ref() for variable in loop.shared}
    assert len(shared) == num_shared
    assert len(loop.trainable_variables) == len(loop.stacked) + num_shared > 0
    layers = [layer for step in steps for layer in step]
    held = {v.ref() for layer in layers for v in layer.trainable_variables}
    own = [v for v in created if v.ref() in held - shared]
    graph = cases.mixed_graph()
    outputs, gradients = EXECUTIONS[execution](
        lambda: outputs_and_gradients(loop, graph, [*loop.shared, *loop.stacked])
    )()
    expected, one_by_one = outputs_and_gradients(
        layers, graph, [*loop.shared, *own], memory="stored"
    )
    each, of_steps = len(own) // NUM_STEPS, one_by_one[4 + num_shared :]
    expected += one_by_one[: 4 + num_shared]
    expected += [tf.stack(of_steps[i::each]) for i in range(each)]
    for one, other in zip([*outputs, *gradients], expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("memory", reversible.MEMORY_MODES)
def test_program_does_not_grow_with_depth(memory):
    def size(num_steps):
        net = gnf_tf.models.GRevNet(
            num_steps,
            cases.NODE_SIZE,
            loop=True,
            memory=memory,
            make_conditioner=networks.GraphConvolution,
        )
        graph = graphs.edgeless([3], cases.NODE_SIZE)

        @tf.function(autograph=False)
        def gradients():
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(net(graph).nodes)
            return tape.gradient(loss, net.trainable_variables)

        definition = gradients.get_concrete_function().graph.as_graph_def()
        bodies = sum(len(function.node_def) for function in definition.library.function)
        return len(definition.node) + bodies

    assert size(2) == size(6)


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_gradient_to_captured_tensors(execution):
    held = tf.constant([0.3], tf.float64)

    class Shifted(snt.Module):
        def __init__(self, output_size):
            super().__init__()
            self.inner = cases.message_passing(output_size)
            self.shift = held

        def __call__(self, graph):
            graph = self.inner(graph)
            return graph.replace(nodes=tf.sin(graph.nodes + self.shift))

    loop, layers, _ = make_both(lambda: make_few_layers(Shifted))
    graph = cases.mixed_graph()

    def gradient(layers, memory="reversible"):
        condition = graph.nodes[:, :1]
        with tf.GradientTape() as tape:
            tape.watch(held)
            out, _ = reversible.run(layers, graph, condition, memory=memory)
            loss = tf.reduce_sum(tf.square(out.nodes))
        return tape.gradient(loss, held)

    expected = gradient(layers, "stored")
    assert abs(expected.numpy()) > 1e-3
    found = EXECUTIONS[execution](lambda: gradient(loop))()
    np.testing.assert_allclose(found, expected, rtol=1e-9)


OUTSIDE = []


class Outside(gnf_tf.GraphMixing):
    """A layer that reads a variable which it does not hold."""

    def condition(self, kept, graph, **options):
        lower, upper, log_diagonal = super().condition(kept, graph, **options)
        return lower, upper * OUTSIDE[0], log_diagonal + tf.math.log(OUTSIDE[0])


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_gradient_by_variables_that_layers_do_not_hold(execution):
    OUTSIDE[:] = [tf.Variable(tf.constant(1.2, tf.float64))]
    loop, layers, _ = make_both(functools.partial(make_few_layers, mixing=Outside))
    graph = cases.mixed_graph()

    def gradient(layers, memory="reversible"):
        return outputs_and_gradients(layers, graph, OUTSIDE, memory=memory)[1][-1]

    expected = gradient(layers, "stored")
    assert abs(expected.numpy()) > 1e-3
    for each in (loop, layers):
        found = EXECUTIONS[execution](lambda each=each: gradient(each))()
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_grevnet_in_a_loop_reconstructs_and_trains_in_keras():
    graph = cases.mixed_graph(tf.float32)
    net = gnf_tf.models.GRevNet(
        4, cases.NODE_SIZE, loop=True, make_conditioner=networks.GraphConvolution, **cases.WIDTHS
    )
    checks.close(net.inverse(net(graph)).nodes, graph.nodes, tf.float32)

    class Regressor(tf_keras.Model):
        def __init__(self):
            super().__init__()
            self.net = net

        def call(self, inputs):
            return self.net(graphs.GraphsTuple(**inputs)).nodes

    model = Regressor()
    assert len(model.trainable_variables) == len(net.trainable_variables) > 0
    model.compile(optimizer=tf_keras.optimizers.Adam(1e-2, jit_compile=False), loss="mse")
    data = tf.data.Dataset.from_tensors((graph._asdict(), tf.zeros_like(graph.nodes)))
    losses = model.fit(data.repeat(20), epochs=2, verbose=0).history["loss"]
    assert losses[1] < losses[0]


def test_checkpoint_restores(tmp_path):
    graph = cases.mixed_graph()
    first, second = (
        cases.randomize(
            gnf_tf.models.GRevNet(
                NUM_STEPS, cases.NODE_SIZE, loop=True, dtype=tf.float64, **cases.WIDTHS
            ),
            seed,
        )
        for seed in range(2)
    )
    assert np.abs(first(graph).nodes - second(graph).nodes).max() > 0.01
    path = tf.train.Checkpoint(net=first).write(str(tmp_path / "net"))
    tf.train.Checkpoint(net=second).read(path).assert_consumed()
    np.testing.assert_array_equal(first(graph).nodes, second(graph).nodes)


def second_derivative(layers):
    graph = cases.mixed_graph()
    condition = graph.nodes[:, :1]
    with tf.GradientTape() as outer:
        outer.watch(graph.nodes)
        with tf.GradientTape() as inner:
            inner.watch(graph.nodes)
            loss = tf.reduce_sum(tf.sin(reversible.run(layers, graph, condition)[0].nodes))
        norm = tf.reduce_sum(tf.square(inner.gradient(loss, graph.nodes)))
    return outer.gradient(norm, graph.nodes)


@functools.cache
def loop_and_second_derivative():
    """(a loop, the second derivative of the layers one by one)"""
    loop, layers, _ = make_both(make_few_layers)
    return loop, second_derivative(layers)


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_second_derivatives(execution):
    loop, expected = loop_and_second_derivative()
    assert np.abs(expected).max() > 1e-3
    found = EXECUTIONS[execution](lambda: second_derivative(loop))()
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("is_complete", [False, True])
def test_small_dense_attention_has_a_gradient_where_xla_stores_the_steps_of_a_loop(is_complete):
    """What a gradient needs as a constant must be one in the body of the loop."""

    def attention(output_size):
        options = {"fully_connected": is_complete, "max_num_nodes": 5}
        return networks.AttentionBlock(2, 3, (5,), output_size, **options)

    graph = cases.mixed_graph()
    gnf = gnf_tf.GNF(
        2, cases.NODE_SIZE, make_conditioner=attention, dtype=tf.float64, **cases.WIDTHS
    )
    reversible.run(gnf.layers, graph)
    weights = cases.randomize(gnf).trainable_variables

    def gradient(memory):
        with tf.GradientTape() as tape:
            out, log_det = reversible.run(gnf.layers, graph, memory=memory)
            loss = tf.reduce_sum(tf.sin(out.nodes)) + tf.reduce_sum(tf.cos(log_det))
        return tape.gradient(loss, weights)

    found = EXECUTIONS["xla"](functools.partial(gradient, "stored"))()
    for one, expected in zip(found, gradient("reversible"), strict=True):
        assert np.abs(expected).max() > 0
        np.testing.assert_allclose(one, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    "share_weights, memory",
    [(False, "reversible"), (False, "stored"), (True, "reversible")],
    ids=["weights", "stored", "shared"],
)
def test_xla_gets_equal_steps_as_a_loop(share_weights, memory, monkeypatch):
    """With the statistics of batch normalization, which each step has of its own."""
    monkeypatch.setattr(engine, "_SHORT", 3)
    graph = cases.mixed_graph()

    def step(gnf):
        weights = gnf.trainable_variables
        with tf.GradientTape() as tape:
            out, log_det = reversible.run(gnf.layers, graph, memory=memory, is_training=True)
            loss = tf.reduce_sum(tf.sin(out.nodes)) + tf.reduce_sum(tf.cos(log_det))
        return [out.nodes, log_det, *tape.gradient(loss, weights)]

    results = []
    for execution in ("function", "xla"):
        gnf = gnf_tf.GNF(
            2,
            cases.NODE_SIZE,
            make_conditioner=networks.GraphConvolution,
            share_weights=share_weights,
            dtype=tf.float64,
            **cases.WIDTHS,
        )
        compiled = EXECUTIONS[execution](functools.partial(step, cases.randomize(gnf)))
        averages = [tf.identity(variable) for variable in gnf.non_trainable_variables]
        results.append([*compiled(), *gnf.non_trainable_variables])
        moved = zip(averages, gnf.non_trainable_variables, strict=True)
        assert all(np.abs(before - after).max() > 0 for before, after in moved)
        operations = compiled.get_concrete_function().graph.get_operations()
        num_loops = sum(op.type in ("While", "StatelessWhile") for op in operations)
        assert num_loops == {"function": 0, "xla": 2}[execution]
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)


def test_what_repeats():
    """The fewest layers that a sequence repeats, and the values that differ between repetitions."""
    step = make_layers()
    first, second = make_layers(), make_layers()
    found = repeated([*first, *second])
    assert all(a is b for a, b in zip(found.layers, first, strict=True)) and found.num_steps == 2
    assert len(found.weights) == len(found.replaced) and found.weights[0].shape[0] == 2
    same = repeated([*step, *step, *step])
    assert same.num_steps == 3 and not same.weights
    assert repeated(step) is None
    assert repeated([*first, *second, first[0]]) is None
    assert repeated([*first, *make_layers(max_log_scale=1.0)]) is None
    # One network in both halves of the first step, and two in those of the second.
    network = cases.message_passing(4)
    shared = gnf_tf.GNFStep(4, make_conditioner=lambda _: network).layers
    other = gnf_tf.GNFStep(4, make_conditioner=cases.message_passing).layers
    assert repeated([*shared, *other]) is None


def test_bad_arguments():
    loop, _, _ = make_both(make_layers)
    graph = cases.mixed_graph()
    with pytest.raises(ValueError, match="`num_steps` must be at least 1, got 0"):
        reversible.Loop(make_layers, 0)
    with pytest.raises(ValueError, match="`memory` must be one of .* got 'none'"):
        reversible.run(loop, graph, graph.nodes[:, :1], memory="none")
    with pytest.raises(ValueError, match="trainable, and attributes .* got moving_mean"):
        reversible.Loop(lambda: [gnf_tf.GraphBatchNorm(2)], 2)
    norm = gnf_tf.GraphBatchNorm(2)
    with pytest.raises(ValueError, match="trainable, and attributes .* got moving_mean"):
        reversible.Loop(lambda: [norm], 2)

    def found_and_called_by_two_ways(output_size):
        NETWORKS.append(cases.message_passing(output_size))
        return lambda graph, found=NETWORKS[-1]: NETWORKS[-1](graph)

    net = gnf_tf.models.GRevNet(2, 4, loop=True, make_conditioner=found_and_called_by_two_ways)
    for call in (net, tf.function(net)):
        with pytest.raises(ValueError, match="attributes of `tf.Module`s .* got .*w:0 of shape"):
            call(graphs.edgeless([3], 4))
    made = iter(range(4))
    with pytest.raises(ValueError, match="`make_layers` must give equal layers each time"):
        reversible.Loop(lambda: make_layers(max_log_scale=1.0 + next(made)), 2)
    alternating = itertools.cycle([cases.message_passing(cases.NODE_SIZE) for _ in range(2)])
    with pytest.raises(ValueError, match="make the variables of each step, or .* got .*w:0"):
        layers = [make_few_layers(lambda _: next(alternating)) for _ in range(2)]
        reversible.Loop(iter([*layers, layers[0]]).__next__, 3)
    for option in ("batch_norm", "share_weights"):
        with pytest.raises(ValueError, match="`loop` must be False"):
            gnf_tf.models.GRevNet(2, cases.NODE_SIZE, loop=True, **{option: True})
