"""The objective that trains each model."""

from gnf_tf.models.generator import GraphGenerator
from gnf_tf.models.graph_density import GraphDensity
from gnf_tf.models.molecule_regressor import MoleculeRegressor
from gnf_tf.models.node_classifier import NodeClassifier
from gnf_tf.models.position_flow import PositionFlow
from gnf_tf.models.saving import Model
from gnf_tf.training.density_objective import DensityObjective
from gnf_tf.training.generator_objective import GeneratorObjective
from gnf_tf.training.node_objective import NodeObjective
from gnf_tf.training.objective import Objective
from gnf_tf.training.position_objective import PositionObjective
from gnf_tf.training.regression_objective import RegressionObjective

__all__ = ["OBJECTIVES"]

OBJECTIVES: dict[type[Model], type[Objective]] = {
    GraphDensity: DensityObjective,
    GraphGenerator: GeneratorObjective,
    MoleculeRegressor: RegressionObjective,
    NodeClassifier: NodeObjective,
    PositionFlow: PositionObjective,
}
