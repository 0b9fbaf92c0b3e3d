"""Chunks of graphs that are evaluated together, so that the memory of one evaluation is bounded."""

from collections.abc import Iterator

import numpy as np

__all__ = ["chunks", "num_fitting"]

MAX_COST = 2**20  # which bounds the memory of one evaluation


def num_fitting(n_node: np.ndarray, n_edge: np.ndarray | None, max_cost: int) -> int:
    """How many graphs, from the first on, cost at most `max_cost` together; at least 1.

    Args:
      n_node: [num_graphs], number of nodes of each graph.
      n_edge: [num_graphs], number of edges of each graph; the cost is then the number of nodes and
        edges. None: the cost is the size of dense blocks [count, max(n_node), max(n_node)].
      max_cost: the bound.
    """
    n_node = n_node.astype(np.int64)
    if n_edge is None:
        cost = np.arange(1, len(n_node) + 1) * np.square(np.maximum.accumulate(n_node))
    else:
        cost = np.cumsum(n_node + n_edge)
    return max(1, int(np.searchsorted(cost, max_cost, side="right")))


def chunks(n_node: np.ndarray, n_edge: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """Yields rows of graphs to evaluate together: graphs of similar size, of bounded total cost.

    Args:
      n_node: see `num_fitting`.
      n_edge: see `num_fitting`.
    """
    order = np.argsort(n_node, kind="stable")
    while order.size:
        edges = None if n_edge is None else n_edge[order]
        count = num_fitting(n_node[order], edges, MAX_COST)
        yield order[:count]
        order = order[count:]
