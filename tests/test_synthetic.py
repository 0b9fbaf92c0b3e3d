"""The sets of points, and the floors that no density of them can be below."""

import itertools
import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import tensorflow as tf

import gnf_tf
from gnf_tf import datasets, graphs
from gnf_tf.datasets import floors, synthetic

SAMPLERS = {
    "mog": datasets.mog,
    "mog_ring": datasets.mog_ring,
    "half_moons_6": datasets.half_moons_6,
}


def by_set(graph):
    return tf.reshape(graph.nodes, [graph.n_node.shape[0], -1, 2]).numpy()


def nearest(points, centers):
    """[..., n]: the place that each point is closest to."""
    return np.square(points[..., np.newaxis, :] - centers).sum(-1).argmin(-1)


@pytest.mark.parametrize("name", SAMPLERS)
def test_sets_are_valid_graphs_of_the_named_topology(name):
    graph = SAMPLERS[name](50, seed=3)
    graphs.validate(graph, node_size=2)
    n = 6 if name == "half_moons_6" else 4
    np.testing.assert_array_equal(graph.n_node, [n] * 50)
    np.testing.assert_array_equal(graph.n_edge, [n * n] * 50)
    assert graph.nodes.dtype == tf.float32
    edgeless = SAMPLERS[name](50, seed=3, edges="edgeless", dtype=tf.float64)
    np.testing.assert_array_equal(edgeless.n_edge, [0] * 50)
    assert edgeless.nodes.dtype == tf.float64


@pytest.mark.parametrize("name", SAMPLERS)
def test_same_seed_same_sets(name):
    def draw(seed):
        return SAMPLERS[name](5, seed=seed).nodes.numpy()

    np.testing.assert_array_equal(draw(1), draw(1))
    np.testing.assert_array_equal(draw(1), draw((0, 1)))
    np.testing.assert_array_equal(draw(1), draw(tf.constant([0, 1])))
    assert np.abs(draw(1) - draw(2)).max() > 1e-2
    # No two sets of a batch are alike either.
    sets = draw(1).reshape(5, -1, 2)
    assert np.abs(sets[0] - sets[1]).max() > 1e-2


def test_compiled_sets_have_the_same_distribution():
    """XLA has random numbers of its own: the same from one seed, others than outside of it."""

    @tf.function(jit_compile=True)
    def draw(seed):
        return datasets.half_moons_6(500, seed=seed).nodes

    points = draw(tf.constant([0, 5])).numpy().reshape(500, 6, 2)
    np.testing.assert_array_equal(draw(tf.constant([0, 5])), points.reshape(-1, 2))
    centers = synthetic.moon_centers(6)
    order = nearest(points, centers)
    assert {tuple(sorted(one)) for one in order} == {(0, 1, 2, 3, 4, 5)}
    noise = (points - centers[order]).ravel() / 0.05
    assert scipy.stats.kstest(noise, "norm").pvalue > 1e-3


def test_mog_is_one_gaussian_a_center_in_random_order():
    points = by_set(datasets.mog(5000, seed=0, dtype=tf.float64))
    centers = np.array([[5, 5], [5, -5], [-5, 5], [-5, -5]])
    order = nearest(points, centers)
    assert {tuple(sorted(one)) for one in order} == {(0, 1, 2, 3)}
    # All 24 orders, equally often.
    counts = np.unique(order, axis=0, return_counts=True)[1]
    assert len(counts) == 24
    assert scipy.stats.chisquare(counts).pvalue > 1e-3
    noise = (points - centers[order]).ravel()
    assert scipy.stats.kstest(noise, "norm").pvalue > 1e-3


def test_mog_ring_is_mog_turned_as_a_whole():
    points = by_set(datasets.mog_ring(5000, seed=0, noise=1e-3, dtype=tf.float64))
    radius = np.linalg.norm(points, axis=-1)
    np.testing.assert_allclose(radius, math.sqrt(50.0), atol=0.01)
    angle = np.sort(np.arctan2(points[..., 1], points[..., 0]), axis=-1)
    np.testing.assert_allclose(np.diff(angle, axis=-1), math.pi / 2, atol=0.01)
    turned = np.mod(angle[:, 0] - math.pi / 4, math.pi / 2) / (math.pi / 2)
    assert scipy.stats.kstest(turned, "uniform").pvalue > 1e-3


