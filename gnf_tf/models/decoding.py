"""Decoding of edges from scores of pairs of nodes, also under constraints such as planarity."""

import functools
from collections.abc import Callable
from typing import Literal

import networkx as nx
import numpy as np
import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import options
from gnf_tf.datasets import Topologies
from gnf_tf.options import OptionError

__all__ = [
    "CONSTRAINTS",
    "Constraint",
    "ConstraintName",
    "as_constraint",
    "check_known",
    "simple_graphs",
    "with_best_edges",
]

Constraint = Callable[[nx.Graph], bool]
ConstraintName = Literal["none", "planar", "forest", "bipartite"]

CONSTRAINTS: dict[str, Constraint | None] = {
    "none": None,
    "planar": nx.is_planar,
    "forest": nx.is_forest,
    "bipartite": nx.is_bipartite,
}


def as_constraint(constraint: ConstraintName | Constraint) -> Constraint | None:
    """Returns the function of a constraint's name, None for "none"; a function unchanged.

    Raises:
      ValueError: if `constraint` is another text, or neither a text nor a function.
    """
    if isinstance(constraint, str) and constraint in CONSTRAINTS:
        return CONSTRAINTS[constraint]
    if not callable(constraint):
        raise ValueError(
            f"`constraint` must be one of {', '.join(CONSTRAINTS)}, or a function of a graph, got "
            f"{constraint!r:.80}"
        )
    return constraint


def check_known(
    known: Topologies, name: ConstraintName, *, connected: bool, directed: bool
) -> None:
    """Raises an OptionError unless the training graphs `known` have the properties."""
    constraint = as_constraint(name)
    if constraint is None and not connected:
        return
    for i, graph in enumerate(simple_graphs(known.graph(np.arange(len(known))), directed)):
        if constraint is not None and not constraint(graph):
            expected = f"a property of all training graphs, which graph {i} does not have"
            raise OptionError("constraint", expected, name)
        if connected and not nx.is_connected(graph.to_undirected(as_view=True)):
            expected = f"False unless all training graphs are connected, which graph {i} is not"
            raise OptionError("connected", expected, connected)


def with_best_edges(
    graph: GraphsTuple,
    scores: np.ndarray,
    constraint: Constraint | None = None,
    *,
    connected: bool = False,
    directed: bool = False,
) -> GraphsTuple:
    """Returns `graph` with the edges of scores above 0, or with such that keep a constraint.

    With a constraint, edges are added in the order of their scores, the highest first, without
    those that would violate it. A graph gets as many edges as it has scores above 0, or fewer if no
    more can be added. For forests this is Kruskal's algorithm, whose sum of scores is the largest
    possible; for other constraints it need not be. Where graphs are to be connected, the edges with
    the highest scores that join their parts are added in the end, which may be more edges.

    >>> from gnf_tf import graphs
    >>> scores = np.array([[[0, 3, 1, -9], [0, 0, 2, -5], [0, 0, 0, -1], [0, 0, 0, 0]]])
    >>> forest = with_best_edges(graphs.edgeless([4], 2), scores, nx.is_forest)
    >>> graphs.to_networkx(forest)[0].edges
    EdgeView([(0, 1), (1, 2), (2, 3)])

    Args:
      graph: graphs with node features; their edges are ignored.
      scores: [n_graphs, size, size], first by receiver and then by sender; -inf where there can be
        no edge. For undirected graphs, those on and below the diagonal are ignored.
      constraint: whether a networkx graph with nodes 0 to N - 1 keeps the constraint. It must hold
        for graphs without edges, and for a graph without some of its edges if it holds for the
        graph. So do planarity or a largest degree, but not connectedness.
      connected: whether the parts of a graph are joined, as far as the constraint and scores of
        -inf permit; parts of a directed graph are those of the undirected graph.
      directed: whether edges have a direction. Otherwise each is present in both directions.

    Raises:
      ValueError: if the constraint does not hold for a graph without edges, or returns anything but
        True or False.
    """
    if constraint is not None:
        constraint = functools.partial(options.truth, "constraint", constraint)
    if not directed:
        scores = np.where(np.tri(scores.shape[1], dtype=bool), -np.inf, scores)
    n_node, edges = np.asarray(graph.n_node), scores > 0
    if constraint is not None or connected:
        for found, score, size in zip(edges, scores, n_node, strict=True):
            if not size:
                continue
            one = nx.empty_graph(size, nx.DiGraph if directed else nx.Graph)
            pairs = _ordered(score[:size, :size])
            wanted = np.count_nonzero(score > 0)
            if constraint is None:
                one.add_edges_from(pairs[:wanted].tolist())
            else:
                _add_best(one, pairs, wanted, constraint)
            if connected:
                _join(one, pairs, constraint)
            found[:size, :size] = nx.to_numpy_array(one, dtype=bool).T
    if not directed:
        edges |= edges.swapaxes(1, 2)
    owner, receiver, sender = np.argwhere(edges).T
    start = (np.cumsum(n_node) - n_node)[owner]
    return graph.replace(
        receivers=tf.constant(start + receiver, tf.int32),
        senders=tf.constant(start + sender, tf.int32),
        edges=tf.zeros([len(owner), 0], graph.nodes.dtype),
        n_edge=tf.constant(edges.sum(axis=(1, 2)), tf.int32),
    )


