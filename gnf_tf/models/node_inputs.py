"""Graphs with node features, in the forms that users have them, as GraphsTuples."""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import networkx as nx

from gnf_tf.datasets import LabeledGraph, LabeledGraphs
from gnf_tf.datasets.node_graphs import graphs_with_features
from gnf_tf.graphs import GraphsTuple

__all__ = ["Graphs", "node_graphs"]

Graphs: TypeAlias = GraphsTuple | LabeledGraph | LabeledGraphs | nx.Graph | Sequence[nx.Graph]


def node_graphs(graph: Graphs) -> Iterable[GraphsTuple]:
    """Yields GraphsTuples of one or more graphs.

    Raises:
      ValueError: if `graph` is none of these types.
    """
    graph = graph.graph if isinstance(graph, LabeledGraph) else graph
    if isinstance(graph, GraphsTuple):
        return [graph]
    if isinstance(graph, LabeledGraphs):
        return (graph.graph(row)[0] for row in range(len(graph)))
    is_list = isinstance(graph, Iterable) and not isinstance(graph, nx.Graph | str)
    members = list(graph) if is_list else [graph]
    if not all(isinstance(member, nx.Graph) for member in members):
        kinds = ", ".join(sorted({type(member).__name__ for member in members}))
        raise ValueError(
            "`graph` must be a GraphsTuple, LabeledGraph, LabeledGraphs or networkx graphs, got "
            f"{'a list of ' if is_list else ''}{kinds}"
        )
    return [graphs_with_features([_without_loops(member) for member in members])] if members else []


def _without_loops(graph):
    graph = nx.Graph(graph)
    graph.remove_edges_from(list(nx.selfloop_edges(graph)))
    return graph
