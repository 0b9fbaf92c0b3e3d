"""Layers executed one by one, as many operations as there are layers."""

from gnf_tf.reversible.gradient import Inputs, backward, local
from gnf_tf.reversible.layers import directed, forward

__all__ = ["Unrolled"]


class Unrolled:
    """The `Execution` of a sequence of layers."""

    def __init__(self, layers, graph, conditional_input, *, inverse, memory, is_training, seed):
        """The arguments are those of `run`; the seed is int32 [2] or None."""
        # The stored gradient is TensorFlow's own, and needs no list of what the layers hold.
        held_by = layers if memory == "reversible" else ()
        self._inputs = Inputs(graph, conditional_input, is_training, held_by)
        self.tensors = self._inputs.tensors
        self._layers = layers
        self._inverse = inverse
        self._seed = seed

    def forward(self, halves, tensors):
        layers, seeds = directed(self._layers, self._seed, self._inverse)
        return forward(layers, seeds, halves, self._inputs.context(tensors))

    def backward(self, halves, d_halves, d_log_det, tensors, statistics):
        tensors = local(tensors)
        # Not the variables themselves: the gradient of a loop or a branch can't reach them.
        layers, seeds = directed(self._inputs.layers(tensors), self._seed, self._inverse)
        seen = self._inputs.seen()
        _, *gradients = backward(
            layers,
            seeds,
            statistics,
            halves,
            d_halves,
            d_log_det,
            self._inputs.context(tensors),
            tensors,
            seen[::-1] if self._inverse else seen,
        )
        return gradients
