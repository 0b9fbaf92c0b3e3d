"""Node classification from features and edges, by reversible message passing (section 4)."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Self

import numpy as np
import tensorflow as tf

from gnf_tf import graphs, networks, options
from gnf_tf.datasets import LabeledGraph, LabeledGraphs
from gnf_tf.datasets.labeled_graphs import check_names, check_several_classes
from gnf_tf.graphs import GraphsTuple
from gnf_tf.models import saving, scales
from gnf_tf.models.grevnet import GRevNet
from gnf_tf.models.neumann_rbp import NeumannRBP
from gnf_tf.models.node_inputs import Graphs, node_graphs
from gnf_tf.networks.dropout import dropout
from gnf_tf.networks.linear import Linear
from gnf_tf.options import OptionError

__all__ = ["ClassifierConfig", "NodeClassifier"]

# With more message passing steps, each step is scaled by _FEW_STEPS / num_steps.
_FEW_STEPS = 5
_MOST_WITHOUT_NORM = 20  # message passing steps without batch normalization, as in the paper


@dataclasses.dataclass(frozen=True)
class ClassifierConfig:
    """The sizes and choices of a `NodeClassifier`."""

    model: Literal["grevnet", "gnn", "neumann_rbp"] = "grevnet"
    """grevnet: reversible, activations are reconstructed for the gradient; gnn: the identical
    network with stored activations; neumann_rbp: a recurrent network, iterated to a fixed point"""
    num_steps: options.Count | None = None
    """number of message passing steps; default: 5, or 100 for neumann_rbp"""
    node_size: options.Count | None = 64
    """width of the embedding of the node features; None: the features are not embedded"""
    start_scale: options.NotNegative | None = None
    """root mean square to which the embedding of each node is scaled; 0: the embedding is not
    scaled; default: 0, or 1 for neumann_rbp"""
    conditioner: Literal["diffusion", "convolution", "messages"] = "diffusion"
    """networks of the couplings: GraphConvolution with a diagonal or a full matrix (for neumann_rbp
    always full), or the paper's MessagePassing"""
    message_size: options.Count = 64
    """width of the messages"""
    message_hidden: options.Count | None = None
    """width of the hidden layer of the message network; default: message_size"""
    coupling: Literal["affine", "additive"] = "additive"
    """affine: equation 3; additive: without scale, as in the authors' code"""
    share_weights: bool = False
    """whether all message passing steps share their networks"""
    batch_norm: bool | None = None
    """whether batch normalization precedes each message passing step; default: only with more than
    20 steps, as in the paper, and neither in a loop nor for neumann_rbp"""
    loop: bool = False
    """whether the message passing steps run as one loop, for hundreds of steps; excludes batch_norm
    and share_weights"""
    head_layers: Literal[1, 2] = 1
    """number of layers of the classifier; with 2, the hidden layer has twice as many units as there
    are classes, as in the authors' code"""
    dropout: options.Share = 0.0
    """dropout rate of the inputs of networks and classifier, in training"""
    feature_dropout: options.Share = 0.0
    """dropout rate of the node features, in training"""
    mixed_precision: bool = False
    """whether the networks in the couplings compute in bfloat16; variables and node features stay
    in float32"""

    def __post_init__(self):
        options.check(self)
        is_rbp = self.model == "neumann_rbp"
        if self.batch_norm and is_rbp:
            raise OptionError("batch_norm", "False for the model 'neumann_rbp'", True)
        if self.loop and (is_rbp or self.batch_norm or self.share_weights):
            expected = "False for the model 'neumann_rbp', and with batch_norm or share_weights"
            raise OptionError("loop", expected, True)
        if self.conditioner == "diffusion" and self.coupling == "affine" and not is_rbp:
            raise OptionError("coupling", "'additive' for the conditioner 'diffusion'", "affine")
        if self.mixed_precision and is_rbp:
            expected = "False for the model 'neumann_rbp', whose fixed point it makes inexact"
            raise OptionError("mixed_precision", expected, True)
        if self.mixed_precision and self.conditioner != "messages":
            expected = "False, or the conditioner 'messages', the only one with large products"
            raise OptionError("mixed_precision", expected, True)

    def resolved(self) -> "ClassifierConfig":
        """Returns a copy with the defaults filled in that depend on other fields."""
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
            batch_norm=batch_norm if self.batch_norm is None else self.batch_norm,
        )


