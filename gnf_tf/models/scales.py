"""The check that data, in their units, leave float32 room to compute."""

from collections.abc import Mapping

__all__ = ["check_scales"]

_LARGEST = 1e30


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
