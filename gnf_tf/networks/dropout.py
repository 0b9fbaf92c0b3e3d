"""Dropout by a stateless seed: the same mask again whenever it is asked for."""

import tensorflow as tf

__all__ = ["dropout"]


def dropout(values: tf.Tensor, rate: float, seed: tf.Tensor | None) -> tf.Tensor:
    """Each value is 0 with probability `rate`, or else divided by 1 - `rate`.

    The mask follows from `seed` and the shape of `values` alone, and is the same eager, in a graph
    and in XLA: so a reversible step's gradient and inverse draw it again in place of keeping it.

    Args:
      values: float.
      rate: in [0, 1).
      seed: int32 [2], or None: nothing is dropped.
    """
    if seed is None or rate == 0.0:
        return values
    # Whole numbers: XLA makes other floats of the same bits than TensorFlow does.
    bits = tf.random.stateless_uniform(
        tf.shape(values), seed, minval=None, maxval=None, dtype=tf.int32, alg="philox"
    )
    kept = bits >= round(rate * 2.0**32) - 2**31
    return tf.where(kept, values / (1.0 - rate), tf.zeros_like(values))
