"""What every bijector over GraphsTuples shares: its event, its cache, and the engine beneath it."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from graph_nets.graphs import GraphsTuple
from tensorflow_probability.python.internal import cache_util

from gnf_tf import graphs, reversible

__all__ = ["GraphBijector"]


class GraphBijector(tfp.bijectors.Bijector):
    """A bijector whose event is a whole GraphsTuple, given by a sequence of reversible steps.

    It maps node features [num_nodes, node_size] and leaves everything else of the graph alone.
    Log-determinants are per graph, [n_graphs]. The direction is the paper's: `forward` goes from
    data H_0 to latent H_T, so that a density is `TransformedDistribution(prior, Invert(this))`.

    Value and log-determinant come from one pass over the steps: TFP's cache keeps the second
    while the first is in use, so `log_prob` evaluates each network once. As everywhere in TFP the
    cache goes by the identity of the tensors: while the *output* of an earlier call is alive, the
    same input gives the same output even if the variables have changed in between.

    Every method takes `is_training=False`; within a `TransformedDistribution` write
    `log_prob(graph, bijector_kwargs={"is_training": True})`.
    """

    # As in TFP's own FFJORD: the two directions return (value, attributes of the cache's entry).
    _cache = cache_util.BijectorCacheWithGreedyAttrs(
        forward_name="_forward_and_attributes", inverse_name="_inverse_and_attributes"
    )

    def __init__(
        self,
        node_size: int,
        *,
        memory: reversible.Memory,
        validate_args: bool,
        parameters: dict[str, Any],
        name: str,
    ):
        """Checks and stores what all of them have.

        Args:
          node_size: width of the node features, even.
          memory: how the gradient gets its activations, see `gnf_tf.reversible.run`.
          validate_args: check the values of each graph too (ranges, sums, NaN) where eager.
          parameters: the subclass constructor's arguments.
          name: as TFP.
        """
        if node_size < 2 or node_size % 2:
            raise ValueError(f"`node_size` must be even and at least 2, got {node_size}")
        if memory not in reversible.MEMORY_MODES:
            raise ValueError(f"`memory` must be one of {reversible.MEMORY_MODES}, got {memory!r}")
        self._node_size = node_size
        self._memory = memory
        super().__init__(
            forward_min_event_ndims=graphs.event_ndims(),
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )

    @property
    def node_size(self) -> int:
        """Width of the node features."""
        return self._node_size

    @property
    def memory(self) -> str:
        """ "reversible" or "stored": how the gradient gets its activations."""
        return self._memory

    @property
    def steps(self) -> Sequence[reversible.ReversibleStep]:
        """The reversible steps in forward order."""
        raise NotImplementedError(f"{type(self).__name__} defines no steps")

    @classmethod
    def _parameter_properties(cls, dtype):
        return {}

    @property
    def _parts_interact(self):
        return True  # one log-determinant for the event, not one for each field

    def forward(self, x: GraphsTuple, name: str = "forward", **kwargs) -> GraphsTuple:
        """Data to latent. None fields of the graph stay None; see `tfb.Bijector.forward`."""
        return graphs.restore_missing(
            super().forward(graphs.fill_missing(x), name=name, **kwargs), x
        )

    def inverse(self, y: GraphsTuple, name: str = "inverse", **kwargs) -> GraphsTuple:
        """Latent to data. None fields of the graph stay None; see `tfb.Bijector.inverse`."""
        return graphs.restore_missing(
            super().inverse(graphs.fill_missing(y), name=name, **kwargs), y
        )

    def forward_log_det_jacobian(
        self, x: GraphsTuple, event_ndims=None, name="forward_log_det_jacobian", **kwargs
    ) -> tf.Tensor:
        """log|det d forward(x) / d x| per graph, [n_graphs]."""
        return super().forward_log_det_jacobian(
            graphs.fill_missing(x), event_ndims, name=name, **kwargs
        )

    def inverse_log_det_jacobian(
        self, y: GraphsTuple, event_ndims=None, name="inverse_log_det_jacobian", **kwargs
    ) -> tf.Tensor:
        """log|det d inverse(y) / d y| per graph, [n_graphs]."""
        return super().inverse_log_det_jacobian(
            graphs.fill_missing(y), event_ndims, name=name, **kwargs
        )

    def _forward(self, x, **kwargs):
        return self._cache.forward(x, **kwargs)

    def _inverse(self, y, **kwargs):
        return self._cache.inverse(y, **kwargs)

    def _inverse_log_det_jacobian(self, y, **kwargs):
        self._cache.inverse(y, **kwargs)
        return self._cache.inverse_attributes(y, **kwargs)["ildj"]

    def _forward_log_det_jacobian(self, x, **kwargs):
        self._cache.forward(x, **kwargs)
        return -self._cache.forward_attributes(x, **kwargs)["ildj"]

    def _forward_and_attributes(self, x, is_training=False):
        y, log_det = self._run(x, inverse=False, is_training=is_training)
        return y, {"ildj": -log_det}

    def _inverse_and_attributes(self, y, is_training=False):
        x, log_det = self._run(y, inverse=True, is_training=is_training)
        return x, {"ildj": log_det}

    def _run(self, graph, *, inverse, is_training):
        graph = GraphsTuple(*graph)  # TFP may have repacked it
        graphs.validate(graph, node_size=self.node_size, check_values=self.validate_args)
        graph, log_det = reversible.run(
            self.steps, graph, inverse=inverse, memory=self.memory, is_training=is_training
        )
        return graph, graphs.sum_nodes(log_det, graph)
