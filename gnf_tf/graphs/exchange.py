"""networkx graphs in and out."""

from collections.abc import Sequence

import networkx as nx
import numpy as np
import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf.graphs.structure import FEATURE_FIELDS, unbatch

__all__ = ["from_networkx", "to_networkx"]


def from_networkx(graphs: Sequence[nx.Graph], *, dtype: tf.DType = tf.float32) -> GraphsTuple:
    """A batch of networkx graphs; nodes in each graph's own order, whatever their labels.

    The attribute "features" (a finite number or a vector of them, as wide on all) of nodes, edges
    and `graph.graph` gives the features; where no node (edge, graph) has any, they have width 0. An
    undirected edge becomes two, one each way, with the same features; a self loop becomes one.

    Raises:
      TypeError: if `graphs` is a single graph.
      ValueError: for an empty sequence, or features of some item that are missing, of another
        width, or no finite numbers, naming it.
    """
    if isinstance(graphs, nx.Graph):
        raise TypeError("`graphs` must be a sequence of networkx graphs, got a single one: [graph]")
    graphs = list(graphs)
    if not graphs:
        raise ValueError("`graphs` must hold at least one networkx graph, got none")
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
        row = _vector(what, data["features"], dtype.as_numpy_dtype)
        if rows and row.shape != rows[0].shape:
            raise ValueError(
                f"{what} has 'features' of shape {row.shape}, {_shown(data['features'])}; expected "
                f"a vector as wide as the first, {rows[0].shape}"
            )
        rows.append(row)
    return tf.constant(np.stack(rows), dtype)


def _vector(what, value, dtype):
    """The features of one item, [width]."""
    try:
        given = np.atleast_1d(np.asarray(value))
    except (TypeError, ValueError):
        given = None  # of lengths that differ
    if given is not None and given.ndim == 1 and np.can_cast(given.dtype, dtype, "same_kind"):
        with np.errstate(over="ignore"):  # infinite, and so refused
            row = given.astype(dtype)
        if np.isfinite(row).all():
            return row
    raise ValueError(
        f"{what} has 'features' {_shown(value)}; expected a finite number or a vector of them"
    )


def _shown(value):
    """On one line, and short."""
    return f"{' '.join(repr(value).split()):.80}"


def to_networkx(graph: GraphsTuple) -> list[nx.Graph]:
    """Each graph of the batch in the smallest networkx class that holds it, nodes numbered from 0.

    That is `Graph` where each edge has its reverse (with equal features) and none is repeated,
    `DiGraph` where none is repeated, `MultiDiGraph` otherwise. Features of positive width are in
    the attribute "features", as numpy vectors.
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
