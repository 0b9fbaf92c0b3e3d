"""gnf_tf: graph normalizing flows and reversible graph neural networks for TensorFlow."""

import importlib
from typing import TYPE_CHECKING, Any

from gnf_tf import (
    bijectors,
    datasets,
    distributions,
    graphs,
    metrics,
    models,
    networks,
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

if TYPE_CHECKING:
    from gnf_tf import plots

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


def __getattr__(name: str) -> Any:
    if name == "plots":  # matplotlib is loaded when it is used
        return importlib.import_module("gnf_tf.plots")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
