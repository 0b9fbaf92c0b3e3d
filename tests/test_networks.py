"""Every network against what all networks promise, and what their constructors refuse."""

import numpy as np
import pytest
import tensorflow as tf

from gnf_tf import graphs, networks
from tests import cases, checks
from tests.network_cases import (
    DTYPES,
    NEED_EDGES,
    NETWORKS,
    USE_EDGES,
    USE_GLOBALS,
    USE_TOPOLOGY,
    all_close,
    make_network,
    padded_with_noise,
    value_and_gradients,
)

every_network = pytest.mark.parametrize("name", NETWORKS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)


def test_every_public_network_is_in_the_table():
    # HalfPrecision holds nothing to the tolerances here: tests/test_half_precision.py.
    table = {type(make()).__name__ for make in NETWORKS.values()} | {"HalfPrecision"}
    assert table == set(networks.__all__)


@every_dtype
@every_network
def test_permutation_equivariant(name, dtype):
    network, graph = make_network(name, dtype), cases.mixed_graph(dtype)
    moved, order = checks.relabeled(graph)
    assert not np.array_equal(order, np.arange(len(order)))
    checks.close(network(moved).nodes, tf.gather(network(graph).nodes, order), dtype)


@every_dtype
@every_network
def test_a_batch_gives_what_its_graphs_give_alone(name, dtype):
    network, graph = make_network(name, dtype), cases.mixed_graph(dtype)
    alone = [network(member).nodes for member in graphs.unbatch(graph)]
    checks.close(network(graph).nodes, tf.concat(alone, axis=0), dtype)


@every_dtype
@every_network
def test_padding_changes_neither_values_nor_gradients(name, dtype):
    network, graph = make_network(name, dtype), cases.mixed_graph(dtype)
    num_nodes = len(graph.nodes)
    expected = value_and_gradients(network, graph, num_nodes)
    actual = value_and_gradients(network, padded_with_noise(graph), num_nodes)
    np.testing.assert_array_equal(actual[1][num_nodes:], 0.0)
    all_close((actual[0], actual[1][:num_nodes], *actual[2:]), expected, dtype)


@every_network
def test_xla_equals_eager_on_a_padded_batch(name):
    network, graph = make_network(name), padded_with_noise(cases.mixed_graph())
    compiled = tf.function(value_and_gradients, autograph=False, jit_compile=True)
    num_nodes = len(graph.nodes)
    actual = compiled(network, graph, num_nodes)
    all_close(actual, value_and_gradients(network, graph, num_nodes), tf.float64)


@every_network
def test_runs_with_sizes_unknown_when_traced(name):
    """One trace serves batches of every size."""
    network = make_network(name)
    batches = [cases.mixed_graph(), cases.mixed_graph(n_node=(2, 4, 3))]
    unknown = {
        field: tf.TensorSpec([None, *value.shape[1:]], value.dtype)
        for field, value in zip(graphs.GraphsTuple._fields, batches[0], strict=True)
    }
    compiled = tf.function(
        lambda graph: value_and_gradients(network, graph, None),
        input_signature=[graphs.GraphsTuple(**unknown)],
    )
    for graph in batches:
        all_close(compiled(graph), value_and_gradients(network, graph, None), tf.float64)
    assert compiled.experimental_get_tracing_count() == 1


@every_dtype
@every_network
def test_every_variable_has_the_nodes_dtype_and_a_gradient(name, dtype):
    network, graph = make_network(name, dtype), cases.mixed_graph(dtype)
    nodes, *gradients = value_and_gradients(network, graph, len(graph.nodes))
    assert nodes.dtype == dtype
    assert network.trainable_variables
    for variable, gradient in zip(network.trainable_variables, gradients[1:], strict=True):
        assert variable.dtype == dtype, variable.name
        assert np.abs(gradient).max() > 0.0, variable.name


