"""Training steps whose gradient is far beyond all others."""

import tensorflow as tf

__all__ = ["Outliers"]

_FACTOR, _MEMORY = 20.0, 0.999


class Outliers:
    """Takes a gradient for 0 whose norm is far beyond those of the steps before.

    A rare example can have a gradient 1e9 times as large as others, such as a molecule of which a
    flow throws an atom far away. Scaled down to the largest global norm c, it still makes Adam take
    steps of several times the learning rate, along weights whose gradients are usually small, and
    one batch can undo a training. So with |g_t| the norm in step t, g_t is replaced by 0 if

        |g_t| > 20 max(c, M_(t-1)) and M_(t-1) > 0,
        M_t = max(|g_t|, 0.999 M_(t-1)), or 2 max(c, M_(t-1)) if g_t is replaced,    M_0 = 0

    M is the largest norm of late, so that rare batches with most of the gradient are no outliers.
    It doubles while gradients are replaced, so that training goes on if all are as large.

    Attributes:
      count: int64 scalar variable, the number of gradients that were replaced.
      variables: this one and M, for the checkpoints of a training.
    """

    def __init__(self, clipnorm: float):
        """Makes the variables.

        Args:
          clipnorm: c, the largest global norm of the gradient, to which others are scaled down.
        """
        self._clipnorm = clipnorm
        kept = {"trainable": False, "aggregation": tf.VariableAggregation.ONLY_FIRST_REPLICA}
        self._largest = tf.Variable(0.0, **kept)
        self.count = tf.Variable(0, dtype=tf.int64, **kept)
        self.variables = [self.count, self._largest]

    def replaced(self, gradient: tf.Tensor, norm: tf.Tensor) -> tf.Tensor:
        """Returns the gradient of the next step, or 0 in its place.

        Args:
          gradient: the gradient by all weights, one vector; the same on all replicas.
          norm: its norm.
        """
        norm, usual = tf.cast(norm, tf.float32), tf.maximum(self._largest, self._clipnorm)
        is_outlier = (norm > _FACTOR * usual) & (self._largest > 0.0)
        largest = tf.maximum(norm, _MEMORY * self._largest)
        self._largest.assign(tf.where(is_outlier, 2.0 * usual, largest))
        self.count.assign_add(tf.cast(is_outlier, tf.int64))
        return tf.where(is_outlier, tf.zeros_like(gradient), gradient)
