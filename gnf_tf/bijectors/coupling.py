"""Couplings by message passing: half of a GRevNet step (paper, equation 3)."""

from collections.abc import Callable
from typing import Literal

import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import reversible
from gnf_tf.bijectors.base import GraphBijector
from gnf_tf.bijectors.elementwise import Additive, Affine, Elementwise, Spline
from gnf_tf.networks.conditioner import make_variables, sample_graph

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
        memory: reversible.Memory = "reversible",
        validate_args: bool = False,
        name: str = "graph_coupling",
    ):
        """Makes the conditioner and builds its variables.

        Args:
          make_conditioner: output width -> a network GraphsTuple -> GraphsTuple; called once. The
            network gets nodes [num_nodes, kept half + conditional_size] and must return that many
            rows of the asked width: the width of the changed half times the map's parameters,
            parameter by parameter (for "affine": log-scale, then shift). It is evaluated again in
            the gradient and the inverse, so it must be a function of its inputs, its weights and
            its `seed`. In place of `tf.nn.dropout` use `gnf_tf.networks.dropout.dropout`, or the
            option `dropout` of `MessagePassing` and `GraphConvolution`; in place of batch norm a
            `normalization` of the `GNF`; and nothing that counts or averages over calls. A network
            whose attribute `takes_seed` is true is called with `seed`, int32 [2], that of the half
            step, where a call has one, and must have one in training. Its variables must be
            attributes of `tf.Module`s, or reached by the closure of a plain function.
          node_size: width of the node features, at least 2; see `reversible.half_sizes`.
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
          ValueError: for an argument out of its range, or a conditioner of the wrong width, with
            variables that can't be tracked, or with a state or random numbers of its own.
        """
        parameters = dict(locals())
        if updates not in (0, 1):
            raise ValueError(f"`updates` must be 0 or 1, got {updates!r}")
        if isinstance(coupling, str):
            maps: dict[str, Callable[[], Elementwise]] = {
                "affine": lambda: Affine(max_log_scale),
                "additive": Additive,
                "spline": Spline,
            }
            if coupling not in maps:
                raise ValueError(f"`coupling` must be one of {tuple(maps)}, got {coupling!r}")
            coupling_map = maps[coupling]()
        else:
            coupling_map = coupling
        super().__init__(
            node_size,
            conditional_size=conditional_size,
            dtype=dtype,
            memory=memory,
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )
        self.updates = updates
        self._map = coupling_map
        halves = reversible.half_sizes(node_size)
        kept_size, self._changed_size = halves[1 - updates], halves[updates]
        output_size = coupling_map.num_params * self._changed_size
        self._conditioner = make_conditioner(output_size)
        # Variables made here, not at the first call: a tf.function, a checkpoint or an optimizer
        # then finds them whatever comes first.
        sample = sample_graph(kept_size + conditional_size, edge_size, global_size, dtype)
        changed = tf.zeros([2, self._changed_size], dtype)

        def try_networks():
            output = self._conditioner(sample).nodes
            if output.shape == [2, output_size]:
                self.transform(changed, self._params_of(output))
            return output.shape

        shape = make_variables(self, "make_conditioner", try_networks)
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
    def takes_seed(self) -> bool:
        """Whether the network draws random numbers, from the seed of the half step."""
        return getattr(self._conditioner, "takes_seed", False)

    @property
    def steps(self):
        return (self,)

    def condition(self, kept, graph, is_training, seed=None):
        """The map's parameters."""
        del is_training
        inputs = tf.concat([kept, graph.nodes], axis=-1) if graph.nodes.shape[-1] else kept
        options = {"seed": seed} if self.takes_seed and seed is not None else {}
        return self._params_of(self._conditioner(graph.replace(nodes=inputs), **options).nodes)

    def _params_of(self, output):
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
