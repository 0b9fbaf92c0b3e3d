"""Training of a `NodeClassifier`: what counts, what is best, and that it learns."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from gnf_tf import datasets, graphs, models, training
from gnf_tf.graphs import GraphsTuple
from gnf_tf.training.node_objective import MicroF1, NodeObjective, NodeSettings, wrong_first
from tests.ppi_files import SIZES, write_splits
from trainers import citation, node_report, ppi

SMALL = {"num_steps": 2, "node_size": 6, "message_size": 5}
RING = np.stack([np.arange(12), (np.arange(12) + 1) % 12])


def ring(multi_label=False, **masks):
    """A ring of 12 nodes with random features, half of them labeled."""
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=(12, 3)) if multi_label else rng.integers(3, size=12)
    masks = masks or {"train": range(4), "validation": range(4, 6), "test": range(6, 9)}
    return datasets.node_graph(rng.normal(size=(12, 5)), RING, labels, **masks)


def unlabeled():
    """A graph with the features of `ring`, of LabeledGraphs in which nothing is labeled."""
    return datasets.LabeledGraphs([2], [0], np.zeros([2, 5]), [-1, -1], np.zeros([0, 2]))


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """(training, validation) networks in PPI's format, of SIZES."""
    folder = tmp_path_factory.mktemp("ppi")
    write_splits(folder)
    return tuple(datasets.ppi(split, data_dir=folder) for split in ("train", "validation"))


def make(train, validation=None, *, seed=0, settings=None, **config):
    """An objective with its model, compiled."""
    training.set_seed(seed)
    config = models.ClassifierConfig(**SMALL | config)
    model = models.NodeClassifier.for_data(train, config)
    objective = NodeObjective(model, NodeSettings(**settings or {}), seed, train, validation)
    objective.compile(10)
    return objective


def first(objective):
    return next(iter(objective.training_stream(0, 0)))


def evaluated(objective):
    return objective.evaluate(objective.validation_stream()[0], return_dict=True, verbose=0)


def gradients(objective, data):
    with tf.GradientTape() as tape:
        loss, *_ = objective.batch_loss(data, is_training=True)
    return loss, tape.gradient(loss, objective.trained)


def f1_by_hand(labels, predicted):
    """From precision and recall, micro-averaged."""
    right = np.sum(labels & predicted)
    precision, recall = right / predicted.sum(), right / labels.sum()
    return 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize("multi_label", [False, True])
def test_only_the_nodes_of_the_set_count(multi_label):
    """In loss and score as by hand; labels of other nodes change no gradient."""
    network = ring(multi_label)
    objective = make(network)
    found = evaluated(objective)
    rows = np.flatnonzero(network.validation)
    labels, probabilities = network.labels[rows], objective.module.predict_proba(network)[rows]
    predicted = objective.module.predict(network)[rows]
    if multi_label:
        losses = np.where(labels, probabilities, 1 - probabilities)
        np.testing.assert_allclose(found["f1"], f1_by_hand(labels, predicted), rtol=1e-5)
        hidden = network.labels & network.train[:, np.newaxis]
    else:
        losses = probabilities[np.arange(len(rows)), labels]
        np.testing.assert_allclose(found["accuracy"], np.mean(labels == predicted))
        hidden = np.where(network.train, network.labels, -1)
    np.testing.assert_allclose(found["loss"], -np.log(losses).mean(), rtol=1e-4)
    scores = training.evaluate_nodes(objective.module, network, "validation")
    for name, score in scores.items():
        np.testing.assert_allclose(score, found[name], rtol=1e-5)
    masks = (
        {} if multi_label else {"validation": network.train & False, "test": network.test & False}
    )
    other = make(dataclasses.replace(network, labels=hidden, **masks))
    for variable, same in zip(other.trained, objective.trained, strict=True):
        variable.assign(same)
    for a, b in zip(
        gradients(objective, first(objective)), gradients(other, first(other)), strict=True
    ):
        for x, y in zip(tf.nest.flatten(a), tf.nest.flatten(b), strict=True):
            np.testing.assert_array_equal(x, y)


def test_validation_is_that_of_the_training_data_unless_given():
    network = ring()
    marked = make(network).validation_stream()[0]
    np.testing.assert_array_equal(next(iter(marked))[2], network.validation)
    unmarked = make(ring(train=range(5))).validation_stream()[0]
    np.testing.assert_array_equal(next(iter(unmarked))[2], np.arange(12) < 5)
    given = make(ring(train=range(5)), network).validation_stream()[0]
    np.testing.assert_array_equal(next(iter(given))[2], network.validation)


