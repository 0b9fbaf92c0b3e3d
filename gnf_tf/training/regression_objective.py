"""Training of a `MoleculeRegressor` by mean absolute errors."""

import dataclasses
import warnings
from typing import ClassVar

import numpy as np
import tensorflow as tf
import tf_keras

from gnf_tf import datasets, options
from gnf_tf.graphs import GraphsTuple
from gnf_tf.models import familiarity
from gnf_tf.models.molecule_regressor import MoleculeRegressor
from gnf_tf.training.objective import Objective, Settings

__all__ = ["RegressionObjective", "RegressionSettings"]

SHOWN = 500  # molecules in TensorBoard's figures


@dataclasses.dataclass(frozen=True)
class RegressionSettings(Settings):
    """The training settings of a `MoleculeRegressor`."""

    l2: options.NotNegative = 0.0
    """factor of the L2 penalty, half the sum of squares of all weights"""
    target_weights: options.Weights = dataclasses.field(default_factory=dict)
    """pairs of a target and its weight in the loss, as in "--target-weights mu 2 alpha 3"; the
    others have 1"""


class RegressionObjective(Objective):
    """Minimizes the mean absolute error over molecules and targets, plus an L2 penalty.

    The error of each target is divided by its `spread`, see `MoleculeRegressor`, and the mean over
    targets is weighted by `target_weights`. The metrics `mae/...` are in units of the targets.
    `train` and `validation` are `datasets.Molecules`; without `validation`, `train` serves for
    validation.
    """

    settings_class = RegressionSettings
    loss_name: ClassVar[str] = "mean absolute error (normalized)"
    module: MoleculeRegressor

    def __init__(
        self,
        module: MoleculeRegressor,
        settings: RegressionSettings,
        seed: int,
        train: datasets.Molecules,
        validation: datasets.Molecules | None,
    ):
        validation = train if validation is None else validation
        for name, molecules in (("train", train), ("validation", validation)):
            module.check_targets(molecules, name)
            if not len(molecules):
                raise ValueError(f"`{name}` must have molecules, got none")
            molecules.element_counts(module.elements)  # raises for other elements
        shares = self._target_shares(module.target_names, settings.target_weights)
        names = [f"mae/{name}" for name in module.target_names]
        maes = [tf_keras.metrics.Mean(name=name) for name in names]
        shown = validation.select(np.arange(min(len(validation), SHOWN)))
        # The batches are in float32, which is too coarse for what a total energy is the sum of.
        train, validation = (
            dataclasses.replace(data, targets=data.targets - module.fitted(data))
            for data in (train, validation)
        )
        module.warn_of_other_targets(train.targets, "train")
        super().__init__(module, settings, seed, train, validation, maes)
        self._shares = shares
        self._shown = shown
        self.units = dict(zip(names, module.target_units, strict=True))
        # Without padding, whose edges all join one node, so that its reconstruction is inexact.
        self._first = next(iter(datasets.batches(validation, settings.batch_size, padded=False)))

    def batch_loss(self, data, is_training):
        """Returns means over the real molecules of a padded batch, see `Objective.batch_loss`.

        The targets in `data` are residuals of the model's least-squares fit.
        """
        inputs, targets, weights = data
        graph, spread = GraphsTuple(**inputs), self.module.spread
        error = tf.abs(targets / spread - self.module(graph, is_training=is_training))
        num_molecules = tf.reduce_sum(weights)
        total = tf.reduce_sum(weights * tf.reduce_mean(self._shares * error, axis=-1))
        updates = {
            f"mae/{target}": (error[:, i] * spread[i], weights)
            for i, target in enumerate(self.module.target_names)
        }
        return tf.math.divide_no_nan(total, num_molecules), num_molecules, updates

    @staticmethod
    def _target_shares(names, weights):
        """The weights of all targets, with a mean of 1, so that they do not change the step."""
        if not weights.keys() <= set(names):
            raise options.OptionError(
                "target_weights", f"weights of targets among {', '.join(names)}", weights
            )
        shares = np.array([weights.get(name, 1.0) for name in names])
        return (shares / shares.mean()).astype(np.float32)

    def begin(self) -> None:
        """Forgets the intervals, which are those of other weights, and widens the ranges."""
        module = self.module
        module.intervals = None
        if module.training_ranges is not None:
            found = familiarity.training_ranges(self._train, module.elements)
            module.training_ranges = familiarity.joined(module.training_ranges, found)

    def penalty(self):
        """Returns the L2 penalty."""
        if not self.settings.l2:
            return 0.0
        return self.settings.l2 * tf.add_n([tf.nn.l2_loss(v) for v in self.trained])

    def diagnose(self) -> dict[str, float]:
        """Returns `reconstruction_error`, max |x - inverse(net(x))| over node features x.

        It is measured on the first validation batch.
        """
        graph = self.module.embedded(GraphsTuple(**self._first[0]))
        back = self.module.net.inverse(self.module.net(graph))
        error = tf.reduce_max(tf.abs(back.nodes - graph.nodes))
        return {"reconstruction_error": float(error)}

    def summarize(self) -> None:
        """Draws predictions against targets, one figure for each target."""
        from gnf_tf import plots

        sample = self._shown
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the user chose these molecules
            predicted = self.module.predict(sample, self.settings.batch_size)
        for i, (name, unit) in enumerate(
            zip(sample.target_names, sample.target_units, strict=True)
        ):
            figure = plots.predicted_against_true(
                sample.targets[:, [i]], predicted[:, [i]], [name], [unit]
            )
            tf.summary.image(f"predicted_against_true/{name}", plots.to_image(figure))
