"""Training of the models of `gnf_tf.models`, by `fit`."""

from gnf_tf.training import distribution
from gnf_tf.training.density_objective import (
    DensityObjective,
    DensitySettings,
    samples_figure,
)
from gnf_tf.training.fit import History, fit, set_seed
from gnf_tf.training.generator_objective import GeneratorObjective, GeneratorSettings
from gnf_tf.training.node_evaluation import evaluate_nodes
from gnf_tf.training.node_objective import NodeObjective, NodeSettings
from gnf_tf.training.objective import Objective, Settings
from gnf_tf.training.objectives import OBJECTIVES
from gnf_tf.training.position_objective import PositionObjective, PositionSettings
from gnf_tf.training.regression_objective import RegressionObjective, RegressionSettings
from gnf_tf.training.run_folder import environment, number, open_run, read_json, write_json
from gnf_tf.training.tensorboard import show_figure, write_projector, write_scores

__all__ = [
    "OBJECTIVES",
    "DensityObjective",
    "DensitySettings",
    "GeneratorObjective",
    "GeneratorSettings",
    "History",
    "NodeObjective",
    "NodeSettings",
    "Objective",
    "PositionObjective",
    "PositionSettings",
    "RegressionObjective",
    "RegressionSettings",
    "Settings",
    "distribution",
    "environment",
    "evaluate_nodes",
    "fit",
    "number",
    "open_run",
    "read_json",
    "samples_figure",
    "set_seed",
    "show_figure",
    "write_json",
    "write_projector",
    "write_scores",
]