@pytest.mark.parametrize(
    "select, order",
    [("score", ["clear", "slight", "half"]), ("loss", ["half", "clear", "slight"])],
)
def test_the_criterion_is_the_score_before_the_loss_or_the_loss(select, order):
    objective, found = make(ring(), settings={"select": select}), {}
    # Half: one node right and sure, the other barely wrong.
    for name, accuracy, loss in (("half", 0.5, 0.2), ("slight", 1.0, 0.9), ("clear", 1.0, 0.6)):
        objective.reset_metrics()
        measured = {"accuracy": (tf.constant([accuracy]), tf.constant([2.0]))}
        objective._evaluate = lambda data, is_training, loss=loss, measured=measured: (
            tf.constant(loss),
            2.0,
            measured,
        )
        found[name] = float(objective.test_step(None)["criterion"])
    assert sorted(found, key=found.get) == order


@pytest.mark.parametrize("score", [0.0, 0.4, 0.7])
def test_the_loss_decides_between_equal_scores_however_near_the_losses(score):
    losses = tf.constant([1.0074, 1.0072, 1.00719, 0.5])
    criteria = [float(wrong_first(tf.constant(score), loss)) for loss in losses]
    assert sorted(criteria, reverse=True) == criteria and len(set(criteria)) == len(criteria)


