"""Scaling of each graph's mean as a bijector over GraphsTuples (Deep Sets, section 3.1)."""

import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import graphs
from gnf_tf.bijectors.base import GraphLayer

__all__ = ["GraphMeanScale"]


class GraphMeanScale(GraphLayer):
    """The mean over a graph's nodes scaled, the nodes' deviations from it kept.

        forward:   y = x + (exp(log_scale) - 1) * mean(x)
        inverse:   x = y + (exp(-log_scale) - 1) * mean(y)
        log|det|:  sum over features of log_scale, per graph that has nodes

    The linear maps that commute with every permutation of the nodes are a x + b mean(x) (Zaheer
    et al., "Deep Sets", NeurIPS 2017): the scale of x is `GraphActNorm`'s, the mean's is here.
    The points of a set that fill fixed places have nearly the same mean in every set; couplings,
    in which no node sees the half that it changes of the others, learn to say so slowly.

    Nodes without edges are not independent after it: leave it out of a RealNVP.
    """

    def __init__(
        self,
        node_size: int,
        *,
        dtype: tf.DType = tf.float32,
        validate_args: bool = False,
        name: str = "graph_mean_scale",
    ):
        """Makes the variables, the identity; the arguments are those of `GraphCoupling`."""
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
        """Gives the means the size that they have where nodes are independent.

        After it n_node * mean^2 is 1 on average over the graphs, as under a standard normal, for
        features whose average over all nodes is 0 (`GraphActNorm` before this sees to that).

        Args:
          graph: data without padding; a feature whose means are all 0 is left alone.

        Raises:
          ValueError: if the graph is malformed, has no nodes, or features that are not finite.
        """
        graph = self._checked_graph(graphs.fill_missing(graph), check_values=True)
        num_nodes = graph.nodes.shape[0]
        if num_nodes < 1:
            raise ValueError("`graph` must have at least 1 node, got none")
        num_graphs = tf.math.count_nonzero(graph.n_node, dtype=graph.nodes.dtype)
        # In units of the largest value, for the square of a huge one would overflow.
        unit = tf.maximum(tf.reduce_max(tf.abs(graph.nodes), axis=0), 1.0)
        nodes = graph.nodes / unit
        # Over the nodes, as a graph of n nodes has its mean n times there.
        size = tf.reduce_sum(tf.square(_means(nodes, graph)), axis=0) / num_graphs
        # What rounding leaves of a constant mean is no scale.
        tiny = 1e-10 * (tf.square(1.0 / unit) + tf.reduce_mean(tf.square(nodes), axis=0))
        log_scale = tf.where(size > tiny, -0.5 * tf.math.log(size) - tf.math.log(unit), 0.0)
        self.log_scale.assign(log_scale)

    def condition(self, kept, graph, **unused):
        """`(log_scale [node_size], graph)`."""
        del kept, unused
        return tf.convert_to_tensor(self.log_scale), graph

    def transform(self, changed, params):
        """Data to latent, with log|det| per node."""
        log_scale, graph = params
        return _scaled(changed, log_scale, graph)

    def invert(self, changed, params):
        """Latent to data, with log|det| per node."""
        log_scale, graph = params
        return _scaled(changed, -log_scale, graph)


def _scaled(x, log_scale, graph):
    log_det = tf.reduce_sum(log_scale) / graphs.to_nodes(tf.cast(graph.n_node, x.dtype), graph)
    return x + tf.math.expm1(log_scale) * _means(x, graph), log_det


def _means(x, graph):
    """Each node's graph's mean, [num_nodes, node_size]."""
    n_node = tf.cast(tf.maximum(graph.n_node, 1), x.dtype)
    means = graphs.sum_nodes(x, graph) / n_node[:, tf.newaxis]
    return graphs.to_nodes(means, graph)
