"""Orbit counts are what one counts by hand, and by looking at every four nodes."""

import itertools
import math
import tracemalloc

import networkx as nx
import numpy as np
import pytest

from gnf_tf import graphs, metrics
from gnf_tf.metrics import orbits

# Sorted degrees of a connected graph of up to four nodes -> orbit of a node of each degree.
ORBITS = {
    (1, 1): {1: 0},
    (1, 1, 2): {1: 1, 2: 2},
    (2, 2, 2): {2: 3},
    (1, 1, 2, 2): {1: 4, 2: 5},
    (1, 1, 1, 3): {1: 6, 3: 7},
    (2, 2, 2, 2): {2: 8},
    (1, 2, 2, 3): {1: 9, 2: 10, 3: 11},
    (2, 2, 3, 3): {2: 12, 3: 13},
    (3, 3, 3, 3): {3: 14},
}


def counted(graph):
    """Orbit counts by looking at every two, three and four nodes."""
    counts = {node: [0] * 15 for node in graph}
    for size in (2, 3, 4):
        for nodes in itertools.combinations(graph, size):
            part = graph.subgraph(nodes)
            if nx.is_connected(part):
                of_degree = ORBITS[tuple(sorted(degree for _, degree in part.degree))]
                for node, degree in part.degree:
                    counts[node][of_degree[degree]] += 1
    return np.array(list(counts.values()), int).reshape(-1, 15)


