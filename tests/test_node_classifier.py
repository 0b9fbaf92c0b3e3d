"""`NodeClassifier`: its answers depend on the graph alone, and stay in a file."""

import dataclasses
import json
import pathlib

import networkx as nx
import numpy as np
import pytest
import tensorflow as tf

from gnf_tf import datasets, graphs, models, training
from gnf_tf.graphs import GraphsTuple

pytestmark = pytest.mark.usefixtures("kept_half_steps")

GOLDEN = pathlib.Path(__file__).parent / "golden"
NAMES = ("left", "middle", "right")
SMALL = {"num_steps": 2, "node_size": 4, "message_size": 4}
KINDS = {
    "grevnet": {"start_scale": 0.5, "batch_norm": True},
    "gnn": {"conditioner": "convolution", "coupling": "affine", "head_layers": 2},
    "neumann_rbp": {"conditioner": "messages", "message_size": 8},
}


def rings():
    """Two networkx graphs with features of width 3, labels of their own, and a self loop."""
    rng = np.random.default_rng(0)
    members = [nx.cycle_graph(["a", "b", "c", "d"]), nx.path_graph(6)]
    members[1].add_edge(0, 0)
    for graph in members:
        for node in graph:
            graph.nodes[node]["features"] = rng.normal(size=3)
            graph.nodes[node]["label"] = int(rng.integers(3))
    return members


def randomized(model):
    """Its weights are not those of a new one, whose couplings' effect may be small."""
    for i, variable in enumerate(model.trainable_variables):
        variable.assign(0.5 * tf.random.stateless_normal(variable.shape, [i, 7]))
    return model


def make(kind="grevnet", multi_label=False, **changes):
    config = models.ClassifierConfig(model=kind, **SMALL | KINDS[kind] | changes)
    return randomized(models.NodeClassifier(3, NAMES, multi_label, config))


@pytest.fixture(scope="module", params=KINDS)
def model(request):
    return make(request.param, multi_label=request.param == "gnn")


def test_predictions_are_the_likeliest(model):
    probabilities, predicted = model.predict_proba(rings()), model.predict(rings())
    assert probabilities.shape == (10, 3) and probabilities.std(axis=0).min() > 0
    if model.multi_label:
        np.testing.assert_array_equal(predicted, probabilities > 0.5)
    else:
        np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-5)
        np.testing.assert_array_equal(predicted, probabilities.argmax(axis=1))
        assert predicted.dtype == np.int32


def test_graphs_of_every_kind_are_answered_alike(model):
    """One by one as together, as networkx graphs, a GraphsTuple, and data sets."""
    members = rings()
    together = model.predict_proba(members)
    one_by_one = [model.predict_proba(members[0]), model.predict_proba([members[1]])]
    np.testing.assert_allclose(np.concatenate(one_by_one), together, rtol=1e-5)
    networks = datasets.labeled_graphs_from_networkx(members)
    batch = graphs.batch([networks.graph(row)[0] for row in range(2)])
    wide = batch.map(lambda v: tf.cast(v, tf.float64), ("nodes", "edges", "globals"))
    without = batch.replace(edges=None, globals=None)
    for given in (networks, batch, wide, without):
        np.testing.assert_allclose(model.predict_proba(given), together, rtol=1e-5)
    network = datasets.node_graph_from_networkx(members[1])
    np.testing.assert_allclose(model.predict_proba(network), together[4:], rtol=1e-5)


def test_states_are_what_the_logits_are_read_from(model):
    states = model.states(rings())
    assert states.shape == (10, 4)
    graph = next(model.members(rings()))
    expected = model.head(graph.replace(nodes=tf.constant(states[:4]))).nodes
    np.testing.assert_allclose(model(graph), expected, rtol=1e-4, atol=1e-6)


def test_nodes_have_no_order(model):
    graph = rings()[1]
    order = np.random.default_rng(1).permutation(6)
    other = nx.Graph()
    other.add_nodes_from((node, graph.nodes[node]) for node in order)
    other.add_edges_from(graph.edges)
    np.testing.assert_allclose(
        model.predict_proba(other), model.predict_proba(graph)[order], rtol=1e-4
    )


