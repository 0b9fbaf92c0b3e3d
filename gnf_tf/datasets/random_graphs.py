"""Sets of graphs for graph generation (5.2.2): communities, ego networks, grids, planar graphs.

Each function returns a list of undirected networkx graphs without self loops, with nodes 0 to
n - 1. The sets are made as in GraphRNN (You et al., ICML 2018), from which the paper takes its
sets, as in EDP-GNN (Niu et al., AISTATS 2020), and as in SPECTRE (Martinkus et al., ICML 2022).
"""

import itertools
import math
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import networkx as nx
import numpy as np
import scipy.spatial

from gnf_tf import options, seeds
from gnf_tf.datasets import planetoid

__all__ = [
    "GRAPH_SETS",
    "GraphSplit",
    "community",
    "community_small",
    "ego_small",
    "grid",
    "planar",
    "split_graphs",
    "stochastic_blocks",
    "two_communities",
]

GraphSplit = Literal["train", "test", "all"]

_SPLIT_SEED = 123
MOST_DRAWS = 1_000  # of a random graph until it is connected


def split_graphs(graphs: Sequence[nx.Graph], split: GraphSplit = "all") -> list[nx.Graph]:
    """A part of a list of graphs: GraphRNN's split of a shuffled list into 80 % and 20 %.

    Use this to compare with published results, and `random_split` for your own data. The shuffle is
    GraphRNN's, Python's `random.Random(123).shuffle`, so that the parts are equal to GraphRNN's
    where the list is (as for the grids).

    Args:
      graphs: the whole list.
      split: "train" for the first 80 % of the shuffled list, "test" for the others, or "all" for
        the training graphs followed by the test graphs.

    Raises:
      ValueError: if `split` is unknown.
    """
    if split not in ("train", "test", "all"):
        raise ValueError(f"`split` must be 'train', 'test' or 'all', got {split!r}")
    shuffled = list(graphs)
    random.Random(_SPLIT_SEED).shuffle(shuffled)
    num_train = int(0.8 * len(shuffled))
    return {"train": shuffled[:num_train], "test": shuffled[num_train:], "all": shuffled}[split]


def community_small(
    split: GraphSplit = "all",
    *,
    seed: int = 0,
    community_sizes: Sequence[int] = range(6, 11),
    num_per_size: int = 20,
    keep_probability: float = 0.8,
) -> list[nx.Graph]:
    """100 graphs of two communities, 12 to 20 nodes: GraphRNN's `caveman_small`.

    A graph has two cliques of k nodes, of which each edge is kept with probability 0.8. Then
    max(1, ceil(k / 10)) edges are drawn between a random node of one clique and a random node of
    the other; an edge that is drawn twice counts once. Only the largest component is kept, so that
    a few graphs are smaller. Use this for comparisons with the paper; the set of the same name in
    EDP-GNN and GDSS is `two_communities`.

    Args:
      split: "train", "test" or "all"; see `split_graphs`.
      seed: seed of the graphs.
      community_sizes: the sizes k, each at least 1.
      num_per_size: the number of graphs of each size.
      keep_probability: the probability of an edge inside a community.

    Raises:
      ValueError: if an argument is out of its range.
    """
    _check("num_per_size", num_per_size)
    sizes = np.repeat(_checked_numbers("community_sizes", community_sizes), num_per_size)
    return split_graphs(_relaxed_caves(sizes.tolist(), keep_probability, seed), split)


