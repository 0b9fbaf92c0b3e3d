"""The model of the PPI trainer: proteins and their interactions to labels, and micro F1."""

from typing import Protocol

import tensorflow as tf
import tf_keras

from gnf_tf import networks
from gnf_tf.datasets import LabeledGraphs
from gnf_tf.graphs import GraphsTuple
from trainers.node_model import ModelConfig, NodeModel, wrong_first

__all__ = ["LabellerConfig", "MicroF1", "ProteinLabeller"]


class LabellerConfig(ModelConfig, Protocol):
    """The options that shape the model, see `trainers.ppi.Config`."""

    execution: str
    mixed_precision: bool


class MicroF1(tf_keras.metrics.Metric):
    """Micro F1 of all pairs of a node and a label together: 2 TP / (2 TP + FP + FN).

    A label is predicted where its probability is above a half. 0 where none is true or predicted.
    """

    def __init__(self, name: str = "f1"):
        super().__init__(name=name)
        # float32 can't count the 5 million pairs of an epoch times a few. Nor whole numbers: what
        # is restored from a checkpoint, replicas share out in equal parts.
        self._right = self.add_weight("right", initializer="zeros", dtype=tf.float64)
        self._claims = self.add_weight("claims", initializer="zeros", dtype=tf.float64)

    def update_state(self, labels: tf.Tensor, logits: tf.Tensor, weights: tf.Tensor) -> None:
        """Counts a batch.

        Args:
          labels: [num_nodes, num_labels], 0 or 1.
          logits: of the same shape.
          weights: [num_nodes], 0 for a node that doesn't count, else 1.
        """
        counts = weights[:, tf.newaxis] > 0
        true, predicted = (labels > 0) & counts, (logits > 0) & counts

        def number(members):
            return tf.cast(tf.math.count_nonzero(members), tf.float64)

        self._right.assign_add(number(true & predicted))
        self._claims.assign_add(number(true) + number(predicted))

    def result(self) -> tf.Tensor:
        """Of all that was counted, a scalar."""
        return tf.cast(tf.math.divide_no_nan(2.0 * self._right, self._claims), tf.float32)


class ProteinLabeller(NodeModel):
    """A `NodeModel` of the labels of proteins, any number of them a protein.

    Batches are those of `datasets.node_batches`. Loss: mean binary cross entropy over the labels
    of the batch's real nodes, in nats. Padding counts in nothing.

    `criterion`, the less the better, says which weights are the best: those of the best micro F1,
    and between equal ones of the least loss.
    """

    def __init__(self, config: LabellerConfig, proteins: LabeledGraphs, seed: int):
        super().__init__(
            config,
            proteins.features.shape[-1],
            proteins.labels.shape[-1],
            seed,
            [MicroF1()],
            padded=config.execution == "xla",
        )

    def _make_conditioner(self, output_size):
        network = super()._make_conditioner(output_size)
        return networks.HalfPrecision(network) if self.config.mixed_precision else network

    def graph_of(self, data) -> GraphsTuple:
        """See `NodeModel.graph_of`."""
        return GraphsTuple(**data[0])

    def measured(self, logits, data, is_training):
        """See `NodeModel.measured`."""
        del is_training
        _, labels, weights = data
        errors = tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits)
        num_nodes = tf.reduce_sum(weights)
        total = tf.reduce_sum(weights * tf.reduce_mean(errors, axis=-1))
        return tf.math.divide_no_nan(total, num_nodes), num_nodes, {"f1": (labels, logits, weights)}

    def test_step(self, data):
        logs = super().test_step(data)
        return logs | {"criterion": wrong_first(logs["f1"], logs["loss"])}
