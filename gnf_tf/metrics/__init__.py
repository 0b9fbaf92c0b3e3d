"""Metrics of generated graphs (section 5.2.2) and of graph auto-encoders (section 5.2.1).

Graphs are undirected and simple: a sequence of networkx graphs, or a GraphsTuple. The metrics are
computed by numpy, scipy and networkx, without TensorFlow. `evaluate` reports all metrics of
generated graphs at once. `classification_scores`, `mean_per_node` and `gaussian_nll` score
classifiers of nodes and densities.
"""

from gnf_tf.metrics.comparison import comparison, over_runs
from gnf_tf.metrics.edges import WrongEdges, wrong_edges
from gnf_tf.metrics.evaluation import evaluate
from gnf_tf.metrics.isomorphism import isomorphism_classes, novelty, uniqueness
from gnf_tf.metrics.mmd import MMDInterval, mmd, mmd_interval
from gnf_tf.metrics.orbits import orbit_counts
from gnf_tf.metrics.protocols import PROTOCOLS, SCHEMES, Protocol, Published, published
from gnf_tf.metrics.scores import (
    classification_scores,
    gaussian_nll,
    mean_and_deviation,
    mean_per_node,
)
from gnf_tf.metrics.statistics import KERNELS, STATISTICS, describe, kernel_matrix
from gnf_tf.metrics.validity import (
    is_connected,
    is_ego,
    is_grid,
    is_planar,
    is_stochastic_blocks,
    is_two_communities,
    shared_structure,
    valid_unique_novel,
    validity,
)

__all__ = [
    "KERNELS",
    "PROTOCOLS",
    "SCHEMES",
    "STATISTICS",
    "MMDInterval",
    "Protocol",
    "Published",
    "WrongEdges",
    "classification_scores",
    "comparison",
    "describe",
    "evaluate",
    "gaussian_nll",
    "is_connected",
    "is_ego",
    "is_grid",
    "is_planar",
    "is_stochastic_blocks",
    "is_two_communities",
    "isomorphism_classes",
    "kernel_matrix",
    "mean_and_deviation",
    "mean_per_node",
    "mmd",
    "mmd_interval",
    "novelty",
    "orbit_counts",
    "over_runs",
    "published",
    "shared_structure",
    "uniqueness",
    "valid_unique_novel",
    "validity",
    "wrong_edges",
]
