"""A network whose output is multiplied by a constant."""

from typing import Any

import sonnet as snt
from graph_nets.graphs import GraphsTuple

__all__ = ["Scaled"]


class Scaled(snt.Module):
    """Multiplies the nodes that a network returns, [num_nodes, any], by a constant factor.

    Use it in deep stacks, with the factor 1 / T for T steps. A small `output_scale` of the network
    keeps a stack close to the identity only at first: Adam moves each weight by about the learning
    rate, and so moves the whole stack T times as far as one step. With the factor the stack moves
    as far as one step, and the learning rate need not fall with depth.
    """

    def __init__(self, network: snt.Module, scale: float, *, name: str | None = None):
        """Stores the network and the factor.

        Args:
          network: GraphsTuple -> GraphsTuple.
          scale: the factor, positive.
          name: as in Sonnet.

        Raises:
          ValueError: if `scale` is not positive.
        """
        super().__init__(name=name)
        if not scale > 0:
            raise ValueError(f"`scale` must be positive, got {scale}")
        self._network = network
        self._scale = scale
        self.takes_seed = getattr(network, "takes_seed", False)  # see `GraphCoupling`

    def __call__(self, graph: GraphsTuple, **options: Any) -> GraphsTuple:
        nodes = self._network(graph, **options).nodes
        return graph.replace(nodes=self._scale * nodes)
