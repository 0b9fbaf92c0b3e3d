"""A layer and its gradient as pure functions, compiled once for all layers of equal structure."""

import contextlib
import re
import weakref
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf
from graph_nets.graphs import GraphsTuple
from tensorflow.python.eager import forwardprop_util

from gnf_tf import xla
from gnf_tf.graphs.segments import EdgeOrder, with_edge_order
from gnf_tf.reversible.layers import Inverse, ReversibleLayer
from gnf_tf.substitution import Description, described, substituted
from gnf_tf.traces import outermost_graph

__all__ = ["Gradients", "HalfStep", "Seen"]

# The half steps in use: a layer holds its own, and so a stack keeps a single one of each kind.
_HALF_STEPS: weakref.WeakValueDictionary[Hashable, "HalfStep"] = weakref.WeakValueDictionary()
_ATTRIBUTE = "_self_half_step"  # which neither `tf.Module` nor `held_values` searches


class Seen(NamedTuple):
    """What a layer sees besides the half of the features that it changes."""

    kept: tf.Tensor | None
    """[num_nodes, kept_size], see `ReversibleLayer.condition`; so for `seed`"""
    graph: GraphsTuple
    """nodes [num_nodes, 0]"""
    order: EdgeOrder | None
    """of the edges of the graph; None: not known, as under XLA"""
    conditional_input: tf.Tensor | None
    seed: tf.Tensor | None
    values: Sequence[tf.Tensor]
    """of the variables and tensors that the layer holds, in the order of `held_values`"""

    def features(self) -> list[tf.Tensor | None]:
        """What has a gradient where it is float, besides `kept`."""
        return [self.graph.edges, self.graph.globals, self.conditional_input]


class Gradients(NamedTuple):
    """The gradients by everything that a layer sees; None by what is no float or has no effect."""

    kept: tf.Tensor | None
    features: list[tf.Tensor | None]
    """by each of `Seen.features`"""
    values: list[tf.Tensor | None]
    variables: list[tf.Tensor | None]
    """by variables that the layer uses but doesn't hold"""


