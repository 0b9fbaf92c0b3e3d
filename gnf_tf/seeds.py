"""The one rule for seeds, and the random number generators that are made from them."""

import numbers
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

__all__ = ["Seed", "as_pair", "generator", "normal", "whole_number"]

Seed: TypeAlias = int | np.integer | Sequence[int] | np.ndarray | tf.Tensor
"""A whole number, 0 or more, or a pair of int32, TensorFlow's stateless seed."""

_RULE = "`seed` must be a whole number, 0 or more"


def whole_number(seed: Any) -> int:
    """`seed` as a Python `int`, for generators that accept nothing else.

    Args:
      seed: a Python or NumPy integer, or an eager integer tensor of shape [].

    Raises:
      TypeError: if `seed` is none of these.
      ValueError: if `seed` is negative.
    """
    number: Any = seed
    if (tf.is_tensor(seed) and hasattr(seed, "numpy")) or isinstance(seed, np.ndarray):
        number = np.asarray(seed)[()]  # a NumPy number where the shape is []
    if not isinstance(number, numbers.Integral) or isinstance(number, bool):
        raise TypeError(f"{_RULE}, got {seed!r}")
    if int(number) < 0:
        raise ValueError(f"{_RULE}, got {number}")
    return int(number)


def generator(seed: Any, *epoch: int) -> np.random.Generator:
    """A NumPy generator for a whole number, or for one epoch of several.

    Args:
      seed: see `whole_number`.
      *epoch: a number of the epoch, if each epoch is to have its own generator.

    Raises:
      TypeError, ValueError: as `whole_number`.
    """
    return np.random.default_rng([whole_number(seed), *epoch] if epoch else whole_number(seed))


def as_pair(seed: Seed) -> tf.Tensor:
    """A seed for TensorFlow's stateless random numbers: int32 [2], different for each whole number.

    Args:
      seed: a whole number, also as a tensor of shape []: below 2^63 it becomes its upper and lower
        32 bits, and a larger one, such as the 512 bits of TFP's `SeedStream`, a hash of its bits.
        Or a pair of int32 (a sequence, an array or a tensor), which is returned as it is.

    Raises:
      TypeError: if `seed` is a single number that is not an integer.
      ValueError: if a whole number is negative, or a pair is not int32. Within a
        `tf.function` also for a scalar tensor of another dtype than int32 or int64, whose value is
        not checked.

    >>> as_pair(2**32 + 7).numpy().tolist()
    [1, 7]
    """
    if tf.is_tensor(seed) and not hasattr(seed, "numpy"):
        symbolic: Any = seed
        if symbolic.shape.rank == 0 and symbolic.dtype in (tf.int32, tf.int64):
            return tf.reverse(tf.bitcast(tf.cast(symbolic, tf.int64), tf.int32), axis=[0])
        if symbolic.dtype != tf.int32 or not symbolic.shape.is_compatible_with([2]):
            raise ValueError(
                f"{_RULE}, or int32 of shape [2], got {symbolic.dtype.name} of shape "
                f"{symbolic.shape}"
            )
        return tf.ensure_shape(symbolic, [2])
    # A sequence may hold symbolic numbers, such as the number of a training step.
    if isinstance(seed, Sequence) and any(map(tf.is_tensor, seed)):
        return as_pair(tf.stack([tf.cast(part, tf.int32) for part in seed]))
    values = np.asarray(seed)
    if not values.ndim:
        number = whole_number(seed)
        if number < 2**63:
            halves = [number >> 32, number & 0xFFFFFFFF]
        else:
            halves = np.random.SeedSequence(number).generate_state(2).tolist()
        return tf.constant(np.array(halves, np.uint32).view("i4"))
    if values.shape != (2,):
        raise ValueError(f"{_RULE}, or int32 of shape [2], got {values.shape}")
    limits = np.iinfo(np.int32)
    if values.dtype.kind not in "iu" or values.min() < limits.min or values.max() > limits.max:
        raise ValueError(f"{_RULE}, or int32 of shape [2], got {seed!r}")
    return tf.constant(values, tf.int32)


def normal(shape: Any, seed: Seed, dtype: tf.DType = tf.float32) -> tf.Tensor:
    """Standard normal numbers of `shape`, determined by `seed` and the execution mode.

    They are those of `tf.random.stateless_normal`. The algorithm is named, since XLA on a CPU takes
    28 times as long for the same numbers where TensorFlow is left to choose it.

    Args:
      shape: a shape, also as a tensor.
      seed: see `as_pair`.
      dtype: a float dtype.

    Raises:
      TypeError, ValueError: as `as_pair`.
    """
    return tf.random.stateless_normal(shape, as_pair(seed), dtype=dtype, alg="philox")