def test_mog_ring_turns_by_no_more_than_asked():
    points = by_set(datasets.mog_ring(500, seed=0, noise=1e-3, max_angle=0.2, dtype=tf.float64))
    first = points[(points > 0).all(axis=-1)]  # the place (5, 5) before it was turned
    angle = np.arctan2(first[:, 1], first[:, 0]) - math.pi / 4
    assert -0.001 < angle.min() < 0.01 and 0.19 < angle.max() < 0.201


def test_half_moons_are_at_scikit_learn_s_centers():
    """Places as listed in the data's description: make_moons(n_samples=6), shuffled, with noise."""
    centers = np.array([[1, 0], [0, 1], [-1, 0], [0, 0.5], [1, -0.5], [2, 0.5]])
    points = by_set(datasets.half_moons_6(2000, seed=0, dtype=tf.float64))
    order = nearest(points, centers)
    assert {tuple(sorted(one)) for one in order} == {(0, 1, 2, 3, 4, 5)}
    assert len(np.unique(order, axis=0)) > 600
    noise = (points - centers[order]).ravel() / 0.05
    assert scipy.stats.kstest(noise, "norm").pvalue > 1e-3


def test_sizes_take_turns():
    graph = datasets.mog(5, seed=0, n_node=(4, 9), noise=0.1)
    np.testing.assert_array_equal(graph.n_node, [4, 9, 4, 9, 4])
    graphs.validate(graph, node_size=2)
    for member in graphs.unbatch(graph):
        centers = synthetic.grid_centers(member.nodes.shape[0])
        assert set(nearest(member.nodes.numpy(), centers)) == set(range(len(centers)))
        assert np.abs(member.nodes).max() < centers.max() + 0.6


