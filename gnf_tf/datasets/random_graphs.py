"""Sets of graphs to learn to generate: communities, ego networks of Citeseer, grids (5.2.2).

Every set is a list of undirected networkx graphs without self loops, nodes 0 to n - 1, and every
function has the same first arguments, `split` and `seed`. The recipes are those of GraphRNN (You et
al., ICML 2018), whose sets the paper takes, and of EDP-GNN (Niu et al., AISTATS 2020).
"""

import itertools
import math
import random
from collections.abc import Callable, Sequence
from typing import Literal

import networkx as nx
import numpy as np

from gnf_tf import seeds
from gnf_tf.datasets import planetoid

__all__ = [
    "GRAPH_SETS",
    "GraphSplit",
    "community",
    "community_small",
    "ego_small",
    "grid",
    "split_graphs",
    "two_communities",
]

GraphSplit = Literal["train", "test", "all"]

_SPLIT_SEED = 123


def split_graphs(graphs: Sequence[nx.Graph], split: GraphSplit = "all") -> list[nx.Graph]:
    """A part of the list as GraphRNN splits: shuffled with seed 123, the first 80 % to train.

    "all" is the training graphs, then the test graphs. The procedure is GraphRNN's; the graphs are
    the same as its own only where the list is (the grids).

    Raises:
      ValueError: for an unknown split.
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

    Two cliques of k nodes, of which each edge is kept with probability 0.8; then max(1, ceil(k /
    10)) links from a random node of one to a random node of the other, where a link drawn twice
    counts once. Only the largest component is kept, so that a graph may rarely be smaller. The set
    that EDP-GNN and GDSS report on by this name is `two_communities`.

    Args:
      split: "train", "test" or "all"; see `split_graphs`.
      seed: same seed, same graphs.
      community_sizes: the sizes k, each at least 1.
      num_per_size: graphs of each size.
      keep_probability: of an edge inside a community.

    Raises:
      ValueError: for an argument out of its range.
    """
    _check("num_per_size", num_per_size)
    sizes = [size for size in community_sizes for _ in range(num_per_size)]
    return split_graphs(_relaxed_caves(sizes, keep_probability, seed), split)


def community(
    split: GraphSplit = "all",
    *,
    seed: int = 0,
    num_graphs: int = 510,
    keep_probability: float = 0.3,
) -> list[nx.Graph]:
    """510 graphs of two communities, 60 to 160 nodes: GraphRNN's larger set, `caveman`.

    `community_small` with communities of 30 to 80 nodes, as many of each size (10), and with edges
    kept with probability 0.3: two G(n / 2, 0.3) with 0.05 n edges between them, as GraphRNN's paper
    describes it; its script has 510 graphs, the paper says 500.

    Args:
      split: "train", "test" or "all"; see `split_graphs`.
      seed: same seed, same graphs.
      num_graphs: how many, of sizes spread evenly over the range.
      keep_probability: of an edge inside a community.

    Raises:
      ValueError: for an argument out of its range.
    """
    _check("num_graphs", num_graphs)
    sizes = 30 + 51 * np.arange(num_graphs) // num_graphs
    return split_graphs(_relaxed_caves(sizes.tolist(), keep_probability, seed), split)


