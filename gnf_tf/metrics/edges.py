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
        a = _matrix(graph, order, f"graph {index} of `true`")
        b = _matrix(guess, order, f"graph {index} of `predicted`")
        if a.shape != b.shape:
            raise ValueError(f"graph {index} of `predicted` has shape {b.shape}, `true` {a.shape}")
        upper = np.triu_indices(len(a), k=1)
        totals += [(np.abs(a - b)[upper] > 0.5).sum(), (a[upper] > 0.5).sum(), len(upper[0])]
    return WrongEdges(*totals.tolist())


def _matrix(graph, order, which):
    """Adjacency [n, n] in float64, the nodes in `order` where that is given."""
    if isinstance(graph, nx.Graph):
        if graph.is_directed():
            raise ValueError(f"{which} is directed; see networkx's to_undirected")
        if order is not None and set(order) != set(graph):
            raise ValueError(f"{which} must have the nodes of its true graph")
        order = list(graph) if order is None else order
        return (nx.to_numpy_array(graph, nodelist=order, weight=None) > 0).astype(np.float64)
    matrix = np.asarray(graph, np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or (matrix != matrix.T).any():
        raise ValueError(f"{which} must be a symmetric matrix, got shape {matrix.shape}")
    return matrix
