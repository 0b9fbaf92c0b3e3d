"""Trainers x checks: every trainer, end to end, on real data and on a user's own files."""

import contextlib
import csv
import dataclasses
import importlib
import io
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import networkx as nx
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gnf_tf import datasets, models, training
from gnf_tf.errors import UserError
from gnf_tf.training.state import TrainingState
from tests.trainer_cases import CASES
from trainers import cli, density, ppi, predict, qm9, runner

ROOT = pathlib.Path(__file__).resolve().parent.parent
IMAGE = 5  # least deviation of the pixels of a picture that isn't blank
EAGER = ("--execution", "eager")  # takes half of the seconds of a small run
COMPILED = ("--execution", "function")
TWINS = ("autoencoder", "ppi")  # generation and citation compile the same objectives
# Each way in which an epoch is interrupted: streams of files, one graph, sets drawn by the step.
# Stages are interrupted in test_generator_training.
RESUMED = ("qm9", "citation", "density")
DELETED = ("qm9", "autoencoder")  # a run folder of one model, and of a folder for each seed

pytestmark = pytest.mark.usefixtures("few_are_compared")


def main(monkeypatch, module, *words):
    """The trainer's command line, in this process."""
    monkeypatch.setattr(sys, "argv", [module.__name__.split(".")[-1], *map(str, words)])
    module.main()


