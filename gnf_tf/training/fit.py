"""Training of the models of `gnf_tf.models`, by Keras's `fit`, with resuming and logging."""

import contextlib
import dataclasses
import os
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import tensorflow as tf
import tf_keras

from gnf_tf import options, seeds
from gnf_tf.errors import UserError
from gnf_tf.files import user_path
from gnf_tf.models import saving
from gnf_tf.training import distribution
from gnf_tf.training.objective import Objective, Settings
from gnf_tf.training.objectives import OBJECTIVES
from gnf_tf.training.run_folder import alone, open_run, writing
from gnf_tf.training.state import TrainingState
from gnf_tf.training.tensorboard import Progress, Summaries

__all__ = ["History", "digest", "fit", "set_seed"]

MODEL_FILE = "model.npz"


@dataclasses.dataclass(frozen=True)
class History:
    """The result of a training.

    Attributes:
      history: values of each metric, one for each epoch; validation metrics have the prefix `val_`.
      epochs: number of epochs, less than requested if training stopped early.
      steps: number of training steps.
      seconds: training time, including that before interruptions.
      best: smallest value of the validation metric that selects the best weights.
      input_wait_share: share of the time of training steps that was spent waiting for batches.
      diagnostics: numerical errors of the trained model by name, see `Objective.diagnose`.
      weights: number of trained weights.
      stages: results of all stages by name, if there are several; this is the last one.
    """

    history: dict[str, list[float]]
    epochs: int
    steps: int
    seconds: float
    best: float
    input_wait_share: float
    diagnostics: dict[str, float]
    weights: int
    stages: dict[str, "History"] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class _Run:
    epochs: options.Count
    seed: options.Seed
    verbose: Literal["auto", 0, 1, 2]
    callbacks: Annotated[
        Any,
        options.Rule(
            "a list of callbacks of tf_keras, which is not the Keras of tf.keras",
            lambda callbacks: (
                isinstance(callbacks, Sequence)
                and all(isinstance(one, tf_keras.callbacks.Callback) for one in callbacks)
            ),
        ),
    ]
    hparams: Annotated[
        Any,
        options.Rule(
            "a dictionary whose keys are strings",
            lambda hparams: (
                isinstance(hparams, Mapping) and all(isinstance(key, str) for key in hparams)
            ),
        ),
    ]


_SET_RATES = tf_keras.callbacks.LearningRateScheduler, tf_keras.callbacks.ReduceLROnPlateau


def set_seed(seed: int) -> None:
    """Seeds the random numbers of TensorFlow, by which weights are initialized, Python and NumPy.

    Args:
      seed: a whole number, 0 or more.

    Raises:
      ValueError: if `seed` is no such number.
    """
    seed = seeds.whole_number(seed)
    tf_keras.utils.set_random_seed(seed % 2**32)  # NumPy's limit
    tf.random.set_seed(seed)


