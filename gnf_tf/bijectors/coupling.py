"""Affine couplings by message passing: half of a GRevNet step (paper, equation 3)."""

from collections.abc import Callable
from typing import Literal

import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import graphs
from gnf_tf.bijectors.base import GraphBijector

__all__ = ["Conditioner", "Coupling", "GraphCoupling", "MakeConditioner"]

Conditioner = Callable[[GraphsTuple], GraphsTuple]
MakeConditioner = Callable[[int], Conditioner]
Coupling = Literal["affine", "additive"]


class GraphCoupling(GraphBijector):
    """One half of the node features moves by message passing on the other half.

    With the features split as [kept, changed] (or the other way round) and
    `log_scale, shift = conditioner(kept)`, message passing along the edges:

        forward:   changed' = changed * exp(log_scale) + shift
        inverse:   changed  = (changed' - shift) * exp(-log_scale)
        log|det|:  sum of log_scale over the nodes of a graph and the features

    The raw log-scale s of the network is bounded smoothly, `log_scale = b tanh(s / b)` with
    b = `max_log_scale`: one step stretches by at most exp(b), which is what keeps a deep stack
    invertible in floating point. `coupling="additive"` has log_scale = 0 (volume preserving).
    """

    def __init__(
        self,
        make_conditioner: MakeConditioner,
        node_size: int,
        *,
        updates: int = 0,
        coupling: Coupling = "affine",
        max_log_scale: float = 2.0,
        edge_size: int = 0,
        global_size: int = 0,
        dtype: tf.DType = tf.float32,
        memory: str = "reversible",
        validate_args: bool = False,
        name: str = "graph_coupling",
    ):
        """Makes the conditioner and builds its variables.

        Args:
          make_conditioner: output width -> a network GraphsTuple -> GraphsTuple; called once. The
            network gets nodes [num_nodes, node_size / 2] and must return that many rows of the
            asked width: node_size for "affine" (log-scale, then shift), node_size / 2 otherwise.
          node_size: width of the node features, even.
          updates: which half changes, 0 (the first) or 1.
          coupling: "affine" or "additive".
          max_log_scale: b above, positive.
          edge_size: width of the graphs' edge features.
          global_size: width of the graphs' global features.
          dtype: float type of the graphs.
          memory: see `gnf_tf.reversible.run`.
          validate_args: check the values of each graph too.
          name: as TFP.

        Raises:
          ValueError: for an argument out of its range, or a conditioner of the wrong width.
        """
        parameters = dict(locals())
        if updates not in (0, 1):
            raise ValueError(f"`updates` must be 0 or 1, got {updates!r}")
        if coupling not in ("affine", "additive"):
            raise ValueError(f"`coupling` must be 'affine' or 'additive', got {coupling!r}")
        if not max_log_scale > 0:
            raise ValueError(f"`max_log_scale` must be positive, got {max_log_scale}")
        super().__init__(
            node_size,
            memory=memory,
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )
        self.updates = updates
        self._coupling = coupling
        self._max_log_scale = max_log_scale
        output_size = node_size if coupling == "affine" else node_size // 2
        self._conditioner = make_conditioner(output_size)
        # Variables made here, not at the first call: a tf.function, a checkpoint or an optimizer
        # then finds them whatever comes first.
        sample = graphs.fully_connected([2], node_size // 2, dtype=dtype)
        sample = sample.replace(
            edges=tf.zeros([sample.edges.shape[0], edge_size], dtype),
            globals=tf.zeros([1, global_size], dtype),
        )
        with tf.init_scope():
            shape = self._conditioner(sample).nodes.shape
        if shape != [2, output_size]:
            raise ValueError(
                f"`make_conditioner({output_size})` must give a network with nodes of width "
                f"{output_size}, one row a node; 2 nodes gave shape {shape}"
            )

    @property
    def conditioner(self) -> Conditioner:
        """The network that maps the kept half to log-scale and shift."""
        return self._conditioner

    @property
    def steps(self):
        return (self,)

    def condition(self, kept, graph, is_training):
        """`(log_scale, shift)`, each [num_nodes, node_size / 2]; log_scale None if additive."""
        del is_training
        output = self._conditioner(graph.replace(nodes=kept)).nodes
        if self._coupling == "additive":
            return None, output
        raw, shift = tf.split(output, 2, axis=-1)
        return self._max_log_scale * tf.tanh(raw / self._max_log_scale), shift

    def transform(self, changed, params):
        """Equation 3, one half step, with log|det| per node."""
        log_scale, shift = params
        if log_scale is None:
            return changed + shift, tf.zeros_like(changed[:, 0]), None
        return changed * tf.exp(log_scale) + shift, tf.reduce_sum(log_scale, axis=-1), None

    def invert(self, changed, params, residual=None):
        """Equation 4, one half step, with log|det| per node."""
        del residual
        log_scale, shift = params
        if log_scale is None:
            return changed - shift, tf.zeros_like(changed[:, 0])
        return (changed - shift) * tf.exp(-log_scale), -tf.reduce_sum(log_scale, axis=-1)

    def update_statistics(self, residual):
        """A coupling has none."""
