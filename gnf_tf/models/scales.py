"""Units of data, in which float32 has room to compute, and networks get inputs of size 1."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

__all__ = ["check_scales", "check_units", "in_units", "units_of"]

_LARGEST = 1e30
_USUAL = 10.0  # networks learn from inputs of this size as they are


def check_scales(scales: Mapping[str, float]) -> None:
    """Checks the scales by which a model divides data, such as standard deviations.

    Args:
      scales: the scales by what an error message calls them.

    Raises:
      ValueError: if a scale is not between 1e-30 and 1e30.
    """
    for what, scale in scales.items():
        if not 1 / _LARGEST <= scale <= _LARGEST:
            raise ValueError(
                f"{what} is {scale:g}, expected {1 / _LARGEST:g} to {_LARGEST:g}, where float32 "
                "is precise; choose another unit"
            )


def units_of(values: np.ndarray) -> np.ndarray | None:
    """Returns the offset and the scale by which a network standardizes its inputs.

    A column with a value beyond 10 in size, such as a year or a temperature in kelvin, has its mean
    and its standard deviation. The others, such as words, shares, one-hot or standardized features,
    have 0 and 1.

    Args:
      values: [num_rows, width], of the training data.

    Returns:
      [2, width] float32, or None if all columns have 0 and 1.
    """
    values = np.asarray(values, np.float64)
    is_large = (np.abs(values) > _USUAL).any(axis=0)
    if not is_large.any():
        return None
    mean, deviation = values.mean(axis=0), values.std(axis=0)
    scale = np.where(is_large & (deviation > 0.0), deviation, 1.0)
    return np.stack([np.where(is_large, mean, 0.0), scale]).astype(np.float32)


def in_units(values: tf.Tensor, units: np.ndarray | None) -> tf.Tensor:
    """Returns (values - offset) / scale, see `units_of`."""
    return values if units is None else (values - units[0]) / units[1]


def check_units(name: str, units: np.ndarray | None, width: int) -> np.ndarray | None:
    """Returns the argument `name`, as an array if it is not None.

    Raises:
      ValueError: if it is no array [2, width] of finite offsets and positive scales.
    """
    if units is None:
        return None
    units = np.asarray(units, np.float32)
    if units.shape != (2, width) or not np.isfinite(units).all() or not (units[1] > 0).all():
        raise ValueError(
            f"`{name}` must be finite offsets and positive scales of shape {(2, width)}, "
            f"got {units}"
        )
    return units
