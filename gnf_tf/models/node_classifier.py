"""Classes of nodes from their features and edges, by reversible message passing (section 4)."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Self, TypeAlias

import networkx as nx
import numpy as np
import tensorflow as tf

from gnf_tf import graphs, networks, options
from gnf_tf.datasets import LabeledGraph, LabeledGraphs
from gnf_tf.datasets.node_graphs import graphs_with_features
from gnf_tf.graphs import GraphsTuple
from gnf_tf.models import saving
from gnf_tf.models.grevnet import GRevNet
from gnf_tf.models.neumann_rbp import NeumannRBP
from gnf_tf.networks.dropout import dropout
from gnf_tf.networks.linear import Linear
from gnf_tf.options import OptionError

__all__ = ["MAX_UNROLLED", "ClassifierConfig", "Graphs", "NodeClassifier"]

Graphs: TypeAlias = GraphsTuple | LabeledGraph | LabeledGraphs | nx.Graph | Sequence[nx.Graph]

# Steps of message passing up to which unrolling them in a tf.function doesn't take minutes.
MAX_UNROLLED = 32
# Steps of message passing that train as they are. Each of more gets its part of what these do.
_FEW_STEPS = 5
_MOST_WITHOUT_NORM = 20  # steps of message passing, as in the paper


@dataclasses.dataclass(frozen=True)
class ClassifierConfig:
    """The sizes and choices of a `NodeClassifier`."""

    model: Literal["grevnet", "gnn", "neumann_rbp"] = "grevnet"
    """gnn: the identical network with stored activations; neumann_rbp: to a fixed point"""
    num_steps: options.Count | None = None
    """steps of message passing; default: 5, of neumann_rbp 100"""
    node_size: options.Count | None = 64
    """width to which the features are embedded; None: they stay as they are"""
    start_scale: options.NotNegative | None = None
    """root mean square that each node's features are scaled to once embedded; 0: as they are;
    default: 0, of neumann_rbp 1"""
    conditioner: Literal["diffusion", "convolution", "messages"] = "diffusion"
    """networks of the couplings: GraphConvolution, diagonal or full, or the paper's messages"""
    message_size: options.Count = 64
    """width of the messages"""
    message_hidden: options.Count | None = None
    """width of the hidden layer that makes them; default: the same"""
    coupling: Literal["affine", "additive"] = "additive"
    """affine: the paper's equation 3; additive: the authors' code"""
    share_weights: bool = False
    """all steps of message passing share their networks"""
    batch_norm: bool | None = None
    """before each step of message passing; default: beyond 20 of them, as in the paper"""
    loop: bool = False
    """the steps of message passing as one loop, for hundreds of them; then no batch norm"""
    head_layers: Literal[1, 2] = 1
    """of the classifier; 2: the first has twice as many units as classes, as the paper's code"""
    dropout: options.Share = 0.0
    """of the networks' inputs and the classifier's, in training"""
    feature_dropout: options.Share = 0.0
    """of the nodes' features, in training"""
    mixed_precision: bool = False
    """the couplings' networks compute in bfloat16; variables and states stay in float32"""

    def __post_init__(self):
        options.check(self)
        is_rbp = self.model == "neumann_rbp"
        if self.batch_norm and is_rbp:
            raise OptionError("batch_norm", "False for the model 'neumann_rbp'", True)
        if self.loop and (is_rbp or self.batch_norm or self.share_weights):
            expected = "False for the model 'neumann_rbp', with batch_norm or share_weights"
            raise OptionError("loop", expected, True)
        if self.conditioner == "diffusion" and self.coupling == "affine" and not is_rbp:
            raise OptionError("coupling", "'additive' for the conditioner 'diffusion'", "affine")
        if self.mixed_precision and is_rbp:
            expected = "False for the model 'neumann_rbp', whose fixed point it leaves inexact"
            raise OptionError("mixed_precision", expected, True)
        if self.mixed_precision and self.conditioner != "messages":
            expected = (
                "False, or the conditioner 'messages', whose networks have matrix products of any "
                "size"
            )
            raise OptionError("mixed_precision", expected, True)

    def resolved(self) -> "ClassifierConfig":
        """The same with the defaults that follow from other fields filled in."""
        is_rbp = self.model == "neumann_rbp"
        # Neumann RBP needs embeddings of root mean square 1: with smaller ones, training drives the
        # weights so large that the update stops being a contraction.
        num_steps, start_scale = (100, 1.0) if is_rbp else (5, 0.0)
        num_steps = self.num_steps or num_steps
        batch_norm = num_steps > _MOST_WITHOUT_NORM and not is_rbp and not self.loop
        return dataclasses.replace(
            self,
            num_steps=num_steps,
            start_scale=start_scale if self.start_scale is None else self.start_scale,
            message_hidden=self.message_hidden or self.message_size,
            # Statistics of all steps at once are not those of each.
            batch_norm=batch_norm if self.batch_norm is None else self.batch_norm,
        )


