"""One way to write a topology down, whatever way it came."""

import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf.graphs.segments import node_graph_ids

__all__ = ["canonical"]


def canonical(graph: GraphsTuple, *, directed: bool = False) -> GraphsTuple:
    """The same topologies with every edge once, and a self loop on every node; one graph is added.

    What two callers wrote differently comes out alike: with self loops or without, edges repeated,
    in any order, and, unless `directed`, in one direction or both. Edge features and globals are
    left out. The sizes of the result follow from the sizes of `graph`, so that XLA can compile it:
    a graph of one node is put first, node 0, and has a self loop in the place of each edge that
    would have stood there again. Leave out its row of whatever is computed.

    Args:
      graph: nodes [num_nodes, width] of any width.
      directed: keep an edge's direction; else each edge goes both ways.

    Returns:
      nodes [1 + num_nodes, width], the first row zero; edges [E, 0] in the order of sender and
      receiver, with E = num_edges + num_nodes if directed, else 2 num_edges + num_nodes;
      globals [1 + n_graphs, 0].
    """
    dtype = graph.nodes.dtype
    num_nodes = tf.shape(graph.nodes, tf.int64)[0]
    senders, receivers = (1 + tf.cast(x, tf.int64) for x in (graph.senders, graph.receivers))
    every = tf.range(1, num_nodes + 1, dtype=tf.int64)
    ways = [(senders, receivers), (every, every)]
    ways += [] if directed else [(receivers, senders)]
    # One number for each pair of nodes; that of node 0 with itself is 0, and sorted to the front.
    width = num_nodes + 1
    pairs = tf.sort(tf.concat([a * width + b for a, b in ways], axis=0))
    is_new = tf.concat([tf.ones_like(pairs[:1], tf.bool), pairs[1:] != pairs[:-1]], axis=0)
    pairs = tf.sort(tf.where(is_new, pairs, 0))
    senders, receivers = (tf.cast(part, tf.int32) for part in (pairs // width, pairs % width))
    n_node = tf.concat([[1], tf.cast(graph.n_node, tf.int32)], axis=0)
    result = GraphsTuple(
        nodes=tf.pad(graph.nodes, [[1, 0], [0, 0]]),
        edges=tf.zeros([tf.shape(pairs)[0], 0], dtype),
        globals=tf.zeros([tf.shape(n_node)[0], 0], dtype),
        receivers=receivers,
        senders=senders,
        n_node=n_node,
        n_edge=n_node,  # of which only the length is needed by what follows
    )
    owner = tf.gather(node_graph_ids(result), senders)
    n_edge = tf.math.unsorted_segment_sum(tf.ones_like(owner), owner, tf.shape(n_node)[0])
    return result.replace(n_edge=n_edge)
