"""The PPI trainer, end to end on tiny files of the release's format."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gnf_tf import datasets
from gnf_tf.graphs import GraphsTuple
from tests.ppi_files import SIZES, write_splits
from trainers import common, ppi, training
from trainers.ppi_model import MicroF1

SMALL = {
    "epochs": 3,
    "num_steps": 2,
    "node_size": 6,
    "message_size": 5,
    "dropout": 0.2,
    "learning_rate": 1e-2,
}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Files of SIZES."""
    folder = tmp_path_factory.mktemp("ppi")
    write_splits(folder)
    return folder


def make_config(run_dir, data_dir, preset="quick", **changes):
    values = SMALL | {"run_dir": run_dir, "data_dir": data_dir} | changes
    return ppi.resolve(dataclasses.replace(ppi.PRESETS[preset], **values))


def run_trainer(run_dir, data_dir, **changes):
    return ppi.train_and_evaluate(make_config(run_dir, data_dir, **changes), seed=0)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data_dir):
    """A finished run: (folder of all seeds, results of seed 0)."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    return folder, run_trainer(folder, data_dir)


def history(folder):
    return json.loads((folder / "seed0" / "history.json").read_text())


def f1_by_hand(labels, predicted):
    """From precision and recall, micro-averaged."""
    right = np.sum(labels & predicted)
    precision, recall = right / predicted.sum(), right / labels.sum()
    return 2 * precision * recall / (precision + recall)


def test_results_are_the_scores_of_the_saved_weights(finished, data_dir, tmp_path):
    folder, results = finished
    assert json.loads((folder / "seed0" / "results.json").read_text()) == results
    config = make_config(tmp_path, data_dir)
    train, validation, test = ppi.load(config)
    model = ppi.make_model(config, train, seed=1)
    checkpoint = tf.train.Checkpoint(model=model)
    checkpoint.read(str(folder / "seed0" / "best")).assert_existing_objects_matched()
    for name, networks in (("validation", validation), ("test", test)):
        _, logits = ppi.predict(model, networks)
        expected = f1_by_hand(networks.labels, logits > 0)
        np.testing.assert_allclose(results[f"{name}_f1"], expected, rtol=1e-6)
    best = min(history(folder), key=lambda epoch: epoch["val_criterion"])
    assert best["val_f1"] == max(epoch["val_f1"] for epoch in history(folder))
    np.testing.assert_allclose(results["validation_f1"], best["val_f1"], rtol=1e-6)
    assert results["reconstruction_error"] < 1e-4 and results["epochs"] == 3
    for name in ("precision_recall.png", "loss.png"):
        image = tf.image.decode_png((folder / "seed0" / name).read_bytes())
        assert np.std(image) > 5


def test_a_finished_run_is_not_run_again(finished, data_dir):
    folder, results = finished
    before = sorted((path.name, path.stat().st_mtime_ns) for path in folder.rglob("*"))
    assert run_trainer(folder, data_dir) == results
    assert before == sorted((path.name, path.stat().st_mtime_ns) for path in folder.rglob("*"))


def test_tensorboard_has_what_is_promised(finished):
    board = finished[0] / "seed0" / "tensorboard"
    events = EventAccumulator(str(board), size_guidance={"tensors": 0})
    events.Reload()
    tags = set(events.Tags()["tensors"])
    for side in ("train", "validation"):
        assert {f"loss/{side}", f"f1/{side}"} <= tags
    assert {"gradient_norm/train", "reconstruction_error", "configuration"} <= tags
    assert "precision_recall" in tags
    assert [event.step for event in events.Tensors("f1/validation")] == [3, 6, 9]
    assert 'tensor_path: "state.tsv"' in (board / "projector_config.pbtxt").read_text()
    assert np.loadtxt(board / "state.tsv").shape == (11, 6)
    header, *rows = (board / "classes.tsv").read_text().splitlines()
    assert header.split("\t") == ["network", "labels", "predicted", "right"]
    numbers = np.array([row.split("\t") for row in rows], int)
    np.testing.assert_array_equal(numbers[:, 0], np.repeat([0, 1], SIZES["test"]))
    claims = numbers[:, 1:3].sum()
    np.testing.assert_allclose(2 * numbers[:, 3].sum() / claims, finished[1]["test_f1"], rtol=1e-6)


class StopError(Exception):
    pass


def test_resumes_in_the_middle_of_an_epoch_as_if_uninterrupted(
    finished, data_dir, monkeypatch, tmp_path
):
    """Stopped after the first step of epoch 2: order, dropout and the epoch's metrics go on."""
    on_train_batch_end = training.TrainingState.on_train_batch_end

    def stopping(self, batch, logs=None):
        on_train_batch_end(self, batch, logs)
        if int(self._model.optimizer.iterations) == 4:
            raise StopError

    with monkeypatch.context() as patch:
        patch.setattr(training.TrainingState, "on_train_batch_end", stopping)
        with pytest.raises(StopError):
            run_trainer(tmp_path, data_dir, checkpoint_minutes=0.0)
    resumed, (folder, uninterrupted) = run_trainer(tmp_path, data_dir), finished
    for name in ("test_f1", "validation_f1"):
        np.testing.assert_allclose(resumed[name], uninterrupted[name], rtol=1e-6)
    for a, b in zip(history(tmp_path), history(folder), strict=True):
        for name in ("loss", "f1", "val_loss", "val_f1"):
            np.testing.assert_allclose(a[name], b[name], rtol=1e-5)