def community(
    split: GraphSplit = "all",
    *,
    seed: int = 0,
    num_graphs: int = 510,
    keep_probability: float = 0.3,
) -> list[nx.Graph]:
    """510 graphs of two communities, 60 to 160 nodes: GraphRNN's larger set, `caveman`.

    The graphs are made as in `community_small`, from communities of 30 to 80 nodes, 10 graphs of
    each size, whose edges are kept with probability 0.3. A graph of n nodes is thus two random
    graphs G(n / 2, 0.3) with about 0.05 n edges between them. GraphRNN's paper says 500 graphs, its
    script makes 510.

    Args:
      split: "train", "test" or "all"; see `split_graphs`.
      seed: seed of the graphs.
      num_graphs: the number of graphs, whose sizes are evenly spaced over the range.
      keep_probability: the probability of an edge inside a community.

    Raises:
      ValueError: if an argument is out of its range.
    """
    _check("num_graphs", num_graphs)
    sizes = 30 + 51 * np.arange(num_graphs) // num_graphs
    return split_graphs(_relaxed_caves(sizes.tolist(), keep_probability, seed), split)


def _relaxed_caves(sizes, keep_probability, seed):
    _check_probability("keep_probability", keep_probability)
    rng = seeds.generator(seed)
    graphs = []
    for size in sizes:
        graph = nx.empty_graph(2 * size)
        for start in (0, size):
            pairs = start + _random_pairs(rng, size, keep_probability)
            graph.add_edges_from(pairs.tolist())
        links = max(1, math.ceil(0.1 * size))
        ends = rng.integers([0, size], [size, 2 * size], size=[links, 2])
        graph.add_edges_from(ends.tolist())
        graphs.append(_largest_component(graph))
    return graphs


def two_communities(
    split: GraphSplit = "all",
    *,
    seed: int = 0,
    num_graphs: int = 100,
    num_nodes: Sequence[int] = range(12, 21),
    edge_probability: float = 0.7,
    link_share: float = 0.05,
) -> list[nx.Graph]:
    """100 graphs of two communities, 12 to 20 nodes: `community_small` of EDP-GNN and GDSS.

    A graph has two connected random graphs G(k, 0.7), where 2 k or 2 k + 1 is a random number from
    12 to 20. Each pair of nodes in different communities is joined with probability 0.1 / k; if no
    pair is, one random pair is joined.

    In the list that GDSS published, all graphs of one size have the same two communities, because
    its script fixes the seed of the communities; only the edges between them differ. Here every
    graph has communities of its own.

    Args:
      split: "train", "test" or "all"; see `split_graphs`.
      seed: seed of the graphs.
      num_graphs: the number of graphs.
      num_nodes: the sizes of a graph, each at least 2; an odd size is rounded down.
      edge_probability: the probability of an edge inside a community.
      link_share: the mean number of random edges between the communities, divided by the number of
        nodes; a pair of nodes is joined with probability 2 link_share / k.

    Raises:
      ValueError: if an argument is out of its range.
    """
    _check("num_graphs", num_graphs)
    num_nodes = _checked_numbers("num_nodes", num_nodes, least=2)
    _check_probability("edge_probability", edge_probability)
    options.check_argument("link_share", options.NotNegative, link_share)
    rng = seeds.generator(seed)
    graphs = []
    for total in rng.choice(num_nodes, num_graphs):
        size = int(total) // 2
        communities = [
            _connected_graph(rng, size, edge_probability, "edge_probability") for _ in range(2)
        ]
        linked = rng.random([size, size]) < 2 * link_share / size
        if not linked.any():
            linked[tuple(rng.integers(size, size=2))] = True
        graph = nx.disjoint_union(*communities)
        graph.add_edges_from((np.argwhere(linked) + [0, size]).tolist())
        graphs.append(graph)
    return split_graphs(graphs, split)


