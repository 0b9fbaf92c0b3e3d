"""The O(nodes) gradient engine for every reversible stack (paper, section 3.1)."""

from gnf_tf.reversible.engine import run
from gnf_tf.reversible.loop import Loop
from gnf_tf.reversible.steps import (
    MEMORY_MODES,
    Memory,
    ReversibleStep,
    check_memory,
    half_sizes,
)

__all__ = ["MEMORY_MODES", "Loop", "Memory", "ReversibleStep", "check_memory", "half_sizes", "run"]
