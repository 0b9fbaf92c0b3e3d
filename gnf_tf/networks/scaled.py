"""Networks whose output is multiplied by a constant."""

from typing import Any

import sonnet as snt
from graph_nets.graphs import GraphsTuple

__all__ = ["Scaled"]


class Scaled(snt.Module):
    """A network's new nodes, times a factor that isn't trained.

    In a stack of N steps each step's share of the result, and the gradient to its weights, are a
    factor 1 / N of what they are alone. Small initial weights give that to the first result only:
    an optimizer whose steps have a size of their own, as Adam's, moves all N outputs by as much as
    a single one's. With a factor of 1 / N the stack moves as one step does, so that the learning
    rate needn't fall with depth.
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

    @property
    def takes_seed(self) -> bool:
        """Whether the network has dropout, see `GraphCoupling`."""
        return getattr(self._network, "takes_seed", False)

    def __call__(self, graph: GraphsTuple, **options: Any) -> GraphsTuple:
        nodes = self._network(graph, **options).nodes
        return graph.replace(nodes=self._scale * nodes)
