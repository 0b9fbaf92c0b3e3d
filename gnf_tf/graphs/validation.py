"""The check of a GraphsTuple, with errors that name the field, the expectation and the value."""

from typing import Any

import numpy as np
import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf.graphs.structure import FEATURE_FIELDS, check_structure

__all__ = ["as_float32", "validate"]


_ROUNDING = 1e-12  # closer float64 values, relative to the largest, are taken to be equal


def as_float32(what: str, values: Any) -> np.ndarray:
    """Features as float32, after a check that rounding leaves most of their values distinct.

    Values such as 1600000000, 1600000001, ... would all become equal without a word.

    Args:
      what: whose features they are, for the error message: "node" or such.
      values: [num_items, width] numbers.

    Raises:
      ValueError: if the values are no array of real numbers, or a feature keeps fewer than half of
        its distinct values.
    """
    try:
        values = np.asarray(values)
    except ValueError as error:  # rows of different lengths
        raise ValueError(f"{what} features must be an array, got {values!r:.80}") from error
    if not np.can_cast(values.dtype, np.float32, "same_kind"):
        raise ValueError(f"{what} features must be real numbers, got the dtype {values.dtype}")
    with np.errstate(over="ignore", invalid="ignore"):  # `validate` refuses what is not finite
        result = values.astype(np.float32)
        if values.ndim != 2 or not values.size or np.can_cast(values.dtype, np.float32):
            return result
        ordered = np.sort(values.astype(np.float64), axis=0)
        gaps = np.diff(ordered, axis=0) > _ROUNDING * np.abs(ordered).max(axis=0)
        lost = gaps & (np.diff(ordered.astype(np.float32), axis=0) == 0.0)
    before = 1 + gaps.sum(axis=0)
    wrong = 2 * (before - lost.sum(axis=0)) < before
    if wrong.any():
        feature = int(wrong.argmax())
        low, high = ordered[lost[:, feature].argmax() :, feature][:2]
        remedy = "choose another unit" if np.float32(low) == 0.0 else "subtract an offset first"
        raise ValueError(
            f"{what} feature {feature} has values that differ by less than float32 resolves, such "
            f"as {low} and {high}: {remedy}"
        )
    return result


def validate(
    graph: GraphsTuple,
    *,
    node_size: int | None = None,
    edge_size: int | None = None,
    global_size: int | None = None,
    dtype: tf.DType | None = None,
    check_values: bool = True,
) -> None:
    """Checks that a GraphsTuple is well formed.

    Ranks, dtypes, widths and lengths are checked if they are static. Values are checked if the
    tensors are eager: counts must not be negative and must add up to the number of rows, senders
    and receivers must be nodes of the edge's own graph, and features must be finite.

    Args:
      graph: a GraphsTuple of tensors; edges and globals may be None.
      node_size: expected width of the node features; None accepts any width.
      edge_size: expected width of the edge features; None accepts any width.
      global_size: expected width of the globals; None accepts any width.
      dtype: expected float dtype of all features; None accepts any.
      check_values: whether to check the values of eager tensors.

    Raises:
      ValueError: if the graph is malformed. The message names the field, the expectation and the
        value.
    """
    widths = {"nodes": node_size, "edges": edge_size, "globals": global_size}
    for field, width in widths.items():
        value = getattr(graph, field)
        if value is None:
            if width:
                raise ValueError(f"`graph.{field}` must have width {width}, got None")
            continue
        if value.shape.rank is not None and value.shape.rank != 2:
            raise ValueError(f"`graph.{field}` must have rank 2, got shape {value.shape}")
        if not value.dtype.is_floating:
            raise ValueError(f"`graph.{field}` must be floating point, got {value.dtype.name}")
        if dtype is not None and value.dtype != dtype:
            raise ValueError(
                f"`graph.{field}` must be {tf.as_dtype(dtype).name}, got {value.dtype.name}"
            )
        if value.dtype != graph.nodes.dtype:
            raise ValueError(
                f"`graph.{field}` must have the nodes' dtype, {graph.nodes.dtype.name}, "
                f"got {value.dtype.name}"
            )
        if width is not None and value.shape[-1] not in (None, width):
            raise ValueError(f"`graph.{field}` must have width {width}, got shape {value.shape}")
    check_structure(graph, check_values=check_values)
    if check_values and tf.executing_eagerly():
        _check_finite(graph)


def _check_finite(graph):
    for field in FEATURE_FIELDS:
        value = getattr(graph, field)
        if value is not None and not np.isfinite(value).all():
            row = int(np.argmax(~np.isfinite(value).all(axis=-1)))
            raise ValueError(f"`graph.{field}` must be finite, row {row} is {value[row].numpy()}")
