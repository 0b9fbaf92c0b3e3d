"""The maps of single features inside a coupling."""

import math

import numpy as np
import pytest
import tensorflow as tf

from gnf_tf import bijectors

MAPS = {
    "additive": bijectors.Additive,
    "affine": bijectors.Affine,
    "spline": lambda: bijectors.Spline(num_bins=8, bound=3.0),
}


def drawn(elementwise, dtype=tf.float64, spread=1.5, num_nodes=400):
    rng = np.random.default_rng(0)
    raw = rng.normal(size=[num_nodes, elementwise.num_params, 2]) * spread
    x = rng.normal(size=[num_nodes, 2]) * 2.0
    return tf.constant(x, dtype), elementwise.parameters(tf.constant(raw, dtype))


@pytest.mark.parametrize("name", MAPS)
def test_inverse_undoes_forward_and_their_log_slopes_cancel(name):
    elementwise = MAPS[name]()
    x, params = drawn(elementwise)
    y, log_slope = elementwise.forward(x, params)
    back, log_slope_back = elementwise.inverse(y, params)
    assert np.abs(y - x).max() > 0.1
    np.testing.assert_allclose(back, x, atol=1e-9)
    np.testing.assert_allclose(log_slope, -log_slope_back, atol=1e-8)


@pytest.mark.parametrize("name", MAPS)
def test_log_slope_is_the_derivative(name):
    elementwise = MAPS[name]()
    x, params = drawn(elementwise)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y, log_slope = elementwise.forward(x, params)
    np.testing.assert_allclose(tape.gradient(y, x), np.exp(log_slope), rtol=1e-8)


@pytest.mark.parametrize("name", MAPS)
def test_raw_zeros_are_the_identity(name):
    elementwise = MAPS[name]()
    x, _ = drawn(elementwise)
    params = elementwise.parameters(tf.zeros([400, elementwise.num_params, 2], tf.float64))
    y, log_slope = elementwise.forward(x, params)
    np.testing.assert_allclose(y, x, atol=1e-14)
    np.testing.assert_allclose(log_slope, 0.0, atol=1e-14)


def test_spline_by_hand():
    """Two bins on [-1, 1], knot at x = y = 0 with slope 4, ends with slope 1.

    At x = 0.5 in the bin (0, 1): xi = 1/2, s = 1, d = 4, d' = 1;
    y = (1/4 + 4/4) / (1 + (4 + 1 - 2) / 4) = 1.25 / 1.75;
    slope = (1/4 + 2/4 + 4/4) / 1.75^2 = 1.75 / 1.75^2.
    """
    spline = bijectors.Spline(num_bins=2, bound=1.0, min_slope=1e-3)
    raw_slope = math.log(math.exp((4.0 - 1e-3) / (1.0 - 1e-3)) - 1.0) - math.log(math.e - 1.0)
    raw = tf.constant([0.0, 0.0, 0.0, 0.0, raw_slope], tf.float64)[tf.newaxis, :, tf.newaxis]
    x = tf.constant([[0.5]], tf.float64)
    y, log_slope = spline.forward(x, spline.parameters(raw))
    np.testing.assert_allclose(y, [[1.25 / 1.75]], rtol=1e-12)
    np.testing.assert_allclose(log_slope, [[-math.log(1.75)]], rtol=1e-12)


def test_spline_is_the_identity_beyond_its_bound_and_meets_it_smoothly():
    spline = MAPS["spline"]()
    _, params = drawn(spline, num_nodes=6)
    edge = 3.0 - 1e-9
    x = tf.constant([-50.0, -3.0, -edge, edge, 3.0, 1e6], tf.float64)[:, tf.newaxis] + [0.0, 0.0]
    for method in (spline.forward, spline.inverse):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y, log_slope = method(x, params)
        np.testing.assert_allclose(y, x, atol=1e-6)
        np.testing.assert_allclose(log_slope, 0.0, atol=1e-5)
        assert np.isfinite(tape.gradient(log_slope, x)).all()


def test_extreme_parameters_stay_finite_and_invertible_in_float32():
    spline = MAPS["spline"]()
    x, params = drawn(spline, tf.float32, spread=100.0)
    with tf.GradientTape() as tape:
        tape.watch(params)
        y, log_slope = spline.forward(x, params)
        loss = tf.reduce_sum(y) + tf.reduce_sum(log_slope)
    assert all(np.isfinite(g).all() for g in tape.gradient(loss, params) if g is not None)
    back, _ = spline.inverse(y, params)
    again, _ = spline.forward(back, params)
    # Where the slope is tiny x is lost among the values of one y: the values agree, not the x.
    np.testing.assert_allclose(again, y, atol=5e-2)
    assert np.isfinite(log_slope).all() and np.isfinite(back).all()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: bijectors.Spline(num_bins=1), "`num_bins` must be at least 2, got 1"),
        (lambda: bijectors.Spline(bound=0.0), "`bound` must be positive, got 0.0"),
        (lambda: bijectors.Spline(bound=math.inf), "`bound` must be a finite number, got inf"),
        (lambda: bijectors.Spline(bound="a"), "`bound` must be a finite number, got 'a'"),
        (lambda: bijectors.Spline(min_slope=1.0), "`min_slope` must be in .* got 1.0"),
        (lambda: bijectors.Spline(min_slope=None), "`min_slope` must be a finite .* got None"),
        (lambda: bijectors.Affine(0.0), "`max_log_scale` must be positive, got 0.0"),
        (lambda: bijectors.Affine(math.nan), "`max_log_scale` must be a finite number, got nan"),
        (lambda: bijectors.Affine(math.inf), "`max_log_scale` must be a finite number, got inf"),
        (lambda: bijectors.Affine("a"), "`max_log_scale` must be a finite number, got 'a'"),
    ],
)
def test_errors_name_the_argument(make, message):
    with pytest.raises(ValueError, match=message):
        make()
