"""Networks GraphsTuple -> GraphsTuple."""

import numpy as np
import pytest
import tensorflow as tf

from gnf_tf import graphs, networks
from tests import cases, checks

NETWORKS = {
    "mlp": lambda: networks.MLP((5, 3)),
    "dot_product": lambda: networks.DotProductAttention(2, 3, value_size=4, output_size=5),
    "block": lambda: networks.AttentionBlock(2, 3, (6,), 5),
    "additive": lambda: networks.AdditiveAttention(2, 3),
    "messages": lambda: networks.MessagePassing((5, 6), 3),
    "messages_mean_deep": lambda: networks.MessagePassing((5, 4, 6), 3, aggregation="mean"),
}


def make(name, graph, seed=0):
    return cases.randomise_after(NETWORKS[name](), graph, seed)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=lambda d: d.name)
@pytest.mark.parametrize("name", NETWORKS)
def test_permutation_equivariant(name, dtype):
    graph = cases.mixed_graph(dtype)
    network = make(name, graph)
    moved, order = checks.relabelled(graph)
    assert network(graph).nodes.dtype == dtype
    checks.close(network(moved).nodes, tf.gather(network(graph).nodes, order), dtype)


@pytest.mark.parametrize("name", NETWORKS)
def test_batch_equals_graphs_one_by_one_and_padding_changes_nothing(name):
    graph = cases.mixed_graph()
    network = make(name, graph)
    together = network(graph).nodes
    alone = tf.concat([network(m).nodes for m in graphs.unbatch(graph)], axis=0)
    checks.close(together, alone, tf.float64)
    padded = graphs.pad(graph, 15, 20, 7)
    padded = padded.replace(nodes=tf.concat([graph.nodes, tf.fill([7, 4], padded.nodes[0, 0])], 0))
    checks.close(network(padded).nodes[:8], together, tf.float64)


@pytest.mark.parametrize("name", NETWORKS)
def test_execution_modes_agree_and_every_variable_has_a_gradient(name):
    graph = graphs.pad(cases.mixed_graph(), 12, 20, 6)
    network = make(name, graph)

    def value_and_gradients(graph):
        with tf.GradientTape() as tape:
            nodes = network(graph).nodes
            loss = tf.reduce_sum(tf.sin(nodes[:8]))
        return nodes, tape.gradient(loss, network.trainable_variables)

    eager = value_and_gradients(graph)
    assert all(np.abs(gradient).max() > 0 for gradient in eager[1])
    for options in ({}, {"jit_compile": True}):
        compiled = tf.function(value_and_gradients, **options)(graph)
        tf.nest.map_structure(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10), compiled, eager
        )


@pytest.mark.parametrize("name", ["additive", "messages", "messages_mean_deep"])
def test_edges_count_where_present(name):
    graph = cases.mixed_graph()
    network = make(name, graph)
    changed = graph.replace(edges=graph.edges + 1.0)
    assert np.abs(network(changed).nodes - network(graph).nodes).max() > 1e-3
    without = graph.replace(edges=None)
    network = make(name, without)
    assert network(without).nodes.shape[0] == 8


def test_other_fields_are_untouched():
    graph = cases.mixed_graph()
    for name in NETWORKS:
        checks.topology_unchanged(graph, make(name, graph)(graph))


def test_dot_product_attention_by_hand():
    """Edges 0 -> 2 and 1 -> 2, one head, all projections the identity on scalars.

    Queries, keys and values are the node features 1, 2, 3, so node 2 scores 3 and 6 and takes
    (1 e^3 + 2 e^6) / (e^3 + e^6) = 1 + e^3 / (1 + e^3).
    """
    graph = graphs.edgeless([3], 1, dtype=tf.float64).replace(
        nodes=tf.constant([[1.0], [2.0], [3.0]], tf.float64),
        senders=tf.constant([0, 1]),
        receivers=tf.constant([2, 2]),
        edges=tf.zeros([2, 0], tf.float64),
        n_edge=tf.constant([2]),
    )
    network = networks.DotProductAttention(1, 1)
    network(graph)
    for variable in network.variables:
        variable.assign(
            tf.zeros_like(variable) if "b:" in variable.name else tf.ones_like(variable)
        )
    expected = 1.0 + np.exp(3.0) / (1.0 + np.exp(3.0))
    # Nodes 0 and 1 have no incoming edge: the zero message.
    np.testing.assert_allclose(network(graph).nodes[:, 0], [0.0, 0.0, expected], rtol=1e-12)


