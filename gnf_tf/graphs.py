"""The GraphsTuple door: making, checking, batching, padding, and networkx in and out.

A graph here is a `graph_nets.graphs.GraphsTuple`, one or several graphs laid end to end:

    nodes [num_nodes, node_size], edges [num_edges, edge_size], globals [n_graphs, global_size]
    senders, receivers [num_edges]   rows of `nodes`; messages flow from sender to receiver
    n_node, n_edge [n_graphs]        how many nodes and edges each graph owns, in order

What every function here makes has int32 indices and no None: absent edge features and globals are
zero-width tensors of the nodes' dtype, because None can't pass through TFP. Graphs without edges,
of a single node, and of no node at all are graphs like others. A self loop is one edge from a
node to itself; repeated edges are kept, and count as often as they stand there.
"""

import collections
from collections.abc import Callable, Sequence
from typing import Any

import networkx as nx
import numpy as np
import tensorflow as tf
from graph_nets.graphs import GraphsTuple

__all__ = [
    "GraphsTuple",
    "batch",
    "edge_graph_ids",
    "edge_mask",
    "edgeless",
    "event_ndims",
    "fill_missing",
    "from_networkx",
    "fully_connected",
    "graph_mask",
    "map_fields",
    "node_graph_ids",
    "node_mask",
    "pad",
    "restore_missing",
    "sum_nodes",
    "to_networkx",
    "unbatch",
    "unpad",
    "validate",
]

_INDEX_FIELDS = ("receivers", "senders", "n_node", "n_edge")
_FEATURE_FIELDS = ("nodes", "edges", "globals")

# TFP maps None over the structure of an event, which GraphsTuple's own constructor refuses. A
# namedtuple of the same name and fields counts as the same structure to `tf.nest`.
_Event = collections.namedtuple("GraphsTuple", GraphsTuple._fields)  # type: ignore[name-match]


def map_fields(fn: Callable[[Any], Any], graph: GraphsTuple) -> tuple:
    """`fn` of every field, as an event structure: a namedtuple with the fields of a GraphsTuple."""
    return _Event(*map(fn, graph))


def event_ndims() -> tuple:
    """Rank of every field: what TFP calls the event_ndims of a graph-valued event."""
    return _Event(nodes=2, edges=2, receivers=1, senders=1, globals=2, n_node=1, n_edge=1)


def fully_connected(
    n_node: Sequence[int],
    node_size: int,
    *,
    self_loops: bool = True,
    dtype: tf.DType = tf.float32,
) -> GraphsTuple:
    """Graphs in which every node sends to every node of its graph, with zero features.

    Args:
      n_node: number of nodes of each graph, each at least 0.
      node_size: width of the node features.
      self_loops: each node sends to itself too (as in the paper).
      dtype: of the features.

    Raises:
      ValueError: if `n_node` is empty or has a negative number, or `node_size` is negative.
    """
    sizes = _check_sizes(n_node, node_size)
    starts = np.cumsum(sizes) - sizes
    pairs = [np.indices((n, n)).reshape(2, -1) for n in sizes]
    if not self_loops:
        pairs = [pair[:, pair[0] != pair[1]] for pair in pairs]
    senders, receivers = np.concatenate(
        [pair + start for pair, start in zip(pairs, starts, strict=True)], axis=1
    )
    n_edge = [pair.shape[1] for pair in pairs]
    return _zero_features(sizes, senders, receivers, n_edge, node_size, dtype)


def edgeless(
    n_node: Sequence[int], node_size: int, *, dtype: tf.DType = tf.float32
) -> GraphsTuple:
    """Graphs without edges, with zero features: on them a GNF is a RealNVP (section 3.2).

    Args and errors as `fully_connected`.
    """
    sizes = _check_sizes(n_node, node_size)
    return _zero_features(sizes, [], [], np.zeros_like(sizes), node_size, dtype)


def _check_sizes(n_node, node_size):
    sizes = np.asarray(n_node, dtype=np.int64)
    if sizes.ndim != 1 or not sizes.size or (sizes < 0).any():
        raise ValueError(
            f"`n_node` must be a non-empty sequence of numbers of at least 0, got {n_node!r}"
        )
    if node_size < 0:
        raise ValueError(f"`node_size` must be at least 0, got {node_size}")
    return sizes


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


