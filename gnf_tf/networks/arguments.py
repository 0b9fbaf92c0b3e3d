"""Checks of the arguments and inputs of networks."""

import numbers
from collections.abc import Callable, Iterable

import tensorflow as tf
from graph_nets.graphs import GraphsTuple

__all__ = [
    "check_activation",
    "check_dtype",
    "check_edge_size",
    "check_positive",
    "check_rate",
    "check_sizes",
    "check_width",
    "edge_size",
]


def check_positive(**arguments: int) -> None:
    """Raises a ValueError for the first argument that is not a whole number of at least 1."""
    for name, value in arguments.items():
        if not _is_positive(value):
            raise ValueError(f"`{name}` must be a whole number of at least 1, got {value!r}")


def check_sizes(name: str, sizes: Iterable[int], *, at_least: int) -> tuple[int, ...]:
    """`sizes` as a tuple; a ValueError unless they are `at_least` so many positive integers."""
    found = tuple(sizes) if isinstance(sizes, Iterable) else None
    if found is None or len(found) < at_least or not all(map(_is_positive, found)):
        raise ValueError(
            f"`{name}` must be {at_least} or more whole numbers of at least 1, got {sizes!r}"
        )
    return found


def check_rate(name: str, rate: float) -> float:
    """`rate`; a ValueError unless it is in [0, 1)."""
    if not 0.0 <= rate < 1.0:
        raise ValueError(f"`{name}` must be in [0, 1), got {rate}")
    return rate


def check_activation(activation: Callable) -> None:
    """Raises a TypeError if the activation can't be called."""
    if not callable(activation):
        raise TypeError(f"`activation` must be a function of a tensor, got {activation!r}")


def edge_size(graph: GraphsTuple) -> int:
    """Width of the edge features, 0 where there are none.

    Raises:
      ValueError: if the width isn't static, since edges would be ignored silently.
    """
    if graph.edges is None:
        return 0
    size = graph.edges.shape[-1]
    if size is None:
        raise ValueError(f"`graph.edges` must have a static width, got shape {graph.edges.shape}")
    return size


def check_edge_size(graph: GraphsTuple, expected: int) -> None:
    """Raises a ValueError unless the edges have the width that they had at the first call."""
    if edge_size(graph) != expected:
        raise ValueError(
            f"`graph.edges` must be {expected} wide, as at the network's first call, "
            f"got {edge_size(graph)}"
        )


def check_dtype(inputs: tf.Tensor, weights: tf.Tensor | tf.Variable) -> None:
    """Raises a ValueError if the inputs of a layer have another dtype than its weights."""
    if inputs.dtype != weights.dtype:
        raise ValueError(
            f"the features of `graph` must be {weights.dtype.name}, as at the network's first "
            f"call, got {inputs.dtype.name}"
        )


def check_width(inputs: tf.Tensor, weights: tf.Tensor | tf.Variable) -> None:
    """Raises a ValueError if the inputs of a layer are not as wide as at its first call."""
    if not inputs.shape[-1:].is_compatible_with(weights.shape[:1]):
        raise ValueError(
            "nodes, edges and globals of `graph` must be as wide as at the network's first call: "
            f"{weights.shape[0]} features entered a layer, got {inputs.shape[-1]}"
        )


def _is_positive(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and value >= 1
