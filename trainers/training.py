"""Training that survives a kill, with TensorBoard: what the trainers' `fit` has around it."""

import dataclasses
import pathlib
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from trainers import distribution
from trainers.common import UserError, number, open_run, read_json, write_json
from trainers.models import TimedModel

__all__ = [
    "PLACES",
    "Progress",
    "Scalars",
    "TrainingState",
    "cosine_adam",
    "fit",
    "open_seed",
    "set_seed",
]

Stream = tf.data.Dataset | tf.distribute.DistributedDataset

# Options that change no number: a run may be resumed with others.
PLACES = ("run_dir", "data_dir", "graphs_file", "checkpoint_minutes", "strategy")


def open_seed(config: Any, seed: int) -> pathlib.Path:
    """The folder of the model of one seed, made or checked; seeds Python, numpy, TensorFlow.

    Args:
      config: options of a trainer, a dataclass with `run_dir` and `seeds`.
      seed: one of these.

    Raises:
      UserError: as `open_run`.
    """
    folder = config.run_dir / f"seed{seed}"
    open_run(folder, dataclasses.replace(config, seeds=(seed,)), places=PLACES)
    set_seed(seed)
    return folder


def set_seed(seed: int) -> None:
    """Seeds what weights are drawn from, TensorFlow's generator, and Python's and NumPy's.

    Args:
      seed: a whole number in [0, 2^63).
    """
    tf_keras.utils.set_random_seed(seed % 2**32)  # NumPy's takes no more
    tf.random.set_seed(seed)


def cosine_adam(
    learning_rate: float, total_steps: int, *, clip_norm: float, beta_2: float = 0.999
) -> tf_keras.optimizers.Adam:
    """Adam whose rate rises for 5 % of the steps, then falls to 0 as a cosine."""
    warmup = max(1, total_steps // 20)
    schedule = tf_keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=learning_rate / 20,
        decay_steps=max(1, total_steps - warmup),
        warmup_target=learning_rate,
        warmup_steps=warmup,
    )
    # One XLA program for each shape of variable is what the optimizer's own jit would compile.
    return tf_keras.optimizers.Adam(
        schedule, beta_2=beta_2, global_clipnorm=clip_norm, jit_compile=False
    )


