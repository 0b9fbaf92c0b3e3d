"""Sets of graphs to generate: their recipes, files of graphs, batches by size."""

import networkx as nx
import numpy as np
import pytest

from gnf_tf import datasets, graphs

# Name -> graphs, smallest and largest size.
SETS = {
    "community_small": (100, 12, 20),
    "two_communities": (100, 12, 20),
    "ego_small": (200, 4, 20),
    "grid": (100, 100, 361),
    "community": (510, 60, 160),
    "planar": (200, 64, 64),
    "stochastic_blocks": (200, 40, 200),
}


@pytest.fixture(scope="module")
def sets():
    return {name: make() for name, make in datasets.GRAPH_SETS.items()}


def edges(graph):
    return sorted(graph.edges)


def mean_edges(list_of_graphs):
    return np.mean([graph.number_of_edges() for graph in list_of_graphs])


@pytest.mark.parametrize("name", datasets.GRAPH_SETS)
def test_every_set_is_of_simple_connected_graphs_of_its_sizes(sets, name):
    number, low, high = SETS[name]
    assert len(sets[name]) == number
    for graph in sets[name]:
        assert type(graph) is nx.Graph
        assert list(graph) == list(range(len(graph)))
        assert all(type(node) is int for edge in graph.edges for node in edge)
        assert low <= len(graph) <= high
        assert nx.number_of_selfloops(graph) == 0
        assert nx.is_connected(graph)
    assert graphs.from_networkx(sets[name][:3]).nodes.shape[-1] == 0


@pytest.mark.parametrize("name", datasets.GRAPH_SETS)
def test_split_is_of_80_and_20_percent(sets, name):
    number = SETS[name][0]
    first = number * 8 // 10
    # Of the large graphs, which take long to draw, the shorter part alone.
    for split in ("test",) if name in ("community", "stochastic_blocks") else ("train", "test"):
        part = sets[name][:first] if split == "train" else sets[name][first:]
        assert list(map(edges, datasets.GRAPH_SETS[name](split))) == list(map(edges, part))
    assert len(sets[name]) == number
    with pytest.raises(ValueError, match="`split` must be 'train', 'test' or 'all', got 'valid'"):
        datasets.GRAPH_SETS[name]("valid")


@pytest.mark.parametrize(
    "name", ["community_small", "two_communities", "ego_small", "planar", "stochastic_blocks"]
)
def test_seed(sets, name):
    again, other = (datasets.GRAPH_SETS[name](seed=seed) for seed in (0, 1))
    assert [edges(g) for g in again] == [edges(g) for g in sets[name]]
    assert [edges(g) for g in other] != [edges(g) for g in sets[name]]


def test_nothing_uses_the_global_random_state():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    datasets.community_small()
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_split_is_a_partition_by_one_shuffle():
    items = [nx.path_graph(n) for n in range(1, 11)]
    train, test = (datasets.split_graphs(items, split) for split in ("train", "test"))
    # Python's Random(123).shuffle of ten things.
    assert [len(g) for g in datasets.split_graphs(items)] == [9, 8, 6, 10, 3, 4, 7, 2, 5, 1]
    assert [len(g) for g in train + test] == [len(g) for g in datasets.split_graphs(items)]
    assert len(train) == 8


def test_random_split():
    items = list("abcdefghij")
    train, validation, test = datasets.random_split(items, (0.6, 0.3, 0.1), seed=1)
    assert (len(train), len(validation), len(test)) == (6, 3, 1)
    assert sorted(train + validation + test) == items
    assert datasets.random_split(items, (0.6, 0.3, 0.1), seed=1) == (train, validation, test)
    assert datasets.random_split(items, (0.6, 0.3, 0.1), seed=2)[0] != train
    for numbers in ([0.6, 0.3, 0.1], np.array([0.6, 0.3, 0.1])):
        assert datasets.random_split(items, numbers, seed=1) == (train, validation, test)
    parts = datasets.random_split(items, np.array([0.8, 0.1, 0.1], np.float32))  # sums to 1 + 1e-8
    assert list(map(len, parts)) == [8, 1, 1]