class NodeClassifier(saving.Model):
    """Features -> embedding z -> message passing along the edges -> logits of each node.

    A node has one class, or with `multi_label` any number of labels. As in the authors' code the
    features are not split: a GRevNet starts from the halves (z, 0), and the logits are read from
    the second half, which knows z by messages alone. A `NeumannRBP` has z as its condition, and its
    state is read.

        model = NodeClassifier.for_data(network)     # a LabeledGraph, or LabeledGraphs
        gnf_tf.training.fit(model, network, epochs=40)
        model.predict(graph)                         # [num_nodes], of any graph

    Use this to classify the nodes of a graph from some labels, or of graphs never seen, whose nodes
    have features of the same kind.
    """

    config_class = ClassifierConfig

    def __init__(
        self,
        input_size: int,
        class_names: Sequence[str],
        multi_label: bool = False,
        config: ClassifierConfig = ClassifierConfig(),
        name: str = "node_classifier",
    ):
        """Makes the network and its variables; `for_data` takes the sizes from data.

        Args:
          input_size: width of the nodes' features.
          class_names: [num_classes] different names, of the classes or of the labels.
          multi_label: whether a node has any number of labels, in place of one class.
          config: sizes and choices; `self.config` has its defaults filled in.
          name: as tf.Module.

        Raises:
          ValueError: for an argument out of its range.
        """
        super().__init__(name=name)
        if input_size < 1:
            raise ValueError(f"`input_size` must be at least 1, got {input_size}")
        chosen: Any = config.resolved()
        self.config = config = chosen
        self.input_size = int(input_size)
        self.class_names = tuple(class_names)
        num_classes = len(self.class_names)
        if not num_classes or len(set(self.class_names)) < num_classes:
            raise ValueError(
                f"`class_names` must be different names, at least one, got {self.class_names}"
            )
        self.multi_label = bool(multi_label)
        self.step_scale = min(1.0, _FEW_STEPS / chosen.num_steps)
        self.embed = None if config.node_size is None else Linear(config.node_size)
        size = config.node_size or self.input_size
        if config.model == "neumann_rbp":
            self.net = NeumannRBP(chosen.num_steps, size, make_conditioner=self._make_map)
        else:
            self.net = GRevNet(
                chosen.num_steps,
                2 * size,
                coupling=config.coupling,
                memory={"grevnet": "reversible", "gnn": "stored"}[config.model],
                make_conditioner=self._make_conditioner,
                batch_norm=chosen.batch_norm,
                padded=True,
                share_weights=config.share_weights,
                loop=config.loop,
            )
        hidden = (2 * num_classes,) if config.head_layers == 2 else ()
        self.head = networks.MLP((*hidden, num_classes))
        self(graphs.edgeless([2], self.input_size))  # makes the variables
        self._evaluate = self._states_and_logits
        if config.loop or config.model == "neumann_rbp" or chosen.num_steps <= MAX_UNROLLED:
            self._evaluate = tf.function(self._evaluate, autograph=False, reduce_retracing=True)

    @classmethod
    def for_data(
        cls,
        train: LabeledGraph | LabeledGraphs,
        config: ClassifierConfig = ClassifierConfig(),
    ) -> Self:
        """A new model for graphs with features as wide, and the classes or labels, of these.

        Raises:
          ValueError: if there is no class.
        """
        nodes = train.graph.nodes if isinstance(train, LabeledGraph) else train.features
        if not train.class_names:
            raise ValueError("`train` must have nodes with labels, got no class")
        return cls(nodes.shape[1], train.class_names, train.is_multi_label, config)

    def arguments(self) -> dict[str, Any]:
        """See `saving.Model.arguments`."""
        return {
            "input_size": self.input_size,
            "class_names": self.class_names,
            "multi_label": self.multi_label,
        }

    def _make_conditioner(self, output_size):
        config = self.config
        if config.conditioner == "messages":
            network = self._message_passing(output_size, dropout=config.dropout)
        else:
            num_steps = min(config.num_steps, _FEW_STEPS)
            is_diagonal = config.conditioner == "diffusion"
            network = networks.GraphConvolution(
                output_size,
                diagonal=is_diagonal,
                dropout=config.dropout,
                # The diagonal one twice as much, chosen by validation on Cora.
                output_scale=(2.0 if is_diagonal else 1.0) / num_steps,
            )
        if self.step_scale < 1.0:
            network = networks.Scaled(network, self.step_scale)
        return networks.HalfPrecision(network) if config.mixed_precision else network

    def _make_map(self, output_size):
        # Half of what keeps the features' size, for it has to contract. No dropout: a map that is
        # another one at each step has no fixed point.
        if self.config.conditioner != "messages":
            return networks.GraphConvolution(output_size, output_scale=0.5)
        return self._message_passing(output_size, output_scale=0.5)

    def _message_passing(self, output_size, **options):
        # Of the sender alone, as in the authors' code; the mean, where that sums, for a sum is as
        # large as a node's degree, and results then vary more from seed to seed.
        return networks.MessagePassing(
            (self.config.message_hidden, self.config.message_size),
            output_size,
            aggregation="mean",
            sender_only=True,
            **options,
        )

    # Within TensorFlow programs: of GraphsTuples, whose nodes are [num_nodes, input_size] float32,
    # and whose edges and globals have width 0.

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
        """What the logits are read from, [num_nodes, node_size].

        Args:
          graph: one or more graphs.
          seed: int32 [2], of the dropout of a training step; None outside of training. Where
            `config.batch_norm`, training graphs are padded, as by `graphs.pad`.
        """
        seeds = [None, None] if seed is None else [tf.random.fold_in(seed, i) for i in range(2)]
        graph = self.start(graph, seeds[0])
        if self.config.model == "neumann_rbp":
            return self.net(graph).nodes
        graph = self.net(graph, is_training=seed is not None, seed=seeds[1])
        return tf.split(graph.nodes, 2, axis=-1)[1]

    def _logits(self, graph, state, seed=None):
        if seed is not None:
            state = dropout(state, self.config.dropout, tf.random.fold_in(seed, 2))
        return self.head(graph.replace(nodes=state)).nodes

    def __call__(self, graph: GraphsTuple, seed: tf.Tensor | None = None) -> tf.Tensor:
        """Logits [num_nodes, num_classes]: of a softmax, or with `multi_label` of sigmoids.

        Args:
          graph: one or more graphs; see `state`.
          seed: see `state`.
        """
        return self._logits(graph, self.state(graph, seed), seed)

    def _states_and_logits(self, graph):
        state = self.state(graph)
        return state, self._logits(graph, state)

    # Of any graphs.

    def members(self, graph: Graphs) -> Iterator[GraphsTuple]:
        """The graphs one by one, checked, as `__call__` takes them.

        Args:
          graph: see `predict`.

        Raises:
          ValueError: for malformed graphs, or features of another width, naming field and value.
        """
        for part in _parts(graph):
            part = graphs.fill_missing(part)
            if part.nodes.dtype.is_floating:
                part = part.map(lambda v: tf.cast(v, tf.float32), ("nodes", "edges", "globals"))
            graphs.validate(
                part, node_size=self.input_size, edge_size=0, global_size=0, dtype=tf.float32
            )
            yield from graphs.unbatch(part)

    def _answers(self, graph):
        found = [self._evaluate(member) for member in self.members(graph)]
        sizes = (self.config.node_size or self.input_size, len(self.class_names))
        return [
            np.concatenate([np.zeros([0, size], np.float32), *(pair[i] for pair in found)])
            for i, size in enumerate(sizes)
        ]

    def states(self, graph: Graphs) -> np.ndarray:
        """[num_nodes, node_size] float32: what the classes are read from; see `predict`.

        Use this to draw or to cluster nodes by what the network makes of them.
        """
        return self._answers(graph)[0]

    def predict_proba(self, graph: Graphs) -> np.ndarray:
        """[num_nodes, num_classes] float32: probabilities of the classes, which sum to 1.

        With `multi_label` of each label, by itself. Graphs and errors as of `predict`.
        """
        logits = self._answers(graph)[1]
        return (tf.sigmoid if self.multi_label else tf.nn.softmax)(logits).numpy()

    def predict(self, graph: Graphs) -> np.ndarray:
        """[num_nodes] int32, numbers of the likeliest classes in `class_names`.

        With `multi_label` [num_nodes, num_labels] bool: the labels of a probability above a half.

        Args:
          graph: any number, evaluated one by one: a GraphsTuple, LabeledGraph, LabeledGraphs, a
            networkx graph or a list of them, whose nodes have the attribute "features", or numbers
            as `datasets.node_graph_from_networkx` takes them. An edge of a networkx graph goes both
            ways, and self loops are left out, as in the data sets. Nodes are in the graphs' order;
            an empty list gives an empty answer.

        Raises:
          ValueError: for malformed graphs, or features of another width, naming field and value.
        """
        logits = self._answers(graph)[1]
        return logits > 0 if self.multi_label else logits.argmax(axis=1).astype(np.int32)


def _parts(graph):
    """GraphsTuples of one or more graphs."""
    if isinstance(graph, GraphsTuple):
        return [graph]
    if isinstance(graph, LabeledGraph):
        return [graph.graph]
    if isinstance(graph, LabeledGraphs):
        return (graph.graph(row)[0] for row in range(len(graph)))
    members = [graph] if isinstance(graph, nx.Graph) else list(graph)
    if not all(isinstance(member, nx.Graph) for member in members):
        kinds = ", ".join(sorted({type(member).__name__ for member in members}))
        raise ValueError(
            "`graph` must be a GraphsTuple, LabeledGraph, LabeledGraphs or networkx graphs, got a "
            f"list of {kinds}"
        )
    return [graphs_with_features([_without_loops(member) for member in members])] if members else []


def _without_loops(graph):
    graph = nx.Graph(graph)
    graph.remove_edges_from(list(nx.selfloop_edges(graph)))
    return graph
