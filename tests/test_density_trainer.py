"""The density trainer, end to end on a small model."""

import dataclasses
import json
import math

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gnf_tf import datasets, graphs
from trainers import common, density, density_model, training

SMALL = {
    "steps": 24,
    "epochs": 3,
    "steps_per_call": 2,
    "batch_size": 8,
    "validation_sets": 32,
    "test_sets": 50,
    "num_steps": 1,
    "width": 8,
    "num_heads": 2,
    "num_bins": 4,
    "jit": False,
}


def make_config(run_dir, preset="quick", **changes):
    values = SMALL | {"run_dir": run_dir} | changes
    return density.resolve(dataclasses.replace(density.PRESETS[preset], **values))


def run_trainer(run_dir, **changes):
    return density.train_and_evaluate(make_config(run_dir, **changes), seed=0)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run: (folder of all seeds, results of seed 0)."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    return folder, run_trainer(folder)


def trained_model(folder, **changes):
    """The model of a finished run, read from its file of weights."""
    model = density.make_model(make_config(folder, **changes), seed=0)
    checkpoint = tf.train.Checkpoint(model=model)
    checkpoint.read(str(folder / "seed0" / "best")).assert_existing_objects_matched()
    return model


def test_results_are_the_nll_of_held_out_sets_under_the_saved_weights(finished):
    folder, results = finished
    assert json.loads((folder / "seed0" / "results.json").read_text()) == results
    assert math.isfinite(results["nll"]) and results["reconstruction_error"] < 1e-3
    model = trained_model(folder)
    test = datasets.mog(50, seed=(0, density.TEST))
    with model.averaged():
        log_prob = model.flow(test).log_prob(test).numpy()
    np.testing.assert_allclose(results["nll"], -log_prob.sum() / 200, rtol=1e-5)
    error = (log_prob / 4).std(ddof=1) / math.sqrt(50)
    np.testing.assert_allclose(results["standard_error"], error, rtol=1e-4)
    for name in ("sets.png", "loss.png"):
        image = tf.image.decode_png((folder / "seed0" / name).read_bytes())
        assert np.std(image) > 5


def test_a_finished_run_is_not_run_again(finished):
    folder, results = finished
    before = sorted((path.name, path.stat().st_mtime_ns) for path in folder.rglob("*"))
    assert run_trainer(folder) == results
    assert before == sorted((path.name, path.stat().st_mtime_ns) for path in folder.rglob("*"))


def test_same_seed_same_result(finished, tmp_path):
    assert run_trainer(tmp_path)["nll"] == finished[1]["nll"]


def test_tensorboard_has_what_is_promised(finished):
    folder, _ = finished
    events = EventAccumulator(str(folder / "seed0" / "tensorboard"), size_guidance={"tensors": 0})
    events.Reload()
    tags = set(events.Tags()["tensors"])
    assert {"loss/train", "loss/validation", "reconstruction_error", "sets"} <= tags
    assert "log_det_per_node/00_batch_norm_0" in tags
    assert [event.step for event in events.Tensors("loss/validation")] == [8, 16, 24]


class StopError(Exception):
    pass


def test_resumes_in_the_middle_of_an_epoch_as_if_uninterrupted(finished, monkeypatch, tmp_path):
    """Stopped after 6 of the 8 steps of epoch 2, with a checkpoint after every call."""
    _, uninterrupted = finished
    on_train_batch_end = training.TrainingState.on_train_batch_end

    def stopping(self, batch, logs=None):
        on_train_batch_end(self, batch, logs)
        if int(self._model.optimizer.iterations) == 14:
            raise StopError

    with monkeypatch.context() as patch:
        patch.setattr(training.TrainingState, "on_train_batch_end", stopping)
        with pytest.raises(StopError):
            run_trainer(tmp_path, checkpoint_minutes=0.0)
    resumed = run_trainer(tmp_path)
    assert resumed["nll"] == uninterrupted["nll"]
    assert resumed["best_validation_nll"] == uninterrupted["best_validation_nll"]


def test_no_two_training_steps_see_the_same_sets(tmp_path):
    config = make_config(tmp_path)
    seeds = [call.numpy().tolist() for _ in range(1) for call in density.seed_stream(config, 0)]
    assert seeds == [[1, 2], [3, 4], [5, 6], [7, 8]]
    stream = density.seed_stream(config, 1)
    later = [call.numpy().tolist() for _ in range(2) for call in stream]
    assert np.ravel(later).tolist() == list(range(9, 25))


