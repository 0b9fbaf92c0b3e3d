"""Division of one graph into subgraphs, for training in batches or on several machines."""

from typing import Literal

import numpy as np
import scipy.sparse

from gnf_tf import options
from gnf_tf.datasets.labeled_graphs import MASKS, LabeledGraph, LabeledGraphs
from gnf_tf.datasets.ranges import ranges
from gnf_tf.errors import DataError

__all__ = ["subgraphs"]


def subgraphs(
    network: LabeledGraph,
    num_subgraphs: int,
    *,
    halo: int = 0,
    marked: Literal["train", "validation", "test"] = "train",
) -> LabeledGraphs:
    """Divides a graph that is too large for a training step, or for one machine, into subgraphs.

    Each node of `network` belongs to one subgraph, in which it has its class if it is marked. METIS
    (Karypis and Kumar 1998, by the package pymetis) divides the nodes into sets of nearly equal
    sizes, so that few edges are cut. Around these nodes a subgraph has all nodes from which at most
    `halo` edges lead to one of them, without classes, and all edges between its nodes.

    Training on batches of subgraphs without a halo is that of Cluster-GCN (Chiang et al. 2019). If
    no edge between subgraphs is cut, or the halo is at least as wide as a model sees, the gradient
    of a batch of all subgraphs is that of the whole graph. A `NodeClassifier` of k message passing
    steps sees nodes at 2 k edges, and the numbers of their neighbors: a halo of 2 k + 1.

    >>> from gnf_tf import datasets
    >>> path = datasets.node_graph(np.eye(6), [[0, 1, 2, 3, 4], [1, 2, 3, 4, 5]], [0, 1] * 3)
    >>> halves = subgraphs(path, 2, halo=1)
    >>> halves.n_node.tolist(), halves.n_edge.tolist()  # three nodes each, and one around them
    ([4, 4], [6, 6])

    Args:
      network: the graph, with one class a node.
      num_subgraphs: the number of subgraphs, from 1 to the number of nodes.
      halo: the number of edges to the farthest nodes around a subgraph, at least 0.
      marked: the nodes that keep their class: those for training, validation or test.

    Raises:
      ValueError: if `network` is no LabeledGraph, or has any number of labels a node, which can't
        be left out; or if another argument is no whole number or out of its range.
      DataError: if pymetis is not installed.
    """
    if not isinstance(network, LabeledGraph):
        raise ValueError(f"`network` must be a LabeledGraph, got {type(network).__name__}")
    num_nodes = len(network.labels)
    if network.is_multi_label:
        raise ValueError("`network` must have one class a node, got any number of labels a node")
    options.check_argument("num_subgraphs", options.AtLeast0, num_subgraphs)
    options.check_argument("halo", options.AtLeast0, halo)
    if not 1 <= num_subgraphs <= num_nodes:
        raise ValueError(
            f"`num_subgraphs` must be from 1 to {num_nodes}, the number of nodes, got "
            f"{num_subgraphs}"
        )
    if marked not in MASKS:
        raise ValueError(f"`marked` must be one of {MASKS}, got {marked!r}")
    senders, receivers = network.graph.senders.numpy(), network.graph.receivers.numpy()
    by_receiver = np.argsort(receivers, kind="stable")
    senders, receivers = senders[by_receiver], receivers[by_receiver]
    counts = np.bincount(receivers, minlength=num_nodes)
    firsts = np.cumsum(counts) - counts
    labels = np.where(getattr(network, marked), network.labels, np.int32(-1))
    place = np.full(num_nodes, -1)  # of a node in the present subgraph
    chosen, edges, kept = [], [], []
    total = 0
    for nodes in _partition(senders, receivers, num_nodes, num_subgraphs):
        own = len(nodes)
        place[nodes] = np.arange(len(nodes))
        latest = nodes
        for _ in range(halo):
            around = np.unique(senders[ranges(firsts[latest], counts[latest])])
            latest = around[place[around] < 0]
            place[latest] = len(nodes) + np.arange(len(latest))
            nodes = np.concatenate([nodes, latest])
        incoming = ranges(firsts[nodes], counts[nodes])
        incoming = incoming[place[senders[incoming]] >= 0]
        edges.append(total + np.stack([place[senders[incoming]], place[receivers[incoming]]], 1))
        kept.append(np.where(np.arange(len(nodes)) < own, labels[nodes], np.int32(-1)))
        chosen.append(nodes)
        place[nodes] = -1
        total += len(nodes)
    return LabeledGraphs(
        n_node=np.array([len(nodes) for nodes in chosen]),
        n_edge=np.array([len(pairs) for pairs in edges]),
        features=network.graph.nodes.numpy()[np.concatenate(chosen)],
        labels=np.concatenate(kept),
        edges=np.concatenate(edges),
        class_names=network.class_names,
    )


def _partition(senders, receivers, num_nodes, num_parts):
    """The nodes of each part, in increasing order, of which each part has at least one."""
    try:
        import pymetis
    except ImportError as error:
        raise DataError("subgraphs need pymetis: pip install pymetis") from error
    proper = senders != receivers
    ends = (senders[proper], receivers[proper])
    directed = scipy.sparse.csr_array((np.ones(len(ends[0]), bool), ends), [num_nodes, num_nodes])
    both = scipy.sparse.csr_array(directed + directed.T)
    adjacency = pymetis.CSRAdjacency(both.indptr, both.indices)
    part = np.array(pymetis.part_graph(num_parts, adjacency).vertex_part)
    sizes = np.bincount(part, minlength=num_parts)
    for empty in np.flatnonzero(sizes == 0):  # of few nodes METIS may give none to a part
        largest = sizes.argmax()
        part[np.flatnonzero(part == largest)[0]] = empty
        sizes[[largest, empty]] += [-1, 1]
    return np.split(np.argsort(part, kind="stable"), np.cumsum(sizes)[:-1])
