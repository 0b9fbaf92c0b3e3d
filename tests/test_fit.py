"""`gnf_tf.training.fit` in a notebook's way: with and without a folder, resumed, refused."""

import dataclasses
import gc
import itertools
import json
import math
import shutil
import time
import weakref
from unittest import mock

import networkx as nx
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from gnf_tf import datasets, models, training
from gnf_tf.errors import UserError
from gnf_tf.training import run_folder
from gnf_tf.training.fit import digest
from gnf_tf.training.input_wait import InputWait
from gnf_tf.training.objective import step_seed
from gnf_tf.training.state import TrainingState

CONFIG = models.RegressorConfig(num_steps=1, node_size=8, message_size=8, num_basis=6)
SETTINGS = {"batch_size": 8, "execution": "eager"}
SEEDS = [0, 1, 2**31 - 1, 2**31, 2**31 + 1, 2**32, 2**32 + 1, 3 * 2**32, 2**63 - 1, 2**63, 2**70]


@pytest.fixture(scope="module")
def molecules():
    """(training, validation) molecules of QM9, with two targets."""
    return tuple(
        datasets.qm9(split, size=size, targets=["alpha", "gap"])
        for split, size in (("train", 24), ("validation", 10))
    )


def new_model(train):
    training.set_seed(0)
    return models.MoleculeRegressor.for_data(train, CONFIG)


def weights(model):
    return [variable.numpy() for variable in model.variables]