def test_averages_follow_the_weights(tmp_path):
    model = density.make_model(make_config(tmp_path, averaging=0.5), seed=0)
    expected = [v.numpy() for v in model.gnf.variables]
    for step in range(1, 4):
        model.train_step(tf.constant([step]))
        kept = min(0.5, (1 + step) / (10 + step))
        expected = [
            v.numpy() + kept * (average - v.numpy())
            for v, average in zip(model.gnf.variables, expected, strict=True)
        ]
    raw = [v.numpy() for v in model.gnf.variables]
    sets = model.sets.sample(density_model.STATISTICS_SETS, seed=(0, 0), edges=model.edges)
    trained = {variable.ref() for variable in model.gnf.trainable_variables}
    with model.averaged():
        for variable, value in zip(model.gnf.variables, expected, strict=True):
            if variable.ref() in trained:
                np.testing.assert_allclose(variable, value, rtol=1e-4, atol=1e-6)
        # Batch statistics are those of the averaged weights.
        frozen = model.log_prob(sets).numpy()
        np.testing.assert_allclose(frozen, model.log_prob(sets, is_training=True), rtol=1e-3)
    assert max(np.abs(a - b).max() for a, b in zip(raw, expected, strict=True)) > 1e-4
    for variable, value in zip(model.gnf.variables, raw, strict=True):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.parametrize("preset", ["quick", "paper", "best"])
@pytest.mark.parametrize("name", ["gnf", "realnvp"])
def test_presets_start_near_the_data(name, preset, tmp_path):
    """Built, and one step taken; a realnvp's nodes are independent, a gnf's are not."""
    config = make_config(tmp_path, preset, model=name, num_blocks=1, dataset="mog_4_9")
    model = density.make_model(config, seed=0)
    model.train_step(tf.constant([1]))
    for variable in model.gnf.trainable_variables:  # a coupling starts as the identity
        variable.assign_add(0.05 * tf.random.stateless_normal(variable.shape, seed=[1, 2]))
    sets = model.sets.sample(2, seed=3, edges=model.edges)
    np.testing.assert_array_equal(sets.n_node, [4, 9])
    together = model.log_prob(sets).numpy()
    nodes = graphs.edgeless([1] * 13, 2).replace(nodes=sets.nodes)
    alone = model.log_prob(nodes).numpy()
    alone = np.array([alone[:4].sum(), alone[4:].sum()])
    assert np.isfinite(together).all()
    assert np.allclose(together, alone, rtol=1e-4) == (name == "realnvp")


def test_several_seeds_make_a_summary(tmp_path, monkeypatch, capsys):
    words = ["density.py", "--seeds", "0", str(2**63 - 1), "--run-dir", str(tmp_path)]
    for name, value in SMALL.items():
        flag = name.replace("_", "-")
        words += [f"--no-{flag}"] if value is False else [f"--{flag}", str(value)]
    monkeypatch.setattr("sys.argv", words)
    density.main()
    summary = json.loads((tmp_path / "results.json").read_text())
    nlls = [run["nll"] for run in summary["runs"]]
    assert summary["seeds"] == [0, 2**63 - 1] and len(set(nlls)) == 2
    np.testing.assert_allclose(summary["nll"], np.mean(nlls))
    np.testing.assert_allclose(summary["error"], np.std(nlls, ddof=1) / math.sqrt(2))
    np.testing.assert_allclose(summary["floor"], 3.6324, atol=1e-3)
    above = summary["above_floor"]
    np.testing.assert_allclose(above, np.mean(nlls) - 3.6324, atol=0.5)  # few test sets
    output = capsys.readouterr().out
    assert "paper 3.6" in output and "above this model's floor" in output


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"steps": 25}, "--steps must be a multiple of .* 3 x 2, got 25"),
        ({"width": 9}, "--width must be a multiple of --num-heads, 2, got 9"),
        ({"batch_size": 0}, "--batch-size must be at least 1, got 0"),
        ({"test_sets": 1}, "--test-sets must be at least 2, got 1"),
        ({"averaging": 1.0}, "--averaging must be in .* got 1.0"),
        ({"learning_rate": 0.0}, "--learning-rate must be positive, got 0.0"),
        ({"seeds": (1, 1)}, "--seeds must be different .* got \\(1, 1\\)"),
        ({"seeds": ()}, "--seeds must be different .* got \\(\\)"),
    ],
)
def test_wrong_options_name_the_option(changes, message, tmp_path):
    with pytest.raises(common.UserError, match=message):
        make_config(tmp_path, **changes)


def test_another_configuration_is_refused(finished):
    with pytest.raises(common.UserError, match="holds a run with width = 8, not 4"):
        run_trainer(finished[0], width=4)
