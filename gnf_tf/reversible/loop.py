"""Deep stacks: many steps of one make as one loop over their weights."""

import dataclasses
from collections.abc import Callable, Sequence

import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf.reversible.gradient import Inputs, backward, local, reversible_gradient
from gnf_tf.reversible.steps import (
    Memory,
    ReversibleStep,
    check_memory,
    check_seed,
    directed,
    forward,
    split_nodes,
)
from gnf_tf.seeds import Seed, as_pair

__all__ = ["Loop"]


class Loop(tf.Module):
    """`num_steps` times the steps that `make_steps` gives, each time with weights of their own.

    The weights are kept together, one variable [num_steps, ...] for each of a step's. `run` is one
    `tf.while_loop`, and its gradient another one backwards, so that a `tf.function` of a thousand
    steps is as large, and traced as fast, as one of a single step.
    """

    def __init__(
        self,
        make_steps: Callable[[], Sequence[ReversibleStep]],
        num_steps: int,
        name: str | None = None,
    ):
        """Makes the variables, initialised as the steps initialise theirs.

        Args:
          make_steps: called `num_steps` times; returns `tf.Module`s, alike each time.
          num_steps: how many times.
          name: as `tf.Module`.

        Raises:
          ValueError: if `num_steps` is below 1; for a variable that is no attribute of a step or of
            one of its submodules, or isn't trainable: the loop could not replace or update it.
        """
        super().__init__(name=name)
        if num_steps < 1:
            raise ValueError(f"`num_steps` must be at least 1, got {num_steps}")
        self._num_steps = num_steps
        values = []
        with tf.init_scope():
            for _ in range(num_steps):
                self._steps, variables, places = _made(make_steps)
                values.append([variable.numpy() for variable in variables])
            self.stacked = [
                tf.Variable(tf.stack(each), name=variable.name.partition(":")[0])
                for variable, each in zip(variables, zip(*values, strict=True), strict=True)
            ]
        # The last steps made are run, with the weights of each step where these slots are.
        self._slots = tuple(_Slot() for _ in places)
        for slot, of_variable in zip(self._slots, places, strict=True):
            for module, attribute in of_variable:
                delattr(module, attribute)
                setattr(module, attribute, slot)

    @tf.autograph.experimental.do_not_convert
    def run(
        self,
        graph: GraphsTuple,
        conditional_input: tf.Tensor | None = None,
        *,
        inverse: bool = False,
        memory: Memory = "reversible",
        is_training: bool = False,
        seed: Seed | None = None,
    ) -> tuple[GraphsTuple, tf.Tensor]:
        """As `gnf_tf.reversible.run` of all steps, the same numbers for the same weights.

        Under `memory="reversible"` there are no second derivatives: they raise a LookupError.
        """
        check_memory(memory)
        check_seed(self._steps, seed, is_training)
        halves, context = split_nodes(graph, conditional_input)
        inputs = Inputs(context, self._steps)
        weights = local(tf.convert_to_tensor(variable) for variable in self.stacked)
        walk = _Walk(
            self._steps,
            self._slots,
            self._num_steps,
            None if seed is None else as_pair(seed),
            inverse,
            is_training,
        )
        if memory == "stored":
            halves, log_det, _ = walk.forward(halves, inputs, [*inputs.tensors, *weights])
        else:
            halves, log_det = reversible_gradient(walk, halves, inputs, more=weights)
        return graph.replace(nodes=tf.concat(halves, axis=-1)), log_det

    @property
    def num_steps(self) -> int:
        """How many times."""
        return self._num_steps


class _Slot:
    """Stands where a weight goes."""


def _made(make_steps):
    """New steps, their variables, and for each where it is held: (module, attribute) pairs."""
    created = []

    def creator(next_creator, **arguments):
        created.append(next_creator(**arguments))
        return created[-1]

    with tf.variable_creator_scope(creator):
        steps = tuple(make_steps())
    places = {variable.ref(): [] for variable in created}
    modules = {id(m): m for step in steps for m in (step, *step.submodules)}
    for module in modules.values():
        for attribute, value in vars(module).items():
            if isinstance(value, tf.Variable) and value.ref() in places:
                places[value.ref()].append((module, attribute))
    for variable in created:
        if not places[variable.ref()] or not variable.trainable:
            raise ValueError(
                "a loop's variables must be trainable and attributes of `tf.Module`s that its "
                f"steps hold, got {variable.name} of shape {variable.shape}"
            )
    return steps, created, list(places.values())