def test_without_a_folder_nothing_is_written_and_the_model_can_be_freed(
    molecules, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    model = new_model(molecules[0])
    before = weights(model)
    history = training.fit(model, *molecules, epochs=3, **SETTINGS)
    assert not list(tmp_path.iterdir())
    assert set(history.history) >= {"loss", "val_loss", "mae/alpha", "val_mae/gap"}
    assert all(len(values) == history.epochs == 3 for values in history.history.values())
    assert history.best == min(history.history["val_loss"])
    assert any((a != b).any() for a, b in zip(before, weights(model), strict=True))
    reference = weakref.ref(model)
    del model
    gc.collect()
    assert reference() is None


def test_the_same_with_a_folder_from_which_the_model_comes_back(molecules, tmp_path):
    """To the bit; and the same call again returns at once with the same."""
    plain, kept, again = (new_model(molecules[0]) for _ in range(3))
    first = training.fit(plain, *molecules, epochs=2, **SETTINGS)
    second = training.fit(kept, *molecules, epochs=2, folder=tmp_path / "run", **SETTINGS)
    assert first.history == second.history
    loaded = models.load(tmp_path / "run" / "model.npz")
    third = training.fit(again, *molecules, epochs=2, folder=tmp_path / "run", **SETTINGS)
    assert dataclasses.replace(third, diagnostics=second.diagnostics) == second
    for model in (kept, loaded, again):
        for a, b in zip(weights(plain), weights(model), strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_best_weights_are_kept(molecules):
    """Those of the epoch with the least validation loss, whatever came after."""
    model = new_model(molecules[0])
    at_epoch_ends = []
    callback = tf_keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: at_epoch_ends.append((logs["val_loss"], weights(model)))
    )
    history = training.fit(
        model, *molecules, epochs=8, callbacks=[callback], learning_rate=0.3, **SETTINGS
    )
    losses = [loss for loss, _ in at_epoch_ends]
    best = int(np.argmin(losses))
    assert best < 7 and history.best == losses[best]
    for a, b in zip(at_epoch_ends[best][1], weights(model), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_averages_serve_for_validation_and_are_kept(ema_decay, molecules):
    """By the rule of the docstring, from each step's weights."""
    model = new_model(molecules[0])
    expected = [np.zeros(v.shape) for v in model.variables]

    def update(batch, logs):
        kept = min(ema_decay, (2.0 + batch) / (11.0 + batch))
        expected[:] = [w + kept * (e - w) for w, e in zip(weights(model), expected, strict=True)]

    expected[:] = weights(model)
    callback = tf_keras.callbacks.LambdaCallback(on_train_batch_end=update)
    training.fit(model, *molecules, epochs=1, callbacks=[callback], ema_decay=ema_decay, **SETTINGS)
    for a, b in zip(weights(model), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_it_overfits_a_few_molecules(molecules):
    few = molecules[0].select(np.argsort(molecules[0].n_atoms)[:8])
    training.set_seed(0)
    config = models.RegressorConfig(num_steps=2, node_size=32, message_size=32)
    model = models.MoleculeRegressor.for_data(few, config)
    ten_times = few.select(np.tile(np.arange(8), 10))  # an epoch costs more than its steps
    settings = {"batch_size": 8, "learning_rate": 3e-3, "execution": "function"}
    # After half of these epochs, rounding decides whether the error is a tenth of the spread.
    training.fit(model, ten_times, few, epochs=50, **settings)
    errors = np.abs(model.predict(few) - few.targets).mean(axis=0)
    assert (errors < 0.01 * np.abs(few.targets - few.targets.mean(axis=0)).mean(axis=0)).all()


def test_it_stops_early(molecules):
    """A learning rate of next to nothing never gets better twice over."""
    model = new_model(molecules[0])
    history = training.fit(
        model, *molecules, epochs=30, learning_rate=1e-12, patience=2, **SETTINGS
    )
    assert history.epochs < 30


@pytest.mark.parametrize("method", ["on_train_batch_end", "on_epoch_end"])
def test_a_callback_that_stops_ends_the_training(method, molecules, tmp_path, capsys):
    """Also where it stops within an epoch, and where the training is called again."""
    model = new_model(molecules[0])

    def stop(number, logs):
        if number == 1:  # in the first epoch, or after the second
            keras_model.stop_training = True

    class Stop(tf_keras.callbacks.LambdaCallback):
        def set_model(self, given):
            nonlocal keras_model
            keras_model = given

    keras_model = None
    arguments = {"epochs": 4, "folder": tmp_path / "run", **SETTINGS}
    first = training.fit(model, *molecules, callbacks=[Stop(**{method: stop})], **arguments)
    assert first.epochs == {"on_train_batch_end": 1, "on_epoch_end": 2}[method]
    stopped = weights(model)
    capsys.readouterr()
    again = new_model(molecules[0])
    assert training.fit(again, *molecules, **arguments).epochs == first.epochs
    assert "resuming" not in capsys.readouterr().out
    for a, b in zip(weights(again), stopped, strict=True):
        np.testing.assert_array_equal(a, b)


def test_interrupting_saves_the_place_in_the_epoch(molecules, monkeypatch, tmp_path):
    def interrupt(state, batch, logs=None):
        if state.done_steps == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(TrainingState, "on_train_batch_end", interrupt)
        training.fit(new_model(molecules[0]), *molecules, epochs=2, folder=tmp_path, **SETTINGS)
    checkpoint = tf.train.latest_checkpoint(tmp_path / "checkpoints")
    variable = "optimizer/_iterations/.ATTRIBUTES/VARIABLE_VALUE"
    assert tf.train.load_checkpoint(checkpoint).get_tensor(variable) == 2


def test_interrupted_again_before_it_goes_on_an_epoch_has_its_metrics(
    molecules, monkeypatch, tmp_path
):
    """Keras has reset them, when the interruption saves the place in the epoch."""

    def train(folder):
        return training.fit(
            new_model(molecules[0]), *molecules, epochs=2, folder=folder, **SETTINGS
        )

    def interrupt(*unused, **unused_too):
        raise KeyboardInterrupt

    for method in ("on_train_batch_end", "on_epoch_begin"):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(TrainingState, method, interrupt)
            train(tmp_path / "resumed")
    train(tmp_path / "resumed"), train(tmp_path / "once")
    resumed, once = (training.read_json(tmp_path / n / "history.json") for n in ("resumed", "once"))
    for found, expected in zip(resumed, once, strict=True):
        assert found == pytest.approx(expected, rel=1e-5)


def test_a_global_policy_of_16_bits_does_not_scale_the_loss(molecules):
    class Ask(tf_keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            optimizers.append(type(self.model.optimizer))

    optimizers = []
    policy = tf_keras.mixed_precision.global_policy()
    for name in ("float32", "mixed_float16"):
        tf_keras.mixed_precision.set_global_policy(name)
        try:
            training.fit(
                new_model(molecules[0]), *molecules, epochs=1, callbacks=[Ask()], **SETTINGS
            )
        finally:
            tf_keras.mixed_precision.set_global_policy(policy)
    assert optimizers[0] is optimizers[1]


def test_a_folder_belongs_to_one_training(molecules, tmp_path):
    """Of these data, this model, these settings."""
    train, validation = molecules
    training.fit(new_model(train), train, validation, epochs=1, folder=tmp_path, **SETTINGS)
    other = train.select(np.arange(23))
    for data, epochs, changes, message in (
        ((other, validation), 1, {}, "data = "),
        ((train, other), 1, {}, "data = "),
        ((train, validation), 2, {}, "epochs = 1, not 2"),
        ((train, validation), 1, {"l2": 0.1}, "settings = "),
    ):
        with pytest.raises(UserError, match=f"holds a run with {message}"):
            training.fit(
                new_model(train), *data, epochs=epochs, folder=tmp_path, **SETTINGS | changes
            )


def test_what_is_damaged_or_not_finite_is_one_error(molecules, monkeypatch, tmp_path):
    model = new_model(molecules[0])
    before = [variable.numpy() for variable in model.trainable_variables]
    with pytest.raises(UserError, match="the loss is .* a lower `learning_rate` may help"):
        training.fit(model, *molecules, epochs=2, learning_rate=1e30, **SETTINGS)
    for variable, value in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)  # for another try
    model, folder = new_model(molecules[0]), tmp_path / "run"
    on_epoch_end = TrainingState.on_epoch_end

    def diverged(state, epoch, logs):
        on_epoch_end(state, epoch, logs | {"val_loss": math.nan})

    with monkeypatch.context() as patch:
        patch.setattr(TrainingState, "on_epoch_end", diverged)
        with pytest.raises(UserError, match="val_loss was finite in no epoch"):
            training.fit(model, *molecules, epochs=1, folder=folder, **SETTINGS)
        for variable, value in zip(model.trainable_variables, before, strict=True):
            np.testing.assert_array_equal(variable, value)
    (epoch,) = json.loads((folder / "history.json").read_text())
    assert epoch["val_loss"] is None and epoch["loss"] > 0
    for path in (folder / "checkpoints").glob("*.data*"):
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match="can't be read"):
        training.fit(new_model(molecules[0]), *molecules, epochs=1, folder=folder, **SETTINGS)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"epochs": 0}, "`epochs` must be at least 1, got 0"),
        ({"epochs": 1.5}, "`epochs` must be a whole number, got 1.5"),
        ({"epochs": "3"}, "`epochs` must be a whole number, got '3'"),
        ({"seed": -1}, "`seed` must be a whole number, 0 or more, got -1"),
        ({"seed": None}, "`seed` must be a whole number, got None"),
        ({"batch_size": 0}, "`batch_size` must be at least 1, got 0"),
        ({"learning_rate": math.nan}, "`learning_rate` must be a finite number, got nan"),
        ({"batch_size": 2.5}, "`batch_size` must be a whole number, got 2.5"),
        ({"verbose": "no"}, "`verbose` must be one of 'auto', 0, 1, 2, got 'no'"),
        ({"callbacks": None}, "`callbacks` must be a list of callbacks of tf_keras.*, got None"),
        ({"callbacks": tf_keras.callbacks.History()}, "`callbacks` must be a list of callbacks"),
        ({"callbacks": [tf.keras.callbacks.History()]}, "`callbacks` must .* not the Keras of tf"),
        ({"hparams": ["data"]}, "`hparams` must be a dictionary whose keys are strings, got"),
        ({"hparams": {1: 2}}, "`hparams` must be a dictionary whose keys are strings, got {1: 2}"),
        ({"rate": 1}, "`rate` = 1 is not one of the settings batch_size, learning_rate, "),
        ({"model": models.GRevNet(1, 4)}, "`model` must be one of .*MoleculeRegressor.*GRevNet"),
    ],
)
def test_wrong_arguments_are_named(changes, message, molecules, tmp_path):
    arguments = {"model": new_model(molecules[0]), "epochs": 1, "folder": tmp_path / "run"}
    with pytest.raises(ValueError, match=message):
        training.fit(train=molecules[0], **arguments | changes)
    assert not (tmp_path / "run").exists()