def test_each_epoch_has_an_order_of_its_own(data_dir, tmp_path):
    config = make_config(tmp_path, data_dir)
    train = ppi.load(config)[0]

    def orders(first_epoch, epochs):
        stream = ppi.make_stream(config, train, 0, first_epoch)
        return [[int(inputs["n_node"][0]) for inputs, _, _ in stream] for _ in range(epochs)]

    expected = orders(0, 4)
    assert all(sorted(order) == sorted(SIZES["train"]) for order in expected)
    assert len(set(map(tuple, expected))) > 1
    assert orders(2, 2) == expected[2:]


@pytest.mark.parametrize("batch_size", [1, 2])
@pytest.mark.parametrize("model", ["grevnet", "neumann_rbp"])
def test_padding_changes_nothing(model, batch_size, data_dir, tmp_path):
    """Not in loss, score or gradients, whatever the padding nodes hold; nor do graphs meet."""
    changes = {"model": model, "batch_size": batch_size, "dropout": 0.0}
    config = make_config(tmp_path, data_dir, **changes)
    validation = ppi.load(config)[1]
    model = ppi.make_model(config, validation, seed=0)
    found = []
    for padded in (False, True):
        stream = datasets.node_batches(validation, batch_size, padded=padded)
        logs = model.evaluate(stream, return_dict=True, verbose=0)
        inputs, labels, weights = data = next(iter(stream))
        if padded:
            padding = 1.0 - weights[:, tf.newaxis]
            data = (inputs | {"nodes": inputs["nodes"] + 3.0 * padding}, labels + padding, weights)
        with tf.GradientTape() as tape:
            graph = model.graph_of(data)
            loss, *_ = model.measured(model.logits(graph, model.state(graph)), data, True)
        found.append((logs, loss, tape.gradient(loss, model.trainable_variables)))
    (logs, *rest), (padded_logs, *padded_rest) = found
    assert logs.keys() == padded_logs.keys() >= {"loss", "f1", "criterion"}
    for name, value in logs.items():
        np.testing.assert_allclose(padded_logs[name], value, rtol=1e-5)
    for a, b in zip(tf.nest.flatten(padded_rest), tf.nest.flatten(rest), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(logs["criterion"], 1 - logs["f1"] + 1e-6 * logs["loss"], rtol=1e-6)
    _, logits = ppi.predict(model, validation)
    np.testing.assert_allclose(logs["f1"], f1_by_hand(validation.labels, logits > 0), rtol=1e-6)


def test_batches_hold_the_networks(data_dir):
    train = datasets.ppi("train", data_dir=data_dir)
    (rows,) = datasets.plan_batches(train, 3)
    for padded in (False, True):
        stream = datasets.node_batches(train, 3, padded=padded)
        ((inputs, labels, weights),) = stream
        graph, real = GraphsTuple(**inputs), weights.numpy() > 0
        assert len(weights) == (22 if padded else 21) and real.sum() == 21
        assert stream.element_spec[1].shape[0] == (22 if padded else None)
        first = 0
        for i, row in enumerate(rows):
            member, expected = train.graph(row)
            nodes = slice(first, first + int(graph.n_node[i]))
            np.testing.assert_array_equal(graph.nodes[nodes], member.nodes)
            np.testing.assert_array_equal(labels[nodes], expected)
            edges = slice(*np.cumsum([0, *graph.n_edge.numpy()])[i : i + 2])
            np.testing.assert_array_equal(graph.senders[edges], member.senders + first)
            np.testing.assert_array_equal(graph.receivers[edges], member.receivers + first)
            first = nodes.stop


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


def test_every_execution_trains_the_same(data_dir, tmp_path):
    """XLA on padded batches: without dropout, whose masks follow the batch's shape."""
    runs = {}
    for name in ("function", "xla", "eager"):
        run_trainer(tmp_path / name, data_dir, execution=name, dropout=0.0, epochs=2)
        runs[name] = history(tmp_path / name)[-1]
    for name in ("loss", "val_loss"):
        for other in ("xla", "eager"):
            np.testing.assert_allclose(runs[other][name], runs["function"][name], rtol=1e-4)


def test_one_trace_serves_networks_of_all_sizes(data_dir, tmp_path):
    config = make_config(tmp_path, data_dir)
    train = ppi.load(config)[0]
    model = ppi.make_model(config, train, seed=0)
    traced = []
    train_step = model.train_step
    model.train_step = lambda data: traced.append(data) or train_step(data)
    model.fit(ppi.make_stream(config, train, seed=0), epochs=2, verbose=0)
    assert len(traced) == 1 and int(model.optimizer.iterations) == 6


@pytest.mark.parametrize("preset", ["quick", "paper", "best"])
@pytest.mark.parametrize("model", ["grevnet", "gnn", "neumann_rbp"])
def test_presets_train_every_variable(model, preset, data_dir, tmp_path):
    """With shared weights: else the first network sees zeros alone, where a ReLU is flat."""
    config = make_config(tmp_path, data_dir, preset, model=model, share_weights=True)
    train = ppi.load(config)[0]
    model = ppi.make_model(config, train, seed=0)
    before = [v.numpy() for v in model.trainable_variables]
    for data in ppi.make_stream(config, train, seed=0):
        assert np.isfinite(model.train_step(data)["loss"])
    for variable, value in zip(model.trainable_variables, before, strict=True):
        assert np.abs(variable - value).max() > 0.0, variable.name


def test_overfits_two_networks(data_dir, tmp_path):
    changes = {"num_steps": 4, "node_size": 32, "message_size": 32, "dropout": 0.0}
    config = make_config(tmp_path, data_dir, **changes)
    networks = ppi.load(config)[1]
    model = ppi.make_model(config, networks, seed=0)
    model.fit(ppi.make_stream(config, networks, seed=0), epochs=60, verbose=0)
    logs = model.evaluate(ppi.make_stream(config, networks), return_dict=True, verbose=0)
    assert logs["f1"] > 0.99


def test_several_seeds_make_a_summary(data_dir, tmp_path, monkeypatch, capsys):
    words = ["ppi.py", "--seeds", "0", str(2**63 - 1), "--model", "neumann_rbp"]
    for name, value in (SMALL | {"run_dir": tmp_path, "data_dir": data_dir}).items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    monkeypatch.setattr("sys.argv", words)
    ppi.main()
    summary = json.loads((tmp_path / "results.json").read_text())
    scores = [run["test_f1"] for run in summary["runs"]]
    np.testing.assert_allclose(summary["f1"], np.mean(scores))
    np.testing.assert_allclose(summary["deviation"], np.std(scores, ddof=1))
    assert summary["paper"] == 0.70 and all(run["residual"] < 1.0 for run in summary["runs"])
    output = capsys.readouterr().out
    assert "21 training, 10 validation, 11 test proteins in 3, 2, 2 networks" in output
    assert "paper: gnn 0.78, grevnet 0.76, neumann_rbp 0.70" in output


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"epochs": 0}, "--epochs must be at least 1, got 0"),
        ({"batch_size": 0}, "--batch-size must be at least 1, got 0"),
        ({"message_hidden": 0}, "--message-hidden must be at least 1, got 0"),
        ({"feature_dropout": 1.0}, "--feature-dropout must be in .0, 1., got 1.0"),
        ({"model": "gnn", "memory": "reversible"}, "--model gnn has --memory stored"),
        ({"conditioner": "diffusion", "coupling": "affine"}, "needs --coupling additive"),
        ({"seeds": ()}, "--seeds must be different .* got \\(\\)"),
    ],
)
def test_wrong_options_name_the_option(changes, message, data_dir, tmp_path):
    with pytest.raises(common.UserError, match=message):
        make_config(tmp_path, data_dir, **changes)


def test_without_the_data_it_ends_in_one_line(monkeypatch, tmp_path, capsys):
    def unreachable(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr("pooch.retrieve", unreachable)
    for words, message in (
        ([], "no route to host"),
        (["--data-dir", str(tmp_path)], "train_feats.npy is missing"),
    ):
        monkeypatch.setattr("sys.argv", ["ppi.py", "--run-dir", str(tmp_path / "run"), *words])
        with pytest.raises(SystemExit) as stop:
            common.run(ppi.main)
        error = capsys.readouterr().err
        assert stop.value.code == 1 and message in error and error.count("\n") == 1
