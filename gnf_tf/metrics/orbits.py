"""How often each node stands at each place of each connected graph of two to four nodes."""

import numpy as np
import scipy.sparse

from gnf_tf.metrics.simple import Graphs, graph_set

__all__ = ["NUM_ORBITS", "orbit_counts", "triangle_counts"]

NUM_ORBITS = 15


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

    Copies that need not be induced are products of the adjacency matrix A, the degrees d, the
    common neighbours C = A A (off the diagonal) and the triangles t. Each such number counts
    every induced subgraph as often as it holds a copy: a triangular system, solved from the
    densest graph on. Self loops are left out; a graph without edges has zeros.

    Raises:
      TypeError, ValueError: as `mmd`, for what isn't undirected simple graphs.
    """
    adjacency = graph_set(graphs, "graphs").adjacency
    d = adjacency.sum(axis=1)
    common, common_on_edges = _common_neighbours(adjacency)
    t = common_on_edges.sum(axis=1) // 2

    complete = _complete_counts(adjacency, common_on_edges)
    on_chord = _pairs(common_on_edges).sum(axis=1) - 3 * complete
    others = common_on_edges - adjacency  # common neighbours of an edge's ends, besides a third
    off_chord = (adjacency @ others).multiply(adjacency).sum(axis=1) // 2 - 3 * complete
    cycle = _pairs(common).sum(axis=1) - off_chord - on_chord - 3 * complete

    tailed = t * (d - 2) - 2 * on_chord - 3 * complete
    untailed = common_on_edges @ (d - 2) - 2 * off_chord - 2 * on_chord - 6 * complete
    tail = adjacency @ t - 2 * t - 2 * off_chord - 3 * complete

    centre = d * (d - 1) * (d - 2) // 6 - tailed - on_chord - complete
    leaf = adjacency @ ((d - 1) * (d - 2) // 2)
    leaf -= tail + untailed + 2 * off_chord + on_chord + 3 * complete

    end = common @ (d - 1) - 2 * t
    end -= 2 * cycle + 2 * tail + untailed + 4 * off_chord + 2 * on_chord + 6 * complete
    middle = (d - 1) * (adjacency @ (d - 1)) - 2 * t
    middle -= 2 * cycle + 2 * tailed + untailed + 2 * off_chord + 4 * on_chord + 6 * complete

    up_to_three = [d, adjacency @ (d - 1) - 2 * t, d * (d - 1) // 2 - t, t]
    trees = [end, middle, leaf, centre]
    return np.stack(
        [*up_to_three, *trees, cycle, tail, untailed, tailed, off_chord, on_chord, complete],
        axis=1,
    )


def triangle_counts(adjacency: scipy.sparse.csr_array) -> np.ndarray:
    """Triangles at each node, [num_nodes]."""
    return _common_neighbours(adjacency)[1].sum(axis=1) // 2


def _common_neighbours(adjacency):
    """Number of common neighbours of all pairs of nodes, and of those pairs that are edges."""
    degree = scipy.sparse.diags_array(adjacency.sum(axis=1), dtype=np.int64)
    common = (adjacency @ adjacency - degree).tocsr()
    return common, adjacency.multiply(common).tocsr()


def _pairs(counts):
    """Elementwise c (c - 1) / 2 of a sparse matrix."""
    result = counts.copy()
    result.data = result.data * (result.data - 1) // 2
    return result


def _complete_counts(adjacency, common_on_edges):
    """Complete subgraphs of four nodes at each node: an edge between two that an edge shares."""
    edges = common_on_edges.tocoo()
    able = edges.data >= 2
    rows, columns = edges.row[able], edges.col[able]
    shared = adjacency[rows].multiply(adjacency[columns]).tocsr()
    on_edge = (shared @ adjacency).multiply(shared).sum(axis=1) // 2
    counts = np.zeros(adjacency.shape[0], np.int64)
    np.add.at(counts, rows, on_edge)
    return counts // 3  # by way of each of the node's three edges
