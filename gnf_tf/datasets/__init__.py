"""Data sets, and batches of them."""

from gnf_tf.datasets.batching import GraphDataset, batches, plan_batches
from gnf_tf.datasets.molecules import Molecules
from gnf_tf.datasets.qm9 import QM9_TARGETS, DataError, qm9

__all__ = [
    "QM9_TARGETS",
    "DataError",
    "GraphDataset",
    "Molecules",
    "batches",
    "plan_batches",
    "qm9",
]
