"""Mixed precision for a network: 16 bits inside, the usual 32 outside."""

from typing import Any

import sonnet as snt
import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf.substitution import held_values, substituted

__all__ = ["HalfPrecision"]


class HalfPrecision(snt.Module):
    """A network whose matrix products and activations have 16 bits: mixed precision.

    Inputs, output and variables keep their type, and so do the node features of a reversible stack
    around it. Inside, the network computes with values cast to `dtype`; sums over edges are
    accumulated in 32 bits. A coupling rounds its scale and shift in the inverse as in the forward
    direction, so the map stays invertible. Reconstructed features differ in their last bits, and
    some roundings of the network with them: the inverse is less accurate than in 32 bits.

    Use it to save time and memory on hardware with 16-bit matrix products.
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
          network: GraphsTuple -> GraphsTuple; all of its parts must be Sonnet modules.
          dtype: tf.bfloat16, with the range of float32; or tf.float16, with gradients that vanish
            below 6e-8 unless the loss is scaled.
          name: as in Sonnet.

        Raises:
          ValueError: for any other `dtype`.
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
