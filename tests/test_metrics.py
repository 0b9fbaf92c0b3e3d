"""The MMDs are those of the original scripts; intervals, edge errors."""

import math

import networkx as nx
import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import tensorflow as tf

from gnf_tf import graphs, metrics
from tests.test_isomorphism import relabeled
from tests.test_orbits import counted


def random_graphs(count, probability, seed, sizes=(1, 11)):
    rng = np.random.default_rng(seed)
    return [
        nx.gnp_random_graph(int(n), probability, seed=int(rng.integers(1000)))
        for n in rng.integers(*sizes, size=count)
    ]


REFERENCE = random_graphs(6, 0.5, seed=1)
GENERATED = random_graphs(8, 0.3, seed=2)


# The original evaluation, written down once more: graph by graph, pair by pair.


def row_by_hand(graph, statistic):
    if statistic == "degree":
        histogram = np.array(nx.degree_histogram(graph))
    elif statistic == "clustering":
        values = list(nx.clustering(graph).values())
        histogram = np.histogram(values, bins=100, range=(0.0, 1.0))[0]
    elif statistic == "spectrum":
        values = scipy.linalg.eigvalsh(nx.normalized_laplacian_matrix(graph).toarray())
        values = [min(value, 2.0) for value in values]
        histogram = np.histogram(values, bins=200, range=(-1e-5, 2))[0]
    else:
        return counted(graph).sum(axis=0) / len(graph)
    return histogram / histogram.sum()


def kernel_by_hand(x, y, statistic, kernel):
    width = max(len(x), len(y))
    x, y = (np.concatenate([v, np.zeros(width - len(v))]) for v in (x, y))
    sigma = {"degree": 1.0, "clustering": 0.1, "spectrum": 1.0, "orbit": 30.0}[statistic]
    if statistic == "orbit" and kernel == "gaussian_emd":
        distance = math.sqrt(sum((a - b) ** 2 for a, b in zip(x, y, strict=True)))
    elif kernel == "gaussian_tv":
        distance = sum(abs(a - b) for a, b in zip(x, y, strict=True)) / 2
    else:
        places = np.arange(width) / (100 if statistic == "clustering" else 1)
        distance = scipy.stats.wasserstein_distance(places, places, x, y)
    return math.exp(-(distance**2) / (2 * sigma**2))


def mmd_by_hand(set_a, set_b, statistic, kernel):
    a, b = ([row_by_hand(graph, statistic) for graph in part] for part in (set_a, set_b))

    def mean(left, right):
        values = [kernel_by_hand(x, y, statistic, kernel) for x in left for y in right]
        return sum(values) / len(values)

    return mean(a, a) + mean(b, b) - 2 * mean(a, b)


every = pytest.mark.parametrize("statistic", metrics.STATISTICS)
both = pytest.mark.parametrize("kernel", metrics.KERNELS)


@every
@both
def test_mmd_is_that_of_the_original_scripts(statistic, kernel):
    expected = mmd_by_hand(REFERENCE, GENERATED, statistic, kernel)
    value = metrics.mmd(REFERENCE, GENERATED, statistic, kernel)
    assert isinstance(value, float)
    assert value == pytest.approx(expected, abs=1e-12)
    assert value > 1e-3
    assert metrics.mmd(GENERATED, REFERENCE, statistic, kernel) == pytest.approx(value, abs=1e-14)


@every
def test_rows_are_those_of_the_original_scripts(statistic):
    several = REFERENCE + GENERATED + [nx.empty_graph(3), nx.star_graph(6), nx.complete_graph(5)]
    rows = metrics.describe(several, statistic)
    for row, graph in zip(rows, several, strict=True):
        expected = row_by_hand(graph, statistic)
        np.testing.assert_allclose(row[: len(expected)], expected, atol=1e-15)
        assert not row[len(expected) :].any()


def test_degree_mmd_of_two_single_graphs_by_hand():
    """Degrees 1, 1 against 1, 2, 1: a third of the mass moves by one bin."""
    value = metrics.mmd([nx.path_graph(2)], [nx.path_graph(3)])
    assert value == pytest.approx(2 - 2 * math.exp(-1 / 18), abs=1e-12)


