"""Padding of batches to static sizes, and the masks that tell padding from data."""

import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import options
from gnf_tf.graphs.segments import edge_graph_ids, node_graph_ids
from gnf_tf.graphs.structure import check_structure, fill_missing

__all__ = ["edge_mask", "graph_mask", "node_mask", "pad", "unpad"]


def pad(graph: GraphsTuple, num_nodes: int, num_edges: int, num_graphs: int) -> GraphsTuple:
    """Appends padding graphs until the batch has the given sizes, as jraph does.

    The first padding graph has all padding nodes, whose features are 0, and all padding edges,
    which are self loops of its first node; the other padding graphs are empty. Since the first
    padding graph always has a node, the masks below can find it: it is the last graph with nodes.

    Args:
      graph: the batch; its sizes may be dynamic.
      num_nodes: total number of nodes; it must exceed the number of nodes of the batch.
      num_edges: total number of edges, at least as many as the batch has.
      num_graphs: total number of graphs; it must exceed the number of graphs of the batch.

    Raises:
      ValueError: if a total is no whole number, or is too small for static sizes of the batch; the
        message gives the smallest possible total. Or if the batch is malformed, which only eager
        execution finds in values, see `validate`.
    """
    graph = fill_missing(graph)
    check_structure(graph)
    totals = {"num_nodes": num_nodes, "num_edges": num_edges, "num_graphs": num_graphs}
    for name, total in totals.items():
        options.check_argument(name, options.AtLeast0, total)
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
    """Removes what `pad` added. It works only eagerly, since its sizes are dynamic."""
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
    """[n_graphs] bool: which graphs of a batch that `pad` made are no padding."""
    return tf.range(tf.shape(graph.n_node)[0]) < _first_padding_graph(graph)


def node_mask(graph: GraphsTuple) -> tf.Tensor:
    """[num_nodes] bool: which nodes of a batch that `pad` made are no padding."""
    return node_graph_ids(graph) < _first_padding_graph(graph)


def edge_mask(graph: GraphsTuple) -> tf.Tensor:
    """[num_edges] bool: which edges of a batch that `pad` made are no padding."""
    return edge_graph_ids(graph) < _first_padding_graph(graph)
