"""Trainers end to end on real molecules: results, TensorBoard, resuming, errors in one line."""

import dataclasses
import json
import math
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gnf_tf import datasets
from trainers import common, qm9, training
from trainers.qm9_model import composition

SIDES = ("train", "validation")
ROOT = pathlib.Path(__file__).resolve().parent.parent
SMALL = {
    "train_size": 64,
    "validation_size": 24,
    "test_size": 40,
    "epochs": 3,
    "batch_size": 16,
    "num_steps": 2,
    "node_size": 8,
    "message_size": 8,
    "num_basis": 6,
    "jit": False,
}


def options(run_dir, **changes):
    values = SMALL | {"run_dir": run_dir} | changes
    words = []
    for name, value in values.items():
        flag = f"--{name.replace('_', '-')}"
        words += [f"--no-{name}"] if value is False else [flag, str(value)]
    return words


def run_trainer(run_dir, **changes):
    config = dataclasses.replace(qm9.PRESETS["quick"], **(SMALL | {"run_dir": run_dir} | changes))
    return qm9.train_and_evaluate(qm9.resolve(config))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run: (folder, results)."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    return folder, run_trainer(folder)


def test_results_are_complete_and_reproducible_from_the_folder(finished):
    folder, results = finished
    assert [row["target"] for row in results["rows"]] == list(datasets.QM9_TARGETS)
    assert results["test_molecules"] == 40 and results["epochs"] == 3
    test = datasets.qm9("test", size=40)
    train = datasets.qm9("train", size=64)
    of_mean = np.abs(test.targets - train.targets.mean(axis=0)).mean(axis=0)
    np.testing.assert_allclose([row["mae_of_mean"] for row in results["rows"]], of_mean)
    weights = np.linalg.lstsq(composition(train), train.targets, rcond=None)[0]
    of_fit = np.abs(test.targets - composition(test) @ weights).mean(axis=0)
    fits = [row["mae_of_composition"] for row in results["rows"]]
    np.testing.assert_allclose(fits, of_fit, rtol=1e-3)
    for row in results["rows"]:
        np.testing.assert_allclose(row["ratio"], row["mae_of_mean"] / row["mae"])
        assert 0 < row["mae"] < row["mae_of_mean"] * 2
    assert json.loads((folder / "results.json").read_text()) == results
    config = json.loads((folder / "config.json").read_text())
    assert config["node_size"] == 8 and config["memory"] == "reversible"
    assert 0 <= results["input_wait_share"] < 1 and results["reconstruction_error"] < 1e-3
    for name in ("predicted_against_true.png", "loss.png"):
        image = tf.image.decode_png((folder / name).read_bytes())
        assert np.std(image) > 5
    # The weights are there too: they give the same number again.
    model = qm9.make_model(
        qm9.resolve(dataclasses.replace(qm9.PRESETS["quick"], **SMALL)),
        train,
        next(iter(datasets.batches(test, 16))),
    )
    tf.train.Checkpoint(model=model).read(str(folder / "best")).assert_existing_objects_matched()
    errors = np.abs(qm9.predict(model, test, 16) - test.targets).mean(axis=0)
    np.testing.assert_allclose([row["mae"] for row in results["rows"]], errors, rtol=1e-4)


def test_a_finished_run_is_not_run_again(finished):
    folder, results = finished
    before = sorted((path.name, path.stat().st_mtime_ns) for path in folder.rglob("*"))
    assert run_trainer(folder) == results
    assert before == sorted((path.name, path.stat().st_mtime_ns) for path in folder.rglob("*"))


