"""Neumann recurrent back-propagation against implicit differentiation and unrolled steps."""

import functools
import gc
import itertools
import weakref

import numpy as np
import pytest
import tensorflow as tf

from gnf_tf import graphs, models, networks
from tests import cases, checks
from tests.checks import EXECUTIONS

STATE_SIZE = 3
every_execution = pytest.mark.parametrize("execution", EXECUTIONS)


def make_net(num_steps=60, dtype=tf.float64, scale=0.25, **options):
    """Contracts, by small random weights; x is wider than the state."""
    net = models.NeumannRBP(
        num_steps, STATE_SIZE, input_size=cases.NODE_SIZE, dtype=dtype, **cases.WIDTHS, **options
    )
    return cases.randomize(net, scale=scale)


def gradients(net, graph, seed=None):
    """(result, gradients of a scalar by nodes, edges and every variable)."""
    with tf.GradientTape() as tape:
        tape.watch([graph.nodes, graph.edges])
        nodes = net(graph, seed).nodes
        loss = tf.reduce_sum(tf.sin(nodes))
    sources = [graph.nodes, graph.edges, *net.trainable_variables]
    return nodes, *tape.gradient(loss, sources, unconnected_gradients="zero")


def applied(net, state, graph, **options):
    """F(h, x), from the network that `net` holds."""
    nodes = tf.concat([state, graph.nodes], axis=-1)
    return net._network(graph.replace(nodes=nodes), **options).nodes


def unrolled(net, graph, num_steps, **options):
    """Value and gradients through all steps, by automatic differentiation."""
    with tf.GradientTape() as tape:
        tape.watch([graph.nodes, graph.edges])
        state = tf.zeros([len(graph.nodes), STATE_SIZE], graph.nodes.dtype)
        for _ in range(num_steps):
            state = applied(net, state, graph, **options)
        loss = tf.reduce_sum(tf.sin(state))
    sources = [graph.nodes, graph.edges, *net.trainable_variables]
    return state, *tape.gradient(loss, sources, unconnected_gradients="zero")


def all_close(actual, expected, rtol=1e-8, atol=1e-10):
    for a, b in zip(actual, expected, strict=True):
        a, b = map(tf.convert_to_tensor, (a, b))
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


