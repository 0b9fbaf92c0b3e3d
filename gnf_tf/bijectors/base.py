"""What every bijector over GraphsTuples shares: its event, its cache, and the engine beneath it."""

import copy
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from graph_nets.graphs import GraphsTuple
from tensorflow_probability.python.internal import cache_util

from gnf_tf import graphs, reversible

__all__ = ["GraphBijector", "GraphLayer"]


class GraphBijector(tfp.bijectors.Bijector):
    """A bijector whose event is a whole GraphsTuple, given by a sequence of reversible steps.

    It maps node features [num_nodes, node_size] and leaves everything else of the graph alone.
    Log-determinants are per graph, [n_graphs]. The direction is the paper's: `forward` goes from
    data H_0 to latent H_T, so that a density is `TransformedDistribution(prior, Invert(this))`.

    Value and log-determinant come from one pass over the steps: TFP's cache keeps the second
    while the first is in use, so `log_prob` evaluates each network once. As everywhere in TFP the
    cache goes by the identity of the tensors: while the *output* of an earlier call is alive, the
    same input gives the same output even if the variables have changed in between.

    Every method takes `is_training=False` and, for a conditional density, `conditional_input`:
    [num_nodes, conditional_size] features of the nodes that are not transformed and that every
    network sees. (Conditions of a whole graph go into its globals, of an edge into its edges.)
    Networks with dropout draw from `seed`, see `gnf_tf.seeds`: where it is given they drop out, in
    either direction, and the same seed undoes the same map; in training it must be given. Within a
    `TransformedDistribution` write `log_prob(graph, bijector_kwargs={"is_training": True, "seed":
    step})`, and likewise for `sample`.
    """

    # As in TFP's own FFJORD: the two directions return (value, attributes of the cache's entry).
    _cache = cache_util.BijectorCacheWithGreedyAttrs(
        forward_name="_forward_and_attributes", inverse_name="_inverse_and_attributes"
    )

    def __init__(
        self,
        node_size: int,
        *,
        parameters: dict[str, Any],
        name: str,
        conditional_size: int = 0,
        dtype: tf.DType = tf.float32,
        memory: reversible.Memory = "reversible",
        validate_args: bool = False,
    ):
        """Checks and stores what all of them have.

        Args:
          node_size: width of the node features, at least 2.
          conditional_size: width of the `conditional_input`.
          dtype: float type of the graphs.
          memory: how the gradient gets its activations, see `gnf_tf.reversible.run`.
          validate_args: check the values of each graph too (ranges, sums, NaN) where eager.
          parameters: the subclass constructor's arguments.
          name: as TFP.
        """
        reversible.half_sizes(node_size)  # refuses what can't be split
        reversible.check_memory(memory)
        if conditional_size < 0:
            raise ValueError(f"`conditional_size` must be at least 0, got {conditional_size}")
        self._node_size = node_size
        self._conditional_size = conditional_size
        self._float_type = tf.as_dtype(dtype)
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
    def conditional_size(self) -> int:
        """Width of the `conditional_input`."""
        return self._conditional_size

    @property
    def memory(self) -> str:
        """ "reversible" or "stored": how the gradient gets its activations."""
        return self._memory

    @property
    def shared_options(self) -> dict[str, Any]:
        """The arguments that a bijector and its parts have in common."""
        return {
            "conditional_size": self._conditional_size,
            "dtype": self._float_type,
            "memory": self._memory,
        }

    @property
    def layers(self) -> Sequence[reversible.ReversibleLayer]:
        """The reversible layers in forward order."""
        raise NotImplementedError(f"{type(self).__name__} defines no layers")

    @classmethod
    def _parameter_properties(cls, dtype):
        return {}

    def copy(self, **overrides: Any) -> "GraphBijector":
        """The same map with the same variables, under another name, say.

        Args:
          **overrides: arguments of the constructor: `name`, `memory` or `validate_args`.

        Raises:
          ValueError: for another argument, which would need variables of its own.
        """
        of_attribute = {"name": "_name", "memory": "_memory", "validate_args": "_validate_args"}
        wrong = sorted(overrides.keys() - of_attribute)
        if wrong:
            raise ValueError(
                f"`copy` can change {', '.join(of_attribute)}, for it shares the variables; "
                f"got {', '.join(wrong)}"
            )
        new = object.__new__(type(self))
        attributes: Any = vars(new)
        # What TensorFlow tracks of each object is a container of the object's own.
        for name, value in vars(self).items():
            attributes[name] = copy.copy(value) if name.startswith("_self_") else value
        for name, value in overrides.items():
            attributes[of_attribute[name]] = value
        attributes["_parameters"] = self.parameters | overrides
        reversible.check_memory(new.memory)
        return new

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

    def _forward_and_attributes(self, x, **kwargs):
        y, log_det = self._run(x, inverse=False, **kwargs)
        return y, {"ildj": -log_det}

    def _inverse_and_attributes(self, y, **kwargs):
        x, log_det = self._run(y, inverse=True, **kwargs)
        return x, {"ildj": log_det}

    def _run(self, graph, *, inverse, is_training=False, conditional_input=None, seed=None):
        graph = self._checked_graph(graph)
        graph, log_det = reversible.run(
            self.layers,
            graph,
            self._checked(conditional_input, graph),
            inverse=inverse,
            memory=self.memory,
            is_training=is_training,
            seed=seed,
        )
        return graph, graphs.sum_nodes(log_det, graph)

    def _checked_graph(self, graph, check_values=False):
        graph = GraphsTuple(*graph)  # TFP may have repacked it
        graphs.validate(
            graph,
            node_size=self.node_size,
            dtype=self._float_type,
            check_values=check_values or self.validate_args,
        )
        return graph

    def _checked(self, conditional_input, graph, check_values=False):
        """The conditional input as a tensor, or None if this bijector has none."""
        expected = [graph.nodes.shape[0], self.conditional_size]
        if conditional_input is None:
            if self.conditional_size:
                raise ValueError(
                    f"{self.name}: `conditional_input` must have shape {expected}, got None"
                )
            return None
        value = tf.convert_to_tensor(conditional_input, dtype_hint=graph.nodes.dtype)
        if value.dtype != graph.nodes.dtype or not value.shape.is_compatible_with(expected):
            raise ValueError(
                f"{self.name}: `conditional_input` must be {graph.nodes.dtype.name} of shape "
                f"{expected}, got {value.dtype.name} of shape {value.shape}"
            )
        if (check_values or self.validate_args) and tf.executing_eagerly():
            finite = tf.reduce_all(tf.math.is_finite(value), axis=-1).numpy()
            if not finite.all():
                row = int(finite.argmin())
                raise ValueError(
                    f"{self.name}: `conditional_input` must be finite, row {row} is "
                    f"{value[row].numpy()}"
                )
        return value


class GraphLayer(reversible.ReversibleLayer, GraphBijector):
    """A bijector that is a single reversible layer."""

    @property
    def layers(self):
        return (self,)
