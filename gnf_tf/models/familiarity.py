"""Ranges of simple features of training molecules, outside of which molecules are unfamiliar."""

from collections.abc import Sequence

import numpy as np
import scipy.sparse.csgraph

from gnf_tf.datasets.molecules import SYMBOLS, Molecules
from gnf_tf.models import chunking

__all__ = [
    "excess",
    "feature_names",
    "features",
    "joined",
    "problem",
    "sizes_and_distances",
    "training_ranges",
]

_TOLERANCE = 0.05  # angstrom, by which training ranges of distances are widened


def feature_names(elements: Sequence[int]) -> list[str]:
    """Returns the names of the columns of `features`."""
    symbols = [SYMBOLS[number - 1] for number in elements]
    pairs = [f"{a}-{b}" for i, a in enumerate(symbols) for b in symbols[i:]]
    return [
        "number of atoms",
        "number of heavy atoms",
        *(f"number of {symbol} atoms" for symbol in symbols),
        *(f"number of {pair} bonds" for pair in pairs),
        *(
            f"{which} distance of {symbol} to its nearest atom in angstrom"
            for which in ("smallest", "largest")
            for symbol in symbols
        ),
        "number of parts without a bond between them",
        "number of electrons, modulo 2, without a charge",
        *(
            f"{which} length of {pair} bonds in angstrom"
            for which in ("smallest", "largest")
            for pair in pairs
        ),
    ]


