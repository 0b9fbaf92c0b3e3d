"""Validity of generated graphs: whether a graph has the structure that defines its data set.

Each function of one graph raises a ValueError if it is directed or a multigraph.
"""

import math
from collections.abc import Callable, Sequence

import networkx as nx
import numpy as np
import scipy.stats

from gnf_tf import options
from gnf_tf.graphs import GraphsTuple
from gnf_tf.metrics.isomorphism import isomorphism_classes, new_classes, refined
from gnf_tf.metrics.simple import graph_set, simple_graphs, union

__all__ = [
    "is_connected",
    "is_ego",
    "is_grid",
    "is_planar",
    "is_stochastic_blocks",
    "is_two_communities",
    "shared_structure",
    "valid_unique_novel",
    "validity",
]

# Share of the graphs of a set that have its structure. `is_stochastic_blocks` holds for the fewest
# graphs of its own recipe, 86 %.
MIN_SHARED = 0.85
# Bounds for two communities, with the values of GraphRNN's and GDSS's data sets in parentheses.
MIN_INSIDE = 0.5  # density inside a community (0.8 or 0.7)
MAX_BETWEEN = 0.1  # density between the communities (one or two edges in 36 pairs or more)
MIN_SHARE = 1 / 3  # share of the nodes in the smaller community (half, or one node less)
# Of SPECTRE's stochastic block model: the numbers of blocks and of their nodes, the probabilities
# of edges, and how probable the deviations from these must be.
NUM_BLOCKS, BLOCK_SIZES = (2, 5), (20, 40)
INSIDE, BETWEEN = 0.3, 0.005
MIN_PROBABILITY = 0.9


def validity(
    graphs: Sequence[nx.Graph] | GraphsTuple, is_valid: Callable[[nx.Graph], bool]
) -> float:
    """The share of the graphs for which `is_valid` is true.

    >>> import networkx as nx
    >>> validity([nx.star_graph(3), nx.path_graph(4)], is_ego)
    0.5

    Raises:
      TypeError, ValueError: if `graphs` are not what `mmd` accepts, or `is_valid` returns anything
        but True or False.
    """
    graphs = simple_graphs(graphs, "graphs")
    return sum(options.truth("is_valid", is_valid, graph) for graph in graphs) / len(graphs)


def valid_unique_novel(
    graphs: Sequence[nx.Graph] | GraphsTuple,
    train: Sequence[nx.Graph] | GraphsTuple,
    is_valid: Callable[[nx.Graph], bool],
    *,
    classes: Sequence[int] | None = None,
) -> float:
    """The share of graphs that are valid and isomorphic to no earlier graph and no training graph.

    SPECTRE (Martinkus et al., ICML 2022) calls it V.U.N. No generator gains by repeating graphs.

    >>> import networkx as nx
    >>> stars = [nx.star_graph(n) for n in (2, 3, 4, 4)]
    >>> valid_unique_novel([*stars, nx.path_graph(5)], [nx.star_graph(2)], is_ego)
    0.4

    Args:
      graphs: the generated graphs.
      train: the training graphs.
      is_valid: whether a graph is valid, the same for isomorphic graphs.
      classes: see `novelty`.

    Raises:
      TypeError, ValueError: as `novelty`, or if `is_valid` returns anything but True or False.
    """
    graphs = simple_graphs(graphs, "graphs")
    new = dict(zip(new_classes(graphs, train, classes), graphs, strict=True))
    new.pop(None, None)
    return sum(options.truth("is_valid", is_valid, graph) for graph in new.values()) / len(graphs)


def shared_structure(graphs: Sequence[nx.Graph] | GraphsTuple) -> Callable[[nx.Graph], bool] | None:
    """The structure that the graphs of a set have in common, by which generated graphs are valid.

    >>> import networkx as nx
    >>> shared_structure([nx.star_graph(n) for n in range(3, 9)]).__name__
    'is_ego'

    Returns:
      The first of `is_grid`, `is_two_communities`, `is_stochastic_blocks`, `is_ego`, `is_planar`
      and `is_connected` that is true of at least 85 % of the graphs, or None.

    Raises:
      TypeError, ValueError: if `graphs` are not what `mmd` accepts.
    """
    structures = (
        is_grid,
        is_two_communities,
        is_stochastic_blocks,
        is_ego,
        is_planar,
        is_connected,
    )
    if not isinstance(graphs, GraphsTuple):
        graphs = list(graphs)  # they may come from an iterator
    return next((one for one in structures if validity(graphs, one) >= MIN_SHARED), None)


