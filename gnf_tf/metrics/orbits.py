"""Orbit counts: in how many graphlets of two to four nodes a node lies, and where in them."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import scipy.sparse

from gnf_tf.metrics.simple import Graphs, graph_set

__all__ = ["NUM_ORBITS", "orbit_counts", "triangle_counts"]

NUM_ORBITS = 15
_CHUNK = 2**18  # number of paths, or of terms of a sparse product, that are in memory at once


def orbit_counts(graphs: Graphs) -> np.ndarray:
    """The orbit counts of all nodes, which are exact.

    Column o counts the induced subgraphs in which the node has orbit o. Orbits are numbered as in
    ORCA (Hocevar and Demsar, "A combinatorial approach to graphlet counting", 2014), the program
    that GraphRNN's evaluation calls:

        0     edge                       8       cycle of 4 nodes
        1, 2  path of 3: end; middle     9       triangle with a tail: end of the tail
        3     triangle                   10, 11  the same: corner without the tail; with the tail
        4, 5  path of 4: end; middle     12, 13  cycle of 4 with a chord: off the chord; on it
        6, 7  star of 3: leaf; center    14      complete graph of 4 nodes

    First, all subgraphs of each kind are counted, induced or not, from the degrees d and along the
    paths of three nodes. Each of these counts is a sum over the induced subgraphs that contain such
    a subgraph: a triangular system, which is solved from the densest graphlet on. Self loops are
    ignored. Memory is proportional to the number of edges, whatever the degrees are.

    >>> import networkx as nx
    >>> orbit_counts([nx.path_graph(3)])[:, :4]
    array([[1, 1, 0, 0],
           [2, 0, 1, 0],
           [1, 1, 0, 0]])

    Returns:
      [num_nodes, 15] int64, with the nodes of all graphs in order.

    Raises:
      TypeError, ValueError: if `graphs` are not what `mmd` accepts.
    """
    adjacency = graph_set(graphs, "graphs").adjacency.sorted_indices()
    d = adjacency.sum(axis=1)
    beyond = adjacency @ (d - 1)
    copies = _Copies.of(adjacency)
    t, complete = copies.triangle, copies.complete

    on_chord = copies.on_chord - 3 * complete
    off_chord = copies.off_chord - 3 * complete
    cycle = copies.cycle - off_chord - on_chord - 3 * complete

    tailed = t * (d - 2) - 2 * on_chord - 3 * complete
    untailed = copies.untailed - 2 * off_chord - 2 * on_chord - 6 * complete
    tail = adjacency @ t - 2 * t - 2 * off_chord - 3 * complete

    center = d * (d - 1) // 2 * (d - 2) // 3 - tailed - on_chord - complete
    leaf = adjacency @ ((d - 1) * (d - 2) // 2)
    leaf -= tail + untailed + 2 * off_chord + on_chord + 3 * complete

    end = adjacency @ beyond - d * (d - 1) - 2 * t
    end -= 2 * cycle + 2 * tail + untailed + 4 * off_chord + 2 * on_chord + 6 * complete
    middle = (d - 1) * beyond - 2 * t
    middle -= 2 * cycle + 2 * tailed + untailed + 2 * off_chord + 4 * on_chord + 6 * complete

    up_to_three = [d, beyond - 2 * t, d * (d - 1) // 2 - t, t]
    trees = [end, middle, leaf, center]
    return np.stack(
        [*up_to_three, *trees, cycle, tail, untailed, tailed, off_chord, on_chord, complete],
        axis=1,
    )


def triangle_counts(adjacency: scipy.sparse.csr_array) -> np.ndarray:
    """The number of triangles at each node, [num_nodes] int64, for an adjacency matrix."""
    down = _downward(adjacency)
    up = down.T.tocsr()
    counts = np.zeros(adjacency.shape[0], np.int64)
    # With its nodes in the order low, middle, high, a triangle is a path low - middle - high (in
    # up @ up) closed by low - high, and a path middle - low - high (in down @ up) closed by
    # middle - high. The first counts it for low and high, the second for middle.
    for left, is_lowest in ((up, True), (down, False)):
        for rows in _chunks(left @ up.sum(axis=1)):
            closed = (left[rows] @ up).multiply(up[rows])
            counts[rows] += closed.sum(axis=1)
            if is_lowest:
                counts += closed.sum(axis=0)
    return counts


def _rank(adjacency):
    """A number for each node, [num_nodes]: in the order of the degrees, and without ties."""
    num_nodes = adjacency.shape[0]
    return adjacency.sum(axis=1) * num_nodes + np.arange(num_nodes)


def _downward(adjacency):
    """The entries [v, u] of the adjacency matrix in which v has the higher rank."""
    entries, rank = adjacency.tocoo(), _rank(adjacency)
    is_down = rank[entries.row] > rank[entries.col]
    ends = entries.row[is_down], entries.col[is_down]
    return scipy.sparse.csr_array((entries.data[is_down], ends), shape=adjacency.shape)


def _chunks(work):
    """Slices of rows: each slice has at most `_CHUNK` work in total, or is a single row."""
    ends, start = np.cumsum(work), 0
    while start < len(ends):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _CHUNK, side="right")))
        yield slice(start, stop)
        start = stop


class _Paths(NamedTuple):
    """All paths v - u - w from some nodes v, where v has a higher rank than u."""

    v: np.ndarray
    """[num_edges]: first node of each edge v - u"""
    u: np.ndarray
    """[num_edges]: second node of each edge v - u"""
    edge: np.ndarray
    """[num_paths]: index of the edge v - u of each path"""
    w: np.ndarray
    """[num_paths]: last node of each path"""
    pair: np.ndarray
    """[num_paths]: index of the pair (v, w) of each path"""
    ends: tuple[np.ndarray, np.ndarray]
    """[num_pairs] each: v and w of the pairs that at least one path joins"""
    is_closed: np.ndarray
    """[num_pairs]: whether v - w is an edge"""


def _paths(adjacency: scipy.sparse.csr_array) -> Iterator[_Paths]:
    """All paths of three nodes that begin with a step to a lower rank, in chunks of first nodes.

    Their number is at most the sum, over all edges, of the smaller degree of the two ends. A star
    of n leaves has no such path, although it has n (n - 1) / 2 paths from leaf to leaf.
    """
    num_nodes, degree = adjacency.shape[0], np.diff(adjacency.indptr)
    down = _downward(adjacency)
    nodes = np.arange(num_nodes)
    # One ascending number for each edge.
    keys = np.repeat(nodes, degree) * num_nodes + adjacency.indices
    for rows in _chunks(down @ degree):
        first, last = down.indptr[rows.start], down.indptr[rows.stop]
        v, u = np.repeat(nodes[rows], np.diff(down.indptr)[rows]), down.indices[first:last]
        if not len(u):
            continue
        edge = np.repeat(np.arange(len(u)), degree[u])
        starts = np.cumsum(degree[u]) - degree[u]
        w = adjacency.indices[np.arange(len(edge)) + (adjacency.indptr[u] - starts)[edge]]
        away = w != v[edge]
        edge, w = edge[away], w[away]
        found, pair = np.unique(v[edge] * num_nodes + w, return_inverse=True)
        place = np.minimum(np.searchsorted(keys, found), len(keys) - 1)
        yield _Paths(v, u, edge, w, pair, np.divmod(found, num_nodes), keys[place] == found)


class _Copies(NamedTuple):
    """How many subgraphs, induced or not, contain a node in a given orbit: [num_nodes] each."""

    triangle: np.ndarray
    on_chord: np.ndarray
    """two triangles with a common edge: the node is on this edge"""
    off_chord: np.ndarray
    """two triangles with a common edge: the node is not on this edge"""
    untailed: np.ndarray
    """a triangle with a tail: the node is a corner without the tail"""
    cycle: np.ndarray
    """a cycle of four nodes"""
    complete: np.ndarray
    """a complete graph of four nodes"""

    @classmethod
    def of(cls, adjacency: scipy.sparse.csr_array) -> "_Copies":
        d, rank = adjacency.sum(axis=1), _rank(adjacency)
        self = cls(*np.zeros([len(cls._fields), len(d)], np.int64))
        for paths in _paths(adjacency):
            v, u, edge, w = paths[:4]
            is_closed = paths.is_closed[paths.pair]
            # The triangles of each edge v - u, by their third node.
            closed, third = edge[is_closed], w[is_closed]
            common = np.bincount(closed, minlength=len(v))
            for node, other in ((v, u), (u, v)):
                np.add.at(self.triangle, node, common)
                np.add.at(self.on_chord, node, _pairs(common))
                np.add.at(self.untailed, node, common * (d[other] - 2))
            np.add.at(self.off_chord, third, common[closed] - 1)

            # A cycle is two paths from its node of the highest rank to the opposite node.
            top, across = paths.ends
            number = np.bincount(paths.pair, minlength=len(top))
            number[rank[across] > rank[top]] = 0
            for node in (top, across):
                np.add.at(self.cycle, node, _pairs(number))
            np.add.at(self.cycle, u[edge], np.maximum(number - 1, 0)[paths.pair])

            # Four nodes are complete if an edge v - u of the two highest ranks is in two triangles
            # whose third nodes are adjacent.
            below = rank[third] < rank[u[closed]]
            ends, shape = (closed[below], third[below]), (len(v), len(d))
            shared = scipy.sparse.csr_array((np.ones(len(ends[0]), np.int64), ends), shape=shape)
            able = np.flatnonzero(np.diff(shared.indptr) > 1)
            for rows in _chunks(shared[able] @ d):
                some = shared[able[rows]]
                joined = (some @ adjacency).multiply(some)
                for node in (v, u):
                    np.add.at(self.complete, node[able[rows]], joined.sum(axis=1) // 2)
                self.complete[:] += joined.sum(axis=0)
        return cls(self.triangle // 2, *self[1:])


def _pairs(counts):
    return counts * (counts - 1) // 2
