"""`GraphRows`, and batches of them without padding."""

import networkx as nx
import numpy as np
import pytest
import tensorflow as tf

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


ONES = np.ones(9)
NOISE = np.random.default_rng(0).normal(size=9)


@pytest.mark.parametrize(
    "values, is_lost",
    [
        (1.6e9 + np.arange(9), True),
        (1600000000 + np.arange(9), True),
        (1e7 + np.arange(9) / 4, True),
        (np.float32(1e7) + np.arange(9, dtype=np.float32), False),
        (1e7 + np.arange(9.0), False),
        (1.6e9 + 1e3 * NOISE, False),
        (1.0 / 3.0 * (1.0 + 1e-15 * np.arange(9)), False),  # rounding errors of float64
        (0.0 * ONES, False),
        (1e-30 * NOISE, False),
        (NOISE > 0, False),
    ],
)
def test_values_that_float32_does_not_tell_apart(values, is_lost, tmp_path):
    features = np.stack([NOISE.astype(values.dtype), values], axis=1)
    member = nx.empty_graph(9)
    nx.set_node_attributes(member, dict(enumerate(features)), "features")
    graph = graphs.edgeless([9], 2).replace(nodes=features)
    np.savez(tmp_path / "a.npz", features=features, set=np.zeros(9, int))
    pairs = [f"0,{x!r},{y!r}\n" for x, y in (features * 1).tolist()]
    (tmp_path / "a.csv").write_text("set,x,y\n" + "".join(pairs))
    for call in (
        lambda: datasets.GraphRows(graph).whole.nodes,
        lambda: datasets.GraphRows([member]).whole.nodes,
        lambda: datasets.read_sets(tmp_path / "a.npz").nodes,
        lambda: datasets.read_sets(tmp_path / "a.csv").nodes,
    ):
        if is_lost:
            message = "node feature 1 has values .* such as .*: subtract an offset first"
            with pytest.raises((ValueError, datasets.DataError), match=message):
                call()
        else:
            np.testing.assert_array_equal(call(), features.astype(np.float32))


def test_values_below_those_of_float32_need_another_unit():
    graph = graphs.edgeless([9], 1).replace(nodes=1e-50 * np.arange(1.0, 10.0)[:, np.newaxis])
    with pytest.raises(ValueError, match="node feature 0 has .* choose another unit"):
        datasets.GraphRows(graph)


@pytest.mark.parametrize("field", ["nodes", "edges", "globals"])
@pytest.mark.parametrize("dtype", ["complex64", "<U3", "object", "datetime64[s]"])
def test_features_that_are_no_real_numbers_are_named(field, dtype):
    graph = graphs.fully_connected([2], 1)
    wrong = graph.replace(**{field: np.ones(getattr(graph, field).shape, int).astype(dtype)})
    with pytest.raises(ValueError, match=f"{field[:-1]} features must be real .* {dtype[:5]}"):
        datasets.GraphRows(wrong)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "int64", "bool"])
def test_features_of_any_real_dtype(dtype):
    graph = graphs.fully_connected([2], 1)
    graph = graph.replace(nodes=tf.cast(graph.nodes + 1.0, dtype))
    assert datasets.GraphRows(graph).whole.nodes.tolist() == [[1.0], [1.0]]


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
