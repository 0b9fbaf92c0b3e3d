"""Graphs of a batch as dense blocks [n_graphs, size, ...], one block a graph, and back."""

from typing import NamedTuple

import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import xla
from gnf_tf.graphs.segments import node_graph_ids, scatter_sum

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

    @property
    def size(self) -> int | tf.Tensor:
        """Places of a block."""
        return self.is_node.shape[1] or tf.shape(self.is_node)[1]

    @classmethod
    def of(cls, graph: GraphsTuple, max_num_nodes: int | None = None) -> "Blocks":
        """Blocks with as many places as the largest graph has nodes.

        Nodes beyond `max_num_nodes` have no place: only the last graph with nodes may exceed it,
        where `graphs.pad` leaves the padding. Under XLA, which needs to know sizes beforehand, the
        blocks have `max_num_nodes` places. Elsewhere batches of graphs of like size waste little,
        see `datasets.plan_buckets`.

        Raises:
          ValueError: if another one does (in a `tf.function` as tf.errors.InvalidArgumentError;
            XLA can't tell).
        """
        graph = graph.replace(n_node=tf.cast(graph.n_node, tf.int32))
        size = tf.reduce_max(graph.n_node)
        if max_num_nodes is not None:
            _check_all_fit(graph.n_node, max_num_nodes)
            size = max_num_nodes if xla.is_compiling() else tf.minimum(size, max_num_nodes)
        ids = node_graph_ids(graph)
        starts = tf.cumsum(graph.n_node, exclusive=True)[:, tf.newaxis]
        position = tf.range(tf.shape(ids)[0]) - tf.gather(starts[:, 0], ids)
        is_node = tf.range(size) < graph.n_node[:, tf.newaxis]
        return cls(
            is_node=is_node,
            node=tf.where(is_node, starts + tf.range(size), 0),
            is_inside=position < size,
            row=tf.where(position < size, ids * size + position, 0),
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
        """[n_graphs, size, ...] -> [num_nodes, ...]; zero for nodes without a place."""

        @tf.custom_gradient
        def moved(blocks):
            rows = tf.reshape(blocks, [-1, *blocks.shape[2:]])
            inside = _expand(self.is_inside, blocks.shape.rank - 2)
            return tf.where(inside, tf.gather(rows, self.row), 0), self.stack

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


def _check_all_fit(n_node, max_num_nodes):
    nodes_after = tf.cumsum(n_node, exclusive=True, reverse=True)
    too_large = (n_node > max_num_nodes) & (nodes_after > 0)
    rule = "`max_num_nodes` must hold every graph but the last that has nodes, got"
    if not tf.executing_eagerly():
        tf.debugging.Assert(~tf.reduce_any(too_large), [f"{rule} {max_num_nodes} for", n_node])
    elif tf.reduce_any(too_large):
        raise ValueError(f"{rule} {max_num_nodes} for sizes {n_node.numpy().tolist()}")
