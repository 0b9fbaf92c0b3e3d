"""Activation normalization of node features (Glow, section 3.1)."""

import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import graphs
from gnf_tf.bijectors.base import GraphLayer
from gnf_tf.bijectors.units import largest_size, log_scale_to_one
from gnf_tf.graphs.segments import at_least_float32

__all__ = ["GraphActNorm"]


class GraphActNorm(GraphLayer):
    """A learned scale and shift of each node feature, initialized from data.

        forward:   y = x * exp(log_scale) + shift
        inverse:   x = (y - shift) / exp(log_scale)
        log|det|:  n_node * sum over features of log_scale

    log_scale and shift are [node_size]. A new GraphActNorm is the identity; `initialize` gives the
    features of a batch mean 0 and standard deviation 1. Choose it over `GraphBatchNorm`, the
    paper's, where training and evaluation must be the same map, or where no graph of a batch may
    affect another.

    Reference: Kingma, Dhariwal, "Glow", NeurIPS 2018.
    """

    def __init__(
        self,
        node_size: int,
        *,
        dtype: tf.DType = tf.float32,
        validate_args: bool = False,
        name: str = "graph_act_norm",
    ):
        """Makes the variables.

        Args:
          node_size: width of the node features, at least 2.
          dtype: float type of the graphs.
          validate_args: whether to check the values of each graph too.
          name: as in TFP.

        Raises:
          ValueError: if `node_size` is below 2.
        """
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
        """Sets scale and shift so that `forward(graph)` has mean 0 and deviation 1 over nodes.

        Args:
          graph: a batch of data without padding, nodes [num_nodes, node_size]. A feature that is
            constant is shifted to 0, and not scaled.

        Raises:
          ValueError: if the graph is malformed, has fewer than two nodes, or features that are
            not finite.
        """
        graph = self._checked_graph(graphs.fill_missing(graph), check_values=True)
        if graph.nodes.shape[0] < 2:
            raise ValueError(f"`graph` must have at least 2 nodes, got {graph.nodes.shape[0]}")
        nodes = at_least_float32(graph.nodes)
        unit = largest_size(nodes)
        mean, variance = tf.nn.moments(nodes / unit, axes=[0])
        log_scale = log_scale_to_one(variance, unit, tf.square(mean))
        self.log_scale.assign(tf.cast(log_scale, self.log_scale.dtype))
        self.shift.assign(tf.cast(-mean * unit * tf.exp(log_scale), self.shift.dtype))

    def condition(self, kept, graph, **unused):
        """(log_scale, shift), each [node_size]."""
        del kept, graph, unused
        return tf.convert_to_tensor(self.log_scale), tf.convert_to_tensor(self.shift)

    def transform(self, changed, params):
        """Data to latent: (y [num_nodes, node_size], log|det| per node [num_nodes])."""
        log_scale, shift = params
        changed = changed * tf.exp(log_scale) + shift
        return changed, tf.fill(tf.shape(changed)[:1], tf.reduce_sum(log_scale))

    def invert(self, changed, params):
        """Latent to data: (x, log|det| per node of the inverse), of the same shapes."""
        log_scale, shift = params
        changed = (changed - shift) * tf.exp(-log_scale)
        return changed, tf.fill(tf.shape(changed)[:1], -tf.reduce_sum(log_scale))
