"""Invertible maps of single features whose parameters a coupling's network gives.

Each maps x [num_nodes, width] by `num_params` numbers a feature, given as the raw network output
[num_nodes, num_params, width]. Raw zeros are the identity.
"""

import math
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

__all__ = ["Additive", "Affine", "Elementwise", "Spline"]


class Elementwise(Protocol):
    """What `GraphCoupling` asks of a map. Log-derivatives are per element, [num_nodes, width]."""

    num_params: int

    def parameters(self, raw: tf.Tensor) -> Any:
        """From the raw output [num_nodes, num_params, width], any structure of tensors."""

    def forward(self, x: tf.Tensor, params: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """(y, log(dy/dx))."""

    def inverse(self, y: tf.Tensor, params: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """(x, log(dx/dy))."""


class Additive:
    """y = x + shift: volume preserving (NICE; the authors' code for the supervised tasks)."""

    num_params = 1

    def parameters(self, raw):
        return raw[:, 0]

    def forward(self, x, params):
        return x + params, tf.zeros_like(x)

    def inverse(self, y, params):
        return y - params, tf.zeros_like(y)


class Affine:
    """y = x * exp(log_scale) + shift: equation 3 (RealNVP).

    The network's raw log-scale s is bounded smoothly, `log_scale = b tanh(s / b)` with
    b = `max_log_scale`: one step stretches by at most exp(b), which is what keeps a deep stack
    invertible in floating point.
    """

    num_params = 2

    def __init__(self, max_log_scale: float = 2.0):
        """Raises a ValueError if `max_log_scale` is not positive."""
        if not max_log_scale > 0:
            raise ValueError(f"`max_log_scale` must be positive, got {max_log_scale}")
        self._max_log_scale = max_log_scale

    def parameters(self, raw):
        log_scale, shift = tf.unstack(raw, axis=1)
        return self._max_log_scale * tf.tanh(log_scale / self._max_log_scale), shift

    def forward(self, x, params):
        log_scale, shift = params
        return x * tf.exp(log_scale) + shift, log_scale

    def inverse(self, y, params):
        log_scale, shift = params
        return (y - shift) * tf.exp(-log_scale), -log_scale


class Spline:
    """A monotone rational-quadratic spline on [-bound, bound], the identity outside of it.

    Between knots (x_k, y_k) with positive slopes d_k, and with xi = (x - x_k) / w_k,
    w_k = x_k+1 - x_k, h_k = y_k+1 - y_k and s_k = h_k / w_k (Durkan, Bekasov, Murray, Papamakarios,
    "Neural Spline Flows", NeurIPS 2019, equation 4):

        y = y_k + h_k (s_k xi^2 + d_k xi (1 - xi)) / (s_k + (d_k+1 + d_k - 2 s_k) xi (1 - xi))

    The slopes at both ends are 1, so that the map is continuously differentiable. For the sake
    of the inverse in float32, slopes are at least `min_slope` and no bin is narrower or lower
    than a fiftieth of the mean one.
    """

    def __init__(self, num_bins: int = 16, bound: float = 4.0, min_slope: float = 1e-3):
        """Raises a ValueError for an argument out of its range.

        Args:
          num_bins: K, at least 2; the network gives 3 K - 1 numbers a feature.
          bound: half the width of the interval, positive.
          min_slope: in (0, 1).
        """
        if num_bins < 2:
            raise ValueError(f"`num_bins` must be at least 2, got {num_bins}")
        if not bound > 0:
            raise ValueError(f"`bound` must be positive, got {bound}")
        if not 0 < min_slope < 1:
            raise ValueError(f"`min_slope` must be in (0, 1), got {min_slope}")
        self._num_bins = num_bins
        self._bound = bound
        self._min_slope = min_slope
        self.num_params = 3 * num_bins - 1

    def parameters(self, raw):
        """Of each bin [num_nodes, width, num_bins]: left x, width, lower y, height, end slopes."""
        raw = tf.transpose(raw, [0, 2, 1])
        k = self._num_bins
        widths, heights, slopes = tf.split(raw, [k, k, k - 1], axis=-1)
        slopes = self._min_slope + (1.0 - self._min_slope) * tf.nn.softplus(
            slopes + math.log(math.e - 1.0)
        )
        one = tf.ones_like(slopes[..., :1])
        return (
            *self._bins(widths),
            *self._bins(heights),
            tf.concat([one, slopes], axis=-1),
            tf.concat([slopes, one], axis=-1),
        )

    def _bins(self, raw):
        """(lower ends, sizes) of bins that fill [-bound, bound]."""
        smallest = 0.02
        shares = smallest / self._num_bins + (1.0 - smallest) * tf.nn.softmax(raw)
        sizes = 2.0 * self._bound * shares
        # As a product: XLA's cumulative sum takes most of a coupling's time on a CPU.
        before = np.triu(np.ones([self._num_bins, self._num_bins]), 1)
        flat = tf.reshape(sizes, [-1, self._num_bins])
        ends = tf.reshape(tf.matmul(flat, tf.constant(before, sizes.dtype)), tf.shape(sizes))
        return ends - self._bound, sizes

    def forward(self, x, params):
        inside = tf.abs(x) < self._bound
        x_k, w, y_k, h, d, d_next = self._bin_of(x, params[0], params)
        xi = (tf.where(inside, x, x_k) - x_k) / w
        s = h / w
        y = y_k + h * xi * (s * xi + d * (1.0 - xi)) / self._denominator(xi, s, d, d_next)
        log_slope = self._log_slope(xi, s, d, d_next)
        return tf.where(inside, y, x), tf.where(inside, log_slope, 0.0)

    def inverse(self, y, params):
        inside = tf.abs(y) < self._bound
        x_k, w, y_k, h, d, d_next = self._bin_of(y, params[2], params)
        s = h / w
        # The quadratic equation for xi, solved without cancellation.
        risen = tf.where(inside, y, y_k) - y_k
        bend = risen * (d + d_next - 2.0 * s)
        a, b, c = h * (s - d) + bend, h * d - bend, -s * risen
        root = tf.sqrt(tf.maximum(tf.square(b) - 4.0 * a * c, 0.0))
        xi = 2.0 * c / (-b - root)
        log_slope = self._log_slope(xi, s, d, d_next)
        return tf.where(inside, x_k + xi * w, y), tf.where(inside, -log_slope, 0.0)

    def _bin_of(self, value, lower_ends, params):
        """Each of `params` at the bin that holds `value`; the outer bins reach to infinity."""
        passed = tf.cast(value[..., tf.newaxis] >= lower_ends[..., 1:], value.dtype)
        one = tf.ones_like(value)[..., tf.newaxis]
        is_bin = tf.concat([one, passed], axis=-1) - tf.concat([passed, 0.0 * one], axis=-1)
        return [tf.reduce_sum(is_bin * p, axis=-1) for p in params]

    def _denominator(self, xi, s, d, d_next):
        return s + (d + d_next - 2.0 * s) * xi * (1.0 - xi)

    def _log_slope(self, xi, s, d, d_next):
        rest = 1.0 - xi
        numerator = d_next * xi**2 + 2.0 * s * xi * rest + d * rest**2
        denominator = self._denominator(xi, s, d, d_next)
        return 2.0 * tf.math.log(s / denominator) + tf.math.log(numerator)
