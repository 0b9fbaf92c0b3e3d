"""How often each node stands at each place of each connected graph of two to four nodes."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import scipy.sparse

from gnf_tf.metrics.simple import Graphs, graph_set

__all__ = ["NUM_ORBITS", "orbit_counts", "triangle_counts"]

NUM_ORBITS = 15
_CHUNK = 2**18  # paths, or terms of a product of matrices, that are held at a time


def orbit_counts(graphs: Graphs) -> np.ndarray:
    """Orbit counts of all nodes, exactly: int64 [num_nodes, 15], graph after graph.

    Column o counts the induced subgraphs in which the node stands at orbit o, numbered as the
    program ORCA does (Hocevar and Demsar, "A combinatorial approach to graphlet counting", 2014):

        0  edge                          8       cycle of 4
        1  path of 3: end                9       triangle with a tail: end of the tail
        2  path of 3: middle             10, 11  ... a corner without the tail; with it
        3  triangle                      12, 13  cycle of 4 with one chord: not on it; on it
        4, 5  path of 4: end; middle     14      all edges among 4
        6, 7  star of 3: leaf; centre

    Copies that need not be induced are counted along paths of three nodes and from the degrees d.
    Each such number counts every induced subgraph as often as it holds a copy: a triangular
    system, solved from the densest graph on. Self loops are left out; a graph without edges has
    zeros. Memory grows with the number of edges, whatever the degrees.

    Raises:
      TypeError, ValueError: as `mmd`, for what isn't undirected simple graphs.
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

    centre = d * (d - 1) * (d - 2) // 6 - tailed - on_chord - complete
    leaf = adjacency @ ((d - 1) * (d - 2) // 2)
    leaf -= tail + untailed + 2 * off_chord + on_chord + 3 * complete

    end = adjacency @ beyond - d * (d - 1) - 2 * t
    end -= 2 * cycle + 2 * tail + untailed + 4 * off_chord + 2 * on_chord + 6 * complete
    middle = (d - 1) * beyond - 2 * t
    middle -= 2 * cycle + 2 * tailed + untailed + 2 * off_chord + 4 * on_chord + 6 * complete

    up_to_three = [d, beyond - 2 * t, d * (d - 1) // 2 - t, t]
    trees = [end, middle, leaf, centre]
    return np.stack(
        [*up_to_three, *trees, cycle, tail, untailed, tailed, off_chord, on_chord, complete],
        axis=1,
    )


def triangle_counts(adjacency: scipy.sparse.csr_array) -> np.ndarray:
    """Triangles at each node, [num_nodes]."""
    down = _downward(adjacency)
    up = down.T.tocsr()
    counts = np.zeros(adjacency.shape[0], np.int64)
    # A triangle's highest node is reached over the middle one from the lowest, up @ up, and over
    # the lowest one from the middle, down @ up.
    for left, is_lowest in ((up, True), (down, False)):
        for rows in _chunks(left @ up.sum(axis=1)):
            closed = (left[rows] @ up).multiply(up[rows])
            counts[rows] += closed.sum(axis=1)
            if is_lowest:
                counts += closed.sum(axis=0)  # the highest one's, once
    return counts


def _rank(adjacency):
    """Numbers in the order of the nodes' degrees, all different."""
    num_nodes = adjacency.shape[0]
    return adjacency.sum(axis=1) * num_nodes + np.arange(num_nodes)


def _downward(adjacency):
    """The half of the entries [v, u] in which v is the higher node."""
    entries, rank = adjacency.tocoo(), _rank(adjacency)
    is_down = rank[entries.row] > rank[entries.col]
    ends = entries.row[is_down], entries.col[is_down]
    return scipy.sparse.csr_array((entries.data[is_down], ends), shape=adjacency.shape)


def _chunks(work):
    """Slices of rows whose work adds up to `_CHUNK` at most, or of single rows."""
    ends, start = np.cumsum(work), 0
    while start < len(ends):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _CHUNK, side="right")))
        yield slice(start, stop)
        start = stop


class _Paths(NamedTuple):
    """All paths v - u - w, v above u, of some nodes v."""

    v: np.ndarray
    """[num_edges]"""
    u: np.ndarray
    """[num_edges]"""
    edge: np.ndarray
    """[num_paths]: which v - u it begins with"""
    w: np.ndarray
    """[num_paths]"""
    pair: np.ndarray
    """[num_paths]: which of `ends` it has"""
    ends: tuple[np.ndarray, np.ndarray]
    """v and w, [num_pairs] each, of the pairs that some path joins"""
    is_closed: np.ndarray
    """[num_pairs]: whether v - w is an edge"""


def _paths(adjacency: scipy.sparse.csr_array) -> Iterator[_Paths]:
    """All paths of three nodes that begin downwards, those from one node in one chunk.

    There are as many as the smaller degrees of the ends of all edges add up to: a star of n leaves
    has none that begins so, where the pairs of its leaves are n (n - 1) / 2.
    """
    num_nodes, degree = adjacency.shape[0], np.diff(adjacency.indptr)
    down = _downward(adjacency)
    nodes = np.arange(num_nodes)
    keys = np.repeat(nodes, degree) * num_nodes + adjacency.indices  # of all edges, ascending
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
    """Copies, induced or not, in which each node has a given place: [num_nodes] each."""

    triangle: np.ndarray
    on_chord: np.ndarray
    """of two triangles with a common edge: on that edge"""
    off_chord: np.ndarray
    """... across from it"""
    untailed: np.ndarray
    """of a triangle with a tail: a corner without it"""
    cycle: np.ndarray
    """of four"""
    complete: np.ndarray
    """all edges among four"""

    @classmethod
    def of(cls, adjacency: scipy.sparse.csr_array) -> "_Copies":
        d, rank = adjacency.sum(axis=1), _rank(adjacency)
        self = cls(*np.zeros([len(cls._fields), len(d)], np.int64))
        for paths in _paths(adjacency):
            v, u, edge, w = paths[:4]
            is_closed = paths.is_closed[paths.pair]
            closed, third = edge[is_closed], w[is_closed]  # triangles, by each edge v - u
            common = np.bincount(closed, minlength=len(v))
            for node, other in ((v, u), (u, v)):
                np.add.at(self.triangle, node, common)
                np.add.at(self.on_chord, node, _pairs(common))
                np.add.at(self.untailed, node, common * (d[other] - 2))
            np.add.at(self.off_chord, third, common[closed] - 1)

            # Two paths from a cycle's highest node to the one across from it.
            top, across = paths.ends
            number = np.bincount(paths.pair, minlength=len(top))
            number[rank[across] > rank[top]] = 0
            for node in (top, across):
                np.add.at(self.cycle, node, _pairs(number))
            np.add.at(self.cycle, u[edge], np.maximum(number - 1, 0)[paths.pair])

            # An edge between two that an edge shares; v - u is the edge of the highest two.
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
