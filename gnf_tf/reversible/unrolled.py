"""Layers executed one by one, as many operations as there are layers."""

from gnf_tf.custom_gradient import local
from gnf_tf.reversible.gradient import Inputs, backward, forward

__all__ = ["Unrolled"]


class Unrolled:
    """The `Execution` of a sequence of layers."""

    def __init__(self, layers, graph, conditional_input, **options):
        """The arguments are those of `run`; the seed is int32 [2] or None."""
        self._inputs = Inputs(layers, graph, conditional_input, **options)
        self.tensors = self._inputs.tensors

    def forward(self, halves, tensors):
        steps = self._inputs.steps()
        halves, log_det, statistics = forward(self._inputs, steps, halves, tensors)
        for step, of_batch in zip(steps, statistics, strict=True):
            if of_batch:
                step.layer.update_statistics(*of_batch)
        return halves, log_det, statistics

    def backward(self, halves, d_halves, d_log_det, tensors, statistics):
        _, *gradients = backward(
            self._inputs,
            self._inputs.steps(),
            statistics,
            halves,
            d_halves,
            d_log_det,
            local(tensors),
        )
        return gradients
