"""Training of a `NodeClassifier` by cross entropy."""

import dataclasses
from typing import Any, ClassVar, Literal

import numpy as np
import tensorflow as tf
import tf_keras

from gnf_tf import datasets, graphs, options
from gnf_tf.datasets import LabeledGraph, LabeledGraphs
from gnf_tf.graphs import GraphsTuple
from gnf_tf.models.node_classifier import NodeClassifier
from gnf_tf.training import distribution
from gnf_tf.training.objective import Objective, Settings

__all__ = ["MicroF1", "NodeObjective", "NodeSettings", "check_nodes", "wrong_first"]

# Neumann RBP has the paper's rate: at 5e-3 its update stops being a contraction (PPI: loss NaN).
_LEARNING_RATE, _LEARNING_RATE_OF_RBP = 5e-3, 1e-3


@dataclasses.dataclass(frozen=True)
class NodeSettings(Settings):
    """The training settings of a `NodeClassifier`."""

    batch_size: options.Count = 1
    """number of graphs in a training step, of all replicas together"""
    steps_per_epoch: options.Count = 5
    """number of training steps between validations, if the training data are one whole graph"""
    optimizer: Literal["adam", "momentum"] = "adam"
    """momentum: SGD with momentum 0.9, as in the paper for neumann_rbp"""
    learning_rate: options.Positive | None = None  # type: ignore[assignment]
    """constant learning rate; default: 5e-3, or 1e-3 for neumann_rbp"""
    l2: options.NotNegative = 0.0
    """factor of the L2 penalty, half the sum of squares of all weights; with more than 5 message
    passing steps that don't share weights, their weights have the factor l2 * 5 / num_steps"""
    l2_embedding: options.NotNegative | None = None
    """factor of the L2 penalty of the embedding's weights; default: l2"""
    select: Literal["score", "loss"] = "score"
    """criterion for the best weights: score: highest validation accuracy (or micro F1), then lowest
    loss; loss: lowest validation loss"""


def wrong_first(score: tf.Tensor, loss: tf.Tensor) -> tf.Tensor:
    """Returns the criterion 1 - score + 1e-6 min(loss, 1000), which the best weights minimize.

    The loss decides only between equal scores. The criterion is in float64: beside the score,
    float32 would round differences of the loss below 0.03 away.
    """
    score, loss = (tf.cast(value, tf.float64) for value in (score, loss))
    return 1.0 - score + 1e-6 * tf.minimum(loss, 1e3)


class MicroF1(tf_keras.metrics.Metric):
    """Micro F1 over all pairs of a node and a label: 2 TP / (2 TP + FP + FN).

    A label is predicted if its probability is above 1/2. Without true and predicted labels it is 0.
    """

    def __init__(self, name: str = "f1"):
        super().__init__(name=name)
        # An epoch of PPI has 5 million pairs, too many for float32. Integers don't work either: on
        # restoring a checkpoint, TensorFlow divides a sum evenly among the replicas.
        self._right = self.add_weight("right", initializer="zeros", dtype=tf.float64)
        self._claims = self.add_weight("claims", initializer="zeros", dtype=tf.float64)

    def update_state(self, labels: tf.Tensor, logits: tf.Tensor, weights: tf.Tensor) -> None:
        """Adds the counts of a batch.

        Args:
          labels: [num_nodes, num_labels], 0 or 1.
          logits: [num_nodes, num_labels].
          weights: [num_nodes], 1 for nodes that count, else 0.
        """
        counts = weights[:, tf.newaxis] > 0
        true, predicted = (labels > 0) & counts, (logits > 0) & counts

        def number(members):
            return tf.cast(tf.math.count_nonzero(members), tf.float64)

        self._right.assign_add(number(true & predicted))
        self._claims.assign_add(number(true) + number(predicted))

    def result(self) -> tf.Tensor:
        """Returns the F1 of all batches so far, a float32 scalar."""
        return tf.cast(tf.math.divide_no_nan(2.0 * self._right, self._claims), tf.float32)


