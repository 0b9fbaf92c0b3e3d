"""Training of a `MoleculeRegressor`: mean absolute errors."""

import dataclasses
from typing import ClassVar

import numpy as np
import tensorflow as tf
import tf_keras

from gnf_tf import datasets, options
from gnf_tf.graphs import GraphsTuple
from gnf_tf.models.molecule_regressor import MoleculeRegressor
from gnf_tf.training import distribution
from gnf_tf.training.objective import Objective, Settings

__all__ = ["RegressionObjective", "RegressionSettings"]

SHOWN = 500  # molecules drawn in TensorBoard after each epoch


@dataclasses.dataclass(frozen=True)
class RegressionSettings(Settings):
    """How a `MoleculeRegressor` is trained."""

    l2: options.NotNegative = 0.0
    """weight of half the sum of squares of all weights"""


class RegressionObjective(Objective):
    """The mean absolute error over molecules and targets, in units of each target's `spread`.

    `train` and `validation` are `datasets.Molecules`.
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
            if molecules.target_names != module.target_names:
                raise ValueError(
                    f"`{name}` must have the model's targets, {', '.join(module.target_names)}, "
                    f"got {', '.join(molecules.target_names) or 'none'}"
                )
            molecules.element_counts(module.elements)  # checks
        names = [f"mae/{name}" for name in module.target_names]
        super().__init__(module, settings, seed, [tf_keras.metrics.Mean(name=n) for n in names])
        self.units = dict(zip(names, module.target_units, strict=True))
        self._train, self._validation = train, validation
        self._first = next(iter(datasets.batches(validation, settings.batch_size)))

    @property
    def steps_per_epoch(self) -> int:
        """See `Objective.steps_per_epoch`."""
        return -(-len(self._train) // self.settings.batch_size)

    def training_stream(self, first_epoch, skip):
        """See `Objective.training_stream`."""
        return distribution.dealt(
            datasets.batches,
            self._train,
            self.settings.batch_size,
            skip=skip,
            seed=self.seed,
            first_epoch=first_epoch,
        )

    def validation_stream(self):
        """See `Objective.validation_stream`."""
        stream = distribution.dealt(datasets.batches, self._validation, self.settings.batch_size)
        return stream, -(-len(self._validation) // self.settings.batch_size)

    def batch_loss(self, data, is_training):
        """See `Objective.batch_loss`; padding weighs nothing."""
        inputs, targets, weights = data
        graph, spread = GraphsTuple(**inputs), self.module.spread
        goal = (targets - self.module.baseline(graph)) / spread
        error = tf.abs(goal - self.module(graph, is_training=is_training))
        num_molecules = tf.reduce_sum(weights)
        total = tf.reduce_sum(weights * tf.reduce_mean(error, axis=-1))
        updates = {
            f"mae/{target}": (error[:, i] * spread[i], weights)
            for i, target in enumerate(self.module.target_names)
        }
        return tf.math.divide_no_nan(total, num_molecules), num_molecules, updates

    def penalty(self):
        """Half the sum of squares of the weights, weighted."""
        if not self.settings.l2:
            return 0.0
        return self.settings.l2 * tf.add_n([tf.nn.l2_loss(v) for v in self.trained])

    def diagnose(self) -> dict[str, float]:
        """`reconstruction_error`: the largest of a node feature, after GRevNet and its inverse."""
        graph = self.module.embedded(GraphsTuple(**self._first[0]))
        back = self.module.net.inverse(self.module.net(graph))
        error = tf.reduce_max(tf.abs(back.nodes - graph.nodes))
        return {"reconstruction_error": float(error)}

    def summarize(self) -> None:
        """Draws predictions against targets, a picture for each target."""
        from gnf_tf import plots

        sample = self._validation.select(np.arange(min(len(self._validation), SHOWN)))
        predicted = self.module.predict(sample, self.settings.batch_size)
        for i, (name, unit) in enumerate(
            zip(sample.target_names, sample.target_units, strict=True)
        ):
            figure = plots.predicted_against_true(
                sample.targets[:, [i]], predicted[:, [i]], [name], [unit]
            )
            tf.summary.image(f"predicted_against_true/{name}", plots.to_image(figure))
