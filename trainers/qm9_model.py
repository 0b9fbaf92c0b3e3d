"""The model of the QM9 trainer: atoms and distances to targets, through a GRevNet."""

from typing import Protocol

import numpy as np
import sonnet as snt
import tensorflow as tf
import tf_keras

from gnf_tf import graphs, networks
from gnf_tf.datasets import Molecules
from gnf_tf.models import GRevNet
from trainers.models import BatchModel

__all__ = ["MoleculeRegressor", "RegressorConfig", "composition"]


class RegressorConfig(Protocol):
    """The options that shape the model, see `trainers.qm9.Config`."""

    num_steps: int
    node_size: int
    message_size: int
    num_basis: int
    coupling: str
    memory: str
    mixed_precision: bool
    l2: float


def composition(molecules: Molecules) -> np.ndarray:
    """[num_molecules, 6] float64: number of atoms of each element, and 1."""
    return np.concatenate([molecules.element_counts(), np.ones([len(molecules), 1])], axis=1)


class MoleculeRegressor(BatchModel):
    """Atoms and distances -> GRevNet -> gated sum over atoms -> targets in their units.

    The targets are normalised by training statistics: a least-squares fit on the numbers of
    atoms of each element is taken off, the network predicts the rest in units of its standard
    deviation, or of 1 where the fit leaves nothing. Loss: mean absolute error of that, over
    molecules and targets.
    """

    def __init__(self, config: RegressorConfig, train: Molecules):
        super().__init__()
        counts = composition(train)
        weights = np.linalg.lstsq(counts, train.targets, rcond=None)[0]
        spread = (train.targets - counts @ weights).std(axis=0)
        # A fit on fewer molecules than elements is exact, and its rest is rounding.
        spread = np.where(spread > 1e-6 * np.abs(train.targets).max(axis=0), spread, 1.0)
        self.composition_weights = tf.Variable(
            tf.cast(weights, tf.float32), trainable=False, name="composition_weights"
        )
        self.spread = tf.Variable(tf.cast(spread, tf.float32), trainable=False, name="spread")
        self.embed = snt.Linear(config.node_size)
        self.centers = tf.cast(tf.linspace(0.8, 8.0, config.num_basis), tf.float32)  # angstrom

        def make_conditioner(output_size):
            network = networks.MessagePassing(
                message_sizes=(config.message_size, config.message_size),
                output_size=output_size,
                output_scale=1.0 / config.num_steps,
            )
            return networks.HalfPrecision(network) if config.mixed_precision else network

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
        self.target_names = train.target_names
        names = ("loss", "gradient_norm", *(f"mae_{target}" for target in self.target_names))
        self.metric_of = {name: tf_keras.metrics.Mean(name=name) for name in names}

    def compile(self, *args, jit_compile=False, **kwargs):
        """As `tf_keras.Model.compile`."""
        super().compile(*args, jit_compile=jit_compile, **kwargs)
        self.predict_compiled = tf.function(self.predicted, jit_compile=jit_compile)

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

    def batch_loss(self, data, is_training):
        """See `BatchModel.batch_loss`; padding weighs nothing."""
        inputs, targets, weights = data
        goal = (targets - self.baseline(inputs)) / self.spread
        error = tf.abs(goal - self(inputs, training=is_training))
        num_molecules = tf.reduce_sum(weights)
        total = tf.reduce_sum(weights * tf.reduce_mean(error, axis=-1))
        updates = {
            f"mae_{target}": (error[:, i] * self.spread[i], weights)
            for i, target in enumerate(self.target_names)
        }
        return tf.math.divide_no_nan(total, num_molecules), num_molecules, updates

    def penalty(self):
        """Half the sum of squares of the weights, weighted."""
        if not self.l2:
            return 0.0
        return self.l2 * tf.add_n([tf.nn.l2_loss(v) for v in self.trainable_variables])

    def reconstruction_error(self, inputs) -> float:
        """Largest error of a node feature after the network and its inverse."""
        graph = self.embedded(inputs)
        back = self.net.inverse(self.net(graph))
        return float(tf.reduce_max(tf.abs(back.nodes - graph.nodes)))
