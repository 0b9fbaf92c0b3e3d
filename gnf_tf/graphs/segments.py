"""Which graph a node or edge belongs to, and sums over a graph's nodes."""

import tensorflow as tf
from graph_nets.graphs import GraphsTuple

__all__ = ["edge_graph_ids", "node_graph_ids", "sum_nodes"]


def node_graph_ids(graph: GraphsTuple) -> tf.Tensor:
    """[num_nodes] int32: the graph that each node belongs to."""
    return _segment_ids(graph.n_node, tf.shape(graph.nodes)[0])


def edge_graph_ids(graph: GraphsTuple) -> tf.Tensor:
    """[num_edges] int32: the graph that each edge belongs to."""
    return _segment_ids(graph.n_edge, tf.shape(graph.senders)[0])


def _segment_ids(counts, total):
    # tf.repeat would need a size that XLA can't know; counting the ends passed does not.
    ends = tf.cumsum(counts)
    return tf.searchsorted(ends, tf.range(total, dtype=ends.dtype), side="right")


def sum_nodes(values: tf.Tensor, graph: GraphsTuple) -> tf.Tensor:
    """Sums over the nodes of each graph: [num_nodes, ...] -> [n_graphs, ...]."""
    return tf.math.unsorted_segment_sum(values, node_graph_ids(graph), tf.shape(graph.n_node)[0])
