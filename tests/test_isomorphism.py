"""Isomorphism classes are exact; uniqueness, novelty and validity count what they say."""

import math

import networkx as nx
import numpy as np
import pytest

from gnf_tf import datasets, graphs, metrics
from gnf_tf.metrics import isomorphism


def relabeled(graph, seed=0):
    """The same graph with its nodes, and their names, in another order."""
    rng = np.random.default_rng(seed)
    names = dict(zip(graph, rng.permutation(len(graph)).tolist(), strict=True))
    result = nx.Graph()
    result.add_nodes_from(rng.permutation(len(graph)).tolist())
    result.add_edges_from((names[a], names[b]) for a, b in graph.edges)
    return result


def cycles(*lengths):
    return nx.disjoint_union_all([nx.cycle_graph(n) for n in lengths])


def classes_by_search(several):
    firsts, classes = [], []
    for graph in several:
        found = [i for i, first in enumerate(firsts) if nx.is_isomorphic(graph, first)]
        classes.append(found[0] if found else len(firsts))
        if not found:
            firsts.append(graph)
    return classes


def test_classes_are_those_of_an_exhaustive_search():
    atlas = nx.graph_atlas_g()[:200]  # every graph of up to five nodes, and most of six
    rng = np.random.default_rng(0)
    several = [
        nx.gnp_random_graph(int(n), 0.5, seed=i) for i, n in enumerate(rng.integers(7, size=60))
    ]
    several += [nx.random_regular_graph(3, 10, seed=seed) for seed in range(20)]
    several += [relabeled(graph, seed=i) for i, graph in enumerate(several + atlas[:50])]
    several = atlas + several
    assert metrics.isomorphism_classes(several) == classes_by_search(several)
    assert metrics.isomorphism_classes(atlas) == list(range(200))


def test_graphs_whose_nodes_look_alike():
    rook = nx.line_graph(nx.complete_bipartite_graph(4, 4))
    shrikhande = nx.Graph()  # as rook: 6 neighbors each, any two nodes share 2
    steps = [(0, 1), (1, 0), (1, 1)]
    for x, y in np.ndindex(4, 4):
        shrikhande.add_edges_from(((x, y), ((x + a) % 4, (y + b) % 4)) for a, b in steps)
    prism, bipartite = nx.circular_ladder_graph(3), nx.complete_bipartite_graph(3, 3)
    several = [rook, shrikhande, prism, bipartite, cycles(6, 6), cycles(5, 7), cycles(12)]
    several += [relabeled(graph) for graph in several]
    assert metrics.isomorphism_classes(several) == [*range(7), *range(7)]


def test_nodes_that_look_alike_but_are_not():
    """Of a cubic graph without short cycles any node might match any, yet few do."""
    several = [nx.random_regular_graph(3, 20, seed=seed) for seed in (114, 242, 391, 523, 768)]
    for graph in several:
        assert len(np.unique(metrics.orbit_counts([graph]), axis=0)) == 1
    several += [relabeled(graph, seed=i) for i, graph in enumerate(several)]
    assert metrics.isomorphism_classes(several) == classes_by_search(several)


def test_components_alike_in_another_mixture():
    """Searched for as wholes, these take half a minute."""
    several = [
        cycles(5, 5, 6, 6, 7, 7, 6),
        cycles(5, 5, 5, 7, 7, 7, 6),
        cycles(6, 7, 5, 6, 7, 5, 6),
    ]
    assert metrics.isomorphism_classes(several) == [0, 1, 0]


def test_large_symmetric_graphs_end():
    for graph in (nx.grid_2d_graph(19, 19), nx.grid_2d_graph(19, 19, periodic=True)):
        moved = nx.Graph(graph)
        moved.remove_edge((9, 9), (9, 10))
        again = nx.Graph(graph)
        again.remove_edge((9, 9), (10, 9))
        several = [graph, relabeled(graph), moved, relabeled(again)]
        assert metrics.isomorphism_classes(several) == [0, 0, 1, 1]
    assert metrics.isomorphism_classes([nx.empty_graph(361), nx.empty_graph(361)]) == [0, 0]


def test_without_nodes_or_edges():
    several = [nx.Graph(), nx.empty_graph(1), nx.empty_graph(2), nx.Graph(), nx.empty_graph(1)]
    assert metrics.isomorphism_classes(several) == [0, 1, 2, 0, 1]
    assert metrics.isomorphism_classes([nx.Graph(), nx.Graph()]) == [0, 0]


