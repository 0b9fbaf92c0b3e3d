"""Reversible steps one after the other, and the gradient of each from its own inverse.

A reversible step changes one part of the state by a map whose parameters depend on the part that
it keeps. `run` composes steps; under `memory="reversible"` it keeps only the final state and
walks back from it: each step is undone and differentiated from one evaluation of its network.
"""

import functools
import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

import tensorflow as tf
from graph_nets.graphs import GraphsTuple
from tensorflow.python.eager import record

from gnf_tf import xla
from gnf_tf.seeds import Seed, as_pair

__all__ = [
    "MEMORY_MODES",
    "Inverse",
    "Memory",
    "ReversibleStep",
    "backward",
    "captured_tensors",
    "check_memory",
    "directed",
    "float_fields",
    "forward",
    "run",
    "split_nodes",
]

Memory = Literal["reversible", "stored"]
MEMORY_MODES = ("reversible", "stored")


class ReversibleStep(Protocol):
    """What the engine asks of a step. All tensors are per node: [num_nodes, ...].

    `updates` names the half of the features that the step changes (0 or 1); None: it changes all
    of them at once, and `kept` is None.
    """

    updates: int | None

    def condition(
        self,
        kept: tf.Tensor | None,
        graph: GraphsTuple,
        is_training: bool,
        seed: tf.Tensor | None = None,
    ) -> Any:
        """The map's parameters, any structure of tensors: the expensive part, a network.

        The nodes of `graph` are the conditional input [num_nodes, conditional size, 0 if none].
        Random numbers come from `seed`, int32 [2], alone: it is the step's own, and the same in
        every evaluation that one `run` and its gradient make. None: there are to be none.
        """

    def transform(self, changed: tf.Tensor, params: Any) -> tuple[tf.Tensor, tf.Tensor, Any]:
        """(new value, log|det J| per node [num_nodes], what `invert` needs besides the params)."""

    def invert(
        self, changed: tf.Tensor, params: Any, residual: Any = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """(old value, log|det J| per node of this inverse direction)."""

    def update_statistics(self, residual: Any) -> None:
        """Side effects of a forward pass, called once for each: moving averages."""


class Inverse:
    """A step run the other way, so that the engine knows one direction only."""

    def __init__(self, step: ReversibleStep):
        self.step = step
        self.updates = step.updates
        self.condition = step.condition

    def transform(self, changed, params):
        changed, log_det = self.step.invert(changed, params)
        return changed, log_det, None

    def invert(self, changed, params, residual=None):
        changed, log_det, _ = self.step.transform(changed, params)
        return changed, log_det

    def update_statistics(self, residual):
        pass


@tf.autograph.experimental.do_not_convert
def run(
    steps: Sequence[ReversibleStep],
    graph: GraphsTuple,
    conditional_input: tf.Tensor | None = None,
    *,
    inverse: bool = False,
    memory: Memory = "reversible",
    is_training: bool = False,
    seed: Seed | None = None,
) -> tuple[GraphsTuple, tf.Tensor]:
    """Applies `steps` in order (or, with `inverse`, undoes them from the last to the first).

    Args:
      steps: what to compose.
      graph: nodes [num_nodes, node_size] with an even node_size, float. Edges and globals, if
        float, are differentiable inputs of every step.
      conditional_input: [num_nodes, any width] features that the steps' networks see and that
        stay as they are.
      inverse: run the inverse map.
      memory: "reversible" keeps O(num_nodes) values for the gradient, "stored" keeps every
        intermediate one, as automatic differentiation does. Same numbers, up to rounding.
      is_training: handed to every step's `condition`.
      seed: of the steps' random numbers, such as dropout: a whole number, or a pair (a tensor
        [2]). Folded with a step's place in `steps` it is that step's own, in either direction, so
        that the inverse by the same seed undoes the same map. None: nothing random.

    Returns:
      The graph with its new nodes, and log|det J| per node [num_nodes]; sum it over the nodes of
      a graph for the log-determinant of that graph.

    Gradients reach the float fields of the graph, the conditional input, every trainable variable,
    and float tensors that the steps hold as attributes, closure cells or partial arguments. A
    tensor that a network reaches in another way (a Python global, say) gets no gradient: hand it
    over in the edges or globals of the graph. Higher derivatives work.

    Raises:
      ValueError: for an unknown `memory`, a node width that does not split in two, or a `seed` that
        is no number or pair.
    """
    check_memory(memory)
    halves, inputs = split_nodes(graph, conditional_input)
    steps, seeds = directed(steps, None if seed is None else as_pair(seed), inverse)
    if memory == "stored":
        halves, log_det, _ = forward(steps, seeds, halves, inputs, is_training)
    else:
        halves, log_det = _run_reversible(steps, seeds, halves, inputs, is_training)
    return graph.replace(nodes=tf.concat(halves, axis=-1)), log_det


def check_memory(memory: str) -> None:
    """Raises a ValueError for what is no `Memory`."""
    if memory not in MEMORY_MODES:
        raise ValueError(f"`memory` must be one of {MEMORY_MODES}, got {memory!r}")


def split_nodes(
    graph: GraphsTuple, conditional_input: tf.Tensor | None
) -> tuple[tuple[tf.Tensor, tf.Tensor], GraphsTuple]:
    """The halves of the node features, and the graph as networks see it."""
    width = graph.nodes.shape[-1]
    if width is None or width % 2:
        raise ValueError(
            f"`graph.nodes` must have an even, static width to split in halves, got {width}"
        )
    halves = tuple(tf.split(graph.nodes, 2, axis=-1))
    if conditional_input is None:
        conditional_input = graph.nodes[:, :0]
    return halves, graph.replace(nodes=conditional_input)


def directed(
    steps: Sequence[ReversibleStep],
    seed: tf.Tensor | None,
    inverse: bool,
    first: int | tf.Tensor = 0,
) -> tuple[Sequence[ReversibleStep], list[tf.Tensor | None]]:
    """The steps as they are to run, with the seed of each; `first` is the place of steps[0]."""
    seeds = [
        None if seed is None else tf.random.fold_in(seed, first + i, alg="philox")
        for i in range(len(steps))
    ]
    if inverse:
        return [Inverse(step) for step in reversed(steps)], seeds[::-1]
    return steps, seeds


def forward(steps, seeds, halves, graph, is_training):
    """Returns the new halves, log|det J| per node, and what each step's inversion needs."""
    log_det = tf.zeros_like(halves[0][:, 0])
    residuals = []
    for step, seed in zip(steps, seeds, strict=True):
        changed, kept = _split(step, halves)
        params = step.condition(kept, graph, is_training, seed=_seed_after(seed, halves))
        changed, step_log_det, residual = step.transform(changed, params)
        step.update_statistics(residual)
        halves = _join(step, changed, kept)
        log_det += step_log_det
        residuals.append(residual)
    return halves, log_det, residuals


def _run_reversible(steps, seeds, halves, graph, is_training):
    context = float_fields(graph)
    captured = list(captured_tensors(steps))
    # Where the walk back begins: the outputs as an outer tape knows them, so that the gradient
    # can be differentiated again. Filled once they are there.
    final: list[tf.Tensor] = []

    # What custom_gradient calls inputs are the tensors it hands a gradient to. The networks see
    # the captured tensors where they hold them, so the body has no use for those arguments.
    @tf.custom_gradient
    def apply(first, second, *others):
        inner_graph = graph.replace(**dict(zip(context, others)))  # noqa: B905
        # As in tf.recompute_grad: an eager outer tape would otherwise keep every state.
        with record.stop_recording():
            halves, log_det, residuals = forward(
                steps, seeds, (first, second), inner_graph, is_training
            )
        watched = [*others[: len(context)], *captured]

        def gradient(d_first, d_second, d_log_det, variables=None):
            _, d_halves, d_watched, d_variables = backward(
                steps,
                seeds,
                residuals,
                tuple(final),
                (d_first, d_second),
                d_log_det,
                inner_graph,
                watched,
                is_training,
            )
            if variables is None:
                return [*d_halves, *d_watched]
            return [*d_halves, *d_watched], [d_variables.get(v.ref()) for v in variables]

        return (*halves, log_det), gradient

    first, second, log_det = apply(*halves, *context.values(), *captured)
    final += [first, second]
    return (first, second), log_det


def float_fields(graph: GraphsTuple) -> dict[str, tf.Tensor]:
    """The fields of the graph that are differentiable inputs of the networks."""
    fields = {name: getattr(graph, name) for name in ("nodes", "edges", "globals")}
    return {
        name: value
        for name, value in fields.items()
        if value is not None and value.dtype.is_floating
    }


def backward(steps, seeds, residuals, halves, d_halves, d_log_det, graph, others, is_training):
    """Walks from the final state to the first one, one network evaluation a step.

    Returns the first state's halves, and gradients of them, of `others`, and of variables by
    reference.
    """
    d_others: list[tf.Tensor | None] = [None] * len(others)
    d_variables: dict[Any, tf.Tensor] = {}
    computed: list[tf.Tensor] = [*d_halves, d_log_det]
    for step, seed, residual in zip(*map(reversed, (steps, seeds, residuals)), strict=True):
        changed, kept = _split(step, _after(halves, computed))
        seed = _seed_after(seed, computed)
        d_changed, d_kept = _split(step, d_halves)
        inputs = [] if kept is None else [kept]
        with tf.GradientTape() as tape:
            tape.watch([*inputs, *others])
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
            [changed, *inputs, *others, *variables],
            output_gradients=(d_changed, d_log_det),
        )
        gradients = [None if g is None else tf.convert_to_tensor(g) for g in gradients]
        computed = [g for g in gradients if g is not None]

        d_changed = gradients.pop(0)
        if kept is not None:
            d_kept = _add(d_kept, gradients.pop(0))
        halves = _join(step, changed, kept)
        d_halves = _join(step, d_changed, d_kept)
        d_others = [_add(a, b) for a, b in zip(d_others, gradients, strict=False)]
        for variable, g in zip(variables, gradients[len(others) :], strict=True):
            d_variables[variable.ref()] = _add(d_variables.get(variable.ref()), g)
    return halves, d_halves, d_others, d_variables


