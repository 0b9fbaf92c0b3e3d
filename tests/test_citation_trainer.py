"""The citation trainer, end to end on small models and the whole of Cora."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gnf_tf import datasets
from trainers import citation, common, training

SMALL = {
    "steps": 6,
    "steps_per_epoch": 2,
    "num_steps": 2,
    "node_size": 4,
    "message_size": 4,
    "learning_rate": 1e-2,
}


def make_config(run_dir, preset="quick", **changes):
    values = SMALL | {"run_dir": run_dir} | changes
    return citation.resolve(dataclasses.replace(citation.PRESETS[preset], **values))


def run_trainer(run_dir, **changes):
    return citation.train_and_evaluate(make_config(run_dir, **changes), seed=0)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run: (folder of all seeds, results of seed 0)."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    return folder, run_trainer(folder)


def trained_model(folder, **changes):
    """The model of a finished run, read from its file of weights."""
    config = make_config(folder, **changes)
    model = citation.make_model(config, citation.load(config, 0), seed=0)
    checkpoint = tf.train.Checkpoint(model=model)
    checkpoint.read(str(folder / "seed0" / "best")).assert_existing_objects_matched()
    return model


def test_results_are_the_accuracy_of_the_saved_weights(finished):
    folder, results = finished
    assert json.loads((folder / "seed0" / "results.json").read_text()) == results
    model = trained_model(folder)
    network = datasets.cora()
    predicted = np.argmax(model.logits(network.graph, model.state(network.graph)), axis=-1)
    for name, members in (("test", network.test), ("validation", network.validation)):
        accuracy = np.mean(predicted[members] == network.labels[members])
        np.testing.assert_allclose(results[f"{name}_accuracy"], accuracy, rtol=1e-6)
    confusion = np.array(results["confusion"])
    np.testing.assert_array_equal(confusion.sum(axis=1), np.bincount(network.labels[network.test]))
    taken = np.bincount(predicted[network.test], minlength=7)
    np.testing.assert_array_equal(confusion.sum(axis=0), taken)
    assert results["reconstruction_error"] < 1e-4 and results["epochs"] == 3
    for name in ("confusion.png", "loss.png"):
        image = tf.image.decode_png((folder / "seed0" / name).read_bytes())
        assert np.std(image) > 5


def test_the_weights_kept_are_the_best_by_validation(finished):
    folder, results = finished
    history = json.loads((folder / "seed0" / "history.json").read_text())
    best = min(history, key=lambda epoch: epoch["val_criterion"])
    np.testing.assert_allclose(results["validation_accuracy"], best["val_accuracy"], rtol=1e-5)
    np.testing.assert_allclose(results["validation_loss"], best["val_loss"], rtol=1e-5)
    assert best["val_accuracy"] == max(epoch["val_accuracy"] for epoch in history)


@pytest.mark.parametrize(
    "select, order",
    [("accuracy", ["clear", "slight", "half"]), ("loss", ["half", "clear", "slight"])],
)
def test_the_criterion_is_accuracy_before_loss_or_the_loss(select, order, tmp_path):
    network = datasets.cora()
    model = citation.make_model(make_config(tmp_path, select=select), network, seed=0)
    rows = np.flatnonzero(network.train)[:2]
    members = np.isin(np.arange(len(network.labels)), rows)
    right = np.zeros([len(network.labels), 7], np.float32)
    right[rows, network.labels[rows]] = 1.0
    half = 20.0 * right  # the one node right and sure, the other barely wrong
    half[rows[1]] = 0.01 * np.roll(right[rows[1]], 1)
    cases = {"half": half, "slight": 0.01 * right, "clear": right}
    measures = {name: model.measures(tf.constant(z), members) for name, z in cases.items()}
    assert [float(measures[name]["accuracy"]) for name in cases] == [0.5, 1.0, 1.0]
    assert sorted(cases, key=lambda name: float(measures[name]["criterion"])) == order


def test_a_finished_run_is_not_run_again(finished):
    folder, results = finished
    before = sorted((path.name, path.stat().st_mtime_ns) for path in folder.rglob("*"))
    assert run_trainer(folder) == results
    assert before == sorted((path.name, path.stat().st_mtime_ns) for path in folder.rglob("*"))


def test_tensorboard_has_what_is_promised(finished):
    board = finished[0] / "seed0" / "tensorboard"
    events = EventAccumulator(str(board), size_guidance={"tensors": 0})
    events.Reload()
    tags = set(events.Tags()["tensors"])
    for side in ("train", "validation"):
        assert {f"loss/{side}", f"accuracy/{side}"} <= tags
    assert {"gradient_norm/train", "reconstruction_error", "confusion", "configuration"} <= tags
    assert [event.step for event in events.Tensors("loss/validation")] == [2, 4, 6]


def test_the_projector_has_what_the_classes_are_read_from(finished):
    folder, results = finished
    board = folder / "seed0" / "tensorboard"
    text = (board / "projector_config.pbtxt").read_text()
    assert 'tensor_path: "state.tsv"' in text and 'metadata_path: "classes.tsv"' in text
    model, network = trained_model(folder), datasets.cora()
    points = np.loadtxt(board / "state.tsv")
    np.testing.assert_allclose(
        points, model.state(network.graph)[network.test], rtol=1e-3, atol=1e-6
    )
    header, *rows = (board / "classes.tsv").read_text().splitlines()
    assert header == "class\tpredicted" and len(rows) == len(points) == 1000
    right = [row.split("\t")[0] == row.split("\t")[1] for row in rows]
    np.testing.assert_allclose(np.mean(right), results["test_accuracy"])


class StopError(Exception):
    pass


def test_resumes_in_the_middle_of_an_epoch_as_if_uninterrupted(finished, monkeypatch, tmp_path):
    """Stopped after the first step of epoch 2: dropout goes on with the masks it would have had."""
    on_train_batch_end = training.TrainingState.on_train_batch_end

    def stopping(self, batch, logs=None):
        on_train_batch_end(self, batch, logs)
        if int(self._model.optimizer.iterations) == 3:
            raise StopError

    with monkeypatch.context() as patch:
        patch.setattr(training.TrainingState, "on_train_batch_end", stopping)
        with pytest.raises(StopError):
            run_trainer(tmp_path, checkpoint_minutes=0.0)
    resumed, (folder, uninterrupted) = run_trainer(tmp_path), finished
    for name in ("test_accuracy", "validation_accuracy", "confusion"):
        assert resumed[name] == uninterrupted[name]
    histories = [
        json.loads((run / "seed0" / "history.json").read_text()) for run in (tmp_path, folder)
    ]
    for a, b in zip(*histories, strict=True):
        np.testing.assert_allclose(a["val_loss"], b["val_loss"], rtol=1e-5)


@pytest.mark.parametrize("execution", ["xla", "eager"])
def test_every_execution_trains_the_same(execution, finished, tmp_path):
    results = run_trainer(tmp_path, execution=execution)
    assert abs(results["validation_loss"] - finished[1]["validation_loss"]) < 1e-3


def test_gnn_is_the_identical_network(finished, tmp_path):
    results = run_trainer(tmp_path, model="gnn")
    assert abs(results["validation_loss"] - finished[1]["validation_loss"]) < 1e-3


def test_a_convolution_may_be_affine(tmp_path):
    config = make_config(tmp_path, conditioner="convolution", coupling="affine")
    model = citation.make_model(config, datasets.cora(), seed=0)
    assert np.isfinite(model.train_step(0)["loss"])


@pytest.mark.parametrize("preset", ["quick", "paper", "best"])
@pytest.mark.parametrize("model", ["grevnet", "gnn", "neumann_rbp"])
def test_presets_learn_from_the_labels(model, preset, tmp_path):
    """Built, two steps taken, and each variable has a gradient from the training nodes alone."""
    config = make_config(tmp_path, preset, model=model, num_steps=2)
    network = citation.load(config, 0)
    model = citation.make_model(config, network, seed=0)
    seed = tf.constant([0, 1])

    def gradients(labels):
        model.network = dataclasses.replace(network, labels=labels)
        with tf.GradientTape() as tape:
            logits = model.logits(network.graph, model.state(network.graph, seed), seed)
            loss = model.measures(logits, network.train)["loss"]
        return tape.gradient(loss, model.trainable_variables)

    before = [v.numpy() for v in model.trainable_variables]
    hidden = np.where(network.train, network.labels, 0)  # no label but those of training
    for a, b in zip(gradients(network.labels), gradients(hidden), strict=True):
        np.testing.assert_array_equal(a, b)
    for _ in range(2):
        loss = model.train_step(0)["loss"]
    assert np.isfinite(loss)
    for variable, value in zip(model.trainable_variables, before, strict=True):
        assert np.abs(variable - value).max() > 0.0, variable.name


def test_words_themselves_as_in_the_papers_code(tmp_path):
    """Nothing embeds them: both halves are as wide as the vocabulary, and start as (words, 0)."""
    model = citation.make_model(make_config(tmp_path, node_size=None), datasets.cora(), seed=0)
    start = model.start(model.network.graph).nodes
    np.testing.assert_array_equal(start[:, :1433], datasets.cora().graph.nodes)
    np.testing.assert_array_equal(start[:, 1433:], 0.0)


@pytest.mark.parametrize("model, scale", [("neumann_rbp", 1.0), ("grevnet", 0.1), ("gnn", 0.1)])
def test_preset_paper_starts_from_features_of_one_size(model, scale, tmp_path):
    """However small the words: no large steps are needed to come to know them."""
    config = make_config(tmp_path, "paper", model=model, node_size=64)
    model = citation.make_model(config, datasets.cora(), seed=0)
    graph = model.network.graph
    words = tf.reduce_mean(model.embedded(graph) ** 2, axis=-1)
    assert np.max(words) < 0.01 * scale and np.min(words) > 0.0

    def start(graph):
        return model.start(graph).nodes[:, :64]

    np.testing.assert_allclose(tf.reduce_mean(start(graph) ** 2, axis=-1), scale**2, rtol=1e-5)
    larger = start(graph.replace(nodes=100.0 * graph.nodes))
    np.testing.assert_allclose(start(graph), larger, rtol=1e-4, atol=1e-6)


def test_start_scale_is_the_presets_unless_given(tmp_path):
    scales = [
        make_config(tmp_path, preset, model=model, start_scale=scale).start_scale
        for preset in ("quick", "paper")
        for model in ("grevnet", "neumann_rbp")
        for scale in (None, 0.0, 0.5)
    ]
    assert scales == [0.0, 0.0, 0.5, 1.0, 0.0, 0.5, 0.1, 0.0, 0.5, 1.0, 0.0, 0.5]


def test_neumann_rbp_has_a_rate_of_its_own_unless_given(tmp_path):
    rates = [
        make_config(tmp_path, model=model, learning_rate=rate).learning_rate
        for model in ("grevnet", "neumann_rbp")
        for rate in (None, 0.5)
    ]
    assert rates == [5e-3, 0.5, 1e-3, 0.5]


def test_depth_of_a_hundred_steps_stays_reversible(tmp_path):
    """Eager by default there; 1,000 is the same, and takes minutes."""
    config = make_config(tmp_path, num_steps=100, batch_norm=False)
    assert config.execution == "eager" and make_config(tmp_path).execution == "function"
    model = citation.make_model(config, datasets.cora(), seed=0)
    assert model.diagnostics(model.network.graph)["reconstruction_error"] < 1e-4
    assert make_config(tmp_path, num_steps=21).batch_norm
    assert not make_config(tmp_path, num_steps=20).batch_norm


def test_a_loop_of_a_hundred_steps_learns(tmp_path):
    config = make_config(tmp_path, num_steps=100, loop=True)
    assert config.execution == "xla" and not config.batch_norm
    results = citation.train_and_evaluate(config, seed=0)
    assert results["reconstruction_error"] < 1e-4
    history = json.loads((tmp_path / "seed0" / "history.json").read_text())
    assert history[-1]["val_loss"] < history[0]["val_loss"]


@pytest.mark.parametrize("conditioner", ["diffusion", "convolution", "messages"])
def test_weights_of_many_steps_move_the_state_and_cost_as_those_of_few(conditioner, tmp_path):
    """Or else the learning rate and the weight of L2 would have to fall with depth."""
    moved, penalties = [], []
    for num_steps in (5, 50):
        config = make_config(tmp_path, num_steps=num_steps, loop=True, conditioner=conditioner)
        model = citation.make_model(config, datasets.cora(), seed=0)
        graph = model.start(model.network.graph)
        before = model.net(graph).nodes
        for variable in model.net.trainable_variables:
            variable.assign_add(tf.fill(variable.shape, 1e-3))
        moved.append(np.abs(model.net(graph).nodes - before).mean())
        for variable in model.trainable_variables:
            variable.assign(tf.ones_like(variable))
        penalties.append(model.penalty())
    assert 0.5 < moved[1] / moved[0] < 2.0
    np.testing.assert_allclose(penalties[1], penalties[0], rtol=1e-5)


def test_overfits_the_training_nodes(tmp_path):
    config = make_config(
        tmp_path, node_size=16, dropout=0.0, feature_dropout=0.0, l2=0.0, l2_embedding=0.0
    )
    model = citation.make_model(config, datasets.cora(), seed=0)
    model.fit(tf.data.Dataset.from_tensors(0).repeat(60), verbose=0)
    graph = model.network.graph
    logits = model.logits(graph, model.state(graph))
    accuracy = model.measures(logits, model.network.train)["accuracy"]
    assert accuracy == 1.0


def test_several_seeds_make_a_summary(tmp_path, monkeypatch, capsys):
    words = ["citation.py", "--seeds", "0", str(2**63 - 1), "--split", "one_percent"]
    words += ["--model", "neumann_rbp"]
    for name, value in (SMALL | {"run_dir": tmp_path}).items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    monkeypatch.setattr("sys.argv", words)
    citation.main()
    summary = json.loads((tmp_path / "results.json").read_text())
    accuracies = [100.0 * run["test_accuracy"] for run in summary["runs"]]
    np.testing.assert_allclose(summary["accuracy"], np.mean(accuracies))
    np.testing.assert_allclose(summary["deviation"], np.std(accuracies, ddof=1))
    tested = [np.sum(run["confusion"]) for run in summary["runs"]]
    assert tested == [round(0.49 * 2708)] * 2
    assert all(run["residual"] < 1.0 for run in summary["runs"])
    output = capsys.readouterr().out
    assert "paper 54.6" in output and "27 training, 1354 validation, 1327 test nodes" in output


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"steps": 5}, "--steps must be a multiple of --steps-per-epoch, 2, got 5"),
        ({"num_steps": 0}, "--num-steps must be at least 1, got 0"),
        ({"node_size": 0}, "--node-size must be at least 1, got 0"),
        ({"start_scale": -0.1}, "--start-scale must be at least 0, got -0.1"),
        ({"l2": -1.0}, "--l2 must be at least 0, got -1.0"),
        ({"dropout": 1.0}, "--dropout must be in .0, 1., got 1.0"),
        ({"learning_rate": 0.0}, "--learning-rate must be positive, got 0.0"),
        (
            {"model": "gnn", "memory": "reversible"},
            "--model gnn has --memory stored .* 'reversible'",
        ),
        ({"coupling": "affine"}, "--conditioner diffusion needs --coupling additive, got 'affine'"),
        ({"model": "neumann_rbp", "batch_norm": True}, "--batch-norm is not for"),
        ({"loop": True, "model": "neumann_rbp"}, "--loop is not for --model neumann_rbp"),
        ({"loop": True, "share_weights": True}, "--loop is not for .* --share-weights"),
        ({"seeds": (1, 1)}, "--seeds must be different .* got \\(1, 1\\)"),
    ],
)
def test_wrong_options_name_the_option(changes, message, tmp_path):
    with pytest.raises(common.UserError, match=message):
        make_config(tmp_path, **changes)


def test_another_configuration_is_refused(finished):
    with pytest.raises(common.UserError, match="holds a run with node_size = 4, not 5"):
        run_trainer(finished[0], node_size=5)
