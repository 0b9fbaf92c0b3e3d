"""Labeled graphs, one and several, and `node_graph`, which makes one of arrays."""

import dataclasses
import itertools

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import tensorflow as tf

from gnf_tf import datasets, graphs

FEATURES = np.arange(10.0).reshape(5, 2)
# Pairs once and in both directions, repeats, a self loop; node 4 is alone.
EDGES = np.array([[1, 0, 2, 2, 3, 3], [0, 1, 1, 1, 2, 3]])
PAIRS = {(0, 1), (1, 2), (2, 3)}
LABELS = np.array([1, 0, 2, -1, 0])
MANY = np.array([[0, 1], [1, 1], [0, 0], [-1, -1], [1, 0]])
NAN, HUGE = FEATURES.copy(), FEATURES.copy()
NAN[3, 1], HUGE[2, 0] = np.nan, 1e39


def make(features=FEATURES, edges=EDGES, labels=LABELS, **options):
    return datasets.node_graph(features, edges, labels, **options)


def masks(network):
    return [network.train, network.validation, network.test]


def nodes(mask):
    return np.flatnonzero(mask).tolist()


@pytest.mark.parametrize(
    "change",
    [
        {"features": FEATURES.tolist()},
        {"features": FEATURES.astype(np.uint8)},
        {"features": tf.constant(FEATURES)},
        {"features": scipy.sparse.csc_matrix(FEATURES)},
        {"features": scipy.sparse.coo_array(FEATURES)},
        {"edges": EDGES.tolist()},
        {"edges": EDGES.astype(np.uint8)},
        {"edges": np.array(sorted(PAIRS)).T.astype(np.uint64)},
        {"labels": LABELS.tolist()},
        {"labels": LABELS.astype(np.int8)},
        {"labels": LABELS.astype(float)},
        {"labels": [1, 0, 2, None, 0]},
        {"train": [0], "validation": (1,), "test": np.array([2, 4], np.uint8)},
        {"train": np.eye(5, dtype=bool)[0], "validation": [1], "test": np.isin(range(5), [2, 4])},
    ],
)
def test_arrays_of_any_kind_make_one_graph(change):
    given = {"train": [0], "validation": [1], "test": [4, 2]} | change
    network = make(**given)
    graphs.validate(network.graph, node_size=2, edge_size=0, global_size=0)
    np.testing.assert_array_equal(network.graph.nodes, FEATURES)
    found = list(zip(*np.stack([network.graph.senders, network.graph.receivers]), strict=True))
    assert len(found) == 6 and set(found) == PAIRS | {(b, a) for a, b in PAIRS}
    np.testing.assert_array_equal(network.labels, LABELS)
    assert network.labels.dtype == np.int32 and not network.is_multi_label
    assert network.class_names == ("0", "1", "2") and network.num_classes == 3
    assert [nodes(mask) for mask in masks(network)] == [[0], [1], [2, 4]]


@pytest.mark.parametrize(
    "labels, names, numbers, found",
    [
        (list("bac") + [None, "a"], None, LABELS, ("a", "b", "c")),
        (list("bac") + ["", "a"], None, LABELS, ("a", "b", "c")),
        (np.array(list("bac") + ["", "a"], "S"), None, LABELS, ("a", "b", "c")),
        ([b"b", b"a", b"c", None, b"a"], None, LABELS, ("a", "b", "c")),
        (tf.constant(list("bac") + ["", "a"]), None, LABELS, ("a", "b", "c")),
        (tf.constant(list("bac") + ["", "a"]), tf.constant(list("abc")), LABELS, ("a", "b", "c")),
        (tf.constant(LABELS), None, LABELS, ("0", "1", "2")),
        (pd.array(list("bac") + [None, "a"], dtype="string"), None, LABELS, ("a", "b", "c")),
        (pd.Series(list("bac") + [None, "a"]), None, LABELS, ("a", "b", "c")),
        (pd.Series(list("bac") + [None, "a"], dtype="category"), None, LABELS, ("a", "b", "c")),
        (list("bac") + ["", "a"], list("abcd"), LABELS, ("a", "b", "c", "d")),
        (LABELS, list("xyz"), LABELS, ("x", "y", "z")),
        (MANY, None, MANY == 1, ("0", "1")),
        (MANY, ["kinase", "ligase"], MANY == 1, ("kinase", "ligase")),
        (scipy.sparse.csr_array(MANY), None, MANY == 1, ("0", "1")),
        (np.array([True, False, True, True, False]), None, [1, 0, 1, 1, 0], ("0", "1")),
        (None, None, [-1] * 5, ()),
    ],
)
def test_labels_are_numbers_names_or_many(labels, names, numbers, found):
    network = make(labels=labels, class_names=names)
    np.testing.assert_array_equal(network.labels, numbers)
    assert network.labels.dtype == (bool if network.is_multi_label else np.int32)
    assert network.class_names == found and network.num_classes == len(found)


