"""Evaluation of a `NodeClassifier` on labeled nodes."""

import os
from typing import Literal

import numpy as np
import tensorflow as tf

from gnf_tf import metrics
from gnf_tf.datasets import LabeledGraph, LabeledGraphs
from gnf_tf.datasets.labeled_graphs import MASKS
from gnf_tf.files import user_path
from gnf_tf.models.node_classifier import NodeClassifier
from gnf_tf.training.node_objective import check_nodes
from gnf_tf.training.run_folder import writing
from gnf_tf.training.tensorboard import show_figure, write_projector

__all__ = ["evaluate_nodes"]


def evaluate_nodes(
    model: NodeClassifier,
    data: LabeledGraph | LabeledGraphs,
    part: Literal["train", "validation", "test"] = "test",
    folder: str | os.PathLike | None = None,
    step: int = 0,
) -> dict[str, float]:
    """Returns the scores of a model on labeled nodes, as `metrics.classification_scores` does.

    Use `model.predict` for nodes whose labels are unknown.

    Args:
      model: the model.
      data: a LabeledGraph, of which the nodes of one set count; or LabeledGraphs, of which all
        labeled nodes count. It has the model's features and classes, in the model's order.
      part: the name of that set.
      folder: a run folder, made if it is missing, which gets a figure of the errors
        (`confusion.png`, or `precision_recall.png` for many labels) and, for TensorBoard's
        projector, the nodes' `states`; None writes nothing.
      step: the step that TensorBoard shows with the figure.

    Raises:
      ValueError: if `data` does not fit the model or has no node that counts, or `part` is no set.
      UserError: if the folder can't be written.
    """
    if part not in MASKS:
        raise ValueError(f"`part` must be one of {MASKS}, got {part!r}")
    check_nodes("data", data, part, model)
    if isinstance(data, LabeledGraph):
        rows = np.flatnonzero(getattr(data, part))
    else:
        rows = np.flatnonzero(data.labels.reshape(len(data.labels), -1)[:, 0] >= 0)
    labels, probabilities = data.labels[rows], model.predict_proba(data)[rows]
    if folder is not None:
        _show(model, data, rows, probabilities, user_path(folder), step)
    return metrics.classification_scores(labels, probabilities)


def _show(model, data, rows, probabilities, folder, step):
    from gnf_tf import plots

    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    labels = data.labels[rows]
    if model.multi_label:
        predicted = probabilities > 0.5
        columns = {"labels": labels, "predicted": predicted, "right": labels & predicted}
        columns = {name: values.sum(axis=1) for name, values in columns.items()}
        if labels.any():
            figure = plots.precision_recall(labels, probabilities, threshold=0.5)
            show_figure(folder, "precision_recall", figure, step)
    else:
        columns = {"class": labels, "predicted": probabilities.argmax(axis=1)}
        counts = tf.math.confusion_matrix(*columns.values(), len(model.class_names)).numpy()
        show_figure(folder, "confusion", plots.confusion_matrix(counts), step)
    if isinstance(data, LabeledGraphs):
        columns = {"network": np.repeat(np.arange(len(data)), data.n_node)[rows], **columns}
    write_projector(folder, f"{len(rows)} nodes", model.states(data)[rows], columns)
