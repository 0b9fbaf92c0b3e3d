"""The prior of a flow over positions: standard normal, whatever the place in space."""

import math

import tensorflow as tf

from gnf_tf import graphs
from gnf_tf.distributions.node_prior import NodePrior

__all__ = ["PositionPrior"]


class PositionPrior(NodePrior):
    """Standard normal auxiliary vectors a and positions x of particles, up to translations.

    The event is a GraphsTuple with nodes [a, x], [num_nodes, 2 d]. Translations move a and x by the
    same vector and do not change the density. So it is a density of configurations relative to
    the mean m of the positions: with N nodes in a graph, d (N - 1) coordinates of x - m in an
    orthonormal basis of the vectors whose sum over the nodes is 0, and d N coordinates of a - m:

        log p = -1/2 sum over nodes of (|x - m|^2 + |a - m|^2) - d (2 N - 1) / 2 log(2 pi)

    A sample has m = 0. The subspace without the mean is that of Koehler, Klein, Noe, "Equivariant
    flows", ICML 2020. Use `NodePrior` where the place in space matters; it is the density of all
    2 d N coordinates.
    """

    def __init__(
        self,
        topology: graphs.GraphsTuple,
        *,
        validate_args: bool = False,
        name: str = "PositionPrior",
    ):
        """Stores the topology; the arguments and errors are those of `NodePrior`.

        Raises:
          ValueError: also if the nodes have an odd width.
        """
        super().__init__(topology, validate_args=validate_args, name=name)
        width = self.topology.nodes.shape[-1]
        if width % 2:
            raise ValueError(f"`topology.nodes` must have an even width for [a, x], got {width}")

    def _call_sample_n(self, sample_shape, seed, **kwargs):
        graph = super()._call_sample_n(sample_shape, seed, **kwargs)
        # Of a - m and x - m, only the second has a mean of 0.
        mean = _mean_position(graph)
        mean = tf.concat([tf.zeros_like(mean), mean], axis=-1)
        return graph.replace(nodes=graph.nodes - mean)

    def _log_prob(self, graph):
        graph = self._checked(graph)
        mean = _mean_position(graph)
        moved = graph.replace(nodes=graph.nodes - tf.concat([mean, mean], axis=-1))
        log_prob = super()._log_prob(moved)
        missing = 0.5 * math.log(2.0 * math.pi) * (graph.nodes.shape[-1] // 2)
        return log_prob + missing * tf.cast(graph.n_node > 0, log_prob.dtype)


def _mean_position(graph):
    """[num_nodes, d], the mean of the second halves of the nodes of each node's graph."""
    positions = graph.nodes[:, graph.nodes.shape[-1] // 2 :]
    return graphs.mean_nodes(positions, graph)
