"""Deep stacks: the same layers many times, in one loop over their weights."""

import itertools
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.python.eager import record

from gnf_tf.custom_gradient import local
from gnf_tf.reversible.gradient import Inputs, backward, forward
from gnf_tf.reversible.half_step import HalfStep
from gnf_tf.reversible.layers import ReversibleLayer
from gnf_tf.substitution import created_variables, described

__all__ = ["Loop", "Looped", "Repeated", "repeated"]


class Loop(tf.Module):
    """`num_steps` times the layers that `make_layers` gives, with weights of their own each time.

    `reversible.run` executes a loop as one `tf.while_loop`, and its gradient as another one, so
    that a `tf.function` of a thousand steps is as large, and traced as fast, as one of a single
    step. Prefer a sequence of layers for up to a hundred steps: it has a name for each weight, and
    XLA runs it as a loop too where that saves memory or compilation, if its layers are alike.

    Attributes:
      stacked: one variable [num_steps, ...] for each variable that the layers of a step make.
      shared: the variables that the layers of all steps hold in common.
    """

    def __init__(
        self,
        make_layers: Callable[[], Sequence[ReversibleLayer]],
        num_steps: int,
        name: str | None = None,
    ):
        """Makes the variables, with the initial values that the layers choose.

        Args:
          make_layers: called `num_steps` times; returns equal `tf.Module`s each time.
          num_steps: T, at least 1.
          name: as `tf.Module`.

        Raises:
          ValueError: if `num_steps` is below 1; for a variable that is not trainable, or that is
            not found in the layers (see `gnf_tf.substitution`): the loop could not update it, or
            not replace it by the weights of each step; for layers that differ from step to step;
            for a variable that neither the step makes nor all steps have.
        """
        super().__init__(name=name)
        if num_steps < 1:
            raise ValueError(f"`num_steps` must be at least 1, got {num_steps}")
        self._num_steps = num_steps
        with tf.init_scope():
            made = [_made(make_layers) for _ in range(num_steps)]
            layers, created, description = made[-1]
            if any(of_step.structure != description.structure for _, _, of_step in made):
                raise ValueError(
                    "`make_layers` must give equal layers each time, got some that differ in "
                    "more than the values of their variables"
                )
            own = {id(variable) for _, of_step, _ in made for variable in of_step}
            columns = list(zip(*(of_step.values for _, _, of_step in made), strict=True))
            is_shared = [_is_shared(column, own) for column in columns]
            shared = list(itertools.compress(columns, is_shared))
            order = {id(variable): i for i, variable in enumerate(created)}
            different = sorted(
                itertools.compress(columns, map(operator.not_, is_shared)),
                key=lambda c: order.get(id(c[-1]), len(order)),
            )
            of_steps = [_stacked(column, own) for column in different]
        # Tensors come last, after the variables.
        self.stacked = [value for value in of_steps if isinstance(value, tf.Variable)]
        self._constants = of_steps[len(self.stacked) :]
        self.shared = [c[0] for c in shared if isinstance(c[0], tf.Variable)]
        if fixed := [variable for variable in self.shared if not variable.trainable]:
            raise _not_replaceable(fixed)
        replaced = [column[-1] for column in different]
        # The layers of the last step serve for all steps, with weights substituted. A function
        # holds them, where neither `tf.Module` nor a checkpoint finds the variables replaced.
        self._template = lambda: (layers, replaced)

    @property
    def num_steps(self) -> int:
        """T, the number of steps."""
        return self._num_steps

    @property
    def layers(self) -> Sequence[ReversibleLayer]:
        """The layers of one step; their own variables are not used."""
        return self._template()[0]

    @property
    def replaced(self) -> Sequence[tf.Variable | tf.Tensor]:
        """The values that `layers` hold, in the place of which the `weights` are used."""
        return self._template()[1]

    @property
    def weights(self) -> Sequence[tf.Variable | tf.Tensor]:
        """The `stacked` variables, then tensors that differ between steps, stacked likewise."""
        return [*self.stacked, *self._constants]


def _made(make_layers):
    """New layers, the variables that were made for them, and their description."""
    with created_variables() as created:
        layers = tuple(make_layers())
    description = described(layers)
    held = set(map(id, description.values))
    for variable in created:
        if id(variable) not in held or not variable.trainable:
            raise _not_replaceable([variable])
    return layers, created, description