@every_network
def test_gradients_are_those_of_finite_differences(name):
    """Along one random direction in the nodes and in each variable."""
    network, graph = make_network(name), cases.mixed_graph()
    nodes, variables = graph.nodes, network.trainable_variables
    _, *gradients = value_and_gradients(network, graph, len(nodes))
    values = [nodes, *map(tf.identity, variables)]
    for index, gradient in enumerate(gradients):
        direction = tf.random.stateless_normal(gradient.shape, [index, 5], dtype=tf.float64)
        losses = []
        for step in (1e-6, -1e-6):
            moved = [*values]
            moved[index] += step * direction
            for variable, value in zip(variables, moved[1:], strict=True):
                variable.assign(value)
            losses.append(tf.reduce_sum(tf.sin(network(graph.replace(nodes=moved[0])).nodes)))
        slope = (losses[0] - losses[1]) / 2e-6
        expected = tf.reduce_sum(gradient * direction)
        np.testing.assert_allclose(slope, expected, rtol=1e-6, atol=1e-7)


# Those with operations of their own whose gradients are ours, or are slices in TensorFlow.
SECOND = (
    *("additive", "convolution", "dot_product_edge_blocks", "messages_equivariant"),
    *("messages_positions", "ranked_dense", "transformer_dense"),
)


@pytest.mark.parametrize(
    "name, dtype",
    [*((name, tf.float64) for name in SECOND), ("additive", tf.float16)],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_function_called_in_eager_mode_has_second_derivatives(name, dtype):
    """TensorFlow differentiates the gradient in a third graph; of operations one by one in none."""
    network, graph = make_network(name, dtype), cases.mixed_graph(dtype)

    def product(loss):
        with tf.GradientTape() as outer:
            outer.watch(graph.nodes)
            with tf.GradientTape() as inner:
                inner.watch(graph.nodes)
                value = loss(graph.nodes)
            total = tf.reduce_sum(inner.gradient(value, graph.nodes) ** 2)
        return outer.gradient(total, graph.nodes)

    def loss(nodes):
        return tf.reduce_sum(tf.sin(network(graph.replace(nodes=nodes)).nodes))

    found, expected = product(tf.function(loss, autograph=False)), product(loss)
    half = {"rtol": 0.1, "atol": 0.02 * np.abs(expected).max()}
    np.testing.assert_allclose(found, expected, **({"rtol": 1e-9} if dtype is tf.float64 else half))


@every_network
def test_only_nodes_are_replaced(name):
    graph = cases.mixed_graph()
    out = make_network(name)(graph)
    assert len(out.nodes) == len(graph.nodes)
    for field in set(graph._fields) - {"nodes"}:
        assert getattr(out, field) is getattr(graph, field), field


@every_network
def test_edges_globals_and_topology_matter_where_they_are_said_to(name):
    network, graph = make_network(name), cases.mixed_graph()

    def differs(**fields):
        return np.abs(network(graph.replace(**fields)).nodes - network(graph).nodes).max() > 1e-3

    assert differs(edges=graph.edges + 1.0) == (name in USE_EDGES)
    assert differs(globals=graph.globals + 1.0) == (name in USE_GLOBALS)
    # The first graph's edge 1 -> 2 (see `mixed_graph`) becomes 1 -> 0.
    receivers = tf.tensor_scatter_nd_update(graph.receivers, [[1]], [0])
    assert differs(receivers=receivers) == (name in USE_TOPOLOGY)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in NEED_EDGES])
def test_none_is_the_same_as_zero_width(name):
    graph = cases.mixed_graph().replace(edges=None, globals=None)
    network = cases.randomize_after(NETWORKS[name](), graph)
    out = network(graph)
    assert out.edges is None and out.globals is None
    np.testing.assert_array_equal(network(graphs.fill_missing(graph)).nodes, out.nodes)


@every_network
def test_variables_are_made_once_by_the_first_small_graph(name):
    small = cases.mixed_graph(n_node=(2,))
    network = NETWORKS[name]()
    network(small)
    variables = [variable.ref() for variable in network.variables]
    tf.function(lambda graph: network(graph).nodes, autograph=False)(cases.mixed_graph())
    assert [variable.ref() for variable in network.variables] == variables