def test_tensorboard_has_what_is_promised(finished):
    folder, _ = finished
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"tensors": 0})
    events.Reload()
    tags = set(events.Tags()["tensors"])
    expected = {"loss/train", "loss/validation", "learning_rate", "gradient_norm/train"}
    expected |= {"reconstruction_error", "predicted_against_true", "configuration"}
    expected |= {"input_wait_share"}
    expected |= {
        f"mae_{t}/{side}" for t in datasets.QM9_TARGETS for side in ("train", "validation")
    }
    assert expected <= tags
    assert any(tag.startswith("weights/") for tag in tags)
    assert [event.step for event in events.Tensors("loss/validation")] == [4, 8, 12]
    assert {event.step for event in events.Tensors("loss/train")} == set(range(1, 13))
    rates = [float(tf.make_ndarray(e.tensor_proto)) for e in events.Tensors("learning_rate")]
    assert rates[-1] < rates[0]
    history = json.loads((folder / "history.json").read_text())
    for tag, name in ("loss/train", "loss"), ("loss/validation", "val_loss"):
        values = {e.step: float(tf.make_ndarray(e.tensor_proto)) for e in events.Tensors(tag)}
        expected = [epoch[name] for epoch in history]
        np.testing.assert_allclose([values[step] for step in (4, 8, 12)], expected, rtol=1e-6)


def test_gnn_is_the_identical_network(finished, tmp_path):
    """Stored activations, same seed: the same errors up to float32 rounding in training."""
    _, results = finished
    other = run_trainer(tmp_path / "gnn", model="gnn")
    for a, b in zip(results["rows"], other["rows"], strict=True):
        np.testing.assert_allclose(a["mae"], b["mae"], rtol=5e-3)


def test_resumes_after_sigkill_as_if_uninterrupted(finished, tmp_path):
    folder = tmp_path / "killed"
    command = [sys.executable, "trainers/qm9.py", *options(folder)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (folder / "history.json").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (folder / "results.json").exists()

    # As a user runs it: other tests set a level, with which TensorFlow writes what it likes.
    own = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=own)
    assert done.returncode == 0 and done.stderr == ""
    assert "tensorboard --logdir" in done.stdout
    assert len(json.loads((folder / "history.json").read_text())) == 3
    rows = json.loads((folder / "results.json").read_text())["rows"]
    for a, b in zip(rows, finished[1]["rows"], strict=True):
        np.testing.assert_allclose(a["mae"], b["mae"], rtol=1e-4)


class StopError(Exception):
    pass


def stopping(monkeypatch, method, when):
    """Training ends with StopError after that method of the state, once `when(state)`."""
    original = getattr(training.TrainingState, method)

    def after(state, *args, **kwargs):
        original(state, *args, **kwargs)
        if when(state):
            raise StopError

    monkeypatch.setattr(training.TrainingState, method, after)


def test_resumes_in_the_middle_of_an_epoch(finished, monkeypatch, tmp_path):
    """With the batches and the metrics that the epoch has left, to the same history and results."""
    options = {"run_dir": tmp_path / "run", "checkpoint_minutes": 0.0}
    with monkeypatch.context() as patch:
        stopping(patch, "on_train_batch_end", lambda state: state.done_steps == 2 and state.epoch)
        with pytest.raises(StopError):
            run_trainer(**options)
    results = run_trainer(**options)
    for a, b in zip(results["rows"], finished[1]["rows"], strict=True):
        np.testing.assert_allclose(a["mae"], b["mae"], rtol=1e-4)
    resumed, expected = (
        json.loads((folder / "history.json").read_text())
        for folder in (tmp_path / "run", finished[0])
    )
    assert len(resumed) == len(expected) == 3
    for a, b in zip(resumed, expected, strict=True):
        np.testing.assert_allclose(list(a.values()), list(b.values()), rtol=1e-3)


def test_interrupting_saves_the_place_in_the_epoch(monkeypatch, tmp_path):
    run_dir = tmp_path / "run"

    def interrupt(state, batch, logs=None):
        if state.done_steps == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training.TrainingState, "on_train_batch_end", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_trainer(run_dir)
    checkpoint = tf.train.latest_checkpoint(run_dir / "checkpoints")
    assert checkpoint
    variable = "optimizer/_iterations/.ATTRIBUTES/VARIABLE_VALUE"
    assert tf.train.load_checkpoint(checkpoint).get_tensor(variable) == 3


