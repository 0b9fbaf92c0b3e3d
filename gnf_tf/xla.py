"""Order inside an XLA program, which knows data dependencies only, no control dependencies."""

from collections.abc import Iterable

import tensorflow as tf
from tensorflow.python.framework import ops
from tensorflow.python.ops import control_flow_util

__all__ = ["is_compiling", "zero_after"]


def is_compiling() -> bool:
    """Whether what is traced now is for XLA (`tf.function(jit_compile=True)`)."""
    return control_flow_util.GraphOrParentsInXlaContext(ops.get_default_graph())


def zero_after(tensors: Iterable[tf.Tensor], dtype: tf.DType) -> tf.Tensor:
    """A scalar 0 of `dtype` that can't be computed before all of `tensors`.

    Whatever they hold, NaN and infinities too; no gradient flows through it. XLA doesn't see
    that it is constant.
    """
    zero = tf.zeros([], dtype)
    for tensor in tensors:
        total = tf.minimum(tf.abs(tf.reduce_sum(tensor)), 0)
        zero += tf.cast(tf.where(tf.math.is_nan(total), tf.zeros_like(total), total), dtype)
    return tf.stop_gradient(zero)
