"""The gradient of reversible steps from their final state: each is undone, then differentiated."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import tensorflow as tf
from graph_nets.graphs import GraphsTuple
from tensorflow.python.eager import forwardprop_util, record

from gnf_tf.graphs.structure import INDEX_FIELDS
from gnf_tf.reversible.steps import (
    Halves,
    ReversibleStep,
    after,
    join,
    seed_after,
    split,
)
from gnf_tf.substitution import held_values, substituted

__all__ = ["Inputs", "Walk", "backward", "local", "reversible_gradient"]


def local(tensors: Iterable[tf.Tensor]) -> list[tf.Tensor]:
    """The tensors in the graph that is being built, as of the body of a loop or a branch.

    What belongs to an outer graph enters an inner one at its first use. A gradient that is made in
    yet another graph can't find it then; nor does a tape, if it did not record that use.
    """
    return list(tensors) if tf.executing_eagerly() else [tf.identity(x) for x in tensors]


class Inputs:
    """What steps see besides the state, each tensor once, however many ways it reaches them.

    Attributes:
      tensors: the float fields of the graph, and the values of the variables and the tensors that
        the steps hold. A gradient goes to each of them.
    """

    def __init__(self, graph: GraphsTuple, steps: Sequence[ReversibleStep]):
        """Reads the variables.

        Args:
          graph: as the steps see it.
          steps: `tf.Module`s, or other objects that hold theirs as attributes.
        """
        self.tensors: list[tf.Tensor] = []
        self._graph = graph.replace(
            **dict(zip(INDEX_FIELDS, local(getattr(graph, f) for f in INDEX_FIELDS), strict=True))
        )
        self._steps = steps
        place: dict[int, int] = {}  # of a tensor, by its id

        def placed(tensor):
            if id(tensor) not in place:
                place[id(tensor)] = len(self.tensors)
                self.tensors.append(tensor)
            return place[id(tensor)]

        self._fields = {
            name: placed(value)
            for name in ("nodes", "edges", "globals")
            if (value := getattr(graph, name)) is not None and value.dtype.is_floating
        }
        values: dict[int, int] = {}  # the same of a variable or tensor that is held
        self._uses: dict[int, list[int]] = {}  # what a step sees, by its id
        for step in steps:
            held = [] if id(step) in self._uses else held_values(step)
            for value in held:
                if id(value) not in values:
                    values[id(value)] = placed(tf.convert_to_tensor(value))
            seen = {*self._fields.values(), *(values[id(value)] for value in held)}
            self._uses.setdefault(id(step), sorted(seen))
        self._values = values
        self.tensors = local(self.tensors)

    def graph(self, tensors: Sequence[tf.Tensor]) -> GraphsTuple:
        """The graph, of other values of `tensors`."""
        return self._graph.replace(**{name: tensors[i] for name, i in self._fields.items()})

    def steps(
        self, tensors: Sequence[tf.Tensor], more: Mapping[int, Any] | None = None
    ) -> list[ReversibleStep]:
        """The steps, of other values of `tensors`, and of `more`, see `substituted`."""
        values = {key: tensors[i] for key, i in self._values.items()} | dict(more or {})
        made = {id(step): substituted(step, values) for step in self._steps}
        return [made[id(step)] for step in self._steps]

    def uses(self) -> list[list[int]]:
        """For each step, which of the `tensors` it sees and has a gradient by."""
        return [
            [i for i in self._uses[id(step)] if self.tensors[i].dtype.is_floating]
            for step in self._steps
        ]


class Walk(Protocol):
    """How a stack is run, and walked back from its end."""

    def forward(
        self, halves: Halves, inputs: Inputs, tensors: Sequence[tf.Tensor]
    ) -> tuple[Halves, tf.Tensor, Any]:
        """(new halves, log|det J| per node, what `backward` needs besides)."""

    def backward(
        self,
        halves: Halves,
        d_halves: Halves,
        d_log_det: tf.Tensor,
        inputs: Inputs,
        tensors: Sequence[tf.Tensor],
        residuals: Any,
    ) -> tuple[Halves, list[tf.Tensor | None], dict[Any, tf.Tensor]]:
        """Gradients by the first halves, by `tensors`, and by other variables (by reference)."""


def reversible_gradient(
    walk: Walk, halves: Halves, inputs: Inputs, more: Sequence[tf.Tensor] = ()
) -> tuple[Halves, tf.Tensor]:
    """(new halves, log|det J| per node) of `walk.forward`, with the gradient of `walk.backward`.

    The walk gets the tensors of `inputs`, and `more` of its own.
    """
    tensors = [*inputs.tensors, *more]
    # Forward-mode differentiation keeps no activations: it needs no help, and gets none.
    if forwardprop_util.pack_tangents([*halves, *tensors]).tangents:
        halves, log_det, _ = walk.forward(halves, inputs, tensors)
        return halves, log_det
    # Where the walk back begins: the outputs as an outer tape knows them, so that the gradient
    # can be differentiated again. Filled once they are there.
    final: list[tf.Tensor] = []

    @tf.custom_gradient
    def apply(first, second, *tensors):
        # As in tf.recompute_grad: an eager outer tape would otherwise keep every state.
        with record.stop_recording():
            halves, log_det, residuals = walk.forward((first, second), inputs, tensors)

        def gradient(d_first, d_second, d_log_det, variables=None):
            d_halves, d_tensors, d_variables = walk.backward(
                tuple(final), (d_first, d_second), d_log_det, inputs, tensors, residuals
            )
            d_inputs = [*d_halves, *d_tensors]
            if variables is None:
                return d_inputs
            return d_inputs, [d_variables.get(variable.ref()) for variable in variables]

        return (*halves, log_det), gradient

    first, second, log_det = apply(*halves, *tensors)
    final += [first, second]
    return (first, second), log_det


def backward(
    steps, seeds, residuals, halves, d_halves, d_log_det, graph, tensors, uses, is_training
):
    """Walks from the final state to the first one, one network evaluation a step.

    Returns the first state's halves, and gradients of them, of `tensors` (of which `uses` says
    which ones each step sees), and by reference of variables that are none of these.
    """
    d_tensors: list[tf.Tensor | None] = [None] * len(tensors)
    d_variables: dict[Any, tf.Tensor] = {}
    computed: list[tf.Tensor] = [*d_halves, d_log_det]
    for step, seed, residual, places in zip(
        *map(reversed, (steps, seeds, residuals, uses)), strict=True
    ):
        changed, kept = split(step, after(halves, computed))
        seed = seed_after(seed, computed)
        d_changed, d_kept = split(step, d_halves)
        inputs = [] if kept is None else [kept]
        inputs += [tensors[place] for place in places]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            params = step.condition(kept, graph, is_training, seed=seed)
            # The old value starts the vector-Jacobian product, as a constant; its dependence on
            # the params through the inversion is no part of the step. Outer tapes do record it.
            with tape.stop_recording():
                changed, _ = step.invert(changed, params, residual)
            tape.watch(changed)
            new, log_det, _ = step.transform(changed, params)
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
        halves = join(step, changed, kept, sizes)
        d_halves = join(step, d_changed, d_kept, sizes)
        for place, g in zip(places, gradients, strict=False):
            d_tensors[place] = _add(d_tensors[place], g)
        for variable, g in zip(variables, gradients[len(places) :], strict=True):
            d_variables[variable.ref()] = _add(d_variables.get(variable.ref()), g)
    return halves, d_halves, d_tensors, d_variables


def _add(a, b):
    if a is None or b is None:
        return b if a is None else a
    return a + b
