"""Training of a `NodeClassifier`: cross entropy, by accuracy or micro F1."""

import dataclasses
from typing import Any, ClassVar, Literal

import numpy as np
import tensorflow as tf
import tf_keras

from gnf_tf import datasets, graphs, options
from gnf_tf.datasets import LabeledGraph, LabeledGraphs
from gnf_tf.graphs import GraphsTuple
from gnf_tf.models.node_classifier import MAX_UNROLLED, NodeClassifier
from gnf_tf.training import distribution
from gnf_tf.training.objective import Objective, Settings

__all__ = ["MicroF1", "NodeObjective", "NodeSettings", "wrong_first"]

# Of Neumann RBP that of the paper, since its map must stay contracting; at 5e-3 PPI's loss is NaN.
_LEARNING_RATE, _LEARNING_RATE_OF_RBP = 5e-3, 1e-3


@dataclasses.dataclass(frozen=True)
class NodeSettings(Settings):
    """How a `NodeClassifier` is trained."""

    batch_size: options.Count = 1
    """graphs a step, of all replicas together"""
    steps_per_epoch: options.Count = 5
    """training steps between two validations, where the training data are one whole graph"""
    optimizer: Literal["adam", "momentum"] = "adam"
    """momentum: SGD with momentum 0.9, the paper's for neumann_rbp"""
    learning_rate: options.Positive | None = None  # type: ignore[assignment]
    """constant; default: 5e-3, of neumann_rbp 1e-3"""
    l2: options.NotNegative = 0.0
    """weight of half the sum of squares of all weights; where each of more than 5 steps has its
    own, these count 5 / num_steps"""
    l2_embedding: options.NotNegative | None = None
    """in place of `l2` for the embedding of the features; default: the same"""
    select: Literal["score", "loss"] = "score"
    """the best weights are those of the best validation accuracy (micro F1 of many labels), then
    loss; or of the loss"""


def wrong_first(score: tf.Tensor, loss: tf.Tensor) -> tf.Tensor:
    """What the best weights have least of: 1 - score, and between equal scores the loss.

    A millionth of the loss decides where the score is the same, and only there.
    """
    return 1.0 - score + 1e-6 * tf.minimum(loss, 1e3)


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