def test_data_that_do_not_fit_are_named(molecules):
    model = new_model(molecules[0])
    other = datasets.qm9("validation", size=5, targets=["alpha"])
    with pytest.raises(ValueError, match="`validation` must have the model's targets, alpha "):
        training.fit(model, molecules[0], other, epochs=1)
    hartree = dataclasses.replace(molecules[0], target_units=("bohr^3", "hartree"))
    with pytest.raises(ValueError, match=r"`train` must .* gap \[eV\], got .* gap \[hartree\]"):
        training.fit(model, hartree, epochs=1)


def test_molecules_that_are_missing_are_named(molecules):
    model, none = new_model(molecules[0]), molecules[1].select([])
    for name, data in (("train", (none, molecules[1])), ("validation", (molecules[0], none))):
        with pytest.raises(ValueError, match=f"`{name}` must have molecules, got none"):
            training.fit(model, *data, epochs=1)


@pytest.mark.parametrize("make", [models.GraphDensity, models.PositionFlow, models.GraphGenerator])
def test_graphs_that_do_not_fit_are_named(make):
    right = nx.cycle_graph(4)
    nx.set_node_attributes(right, {n: [n, n**2, n**3] for n in right}, "features")
    model = make.for_data([right])
    for wrong in ([], "graphs", [right, nx.empty_graph(0), nx.DiGraph([(0, 1)])]):
        for name, data in (("train", (wrong, [right])), ("validation", ([right], wrong))):
            with pytest.raises((TypeError, ValueError), match=f"^`{name}`: "):
                training.fit(model, *data, epochs=1)


