"""The summaries that TensorBoard shows, and the progress bar."""

import contextlib
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
import tf_keras

from gnf_tf.headings import with_unit
from gnf_tf.training.objective import Objective
from gnf_tf.training.run_folder import writing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Progress", "Summaries", "show_figure", "write_projector", "write_scores"]

TRAIN, VALIDATION = "train", "validation"  # two runs in TensorBoard, whose charts show both
# More summaries than an epoch has: nothing is written before `_writer`, which catches errors, ends.
_MAX_QUEUE = 10_000


class Progress(tf_keras.callbacks.ProgbarLogger):
    """Keras's progress bar, with the losses as its only metrics, so that it fits a terminal."""

    def __init__(self):
        super().__init__(count_mode="steps")

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, self._losses(logs))

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, self._losses(logs))

    def _losses(self, logs):
        return {name: value for name, value in logs.items() if name in ("loss", "val_loss")}


class Summaries(tf_keras.callbacks.Callback):
    """Writes summaries to the folders `train` and `validation` of the run folder.

    The step of each summary is the number of training steps. Training metrics are written twenty
    times an epoch and are means over the epoch so far, as in Keras. The HPARAMS page shows the
    hyperparameters, and the final scores of `write_scores`.
    """

    def __init__(self, folder: pathlib.Path, objective: Objective, hparams: Mapping[str, Any]):
        """Opens the writers.

        Args:
          folder: the run folder.
          objective: the Keras model.
          hparams: hyperparameters by name; values that are not numbers, booleans or strings are
            written as strings.

        Raises:
          UserError: here or later, if the folder can't be written.
        """
        from tensorboard.plugins.hparams import api as hp

        super().__init__()
        self._folder = folder
        self._objective = objective
        plain = {
            name: value if isinstance(value, bool | int | float | str) else str(value)
            for name, value in hparams.items()
        }
        rows = "\n".join(f"| {name} | {value} |" for name, value in plain.items())
        with writing(folder):
            self._train, self._validation = (
                tf.summary.create_file_writer(str(folder / side), _MAX_QUEUE)
                for side in (TRAIN, VALIDATION)
            )
        with _summaries_of(folder, step=0):
            hp.hparams(plain, trial_id="/".join(folder.parts[-3:]))
            tf.summary.text("configuration", f"| option | value |\n| --- | --- |\n{rows}")

    def on_train_batch_end(self, batch, logs=None):
        if batch % max(1, self.params["steps"] // 20) == 0:
            self._write(self._train, logs)

    def on_epoch_end(self, epoch, logs=None):
        prefix = "val_"
        validated = {k.removeprefix(prefix): v for k, v in logs.items() if k.startswith(prefix)}
        self._write(self._train, {k: v for k, v in logs.items() if not k.startswith(prefix)})
        self._write(self._validation, validated)
        step = self.model.optimizer.iterations
        rate = self.model.optimizer.learning_rate
        if isinstance(rate, tf_keras.optimizers.schedules.LearningRateSchedule):
            rate = rate(step)
        with self._writer(self._train):
            tf.summary.scalar("training/learning_rate", rate)
            tf.summary.scalar("training/input_wait_share", self._objective.input_wait.share)
            for index, variable in enumerate(self._objective.trained):
                tf.summary.histogram(f"weights/{index:03d}/{variable.name}", variable)
        with self._writer(self._validation), self._objective.averages_applied():
            for name, value in self._objective.diagnose().items():
                tf.summary.scalar(f"diagnostics/{name}", value)
            self._objective.summarize()

    @contextlib.contextmanager
    def _writer(self, writer):
        """In this context, summaries are those of the writer, which writes them at its end."""
        default = writer.as_default(step=self.model.optimizer.iterations)
        default.__enter__()
        try:
            yield
        finally:
            with writing(self._folder):
                default.__exit__(None, None, None)

    def _write(self, writer, logs):
        with self._writer(writer):
            for name, value in logs.items():
                tf.summary.scalar(with_unit(name, self._objective.units.get(name)), value)


@contextlib.contextmanager
def _summaries_of(folder, step):
    """In this context, summaries are those of the run folder."""
    with writing(folder):
        writer = tf.summary.create_file_writer(str(folder))
        with writer.as_default(step=step):
            yield
        writer.close()


def write_scores(folder: pathlib.Path, scores: Mapping[str, float], step: int) -> None:
    """Writes final scores as scalars of the run folder, for the HPARAMS page.

    Args:
      folder: the run folder.
      scores: scores by tag, such as "test/mae/alpha [bohr^3]".
      step: number of training steps.

    Raises:
      UserError: if the folder can't be written.
    """
    with _summaries_of(folder, step):
        for name, value in scores.items():
            tf.summary.scalar(name, value)


def show_figure(folder: pathlib.Path, name: str, figure: "Figure", step: int) -> None:
    """Writes a figure to the run folder, as a PNG file and as an image for TensorBoard.

    Args:
      folder: the run folder.
      name: name of the file, without suffix, and of the image.
      figure: the figure.
      step: number of training steps.

    Raises:
      UserError: if the folder can't be written.
    """
    from gnf_tf import plots

    with _summaries_of(folder, step):
        figure.savefig(folder / f"{name}.png", dpi=110)
        tf.summary.image(name, plots.to_image(figure))


def write_projector(
    folder: pathlib.Path, name: str, points: np.ndarray, columns: Mapping[str, np.ndarray]
) -> None:
    """Writes points for TensorBoard's embedding projector to the run folder.

    Args:
      folder: the run folder.
      name: name of the points.
      points: [num_points, size] coordinates.
      columns: [num_points] integers by name, by which the points can be colored.

    Raises:
      UserError: if the folder can't be written.
    """
    from tensorboard.plugins import projector

    config = projector.ProjectorConfig()
    config.embeddings.add(
        tensor_name=name,
        tensor_path="projector_points.tsv",
        metadata_path="projector_columns.tsv",
    )
    table = np.stack(list(columns.values()), axis=1)
    heads = "\t".join(columns)
    with writing(folder):
        np.savetxt(folder / "projector_points.tsv", points, fmt="%.5g", delimiter="\t")
        path = folder / "projector_columns.tsv"
        np.savetxt(path, table, fmt="%d", delimiter="\t", header=heads, comments="")
        projector.visualize_embeddings(str(folder), config)