class HalfStep:
    """What a layer computes, as a function of everything that it depends on.

    Each direction, and the gradient of each, is one `tf.function` for any number of nodes, edges
    and graphs, which eager code and graphs call alike: whatever the depth of a stack, its layers
    are traced and optimized once. An XLA program, which needs static shapes, contains the
    operations themselves.

    In eager mode a layer with code of a user's own is executed operation by operation, since its
    Python may print or count. `tf.config.run_functions_eagerly(True)` does that with all layers.
    """

    def __init__(self, layer: ReversibleLayer, description: Description):
        """Keeps a layer that stands for all those of its structure, without its values.

        It is a copy, since the attributes of the layer itself can be assigned others later; but
        models of Keras, which keep records of their parts, are not copied. See `_is_intact`.
        """
        self._layer, self._held = layer, description.values
        self._structure = description.structure
        self._is_pure = description.is_pure
        self.sums_along_edges = True  # as far as is known: whether it needs the order of edges
        self._compiled: dict[Hashable, tuple[Callable[..., Any], list[tf.Variable]]] = {}
        if description.has_keras:
            return
        values = description.values
        are_eager = all(isinstance(x, tf.Variable) or hasattr(x, "numpy") for x in values)
        # A graph that is traced would have copies of the parts of a sparse tensor.
        with tf.init_scope() if are_eager else contextlib.nullcontext():
            self._held = [_stand_in(value) for value in values]
            self._layer = substituted(layer, dict(zip(map(id, values), self._held, strict=True)))
            if not self._is_pure:  # else it is never compared
                self._structure = described(self._layer).structure

    @classmethod
    def of(cls, layer: ReversibleLayer) -> tuple["HalfStep", list[tf.Variable | tf.Tensor]]:
        """The half step that `layer` shares with others like it, and the values that it holds."""
        description = described(layer)
        half_step = _HALF_STEPS.get(description.structure)
        if half_step is None or not half_step._is_intact():
            half_step = _HALF_STEPS[description.structure] = cls(layer, description)
        getattr(layer, "__dict__", {})[_ATTRIBUTE] = half_step
        return half_step, description.values

    def _is_intact(self):
        """Whether the layer that is kept is still as it was.

        Its containers, arrays and objects without values are those of the layer that it was made
        of, and a user's code may change them in place, for that layer alone.
        """
        return self._is_pure or described(self._layer).structure == self._structure

    def __deepcopy__(self, memo: Any) -> "HalfStep":
        """The copy of a layer has the same structure, and so the same half step."""
        return self

    def forward(
        self,
        changed: tf.Tensor,
        seen: Seen,
        layer: ReversibleLayer | None,
        *,
        inverse: bool,
        is_training: bool,
    ) -> tuple[tf.Tensor, tf.Tensor, tuple[tf.Tensor, ...]]:
        """Runs the layer.

        Args:
          changed: [num_nodes, changed_size].
          seen: everything else.
          layer: the layer itself if it holds `seen.values`. It then runs as it is where it is not
            compiled, since networks of users may change at their first calls.
          inverse: whether to run it in the inverse direction.
          is_training: whether this is a training step.

        Returns:
          The new value of `changed`, log|det J| per node, and the layer's statistics.
        """
        (new, log_det, statistics), _ = self._call(
            _forward, inverse, is_training, (changed,), seen, layer=layer
        )
        if not tf.executing_eagerly():  # where the number of nodes may be known
            new.set_shape(changed.shape)
            log_det.set_shape(changed.shape[:1])
        return new, log_det, statistics

    def backward(
        self,
        changed: tf.Tensor,
        d_changed: tf.Tensor,
        d_log_det: tf.Tensor,
        seen: Seen,
        statistics: tuple[tf.Tensor, ...],
        *,
        inverse: bool,
        is_training: bool,
    ) -> tuple[tf.Tensor, tf.Tensor, Gradients, list[tf.Variable]]:
        """Inverts and differentiates from one evaluation of the network.

        Args:
          changed: the output of `forward`.
          d_changed: the gradient by `changed`.
          d_log_det: the gradient by log|det J|, [num_nodes].
          seen: as `forward` had it.
          statistics: what `forward` returned.
          inverse: whether `forward` was in the inverse direction.
          is_training: whether this is a training step.

        Returns:
          The input of `forward`, the gradient by it, those by everything else, and the variables
          that the layer doesn't hold, in the order of `Gradients.variables`.
        """
        states = (changed, d_changed, d_log_det)
        result, variables = self._call(_backward, inverse, is_training, states, seen, statistics)
        return *result, variables

    def _call(self, function, inverse, is_training, states, seen, statistics=(), layer=None):
        """The result of `function`, and the variables that it found; compiled if it can be."""
        if self._is_pure and not self._layer.has_statistics:
            is_training = False  # makes no difference, and so one program will do
        rows = (states, seen.kept, seen.graph, seen.order, seen.conditional_input)
        others = (seen.seed, seen.values, statistics)
        row_tensors, other_tensors = tf.nest.flatten(rows), tf.nest.flatten(others)
        tensors = [x for x in (*row_tensors, *other_tensors) if x is not None]
        # A function's own forward-mode derivative fails for some of its inputs, and in a loop those
        # of sums along ordered edges do.
        is_forward_mode = bool(forwardprop_util.pack_tangents(tensors).tangents)
        if is_forward_mode:
            rows = (states, seen.kept, seen.graph, None, seen.conditional_input)
        is_compiled = self._is_pure and not tf.config.functions_run_eagerly()
        if xla.is_compiling() or is_forward_mode or (tf.executing_eagerly() and not is_compiled):
            found: list[tf.Variable] = []
            # One tensor in two places gets the gradient of each place.
            arguments = tf.nest.map_structure(_identity, (rows, others))
            return self._evaluate(function, inverse, is_training, *arguments, found, layer), found
        kinds = [*map(_kind_of_rows, row_tensors), *map(_kind, other_tensors)]
        # What a graph knows, as it is traced, lets attention within graphs of one size be dense. In
        # eager mode each batch would be traced.
        n_node = None if tf.executing_eagerly() else tf.get_static_value(seen.graph.n_node)
        options = function, inverse, is_training, None if n_node is None else tuple(n_node)
        key = *options, tuple(kinds)
        traces = self._traces(n_node)
        if key not in traces:
            specs = [None if kind is None else tf.TensorSpec(*kind) for kind in kinds]
            traces[key] = self._compile(*options, rows, others, specs)
        compiled, variables = traces[key]
        try:
            # Calling it in the public way would bind the arguments to their names first, which in
            # eager mode takes as long as a small half step.
            return compiled._call_flat(tensors, compiled.captured_inputs), variables
        except tf.errors.InvalidArgumentError as error:
            # What the networks of this library would raise if nothing were compiled.
            if found := re.search(r"assertion failed: \[(`.*?)\] \[(.*?)\]", error.message):
                raise ValueError(f"{found[1]} [{', '.join(found[2].split())}]") from None
            raise

    def _traces(self, n_node):
        """The compiled functions by what they depend on, where they may be used again.

        A user's own code may depend on more than a layer holds, such as a global, and must be
        traced for each graph; and sizes that one graph knows are of no use to others.
        """
        if self._is_pure and n_node is None:
            return self._compiled
        graph = outermost_graph()
        if not hasattr(graph, "_gnf_tf_half_steps"):
            graph._gnf_tf_half_steps = {}
        return graph._gnf_tf_half_steps.setdefault(self, {})

    def _compile(self, function, inverse, is_training, n_node, rows, others, specs):
        # Zeros in the place of tensors, which would otherwise stay alive.
        structure = tf.nest.map_structure(lambda _: 0, (rows, others))
        variables: list[tf.Variable] = []

        # Inlined, the operations of all layers would be optimized together, and their buffers kept.
        @tf.function(
            input_signature=[spec for spec in specs if spec is not None],
            autograph=False,
            experimental_attributes={"_noinline": True},
        )
        def half_step(*tensors):
            given = iter(tensors)
            flat = [None if spec is None else next(given) for spec in specs]
            (states, kept, graph, order, condition), others = tf.nest.pack_sequence_as(
                structure, flat
            )
            if n_node is not None:
                graph = graph.replace(n_node=tf.constant(n_node, graph.n_node.dtype))
            rows = (states, kept, graph, order, condition)
            variables.clear()
            result = self._evaluate(function, inverse, is_training, rows, others, variables)
            # What gathers along edges sums along them in its gradient.
            if function is _backward and not tf.executing_eagerly():
                self.sums_along_edges = any(x.consumers() for x in order)
            return result

        # TensorFlow counts the traces of all half steps as those of one function that is traced
        # again and again, and would warn.
        half_step._omit_frequent_tracing_warning = True
        return half_step.get_concrete_function(), variables

    def _evaluate(self, function, inverse, is_training, rows, others, variables, layer=None):
        states, *shown = rows
        seed, values, statistics = others
        seen = Seen(*shown, seed, values)
        if layer is None:
            layer = substituted(self._layer, dict(zip(map(id, self._held), values, strict=True)))
        layer = Inverse(layer) if inverse else layer
        return function(layer, is_training, variables, states, seen, statistics)


