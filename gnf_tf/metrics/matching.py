"""As many generated graphs as test graphs, of like node counts."""

from collections.abc import Sequence

import networkx as nx
import numpy as np

from gnf_tf.graphs import GraphsTuple
from gnf_tf.metrics.simple import simple_graphs

__all__ = ["matched", "matched_indices"]


def matched(
    generated: Sequence[nx.Graph] | GraphsTuple,
    test: Sequence[nx.Graph] | GraphsTuple,
    *,
    replacement: bool,
) -> list[nx.Graph]:
    """For each test graph in turn the generated graph of nearest node count, the first such one.

    With replacement it is GraphRNN's scheme, which shuffles `generated` first (here the
    caller's): test graphs of one size all get the same graph, so that few distinct ones remain.
    Without, each generated graph is taken once at most.

    Args:
      generated, test: graphs as `mmd` takes them.
      replacement: whether a generated graph can be taken again.

    Returns:
      [len(test)] of `generated`.

    Raises:
      TypeError, ValueError: as `mmd`; ValueError without replacement if `generated` is the
        shorter one.
    """
    generated, test = simple_graphs(generated, "generated"), simple_graphs(test, "test")
    sizes = [np.array([len(graph) for graph in graphs]) for graphs in (generated, test)]
    return [generated[i] for i in matched_indices(*sizes, replacement=replacement)]


def matched_indices(sizes: np.ndarray, test_sizes: np.ndarray, *, replacement: bool) -> np.ndarray:
    """Which graph, of node counts `sizes`, is taken for each test graph; see `matched`."""
    if not replacement and len(sizes) < len(test_sizes):
        raise ValueError(
            f"`generated` must hold at least as many graphs as `test` to match without "
            f"replacement, got {len(sizes)} for {len(test_sizes)}"
        )
    distance = np.abs(sizes - test_sizes[:, np.newaxis]).astype(np.float64)
    if replacement:
        return distance.argmin(axis=1)
    taken: list[int] = []
    for row in distance:
        row[taken] = np.inf
        taken.append(int(row.argmin()))
    return np.array(taken)