def fails(monkeypatch, capsys, module, *words):
    """The line on stderr of a command line that must fail."""
    monkeypatch.setattr(sys, "argv", ["trainer", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        cli.run(module.main)
    assert stop.value.code == 1
    lines = capsys.readouterr().err.splitlines()  # a progress bar may come before
    assert [line.startswith("error: ") for line in lines].index(True) == len(lines) - 1
    return lines[-1]


def read_json(path):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


def numbers(value):
    """Every number of a JSON value but times, in order."""
    if isinstance(value, dict):
        timed = ("seconds", "training_seconds", "input_wait_share", "graphs_per_second")
        return [n for key, part in value.items() if key not in timed for n in numbers(part)]
    if isinstance(value, list):
        return [n for part in value for n in numbers(part)]
    return [value] if isinstance(value, int | float) else []


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run."""

    case: object
    module: object
    words: list
    run_dir: pathlib.Path
    output: str = ""

    @property
    def folder(self):
        return self.run_dir / self.case.folder

    @property
    def stage(self):
        return self.folder / self.case.stage


@pytest.fixture(scope="module", params=CASES, ids=str)
def finished(request, tmp_path_factory):
    """A small run on the trainer's own data."""
    case, folder = request.param, tmp_path_factory.mktemp(request.param.trainer)
    (folder / "data").mkdir()
    module = importlib.import_module(f"trainers.{case.trainer}")
    words = [*case.words, *EAGER, *case.data(folder / "data")]
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as output:
        main(patch, module, *words, "--run-dir", folder / "run")
    return Run(case, module, words, folder / "run", output.getvalue())


def test_results_and_pictures(finished):
    results = read_json(finished.run_dir / "results.json")
    assert len(numbers(results)) > 3
    history = read_json(finished.stage / "history.json")
    assert len(history) == 2 and all(np.isfinite(numbers(history)))
    for path in finished.run_dir.rglob("*.png"):
        assert np.std(tf.image.decode_png(path.read_bytes())) > IMAGE, path
    assert list(finished.run_dir.rglob("loss.png"))


def test_progress_fits_a_terminal(finished):
    lines = [line for line in finished.output.splitlines() if " loss: " in line]
    assert lines and "val_loss: " in lines[-1]
    assert max(map(len, lines)) < 90


def test_a_finished_run_is_printed_again(finished, monkeypatch, capsys):
    before = sorted((str(p), p.stat().st_mtime_ns) for p in finished.folder.rglob("*"))
    main(monkeypatch, finished.module, *finished.words, "--run-dir", finished.run_dir)
    printed = capsys.readouterr().out
    assert "tensorboard --logdir" in printed and "trainers/predict.py" in printed
    assert "Epoch" not in printed
    assert before == sorted((str(p), p.stat().st_mtime_ns) for p in finished.folder.rglob("*"))


def test_a_moved_run_is_the_same_run_and_another_is_refused(
    finished, monkeypatch, capsys, tmp_path
):
    moved = tmp_path / "elsewhere"
    shutil.copytree(finished.run_dir, moved)
    words = [*finished.words, "--run-dir", moved]
    main(monkeypatch, finished.module, *words, "--checkpoint-minutes", 1.0)
    capsys.readouterr()
    line = fails(monkeypatch, capsys, finished.module, *words, "--global-clipnorm", "0.5")
    assert "holds a run with global_clipnorm = " in line and "not 0.5" in line


def test_the_model_is_a_file(finished):
    model = models.load(finished.folder / "model.npz")
    assert type(model).__name__ == finished.case.model
    assert all(np.isfinite(variable.numpy()).all() for variable in model.variables)


def events(folder):
    """Tag -> steps, of each of TensorBoard's runs; and the tags of images."""
    found, images = {}, set()
    for run in {path.parent for path in folder.rglob("*tfevents*")}:
        accumulator = EventAccumulator(str(run), size_guidance={"tensors": 0})
        accumulator.Reload()
        for tag in accumulator.Tags()["tensors"]:
            series = accumulator.Tensors(tag)
            name = tag.split(" [")[0]  # without its unit
            found.setdefault(run.name, {})[name] = [event.step for event in series]
            plugin = accumulator.SummaryMetadata(tag).plugin_data.plugin_name
            images |= {tag} if plugin == "images" else set()
    return found, images


def test_a_model_that_was_deleted_comes_back(finished, monkeypatch, tmp_path):
    """From the last checkpoint, with the same results."""
    if finished.case.trainer not in DELETED:
        pytest.skip("the others keep their files as these do")
    shutil.copytree(finished.run_dir, tmp_path / "run")
    model = tmp_path / "run" / finished.case.folder / "model.npz"
    if finished.case.folder == "":
        model.write_bytes(model.read_bytes()[:100])  # a damaged file is as good as none
    else:
        model.unlink()
    with monkeypatch.context() as patch:
        stopping(patch, lambda state: True)  # no step is taken again
        main(patch, finished.module, *finished.words, "--run-dir", tmp_path / "run")
    again, before = models.load(model), models.load(finished.folder / "model.npz")
    for a, b in zip(again.variables, before.variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_damaged_results_are_computed_again(finished, monkeypatch, tmp_path):
    """Or a training that is intact would be given up."""
    if finished.case.trainer != "qm9":
        pytest.skip("the others keep their results as this one does")
    shutil.copytree(finished.run_dir, tmp_path / "run")
    (tmp_path / "run" / "results.json").write_text('{"rows": null}')
    with monkeypatch.context() as patch:
        stopping(patch, lambda state: True)  # no step is taken again
        main(patch, finished.module, *finished.words, "--run-dir", tmp_path / "run")
    found, expected = (
        read_json(path / "results.json") for path in (tmp_path / "run", finished.run_dir)
    )
    assert found["rows"] == expected["rows"]


@pytest.mark.parametrize("content", [None, "", "{", "{}", "[]", '"command"', '{"rows": null}'])
def test_results_are_computed_once_and_again_where_they_are_damaged(content, tmp_path):
    config = dataclasses.replace(qm9.PRESETS["quick"], run_dir=tmp_path)
    computed = []

    def compute(number):
        np.savez(tmp_path / "model.npz", weights=number)
        computed.append(number)
        return {"rows": number}

    for _ in range(2):
        assert runner.once(config, lambda: (7,), compute)["rows"] == 7
    assert computed == [7]
    results = tmp_path / "results.json"
    results.unlink() if content is None else results.write_text(content)
    for _ in range(2):
        assert runner.once(config, lambda: (8,), compute)["rows"] == 8
    (tmp_path / "model.npz").write_bytes(b"PK")
    assert runner.once(config, lambda: (9,), compute)["rows"] == 9
    assert computed == [7, 8, 9]


def test_tensorboard_compares_runs(finished):
    """Training and validation in one chart, hyperparameters, pictures."""
    found, images = events(finished.stage)
    assert {"train", "validation"} <= found.keys()
    assert set(found["train"]) >= {"loss", "gradient_norm", "training/learning_rate"}
    assert any(tag.startswith("weights/") for tag in found["train"])
    assert set(found["validation"]) >= {"loss", *finished.case.tags}
    history = read_json(finished.stage / "history.json")
    steps = found["validation"]["loss"]
    assert len(steps) == len(history) == 2 and set(steps) <= set(found["train"]["loss"])
    assert "_hparams_/session_start_info" in found[finished.stage.name]
    found, images = events(finished.run_dir)
    assert set(finished.case.images) <= images
    tests = [steps for run in found.values() for tag, steps in run.items() if tag[:5] == "test/"]
    assert tests and all(of_score == steps[-1:] for of_score in tests)


class StopError(Exception):
    """A run is cut off."""


def stopping(patch, when):
    """Training ends with StopError after the first step of which `when(state)`."""
    original = TrainingState.on_train_batch_end

    def after(state, batch, logs=None):
        original(state, batch, logs)
        if when(state):
            raise StopError

    patch.setattr(TrainingState, "on_train_batch_end", after)


def test_resumes_in_the_middle_of_an_epoch_as_if_uninterrupted(finished, monkeypatch, tmp_path):
    if finished.case.trainer not in RESUMED:
        pytest.skip("the others resume as these do")
    words = [*finished.words, "--run-dir", tmp_path / "run", "--checkpoint-minutes", 0.0]
    with monkeypatch.context() as patch:
        stopping(patch, lambda state: state.next_epoch == 1 and state.done_steps == 1)
        with pytest.raises(StopError):
            main(patch, finished.module, *words)
    assert not list((tmp_path / "run").rglob("results.json"))
    main(monkeypatch, finished.module, *words)
    stage = tmp_path / "run" / finished.case.folder / finished.case.stage
    for name, folder in (("history.json", stage), ("results.json", tmp_path / "run")):
        before = finished.stage if folder == stage else finished.run_dir
        resumed, expected = read_json(folder / name), read_json(before / name)
        np.testing.assert_allclose(numbers(resumed), numbers(expected), rtol=2e-3, atol=1e-4)


@pytest.fixture(scope="module", params=CASES, ids=str)
def own(request, tmp_path_factory):
    """A small run on a file of the user's own, compiled as by default, and that file."""
    case, folder = request.param, tmp_path_factory.mktemp(f"own-{request.param.trainer}")
    module = importlib.import_module(f"trainers.{case.trainer}")
    words, path = case.own(folder)
    words = [*case.words, *(EAGER if case.trainer in TWINS else COMPILED), *words]
    with pytest.MonkeyPatch.context() as patch:
        main(patch, module, *words, "--run-dir", folder / "run")
    return Run(case, module, words, folder / "run"), path


def test_own_data_to_a_model_to_answers(own, monkeypatch, capsys):
    """Train on a file, keep one file, ask it about a file."""
    run, path = own
    assert read_json(run.run_dir / "results.json")
    out = path.with_name(f"answers{run.case.answers}")
    model = run.folder / "model.npz"
    main(monkeypatch, predict, model, path, "--out", out)
    assert str(out) in capsys.readouterr().out
    if out.suffix == ".csv":
        with open(out, newline="") as file:
            heads, *rows = csv.reader(file)
        assert len(heads) > 1 and len(rows) > 5
    else:
        assert len(datasets.read_graphs(out)) == len(datasets.read_graphs(path))
    if run.case.model == "GraphDensity":
        out = path.with_name("samples.json")
        main(monkeypatch, predict, model, path, "--out", out)
        made, given = datasets.read_sets(out), datasets.read_sets(path)
        np.testing.assert_array_equal(made.n_node, given.n_node)
        assert np.isfinite(made.nodes).all() and np.std(made.nodes - given.nodes) > 0


def test_no_file_that_is_read_is_written(own, monkeypatch, capsys, tmp_path):
    run, path = own
    model = run.folder / "model.npz"
    before = path.read_bytes(), model.read_bytes()
    for out in (path, model):
        line = fails(monkeypatch, capsys, predict, model, path, "--out", out)
        assert "--out must not be a file that is read" in line
    assert before == (path.read_bytes(), model.read_bytes())
    line = fails(monkeypatch, capsys, predict, model, path, "--out", tmp_path)
    assert "--out must be a file, got" in line


def test_a_folder_with_a_run_of_another_trainer_is_refused(own, monkeypatch, capsys, tmp_path):
    """Of one that keeps its runs elsewhere in its folder."""
    run, _ = own
    folder = tmp_path if run.case.folder == "" else tmp_path / "seed0"
    other = tmp_path / "seed0" if run.case.folder == "" else tmp_path
    other.mkdir(exist_ok=True)
    (other / "config.json").write_text("{}")
    line = fails(monkeypatch, capsys, run.module, *run.words, "--run-dir", tmp_path)
    assert "holds a run of another trainer" in line
    assert not (folder / "history.json").exists()


def test_a_finished_run_belongs_to_what_the_file_holds(own, monkeypatch, capsys, tmp_path):
    """Not to its place."""
    run, path = own
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    words = [str(copy) if word == path else word for word in run.words]
    command = [*words, "--run-dir", run.run_dir]
    main(monkeypatch, run.module, *command)
    assert "Epoch" not in capsys.readouterr().out
    copy.write_bytes(path.read_bytes() + b"\n")
    line = fails(monkeypatch, capsys, run.module, *command)
    assert "holds a run with data_digest = " in line


def test_own_data_must_be_there_and_whole(own, monkeypatch, capsys, tmp_path):
    run, path = own
    (tmp_path / f"empty{path.suffix}").touch()
    (tmp_path / "unknown.suffix").touch()
    for name in (f"missing{path.suffix}", f"empty{path.suffix}", "unknown.suffix"):
        words = [str(tmp_path / name) if word == path else word for word in run.words]
        line = fails(monkeypatch, capsys, run.module, *words, "--run-dir", tmp_path / "run")
        assert name in line
        assert "damaged" not in line or "suffix" not in name
        assert not (tmp_path / "run").exists()


def test_an_element_in_no_training_molecule_is_an_error_before_training(
    monkeypatch, capsys, tmp_path
):
    words, path = CASES[0].own(tmp_path)
    path.write_text(path.read_text().replace("O ", "S ", 1))
    molecules, shares = datasets.read_molecules(path), (0.3, 0.3, 0.4)
    splits = ((seed, molecules.split(shares, seed=seed)) for seed in range(99))
    seed = next(seed for seed, (train, *_) in splits if 16 not in train.atomic_numbers)
    words += ["--fractions", *shares, "--seed", seed, "--run-dir", tmp_path / "run"]
    line = fails(monkeypatch, capsys, qm9, *words)
    assert f"the elements S in no training molecule of seed {seed}" in line
    assert not (tmp_path / "run").exists()


def test_columns_of_the_molecules_own_table_are_targets(monkeypatch, capsys, tmp_path):
    """Beside a column of text; a run belongs to its targets; answers have the titles."""
    path, run = tmp_path / "mine.csv", tmp_path / "run"
    smiles = ["C" * k for k in range(1, 11)]
    rows = [f"{text},alkane,{k},{-k}" for k, text in enumerate(smiles)]
    path.write_text("\n".join(["smiles,note,logS [1],gap (eV)", *rows]))
    words = [*CASES[0].words, *EAGER, "--data", path, "--run-dir", run, "--epochs", 1]
    main(monkeypatch, qm9, *words, "--targets", "gap", "logS")
    main(monkeypatch, predict, run / "model.npz", path, "--out", tmp_path / "answers.csv")
    with open(tmp_path / "answers.csv", newline="") as file:
        heads, *found = csv.reader(file)
    assert heads == ["molecule", "title", "gap [eV]", "logS [1]", "unfamiliar"]
    assert [row[1] for row in found] == smiles
    line = fails(monkeypatch, capsys, qm9, *words, "--targets", "logS")
    assert "holds a run with targets_digest = ['gap', 'logS'], not ['logS']" in line
    for given, message in (
        ([path], "line 2: expected a finite number as `note`, got 'alkane'"),
        (["logD"], "expected a field `logD`, got"),
        (["gap", "gap"], "--targets: `targets` must be distinct names"),
        ([], "--targets must be given"),
    ):
        words[-3] = tmp_path / "new"
        line = fails(monkeypatch, capsys, qm9, *words, "--targets", *given)
        assert message in line and not words[-3].exists()


def test_a_weight_of_no_target_is_an_error_before_training(monkeypatch, capsys, tmp_path):
    words, _ = CASES[0].own(tmp_path)
    words += ["--target-weights", "dipol", 2.0, "--run-dir", tmp_path / "run"]
    line = fails(monkeypatch, capsys, qm9, *words)
    assert "--target-weights must be weights of targets among" in line and "dipol" in line


@pytest.mark.parametrize(
    "own, message",
    [
        (
            ["--readouts", "energy", "dipole"],
            "--readouts: `readouts` must be scalar for the target",
        ),
        (["--target", "u0"], "--target is for the public data and must be left out with --data"),
        (["--train-size", 9], "--train-size is for the public data and must be left out with"),
        (["--data-dir", "x"], "--data-dir is for the public data and must be left out with --data"),
    ],
)
def test_what_prevents_a_training_leaves_no_run_folder(own, message, monkeypatch, capsys, tmp_path):
    words, _ = CASES[0].own(tmp_path)
    words += [*own, "--run-dir", tmp_path / "run"]
    line = fails(monkeypatch, capsys, qm9, *words)
    assert message in line and not (tmp_path / "run").exists()


def test_a_part_without_labels_is_an_error_before_training(monkeypatch, capsys, tmp_path):
    case = next(case for case in CASES if case.trainer == "ppi")
    words, path = case.own(tmp_path)
    arrays = dict(np.load(path))
    arrays["node_labels"][arrays["n_nodes"][0] :] = -1  # one graph has labels
    np.savez(path, **arrays)
    words += ["--run-dir", tmp_path / "run"]
    line = fails(monkeypatch, capsys, ppi, *words)
    assert "--data has labels at no node of the" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_wrong_options_are_one_line(case, monkeypatch, capsys, tmp_path):
    module = importlib.import_module(f"trainers.{case.trainer}")
    (tmp_path / "file").touch()
    for words, message in (
        (("--learning-rat", "1"), "--learning-rat"),
        (("--batch-size", "many"), "--batch-size must be a whole number"),
        (("--learning-rate", "1,5"), "--learning-rate must be a number"),  # or None
        (("--preset", "slow"), "--preset must be one of quick, paper, best, got 'slow'"),
        (("--learning-rate", "-1"), "--learning-rate must be positive, got -1.0"),
        (("--run-dir", tmp_path / "file" / "run"), "can't write the run folder"),
    ):
        line = fails(
            monkeypatch, capsys, module, "--run-dir", tmp_path / "run", *case.data(tmp_path), *words
        )
        assert message in line
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_help_names_every_option_once(case, monkeypatch, capsys):
    module = importlib.import_module(f"trainers.{case.trainer}")
    monkeypatch.setattr(sys, "argv", [case.trainer, "--help"])
    with pytest.raises(SystemExit) as stop:
        cli.run(module.main)
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("usage:")
    for name in cli.flat(module.PRESETS["quick"]).keys() - set(case.hidden):
        assert cli.as_option(name) in text


def test_resumes_after_sigkill(tmp_path):
    """As a user runs it, with nothing on stderr."""
    case, folder = CASES[0], tmp_path / "killed"
    command = [sys.executable, "trainers/qm9.py", *case.words, *COMPILED, *case.data(tmp_path)]
    command += ["--run-dir", str(folder)]
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
    assert len(read_json(folder / "history.json")) == 2


@pytest.mark.parametrize(
    "error, line",
    [
        (MemoryError(), "error: there is too little memory; smaller sizes or batches may help"),
        (
            OSError(28, "No space left on device", "checkpoints/x"),
            "error: No space left on device: checkpoints/x",
        ),
        (
            tf.errors.ResourceExhaustedError(None, None, "events/x; No space left on device"),
            "error: events/x; No space left on device",
        ),
        (
            tf.errors.ResourceExhaustedError(None, None, "Graph execution error:\n\nOOM when"),
            "error: there is too little memory; smaller sizes or batches may help",
        ),
    ],
)
def test_what_runs_out_is_one_line(error, line, capsys):
    def stop():
        raise error

    with pytest.raises(SystemExit) as stopped:
        cli.run(stop)
    assert stopped.value.code == 1 and capsys.readouterr().err == f"{line}\n"


def test_a_fault_of_a_compiled_program_keeps_its_traceback():
    def stop():
        raise tf.errors.InvalidArgumentError(None, None, "Graph execution error:\n\nDetected at")

    with pytest.raises(tf.errors.InvalidArgumentError):
        cli.run(stop)


def test_interrupt_says_how_to_resume(capsys):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stop:
        cli.run(interrupted)
    assert stop.value.code == 130
    assert "the same command resumes" in capsys.readouterr().err


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float64("-inf")])
def test_json_is_valid_whatever_the_numbers(value, tmp_path):
    """What is no number is null, for the one who wrote it as for who reads it."""
    path = tmp_path / "value.json"
    written = training.write_json(path, {"a": [value, 1.5], "b": ({"c": value}, "nan")})
    assert written == {"a": [None, 1.5], "b": [{"c": None}, "nan"]}
    assert read_json(path) == training.read_json(path) == written
    with pytest.raises(TypeError):
        training.write_json(path, {"a": object()})
    assert read_json(path) == written and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "trainer, words",
    [
        ("density", ["--dataset", "mog_ring"]),
        ("density", ["--test-sets", "50"]),
        ("density", ["--validation-sets", "50"]),
        ("citation", ["--dataset", "pubmed"]),
        ("citation", ["--split", "one_percent"]),
        ("ppi", ["--data-dir", "x"]),
        ("generation", ["--dataset", "planar"]),
    ],
)
def test_options_of_the_public_data_are_no_options_of_own_data(
    trainer, words, monkeypatch, capsys, tmp_path
):
    case = next(case for case in CASES if case.trainer == trainer)
    own, _ = case.own(tmp_path)
    module = importlib.import_module(f"trainers.{trainer}")
    assert f"{words[0]} " in fails(monkeypatch, capsys, module, *own, *words)


