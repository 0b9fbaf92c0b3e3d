"""Which objective trains which model."""

from gnf_tf.models.generator import GraphGenerator
from gnf_tf.models.molecule_regressor import MoleculeRegressor
from gnf_tf.models.saving import Model
from gnf_tf.training.generator_objective import GeneratorObjective
from gnf_tf.training.objective import Objective
from gnf_tf.training.regression_objective import RegressionObjective

__all__ = ["OBJECTIVES"]

OBJECTIVES: dict[type[Model], type[Objective]] = {
    GraphGenerator: GeneratorObjective,
    MoleculeRegressor: RegressionObjective,
}
