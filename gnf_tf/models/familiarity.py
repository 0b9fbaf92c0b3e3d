"""Ranges of simple features of training molecules, outside of which molecules are unfamiliar."""

from collections.abc import Sequence

import numpy as np
import scipy.sparse.csgraph

from gnf_tf.datasets.molecules import RADIUS, SYMBOLS, Molecules
from gnf_tf.models import chunking

__all__ = [
    "excess",
    "feature_names",
    "feature_numbers",
    "features",
    "joined",
    "problem",
    "sizes_and_distances",
    "training_ranges",
]

_TOLERANCE = 0.05  # angstrom, by which training ranges of distances are widened
# Training ranges of bond valences are wider by this, and leave out this share of the molecules at
# each end: of QM9's, some carry charges that they would not have, and valences between two others'.
_VALENCE_TOLERANCE, _ODD_SHARE = 0.2, 1e-4
_VALENCE, _MOST_BONDS = "bond valence", 6
_SOFTNESS = 0.37  # angstrom, Brown and Altermatt, Acta Cryst. B41, 1985, 244


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
        *(
            f"{what} of {symbol} atoms with {bonds} bonds"
            for what in ("presence", f"smallest {_VALENCE}", f"largest {_VALENCE}")
            for symbol in symbols
            for bonds in range(_MOST_BONDS + 1)
        ),
    ]


def feature_numbers(elements: Sequence[int]) -> tuple[int, ...]:
    """Returns of how many features the models of all versions have ranges, the present one last."""
    size, names = len(elements), feature_names(elements)
    first = 2 + 3 * size + size * (size + 1) // 2
    return first, len(names) - 3 * size * (_MOST_BONDS + 1), len(names)


def sizes_and_distances(values: np.ndarray, elements: Sequence[int]) -> np.ndarray:
    """Returns the first columns of `features`: counts, and distances to nearest atoms."""
    return values[:, : feature_numbers(elements)[0]]


def features(molecules: Molecules, elements: Sequence[int]) -> np.ndarray:
    """Returns simple features of molecules, [num_molecules, num_features] float64.

    They are counts of atoms and bonds; by element, the smallest and the largest distance of an atom
    to its nearest atom in angstrom, which is NaN without such an atom; the number of parts, whether
    electrons are left over from pairs, and the smallest and the largest length of bonds by their
    elements, NaN without such a bond; and by element and number of bonds of an atom, from 0 to 6 or
    more, the presence of such atoms (1 or 0), and their smallest and largest bond valence. See
    `feature_names`.

    The bond valence of an atom i is the sum over all other atoms j (Brown and Altermatt, 1985)

        V_i = sum_j exp((R_i + R_j - r_ij) / 0.37)

    with distances r_ij and covalent radii R in angstrom. An atom that lacks a hydrogen has too few
    bonds for its valence, or too little valence for its bonds.

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
    """[len(rows), any]: the features but counts of atoms, in the order of their names."""
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

    radius = RADIUS[graph.nodes[:, 0].astype(int)]
    free = radius[graph.senders] + radius[graph.receivers] - distance
    valence = np.bincount(graph.receivers, np.exp(free / _SOFTNESS), minlength=len(kind))
    degree = np.bincount(graph.receivers, bonded, minlength=len(kind)).astype(int)
    num_kinds = size * (_MOST_BONDS + 1)
    place = owner * num_kinds + kind * (_MOST_BONDS + 1) + np.minimum(degree, _MOST_BONDS)
    presence = np.bincount(place, minlength=len(rows) * num_kinds) > 0
    valences = np.full([2, len(rows) * num_kinds], np.nan)
    np.fmin.at(valences[0], place, valence)
    np.fmax.at(valences[1], place, valence)
    environments = [values.reshape(len(rows), -1) for values in (presence, *valences)]
    return np.c_[bonds, *extremes, parts, electrons, *lengths, *environments]


def training_ranges(train: Molecules, elements: Sequence[int]) -> np.ndarray:
    """Returns the smallest and the largest value of each feature, [2, num_features] float32.

    Ranges of distances are wider by 0.05 angstrom on both sides; those of bond valences by 0.2, and
    leave out one of 10,000 molecules on both sides. A feature that no training molecule has is NaN.

    Args:
      train: the training molecules, at least one.
      elements: [num_elements] ascending atomic numbers.
    """
    values = features(train, elements)
    ranges = np.stack([np.fmin.reduce(values), np.fmax.reduce(values)])
    for column, name in enumerate(feature_names(elements)):
        if name.endswith("angstrom"):
            ranges[:, column] += -_TOLERANCE, _TOLERANCE
        elif _VALENCE in name and not np.isnan(ranges[0, column]):
            known = np.sort(values[~np.isnan(values[:, column]), column])
            odd = int(len(known) * _ODD_SHARE)
            least, largest = known[odd], known[-1 - odd]
            ranges[:, column] = least - _VALENCE_TOLERANCE, largest + _VALENCE_TOLERANCE
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