def ego_small(
    split: GraphSplit = "all",
    *,
    seed: int = 0,
    num_graphs: int = 200,
    num_nodes: tuple[int, int] = (4, 20),
    radius: int = 1,
) -> list[nx.Graph]:
    """200 ego networks of Citeseer, 4 to 20 nodes: GraphRNN's `citeseer_small`.

    An ego network is a node of Citeseer's largest component, its neighbors, and all citations among
    them. Many of these graphs are isomorphic, also between the training and the test graphs, so
    that the novelty of generated graphs should be reported too. `radius=3` and `num_nodes=(50,
    400)` give GraphRNN's larger set of ego networks.

    Args:
      split: "train", "test" or "all"; see `split_graphs`.
      seed: seed of the random choice of networks.
      num_graphs: the number of graphs.
      num_nodes: the smallest and the largest size, at least 1.
      radius: the largest distance of a node from the center.

    Raises:
      ValueError: if an argument is out of its range, or there are fewer such networks.
      DataError: if Citeseer's file in this package is missing or damaged.
    """
    _check("num_graphs", num_graphs)
    num_nodes = _checked_numbers("num_nodes", num_nodes)
    if len(num_nodes) != 2 or num_nodes[0] > num_nodes[1]:
        raise ValueError(f"`num_nodes` must be the smallest and the largest size, got {num_nodes}")
    _check("radius", radius)
    whole = _largest_component(nx.Graph(planetoid.read_arrays("citeseer")["edges"].T.tolist()))
    low, high = num_nodes
    graphs = []
    for center in whole:
        members = nx.single_source_shortest_path_length(whole, center, cutoff=radius)
        if low <= len(members) <= high:
            graphs.append(_numbered(whole.subgraph(members)))
    if num_graphs > len(graphs):
        raise ValueError(
            f"`num_graphs` must be at most {len(graphs)}, the ego networks of {low} to {high} "
            f"nodes, got {num_graphs}"
        )
    random.Random(seeds.whole_number(seed)).shuffle(graphs)
    return split_graphs(graphs[:num_graphs], split)


def grid(
    split: GraphSplit = "all",
    *,
    seed: int = 0,
    num_rows: Sequence[int] = range(10, 20),
    num_columns: Sequence[int] = range(10, 20),
) -> list[nx.Graph]:
    """100 grids with 10 to 19 rows and 10 to 19 columns of nodes, as in GraphRNN.

    The set has one grid for each pair of a number of rows and a number of columns.

    >>> sorted(len(graph) for graph in grid(num_rows=[2, 3], num_columns=[4, 5]))
    [8, 10, 12, 15]

    Args:
      split: "train", "test" or "all"; see `split_graphs`.
      seed: has no effect, because nothing is random; all sets have this argument.
      num_rows: the numbers of rows, each at least 1.
      num_columns: the numbers of columns, each at least 1.

    Raises:
      ValueError: if an argument is out of its range.
    """
    seeds.whole_number(seed)
    num_rows = _checked_numbers("num_rows", num_rows)
    num_columns = _checked_numbers("num_columns", num_columns)
    shapes = itertools.product(num_rows, num_columns)
    return split_graphs([_numbered(nx.grid_2d_graph(*shape)) for shape in shapes], split)


def planar(
    split: GraphSplit = "all", *, seed: int = 0, num_graphs: int = 200, num_nodes: int = 64
) -> list[nx.Graph]:
    """200 connected planar graphs of 64 nodes: SPECTRE's `planar`.

    A graph is the Delaunay triangulation of points that are drawn uniformly from the unit square.
    `metrics.is_planar` says whether a generated graph is valid.

    Args:
      split: "train", "test" or "all"; see `split_graphs`.
      seed: seed of the points.
      num_graphs: the number of graphs.
      num_nodes: the number of nodes of each graph, at least 3.

    Raises:
      ValueError: if an argument is out of its range.
    """
    _check("num_graphs", num_graphs)
    _check("num_nodes", num_nodes, least=3)
    rng, graphs = seeds.generator(seed), []
    for _ in range(num_graphs):
        triangles = scipy.spatial.Delaunay(rng.random([num_nodes, 2])).simplices
        graph = nx.empty_graph(num_nodes)
        for pair in ([0, 1], [1, 2], [2, 0]):
            graph.add_edges_from(triangles[:, pair].tolist())
        graphs.append(graph)
    return split_graphs(graphs, split)