class NodeObjective(Objective):
    """Minimizes the mean cross entropy over labeled nodes, in nats, plus an L2 penalty.

    With many labels a node, the cross entropy of a node is the mean over its labels.

    `train` is a `LabeledGraph`, which each training step takes whole and whose training nodes
    count; or `LabeledGraphs`, in batches, in which all labeled nodes count. `validation` has one of
    these types, too, and the validation nodes of a `LabeledGraph` count. Its default is `train`,
    with the training nodes if no node is marked for validation.

    The metric `criterion`, see `NodeSettings.select`, selects the best weights.
    """

    settings_class = NodeSettings
    monitor: ClassVar[str] = "val_criterion"
    loss_name: ClassVar[str] = "cross entropy [nats]"
    has_schedule: ClassVar[bool] = False
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
        check_nodes("train", train, "train", module)
        check_nodes("validation", validation, marked, module)
        if tf.distribute.has_strategy():
            _check_distributable(module, train, validation)
        score = MicroF1() if module.multi_label else tf_keras.metrics.Mean(name="accuracy")
        super().__init__(module, settings, seed, train, validation, [score])
        self._score, self._marked = score.name, marked
        self._first = next(module.members(validation))

    @property
    def _execution(self):
        return self.settings.execution or self.default_execution()

    def default_execution(self):
        """See `Objective.default_execution`."""
        config = self.module.config
        if config.loop or config.model == "neumann_rbp":
            return "xla"  # which compiles a loop quickly, and fuses the operations of its steps
        return "function"

    @property
    def steps_per_epoch(self) -> int:
        """See `Objective.steps_per_epoch`."""
        if isinstance(self._train, LabeledGraph):
            return self.settings.steps_per_epoch
        return super().steps_per_epoch

    def batches(self, data, passes=1, **options):
        """See `Objective.batches`; the shapes are static if XLA compiles them."""
        del passes
        return distribution.distribute(
            datasets.node_batches,
            data,
            self.settings.batch_size,
            padded=self._execution == "xla" or self.module.config.batch_norm,
            **options,
        )

    def training_stream(self, first_epoch, skip):
        """See `Objective.training_stream`."""
        if not isinstance(self._train, LabeledGraph):
            return super().training_stream(first_epoch, skip)
        element = tf.data.Dataset.from_tensors(self._element(self._train, "train"))
        return self.input_wait.timed(element.repeat(self.steps_per_epoch - skip))

    def validation_stream(self):
        """See `Objective.validation_stream`."""
        if not isinstance(self._validation, LabeledGraph):
            return super().validation_stream()
        return tf.data.Dataset.from_tensors(self._element(self._validation, self._marked)), 1

    def _element(self, network, marked):
        """Returns one whole graph as an element (inputs, labels, weights) of a stream."""
        (graph,) = self.module.members(network)
        labels = np.maximum(network.labels, 0)
        labels = labels.astype(np.float32 if self.module.multi_label else np.int32)
        weights = getattr(network, marked).astype(np.float32)
        if self.module.config.batch_norm:
            # In training, batch normalization ignores the last graph, which must be padding.
            labels, weights = (
                np.pad(v, [(0, 1)] + [(0, 0)] * (v.ndim - 1)) for v in (labels, weights)
            )
            graph = graphs.pad(graph, len(weights), len(graph.senders), 2)
        return graph._asdict(), labels, weights

    def averaged_variables(self):
        """Returns all variables, also those of the batch normalization."""
        return list(self.module.variables)

    def optimizer_for(self, total_steps):
        """Returns an optimizer with a constant learning rate, which callbacks may change."""
        del total_steps
        shared = {"global_clipnorm": self.settings.global_clipnorm, "jit_compile": False}
        if self.settings.optimizer == "adam":
            return tf_keras.optimizers.Adam(self.settings.learning_rate, **shared)
        return tf_keras.optimizers.SGD(self.settings.learning_rate, momentum=0.9, **shared)

    def batch_loss(self, data, is_training):
        """Returns means over the labeled nodes of a batch, see `Objective.batch_loss`."""
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

    @tf.autograph.experimental.do_not_convert
    def test_step(self, data):
        logs = super().test_step(data)
        is_loss = self.settings.select == "loss"
        criterion = logs["loss"] if is_loss else wrong_first(logs[self._score], logs["loss"])
        return logs | {"criterion": criterion}

    def penalty(self):
        """Returns the L2 penalty."""
        module, l2, l2_embedding = self.module, self.settings.l2, self.settings.l2_embedding
        weight_of = {variable.ref(): l2 for variable in self.trained}
        if module.embed is not None and l2_embedding is not None:
            for variable in module.embed.trainable_variables:
                weight_of[variable.ref()] = l2_embedding
        if module.config.model != "neumann_rbp" and not module.config.share_weights:
            for variable in module.net.trainable_variables:  # scaled as their gradients are
                weight_of[variable.ref()] *= module.step_scale
        terms = [weight * tf.nn.l2_loss(v.deref()) for v, weight in weight_of.items() if weight]
        return tf.add_n(terms) if terms else 0.0

    def diagnose(self) -> dict[str, float]:
        """Returns numerical errors of the network on the first validation graph.

        For a GRevNet: `reconstruction_error`, max |x - inverse(net(x))| over node features x. For
        Neumann RBP: `residual`, the distance to the fixed point, see `NeumannRBP.residual`.
        """
        net, graph = self.module.net, self.module.start(self._first)
        if self.module.config.model == "neumann_rbp":
            return {"residual": float(tf.reduce_max(net.residual(graph)))}
        back = net.inverse(net(graph))
        return {"reconstruction_error": float(tf.reduce_max(tf.abs(back.nodes - graph.nodes)))}


