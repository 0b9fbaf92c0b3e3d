"""Graphs of a batch as dense blocks [n_graphs, size, ...], one block a graph, and back."""

import math
from typing import NamedTuple

import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import xla
from gnf_tf.graphs.segments import edge_graph_ids, node_graph_ids, scatter_sum
from gnf_tf.graphs.structure import INDEX_FIELDS

__all__ = ["Blocks"]


class Blocks(NamedTuple):
    """Where the nodes of a batch stand in dense blocks; made by `Blocks.of`."""

    is_node: tf.Tensor
    """[n_graphs, size] bool: whether a place is taken"""
    node: tf.Tensor
    """[n_graphs, size] int32: by which node; 0 where by none"""
    is_inside: tf.Tensor
    """[num_nodes] bool: whether a node has a place"""
    row: tf.Tensor
    """[num_nodes] int32: which one of n_graphs * size; 0 where none"""
    is_cut: tf.Tensor
    """[n_graphs] bool: whether a graph of data lacks places; only XLA lets it be"""
    is_cut_node: tf.Tensor
    """[num_nodes] bool: whether its graph does"""

    @property
    def size(self) -> int | tf.Tensor:
        """Places of a block."""
        return self.is_node.shape[1] or tf.shape(self.is_node)[1]

    @classmethod
    def of(cls, graph: GraphsTuple, max_num_nodes: int | None = None) -> "Blocks":
        """Blocks with as many places as the largest graph has nodes.

        Nodes beyond `max_num_nodes` have no place: only padding may have some, as `graphs.pad`
        makes it: the last graph with nodes, of several, if none of its edges joins two nodes. Under
        XLA, which needs to know sizes beforehand, the blocks have `max_num_nodes` places. Elsewhere
        batches of graphs of like size waste little, see `datasets.plan_buckets`.

        Raises:
          ValueError: if another graph is larger; in a `tf.function` that doesn't know the sizes a
            tf.errors.InvalidArgumentError. XLA can't raise: there `unstack` gives NaN for the nodes
            of such a graph that have no place.
        """
        graph = graph.map(lambda index: tf.cast(index, tf.int32), INDEX_FIELDS)
        size = tf.reduce_max(graph.n_node)
        ids = node_graph_ids(graph)
        is_cut = tf.zeros_like(graph.n_node, tf.bool)
        if max_num_nodes is not None:
            is_cut = _cut(graph, max_num_nodes)
            size = max_num_nodes if xla.is_compiling() else tf.minimum(size, max_num_nodes)
        starts = tf.cumsum(graph.n_node, exclusive=True)[:, tf.newaxis]
        position = tf.range(tf.shape(ids)[0]) - tf.gather(starts[:, 0], ids)
        is_node = tf.range(size) < graph.n_node[:, tf.newaxis]
        return cls(
            is_node=is_node,
            node=tf.where(is_node, starts + tf.range(size), 0),
            is_inside=position < size,
            row=tf.where(position < size, ids * size + position, 0),
            is_cut=is_cut,
            is_cut_node=tf.gather(is_cut, ids),
        )

    def stack(self, per_node: tf.Tensor) -> tf.Tensor:
        """[num_nodes, ...] -> [n_graphs, size, ...], zero where there is no node.

        Its transpose is `unstack`: both are gathers, and so are their gradients.
        """

        @tf.custom_gradient
        def moved(per_node):
            taken = _expand(self.is_node, per_node.shape.rank - 1)
            blocks = tf.where(taken, tf.gather(per_node, self.node), 0)
            return blocks, self.unstack

        return moved(per_node)

    def unstack(self, blocks: tf.Tensor) -> tf.Tensor:
        """[n_graphs, size, ...] -> [num_nodes, ...]; for nodes without a place zero, or NaN.

        NaN if they are cut off from a graph of data, see `of`.
        """

        @tf.custom_gradient
        def moved(blocks):
            rows = tf.reshape(blocks, [-1, *blocks.shape[2:]])
            inside = _expand(self.is_inside, blocks.shape.rank - 2)
            cut = _expand(self.is_cut_node, blocks.shape.rank - 2)
            outside = tf.where(cut, tf.constant(math.nan, blocks.dtype), 0)
            return tf.where(inside, tf.gather(rows, self.row), outside), self.stack

        return moved(blocks)

    def adjacency(self, graph: GraphsTuple, dtype: tf.DType = tf.float32) -> tf.Tensor:
        """[n_graphs, receiver, sender]: how many edges there are between two places of a block."""
        n_graphs, size = tf.shape(self.is_node)[0], self.size
        receiver, sender = (
            tf.gather(self.row, index) for index in (graph.receivers, graph.senders)
        )
        is_inside = tf.gather(self.is_inside, graph.receivers)
        is_inside &= tf.gather(self.is_inside, graph.senders)
        counts = scatter_sum(
            tf.cast(is_inside, dtype), receiver * size + sender % size, n_graphs * size * size
        )
        return tf.reshape(counts, [n_graphs, size, size])


def _expand(mask, ndims):
    return tf.reshape(mask, tf.concat([tf.shape(mask), tf.ones([ndims], tf.int32)], axis=0))


def _cut(graph, max_num_nodes):
    """[n_graphs] bool: which graphs are too large, and no padding; an error where one can be."""
    sizes = tf.get_static_value(graph.n_node)
    if sizes is not None and (sizes <= max_num_nodes).all():
        return tf.zeros_like(graph.n_node, tf.bool)
    nodes_after = tf.cumsum(graph.n_node, exclusive=True, reverse=True)
    joins = tf.cast(graph.senders != graph.receivers, tf.int32)
    edges = tf.math.unsorted_segment_sum(joins, edge_graph_ids(graph), tf.shape(graph.n_node)[0])
    is_padding = (nodes_after == 0) & (edges == 0) & (tf.range(tf.shape(edges)[0]) > 0)
    is_cut = (graph.n_node > max_num_nodes) & ~is_padding
    rule = "`max_num_nodes` must hold every graph but a last one that is padding, got"
    if tf.executing_eagerly() and tf.reduce_any(is_cut):
        raise ValueError(f"{rule} {max_num_nodes} for sizes {sizes.tolist()}")
    if not (tf.executing_eagerly() or xla.is_compiling()):
        tf.debugging.Assert(
            ~tf.reduce_any(is_cut), [f"{rule} {max_num_nodes} for sizes", graph.n_node]
        )
    return is_cut
