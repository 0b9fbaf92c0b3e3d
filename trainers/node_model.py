"""The model that the citation and the PPI trainer share: features of nodes to their classes."""

import abc
from typing import Any, Protocol

import tensorflow as tf
import tf_keras

from gnf_tf import graphs, networks, reversible
from gnf_tf.graphs import GraphsTuple
from gnf_tf.models import GRevNet, NeumannRBP
from gnf_tf.networks.dropout import dropout
from gnf_tf.networks.linear import Linear
from trainers import distribution
from trainers.models import AveragedModel, BatchModel, step_seed

__all__ = ["ModelConfig", "NodeModel", "wrong_first"]

# Steps of message passing that train as they are. Each of more gets its part of what these do.
FEW_STEPS = 5


class ModelConfig(Protocol):
    """The options that shape the model, see `trainers.node_training.Options`."""

    model: str
    num_steps: int
    node_size: int | None
    start_scale: float
    conditioner: str
    message_size: int
    message_hidden: int | None
    coupling: str
    share_weights: bool
    batch_norm: bool
    loop: bool
    head_layers: int
    dropout: float
    feature_dropout: float
    l2: float
    l2_embedding: float
    averaging: float
    memory: reversible.Memory


def wrong_first(score: tf.Tensor, loss: tf.Tensor) -> tf.Tensor:
    """What the best weights have least of: 1 - score, and between equal scores the loss.

    A millionth of the loss decides where the score is the same, and only there.
    """
    return 1.0 - score + 1e-6 * tf.minimum(loss, 1e3)