class TrainingState(tf_keras.callbacks.Callback):
    """Saves all that training depends on, keeps the best weights, stops early, and resumes.

    A checkpoint becomes the current one by the renaming of a small file after it is complete, so
    a kill at any moment leaves the one before, from which training goes on as if it had not been
    interrupted: weights, optimizer, place in the epoch and its metrics so far, best weights,
    patience, history.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        model: TimedModel,
        *,
        steps_per_epoch: int,
        patience: int,
        save_seconds: float,
        steps_per_batch: int = 1,
        monitor: str = "val_loss",
    ):
        """Restores the last state in `folder`, if there is one.

        Args:
          folder: the run folder.
          model: compiled, its variables made.
          steps_per_epoch: optimizer steps in an epoch.
          patience: epochs without a better `monitor` after which training stops.
          save_seconds: longest time without a checkpoint; there is one after each epoch anyway.
          steps_per_batch: optimizer steps that the model takes for each element of its stream.
          monitor: name of what says which epoch is the best: where it is least.

        Raises:
          UserError: if that state is damaged.
        """
        super().__init__()
        self.epoch = tf.Variable(0, dtype=tf.int64)
        self.best = tf.Variable(np.inf, dtype=tf.float64)
        self.wait = tf.Variable(0, dtype=tf.int64)
        self.seconds = tf.Variable(0.0, dtype=tf.float64)
        self.wait_share = tf.Variable(0.0, dtype=tf.float64)
        self.history: list[dict[str, float]] = []
        self._steps_per_epoch = steps_per_epoch
        self._steps_per_batch = steps_per_batch
        self._patience = patience
        self._monitor = monitor
        self._save_seconds = save_seconds
        self._history_path = folder / "history.json"
        self._export_prefix = str(folder / "best")
        self._model = model
        model.optimizer.build(model.trainable_variables)
        # In the same checkpoint as `best`, so that the two can't disagree after a kill.
        self._best_weights = [tf.Variable(v, trainable=False) for v in model.weights]
        state = tf.train.Checkpoint(
            model=model,
            optimizer=model.optimizer,
            epoch=self.epoch,
            best=self.best,
            best_weights=self._best_weights,
            wait=self.wait,
            seconds=self.seconds,
            wait_share=self.wait_share,
        )
        self._manager = tf.train.CheckpointManager(state, str(folder / "checkpoints"), 2)
        if self._manager.latest_checkpoint:
            self._restore(state, self._manager.latest_checkpoint)
        self._metrics = [v.numpy() for v in self._metric_variables()] if self.done_steps else []
        self._saved = time.monotonic()

    def _restore(self, state, path):
        try:
            state.restore(path).assert_existing_objects_matched()
        except (tf.errors.OpError, AssertionError, IndexError) as error:
            # A truncated file is an IndexError.
            reason = str(error).strip().splitlines()[0]
            raise UserError(
                f"the checkpoint {path} can't be read ({reason}); choose another --run-dir"
            ) from error
        if self._history_path.exists():
            # An epoch can be in the history whose checkpoint was not completed.
            self.history = [
                {name: number(value) for name, value in epoch.items()}
                for epoch in read_json(self._history_path)[: self.next_epoch]
            ]

    @property
    def batches_per_epoch(self) -> int:
        """Elements of the stream in an epoch."""
        return self._steps_per_epoch // self._steps_per_batch

    @property
    def next_epoch(self) -> int:
        """The first epoch not complete yet."""
        return int(self.epoch.numpy())

    @property
    def done_steps(self) -> int:
        """Steps of that epoch already taken."""
        return (
            int(self._model.optimizer.iterations.numpy()) - self.next_epoch * self._steps_per_epoch
        )

    @property
    def done_batches(self) -> int:
        """Elements of the stream that those steps took."""
        return self.done_steps // self._steps_per_batch

    @property
    def stopped(self) -> bool:
        """Whether patience has run out."""
        return int(self.wait.numpy()) >= self._patience

    def on_epoch_begin(self, epoch, logs=None):
        # Keras has just reset the metrics of an epoch that we are in the middle of.
        for variable, value in zip(self._metric_variables(), self._metrics, strict=False):
            variable.assign(value)
        self._metrics = []

    def on_train_batch_end(self, batch, logs=None):
        if not np.isfinite(logs["loss"]):
            steps = int(self._model.optimizer.iterations.numpy())
            raise UserError(
                f"the loss is {logs['loss']} after {steps} steps; a lower --learning-rate may help"
            )
        # Saving takes all workers, whose clocks differ.
        if distribution.any_worker(time.monotonic() - self._saved >= self._save_seconds):
            self.save_within_epoch()

    def on_epoch_end(self, epoch, logs=None):
        logs = {name: float(value) for name, value in (logs or {}).items()}
        self.history.append(logs)
        write_json(self._history_path, self.history)
        if logs[self._monitor] < float(self.best.numpy()):
            self.best.assign(logs[self._monitor])
            self.wait.assign(0)
            for best, variable in zip(self._best_weights, self._model.weights, strict=True):
                best.assign(variable)
        else:
            self.wait.assign_add(1)
        self.epoch.assign(epoch + 1)
        self._save()
        if self.stopped:
            self.model.stop_training = True

    def save_within_epoch(self) -> None:
        """A checkpoint in the middle of an epoch; its end makes one of its own."""
        if 0 < self.done_steps < self._steps_per_epoch:
            self._save()

    def _save(self):
        self.wait_share.assign(self._model.input_wait_share)
        now = time.monotonic()
        self.seconds.assign_add(now - self._saved)
        self._saved = now
        self._manager.save()

    def _metric_variables(self):
        return [variable for metric in self._model.metrics for variable in metric.variables]

    def restore_best(self) -> None:
        """Gives the model the weights of the best epoch, and writes them to the file `best`.

        Raises:
          UserError: if there is none.
        """
        if not np.isfinite(self.best.numpy()):
            raise UserError(
                f"{self._monitor} was finite in no epoch; a lower --learning-rate may help"
            )
        for best, variable in zip(self._best_weights, self._model.weights, strict=True):
            variable.assign(best)
        tf.train.Checkpoint(model=self._model).write(self._export_prefix)


class Progress(tf_keras.callbacks.ProgbarLogger):
    """Keras's progress bar with the losses alone: a line that fits a terminal."""

    def __init__(self):
        super().__init__(count_mode="steps")

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, self._losses(logs))

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, self._losses(logs))

    def _losses(self, logs):
        return {name: value for name, value in logs.items() if name in ("loss", "val_loss")}


