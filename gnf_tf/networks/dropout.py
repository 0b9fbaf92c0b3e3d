"""Dropout from a stateless seed, which gives the same mask at every evaluation."""

import tensorflow as tf

__all__ = ["dropout"]


def dropout(values: tf.Tensor, rate: float, seed: tf.Tensor | None) -> tf.Tensor:
    """Sets each value to 0 with probability `rate`, and divides the others by 1 - `rate`.

    The mask depends only on `seed` and the shape of `values`, and is the same in eager execution,
    in a graph and under XLA. So the gradient and the inverse of a reversible layer draw it again,
    and nothing is kept. `tf.nn.dropout` would draw another mask.

    Args:
      values: float, of any shape.
      rate: in [0, 1).
      seed: int32 [2]; None: nothing is dropped.
    """
    if seed is None or rate == 0.0:
        return values
    # Whole numbers, since XLA converts the same random bits to other floats than TensorFlow does.
    bits = tf.random.stateless_uniform(
        tf.shape(values), seed, minval=None, maxval=None, dtype=tf.int32, alg="philox"
    )
    kept = bits >= round(rate * 2.0**32) - 2**31
    return tf.where(kept, values / (1.0 - rate), tf.zeros_like(values))
