"""The O(nodes) gradient engine for every reversible stack (paper, section 3.1)."""

from gnf_tf.reversible.engine import run
from gnf_tf.reversible.layers import (
    MEMORY_MODES,
    Memory,
    ReversibleLayer,
    check_memory,
    half_sizes,
)
from gnf_tf.reversible.loop import Loop

__all__ = ["MEMORY_MODES", "Loop", "Memory", "ReversibleLayer", "check_memory", "half_sizes", "run"]
