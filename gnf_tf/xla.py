"""Ordering inside an XLA program, which keeps data dependencies but no control dependencies."""

from collections.abc import Iterable

import tensorflow as tf
from tensorflow.python.framework import ops
from tensorflow.python.ops import control_flow_util

__all__ = ["is_compiling", "zero_after"]


def is_compiling() -> bool:
    """Whether the current code is being traced for XLA (`tf.function(jit_compile=True)`)."""
    return control_flow_util.GraphOrParentsInXlaContext(ops.get_default_graph())


def zero_after(tensors: Iterable[tf.Tensor], dtype: tf.DType) -> tf.Tensor:
    """A zero that XLA can compute only after all of `tensors`.

    Added to a value, it delays whatever uses the value until `tensors` have been computed. Under
    XLA it takes the place of `tf.control_dependencies`, which XLA drops.

    Args:
      tensors: real numbers of any shapes; NaN and infinities are fine.
      dtype: the type of the zero.

    Returns:
      A scalar 0 of `dtype`, through which no gradient flows. XLA can't tell that it is constant.
    """
    zero = tf.zeros([], dtype)
    for tensor in tensors:
        total = tf.minimum(tf.abs(tf.reduce_sum(tensor)), 0)
        zero += tf.cast(tf.where(tf.math.is_nan(total), tf.zeros_like(total), total), dtype)
    return tf.stop_gradient(zero)