def fit(
    model: saving.Model,
    train: Any,
    validation: Any = None,
    *,
    epochs: int,
    folder: str | os.PathLike | None = None,
    seed: int = 0,
    callbacks: Sequence[tf_keras.callbacks.Callback] = (),
    hparams: Mapping[str, Any] | None = None,
    verbose: Literal["auto", 0, 1, 2] = "auto",
    **settings: Any,
) -> History:
    """Trains a model, which then has the (averaged) weights of its best epoch.

    With a folder, an interrupted training resumes from its last checkpoint by the same call, and a
    finished one returns at once; in both the model gets the folder's weights in place of its own,
    so that another start needs another folder. The folder gets `model.npz`, curves, and
    TensorBoard's summaries. For several devices, make the model within the scope of a strategy, as
    in Keras.

    A `GraphGenerator` with the encoder "network" has two stages, its auto-encoder and then its
    flow, each with `epochs` epochs and a folder within the folder.

    Args:
      model: a `MoleculeRegressor`, `NodeClassifier`, `GraphDensity`, `PositionFlow` or
        `GraphGenerator`.
      train: training data, of a type that `for_data` of the model takes.
      validation: validation data of such a type, which select the best weights. Default: the
        validation nodes of the training data, if they are marked, else the training data.
      epochs: largest number of epochs.
      folder: folder for checkpoints, results and summaries; None: nothing is written.
      seed: seed of all random numbers of the training: order, dropout, noise.
      callbacks: further Keras callbacks. One that sets `stop_training` ends the training, also for
        later calls with the same folder.
      hparams: further hyperparameters for TensorBoard, such as the name of the data, besides the
        configuration of the model and the settings.
      verbose: 0: silent; 1: a progress bar; 2: one line an epoch; "auto": the bar on a terminal,
        else the lines.
      **settings: fields of `RegressionSettings`, `NodeSettings`, `DensitySettings`,
        `PositionSettings` or `GeneratorSettings`.

    Returns:
      The metrics of all epochs, and what else there is to know of the training.

    Raises:
      ValueError: if the model can't be trained, or data, settings or the type of `folder` do not
        fit it.
      UserError: if the folder can't be written, holds another training, or is in use by one; or
        if the loss is not finite, where the model gets the weights of its best epoch, or those that
        it had.
    """
    if type(model) not in OBJECTIVES:
        known = ", ".join(sorted(kind.__name__ for kind in OBJECTIVES))
        raise ValueError(f"`model` must be one of {known}, got {type(model).__name__}")
    run = _Run(epochs, seed, verbose, callbacks, {} if hparams is None else hparams)
    options.check(run)
    objective_class: Any = OBJECTIVES[type(model)]  # constructors take different types of data
    for callback in run.callbacks if objective_class.has_schedule else ():
        if isinstance(callback, _SET_RATES):
            raise ValueError(
                "`callbacks` must not set the learning rate, which rises and falls by a schedule, "
                f"got {type(callback).__name__}"
            )
    chosen = _settings(objective_class, settings)
    if folder is not None:
        if not isinstance(folder, str | os.PathLike) or folder == "":
            raise ValueError(f"`folder` must be a path, got {folder!r}")
        folder = user_path(folder)
        if (folder / MODEL_FILE).is_dir():
            raise UserError(f"{folder / MODEL_FILE} must be a file, got a folder")
    data = None if folder is None else digest((train, validation))
    histories = {}
    with _scope(model):
        for stage, own in objective_class.stages(model, chosen).items():
            if stage and verbose:
                print(f"stage: {stage}")
            objective = objective_class(model, own, run.seed, train, validation)
            place = None if folder is None else folder / stage
            history = histories[stage] = _fit(objective, place, run, data)
    if folder is not None:
        with writing(folder):
            model.save(folder / MODEL_FILE)
    return dataclasses.replace(history, stages=histories) if len(histories) > 1 else history


def _settings(objective_class: type[Objective], given: Mapping[str, Any]) -> Settings:
    known = [field.name for field in dataclasses.fields(objective_class.settings_class)]
    for name, value in given.items():
        if name not in known:
            raise ValueError(f"`{name}` = {value!r} is not one of the settings {', '.join(known)}")
    return objective_class.settings_class(**given)


@contextlib.contextmanager
def _scope(model: saving.Model) -> Iterator[None]:
    """Returns the scope of the strategy within which the model was made."""
    strategy = getattr(model.variables[0], "distribute_strategy", None)
    if strategy is None or tf.distribute.has_strategy():
        yield
    else:
        with strategy.scope():
            yield


def _fit(objective, folder, run, data):
    if folder is None:
        return _trained(objective, None, run, {})
    values = {
        "class": type(objective.module).__name__,
        "config": dataclasses.asdict(objective.module.config),
        "arguments": _digest_of_arguments(objective.module),
        "settings": dataclasses.asdict(objective.settings),
        "epochs": run.epochs,
        "seed": run.seed,
        "data": data,
    }
    del values["settings"]["checkpoint_minutes"]  # which does not change results
    open_run(folder, values, name="training.json")
    hparams = values["config"] | values["settings"] | {"seed": run.seed, **run.hparams}
    with alone(folder):
        history = _trained(objective, folder, run, hparams)
        with writing(folder):
            _draw_curves(history, objective.loss_name, folder / "loss.png")
    return history


