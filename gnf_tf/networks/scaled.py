"""Networks whose output is multiplied by a constant."""

from typing import Any

import sonnet as snt
from graph_nets.graphs import GraphsTuple

__all__ = ["Scaled"]


class Scaled(snt.Module):
    """A network's new nodes, times a factor that isn't trained.

    For deep stacks, with a factor of 1 / N for N steps. Small initial weights keep a stack close to
    the identity only at first: Adam moves all weights by as much as the learning rate, and so a
    stack N times as far as a single step. With the factor a stack moves as one step does, so that
    the learning rate needn't fall with depth.
    """

    def __init__(self, network: snt.Module, scale: float, *, name: str | None = None):
        """Stores both.

        Args:
          network: GraphsTuple -> GraphsTuple.
          scale: the factor, positive.
          name: as Sonnet.

        Raises:
          ValueError: for another `scale`.
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
