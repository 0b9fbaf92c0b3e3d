"""Units of features in which squares neither overflow nor vanish, and what rounding leaves."""

import numpy as np
import tensorflow as tf

__all__ = ["largest_size", "log_scale_to_one"]


def largest_size(values: tf.Tensor) -> tf.Tensor:
    """Returns the largest size of each column, [width]; 1 for a column of zeros.

    Args:
      values: float [num_rows, width], with at least one row.
    """
    largest = tf.reduce_max(tf.abs(values), axis=0)
    return tf.where(largest > 0.0, largest, tf.ones_like(largest))


def log_scale_to_one(square: tf.Tensor, unit: tf.Tensor, total: tf.Tensor) -> tf.Tensor:
    """Returns the log-scales by which values get the mean square 1, [width].

    They are 0 where the mean square is no more than rounding leaves of values that cancel: that of
    a constant's deviations from its mean is not exactly 0.

    Args:
      square: mean squares of the values in units of `unit`, such as variances.
      unit: the units, see `largest_size`.
      total: mean squares of what the values are left of, in the same units.
    """
    is_zero = square <= (100.0 * np.finfo(square.dtype.as_numpy_dtype).eps) ** 2 * total
    # The logarithm of 0 would stop `tf.debugging.enable_check_numerics`.
    log_size = 0.5 * tf.math.log(tf.where(is_zero, 1.0, square)) + tf.math.log(unit)
    return tf.where(is_zero, 0.0, -log_size)
