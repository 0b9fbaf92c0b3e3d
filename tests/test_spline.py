"""The rational-quadratic spline, whatever numbers its network gives."""

import itertools

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf
import tensorflow_probability as tfp

import gnf_tf
from gnf_tf import bijectors, reversible
from tests import cases

BOUND = 4.0
METHODS = ("forward", "inverse")
# Standard deviations of the raw parameters; an untrained network's are about 1.
SPREADS = (1.0, 5.0, 30.0, 1e3, 1e30)


def drawn_raw(spline, spread, dtype, num_nodes=400):
    raw = np.random.default_rng(0).normal(size=[num_nodes, spline.num_params, 2]) * spread
    return tf.constant(raw, dtype)


def knots(spline, raw):
    """Of both axes, as they are computed: [num_nodes, width, K - 1] each."""
    sizes = spline.parameters(raw)[:2]
    return [tf.cumsum(size[..., :-1], axis=-1) - BOUND for size in sizes]


def with_neighbors(x):
    """x, and the floating-point numbers just below and above it, along axis 0."""
    x = np.asarray(x)
    return np.concatenate([x, np.nextafter(x, -np.inf), np.nextafter(x, np.inf)])


def rounding(dtype):
    """32 units in the last place of the bound: what values may be off by."""
    return float(32.0 * BOUND * np.finfo(dtype.as_numpy_dtype).eps)


def with_log_slope(spline, method, x, raw):
    return getattr(spline, method)(x, spline.parameters(raw))