class NodeModel(AveragedModel, BatchModel):
    """Features -> embedding z -> message passing along the edges -> logits of each node.

    As in the authors' code nothing is split: a GRevNet starts from the halves (z, 0), and the
    logits are read from the second half, which knows z by messages alone. A `NeumannRBP` has z
    as its condition, and its state is read. Before that z may be scaled, see `start`.

    Subclasses say where a batch's graph is and what is measured on it; to the loss, training adds
    L2. Dropout draws from the model's seed and the number of the step.
    """

    def __init__(
        self,
        config: ModelConfig,
        input_size: int,
        output_size: int,
        seed: int,
        metrics: list[tf_keras.metrics.Metric],
        *,
        padded: bool = False,
    ):
        """Makes the network and its variables.

        Args:
          config: options.
          input_size: width of the node features.
          output_size: logits a node.
          seed: of the dropout.
          metrics: what `measured` updates, by name; `loss` and `gradient_norm` are there already.
          padded: training batches come from `graphs.pad`.
        """
        super().__init__()
        self.config = config
        self.seed = seed
        self._step_scale = min(1.0, FEW_STEPS / config.num_steps)
        self.embed = None if config.node_size is None else Linear(config.node_size)
        size = config.node_size or input_size
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
                padded=padded,
                share_weights=config.share_weights,
                loop=config.loop,
            )
        hidden = (2 * output_size,) if config.head_layers == 2 else ()
        self.head = networks.MLP((*hidden, output_size))
        sample = graphs.edgeless([2], input_size)
        self.logits(sample, self.state(sample))  # makes the variables
        self.start_averages(self.variables, config.averaging)
        own = [tf_keras.metrics.Mean(name=name) for name in ("loss", "gradient_norm")]
        self.metric_of = {metric.name: metric for metric in own + metrics}

    def _make_conditioner(self, output_size):
        config = self.config
        if config.conditioner == "messages":
            network = self._message_passing(output_size, dropout=config.dropout)
        else:
            num_steps = min(config.num_steps, FEW_STEPS)
            is_diagonal = config.conditioner == "diffusion"
            network = networks.GraphConvolution(
                output_size,
                diagonal=is_diagonal,
                dropout=config.dropout,
                # The diagonal one twice as much, chosen by validation on Cora.
                output_scale=(2.0 if is_diagonal else 1.0) / num_steps,
            )
        return network if self._step_scale == 1.0 else networks.Scaled(network, self._step_scale)

    def _make_map(self, output_size):
        # Half of what keeps the features' size, for it has to contract. No dropout: a map that is
        # another one at each step has no fixed point.
        if self.config.conditioner != "messages":
            return networks.GraphConvolution(output_size, output_scale=0.5)
        return self._message_passing(output_size, output_scale=0.5)

    def _message_passing(self, output_size, **options):
        # Of the sender alone, as in the authors' code; the mean, where that sums, for a sum is as
        # large as a node's degree, and results then vary more from seed to seed.
        size = self.config.message_size
        return networks.MessagePassing(
            (self.config.message_hidden or size, size),
            output_size,
            aggregation="mean",
            sender_only=True,
            **options,
        )

    @abc.abstractmethod
    def graph_of(self, data: Any) -> GraphsTuple:
        """The graph of an element of the stream."""

    @abc.abstractmethod
    def measured(
        self, logits: tf.Tensor, data: Any, is_training: bool
    ) -> tuple[tf.Tensor, tf.Tensor, dict[str, tuple]]:
        """What `batch_loss` returns, by the logits of the element's nodes."""

    def embedded(self, graph: GraphsTuple, seed: tf.Tensor | None = None) -> tf.Tensor:
        """z, [num_nodes, node_size]: the features' linear map with a ReLU, or they themselves."""
        nodes = dropout(graph.nodes, self.config.feature_dropout, seed)
        return nodes if self.embed is None else tf.nn.relu(self.embed(nodes))

    def start(self, graph: GraphsTuple, seed: tf.Tensor | None = None) -> GraphsTuple:
        """The graph that the message passing network gets.

        With a `start_scale` each node's z is brought to that root mean square; z = 0 stays. Words
        are few of many, so that z is small, and a node's messages with it.
        """
        z = self.embedded(graph, seed)
        if self.config.start_scale:
            norm = self.config.start_scale * float(z.shape[-1]) ** 0.5
            z = norm * tf.math.l2_normalize(z, axis=-1)
        if self.config.model != "neumann_rbp":
            z = tf.concat([z, tf.zeros_like(z)], axis=-1)
        return graph.replace(nodes=z)

    def state(self, graph: GraphsTuple, seed: tf.Tensor | None = None) -> tf.Tensor:
        """What the logits are read from, [num_nodes, node_size]; training where there's a seed."""
        seeds = [None, None] if seed is None else [tf.random.fold_in(seed, i) for i in range(2)]
        graph = self.start(graph, seeds[0])
        if self.config.model == "neumann_rbp":
            return self.net(graph).nodes
        graph = self.net(graph, is_training=seed is not None, seed=seeds[1])
        return tf.split(graph.nodes, 2, axis=-1)[1]

    def logits(
        self, graph: GraphsTuple, state: tf.Tensor, seed: tf.Tensor | None = None
    ) -> tf.Tensor:
        """[num_nodes, output_size]"""
        if seed is not None:
            state = dropout(state, self.config.dropout, tf.random.fold_in(seed, 2))
        return self.head(graph.replace(nodes=state)).nodes

    def penalty(self) -> tf.Tensor:
        """Half the sums of squares of the weights, weighted."""
        weight_of = {variable.ref(): self.config.l2 for variable in self.trainable_variables}
        if self.embed is not None:
            for variable in self.embed.trainable_variables:
                weight_of[variable.ref()] = self.config.l2_embedding
        if self.config.model != "neumann_rbp" and not self.config.share_weights:
            for variable in self.net.trainable_variables:  # weighs as its gradient does
                weight_of[variable.ref()] *= self._step_scale
        return tf.add_n([weight * tf.nn.l2_loss(v.deref()) for v, weight in weight_of.items()])

    def batch_loss(self, data, is_training):
        """See `BatchModel.batch_loss`."""
        seed = None
        if is_training:
            seed = step_seed(self.seed, tf.cast(self.optimizer.iterations, tf.int32))
            seed = distribution.seed_of_replica(seed)
        graph = self.graph_of(data)
        logits = self.logits(graph, self.state(graph, seed), seed)
        return self.measured(logits, data, is_training)

    def train_step(self, data):
        logs = super().train_step(data)
        self.update_averages()
        return logs

    def diagnostics(self, graph: GraphsTuple) -> dict[str, float]:
        """What can go wrong: a fixed point not reached, or an inverse that is none.

        `residual`, see `NeumannRBP.residual`; of a GRevNet `reconstruction_error`, the largest
        error of a node feature after the network and its inverse.
        """
        graph = self.start(graph)
        if self.config.model == "neumann_rbp":
            return {"residual": float(tf.reduce_max(self.net.residual(graph)))}
        back = self.net.inverse(self.net(graph))
        error = tf.reduce_max(tf.abs(back.nodes - graph.nodes))
        return {"reconstruction_error": float(error)}
