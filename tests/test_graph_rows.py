"""`GraphRows`, and batches of them without padding."""

import networkx as nx
import numpy as np
import pytest

from gnf_tf import datasets, graphs
from gnf_tf.graphs import GraphsTuple
from tests.test_graph_density import rings


def assert_same(graph, expected):
    for field, values in expected._asdict().items():
        np.testing.assert_array_equal(getattr(graph, field), values, err_msg=field)


@pytest.mark.parametrize("rows", [[2, 0, 3], [1], [], [4, 3, 2, 1, 0], [0, 0]])
def test_rows_are_the_graphs_themselves(rows):
    members = [*rings(3), nx.DiGraph(), rings(1)[0]]
    members[3].graph["features"] = [1.0]
    data = datasets.GraphRows(members)
    assert len(data) == 5 and data.sizes.tolist()[1] == [4, 8]
    found = data.graph(np.array(rows, int))
    assert_same(
        found,
        graphs.from_networkx([members[row] for row in rows] or members)
        if rows
        else GraphsTuple(*(values[:0] for values in found)),
    )
    nodes = data.whole.nodes[data.node_rows(np.array(rows, int))]
    np.testing.assert_array_equal(nodes, found.nodes)


@pytest.mark.parametrize("kind", [nx.Graph, nx.DiGraph, nx.MultiGraph, nx.MultiDiGraph])
def test_parallel_edges_and_self_loops_count_once(kind):
    whole = datasets.Topologies([kind([(0, 1), (0, 1), (1, 2), (1, 1), (1, 1)])]).whole
    pairs = np.stack([whole.senders, whole.receivers], axis=1).tolist()
    there, back, loops = [[0, 1], [1, 2]], [[1, 0], [2, 1]], [[0, 0], [1, 1], [2, 2]]
    assert sorted(pairs) == sorted(there + back * ("Di" not in kind.__name__) + loops)


def test_batches_without_padding_hold_every_graph():
    data = datasets.GraphRows(rings(7))
    stream = datasets.batches(data, 3, padded=False, seed=1)
    assert stream.element_spec[0]["nodes"].shape.as_list() == [None, 3]
    found = [GraphsTuple(**inputs) for inputs, _, _ in stream]
    sizes = np.concatenate([graph.n_node for graph in found])
    assert sorted(sizes) == list(range(3, 10)) and len(found) == 3
    for (_, targets, weights), graph in zip(stream, found, strict=True):
        assert targets.shape[1] == 0 and weights.shape[0] == len(graph.n_node)
        graphs.validate(graph)
    parts = datasets.batches(data, 3, padded=False, parts=(0, 1, 2), num_parts=3)
    assert sum(len(inputs["n_node"]) for inputs, _, _ in parts) == 7