@every_execution
def test_gradient_is_that_of_implicit_differentiation(execution):
    """v solves (I - J^T) v = dL/dh at the fixed point, J from the whole dense Jacobian."""
    net, graph = make_net(), cases.mixed_graph()
    assert np.max(net.residual(graph)) < 1e-12
    fixed = net(graph).nodes
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(fixed)
        nodes = applied(net, fixed, graph)
    size = int(tf.size(fixed))
    jacobian = tape.jacobian(nodes, fixed, experimental_use_pfor=False)
    jacobian = tf.reshape(jacobian, [size, size]).numpy()
    assert np.abs(np.linalg.eigvals(jacobian)).max() > 0.05, "K = 0 would pass"
    v = np.linalg.solve(np.eye(size) - jacobian.T, np.cos(fixed).ravel()).reshape(fixed.shape)
    sources = [graph.nodes, graph.edges, *net.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(sources)
        nodes = applied(net, fixed, graph)
    expected = tape.gradient(nodes, sources, output_gradients=tf.constant(v))
    assert all(np.abs(g).max() > 0.0 for g in expected)
    all_close(EXECUTIONS[execution](gradients)(net, graph), (fixed, *expected))


def test_converged_gradient_is_that_of_unrolled_steps():
    net, graph = make_net(), cases.mixed_graph()
    all_close(gradients(net, graph), unrolled(net, graph, 60))


MASK = tf.constant([3, 5])


@functools.cache
def dropping_net():
    """(a network with dropout, a graph, the gradients of unrolled steps with MASK and without)."""

    def make_conditioner(size):
        return networks.MessagePassing((4, 4), size, aggregation="mean", dropout=0.4)

    net, graph = make_net(make_conditioner=make_conditioner), cases.mixed_graph()
    return net, graph, [unrolled(net, graph, 60, seed=seed) for seed in (MASK, None)]


@every_execution
def test_dropout_has_one_mask_in_all_steps(execution):
    """So the map has a fixed point, and the gradient is that of unrolled steps with this mask."""
    net, graph, (masked, whole) = dropping_net()
    found = EXECUTIONS[execution](lambda graph, seed: gradients(net, graph, seed))(graph, MASK)
    all_close(found, masked)
    others = net(graph, (3, 6)).nodes, net(graph).nodes
    assert all(np.abs(found[0] - other).max() > 1e-3 for other in others)
    all_close([net(graph).nodes], whole[:1])  # without a seed nothing is dropped


class Linear(networks.MLP):
    """Linear in h and x, and of a node's own features alone."""

    def __init__(self, output_size):
        super().__init__((output_size,))


@pytest.mark.parametrize("num_steps", [1, 4])
def test_linear_map_has_the_unrolled_gradient_to_x_of_any_number_of_steps(num_steps):
    """The default number of terms is that of the steps."""
    net = make_net(num_steps, make_conditioner=Linear)
    graph = cases.mixed_graph()
    actual, expected = gradients(net, graph), unrolled(net, graph, num_steps)
    all_close(actual[:2], expected[:2])


def test_each_term_is_one_power_of_the_jacobian():
    """With A the map's matrix from h to h, v of K terms is sum_{k <= K} dL/dh (A^T)^k."""
    graph = cases.mixed_graph()
    errors = []
    for num_terms in range(6):
        net = make_net(100, num_terms=num_terms, make_conditioner=Linear, scale=0.4)
        (weights,) = [w for w in net.trainable_variables if w.shape.rank == 2]
        to_state, from_x = weights[:STATE_SIZE].numpy(), weights[STATE_SIZE:].numpy()
        nodes, d_x, *_ = gradients(net, graph)
        powers = [np.linalg.matrix_power(to_state.T, k) for k in range(num_terms + 1)]
        np.testing.assert_allclose(d_x, np.cos(nodes) @ sum(powers) @ from_x.T, rtol=1e-9)
        exact = np.cos(nodes) @ np.linalg.inv(np.eye(STATE_SIZE) - to_state.T) @ from_x.T
        errors.append(np.linalg.norm(d_x - exact))
    assert all(b < 0.95 * a for a, b in itertools.pairwise(errors)), errors


@pytest.mark.parametrize(
    "num_steps, num_terms, execution",
    [(1, 0, "function"), (2, 5, "function"), (9, 3, "xla")],
)
def test_compiled_equals_eager_before_convergence_too(execution, num_steps, num_terms):
    net, graph = make_net(num_steps, num_terms=num_terms), cases.mixed_graph()
    expected = gradients(net, graph)
    all_close(EXECUTIONS[execution](gradients)(net, graph), expected)
    all_close([EXECUTIONS[execution](net.residual)(graph)], [net.residual(graph)])
    # The tape outside of the compiled function.
    compiled = EXECUTIONS[execution](lambda graph, seed: net(graph, seed))
    compiled.trainable_variables = net.trainable_variables
    all_close(gradients(compiled, graph), expected)


def test_equivariant_and_each_graph_alone():
    net, graph = make_net(7), cases.mixed_graph()
    out = net(graph).nodes
    moved, order = checks.relabeled(graph)
    checks.close(net(moved).nodes, tf.gather(out, order), tf.float64)
    members = graphs.unbatch(graph)
    checks.close(out, tf.concat([net(m).nodes for m in members], axis=0), tf.float64)
    residuals = net.residual(graph)
    assert residuals.shape == graph.n_node.shape and residuals[2] == 0.0  # no nodes
    checks.close(residuals, tf.concat([net.residual(m) for m in members], axis=0), tf.float64)


def test_padding_changes_nothing():
    net, graph = make_net(7), cases.mixed_graph()
    padded = graphs.pad(graph, len(graph.nodes) + 3, len(graph.senders) + 5, len(graph.n_node) + 2)
    checks.close(net(padded).nodes[: len(graph.nodes)], net(graph).nodes, tf.float64)


def test_only_one_state_is_kept():
    """Eager: between forward and backward no state but the last is alive."""
    states = []
    make_conditioner = cases.observed_message_passing(
        lambda graph: states.append(weakref.ref(graph.nodes))
    )
    net, graph = make_net(20, make_conditioner=make_conditioner), cases.mixed_graph()
    states.clear()
    with tf.GradientTape() as tape:
        tape.watch(graph.nodes)
        nodes = net(graph).nodes
    gc.collect()
    assert len(states) == 20
    assert sum(state() is not None for state in states) <= 1
    assert tape.gradient(nodes, graph.nodes) is not None
    assert len(states) == 21, "one evaluation serves all terms"


@pytest.mark.parametrize("size", [8, 64])
def test_contracts_as_initialized(size):
    """The residual goes to rounding, also where a node has many neighbors."""
    tf.random.set_seed(0)
    net = models.NeumannRBP(100, size)
    graph = graphs.fully_connected([50, 2], size)
    graph = graph.replace(nodes=tf.random.stateless_normal(graph.nodes.shape, seed=[0, 1]))
    assert np.max(net.residual(graph)) < 1e-5
    assert np.std(net(graph).nodes) > 0.05


def test_none_fields_and_the_rest_of_the_graph_stay():
    graph = cases.mixed_graph(tf.float32).replace(edges=None, globals=None)
    net = models.NeumannRBP(3, STATE_SIZE, input_size=cases.NODE_SIZE)
    out = net(graph)
    assert out.edges is None and out.globals is None and out.senders is graph.senders
    assert out.nodes.shape == (len(graph.nodes), STATE_SIZE)


def test_second_derivatives_are_refused():
    net, graph = make_net(5), cases.mixed_graph()
    with tf.GradientTape() as outer:
        outer.watch(graph.nodes)
        first = gradients(net, graph)[1]
    with pytest.raises(LookupError, match="NeumannRBP has no second derivatives"):
        outer.gradient(first, graph.nodes)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"num_steps": 0}, "`num_steps` .* at least 1, got 0"),
        ({"node_size": 0}, "`node_size` .* at least 1, got 0"),
        ({"input_size": 0}, "`input_size` .* at least 1, got 0"),
        ({"num_terms": -1}, "`num_terms` must be at least 0, got -1"),
        ({"make_conditioner": lambda size: networks.MLP((size + 1,))}, "nodes of width 64, .* 65"),
    ],
)
def test_wrong_arguments_are_refused_by_name_and_value(options, message):
    with pytest.raises(ValueError, match=message):
        models.NeumannRBP(**{"num_steps": 2, "node_size": 64} | options)


def test_a_graph_of_another_width_is_refused():
    with pytest.raises(ValueError, match="nodes"):
        make_net()(graphs.edgeless([2], cases.NODE_SIZE + 1, dtype=tf.float64))