class NodeObjective(Objective):
    """The mean cross entropy over the labeled nodes of a set, in nats; of many labels, over these.

    `train` is a `LabeledGraph`, taken whole at each step, whose training nodes count; or
    `LabeledGraphs`, in batches, where all nodes with labels count. `validation` is the same, by the
    validation nodes of a `LabeledGraph`; default: those of `train` if it has any, or else `train`.

    `criterion`, the less the better, says which weights are the best.
    """

    settings_class = NodeSettings
    monitor: ClassVar[str] = "val_criterion"
    loss_name: ClassVar[str] = "cross entropy [nats]"
    module: NodeClassifier
    settings: NodeSettings

    def __init__(
        self,
        module: NodeClassifier,
        settings: NodeSettings,
        seed: int,
        train: LabeledGraph | LabeledGraphs,
        validation: LabeledGraph | LabeledGraphs | None,
    ):
        if settings.learning_rate is None:
            is_rbp = module.config.model == "neumann_rbp"
            rate = _LEARNING_RATE_OF_RBP if is_rbp else _LEARNING_RATE
            settings = dataclasses.replace(settings, learning_rate=rate)
        marked = "validation"
        if validation is None:
            validation = train
            if isinstance(train, LabeledGraph) and not train.validation.any():
                marked = "train"
        _check("train", train, "train", module)
        _check("validation", validation, marked, module)
        if tf.distribute.has_strategy():
            _check_dealt_out(module, train, validation)
        score = MicroF1() if module.multi_label else tf_keras.metrics.Mean(name="accuracy")
        super().__init__(module, settings, seed, [score])
        self._score = score.name
        self._train, self._validation, self._marked = train, validation, marked
        self._first = next(module.members(validation))

    @property
    def _execution(self):
        return self.settings.execution or self.default_execution()

    def default_execution(self):
        """See `Objective.default_execution`."""
        config = self.module.config
        if config.loop or config.model == "neumann_rbp":
            return "xla"  # compiles at once, and fuses what a step of the loop does
        return "function" if config.num_steps <= MAX_UNROLLED else "eager"

    @property
    def steps_per_epoch(self) -> int:
        """See `Objective.steps_per_epoch`."""
        if isinstance(self._train, LabeledGraph):
            return self.settings.steps_per_epoch
        return -(-len(self._train) // self.settings.batch_size)

    def training_stream(self, first_epoch, skip):
        """See `Objective.training_stream`."""
        if isinstance(self._train, LabeledGraph):
            element = self._element(self._train, "train")
            return tf.data.Dataset.from_tensors(element).repeat(self.steps_per_epoch - skip)
        return self._batches(self._train, skip=skip, seed=self.seed, first_epoch=first_epoch)

    def validation_stream(self):
        """See `Objective.validation_stream`."""
        if isinstance(self._validation, LabeledGraph):
            return tf.data.Dataset.from_tensors(self._element(self._validation, self._marked)), 1
        length = -(-len(self._validation) // self.settings.batch_size)
        return self._batches(self._validation), length

    def _element(self, network, marked):
        """(inputs, labels, weights) as of `datasets.node_batches`, of one whole graph."""
        (graph,) = self.module.members(network)
        labels = np.maximum(network.labels, 0)
        labels = labels.astype(np.float32 if self.module.multi_label else np.int32)
        weights = getattr(network, marked).astype(np.float32)
        if self.module.config.batch_norm:
            # In training it takes the last graph for padding, as of batches.
            labels, weights = (
                np.pad(v, [(0, 1)] + [(0, 0)] * (v.ndim - 1)) for v in (labels, weights)
            )
            graph = graphs.pad(graph, len(weights), len(graph.senders), 2)
        return graph._asdict(), labels, weights

    def _batches(self, networks, **options):
        """Of one static shape where XLA compiles them."""
        return distribution.dealt(
            datasets.node_batches,
            networks,
            self.settings.batch_size,
            padded=self._execution == "xla" or self.module.config.batch_norm,
            **options,
        )

    def averaged_variables(self):
        """Those of the batch normalization too."""
        return list(self.module.variables)

    def optimizer_for(self, total_steps):
        """Of a constant rate."""
        del total_steps
        shared = {"global_clipnorm": self.settings.clip_norm, "jit_compile": False}
        if self.settings.optimizer == "adam":
            return tf_keras.optimizers.Adam(self.settings.learning_rate, **shared)
        return tf_keras.optimizers.SGD(self.settings.learning_rate, momentum=0.9, **shared)

    def batch_loss(self, data, is_training):
        """See `Objective.batch_loss`; nodes without a label weigh nothing, as padding."""
        inputs, labels, weights = data
        logits = self.module(GraphsTuple(**inputs), self.step_seed() if is_training else None)
        if self.module.multi_label:
            errors = tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits)
            errors, score = tf.reduce_mean(errors, axis=-1), (labels, logits, weights)
        else:
            errors = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
            right = tf.argmax(logits, axis=-1, output_type=tf.int32) == labels
            score = (tf.cast(right, tf.float32), weights)
        num_nodes = tf.reduce_sum(weights)
        loss = tf.math.divide_no_nan(tf.reduce_sum(weights * errors), num_nodes)
        return loss, num_nodes, {self._score: score}

    def test_step(self, data):
        logs = super().test_step(data)
        is_loss = self.settings.select == "loss"
        criterion = logs["loss"] if is_loss else wrong_first(logs[self._score], logs["loss"])
        return logs | {"criterion": criterion}

    def penalty(self):
        """Half the sums of squares of the weights, weighted."""
        module, l2, l2_embedding = self.module, self.settings.l2, self.settings.l2_embedding
        weight_of = {variable.ref(): l2 for variable in self.trained}
        if module.embed is not None and l2_embedding is not None:
            for variable in module.embed.trainable_variables:
                weight_of[variable.ref()] = l2_embedding
        if module.config.model != "neumann_rbp" and not module.config.share_weights:
            for variable in module.net.trainable_variables:  # weighs as its gradient does
                weight_of[variable.ref()] *= module.step_scale
        terms = [weight * tf.nn.l2_loss(v.deref()) for v, weight in weight_of.items() if weight]
        return tf.add_n(terms) if terms else 0.0

    def diagnose(self) -> dict[str, float]:
        """A fixed point not reached, or an inverse that is none, of the first validation graph.

        `residual`, see `NeumannRBP.residual`; of a GRevNet `reconstruction_error`, the largest
        error of a node feature after the network and its inverse.
        """
        net, graph = self.module.net, self.module.start(self._first)
        if self.module.config.model == "neumann_rbp":
            return {"residual": float(tf.reduce_max(net.residual(graph)))}
        back = net.inverse(net(graph))
        return {"reconstruction_error": float(tf.reduce_max(tf.abs(back.nodes - graph.nodes)))}


def _check(name: str, data: Any, marked: str, module: NodeClassifier) -> None:
    """Raises a ValueError for data that the model doesn't fit, or without labeled nodes."""
    if not isinstance(data, LabeledGraph | LabeledGraphs):
        raise ValueError(
            f"`{name}` must be a LabeledGraph or LabeledGraphs, got {type(data).__name__}"
        )
    if data.is_multi_label != module.multi_label:
        kinds = ("one class a node", "any number of labels a node")
        raise ValueError(
            f"`{name}` must have {kinds[module.multi_label]}, as the model, got "
            f"{kinds[data.is_multi_label]}"
        )
    names = module.class_names
    # Of graphs without names, the last classes may be missing.
    shown = names if module.multi_label else names[: data.num_classes]
    if data.class_names != shown:
        raise ValueError(
            f"`{name}` must have the model's classes, {', '.join(names)}, got "
            f"{', '.join(data.class_names)}"
        )
    width = (data.graph.nodes if isinstance(data, LabeledGraph) else data.features).shape[1]
    if width != module.input_size:
        raise ValueError(
            f"`{name}` must have {module.input_size} features a node, as the model, got {width}"
        )
    members = getattr(data, marked) if isinstance(data, LabeledGraph) else data.labels >= 0
    if not members.any():
        kind = marked if isinstance(data, LabeledGraph) else "labeled"
        raise ValueError(f"`{name}` must have {kind} nodes, got none")


def _check_dealt_out(module, train, validation):
    if isinstance(train, LabeledGraph) or isinstance(validation, LabeledGraph):
        raise ValueError(
            "`train` and `validation` must be LabeledGraphs within the scope of a strategy, which "
            "deals them out to replicas, got a LabeledGraph, one whole graph"
        )
    if module.config.batch_norm:
        raise ValueError(
            "`config.batch_norm` must be False within the scope of a strategy, for it would take "
            "the statistics of each replica's part of a batch, got True"
        )
