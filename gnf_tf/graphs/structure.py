"""Functions that make and batch GraphsTuples, and describe them to TFP as an event."""

import collections
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import options

__all__ = [
    "FEATURE_FIELDS",
    "INDEX_FIELDS",
    "as_tensor",
    "batch",
    "check_structure",
    "edgeless",
    "event_ndims",
    "fill_missing",
    "float_type",
    "fully_connected",
    "map_fields",
    "restore_missing",
    "specs",
    "unbatch",
    "whole_sizes",
]

INDEX_FIELDS = ("receivers", "senders", "n_node", "n_edge")
FEATURE_FIELDS = ("nodes", "edges", "globals")


def _event_class() -> Any:
    """A namedtuple that `tf.nest` accepts as a GraphsTuple: it has the same name and fields.

    TFP maps None over the structure of an event, which the constructor of GraphsTuple refuses.
    """
    return collections.namedtuple("GraphsTuple", GraphsTuple._fields)


_Event = _event_class()


def map_fields(fn: Callable[[Any], Any], graph: GraphsTuple) -> tuple:
    """Applies `fn` to every field; the result is a namedtuple, whose fields may be None."""
    return _Event(*map(fn, graph))


def event_ndims() -> tuple:
    """The rank of every field: TFP's `event_ndims` of an event that is a GraphsTuple."""
    ranks = {"nodes": 2, "edges": 2, "globals": 2}
    return _Event(*(ranks.get(field, 1) for field in GraphsTuple._fields))


def fully_connected(
    n_node: Sequence[int],
    node_size: int,
    *,
    dtype: tf.DType = tf.float32,
) -> GraphsTuple:
    """Graphs in which every node sends to every node of its graph, itself included (section 3.2).

    All features are 0. Use `edgeless` for a density whose nodes are independent.

    >>> graph = fully_connected([2, 1], node_size=3)
    >>> graph.senders.numpy(), graph.receivers.numpy()
    (array([0, 0, 1, 1, 2], dtype=int32), array([0, 1, 0, 1, 2], dtype=int32))

    Args:
      n_node: number of nodes of each graph, each at least 0; a sequence of whole numbers.
      node_size: width of the node features.
      dtype: float dtype of the features.

    Raises:
      ValueError: if `n_node` is no sequence of whole numbers, is empty or has a negative number, or
        `node_size` is no whole number of at least 0.
    """
    sizes = _check_sizes(n_node, node_size)
    starts = np.cumsum(sizes) - sizes
    pairs = [np.indices((n, n)).reshape(2, -1) for n in sizes]
    senders, receivers = np.concatenate(
        [pair + start for pair, start in zip(pairs, starts, strict=True)], axis=1
    )
    n_edge = [pair.shape[1] for pair in pairs]
    return _zero_features(sizes, senders, receivers, n_edge, node_size, dtype)


def edgeless(n_node: Sequence[int], node_size: int, *, dtype: tf.DType = tf.float32) -> GraphsTuple:
    """Graphs without edges, on which a GNF is a RealNVP (section 3.2).

    All features are 0. The arguments and errors are those of `fully_connected`.
    """
    sizes = _check_sizes(n_node, node_size)
    return _zero_features(sizes, [], [], np.zeros_like(sizes), node_size, dtype)


def whole_sizes(n_node: Any, least: int) -> np.ndarray:
    """`n_node` as int64 [n_graphs].

    Args:
      n_node: number of nodes of each graph.
      least: the smallest number that is accepted.

    Raises:
      ValueError: if `n_node` is no sequence of whole numbers, is empty, or has a smaller number.
    """
    try:
        sizes = np.asarray(n_node)
    except ValueError:  # sequences of different lengths
        sizes = np.zeros([])
    wrong = sizes.ndim != 1 or not sizes.size or sizes.dtype.kind not in "iu"
    if wrong or sizes.min() < least or sizes.max() > np.iinfo(np.int32).max:
        raise ValueError(
            f"`n_node` must be a non-empty sequence of whole numbers of at least {least} and below "
            f"2^31, got {n_node!r}"
        )
    return sizes.astype(np.int64)


