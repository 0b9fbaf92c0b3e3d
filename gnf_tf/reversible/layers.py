"""What a reversible layer is, and the evaluation of layers one after the other."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import xla
from gnf_tf.seeds import Seed

__all__ = [
    "MEMORY_MODES",
    "Halves",
    "Inverse",
    "Memory",
    "ReversibleLayer",
    "check_memory",
    "check_seed",
    "delayed",
    "half_sizes",
    "join",
    "split",
    "split_nodes",
]

Memory = Literal["reversible", "stored"]
Halves = tuple[tf.Tensor, tf.Tensor]
MEMORY_MODES = get_args(Memory)


class ReversibleLayer:
    """An invertible map of node features, such as a coupling: half of a message passing step.

    A layer changes one part of the node features by a map whose parameters depend on the part that
    it keeps. All tensors have one row for each node, [num_nodes, ...].
    """

    updates: int | None = None
    """the half of the features that the layer changes, 0 or 1; None: the layer changes all of them
    at once, and `kept` is None"""
    takes_seed: bool = False
    """whether `condition` draws random numbers, such as dropout, and so needs a seed in training"""

    def condition(
        self,
        kept: tf.Tensor | None,
        graph: GraphsTuple,
        *,
        conditional_input: tf.Tensor | None,
        is_training: bool,
        seed: tf.Tensor | None,
    ) -> Any:
        """The parameters of the map: the expensive part, a network.

        Args:
          kept: [num_nodes, kept_size], the half of the node features that stays as it is.
          graph: the topology, edges and globals; its nodes are empty, [num_nodes, 0].
          conditional_input: [num_nodes, conditional_size] further features of the nodes, or None.
          is_training: whether this is a training step.
          seed: int32 [2], the only source of random numbers; the same at every evaluation that a
            run of the layers and its gradient make. None: no random numbers.

        Returns:
          Any structure of tensors.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no condition")

    def transform(self, changed: tf.Tensor, params: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """The map forward.

        Args:
          changed: [num_nodes, changed_size].
          params: what `condition` returned.

        Returns:
          The new value, [num_nodes, changed_size], and log|det J| per node, [num_nodes].
        """
        raise NotImplementedError(f"{type(self).__name__} defines no transform")

    def invert(self, changed: tf.Tensor, params: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """The inverse of `transform`: the old value, and log|det J| per node of the inverse."""
        raise NotImplementedError(f"{type(self).__name__} defines no invert")

    def statistics(self, changed: tf.Tensor, params: Any) -> tuple[tf.Tensor, ...]:
        """What the map takes from its own input, besides `params`, in training.

        Empty for every layer but batch normalization. `transform` and `invert` get the statistics
        as further arguments; the engine keeps them, since the output does not give them back.
        """
        del changed, params
        return ()

    def update_statistics(self, *statistics: tf.Tensor) -> None:
        """Moves averages towards the statistics: called once for each run, where there are some."""

    @property
    def has_statistics(self) -> bool:
        """Whether there may be statistics. Only then does a layer of this library use the phase."""
        return type(self).statistics is not ReversibleLayer.statistics


class Inverse(ReversibleLayer):
    """A layer in the inverse direction, so that the engine knows one direction only."""

    def __init__(self, layer: ReversibleLayer):
        self._layer = layer
        self.updates = layer.updates

    def condition(self, kept, graph, **options):
        return self._layer.condition(kept, graph, **options)

    def transform(self, changed, params):
        return self._layer.invert(changed, params)

    def invert(self, changed, params):
        return self._layer.transform(changed, params)


def check_memory(memory: str) -> None:
    """Raises a ValueError if `memory` is not a `Memory`."""
    if memory not in MEMORY_MODES:
        raise ValueError(f"`memory` must be one of {MEMORY_MODES}, got {memory!r}")


def check_seed(layers: Sequence[ReversibleLayer], seed: Seed | None, is_training: bool) -> None:
    """Raises a ValueError if a layer needs a seed in training, and there is none."""
    if is_training and seed is None and any(layer.takes_seed for layer in layers):
        raise ValueError(
            "`seed` must be given in training with `dropout`, or another network that draws "
            "random numbers, got None"
        )


def split_nodes(graph: GraphsTuple) -> Halves:
    """The two halves of the node features, see `half_sizes`."""
    width = graph.nodes.shape[-1]
    if width is None:
        raise ValueError("`graph.nodes` must have a static width to split in halves, got None")
    return tuple(tf.split(graph.nodes, half_sizes(width), axis=-1))


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


def delayed(values, tensors):
    """`values`, not available before `tensors` are.

    The inversions depend on no gradient, and random numbers on their seeds alone: XLA could run all
    inversions first, or draw all numbers, and hold the results for all layers at once. That is the
    memory which reversibility saves. Elsewhere a `HalfStep` gives its results together.
    """
    if not xla.is_compiling():
        return values
    zero = xla.zero_after(tensors, values[0].dtype)
    return tuple(value + zero for value in values)


def split(layer, halves):
    """The part of the features that the layer changes, and the part that it keeps."""
    if layer.updates is None:
        return tf.concat(halves, axis=-1), None
    return halves[layer.updates], halves[1 - layer.updates]


def join(layer, changed, kept, sizes):
    """The inverse of `split`; `sizes` are the widths of the halves."""
    if layer.updates is None:
        return tuple(tf.split(changed, sizes, axis=-1))
    return (changed, kept) if layer.updates == 0 else (kept, changed)