def _ordered(scores):
    """[number, 2], (sender, receiver) of the scores that are not -inf, the highest first."""
    order = np.argsort(-scores, axis=None, kind="stable")[: np.count_nonzero(scores > -np.inf)]
    return np.stack(np.unravel_index(order, scores.shape)[::-1], axis=1)


def _add_best(graph, pairs, wanted, constraint):
    """Adds the first of `pairs` that keep the constraint, until the graph has `wanted` edges."""
    if not constraint(graph):
        raise ValueError(
            "`constraint` must hold for graphs without edges, got one that does not for "
            f"{len(graph)} nodes"
        )
    # Where the graph keeps the constraint with several more edges, it would have kept it with each
    # in turn, so that one check is enough; where it doesn't, fewer are added.
    start, number = 0, 1
    while start < len(pairs) and graph.number_of_edges() < wanted:
        number = min(number, wanted - graph.number_of_edges())
        some = pairs[start : start + number].tolist()
        graph.add_edges_from(some)
        if constraint(graph):
            start, number = start + len(some), 2 * number
        else:
            graph.remove_edges_from(some)
            start, number = start + (number == 1), max(1, number // 2)


def _join(graph, pairs, constraint):
    """Adds the first of `pairs` that join parts of the graph and keep the constraint."""
    parts = nx.utils.UnionFind(graph)
    for edge in graph.edges:
        parts.union(*edge)
    names = np.array([parts[node] for node in graph])
    number = len(set(names))
    for sender, receiver in pairs[names[pairs[:, 0]] != names[pairs[:, 1]]].tolist():
        if number == 1:
            return
        if parts[sender] != parts[receiver]:
            graph.add_edge(sender, receiver)
            if constraint is None or constraint(graph):
                parts.union(sender, receiver)
                number -= 1
            else:
                graph.remove_edge(sender, receiver)


def simple_graphs(graph: GraphsTuple, directed: bool) -> list[nx.Graph]:
    """Returns networkx graphs with nodes 0 ... n - 1, without features and self loops."""
    edges = np.stack([graph.senders, graph.receivers], axis=1)
    parts = np.split(edges, np.cumsum(graph.n_edge)[:-1])
    sizes = np.asarray(graph.n_node)
    made = []
    for size, end, part in zip(sizes, np.cumsum(sizes), parts, strict=True):
        one = nx.empty_graph(int(size), nx.DiGraph if directed else nx.Graph)
        one.add_edges_from((part[part[:, 0] != part[:, 1]] - (end - size)).tolist())
        made.append(one)
    return made
