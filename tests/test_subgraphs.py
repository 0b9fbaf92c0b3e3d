"""Subgraphs divide the nodes of a graph, and have the gradient of the whole graph."""

import sys

import networkx as nx
import numpy as np
import pytest
import tensorflow as tf

from gnf_tf import datasets, models

CLASSES = 3


def labeled(graph, seed=0):
    """A LabeledGraph of a networkx graph, with random features and labels."""
    rng = np.random.default_rng(seed)
    n = len(graph)
    graph = nx.convert_node_labels_to_integers(graph)
    directed = nx.DiGraph(graph)
    senders, receivers = np.array(directed.edges, np.int32).reshape(-1, 2).T
    features = rng.normal(size=[n, 4]).astype(np.float32)
    plain = datasets.node_graph(features, np.zeros([2, 0], int), rng.integers(CLASSES, size=n))
    whole = plain.graph.replace(
        senders=tf.constant(senders),
        receivers=tf.constant(receivers),
        n_edge=tf.constant([len(senders)]),
        edges=tf.zeros([len(senders), 0]),
    )
    masks = {name: getattr(plain, name) for name in ("train", "validation", "test")}
    return datasets.LabeledGraph(whole, plain.labels, **masks), directed


def identified(network):
    """The same, with the number of each node as a single feature."""
    numbers = tf.range(len(network.labels), dtype=tf.float32)[:, tf.newaxis]
    masks = {name: getattr(network, name) for name in ("train", "validation", "test")}
    return datasets.LabeledGraph(network.graph.replace(nodes=numbers), network.labels, **masks)


GRAPHS = {
    "grid": nx.grid_2d_graph(6, 7),
    "directed": nx.gn_graph(40, seed=0),
    "components": nx.disjoint_union_all([nx.cycle_graph(7), nx.star_graph(9), nx.empty_graph(4)]),
    "random": nx.gnm_random_graph(50, 60, seed=1, directed=True),
    "no edges": nx.empty_graph(9),
}


@pytest.mark.parametrize("halo", [0, 1, 3])
@pytest.mark.parametrize("number", [1, 2, 7])
@pytest.mark.parametrize("name", GRAPHS)
def test_nodes_and_edges_are_those_within_the_halo(name, number, halo):
    network, directed = labeled(GRAPHS[name])
    network = identified(network)
    parts = datasets.subgraphs(network, number, halo=halo, marked="validation")
    without = datasets.subgraphs(network, number)
    assert len(parts) == len(without) == number
    found = []
    for i in range(number):
        graph, labels = parts.graph(i)
        ids = graph.nodes[:, 0].astype(int)
        own = without.graph(i)[0].nodes[:, 0].astype(int)
        np.testing.assert_array_equal(ids[: len(own)], own)
        around = {
            sender
            for node in own.tolist()
            for sender in nx.single_source_shortest_path_length(directed.reverse(), node, halo)
        }
        assert sorted(ids) == sorted(around) and (labels[len(own) :] == -1).all()
        marked = network.validation[own]
        np.testing.assert_array_equal(labels[: len(own)], np.where(marked, network.labels[own], -1))
        pairs = zip(ids[graph.senders].tolist(), ids[graph.receivers].tolist(), strict=True)
        assert sorted(pairs) == sorted(directed.subgraph(around).edges)
        found += own.tolist()
    assert sorted(found) == list(range(len(directed)))


def test_few_edges_of_a_grid_are_cut():
    network, directed = labeled(nx.grid_2d_graph(30, 10))
    parts = datasets.subgraphs(network, 3)
    # At best 40, both directions of two lines of 10 edges; of random nodes 747.
    assert directed.number_of_edges() - parts.n_edge.sum() <= 60
    assert parts.n_node.min() >= 95


def test_as_many_subgraphs_as_nodes():
    network, _ = labeled(nx.star_graph(11))
    parts = datasets.subgraphs(network, 12)
    assert parts.n_node.tolist() == [1] * 12 and not parts.n_edge.any()


def test_components_of_equal_sizes_stay_whole():
    network, _ = labeled(nx.disjoint_union_all([nx.cycle_graph(8)] * 4))
    assert datasets.subgraphs(network, 4).n_edge.tolist() == [16] * 4


def gradient(model, graph, labels):
    """Of the mean cross entropy over nodes with a class."""
    has_class = (labels >= 0).astype(np.float32)
    with tf.GradientTape() as tape:
        errors = tf.nn.sparse_softmax_cross_entropy_with_logits(np.maximum(labels, 0), model(graph))
        loss = tf.reduce_sum(errors * has_class) / has_class.sum()
    return [loss, *tape.gradient(loss, model.trainable_variables)]


@pytest.mark.parametrize("conditioner", ["diffusion", "convolution", "messages"])
def test_gradient_of_all_subgraphs_is_that_of_the_whole_graph(conditioner):
    network, _ = labeled(nx.connected_watts_strogatz_graph(60, 4, 0.1, seed=0))
    config = models.ClassifierConfig(num_steps=1, node_size=6, conditioner=conditioner)
    model = models.NodeClassifier.for_data(network, config)
    labels = np.where(network.train, network.labels, -1)
    [whole] = model.members(network)
    expected = gradient(model, whole, labels)
    differences = []
    for halo in (0, 3):
        parts = datasets.subgraphs(network, 3, halo=halo)
        graph, classes = parts.graphs(np.arange(3))
        found = gradient(model, tf.nest.map_structure(tf.constant, graph), classes)
        pairs = zip(found, expected, strict=True)
        differences.append(max(np.abs(a - b).max() for a, b in pairs))
    assert differences[1] < 1e-6 < 1e-3 < differences[0]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_subgraphs": 0}, "`num_subgraphs` must be from 1 to 4, the number of nodes, got 0"),
        ({"num_subgraphs": 5}, "`num_subgraphs` must be from 1 to 4, the number of nodes, got 5"),
        ({"num_subgraphs": 2.5}, "`num_subgraphs` must be a whole number, got 2.5"),
        ({"num_subgraphs": None}, "`num_subgraphs` must be a whole number, got None"),
        ({"halo": -1}, "`halo` must be at least 0, got -1"),
        ({"halo": 1.5}, "`halo` must be a whole number, got 1.5"),
        ({"marked": "val"}, "`marked` must be one of .*, got 'val'"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    network, _ = labeled(nx.path_graph(4))
    with pytest.raises(ValueError, match=message):
        datasets.subgraphs(network, **{"num_subgraphs": 2} | arguments)


def test_several_graphs_are_refused():
    several = datasets.subgraphs(labeled(nx.path_graph(4))[0], 2)
    with pytest.raises(ValueError, match="`network` must be a LabeledGraph, got LabeledGraphs"):
        datasets.subgraphs(several, 2)


def test_many_labels_a_node_are_refused():
    network = datasets.node_graph(np.eye(9), np.zeros([2, 0], int), np.eye(9, dtype=bool))
    with pytest.raises(ValueError, match="`network` must have one class a node, got any number"):
        datasets.subgraphs(network, 2)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymetis", None)
    network, _ = labeled(nx.path_graph(4))
    with pytest.raises(datasets.DataError, match="pip install pymetis"):
        datasets.subgraphs(network, 2)