def float_type(dtype: Any) -> tf.DType:
    """`dtype` as a TensorFlow type.

    Raises:
      ValueError: if it is no float type.
    """
    try:
        found = tf.as_dtype(dtype)
    except TypeError:
        found = None
    if found is None or not found.is_floating:
        raise ValueError(f"`dtype` must be a float type, got {dtype!r}")
    return found


def _check_sizes(n_node, node_size):
    options.check_argument("node_size", options.AtLeast0, node_size)
    return whole_sizes(n_node, 0)


def _zero_features(n_node, senders, receivers, n_edge, node_size, dtype):
    return GraphsTuple(
        nodes=tf.zeros([int(np.sum(n_node)), node_size], dtype),
        edges=tf.zeros([len(senders), 0], dtype),
        globals=tf.zeros([len(n_node), 0], dtype),
        receivers=tf.constant(receivers, tf.int32),
        senders=tf.constant(senders, tf.int32),
        n_node=tf.constant(n_node, tf.int32),
        n_edge=tf.constant(n_edge, tf.int32),
    )


def batch(graphs: Iterable[GraphsTuple]) -> GraphsTuple:
    """Concatenates GraphsTuples into one; in a `tf.function` their sizes may be dynamic.

    Raises:
      TypeError: if `graphs` is a single GraphsTuple, or has an item that is none.
      ValueError: if there is no graph, or the widths or dtypes of a feature field differ. The
        message names the field.
    """
    if isinstance(graphs, GraphsTuple):
        raise TypeError("`graphs` must be a sequence of GraphsTuples, got a single one: [graph]")
    if not isinstance(graphs, Iterable):
        raise TypeError(f"`graphs` must be a sequence of GraphsTuples, got {type(graphs).__name__}")
    graphs = list(graphs)  # also those of an iterator
    for index, graph in enumerate(graphs):
        if not isinstance(graph, GraphsTuple):
            raise TypeError(
                f"graph {index} of `graphs` must be a GraphsTuple, got {type(graph).__name__}"
            )
    graphs = [fill_missing(graph) for graph in graphs]
    if not graphs:
        raise ValueError("`graphs` must hold at least one GraphsTuple, got none")
    for field in FEATURE_FIELDS:
        values = [getattr(graph, field) for graph in graphs]
        kinds = {(value.dtype.name, value.shape[-1]) for value in values}
        widths = {width for _, width in kinds if width is not None}
        if len({dtype for dtype, _ in kinds}) > 1 or len(widths) > 1:
            raise ValueError(
                f"`graphs` must agree in dtype and width of `{field}`, got {sorted(kinds, key=str)}"
            )
    moved, start = [], 0
    for graph in graphs:
        moved.append(
            graph.replace(senders=graph.senders + start, receivers=graph.receivers + start)
        )
        size = graph.nodes.shape[0]
        start += tf.shape(graph.nodes)[0] if size is None else size
    return GraphsTuple(*(tf.concat(values, axis=0) for values in zip(*moved, strict=True)))


def check_structure(graph: GraphsTuple, *, check_values: bool = True) -> None:
    """The part of `validate` that does not look into features: counts, senders and receivers.

    Args:
      graph: a GraphsTuple of tensors; edges and globals may be None.
      check_values: whether to check the values of eager tensors.

    Raises:
      ValueError: as `validate`.
    """
    for field in INDEX_FIELDS:
        value = getattr(graph, field)
        if value.dtype not in (tf.int32, tf.int64):
            raise ValueError(f"`graph.{field}` must be int32 or int64, got {value.dtype.name}")
        _check_vector(field, value)
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
        _check_structure_values(graph)


def _check_vector(field, value):
    if value.shape.rank not in (None, 1):
        raise ValueError(f"`graph.{field}` must have rank 1, got shape {value.shape}")


