"""gnf_tf: graph normalizing flows and reversible graph neural networks for TensorFlow."""

from gnf_tf import (
    bijectors,
    datasets,
    distributions,
    graphs,
    metrics,
    models,
    networks,
    plots,
    reversible,
    seeds,
    training,
)
from gnf_tf.bijectors import (
    GNF,
    GNFStep,
    GraphActNorm,
    GraphBatchNorm,
    GraphCoupling,
    GraphMeanScale,
    GraphMixing,
)
from gnf_tf.distributions import NodePrior

__version__ = "0.1.0"

__all__ = [
    "GNF",
    "GNFStep",
    "GraphActNorm",
    "GraphBatchNorm",
    "GraphCoupling",
    "GraphMeanScale",
    "GraphMixing",
    "NodePrior",
    "__version__",
    "bijectors",
    "datasets",
    "distributions",
    "graphs",
    "metrics",
    "models",
    "networks",
    "plots",
    "reversible",
    "seeds",
    "training",
]
