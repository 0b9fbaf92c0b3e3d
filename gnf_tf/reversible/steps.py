"""What a reversible step is, and steps one after the other.

A reversible step changes one part of the state by a map whose parameters depend on the part that
it keeps.
"""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import xla
from gnf_tf.seeds import Seed

__all__ = [
    "MEMORY_MODES",
    "Halves",
    "Inverse",
    "Memory",
    "ReversibleStep",
    "after",
    "check_memory",
    "check_seed",
    "directed",
    "forward",
    "half_sizes",
    "join",
    "seed_after",
    "split",
    "split_nodes",
]

Memory = Literal["reversible", "stored"]
Halves = tuple[tf.Tensor, tf.Tensor]
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

    def condition(self, kept, graph, is_training, seed=None):
        return self.step.condition(kept, graph, is_training, seed=seed)

    def transform(self, changed, params):
        changed, log_det = self.step.invert(changed, params)
        return changed, log_det, None

    def invert(self, changed, params, residual=None):
        changed, log_det, _ = self.step.transform(changed, params)
        return changed, log_det

    def update_statistics(self, residual):
        pass


def check_memory(memory: str) -> None:
    """Raises a ValueError for what is no `Memory`."""
    if memory not in MEMORY_MODES:
        raise ValueError(f"`memory` must be one of {MEMORY_MODES}, got {memory!r}")


def check_seed(steps: Sequence[ReversibleStep], seed: Seed | None, is_training: bool) -> None:
    """Raises a ValueError where steps draw random numbers in training, and have no seed for it."""
    if is_training and seed is None and any(getattr(step, "takes_seed", False) for step in steps):
        raise ValueError(
            "`seed` must be given in training with `dropout`, or another network that draws "
            "random numbers, got None"
        )


def split_nodes(
    graph: GraphsTuple, conditional_input: tf.Tensor | None
) -> tuple[tuple[tf.Tensor, tf.Tensor], GraphsTuple]:
    """The two parts of the node features, see `half_sizes`, and the graph as networks see it."""
    width = graph.nodes.shape[-1]
    if width is None:
        raise ValueError("`graph.nodes` must have a static width to split in halves, got None")
    halves = tuple(tf.split(graph.nodes, half_sizes(width), axis=-1))
    if conditional_input is None:
        conditional_input = graph.nodes[:, :0]
    return halves, graph.replace(nodes=conditional_input)


def half_sizes(node_size: int) -> tuple[int, int]:
    """The widths of the two halves of the node features; of an odd width the second is larger.

    Raises:
      ValueError: if `node_size` is below 2.
    """
    if node_size < 2:
        raise ValueError(
            "`node_size` must be at least 2, for one half of the node features changes given the "
            f"other, got {node_size}; append a feature, such as standard normal noise"
        )
    return node_size // 2, node_size - node_size // 2


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
    sizes = [half.shape[-1] for half in halves]
    residuals = []
    for step, seed in zip(steps, seeds, strict=True):
        changed, kept = split(step, halves)
        params = step.condition(kept, graph, is_training, seed=seed_after(seed, halves))
        changed, step_log_det, residual = step.transform(changed, params)
        step.update_statistics(residual)
        halves = join(step, changed, kept, sizes)
        log_det += step_log_det
        residuals.append(residual)
    return halves, log_det, residuals


def after(values, tensors):
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


def seed_after(seed, tensors):
    """`seed`, not available before `tensors` are.

    Random numbers depend on nothing but the seed: left alone, those of all steps would be drawn at
    once, and held until the gradient draws the very same.
    """
    return None if seed is None else after((seed,), tensors)[0]


def split(step, halves):
    """(what the step changes, what it keeps)."""
    if step.updates is None:
        return tf.concat(halves, axis=-1), None
    return halves[step.updates], halves[1 - step.updates]


def join(step, changed, kept, sizes):
    """The inverse of `split`; `sizes` are the halves' widths."""
    if step.updates is None:
        return tuple(tf.split(changed, sizes, axis=-1))
    return (changed, kept) if step.updates == 0 else (kept, changed)
