"""Networks that compute with half the bits, between inputs and outputs of all of them."""

from typing import Any

import sonnet as snt
import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf.substitution import held_values, substituted

__all__ = ["HalfPrecision"]


class HalfPrecision(snt.Module):
    """A network whose products and activations have 16 bits: mixed precision.

    Variables, inputs and output keep their type, and sums over edges have 32 bits. So the state of
    a reversible stack does, and only what the couplings make of it is rounded: as much in the
    inverse as forward, unless the reconstructed state is itself off by enough to round another way.
    """

    def __init__(
        self,
        network: snt.Module,
        dtype: tf.DType = tf.bfloat16,
        *,
        name: str | None = None,
    ):
        """Stores the network; its variables are made at the first call, in the nodes' dtype.

        Args:
          network: GraphsTuple -> GraphsTuple, of Sonnet modules throughout.
          dtype: tf.bfloat16, which has the range of float32, or tf.float16, whose gradients vanish
            below 6e-8 unless the loss is scaled.
          name: as Sonnet.

        Raises:
          ValueError: for another `dtype`.
        """
        super().__init__(name=name)
        if dtype not in (tf.bfloat16, tf.float16):
            raise ValueError(f"`dtype` must be tf.bfloat16 or tf.float16, got {dtype!r}")
        self._network = network
        self._dtype = dtype
        self.takes_seed = getattr(network, "takes_seed", False)  # see `GraphCoupling`

    @snt.once
    def _initialize(self, graph):
        self._network(graph)

    def __call__(self, graph: GraphsTuple, **options: Any) -> GraphsTuple:
        self._initialize(graph)
        cast = {id(value): self._cast(value) for value in held_values(self._network)}
        nodes = substituted(self._network, cast)(graph.map(self._cast), **options).nodes
        return graph.replace(nodes=tf.cast(nodes, graph.nodes.dtype))

    def _cast(self, values):
        floating = values is not None and values.dtype.is_floating
        return tf.cast(values, self._dtype) if floating else values
