"""Which graph a node or edge belongs to; from nodes to edges and back; sums over a graph."""

import numpy as np
import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import xla

__all__ = ["edge_graph_ids", "gather", "node_graph_ids", "scatter_sum", "sum_nodes", "to_nodes"]


def node_graph_ids(graph: GraphsTuple) -> tf.Tensor:
    """[num_nodes] int32: the graph that each node belongs to."""
    return _segment_ids(graph.n_node, tf.shape(graph.nodes)[0])


def edge_graph_ids(graph: GraphsTuple) -> tf.Tensor:
    """[num_edges] int32: the graph that each edge belongs to."""
    return _segment_ids(graph.n_edge, tf.shape(graph.senders)[0])


def _segment_ids(counts, total):
    known = tf.get_static_value(counts)
    if known is not None:
        return tf.constant(np.repeat(np.arange(len(known)), known), tf.int32)
    # tf.repeat would need a size that XLA can't know; counting the ends passed does not.
    ends = tf.cumsum(counts)
    return tf.searchsorted(ends, tf.range(total, dtype=ends.dtype), side="right")


def sum_nodes(values: tf.Tensor, graph: GraphsTuple) -> tf.Tensor:
    """Sums over the nodes of each graph: [num_nodes, ...] -> [n_graphs, ...]."""
    shape = _static_blocks(graph)
    if shape:
        return tf.reduce_sum(tf.reshape(values, [*shape, *values.shape[1:]]), axis=1)
    return tf.math.unsorted_segment_sum(values, node_graph_ids(graph), tf.shape(graph.n_node)[0])


def to_nodes(values: tf.Tensor, graph: GraphsTuple) -> tf.Tensor:
    """Each node's graph's row, the transpose of `sum_nodes`: [n_graphs, ...] -> [num_nodes, ...]"""
    shape = _static_blocks(graph)
    if shape:
        width = values.shape[1:]
        blocks = tf.broadcast_to(values[:, tf.newaxis], [*shape, *width])
        return tf.reshape(blocks, [shape[0] * shape[1], *width])
    return gather(values, node_graph_ids(graph))


def _static_blocks(graph):
    """[n_graphs, n_node] where all graphs are known to be of one size, or None."""
    sizes = tf.get_static_value(graph.n_node)
    if sizes is None or len(set(sizes)) != 1:
        return None
    return [len(sizes), int(sizes[0])]


def gather(values: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """`values[index]`, as nodes to edges: [num_nodes, ...], [num_edges] -> [num_edges, ...]."""
    if not xla.is_compiling() and not _is_half(values):
        return tf.gather(values, index)
    # A number where it is known: a loop's gradient keeps tensors, where XLA can't follow.
    size = tf.shape(values)[0] if values.shape[0] is None else values.shape[0]

    @tf.custom_gradient
    def gathered(values):
        return tf.gather(values, index), lambda d_out: scatter_sum(d_out, index, size)

    return gathered(values)


def scatter_sum(values: tf.Tensor, index: tf.Tensor, size: int | tf.Tensor) -> tf.Tensor:
    """Sums of the rows with equal index, as edges to receivers, the transpose of `gather`.

    Args:
      values: [num_edges, ...] float.
      index: [num_edges] in [0, size).
      size: rows of the result.

    Returns:
      [size, ...]; rows that no index names are 0. Values of 16 bits are summed in 32.
    """
    if _is_half(values):
        return tf.cast(scatter_sum(tf.cast(values, tf.float32), index, size), values.dtype)
    if not xla.is_compiling():
        return tf.math.unsorted_segment_sum(values, index, size)

    # XLA adds in place to a buffer of zeros. Were that a constant, as in unsorted_segment_sum, it
    # would be one constant for the whole program, copied for every sum before any of them runs:
    # all those buffers at once, O(nodes x steps).
    @tf.custom_gradient
    def summed(values):
        zero = xla.zero_after([tf.reshape(values, [-1])[:1]], values.dtype)
        zeros = tf.fill(tf.concat([[size], tf.shape(values)[1:]], axis=0), zero)
        out = tf.tensor_scatter_nd_add(zeros, index[:, tf.newaxis], values)
        return out, lambda d_out: gather(d_out, index)

    return summed(values)


def _is_half(values):
    return values.dtype in (tf.bfloat16, tf.float16)