def check_nodes(name: str, data: Any, marked: str, module: NodeClassifier) -> None:
    """Checks that data fit a model and have nodes with labels.

    Args:
      name: the name of the data in the error message.
      data: a LabeledGraph or LabeledGraphs.
      marked: the set of a LabeledGraph that must have nodes.
      module: the model.

    Raises:
      ValueError: if they don't.
    """
    if not isinstance(data, LabeledGraph | LabeledGraphs):
        raise ValueError(
            f"`{name}` must be a LabeledGraph or LabeledGraphs, got {type(data).__name__}"
        )
    # First of all, since data in which nothing is labeled have neither classes nor many labels.
    if isinstance(data, LabeledGraph):
        if not getattr(data, marked).any():
            raise ValueError(f"`{name}` must have {marked} nodes, got none")
    elif not (data.labels >= 0).any():
        raise ValueError(f"`{name}` must have labeled nodes, got none")
    if data.is_multi_label != module.multi_label:
        kinds = ("one class a node", "any number of labels a node")
        raise ValueError(
            f"`{name}` must have {kinds[module.multi_label]}, as the model, got "
            f"{kinds[data.is_multi_label]}"
        )
    names = module.class_names
    # Data without class names may lack the last classes.
    shown = names if module.multi_label else names[: data.num_classes]
    if data.class_names != shown:
        raise ValueError(
            f"`{name}` must have the model's classes, {', '.join(names)}, got "
            f"{', '.join(data.class_names)}; give its reader `class_names`"
        )
    width = (data.graph.nodes if isinstance(data, LabeledGraph) else data.features).shape[1]
    if width != module.input_size:
        raise ValueError(
            f"`{name}` must have {module.input_size} features a node, as the model, got {width}"
        )


def _check_distributable(module, train, validation):
    if isinstance(train, LabeledGraph) or isinstance(validation, LabeledGraph):
        raise ValueError(
            "`train` and `validation` must be LabeledGraphs within the scope of a strategy, which "
            "distributes batches of graphs, got a LabeledGraph, one whole graph"
        )
    if module.config.batch_norm:
        raise ValueError(
            "`config.batch_norm` must be False within the scope of a strategy, since each replica "
            "would have statistics of its part of a batch alone, got True"
        )