def is_connected(graph: nx.Graph) -> bool:
    """Whether the graph has a node, and a path from this node to every other."""
    (graph,) = simple_graphs([graph], "graph")
    return len(graph) > 0 and nx.is_connected(graph)


def is_planar(graph: nx.Graph) -> bool:
    """Whether the graph is connected and can be drawn in the plane without crossing edges."""
    return is_connected(graph) and nx.is_planar(graph)


def is_ego(graph: nx.Graph) -> bool:
    """Whether the graph is an ego graph of radius 1: some node is adjacent to all others."""
    (graph,) = simple_graphs([graph], "graph")
    return any(len(set(graph[node]) - {node}) == len(graph) - 1 for node in graph)


def is_grid(graph: nx.Graph) -> bool:
    """Whether the graph is a two-dimensional grid with at least two nodes on each side."""
    given = graph_set([graph], "graph")
    num_nodes, num_edges = int(given.n_node[0]), given.adjacency.nnz // 2
    # An a x b grid has a b nodes and 2 a b - a - b edges: a and b solve a quadratic equation.
    total = 2 * num_nodes - num_edges
    root = math.isqrt(max(total**2 - 4 * num_nodes, 0))
    short, long = (total - root) // 2, (total + root) // 2
    if short < 2 or short * long != num_nodes or short + long != total:
        return False
    grid = graph_set([nx.grid_2d_graph(short, long)], "grid")
    return len(set(isomorphism_classes(union(given, grid)))) == 1


def is_two_communities(graph: nx.Graph) -> bool:
    """Whether the graph is connected and consists of two dense parts with few edges between them.

    The sign of the Fiedler vector (the eigenvector of the second smallest eigenvalue of the
    Laplacian) splits the nodes into two parts. The smaller part must have at least a third of the
    nodes; at least half of the pairs of nodes inside each part, and at most a tenth of the pairs
    between the parts, must be edges. This is true of 99.9 % of the graphs drawn by GraphRNN's
    recipe of community-small, of 95 % of the graphs drawn by GDSS's recipe, whose halves can be
    sparse or disconnected, and of all 100 graphs that GDSS published. It is true of 0.1 % of the
    random graphs of these sizes in which 35 % of the pairs are edges.
    """
    adjacency = graph_set([graph], "graph").adjacency
    num_nodes = len(graph)
    # The number of pairs inside the parts is smallest for two parts of equal size.
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


def is_stochastic_blocks(graph: nx.Graph) -> bool:
    """Whether the graph is like those of SPECTRE's stochastic block model (Martinkus et al. 2022).

    There must be 2 to 5 blocks of 20 to 40 nodes. With p = 0.3 within a block and 0.005 between two
    blocks, and the share q of the pairs of nodes there that are edges, (p - q)^2 / (q (1 - q) +
    1e-6) must have a probability of more than 0.9 under a chi-squared distribution with one degree
    of freedom, in the mean over all pairs of blocks. The test is SPECTRE's. It finds blocks by
    their description length; here, they are the communities of Louvain's method, which
    networkx has. So it is true of 86 % of the graphs of `datasets.stochastic_blocks`, and with the
    blocks from which these graphs were drawn, of 92 %.
    """
    few, many = NUM_BLOCKS
    small, large = BLOCK_SIZES
    graphs = graph_set([graph], "graph")
    if not few * small <= len(graph) <= many * large:
        return False
    order = np.argsort(refined(graphs), kind="stable")  # Louvain's method depends on the order
    adjacency = graphs.adjacency[order][:, order]
    blocks = nx.community.louvain_communities(nx.from_scipy_sparse_array(adjacency), seed=0)
    member = np.array([np.isin(range(len(graph)), list(block)) for block in blocks], np.float64)
    sizes = member.sum(axis=1)
    if not few <= len(sizes) <= many or sizes.min() < small or sizes.max() > large:
        return False
    share = member @ adjacency @ member.T / (np.outer(sizes, sizes) - np.diag(sizes))
    expected = np.where(np.eye(len(sizes)), INSIDE, BETWEEN)
    deviation = (share - expected) ** 2 / (share * (1.0 - share) + 1e-6)
    return bool(scipy.stats.chi2.sf(deviation, 1).mean() > MIN_PROBABILITY)


def _density(adjacency):
    """The share of the pairs of nodes that are edges; 0 if there is no pair."""
    n = len(adjacency)
    return adjacency.sum() / max(n * (n - 1), 1)
