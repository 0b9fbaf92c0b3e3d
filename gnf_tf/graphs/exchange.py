"""Conversion of graphs from and to networkx."""

from collections.abc import Iterable, Sequence
from typing import Any

import networkx as nx
import numpy as np
import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf.graphs.structure import FEATURE_FIELDS, unbatch
from gnf_tf.graphs.validation import as_float32

__all__ = ["from_networkx", "networkx_graphs", "shown", "to_networkx"]


def from_networkx(graphs: Sequence[nx.Graph], *, dtype: Any = tf.float32) -> GraphsTuple:
    """Converts networkx graphs to one batch; nodes keep the order of their graph.

    Features come from the attribute "features" of nodes, of edges and of `graph.graph`: finite
    numbers, or vectors of them of one length. If no node (edge, graph) has the attribute, the
    features have width 0. An undirected edge becomes two directed edges with the same features; a
    self loop becomes one edge. Other attributes are ignored.

    >>> import networkx as nx
    >>> batch = from_networkx([nx.path_graph(2), nx.cycle_graph(3)])
    >>> batch.n_node.numpy(), batch.n_edge.numpy()
    (array([2, 3], dtype=int32), array([2, 6], dtype=int32))

    Args:
      graphs: networkx graphs of any class.
      dtype: float dtype of the features, as TensorFlow or NumPy or a text names it.

    Raises:
      TypeError, ValueError: see `networkx_graphs`.
      ValueError: if the features of an item are missing while others have
        them, differ in width, or are no finite numbers; the message names the item. Or if most
        values of a feature, for dtype float32, are equal when they are rounded to it.
    """
    graphs, dtype = networkx_graphs(graphs), tf.as_dtype(dtype)
    senders: list[int] = []
    receivers, n_edge, nodes, edges, start = [], [], [], [], 0
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
        nodes=_features("node", nodes, dtype),
        edges=_features("edge", edges, dtype),
        globals=_features("global", members, dtype),
        receivers=tf.constant(receivers, tf.int32),
        senders=tf.constant(senders, tf.int32),
        n_node=tf.constant([len(graph) for graph in graphs], tf.int32),
        n_edge=tf.constant(n_edge, tf.int32),
    )


def networkx_graphs(graphs: Iterable[nx.Graph], argument: str = "graphs") -> list[nx.Graph]:
    """Returns networkx graphs as a list, after a check that there is one and that all are graphs.

    Args:
      graphs: the graphs.
      argument: the caller's name of `graphs`, for error messages.

    Raises:
      TypeError: if `graphs` is a single networkx graph or no sequence, or an item of it is no
        networkx graph.
      ValueError: if there is no graph.
    """
    if isinstance(graphs, nx.Graph):
        raise TypeError(
            f"`{argument}` must be a sequence of networkx graphs, got a single one: [graph]"
        )
    if not isinstance(graphs, Iterable) or isinstance(graphs, str):
        raise TypeError(
            f"`{argument}` must be a sequence of networkx graphs, got {type(graphs).__name__}"
        )
    members = list(graphs)
    if not members:
        raise ValueError(f"`{argument}` must hold at least one graph, got none")
    for index, graph in enumerate(members):
        if not isinstance(graph, nx.Graph):
            raise TypeError(
                f"graph {index} of `{argument}` must be a networkx graph, got {shown(graph)}"
            )
    return members


def _features(kind, items, dtype):
    """The "features" of (name of the item, attributes) pairs, as a matrix [num_items, width]."""
    if not any("features" in data for _, data in items):
        return tf.zeros([len(items), 0], dtype)
    rows = []
    for what, data in items:
        if "features" not in data:
            raise ValueError(f"{what} has no 'features', others have: give all of them or none")
        row = _vector(what, data["features"], dtype.as_numpy_dtype)
        if rows and row.shape != rows[0].shape:
            raise ValueError(
                f"{what} has 'features' of shape {row.shape}, {shown(data['features'])}; expected "
                f"a vector as wide as the first, {rows[0].shape}"
            )
        rows.append(row)
    values = np.stack(rows)
    if dtype == tf.float32:
        return tf.constant(as_float32(kind, values))
    return tf.constant(values.astype(dtype.as_numpy_dtype))


def _vector(what, value, dtype):
    """The features of one item, [width], in their own dtype; they must be finite in `dtype`."""
    try:
        given = np.atleast_1d(np.asarray(value))
    except (TypeError, ValueError):
        given = None  # nested sequences of different lengths
    if given is not None and given.ndim == 1 and np.can_cast(given.dtype, dtype, "same_kind"):
        with np.errstate(over="ignore"):  # an overflow is infinite, and refused below
            row = given.astype(dtype)
        if np.isfinite(row).all():
            return given
    raise ValueError(
        f"{what} has 'features' {shown(value)}; expected a finite number or a vector of them"
    )


def shown(value: Any) -> str:
    """The value for an error message: on one line, and at most 80 characters."""
    return f"{' '.join(repr(value).split()):.80}"


def to_networkx(graph: GraphsTuple) -> list[nx.Graph]:
    """Converts each graph of the batch to networkx, with nodes 0 to n - 1.

    The result is a `Graph` if each edge has a reverse edge with equal features and no edge is
    repeated, a `DiGraph` if only the latter holds, and a `MultiDiGraph` otherwise. Features of
    positive width become the attribute "features", a numpy vector.

    Raises:
      ValueError: if the batch is malformed, see `unbatch`.
    """
    return [_member_to_networkx(member) for member in unbatch(graph)]


def _member_to_networkx(member):
    features = {field: np.asarray(getattr(member, field)) for field in FEATURE_FIELDS}
    pairs = [
        tuple(pair) for pair in tf.stack([member.senders, member.receivers], 1).numpy().tolist()
    ]
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