def from_networkx(graphs: Sequence[nx.Graph], *, dtype: tf.DType = tf.float32) -> GraphsTuple:
    """A batch of networkx graphs; nodes in each graph's own order, whatever their labels.

    The attribute "features" (a number or a vector, of the same width on all) of nodes, edges and
    `graph.graph` gives the features; where no node (edge, graph) has any, they have width 0. An
    undirected edge becomes two, one each way, with the same features; a self loop becomes one.

    Raises:
      TypeError: if `graphs` is a single graph.
      ValueError: for an empty sequence, or features missing or of another width on some item,
        naming it.
    """
    if isinstance(graphs, nx.Graph):
        raise TypeError("`graphs` must be a sequence of networkx graphs, got a single one: [graph]")
    graphs = list(graphs)
    if not graphs:
        raise ValueError("`graphs` must hold at least one networkx graph, got none")
    senders, receivers, n_edge, nodes, edges, start = [], [], [], [], [], 0
    for index, graph in enumerate(graphs):
        row = {label: start + i for i, label in enumerate(graph)}
        start += len(row)
        nodes += [(f"node {label!r} of graph {index}", d) for label, d in graph.nodes(data=True)]
        before = len(senders)
        for a, b, data in graph.edges(data=True):
            both = [(a, b)] if graph.is_directed() or a == b else [(a, b), (b, a)]
            for sender, receiver in both:
                senders.append(row[sender])
                receivers.append(row[receiver])
                edges.append((f"edge {(a, b)!r} of graph {index}", data))
        n_edge.append(len(senders) - before)
    members = [(f"graph {index}", graph.graph) for index, graph in enumerate(graphs)]
    return GraphsTuple(
        nodes=_features(nodes, dtype),
        edges=_features(edges, dtype),
        globals=_features(members, dtype),
        receivers=tf.constant(receivers, tf.int32),
        senders=tf.constant(senders, tf.int32),
        n_node=tf.constant([len(graph) for graph in graphs], tf.int32),
        n_edge=tf.constant(n_edge, tf.int32),
    )


def _features(items, dtype):
    """The "features" of (what, attributes) pairs as a matrix."""
    if not any("features" in data for _, data in items):
        return tf.zeros([len(items), 0], dtype)
    rows = []
    for what, data in items:
        if "features" not in data:
            raise ValueError(f"{what} has no 'features', others have; give all of them or none")
        row = np.atleast_1d(np.asarray(data["features"], dtype=dtype.as_numpy_dtype))
        if row.ndim != 1 or (rows and row.shape != rows[0].shape):
            raise ValueError(
                f"{what} has 'features' of shape {row.shape}; expected a vector as wide as the "
                f"first, {rows[0].shape if rows else '(width,)'}"
            )
        rows.append(row)
    return tf.constant(np.stack(rows), dtype)


def to_networkx(graph: GraphsTuple) -> list[nx.Graph]:
    """Each graph of the batch in the smallest networkx class that holds it, nodes numbered from 0.

    That is `Graph` where each edge has its reverse (with equal features) and none is repeated,
    `DiGraph` where none is repeated, `MultiDiGraph` otherwise. Features of positive width are in
    the attribute "features", as numpy vectors.
    """
    return [_member_to_networkx(member) for member in unbatch(graph)]


def _member_to_networkx(member):
    features = {field: np.asarray(getattr(member, field)) for field in _FEATURE_FIELDS}
    pairs = list(zip(member.senders.numpy().tolist(), member.receivers.numpy().tolist()))
    of_pair = dict(zip(pairs, features["edges"], strict=True))
    symmetric = all(
        (r, s) in of_pair and np.array_equal(of_pair[r, s], of_pair[s, r]) for s, r in pairs
    )
    if len(of_pair) < len(pairs):
        result = nx.MultiDiGraph()
    else:
        result = nx.Graph() if symmetric else nx.DiGraph()

    def attributes(row):
        return {"features": row} if row.size else {}

    result.graph.update(attributes(features["globals"][0]))
    result.add_nodes_from((i, attributes(row)) for i, row in enumerate(features["nodes"]))
    result.add_edges_from(
        (s, r, attributes(row)) for (s, r), row in zip(pairs, features["edges"], strict=True)
    )
    return result


