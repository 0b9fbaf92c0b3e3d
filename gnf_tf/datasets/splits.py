"""Random parts of a list, by fractions and a seed."""

import numbers
from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np

from gnf_tf import seeds

__all__ = ["random_parts", "random_split"]

Item = TypeVar("Item")


def random_split(
    items: Iterable[Item], fractions: Sequence[float] = (0.8, 0.1, 0.1), *, seed: int = 0
) -> tuple[list[Item], ...]:
    """Disjoint random parts of a list, such as of your own graphs, one part for each fraction.

    `split_graphs` splits the published sets of graphs. `Molecules` and `LabeledGraphs` have a
    method `split`.

    >>> train, validation, test = random_split(range(10), (0.6, 0.2, 0.2))
    >>> len(train), len(validation), len(test)
    (6, 2, 2)

    Args:
      items: the list, such as the graphs that `read_graphs` returns.
      fractions: the size of each part as a fraction of the list, positive. If they sum to less than
        1, the other items are in no part.
      seed: seed of the random parts.

    Raises:
      ValueError: if the fractions are no positive numbers, exceed 1 in sum, or leave a part empty.
    """
    items = list(items)
    parts = random_parts(len(items), fractions, seed)
    return tuple([items[row] for row in part] for part in parts)


def random_parts(count: int, fractions: Sequence[float], seed: int = 0) -> list[np.ndarray]:
    """Disjoint random parts of the numbers from 0 to `count` - 1; see `random_split`."""
    given = np.asarray(fractions, object)  # which leaves texts and booleans what they are
    if not given.ndim == 1 <= len(given) or not all(map(_is_share, given)) or sum(given) > 1 + 1e-6:
        raise ValueError(
            f"`fractions` must be positive numbers with a sum of at most 1, got {fractions!r:.200}"
        )
    shares = given.astype(np.float64)
    ends = np.round(np.minimum(np.cumsum(shares), 1.0) * count).astype(int)
    sizes = np.diff(ends, prepend=0)
    if not sizes.all():
        raise ValueError(
            f"`fractions` must leave no part empty, got {shares.tolist()}, which are "
            f"{sizes.tolist()} of {count}"
        )
    return np.split(seeds.generator(seed).permutation(count), ends)[:-1]


def _is_share(value):
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
    return is_real and 0 < value < np.inf