def test_clustering_mmd_of_two_single_graphs_by_hand():
    """All coefficients 0 against all 1: the whole mass moves by 99 bins of a hundredth."""
    sets = [nx.path_graph(3)], [nx.complete_graph(3)]
    assert metrics.mmd(*sets, "clustering") == pytest.approx(2.0, abs=1e-12)
    distance = math.exp(-(0.99**2) / (2 * 0.1**2))
    rows = [metrics.describe(part, "clustering") for part in sets]
    assert metrics.kernel_matrix(*rows, "clustering")[0, 0] == pytest.approx(distance, rel=1e-9)
    assert metrics.mmd(*sets, "clustering", "gaussian_tv") == pytest.approx(2.0, abs=1e-12)


def test_orbit_mmd_of_two_single_graphs_by_hand():
    """Of a triangle's nodes each has degree 2 and one triangle; a graph without edges has none."""
    value = metrics.mmd([nx.complete_graph(3)], [nx.empty_graph(5)], "orbit")
    assert value == pytest.approx(2 - 2 * math.exp(-5 / 1800), abs=1e-12)
    value = metrics.mmd([nx.complete_graph(3)], [nx.empty_graph(5)], "orbit", "gaussian_tv")
    assert value == pytest.approx(2 - 2 * math.exp(-(1.5**2) / 1800), abs=1e-12)


@every
@both
def test_order_of_nodes_and_of_graphs_does_not_matter(statistic, kernel):
    """Bipartite graphs among them, whose largest eigenvalue, 2, lies on the edge of a bin."""
    several = GENERATED + [nx.star_graph(n) for n in range(2, 8)] + [nx.grid_2d_graph(4, 5)]
    moved = [relabeled(graph, seed=i) for i, graph in enumerate(several)][::-1]
    value = metrics.mmd(REFERENCE, several, statistic, kernel)
    assert metrics.mmd(REFERENCE, moved, statistic, kernel) == pytest.approx(value, abs=1e-12)
    assert metrics.mmd(several, moved, statistic, kernel) == pytest.approx(0.0, abs=1e-12)
    assert metrics.mmd(several, list(several), statistic, kernel) == 0.0


def test_eigenvalue_two_is_counted():
    rows = metrics.describe([nx.star_graph(n) for n in range(1, 20)], "spectrum")
    np.testing.assert_allclose(rows[:, -1], [1 / (n + 1) for n in range(1, 20)])


@every
def test_a_graphs_tuple_is_its_graphs(statistic):
    value = metrics.mmd(REFERENCE, GENERATED, statistic)
    batches = [graphs.from_networkx(part) for part in (REFERENCE, GENERATED)]
    assert metrics.mmd(*batches, statistic) == value
    # An edge is one whatever it carries, the same both ways or not.
    edges = tf.reshape(tf.range(tf.size(batches[1].senders), dtype=tf.float32), [-1, 1])
    assert metrics.mmd(batches[0], batches[1].replace(edges=edges), statistic) == value


@every
def test_self_loops_and_weights_are_ignored(statistic):
    value = metrics.mmd(REFERENCE, GENERATED, statistic)
    looped = [nx.Graph(graph) for graph in GENERATED]
    for graph in looped:
        nx.set_edge_attributes(graph, 0.5, "weight")
        graph.add_edge(0, 0)
    assert metrics.mmd(REFERENCE, looped, statistic) == value
    assert metrics.mmd(REFERENCE, graphs.from_networkx(looped), statistic) == value


@every
def test_generated_graphs_without_nodes_are_left_out(statistic):
    value = metrics.mmd(REFERENCE, GENERATED, statistic)
    more = [nx.Graph(), *GENERATED, nx.Graph()]
    assert metrics.mmd(REFERENCE, more, statistic) == value
    with pytest.raises(ValueError, match="`graphs_b` must hold a graph with a node, got 2 without"):
        metrics.mmd(REFERENCE, [nx.Graph(), nx.Graph()], statistic)


