"""Batch normalisation of node features as a bijector over GraphsTuples (RealNVP, section 3.7)."""

import numpy as np
import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import graphs
from gnf_tf.bijectors.base import GraphLayer

__all__ = ["GraphBatchNorm"]


class GraphBatchNorm(GraphLayer):
    """Normalises each node feature, with an exact log-determinant per graph.

        forward:   y = (x - mean) / sqrt(variance + epsilon) * exp(log_scale) + shift
        inverse:   x = (y - shift) * exp(-log_scale) * sqrt(variance + epsilon) + mean
        log|det|:  n_node * sum over features of (log_scale - log(variance + epsilon) / 2)

    With `is_training=True`, `forward` takes mean and variance over the nodes of the whole batch
    (so graphs of a batch do affect each other, and the gradient runs through the statistics),
    and moves the moving averages towards them once for each evaluation. The log-determinant then
    takes the statistics as given, as RealNVP does. Otherwise, for `log_prob`, sampling and
    inversion alike, the moving averages are used: constants, so that forward and inverse are
    mutual inverses and graphs are independent. They start as mean 0 and variance 1. A training
    batch without nodes uses them too, and leaves them as they are; so does, for its feature, a
    value that is not finite.

    `inverse` with `is_training=True` raises: the statistics of the input that it would need
    are not known.
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
          node_size: width of the node features, at least 2; see `reversible.half_sizes`.
          momentum: share of the moving averages kept at each training step, in [0, 1).
          epsilon: added to the variance, positive.
          padded: training batches come from `graphs.pad`; padding nodes are left out of the
            batch statistics. (Nothing else in a graph tells padding from data.)
          dtype: float type of the graphs.
          validate_args: check the values of each graph too.
          name: as TFP.

        Raises:
          ValueError: for an argument out of its range.
        """
        parameters = dict(locals())
        if not 0.0 <= momentum < 1.0:
            raise ValueError(f"`momentum` must be in [0, 1), got {momentum}")
        if not epsilon > 0.0:
            raise ValueError(f"`epsilon` must be positive, got {epsilon}")
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
        self.moving_mean = tf.Variable(
            tf.zeros([node_size], dtype), trainable=False, name="moving_mean"
        )
        self.moving_variance = tf.Variable(
            tf.ones([node_size], dtype), trainable=False, name="moving_variance"
        )

    def condition(self, kept, graph, *, is_training, **unused):
        """(log_scale, shift, counted): [node_size] twice, and [num_nodes, 1].

        `counted`, bool, says which nodes the statistics of a training batch are taken of; it is
        None for the moving averages.
        """
        del kept, unused
        counted = None
        if is_training:
            everything = tf.ones(tf.shape(graph.nodes)[:1], tf.bool)
            counted = (graphs.node_mask(graph) if self._padded else everything)[:, tf.newaxis]
        return tf.convert_to_tensor(self.log_scale), tf.convert_to_tensor(self.shift), counted

    def statistics(self, changed, params):
        """(mean, variance) of a training batch, [node_size] each; empty for the moving averages."""
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
        """Data to latent, and log|det| per node."""
        log_scale, shift, _ = params
        mean, variance = statistics or self._moving_statistics()
        total_log_scale = log_scale - 0.5 * tf.math.log(variance + self._epsilon)
        changed = (changed - mean) * tf.exp(total_log_scale) + shift
        return changed, tf.fill(tf.shape(changed)[:1], tf.reduce_sum(total_log_scale))

    def invert(self, changed, params, *statistics):
        """Latent to data, and log|det| per node."""
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
        """Sets the moving averages to the statistics of all nodes of `graph`, padding apart.

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
        """Moves the averages towards the (mean, variance) of a training batch."""
        finite = tf.reduce_all(tf.math.is_finite(statistics), axis=0)
        for moving, value in zip((self.moving_mean, self.moving_variance), statistics, strict=True):
            moving.assign_sub(tf.where(finite, (1.0 - self._momentum) * (moving - value), 0.0))

    def _moving_statistics(self):
        return tf.convert_to_tensor(self.moving_mean), tf.convert_to_tensor(self.moving_variance)


def _moments(values, counted):
    """(mean, variance) over the rows that are counted, finite for finite values and without rows.

    A variance that overflows is the largest number of the dtype.
    """
    number = tf.maximum(tf.reduce_sum(tf.cast(counted, values.dtype)), 1.0)
    # Divided before they are added, lest the sum overflow.
    mean = tf.reduce_sum(tf.where(counted, values, 0.0) / number, axis=0)
    squares = tf.square(tf.where(counted, values - mean, 0.0))
    return mean, tf.minimum(tf.reduce_sum(squares / number, axis=0), values.dtype.max)
