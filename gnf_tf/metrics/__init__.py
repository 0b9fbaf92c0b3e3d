"""Metrics of generated graphs (section 5.2.2) and of graph auto-encoders (section 5.2.1).

Graphs are undirected and simple: a sequence of networkx graphs, or a GraphsTuple. The metrics are
computed by numpy, scipy and networkx, without TensorFlow. `evaluate` reports all metrics of
generated graphs at once.
"""

from gnf_tf.metrics.edges import WrongEdges, wrong_edges
from gnf_tf.metrics.evaluation import evaluate
from gnf_tf.metrics.isomorphism import isomorphism_classes, novelty, uniqueness
from gnf_tf.metrics.mmd import MMDInterval, mmd, mmd_interval
from gnf_tf.metrics.orbits import orbit_counts
from gnf_tf.metrics.statistics import KERNELS, STATISTICS, describe, kernel_matrix
from gnf_tf.metrics.validity import is_connected, is_ego, is_grid, is_two_communities, validity

__all__ = [
    "KERNELS",
    "STATISTICS",
    "MMDInterval",
    "WrongEdges",
    "describe",
    "evaluate",
    "is_connected",
    "is_ego",
    "is_grid",
    "is_two_communities",
    "isomorphism_classes",
    "kernel_matrix",
    "mmd",
    "mmd_interval",
    "novelty",
    "orbit_counts",
    "uniqueness",
    "validity",
    "wrong_edges",
]
