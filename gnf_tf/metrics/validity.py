"""Whether a graph is of the kind that a data set holds."""

import math
from collections.abc import Callable, Sequence

import networkx as nx
import numpy as np

from gnf_tf.graphs import GraphsTuple
from gnf_tf.metrics.isomorphism import isomorphism_classes
from gnf_tf.metrics.simple import graph_set, simple_graphs, union

__all__ = ["is_connected", "is_ego", "is_grid", "is_two_communities", "validity"]

MIN_INSIDE = 0.5  # of the pairs inside a community; the sets keep 0.8 or draw 0.7
MAX_BETWEEN = 0.1  # of the pairs between them; the sets have a link or two in 36 pairs or more
MIN_SHARE = 1 / 3  # of the nodes in the smaller community; the sets' are equal, or lost a node


def validity(
    graphs: Sequence[nx.Graph] | GraphsTuple, is_valid: Callable[[nx.Graph], bool]
) -> float:
    """Share of the graphs, as `mmd` takes them, for which `is_valid` holds.

    Raises:
      TypeError, ValueError: as `mmd`, for what isn't undirected simple graphs.
    """
    graphs = simple_graphs(graphs, "graphs")
    return sum(map(bool, map(is_valid, graphs))) / len(graphs)


def is_connected(graph: nx.Graph) -> bool:
    """Whether there is a node, and a path from it to every other."""
    return len(graph) > 0 and nx.is_connected(graph)


def is_ego(graph: nx.Graph) -> bool:
    """Whether some node is adjacent to all others: an ego graph of radius 1."""
    return any(len(set(graph[node]) - {node}) == len(graph) - 1 for node in graph)


def is_grid(graph: nx.Graph) -> bool:
    """Whether it is a grid of two dimensions with at least two nodes on each side."""
    given = graph_set([graph], "graph")
    num_nodes, num_edges = int(given.n_node[0]), given.adjacency.nnz // 2
    # A grid of a x b has a b nodes and 2 a b - a - b edges: a and b solve a quadratic equation.
    total = 2 * num_nodes - num_edges
    root = math.isqrt(max(total**2 - 4 * num_nodes, 0))
    short, long = (total - root) // 2, (total + root) // 2
    if short < 2 or short * long != num_nodes or short + long != total:
        return False
    grid = graph_set([nx.grid_2d_graph(short, long)], "grid")
    return len(set(isomorphism_classes(union(given, grid)))) == 1


def is_two_communities(graph: nx.Graph) -> bool:
    """Whether it is connected and falls into two dense parts with few links between them.

    The parts are the nodes of either sign in the Fiedler vector, that of the second smallest
    eigenvalue of the Laplacian. The smaller one must have at least a third of the nodes; of the
    pairs of nodes inside each part at least half must be edges, of those between the parts at
    most a tenth. It holds for 99.9 % of the graphs made as GraphRNN's community-small, 95 % of
    those made as GDSS's (whose halves can come out sparse or disconnected; for all of its
    published 100), and 0.1 % of random graphs of such sizes with edges between 35 % of the pairs.
    """
    adjacency = graph_set([graph], "graph").adjacency
    num_nodes = len(graph)
    # Two equal parts have the fewest pairs inside.
    fewest = MIN_INSIDE * num_nodes * (num_nodes - 2) / 4
    if num_nodes < 2 or adjacency.nnz / 2 < fewest or not is_connected(graph):
        return False
    adjacency = adjacency.toarray()
    laplacian = np.diag(adjacency.sum(axis=1)) - adjacency
    part = np.linalg.eigh(laplacian)[1][:, 1] > 0.0
    inside = min(_density(adjacency[side][:, side]) for side in (part, ~part))
    between = adjacency[part][:, ~part].mean()
    share = min(part.mean(), 1.0 - part.mean())
    return bool(share >= MIN_SHARE and inside >= MIN_INSIDE and between <= MAX_BETWEEN)


def _density(adjacency):
    """Share of the pairs of nodes that are edges; 0 where there is no pair."""
    n = len(adjacency)
    return adjacency.sum() / max(n * (n - 1), 1)
