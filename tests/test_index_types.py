"""Indices of 64 bits are as good as those of 32, in every network and function of graphs."""

import numpy as np
import pytest
import tensorflow as tf

import gnf_tf
from gnf_tf import graphs
from gnf_tf.graphs.structure import INDEX_FIELDS
from tests import cases, checks, network_cases

FIELDS = [(field,) for field in INDEX_FIELDS] + [INDEX_FIELDS]


def wide(graph, fields=INDEX_FIELDS):
    return graph.replace(**{field: tf.cast(getattr(graph, field), tf.int64) for field in fields})


def signature(graph):
    """As of a stream whose sizes differ."""
    return tf.nest.map_structure(
        lambda value: tf.TensorSpec([None, *value.shape[1:]], value.dtype), graph
    )


MODES = {
    "eager": lambda function, graph: function,
    "graph": lambda function, graph: tf.function(function, autograph=False),
    "dynamic": lambda function, graph: tf.function(
        function, autograph=False, input_signature=[signature(graph)]
    ),
    "xla": lambda function, graph: tf.function(function, autograph=False, jit_compile=True),
}


# Another network of the table uses indices as each of these does: eager mode is enough for them.
ALIKE = {
    *("mlp", "dot_product", "dot_product_dense_bounded", "transformer_alone"),
    *("messages_deep", "messages_scaled", "messages_equivariant_shift", "convolution_diagonal"),
}


@pytest.mark.parametrize(
    "name, mode",
    [
        (name, mode)
        for name in network_cases.NETWORKS
        for mode in MODES
        if mode == "eager" or name not in ALIKE
    ],
)
def test_networks(name, mode):
    network = network_cases.make_network(name)
    graph = network_cases.padded_with_noise(cases.mixed_graph())
    call = MODES[mode](lambda graph: network(graph).nodes, wide(graph))
    checks.close(call(wide(graph)), network(graph).nodes, tf.float64)


@pytest.mark.parametrize("fields", FIELDS)
@pytest.mark.parametrize("name", network_cases.NETWORKS)
def test_networks_with_some_of_them_wide(name, fields):
    network, graph = network_cases.make_network(name), cases.mixed_graph()
    checks.close(network(wide(graph, fields)).nodes, network(graph).nodes, tf.float64)


FUNCTIONS = {
    "node_graph_ids": graphs.node_graph_ids,
    "edge_graph_ids": graphs.edge_graph_ids,
    "sum_nodes": lambda graph: graphs.sum_nodes(graph.nodes, graph),
    "to_nodes": lambda graph: graphs.to_nodes(graph.globals, graph),
    "gather": lambda graph: graphs.gather(graph.nodes, graph.senders),
    "scatter_sum": lambda graph: graphs.scatter_sum(graph.edges, graph.receivers, 20),
    "graph_mask": graphs.graph_mask,
    "node_mask": graphs.node_mask,
    "edge_mask": graphs.edge_mask,
    "pad": lambda graph: graphs.pad(graph, 30, 60, 9),
    "batch": lambda graph: graphs.batch([graph, graph]),
    "fill_missing": graphs.fill_missing,
    "blocks": graphs.Blocks.of,
    "blocks_bounded": lambda graph: graphs.Blocks.of(graph, network_cases.MAX_NUM_NODES),
    "adjacency": lambda graph: graphs.Blocks.of(graph).adjacency(graph),
    "log_prob": lambda graph: gnf_tf.NodePrior(graph).log_prob(graph),
}


@pytest.mark.parametrize("mode", ["eager", "graph", "dynamic"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_graphs(name, mode):
    graph = network_cases.padded_with_noise(cases.mixed_graph())
    call = MODES[mode](FUNCTIONS[name], wide(graph))
    found, expected = (
        tf.nest.flatten(values) for values in (call(wide(graph)), FUNCTIONS[name](graph))
    )
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_eager_functions_of_graphs():
    graph = network_cases.padded_with_noise(cases.mixed_graph())
    graphs.validate(wide(graph))
    for one, other in zip(graphs.unpad(wide(graph)), graphs.unpad(graph), strict=True):
        np.testing.assert_array_equal(one, other)
    found, expected = graphs.to_networkx(wide(graph)), graphs.to_networkx(graph)
    assert [list(member.edges) for member in found] == [list(member.edges) for member in expected]


@pytest.mark.parametrize("dtype", [tf.uint8, tf.int16, tf.uint32, tf.uint64])
def test_whole_numbers_of_any_type_are_filled_in_as_int32(dtype):
    graph = cases.mixed_graph()
    narrow = graph.replace(
        **{field: tf.cast(getattr(graph, field), dtype) for field in INDEX_FIELDS}
    )
    for one, other in zip(graphs.fill_missing(narrow), graph, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "empty", [[], np.array([]), tf.zeros([0])], ids=["list", "array", "tensor"]
)
def test_no_edges_may_be_written_without_a_type(empty):
    graph = graphs.edgeless([2, 1], 3).replace(senders=empty, receivers=empty)
    filled = graphs.fill_missing(graph)
    assert filled.senders.dtype == filled.receivers.dtype == tf.int32
    assert [len(member) for member in graphs.to_networkx(graph)] == [2, 1]