def test_edges_matter(model):
    graph = rings()[1]
    other = graph.copy()
    other.add_edge(0, 5)
    assert np.abs(model.predict_proba(other) - model.predict_proba(graph)).max() > 1e-4


def test_no_graphs_have_an_empty_answer(model):
    assert model.predict([]).shape == ((0, 3) if model.multi_label else (0,))
    assert model.predict_proba([]).shape == (0, 3)
    assert model.predict_proba(graphs.edgeless([0, 1, 0], 3)).shape == (1, 3)


def without_features(graph):
    for node in graph:
        graph.nodes[node].clear()
    return graph


@pytest.mark.parametrize(
    "graph, message",
    [
        (graphs.edgeless([2], 4), r"`graph.nodes` must have width 3, got shape \(2, 4\)"),
        (
            graphs.edgeless([2], 3).replace(nodes=np.float32([[1, 2, np.nan]] * 2)),
            "`graph.nodes` must be finite",
        ),
        (
            graphs.edgeless([2], 3).replace(n_node=np.int32([3])),
            "`graph.n_node`",
        ),
        (
            graphs.fully_connected([2], 3).replace(edges=np.ones([4, 1], np.float32)),
            "`graph.edges` must have width 0",
        ),
        (graphs.edgeless([2], 3).replace(nodes=[["a"] * 3] * 2), "`graph.nodes` must be floating"),
        ([graphs.edgeless([2], 3)], "`graph` must be .* or networkx graphs, got a list of Graphs"),
        (None, "`graph` must be .* or networkx graphs, got NoneType"),
        (3, "`graph` must be .* or networkx graphs, got int"),
        ("graph.npz", "`graph` must be .* or networkx graphs, got str"),
        ([nx.path_graph(2), None], "`graph` must be .* got a list of Graph, NoneType"),
        ([nx.Graph()], "graph 0 must have nodes"),
        (
            GraphsTuple(*(values[:0] for values in graphs.edgeless([2], 3))),
            "`graph.n_node` must name at least one graph, got none",
        ),
        (without_features(nx.path_graph(2)), "node 0 of graph 0 has no 'features'"),
    ],
)
def test_wrong_graphs_are_named(graph, message):
    with pytest.raises(ValueError, match=message):
        make().predict(graph)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((0, NAMES), "`input_size` must be at least 1, got 0"),
        ((3, ()), "`class_names` must be at least one, got none"),
        ((3, ("a", "a")), "`class_names` must all be different"),
        ((3, range(2)), "`class_names` must be a sequence of strings, got range"),
        ((3, "ab"), "`class_names` must be a sequence of strings, got 'ab'"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        models.NodeClassifier(*arguments)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"num_steps": 0}, "`num_steps` must be at least 1, got 0"),
        ({"node_size": 0}, "`node_size` must be at least 1, got 0"),
        ({"message_hidden": 0}, "`message_hidden` must be at least 1, got 0"),
        ({"start_scale": -0.1}, "`start_scale` must be at least 0, got -0.1"),
        ({"dropout": 1.0}, r"`dropout` must be in \[0, 1\), got 1.0"),
        ({"coupling": "affine"}, "`coupling` must be 'additive' for the conditioner 'diffusion'"),
        ({"model": "neumann_rbp", "batch_norm": True}, "`batch_norm` must be False for the model"),
        ({"loop": True, "model": "neumann_rbp"}, "`loop` must be False"),
        ({"loop": True, "share_weights": True}, "`loop` must be False"),
        ({"loop": True, "batch_norm": True}, "`loop` must be False"),
        ({"mixed_precision": True}, "`mixed_precision` must be False, or the conditioner"),
        (
            {"mixed_precision": True, "model": "neumann_rbp", "conditioner": "messages"},
            "`mixed_precision` must be False for the model 'neumann_rbp'",
        ),
    ],
)
def test_a_wrong_config_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        models.ClassifierConfig(**changes)


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({}, {"num_steps": 5, "start_scale": 0.0, "batch_norm": False, "message_hidden": 64}),
        ({"num_steps": 21}, {"batch_norm": True}),
        ({"num_steps": 20}, {"batch_norm": False}),
        ({"num_steps": 21, "batch_norm": False}, {"batch_norm": False}),
        ({"num_steps": 21, "loop": True}, {"batch_norm": False}),
        ({"model": "neumann_rbp"}, {"num_steps": 100, "start_scale": 1.0, "batch_norm": False}),
        (
            {"model": "neumann_rbp", "num_steps": 7, "start_scale": 0.0},
            {"num_steps": 7, "start_scale": 0.0},
        ),
        ({"start_scale": 0.5}, {"start_scale": 0.5}),
    ],
)
def test_defaults_follow_from_the_model(changes, expected):
    config = models.ClassifierConfig(**changes).resolved()
    assert expected.items() <= vars(config).items() and config == config.resolved()