def batch(graphs: Sequence[GraphsTuple]) -> GraphsTuple:
    """One GraphsTuple of all graphs in order.

    Raises:
      ValueError: for an empty sequence, or feature widths or dtypes that differ, naming the field.
    """
    graphs = [fill_missing(graph) for graph in graphs]
    if not graphs:
        raise ValueError("`graphs` must hold at least one GraphsTuple, got none")
    for field in _FEATURE_FIELDS:
        kinds = {(getattr(g, field).dtype.name, getattr(g, field).shape[-1]) for g in graphs}
        if len(kinds) > 1:
            raise ValueError(
                f"`graphs` must agree in dtype and width of `{field}`, got {sorted(kinds)}"
            )
    starts = np.cumsum([0] + [int(graph.nodes.shape[0]) for graph in graphs[:-1]])
    moved = [
        graph.replace(senders=graph.senders + start, receivers=graph.receivers + start)
        for graph, start in zip(graphs, starts.astype(np.int32), strict=True)
    ]
    return GraphsTuple(*(tf.concat(values, axis=0) for values in zip(*moved, strict=True)))


def unbatch(graph: GraphsTuple) -> list[GraphsTuple]:
    """The graphs of a batch, each a GraphsTuple of one graph. Eager only."""
    graph = fill_missing(graph)
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


def pad(graph: GraphsTuple, num_nodes: int, num_edges: int, num_graphs: int) -> GraphsTuple:
    """Adds padding graphs at the end up to the given totals, as jraph does.

    The first padding graph owns all padding nodes (zero features) and edges (self loops of the
    first padding node); the others are empty. There is always a padding graph with a node: it is
    how the masks below find the padding, as the last graph that has nodes.

    Args:
      graph: the batch; its sizes may be dynamic.
      num_nodes: total number of nodes, more than the graph has.
      num_edges: total number of edges, at least as many as the graph has.
      num_graphs: total number of graphs, more than the batch has.

    Raises:
      ValueError: (where sizes are static) if a total is too small, with the smallest that fits.
    """
    graph = fill_missing(graph)
    totals = {"num_nodes": num_nodes, "num_edges": num_edges, "num_graphs": num_graphs}
    sizes = (graph.nodes.shape[0], graph.senders.shape[0], graph.n_node.shape[0])
    for (name, total), size, extra in zip(totals.items(), sizes, (1, 0, 1), strict=True):
        if size is not None and total < size + extra:
            raise ValueError(f"`{name}` must be at least {size + extra} here, got {total}")

    start = tf.shape(graph.nodes)[0]

    def extended(values, total, fill=None):
        missing = total - tf.shape(values)[:1]
        fill = tf.zeros([], values.dtype) if fill is None else tf.cast(fill, values.dtype)
        padding = tf.fill(tf.concat([missing, tf.shape(values)[1:]], axis=0), fill)
        return tf.ensure_shape(tf.concat([values, padding], axis=0), [total, *values.shape[1:]])

    def counts(values, total, current):
        rest = tf.reshape(tf.cast(total - current, values.dtype), [1])
        return extended(tf.concat([values, rest], axis=0), num_graphs)

    return GraphsTuple(
        nodes=extended(graph.nodes, num_nodes),
        edges=extended(graph.edges, num_edges),
        globals=extended(graph.globals, num_graphs),
        receivers=extended(graph.receivers, num_edges, start),
        senders=extended(graph.senders, num_edges, start),
        n_node=counts(graph.n_node, num_nodes, start),
        n_edge=counts(graph.n_edge, num_edges, tf.shape(graph.senders)[0]),
    )


def unpad(graph: GraphsTuple) -> GraphsTuple:
    """The graph that `pad` was given. Eager only, since its sizes are dynamic."""
    real = int(_first_padding_graph(graph))
    num_nodes = int(tf.reduce_sum(graph.n_node[:real]))
    num_edges = int(tf.reduce_sum(graph.n_edge[:real]))
    return GraphsTuple(
        nodes=graph.nodes[:num_nodes],
        edges=graph.edges[:num_edges],
        globals=graph.globals[:real],
        receivers=graph.receivers[:num_edges],
        senders=graph.senders[:num_edges],
        n_node=graph.n_node[:real],
        n_edge=graph.n_edge[:real],
    )


def _first_padding_graph(graph):
    index = tf.range(tf.shape(graph.n_node)[0])
    return tf.reduce_max(tf.where(graph.n_node > 0, index, -1))


def graph_mask(graph: GraphsTuple) -> tf.Tensor:
    """[n_graphs] bool: which graphs of a graph made by `pad` are real."""
    return tf.range(tf.shape(graph.n_node)[0]) < _first_padding_graph(graph)