def _is_shared(column, own):
    """Whether all steps hold the same object, or equal tensors.

    If there is one step only, the variables that it made are its own.
    """
    if all(value is column[0] for value in column):
        return len(column) > 1 or id(column[0]) not in own
    if any(isinstance(value, tf.Variable) for value in column):
        return False
    first, *others = (value.numpy() for value in column)
    return all(np.array_equal(first, other) for other in others)


def _stacked(column, own):
    """The values of all steps as one; a variable, if they are variables of theirs."""
    if not any(isinstance(value, tf.Variable) for value in column):
        return tf.stack(column)
    ids = set(map(id, column))
    if len(ids) < len(column) or not ids <= own:
        names = sorted({value.name for value in column if isinstance(value, tf.Variable)})
        raise ValueError(
            "`make_layers` must make the variables of each step, or give all steps the same ones, "
            f"got {', '.join(names)}"
        )
    name = column[-1].name.partition(":")[0]
    return tf.Variable(tf.stack([value.numpy() for value in column]), name=name)


def _not_replaceable(variables):
    names = sorted(f"{variable.name} of shape {variable.shape}" for variable in variables)
    return ValueError(
        "the variables of a loop must be trainable, and attributes of `tf.Module`s or in the "
        f"closures of functions that its layers hold, got {', '.join(names)}"
    )


class Repeated(NamedTuple):
    """A sequence of layers as the first `period` of them, repeated; a `Loop` has the like."""

    sequence: Sequence[ReversibleLayer]
    period: int
    replaced: Sequence[tf.Variable | tf.Tensor]
    weights: Sequence[tf.Tensor]

    @property
    def layers(self) -> Sequence[ReversibleLayer]:
        return self.sequence[: self.period]

    @property
    def num_steps(self) -> int:
        return len(self.sequence) // self.period

    def update_statistics(self, statistics) -> None:
        """Hands the statistics of each layer, stacked over steps, to the layers of all steps."""
        for i, of_layer in enumerate(statistics):
            for layer, *of_step in zip(
                self.sequence[i :: self.period], *map(tf.unstack, of_layer), strict=False
            ):
                layer.update_statistics(*of_step)


def repeated(layers: Sequence[ReversibleLayer]) -> Repeated | None:
    """The shortest repetition that `layers` are; None if nothing repeats.

    Layers are the same, but for the values that they hold, if they share a `HalfStep`. Values that
    are the same objects in each repetition are not stacked.
    """
    kinds, held = zip(*(HalfStep.of(layer) for layer in layers), strict=True)
    size = len(layers)
    period = next(p for p in range(1, size + 1) if size % p == 0 and kinds[p:] == kinds[:-p])
    if period == size:
        return None
    columns: dict[int, tuple[Any, ...]] = {}  # each value in all steps, by the one in the first
    for i in range(period):
        for values in zip(*held[i::period], strict=True):
            column = columns.setdefault(id(values[0]), values)
            if any(a is not b for a, b in zip(column, values, strict=True)):
                return None  # one object in the first step, several in another
    different = [c for c in columns.values() if any(value is not c[0] for value in c)]
    weights = [tf.stack([tf.convert_to_tensor(value) for value in c]) for c in different]
    return Repeated(layers, period, [c[0] for c in different], weights)


