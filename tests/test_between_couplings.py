"""What stands between the couplings: normalization, the scale of means, mixing of features."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import gnf_tf
from gnf_tf import graphs
from tests import cases, checks

tfb, tfd = tfp.bijectors, tfp.distributions


def test_batch_norm_in_training():
    """Mean 0 and deviation 1 over the batch, padding left out; the log-det per graph."""
    norm = gnf_tf.GraphBatchNorm(2, momentum=0.9, padded=True, dtype=tf.float64)
    nodes = np.random.default_rng(0).normal(size=[5, 2]) * [3.0, 0.1] + [7.0, -1.0]
    graph = graphs.edgeless([2, 3], 2, dtype=tf.float64).replace(nodes=tf.constant(nodes))
    padded = graphs.pad(graph, 9, 2, 4)
    out = norm.forward(padded, is_training=True).nodes[:5]
    np.testing.assert_allclose(np.mean(out, 0), 0.0, atol=1e-12)
    np.testing.assert_allclose(np.std(out, 0), 1.0, atol=1e-3)
    np.testing.assert_allclose(norm.moving_mean, 0.1 * nodes.mean(0))
    np.testing.assert_allclose(norm.moving_variance, 0.9 + 0.1 * nodes.var(0))
    per_node = -0.5 * np.log(nodes.var(0) + 1e-5).sum()
    log_det = norm.forward_log_det_jacobian(checks.copied(padded), is_training=True)
    np.testing.assert_allclose(log_det[:2], [2 * per_node, 3 * per_node])
    with pytest.raises(ValueError, match="inverse with `is_training=True` is not defined"):
        norm.inverse(checks.copied(padded), is_training=True)


def test_act_norm_normalizes_what_it_is_initialized_with():
    graph = graphs.batch([cases.mixed_graph(tf.float64, seed) for seed in range(20)])
    graph = graph.replace(nodes=graph.nodes * [3.0, 0.1, 1.0, 0.0] + [5.0, -2.0, 0.0, 7.0])
    act_norm = gnf_tf.GraphActNorm(4, dtype=tf.float64)
    np.testing.assert_array_equal(act_norm.forward(checks.copied(graph)).nodes, graph.nodes)
    act_norm.initialize(graph)
    out = act_norm.forward(checks.copied(graph)).nodes.numpy()
    np.testing.assert_allclose(out.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(out.std(axis=0), [1.0, 1.0, 1.0, 0.0], atol=1e-12)


def test_initialize_normalizes_the_input_of_every_step():
    graph = graphs.batch([cases.mixed_graph(tf.float64, seed) for seed in range(20)])
    gnf = cases.make_bijector("gnf_spline")
    before = [v.numpy() for v in gnf.gnf_steps[0].variables]
    gnf.initialize(graph)
    np.testing.assert_array_equal(before[0], gnf.gnf_steps[0].variables[0])
    for layer in gnf.layers:
        graph = layer.forward(graph)
        if isinstance(layer, gnf_tf.GraphActNorm):
            np.testing.assert_allclose(tf.reduce_mean(graph.nodes, axis=0), 0.0, atol=1e-10)
            np.testing.assert_allclose(tf.math.reduce_std(graph.nodes, axis=0), 1.0, atol=1e-10)


def test_initialize_needs_act_norm_and_data():
    with pytest.raises(
        ValueError, match="nothing to initialize without 'act_norm' or mean scaling"
    ):
        gnf_tf.GNF(1, 2).initialize(graphs.edgeless([3], 2))
    with pytest.raises(ValueError, match="`graph` must have at least 2 nodes, got 1"):
        gnf_tf.GraphActNorm(2).initialize(graphs.edgeless([1], 2))


@pytest.mark.parametrize(
    "method, normalization", [("initialize", "act_norm"), ("calibrate", "batch_norm")]
)
def test_data_are_seen_in_eager_mode_only(method, normalization):
    """In a graph the checks of data would see nothing, and padding could not be told."""
    gnf = gnf_tf.GNF(1, 2, normalization=normalization)
    see = tf.function(lambda graph: getattr(gnf, method)(graph), autograph=False)
    with pytest.raises(ValueError, match="gnf must get its data in eager mode"):
        see(graphs.edgeless([3], 2))


def test_calibrated_statistics_are_those_of_the_batch():
    """On that batch training and evaluation are then the same map; padding counts for nothing."""
    options = {"padded": True, "mean_scaling": True, "mixing": True, "global_size": 1}
    gnf = gnf_tf.GNF(2, 4, **options, dtype=tf.float64)
    cases.randomize(gnf)
    graph = graphs.batch([cases.mixed_graph(tf.float64, seed) for seed in range(5)])
    graph = graphs.pad(graph, len(graph.nodes) + 4, len(graph.senders) + 3, len(graph.n_node) + 2)
    before = [variable.numpy() for variable in gnf.trainable_variables]
    gnf.calibrate(graph)
    for variable, value in zip(gnf.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    real = graphs.node_mask(graph)
    out = gnf.forward(graph).nodes[real]
    training = gnf.forward(checks.copied(graph), is_training=True).nodes[real]
    np.testing.assert_allclose(out, training, atol=1e-10)


def test_calibrate_needs_batch_norm_and_nodes():
    with pytest.raises(ValueError, match="nothing to calibrate without 'batch_norm'"):
        gnf_tf.GNF(1, 2, normalization="act_norm").calibrate(graphs.edgeless([3], 2))
    with pytest.raises(ValueError, match="`graph` has no nodes to take statistics of"):
        gnf_tf.GNF(1, 2).calibrate(graphs.edgeless([0], 2))


def test_mean_scale_is_the_equivariant_linear_map():
    """Against the matrix I + (s - 1)/n 11^T of each graph, its determinant s for a feature."""
    mean_scale = cases.randomize(gnf_tf.GraphMeanScale(2, dtype=tf.float64))
    scale = np.exp(mean_scale.log_scale.numpy())
    sizes = [3, 1, 0, 4]
    graph = graphs.edgeless(sizes, 2, dtype=tf.float64)
    nodes = np.random.default_rng(0).normal(size=[8, 2])
    graph = graph.replace(nodes=tf.constant(nodes))
    expected, log_dets, start = np.zeros_like(nodes), np.zeros(4), 0
    for i, n in enumerate(sizes):
        for feature in range(2):
            matrix = np.eye(n) + (scale[feature] - 1.0) * np.full([n, n], 1.0 / max(n, 1))
            expected[start : start + n, feature] = matrix @ nodes[start : start + n, feature]
            log_dets[i] += np.linalg.slogdet(matrix)[1]
        start += n
    np.testing.assert_allclose(mean_scale.forward(graph).nodes, expected, rtol=1e-12)
    np.testing.assert_allclose(mean_scale.forward_log_det_jacobian(graph), log_dets, atol=1e-12)


def test_mean_scale_initialize_makes_means_those_of_independent_nodes():
    rng = np.random.default_rng(0)
    sizes = rng.integers(0, 5, size=1000)
    graph = graphs.edgeless(sizes, 4, dtype=tf.float64)
    num_nodes = graph.nodes.shape[0]
    nodes = rng.normal(size=[num_nodes, 4]) * [0.1, 1.0, 10.0, 0.0]
    nodes += rng.normal(size=[1000, 1]).repeat(sizes, axis=0) * [0.0, 3.0, 1.0, 0.0]
    graph = graph.replace(nodes=tf.constant(nodes))
    mean_scale = gnf_tf.GraphMeanScale(4, dtype=tf.float64)
    mean_scale.initialize(graph)
    sums = graphs.sum_nodes(mean_scale.forward(graph).nodes, graph).numpy()[sizes > 0]
    sizes = sizes[sizes > 0][:, np.newaxis]
    np.testing.assert_allclose((sums**2 / sizes).mean(axis=0), [1.0, 1.0, 1.0, 0.0], rtol=1e-10)
    assert mean_scale.log_scale[3] == 0.0
    with pytest.raises(ValueError, match="`graph` must have at least 1 node, got none"):
        mean_scale.initialize(graphs.edgeless([0], 4, dtype=tf.float64))


def test_mixing_starts_as_a_rotation_and_multiplies_rows():
    mixing = gnf_tf.GraphMixing(4, seed=3, dtype=tf.float64)
    eye = graphs.edgeless([4], 4, dtype=tf.float64).replace(nodes=tf.eye(4, dtype=tf.float64))
    weights = mixing.forward(eye).nodes.numpy()
    np.testing.assert_allclose(weights @ weights.T, np.eye(4), atol=1e-12)
    assert np.abs(weights - np.eye(4)).max() > 0.1
    cases.randomize(mixing)
    weights = mixing.forward(checks.copied(eye)).nodes.numpy()
    graph = cases.mixed_graph()
    np.testing.assert_allclose(mixing.forward(graph).nodes, graph.nodes @ weights, rtol=1e-12)
    log_det = np.linalg.slogdet(weights)[1]
    expected = graph.n_node.numpy() * log_det
    np.testing.assert_allclose(mixing.forward_log_det_jacobian(graph), expected, rtol=1e-10)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
def test_mixing_in_16_bits(dtype):
    """TensorFlow solves in neither, so this is done in float32."""
    graph = graphs.edgeless([5], 4, dtype=dtype)
    graph = graph.replace(nodes=tf.cast(tf.random.normal([5, 4], seed=0), dtype))
    mixing = gnf_tf.GraphMixing(4, seed=3, dtype=dtype)
    latent = mixing.forward(graph)
    back = mixing.inverse(latent.replace(nodes=tf.identity(latent.nodes))).nodes
    assert back.dtype == dtype
    resolution = {tf.float16: 1e-2, tf.bfloat16: 1e-1}[dtype]
    np.testing.assert_allclose(
        tf.cast(back, tf.float32), tf.cast(graph.nodes, tf.float32), atol=resolution
    )


@pytest.mark.parametrize("scale", [1e-25, 1e-6, 1.0, 1e25])
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_initialize_in_any_unit(dtype, scale):
    """Features may be small, or far from 0 beside their deviation; a constant stays one."""
    rng = np.random.default_rng(0)
    far = 1.0 + (1e-7 if dtype == tf.float64 else 1e-3) * rng.normal(size=200)
    columns = [rng.normal(size=200), far, np.full(200, 0.1)]
    graph = graphs.edgeless([5] * 40, 3, dtype=dtype).replace(
        nodes=tf.constant(scale * np.stack(columns, axis=1), dtype)
    )
    norm = gnf_tf.GraphActNorm(3, dtype=dtype)
    norm.initialize(graph)
    made = norm.forward(graph)
    tolerance = 1e-5 if dtype == tf.float64 else 1e-3  # 1 + 1e-3 x has 13 bits of x
    np.testing.assert_allclose(np.std(made.nodes, axis=0)[:2], 1.0, rtol=tolerance)
    assert norm.log_scale[2] == 0.0 and np.abs(made.nodes[:, 2]).max() < 1e-6 * scale
    centered = graph.replace(nodes=graph.nodes - tf.reduce_mean(graph.nodes, axis=0))
    means = gnf_tf.bijectors.GraphMeanScale(3, dtype=dtype)
    means.initialize(centered)
    found = graphs.mean_nodes(centered.nodes, centered)[:, 0] * tf.exp(means.log_scale[0])
    np.testing.assert_allclose(np.mean(5 * np.square(found)), 1.0, rtol=1e-4)


def test_a_constant_is_no_infinity_on_the_way():
    """At which TensorFlow's search for NaN and infinities would stop."""
    graph = graphs.edgeless([3, 3], 2).replace(nodes=tf.constant([[1.0, 0.0]] * 6))
    tf.debugging.enable_check_numerics()
    try:
        for norm in (gnf_tf.GraphActNorm(2), gnf_tf.bijectors.GraphMeanScale(2)):
            norm.initialize(graph)
            assert np.isfinite(norm.forward(graph).nodes).all()
    finally:
        tf.debugging.disable_check_numerics()
