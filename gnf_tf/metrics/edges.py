"""The edges that an auto-encoder decodes wrong."""

from collections.abc import Sequence
from typing import NamedTuple

import networkx as nx
import numpy as np

__all__ = ["WrongEdges", "wrong_edges"]


class WrongEdges(NamedTuple):
    """Counts of unordered pairs of different nodes, summed over all graphs.

    Attributes:
      wrong: number of pairs that are an edge in one of the two graphs alone.
      edges: number of edges of the true graphs.
      pairs: number of all pairs.
    """

    wrong: int
    edges: int
    pairs: int


def wrong_edges(
    true: Sequence[nx.Graph | np.ndarray], predicted: Sequence[nx.Graph | np.ndarray]
) -> WrongEdges:
    """Counts the pairs of nodes with |A - A_hat| > 0.5, as table 3 does (section 5.2.1).

    A is the adjacency matrix of a true graph and A_hat the decoded one; their diagonals are
    ignored. This compares graphs node by node; `mmd` compares sets of graphs as distributions.

    >>> import networkx as nx
    >>> wrong_edges([nx.path_graph(3)], [nx.complete_graph(3)])
    WrongEdges(wrong=1, edges=2, pairs=3)

    Args:
      true: undirected networkx graphs, or symmetric adjacency matrices [n, n]. Repeated edges
        count once; edge weights are ignored: what is not 0 is an edge.
      predicted: one prediction for each true graph: a graph with the same node labels, or a matrix
        [n, n] of 0 and 1 or of edge probabilities, in the order of the true graph's nodes.

    Raises:
      ValueError: if the lists differ in length, a graph is directed, a prediction has other nodes
        than its true graph, or a matrix is not symmetric or, in `predicted`, not within 0 and 1.
        The message names the graph.
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
            # Sets of edges, since the matrices of large graphs do not fit in memory.
            a, b = (_pairs(*one, order) for one in zip((graph, guess), which, strict=True))
            totals += [len(a ^ b), len(a), len(graph) * (len(graph) - 1) // 2]
            continue
        a, b = _matrix(graph, which[0], order) != 0.0, _matrix(guess, which[1], order)
        if a.shape != b.shape:
            raise ValueError(f"{which[1]} has shape {b.shape}, `true` {a.shape}")
        if ((b < 0.0) | (b > 1.0)).any():
            raise ValueError(f"{which[1]} must have probabilities, got {b.min()} to {b.max()}")
        upper = np.triu_indices(len(a), k=1)
        totals += [(np.abs(a - b)[upper] > 0.5).sum(), a[upper].sum(), len(upper[0])]
    return WrongEdges(*totals.tolist())


def _pairs(graph, which, order):
    """The edges without self loops, as pairs of indices into `order`, the smaller index first."""
    if graph.is_directed():
        raise ValueError(f"{which} is directed; see networkx's to_undirected")
    index = {node: i for i, node in enumerate(order)}
    if index.keys() != set(graph):
        raise ValueError(f"{which} must have the nodes of its true graph")
    ends = ((index[a], index[b]) for a, b in graph.edges())
    return {(min(pair), max(pair)) for pair in ends if pair[0] != pair[1]}


def _matrix(graph, which, order):
    """The adjacency matrix [n, n], float64, with the nodes in `order` unless it is None."""
    if isinstance(graph, nx.Graph):
        order = list(graph) if order is None else order
        matrix = np.zeros([len(order)] * 2)
        for a, b in _pairs(graph, which, order):
            matrix[a, b] = matrix[b, a] = 1.0
        return matrix
    try:
        matrix = np.asarray(graph, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{which} must be a networkx graph or a matrix of numbers, got a {type(graph).__name__}"
        ) from error
    if not np.isfinite(matrix).all():
        raise ValueError(f"{which} must be a matrix of finite numbers, got NaN or infinity")
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or (matrix != matrix.T).any():
        raise ValueError(f"{which} must be a symmetric matrix, got shape {matrix.shape}")
    return matrix