def random_graphs():
    settings = itertools.product([1, 2, 4, 7, 11], [0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    return [nx.gnp_random_graph(n, p, seed=seed) for seed, (n, p) in enumerate(settings)]


def book(pages):
    """Triangles with an edge in common."""
    graph = nx.complete_bipartite_graph(2, pages)
    graph.add_edge(0, 1)
    return graph


# A graph of so many nodes, about, some of which are adjacent to nearly all.
HUBS = {
    "star": nx.star_graph,
    "wheel": nx.wheel_graph,
    "book": book,
    "bipartite": lambda n: nx.complete_bipartite_graph(3, n),
    "windmill": lambda n: nx.windmill_graph(n // 4, 5),
    "double_star": lambda n: nx.Graph([(i % 2, i + 2) for i in range(n)] + [(0, 1)]),
}


def row(**counts):
    """Fifteen counts of which those named, e.g. o3=2, are not zero."""
    return [counts.get(f"o{orbit}", 0) for orbit in range(15)]


GOLDEN = {
    "edge": ([(0, 1)], [row(o0=1)] * 2),
    "triangle": ([(0, 1), (1, 2), (2, 0)], [row(o0=2, o3=1)] * 3),
    "path": (
        [(0, 1), (1, 2), (2, 3)],
        [row(o0=1, o1=1, o4=1), *[row(o0=2, o1=1, o2=1, o5=1)] * 2, row(o0=1, o1=1, o4=1)],
    ),
    "star": (
        [(0, 1), (0, 2), (0, 3)],
        [row(o0=3, o2=3, o7=1), *[row(o0=1, o1=2, o6=1)] * 3],
    ),
    "cycle": ([(0, 1), (1, 2), (2, 3), (3, 0)], [row(o0=2, o1=2, o2=1, o8=1)] * 4),
    "paw": (  # 0 is the end of the tail, 1 the corner that it hangs on
        [(0, 1), (1, 2), (2, 3), (3, 1)],
        [
            row(o0=1, o1=2, o9=1),
            row(o0=3, o2=2, o3=1, o11=1),
            *[row(o0=2, o1=1, o3=1, o10=1)] * 2,
        ],
    ),
    "diamond": (  # the chord is 0, 2
        [(0, 1), (1, 2), (2, 3), (3, 0), (0, 2)],
        [row(o0=3, o2=1, o3=2, o13=1), row(o0=2, o1=2, o3=1, o12=1)] * 2,
    ),
    "complete": (
        list(itertools.combinations(range(4), 2)),
        [row(o0=3, o3=3, o14=1)] * 4,
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_tiny_graphs_as_counted_by_hand(name):
    edges, expected = GOLDEN[name]
    graph = nx.empty_graph(len(expected))
    graph.add_edges_from(edges)
    np.testing.assert_array_equal(metrics.orbit_counts([graph]), expected)
    np.testing.assert_array_equal(counted(graph), expected)


def test_random_graphs_as_counted_four_by_four():
    several = random_graphs()
    counts = metrics.orbit_counts(several)
    assert counts.dtype == np.int64
    np.testing.assert_array_equal(counts, np.concatenate([counted(graph) for graph in several]))


@pytest.mark.parametrize("name", HUBS)
def test_hubs_as_counted_four_by_four(name):
    graph = HUBS[name](9)
    np.testing.assert_array_equal(metrics.orbit_counts([graph]), counted(graph))


def test_counts_do_not_depend_on_how_much_is_held_at_a_time(monkeypatch):
    several = [nx.gnp_random_graph(30, p, seed=1) for p in (0.1, 0.3, 0.7)]
    several += [make(20) for make in HUBS.values()]
    expected = metrics.orbit_counts(several), metrics.describe(several, "clustering")
    monkeypatch.setattr(orbits, "_CHUNK", 7)
    np.testing.assert_array_equal(metrics.orbit_counts(several), expected[0])
    np.testing.assert_array_equal(metrics.describe(several, "clustering"), expected[1])


MEASURES = {
    "orbit_counts": lambda graph: metrics.orbit_counts([graph]),
    "uniqueness": lambda graph: metrics.uniqueness([graph, graph]),
    "novelty": lambda graph: metrics.novelty([graph], [graph]),
    "degree": lambda graph: metrics.describe([graph], "degree"),
    "clustering": lambda graph: metrics.describe([graph], "clustering"),
    "is_ego": metrics.is_ego,
    "is_grid": metrics.is_grid,
    "is_planar": metrics.is_planar,
    "is_stochastic_blocks": metrics.is_stochastic_blocks,
    "is_two_communities": metrics.is_two_communities,
    "wrong_edges": lambda graph: metrics.wrong_edges([graph], [graph]),
}


@pytest.fixture(scope="module", params=HUBS)
def large_hub(request):
    return HUBS[request.param](8_000)


@pytest.mark.parametrize("measure", MEASURES)
def test_memory_grows_with_the_edges_whatever_their_number_at_a_node(large_hub, measure):
    """A matrix of all pairs of nodes, in bytes, would be 64 MB or more."""
    tracemalloc.start()
    try:
        MEASURES[measure](large_hub)
        assert tracemalloc.get_traced_memory()[1] < 40e6
    finally:
        tracemalloc.stop()


def test_a_large_star_has_the_counts_of_its_formulas():
    n = 60_000
    counts = metrics.orbit_counts([nx.star_graph(n)])
    np.testing.assert_array_equal(counts[0], row(o0=n, o2=math.comb(n, 2), o7=math.comb(n, 3)))
    np.testing.assert_array_equal(counts[1:], [row(o0=1, o1=n - 1, o6=math.comb(n - 1, 2))] * n)


def test_a_set_is_its_graphs_one_by_one():
    several = random_graphs()
    alone = [metrics.orbit_counts([graph]) for graph in several]
    np.testing.assert_array_equal(metrics.orbit_counts(several), np.concatenate(alone))
    batch = graphs.from_networkx(several)
    np.testing.assert_array_equal(metrics.orbit_counts(batch), np.concatenate(alone))


def test_rows_follow_the_nodes():
    graph = nx.gnp_random_graph(12, 0.4, seed=5)
    order = np.random.default_rng(0).permutation(12).tolist()
    moved = nx.Graph()
    moved.add_nodes_from(order)
    moved.add_edges_from(graph.edges)
    counts = metrics.orbit_counts([graph])
    assert len(np.unique(counts, axis=0)) > 6
    np.testing.assert_array_equal(metrics.orbit_counts([moved]), counts[order])


def test_no_edges_no_nodes_and_self_loops():
    np.testing.assert_array_equal(metrics.orbit_counts([nx.empty_graph(3)]), np.zeros([3, 15]))
    assert metrics.orbit_counts([nx.Graph()]).shape == (0, 15)
    graph = nx.cycle_graph(4)
    counts = metrics.orbit_counts([graph])
    graph.add_edge(2, 2)
    np.testing.assert_array_equal(metrics.orbit_counts([graph]), counts)


def test_large_graphs_of_known_counts():
    grid = metrics.orbit_counts([nx.grid_2d_graph(19, 19)])
    assert grid[:, 0].sum() == 2 * 2 * 19 * 18
    assert grid[:, 8].sum() == 4 * 18 * 18
    assert grid[:, 7].sum() == 4 * 17**2 + 4 * 17  # four choose three inside, one on a side
    assert not grid[:, [3, 9, 10, 11, 12, 13, 14]].any()
    complete = metrics.orbit_counts([nx.complete_graph(60)])
    expected = row(o0=59, o3=math.comb(59, 2), o14=math.comb(59, 3))
    np.testing.assert_array_equal(complete, [expected] * 60)
    bipartite = metrics.orbit_counts([nx.complete_bipartite_graph(30, 30)])
    # From one's own side come other ends of a path or star, 29 to choose from.
    two, three = math.comb(29, 2), math.comb(30, 3)
    expected = row(o0=30, o1=30 * 29, o2=math.comb(30, 2), o6=30 * two, o7=three, o8=29 * 15 * 29)
    np.testing.assert_array_equal(bipartite, [expected] * 60)