def test_reference_graphs_without_nodes_count_for_orbits_only_as_absent():
    more = [*REFERENCE, nx.Graph()]
    value = metrics.mmd(REFERENCE, GENERATED, "orbit")
    assert metrics.mmd(more, GENERATED, "orbit") == value
    for statistic in ("degree", "clustering", "spectrum"):
        with pytest.raises(
            ValueError, match=f"graph 6 of `graphs_a` has no node, so no {statistic}"
        ):
            metrics.mmd(more, GENERATED, statistic)
    with pytest.raises(ValueError, match="`graphs_a` must hold a graph with a node, got 1 without"):
        metrics.mmd([nx.Graph()], GENERATED, "orbit")
    with pytest.raises(ValueError, match="graph 6 of `graphs` has no node, so no degree"):
        metrics.describe(more, "degree")


def one_way():
    graph = graphs.edgeless([2], 1)
    return graph.replace(
        senders=tf.constant([0]),
        receivers=tf.constant([1]),
        edges=tf.zeros([1, 0]),
        n_edge=tf.constant([1]),
    )


@pytest.mark.parametrize(
    "given, error, message",
    [
        ([], ValueError, "`graphs_b` must hold at least one graph, got none"),
        (None, TypeError, "`graphs_b` must be a sequence of networkx graphs, got NoneType"),
        (nx.path_graph(3), TypeError, "`graphs_b` must be a sequence .*, got a single one"),
        (
            [nx.path_graph(3), 7],
            TypeError,
            "graph 1 of `graphs_b` must be a networkx graph, got 7",
        ),
        ([nx.DiGraph([(0, 1)])], ValueError, "graph 0 of `graphs_b` is directed"),
        ([nx.MultiGraph([(0, 1)])], ValueError, "graph 0 of `graphs_b` is a multigraph"),
        (one_way(), ValueError, "graph 0 of `graphs_b` is directed"),
        (graphs.batch([one_way()] * 2), ValueError, "graph 0 of `graphs_b` is directed"),
    ],
)
def test_what_is_no_set_of_simple_graphs(given, error, message):
    with pytest.raises(error, match=message):
        metrics.mmd(REFERENCE, given)


def test_repeated_edges_of_a_graphs_tuple():
    graph = one_way()
    twice = graph.replace(
        senders=tf.constant([0, 1, 0]),
        receivers=tf.constant([1, 0, 1]),
        edges=tf.zeros([3, 0]),
        n_edge=tf.constant([3]),
    )
    with pytest.raises(
        ValueError, match="graph 0 of `graphs_a` is a multigraph or repeats an edge"
    ):
        metrics.mmd(twice, GENERATED)


def test_unknown_names():
    with pytest.raises(ValueError, match="`statistic` must be one of .*'degree'.*, got 'motif'"):
        metrics.mmd(REFERENCE, GENERATED, "motif")
    with pytest.raises(ValueError, match="`kernel` must be one of .*'gaussian_tv'.*, got 'rbf'"):
        metrics.mmd(REFERENCE, GENERATED, "orbit", "rbf")


def test_interval_is_that_of_graphs_drawn_with_replacement():
    a, b = random_graphs(12, 0.5, seed=3), random_graphs(15, 0.4, seed=4)
    interval = metrics.mmd_interval(a, b, num_bootstrap=4000, seed=1)
    rng = np.random.default_rng(0)
    replicates = [
        metrics.mmd(
            *([part[i] for i in rng.integers(len(part), size=len(part))] for part in (a, b))
        )
        for _ in range(300)
    ]
    assert interval.value == metrics.mmd(a, b)
    error = np.std(replicates) / math.sqrt(300)
    assert np.mean(replicates) == pytest.approx(interval.value + interval.bias, abs=4 * error)
    low, high = np.quantile(replicates, [0.025, 0.975]) - interval.bias
    width = interval.high - interval.low
    assert interval.low == pytest.approx(low, abs=0.15 * width)
    assert interval.high == pytest.approx(high, abs=0.15 * width)
    assert metrics.mmd_interval(a, b, num_bootstrap=4000, seed=1) == interval
    assert metrics.mmd_interval(a, b, num_bootstrap=4000, seed=2) != interval
    narrow = metrics.mmd_interval(a, b, num_bootstrap=4000, seed=1, level=0.5)
    assert interval.low < narrow.low < interval.value < narrow.high < interval.high