def test_resuming_restores_optimizer_and_early_stopping(monkeypatch, tmp_path):
    run_dir = tmp_path / "run"
    with monkeypatch.context() as patch:
        stopping(patch, "on_epoch_end", lambda state: state.next_epoch == 2)
        with pytest.raises(StopError):
            run_trainer(run_dir, patience=3)
    train = datasets.qm9("train", size=64)
    config = qm9.resolve(
        dataclasses.replace(qm9.PRESETS["quick"], **SMALL, run_dir=run_dir, patience=3)
    )
    model = qm9.make_model(config, train, next(iter(datasets.batches(train, 16))))
    state = training.TrainingState(run_dir, model, steps_per_epoch=4, patience=3, save_seconds=60.0)
    assert state.next_epoch == 2 and len(state.history) == 2
    assert int(model.optimizer.iterations) == 2 * 4
    assert float(state.best) == min(epoch["val_loss"] for epoch in state.history)
    assert float(state.seconds) > 0


def test_overfits_a_few_molecules():
    config = qm9.resolve(
        dataclasses.replace(
            qm9.PRESETS["quick"],
            **SMALL | {"epochs": 300, "node_size": 32, "message_size": 32, "learning_rate": 3e-3},
        )
    )
    few = datasets.qm9("train", size=16, targets=["alpha"])
    stream = datasets.batches(few, 16)
    tf_keras.utils.set_random_seed(0)
    model = qm9.make_model(config, few, next(iter(stream)))
    model.fit(stream.repeat(config.epochs), verbose=0)
    errors = np.abs(qm9.predict(model, few, 16) - few.targets)
    assert errors.mean() < 0.1 * np.abs(few.targets - few.targets.mean()).mean()


@pytest.mark.parametrize("train_size", [1, 3])
def test_few_molecules_and_any_seed_have_finite_results(train_size, tmp_path):
    """The fit on the composition is exact: nothing is left to normalise by."""
    sizes = {"train_size": train_size, "validation_size": 1, "test_size": 1}
    results = run_trainer(tmp_path, **sizes, epochs=1, seed=2**63 - 1)
    assert None not in {value for row in results["rows"] for value in row.values()}
    assert results["best_validation_loss"] < 1e4


def test_early_stop(tmp_path):
    """A learning rate of next to nothing never gets better twice over."""
    results = run_trainer(tmp_path / "stop", learning_rate=1e-12, epochs=30, patience=2)
    assert results["epochs"] < 30


