"""The least-squares fit of targets to the composition of molecules, which a network corrects."""

from collections.abc import Sequence

import numpy as np

from gnf_tf import datasets

__all__ = ["composition", "fit_composition"]


def composition(molecules: datasets.Molecules, elements: Sequence[int]) -> np.ndarray:
    """Returns [num_molecules, num_elements + 1] float64: atom counts by element, and a constant 1.

    Args:
      molecules: any number.
      elements: [num_elements] atomic numbers.

    Raises:
      ValueError: if a molecule has another element.
    """
    counts = molecules.element_counts(elements)
    return np.concatenate([counts, np.ones([len(molecules), 1])], axis=1)


def fit_composition(
    train: datasets.Molecules, elements: Sequence[int], readouts: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the weights w and v, and the spread s, of a `MoleculeRegressor`; see its equations.

    Args:
      train: the training molecules, with targets.
      elements: [num_elements] atomic numbers.
      readouts: [num_targets], the read-out of each target.

    Returns:
      In units of the targets: w [num_elements + 1, num_targets]; v [num_elements, num_targets] per
      angstrom^2; s [num_targets].

    Raises:
      ValueError: if a molecule has another element.
    """
    size, names = len(elements) + 1, train.target_names
    features = np.c_[composition(train, elements), train.extents(elements)]
    weights = np.zeros([features.shape[1], len(names)])
    for kind, width in (("scalar", size), ("extent", features.shape[1])):
        columns = np.array(readouts) == kind
        fit = np.linalg.lstsq(features[:, :width], train.targets[:, columns], rcond=None)[0]
        weights[:width, columns] = fit
    if "gap" in readouts:
        homo, lumo = names.index("homo"), names.index("lumo")
        weights[:, np.array(readouts) == "gap"] = weights[:, [lumo]] - weights[:, [homo]]
    spread = (train.targets - features @ weights).std(axis=0)
    # A fit to fewer molecules than elements is exact, with residuals from rounding alone. Those
    # of total energies can be as small as 1e-7 of the energies. How much other molecules differ is
    # unknown then; a hundredth of the target does not depend on its unit.
    largest = np.abs(train.targets).max(axis=0)
    guess = np.where(largest > 0.0, 0.01 * largest, 1.0)
    spread = np.where(spread > 1e-11 * largest, spread, guess)
    # A dipole is fitted by nothing, so that the network has to give all of it: in units of a much
    # smaller deviation, it would have to give hundreds.
    dipole = np.array(readouts) == "dipole"
    typical = np.sqrt(np.mean(np.square(train.targets), axis=0))
    spread = np.where(dipole, np.maximum(spread, 0.1 * typical), spread)
    return weights[:size], weights[size:], spread
