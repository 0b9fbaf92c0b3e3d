"""How many edges an auto-encoder gets wrong."""

from collections.abc import Sequence
from typing import NamedTuple

import networkx as nx
import numpy as np

__all__ = ["WrongEdges", "wrong_edges"]


class WrongEdges(NamedTuple):
    """Totals over all graphs, of unordered pairs of unlike nodes.

    Attributes:
      wrong: pairs that are an edge in one and none in the other.
      edges: edges of the true graphs.
      pairs: all pairs.
    """

    wrong: int
    edges: int
    pairs: int


def wrong_edges(
    true: Sequence[nx.Graph | np.ndarray], predicted: Sequence[nx.Graph | np.ndarray]
) -> WrongEdges:
    """Pairs of nodes with |A - A_hat| > 0.5 (section 5.2.1); the diagonal doesn't matter.

    Args:
      true: each an undirected networkx graph, whose edges count once and without weights, or a
        symmetric adjacency matrix [n, n].
      predicted: for each of `true` a graph on the same nodes, found by label, or a matrix [n, n],
        also of probabilities, in the order of its nodes.

    Raises:
      ValueError: for lists of unequal length, a directed graph, other nodes than the true graph
        has, or a matrix that is not symmetric, naming it.
    """
    true, predicted = list(true), list(predicted)
    if len(true) != len(predicted):
        raise ValueError(
            f"`true` and `predicted` must pair up, got {len(true)} and {len(predicted)} graphs"
        )
    totals = np.zeros(3, np.int64)
    for index, (graph, guess) in enumerate(zip(true, predicted, strict=True)):
        order = list(graph) if isinstance(graph, nx.Graph) else None
        which = [f"graph {index} of `{argument}`" for argument in ("true", "predicted")]
        if isinstance(graph, nx.Graph) and isinstance(guess, nx.Graph):
            # Without matrices, which large graphs have no room for.
            a, b = (_pairs(*one, order) for one in zip((graph, guess), which, strict=True))
            totals += [len(a ^ b), len(a), len(graph) * (len(graph) - 1) // 2]
            continue
        a, b = _matrix(graph, which[0], order), _matrix(guess, which[1], order)
        if a.shape != b.shape:
            raise ValueError(f"{which[1]} has shape {b.shape}, `true` {a.shape}")
        upper = np.triu_indices(len(a), k=1)
        totals += [(np.abs(a - b)[upper] > 0.5).sum(), (a[upper] > 0.5).sum(), len(upper[0])]
    return WrongEdges(*totals.tolist())


def _pairs(graph, which, order):
    """The edges between unlike nodes, as pairs of places in `order`, the smaller first."""
    if graph.is_directed():
        raise ValueError(f"{which} is directed; see networkx's to_undirected")
    place = {node: i for i, node in enumerate(order)}
    if place.keys() != set(graph):
        raise ValueError(f"{which} must have the nodes of its true graph")
    ends = ((place[a], place[b]) for a, b in graph.edges())
    return {(min(pair), max(pair)) for pair in ends if pair[0] != pair[1]}


def _matrix(graph, which, order):
    """Adjacency [n, n] in float64, the nodes in `order` where that is given."""
    if isinstance(graph, nx.Graph):
        order = list(graph) if order is None else order
        matrix = np.zeros([len(order)] * 2)
        for a, b in _pairs(graph, which, order):
            matrix[a, b] = matrix[b, a] = 1.0
        return matrix
    matrix = np.asarray(graph, np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or (matrix != matrix.T).any():
        raise ValueError(f"{which} must be a symmetric matrix, got shape {matrix.shape}")
    return matrix
