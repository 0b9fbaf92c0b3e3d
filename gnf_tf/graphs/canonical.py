"""A canonical form of topologies."""

import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf.graphs.segments import node_graph_ids

__all__ = ["canonical"]


def canonical(graph: GraphsTuple, *, directed: bool = False) -> GraphsTuple:
    """Returns the topologies with each edge once and a self loop on every node.

    Graphs that differ only in self loops, in repeated edges, in the order of edges or, unless
    `directed`, in the direction of edges have the same canonical form. Edge features and globals
    are dropped.

    The shapes of the result depend on the shapes of `graph` alone, as XLA requires. For this
    purpose a graph with a single node is added in front; it has one self loop for each edge that
    was dropped as a repetition. Drop the first row of whatever is computed from the result.

    Args:
      graph: nodes [num_nodes, width] of any width.
      directed: whether to keep the direction of the edges; otherwise each edge is made to go both
        ways.

    Returns:
      A GraphsTuple with nodes [1 + num_nodes, width], the first row 0; edges [E, 0] sorted by
      sender and receiver, where E = num_edges + num_nodes if directed, and
      E = 2 num_edges + num_nodes otherwise; and globals [1 + n_graphs, 0].
    """
    dtype = graph.nodes.dtype
    num_nodes = tf.shape(graph.nodes, tf.int64)[0]
    senders, receivers = (1 + tf.cast(x, tf.int64) for x in (graph.senders, graph.receivers))
    every = tf.range(1, num_nodes + 1, dtype=tf.int64)
    ways = [(senders, receivers), (every, every)]
    ways += [] if directed else [(receivers, senders)]
    # Each pair of nodes is encoded as one number. A self loop of node 0 is 0, the smallest.
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
        n_edge=n_node,  # a placeholder of the right length
    )
    owner = tf.gather(node_graph_ids(result), senders)
    n_edge = tf.math.unsorted_segment_sum(tf.ones_like(owner), owner, tf.shape(n_node)[0])
    return result.replace(n_edge=n_edge)
