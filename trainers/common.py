"""What the trainers share: run folders, errors as one line, resumable training, TensorBoard."""

import contextlib
import dataclasses
import datetime
import importlib.metadata
import io
import json
import os
import pathlib
import platform
import re
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf
import tf_keras
import tyro

from gnf_tf.datasets import DataError

__all__ = [
    "Scalars",
    "TrainingState",
    "UserError",
    "environment",
    "open_run",
    "parse",
    "run",
    "write_json",
]

Config = TypeVar("Config")


class UserError(RuntimeError):
    """Something the user can mend; the message says what and how, in one line."""


def parse(presets: Mapping[str, Config], default: str, description: str) -> Config:
    """The command line's configuration: the chosen preset's values, each option overriding one.

    Args:
      presets: name -> dataclass instance with a field `preset` that holds the name.
      default: name of the preset used without `--preset`.
      description: head of the help page.

    Raises:
      UserError: for a wrong option.
    """
    arguments = sys.argv[1:]
    chosen = default
    for i, argument in enumerate(arguments):
        match = re.fullmatch(r"--preset(?:=(.*))?", argument)
        if match:
            chosen = match[1] if match[1] is not None else (arguments[i + 1 : i + 2] or [""])[0]
    if chosen not in presets:
        raise UserError(f"--preset must be one of {', '.join(presets)}, got {chosen!r}")
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            return tyro.cli(type(presets[chosen]), default=presets[chosen], description=description)
    except SystemExit as stop:
        if not stop.code:
            raise
        # tyro draws a box of many lines; its words are kept, in one.
        words = re.sub(r"\x1b\[[0-9;]*m|[─-╿]", " ", errors.getvalue())
        raise UserError(" ".join(words.split())) from None


def run(main: Callable[[], None]) -> None:
    """Calls `main`; what the user can mend ends as one line on stderr and exit status 1."""
    try:
        main()
    except (UserError, DataError) as error:
        message = str(error)
    except OSError as error:
        message = f"{error.strerror or error}: {error.filename or ''}".rstrip(": ")
    except tf.errors.OpError as error:
        # TensorFlow's writers report a full disk or a folder gone in their own classes.
        message = error.message.splitlines()[0] if error.message else type(error).__name__
    except KeyboardInterrupt:
        print("interrupted; the same command resumes this run", file=sys.stderr)
        sys.exit(130)
    else:
        return
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(1)


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes the file whole or not at all."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".partial")
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(value, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        pathlib.Path(temporary).unlink(missing_ok=True)
        raise


def open_run(folder: pathlib.Path, config: Any) -> None:
    """Makes the run folder with its config.json, or checks that it belongs to this configuration.

    Raises:
      UserError: if the folder can't be written, or holds a run of another configuration.
    """
    path = folder / "config.json"
    values = json.loads(json.dumps(dataclasses.asdict(config), default=str))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            write_json(path, values)
            return
        with tempfile.TemporaryFile(dir=folder):
            pass
        before = json.loads(path.read_text())
    except OSError as error:
        raise UserError(f"can't write the run folder {folder}: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is damaged ({error}); choose another --run-dir") from error
    for name in sorted(before.keys() | values.keys()):
        if before.get(name) != values.get(name):
            raise UserError(
                f"the run folder {folder} holds a run with {name} = {before.get(name)!r}, not "
                f"{values.get(name)!r}; choose another --run-dir"
            )


def environment() -> dict[str, Any]:
    """What a result depends on besides its configuration: command, date, versions, machine."""
    packages = ("tensorflow", "tensorflow-probability", "tf_keras", "dm-sonnet", "numpy")
    return {
        "command": shlex.join(["python", *sys.argv]),
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in packages},
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "gpus": [
            tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")
            for gpu in tf.config.list_physical_devices("GPU")
        ],
    }