def sizes_and_distances(values: np.ndarray, elements: Sequence[int]) -> np.ndarray:
    """Returns the first columns of `features`: counts, and distances to nearest atoms."""
    num_elements = len(elements)
    return values[:, : 2 + 3 * num_elements + num_elements * (num_elements + 1) // 2]


def features(molecules: Molecules, elements: Sequence[int]) -> np.ndarray:
    """Returns simple features of molecules, [num_molecules, num_features] float64.

    They are counts of atoms and bonds; by element, the smallest and the largest distance of an atom
    to its nearest atom in angstrom, which is NaN without such an atom; the number of parts, whether
    electrons are left over from pairs, and the smallest and the largest length of bonds by their
    elements, NaN without such a bond. See `feature_names`.

    Args:
      molecules: any number.
      elements: [num_elements] ascending atomic numbers.

    Raises:
      ValueError: if a molecule has another element.
    """
    counts = molecules.element_counts(elements)
    heavy = counts[:, np.asarray(elements) > 1].sum(axis=1)
    others = np.zeros([len(molecules), len(feature_names(elements)) - 2 - len(elements)])
    for rows in chunking.chunks(*molecules.sizes.T):  # all pairs of large molecules are too many
        others[rows] = _others(molecules, rows, elements)
    return np.c_[molecules.n_atoms, heavy, counts, others]


def _others(molecules, rows, elements):
    """[len(rows), any]: bonds, nearest distances, parts, electrons modulo 2, lengths of bonds."""
    graph = molecules.graph(rows)
    distance, bonded = graph.edges.T
    kind = np.searchsorted(elements, graph.nodes[:, 0])
    owner = np.repeat(np.arange(len(rows)), graph.n_node)
    size = len(elements)

    # A bond has two edges, of which one goes from the element of the smaller number, or both do.
    sender, receiver = kind[graph.senders], kind[graph.receivers]
    weight = bonded * np.where(sender == receiver, 0.5, sender < receiver)
    place = (owner[graph.senders] * size + sender) * size + receiver
    bonds = np.bincount(place, weight, minlength=len(rows) * size**2)
    shape, upper = (len(rows), size, size), np.triu_indices(size)
    bonds = bonds.reshape(shape)[:, *upper]

    is_bond = bonded > 0
    lengths = np.full([2, len(rows) * size**2], np.nan)
    np.fmin.at(lengths[0], place[is_bond], distance[is_bond])
    np.fmax.at(lengths[1], place[is_bond], distance[is_bond])
    lengths = [values.reshape(shape)[:, *upper] for values in lengths]

    ends = graph.senders[is_bond], graph.receivers[is_bond]
    joined = scipy.sparse.coo_array((is_bond[is_bond], ends), [len(kind)] * 2)
    _, part = scipy.sparse.csgraph.connected_components(joined, directed=False)
    first = np.unique(part, return_index=True)[1]  # an atom of each part
    parts = np.bincount(owner[first], minlength=len(rows))
    electrons = np.bincount(owner, graph.nodes[:, 0], minlength=len(rows)) % 2

    nearest = np.full(len(kind), np.inf)
    np.minimum.at(nearest, graph.receivers, distance)
    nearest[np.isinf(nearest)] = np.nan  # a single atom
    extremes = np.full([2, len(rows), size], np.nan)
    np.fmin.at(extremes[0], (owner, kind), nearest)
    np.fmax.at(extremes[1], (owner, kind), nearest)
    return np.c_[bonds, *extremes, parts, electrons, *lengths]


def training_ranges(train: Molecules, elements: Sequence[int]) -> np.ndarray:
    """Returns the smallest and the largest value of each feature, [2, num_features] float32.

    Ranges of distances are wider by 0.05 angstrom on both sides. A feature that no training
    molecule has is NaN.

    Args:
      train: the training molecules, at least one.
      elements: [num_elements] ascending atomic numbers.
    """
    values = features(train, elements)
    ranges = np.stack([np.fmin.reduce(values), np.fmax.reduce(values)])
    is_distance = [name.endswith("angstrom") for name in feature_names(elements)]
    ranges += np.outer([-_TOLERANCE, _TOLERANCE], is_distance)
    return ranges.astype(np.float32)


def joined(ranges: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns the ranges of the molecules of both, [2, num_features] float32.

    Args:
      ranges: [2, num_features], from `training_ranges`, or of the first features only, as are then
        the result's.
      others: [2, num_features], from `training_ranges` for the same elements.
    """
    others = others[:, : ranges.shape[1]]
    return np.stack([np.fmin(ranges[0], others[0]), np.fmax(ranges[1], others[1])])


def excess(values: np.ndarray, ranges: np.ndarray) -> np.ndarray:
    """Returns how far features are outside of their ranges, [num_molecules, num_features] float64.

    The unit is the width of the range, or 1 if it is larger, so that a count of a constant feature
    has a finite excess; 0 is within the range, or that the feature has no value.

    Args:
      values: [num_molecules, num_features], from `features`.
      ranges: [2, num_features], from `training_ranges`, or of the first features only.
    """
    least, largest = ranges
    values = values[:, : len(least)]
    outside = np.fmax(np.fmax(least - values, values - largest), 0.0)
    return np.nan_to_num(outside / np.fmax(largest - least, 1.0))


def problem(
    values: np.ndarray, ranges: np.ndarray, elements: Sequence[int], shown: int = 5
) -> str | None:
    """Returns what to say about unfamiliar molecules, or None if there are none.

    Args:
      values: [num_molecules, num_features], from `features`.
      ranges: [2, num_features], from `training_ranges`.
      elements: [num_elements] ascending atomic numbers.
      shown: largest number of molecules that the text names; it names three features at most.
    """
    outside = excess(values, ranges)
    rows = np.flatnonzero(outside.any(axis=1))
    if not len(rows):
        return None
    frequent = np.argsort(-(outside > 0).sum(axis=0), kind="stable")[:3]
    reasons = []
    for column in frequent[outside[:, frequent].any(axis=0)]:
        row = outside[:, column].argmax()
        least, largest = ranges[:, column]
        reasons.append(
            f"{feature_names(elements)[column]} is {values[row, column]:.4g} for molecule {row}, "
            f"{least:.4g} to {largest:.4g} in training"
        )
    names = ", ".join(map(str, rows[:shown])) + (", ..." if len(rows) > shown else "")
    return (
        f"errors may be large for {len(rows)} of {len(values)} molecules, which are unlike the "
        f"training molecules (numbers {names}): {'; '.join(reasons)}"
    )
