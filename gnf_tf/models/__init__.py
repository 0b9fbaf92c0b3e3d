"""Models to train, save and use; each is a `tf.Module` with a configuration and one file."""

from gnf_tf.models.auto_encoder import GraphAutoEncoder
from gnf_tf.models.flow_auto_encoder import FlowAutoEncoder
from gnf_tf.models.generator import GeneratorConfig, GraphGenerator
from gnf_tf.models.graph_density import DensityConfig, GraphDensity
from gnf_tf.models.grevnet import GRevNet
from gnf_tf.models.molecule_regressor import MoleculeRegressor, RegressorConfig
from gnf_tf.models.neumann_rbp import NeumannRBP
from gnf_tf.models.node_classifier import ClassifierConfig, NodeClassifier
from gnf_tf.models.position_flow import PositionConfig, PositionFlow
from gnf_tf.models.pretrained import pretrained
from gnf_tf.models.saving import Model, load

__all__ = [
    "ClassifierConfig",
    "DensityConfig",
    "FlowAutoEncoder",
    "GRevNet",
    "GeneratorConfig",
    "GraphAutoEncoder",
    "GraphDensity",
    "GraphGenerator",
    "Model",
    "MoleculeRegressor",
    "NeumannRBP",
    "NodeClassifier",
    "PositionConfig",
    "PositionFlow",
    "RegressorConfig",
    "load",
    "pretrained",
]
