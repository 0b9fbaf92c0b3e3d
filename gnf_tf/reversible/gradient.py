"""The gradient of reversible layers from their output: each is inverted, then differentiated."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

import tensorflow as tf
from graph_nets.graphs import GraphsTuple
from tensorflow.python.eager import forwardprop_util, record

from gnf_tf.custom_gradient import custom_gradient
from gnf_tf.graphs.segments import local_edges, with_edge_order
from gnf_tf.graphs.structure import INDEX_FIELDS
from gnf_tf.reversible.layers import Halves, ReversibleLayer, after, join, seed_after, split
from gnf_tf.substitution import held_values, substituted

__all__ = ["Execution", "Inputs", "backward", "local", "reversible_gradient"]


def local(tensors: Iterable[tf.Tensor]) -> list[tf.Tensor]:
    """The tensors in the graph that is being built, which may be the body of a loop or a branch.

    A tensor of an outer graph enters an inner one at its first use. A gradient that is built in a
    third graph could not find it there, and a tape that did not record that use would miss it.
    """
    return list(tensors) if tf.executing_eagerly() else [tf.identity(x) for x in tensors]


class Inputs:
    """What layers see besides the node features, each tensor once, however often it is used.

    Attributes:
      tensors: the float fields of the graph, the conditional input, and the values of the variables
        and tensors that the layers hold. A gradient goes to each float tensor among them.
    """

    def __init__(
        self,
        graph: GraphsTuple,
        conditional_input: tf.Tensor | None,
        is_training: bool,
        layers: Sequence[ReversibleLayer],
        without: Collection[int] = (),
    ):
        """Reads the variables that the layers hold.

        Args:
          graph: whose edges and globals the layers see.
          conditional_input: [num_nodes, conditional_size], or None.
          is_training: whether this is a training step.
          layers: `tf.Module`s, or other objects that hold their variables as attributes.
          without: the `id`s of variables to leave out.
        """
        self.tensors: list[tf.Tensor] = []
        index = dict(zip(INDEX_FIELDS, local(getattr(graph, f) for f in INDEX_FIELDS), strict=True))
        self._graph = with_edge_order(graph.replace(**index))
        self._is_training = is_training
        self._layers = layers
        index_of: dict[int, int] = {}  # from the id of a tensor to its index in `tensors`

        def add(tensor):
            if id(tensor) not in index_of:
                index_of[id(tensor)] = len(self.tensors)
                self.tensors.append(tensor)
            return index_of[id(tensor)]

        features = {
            "nodes": graph.nodes[:, :0],
            "edges": graph.edges,
            "globals": graph.globals,
            "conditional_input": conditional_input,
        }
        self._features = {
            name: add(value)
            for name, value in features.items()
            if value is not None and value.dtype.is_floating
        }
        self._held: dict[int, int] = {}  # the same of what the layers hold
        self._seen: dict[int, list[int]] = {}  # from the id of a layer to the indices it sees
        for layer in layers:
            if id(layer) in self._seen:
                continue
            held = [value for value in held_values(layer) if id(value) not in without]
            for value in held:
                if id(value) not in self._held:
                    self._held[id(value)] = add(tf.convert_to_tensor(value))
            seen = {*self._features.values(), *(self._held[id(value)] for value in held)}
            self._seen[id(layer)] = sorted(seen)
        self.tensors = local(self.tensors)

    def context(self, tensors: Sequence[tf.Tensor]) -> dict[str, Any]:
        """The arguments of `ReversibleLayer.condition` that all layers share, from `tensors`."""
        features = {name: tensors[i] for name, i in self._features.items()}
        conditional_input = features.pop("conditional_input", None)
        return {
            "graph": local_edges(self._graph.replace(**features)),
            "conditional_input": conditional_input,
            "is_training": self._is_training,
        }

    def layers(
        self, tensors: Sequence[tf.Tensor], others: Mapping[int, tf.Tensor] | None = None
    ) -> list[ReversibleLayer]:
        """The layers with `tensors`, and `others` by `id`, in the place of what they hold."""
        values = {key: tensors[i] for key, i in self._held.items()} | dict(others or {})
        made = {id(layer): substituted(layer, values) for layer in self._layers}
        return [made[id(layer)] for layer in self._layers]

    def seen(self) -> list[list[int]]:
        """For each layer, the indices of the float `tensors` that it sees."""
        return [
            [i for i in self._seen[id(layer)] if self.tensors[i].dtype.is_floating]
            for layer in self._layers
        ]


class Execution(Protocol):
    """A way to run layers, and to compute their gradient from their output: unrolled, or a loop.

    Attributes:
      tensors: everything besides the halves that the layers depend on.
    """

    tensors: Sequence[tf.Tensor]

    def forward(
        self, halves: Halves, tensors: Sequence[tf.Tensor]
    ) -> tuple[Halves, tf.Tensor, Any]:
        """The new halves, log|det J| per node, and statistics for `backward`."""

    def backward(
        self,
        halves: Halves,
        d_halves: Halves,
        d_log_det: tf.Tensor,
        tensors: Sequence[tf.Tensor],
        statistics: Any,
    ) -> tuple[Halves, list[tf.Tensor | None], dict[Any, tf.Tensor]]:
        """The gradients by the first halves, by `tensors`, and by other variables (by reference).

        Args:
          halves: the output of `forward`.
          d_halves: the gradient by `halves`.
          d_log_det: the gradient by log|det J| per node.
          tensors: as `forward` had them.
          statistics: from `forward`.
        """


def reversible_gradient(execution: Execution, halves: Halves) -> tuple[Halves, tf.Tensor]:
    """(new halves, log|det J| per node) of `forward`, with the gradient of `backward`."""
    tensors = execution.tensors
    # Forward-mode differentiation keeps no activations, and needs no gradient of ours.
    if forwardprop_util.pack_tangents([*halves, *tensors]).tangents:
        halves, log_det, _ = execution.forward(halves, tensors)
        return halves, log_det
    # The outputs as an outer tape knows them, so that the gradient can be differentiated again.
    final: list[tf.Tensor] = []

    @custom_gradient
    def apply(first, second, *tensors):
        # As in tf.recompute_grad: an eager outer tape would otherwise keep every state.
        with record.stop_recording():
            halves, log_det, statistics = execution.forward((first, second), tensors)

        def gradient(d_first, d_second, d_log_det, variables=None):
            d_halves, d_tensors, d_variables = execution.backward(
                tuple(final), (d_first, d_second), d_log_det, tensors, statistics
            )
            d_inputs = [*d_halves, *d_tensors]
            if variables is None:
                return d_inputs
            return d_inputs, [d_variables.get(variable.ref()) for variable in variables]

        return (*halves, log_det), gradient

    first, second, log_det = apply(*halves, *tensors)
    final += [first, second]
    return (first, second), log_det


def backward(layers, seeds, statistics, halves, d_halves, d_log_det, context, tensors, seen):
    """Inverts and differentiates the layers from the last to the first, in O(nodes) memory.

    Each network is evaluated once, for the inverse and the vector-Jacobian product alike. `seen`
    has, for each layer, the indices of the `tensors` that it depends on.

    Returns the halves before the first layer, the gradients by them and by `tensors`, and by
    reference those by variables whose values are not among the tensors.
    """
    d_tensors: list[tf.Tensor | None] = [None] * len(tensors)
    d_variables: dict[Any, tf.Tensor] = {}
    computed: list[tf.Tensor] = [*d_halves, d_log_det]
    for layer, seed, of_batch, indices in zip(
        *map(reversed, (layers, seeds, statistics, seen)), strict=True
    ):
        changed, kept = split(layer, after(halves, computed))
        seed = seed_after(seed, computed)
        d_changed, d_kept = split(layer, d_halves)
        inputs = [] if kept is None else [kept]
        inputs += [tensors[i] for i in indices]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            params = layer.condition(kept, **context, seed=seed)
            # The old value starts the vector-Jacobian product, as a constant; its dependence on
            # the params through the inversion is no part of the layer. Outer tapes do record it.
            with tape.stop_recording():
                changed, _ = layer.invert(changed, params, *of_batch)
            tape.watch(changed)
            new, log_det = layer.transform(changed, params, *layer.statistics(changed, params))
        variables = tape.watched_variables()
        gradients = tape.gradient(
            (new, log_det),
            [changed, *inputs, *variables],
            output_gradients=(d_changed, d_log_det),
        )
        gradients = [None if g is None else tf.convert_to_tensor(g) for g in gradients]
        computed = [g for g in gradients if g is not None]

        d_changed = gradients.pop(0)
        if kept is not None:
            d_kept = _add(d_kept, gradients.pop(0))
        sizes = [half.shape[-1] for half in halves]
        halves = join(layer, changed, kept, sizes)
        d_halves = join(layer, d_changed, d_kept, sizes)
        for i, g in zip(indices, gradients, strict=False):
            d_tensors[i] = _add(d_tensors[i], g)
        for variable, g in zip(variables, gradients[len(indices) :], strict=True):
            d_variables[variable.ref()] = _add(d_variables.get(variable.ref()), g)
    return halves, d_halves, d_tensors, d_variables


def _add(a, b):
    if a is None or b is None:
        return b if a is None else a
    return a + b