def node_mask(graph: GraphsTuple) -> tf.Tensor:
    """[num_nodes] bool: which nodes of a graph made by `pad` are real."""
    return node_graph_ids(graph) < _first_padding_graph(graph)


def edge_mask(graph: GraphsTuple) -> tf.Tensor:
    """[num_edges] bool: which edges of a graph made by `pad` are real."""
    return edge_graph_ids(graph) < _first_padding_graph(graph)


def node_graph_ids(graph: GraphsTuple) -> tf.Tensor:
    """[num_nodes] int32: the graph that each node belongs to."""
    return _segment_ids(graph.n_node, tf.shape(graph.nodes)[0])


def edge_graph_ids(graph: GraphsTuple) -> tf.Tensor:
    """[num_edges] int32: the graph that each edge belongs to."""
    return _segment_ids(graph.n_edge, tf.shape(graph.senders)[0])


def _segment_ids(counts, total):
    # tf.repeat would need a size that XLA can't know; counting the ends passed does not.
    ends = tf.cumsum(counts)
    return tf.searchsorted(ends, tf.range(total, dtype=ends.dtype), side="right")


def sum_nodes(values: tf.Tensor, graph: GraphsTuple) -> tf.Tensor:
    """Sums over the nodes of each graph: [num_nodes, ...] -> [n_graphs, ...]."""
    return tf.math.unsorted_segment_sum(
        values, node_graph_ids(graph), tf.shape(graph.n_node)[0]
    )


def fill_missing(graph: GraphsTuple) -> GraphsTuple:
    """The graph as tensors, indices int32, with zero-width tensors for absent edges and globals.

    Raises:
      ValueError: if any other field is None, naming it.
    """
    for field in ("nodes", *_INDEX_FIELDS):
        if getattr(graph, field) is None:
            raise ValueError(f"`graph.{field}` must not be None")
    fields = {"nodes": tf.convert_to_tensor(graph.nodes)}
    for field in _INDEX_FIELDS:
        value = tf.convert_to_tensor(getattr(graph, field))
        fields[field] = tf.cast(value, tf.int32) if value.dtype == tf.int64 else value
    for field, rows in (("edges", fields["senders"]), ("globals", fields["n_node"])):
        value = getattr(graph, field)
        if value is None:
            value = tf.zeros(tf.concat([tf.shape(rows)[:1], [0]], 0), fields["nodes"].dtype)
            value = tf.ensure_shape(value, [rows.shape[0], 0])
        fields[field] = tf.convert_to_tensor(value)
    return GraphsTuple(**fields)


def restore_missing(graph: GraphsTuple, like: GraphsTuple) -> GraphsTuple:
    """`graph` with None in the fields that are None in `like`: undoes `fill_missing`."""
    absent = {f: None for f in ("edges", "globals") if getattr(like, f) is None}
    return GraphsTuple(*graph).replace(**absent)


def validate(
    graph: GraphsTuple,
    *,
    node_size: int | None = None,
    edge_size: int | None = None,
    global_size: int | None = None,
    check_values: bool = True,
) -> None:
    """Raises a ValueError that names the field, what was expected and what was found.

    Ranks, dtypes, widths and lengths are checked as far as they are static. Values are checked
    too, where the graph is eager: counts that don't add up, negative counts, endpoints out of
    range or in another graph, features that are NaN or infinite.

    Args:
      graph: a GraphsTuple of tensors, None allowed for edges and globals.
      node_size: expected width of the node features, or None for any; likewise the next two.
      edge_size: as `node_size`.
      global_size: as `node_size`.
      check_values: also look at the values.
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
        if value.dtype != graph.nodes.dtype:
            raise ValueError(
                f"`graph.{field}` must have the nodes' dtype, {graph.nodes.dtype.name}, "
                f"got {value.dtype.name}"
            )
        if width is not None and value.shape[-1] not in (None, width):
            raise ValueError(f"`graph.{field}` must have width {width}, got shape {value.shape}")
    for field in _INDEX_FIELDS:
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
    for field in _FEATURE_FIELDS:
        value = getattr(graph, field)
        if value is not None and not np.isfinite(value).all():
            row = int(np.argmax(~np.isfinite(value).all(axis=-1)))
            raise ValueError(f"`graph.{field}` must be finite, row {row} is {value[row].numpy()}")