class NodeClassifier(saving.Model):
    """Predicts one class, or any number of labels, for each node of a graph.

        z = relu(W x + b)                                    embedding of the features x of a node
        GRevNet:    (h0, h1) = GRevNet((z, 0), edges),       state = h1
        NeumannRBP: state = fixed point of the update with condition z
        logits = classifier(state)                           [num_nodes, num_classes]

    As in the authors' code, the embedding is not split into halves: the second half starts at 0 and
    depends on z by messages alone. `multi_label` selects any number of labels, by sigmoids, in
    place of one class, by a softmax.

        model = NodeClassifier.for_data(network)     # a LabeledGraph, or LabeledGraphs
        gnf_tf.training.fit(model, network, epochs=40)
        model.predict(graph)                         # [num_nodes], for any graph

    Use this for one graph with some labeled nodes, and for unseen graphs with the same kind of node
    features. Use `GraphDensity` for a density of continuous node features.
    """

    config_class = ClassifierConfig

    def __init__(
        self,
        input_size: int,
        class_names: Sequence[str],
        multi_label: bool = False,
        config: ClassifierConfig = ClassifierConfig(),
        feature_units: np.ndarray | None = None,
        name: str = "node_classifier",
    ):
        """Makes the network and its variables; `for_data` derives the arguments from data.

        Args:
          input_size: width of the node features.
          class_names: [num_classes] distinct names of the classes or labels.
          multi_label: whether a node has any number of labels in place of one class.
          config: sizes and choices; the attribute `config` has its defaults filled in.
          feature_units: [2, input_size], offset and scale by which node features are standardized,
            see `scales.units_of`; None: they are not.
          name: name of the module.

        Raises:
          ValueError: if `input_size` is below 1, or `class_names` are no different strings.
        """
        super().__init__(name=name)
        if input_size < 1:
            raise ValueError(f"`input_size` must be at least 1, got {input_size}")
        chosen: Any = self.checked_config(config).resolved()
        self.config = config = chosen
        self.input_size = int(input_size)
        self.feature_units = scales.check_units("feature_units", feature_units, self.input_size)
        self.class_names = check_names(class_names)
        if not self.class_names:
            raise ValueError("`class_names` must be at least one, got none")
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
        num_classes = len(self.class_names)
        hidden = (2 * num_classes,) if config.head_layers == 2 else ()
        self.head = networks.MLP((*hidden, num_classes))
        self(graphs.edgeless([2], self.input_size))  # makes the variables
        self._evaluate = tf.function(
            self._states_and_logits, autograph=False, reduce_retracing=True
        )

    @classmethod
    def for_data(
        cls,
        train: LabeledGraph | LabeledGraphs,
        config: ClassifierConfig = ClassifierConfig(),
    ) -> Self:
        """Makes a model for the feature width and the classes or labels of `train`.

        It standardizes the features that have values beyond 10 in size, such as years.

        Args:
          train: the training data.
          config: sizes and choices.

        Raises:
          ValueError: if `train` is of another type, or its training nodes are not of two classes.
        """
        if not isinstance(train, LabeledGraph | LabeledGraphs):
            kind = type(train).__name__
            raise ValueError(f"`train` must be a LabeledGraph or LabeledGraphs, got {kind}")
        nodes = train.graph.nodes if isinstance(train, LabeledGraph) else train.features
        check_several_classes(train)
        units = scales.units_of(nodes)
        return cls(nodes.shape[1], train.class_names, train.is_multi_label, config, units)

    def arguments(self) -> dict[str, Any]:
        """See `saving.Model.arguments`."""
        return {
            "input_size": self.input_size,
            "class_names": self.class_names,
            "multi_label": self.multi_label,
            "feature_units": self.feature_units,
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
                # The factor 2 of the diagonal one was chosen by validation on Cora.
                output_scale=(2.0 if is_diagonal else 1.0) / num_steps,
            )
        if self.step_scale < 1.0:
            network = networks.Scaled(network, self.step_scale)
        return networks.HalfPrecision(network) if config.mixed_precision else network

    def _make_map(self, output_size):
        # A scale of 0.5 makes the initial update a contraction.
        settings = {"output_scale": 0.5, "dropout": self.config.dropout}
        if self.config.conditioner != "messages":
            return networks.GraphConvolution(output_size, **settings)
        return self._message_passing(output_size, **settings)

    def _message_passing(self, output_size, **options):
        # Messages depend on the sender alone, as in the authors' code. That code sums messages; the
        # mean does not grow with a node's degree, and results vary less between seeds.
        return networks.MessagePassing(
            (self.config.message_hidden, self.config.message_size),
            output_size,
            aggregation="mean",
            sender_only=True,
            **options,
        )

    # For TensorFlow programs: GraphsTuples with nodes [num_nodes, input_size] float32, without
    # edge features and globals.

    def embedded(self, graph: GraphsTuple, seed: tf.Tensor | None = None) -> tf.Tensor:
        """Returns the embedding z, [num_nodes, node_size]; the features if there is none.

        Args:
          graph: one or more graphs.
          seed: int32 [2], seed of the dropout in training; None: no dropout.
        """
        nodes = scales.in_units(graph.nodes, self.feature_units)
        nodes = dropout(nodes, self.config.feature_dropout, seed)
        return nodes if self.embed is None else tf.nn.relu(self.embed(nodes))

    def start(self, graph: GraphsTuple, seed: tf.Tensor | None = None) -> GraphsTuple:
        """Returns the input graph of the message passing network.

        If `config.start_scale` is positive, each embedding is scaled to that root mean square.
        (Bags of words are sparse, so their embeddings and messages are small.)

        Args:
          graph: one or more graphs.
          seed: see `embedded`.
        """
        z = self.embedded(graph, seed)
        if self.config.start_scale:
            norm = self.config.start_scale * float(z.shape[-1]) ** 0.5
            z = norm * tf.math.l2_normalize(z, axis=-1)
        if self.config.model != "neumann_rbp":
            z = tf.concat([z, tf.zeros_like(z)], axis=-1)
        return graph.replace(nodes=z)

    def state(self, graph: GraphsTuple, seed: tf.Tensor | None = None) -> tf.Tensor:
        """Returns the state that the classifier reads, [num_nodes, node_size].

        Args:
          graph: one or more graphs; in training with `config.batch_norm`, the last one must be
            padding, see `graphs.pad`.
          seed: int32 [2], seed of the dropout in training; None: no training.
        """
        seeds = [None, None] if seed is None else [tf.random.fold_in(seed, i) for i in range(2)]
        graph = self.start(graph, seeds[0])
        if self.config.model == "neumann_rbp":
            return self.net(graph, seed=seeds[1]).nodes
        graph = self.net(graph, is_training=seed is not None, seed=seeds[1])
        return tf.split(graph.nodes, 2, axis=-1)[1]

    def _logits(self, graph, state, seed=None):
        if seed is not None:
            state = dropout(state, self.config.dropout, tf.random.fold_in(seed, 2))
        return self.head(graph.replace(nodes=state)).nodes

    def __call__(self, graph: GraphsTuple, seed: tf.Tensor | None = None) -> tf.Tensor:
        """Returns logits [num_nodes, num_classes]: of a softmax, or with `multi_label` of sigmoids.

        Args:
          graph: one or more graphs, see `state`.
          seed: see `state`.
        """
        return self._logits(graph, self.state(graph, seed), seed)

    def _states_and_logits(self, graph):
        state = self.state(graph)
        return state, self._logits(graph, state)

    # For graphs of any type.

    def members(self, graph: Graphs) -> Iterator[GraphsTuple]:
        """Yields the graphs one by one as `__call__` takes them, after validation.

        Arguments and errors: see `predict`.
        """
        for part in node_graphs(graph):
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
        """Returns the states that the classifier reads, [num_nodes, node_size] float32.

        Use this to draw or cluster nodes by the representation that the network learned. Arguments
        and errors: see `predict`.
        """
        return self._answers(graph)[0]

    def predict_proba(self, graph: Graphs) -> np.ndarray:
        """Returns probabilities [num_nodes, num_classes] float32.

        They sum to 1 over the classes; with `multi_label` each label has its own probability.
        Arguments and errors: see `predict`.
        """
        logits = self._answers(graph)[1]
        return (tf.sigmoid if self.multi_label else tf.nn.softmax)(logits).numpy()

    def predict(self, graph: Graphs) -> np.ndarray:
        """Returns the index in `class_names` of the most probable class, [num_nodes] int32.

        With `multi_label`, returns [num_nodes, num_labels] bool: labels with a probability above
        1/2.

        Args:
          graph: any number of graphs, which are evaluated one by one: a GraphsTuple, LabeledGraph,
            LabeledGraphs, or one or a list of networkx graphs. Nodes of networkx graphs have the
            attribute "features", or numeric attributes, see `datasets.node_graph_from_networkx`;
            their edges count in both directions and self loops are dropped, as in data sets; those
            of a GraphsTuple are as given. Nodes keep their order. An empty list gives an empty
            result.

        Raises:
          ValueError: if `graph` is malformed or has features of another width.
        """
        logits = self._answers(graph)[1]
        return logits > 0 if self.multi_label else logits.argmax(axis=1).astype(np.int32)
