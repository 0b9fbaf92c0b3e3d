"""Padding to static sizes, with masks."""

import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf.graphs.segments import edge_graph_ids, node_graph_ids
from gnf_tf.graphs.structure import fill_missing

__all__ = ["edge_mask", "graph_mask", "node_mask", "pad", "unpad"]


def pad(graph: GraphsTuple, num_nodes: int, num_edges: int, num_graphs: int) -> GraphsTuple:
    """Adds padding graphs at the end up to the given totals, as jraph does.

    The first padding graph owns all padding nodes (zero features) and edges (self loops of the
    first padding node); the others are empty. There is always a padding graph with a node: it is
    how the masks below find the padding, as the last graph that has nodes.

    Args:
      graph: the batch; its sizes may be dynamic.
      num_nodes: total number of nodes, more than the graph has.
      num_edges: total number of edges, at least as many as the graph has.
      num_graphs: total number of graphs, more than the batch has.

    Raises:
      ValueError: (where sizes are static) if a total is too small, with the smallest that fits.
    """
    graph = fill_missing(graph)
    totals = {"num_nodes": num_nodes, "num_edges": num_edges, "num_graphs": num_graphs}
    sizes = (graph.nodes.shape[0], graph.senders.shape[0], graph.n_node.shape[0])
    for (name, total), size, extra in zip(totals.items(), sizes, (1, 0, 1), strict=True):
        if size is not None and total < size + extra:
            raise ValueError(f"`{name}` must be at least {size + extra} here, got {total}")

    start = tf.shape(graph.nodes)[0]

    def extended(values, total, fill=None):
        missing = total - tf.shape(values)[:1]
        fill = tf.zeros([], values.dtype) if fill is None else tf.cast(fill, values.dtype)
        padding = tf.fill(tf.concat([missing, tf.shape(values)[1:]], axis=0), fill)
        return tf.ensure_shape(tf.concat([values, padding], axis=0), [total, *values.shape[1:]])

    def counts(values, total, current):
        rest = tf.reshape(tf.cast(total - current, values.dtype), [1])
        return extended(tf.concat([values, rest], axis=0), num_graphs)

    return GraphsTuple(
        nodes=extended(graph.nodes, num_nodes),
        edges=extended(graph.edges, num_edges),
        globals=extended(graph.globals, num_graphs),
        receivers=extended(graph.receivers, num_edges, start),
        senders=extended(graph.senders, num_edges, start),
        n_node=counts(graph.n_node, num_nodes, start),
        n_edge=counts(graph.n_edge, num_edges, tf.shape(graph.senders)[0]),
    )


def unpad(graph: GraphsTuple) -> GraphsTuple:
    """The graph that `pad` was given. Eager only, since its sizes are dynamic."""
    real = int(_first_padding_graph(graph))
    num_nodes = int(tf.reduce_sum(graph.n_node[:real]))
    num_edges = int(tf.reduce_sum(graph.n_edge[:real]))
    return GraphsTuple(
        nodes=graph.nodes[:num_nodes],
        edges=graph.edges[:num_edges],
        globals=graph.globals[:real],
        receivers=graph.receivers[:num_edges],
        senders=graph.senders[:num_edges],
        n_node=graph.n_node[:real],
        n_edge=graph.n_edge[:real],
    )


def _first_padding_graph(graph):
    index = tf.range(tf.shape(graph.n_node)[0])
    return tf.reduce_max(tf.where(graph.n_node > 0, index, -1))


def graph_mask(graph: GraphsTuple) -> tf.Tensor:
    """[n_graphs] bool: which graphs of a graph made by `pad` are real."""
    return tf.range(tf.shape(graph.n_node)[0]) < _first_padding_graph(graph)


def node_mask(graph: GraphsTuple) -> tf.Tensor:
    """[num_nodes] bool: which nodes of a graph made by `pad` are real."""
    return node_graph_ids(graph) < _first_padding_graph(graph)


def edge_mask(graph: GraphsTuple) -> tf.Tensor:
    """[num_edges] bool: which edges of a graph made by `pad` are real."""
    return edge_graph_ids(graph) < _first_padding_graph(graph)