@pytest.mark.parametrize(
    "num_centers, extent", [(1, (0, 0)), (4, (5, 5)), (6, (10, 5)), (9, (10, 10))]
)
def test_grid_is_centered_with_the_given_spacing(num_centers, extent):
    centers = synthetic.grid_centers(num_centers)
    assert centers.shape == (num_centers, 2)
    np.testing.assert_allclose(centers.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(centers.max(axis=0), extent)
    if num_centers > 1:
        distances = np.linalg.norm(centers[:, np.newaxis] - centers, axis=-1)
        assert distances[distances > 0].min() == 10.0


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: datasets.mog(0), "`num_graphs` must be at least 1, got 0"),
        (lambda: datasets.mog(3, edges="ring"), "`edges` must be one of .*'ring'"),
        (lambda: datasets.mog(3, n_node=(5,)), "`num_centers` must be .* got 5"),
        (lambda: datasets.mog(3, noise=0.0), "`noise` must be positive, got 0.0"),
        (lambda: datasets.mog_ring(3, max_angle=-1.0), "`max_angle` must be at least 0, got -1.0"),
        (lambda: datasets.half_moons_6(3, n_node=(1,)), "`num_centers` must be at least 2, got 1"),
        (lambda: datasets.PointSets((), 1.0), "`centers` must be arrays"),
        (lambda: datasets.mog(2.5), "`num_graphs` must be a whole number, got 2.5"),
        (lambda: datasets.mog(3, n_node=4), "`n_node` must be a non-empty sequence .* got 4"),
        (lambda: datasets.mog(3, n_node=[4.0]), r"`n_node` must be .* whole numbers .* \[4.0\]"),
        (lambda: datasets.mog(3, noise="1"), "`noise` must be a finite number, got '1'"),
        (lambda: datasets.mog(3, noise=math.inf), "`noise` must be a finite number, got inf"),
        (lambda: datasets.mog(3, spacing=math.nan), "`spacing` must be a finite number, got nan"),
        (lambda: datasets.mog(3, dtype=tf.int32), "`dtype` must be a float type, got tf.int32"),
        (lambda: datasets.mog_ring(3, max_angle=math.inf), "`max_angle` must .* got inf"),
        (lambda: datasets.PointSets((np.zeros([3, 3]),), 1.0), "`centers` .*(3, 3)"),
        (lambda: datasets.PointSets((np.zeros([0, 2]),), 1.0), "`centers` .*(0, 2)"),
        (lambda: datasets.PointSets((np.full([1, 2], np.nan),), 1.0), "`centers` must be finite"),
        (
            lambda: datasets.PointSets((np.zeros([1, 2]), np.ones([1, 2])), 1.0),
            r"`centers` must be one array for each size, got two for 1: .*\[\[1.0, 1.0\]\]",
        ),
        (lambda: datasets.nll_floor(datasets.POINT_SETS["mog"], 2.5), "`num_samples` .* got 2.5"),
        (lambda: datasets.nll_floor(datasets.POINT_SETS["mog"], 1), "`num_samples` .* got 1"),
    ],
)
def test_errors_name_the_argument(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_centers_may_be_lists_and_repeat_a_size():
    """A size that occurs twice has twice the share of the sets."""
    once = datasets.PointSets(([[0, 0], [5, 0]], [[1, 2]]), 1.0)
    twice = datasets.PointSets((*once.centers, once.centers[0]), 1.0)
    sets = twice.sample(6, seed=1)
    assert sets.n_node.numpy().tolist() == [2, 1, 2, 2, 1, 2]
    np.testing.assert_array_equal(floors.log_prob(once, sets), floors.log_prob(twice, sets))
    assert np.isfinite(floors.log_prob(once, sets)).all()
    assert floors.nll_floor(once, 10).value > 0


@pytest.mark.parametrize("n", [1, 2, 5])
def test_permanent_is_the_sum_over_permutations(n):
    log_matrix = np.random.default_rng(n).normal(size=[3, n, n]) * 3.0
    expected = [
        sum(math.prod(m[i, p[i]] for i in range(n)) for p in itertools.permutations(range(n)))
        for m in np.exp(log_matrix)
    ]
    np.testing.assert_allclose(floors.log_permanent(log_matrix), np.log(expected), rtol=1e-12)


def test_permanent_of_ones_is_the_factorial_and_far_entries_do_not_underflow():
    np.testing.assert_allclose(floors.log_permanent(np.zeros([9, 9])), math.log(362880.0))
    far = np.full([3, 3], -5000.0) + np.diag([0.0, 1.0, 2.0])
    e = math.e
    expected = math.log((e * e**2 + 1) + (e**2 + 1) + (1 + e)) - 15000.0
    np.testing.assert_allclose(floors.log_permanent(far), expected, rtol=1e-12)


def test_permanent_below_the_least_float_is_computed_in_logs():
    """Rows that prefer one column, beside a matrix of an ordinary permanent, and of 0."""
    small = np.array([[0.0, -700.0, -800.0], [0.0, -650.0, -900.0], [0.0, -600.0, -500.0]])
    permutations = itertools.permutations(range(3))
    expected = scipy.special.logsumexp([small[range(3), p].sum() for p in permutations])
    found = floors.log_permanent(np.stack([small, np.zeros([3, 3]), np.full([3, 3], -np.inf)]))
    np.testing.assert_allclose(found, [expected, math.log(6.0), -np.inf], rtol=1e-12)


def test_the_mean_over_angles_is_as_fine_as_the_noise_asks():
    centers = np.array([[5.0, 5.0], [-5.0, 5.0], [-5.0, -5.0], [5.0, -5.0]])
    sets = datasets.PointSets((centers,), noise=0.02, max_angle=math.pi)
    graph = sets.sample(5, seed=0, dtype=tf.float64)
    found = datasets.log_prob(sets, graph)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(floors, "_LEAST_ANGLES", 60_000)
        np.testing.assert_allclose(found, datasets.log_prob(sets, graph), atol=1e-3)
    fine = datasets.PointSets((centers,), noise=1e-6, max_angle=math.pi)
    with pytest.raises(
        ValueError, match="`sets.noise` must be .* at least about 0.0009, got 1e-06"
    ):
        datasets.log_prob(fine, graph)


@pytest.mark.parametrize(
    "name, exchangeable, independent, tolerance",
    [
        # Components that don't overlap: log(n!) / n, or log n, and the entropy of the noise.
        (
            "mog",
            math.log(24) / 4 + math.log(2 * math.pi * math.e),
            math.log(4) + math.log(2 * math.pi * math.e),
            1e-5,
        ),
        (
            "half_moons_6",
            math.log(720) / 6 + math.log(2 * math.pi * math.e * 0.05**2),
            math.log(6) + math.log(2 * math.pi * math.e * 0.05**2),
            1e-5,
        ),
        # Computed by another program: see the description of the data.
        ("mog_ring", 4.053, 5.206, 0.03),
    ],
)
def test_floors(name, exchangeable, independent, tolerance):
    sets = datasets.POINT_SETS[name]
    floor = datasets.nll_floor(sets, 300)
    np.testing.assert_allclose(floor.value, exchangeable, atol=tolerance + 3 * floor.error)
    floor = datasets.independent_floor(sets, 300)
    np.testing.assert_allclose(floor.value, independent, atol=tolerance + 3 * floor.error)


def test_floor_of_overlapping_components_by_quadrature():
    """Two centers on top of each other's noise, one dimension integrated out by hand.

    Both points are N(0, 1) across the line of the centers; along it the density of the pair is
    (f(x) g(y) + g(x) f(y)) / 2, whose entropy is integrated on a grid.
    """
    sets = datasets.PointSets((np.array([[-0.5, 0.0], [0.5, 0.0]]),), noise=1.0)
    axis = np.linspace(-8.0, 8.0, 801)
    f, g = (scipy.stats.norm.pdf(axis, loc) for loc in (-0.5, 0.5))
    pair = (np.outer(f, g) + np.outer(g, f)) / 2.0
    cell = (axis[1] - axis[0]) ** 2
    along = -(pair * np.log(pair)).sum() * cell
    across = math.log(2 * math.pi * math.e)  # of two points
    floor = datasets.nll_floor(sets, 4000)
    assert floor.error < 5e-3
    np.testing.assert_allclose(floor.value, (along + across) / 2, atol=4 * floor.error)
    # Knowing nothing of the other point costs more.
    assert datasets.independent_floor(sets, 4000).value > floor.value


def test_floor_of_a_turned_gaussian_is_that_of_the_gaussian():
    """One place at the origin: turning it changes nothing."""
    sets = datasets.PointSets((np.zeros([1, 2]),), noise=2.0, max_angle=math.pi)
    floor = datasets.nll_floor(sets, 50)
    np.testing.assert_allclose(floor.value, math.log(2 * math.pi * math.e * 4.0), rtol=1e-12)


def test_floors_are_cross_entropies_of_a_density_s_own_samples():
    """A right density's NLL on samples agrees with the floor; here the prior's own Gaussian."""
    sets = datasets.PointSets((np.zeros([3, 2]),), noise=1.0)
    graph = sets.sample(4000, seed=1, dtype=tf.float64)
    nll = -tf.reduce_mean(gnf_tf.NodePrior(graph).log_prob(graph)) / 3.0
    np.testing.assert_allclose(nll, datasets.nll_floor(sets, 100).value, atol=0.03)


@pytest.mark.parametrize("name", ["mog_ring", "mog_4_9"])
def test_exact_densities_average_to_the_floors(name):
    sets = datasets.POINT_SETS[name]
    graph = sets.sample(600, seed=5, dtype=tf.float64)
    n_node = graph.n_node.numpy()
    for log_prob, floor in (
        (datasets.log_prob, datasets.nll_floor),
        (datasets.independent_log_prob, datasets.independent_floor),
    ):
        values = -log_prob(sets, graph)
        mean = values.sum() / n_node.sum()
        error = np.std(values - mean * n_node) / n_node.mean() / math.sqrt(len(values))
        floor = floor(sets, 300)
        np.testing.assert_allclose(mean, floor.value, atol=4 * (error + floor.error))


def test_exact_density_by_hand():
    """Of two points, the mean over both orders; of the ring, the mean over angles as well."""
    centers = np.array([[1.0, 0.0], [-1.0, 0.5]])
    points = np.array([[0.3, 0.2], [-0.7, 1.0]])
    graph = graphs.edgeless([2], 2, dtype=tf.float64).replace(nodes=tf.constant(points))

    def normal(x, center):
        return scipy.stats.multivariate_normal.pdf(x, center, 0.25)

    def density(centers):
        orders = [(0, 1), (1, 0)]
        return np.mean(
            [normal(points[0], centers[i]) * normal(points[1], centers[j]) for i, j in orders]
        )

    sets = datasets.PointSets((centers,), noise=0.5)
    np.testing.assert_allclose(datasets.log_prob(sets, graph), [np.log(density(centers))])
    alone = [np.mean([normal(x, center) for center in centers]) for x in points]
    independent = datasets.independent_log_prob(sets, graph)
    np.testing.assert_allclose(independent, [np.log(alone).sum()])

    def turned(angle):
        cos, sin = math.cos(angle), math.sin(angle)
        return centers @ np.array([[cos, sin], [-sin, cos]])

    ring = datasets.PointSets((centers,), noise=0.5, max_angle=1.0)
    mean, _ = scipy.integrate.quad(lambda angle: density(turned(angle)), 0.0, 1.0)
    np.testing.assert_allclose(datasets.log_prob(ring, graph), [math.log(mean)], rtol=1e-5)


def test_exact_density_knows_only_its_own_sizes():
    with pytest.raises(ValueError, match=r"one of `sets`, \[4\], got 5 nodes in set 1"):
        datasets.log_prob(datasets.POINT_SETS["mog"], graphs.edgeless([4, 5], 2))
