"""A deep network for couplings: attention and perceptrons with residual connections."""

import math
from collections.abc import Sequence

import sonnet as snt
import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import graphs
from gnf_tf.custom_gradient import silu
from gnf_tf.networks.arguments import check_positive
from gnf_tf.networks.attention import DotProductAttention
from gnf_tf.networks.linear import Linear, output_layer

__all__ = ["GraphTransformer"]


class GraphTransformer(snt.Module):
    """An embedding, `num_blocks` blocks of attention and a perceptron, and a linear output.

        z = W_1 silu(W_0 h + b_0) + b_1
        z = z + attention(norm(z)),  z = z + MLP(norm(z))      in each block
        output = W norm(z) + b,      norm(z) = z / sqrt(mean(z^2) + 1e-6)

    nodes h [num_nodes, any] -> [num_nodes, output_size]. Globals, where they are not None and of
    positive width, are concatenated to h; edge features are not used.

    Choose it over `AttentionBlock`, the paper's network, for densities of low-dimensional sets: a
    half of their node features may be a single number, and the embedding makes it wide and
    nonlinear, so that attention can tell apart nodes that are close to each other.
    """

    def __init__(
        self,
        width: int,
        output_size: int,
        *,
        num_heads: int = 4,
        num_blocks: int = 1,
        output_scale: float = 0.0,
        fully_connected: bool | Sequence[bool] = False,
        max_num_nodes: int | None = None,
        name: str | None = None,
    ):
        """Stores the sizes; variables are made at the first call, in the nodes' dtype.

        Args:
          width: width of z, a multiple of `num_heads`; the hidden layers of the perceptrons are
            twice as wide.
          output_size: width of the new node features.
          num_heads: number of attention heads; with 0 there is no attention, and every node is on
            its own.
          num_blocks: number of blocks, at least 1.
          output_scale: factor of the last layer's initial weights, see `linear.output_layer`.
          fully_connected: see `DotProductAttention`. One value for all blocks, or one for each:
            (False, True) attends along the edges, then to all nodes.
          max_num_nodes: see `DotProductAttention`.
          name: as in Sonnet.

        Raises:
          ValueError: for an argument out of its range.
        """
        super().__init__(name=name)
        check_positive(width=width, num_blocks=num_blocks)
        if num_heads < 0 or (num_heads and width % num_heads):
            raise ValueError(f"`num_heads` must be 0 or divide `width`, {width}, got {num_heads}")
        if isinstance(fully_connected, bool):
            fully_connected = (fully_connected,) * num_blocks
        if len(fully_connected) != num_blocks:
            raise ValueError(
                f"`fully_connected` must be a bool or one for each of {num_blocks} blocks, "
                f"got {fully_connected!r}"
            )
        self._width = width
        self._output = output_layer(output_size, output_scale)
        self._project = Linear(width, name="project")
        self._attentions = [
            DotProductAttention(
                num_heads,
                width // num_heads,
                fully_connected=to_all,
                max_num_nodes=max_num_nodes,
            )
            for to_all in (fully_connected if num_heads else ())
        ]
        self._hidden = [Linear(2 * width, name="hidden") for _ in range(num_blocks)]
        self._merge = [
            Linear(width, w_init=snt.initializers.VarianceScaling(0.25), name="merge")
            for _ in range(num_blocks)
        ]

    @snt.once
    def _initialize(self, input_size):
        spread = snt.initializers.RandomNormal(stddev=2.0)
        scaled = snt.initializers.RandomNormal(stddev=2.0 / math.sqrt(input_size))
        self._embed = Linear(self._width, w_init=scaled, b_init=spread, name="embed")

    def __call__(self, graph: GraphsTuple) -> GraphsTuple:
        features = graph.nodes
        if graph.globals is not None and graph.globals.shape[-1]:
            of_graph = graphs.to_nodes(graph.globals, graph)
            features = tf.concat([features, of_graph], axis=-1)
        self._initialize(features.shape[-1])
        z = self._project(silu(self._embed(features)))
        for i, (hidden, merge) in enumerate(zip(self._hidden, self._merge, strict=True)):
            if self._attentions:
                z += self._attentions[i](graph.replace(nodes=_normalized(z))).nodes
            z += merge(silu(hidden(_normalized(z))))
        return graph.replace(nodes=self._output(_normalized(z)))


def _normalized(z):
    return z * tf.math.rsqrt(tf.reduce_mean(tf.square(z), axis=-1, keepdims=True) + 1e-6)