@pytest.mark.parametrize(
    "fractions, message",
    [
        ((0.9, 0.2), "must be positive numbers with a sum of at most 1, got .0.9, 0.2"),
        ((0.5, -0.1), "must be positive numbers"),
        ((0.5, np.nan), "must be positive numbers"),
        ((0.5, np.inf), "must be positive numbers"),
        ((), "must be positive numbers"),
        (("0.8", "0.1", "0.1"), "must be positive numbers .*, got .'0.8', '0.1', '0.1'"),
        (("0.8", 0.1, 0.1), "must be positive numbers"),
        ("0.8", "must be positive numbers"),
        ((True,), "must be positive numbers .*, got .True"),
        (np.array([True]), "must be positive numbers"),
        (np.array(["0.8", "0.2"]), "must be positive numbers"),
        (np.array([[0.8, 0.2]]), "must be positive numbers"),
        (([0.8], [0.1, 0.1]), "must be positive numbers"),
        ((0.8, None), "must be positive numbers"),
        ({0.8: 0.2}, "must be positive numbers"),
        (iter((0.8, 0.2)), "must be positive numbers"),
        (0.8, "must be positive numbers"),
        (None, "must be positive numbers"),
        ((0.9, 0.01), "must leave no part empty, got .0.9, 0.01., which are .9, 0. of 10"),
    ],
)
def test_fractions_that_are_no_shares(fractions, message):
    with pytest.raises(ValueError, match=f"`fractions` {message}"):
        datasets.random_split(list("abcdefghij"), fractions)
    with pytest.raises(ValueError, match="`fractions` must be (positive numbers|three)|leave no"):
        datasets.node_graph(np.ones([10, 1]), [[0], [1]], [0] * 10, fractions=fractions)


def test_community_small_has_the_edges_of_its_recipe():
    """0.8 k (k - 1) inside and one across, for k = 6, ..., 10: 47.4 on average."""
    found = mean_edges(datasets.community_small(num_per_size=400))
    np.testing.assert_allclose(found, 47.4, atol=0.3)
    sizes = [len(g) for g in datasets.community_small()]
    assert np.mean(np.isin(sizes, range(12, 21, 2))) > 0.95
    two = datasets.community_small(community_sizes=[30], num_per_size=20, keep_probability=1.0)
    across = [sum((a < 30) != (b < 30) for a, b in g.edges) for g in two]
    assert max(across) == 3 and min(across) >= 1
    assert {g.number_of_edges() - links for g, links in zip(two, across, strict=True)} == {870}


def test_community_has_the_edges_of_its_recipe(sets):
    """0.3 k (k - 1) inside and 0.1 k across, for k = 30, ..., 80."""
    k = np.arange(30, 81)
    expected = np.mean(0.3 * k * (k - 1) + np.ceil(0.1 * k))
    np.testing.assert_allclose(mean_edges(sets["community"]), expected, rtol=0.01)
    sizes = sorted(len(g) for g in datasets.community(num_graphs=3))
    assert sizes == pytest.approx([60, 94, 128], abs=2)


def test_two_communities_have_the_edges_of_their_recipe():
    list_of_graphs = datasets.two_communities(num_graphs=400, num_nodes=[16])
    across = [sum((a < 8) != (b < 8) for a, b in g.edges) for g in list_of_graphs]
    # Binomial(64, 0.1 / 8), and 1 in place of 0.
    np.testing.assert_allclose(np.mean(across), 0.8 + (1 - 0.1 / 8) ** 64, atol=0.1)
    np.testing.assert_allclose(mean_edges(list_of_graphs) - np.mean(across), 0.7 * 56, rtol=0.03)


def test_ego_graphs_have_a_hub(sets):
    assert all(max(dict(g.degree).values()) == len(g) - 1 for g in sets["ego_small"])
    # All 1,000 have 7.9 edges on average; the standard error of 200 is 0.4.
    np.testing.assert_allclose(mean_edges(sets["ego_small"]), 7.9, atol=1.0)
    large = datasets.ego_small(num_graphs=5, num_nodes=(50, 400), radius=3)
    assert all(50 <= len(g) <= 400 and nx.radius(g) <= 3 for g in large)


def test_grids_are_grids(sets):
    smallest, largest = (pick(sets["grid"], key=len) for pick in (min, max))
    assert nx.is_isomorphic(smallest, nx.grid_2d_graph(10, 10))
    assert nx.is_isomorphic(largest, nx.grid_2d_graph(19, 19))
    small = sorted(datasets.grid(num_rows=[2], num_columns=[2, 3]), key=len)
    assert nx.is_isomorphic(small[0], nx.cycle_graph(4))
    assert nx.is_isomorphic(small[1], nx.ladder_graph(3))


