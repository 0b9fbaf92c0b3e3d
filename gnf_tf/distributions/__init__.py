"""TFP distributions over GraphsTuples."""

from gnf_tf.distributions.node_prior import NodePrior

__all__ = ["NodePrior"]
