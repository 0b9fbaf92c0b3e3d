"""Units of features in which squares neither overflow nor vanish, and what rounding leaves."""

import numpy as np
import tensorflow as tf

__all__ = ["is_rounding", "largest_size"]


def largest_size(values: tf.Tensor) -> tf.Tensor:
    """Returns the largest size of each column, [width]; 1 for a column of zeros.

    Args:
      values: float [num_rows, width], with at least one row.
    """
    largest = tf.reduce_max(tf.abs(values), axis=0)
    return tf.where(largest > 0.0, largest, tf.ones_like(largest))


def is_rounding(square: tf.Tensor, total: tf.Tensor) -> tf.Tensor:
    """Returns whether a mean square is no more than rounding leaves of values that cancel, bool.

    Args:
      square: a mean square, such as the variance of a constant, which is not exactly 0.
      total: the mean square of the values of which it is what remains, of the same shape.
    """
    return square <= (100.0 * np.finfo(square.dtype.as_numpy_dtype).eps) ** 2 * total
