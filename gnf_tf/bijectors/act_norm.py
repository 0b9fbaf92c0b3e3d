"""Activation normalisation as a bijector over GraphsTuples (Glow, section 3.1)."""

import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import graphs
from gnf_tf.bijectors.base import GraphLayer

__all__ = ["GraphActNorm"]


class GraphActNorm(GraphLayer):
    """A scale and a shift for each node feature, initialised from data.

        forward:   y = x * exp(log_scale) + shift
        inverse:   x = (y - shift) * exp(-log_scale)
        log|det|:  n_node * sum over features of log_scale

    It starts as the identity; `initialize` makes the features of a batch have mean 0 and
    deviation 1. Unlike `GraphBatchNorm` it is the same map in training and after, and no graph
    of a batch affects another. Kingma, Dhariwal, "Glow", NeurIPS 2018.
    """

    def __init__(
        self,
        node_size: int,
        *,
        dtype: tf.DType = tf.float32,
        validate_args: bool = False,
        name: str = "graph_act_norm",
    ):
        """Makes the variables; the arguments are those of `GraphCoupling`."""
        parameters = dict(locals())
        super().__init__(
            node_size,
            dtype=dtype,
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )
        self.log_scale = tf.Variable(tf.zeros([node_size], dtype), name="log_scale")
        self.shift = tf.Variable(tf.zeros([node_size], dtype), name="shift")

    def initialize(self, graph: GraphsTuple) -> None:
        """Assigns scale and shift so that `forward(graph)` has mean 0 and deviation 1 over nodes.

        Args:
          graph: data without padding; a feature that is constant in it is only shifted.

        Raises:
          ValueError: if the graph is malformed, has fewer than two nodes, or features that are
            not finite.
        """
        graph = self._checked_graph(graphs.fill_missing(graph), check_values=True)
        if graph.nodes.shape[0] < 2:
            raise ValueError(f"`graph` must have at least 2 nodes, got {graph.nodes.shape[0]}")
        # Moments in units of the largest value, for the square of a huge one would overflow.
        unit = tf.maximum(tf.reduce_max(tf.abs(graph.nodes), axis=0), 1.0)
        mean, variance = tf.nn.moments(graph.nodes / unit, axes=[0])
        # What rounding leaves of a constant's variance is no scale.
        tiny = 1e-10 * (tf.square(1.0 / unit) + tf.square(mean))
        log_scale = tf.where(variance > tiny, -0.5 * tf.math.log(variance) - tf.math.log(unit), 0.0)
        self.log_scale.assign(log_scale)
        self.shift.assign(-mean * unit * tf.exp(log_scale))

    def condition(self, kept, graph, **unused):
        """`(log_scale, shift)`, each [node_size]."""
        del kept, graph, unused
        return tf.convert_to_tensor(self.log_scale), tf.convert_to_tensor(self.shift)

    def transform(self, changed, params):
        """Data to latent, with log|det| per node."""
        log_scale, shift = params
        changed = changed * tf.exp(log_scale) + shift
        return changed, tf.fill(tf.shape(changed)[:1], tf.reduce_sum(log_scale))

    def invert(self, changed, params):
        """Latent to data, with log|det| per node."""
        log_scale, shift = params
        changed = (changed - shift) * tf.exp(-log_scale)
        return changed, tf.fill(tf.shape(changed)[:1], -tf.reduce_sum(log_scale))