def test_shares_by_hand():
    path, star, triangle = nx.path_graph(4), nx.star_graph(3), nx.complete_graph(3)
    several = [path, star, relabeled(path), relabeled(path, seed=1)]
    assert metrics.uniqueness(several) == 2 / 4
    assert metrics.uniqueness(graphs.from_networkx(several)) == 2 / 4
    assert metrics.novelty(several, [triangle, relabeled(star)]) == 3 / 4
    assert metrics.novelty(several, several) == 0.0
    assert metrics.novelty(several, [triangle]) == 1.0
    assert metrics.validity(several, nx.is_tree) == 1.0
    assert metrics.validity([path, star, triangle, triangle], nx.is_tree) == 2 / 4
    assert metrics.validity(graphs.from_networkx([path, star]), metrics.is_ego) == 1 / 2


@pytest.mark.parametrize("function", [metrics.uniqueness, metrics.isomorphism_classes])
def test_what_is_no_list_of_simple_graphs(function):
    with pytest.raises(ValueError, match="`graphs` must hold at least one graph, got none"):
        function([])
    with pytest.raises(ValueError, match="graph 1 of `graphs` is directed"):
        function([nx.path_graph(2), nx.DiGraph()])
    with pytest.raises(ValueError, match="`train` must hold at least one graph"):
        metrics.novelty([nx.path_graph(2)], [])
    with pytest.raises(TypeError, match="`graphs` must be a sequence"):
        metrics.validity(nx.path_graph(2), metrics.is_ego)


OF_ONE = (
    metrics.is_connected,
    metrics.is_ego,
    metrics.is_grid,
    metrics.is_planar,
    metrics.is_stochastic_blocks,
    metrics.is_two_communities,
)
OF_SEVERAL = (
    metrics.describe,
    metrics.isomorphism_classes,
    metrics.orbit_counts,
    metrics.shared_structure,
    metrics.uniqueness,
)
OF_TWO_SETS = {
    metrics.evaluate: ("generated", "test"),
    metrics.mmd: ("graphs_a", "graphs_b"),
    metrics.mmd_interval: ("graphs_a", "graphs_b"),
    metrics.novelty: ("graphs", "train"),
    metrics.valid_unique_novel: ("graphs", "train"),
}


@pytest.mark.parametrize(
    "kind, problem",
    [(nx.DiGraph, "directed"), (nx.MultiGraph, "a multigraph"), (nx.MultiDiGraph, "a multigraph")],
)
@pytest.mark.parametrize("size", [3, 60])
def test_directed_graphs_and_multigraphs_are_refused_by_name(kind, problem, size):
    simple, given = nx.star_graph(size), kind(nx.star_graph(size))
    for function in OF_ONE:
        with pytest.raises(ValueError, match=f"graph 0 of `graph` is {problem}"):
            function(given)
    for function in OF_SEVERAL:
        more = ("degree",) if function is metrics.describe else ()
        with pytest.raises(ValueError, match=f"graph 1 of `graphs` is {problem}"):
            function([simple, given], *more)
    with pytest.raises(ValueError, match=f"graph 1 of `graphs` is {problem}"):
        metrics.validity([simple, given], nx.is_tree)
    for function, names in OF_TWO_SETS.items():
        more = (nx.is_tree,) if function is metrics.valid_unique_novel else ()
        for index, name in enumerate(names):
            sets = [[simple, simple], [simple, simple]]
            sets[index][1] = given
            with pytest.raises(ValueError, match=f"graph 1 of `{name}` is {problem}"):
                function(*sets, *more)


def test_connected():
    assert metrics.is_connected(nx.path_graph(5))
    assert metrics.is_connected(nx.empty_graph(1))
    assert not metrics.is_connected(nx.empty_graph(2))
    assert not metrics.is_connected(nx.Graph())


def test_planar():
    for graph in (nx.complete_graph(4), nx.grid_2d_graph(3, 4), nx.empty_graph(1)):
        assert metrics.is_planar(graph)
    for graph in (nx.complete_graph(5), nx.complete_bipartite_graph(3, 3), nx.empty_graph(2)):
        assert not metrics.is_planar(graph)
    assert not metrics.is_planar(nx.Graph())


