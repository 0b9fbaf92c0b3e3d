"""TFP bijectors whose event is a GraphsTuple."""

from gnf_tf.bijectors.base import GraphBijector
from gnf_tf.bijectors.batch_norm import GraphBatchNorm
from gnf_tf.bijectors.coupling import GraphCoupling, MakeConditioner
from gnf_tf.bijectors.gnf import GNF, GNFStep

__all__ = ["GNF", "GNFStep", "GraphBatchNorm", "GraphBijector", "GraphCoupling", "MakeConditioner"]
