"""The check of a GraphsTuple, with errors that name the field, the expectation and the value."""

import numpy as np
import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf.graphs.structure import FEATURE_FIELDS, check_structure

__all__ = ["validate"]


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
