"""Couplings by message passing: half of a GRevNet step (paper, equation 3)."""

from collections.abc import Callable
from typing import Literal

import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import graphs, reversible
from gnf_tf.bijectors.base import GraphBijector
from gnf_tf.bijectors.elementwise import Additive, Affine, Elementwise, Spline

__all__ = ["Conditioner", "Coupling", "GraphCoupling", "MakeConditioner"]

Conditioner = Callable[[GraphsTuple], GraphsTuple]
MakeConditioner = Callable[[int], Conditioner]
Coupling = Literal["affine", "additive", "spline"] | Elementwise


class GraphCoupling(GraphBijector):
    """One half of the node features moves by message passing on the other half.

    With the features split as [kept, changed] (or the other way round) and
    `params = conditioner(kept)`, message passing along the edges:

        forward:   changed' = map(changed; params), feature by feature
        inverse:   changed = map^-1(changed'; params)
        log|det|:  sum of the map's log-derivatives over the nodes of a graph and the features

    The map is the paper's `Affine`, changed * exp(log_scale) + shift, or another of `elementwise`.
    """

    def __init__(
        self,
        make_conditioner: MakeConditioner,
        node_size: int,
        *,
        updates: int = 0,
        coupling: Coupling = "affine",
        max_log_scale: float = 2.0,
        conditional_size: int = 0,
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
            network gets nodes [num_nodes, node_size / 2 + conditional_size] and must return that
            many rows of the asked width: node_size / 2 times the map's parameters, parameter by
            parameter (for "affine": log-scale, then shift). One with an attribute `takes_seed`
            that is true is called with `seed`, that of the half step, where `reversible.run` has
            one: its dropout draws from it.
          node_size: width of the node features, even.
          updates: which half changes, 0 (the first) or 1.
          coupling: "affine", "additive", "spline", or a map as in `elementwise`.
          max_log_scale: of "affine", see `Affine`.
          conditional_size: width of the `conditional_input` that every call must then give.
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
        if isinstance(coupling, str):
            maps = {
                "affine": lambda: Affine(max_log_scale),
                "additive": Additive,
                "spline": Spline,
            }
            if coupling not in maps:
                raise ValueError(f"`coupling` must be one of {tuple(maps)}, got {coupling!r}")
            coupling = maps[coupling]()
        super().__init__(
            node_size,
            conditional_size=conditional_size,
            memory=memory,
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )
        self.updates = updates
        self._map = coupling
        halves = reversible.half_sizes(node_size)
        kept_size, self._changed_size = halves[1 - updates], halves[updates]
        output_size = coupling.num_params * self._changed_size
        self._conditioner = make_conditioner(output_size)
        # Variables made here, not at the first call: a tf.function, a checkpoint or an optimizer
        # then finds them whatever comes first.
        sample = graphs.fully_connected([2], kept_size + conditional_size, dtype=dtype)
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
        """The network that maps the kept half to the parameters."""
        return self._conditioner

    @property
    def steps(self):
        return (self,)

    def condition(self, kept, graph, is_training, seed=None):
        """The map's parameters."""
        del is_training
        inputs = tf.concat([kept, graph.nodes], axis=-1) if graph.nodes.shape[-1] else kept
        takes_seed = seed is not None and getattr(self._conditioner, "takes_seed", False)
        options = {"seed": seed} if takes_seed else {}
        output = self._conditioner(graph.replace(nodes=inputs), **options).nodes
        return self._map.parameters(
            tf.reshape(output, [-1, self._map.num_params, self._changed_size])
        )

    def transform(self, changed, params):
        """Equation 3, one half step, with log|det| per node."""
        changed, log_slope = self._map.forward(changed, params)
        return changed, tf.reduce_sum(log_slope, axis=-1), None

    def invert(self, changed, params, residual=None):
        """Equation 4, one half step, with log|det| per node."""
        del residual
        changed, log_slope = self._map.inverse(changed, params)
        return changed, tf.reduce_sum(log_slope, axis=-1)

    def update_statistics(self, residual):
        """A coupling has none."""
