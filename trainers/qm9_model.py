"""The model of the QM9 trainer: atoms and distances to targets, through a GRevNet."""

from typing import Protocol

import numpy as np
import sonnet as snt
import tensorflow as tf
import tf_keras

from gnf_tf import graphs, networks
from gnf_tf.datasets.molecules import ELEMENTS, Molecules
from gnf_tf.models import GRevNet
from trainers.training import TimedModel

__all__ = ["MoleculeRegressor", "RegressorConfig", "composition"]


class RegressorConfig(Protocol):
    """The options that shape the model, see `trainers.qm9.Config`."""

    num_steps: int
    node_size: int
    message_size: int
    num_basis: int
    coupling: str
    memory: str
    l2: float


def composition(molecules: Molecules) -> np.ndarray:
    """[num_molecules, 6] float64: number of atoms of each element, and 1."""
    molecule = np.repeat(np.arange(len(molecules)), molecules.n_atoms)
    counts = np.zeros([len(molecules), len(ELEMENTS) + 1])
    np.add.at(counts, (molecule, np.searchsorted(ELEMENTS, molecules.atomic_numbers)), 1.0)
    counts[:, -1] = 1.0
    return counts


class MoleculeRegressor(TimedModel):
    """Atoms and distances -> GRevNet -> gated sum over atoms -> targets in their units.

    The targets are normalised by training statistics: a least-squares fit on the numbers of
    atoms of each element is taken off, the network predicts the rest in units of its standard
    deviation. Loss: mean absolute error of that, over molecules and targets.
    """

    def __init__(self, config: RegressorConfig, train: Molecules):
        super().__init__()
        counts = composition(train)
        weights = np.linalg.lstsq(counts, train.targets, rcond=None)[0]
        spread = (train.targets - counts @ weights).std(axis=0)
        self.composition_weights = tf.Variable(
            tf.cast(weights, tf.float32), trainable=False, name="composition_weights"
        )
        self.spread = tf.Variable(tf.cast(spread, tf.float32), trainable=False, name="spread")
        self.embed = snt.Linear(config.node_size)
        self.centers = tf.cast(tf.linspace(0.8, 8.0, config.num_basis), tf.float32)  # angstrom

        def make_conditioner(output_size):
            return networks.MessagePassing(
                message_sizes=(config.message_size, config.message_size),
                output_size=output_size,
                output_scale=1.0 / config.num_steps,
            )

        self.net = GRevNet(
            config.num_steps,
            config.node_size,
            edge_size=config.num_basis + 1,
            coupling=config.coupling,
            memory=config.memory,
            make_conditioner=make_conditioner,
        )
        num_targets = len(train.target_names)
        self.gate = networks.MLP((config.node_size, num_targets), output_scale=0.1)
        self.value = networks.MLP((2 * config.node_size, num_targets), output_scale=0.1)
        self.l2 = config.l2
        self.metric_loss = tf_keras.metrics.Mean(name="loss")
        self.metric_norm = tf_keras.metrics.Mean(name="gradient_norm")
        self.metric_errors = [
            tf_keras.metrics.Mean(name=f"mae_{name}") for name in train.target_names
        ]

    def compile(self, *args, **kwargs):
        """As `tf_keras.Model.compile`."""
        super().compile(*args, **kwargs)
        self.predict_compiled = tf.function(self.predicted, jit_compile=self.jit_compile)

    @property
    def metrics(self):
        return [self.metric_loss, self.metric_norm, *self.metric_errors]

    def embedded(self, inputs) -> graphs.GraphsTuple:
        """What the reversible network sees: atoms embedded, distances in Gaussians."""
        graph = graphs.GraphsTuple(**inputs)
        distance, bonded = tf.split(graph.edges, 2, axis=-1)
        width = self.centers[1] - self.centers[0]
        basis = tf.exp(-0.5 * tf.square((distance - self.centers) / width))
        return graph.replace(
            nodes=self.embed(graph.nodes), edges=tf.concat([basis, bonded], axis=-1)
        )

    def call(self, inputs, training=False):
        """[n_graphs, num_targets], normalised."""
        graph = self.net(self.embedded(inputs), is_training=bool(training))
        graph = graph.replace(nodes=tf.concat([graph.nodes, inputs["nodes"]], axis=-1))
        gated = tf.sigmoid(self.gate(graph).nodes) * self.value(graph).nodes
        return graphs.sum_nodes(gated, graph)

    def baseline(self, inputs) -> tf.Tensor:
        """[n_graphs, num_targets]: the fit on the composition, in the targets' units."""
        graph = graphs.GraphsTuple(**inputs)
        counts = graphs.sum_nodes(graph.nodes, graph)
        return tf.matmul(
            tf.concat([counts, tf.ones_like(counts[:, :1])], axis=-1), self.composition_weights
        )

    def predicted(self, inputs) -> tf.Tensor:
        """[n_graphs, num_targets] in the targets' units."""
        return self.baseline(inputs) + self.spread * self(inputs)

    def loss_and_errors(self, data, training):
        """(loss, absolute errors in the targets' units, weights); padding weighs nothing."""
        inputs, targets, weights = data
        goal = (targets - self.baseline(inputs)) / self.spread
        error = tf.abs(goal - self(inputs, training=training))
        share = weights / tf.reduce_sum(weights)
        loss = tf.reduce_sum(share * tf.reduce_mean(error, axis=-1))
        if training and self.l2:
            loss += self.l2 * tf.add_n([tf.nn.l2_loss(v) for v in self.trainable_variables])
        return loss, error * self.spread, weights

    def _update_metrics(self, loss, errors, weights):
        self.metric_loss.update_state(loss, sample_weight=tf.reduce_sum(weights))
        for i, metric in enumerate(self.metric_errors):
            metric.update_state(errors[:, i], sample_weight=weights)

    def train_step(self, data):
        with tf.GradientTape() as tape:
            loss, errors, weights = self.loss_and_errors(data, training=True)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        self._update_metrics(loss, errors, weights)
        self.metric_norm.update_state(tf.linalg.global_norm(gradients))
        return {metric.name: metric.result() for metric in self.metrics}

    def test_step(self, data):
        self._update_metrics(*self.loss_and_errors(data, training=False))
        return {m.name: m.result() for m in self.metrics if m is not self.metric_norm}

    def reconstruction_error(self, inputs) -> float:
        """Largest error of a node feature after the network and its inverse."""
        graph = self.embedded(inputs)
        back = self.net.inverse(self.net(graph))
        return float(tf.reduce_max(tf.abs(back.nodes - graph.nodes)))
