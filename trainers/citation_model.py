"""The model of the citation trainer: words and citations to classes of papers."""

from typing import Protocol

import numpy as np
import tensorflow as tf
import tf_keras

from gnf_tf.datasets import LabeledGraph
from gnf_tf.graphs import GraphsTuple
from trainers.node_model import ModelConfig, NodeModel, wrong_first

__all__ = ["ClassifierConfig", "NodeClassifier"]


class ClassifierConfig(ModelConfig, Protocol):
    """The options that shape the model, see `trainers.citation.Config`."""

    select: str


class NodeClassifier(NodeModel):
    """A `NodeModel` of the classes of papers, in one whole graph.

    The graph is the batch, whole: the training and validation streams say only how many steps
    there are. Loss: mean cross entropy over the labelled nodes of a set, in nats.

    `criterion`, the less the better, says which weights are the best: the loss, or the share of
    wrong nodes and between equal ones the loss.
    """

    def __init__(self, config: ClassifierConfig, network: LabeledGraph, seed: int):
        super().__init__(
            config,
            network.graph.nodes.shape[-1],
            network.num_classes,
            seed,
            [tf_keras.metrics.Mean(name=name) for name in ("accuracy", "criterion")],
        )
        self.network = network

    def graph_of(self, data) -> GraphsTuple:
        """The network, whatever the element."""
        del data
        return self.network.graph

    def measures(self, logits: tf.Tensor, members: np.ndarray) -> dict[str, tf.Tensor]:
        """Means over the nodes of a set [num_nodes] bool: `loss`, `accuracy`, `criterion`."""
        rows = np.flatnonzero(members)
        labels, logits = self.network.labels[rows], tf.gather(logits, rows)
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        )
        correct = tf.argmax(logits, axis=-1, output_type=tf.int32) == labels
        accuracy = tf.reduce_mean(tf.cast(correct, tf.float32))
        criterion = loss if self.config.select == "loss" else wrong_first(accuracy, loss)
        return {"loss": loss, "accuracy": accuracy, "criterion": criterion}

    def measured(self, logits, data, is_training):
        """See `NodeModel.measured`."""
        del data
        measures = self.measures(
            logits, self.network.train if is_training else self.network.validation
        )
        updates = {name: (value,) for name, value in measures.items()}
        return measures["loss"], tf.constant(1.0), updates