def test_softmax_is_stable():
    graph = cases.mixed_graph(tf.float32)
    network = make("dot_product", graph)
    large = network(graph.replace(nodes=1e3 * graph.nodes)).nodes
    assert np.isfinite(large).all()


@pytest.mark.parametrize("max_num_nodes", [None, 6])
def test_dense_path_equals_the_edge_list(max_num_nodes):
    graph = graphs.fully_connected([4, 1, 0, 6], 4, dtype=tf.float64)
    graph = graph.replace(nodes=cases.mixed_graph(n_node=(4, 1, 0, 6)).nodes)
    results = []
    for options in ({}, {"fully_connected": True, "max_num_nodes": max_num_nodes}):
        network = cases.randomise_after(networks.AttentionBlock(2, 3, (6,), 5, **options), graph)
        with tf.GradientTape() as tape:
            tape.watch(graph.nodes)
            nodes = network(graph).nodes
            loss = tf.reduce_sum(tf.sin(nodes))
        results.append([nodes, *tape.gradient(loss, [graph.nodes, *network.trainable_variables])])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


def test_dense_path_under_xla_on_a_padded_batch():
    graph = graphs.fully_connected([4, 1, 3], 4, dtype=tf.float64)
    graph = graph.replace(nodes=cases.mixed_graph().nodes)
    network = cases.randomise_after(
        networks.DotProductAttention(2, 3, fully_connected=True, max_num_nodes=4), graph
    )
    padded = graphs.pad(graph, 20, 40, 5)  # the padding graph exceeds 4 nodes, and may
    compiled = tf.function(network, jit_compile=True)(padded).nodes[:8]
    checks.close(compiled, network(graph).nodes, tf.float64)
    checks.close(network(padded).nodes[:8], network(graph).nodes, tf.float64)
    with pytest.raises(ValueError, match="`max_num_nodes` is 4, but graph 0 has 5 nodes"):
        network(graphs.fully_connected([5, 2], 4, dtype=tf.float64))


def test_message_passing_equals_a_loop_over_edges():
    """Equations 1 and 2 written out: the shortcuts in the module change nothing."""
    graph = cases.mixed_graph()
    network = make("messages", graph)
    from_nodes, from_edges = network._from_nodes.w.numpy(), network._from_edges.w.numpy()
    bias, message = network._bias.b.numpy(), network._message.w.numpy()
    hidden_size = from_edges.shape[1]
    messages = np.zeros([8, message.shape[1]])
    for s, r, edge in zip(
        graph.senders.numpy(), graph.receivers.numpy(), graph.edges.numpy(), strict=True
    ):
        sent = graph.nodes[s].numpy() @ from_nodes[:, :hidden_size]
        received = graph.nodes[r].numpy() @ from_nodes[:, hidden_size:]
        hidden = np.maximum(sent + received + edge @ from_edges + bias, 0.0)
        messages[r] += hidden @ message
    updated, _ = network._update(tf.constant(messages), graph.nodes)
    expected = network._output(updated)
    np.testing.assert_allclose(network(graph).nodes, expected, rtol=1e-10)


def test_zero_output_scale_starts_at_zero():
    graph = cases.mixed_graph()
    for network in (
        networks.MLP((3, 2), output_scale=0.0),
        networks.AttentionBlock(2, 3, (4,), 2, output_scale=0.0),
        networks.MessagePassing((3, 4), 2, output_scale=0.0),
    ):
        np.testing.assert_array_equal(network(graph).nodes, np.zeros([8, 2]))


@pytest.mark.parametrize(
    "make_bad, message",
    [
        (lambda: networks.MLP(()), "`output_sizes` must be numbers of at least 1"),
        (
            lambda: networks.MLP((3,), output_scale=-1.0),
            "`output_scale` must not be negative, got -1",
        ),
        (lambda: networks.DotProductAttention(0, 3), "`num_heads` must be at least 1, got 0"),
        (lambda: networks.DotProductAttention(1, 0), "`key_size` must be at least 1, got 0"),
        (
            lambda: networks.DotProductAttention(1, 1, max_num_nodes=3),
            "belongs to `fully_connected",
        ),
        (lambda: networks.AdditiveAttention(1, 0), "`value_size` must be at least 1, got 0"),
        (lambda: networks.MessagePassing((3,), 2), "`message_sizes` must be two or more"),
        (lambda: networks.MessagePassing((3, 3), 2, aggregation="max"), "`aggregation` .*'max'"),
    ],
)
def test_constructor_errors(make_bad, message):
    with pytest.raises(ValueError, match=message):
        make_bad()