def test_bias_is_what_equal_distributions_show():
    rows = [
        metrics.mmd_interval(
            *(random_graphs(15, 0.4, seed=2 * i + j) for j in (0, 1)), num_bootstrap=1
        )
        for i in range(40)
    ]
    excess = [row.value - row.bias for row in rows]
    assert np.mean([row.value for row in rows]) > 0.05
    assert abs(np.mean(excess)) < 4 * np.std(excess) / math.sqrt(40)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"level": 1.0}, "`level` must be between 0 and 1, got 1.0"),
        ({"num_bootstrap": 0}, "`num_bootstrap` must be a whole number of at least 1, got 0"),
        ({"num_bootstrap": 2.5}, "`num_bootstrap` must be a whole number of at least 1, got 2.5"),
    ],
)
def test_interval_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        metrics.mmd_interval(REFERENCE, GENERATED, **arguments)


def test_wrong_edges_by_hand():
    path, cycle = nx.path_graph(4), nx.cycle_graph(4)
    assert metrics.wrong_edges([path], [path]) == (0, 3, 6)
    result = metrics.wrong_edges([path, cycle], [cycle, nx.star_graph(3)])
    assert result == (1 + 3, 3 + 4, 12)  # the star has two edges of the cycle
    assert result.wrong == 4 and result.edges == 7 and result.pairs == 12
    # Nodes are matched by name, arrays by the order of the true graph's nodes.
    backwards = nx.Graph()
    backwards.add_nodes_from([3, 2, 1, 0])
    backwards.add_edges_from(path.edges, weight=0.1)
    assert metrics.wrong_edges([path], [backwards]) == (0, 3, 6)
    odd = nx.Graph([("a", "b")])
    odd.add_node("c")
    guess = np.array([[1.0, 0.6, 0.4], [0.6, 1.0, 0.9], [0.4, 0.9, 1.0]])
    assert metrics.wrong_edges([odd], [guess]) == (1, 1, 3)
    assert metrics.wrong_edges([nx.to_numpy_array(odd)], [guess]) == (1, 1, 3)
    assert metrics.wrong_edges([], []) == (0, 0, 0)
    # Loops and repeats don't matter.
    looped = nx.MultiGraph([("a", "b"), ("b", "a"), ("b", "b"), ("c", "c")])
    assert metrics.wrong_edges([looped], [odd]) == metrics.wrong_edges([odd], [looped]) == (0, 1, 3)
    assert metrics.wrong_edges([nx.Graph()], [nx.Graph()]) == (0, 0, 0)
    # Nor do weights, and how often a matrix counts an edge.
    weighted = nx.to_numpy_array(nx.Graph([(0, 1), (1, 2)])) * 0.3
    path = nx.path_graph(3)
    assert metrics.wrong_edges([weighted], [path]) == metrics.wrong_edges([path], [path])
    repeated = nx.MultiGraph([(0, 1), (0, 1), (1, 2)])
    assert metrics.wrong_edges([nx.to_numpy_array(repeated)], [path]) == (0, 2, 3)


@pytest.mark.parametrize(
    "true, predicted, message",
    [
        ([nx.path_graph(2)], [], "`true` and `predicted` must pair up, got 1 and 0 graphs"),
        ([nx.path_graph(2)], [nx.path_graph(3)], "graph 0 of `predicted` must have the nodes"),
        ([nx.DiGraph()], [nx.Graph()], "graph 0 of `true` is directed"),
        ([nx.path_graph(2)], [np.zeros([3, 3])], "graph 0 of `predicted` has shape .3, 3.*2, 2"),
        ([np.zeros([2, 3])], [np.zeros([2, 2])], "graph 0 of `true` must be a symmetric matrix"),
        ([np.zeros([2, 2])], [np.eye(2, k=1)], "graph 0 of `predicted` must be a symmetric matrix"),
        ([np.zeros([2, 2])], [2.0 * np.eye(2)], "graph 0 of `predicted` must have probabilities"),
        ([scipy.sparse.eye(2)], [np.eye(2)], "graph 0 of `true` must be a networkx graph or a mat"),
    ],
)
def test_wrong_edges_arguments(true, predicted, message):
    with pytest.raises(ValueError, match=message):
        metrics.wrong_edges(true, predicted)
