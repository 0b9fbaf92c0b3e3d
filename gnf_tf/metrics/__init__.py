"""How like a data set generated graphs are, how new, and how well an auto-encoder restores them.

Graphs are undirected and simple: a sequence of networkx graphs, or a GraphsTuple. All of it runs
in numpy and scipy, on any machine.
"""

from gnf_tf.metrics.edges import WrongEdges, wrong_edges
from gnf_tf.metrics.evaluation import evaluate
from gnf_tf.metrics.isomorphism import isomorphism_classes, novelty, uniqueness
from gnf_tf.metrics.matching import matched
from gnf_tf.metrics.mmd import MMDInterval, mmd, mmd_interval
from gnf_tf.metrics.orbits import orbit_counts
from gnf_tf.metrics.scores import (
    classification_scores,
    gaussian_nll,
    mean_and_deviation,
    mean_per_node,
)
from gnf_tf.metrics.statistics import KERNELS, STATISTICS, describe, kernel_matrix
from gnf_tf.metrics.validity import is_connected, is_ego, is_grid, is_two_communities, validity

__all__ = [
    "KERNELS",
    "STATISTICS",
    "MMDInterval",
    "WrongEdges",
    "classification_scores",
    "describe",
    "evaluate",
    "gaussian_nll",
    "is_connected",
    "is_ego",
    "is_grid",
    "is_two_communities",
    "isomorphism_classes",
    "kernel_matrix",
    "matched",
    "mean_and_deviation",
    "mean_per_node",
    "mmd",
    "mmd_interval",
    "novelty",
    "orbit_counts",
    "uniqueness",
    "validity",
    "wrong_edges",
]
