"""Deep stacks: the same layers many times, in one loop over their weights."""

from collections.abc import Callable, Sequence

import tensorflow as tf
from tensorflow.python.eager import record

from gnf_tf.reversible.gradient import Inputs, backward, local
from gnf_tf.reversible.layers import ReversibleLayer, directed, forward
from gnf_tf.substitution import held_values

__all__ = ["Loop", "Looped"]


class Loop(tf.Module):
    """`num_steps` times the layers that `make_layers` gives, with weights of their own each time.

    `reversible.run` executes a loop as one `tf.while_loop`, and its gradient as another one, so
    that a `tf.function` of a thousand steps is as large, and traced as fast, as one of a single
    step. Prefer a sequence of layers for a few steps: XLA and the graph executor optimize it
    better, and it has second derivatives.

    Attributes:
      stacked: one variable [num_steps, ...] for each variable of the layers.
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
            not replace it by the weights of each step.
        """
        super().__init__(name=name)
        if num_steps < 1:
            raise ValueError(f"`num_steps` must be at least 1, got {num_steps}")
        self._num_steps = num_steps
        values = []
        with tf.init_scope():
            for _ in range(num_steps):
                layers, variables = _made(make_layers)
                values.append([variable.numpy() for variable in variables])
            self.stacked = [
                tf.Variable(tf.stack(each), name=variable.name.partition(":")[0])
                for variable, each in zip(variables, zip(*values, strict=True), strict=True)
            ]
        # The layers of the last step serve for all steps, with weights substituted. A function
        # holds them, where neither `tf.Module` nor a checkpoint finds the variables replaced.
        self._template = lambda: (layers, variables)

    @property
    def num_steps(self) -> int:
        """T, the number of steps."""
        return self._num_steps

    @property
    def layers(self) -> Sequence[ReversibleLayer]:
        """The layers of one step; their own variables are not used."""
        return self._template()[0]

    @property
    def replaced(self) -> Sequence[tf.Variable]:
        """The variables of `layers`, in the place of which the `stacked` weights are used."""
        return self._template()[1]


def _made(make_layers):
    """New layers, and their variables."""
    created = []

    def creator(next_creator, **arguments):
        created.append(next_creator(**arguments))
        return created[-1]

    with tf.variable_creator_scope(creator):
        layers = tuple(make_layers())
    held = set(map(id, held_values(layers)))
    for variable in created:
        if id(variable) not in held or not variable.trainable:
            raise _not_replaceable([variable])
    return layers, created


def _not_replaceable(variables):
    names = sorted(f"{variable.name} of shape {variable.shape}" for variable in variables)
    return ValueError(
        "the variables of a loop must be trainable, and attributes of `tf.Module`s or in the "
        f"closures of functions that its layers hold, got {', '.join(names)}"
    )


class Looped:
    """The `Execution` of a `Loop`: its `tensors` are those of the inputs, then the weights."""

    def __init__(self, loop, graph, conditional_input, *, inverse, memory, is_training, seed):
        """The arguments are those of `run`; the seed is int32 [2] or None."""
        del memory
        self._replaced = {id(variable): variable for variable in loop.replaced}
        self._inputs = Inputs(
            graph, conditional_input, is_training, loop.layers, without=self._replaced
        )
        weights = local(map(tf.convert_to_tensor, loop.stacked))
        self.tensors = [*self._inputs.tensors, *weights]
        self._num_steps = loop.num_steps
        self._inverse = inverse
        self._seed = seed

    def forward(self, halves, tensors):
        others, weights = self._parted(tensors)
        arrays, context = _arrays(weights), self._inputs.context(others)

        def body(step, halves, log_det):
            layers, seeds, _ = self._step(step, others, arrays)
            with record.VariableWatcher() as watcher:
                new, added, _ = forward(layers, seeds, halves, context)
            self._check(watcher.watched_variables())
            return step + 1, _as(halves, new), log_det + added

        start = (tf.constant(0), halves, tf.zeros_like(halves[0][:, 0]))
        return *self._while(body, start)[1:], None

    def backward(self, halves, d_halves, d_log_det, tensors, statistics):
        del statistics
        others, weights = self._parted(tensors)
        arrays = _arrays(weights)
        floats = [i for i, tensor in enumerate(others) if tensor.dtype.is_floating]

        def body(counter, halves, d_halves, d_others, d_arrays):
            step = self._num_steps - 1 - counter
            inner = local(others)
            layers, seeds, held = self._step(step, inner, arrays)
            tensors = [*inner, *held]
            seen = [*floats, *range(len(inner), len(tensors))]
            old, d_old, gradients, d_variables = backward(
                layers,
                seeds,
                [()] * len(layers),
                halves,
                d_halves,
                d_log_det,
                self._inputs.context(inner),
                tensors,
                [seen] * len(layers),
            )
            if d_variables:
                raise _not_replaceable(variable.deref() for variable in d_variables)
            gradients = [
                tf.zeros_like(tensors[i]) if gradients[i] is None else gradients[i] for i in seen
            ]
            index, d_weights = self._index(step), gradients[len(floats) :]
            return (
                counter + 1,
                _as(halves, old),
                _as(d_halves, d_old),
                [total + g for total, g in zip(d_others, gradients, strict=False)],
                [array.write(index, g) for array, g in zip(d_arrays, d_weights, strict=True)],
            )

        start = (
            tf.constant(0),
            halves,
            d_halves,
            [tf.zeros_like(others[i]) for i in floats],
            [_array(weight) for weight in weights],
        )
        _, _, d_halves, d_floats, d_arrays = self._while(body, start)
        d_others: list[tf.Tensor | None] = [None] * len(others)
        for i, gradient in zip(floats, d_floats, strict=True):
            d_others[i] = gradient
        gradients = [*d_halves, *d_others, *(array.stack() for array in d_arrays)]
        message = "reversible.Loop has no second derivatives"
        d_first, d_second, *d_tensors = [
            None if g is None else tf.raw_ops.PreventGradient(input=g, message=message)
            for g in gradients
        ]
        return (d_first, d_second), d_tensors, {}

    def _parted(self, tensors):
        count = len(self._inputs.tensors)
        return tensors[:count], tensors[count:]

    def _step(self, step, others, arrays):
        """The layers of a step, their seeds, and their weights."""
        index = self._index(step)
        held = [array.read(index) for array in arrays]
        layers = self._inputs.layers(others, dict(zip(self._replaced, held, strict=True)))
        return *directed(layers, self._seed, self._inverse, index * len(layers)), held

    def _index(self, step):
        """The index, in the stacked weights, of the step that runs as number `step`."""
        return self._num_steps - 1 - step if self._inverse else step

    def _check(self, read):
        """Raises if a network reads a variable itself, and not the weights of its step."""
        found = [variable for variable in read if id(variable) in self._replaced]
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


def _array(stacked):
    return tf.TensorArray(
        stacked.dtype,
        size=stacked.shape[0],
        element_shape=stacked.shape[1:],
        clear_after_read=False,
    )


def _arrays(weights):
    # The gradient of an array's element has its size; that of a slice, the size of the whole.
    return [_array(stacked).unstack(stacked) for stacked in weights]


def _as(before, after):
    """`after`, with the static shapes of `before`, which the variables of a loop must keep."""
    return tuple(tf.ensure_shape(b, a.shape) for a, b in zip(before, after, strict=True))