def _stand_in(value):
    """An object in the place of a value; a tensor, which may be part of a sparse one, for one."""
    return object() if isinstance(value, tf.Variable) else tf.identity(value)


def _identity(tensor):
    return None if tensor is None else tf.identity(tensor)


def _kind(tensor):
    return None if tensor is None else (tensor.shape, tensor.dtype)


def _kind_of_rows(tensor):
    return None if tensor is None else ((None, *tensor.shape[1:]), tensor.dtype)


def _condition(layer, is_training, seen):
    graph = seen.graph if seen.order is None else with_edge_order(seen.graph, seen.order)
    return layer.condition(
        seen.kept,
        graph,
        conditional_input=seen.conditional_input,
        is_training=is_training,
        seed=seen.seed,
    )


def _forward(layer, is_training, variables, states, seen, statistics):
    del variables, statistics
    (changed,) = states
    params = _condition(layer, is_training, seen)
    statistics = layer.statistics(changed, params)
    changed, log_det = layer.transform(changed, params, *statistics)
    return changed, log_det, statistics


def _backward(layer, is_training, variables, states, seen, statistics):
    changed, d_changed, d_log_det = states
    features = seen.features()
    inputs = [seen.kept, *features, *seen.values]
    floats = [i for i, x in enumerate(inputs) if x is not None and x.dtype.is_floating]
    watched = [inputs[i] for i in floats]
    with tf.GradientTape() as tape:
        tape.watch(watched)
        params = _condition(layer, is_training, seen)
        # The old value starts the vector-Jacobian product, as a constant; its dependence on
        # the params through the inversion is no part of the layer. Outer tapes do record it.
        with tape.stop_recording():
            changed, _ = layer.invert(changed, params, *statistics)
        tape.watch(changed)
        new, log_det = layer.transform(changed, params, *layer.statistics(changed, params))
    variables += tape.watched_variables()
    d_changed, *gradients = tape.gradient(
        (new, log_det), [changed, *watched, *variables], output_gradients=(d_changed, d_log_det)
    )
    gradients = [None if g is None else tf.convert_to_tensor(g) for g in gradients]
    d_inputs = [None] * len(inputs)
    for i, gradient in zip(floats, gradients, strict=False):
        d_inputs[i] = gradient
    of_features = 1 + len(features)
    return (
        changed,
        tf.convert_to_tensor(d_changed),
        Gradients(
            d_inputs[0],
            d_inputs[1:of_features],
            d_inputs[of_features:],
            gradients[len(floats) :],
        ),
    )