@pytest.mark.parametrize("n_node", [(0,), (1,), (0, 0), (1, 1, 1)], ids=str)
@every_network
def test_graphs_without_edges_or_nodes(name, n_node):
    network = make_network(name)
    graph = cases.mixed_graph(n_node=n_node)
    nodes, *gradients = value_and_gradients(network, graph, len(graph.nodes))
    assert nodes.shape[0] == sum(n_node)
    assert np.isfinite(nodes).all()
    assert all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize(
    "make",
    [
        lambda scale: networks.MLP((7, 50), output_scale=scale),
        lambda scale: networks.AttentionBlock(2, 3, (7,), 50, output_scale=scale),
        lambda scale: networks.MessagePassing((5, 6), 50, output_scale=scale),
        lambda scale: networks.GraphConvolution(50, output_scale=scale),
        lambda scale: networks.EquivariantMessages(5, 4, 1, dimension=2, output_scale=scale),
    ],
    ids=["mlp", "attention_block", "messages", "convolution", "equivariant"],
)
def test_output_scale_scales_the_first_outputs_down_to_zero(make):
    graph = cases.mixed_graph()
    sizes = []
    for scale in (1.0, 0.1, 0.0):
        tf.random.set_seed(0)
        sizes.append(np.std(make(scale)(graph).nodes))
    assert sizes[0] > 0.0 and sizes[2] == 0.0
    np.testing.assert_allclose(sizes[1] / sizes[0], 0.1, rtol=1e-6)


# What is refused.

