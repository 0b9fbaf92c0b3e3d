"""The check of a GraphsTuple, with errors that name the field, the expectation and the value."""

import numpy as np
import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf.graphs.structure import FEATURE_FIELDS, INDEX_FIELDS

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
    for field in INDEX_FIELDS:
        value = getattr(graph, field)
        if value.dtype not in (tf.int32, tf.int64):
            raise ValueError(f"`graph.{field}` must be int32 or int64, got {value.dtype.name}")
        if value.shape.rank is not None and value.shape.rank != 1:
            raise ValueError(f"`graph.{field}` must have rank 1, got shape {value.shape}")
    if graph.n_node.shape[0] == 0:
        raise ValueError("`graph.n_node` must name at least one graph, got none")
    for field, like in (
        ("receivers", "senders"),
        ("edges", "senders"),
        ("n_edge", "n_node"),
        ("globals", "n_node"),
    ):
        value, other = getattr(graph, field), getattr(graph, like)
        if value is not None and not value.shape[:1].is_compatible_with(other.shape[:1]):
            raise ValueError(
                f"`graph.{field}` must have as many rows as `graph.{like}`, {other.shape[0]}, "
                f"got {value.shape[0]}"
            )
    if check_values and tf.executing_eagerly():
        _validate_values(graph)


def _validate_values(graph):
    for field, rows in (("n_node", "nodes"), ("n_edge", "senders")):
        counts, total = np.asarray(getattr(graph, field)), getattr(graph, rows).shape[0]
        if (counts < 0).any():
            raise ValueError(f"`graph.{field}` must not be negative, got {counts.min()}")
        if counts.sum() != total:
            raise ValueError(
                f"`graph.{field}` must add up to the rows of `graph.{rows}`, {total}, "
                f"got {counts.sum()}"
            )
    ends = np.cumsum(graph.n_node)
    starts = ends - graph.n_node.numpy()
    owner = np.repeat(np.arange(len(ends)), graph.n_edge.numpy())
    for field in ("senders", "receivers"):
        index = np.asarray(getattr(graph, field))
        wrong = (index < starts[owner]) | (index >= ends[owner])
        if wrong.any():
            edge = int(np.argmax(wrong))
            raise ValueError(
                f"`graph.{field}` must stay within the nodes of the edge's own graph: edge {edge} "
                f"of graph {owner[edge]} has {index[edge]}, expected {starts[owner[edge]]} to "
                f"{ends[owner[edge]] - 1}"
            )
    for field in FEATURE_FIELDS:
        value = getattr(graph, field)
        if value is not None and not np.isfinite(value).all():
            row = int(np.argmax(~np.isfinite(value).all(axis=-1)))
            raise ValueError(f"`graph.{field}` must be finite, row {row} is {value[row].numpy()}")