def fit(
    model: tf_keras.Model,
    make_stream: Callable[[int], Stream],
    state: TrainingState,
    *,
    epochs: int,
    validation_data: Stream,
    validation_steps: int | None = None,
    callbacks: Sequence[tf_keras.callbacks.Callback],
) -> None:
    """`model.fit` from where `state` stands, which can be in the middle of an epoch.

    Args:
      model: compiled.
      make_stream: number of elements of its first epoch to leave out -> a stream, whose k-th
        iteration is the k-th epoch from `state.next_epoch`. One that a strategy distributes has
        the epochs one after another.
      state: saves, stops early; Ctrl-C saves too.
      epochs: in all.
      validation_data: evaluated after each epoch.
      validation_steps: its number of elements, where a strategy distributes them.
      callbacks: called before `state`, with what it saves.
    """
    if state.next_epoch or state.done_steps:
        print(f"resuming after epoch {state.next_epoch}, step {state.done_steps}")
    parts = [(0, epochs)]
    if state.done_steps:
        parts.insert(0, (state.done_batches, state.next_epoch + 1))
    for done, end in parts:
        if state.next_epoch >= end or state.stopped:
            continue
        stream = make_stream(done)
        try:
            model.fit(
                stream,
                initial_epoch=state.next_epoch,
                epochs=end,
                # Keras knows the length of a stream, unless a strategy distributes it.
                steps_per_epoch=None
                if isinstance(stream, tf.data.Dataset)
                else state.batches_per_epoch - done,
                validation_data=validation_data,
                validation_steps=validation_steps,
                callbacks=[Progress(), *callbacks, state],
                verbose=1 if sys.stdout.isatty() else 2,
            )
        except KeyboardInterrupt:
            if not distribution.is_multi_worker():  # the others don't save now
                state.save_within_epoch()
            raise


class Scalars(tf_keras.callbacks.Callback):
    """TensorBoard, against training steps: metrics, learning rate, weights, what `extra` writes.

    Metrics of the training side are means over the epoch so far, twenty an epoch, as in Keras.
    """

    def __init__(self, folder: pathlib.Path, config: Any, extra: Callable[[], None]):
        """Opens the writer.

        Args:
          folder: the run folder; event files go to its `tensorboard`.
          config: a dataclass, written as text.
          extra: called inside the writer after each epoch.
        """
        super().__init__()
        self._writer = tf.summary.create_file_writer(str(folder / "tensorboard"))
        self._extra = extra
        rows = "\n".join(f"| {k} | {v} |" for k, v in dataclasses.asdict(config).items())
        with self._writer.as_default(step=0):
            tf.summary.text("configuration", f"| option | value |\n| --- | --- |\n{rows}")

    def on_train_batch_end(self, batch, logs=None):
        if batch % max(1, self.params["steps"] // 20) == 0:
            with self._writer.as_default(step=self.model.optimizer.iterations):
                self._write(logs)

    def on_epoch_end(self, epoch, logs=None):
        with self._writer.as_default(step=self.model.optimizer.iterations):
            self._write(logs)
            for index, variable in enumerate(self.model.trainable_variables):
                tf.summary.histogram(f"weights/{index:03d}/{variable.name}", variable)
            self._extra()
        self._writer.flush()

    def _write(self, logs):
        for name, value in logs.items():
            side = "validation" if name.startswith("val_") else "train"
            tf.summary.scalar(f"{name.removeprefix('val_')}/{side}", value)
        optimizer = self.model.optimizer
        rate = optimizer.learning_rate
        if isinstance(rate, tf_keras.optimizers.schedules.LearningRateSchedule):
            rate = rate(optimizer.iterations)
        tf.summary.scalar("learning_rate", rate)