REFUSED = {
    "mlp_empty": (lambda: networks.MLP(()), "`output_sizes` must be 1 or more .* got ..$"),
    "mlp_number": (lambda: networks.MLP(3), "`output_sizes` .* got 3"),
    "mlp_zero": (lambda: networks.MLP((4, 0)), "`output_sizes` .* got .4, 0."),
    "mlp_fraction": (lambda: networks.MLP((4, 2.5)), "`output_sizes` .* got .4, 2.5."),
    "mlp_scale": (lambda: networks.MLP((4,), output_scale=-1.0), "`output_scale` .* got -1.0"),
    "mlp_scale_nan": (lambda: networks.MLP((4,), output_scale=np.nan), "`output_scale` .* nan"),
    "heads": (lambda: networks.DotProductAttention(0, 3), "`num_heads` .* at least 1, got 0"),
    "heads_text": (lambda: networks.DotProductAttention("8", 3), "`num_heads` .* got '8'"),
    "heads_bool": (lambda: networks.DotProductAttention(True, 3), "`num_heads` .* got True"),
    "key": (lambda: networks.DotProductAttention(2, -1), "`key_size` .* got -1"),
    "value": (lambda: networks.DotProductAttention(2, 3, value_size=0), "`value_size` .* got 0"),
    "output": (lambda: networks.DotProductAttention(2, 3, output_size=0), "`output_size` .* got 0"),
    "bound": (
        lambda: networks.DotProductAttention(2, 3, fully_connected=True, max_num_nodes=0),
        "`max_num_nodes` .* at least 1, got 0",
    ),
    "block_heads": (lambda: networks.AttentionBlock(0, 3, (7,), 4), "`num_heads` .* got 0"),
    "block_hidden": (lambda: networks.AttentionBlock(2, 3, (0,), 4), "`hidden_sizes` .* got .0,."),
    "block_number": (lambda: networks.AttentionBlock(2, 3, 7, 4), "`hidden_sizes` .* got 7"),
    "block_output": (lambda: networks.AttentionBlock(2, 3, (), 0), "`output_size` .* got 0"),
    "additive_heads": (lambda: networks.AdditiveAttention(0, 3), "`num_heads` .* got 0"),
    "additive_value": (lambda: networks.AdditiveAttention(2, 0), "`value_size` .* got 0"),
    "messages_one": (
        lambda: networks.MessagePassing((5,), 3),
        "`message_sizes` must be 2 or more .* got .5,.",
    ),
    "messages_zero": (lambda: networks.MessagePassing((5, 0), 3), "`message_sizes` .* got .5, 0."),
    "messages_output": (lambda: networks.MessagePassing((5, 6), 0), "`output_size` .* got 0"),
    "messages_aggregation": (
        lambda: networks.MessagePassing((5, 6), 3, aggregation="max"),
        "`aggregation` must be 'sum' or 'mean', got 'max'",
    ),
    "messages_dropout": (
        lambda: networks.MessagePassing((5, 6), 3, dropout=1.0),
        "`dropout` must be in .0, 1., got 1.0",
    ),
    "equivariant_messages": (
        lambda: networks.EquivariantMessages(3, 8, 4),
        "`message_size` must be at least `num_vectors`, 4, got 3",
    ),
    "equivariant_vectors": (
        lambda: networks.EquivariantMessages(3, 8, 0),
        "`num_vectors` must be a whole number of at least 1, got 0",
    ),
    "convolution_output": (lambda: networks.GraphConvolution(0), "`output_size` .* got 0"),
    "convolution_diagonal_output": (
        lambda: networks.GraphConvolution(0, diagonal=True),
        "`output_size` .* got 0",
    ),
    "convolution_diagonal_scale": (
        lambda: networks.GraphConvolution(4, diagonal=True, output_scale=-1.0),
        "`output_scale` .* got -1.0",
    ),
    "convolution_dropout": (
        lambda: networks.GraphConvolution(3, dropout=-0.5),
        "`dropout` must be in .0, 1., got -0.5",
    ),
    "ranked_frequencies": (
        lambda: networks.Ranked(networks.MLP((3,)), 0),
        "`num_frequencies` must be a whole number of at least 1, got 0",
    ),
    "ranked_sharpness": (
        lambda: networks.Ranked(networks.MLP((3,)), 2, sharpness=np.nan),
        "`sharpness` must be positive, got nan",
    ),
    "ranked_bound": (
        lambda: networks.Ranked(networks.MLP((3,)), 2, max_num_nodes=0),
        "`max_num_nodes` must be a whole number of at least 1, got 0",
    ),
    "scale": (lambda: networks.Scaled(networks.MLP((3,)), 0.0), "`scale` .* positive, got 0.0"),
    "scale_nan": (lambda: networks.Scaled(networks.MLP((3,)), np.nan), "`scale` .* got nan"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_argument_is_refused_by_name_and_value(case):
    make, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda activation: networks.MLP((3,), activation=activation),
        lambda activation: networks.AttentionBlock(2, 3, (), 4, activation=activation),
        lambda activation: networks.AdditiveAttention(2, 3, activation=activation),
        lambda activation: networks.MessagePassing((5, 6), 3, activation=activation),
    ],
    ids=["mlp", "attention_block", "additive", "messages"],
)
def test_an_activation_must_be_callable(make):
    with pytest.raises(TypeError, match="`activation` must be a function of a tensor, got 'relu'"):
        make("relu")


@pytest.mark.parametrize("name", sorted(USE_EDGES))
def test_edges_of_another_width_than_at_first_are_refused(name):
    network, graph = make_network(name), cases.mixed_graph()
    for edges, found in ((None, 0), (tf.concat([graph.edges] * 2, axis=-1), 4)):
        with pytest.raises(ValueError, match=f"`graph.edges` must be 2 wide, .* got {found}"):
            network(graph.replace(edges=edges))


def test_edges_of_unknown_width_are_refused():
    network, graph = networks.MessagePassing((5, 6), 3), cases.mixed_graph()

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float64)])
    def compiled(edges):
        return network(graph.replace(edges=edges)).nodes

    with pytest.raises(ValueError, match="`graph.edges` must have a static width"):
        compiled(graph.edges)
