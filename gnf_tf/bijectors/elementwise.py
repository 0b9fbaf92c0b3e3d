"""Invertible maps of single features whose parameters a coupling's network gives.

Each maps x [num_nodes, width] by `num_params` numbers a feature, given as the raw network output
[num_nodes, num_params, width]. Raw zeros are the identity.
"""

import math
from typing import Any, Protocol

import tensorflow as tf
import tensorflow_probability as tfp

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

    TFP's `RationalQuadraticSpline` with the parametrisation of Durkan, Bekasov, Murray,
    Papamakarios, "Neural Spline Flows", NeurIPS 2019: widths and heights of the bins by softmax,
    slopes at the inner knots by softplus. The slopes at both ends are 1, so that the map is
    continuously differentiable. For the sake of the inverse in float32, slopes are at least
    `min_slope` and no bin is narrower or lower than a fiftieth of the mean one.
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
        """(widths, heights [num_nodes, width, K], slopes at inner knots [num_nodes, width, K-1])"""
        raw = tf.transpose(raw, [0, 2, 1])
        k = self._num_bins
        widths, heights, slopes = tf.split(raw, [k, k, k - 1], axis=-1)
        slopes = tf.nn.softplus(slopes + math.log(math.e - 1.0))
        slopes = self._min_slope + (1.0 - self._min_slope) * slopes
        return self._bins(widths), self._bins(heights), slopes

    def _bins(self, raw):
        smallest = 0.02
        shares = smallest / self._num_bins + (1.0 - smallest) * tf.nn.softmax(raw)
        return 2.0 * self._bound * shares

    # A new tensor each time: of one that came out of the spline, TFP's cache would hand back what
    # went in, without the gradient that the engine has just begun to record.

    def forward(self, x, params):
        x, spline = tf.identity(x), self._spline(params)
        return spline.forward(x), spline.forward_log_det_jacobian(x)

    def inverse(self, y, params):
        y, spline = tf.identity(y), self._spline(params)
        return spline.inverse(y), spline.inverse_log_det_jacobian(y)

    def _spline(self, params):
        return tfp.bijectors.RationalQuadraticSpline(*params, range_min=-self._bound)
