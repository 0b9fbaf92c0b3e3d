"""The state of a training in checkpoints, from which it resumes after an interruption."""

import pathlib
import time
import warnings

import numpy as np
import tensorflow as tf
import tf_keras

from gnf_tf.errors import UserError
from gnf_tf.training import distribution
from gnf_tf.training.objective import Objective
from gnf_tf.training.run_folder import number, read_json, without_nodes, write_json, writing

__all__ = ["TrainingState"]


class _DamagedError(Exception):
    """A checkpoint can't be resumed from."""


class TrainingState(tf_keras.callbacks.Callback):
    """Keeps the best weights, stops early, and with a folder saves checkpoints and resumes.

    A checkpoint holds weights, optimizer, position in the epoch with the metrics so far, best
    weights, patience and history. It becomes current when a small file is renamed after it is
    complete, so an interruption at any moment leaves the checkpoint before, and the resumed
    training gives the same result as an uninterrupted one.
    """

    def __init__(self, folder: pathlib.Path | None, objective: Objective):
        """Restores the last checkpoint in `folder`, if there is one.

        Args:
          folder: the run folder; None: nothing is written.
          objective: the Keras model, compiled.

        Raises:
          UserError: if the checkpoint is damaged.
        """
        super().__init__()
        self.epoch = tf.Variable(0, dtype=tf.int64)
        self.best = tf.Variable(np.inf, dtype=tf.float64)
        self.wait = tf.Variable(0, dtype=tf.int64)
        self.seconds = tf.Variable(0.0, dtype=tf.float64)
        self.wait_share = tf.Variable(0.0, dtype=tf.float64)
        self.history: list[dict[str, float]] = []
        self._folder = folder
        self._objective = objective
        # In the same checkpoint as `best`, so that the two always agree.
        self._best_weights = [tf.Variable(v, trainable=False) for v in objective.weights]
        if folder is not None:
            state = tf.train.Checkpoint(
                model=objective,
                optimizer=objective.optimizer,
                epoch=self.epoch,
                best=self.best,
                best_weights=self._best_weights,
                wait=self.wait,
                seconds=self.seconds,
                wait_share=self.wait_share,
            )
            self._manager = self._opened(state, folder / "checkpoints")
            self._resume(state)
        self._metrics = [v.numpy() for v in self._metric_variables()] if self.done_steps else []
        self._saved = time.monotonic()

    def _opened(self, state, folder):
        current = folder / "checkpoint"
        try:
            manager = tf.train.CheckpointManager(state, str(folder), 2)
            if manager.latest_checkpoint or not current.exists():
                return manager
        except ValueError:
            pass
        # Without this error, the training would begin again.
        raise UserError(f"{current} is damaged; choose another run folder")

    def _resume(self, state):
        """From the last checkpoint that can be read, if there is one."""
        errors = []
        for path in reversed(self._manager.checkpoints):
            try:
                self._restore(state, path)
            except _DamagedError as error:
                errors.append(error)
                continue
            for damage in errors:
                warnings.warn(f"{damage}; training goes on from the one before it", stacklevel=2)
            return
        if errors:
            raise UserError(f"{errors[0]}; choose another run folder") from errors[0]

    def _restore(self, state, path):
        try:
            state.restore(path).assert_existing_objects_matched()
        except (tf.errors.OpError, AssertionError, IndexError) as error:
            # A truncated file raises an IndexError.
            reason = without_nodes(str(error).strip().splitlines()[0])
            raise _DamagedError(f"the checkpoint {path} can't be read ({reason})") from error
        if not self.next_epoch:
            return
        path = self._folder / "history.json"
        epochs = read_json(path) if path.exists() else []
        is_history = isinstance(epochs, list) and all(
            isinstance(epoch, dict) and {"loss", "val_loss"} <= epoch.keys() for epoch in epochs
        )
        if not is_history or len(epochs) < self.next_epoch:
            raise _DamagedError(
                f"{path} lacks metrics of the {self.next_epoch} epochs of the checkpoint"
            )
        # The history may have an epoch whose checkpoint was not completed.
        self.history = [
            {name: number(value) for name, value in epoch.items()}
            for epoch in epochs[: self.next_epoch]
        ]

    @property
    def next_epoch(self) -> int:
        """Number of the first epoch that is not complete."""
        return int(self.epoch.numpy())

    @property
    def done_steps(self) -> int:
        """Number of training steps already taken in that epoch."""
        done = self.next_epoch * self._objective.steps_per_epoch
        return int(self._objective.optimizer.iterations.numpy()) - done

    @property
    def stopped(self) -> bool:
        """Whether patience has run out, or a callback has ended the training."""
        return int(self.wait.numpy()) >= self._objective.settings.patience

    def on_epoch_begin(self, epoch, logs=None):
        # Keras has just reset the metrics, also in an epoch that is resumed.
        for variable, value in zip(self._metric_variables(), self._metrics, strict=False):
            variable.assign(value)
        self._metrics = []

    def on_train_batch_end(self, batch, logs=None):
        if not np.isfinite(logs["loss"]):
            self._assign_best()
            steps = int(self._objective.optimizer.iterations.numpy())
            raise UserError(
                f"the loss is {logs['loss']} after {steps} steps; a lower `learning_rate` may help"
            )
        # All workers must save together, and their clocks differ.
        longest = 60.0 * self._objective.settings.checkpoint_minutes
        if distribution.any_worker(time.monotonic() - self._saved >= longest):
            self.save_within_epoch()

    def on_epoch_end(self, epoch, logs=None):
        logs = {name: float(value) for name, value in (logs or {}).items()}
        self.history.append(logs)
        if self._folder is not None:
            with writing(self._folder):
                write_json(self._folder / "history.json", self.history)
        if logs[self._objective.monitor] < float(self.best.numpy()):
            self.best.assign(logs[self._objective.monitor])
            self.wait.assign(0)
            for best, variable in zip(self._best_weights, self._objective.weights, strict=True):
                best.assign(variable)
        else:
            self.wait.assign_add(1)
        if self.model.stop_training:  # by another callback
            self.wait.assign(self._objective.settings.patience)
        self.epoch.assign(epoch + 1)
        self._save()
        if self.stopped:
            self.model.stop_training = True

    def save_within_epoch(self) -> None:
        """Saves a checkpoint in the middle of an epoch; at its end there is one anyway."""
        # A resumed epoch that has not begun again is in the checkpoint as it is.
        if not self._metrics and 0 < self.done_steps < self._objective.steps_per_epoch:
            self._save()

    def _save(self):
        self.wait_share.assign(self._objective.input_wait.share)
        now = time.monotonic()
        self.seconds.assign_add(now - self._saved)
        self._saved = now
        if self._folder is not None:
            with writing(self._folder):
                self._manager.save()

    def _metric_variables(self):
        return [variable for metric in self._objective.metrics for variable in metric.variables]

    def restore_best(self) -> None:
        """Assigns the weights of the best epoch to the objective; if there is none, the first ones.

        Raises:
          UserError: if the validation metric was finite in no epoch.
        """
        self._assign_best()
        if not np.isfinite(self.best.numpy()):
            raise UserError(
                f"{self._objective.monitor} was finite in no epoch; a lower "
                "`learning_rate` may help"
            )

    def _assign_best(self):
        for best, variable in zip(self._best_weights, self._objective.weights, strict=True):
            variable.assign(best)
