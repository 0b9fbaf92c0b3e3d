"""Sets of undirected simple graphs as one sparse matrix: the input of all metrics."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import TypeAlias

import networkx as nx
import numpy as np
import scipy.sparse

from gnf_tf.graphs import GraphsTuple, to_networkx
from gnf_tf.graphs.exchange import networkx_graphs

__all__ = ["GraphSet", "Graphs", "graph_set", "simple_graphs", "union", "with_nodes"]


@dataclasses.dataclass(frozen=True, eq=False)
class GraphSet:
    """A set of graphs as their disjoint union, so that one sparse operation serves all graphs.

    Attributes:
      adjacency: CSR matrix [num_nodes, num_nodes], int64, of 0 and 1, symmetric, with an empty
        diagonal. The nodes of each graph are consecutive rows, in the order of that graph.
      n_node: [n_graphs] int, the number of nodes of each graph.
    """

    adjacency: scipy.sparse.csr_array
    n_node: np.ndarray

    def __len__(self) -> int:
        return len(self.n_node)

    @functools.cached_property
    def starts(self) -> np.ndarray:
        """The first row of each graph, [n_graphs]."""
        return np.cumsum(self.n_node) - self.n_node

    @property
    def graph_ids(self) -> np.ndarray:
        """The index of the graph that owns each node, [num_nodes]."""
        return np.repeat(np.arange(len(self)), self.n_node)

    def split(self, values: np.ndarray) -> list[np.ndarray]:
        """Splits the rows of `values`, [num_nodes, ...], by graph."""
        return np.split(values, np.cumsum(self.n_node))[:-1]

    def member(self, index: int) -> scipy.sparse.csr_array:
        """The adjacency matrix of one graph, [n, n]."""
        rows = slice(self.starts[index], self.starts[index] + self.n_node[index])
        return self.adjacency[rows, rows]


Graphs: TypeAlias = Sequence[nx.Graph] | GraphsTuple | GraphSet


def simple_graphs(graphs: Sequence[nx.Graph] | GraphsTuple, argument: str) -> list[nx.Graph]:
    """Returns the graphs as a list, after a check that each is undirected and no multigraph.

    Args:
      graphs: networkx graphs, or a GraphsTuple, in which an undirected edge is a pair of directed
        edges and edge features are ignored.
      argument: the caller's name of `graphs`, for error messages.

    Raises:
      TypeError: if `graphs` is a single networkx graph or no sequence, or an element of it is no
        networkx graph.
      ValueError: if there is no graph, or a graph is directed (in a GraphsTuple: has an edge
        without its reverse) or a multigraph; or if a GraphsTuple is malformed, see
        `graphs.validate`. The message names the graph.
    """
    if isinstance(graphs, GraphsTuple):
        # to_networkx makes a DiGraph if an edge and its reverse have different features.
        try:
            graphs = to_networkx(graphs.replace(edges=None))
        except ValueError as error:
            raise ValueError(f"`{argument}` is malformed: {error}") from error
    graphs = networkx_graphs(graphs, argument)
    for index, graph in enumerate(graphs):
        which = f"graph {index} of `{argument}`"
        if graph.is_multigraph():
            raise ValueError(f"{which} is a multigraph or repeats an edge; see networkx.Graph")
        if graph.is_directed():
            raise ValueError(f"{which} is directed; see networkx's to_undirected")
    return graphs


def graph_set(graphs: Graphs, argument: str) -> GraphSet:
    """Converts graphs to a GraphSet, without self loops, edge weights and other attributes.

    The arguments and errors are those of `simple_graphs`. A GraphSet is returned unchanged.
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
    """Returns the graphs that have at least one node.

    Raises:
      ValueError: if no graph has a node.
    """
    if not graphs.n_node.any():
        raise ValueError(f"`{argument}` must hold a graph with a node, got {len(graphs)} without")
    return GraphSet(graphs.adjacency, graphs.n_node[graphs.n_node > 0])


def union(first: GraphSet, second: GraphSet) -> GraphSet:
    """The graphs of `first`, followed by those of `second`."""
    adjacency = scipy.sparse.block_diag([first.adjacency, second.adjacency], format="csr")
    return GraphSet(adjacency, np.concatenate([first.n_node, second.n_node]))