def _check_structure_values(graph):
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


def unbatch(graph: GraphsTuple) -> list[GraphsTuple]:
    """Splits a batch into GraphsTuples of one graph each. It works only eagerly.

    Raises:
      ValueError: if the batch is malformed, see `validate`; features may have any dtype and values.
    """
    graph = fill_missing(graph)
    check_structure(graph)
    node_ends = np.cumsum(graph.n_node)
    edge_ends = np.cumsum(graph.n_edge)
    members = []
    for i, (node_end, edge_end) in enumerate(zip(node_ends, edge_ends, strict=True)):
        nodes = slice(node_end - int(graph.n_node[i]), node_end)
        edges = slice(edge_end - int(graph.n_edge[i]), edge_end)
        members.append(
            GraphsTuple(
                nodes=graph.nodes[nodes],
                edges=graph.edges[edges],
                globals=graph.globals[i : i + 1],
                receivers=graph.receivers[edges] - nodes.start,
                senders=graph.senders[edges] - nodes.start,
                n_node=graph.n_node[i : i + 1],
                n_edge=graph.n_edge[i : i + 1],
            )
        )
    return members


def fill_missing(graph: GraphsTuple) -> GraphsTuple:
    """Converts all fields to tensors, with int32 indices and without None.

    Edges and globals that are None become tensors of width 0, with the dtype of the nodes. An index
    beyond int32 becomes its first or last number, which is no row of `nodes` either.

    Raises:
      ValueError: if another field is None or no array, or an index field has another rank than 1.
        The message names the field.
      TypeError: if `graph` is no GraphsTuple.
    """
    if getattr(graph, "_fields", None) != GraphsTuple._fields:  # TFP's own class has them too
        raise TypeError(f"`graph` must be a GraphsTuple, got {type(graph).__name__}")
    for field in ("nodes", *INDEX_FIELDS):
        if getattr(graph, field) is None:
            raise ValueError(f"`graph.{field}` must not be None")
    fields = {"nodes": as_tensor("graph.nodes", graph.nodes)}
    for field in INDEX_FIELDS:
        value = as_tensor(f"graph.{field}", getattr(graph, field))
        if value.shape == [0] and value.dtype.is_floating:  # as an empty list or array is
            value = tf.zeros([0], tf.int32)
        if value.dtype.is_integer and value.dtype != tf.int32:
            value = tf.saturate_cast(tf.cast(value, tf.int64), tf.int32)
        _check_vector(field, value)
        fields[field] = value
    for field, rows in (("edges", fields["senders"]), ("globals", fields["n_node"])):
        value = getattr(graph, field)
        if value is None:
            value = tf.zeros(tf.concat([tf.shape(rows)[:1], [0]], 0), fields["nodes"].dtype)
            value = tf.ensure_shape(value, [rows.shape[0], 0])
        fields[field] = as_tensor(f"graph.{field}", value)
    return GraphsTuple(**fields)


def as_tensor(name: str, value: Any, dtype_hint: tf.DType | None = None) -> tf.Tensor:
    """`value` as a tensor; a ValueError that says its `name` if it is no array."""
    try:
        return tf.convert_to_tensor(value, dtype_hint=dtype_hint)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`{name}` must be an array of numbers, got {value!r:.80}") from error


def restore_missing(graph: GraphsTuple, like: GraphsTuple) -> GraphsTuple:
    """Sets edges and globals to None where they are None in `like`; it undoes `fill_missing`."""
    absent = {f: None for f in ("edges", "globals") if getattr(like, f) is None}
    return GraphsTuple(*graph).replace(**absent)


def specs(graph: GraphsTuple) -> GraphsTuple:
    """TensorSpecs of batches of any size whose features have the widths and dtypes of `graph`.

    With them as its `input_signature`, a `tf.function` of graphs is traced only once.
    """
    return GraphsTuple(*(tf.TensorSpec([None, *value.shape[1:]], value.dtype) for value in graph))
