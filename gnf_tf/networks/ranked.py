"""A network whose input tells the nodes of a graph apart by the order of their features."""

import math
from typing import Any

import sonnet as snt
import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import graphs
from gnf_tf.networks.arguments import check_positive

__all__ = ["Ranked"]


class Ranked(snt.Module):
    """Concatenates features of the rank of each node feature to the nodes that a network gets.

    For node i of a graph with n nodes and its feature x, [num_nodes, input_size], it adds, for each
    feature and each frequency k = 1, ..., num_frequencies,

        cos(pi k u_i),   u_i = 1/n sum over nodes j of sigmoid((x_i - x_j) / sharpness)

    u_i is a smooth rank in (0, 1), so that the network stays a smooth function, and its gradient
    and a reconstruction from rounded features are what they are without ranks. The cosines are a
    basis of the functions of n ranks. Nodes of other graphs, and padding, change nothing.

    Use it where a flow must assign nodes that are alike to different places, as in sets of points
    around fixed centers: the order of independent latent features is an assignment that all
    nodes agree on, and that attention alone learns slowly. It compares all pairs of nodes of a
    graph, whatever the edges are; so it is of no use for large graphs.
    """

    def __init__(
        self,
        network: snt.Module,
        num_frequencies: int,
        *,
        sharpness: float = 0.05,
        max_num_nodes: int | None = None,
        name: str | None = None,
    ):
        """Stores the network and the sizes.

        Args:
          network: GraphsTuple -> GraphsTuple.
          num_frequencies: number of cosines for each feature; with about as many as there are nodes
            in a graph, the network can tell all ranks apart.
          sharpness: difference of features, positive, below which ranks blur. The default is meant
            for features of scale 1.
          max_num_nodes: see `DotProductAttention`.
          name: as in Sonnet.

        Raises:
          ValueError: for an argument out of its range.
        """
        super().__init__(name=name)
        check_positive(num_frequencies=num_frequencies)
        if max_num_nodes is not None:
            check_positive(max_num_nodes=max_num_nodes)
        if not sharpness > 0:
            raise ValueError(f"`sharpness` must be positive, got {sharpness}")
        self._network = network
        self._num_frequencies = num_frequencies
        self._sharpness = sharpness
        self._max_num_nodes = max_num_nodes
        self.takes_seed = getattr(network, "takes_seed", False)  # see `GraphCoupling`

    def __call__(self, graph: GraphsTuple, **options: Any) -> GraphsTuple:
        nodes = tf.concat([graph.nodes, self._rank_features(graph)], axis=-1)
        return self._network(graph.replace(nodes=nodes), **options)

    def _rank_features(self, graph):
        """[num_nodes, input_size * num_frequencies]."""
        width = graph.nodes.shape[-1] * self._num_frequencies
        if graph.nodes.shape[0] == 0:
            return tf.zeros([0, width], graph.nodes.dtype)
        blocks = graphs.Blocks.of(graph, self._max_num_nodes)
        x = blocks.stack(graph.nodes)  # [n_graphs, size, input_size]
        is_node = tf.cast(blocks.is_node, x.dtype)[:, tf.newaxis, :, tf.newaxis]
        is_above = tf.sigmoid((x[:, :, tf.newaxis] - x[:, tf.newaxis]) / self._sharpness)
        rank = tf.reduce_sum(is_node * is_above, axis=2)
        share = tf.math.divide_no_nan(rank, tf.reduce_sum(is_node, axis=2))
        frequencies = tf.range(1, self._num_frequencies + 1, dtype=tf.int32)
        angles = math.pi * share[..., tf.newaxis] * tf.cast(frequencies, x.dtype)
        return tf.reshape(blocks.unstack(tf.cos(angles)), [-1, width])