def test_valid_unique_and_novel_together():
    """A path that is known, one that is new and repeated, a star, and a graph that is no tree."""
    known, new, star = nx.path_graph(4), nx.path_graph(5), nx.star_graph(3)
    several = [relabeled(known), new, relabeled(new), star, nx.complete_graph(3)]
    assert metrics.valid_unique_novel(several, [known], nx.is_tree) == 2 / 5
    assert metrics.valid_unique_novel(several, several, nx.is_tree) == 0.0
    both = (graphs.from_networkx(part) for part in (several, [nx.complete_graph(5)]))
    assert metrics.valid_unique_novel(*both, nx.is_tree) == 3 / 5


def test_classes_that_are_known_are_not_computed_again(monkeypatch):
    several, train = [nx.path_graph(n) for n in (3, 3, 4, 5, 6)], [nx.path_graph(4)]
    classes = metrics.isomorphism_classes([*several, *train])
    expected = (
        metrics.uniqueness(several),
        metrics.novelty(several, train),
        metrics.valid_unique_novel(several, train, nx.is_tree),
        metrics.evaluate(several, train, train=train, num_bootstrap=2),
    )
    monkeypatch.delattr(isomorphism, "_component_classes")
    assert expected == (
        metrics.uniqueness(several, classes=classes[:5]),
        metrics.novelty(several, train, classes=classes),
        metrics.valid_unique_novel(several, train, nx.is_tree, classes=classes),
        metrics.evaluate(several, train, train=train, num_bootstrap=2, classes=classes),
    )
    for wrong in (classes[:5], [*classes, 0]):
        with pytest.raises(ValueError, match="`classes` must have a number for each of 6 graphs"):
            metrics.novelty(several, train, classes=wrong)


def test_ego():
    for graph in (nx.star_graph(5), nx.complete_graph(4), nx.wheel_graph(6), nx.empty_graph(1)):
        assert metrics.is_ego(graph)
    looped = nx.path_graph(3)
    looped.add_edge(1, 1)
    assert metrics.is_ego(looped)
    looped.add_edge(2, 3)
    for graph in (looped, nx.path_graph(4), nx.empty_graph(2), nx.Graph()):
        assert not metrics.is_ego(graph)


@pytest.mark.parametrize("sides", [(2, 2), (2, 7), (10, 12), (19, 19)])
def test_grid(sides):
    graph = relabeled(nx.grid_2d_graph(*sides))
    assert metrics.is_grid(graph)
    a, b = next(iter(graph.edges))
    c = next(node for node in nx.non_neighbors(graph, a))
    graph.remove_edge(a, b)
    assert not metrics.is_grid(graph)
    graph.add_edge(a, c)  # as many nodes and edges as before
    assert not metrics.is_grid(graph) or sides == (2, 2)


def test_no_grid():
    for graph in (nx.path_graph(6), nx.cycle_graph(6), nx.empty_graph(4), nx.Graph()):
        assert not metrics.is_grid(graph)


def caveman(size, rng):
    """GraphRNN's recipe: links inside the two caves kept at 0.8, few between them."""
    graph = nx.caveman_graph(2, size)
    graph.remove_edges_from([edge for edge in list(graph.edges) if rng.random() > 0.8])
    for _ in range(max(1, math.ceil(0.1 * size))):
        graph.add_edge(int(rng.integers(size)), size + int(rng.integers(size)))
    return graph.subgraph(max(nx.connected_components(graph), key=len))


def random_halves(size, rng):
    """GDSS's recipe: two dense random graphs, with a link or so between them."""
    seeds = rng.integers(1000, size=2).tolist()
    graph = nx.disjoint_union(*[nx.gnp_random_graph(size, 0.7, seed=seed) for seed in seeds])
    pairs = [(a, b) for a in range(size) for b in range(size, 2 * size)]
    links = [pair for pair in pairs if rng.random() < 0.05 / size]
    graph.add_edges_from(links or [pairs[rng.integers(len(pairs))]])
    return graph


@pytest.mark.parametrize("recipe, share", [(caveman, 0.99), (random_halves, 0.94)])
def test_both_recipes_make_two_communities(recipe, share):
    rng = np.random.default_rng(0)
    several = [recipe(size, rng) for size in range(6, 11) for _ in range(20)]
    assert metrics.validity(several, metrics.is_two_communities) >= share