def test_planar_graphs_are_triangulations(sets):
    """All faces but the outer one are triangles: with h nodes outside, 3 n - 3 - h edges."""
    for graph in sets["planar"]:
        assert nx.is_planar(graph)
        assert 3 <= 3 * 64 - 3 - graph.number_of_edges() < 30
        assert min(nx.triangles(graph).values()) >= 1
    [triangle] = datasets.planar(num_graphs=1, num_nodes=3)
    assert edges(triangle) == [(0, 1), (0, 2), (1, 2)]


def test_stochastic_blocks_have_the_edges_of_their_recipe():
    """With one size and two blocks, k = 30: 0.3 k (k - 1) inside and 0.005 k^2 across."""
    made = datasets.stochastic_blocks(num_graphs=100, num_blocks=[2], block_sizes=[30])
    across = [sum((a < 30) != (b < 30) for a, b in g.edges) for g in made]
    assert min(across) >= 1
    # Graphs without an edge across are drawn again: 4.5 / (1 - (1 - 0.005)^900).
    np.testing.assert_allclose(np.mean(across), 4.5 / (1 - 0.995**900), atol=0.8)
    np.testing.assert_allclose(mean_edges(made) - np.mean(across), 0.3 * 870, rtol=0.03)


def test_numbers_of_any_kind_of_iterable_are_taken():
    made = datasets.community_small(community_sizes=iter([6, 7]), num_per_size=1)
    assert sorted(map(len, made)) == [12, 14]
    assert len(datasets.grid(num_rows=(n for n in (2, 3)), num_columns={4})) == 2
    blocks = {"num_blocks": iter([2]), "block_sizes": {20}}
    assert len(datasets.stochastic_blocks(num_graphs=1, **blocks)[0]) == 40


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("planar", {"num_nodes": 2}, "`num_nodes` must be at least 3, got 2"),
        ("stochastic_blocks", {"num_blocks": []}, "`num_blocks` must be numbers of at least 1"),
        ("stochastic_blocks", {"between_probability": 0.0}, "`between_probability` must be in"),
        ("community_small", {"num_per_size": 0}, "`num_per_size` must be at least 1, got 0"),
        ("community_small", {"community_sizes": [0]}, "`community_sizes` must be numbers of at"),
        ("community_small", {"community_sizes": 5}, "`community_sizes` must be numbers .* got 5"),
        ("community_small", {"keep_probability": "1"}, "`keep_probability` must be .* got '1'"),
        ("ego_small", {"num_nodes": 5}, "`num_nodes` must be numbers of at least 1, got 5"),
        ("ego_small", {"num_nodes": (20, 4)}, "`num_nodes` must be the smallest and the largest"),
        ("ego_small", {"radius": 0}, "`radius` must be at least 1, got 0"),
        ("two_communities", {"link_share": "x"}, "`link_share` must be .* number, got 'x'"),
        (
            "two_communities",
            {"edge_probability": 0.01, "num_nodes": [20]},
            "`edge_probability` must be large enough .* got 0.01: none of 1000 graphs of 10 ",
        ),
        (
            "stochastic_blocks",
            {"between_probability": 1e-9, "num_blocks": [2], "block_sizes": [5]},
            "`between_probability` must be large enough .* got 1e-09",
        ),
        ("community_small", {"keep_probability": 0.0}, r"`keep_probability` must be in \(0, 1\]"),
        ("community", {"num_graphs": 2.5}, "`num_graphs` must be a whole number, got 2.5"),
        ("grid", {"num_rows": np.arange(2)}, "`num_rows` must be numbers of at least 1"),
        ("community", {"num_graphs": 0}, "`num_graphs` must be at least 1, got 0"),
        ("two_communities", {"num_graphs": 0}, "`num_graphs` must be at least 1, got 0"),
        ("two_communities", {"num_nodes": [1]}, "`num_nodes` must be numbers of at least 2"),
        ("two_communities", {"edge_probability": 1.5}, "`edge_probability` must be in"),
        ("two_communities", {"link_share": -1.0}, "`link_share` must be at least 0, got -1.0"),
        ("ego_small", {"num_graphs": 1001}, "`num_graphs` must be at most 1000, .* got 1001"),
        ("ego_small", {"num_graphs": 0}, "`num_graphs` must be at least 1, got 0"),
        ("grid", {"num_rows": []}, "`num_rows` must be numbers of at least 1, got"),
    ],
)
def test_arguments_out_of_range(name, options, message):
    with pytest.raises(ValueError, match=message):
        datasets.GRAPH_SETS[name](**options)
