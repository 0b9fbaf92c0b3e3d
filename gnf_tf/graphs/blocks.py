"""Conversion between the concatenated graphs of a batch and dense blocks, one block per graph."""

from typing import NamedTuple

import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import xla
from gnf_tf.custom_gradient import custom_gradient, local
from gnf_tf.graphs.segments import edge_graph_ids, node_graph_ids, scatter_sum
from gnf_tf.graphs.structure import INDEX_FIELDS

__all__ = ["Blocks"]


class Blocks(NamedTuple):
    """The map between nodes and the slots of dense blocks; `Blocks.of` makes it.

    A block is a row of `size` slots for the nodes of one graph. Attention between all nodes of a
    graph is a batched matrix product of blocks; along given edges, `gather` and `scatter_sum`
    need less memory.
    """

    is_node: tf.Tensor
    """[n_graphs, size] bool: whether the slot holds a node"""
    node: tf.Tensor
    """[n_graphs, size] int32: the node in the slot; 0 if the slot is empty"""
    is_inside: tf.Tensor
    """[num_nodes] bool: whether the node has a slot"""
    row: tf.Tensor
    """[num_nodes] int32: the slot of the node, in [0, n_graphs * size); 0 if it has none"""
    is_cut: tf.Tensor
    """[n_graphs] bool: whether the graph is no padding and lacks slots, which only XLA allows"""
    is_cut_node: tf.Tensor
    """[num_nodes] bool: whether the graph of the node is cut"""

    @property
    def size(self) -> int | tf.Tensor:
        """The number of slots of a block."""
        return self.is_node.shape[1] or tf.shape(self.is_node)[1]

    @classmethod
    def of(cls, graph: GraphsTuple, max_num_nodes: int | None = None) -> "Blocks":
        """Makes blocks with as many slots as the largest graph has nodes.

        Args:
          graph: a batch of graphs; only its topology is used.
          max_num_nodes: upper bound of the number of slots. XLA, which needs static shapes, makes
            this many slots. A padding graph may be larger than the bound; its last nodes then have
            no slot. A graph counts as padding, as `graphs.pad` makes it, if it is not the first
            graph, only empty graphs follow it, and all its edges are self loops.

        Raises:
          ValueError: if a graph that is no padding has more than `max_num_nodes` nodes. A
            `tf.function` with dynamic sizes raises tf.errors.InvalidArgumentError instead. Under
            XLA, which can't raise, `unstack` returns NaN for the nodes without a slot.
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
        """Moves values of nodes into blocks: [num_nodes, ...] -> [n_graphs, size, ...].

        Empty slots are 0. The gradient is `unstack`, so that it is a gather too, not a scatter.
        """

        @custom_gradient
        def moved(per_node):
            taken = _expand(self.is_node, per_node.shape.rank - 1)
            blocks = tf.where(taken, tf.gather(per_node, self.node), 0)
            return blocks, lambda d_blocks: self._local().unstack(d_blocks)

        return moved(per_node)

    def unstack(self, blocks: tf.Tensor) -> tf.Tensor:
        """Moves values back to nodes: [n_graphs, size, ...] -> [num_nodes, ...].

        Nodes without a slot get 0 if they are padding, and NaN otherwise (see `of`).
        """

        @custom_gradient
        def moved(blocks):
            rows = tf.reshape(blocks, [-1, *blocks.shape[2:]])
            inside = _expand(self.is_inside, blocks.shape.rank - 2)
            outside = _nan_where(_expand(self.is_cut_node, blocks.shape.rank - 2), blocks.dtype)
            moved = tf.where(inside, tf.gather(rows, self.row), outside)
            return moved, lambda d_moved: self._local().stack(d_moved)

        return moved(blocks)

    def _local(self):
        return Blocks(*local(self))

    def marked(self, values: tf.Tensor) -> tf.Tensor:
        """Returns values [n_graphs, ...], those of graphs that are too large as NaN (see `of`)."""
        return values + _nan_where(_expand(self.is_cut, values.shape.rank - 1), values.dtype)

    def adjacency(self, graph: GraphsTuple, dtype: tf.DType = tf.float32) -> tf.Tensor:
        """The number of edges from a sender to a receiver: [n_graphs, size, size].

        The receiver is the second axis and the sender the third.
        """
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


def _nan_where(mask, dtype):
    """NaN where the mask is True, and 0 elsewhere.

    Without a constant NaN, at which `tf.debugging.enable_check_numerics` would stop.
    """
    return tf.sqrt(-tf.cast(mask, dtype))


def _expand(mask, ndims):
    return tf.reshape(mask, tf.concat([tf.shape(mask), tf.ones([ndims], tf.int32)], axis=0))


def _cut(graph, max_num_nodes):
    """[n_graphs] bool: which graphs are too large and no padding. Raises an error if possible."""
    sizes = tf.get_static_value(graph.n_node)
    if sizes is not None and (sizes <= max_num_nodes).all():
        return tf.zeros_like(graph.n_node, tf.bool)
    nodes_after = tf.cumsum(graph.n_node, exclusive=True, reverse=True)
    joins = tf.cast(graph.senders != graph.receivers, tf.int32)
    edges = tf.math.unsorted_segment_sum(joins, edge_graph_ids(graph), tf.shape(graph.n_node)[0])
    is_padding = (nodes_after == 0) & (edges == 0) & (tf.range(tf.shape(edges)[0]) > 0)
    is_cut = (graph.n_node > max_num_nodes) & ~is_padding
    rule = "`max_num_nodes` must hold every graph but a padding graph, got"
    if tf.executing_eagerly() and tf.reduce_any(is_cut):
        raise ValueError(f"{rule} {max_num_nodes} for sizes {sizes.tolist()}")
    if not (tf.executing_eagerly() or xla.is_compiling()):
        tf.debugging.Assert(
            ~tf.reduce_any(is_cut), [f"{rule} {max_num_nodes} for sizes", graph.n_node]
        )
    return is_cut
