"""Sonnet modules GraphsTuple -> GraphsTuple, all of them permutation equivariant."""

from gnf_tf.networks.attention import AdditiveAttention, AttentionBlock, DotProductAttention
from gnf_tf.networks.convolution import GraphConvolution
from gnf_tf.networks.equivariant import EquivariantMessages
from gnf_tf.networks.half import HalfPrecision
from gnf_tf.networks.message_passing import MessagePassing
from gnf_tf.networks.mlp import MLP
from gnf_tf.networks.positions import PositionMessages
from gnf_tf.networks.ranked import Ranked
from gnf_tf.networks.scaled import Scaled
from gnf_tf.networks.transformer import GraphTransformer

__all__ = [
    "MLP",
    "AdditiveAttention",
    "AttentionBlock",
    "DotProductAttention",
    "EquivariantMessages",
    "GraphConvolution",
    "GraphTransformer",
    "HalfPrecision",
    "MessagePassing",
    "PositionMessages",
    "Ranked",
    "Scaled",
]
