"""TFP bijectors whose event is a GraphsTuple."""

from gnf_tf.bijectors.act_norm import GraphActNorm
from gnf_tf.bijectors.base import GraphBijector
from gnf_tf.bijectors.batch_norm import GraphBatchNorm
from gnf_tf.bijectors.coupling import Additive, Affine, GraphCoupling
from gnf_tf.bijectors.gnf import GNF, GNFStep
from gnf_tf.bijectors.mean_scale import GraphMeanScale
from gnf_tf.bijectors.mixing import GraphMixing
from gnf_tf.bijectors.spline import Spline
from gnf_tf.bijectors.vector_affine import VectorAffine
from gnf_tf.networks.conditioner import MakeConditioner

__all__ = [
    "GNF",
    "Additive",
    "Affine",
    "GNFStep",
    "GraphActNorm",
    "GraphBatchNorm",
    "GraphBijector",
    "GraphCoupling",
    "GraphMeanScale",
    "GraphMixing",
    "MakeConditioner",
    "Spline",
    "VectorAffine",
]