class TrainingState(tf_keras.callbacks.Callback):
    """Saves everything at each epoch's end, keeps the best weights, stops early, and resumes.

    A checkpoint becomes the current one by the renaming of a small file after it is complete, so
    a kill at any moment leaves the last complete epoch, from which training goes on as if it had
    not been interrupted: weights, optimizer, best value, patience and history.
    """

    def __init__(self, folder: pathlib.Path, model: tf_keras.Model, patience: int):
        """Restores the last state in `folder`, if there is one.

        Args:
          folder: the run folder.
          model: compiled, its variables made, with a property `input_wait_share`.
          patience: epochs without a better `val_loss` after which training stops.
        """
        super().__init__()
        self.epoch = tf.Variable(0, dtype=tf.int64)
        self.best = tf.Variable(np.inf, dtype=tf.float64)
        self.wait = tf.Variable(0, dtype=tf.int64)
        self.seconds = tf.Variable(0.0, dtype=tf.float64)
        self.wait_share = tf.Variable(0.0, dtype=tf.float64)
        self.history: list[dict[str, float]] = []
        self._patience = patience
        self._history_path = folder / "history.json"
        self._best = tf.train.Checkpoint(model=model)
        self._best_prefix = str(folder / "best")
        state = tf.train.Checkpoint(
            model=model,
            optimizer=model.optimizer,
            epoch=self.epoch,
            best=self.best,
            wait=self.wait,
            seconds=self.seconds,
            wait_share=self.wait_share,
        )
        self._manager = tf.train.CheckpointManager(state, str(folder / "checkpoints"), 2)
        model.optimizer.build(model.trainable_variables)
        if self._manager.latest_checkpoint:
            state.restore(self._manager.latest_checkpoint).assert_existing_objects_matched()
            if self._history_path.exists():
                # An epoch can be in the history whose checkpoint was not completed.
                self.history = json.loads(self._history_path.read_text())[: self.next_epoch]
        self._started = time.monotonic()

    @property
    def next_epoch(self) -> int:
        """The first epoch not done yet."""
        return int(self.epoch)

    @property
    def stopped(self) -> bool:
        """Whether patience has run out."""
        return int(self.wait) >= self._patience

    def on_epoch_end(self, epoch, logs=None):
        logs = {name: float(value) for name, value in (logs or {}).items()}
        if not np.isfinite(logs["loss"]):
            raise UserError(
                f"the loss is {logs['loss']} in epoch {epoch + 1}; a lower --learning-rate may do"
            )
        self.history.append(logs)
        write_json(self._history_path, self.history)
        if logs["val_loss"] < float(self.best):
            self.best.assign(logs["val_loss"])
            self.wait.assign(0)
            self._best.write(self._best_prefix)
        else:
            self.wait.assign_add(1)
        self.wait_share.assign(self.model.input_wait_share)
        now = time.monotonic()
        self.seconds.assign_add(now - self._started)
        self._started = now
        self.epoch.assign(epoch + 1)
        self._manager.save()
        if self.stopped:
            self.model.stop_training = True

    def restore_best(self) -> None:
        """Gives the model the weights of the best epoch."""
        self._best.read(self._best_prefix).assert_existing_objects_matched()


class Scalars(tf_keras.callbacks.Callback):
    """TensorBoard: every metric, the learning rate, weight histograms, and what `extra` writes."""

    def __init__(self, folder: pathlib.Path, config: Any, extra: Callable[[int], None]):
        """Opens the writer.

        Args:
          folder: the run folder; event files go to its `tensorboard`.
          config: a dataclass, written as text.
          extra: called with the epoch, inside the writer, after each epoch.
        """
        super().__init__()
        self._writer = tf.summary.create_file_writer(str(folder / "tensorboard"))
        self._extra = extra
        rows = "\n".join(f"| {k} | {v} |" for k, v in dataclasses.asdict(config).items())
        with self._writer.as_default(step=0):
            tf.summary.text("configuration", f"| option | value |\n| --- | --- |\n{rows}")

    def on_epoch_end(self, epoch, logs=None):
        with self._writer.as_default(step=epoch + 1):
            for name, value in (logs or {}).items():
                side = "validation" if name.startswith("val_") else "train"
                tf.summary.scalar(f"{name.removeprefix('val_')}/{side}", value)
            optimizer = self.model.optimizer
            rate = optimizer.learning_rate
            if isinstance(rate, tf_keras.optimizers.schedules.LearningRateSchedule):
                rate = rate(optimizer.iterations)
            tf.summary.scalar("learning_rate", rate)
            for index, variable in enumerate(self.model.trainable_variables):
                tf.summary.histogram(f"weights/{index:03d}/{variable.name}", variable)
            self._extra(epoch)
        self._writer.flush()
