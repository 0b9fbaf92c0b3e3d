"""Node features of any width of at least 2, odd ones too: a GNF of 3-D positions, say."""

import functools
import itertools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import gnf_tf
from gnf_tf import networks, reversible
from tests import cases, checks

pytestmark = pytest.mark.usefixtures("kept_half_steps")

WIDTHS = (2, 3)
BIJECTORS = {
    "first half": functools.partial(gnf_tf.GraphCoupling, cases.message_passing),
    "second half": functools.partial(gnf_tf.GraphCoupling, cases.attention, updates=1),
    "spline": functools.partial(
        gnf_tf.GraphCoupling,
        cases.message_passing,
        coupling=gnf_tf.bijectors.Spline(num_bins=4, bound=2.0, min_slope=0.2),
    ),
    "step": functools.partial(gnf_tf.GNFStep, make_conditioner=cases.attention),
    "batch norm": gnf_tf.GraphBatchNorm,
    "act norm": gnf_tf.GraphActNorm,
    "mean scale": gnf_tf.GraphMeanScale,
    "mixing": gnf_tf.GraphMixing,
    "gnf": lambda width, **options: gnf_tf.GNF(
        2,
        width,
        make_conditioner=cases.message_passing,
        normalization="act_norm",
        mean_scaling=True,
        mixing=True,
        **options,
    ),
    "gnf of the paper": lambda width, **options: gnf_tf.GNF(2, width, **options),
}
TAKES_WIDTHS = {"first half", "second half", "spline", "step", "gnf", "gnf of the paper"}


def make_bijector(name, width):
    widths = cases.WIDTHS if name in TAKES_WIDTHS else {}
    # Its networks are 64 wide: weights of 0.4 would make a map that can't be inverted.
    scale = 0.1 if name == "gnf of the paper" else 0.4
    return cases.randomize(BIJECTORS[name](width, dtype=tf.float64, **widths), scale=scale)


def graph_of(width):
    graph = cases.mixed_graph()
    nodes = np.random.default_rng(width).normal(size=[len(graph.nodes), width])
    return graph.replace(nodes=tf.constant(nodes))


# A gnf consists of steps, and a step of both halves.
@pytest.mark.parametrize(
    "name, width",
    [
        *itertools.product(sorted(set(BIJECTORS) - {"first half", "second half", "step"}), WIDTHS),
        ("gnf", 5),
    ],
)
def test_exact_at_every_width(name, width):
    bijector, graph = make_bijector(name, width), graph_of(width)
    checks.round_trip(bijector, graph)
    checks.log_dets_mirror(bijector, graph)
    checks.jacobian_blocks(bijector, graph)


@pytest.mark.parametrize(
    "options, width",
    [({}, 2), ({}, 3), ({"loop": True}, 5), ({"batch_norm": True}, 5)],
    ids=repr,
)
def test_grevnet_at_every_width(options, width):
    graph, results = graph_of(width), []
    for memory in reversible.MEMORY_MODES:
        tf.random.set_seed(0)
        net = gnf_tf.models.GRevNet(
            2,
            width,
            memory=memory,
            make_conditioner=networks.GraphConvolution,
            dtype=tf.float64,
            **options,
            **cases.WIDTHS,
        )
        cases.randomize(net)
        checks.close(net.inverse(net(graph)).nodes, graph.nodes, tf.float64)

        def gradients(net=net):
            with tf.GradientTape() as tape:
                tape.watch(graph.nodes)
                loss = tf.reduce_sum(tf.sin(net(graph, is_training=True).nodes))
            return tape.gradient(loss, [graph.nodes, *net.trainable_variables])

        if memory == "reversible":
            gradients = tf.function(gradients, autograph=False)
        results.append(gradients())
    for found, expected in zip(*results, strict=True):
        assert np.abs(expected).max() > 0.0
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)


def test_the_second_half_is_the_larger_one():
    assert [reversible.half_sizes(width) for width in (2, 3, 6, 7)] == [
        (1, 1),
        (1, 2),
        (3, 3),
        (3, 4),
    ]
    graph = graph_of(3)
    for updates, kept in ((0, slice(1, 3)), (1, slice(0, 1))):
        coupling = gnf_tf.GraphCoupling(
            cases.message_passing, 3, updates=updates, dtype=tf.float64, **cases.WIDTHS
        )
        nodes = cases.randomize(coupling).forward(graph).nodes
        np.testing.assert_array_equal(nodes[:, kept], graph.nodes[:, kept])
        assert (np.abs(nodes - graph.nodes).max(axis=0) > 1e-3).sum() == 3 - (
            kept.stop - kept.start
        )


def test_a_density_of_positions_integrates_to_one():
    """One node in space: the density over a fine grid sums to 1."""
    graph = gnf_tf.graphs.fully_connected([1], 3, dtype=tf.float64)
    gnf = gnf_tf.GNF(2, 3, make_conditioner=cases.attention, dtype=tf.float64)
    cases.randomize(gnf, scale=0.3)
    axis = np.linspace(-7.0, 7.0, 57)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    many = gnf_tf.graphs.fully_connected([1] * len(points), 3, dtype=tf.float64)
    flow = tfp.distributions.TransformedDistribution(
        gnf_tf.NodePrior(graph), tfp.bijectors.Invert(gnf)
    )
    log_prob = flow.log_prob(many.replace(nodes=tf.constant(points)))
    total = np.exp(log_prob).sum() * (axis[1] - axis[0]) ** 3
    assert abs(total - 1.0) < 0.02, total


@pytest.mark.parametrize("width", [1, 0, -3])
def test_a_single_feature_is_refused_with_advice(width):
    makers = [
        *(functools.partial(make, width) for make in BIJECTORS.values()),
        lambda: gnf_tf.models.GRevNet(2, width),
        lambda: gnf_tf.models.GRevNet(2, width, loop=True),
    ]
    for make in makers:
        with pytest.raises(ValueError, match=rf"`node_size` .*at least 2.* got {width}; append"):
            make()