def _relaxed_caves(sizes, keep_probability, seed):
    if not sizes or min(sizes) < 1:
        raise ValueError(f"`community_sizes` must be numbers of at least 1, got {sizes}")
    if not 0 < keep_probability <= 1:
        raise ValueError(f"`keep_probability` must be in (0, 1], got {keep_probability}")
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

    Two G(k, 0.7); each pair of nodes across is linked with probability 0.05 * 2 / k, and one random
    pair where that gave none. k is half a number drawn from 12 to 20, rounded down, so that fewer
    graphs have 20 nodes. A community that falls apart is drawn again.

    In the list that GDSS published, all graphs of a size have the same two communities (its script
    fixes their seed), so that only the links differ; here every community is drawn.

    Args:
      split: "train", "test" or "all"; see `split_graphs`.
      seed: same seed, same graphs.
      num_graphs: how many.
      num_nodes: numbers to draw the total size from, each at least 2.
      edge_probability: of an edge inside a community.
      link_share: mean number of links per node, but for the forced ones.

    Raises:
      ValueError: for an argument out of its range.
    """
    _check("num_graphs", num_graphs)
    if not len(num_nodes) or min(num_nodes) < 2:
        raise ValueError(f"`num_nodes` must be numbers of at least 2, got {num_nodes}")
    if not 0 < edge_probability <= 1:
        raise ValueError(f"`edge_probability` must be in (0, 1], got {edge_probability}")
    if not link_share >= 0:
        raise ValueError(f"`link_share` must be at least 0, got {link_share}")
    rng = seeds.generator(seed)
    graphs = []
    for total in rng.choice(num_nodes, num_graphs):
        size = int(total) // 2
        communities = [_connected_gnp(rng, size, edge_probability) for _ in range(2)]
        linked = rng.random([size, size]) < 2 * link_share / size
        if not linked.any():
            linked[tuple(rng.integers(size, size=2))] = True
        graph = nx.disjoint_union(*communities)
        graph.add_edges_from((np.argwhere(linked) + [0, size]).tolist())
        graphs.append(graph)
    return split_graphs(graphs, split)


def _connected_gnp(rng, size, probability):
    while True:
        graph = nx.empty_graph(size)
        graph.add_edges_from(_random_pairs(rng, size, probability).tolist())
        if nx.is_connected(graph):
            return graph


def ego_small(
    split: GraphSplit = "all",
    *,
    seed: int = 0,
    num_graphs: int = 200,
    num_nodes: tuple[int, int] = (4, 20),
    radius: int = 1,
) -> list[nx.Graph]:
    """200 ego networks of Citeseer, 4 to 20 nodes: GraphRNN's `citeseer_small`.

    A node of Citeseer's largest component, its neighbours, and all citations among them. Many of
    these graphs are isomorphic to each other, in the training and test graphs too: judge generated
    graphs by novelty as well. With radius 3 and 50 to 400 nodes this is GraphRNN's larger ego set.

    Args:
      split: "train", "test" or "all"; see `split_graphs`.
      seed: which of the networks; same seed, same graphs.
      num_graphs: how many.
      num_nodes: smallest and largest size.
      radius: how many steps a node may be from the centre.

    Raises:
      ValueError: if there are fewer than `num_graphs` such networks, or it is below 1.
      DataError: if the package's file is missing or damaged.
    """
    _check("num_graphs", num_graphs)
    whole = _largest_component(nx.Graph(planetoid.read_arrays("citeseer")["edges"].T.tolist()))
    low, high = num_nodes
    graphs = []
    for centre in whole:
        members = nx.single_source_shortest_path_length(whole, centre, cutoff=radius)
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
    """100 grids of 10 to 19 by 10 to 19 nodes, as GraphRNN's.

    Args:
      split: "train", "test" or "all"; see `split_graphs`.
      seed: without effect, for nothing is random; here as in the other sets.
      num_rows: each of these,
      num_columns: with each of these.

    Raises:
      ValueError: for an argument out of its range.
    """
    seeds.whole_number(seed)
    if not num_rows or not num_columns or min(*num_rows, *num_columns) < 1:
        raise ValueError(
            f"`num_rows` and `num_columns` must be numbers of at least 1, got {num_rows} and "
            f"{num_columns}"
        )
    shapes = itertools.product(num_rows, num_columns)
    return split_graphs([_numbered(nx.grid_2d_graph(*shape)) for shape in shapes], split)


def _random_pairs(rng, size, probability):
    """[num_pairs, 2]: each pair of `size` nodes, the smaller first, with this probability."""
    pairs = np.stack(np.triu_indices(size, 1), axis=1)
    return pairs[rng.random(len(pairs)) < probability]


def _largest_component(graph):
    return _numbered(graph.subgraph(max(nx.connected_components(graph), key=len)))


def _numbered(graph):
    """A copy with nodes 0 to n - 1 in the order of the labels."""
    number = {label: i for i, label in enumerate(sorted(graph))}
    result = nx.empty_graph(len(number))
    result.add_edges_from((number[a], number[b]) for a, b in graph.edges)
    return result


def _check(name, number):
    if number < 1:
        raise ValueError(f"`{name}` must be at least 1, got {number}")


# What trainers choose from by name.
GRAPH_SETS: dict[str, Callable[..., list[nx.Graph]]] = {
    "community_small": community_small,
    "two_communities": two_communities,
    "ego_small": ego_small,
    "grid": grid,
    "community": community,
}
