"""A learned scale for the mean of each graph (the other half of Deep Sets' linear map)."""

import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import graphs
from gnf_tf.bijectors.base import GraphLayer
from gnf_tf.bijectors.units import largest_size, log_scale_to_one
from gnf_tf.graphs.segments import at_least_float32

__all__ = ["GraphMeanScale"]


class GraphMeanScale(GraphLayer):
    """Scales the mean of each graph's node features; deviations from the mean stay as they are.

    With mean(x) the mean of x over the nodes of a graph, and log_scale [node_size]:

        forward:   y = x + (exp(log_scale) - 1) * mean(x)
        inverse:   x = y + (exp(-log_scale) - 1) * mean(y)
        log|det|:  sum over features of log_scale, for each graph that has nodes

    A linear map of a feature commutes with every permutation of the nodes if and only if it is
    a x + b mean(x) (Zaheer et al., "Deep Sets", NeurIPS 2017, section 3.1). `GraphActNorm` learns
    a; this bijector learns b. Use it for sets whose mean varies less than that of independent
    nodes, such as points around fixed centers: couplings learn this only slowly, since no node
    sees the changing half of another one. Leave it out where nodes must stay independent, as in
    RealNVP, for it makes every node depend on all others of its graph.
    """

    def __init__(
        self,
        node_size: int,
        *,
        dtype: tf.DType = tf.float32,
        validate_args: bool = False,
        name: str = "graph_mean_scale",
    ):
        """Makes the variable; the map is the identity at first.

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

    def initialize(self, graph: GraphsTuple) -> None:
        """Sets the scale so that means are as large as those of standard normal nodes.

        Then the average of n_node * mean(y)^2 over the graphs is 1 for each feature. The average
        of the feature over all nodes should be 0, as it is after `GraphActNorm.initialize`.

        Args:
          graph: a batch of data without padding, nodes [num_nodes, node_size]. The scale of a
            feature stays 1 if all its means are 0.

        Raises:
          ValueError: if the graph is malformed, has no nodes, or features that are not finite.
        """
        graph = self._checked_graph(graphs.fill_missing(graph), check_values=True)
        num_nodes = graph.nodes.shape[0]
        if num_nodes < 1:
            raise ValueError("`graph` must have at least 1 node, got none")
        graph = graph.replace(nodes=at_least_float32(graph.nodes))
        num_graphs = tf.math.count_nonzero(graph.n_node, dtype=graph.nodes.dtype)
        unit = largest_size(graph.nodes)
        nodes = graph.nodes / unit
        # The sum over nodes has the mean of a graph n_node times.
        size = tf.reduce_sum(tf.square(graphs.mean_nodes(nodes, graph)), axis=0) / num_graphs
        total = tf.reduce_mean(tf.square(nodes), axis=0)
        log_scale = log_scale_to_one(size, unit, total)
        self.log_scale.assign(tf.cast(log_scale, self.log_scale.dtype))

    def condition(self, kept, graph, **unused):
        """(log_scale [node_size], graph)."""
        del kept, unused
        return tf.convert_to_tensor(self.log_scale), graph

    def transform(self, changed, params):
        """Data to latent: (y [num_nodes, node_size], log|det| per node [num_nodes])."""
        log_scale, graph = params
        return _scaled(changed, log_scale, graph)

    def invert(self, changed, params):
        """Latent to data: (x, log|det| per node of the inverse), of the same shapes."""
        log_scale, graph = params
        return _scaled(changed, -log_scale, graph)


def _scaled(x, log_scale, graph):
    # Each node has an equal share in the log-determinant of its graph.
    total = at_least_float32(tf.reduce_sum(log_scale))
    log_det = total / graphs.to_nodes(tf.cast(graph.n_node, total.dtype), graph)
    moved = tf.math.expm1(log_scale) * graphs.mean_nodes(x, graph)
    return x + moved, tf.cast(log_det, x.dtype)
