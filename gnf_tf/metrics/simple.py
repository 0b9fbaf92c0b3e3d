"""What the metrics measure: undirected simple graphs, a whole set of them as one sparse matrix."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import TypeAlias

import networkx as nx
import numpy as np
import scipy.sparse

from gnf_tf.graphs import GraphsTuple, to_networkx

__all__ = ["GraphSet", "Graphs", "graph_set", "simple_graphs", "union", "with_nodes"]


@dataclasses.dataclass(frozen=True, eq=False)
class GraphSet:
    """Graphs as their disjoint union: what holds of a node's surroundings is computed for all.

    Attributes:
      adjacency: int64 CSR matrix [num_nodes, num_nodes] of 0 and 1, symmetric, diagonal empty;
        graph after graph, each one's nodes in its own order.
      n_node: [n_graphs].
    """

    adjacency: scipy.sparse.csr_array
    n_node: np.ndarray

    def __len__(self) -> int:
        return len(self.n_node)

    @functools.cached_property
    def starts(self) -> np.ndarray:
        """First row of each graph, [n_graphs]."""
        return np.cumsum(self.n_node) - self.n_node

    @property
    def graph_ids(self) -> np.ndarray:
        """The graph of each node, [num_nodes]."""
        return np.repeat(np.arange(len(self)), self.n_node)

    def split(self, values: np.ndarray) -> list[np.ndarray]:
        """What there is of each node, graph by graph."""
        return np.split(values, np.cumsum(self.n_node))[:-1]

    def member(self, index: int) -> scipy.sparse.csr_array:
        """Adjacency of one graph, [n, n]."""
        rows = slice(self.starts[index], self.starts[index] + self.n_node[index])
        return self.adjacency[rows, rows]


Graphs: TypeAlias = Sequence[nx.Graph] | GraphsTuple | GraphSet


def simple_graphs(graphs: Sequence[nx.Graph] | GraphsTuple, argument: str) -> list[nx.Graph]:
    """The graphs as a list, each of them undirected and without repeated edges.

    Args:
      graphs: networkx graphs, or a GraphsTuple, where an undirected edge is a pair of edges, one
        each way; what its edges carry is ignored.
      argument: name of `graphs` at the caller's, for messages.

    Raises:
      TypeError: for a single networkx graph, or anything in `graphs` that isn't one.
      ValueError: for no graphs, a directed one (of a GraphsTuple: an edge without its reverse) or
        a multigraph, naming it.
    """
    if isinstance(graphs, nx.Graph):
        raise TypeError(f"`{argument}` must be a sequence of networkx graphs, got one: [graph]")
    if isinstance(graphs, GraphsTuple):
        # Edges may carry other features one way than the other, and be one undirected edge.
        nothing = np.zeros([graphs.senders.shape[0], 0], np.float32)
        graphs = to_networkx(graphs.replace(edges=nothing))
    graphs = list(graphs)
    if not graphs:
        raise ValueError(f"`{argument}` must hold at least one graph, got none")
    for index, graph in enumerate(graphs):
        which = f"graph {index} of `{argument}`"
        if not isinstance(graph, nx.Graph):
            raise TypeError(f"{which} must be a networkx graph, got {type(graph).__name__}")
        if graph.is_multigraph():
            raise ValueError(f"{which} is a multigraph or repeats an edge; see networkx.Graph")
        if graph.is_directed():
            raise ValueError(f"{which} is directed; see networkx's to_undirected")
    return graphs


def graph_set(graphs: Graphs, argument: str) -> GraphSet:
    """The graphs without their self loops; edge weights and all other attributes are ignored.

    Args and errors as `simple_graphs`; a GraphSet is returned as it is.
    """
    if isinstance(graphs, GraphSet):
        return graphs
    graphs = simple_graphs(graphs, argument)
    rows, columns, start = [], [], 0
    for graph in graphs:
        row = {label: start + i for i, label in enumerate(graph)}
        start += len(row)
        for a, b in graph.edges:
            if a != b:
                rows.append(row[a])
                columns.append(row[b])
    ends = np.array([rows + columns, columns + rows], np.int64)
    ones = np.ones(ends.shape[1], np.int64)
    adjacency = scipy.sparse.csr_array((ones, ends), shape=(start, start))
    return GraphSet(adjacency, np.array([len(graph) for graph in graphs]))


def with_nodes(graphs: GraphSet, argument: str) -> GraphSet:
    """Those of the graphs that have a node.

    Raises:
      ValueError: if none has.
    """
    if not graphs.n_node.any():
        raise ValueError(f"`{argument}` must hold a graph with a node, got {len(graphs)} without")
    return GraphSet(graphs.adjacency, graphs.n_node[graphs.n_node > 0])


def union(first: GraphSet, second: GraphSet) -> GraphSet:
    """The graphs of both, in order."""
    adjacency = scipy.sparse.block_diag([first.adjacency, second.adjacency], format="csr")
    return GraphSet(adjacency, np.concatenate([first.n_node, second.n_node]))