def test_micro_f1_by_hand():
    """3 right of 5 predicted and 4 true, over two batches; the last node doesn't count."""
    metric = MicroF1()
    assert float(metric.result()) == 0.0
    logits = tf.constant([[1.0, 2.0, -1.0], [0.1, -0.1, 3.0], [0.2, -1.0, -2.0]])
    labels = tf.constant([[1.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
    metric.update_state(labels[:1], logits[:1], tf.ones([1]))
    np.testing.assert_allclose(metric.result(), 2 * 1 / (2 + 2))
    metric.update_state(labels[1:], logits[1:], tf.constant([1.0, 0.0]))
    np.testing.assert_allclose(metric.result(), 2 * 2 / (4 + 3))
    metric.update_state(tf.ones([1, 3]), tf.constant([[1.0, -1.0, 0.0]]), tf.ones([1]))
    np.testing.assert_allclose(metric.result(), 2 * 3 / (5 + 6))
    metric.reset_state()
    assert float(metric.result()) == 0.0


@pytest.mark.parametrize(
    "config, settings",
    [
        ({}, {"batch_size": 2}),
        ({"model": "neumann_rbp", "conditioner": "messages"}, {"batch_size": 1}),
        ({"batch_norm": True}, {"batch_size": 1}),
    ],
)
def test_padding_changes_nothing(config, settings, networks):
    """Not in loss, score or gradients, whatever the padding nodes hold; nor do graphs meet."""
    objective = make(*networks, settings=settings, **config)
    streams = [
        datasets.node_batches(networks[1], settings["batch_size"], padded=padded)
        for padded in (False, True)
    ]
    logs, padded_logs = (objective.evaluate(s, return_dict=True, verbose=0) for s in streams)
    predicted = objective.module.predict(networks[1])  # before a training step of batch norm
    found = []
    for padded, stream in enumerate(streams):
        inputs, labels, weights = next(iter(stream))
        if padded:
            padding = 1.0 - weights[:, tf.newaxis]
            inputs = inputs | {"nodes": inputs["nodes"] + 3.0 * padding}
            labels += padding
        elif "batch_norm" in config:  # which takes the last graph for padding
            graph = GraphsTuple(**inputs)
            counts = [len(graph.nodes) + 1, len(graph.senders), len(graph.n_node) + 1]
            inputs = graphs.pad(graph, *counts)._asdict()
            labels, weights = np.pad(labels, [(0, 1), (0, 0)]), np.pad(weights, [(0, 1)])
        found.append(gradients(objective, (inputs, labels, weights)))
    plain, padded = found
    assert logs.keys() >= {"loss", "f1", "criterion"}
    for name, value in logs.items():
        np.testing.assert_allclose(padded_logs[name], value, rtol=1e-5)
    for a, b in zip(tf.nest.flatten(padded), tf.nest.flatten(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(logs["criterion"], 1 - logs["f1"] + 1e-6 * logs["loss"], rtol=1e-6)
    np.testing.assert_allclose(logs["f1"], f1_by_hand(networks[1].labels, predicted), rtol=1e-6)


def test_batches_hold_the_networks(networks):
    train = networks[0]
    (rows,) = datasets.plan_batches(train, 3)
    for padded in (False, True):
        stream = datasets.node_batches(train, 3, padded=padded)
        ((inputs, labels, weights),) = stream
        graph, real = GraphsTuple(**inputs), weights.numpy() > 0
        assert len(weights) == (22 if padded else 21) and real.sum() == 21
        assert stream.element_spec[1].shape[0] == (22 if padded else None)
        start = 0
        for i, row in enumerate(rows):
            member, expected = train.graph(row)
            nodes = slice(start, start + int(graph.n_node[i]))
            np.testing.assert_array_equal(graph.nodes[nodes], member.nodes)
            np.testing.assert_array_equal(labels[nodes], expected)
            edges = slice(*np.cumsum([0, *graph.n_edge.numpy()])[i : i + 2])
            np.testing.assert_array_equal(graph.senders[edges], member.senders + start)
            np.testing.assert_array_equal(graph.receivers[edges], member.receivers + start)
            start = nodes.stop


def test_nodes_without_a_class_weigh_nothing(networks):
    classes = np.arange(21) % 3 - 1
    train = dataclasses.replace(networks[0], labels=classes, class_names=("a", "b"))
    for padded in (False, True):
        ((_, labels, weights),) = datasets.node_batches(train, 3, padded=padded)
        assert labels.dtype == tf.int32 and np.min(labels) == 0 and np.sum(weights) == 14
    model = models.NodeClassifier.for_data(train, models.ClassifierConfig(**SMALL))
    right = (model.predict(train) == classes)[classes >= 0]
    assert training.evaluate_nodes(model, train)["accuracy"] == right.mean()


def test_each_epoch_has_an_order_of_its_own(networks):
    objective = make(*networks)

    def orders(first_epoch, epochs):
        stream = objective.training_stream(first_epoch, 0)
        return [[int(inputs["n_node"][0]) for inputs, *_ in stream] for _ in range(epochs)]

    expected = orders(0, 4)
    assert all(sorted(order) == sorted(SIZES["train"]) for order in expected)
    assert len(set(map(tuple, expected))) > 1
    assert orders(2, 2) == expected[2:]


def test_every_execution_trains_the_same(networks):
    """XLA on padded batches: without dropout, whose masks follow the batch's shape."""
    found = []
    for execution in ("function", "xla", "eager"):
        objective = make(*networks, settings={"execution": execution})
        stream, step = iter(objective.training_stream(0, 0)), objective.make_train_function()
        losses = [float(step(stream)["loss"]) for _ in range(3)]
        assert losses[0] != losses[1]
        found.append(losses)
    np.testing.assert_allclose(found[1:], [found[0]] * 2, rtol=1e-4)


def test_one_trace_serves_networks_of_all_sizes(networks):
    objective = make(*networks)
    traced = []
    differentiate = objective._differentiate
    objective._differentiate = lambda data: traced.append(data) or differentiate(data)
    objective.fit(objective.training_stream(0, 0), epochs=2, verbose=0)
    assert len(traced) == 1 and int(objective.optimizer.iterations) == 6


@pytest.mark.parametrize(
    "config, settings, expected",
    [
        ({}, {}, ("function", 5e-3)),
        ({"num_steps": 33, "batch_norm": False}, {}, ("function", 5e-3)),
        ({"num_steps": 33, "loop": True}, {}, ("xla", 5e-3)),
        ({"model": "neumann_rbp"}, {}, ("xla", 1e-3)),
        ({"model": "neumann_rbp"}, {"learning_rate": 0.5}, ("xla", 0.5)),
        ({}, {"learning_rate": 0.5}, ("function", 0.5)),
    ],
)
def test_execution_and_rate_suit_the_model(config, settings, expected):
    objective = make(ring(), settings=settings, **config)
    assert objective.default_execution() == expected[0]
    np.testing.assert_allclose(objective.optimizer.learning_rate, expected[1])


@pytest.mark.parametrize("loop, share_weights", [(True, False), (False, False), (False, True)])
def test_weights_of_many_steps_cost_as_those_of_few(loop, share_weights):
    """Each weight counts half its square; where steps have their own, beyond 5 in parts."""
    costs = []
    for num_steps in (5, 10):
        objective = make(
            ring(),
            settings={"l2": 0.1, "l2_embedding": 0.3},
            num_steps=num_steps,
            loop=loop,
            share_weights=share_weights,
        )
        for variable in objective.trained:
            variable.assign(tf.ones_like(variable))
        costs.append(float(objective.penalty()))
    np.testing.assert_allclose(costs[1], costs[0], rtol=1e-5)
    model = objective.module
    sizes = [sum(v.shape.num_elements() for v in part.variables) for part in (model, model.embed)]
    if share_weights:
        np.testing.assert_allclose(costs[0], 0.05 * sizes[0] + 0.1 * sizes[1], rtol=1e-5)


def test_averages_hold_the_statistics_of_batch_norm_too():
    objective = make(ring(), settings={"ema_decay": 0.5, "execution": "eager"}, batch_norm=True)
    objective.fit(objective.training_stream(0, 0), verbose=0)
    moving = [v for v in objective.module.variables if "moving_mean" in v.name]
    before = [v.numpy() for v in moving]
    objective.apply_averages()
    assert all(np.abs(v - b).max() > 0 for v, b in zip(moving, before, strict=True))


PRESETS = [
    (page, preset, model)
    for page in (citation, ppi)
    for preset in ("quick", "paper", "best")
    for model in ("gnn", "grevnet", "neumann_rbp")
    if model != "neumann_rbp" or preset != "best"  # which differs in sizes and dropout alone
]


@pytest.mark.parametrize("page, preset, model", PRESETS)
def test_presets_train_every_variable(page, preset, model, networks):
    """By the gradient of few nodes; dropout, which could hide some, is off."""
    config = page.PRESETS[preset]
    if model == "neumann_rbp":
        config = node_report.neumann_rbp(config)
    network = dataclasses.replace(config.network, model=model, num_steps=2, dropout=0.0)
    network = dataclasses.replace(network, feature_dropout=0.0, share_weights=True)
    settings = vars(config.settings) | {"execution": "eager"}
    train = ring() if page is citation else networks[0]
    objective = make(train, settings=settings, **vars(network))
    before = [variable.numpy() for variable in objective.trained]
    stream, step = iter(objective.training_stream(0, 0)), objective.make_train_function()
    assert all(np.isfinite(step(stream)["loss"]) for _ in range(3))
    for variable, value in zip(objective.trained, before, strict=True):
        assert np.abs(variable - value).max() > 0.0, variable.name


@pytest.mark.parametrize("data", ["ring", "networks"])
def test_overfits(data, networks):
    train = ring(train=range(12)) if data == "ring" else networks[1]
    training.set_seed(0)
    config = models.ClassifierConfig(
        num_steps=2, node_size=32, conditioner="messages", message_size=32, share_weights=True
    )
    model = models.NodeClassifier.for_data(train, config)
    # Of the ring an epoch has as many steps as are asked for, and costs more than they do.
    settings = {"epochs": 8, "steps_per_epoch": 25} if data == "ring" else {"epochs": 40}
    history = training.fit(model, train, learning_rate=1e-2, **settings)
    score = "accuracy" if data == "ring" else "f1"
    assert max(history.history[f"val_{score}"]) > 0.99
    labels = train.labels
    assert np.mean(model.predict(train) == labels) > 0.98
    assert history.diagnostics["reconstruction_error"] < 1e-4


def test_momentum_is_sgd():
    objective = make(ring(), settings={"optimizer": "momentum"})
    assert objective.optimizer.momentum == 0.9
    assert np.isfinite(evaluated(objective)["loss"])


@pytest.mark.parametrize(
    "train, validation, message",
    [
        (np.zeros(3), None, "`train` must be a LabeledGraph or LabeledGraphs, got ndarray"),
        (ring(True), None, "`train` must have one class a node, as the model, got any number"),
        (ring(test=[0]), None, "`train` must have train nodes, got none"),
        (ring(), ring(train=[0]), "`validation` must have validation nodes, got none"),
        (ring(), unlabeled(), "`validation` must have labeled nodes, got none"),
        (unlabeled(), None, "`train` must have labeled nodes, got none"),
        (
            dataclasses.replace(ring(), class_names=("x", "y", "z")),
            None,
            "`train` must have the model's classes, 0, 1, 2, got x, y, z",
        ),
        (
            datasets.node_graph(np.ones([3, 4]), [[0], [1]], [0, 1, 2], train=[0]),
            None,
            "`train` must have 5 features a node, as the model, got 4",
        ),
    ],
)
def test_data_that_do_not_fit_are_named(train, validation, message):
    model = models.NodeClassifier(5, ("0", "1", "2"), config=models.ClassifierConfig(**SMALL))
    with pytest.raises(ValueError, match=message):
        training.fit(model, train, validation, epochs=1)


def test_many_labels_need_labeled_validation_graphs(networks):
    """A part of a data set in which no node happens to be labeled."""
    model = models.NodeClassifier.for_data(networks[0], models.ClassifierConfig(**SMALL))
    with pytest.raises(ValueError, match="`validation` must have labeled nodes, got none"):
        training.fit(model, networks[0], unlabeled(), epochs=1)


@pytest.mark.parametrize("data, changes", [("ring", {}), ("networks", {"batch_norm": True})])
def test_what_replicas_cannot_share_is_refused(data, changes, networks):
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        train = ring() if data == "ring" else networks[0]
        config = models.ClassifierConfig(**SMALL | changes)
        model = models.NodeClassifier.for_data(train, config)
    with pytest.raises(ValueError, match="within the scope of a strategy"):
        training.fit(model, train, epochs=1)