@pytest.mark.parametrize("case", [case for case in CASES if case.trainer != "qm9"], ids=str)
def test_fractions_are_for_own_data(case, monkeypatch, capsys):
    module = importlib.import_module(f"trainers.{case.trainer}")
    line = fails(monkeypatch, capsys, module, "--fractions", 0.3, 0.3, 0.3)
    assert "--fractions is for your own data and must be left out without --data" in line


def test_what_is_read_decides_whose_run_it_is(tmp_path):
    """Other files of a data set in TU's format, and folders behind links, count too."""
    (tmp_path / "DS_A.txt").write_text("1, 2")
    (tmp_path / "DS_graph_indicator.txt").write_text("1\n1")
    before = cli.digest(tmp_path / "DS_A.txt")
    (tmp_path / "DS_graph_indicator.txt").write_text("1\n1\n1")
    assert cli.digest(tmp_path / "DS_A.txt") != before
    (tmp_path / "real").mkdir()
    (tmp_path / "folder").mkdir()
    (tmp_path / "real" / "a.g6").write_text("A_")
    (tmp_path / "folder" / "link").symlink_to(tmp_path / "real")
    before = cli.digest(tmp_path / "folder")
    (tmp_path / "folder" / "README").write_text("not read")
    assert cli.digest(tmp_path / "folder") == before
    (tmp_path / "real" / "a.g6").write_text("A?")
    assert cli.digest(tmp_path / "folder") != before


