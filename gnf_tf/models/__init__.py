"""Models made of the library's parts."""

from gnf_tf.models.auto_encoder import FlowAutoEncoder, GraphAutoEncoder
from gnf_tf.models.generator import GeneratorConfig, GraphGenerator
from gnf_tf.models.grevnet import GRevNet
from gnf_tf.models.neumann_rbp import NeumannRBP

__all__ = [
    "FlowAutoEncoder",
    "GRevNet",
    "GeneratorConfig",
    "GraphAutoEncoder",
    "GraphGenerator",
    "NeumannRBP",
]