def stochastic_blocks(
    split: GraphSplit = "all",
    *,
    seed: int = 0,
    num_graphs: int = 200,
    num_blocks: Sequence[int] = range(2, 6),
    block_sizes: Sequence[int] = range(20, 41),
    inside_probability: float = 0.3,
    between_probability: float = 0.005,
) -> list[nx.Graph]:
    """200 connected graphs of 2 to 5 communities, 41 to 185 nodes, as SPECTRE's `sbm`.

    A graph has a random number of blocks of random sizes. Each pair of nodes is joined with
    probability 0.3 within a block and 0.005 between blocks; a graph that is not connected is drawn
    again. Use `community` for two communities of a size each.

    Args:
      split: "train", "test" or "all"; see `split_graphs`.
      seed: seed of the graphs.
      num_graphs: the number of graphs.
      num_blocks: the numbers of blocks, each at least 1.
      block_sizes: the sizes of blocks, each at least 1.
      inside_probability: the probability of an edge within a block, in (0, 1].
      between_probability: the probability of an edge between blocks, in (0, 1].

    Raises:
      ValueError: if an argument is out of its range.
    """
    _check("num_graphs", num_graphs)
    num_blocks = _checked_numbers("num_blocks", num_blocks)
    block_sizes = _checked_numbers("block_sizes", block_sizes)
    _check_probability("inside_probability", inside_probability)
    _check_probability("between_probability", between_probability)
    rng, graphs = seeds.generator(seed), []
    for count in rng.choice(num_blocks, num_graphs):
        block = np.repeat(np.arange(count), rng.choice(block_sizes, count))
        same = block[:, np.newaxis] == block
        probabilities = np.where(same, inside_probability, between_probability)
        graphs.append(_connected_graph(rng, len(block), probabilities, "between_probability"))
    return split_graphs(graphs, split)


def _connected_graph(rng, size, probability, name):
    """A random connected graph; `name` is that of the probability among the caller's arguments."""
    for _ in range(MOST_DRAWS):
        graph = nx.empty_graph(size)
        graph.add_edges_from(_random_pairs(rng, size, probability).tolist())
        if nx.is_connected(graph):
            return graph
    raise ValueError(
        f"`{name}` must be large enough for connected graphs, got {np.min(probability)}: "
        f"none of {MOST_DRAWS} graphs of {size} nodes is connected"
    )


def _random_pairs(rng, size, probability):
    """Pairs of `size` nodes, [num_pairs, 2], the smaller first, each with its probability.

    The probability is a number, or one for each pair, [size, size].
    """
    pairs = np.stack(np.triu_indices(size, 1), axis=1)
    probability = np.broadcast_to(probability, [size, size])[*pairs.T]
    return pairs[rng.random(len(pairs)) < probability]


def _largest_component(graph):
    return _numbered(graph.subgraph(max(nx.connected_components(graph), key=len)))


def _numbered(graph):
    """A copy with nodes 0 to n - 1 in the order of the labels."""
    number = {label: i for i, label in enumerate(sorted(graph))}
    result = nx.empty_graph(len(number))
    result.add_edges_from((number[a], number[b]) for a, b in graph.edges)
    return result


def _check(name, number, least=1):
    options.check_argument(name, int, number)
    if number < least:
        raise ValueError(f"`{name}` must be at least {least}, got {number}")


def _checked_numbers(name, numbers, least=1):
    found = list(numbers) if isinstance(numbers, Iterable) else []
    for number in found:
        options.check_argument(name, int, number)
    if not found or min(found) < least:
        raise ValueError(f"`{name}` must be numbers of at least {least}, got {numbers}")
    return found


def _check_probability(name, value):
    options.check_argument(name, options.ShareOfAll, value)


# The sets that the trainers know by name.
GRAPH_SETS: dict[str, Callable[..., list[nx.Graph]]] = {
    "community_small": community_small,
    "two_communities": two_communities,
    "ego_small": ego_small,
    "grid": grid,
    "community": community,
    "planar": planar,
    "stochastic_blocks": stochastic_blocks,
}
