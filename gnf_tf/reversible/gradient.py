"""The gradient of reversible layers from their output: each is inverted, then differentiated."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import tensorflow as tf
from graph_nets.graphs import GraphsTuple
from tensorflow.python.eager import forwardprop_util

from gnf_tf import xla
from gnf_tf.custom_gradient import custom_gradient, local
from gnf_tf.graphs.segments import EdgeOrder
from gnf_tf.graphs.structure import INDEX_FIELDS
from gnf_tf.reversible.half_step import HalfStep, Seen
from gnf_tf.reversible.layers import Halves, ReversibleLayer, delayed, join, split

__all__ = ["Execution", "Inputs", "Step", "backward", "forward", "reversible_gradient"]


_NO_SECOND = (
    "second derivatives through statistics of the nodes, as of batch normalization in training, "
    'need memory="stored"'
)


class Step(NamedTuple):
    """One of the layers as it runs: in its place, and with its own values."""

    layer: ReversibleLayer
    half_step: HalfStep
    seed: tf.Tensor | None
    held: Sequence[int]
    """where the values that the layer holds are, in the tensors that all layers depend on"""


class Inputs:
    """What layers see besides the node features, each tensor once, however often it is used.

    Attributes:
      tensors: the float fields of the graph, the conditional input, and the values of the variables
        and tensors that the layers hold. A gradient goes to each float tensor among them.
    """

    def __init__(
        self,
        layers: Sequence[ReversibleLayer],
        graph: GraphsTuple,
        conditional_input: tf.Tensor | None,
        *,
        inverse: bool,
        is_training: bool,
        seed: tf.Tensor | None,
        replaced: Sequence[tf.Variable] = (),
    ):
        """Reads the variables that the layers hold.

        Args:
          layers: `tf.Module`s, or other objects that hold their variables as attributes.
          graph: whose edges and globals the layers see.
          conditional_input: [num_nodes, conditional_size], or None.
          inverse: whether the layers run in the inverse direction.
          is_training: whether this is a training step.
          seed: int32 [2], or None.
          replaced: variables that are not read. Their values follow `tensors`, in this order, where
            methods get tensors.
        """
        self.options = {"inverse": inverse, "is_training": is_training}
        self.replaced = replaced
        self._layers = layers
        self._seed = seed
        features = [graph.edges, graph.globals, conditional_input]
        self._features: list[int | None] = []  # their indices in `tensors`
        tensors: list[tf.Tensor] = []
        index_of: dict[int, int] = {}  # by the id of a tensor

        def add(tensor):
            if id(tensor) not in index_of:
                index_of[id(tensor)] = len(tensors)
                tensors.append(tensor)
            return index_of[id(tensor)]

        self._features = [None if x is None else add(x) for x in features]
        half_steps = {id(layer): HalfStep.of(layer) for layer in layers}
        held = {id(value): value for _, values in half_steps.values() for value in values}
        left_out = set(map(id, replaced))
        index_of_held = {
            key: add(tf.convert_to_tensor(value))
            for key, value in held.items()
            if key not in left_out
        }
        index_of_held |= {id(value): len(tensors) + i for i, value in enumerate(replaced)}
        self._half_steps = {
            key: (half_step, [index_of_held[id(value)] for value in values])
            for key, (half_step, values) in half_steps.items()
        }
        self.tensors = local(tensors)
        index_fields = local(getattr(graph, field) for field in INDEX_FIELDS)
        (nodes,) = local([graph.nodes[:, :0]])
        self._graph = graph.replace(
            nodes=nodes, **dict(zip(INDEX_FIELDS, index_fields, strict=True))
        )
        self._order = None
        if not xla.is_compiling():
            sums = any(half_step.sums_along_edges for half_step, _ in half_steps.values())
            self._order = EdgeOrder.of(self._graph) if sums else EdgeOrder.unknown()

    def steps(self, first: int | tf.Tensor = 0) -> list[Step]:
        """The layers in the order in which they run.

        Args:
          first: the index of the first layer in the whole stack, by which seeds differ.
        """
        steps = []
        for i, layer in enumerate(self._layers):
            seed = None
            if self._seed is not None:
                seed = tf.random.fold_in(self._seed, first + i, alg="philox")
            half_step, held = self._half_steps[id(layer)]
            steps.append(Step(layer, half_step, seed, held))
        return steps[::-1] if self.options["inverse"] else steps

    def seen(
        self,
        step: Step,
        kept: tf.Tensor | None,
        tensors: Sequence[tf.Tensor],
        after: Sequence[tf.Tensor],
    ) -> Seen:
        """What a layer sees, with `tensors` in the place of this object's, and its seed `after`."""
        edges, global_features, conditional_input = (
            None if i is None else tensors[i] for i in self._features
        )
        return Seen(
            kept,
            self._graph.replace(edges=edges, globals=global_features),
            self._order,
            conditional_input,
            None if step.seed is None else delayed((step.seed,), after)[0],
            [tensors[i] for i in step.held],
        )

    def indices(self, step: Step) -> list[int | None]:
        """Where in `tensors` are the features and the values that a layer sees."""
        return [*self._features, *step.held]


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
        halves, log_det, statistics = execution.forward((first, second), tensors)

        def gradient(d_first, d_second, d_log_det, variables=None):
            d_halves, d_tensors, d_variables = execution.backward(
                tuple(final), (d_first, d_second), d_log_det, tensors, statistics
            )
            d_inputs = [*d_halves, *d_tensors]
            if tf.nest.flatten(statistics):
                # They are constants here; what a second derivative lacks would go unnoticed.
                d_inputs = [
                    d if d is None else tf.raw_ops.PreventGradient(input=d, message=_NO_SECOND)
                    for d in d_inputs
                ]
            if variables is None:
                return d_inputs
            return d_inputs, [d_variables.get(variable.ref()) for variable in variables]

        return (*halves, log_det), gradient

    first, second, log_det = apply(*halves, *tensors)
    final += [first, second]
    return (first, second), log_det