@dataclasses.dataclass(frozen=True)
class _Walk:
    """All turns of a loop; `tensors` are those of the inputs, then the stacked weights."""

    steps: Sequence[ReversibleStep]
    slots: Sequence[_Slot]
    num_steps: int
    seed: tf.Tensor | None
    inverse: bool
    is_training: bool

    def forward(self, halves, inputs, tensors):
        others, weights = self._parted(inputs, tensors)
        arrays, graph = _arrays(weights), inputs.graph(others)

        def body(place, halves, log_det):
            steps, seeds, _ = self._turn(place, inputs, others, arrays)
            new, added, _ = forward(steps, seeds, halves, graph, self.is_training)
            return place + 1, _as(halves, new), log_det + added

        start = (tf.constant(0), halves, tf.zeros_like(halves[0][:, 0]))
        return *self._while(body, start)[1:], None

    def backward(self, halves, d_halves, d_log_det, inputs, tensors, residuals):
        del residuals
        others, weights = self._parted(inputs, tensors)
        arrays = _arrays(weights)
        floats = [place for place, tensor in enumerate(others) if tensor.dtype.is_floating]

        def body(turn, halves, d_halves, d_others, d_arrays):
            place = self.num_steps - 1 - turn
            inner = local(others)
            steps, seeds, held = self._turn(place, inputs, inner, arrays)
            seen = [*inner, *held]
            places = [*floats, *range(len(inner), len(seen))]
            old, d_old, gradients, d_variables = backward(
                steps,
                seeds,
                [None] * len(steps),
                halves,
                d_halves,
                d_log_det,
                inputs.graph(inner),
                seen,
                [places] * len(steps),
                self.is_training,
            )
            if d_variables:
                names = sorted(variable.deref().name for variable in d_variables)
                raise ValueError(
                    "a loop's variables must be attributes of `tf.Module`s that its steps hold, "
                    f"got {', '.join(names)}"
                )
            gradients = [
                tf.zeros_like(seen[place]) if gradients[place] is None else gradients[place]
                for place in places
            ]
            index, d_weights = self._index(place), gradients[len(floats) :]
            return (
                turn + 1,
                _as(halves, old),
                _as(d_halves, d_old),
                [total + g for total, g in zip(d_others, gradients, strict=False)],
                [array.write(index, g) for array, g in zip(d_arrays, d_weights, strict=True)],
            )

        start = (
            tf.constant(0),
            halves,
            d_halves,
            [tf.zeros_like(others[place]) for place in floats],
            [_array(weight) for weight in weights],
        )
        _, _, d_halves, d_floats, d_arrays = self._while(body, start)
        d_others: list[tf.Tensor | None] = [None] * len(others)
        for place, gradient in zip(floats, d_floats, strict=True):
            d_others[place] = gradient
        gradients = [*d_halves, *d_others, *(array.stack() for array in d_arrays)]
        message = "reversible.Loop has no second derivatives"
        d_first, d_second, *d_tensors = [
            None if g is None else tf.raw_ops.PreventGradient(input=g, message=message)
            for g in gradients
        ]
        return (d_first, d_second), d_tensors, {}

    def _parted(self, inputs, tensors):
        count = len(inputs.tensors)
        return tensors[:count], tensors[count:]

    def _turn(self, place, inputs, others, arrays):
        """(steps, their seeds, their weights) of a turn of the loop."""
        index = self._index(place)
        held = [array.read(index) for array in arrays]
        weight_of = {id(slot): weight for slot, weight in zip(self.slots, held, strict=True)}
        steps = inputs.steps(others, weight_of)
        return *directed(steps, self.seed, self.inverse, index * len(steps)), held

    def _index(self, place):
        """Of the weights of a turn."""
        return self.num_steps - 1 - place if self.inverse else place

    def _while(self, body, start):
        # One turn at a time: turns that overlap would hold the states of all of them.
        return tf.while_loop(
            lambda place, *_: place < self.num_steps,
            body,
            start,
            parallel_iterations=1,
            maximum_iterations=self.num_steps,
        )


def _array(stacked):
    return tf.TensorArray(
        stacked.dtype,
        size=stacked.shape[0],
        element_shape=stacked.shape[1:],
        clear_after_read=False,
    )


def _arrays(weights):
    # The gradient of an array's element is that element's; of a slice, as large as the whole.
    return [_array(stacked).unstack(stacked) for stacked in weights]


def _as(before, after):
    """`after`, of the static shapes that a loop's variables have to keep."""
    return tuple(tf.ensure_shape(b, a.shape) for a, b in zip(before, after, strict=True))