@pytest.fixture(scope="module")
def finished(molecules, tmp_path_factory):
    """The folder of a training of one epoch."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    training.fit(new_model(molecules[0]), *molecules, epochs=1, folder=folder, **SETTINGS)
    return folder


def test_a_silent_training_is_silent_when_it_resumes(finished, molecules, capsys):
    again = {"epochs": 1, "folder": finished, "verbose": 0, **SETTINGS}
    training.fit(new_model(molecules[0]), *molecules, **again)
    assert capsys.readouterr().out == ""


def test_numbers_of_numpy_resume_the_same_run(finished, molecules):
    again = SETTINGS | {"epochs": np.int64(1), "seed": np.int32(0), "batch_size": np.int64(8)}
    assert training.fit(new_model(molecules[0]), *molecules, folder=finished, **again).epochs == 1


@pytest.mark.parametrize(
    "name, content",
    [
        ("history.json", None),
        ("history.json", b"{}"),
        ("history.json", b"[]"),
        ("history.json", b"[1]"),
        ("history.json", b"[{}]"),
        ("training.json", b"[]"),
        ("checkpoints/checkpoint", b""),
        ("checkpoints/checkpoint", b"model_che"),
        ("checkpoints/checkpoint", b"\xff\xfe"),
    ],
)
def test_a_damaged_file_is_named(name, content, finished, molecules, tmp_path):
    """Training does not begin again in silence."""
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / name).unlink()
    if content is not None:
        (tmp_path / "run" / name).write_bytes(content)
    again = {"epochs": 1, "folder": tmp_path / "run", **SETTINGS}
    with pytest.raises(UserError, match=f"{name}.*choose another run folder"):
        training.fit(new_model(molecules[0]), *molecules, **again)


def test_a_damaged_checkpoint_costs_an_epoch(molecules, tmp_path):
    """There are two; training goes on from the one before, and says so."""

    def train():
        settings = {"epochs": 2, "folder": tmp_path, **SETTINGS}
        return training.fit(new_model(molecules[0]), *molecules, **settings).history

    expected = train()
    parts = sorted((tmp_path / "checkpoints").glob("ckpt-*.data*"))
    assert len(parts) == 2
    parts[1].write_bytes(parts[1].read_bytes()[:10])
    with pytest.warns(UserWarning, match="ckpt-2 can't be read .*goes on from the one before it"):
        found = train()
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, rel=1e-4), name
    assert train() == found
    for part in parts:
        part.write_bytes(b"")
    with pytest.raises(UserError, match="ckpt-. can't be read .*choose another run folder"):
        train()


def test_a_model_of_other_statistics_does_not_get_the_weights(finished, molecules):
    train, validation = molecules
    other = models.MoleculeRegressor.for_data(train.select(np.arange(20)), CONFIG)
    with pytest.raises(UserError, match="holds a run with arguments = "):
        training.fit(other, train, validation, epochs=1, folder=finished, **SETTINGS)


def test_a_folder_that_cannot_be_written_is_named(molecules, tmp_path, monkeypatch):
    """Before training, where that can be known; and in training, whoever of both writes it."""

    def train(folder):
        training.fit(new_model(molecules[0]), *molecules, epochs=1, folder=folder, **SETTINGS)

    for folder in (3, b"run", ["run"], ""):
        with pytest.raises(ValueError, match="`folder` must be a path, got "):
            train(folder)
    (tmp_path / "a" / "model.npz").mkdir(parents=True)
    with pytest.raises(UserError, match="model.npz must be a file, got a folder"):
        train(tmp_path / "a")
    assert not (tmp_path / "a" / "training.json").exists()
    full = {
        "whole_file": OSError(28, "No space left on device"),
        "save": tf.errors.ResourceExhaustedError(
            None, None, "{{function_node __wrapped__SaveV2}} x; No space left on device"
        ),
        "create_file_writer": tf.errors.NotFoundError(None, None, "x; No space left on device"),
        "flush": tf.errors.OutOfRangeError(None, None, "x; No space left on device"),
    }
    owners = {
        "whole_file": run_folder,
        "save": tf.train.CheckpointManager,
        "create_file_writer": tf.summary,
        "flush": type(tf.summary.create_file_writer(str(tmp_path / "writer"))),
    }
    # TensorBoard's writers flush as a training begins, and after batches and epochs.
    for name, error, good in [(*item, 0) for item in full.items()] + [
        ("flush", full["flush"], good) for good in range(1, 7)
    ]:
        with monkeypatch.context() as patch:
            owner = owners[name]
            errors = itertools.chain([None] * good, itertools.repeat(error))
            patch.setattr(owner, name, mock.Mock(side_effect=errors))
            with pytest.raises(
                UserError, match=f"can't write .*{good}{name}: (x; )?No space left on device"
            ):
                train(tmp_path / f"{good}{name}")


def test_two_trainings_at_once_do_not_share_a_folder(molecules, tmp_path):
    """The second is refused, whatever process it runs in; once the first has ended, it resumes."""

    class Second(tf_keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            events = sorted(tmp_path.rglob("*"))
            with pytest.raises(UserError, match="another process trains in the run folder"):
                training.fit(new_model(molecules[0]), *molecules, **arguments)
            assert events == sorted(tmp_path.rglob("*"))
            raise KeyboardInterrupt

    arguments = {"epochs": 1, "folder": tmp_path, **SETTINGS}
    with pytest.raises(KeyboardInterrupt):
        training.fit(new_model(molecules[0]), *molecules, callbacks=[Second()], **arguments)
    history = training.fit(new_model(molecules[0]), *molecules, **arguments)
    assert history.epochs == 1


@pytest.mark.parametrize("name", ["run[1]", "what?", "*", "a\\b"])
def test_a_folder_whose_checkpoints_could_not_be_read_is_refused(name, molecules, tmp_path):
    arguments = {"epochs": 1, "folder": tmp_path / name, **SETTINGS}
    with pytest.raises(UserError, match=r"must have none of the characters \* \? \[ "):
        training.fit(new_model(molecules[0]), *molecules, **arguments)
    assert not list(tmp_path.iterdir())


def test_training_takes_the_intervals_of_the_weights_before(molecules):
    train, validation = molecules
    model = new_model(train)
    model.calibrate(validation)
    training.fit(model, train, validation, epochs=1, **SETTINGS)
    with pytest.raises(ValueError, match="the model has no intervals: call `calibrate`"):
        model.predict_interval(validation)


def test_numbers_of_numpy_are_those_of_python(finished, molecules, tmp_path):
    """In the file of a model, and in the folder of a run."""
    train, validation = molecules
    config = dataclasses.replace(CONFIG, num_steps=np.int64(1), mixed_precision=np.bool_(False))
    training.set_seed(0)
    model = models.MoleculeRegressor.for_data(train, config)
    again = SETTINGS | {"batch_size": np.int32(8), "learning_rate": np.float64(2e-3)}
    training.fit(model, train, validation, epochs=np.int64(1), folder=finished, **again)
    model.save(tmp_path / "model.npz")
    assert models.load(tmp_path / "model.npz").config == CONFIG


def test_a_model_made_in_the_scope_of_a_strategy_trains_there(molecules):
    with tf.distribute.MirroredStrategy(["cpu:0"]).scope():
        mirrored = new_model(molecules[0])
    plain = new_model(molecules[0])
    histories = [
        training.fit(model, *molecules, epochs=2, **SETTINGS).history for model in (plain, mirrored)
    ]
    for name, values in histories[0].items():
        np.testing.assert_allclose(histories[1][name], values, rtol=1e-4)


def test_the_wait_for_batches_is_measured():
    """Batches that take 20 ms have about two thirds of a step's time, those of `range` nothing."""

    def slow():
        for i in range(10):
            time.sleep(0.02)
            yield i

    def share(stream):
        wait = InputWait()
        batches = iter(wait.timed(stream))
        for step in range(10):
            wait.on_train_batch_begin(step)
            assert int(next(batches)) == step
            time.sleep(0.01)
            wait.on_train_batch_end(step)
        return wait.share

    spec = tf.TensorSpec([], tf.int64)
    assert 0.4 < share(tf.data.Dataset.from_generator(slow, output_signature=spec)) < 0.9
    assert share(tf.data.Dataset.range(10)) < 0.3


