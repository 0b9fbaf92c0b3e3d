"""Deep stacks: many steps of one make as one loop over their weights."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf
from graph_nets.graphs import GraphsTuple
from tensorflow.python.eager import record

from gnf_tf.reversible import engine
from gnf_tf.reversible.engine import Memory, ReversibleStep
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
                self._steps, variables, self._places = _made(make_steps)
                values.append([variable.numpy() for variable in variables])
            self.stacked = [
                tf.Variable(tf.stack(each), name=variable.name.partition(":")[0])
                for variable, each in zip(variables, zip(*values, strict=True), strict=True)
            ]
        # The last steps made are run with the weights of each in the place of their own.
        for module, attribute in (place for places in self._places for place in places):
            delattr(module, attribute)

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
        engine.check_memory(memory)
        halves, inputs = engine.split_nodes(graph, conditional_input)
        # TensorFlow's gradient of a loop can't always capture the eager tensors of a closure.
        ends = {name: tf.identity(getattr(inputs, name)) for name in ("senders", "receivers")}
        inputs = inputs.replace(**ends)
        call = _Call(self, inverse, is_training, None if seed is None else as_pair(seed))
        weights = [tf.convert_to_tensor(variable) for variable in self.stacked]
        if memory == "stored":
            halves, log_det = call.forward(halves, inputs, weights)
        else:
            halves, log_det = _run_reversible(call, halves, inputs, weights)
        return graph.replace(nodes=tf.concat(halves, axis=-1)), log_det

    @property
    def num_steps(self) -> int:
        """How many times."""
        return self._num_steps

    @property
    def steps(self) -> Sequence[ReversibleStep]:
        """Those of one time, without weights outside of `holding`."""
        return self._steps

    @contextlib.contextmanager
    def holding(self, weights: Sequence[tf.Tensor]) -> Iterator[None]:
        """The steps have these weights meanwhile, one for each of `stacked`."""
        slots = [
            (vars(module), attribute, weight)
            for places, weight in zip(self._places, weights, strict=True)
            for module, attribute in places
        ]
        for slot, attribute, weight in slots:
            slot[attribute] = weight
        try:
            yield
        finally:
            for slot, attribute, _ in slots:
                del slot[attribute]


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
class _Call:
    """What stays the same in all steps of a run."""

    loop: Loop
    inverse: bool
    is_training: bool
    seed: tf.Tensor | None

    def forward(self, halves, graph, weights):
        """(new halves, log|det J| per node)."""
        arrays = _arrays(weights)

        def body(place, halves, log_det):
            index, steps, seeds = self._at(place)
            with self.loop.holding([array.read(index) for array in arrays]):
                new, added, _ = engine.forward(steps, seeds, halves, graph, self.is_training)
            return place + 1, _as(halves, new), log_det + added

        start = (tf.constant(0), halves, tf.zeros_like(halves[0][:, 0]))
        return self._while(body, start)[1:]

    def backward(self, halves, d_halves, d_log_det, graph, others, weights):
        """Gradients of the first state's halves, of `others` and of `weights`."""
        arrays = _arrays(weights)

        def body(place, halves, d_halves, d_others, d_arrays):
            index, steps, seeds = self._at(self.loop.num_steps - 1 - place)
            held = [array.read(index) for array in arrays]
            with self.loop.holding(held):
                old, d_old, gradients, _ = engine.backward(
                    steps,
                    seeds,
                    [None] * len(steps),
                    halves,
                    d_halves,
                    d_log_det,
                    graph,
                    [*others, *held],
                    self.is_training,
                )
            gradients = [
                tf.zeros_like(tensor) if gradient is None else gradient
                for tensor, gradient in zip([*others, *held], gradients, strict=True)
            ]
            d_weights = gradients[len(others) :]
            return (
                place + 1,
                _as(halves, old),
                _as(d_halves, d_old),
                [total + g for total, g in zip(d_others, gradients, strict=False)],
                [array.write(index, g) for array, g in zip(d_arrays, d_weights, strict=True)],
            )

        start = (
            tf.constant(0),
            halves,
            d_halves,
            [tf.zeros_like(tensor) for tensor in others],
            [_array(weight) for weight in weights],
        )
        _, _, d_halves, d_others, d_arrays = self._while(body, start)
        return [*d_halves, *d_others, *(array.stack() for array in d_arrays)]

    def _at(self, place):
        """(index of the weights, steps, seeds) of a turn of the loop."""
        index = self.loop.num_steps - 1 - place if self.inverse else place
        steps = self.loop.steps
        return index, *engine.directed(steps, self.seed, self.inverse, index * len(steps))

    def _while(self, body, start):
        # One turn at a time: turns that overlap would hold the states of all of them.
        return tf.while_loop(
            lambda place, *_: place < self.loop.num_steps,
            body,
            start,
            parallel_iterations=1,
            maximum_iterations=self.loop.num_steps,
        )


def _run_reversible(call, halves, graph, weights):
    context = engine.float_fields(graph)
    captured = list(engine.captured_tensors(call.loop.steps))
    final: list[tf.Tensor] = []

    # As in the engine: what custom_gradient calls inputs are the tensors it hands a gradient to.
    @tf.custom_gradient
    def apply(first, second, *others):
        inner_graph = graph.replace(**dict(zip(context, others)))  # noqa: B905
        weights = others[len(context) + len(captured) :]
        with record.stop_recording():
            halves, log_det = call.forward((first, second), inner_graph, weights)
        watched = [*others[: len(context)], *captured]

        def gradient(d_first, d_second, d_log_det):
            gradients = call.backward(
                tuple(final), (d_first, d_second), d_log_det, inner_graph, watched, weights
            )
            message = "reversible.Loop has no second derivatives"
            return [tf.raw_ops.PreventGradient(input=g, message=message) for g in gradients]

        return (*halves, log_det), gradient

    first, second, log_det = apply(*halves, *context.values(), *captured, *weights)
    final += [first, second]
    return (first, second), log_det


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