def test_features_themselves_as_in_the_papers_code():
    """Nothing embeds them: both halves are as wide, and start as (features, 0)."""
    model = make(node_size=None, start_scale=0.0)
    graph = next(model.members(rings()))
    np.testing.assert_array_equal(model.start(graph).nodes[:, :3], graph.nodes)
    np.testing.assert_array_equal(model.start(graph).nodes[:, 3:], 0.0)


@pytest.mark.parametrize("kind, scale", [("neumann_rbp", 1.0), ("grevnet", 0.5)])
def test_the_start_has_one_size_however_small_the_features(kind, scale):
    config = models.ClassifierConfig(model=kind, **SMALL | KINDS[kind])
    model, graph = models.NodeClassifier(3, NAMES, config=config), graphs.edgeless([20], 3)
    graph = graph.replace(nodes=tf.random.stateless_normal([20, 3], [0, 0]))
    start = model.start(graph).nodes[:, :4]
    used = np.any(model.embedded(graph) > 0, axis=1)
    assert used.any()
    np.testing.assert_allclose(np.mean(start**2, axis=1)[used], scale**2, rtol=1e-4)
    larger = model.start(graph.replace(nodes=100.0 * graph.nodes)).nodes[:, :4]
    np.testing.assert_allclose(larger, start, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("conditioner", ["diffusion", "convolution", "messages"])
def test_weights_of_many_steps_move_the_state_as_those_of_few(conditioner):
    """Or else the learning rate would have to fall with depth."""
    moved = []
    for num_steps in (5, 30):
        training.set_seed(0)
        sizes = SMALL | {"num_steps": num_steps}
        config = models.ClassifierConfig(loop=True, conditioner=conditioner, **sizes)
        model = models.NodeClassifier.for_data(datasets.cora(), config)
        graph = model.start(datasets.cora().graph)
        before = model.net(graph).nodes
        for variable in model.net.trainable_variables:
            variable.assign_add(tf.fill(variable.shape, 1e-3))
        moved.append(np.abs(model.net(graph).nodes - before).mean())
    assert 0.5 < moved[1] / moved[0] < 2.0


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_reaches_the_networks(kind):
    """The state differs with the seed, and is the same for the same one."""
    model = make(kind, dropout=0.5)
    graph = graphs.pad(next(model.members(rings())), 6, 12, 2)  # the last graph is padding
    first, again, other = (model.state(graph, tf.constant([0, i])) for i in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_half_precision_is_close():
    options = {"conditioner": "messages", "batch_norm": False}
    whole, half = make(**options), make(**options, mixed_precision=True)
    error = np.abs(half.predict_proba(rings()) - whole.predict_proba(rings())).max()
    assert 0 < error < 0.05


def test_for_data_takes_sizes_and_names():
    networks = datasets.labeled_graphs_from_networkx(rings(), class_names=NAMES)
    model = models.NodeClassifier.for_data(networks, models.ClassifierConfig(**SMALL))
    assert (model.input_size, model.class_names, model.multi_label) == (3, NAMES, False)
    labels = np.eye(3, dtype=bool)[networks.labels]
    many = dataclasses.replace(networks, labels=labels, class_names=NAMES)
    assert models.NodeClassifier.for_data(many, models.ClassifierConfig(**SMALL)).multi_label
    unlabeled = dataclasses.replace(networks, labels=np.full(10, -1), class_names=())
    with pytest.raises(ValueError, match="`train` must have nodes with labels, got no class"):
        models.NodeClassifier.for_data(unlabeled)
    with pytest.raises(ValueError, match="`train` must be a LabeledGraph .* got Graph"):
        models.NodeClassifier.for_data(rings()[0])


def test_the_golden_file_loads_for_ever():
    """Written by `make("grevnet").save` in November 2026, with its probabilities of `rings()`."""
    model = models.load(GOLDEN / "node_classifier.npz")
    expected = json.loads((GOLDEN / "node_classifier.json").read_text())
    assert type(model) is models.NodeClassifier and model.class_names == NAMES
    np.testing.assert_allclose(model.predict_proba(rings()), expected["predict_proba"], rtol=1e-5)


def test_it_can_be_exported(model, tmp_path):
    """As BUILD.md shows it."""
    graph = next(model.members(rings()[1]))

    def logits(**fields):
        return {"logits": model(GraphsTuple(**fields))}

    signature = tf.function(logits).get_concrete_function(**graphs.specs(graph)._asdict())
    tf.saved_model.save(model, tmp_path / "exported", signatures=signature)
    served = tf.saved_model.load(tmp_path / "exported").signatures["serving_default"]
    found = served(**graph._asdict())["logits"]
    np.testing.assert_allclose(found, model(graph), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("several", [False, True])
def test_one_class_is_nothing_to_learn(several):
    """As where the two classes are called -1 and 1, and -1 means that a node has none."""
    if several:
        data = datasets.labeled_graphs_from_networkx(rings())
        data = dataclasses.replace(data, labels=np.ones_like(data.labels))
    else:
        data = datasets.node_graph(np.eye(4), [[0, 1, 2], [1, 2, 3]], [1, -1, 1, 1], train=[0, 2])
    with pytest.raises(ValueError, match="at least two classes, got '.*' alone; a label -1 means"):
        models.NodeClassifier.for_data(data)


@pytest.mark.parametrize("node_size", [4, None])
def test_features_in_other_units_are_standardized(node_size, tmp_path):
    """A year tells as much as the years since then; of usual features nothing changes."""
    rng, (offset, scale) = np.random.default_rng(0), ([0.0, 2000.0, 0.0], [1.0, 30.0, 1e5])
    usual = rng.normal(size=[40, 3])
    usual[:, 1:] = (usual[:, 1:] - usual[:, 1:].mean(axis=0)) / usual[:, 1:].std(axis=0)
    usual = np.c_[usual, np.zeros(40)]
    given = np.c_[usual[:, :3] * scale + offset, np.full(40, 300.0)]  # one is constant
    edges = rng.integers(40, size=[2, 80])
    networks = [datasets.node_graph(x, edges, rng.integers(3, size=40)) for x in (usual, given)]
    config = models.ClassifierConfig(**SMALL | {"node_size": node_size})
    made = [models.NodeClassifier.for_data(network, config) for network in networks]
    assert made[0].feature_units is None
    np.testing.assert_allclose(made[1].feature_units[:, 0], [0.0, 1.0])
    for variable, same in zip(randomized(made[1]).variables, made[0].variables, strict=True):
        same.assign(variable)
    expected, found = (m.predict_proba(x) for m, x in zip(made, networks, strict=True))
    np.testing.assert_allclose(found, expected, atol=1e-3)
    made[1].save(tmp_path / "model.npz")
    np.testing.assert_array_equal(
        models.load(tmp_path / "model.npz").predict_proba(networks[1]), found
    )


@pytest.mark.parametrize("units", [np.ones([2, 2]), np.zeros([2, 3]), [[0, 0, np.nan], [1, 1, 1]]])
def test_wrong_units_are_named(units):
    with pytest.raises(ValueError, match=r"`feature_units` must be finite offsets .*\(2, 3\), got"):
        models.NodeClassifier(3, NAMES, feature_units=units)