def test_sets_are_random_parts_of_the_labeled_nodes_unless_given():
    labels = np.r_[np.zeros(50), np.full(50, -1)].astype(int)
    first, same, other = (
        make(np.ones([100, 1]), [[], []], labels, fractions=(0.5, 0.3, 0.1), seed=seed)
        for seed in (0, 0, 1)
    )
    assert [mask.sum() for mask in masks(first)] == [25, 15, 5]
    assert not np.any(masks(first), axis=0)[50:].any()
    np.testing.assert_array_equal(masks(first), masks(same))
    assert (first.train != other.train).any()
    # A node whose many labels are unknown is in none either; sets that aren't given are empty.
    assert not np.any(masks(make(labels=MANY)), axis=0)[3]
    assert [nodes(mask) for mask in masks(make(test=[1]))] == [[], [], [1]]


@pytest.mark.parametrize(
    "labels, fractions",
    [
        (None, (0.6, 0.2, 0.2)),
        ([0] + [None] * 4, (0.6, 0.2, 0.2)),
        ([0, 1] + [None] * 3, (0.6, 0.2, 0.2)),
        ([0, 1, 2, None, None], (0.6, 0.2, 0.2)),
        (LABELS, (0.9, 0.05, 0.05)),
    ],
)
def test_too_few_labels_for_random_sets_leave_them_empty(labels, fractions):
    """Such as those of a graph for prediction, in which a few nodes happen to be labeled."""
    assert not np.any(masks(make(labels=labels, fractions=fractions)))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"features": NAN}, "`features` must be finite, got nan as feature 1 of node 3"),
        ({"features": HUGE}, r"`features` must be finite, got 1e\+39 as feature 0 of node 2"),
        (
            {"features": 1.6e9 + np.arange(10.0).reshape(5, 2)},
            "node feature 0 has values that differ by less than float32 resolves",
        ),
        ({"features": FEATURES[:, 0]}, r"`features` must be numbers .* of shape \(5,\)"),
        ({"features": np.zeros([5, 0])}, r"`features` must be numbers .* of shape \(5, 0\)"),
        ({"features": np.zeros([0, 2])}, r"`features` must be numbers .* of shape \(0, 2\)"),
        ({"features": [["a"]] * 5}, "`features` must be numbers .* got <U1"),
        ({"features": [[1.0], [1.0, 2.0]]}, "`features` must be an array, got rows of"),
        ({"edges": EDGES + 0.0}, "`edges` must be whole numbers, got float64"),
        ({"edges": EDGES.T}, r"`edges` must have shape .2, E., got \(6, 2\); give its transpose"),
        ({"edges": EDGES[0]}, r"`edges` must have shape .2, E., got \(6,\)$"),
        ({"edges": [[0, 1], [1, 5]]}, "nodes from 0 to 4, got .1, 5. in column 1"),
        ({"edges": [[0, -1], [1, 0]]}, "nodes from 0 to 4, got .-1, 0. in column 1"),
        ({"labels": LABELS[:4]}, r"`labels` must have shape .* N = 5 nodes, got \(4,\)"),
        ({"labels": MANY[:4]}, r"`labels` must have shape .* N = 5 nodes, got \(4, 2\)"),
        ({"labels": 3}, r"`labels` must have shape .* got \(\)"),
        ({"labels": LABELS + 0.5}, "`labels` must be whole numbers, .* got 1.5 for node 0"),
        ({"labels": [1, 0, np.inf, 0, 0]}, "`labels` must be whole .* got inf for node 2"),
        ({"labels": [1, 0, -2, 0, 0]}, "`labels` must be classes from 0 .* got -2 for node 2"),
        ({"labels": [1, 0, 10**9, 0, 0]}, "`labels` must be classes from 0 to 65535, .* node 2"),
        ({"labels": MANY * 2}, r"`labels` must be 0 or 1 .* got .0, 2. for node 0"),
        ({"labels": ["a", 1, None, "b", "a"]}, "all be names or all be .* got 1 for node 1"),
        ({"labels": [b"a", 1, b"", b"b", b"a"]}, "all be names or all be .* got 1 for node 1"),
        ({"labels": [b"a", b"\xff", b"", b"", b""]}, "`labels` must be text in UTF-8, .* in row 1"),
        ({"class_names": [b"a", b"b", b"\xff"]}, "`class_names` must be text in UTF-8, .* row 2"),
        ({"labels": list("abcda"), "class_names": "abc"}, "`class_names` must be a sequence"),
        ({"labels": list("abcda"), "class_names": list("abc")}, "among .* got 'd' for node 3"),
        ({"class_names": ["a", "b"]}, "from 0 to 1, or -1 for none, got 2 for node 2"),
        ({"class_names": ["a", "b", "a"]}, "`class_names` must all be different"),
        ({"class_names": [1, 2, 3]}, "`class_names` must be a sequence of strings"),
        ({"labels": MANY, "class_names": list("abc")}, "`class_names` must name all 2 labels"),
        ({"train": [0, 5]}, "`train` must be nodes from 0 to 4, got 5"),
        ({"test": [-1]}, "`test` must be nodes from 0 to 4, got -1"),
        ({"train": [0, 1, 1, 0, 0]}, "`train` must name a node once, got node 0 3 times"),
        ({"train": [0.5]}, "`train` must be bool .* got float64"),
        ({"train": [True, False]}, r"`train` must be bool of shape \(5,\), got bool .* \(2,\)"),
        ({"validation": [3]}, "`validation` must have labeled nodes only, got node 3"),
        ({"labels": MANY, "test": [3]}, "`test` must have labeled nodes only, got node 3"),
        ({"train": [0, 1], "test": [1]}, "`train` and `test` must not share nodes, got node 1"),
        (
            {"fractions": (0.5, 0.6, 0.1)},
            "`fractions` must be positive numbers with a sum of at most",
        ),
        ({"fractions": (0.5, 0.5, 0.0)}, "`fractions` must be positive"),
        ({"fractions": (0.9, 0.1, 1e-9)}, "`fractions` must leave no part empty"),
        ({"fractions": (0.5, 0.5)}, "`fractions` must be three"),
        ({"fractions": None}, "`fractions` must be positive numbers"),
        (
            {"labels": [0] + [None] * 4, "fractions": (0.5, 0.6, 0.1)},
            "`fractions` must be positive",
        ),
        ({"labels": None, "seed": -1}, "`seed` must be a whole number, 0 or more"),
    ],
)
def test_malformed_arrays_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        make(**change)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"train": np.zeros(5)}, r"`train` must be bool of shape \(5,\), got float64"),
        ({"train": LABELS < 0}, "`train` must have labeled nodes only, got node 3"),
        ({"labels": LABELS + 0.0}, "`labels` must be whole numbers .* got float64"),
        ({"labels": MANY}, "`labels` must be whole numbers .* got int64"),
        ({"graph": graphs.fully_connected([2, 3], 1)}, "`graph` must be one graph, got 2"),
        ({"graph": graphs.fully_connected([5], 0)}, "`graph.nodes` must be numbers"),
        ({"graph": graphs.fully_connected([0], 1)}, "`graph.nodes` must be numbers"),
        (
            {"graph": graphs.fully_connected([4], 1)},
            "`labels` must have a row for each of 4 nodes, got 5",
        ),
    ],
)
def test_a_labeled_graph_checks_itself(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(make(), **change)


def several(labels=None, **changes):
    """Six graphs of 1 to 6 nodes, each a ring of its nodes' own numbers as features."""
    n_node = np.arange(1, 7)
    n_edge = np.where(n_node > 2, n_node, 0)
    starts = np.cumsum(n_node) - n_node
    rings = [
        [[s + i, s + (i + 1) % n] for i in range(n)] for s, n in zip(starts, n_edge, strict=True)
    ]
    fields = {
        "n_node": n_node,
        "n_edge": n_edge,
        "features": np.arange(21.0)[:, np.newaxis],
        "labels": np.arange(21) % 3 - 1 if labels is None else labels,
        "edges": np.concatenate([ring for ring in rings if ring]),
    }
    return datasets.LabeledGraphs(**fields | changes)


@pytest.mark.parametrize("labels", [None, np.arange(42).reshape(21, 2) % 3 == 0])
def test_several_graphs_are_selected_and_split(labels):
    whole = several(labels)
    assert len(whole) == 6 and whole.sizes.tolist()[2] == [3, 3]
    assert whole.num_classes == 2 and whole.is_multi_label == (labels is not None)
    chosen = whole.select([4, 0, 2])
    datasets.LabeledGraphs(**{f.name: getattr(chosen, f.name) for f in dataclasses.fields(chosen)})
    for row, source in enumerate([4, 0, 2]):
        for a, b in zip(
            tf.nest.flatten(chosen.graph(row)), tf.nest.flatten(whole.graph(source)), strict=True
        ):
            np.testing.assert_array_equal(a, b)
    parts, same, other = (whole.split((0.5, 0.3, 0.2), seed=seed) for seed in (0, 0, 1))
    assert [len(part) for part in parts] == [3, 2, 1]
    members = [[part.n_node.tolist() for part in split] for split in (parts, same, other)]
    assert sorted(itertools.chain(*members[0])) == [1, 2, 3, 4, 5, 6]
    assert members[0] == members[1] != members[2]
    with pytest.raises(IndexError):
        whole.graph(6)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: several(n_node=[]), "`n_node` must have a number for each graph, at least one"),
        (
            lambda: several(n_node=[0, 3, 3, 4, 5, 6]),
            "`n_node` must be at least 1, got 0 for graph 0",
        ),
        (lambda: several(n_node=np.arange(6.0)), "`n_node` must be whole numbers, got float64"),
        (lambda: several(n_node=[1, 2, 3, 4, 5, 5]), "`n_node` must add up .* 21, got 20"),
        (lambda: several(n_edge=[0, 0]), r"`n_edge` must have a number for each graph.* \(2,\)"),
        (lambda: several(n_edge=[0, 0, -1, 4, 5, 6]), "`n_edge` must be at least 0, .* graph 2"),
        (lambda: several(n_edge=[0, 0, 3, 4, 5, 5]), r"`edges` must have shape \(17, 2\)"),
        (lambda: several(n_edge=[0, 0, 4, 3, 5, 6]), "edge 3 of graph 2 joins .6, 7., expected"),
        (lambda: several(features=np.full([21, 1], np.inf)), "got inf as feature 0 of node 0 of"),
        (
            lambda: several(labels=np.arange(20)),
            "`labels` must have a row for each of 21 nodes, got 20",
        ),
        (lambda: several().split((0.5, -0.1)), "`fractions` must be positive"),
        (lambda: several().split((0.9, 0.2)), "`fractions` must be positive .* a sum of at most 1"),
        (lambda: several().split(()), "`fractions` must be positive"),
        (lambda: several().split((0.95, 0.05)), "`fractions` must leave no part empty"),
    ],
)
def test_several_graphs_check_themselves(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def named(**changes):
    """A path whose nodes have attributes, but for `changes` of the last node."""
    graph = nx.path_graph(list("abcde"))
    for row, node in enumerate(graph):
        graph.nodes[node].update(x=FEATURES[row, 0], y=FEATURES[row, 1], name=f"node {row}")
        graph.nodes[node].update(label="pq"[row % 2], split=["train", "val", "test"][row % 3])
    graph.nodes["e"].update(changes)
    return graph


@pytest.mark.parametrize("kind", [nx.Graph, nx.DiGraph, nx.MultiDiGraph])
def test_a_networkx_graph_with_attributes(kind):
    network = datasets.node_graph_from_networkx(kind(named(split=None)))
    np.testing.assert_array_equal(network.graph.nodes, FEATURES)
    assert network.graph.n_edge == [8] and network.class_names == ("p", "q")
    np.testing.assert_array_equal(network.labels, [0, 1, 0, 1, 0])
    assert [nodes(mask) for mask in masks(network)] == [[0, 3], [1], [2]]
    graph = named()
    nx.set_node_attributes(graph, {node: {"features": [7.0], "class": [0, 1]} for node in graph})
    network = datasets.node_graph_from_networkx(graph)
    assert network.graph.nodes.shape == [5, 1] and network.is_multi_label


@pytest.mark.parametrize(
    "graph, message",
    [
        (named(x=np.nan), "node 'e' of graph 0 has 'x' nan; expected a finite number"),
        (named(y=None), "node 'e' of graph 0 has 'y' None; expected a finite number"),
        (named(x="?"), r"node 'e' of graph 0 has 'x' '\?'; expected a finite number"),
        (named(y=1e39), r"node 'e' of graph 0 has 'y' 1e\+39; expected a finite number"),
        (named(y=10**400), "node 'e' of graph 0 has 'y' 10000000000.*; expected a finite number"),
        (named(y=[1.0]), r"node 'e' of graph 0 has 'y' \[1.0\]; expected a finite number"),
        (named(split="later"), "the 'split' of node 'e' must be 'train', .* got 'later'"),
        (named(split=["test"]), r"the 'split' of node 'e' must be .* got \['test'\]"),
        (named(split={"test": 1}), "the 'split' of node 'e' must be .* got {'test': 1}"),
        (named(split=np.arange(2)), r"the 'split' of node 'e' must be .* got array\(.0, 1.\)"),
        (named(split=1), "the 'split' of node 'e' must be .* got 1"),
        (named(label={"p": 1}), "`labels` must all be names .* got {'p': 1} for node 4"),
        (named(label=None, split="test"), "`test` must have labeled nodes only, got node 4"),
        (named(label=3), "`labels` must all be names .* got 3 for node 4"),
        (named(label=[0, 1]), "`labels` must be an array"),
        (named(features=[1.0]), "node 'a' of graph 0 has no 'features', others have"),
        (named(z=1), "node 'a' of graph 0 has no 'z', others have"),
        (nx.path_graph(2), "node 0 of graph 0 has no 'features' and no other numbers"),
        (nx.Graph(), "graph 0 must have nodes, got none"),
    ],
)
def test_attributes_that_do_not_fit_are_named(graph, message):
    with pytest.raises(ValueError, match=message):
        datasets.node_graph_from_networkx(graph)


def test_several_networkx_graphs_share_their_classes():
    first, second = named(), nx.relabel_nodes(named(label="r"), str.upper)
    second.add_edge("A", "A")
    with pytest.raises(TypeError, match="`graph` must be one networkx graph, got list"):
        datasets.node_graph_from_networkx([first])
    with pytest.raises(TypeError, match="graph 1 of `graphs` must be a networkx graph, got None"):
        datasets.labeled_graphs_from_networkx([first, None])
    found = datasets.labeled_graphs_from_networkx([first, second])
    assert found.sizes.tolist() == [[5, 8], [5, 8]] and found.class_names == ("p", "q", "r")
    graph, labels = found.graph(1)
    np.testing.assert_array_equal(labels, [0, 1, 0, 1, 2])
    np.testing.assert_array_equal(graph.nodes, FEATURES)
    nx.set_node_attributes(first, [0, 1], "class")
    with pytest.raises(ValueError, match="`labels` must be known .* for node 0 of graph 1"):
        datasets.labeled_graphs_from_networkx([first, second])
    nx.set_node_attributes(second, -1.0, "z")
    with pytest.raises(ValueError, match="node 'a' of graph 0 has no 'z', others have"):
        datasets.labeled_graphs_from_networkx([first, second])


def test_a_missing_number_is_no_class():
    """As pandas has it: a column of whole numbers with gaps is of floats."""
    for labels in ([1, np.nan, 0, -1], [1, None, 0, np.nan]):
        found = datasets.node_graph(np.eye(4), [[0], [1]], labels)
        assert found.labels.tolist() == [1, -1, 0, -1]


def test_the_attributes_of_pyg():
    """`to_networkx(data, node_attrs=["x", "y", "train_mask", "val_mask"])`"""
    graph = nx.path_graph(4)
    for node in graph:
        masks = {"train_mask": node < 2, "val_mask": node == 2}
        graph.nodes[node].update(x=[1.0 * node, 2.0], y=node % 2, **masks)
    found = datasets.node_graph_from_networkx(graph, label="y")
    np.testing.assert_array_equal(found.graph.nodes, [[0, 2], [1, 2], [2, 2], [3, 2]])
    assert found.labels.tolist() == [0, 1, 0, 1]
    masks = [found.train, found.validation, found.test]
    assert [np.flatnonzero(mask).tolist() for mask in masks] == [[0, 1], [2], []]


@pytest.mark.parametrize("validation", ["validation", "valid", "val"])
@pytest.mark.parametrize("end", ["_mask", ""])
def test_sets_have_the_names_that_files_have(validation, end):
    graph, parts = nx.path_graph(4), ["train", validation, "test"]
    for node in graph:
        masks = {f"{part}{end}": node == i for i, part in enumerate(parts)}
        graph.nodes[node].update(weight=2.0 * node, **masks, **{"class": "ab"[node % 2]})
    found = datasets.node_graph_from_networkx(graph)
    np.testing.assert_array_equal(found.graph.nodes, [[0], [2], [4], [6]])
    masks = [found.train, found.validation, found.test]
    assert [np.flatnonzero(mask).tolist() for mask in masks] == [[0], [1], [2]]
    for node in graph:  # as GML has them
        for part in parts:
            graph.nodes[node][f"{part}_mask"] = int(graph.nodes[node].pop(f"{part}{end}"))
    again = datasets.node_graph_from_networkx(graph)
    np.testing.assert_array_equal(again.validation, found.validation)
    np.testing.assert_array_equal(again.graph.nodes, found.graph.nodes)


def test_numbers_that_are_called_as_a_set_are_features():
    graph = nx.path_graph(3)
    for node in graph:
        graph.nodes[node].update(test=0.5 * node, **{"class": node % 2})
    np.testing.assert_array_equal(
        datasets.node_graph_from_networkx(graph).graph.nodes, [[0], [0.5], [1]]
    )


@pytest.mark.parametrize("value", ["False", "", float("nan"), 2, 0.5, [False, False]])
def test_a_mask_that_is_neither_true_nor_false_is_named(value):
    graph = nx.path_graph(3)
    for node in graph:
        graph.nodes[node].update(x=[1.0], train_mask=node == 0, **{"class": node % 2})
    graph.nodes[2]["train_mask"] = value
    with pytest.raises(ValueError, match="the 'train_mask' of node 2 must be true or false, got "):
        datasets.node_graph_from_networkx(graph)


def test_a_set_has_one_mask():
    graph = nx.path_graph(3)
    for node in graph:
        graph.nodes[node].update(x=[1.0], val_mask=node == 0, valid_mask=node == 1)
    with pytest.raises(ValueError, match="'val_mask' once, got 'val_mask' beside another"):
        datasets.node_graph_from_networkx(graph)
