"""Batch normalization of node features (RealNVP, section 3.7)."""

import numpy as np
import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import graphs, options
from gnf_tf.bijectors.base import GraphLayer
from gnf_tf.graphs.segments import is_half

__all__ = ["GraphBatchNorm"]


class GraphBatchNorm(GraphLayer):
    """Normalizes each node feature, with a log-determinant per graph; the paper's normalization.

        forward:   y = (x - mean) / sqrt(variance + epsilon) * exp(log_scale) + shift
        inverse:   x = (y - shift) * exp(-log_scale) * sqrt(variance + epsilon) + mean
        log|det|:  n_node * sum over features of (log_scale - log(variance + epsilon) / 2)

    All of mean, variance, log_scale and shift are [node_size]. With `is_training=True`, `forward`
    computes mean and variance over the nodes of the whole batch, so that graphs of a batch affect
    each other. It moves the moving averages towards them, and gradients go through them; the
    log-determinant is that of the map with mean and variance constant, as in RealNVP. A batch
    without nodes is normalized by the moving averages.

    With `is_training=False`, the default, mean and variance are the moving averages in both
    directions: then the log-determinant is exact, and graphs don't affect each other. The moving
    averages start as mean 0 and variance 1. A mean or variance that is not finite leaves those of
    its feature unchanged.

    `inverse` with `is_training=True` raises, since it would need the statistics of the input, which
    is unknown. Choose `GraphActNorm` for small batches, in which the statistics are noisy.
    """

    def __init__(
        self,
        node_size: int,
        *,
        momentum: float = 0.99,
        epsilon: float = 1e-5,
        padded: bool = False,
        dtype: tf.DType = tf.float32,
        validate_args: bool = False,
        name: str = "graph_batch_norm",
    ):
        """Makes the variables.

        Args:
          node_size: width of the node features, at least 2.
          momentum: the weight of the old moving average at each training step, in [0, 1).
          epsilon: added to the variance, positive and finite.
          padded: whether training batches come from `graphs.pad`: then padding nodes are left out
            of the batch statistics. (Nothing in a graph itself tells padding from data.)
          dtype: float type of the graphs.
          validate_args: whether to check the values of each graph too.
          name: as in TFP.

        Raises:
          ValueError: for an argument out of its range.
        """
        parameters = dict(locals())
        options.check_argument("momentum", options.Share, momentum)
        options.check_argument("epsilon", options.Positive, epsilon)
        super().__init__(
            node_size,
            dtype=dtype,
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )
        self._momentum = momentum
        self._epsilon = epsilon
        self._padded = padded
        self.log_scale = tf.Variable(tf.zeros([node_size], dtype), name="log_scale")
        self.shift = tf.Variable(tf.zeros([node_size], dtype), name="shift")
        # Each replica has averages of its own, as in Keras; what is read and saved is their mean.
        of_replicas = {
            "trainable": False,
            "synchronization": tf.VariableSynchronization.ON_READ,
            "aggregation": tf.VariableAggregation.MEAN,
        }
        self.moving_mean = tf.Variable(
            tf.zeros([node_size], dtype), name="moving_mean", **of_replicas
        )
        self.moving_variance = tf.Variable(
            tf.ones([node_size], dtype), name="moving_variance", **of_replicas
        )

    def condition(self, kept, graph, *, is_training, **unused):
        """(log_scale [node_size], shift [node_size], counted).

        `counted`, bool [num_nodes, 1], marks the nodes that enter the statistics in training; it
        is None where the moving averages are used.
        """
        del kept, unused
        counted = None
        if is_training:
            everything = tf.ones(tf.shape(graph.nodes)[:1], tf.bool)
            counted = (graphs.node_mask(graph) if self._padded else everything)[:, tf.newaxis]
        return tf.convert_to_tensor(self.log_scale), tf.convert_to_tensor(self.shift), counted

    def statistics(self, changed, params):
        """(mean, variance) of a training batch, [node_size] each; () for the moving averages."""
        _, _, counted = params
        if counted is None:
            return ()
        any_node = tf.reduce_any(counted)
        moving = self._moving_statistics()
        return tuple(
            tf.where(any_node, of_batch, average)
            for of_batch, average in zip(_moments(changed, counted), moving, strict=True)
        )

    def transform(self, changed, params, *statistics):
        """Data to latent: (y [num_nodes, node_size], log|det| per node [num_nodes])."""
        log_scale, shift, _ = params
        mean, variance = statistics or self._moving_statistics()
        total_log_scale = log_scale - 0.5 * tf.math.log(variance + self._epsilon)
        changed = (changed - mean) * tf.exp(total_log_scale) + shift
        return changed, tf.fill(tf.shape(changed)[:1], tf.reduce_sum(total_log_scale))

    def invert(self, changed, params, *statistics):
        """Latent to data: (x, log|det| per node of the inverse), of the same shapes.

        Raises:
          ValueError: in training, unless the statistics that `transform` used are given.
        """
        log_scale, shift, counted = params
        if counted is not None and not statistics:
            raise ValueError(
                f"{self.name}: inverse with `is_training=True` is not defined, since the batch "
                "statistics belong to the unknown input; use `is_training=False`"
            )
        mean, variance = statistics or self._moving_statistics()
        total_log_scale = log_scale - 0.5 * tf.math.log(variance + self._epsilon)
        changed = (changed - shift) * tf.exp(-total_log_scale) + mean
        return changed, tf.fill(tf.shape(changed)[:1], -tf.reduce_sum(total_log_scale))

    def calibrate(self, graph: GraphsTuple) -> None:
        """Sets the moving averages to the mean and variance of all nodes of `graph` but padding.

        Args:
          graph: a batch of data, nodes [num_nodes, node_size].

        Raises:
          ValueError: if the graph is malformed, has no nodes, or features that are not finite or
            whose variance overflows.
        """
        graph = self._checked_graph(graphs.fill_missing(graph), check_values=True)
        _, _, counted = self.condition(None, graph, is_training=True)
        if not tf.reduce_any(counted):
            but = " but padding" if len(graph.nodes) else ""
            raise ValueError(f"{self.name}: `graph` has no nodes to take statistics of{but}")
        mean, variance = _moments(graph.nodes, counted)
        largest = graph.nodes.dtype.max
        if tf.reduce_any(variance >= largest):
            raise ValueError(
                f"{self.name}: `graph.nodes` must have a variance below {largest:.3g}, "
                f"got features up to {np.abs(graph.nodes).max():.3g}"
            )
        self.moving_mean.assign(mean)
        self.moving_variance.assign(variance)

    def update_statistics(self, *statistics):
        """Moves the moving averages towards the (mean, variance) of a training batch."""
        finite = tf.reduce_all(tf.math.is_finite(statistics), axis=0)
        for moving, value in zip((self.moving_mean, self.moving_variance), statistics, strict=True):
            moving.assign_sub(tf.where(finite, (1.0 - self._momentum) * (moving - value), 0.0))

    def _moving_statistics(self):
        return tf.convert_to_tensor(self.moving_mean), tf.convert_to_tensor(self.moving_variance)


def _moments(values, counted):
    """(mean, variance) over the rows that are counted; without any, (0, 0).

    For finite values they are finite: a variance that overflows is the dtype's largest number.
    """
    if is_half(values):
        exact = _moments(tf.cast(values, tf.float32), counted)
        return tuple(tf.cast(tf.minimum(one, values.dtype.max), values.dtype) for one in exact)
    number = tf.maximum(tf.reduce_sum(tf.cast(counted, values.dtype)), 1.0)
    # Values are divided before they are added, so that the sum can't overflow.
    mean = tf.reduce_sum(tf.where(counted, values, 0.0) / number, axis=0)
    squares = tf.square(tf.where(counted, values - mean, 0.0))
    return mean, tf.minimum(tf.reduce_sum(squares / number, axis=0), values.dtype.max)
