"""The model of the density trainer: a flow over sets of points, its weights averaged."""

import contextlib
from typing import Protocol

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

import gnf_tf
from gnf_tf import bijectors, networks, reversible
from gnf_tf.datasets import PointSets
from gnf_tf.graphs import GraphsTuple
from trainers.models import AveragedModel, step_seed

__all__ = ["DensityConfig", "SetDensity"]

STATISTICS_SETS = 10_000  # whose statistics ActNorm starts from, and batch norm ends with


class DensityConfig(Protocol):
    """The options that shape the model, see `trainers.density.Config`."""

    model: str
    num_steps: int
    conditioner: str
    width: int
    num_blocks: int
    num_heads: int
    key_size: int
    coupling: str
    num_bins: int
    normalization: str
    mean_scaling: bool
    mixing: bool
    averaging: float
    memory: reversible.Memory
    batch_size: int
    validation_sets: int


class SetDensity(AveragedModel):
    """The exact density of sets of points, trained on fresh sets at each step.

    The elements of its training stream are vectors of seeds, each the seed of one step: one
    call of the compiled program takes that many steps; of its validation stream, the seed [2] of
    `validation_sets` sets. The loss is the NLL per node, in nats.

    Validation, samples and log_prob use exponential averages of the weights, with statistics of
    batch normalisation taken anew: the moving ones are those of weights that are not averaged.
    """

    def __init__(self, config: DensityConfig, sets: PointSets, seed: int):
        super().__init__()
        self.sets = sets
        self.config = config
        self.seed = seed
        self.edges = "fully_connected" if config.model == "gnf" else "edgeless"
        coupling = config.coupling
        if coupling == "spline":
            coupling = bijectors.Spline(config.num_bins)
        self.gnf = gnf_tf.GNF(
            config.num_steps,
            2,
            make_conditioner=self._make_conditioner,
            coupling=coupling,
            normalization=None if config.normalization == "none" else config.normalization,
            mean_scaling=config.mean_scaling and config.model == "gnf",
            mixing=config.mixing,
            memory=config.memory,
        )
        if config.normalization == "act_norm":
            self.gnf.initialize(self._statistics_sets())
        self.start_averages(self.gnf.variables, config.averaging)
        self.metric_loss = tf_keras.metrics.Mean(name="loss")
        self.metric_norm = tf_keras.metrics.Mean(name="gradient_norm")

    def _make_conditioner(self, output_size):
        config, is_gnf = self.config, self.config.model == "gnf"
        if config.conditioner == "transformer":
            return networks.GraphTransformer(
                config.width,
                output_size,
                num_heads=config.num_heads if is_gnf else 0,
                num_blocks=config.num_blocks,
                fully_connected=is_gnf,
            )
        hidden = (config.width,) * config.num_blocks
        if not is_gnf:
            return networks.MLP(
                (*hidden, output_size), activation=tf.nn.leaky_relu, output_scale=0.0
            )
        return networks.AttentionBlock(
            config.num_heads,
            config.key_size,
            hidden,
            output_size,
            activation=tf.nn.leaky_relu,
            output_scale=0.0,
            fully_connected=True,
        )

    def _statistics_sets(self):
        """Sets that no training step sees: the seeds of those are positive."""
        return self.sets.sample(STATISTICS_SETS, seed=step_seed(self.seed, 0), edges=self.edges)

    @property
    def metrics(self):
        return [self.metric_loss, self.metric_norm]

    @contextlib.contextmanager
    def averaged(self):
        with super().averaged():
            if self.config.normalization == "batch_norm":
                self.gnf.calibrate(self._statistics_sets())
            yield

    def flow(self, topology: GraphsTuple) -> tfp.distributions.TransformedDistribution:
        """The density of node features on a topology."""
        return tfp.distributions.TransformedDistribution(
            gnf_tf.NodePrior(topology), tfp.bijectors.Invert(self.gnf)
        )

    def log_prob(self, graph: GraphsTuple, is_training: bool = False) -> tf.Tensor:
        """[n_graphs], in nats."""
        return self.flow(graph).log_prob(graph, bijector_kwargs={"is_training": is_training})

    def nll(self, graph: GraphsTuple, is_training: bool = False) -> tf.Tensor:
        """Negative log-likelihood per node of all sets together, in nats."""
        total = tf.reduce_sum(self.log_prob(graph, is_training))
        return -total / tf.cast(tf.shape(graph.nodes)[0], total.dtype)

    def call(self, graph, training=False):
        return self.log_prob(graph, training)

    def train_step(self, seeds):
        def step(i, total_loss, total_norm):
            # Seeds of training sets are positive, the others' are not.
            graph = self.sets.sample(
                self.config.batch_size, seed=step_seed(self.seed, seeds[i]), edges=self.edges
            )
            with tf.GradientTape() as tape:
                loss = self.nll(graph, is_training=True)
            variables = self.gnf.trainable_variables
            gradients = tape.gradient(loss, variables)
            self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
            self.update_averages()
            return i + 1, total_loss + loss, total_norm + tf.linalg.global_norm(gradients)

        num_steps = seeds.shape[0]
        start = (tf.constant(0), tf.constant(0.0), tf.constant(0.0))
        _, loss, norm = tf.while_loop(lambda i, *_: i < num_steps, step, start)
        self.metric_loss.update_state(loss / num_steps, sample_weight=num_steps)
        self.metric_norm.update_state(norm / num_steps, sample_weight=num_steps)
        return {metric.name: metric.result() for metric in self.metrics}

    def test_step(self, seed):
        graph = self.sets.sample(self.config.validation_sets, seed=seed, edges=self.edges)
        self.metric_loss.update_state(self.nll(graph))
        return {"loss": self.metric_loss.result()}

    def log_dets(self, graph: GraphsTuple) -> list[np.ndarray]:
        """log|det| per node of each step of the flow, [num_nodes] each."""
        values = []
        for step in self.gnf.steps:
            graph, log_det = reversible.run([step], graph)
            values.append(log_det.numpy())
        return values

    def reconstruction_error(self, graph: GraphsTuple) -> float:
        """Largest error of a coordinate after the flow and its inverse."""
        latent, _ = reversible.run(self.gnf.steps, graph)
        back, _ = reversible.run(self.gnf.steps, latent, inverse=True)
        return float(tf.reduce_max(tf.abs(back.nodes - graph.nodes)))