def test_a_run_folder_in_the_data_is_refused(tmp_path):
    """The next run would read it."""
    config = density.Config(data=tmp_path, run_dir=tmp_path / "runs" / "a")
    with pytest.raises(UserError, match="--run-dir must not be in the folder that is read"):
        density.resolve(config)


@pytest.mark.parametrize("trainer", ["density", "ppi"])
def test_marked_test_graphs_are_the_test(trainer, tmp_path):
    module = importlib.import_module(f"trainers.{trainer}")
    graphs = [nx.path_graph(3) for _ in range(10)]
    for i, graph in enumerate(graphs):
        nx.set_node_attributes(graph, {node: [i, node] for node in graph}, "features")
        nx.set_node_attributes(graph, {node: node % 2 for node in graph}, "label")
    datasets.write_graphs(tmp_path / "plain.npz", graphs)
    arrays = dict(np.load(tmp_path / "plain.npz"))
    is_test = np.arange(10) >= 7
    np.savez(tmp_path / "marked.npz", **arrays, is_test=is_test)
    config = module.Config(data=tmp_path / "marked.npz", fractions=(0.6, 0.2, 0.2))
    parts = module.load(config, 0)
    nodes = [part.features if trainer == "ppi" else part.nodes for part in parts]
    found = [sorted({int(row[0]) for row in np.asarray(values)}) for values in nodes]
    assert found[2] == [7, 8, 9] and sorted(found[0] + found[1]) == list(range(7))
    assert list(map(len, found)) == [5, 2, 3]
    np.savez(tmp_path / "marked.npz", **arrays, is_test=np.zeros(10, bool))
    with pytest.raises(UserError, match="--data must have test members"):
        module.load(config, 0)


def test_the_files_of_ppi_keep_their_sets(tmp_path):
    (tmp_path / "train_feats.npy").touch()
    with pytest.raises(UserError, match="--data-dir is for the files of PPI"):
        ppi.load(ppi.Config(data=tmp_path), 0)


@pytest.mark.parametrize(
    "words, message",
    [
        (("--fractions", "0.8", "0.1"), "--fractions must be three numbers with blanks between"),
        (("--seeds", "0,1"), "--seeds must be whole numbers with blanks between them"),
    ],
)
def test_lists_are_described_in_words(words, message, monkeypatch, capsys):
    assert message in fails(monkeypatch, capsys, density, *words)
