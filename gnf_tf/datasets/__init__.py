"""Data sets, and batches of them."""

from gnf_tf.datasets.batching import GraphDataset, batches, plan_batches
from gnf_tf.datasets.floors import (
    Estimate,
    independent_floor,
    independent_log_prob,
    log_prob,
    nll_floor,
)
from gnf_tf.datasets.molecules import Molecules
from gnf_tf.datasets.qm9 import QM9_TARGETS, DataError, qm9
from gnf_tf.datasets.synthetic import POINT_SETS, PointSets, half_moons_6, mog, mog_ring

__all__ = [
    "POINT_SETS",
    "QM9_TARGETS",
    "DataError",
    "Estimate",
    "GraphDataset",
    "Molecules",
    "PointSets",
    "batches",
    "half_moons_6",
    "independent_floor",
    "independent_log_prob",
    "log_prob",
    "mog",
    "mog_ring",
    "nll_floor",
    "plan_batches",
    "qm9",
]
