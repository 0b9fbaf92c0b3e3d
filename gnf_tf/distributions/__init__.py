"""TFP distributions over GraphsTuples."""

from gnf_tf.distributions.node_prior import NodePrior
from gnf_tf.distributions.position_prior import PositionPrior

__all__ = ["NodePrior", "PositionPrior"]