def gradients(spline, method, x, raw):
    """Of value and log-slope, by x and by the raw parameters, each weighted differently."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, raw])
        outputs = with_log_slope(spline, method, x, raw)
        losses = [tf.reduce_sum(tf.sin(output)) for output in outputs]
    return [g for loss in losses for g in tape.gradient(loss, [x, raw])]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("spread", [0.3, 1.0, 3.0])
def test_it_is_the_spline_of_tfp(method, spread):
    """Values, log-slopes and gradients, for slopes that the bound leaves alone."""

    class Reference(bijectors.Spline):
        def of_tfp(self, method, x, params):
            x = tf.identity(x)  # TFP's cache would hand back what went in
            spline = tfp.bijectors.RationalQuadraticSpline(*params, range_min=-BOUND)
            return getattr(spline, method)(x), getattr(spline, f"{method}_log_det_jacobian")(x)

        def forward(self, x, params):
            return self.of_tfp("forward", x, params)

        def inverse(self, y, params):
            return self.of_tfp("inverse", y, params)

    spline, reference = bijectors.Spline(), Reference()
    raw = drawn_raw(spline, spread, tf.float64)
    x = tf.constant(np.random.default_rng(1).uniform(-5.0, 5.0, size=[400, 2]))
    for of in (with_log_slope, gradients):
        for actual, expected in zip(
            of(spline, method, x, raw), of(reference, method, x, raw), strict=True
        ):
            scale = np.abs(expected).max()
            np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-9 * scale)


def test_slopes_below_100_are_the_softplus_and_steeper_ones_stay_below_200():
    spline = bijectors.Spline(num_bins=2)
    raw = np.array([-1e30, -700.0, -3.0, 0.0, 2.0, 99.0, 101.0, 150.0, 1e3, 1e30])
    zeros = np.zeros([10, 4, 1])
    slopes = spline.parameters(tf.constant(np.append(zeros, raw.reshape(10, 1, 1), axis=1)))[2]
    slopes = slopes[:, 0, 0].numpy()
    expected = 1e-3 + (1.0 - 1e-3) * np.logaddexp(0.0, raw[:6] + np.log(np.e - 1.0))
    np.testing.assert_allclose(slopes[:6], expected, rtol=1e-14)
    assert (np.diff(slopes[2:-1]) > 0.0).all()
    assert slopes[-1] == 200.0


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("num_bins", [2, 16])
@pytest.mark.parametrize("method", METHODS)
def test_values_and_derivatives_are_finite(method, num_bins, dtype):
    """First and second ones; at any input, knots and bounds and their neighbors among them."""
    spline = bijectors.Spline(num_bins)
    huge = np.finfo(dtype.as_numpy_dtype).max
    special = np.array([0.0, -0.0, BOUND, -BOUND, 1e30, huge, -huge], dtype.as_numpy_dtype)
    raw = tf.concat([drawn_raw(spline, s, dtype, num_nodes=100) for s in SPREADS], axis=0)
    at_knots = knots(spline, raw)[METHODS.index(method)][:, :, 0].numpy()
    size = [len(raw), 2]
    anywhere = np.random.default_rng(1).uniform(-4.2, 4.2, size=size)
    at_special = np.resize(with_neighbors(special[2:4]), size)
    x = np.concatenate([anywhere, with_neighbors(at_knots), at_special, np.resize(special, size)])
    x, raw = tf.constant(x, dtype), tf.tile(raw, [6, 1, 1])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, raw])
        first = gradients(spline, method, x, raw)
    second = [tape.gradient(g, [x, raw], unconnected_gradients="zero") for g in first]
    for values in (*with_log_slope(spline, method, x, raw), *first, *itertools.chain(*second)):
        assert np.isfinite(values).all()


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("num_bins", [2, 16])
def test_inverse_undoes_forward_up_to_the_rounding_of_the_value(num_bins, spread, dtype):
    """Rounding of y comes back as that of x divided by the slope."""
    spline = bijectors.Spline(num_bins)
    raw = drawn_raw(spline, spread, dtype, num_nodes=10_000)
    x = tf.constant(np.random.default_rng(1).uniform(-4.2, 4.2, size=[10_000, 2]), dtype)
    y, log_slope = with_log_slope(spline, "forward", x, raw)
    back, _ = with_log_slope(spline, "inverse", y, raw)
    assert np.abs((back - x) * tf.minimum(tf.exp(log_slope), 1.0)).max() <= rounding(dtype)


@pytest.mark.parametrize("num_bins, spread", list(itertools.product([2, 16], SPREADS)))
def test_log_slopes_of_both_directions_mirror_each_other(num_bins, spread):
    """Up to how much the log-slope changes over the rounding of x, see above."""
    spline = bijectors.Spline(num_bins)
    raw = drawn_raw(spline, spread, tf.float64)
    x = tf.constant(np.random.default_rng(1).uniform(-4.2, 4.2, size=[400, 2]))
    y, log_slope = with_log_slope(spline, "forward", x, raw)
    _, log_slope_back = with_log_slope(spline, "inverse", y, raw)
    with tf.GradientTape() as tape:
        tape.watch(x)
        change = with_log_slope(spline, "forward", x, raw)[1]
    moved = rounding(tf.float64) * (1.0 + np.exp(-log_slope))
    bound = rounding(tf.float64) + moved * np.abs(tape.gradient(change, x))
    assert (np.abs(log_slope + log_slope_back) <= bound).all()


@pytest.mark.parametrize("num_bins, spread", list(itertools.product([2, 16], SPREADS)))
@pytest.mark.parametrize("method", METHODS)
def test_float32_gives_the_value_at_an_input_that_rounding_moves(method, num_bins, spread):
    spline = bijectors.Spline(num_bins)
    raw = drawn_raw(spline, spread, tf.float32)
    x = np.random.default_rng(1).uniform(-4.2, 4.2, size=[400, 2]).astype(np.float32)
    actual = tf.cast(with_log_slope(spline, method, tf.constant(x), raw)[0], tf.float64)
    moved = rounding(tf.float32)
    low, high = (
        with_log_slope(spline, method, tf.constant(moved_x), tf.cast(raw, tf.float64))[0]
        for moved_x in (x.astype(np.float64) - moved, x.astype(np.float64) + moved)
    )
    assert (actual >= low - moved).numpy().all()
    assert (actual <= high + moved).numpy().all()


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=lambda dtype: dtype.name)
def test_an_inverse_that_was_nan(dtype):
    """The discriminant of the quadratic equation, as it is usually written, rounds below 0."""
    spline = bijectors.Spline(num_bins=2)
    raw = tf.constant([-20.0, 100.0, 276.0, 171.0, 532.0], dtype)[tf.newaxis, :, tf.newaxis]
    x = tf.constant([[3.82]], dtype)
    y, log_slope = with_log_slope(spline, "forward", x, raw)
    back, _ = with_log_slope(spline, "inverse", y, raw)
    np.testing.assert_allclose(back, x, atol=rounding(dtype) * np.exp(-log_slope).item())


@pytest.mark.parametrize("options", [{}, {"jit_compile": True}], ids=["function", "XLA"])
@pytest.mark.parametrize("method", METHODS)
def test_compiled_programs_compute_the_same(method, options):
    spline = bijectors.Spline()
    raw = drawn_raw(spline, 3.0, tf.float64)
    x = tf.constant(np.random.default_rng(1).uniform(-4.2, 4.2, size=[400, 2]))

    def compute(x, raw):
        return [of_x for of in (with_log_slope, gradients) for of_x in of(spline, method, x, raw)]

    compiled = tf.function(compute, **options)
    for actual, expected in zip(compiled(x, raw), compute(x, raw), strict=True):
        scale = np.abs(expected).max()
        np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-9 * scale)


def training_gradients(memory, dtype):
    """Of -log p by the data and the weights, where raw parameters have a deviation of 30."""
    spline = bijectors.Spline()
    raw_size = 2 * spline.num_params

    def make_conditioner(output_size):
        linear = snt.Linear(output_size)

        def conditioner(graph):
            kept, raw = tf.split(graph.nodes, [2, raw_size], axis=-1)
            return graph.replace(nodes=raw + linear(kept))

        return conditioner

    gnf = gnf_tf.GNF(
        1,
        cases.NODE_SIZE,
        make_conditioner=make_conditioner,
        coupling=spline,
        conditional_size=raw_size,
        memory=memory,
        dtype=dtype,
    )
    cases.randomize(gnf.gnf_steps[0])
    graph = cases.mixed_graph(dtype, n_node=[4] * 500)
    raw = 30.0 * np.random.default_rng(0).normal(size=[2000, raw_size])
    options = {"is_training": True, "conditional_input": tf.constant(raw, dtype)}
    with tf.GradientTape() as tape:
        tape.watch(graph.nodes)
        log_det = gnf.forward_log_det_jacobian(graph, **options)
        nodes = gnf.forward(graph, **options).nodes
        loss = 0.5 * tf.reduce_sum(tf.square(nodes)) - tf.reduce_sum(log_det)
    gradients = tape.gradient(loss, [graph.nodes, *gnf.trainable_variables])
    return np.concatenate([np.ravel(gradient) for gradient in gradients])


def test_reversible_gradients_are_finite_and_those_of_stored_activations():
    assert np.isfinite(training_gradients("reversible", tf.float32)).all()
    actual, expected = (training_gradients(m, tf.float64) for m in reversible.MEMORY_MODES)
    assert np.linalg.norm(actual - expected) < 1e-5 * np.linalg.norm(expected)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16], ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("method", METHODS)
def test_16_bit_values_are_those_of_float32_rounded(method, dtype):
    """Bins and slopes are not: the sum of bins in 16 bits may exceed the bound."""
    spline = bijectors.Spline()
    raw = tf.cast(drawn_raw(spline, 2.0, tf.float32), dtype)
    x = tf.cast(tf.random.stateless_uniform([len(raw), raw.shape[2]], [3, 4], -5.0, 5.0), dtype)
    found = with_log_slope(spline, method, x, raw)
    exact = with_log_slope(spline, method, tf.cast(x, tf.float32), tf.cast(raw, tf.float32))
    for one, other in zip(found, exact, strict=True):
        assert one.dtype == dtype
        np.testing.assert_array_equal(one, tf.cast(other, dtype))
