"""What bijectors over GraphsTuples have in common: the event, the cache, and the engine."""

import copy
import functools
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from graph_nets.graphs import GraphsTuple

from gnf_tf import graphs, options, reversible
from gnf_tf.bijectors.cache import Cache
from gnf_tf.graphs.structure import as_tensor, float_type

__all__ = ["GraphBijector", "GraphLayer"]


class GraphBijector(tfp.bijectors.Bijector):
    """A bijector whose event is a whole GraphsTuple: a sequence of reversible layers.

    It maps the node features [num_nodes, node_size] and leaves the rest of the graph unchanged.
    Log-determinants are per graph, [n_graphs]. The direction is the paper's: `forward` goes from
    data H_0 to latent H_T. A density is `tfd.TransformedDistribution(prior, tfb.Invert(gnf))`.

    Every method has these keyword arguments:

    - `is_training`, default False;
    - `conditional_input`, [num_nodes, conditional_size]: for a conditional density, features of
      the nodes that every network sees and none transforms. Conditions on whole graphs go into
      their globals, and on edges into the edges. Of a variable, which can change, nothing is kept,
      and `log_prob` evaluates each network twice: give its value;
    - `seed`, see `gnf_tf.seeds`: networks with dropout drop features where it is given, in both
      directions, and the inverse by the same seed inverts the same map. In training it is required.

    A distribution passes them on: `flow.log_prob(graph, bijector_kwargs={"is_training": True,
    "seed": step})`, and likewise `sample`.

    Value and log-determinant are computed together. TFP's cache keeps the log-determinant while the
    value is in use, so that `log_prob` evaluates each network once, and a sample needs no further
    evaluation. What is kept counts only until a variable changes, within the tape that recorded
    it, and, in a `tf.function`, within the branch or the body of the loop. Within a tape,
    `log_prob` of a sample evaluates again, where `experimental_sample_and_log_prob` does not. The
    log-determinant of what a call has computed has gradients by the input of that call and the
    weights; ask for that of a copy, `graph.replace(nodes=tf.identity(graph.nodes))`, for gradients
    by the output. (A `tfb.Chain` has a cache of its own, which does not notice any of this; give it
    a copy, too, to evaluate it anew.)
    """

    # A list of variables that belong elsewhere.
    _TF_MODULE_IGNORED_PROPERTIES = tfp.bijectors.Bijector._TF_MODULE_IGNORED_PROPERTIES.union(
        {"untrained_variables"}
    )
    # TFP's FFJORD does the same: both directions return (value, attributes of the cached entry).
    _cache = Cache(forward_name="_forward_and_attributes", inverse_name="_inverse_and_attributes")

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
        """Checks and stores the common arguments.

        Args:
          node_size: width of the node features, at least 2.
          parameters: the arguments of the subclass's constructor.
          name: as in TFP.
          conditional_size: width of the `conditional_input`, 0 for none.
          dtype: float type of the graphs.
          memory: how the gradient gets its activations, see `gnf_tf.reversible.run`.
          validate_args: whether to check the values of each graph too (ranges, sums, NaN), in
            eager execution.

        Raises:
          ValueError: if a size is no whole number, `node_size` is below 2, `conditional_size`
            negative, `dtype` not of floats, or `memory` unknown.
        """
        options.check_argument("node_size", int, node_size)
        reversible.half_sizes(node_size)  # raises if the features can't be split
        reversible.check_memory(memory)
        options.check_argument("conditional_size", options.AtLeast0, conditional_size)
        self._float_type = float_type(dtype)
        self._node_size = node_size
        self._conditional_size = conditional_size
        self._memory = memory
        super().__init__(
            forward_min_event_ndims=graphs.event_ndims(),
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )

    # TFP compares the arguments of constructors, which say nothing of the weights, and its cache
    # would give one bijector what another one has computed.
    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

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
        """How the gradient gets its activations: "reversible" or "stored"."""
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

    @functools.cached_property
    def untrained_variables(self) -> list[tf.Variable]:
        """The variables of the layers that are not trained, such as moving averages."""
        return list(self.non_trainable_variables)  # once, since the search takes long

    @classmethod
    def _parameter_properties(cls, dtype):
        return {}

    def copy(self, **overrides: Any) -> "GraphBijector":
        """A bijector that shares the variables, with another `name`, `memory` or `validate_args`.

        Args:
          **overrides: the arguments to change.

        Raises:
          ValueError: for any other argument, since it would change the variables.
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
        # TensorFlow keeps its records in containers, of which each object needs its own.
        for name, value in vars(self).items():
            attributes[name] = copy.copy(value) if name.startswith("_self_") else value
        for name, value in overrides.items():
            attributes[of_attribute[name]] = value
        attributes["_parameters"] = self.parameters | overrides
        reversible.check_memory(new.memory)
        return new

    @property
    def _parts_interact(self):
        return True  # the event has one log-determinant, not one for each field

    def forward(self, x: GraphsTuple, name: str = "forward", **kwargs) -> GraphsTuple:
        """Data to latent: the graph with nodes H_T. Fields that are None stay None.

        Args:
          x: nodes H_0 [num_nodes, node_size].
          name: as in TFP.
          **kwargs: `is_training`, `conditional_input`, `seed`; see the class.

        Raises:
          ValueError: if a field of the graph, or an argument, doesn't fit the bijector.
        """
        return graphs.restore_missing(
            super().forward(graphs.fill_missing(x), name=name, **_settled(kwargs)), x
        )

    def inverse(self, y: GraphsTuple, name: str = "inverse", **kwargs) -> GraphsTuple:
        """Latent to data: the graph with nodes H_0. Fields that are None stay None.

        Args:
          y: nodes H_T [num_nodes, node_size].
          name: as in TFP.
          **kwargs: `is_training`, `conditional_input`, `seed`; see the class.

        Raises:
          ValueError: if a field of the graph, or an argument, doesn't fit the bijector.
        """
        return graphs.restore_missing(
            super().inverse(graphs.fill_missing(y), name=name, **_settled(kwargs)), y
        )

    def forward_log_det_jacobian(
        self, x: GraphsTuple, event_ndims=None, name="forward_log_det_jacobian", **kwargs
    ) -> tf.Tensor:
        """log|det d forward(x) / d x| per graph, [n_graphs]."""
        return super().forward_log_det_jacobian(
            graphs.fill_missing(x), event_ndims, name=name, **_settled(kwargs)
        )

    def inverse_log_det_jacobian(
        self, y: GraphsTuple, event_ndims=None, name="inverse_log_det_jacobian", **kwargs
    ) -> tf.Tensor:
        """log|det d inverse(y) / d y| per graph, [n_graphs]."""
        return super().inverse_log_det_jacobian(
            graphs.fill_missing(y), event_ndims, name=name, **_settled(kwargs)
        )

    def _forward(self, x, **kwargs):
        return self._cache.forward(x, **kwargs)

    def _inverse(self, y, **kwargs):
        return self._cache.inverse(y, **kwargs)

    def _inverse_log_det_jacobian(self, y, **kwargs):
        return self._cache.inverse_log_det(y, **kwargs)

    def _forward_log_det_jacobian(self, x, **kwargs):
        return self._cache.forward_log_det(x, **kwargs)

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
        if check_values and not tf.executing_eagerly():  # after the dtype, which is known anyway
            raise ValueError(f"{self.name} must get its data in eager mode, not in a tf.function")
        return graph

    def _checked(self, conditional_input, graph, check_values=False):
        """The conditional input as a tensor; None if there is none and none is expected."""
        expected = [graph.nodes.shape[0], self.conditional_size]
        if conditional_input is None:
            if self.conditional_size:
                raise ValueError(
                    f"{self.name}: `conditional_input` must have shape {expected}, got None"
                )
            return None
        value = as_tensor("conditional_input", conditional_input, graph.nodes.dtype)
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


# By their contents, as long as TFP's cache holds them.
_COPIES: weakref.WeakValueDictionary[Any, np.ndarray] = weakref.WeakValueDictionary()


def _settled(arguments):
    """The arguments with copies of those that can change, which TFP's cache would not notice.

    Arrays of equal contents have one copy, so that the cache finds what it keeps of the first.
    """
    settled = dict(arguments)
    for name, value in arguments.items():
        if isinstance(value, tf.Variable):
            settled[name] = tf.convert_to_tensor(value)
        elif not tf.is_tensor(value) and hasattr(value, "__array__"):  # a data frame's, too
            array = np.array(value)
            contents = array.dtype.str, array.shape, array.tobytes()
            settled[name] = _COPIES.setdefault(contents, array)
    return settled


class GraphLayer(reversible.ReversibleLayer, GraphBijector):
    """A bijector that is a single reversible layer."""

    @property
    def layers(self):
        return (self,)
