"""Dropout whose masks are drawn again, not kept: its frequencies, gradients and inverse."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import function_def_to_graph

import gnf_tf
from gnf_tf import networks, reversible
from gnf_tf.networks.dropout import dropout
from tests import cases
from tests.checks import EXECUTIONS

pytestmark = pytest.mark.usefixtures("kept_half_steps")

SEED = [3, 5]
every_execution = pytest.mark.parametrize("execution", EXECUTIONS)


def make_pair(rate=0.4, **options):
    """The same network with dropout twice, with the two ways to the gradient."""
    return [
        cases.randomize(
            gnf_tf.models.GRevNet(
                2,
                cases.NODE_SIZE,
                dropout=rate,
                memory=memory,
                dtype=tf.float64,
                **cases.WIDTHS,
                **options,
            )
        )
        for memory in reversible.MEMORY_MODES
    ]


def gradients(net, graph, seed):
    """(result, gradients of a scalar by nodes, edges and every variable)."""
    with tf.GradientTape() as tape:
        tape.watch([graph.nodes, graph.edges])
        nodes = net(graph, is_training=True, seed=seed).nodes
        loss = tf.reduce_sum(tf.sin(nodes))
    return nodes, *tape.gradient(loss, [graph.nodes, graph.edges, *net.trainable_variables])


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.75])
def test_values_are_zero_as_often_as_said_and_keep_their_mean(rate):
    values = tf.random.stateless_uniform([400, 250], seed=[0, 1], minval=1.0, maxval=2.0)
    dropped = dropout(values, rate, tf.constant(SEED)).numpy()
    share = np.mean(dropped == 0.0)
    assert abs(share - rate) < 5 * np.sqrt(rate * (1 - rate) / values.numpy().size)
    kept = dropped != 0.0
    np.testing.assert_allclose(dropped[kept], values.numpy()[kept] / (1 - rate), rtol=1e-6)
    assert np.abs(np.corrcoef(kept[:, :10], rowvar=False) - np.eye(10)).max() < 0.3


@every_execution
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=lambda d: d.name)
def test_the_mask_is_that_of_its_seed_in_every_mode_and_precision(execution, dtype):
    def mask(seed):
        return dropout(tf.ones([9, 7], dtype), 0.5, seed) != 0.0

    first = dropout(tf.ones([9, 7]), 0.5, tf.constant(SEED)).numpy() != 0.0
    np.testing.assert_array_equal(EXECUTIONS[execution](mask)(tf.constant(SEED)), first)
    assert not np.array_equal(EXECUTIONS[execution](mask)(tf.constant([3, 6])), first)


def test_rate_zero_and_no_seed_are_the_identity():
    values = tf.random.stateless_normal([5, 3], seed=[0, 1])
    assert dropout(values, 0.0, tf.constant(SEED)) is values
    assert dropout(values, 0.5, None) is values


@every_execution
def test_gradients_equal_stored_ones(execution):
    graph = cases.mixed_graph()
    reversible_net, stored_net = make_pair()

    def run(seed):
        return gradients(reversible_net, graph, seed)

    actual = EXECUTIONS[execution](run)(tf.constant(SEED))
    expected = gradients(stored_net, graph, SEED)
    assert np.abs(expected[0] - stored_net(graph).nodes).max() > 0.1, "nothing was dropped"
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


def test_gradients_equal_stored_ones_with_shared_weights_and_batch_norm():
    """Each use of the same networks has a mask of its own; the averages move once."""
    graph = cases.mixed_graph()
    nets = make_pair(share_weights=True, batch_norm=True)
    results = [gradients(net, graph, SEED) for net in nets]
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)
    for a, b in zip(nets[0].variables, nets[1].variables, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


@every_execution
def test_the_inverse_by_the_same_seed_restores(execution):
    graph = cases.mixed_graph()
    net, _ = make_pair()
    out = net(graph, is_training=True, seed=SEED)

    def inverse(seed):
        return net.inverse(out, seed=seed).nodes

    np.testing.assert_allclose(
        EXECUTIONS[execution](inverse)(tf.constant(SEED)), graph.nodes, rtol=1e-10, atol=1e-10
    )
    for other in (tf.constant([3, 6]), None):
        assert np.abs(net.inverse(out, seed=other).nodes - graph.nodes).max() > 0.1


def test_every_half_step_has_its_own_mask():
    masks = []

    def make_conditioner(output_size):
        weights = tf.ones([cases.NODE_SIZE // 2, output_size], tf.float64)

        def conditioner(graph, seed=None):
            if seed is not None:
                masks.append(dropout(tf.ones([8, 8]), 0.5, seed).numpy() != 0.0)
            return graph.replace(nodes=tf.matmul(graph.nodes, weights))

        conditioner.takes_seed = True
        return conditioner

    net = gnf_tf.models.GRevNet(
        3, cases.NODE_SIZE, make_conditioner=make_conditioner, dtype=tf.float64, **cases.WIDTHS
    )
    graph = cases.mixed_graph()
    masks.clear()  # of the checks of the constructor
    with tf.GradientTape() as tape:
        tape.watch(graph.nodes)
        nodes = net(graph, is_training=True, seed=7).nodes
    forward = masks.copy()
    assert len({mask.tobytes() for mask in forward}) == len(forward) == 6
    masks.clear()
    tape.gradient(nodes, graph.nodes)
    np.testing.assert_array_equal(masks, forward[::-1])
    masks.clear()
    net.inverse(graph, seed=(0, 7))  # a number is the second of a pair
    np.testing.assert_array_equal(masks, forward[::-1])


@pytest.mark.parametrize("execution", ["function", "xla"])
def test_no_two_masks_need_be_there_at_once(execution):
    """Each is drawn after all that come before it, forward and then backward, and by its own op.

    Else a compiler draws them all at first, or hands those of the forward pass to the backward one,
    and memory grows with the number of steps.
    """
    (net, _), graph = make_pair(), cases.mixed_graph()
    traced = EXECUTIONS[execution](lambda seed: gradients(net, graph, seed))
    traced = traced.get_concrete_function(tf.TensorSpec([2], tf.int32))
    functions = traced.graph.as_graph_def().library.function
    functions = [function_def_to_graph.function_def_to_graph(function) for function in functions]
    drawn = []
    for function in (traced.graph, *functions):
        masks = [
            op
            for op in function.get_operations()
            if op.type.startswith("StatelessRandomUniformFullInt") and op.outputs[0].shape.rank == 2
        ]

        def masks_before(op, masks=masks):
            seen, stack = set(), [op]
            while stack:
                item = stack.pop()
                before = [*item.control_inputs, *(tensor.op for tensor in item.inputs)]
                stack += [op for op in before if op not in seen]
                seen.update(before)
            return len(seen.intersection(masks))

        assert sorted(map(masks_before, masks)) == list(range(len(masks)))
        drawn += [len(masks)] * bool(masks)
    # A function has one half step, forward or backward; a loop's body under XLA has both.
    assert drawn == {"function": [1, 1, 1, 1], "xla": [2, 2]}[execution]


def test_another_seed_another_mask_and_the_same_seed_the_same():
    net, graph = make_pair()[0], cases.mixed_graph()
    first = net(graph, is_training=True, seed=1).nodes
    np.testing.assert_array_equal(net(graph, is_training=True, seed=1).nodes, first)
    assert np.abs(net(graph, is_training=True, seed=2).nodes - first).max() > 0.1


def test_nothing_is_dropped_but_in_training():
    net, graph = make_pair()[0], cases.mixed_graph()
    without = make_pair(rate=0.0)[0]
    expected = without(graph).nodes
    np.testing.assert_array_equal(net(graph, seed=1).nodes, expected)
    np.testing.assert_array_equal(net(graph).nodes, expected)
    np.testing.assert_array_equal(without(graph, is_training=True, seed=1).nodes, expected)


def test_without_a_seed_no_random_number_is_drawn():
    """The program is what it was: dropout that is not used costs nothing."""
    net, graph = make_pair(rate=0.0)[0], cases.mixed_graph()
    traced = tf.function(lambda: gradients(net, graph, None)).get_concrete_function()
    assert not [op.name for op in traced.graph.get_operations() if "Random" in op.type]


def test_conditioners_that_take_no_seed_get_none():
    net = gnf_tf.models.GRevNet(
        2, cases.NODE_SIZE, make_conditioner=lambda size: networks.MLP((size,))
    )
    graph = cases.mixed_graph(tf.float32).replace(edges=None, globals=None)
    drawn = net(graph, is_training=True, seed=1).nodes
    np.testing.assert_array_equal(drawn, net(graph).nodes)


def test_wrong_arguments_are_refused_by_name_and_value():
    graph = cases.mixed_graph()
    for rate in (1.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match=f"`dropout` must be in .0, 1., got {rate}"):
            gnf_tf.models.GRevNet(2, cases.NODE_SIZE, dropout=rate)
    with pytest.raises(ValueError, match="`dropout` must be 0 where `make_conditioner` .* 0.5"):
        gnf_tf.models.GRevNet(2, 4, dropout=0.5, make_conditioner=cases.message_passing)
    net = make_pair()[0]
    with pytest.raises(ValueError, match="`seed` must be given in training with `dropout`"):
        net(graph, is_training=True)
    with pytest.raises(ValueError, match=r"`seed` must be .* shape \[2\], got \(3,\)"):
        net(graph, is_training=True, seed=[1, 2, 3])
