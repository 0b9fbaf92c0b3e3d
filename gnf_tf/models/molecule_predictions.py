"""Predictions for molecules: values, intervals, and warnings about unfamiliar molecules."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from gnf_tf import datasets
from gnf_tf.graphs import GraphsTuple
from gnf_tf.headings import with_unit
from gnf_tf.models import chunking, familiarity
from gnf_tf.models.composition import composition
from gnf_tf.models.intervals import Intervals

__all__ = ["MoleculePredictions", "check_type"]

_FAR = 100.0  # spreads between targets and a model's fit of them; levels of theory differ by less


class MoleculePredictions:
    """The methods of `MoleculeRegressor` that apply a trained model.

    Attributes:
      training_ranges: [2, num_features], from `familiarity.training_ranges`, or None for a
        file of an earlier version, whose model gives no warnings.
      intervals: set by `calibrate`; None before.
    """

    elements: tuple[int, ...]
    target_names: tuple[str, ...]
    target_units: tuple[str, ...]
    readouts: tuple[str, ...]
    spread: np.ndarray
    training_ranges: np.ndarray | None
    intervals: Intervals | None
    composition_weights: np.ndarray
    extent_weights: np.ndarray
    _outputs: Callable[[GraphsTuple], tf.Tensor]

    def predict(self, molecules: datasets.Molecules, batch_size: int = 64) -> np.ndarray:
        """Returns predictions [num_molecules, num_targets] float64, in `target_units`.

        It warns, once a call, about molecules that are unlike the training molecules; see
        `unfamiliar`.

        Args:
          molecules: any number, of elements in `elements`.
          batch_size: largest number of molecules evaluated at a time; large ones are fewer.

        Raises:
          ValueError: if a molecule has another element, or `batch_size` is below 1.
          TypeError: if `molecules` are not Molecules.
        """
        self._features(molecules, stacklevel=3)
        return self._predicted(molecules, batch_size)

    def predict_interval(
        self,
        molecules: datasets.Molecules,
        coverage: float | Sequence[float] = 0.9,
        batch_size: int = 64,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the lower and upper ends of intervals that contain the true values.

        For each target, a share of `coverage` of molecules like the validation molecules, or more,
        has its true value within the interval. The intervals are wider for molecules whose errors
        were larger in validation, and infinite if the validation molecules were too few. The share
        is that of all molecules; of a kind that is rare in validation, such as the smallest
        molecules, it can be less. Nothing is promised for molecules about which `predict` warns, or
        whose positions are from another source than the positions of the validation molecules.

        Args:
          molecules: any number, of elements in `elements`.
          coverage: the share, in (0, 0.999], or several.
          batch_size: largest number of molecules evaluated at a time; large ones are fewer.

        Returns:
          lower, upper: [num_molecules, num_targets] float64 each, in `target_units`; for several
            coverages, [num_coverages, num_molecules, num_targets].

        Raises:
          ValueError: if the model is not calibrated, a molecule has another element, `coverage` is
            out of its range, or `batch_size` is below 1.
          TypeError: if `molecules` are not Molecules.
        """
        return self._with_interval(molecules, coverage, batch_size)[1:]

    def predict_with_interval(
        self,
        molecules: datasets.Molecules,
        coverage: float | Sequence[float] = 0.9,
        batch_size: int = 64,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns what `predict` and `predict_interval` do, in the time of one of them.

        Arguments and errors are those of `predict_interval`.

        Returns:
          predicted, lower, upper.
        """
        return self._with_interval(molecules, coverage, batch_size)

    def _with_interval(self, molecules, coverage, batch_size):
        if self.intervals is None:
            raise ValueError(
                "the model has no intervals: call `calibrate` with validation molecules first"
            )
        self.intervals.of_coverage(coverage)  # raises before the molecules are evaluated
        features = self._features(molecules, stacklevel=4)
        predicted = self._predicted(molecules, batch_size)
        half = self.intervals.half_widths(self._difficulty(features, predicted), coverage)
        if np.isinf(half).any():
            warnings.warn(
                f"intervals of coverage {coverage} are infinite for some targets, because the "
                "validation molecules of `calibrate` were too few: coverage c needs 2 c / (1 - c), "
                "and at least 2",
                stacklevel=3,
            )
        lower, upper = predicted - half, predicted + half
        norms = [readout in ("dipole", "extent") for readout in self.readouts]
        lower[..., norms] = np.maximum(lower[..., norms], 0.0)
        return predicted, lower, np.maximum(upper, lower)

    def fitted(self, molecules: datasets.Molecules) -> np.ndarray:
        """Returns the least-squares fit [num_molecules, num_targets] float64.

        It is in units of the targets. In float32, total energies would lose digits that count.

        Args:
          molecules: any number, of elements in `elements`.

        Raises:
          ValueError: if a molecule has another element.
          TypeError: if `molecules` are not Molecules.
        """
        check_type(molecules, "molecules")
        fit = composition(molecules, self.elements) @ self.composition_weights
        if "extent" in self.readouts:
            fit += molecules.extents(self.elements) @ self.extent_weights
        return fit

    def calibrate(self, validation: datasets.Molecules, batch_size: int = 64) -> None:
        """Measures the errors on validation molecules, which `predict_interval` needs.

        Call it after training; `save` keeps the result. Intervals of coverage 0.9 need 18 molecules
        or more; hundreds make them narrower. It can be called again with molecules whose positions
        are from another source, such as a force field.

        Args:
          validation: molecules with the model's targets, none of them a training molecule.
          batch_size: largest number of molecules evaluated at a time; large ones are fewer.

        Raises:
          ValueError: if there is no molecule, or there are other targets, units or elements.
          TypeError: if `validation` are not Molecules.
        """
        self.check_targets(validation, "validation")
        if not len(validation):
            raise ValueError("`validation` must have molecules, got none")
        features = familiarity.features(validation, self.elements)
        self.warn_of_other_targets(validation.targets - self.fitted(validation), "validation")
        predicted = self._predicted(validation, batch_size)
        errors = np.abs(predicted - validation.targets)
        self.intervals = Intervals.fit(self._difficulty(features, predicted), errors)

    def check_targets(self, molecules: datasets.Molecules, argument: str) -> None:
        """Checks that molecules have the targets of the model, in its units.

        Args:
          molecules: any number, whose targets may have no unit.
          argument: name of the molecules in an error.

        Raises:
          ValueError: if there are other targets or other units.
          TypeError: if they are not Molecules.
        """
        check_type(molecules, argument)
        pairs = zip(self.target_units, molecules.target_units, strict=False)
        same_units = all("" in (own, other) or own == other for own, other in pairs)
        if molecules.target_names != self.target_names or not same_units:
            expected, given = (
                ", ".join(map(with_unit, of.target_names, of.target_units))
                for of in (self, molecules)
            )
            raise ValueError(
                f"`{argument}` must have the model's targets, {expected}, got {given or 'none'}"
            )

    def warn_of_other_targets(self, residuals: np.ndarray, argument: str) -> None:
        """Warns of targets that are not what the model was made for.

        Args:
          residuals: [num_molecules, num_targets] for any molecules, their targets minus `fitted`.
          argument: name of the molecules in the warning.
        """
        away = np.median(np.abs(residuals), axis=0) / self.spread
        names = np.array(self.target_names)[away > _FAR]
        if len(names):
            warnings.warn(
                f"the targets {', '.join(names)} of `{argument}` are {away.max():.0f} times the "
                "spread of the model's targets from what it expects: check that they are of the "
                "same kind (total energies in place of atomization energies, for example, are not)",
                stacklevel=3,
            )

    def unfamiliar(self, molecules: datasets.Molecules) -> np.ndarray:
        """Returns how unlike the training molecules the molecules are, [num_molecules] float64.

        It is the largest distance of a feature from its range in training, in units of the width of
        the range, and 0 if all features are within their ranges. The ranges are those of the
        molecules of `for_data` and of every training since. The features are numbers of atoms
        and bonds by element; the smallest and largest distance of an atom to its nearest atom by
        element, and of bonded atoms by elements, whose ranges are widened by 0.05 angstrom; the
        number of parts that no bond joins; whether an electron has no partner, if there is no
        charge; and which numbers of bonds the atoms of an element have, with what bond valence, see
        `familiarity.features`. After training on molecules such as QM9's, it is positive for larger
        molecules, bonds of other elements, stretched and broken bonds, missing hydrogens, several
        molecules at once, radicals, ions of a single charge, and positions in a wrong unit. It says
        nothing about new arrangements of familiar bonds, nor about isotopes, which are their
        element.

        Args:
          molecules: any number, of elements in `elements`.

        Raises:
          ValueError: if a molecule has another element, or the model's file is of a version that
            kept no ranges.
          TypeError: if `molecules` are not Molecules.
        """
        check_type(molecules, "molecules")
        if self.training_ranges is None:
            raise ValueError(
                "the model's file has no ranges of training molecules: set "
                "`model.training_ranges = familiarity.training_ranges(train, model.elements)`"
            )
        features = familiarity.features(molecules, self.elements)
        return familiarity.excess(features, self.training_ranges).max(axis=1)

    def _features(self, molecules, stacklevel):
        """The features of `familiarity`, with a warning about unfamiliar molecules."""
        check_type(molecules, "molecules")
        features = familiarity.features(molecules, self.elements)  # raises for other elements
        if self.training_ranges is not None:
            problem = familiarity.problem(features, self.training_ranges, self.elements)
            if problem:
                warnings.warn(problem, stacklevel=stacklevel)
        return features

    def _difficulty(self, features, predicted):
        """[num_molecules, any] float64, what the sizes of errors depend on."""
        # An element that a molecule lacks has no distances; 1.2 angstrom are between all of them.
        known = familiarity.sizes_and_distances(features, self.elements)
        columns = np.c_[np.nan_to_num(known, nan=1.2), predicted / self.spread]
        # Errors grow with the size of a molecule, but those of the smallest, which are few and like
        # no others, are large. Hence the inverse number of heavy atoms.
        return np.c_[columns, 1.0 / np.maximum(features[:, 1], 1.0)]

    def _predicted(self, molecules, batch_size):
        result = self.fitted(molecules)
        if not len(molecules):
            return result
        for batch in datasets.plan_batches(molecules, batch_size):
            for part in chunking.chunks(*molecules.sizes[batch].T):
                rows = batch[part]
                graph = tf.nest.map_structure(tf.constant, molecules.graph(rows))
                result[rows] += self.spread * self._outputs(graph).numpy()
        extents = [readout == "extent" for readout in self.readouts]
        result[:, extents] = np.maximum(result[:, extents], 0.0)  # of distorted molecules
        return result


def check_type(molecules: Any, argument: str) -> None:
    """Checks that an argument is Molecules.

    Args:
      molecules: its value.
      argument: its name.

    Raises:
      TypeError: if they are not Molecules.
    """
    if not isinstance(molecules, datasets.Molecules):
        raise TypeError(
            f"`{argument}` must be Molecules, from `datasets.read_molecules` or "
            f"`datasets.molecules_from_smiles` for example, got {type(molecules).__name__}"
        )