def test_no_two_communities():
    rng = np.random.default_rng(0)
    random = [
        nx.gnp_random_graph(int(n), 0.35, seed=i) for i, n in enumerate(rng.integers(12, 21, 200))
    ]
    assert metrics.validity(random, metrics.is_two_communities) <= 0.01
    three = nx.connected_caveman_graph(3, 6)
    apart, single = nx.caveman_graph(2, 8), nx.complete_graph(12)
    unequal = nx.disjoint_union(nx.complete_graph(4), nx.complete_graph(13))
    unequal.add_edge(0, 16)
    sparse = nx.grid_2d_graph(2, 8)
    for graph in (
        three,
        apart,
        single,
        unequal,
        sparse,
        nx.Graph(),
        nx.empty_graph(1),
        nx.path_graph(2),
    ):
        assert not metrics.is_two_communities(graph)


def planted_blocks(sizes, inside=0.3, between=0.005, seed=0):
    rng = np.random.default_rng(seed)
    block = np.repeat(np.arange(len(sizes)), sizes)
    probability = np.where(block[:, None] == block, inside, between)
    return nx.from_numpy_array(np.triu(rng.random(probability.shape) < probability, 1))


def test_stochastic_blocks():
    """Other numbers, sizes or densities than those of the recipe are refused."""
    for i, sizes in enumerate([(25, 30), (22, 38, 30), (30, 25, 35, 28), (30, 30, 30, 30, 30)]):
        graph = planted_blocks(sizes, seed=i)
        assert metrics.is_stochastic_blocks(graph) is True
        graph.add_edge(0, 0)
        assert metrics.is_stochastic_blocks(relabeled(graph, seed=i))
    # Louvain's method finds other blocks of this graph if its nodes have another order.
    graph = datasets.stochastic_blocks("all", num_graphs=25, seed=16)[11]
    assert len({metrics.is_stochastic_blocks(relabeled(graph, seed=i)) for i in range(5)}) == 1
    for graph in (
        *(planted_blocks(sizes) for sizes in [(30,), (15, 40), (50, 30), (25,) * 6]),
        *(planted_blocks([30, 30], inside) for inside in (0.15, 0.45)),
        planted_blocks([30, 30], between=0.06),
        *(nx.path_graph(100), nx.empty_graph(100), nx.star_graph(99), nx.Graph()),
    ):
        assert not metrics.is_stochastic_blocks(graph)


def test_share_of_planted_blocks_that_are_found():
    found = metrics.validity(datasets.stochastic_blocks(), metrics.is_stochastic_blocks)
    assert found >= 0.85  # 0.92 by the blocks from which the graphs were drawn


def test_structure_of_a_set_is_the_narrowest_that_nearly_all_graphs_have():
    stars, paths = ([make(n) for n in range(4, 14)] for make in (nx.star_graph, nx.path_graph))
    grids = [nx.grid_2d_graph(2, n) for n in range(2, 6)]
    communities = [random_halves(size, np.random.default_rng(size)) for size in range(6, 11)]
    blocks = datasets.stochastic_blocks(num_graphs=20)
    assert metrics.shared_structure(blocks) is metrics.is_stochastic_blocks
    assert metrics.shared_structure(stars + paths[:1]) is metrics.is_ego
    assert metrics.shared_structure(stars + paths[:2]) is metrics.is_planar
    assert metrics.shared_structure(iter(stars + paths[:2])) is metrics.is_planar
    crossing = [nx.complete_bipartite_graph(3, n) for n in range(3, 13)]
    assert metrics.shared_structure(crossing) is metrics.is_connected
    assert metrics.shared_structure(grids) is metrics.is_grid
    assert metrics.shared_structure(communities) is metrics.is_two_communities
    assert metrics.shared_structure([nx.empty_graph(2), *paths[:5]]) is None


def test_what_is_valid_is_true_or_false():
    """`nx.check_planarity` returns a pair, which would count as true."""
    whole = [nx.complete_graph(5)]
    for call in (
        lambda: metrics.validity(whole, nx.check_planarity),
        lambda: metrics.valid_unique_novel(whole, [nx.path_graph(2)], nx.check_planarity),
    ):
        with pytest.raises(ValueError, match="`is_valid` must return True or False, got .False, "):
            call()
    assert metrics.validity(whole, lambda graph: np.bool_(len(graph) > 4)) == 1.0