def test_digests_tell_data_apart(molecules):
    values = [molecules[0], molecules[1], None, [1, 2], [[1], 2], np.zeros(3), np.zeros([3, 1])]
    values += [kind([(0, 1)]) for kind in (nx.Graph, nx.DiGraph, nx.MultiGraph)]
    values += [nx.Graph(features=[1.0]), nx.Graph(features=[2.0])]
    assert len({digest(value) for value in values}) == len(values)
    assert digest(molecules[0]) == digest(molecules[0].select(np.arange(24)))
    titled = dataclasses.replace(molecules[0], titles=["a"] * 24)
    assert digest(molecules[0]) == digest(titled)  # titles don't change a training


class Opaque:
    """Its representation is an address."""


def test_digests_of_objects_do_not_depend_on_their_address():
    assert digest(nx.Graph(a=Opaque())) == digest(nx.Graph(a=Opaque()))
    assert len({digest(nx.Graph(a=value)) for value in ({1, 2}, {1, 3}, [1, 2], Opaque())}) == 4


def test_seeds_of_steps_stay_and_differ():
    pairs = [step_seed(seed, step).numpy() for seed in SEEDS for step in (-1, 0, 1)]
    assert len({tuple(pair) for pair in pairs}) == len(pairs)
    np.testing.assert_array_equal(step_seed(7, tf.constant(-2)), [7, -2])
    np.testing.assert_array_equal(step_seed(2**31 - 1, 5), [2**31 - 1, 5])


def test_every_seed_gives_weights_of_its_own():
    def drawn(seed):
        training.set_seed(seed)
        return float(tf.random.normal([]))

    values = [drawn(seed) for seed in SEEDS]
    assert len(set(values)) == len(SEEDS) and values == [drawn(seed) for seed in SEEDS]
    tf_keras.utils.set_random_seed(7)  # what Keras takes is seeded as by Keras
    expected = float(tf.random.normal([])), np.random.rand()
    assert (drawn(7), np.random.rand()) == expected