class Looped:
    """The `Execution` of a loop: its `tensors` are those of the inputs, then the weights."""

    def __init__(self, repeated, graph, conditional_input, *, inverse, is_training, seed):
        """The first argument is a `Loop` or a `Repeated`, the others are those of `run`."""
        self._repeated = repeated
        self._inputs = Inputs(
            repeated.layers,
            graph,
            conditional_input,
            inverse=inverse,
            is_training=is_training,
            seed=seed,
            replaced=repeated.replaced,
        )
        weights = local(map(tf.convert_to_tensor, repeated.weights))
        self.tensors = [*self._inputs.tensors, *weights]
        self._num_steps = repeated.num_steps
        self._inverse = inverse
        self._has_statistics = is_training and any(x.has_statistics for x in repeated.layers)
        # Variables that layers read without holding them, as the trace of `forward` finds.
        self._read: Sequence[tf.Variable] = ()

    def forward(self, halves, tensors):
        others, weights = self._parted(tensors)
        arrays = _arrays(weights)

        def run(step, halves):
            steps, held = self._steps(step, arrays)
            with record.VariableWatcher() as watcher:
                results = forward(self._inputs, steps, halves, [*others, *held])
            self._read = watcher.watched_variables()
            self._check(self._read)
            return results

        def body(step, halves, log_det, d_arrays):
            new, added, statistics = run(step, halves)
            written = [
                array.write(step, value)
                for array, value in zip(d_arrays, tf.nest.flatten(statistics), strict=True)
            ]
            return step + 1, _as(halves, new), log_det + added, written

        statistics: Any = [()] * len(self._repeated.layers)
        if self._has_statistics:
            with tf.__internal__.FuncGraph("shapes_of_statistics").as_default():
                _, _, statistics = run(tf.constant(0), halves)
        start = (
            tf.constant(0),
            halves,
            tf.zeros_like(halves[0][:, 0]),
            [_array(x.dtype, self._num_steps, x.shape) for x in tf.nest.flatten(statistics)],
        )
        _, halves, log_det, kept = self._while(body, start)
        statistics = tf.nest.pack_sequence_as(statistics, [array.stack() for array in kept])
        if self._has_statistics:
            self._repeated.update_statistics(statistics)
        return halves, log_det, statistics

    def backward(self, halves, d_halves, d_log_det, tensors, statistics):
        others, weights = self._parted(tensors)
        arrays = _arrays(weights)
        kept = _arrays(tf.nest.flatten(statistics))
        floats = [i for i, tensor in enumerate(tensors) if tensor.dtype.is_floating]
        summed = [i for i in floats if i < len(others)]
        written = floats[len(summed) :]

        def body(counter, halves, d_halves, d_others, d_arrays, d_read):
            step = self._num_steps - 1 - counter
            inner = local(others)
            steps, held = self._steps(step, arrays)
            of_step = tf.nest.pack_sequence_as(statistics, [array.read(step) for array in kept])
            tensors = [*inner, *held]
            old, d_old, gradients, d_variables = backward(
                self._inputs, steps, of_step, halves, d_halves, d_log_det, tensors
            )
            self._check(variable.deref() for variable in d_variables)

            def gradient(i):
                return tf.zeros_like(tensors[i]) if gradients[i] is None else gradients[i]

            index = self._index(step)
            return (
                counter + 1,
                _as(halves, old),
                _as(d_halves, d_old),
                [total + gradient(i) for total, i in zip(d_others, summed, strict=True)],
                [a.write(index, gradient(i)) for a, i in zip(d_arrays, written, strict=True)],
                [
                    total + d_variables.get(variable.ref(), tf.zeros_like(total))
                    for total, variable in zip(d_read, self._read, strict=True)
                ],
            )

        start = (
            tf.constant(0),
            halves,
            d_halves,
            [tf.zeros_like(others[i]) for i in summed],
            [_array(x.dtype, x.shape[0], x.shape[1:]) for x in (tensors[i] for i in written)],
            [tf.zeros_like(variable) for variable in self._read],
        )
        _, _, d_halves, d_others, d_arrays, d_read = self._while(body, start)
        d_tensors: list[tf.Tensor | None] = [None] * len(tensors)
        gradients = [*d_others, *(array.stack() for array in d_arrays)]
        for i, gradient in zip(floats, gradients, strict=True):
            d_tensors[i] = gradient
        refs = [variable.ref() for variable in self._read]
        return d_halves, d_tensors, dict(zip(refs, d_read, strict=True))

    def _parted(self, tensors):
        count = len(self._inputs.tensors)
        return tensors[:count], tensors[count:]

    def _steps(self, step, arrays):
        """The layers of a step, and their weights."""
        index = self._index(step)
        held = [array.read(index) for array in arrays]
        return self._inputs.steps(index * len(self._repeated.layers)), held

    def _index(self, step):
        """The index, in the stacked weights, of the step that runs as number `step`."""
        return self._num_steps - 1 - step if self._inverse else step

    def _check(self, read):
        """Raises if a network reads a variable itself, and not the weights of its step."""
        replaced = set(map(id, self._repeated.replaced))
        found = [variable for variable in read if id(variable) in replaced]
        if found:
            raise _not_replaceable(found)

    def _while(self, body, start):
        # One step at a time: steps that overlap would hold the states of all of them.
        return tf.while_loop(
            lambda step, *_: step < self._num_steps,
            body,
            start,
            parallel_iterations=1,
            maximum_iterations=self._num_steps,
        )


def _array(dtype, size, element_shape):
    return tf.TensorArray(dtype, size=size, element_shape=element_shape, clear_after_read=False)


def _arrays(stacked):
    # The gradient of an array's element has its size; that of a slice, the size of the whole.
    return [_array(x.dtype, x.shape[0], x.shape[1:]).unstack(x) for x in stacked]


def _as(before, after):
    """`after`, with the static shapes of `before`, which the variables of a loop must keep."""
    return tuple(tf.ensure_shape(b, a.shape) for a, b in zip(before, after, strict=True))
