"""Rational-quadratic splines: a map of single features for couplings (Neural Spline Flows)."""

import math

import tensorflow as tf

from gnf_tf import options
from gnf_tf.graphs.segments import at_least_float32

__all__ = ["Spline"]

# Slopes up to the first number stay as they are; steeper ones approach the second.
_STEEP, _STEEPEST = 100.0, 200.0


class Spline:
    """A monotone rational-quadratic spline on [-bound, bound], and the identity outside.

    It is more flexible than `Affine`, the paper's map, and slower. In the bin between the knots
    (x0, y0) and (x1, y1), where the slopes are d0 and d1, with s = (y1 - y0) / (x1 - x0),
    u0 = d0 / s, u1 = d1 / s and xi = (x - x0) / (x1 - x0):

        forward:   y = y0 + (y1 - y0) eta,  eta = (xi^2 + u0 xi (1 - xi)) / D
                   D = xi^2 + (1 - xi)^2 + (u0 + u1) xi (1 - xi)
        slope:     dy/dx = s (u1 xi^2 + 2 xi (1 - xi) + u0 (1 - xi)^2) / D^2
        inverse:   x = x0 + (x1 - x0) xi,  q = u0 (1 - eta) - u1 eta
                   t = |q| + sqrt(q^2 + 4 eta (1 - eta))
                   xi = 2 eta / (2 eta + t) if q >= 0 else t / (t + 2 (1 - eta))

    These are equations 4 to 8 of Durkan, Bekasov, Murray, Papamakarios, "Neural Spline Flows",
    NeurIPS 2019, written as sums without negative terms: nothing cancels, rounding can't make the
    discriminant negative, and no denominator comes near 0. (xi^2 + (1 - xi)^2 is computed as
    1 - 2 xi (1 - xi), which is at least 1/2.)

    The network's output gives the widths and heights of the bins by softmax, and the slopes at the
    inner knots by softplus. The slopes at both ends are 1, so that the map is continuously
    differentiable. To keep the inverse accurate in float32, each bin is at least a fiftieth of the
    mean bin wide and high, slopes are at least `min_slope`, and slopes above 100 are bounded
    smoothly by 200.
    """

    def __init__(self, num_bins: int = 16, bound: float = 4.0, min_slope: float = 1e-3):
        """Raises a ValueError for an argument out of its range.

        Args:
          num_bins: K, at least 2; the network gives 3 K - 1 numbers for each feature.
          bound: half the width of the interval, positive and finite.
          min_slope: the least slope at a knot, in (0, 1).
        """
        options.check_argument("num_bins", options.AtLeast2, num_bins)
        options.check_argument("bound", options.Positive, bound)
        options.check_argument("min_slope", float, min_slope)
        if not 0 < min_slope < 1:
            raise ValueError(f"`min_slope` must be in (0, 1), got {min_slope}")
        self._num_bins = num_bins
        self._bound = bound
        self._min_slope = min_slope
        self.num_params = 3 * num_bins - 1

    def parameters(self, raw):
        """(bin widths, bin heights, inner slopes): [num_nodes, width, K], K and K - 1.

        Those of 16-bit values are in float32: the sum of the bins is inexact in 16 bits.
        """
        raw = tf.transpose(at_least_float32(raw), [0, 2, 1])
        k = self._num_bins
        widths, heights, slopes = tf.split(raw, [k, k, k - 1], axis=-1)
        slopes = tf.nn.softplus(slopes + math.log(math.e - 1.0))
        slopes = self._min_slope + (1.0 - self._min_slope) * slopes
        room = _STEEPEST - _STEEP
        slopes = tf.minimum(slopes, _STEEP) + room * tf.tanh(tf.nn.relu(slopes - _STEEP) / room)
        return self._bins(widths), self._bins(heights), slopes

    def _bins(self, raw):
        smallest = 0.02
        shares = smallest / self._num_bins + (1.0 - smallest) * tf.nn.softmax(raw)
        return 2.0 * self._bound * shares

    def forward(self, x, params):
        """(y, log(dy/dx)), both [num_nodes, width]."""
        widths, heights, slopes = params
        given, x = x, at_least_float32(x)
        x0, width, y0, height, d0, d1 = self._bin_of(x, widths, heights, slopes)
        xi = tf.clip_by_value((self._inside(x) - x0) / width, 0.0, 1.0)
        u0, u1 = d0 * width / height, d1 * width / height
        eta = (tf.square(xi) + u0 * xi * (1.0 - xi)) / _denominator(xi, u0, u1)
        log_slope = _log_slope(xi, u0, u1, height / width)
        return self._placed(given, y0 + height * eta, log_slope)

    def inverse(self, y, params):
        """(x, log(dx/dy)), both [num_nodes, width]."""
        widths, heights, slopes = params
        given, y = y, at_least_float32(y)
        y0, height, x0, width, d0, d1 = self._bin_of(y, heights, widths, slopes)
        eta = tf.clip_by_value((self._inside(y) - y0) / height, 0.0, 1.0)
        u0, u1 = d0 * width / height, d1 * width / height
        q = u0 * (1.0 - eta) - u1 * eta
        root = tf.sqrt(tf.square(q) + 4.0 * eta * (1.0 - eta))
        t = tf.where(q >= 0.0, q, -q) + root  # not tf.abs, whose gradient at 0 is 0
        xi = tf.where(q >= 0.0, 2.0 * eta / (2.0 * eta + t), t / (t + 2.0 * (1.0 - eta)))
        return self._placed(given, x0 + width * xi, -_log_slope(xi, u0, u1, height / width))

    def _inside(self, x):
        """x, but 0 where x is outside: the gradient of the unused branch must be finite."""
        return tf.where(tf.abs(x) < self._bound, x, tf.zeros_like(x))

    def _placed(self, x, value, log_slope):
        """The value and log-slope of the spline where x is inside; else those of the identity."""
        inside = tf.abs(x) < self._bound
        value, log_slope = tf.cast(value, x.dtype), tf.cast(log_slope, x.dtype)
        return tf.where(inside, value, x), tf.where(inside, log_slope, tf.zeros_like(x))

    def _bin_of(self, x, sizes, other_sizes, slopes):
        """The bin of x: start and size on both axes, x's first, and the slopes at its ends."""
        starts, ends = self._knots(sizes)
        other_starts, other_ends = self._knots(other_sizes)
        index = tf.reduce_sum(tf.cast(x[..., tf.newaxis] >= starts[..., 1:], tf.int32), axis=-1)
        is_bin = tf.equal(index[..., tf.newaxis], tf.range(self._num_bins))

        def chosen(values):
            return tf.reduce_sum(tf.where(is_bin, values, tf.zeros_like(values)), axis=-1)

        one = tf.ones_like(slopes[..., :1])
        return (
            chosen(starts),
            chosen(ends - starts),
            chosen(other_starts),
            chosen(other_ends - other_starts),
            chosen(tf.concat([one, slopes], axis=-1)),
            chosen(tf.concat([slopes, one], axis=-1)),
        )

    def _knots(self, sizes):
        """(starts, ends) of the bins: they meet exactly, and end exactly at the bounds."""
        inner = tf.cumsum(sizes[..., :-1], axis=-1) - self._bound
        bound = self._bound * tf.ones_like(sizes[..., :1])
        return tf.concat([-bound, inner], axis=-1), tf.concat([inner, bound], axis=-1)


# Sums have two terms each: TensorFlow's graph rewriter merges longer ones into one operation, whose
# order of addition differs from run to run.


def _denominator(xi, u0, u1):
    both = xi * (1.0 - xi)
    return (1.0 - 2.0 * both) + (u0 + u1) * both


def _log_slope(xi, u0, u1, mean_slope):
    rest = 1.0 - xi
    rising = xi * (u1 * xi + rest) + rest * (u0 * rest + xi)
    return tf.math.log(mean_slope * rising) - 2.0 * tf.math.log(_denominator(xi, u0, u1))
