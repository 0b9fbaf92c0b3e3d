"""The model of the citation trainer: words and citations to classes of papers."""

from typing import Protocol

import numpy as np
import tensorflow as tf
import tf_keras

from gnf_tf import networks, reversible
from gnf_tf.datasets import CitationNetwork
from gnf_tf.models import GRevNet, NeumannRBP
from gnf_tf.networks.dropout import dropout
from gnf_tf.networks.linear import Linear
from trainers.training import AveragedModel

__all__ = ["ClassifierConfig", "NodeClassifier"]


class ClassifierConfig(Protocol):
    """The options that shape the model, see `trainers.citation.Config`."""

    model: str
    num_steps: int
    node_size: int | None
    conditioner: str
    message_size: int
    coupling: str
    share_weights: bool
    batch_norm: bool
    head_layers: int
    dropout: float
    feature_dropout: float
    l2: float
    l2_embedding: float
    averaging: float
    memory: reversible.Memory
    select: str


class NodeClassifier(AveragedModel):
    """Words -> embedding z -> message passing along the citations -> classes, of one whole graph.

    As in the authors' code nothing is split: a GRevNet starts from the halves (z, 0), and the
    classes are read from the second half, which knows z by messages alone. A `NeumannRBP` has z
    as its condition, and its state is read.

    The graph is the batch, whole: the training and validation streams say only how many steps
    there are. Loss: mean cross entropy over the labelled nodes of a set, in nats; in training with
    L2. Dropout draws from the model's seed and the number of the step.

    `criterion`, the less the better, says which weights are the best: the loss, or the share of
    wrong nodes and between equal ones the loss.
    """

    def __init__(self, config: ClassifierConfig, network: CitationNetwork, seed: int):
        super().__init__()
        self.network = network
        self.config = config
        self.seed = seed
        self.embed = None if config.node_size is None else Linear(config.node_size)
        size = config.node_size or network.graph.nodes.shape[-1]
        if config.model == "neumann_rbp":
            self.net = NeumannRBP(config.num_steps, size, make_conditioner=self._make_map)
        else:
            self.net = GRevNet(
                config.num_steps,
                2 * size,
                coupling=config.coupling,
                memory=config.memory,
                make_conditioner=self._make_conditioner,
                batch_norm=config.batch_norm,
                share_weights=config.share_weights,
            )
        classes = network.num_classes
        self.head = networks.MLP((2 * classes, classes) if config.head_layers == 2 else (classes,))
        self.logits(self.state())  # makes the variables
        self.start_averages(self.variables, config.averaging)
        names = ("loss", "accuracy", "criterion", "gradient_norm")
        self.metric_of = {name: tf_keras.metrics.Mean(name=name) for name in names}

    def _make_conditioner(self, output_size):
        config, scale = self.config, 1.0 / self.config.num_steps
        if config.conditioner == "diffusion":
            # Twice as much as the others, chosen by validation on Cora.
            return networks.GraphConvolution(
                output_size, diagonal=True, dropout=config.dropout, output_scale=2.0 * scale
            )
        if config.conditioner == "convolution":
            return networks.GraphConvolution(
                output_size, dropout=config.dropout, output_scale=scale
            )
        return networks.MessagePassing(
            (config.message_size, config.message_size),
            output_size,
            dropout=config.dropout,
            output_scale=scale,
        )

    def _make_map(self, output_size):
        # Half of what keeps the features' size, for it has to contract. No dropout: a map that is
        # another one at each step has no fixed point.
        if self.config.conditioner != "messages":
            return networks.GraphConvolution(output_size, output_scale=0.5)
        return networks.MessagePassing(
            (self.config.message_size, self.config.message_size),
            output_size,
            aggregation="mean",
            output_scale=0.5,
        )

    @property
    def metrics(self):
        return list(self.metric_of.values())

    def embedded(self, seed: tf.Tensor | None = None) -> tf.Tensor:
        """z, [num_nodes, node_size]: the words' linear map with a ReLU, or the words themselves."""
        nodes = dropout(self.network.graph.nodes, self.config.feature_dropout, seed)
        return nodes if self.embed is None else tf.nn.relu(self.embed(nodes))

    def start(self, seed: tf.Tensor | None = None):
        """The graph that the message passing network gets."""
        z = self.embedded(seed)
        if self.config.model != "neumann_rbp":
            z = tf.concat([z, tf.zeros_like(z)], axis=-1)
        return self.network.graph.replace(nodes=z)

    def state(self, seed: tf.Tensor | None = None) -> tf.Tensor:
        """What the classes are read from, [num_nodes, node_size]; training where there's a seed."""
        seeds = [None, None] if seed is None else [tf.random.fold_in(seed, i) for i in range(2)]
        graph = self.start(seeds[0])
        if self.config.model == "neumann_rbp":
            return self.net(graph).nodes
        graph = self.net(graph, is_training=seed is not None, seed=seeds[1])
        return tf.split(graph.nodes, 2, axis=-1)[1]

    def logits(self, state: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """[num_nodes, num_classes]"""
        if seed is not None:
            state = dropout(state, self.config.dropout, tf.random.fold_in(seed, 2))
        return self.head(self.network.graph.replace(nodes=state)).nodes

    def measures(self, logits: tf.Tensor, members: np.ndarray) -> dict[str, tf.Tensor]:
        """Means over the nodes of a set [num_nodes] bool: `loss`, `accuracy`, `criterion`."""
        rows = np.flatnonzero(members)
        labels, logits = self.network.labels[rows], tf.gather(logits, rows)
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        )
        correct = tf.argmax(logits, axis=-1, output_type=tf.int32) == labels
        accuracy = tf.reduce_mean(tf.cast(correct, tf.float32))
        # A millionth of the loss decides where the same number of nodes is wrong, and only there.
        wrong_first = 1.0 - accuracy + 1e-6 * tf.minimum(loss, 1e3)
        criterion = loss if self.config.select == "loss" else wrong_first
        return {"loss": loss, "accuracy": accuracy, "criterion": criterion}

    def penalty(self) -> tf.Tensor:
        """Half the sums of squares of the weights, weighted."""
        total = tf.constant(0.0)
        embedding = [] if self.embed is None else self.embed.trainable_variables
        of_embedding = {variable.ref() for variable in embedding}
        for variable in self.trainable_variables:
            is_embedding = variable.ref() in of_embedding
            weight = self.config.l2_embedding if is_embedding else self.config.l2
            total += weight * tf.nn.l2_loss(variable)
        return total

    def _update(self, measures):
        for name, value in measures.items():
            self.metric_of[name].update_state(value)
        return {name: self.metric_of[name].result() for name in measures}

    def train_step(self, data):
        del data
        seed = tf.stack([self.seed, tf.cast(self.optimizer.iterations, tf.int32)])
        with tf.GradientTape() as tape:
            logits = self.logits(self.state(seed), seed)
            measures = self.measures(logits, self.network.train)
            loss = measures["loss"] + self.penalty()
        variables = self.trainable_variables
        gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        self.update_averages()
        return self._update(
            measures | {"loss": loss, "gradient_norm": tf.linalg.global_norm(gradients)}
        )

    def test_step(self, data):
        del data
        return self._update(self.measures(self.logits(self.state()), self.network.validation))

    def diagnostics(self) -> dict[str, float]:
        """What can go wrong: a fixed point not reached, or an inverse that is none.

        `residual`, see `NeumannRBP.residual`; of a GRevNet `reconstruction_error`, the largest
        error of a node feature after the network and its inverse.
        """
        graph = self.start()
        if self.config.model == "neumann_rbp":
            return {"residual": float(tf.reduce_max(self.net.residual(graph)))}
        back = self.net.inverse(self.net(graph))
        error = tf.reduce_max(tf.abs(back.nodes - graph.nodes))
        return {"reconstruction_error": float(error)}
