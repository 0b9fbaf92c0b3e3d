"""Row numbers: those that a caller names, and those of groups of consecutive rows."""

from typing import Any

import numpy as np

__all__ = ["ranges", "row_numbers"]


def row_numbers(rows: Any) -> np.ndarray:
    """The `rows` that a caller asks for, as an array that indexes others.

    Args:
      rows: a vector of whole numbers, or of bool, which may be empty.

    Raises:
      ValueError: if `rows` is no such vector.
    """
    found = np.asarray(rows)
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iub"):
        raise ValueError(
            f"`rows` must be a vector of row numbers, or of True and False, got {rows!r:.80}"
        )
    return found if found.size else found.astype(np.int64)


def ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The concatenation of `arange(start, start + length)` over all groups, [sum of lengths] int64.

    >>> ranges(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)