def _trained(objective, folder, run, hparams):
    objective.compile(run.epochs * objective.steps_per_epoch)
    state = TrainingState(folder, objective)
    callbacks = run.callbacks
    if folder is not None:
        callbacks = [Summaries(folder, objective, hparams), *callbacks]
    _run(objective, state, run.epochs, callbacks, run.verbose)
    state.restore_best()
    objective.apply_averages()
    objective.finish()
    names = state.history[0] if state.history else ()
    return History(
        history={name: [epoch[name] for epoch in state.history] for name in names},
        epochs=state.next_epoch,
        steps=int(objective.optimizer.iterations.numpy()),
        seconds=float(state.seconds.numpy()),
        best=float(state.best.numpy()),
        input_wait_share=float(state.wait_share.numpy()),
        diagnostics=objective.diagnose(),
        weights=sum(int(tf.size(v)) for v in objective.trained),
    )


def _run(objective, state, epochs, callbacks, verbose):
    """Calls Keras's `fit` from the position of `state`, which may be within an epoch."""
    is_over = state.stopped or state.next_epoch >= epochs
    if verbose and not is_over and (state.next_epoch or state.done_steps):
        print(f"resuming after epoch {state.next_epoch}, step {state.done_steps}")
    if verbose == "auto":
        verbose = 1 if sys.stdout.isatty() else 2
    validation_data, validation_steps = objective.validation_stream()
    parts = [(0, epochs)]
    if state.done_steps:
        parts.insert(0, (state.done_steps, state.next_epoch + 1))
    for done, end in parts:
        if state.next_epoch >= end or state.stopped:
            continue
        stream = objective.training_stream(state.next_epoch, done)
        # Keras does not know the length of a stream that a strategy distributes.
        known = isinstance(stream, tf.data.Dataset)
        try:
            objective.fit(
                stream,
                initial_epoch=state.next_epoch,
                epochs=end,
                steps_per_epoch=None if known else objective.steps_per_epoch - done,
                validation_data=validation_data,
                validation_steps=None if known else validation_steps,
                callbacks=[objective.input_wait, Progress(), *callbacks, state],
                verbose=verbose,
            )
        except KeyboardInterrupt:
            if not distribution.is_multi_worker():  # other workers are not saving now
                state.save_within_epoch()
            raise


def _draw_curves(history, loss_name, path):
    from gnf_tf import plots

    curves = {"training": history.history["loss"], "validation": history.history["val_loss"]}
    positive = min(map(min, curves.values())) > 0
    figure = plots.loss_curves(curves, ylabel=loss_name, yscale="log" if positive else "linear")
    figure.savefig(path, dpi=110)


def _digest_of_arguments(model):
    arguments = model.arguments().items()
    # An argument of a later version is None for a model that does not need it.
    known = {k: v for k, v in arguments if v is not None and k not in model.found_arguments}
    return digest({name: _rounded(value) for name, value in known.items()})


def _rounded(values):
    """Returns an argument of a model without the last digits, which differ between machines."""
    array = np.asarray(values)
    if array.dtype.kind != "f":
        return values
    largest = np.nanmax(np.abs(array), initial=0.0)
    return np.round(array.astype(np.float64), 5 - int(np.log10(largest or 1.0))) + 0.0


def digest(data: Any) -> str:
    """Returns a checksum of data, eight hexadecimal digits, over all arrays that they contain.

    Fields of a dataclass whose metadata say `trains=False` are left out.
    """
    value = 0
    for part in _parts(data):
        value = zlib.crc32(part, value)
    return f"{value:08x}"


def _parts(data: Any) -> Iterator[bytes]:
    if dataclasses.is_dataclass(data):
        fields = [f.name for f in dataclasses.fields(data) if f.metadata.get("trains", True)]
        data = [getattr(data, name) for name in fields]
    elif hasattr(data, "adj"):  # networkx
        kind = [data.is_directed(), data.is_multigraph()]
        data = [kind, data.graph, list(data.nodes.data()), list(data.edges.data())]
    if isinstance(data, Mapping):
        data = list(data.items())
    if isinstance(data, set | frozenset):  # whose order differs between processes
        data = sorted(b"".join(_parts(part)) for part in data)
    if isinstance(data, list | tuple):
        yield b"("
        for part in data:
            yield from _parts(part)
    elif isinstance(data, tf.Tensor | np.ndarray):
        array = np.ascontiguousarray(data)
        yield f"{array.dtype}{array.shape}".encode()
        yield repr(array.tolist()).encode() if array.dtype == object else array.tobytes()
    elif type(data).__repr__ is object.__repr__:  # an address, which differs between processes
        yield type(data).__qualname__.encode()
    else:
        yield repr(data).encode()