def _after(values, tensors):
    """`values`, not available before `tensors` are.

    The chain of inversions depends on no gradient: left alone, a graph executor runs it ahead of
    them and holds every state at once, which is the memory that reversibility is to save.
    """
    if tf.executing_eagerly():
        return values
    if xla.is_compiling():
        zero = xla.zero_after(tensors, values[0].dtype)
        return tuple(value + zero for value in values)
    with tf.control_dependencies(tensors):
        return tuple(tf.identity(value) for value in values)


def _seed_after(seed, tensors):
    """`seed`, not available before `tensors` are.

    Random numbers depend on nothing but the seed: left alone, those of all steps would be drawn at
    once, and held until the gradient draws the very same.
    """
    return None if seed is None else _after((seed,), tensors)[0]


def _split(step, halves):
    """(what the step changes, what it keeps)."""
    if step.updates is None:
        return tf.concat(halves, axis=-1), None
    return halves[step.updates], halves[1 - step.updates]


def _join(step, changed, kept):
    """The inverse of `_split`."""
    if step.updates is None:
        return tuple(tf.split(changed, 2, axis=-1))
    return (changed, kept) if step.updates == 0 else (kept, changed)


def _add(a, b):
    if a is None or b is None:
        return b if a is None else a
    return a + b


def captured_tensors(root: Any) -> Iterator[tf.Tensor]:
    """Float tensors (no variables) reachable from `root` through what Python shows."""
    seen: set[int] = set()
    stack: list[Any] = [root]
    while stack:
        item = stack.pop()
        if id(item) in seen or isinstance(item, (tf.Variable, str, bytes, type)):
            continue
        seen.add(id(item))
        if tf.is_tensor(item):
            if item.dtype.is_floating:
                yield item
        else:
            stack.extend(_held_by(item))


def _held_by(item: Any) -> Sequence[Any]:
    if isinstance(item, Mapping):
        return list(item.values())
    if isinstance(item, (list, tuple, set, frozenset)):
        return list(item)
    if isinstance(item, functools.partial):
        return [item.func, item.args, item.keywords]
    if inspect.ismethod(item):
        return [item.__self__, item.__func__]
    if inspect.isfunction(item):
        cells: Sequence[Any] = item.__closure__ or ()
        held = [cell.cell_contents for cell in cells if _is_filled(cell)]
        return [*held, item.__defaults__, item.__kwdefaults__]
    if isinstance(item, (tf.Module, Inverse)):
        return list(vars(item).values())
    return []


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018 -- reading an empty cell is what raises
    except ValueError:
        return False
    return True