def forward(
    inputs: Inputs, steps: Sequence[Step], halves: Halves, tensors: Sequence[tf.Tensor]
) -> tuple[Halves, tf.Tensor, list[tuple[tf.Tensor, ...]]]:
    """Runs the steps in turn.

    Returns:
      The new halves, log|det J| per node [num_nodes], and the statistics of each layer.
    """
    log_det = tf.zeros_like(halves[0][:, 0])
    sizes = [half.shape[-1] for half in halves]
    kept_statistics = []
    for step in steps:
        changed, kept = split(step.layer, halves)
        seen = inputs.seen(step, kept, tensors, after=halves)
        layer = None if inputs.replaced else step.layer
        new, added, statistics = step.half_step.forward(changed, seen, layer, **inputs.options)
        halves = join(step.layer, new, kept, sizes)
        log_det += added
        kept_statistics.append(statistics)
    return halves, log_det, kept_statistics


def backward(
    inputs: Inputs,
    steps: Sequence[Step],
    statistics: Sequence[tuple[tf.Tensor, ...]],
    halves: Halves,
    d_halves: Halves,
    d_log_det: tf.Tensor,
    tensors: Sequence[tf.Tensor],
) -> tuple[Halves, Halves, list[tf.Tensor | None], dict[Any, tf.Tensor]]:
    """Inverts and differentiates the steps from the last to the first, in O(nodes) memory.

    Returns:
      The halves before the first step, the gradients by them and by `tensors`, and by reference
      those by variables whose values are not among the tensors.
    """
    d_tensors: list[tf.Tensor | None] = [None] * len(tensors)
    d_variables: dict[Any, tf.Tensor] = {}
    computed: list[tf.Tensor] = [*d_halves, d_log_det]
    sizes = [half.shape[-1] for half in halves]
    for step, of_batch in zip(reversed(steps), reversed(statistics), strict=True):
        changed, kept = split(step.layer, delayed(halves, computed))
        d_changed, d_kept = split(step.layer, d_halves)
        seen = inputs.seen(step, kept, tensors, after=computed)
        changed, d_changed, gradients, variables = step.half_step.backward(
            changed, d_changed, d_log_det, seen, of_batch, **inputs.options
        )
        if kept is not None:
            d_kept = _add(d_kept, gradients.kept)
        halves = join(step.layer, changed, kept, sizes)
        d_halves = join(step.layer, d_changed, d_kept, sizes)
        for i, g in zip(inputs.indices(step), gradients.features + gradients.values, strict=True):
            if i is not None and g is not None:
                d_tensors[i] = _add(d_tensors[i], g)
        for variable, g in zip(variables, gradients.variables, strict=True):
            d_variables[variable.ref()] = _add(d_variables.get(variable.ref()), g)
        computed = [g for g in tf.nest.flatten((d_changed, gradients)) if g is not None]
    return halves, d_halves, d_tensors, d_variables


def _add(a, b):
    if a is None or b is None:
        return b if a is None else a
    return a + b
