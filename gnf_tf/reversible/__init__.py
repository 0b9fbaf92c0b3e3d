"""The O(nodes) gradient engine for every reversible stack (paper, section 3.1)."""

from gnf_tf.reversible.engine import MEMORY_MODES, Memory, ReversibleStep, run
from gnf_tf.reversible.loop import Loop

__all__ = ["MEMORY_MODES", "Loop", "Memory", "ReversibleStep", "run"]
