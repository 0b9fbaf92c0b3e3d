"""Prediction intervals by split conformal prediction with a learned scale of the errors.

Lei, G'Sell, Rinaldo, Tibshirani, Wasserman, "Distribution-free predictive inference for
regression", 2018, section 5.2.
"""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import scipy.optimize

from gnf_tf import seeds

__all__ = ["LEVELS", "Intervals"]

LEVELS = np.arange(1, 1000) / 1000  # the coverages whose quantiles are kept
# Deviations of the prior of weights of standardized features; cross-validation chooses one. Few
# molecules need weights near 0. Of many, the rare kinds can be learned, such as small molecules.
_PRIORS = (0.03, 0.1, 0.3, 1.0)
_ROUNDING = 1e-6  # of a coverage in float32


class Intervals:
    """Scales of errors by molecule, and quantiles of errors divided by their scales.

    The scale of a molecule with features x is exp(w x + w_0) with weights by target, clipped to the
    range over the molecules to which w was fitted.
    """

    def __init__(self, scale_weights: np.ndarray, scale_range: np.ndarray, quantiles: np.ndarray):
        """Stores the arrays of `fit`.

        Args:
          scale_weights: [num_features + 1, num_targets], w and then w_0.
          scale_range: [2, num_targets], the smallest and the largest logarithm of a scale.
          quantiles: [999, num_targets], the quantiles of errors by their scales for the coverages
            0.001 to 0.999, infinite where too few molecules were given.

        Raises:
          ValueError: if the shapes don't agree.
        """
        self.scale_weights = np.asarray(scale_weights, np.float64)
        self.scale_range = np.asarray(scale_range, np.float64)
        self.quantiles = np.asarray(quantiles, np.float32)  # most of what a file holds of them
        for name, length in (("scale_range", 2), ("quantiles", len(LEVELS))):
            shape = (length, self.scale_weights.shape[1])
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"`{name}` must have shape {shape}, got {getattr(self, name).shape}"
                )

    @classmethod
    def fit(cls, features: np.ndarray, errors: np.ndarray) -> Self:
        """Fits the scales to half of the molecules, and takes the quantiles of the other half.

        n molecules in the other half allow coverages up to n / (n + 1); the quantiles of larger
        ones are infinite.

        The weights w are the most probable ones for Laplace-distributed errors and a Gaussian
        prior, which is a convex problem. The deviation of the prior is, for each target, the one by
        which two halves of the molecules predict each other's errors best.

        Args:
          features: [num_molecules, num_features] float64.
          errors: [num_molecules, num_targets], absolute errors.

        Raises:
          ValueError: if there is no molecule.
        """
        if not len(features):
            raise ValueError("intervals need validation molecules, got none")
        order = seeds.generator(0).permutation(len(features))
        first, second = np.array_split(order, 2)
        mean, deviation = features[first].mean(axis=0), features[first].std(axis=0)
        deviation[deviation < 1e-6] = np.inf  # a constant feature says nothing
        scaled = np.c_[(features[first] - mean) / deviation, np.ones(len(first))]
        weights = np.stack([_cross_validated(scaled, column) for column in errors[first].T], axis=1)
        log_scales = scaled @ weights
        weights[:-1] /= deviation[:, np.newaxis]
        weights[-1] -= mean @ weights[:-1]
        limits = np.stack([log_scales.min(axis=0), log_scales.max(axis=0)])
        fitted = cls(weights, limits, np.zeros([len(LEVELS), errors.shape[1]]))
        ratios = np.sort(errors[second] / fitted.scales(features[second]), axis=0)
        # By these ranks, intervals contain a new molecule with at least the stated probability.
        ranks = np.ceil(LEVELS * (len(second) + 1) - 1e-9).astype(int)
        quantiles = np.r_[ratios, np.full([1, ratios.shape[1]], np.inf)][ranks - 1]
        fitted.quantiles = quantiles.astype(np.float32)
        return fitted

    def scales(self, features: np.ndarray) -> np.ndarray:
        """Returns the scales of the errors, [num_molecules, num_targets]."""
        known = features[:, : len(self.scale_weights) - 1]  # files of older versions lack the last
        log_scales = np.c_[known, np.ones(len(known))] @ self.scale_weights
        return np.exp(np.clip(log_scales, *self.scale_range))

    def half_widths(self, features: np.ndarray, coverage: float | Sequence[float]) -> np.ndarray:
        """Returns half of the widths of the intervals, [..., num_molecules, num_targets].

        Args:
          features: [num_molecules, num_features] float64.
          coverage: any shape [...], in (0, 0.999].

        Raises:
          ValueError: if `coverage` is out of its range.
        """
        return self.of_coverage(coverage)[..., np.newaxis, :] * self.scales(features)

    def of_coverage(self, coverage: float | Sequence[float]) -> np.ndarray:
        """Returns the quantiles of errors by their scales, [..., num_targets].

        Args:
          coverage: any shape [...], in (0, 0.999].

        Raises:
          ValueError: if `coverage` is out of its range.
        """
        try:
            asked = np.asarray(coverage)
        except ValueError:  # sequences of different lengths
            asked = np.asarray(np.nan)
        is_number = asked.dtype.kind in "iuf"
        if not is_number or not ((asked > 0) & (asked <= LEVELS[-1] + _ROUNDING)).all():
            raise ValueError(f"`coverage` must be in (0, {LEVELS[-1]}], got {coverage!r}")
        return self.quantiles[np.searchsorted(LEVELS, asked.astype(np.float64) - _ROUNDING)]

    def arrays(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return dict(vars(self))


def _cross_validated(features, errors):
    """[num_features + 1] weights by the prior with the smallest loss of held-out molecules."""
    halves = slice(0, None, 2), slice(1, None, 2)

    def loss(prior):
        total = 0.0
        for fitted, held_out in (halves, halves[::-1]):
            weights = _scale_weights(features[fitted], errors[fitted], prior)
            seen = features[fitted] @ weights
            log_scales = np.clip(features[held_out] @ weights, seen.min(), seen.max())
            total += (errors[held_out] * np.exp(-log_scales) + log_scales).sum()
        return total

    prior = _PRIORS[0] if len(features) < 2 else min(_PRIORS, key=loss)
    return _scale_weights(features, errors, prior)


def _scale_weights(features, errors, prior):
    """[num_features + 1] weights by the sum of |error| / scale + log(scale), and the prior."""
    start = np.zeros(features.shape[1])
    # In any unit; errors of exactly 0, as those of a constant target, have no scale.
    start[-1] = np.log(errors.mean() or 1.0)

    def objective(weights):
        log_scales = features @ weights
        ratios = errors * np.exp(-log_scales)
        penalized = np.r_[weights[:-1], 0.0] / prior**2
        gradient = features.T @ (1.0 - ratios) + penalized
        return (ratios + log_scales).sum() + 0.5 * weights @ penalized, gradient

    bounds = [(None, None)] * (len(start) - 1) + [(start[-1] - 10, start[-1] + 10)]
    return scipy.optimize.minimize(objective, start, jac=True, bounds=bounds, method="L-BFGS-B").x