def fails(capsys, monkeypatch, *words):
    """The line on stderr of the command line that must fail."""
    monkeypatch.setattr(sys, "argv", ["qm9.py", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        common.run(qm9.main)
    assert stop.value.code == 1
    lines = capsys.readouterr().err.splitlines()  # a progress bar may come before
    assert [line.startswith("error: ") for line in lines].index(True) == len(lines) - 1
    return lines[-1]


@pytest.mark.parametrize(
    "words, message",
    [
        (("--target", "colour"), "--target must be 'all' or one of mu, alpha"),
        (("--model", "gnn", "--memory", "reversible"), "--model gnn stores its activations"),
        (("--learning-rat", "1"), "--learning-rat"),
        (("--epochs", "many"), "many"),
        (("--epochs", "0"), "--epochs must be at least 1, got 0"),
        (("--preset", "slow"), "--preset must be one of quick, paper, best, got 'slow'"),
        (("--node-size", "7"), "--node-size must be even, got 7"),
        (
            ("--test-size", "20000"),
            "--test-size: `size` must be from 1 to 10831 for 'test', got 20000",
        ),
        (("--learning-rate", "-1"), "--learning-rate must be positive, got -1.0"),
    ],
)
def test_wrong_options_are_one_line(capsys, monkeypatch, tmp_path, words, message):
    assert message in fails(capsys, monkeypatch, "--run-dir", tmp_path / "run", *words)
    assert not (tmp_path / "run").exists()


def test_bad_folders_and_files_are_one_line(capsys, monkeypatch, tmp_path, finished):
    blocked = tmp_path / "file"
    blocked.write_text("")
    line = fails(capsys, monkeypatch, *options(blocked / "run"))
    assert "can't write the run folder" in line
    line = fails(capsys, monkeypatch, *options(tmp_path / "a", data_dir=blocked))
    assert "can't write the data cache" in line
    damaged = tmp_path / "data"
    damaged.mkdir()
    (damaged / "qm9-1.npz").write_bytes(b"half a file")
    line = fails(capsys, monkeypatch, *options(tmp_path / "b", data_dir=damaged))
    assert "is damaged" in line and "delete it" in line
    line = fails(capsys, monkeypatch, *options(finished[0], learning_rate=0.5))
    assert "holds a run with learning_rate = 0.002, not 0.5" in line


def test_a_moved_run_is_the_same_run(finished, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(finished[0], moved)
    assert run_trainer(moved, checkpoint_minutes=1.0) == finished[1]


def test_progress_fits_a_terminal(capsys, tmp_path):
    run_trainer(tmp_path / "run", epochs=1)
    lines = [line for line in capsys.readouterr().out.splitlines() if " loss: " in line]
    assert lines and "val_loss: " in lines[-1]
    assert max(map(len, lines)) < 90


def test_a_loss_that_is_not_a_number_is_one_line(capsys, monkeypatch, tmp_path):
    line = fails(capsys, monkeypatch, *options(tmp_path / "nan", learning_rate=1e30))
    assert "the loss is" in line and "--learning-rate" in line


def test_damaged_run_files_are_one_line(capsys, monkeypatch, tmp_path):
    run_dir = tmp_path / "run"
    with monkeypatch.context() as patch:
        stopping(patch, "on_epoch_end", lambda state: True)
        with pytest.raises(StopError):
            run_trainer(run_dir)
    for path in (run_dir / "checkpoints").glob("*.data*"):
        path.write_bytes(path.read_bytes()[:1000])
    assert "can't be read" in fails(capsys, monkeypatch, *options(run_dir))
    (run_dir / "results.json").write_text("{")
    assert "results.json is damaged" in fails(capsys, monkeypatch, *options(run_dir))


def test_full_disk_is_one_line(capsys, monkeypatch, tmp_path):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device", "checkpoints/x")

    monkeypatch.setattr(tf.train.CheckpointManager, "save", full)
    line = fails(capsys, monkeypatch, *options(tmp_path / "full"))
    assert line == "error: No space left on device: checkpoints/x"


def test_too_little_memory_is_one_line(capsys):
    def too_large():
        np.zeros(2**55)

    with pytest.raises(SystemExit) as stop:
        common.run(too_large)
    assert stop.value.code == 1
    assert capsys.readouterr().err.startswith("error: there is too little memory")


def test_weights_that_were_never_good_are_not_the_best(capsys, monkeypatch, tmp_path):
    """Else results would be those of the initial ones."""
    on_epoch_end = training.TrainingState.on_epoch_end

    def diverged(state, epoch, logs):
        on_epoch_end(state, epoch, logs | {"val_loss": math.nan})

    monkeypatch.setattr(training.TrainingState, "on_epoch_end", diverged)
    line = fails(capsys, monkeypatch, *options(tmp_path / "run", epochs=1))
    assert line == "error: val_loss was finite in no epoch; a lower --learning-rate may help"
    (epoch,) = json.loads((tmp_path / "run" / "history.json").read_text())
    assert epoch["val_loss"] is None and epoch["loss"] > 0


def test_interrupt_says_how_to_resume(capsys, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stop:
        common.run(interrupted)
    assert stop.value.code == 130
    assert "the same command resumes" in capsys.readouterr().err


def test_json_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "value.json"
    common.write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        common.write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1} and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", [float, np.float64])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_json_is_valid_whatever_the_numbers(kind, value, tmp_path):
    """What is no number is null, for the one who wrote it as for who reads it."""

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    path = tmp_path / "value.json"
    written = common.write_json(path, {"a": [kind(value), 1.5], "b": ({"c": kind(value)}, "nan")})
    assert written == {"a": [None, 1.5], "b": [{"c": None}, "nan"]}
    assert json.loads(path.read_text(), parse_constant=refuse) == common.read_json(path) == written


def test_results_that_are_no_numbers_are_printed(finished):
    _, results = finished
    rows = [row | {"mae": None} for row in results["rows"]]
    assert qm9.table(rows, "grevnet").count("nan") == len(rows)


def test_help_reads_well(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["qm9.py", "--help"])
    with pytest.raises(SystemExit) as stop:
        common.run(qm9.main)
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for field in dataclasses.fields(qm9.Config):
        assert f"--{field.name.replace('_', '-')}" in text
