"""Graphs in memory as data sets for `batches`, which looks them up by row."""

from collections.abc import Collection, Sequence
from typing import Any

import networkx as nx
import numpy as np
import tensorflow as tf

from gnf_tf import graphs
from gnf_tf.datasets.ranges import ranges
from gnf_tf.graphs import GraphsTuple
from gnf_tf.graphs.exchange import networkx_graphs
from gnf_tf.graphs.validation import as_float32

__all__ = ["GraphRows", "Topologies", "topologies_of"]


class GraphRows:
    """The graphs of a GraphsTuple, or networkx graphs, as a `GraphDataset` without targets.

    Use this for graphs with features, and `Topologies` where only the edges matter.

    Attributes:
      whole: all graphs in one GraphsTuple of NumPy arrays with float32 features.
      targets: [num_graphs, 0] float32, no target for each graph.
    """

    def __init__(self, given: GraphsTuple | Sequence[nx.Graph]):
        """Keeps the graphs.

        Args:
          given: the graphs; `graphs.from_networkx` says how networkx graphs hold features.

        Raises:
          ValueError: if `given` is of another type, is empty, or has a malformed graph; if it is
            symbolic; or if a feature has float64 values most of which float32 does not tell apart.
          TypeError: if `given` is a single networkx graph, or holds something else than graphs.
        """
        if not isinstance(given, GraphsTuple):
            given = graphs.from_networkx(_listed(given))
        if any(tf.is_tensor(value) and not hasattr(value, "numpy") for value in given):
            raise ValueError(
                "the graphs must be known, got tensors of a `tf.function` that is being traced"
            )
        for kind in ("node", "edge", "global"):
            values = getattr(given, f"{kind}s")
            if values is not None:
                given = given.replace(**{f"{kind}s": as_float32(kind, values)})
        given = graphs.fill_missing(given)
        graphs.validate(given)
        self.whole = given.map(np.asarray, GraphsTuple._fields)
        self.targets = np.zeros([len(self), 0], np.float32)

    def __len__(self) -> int:
        return len(self.whole.n_node)

    @property
    def sizes(self) -> np.ndarray:
        """[num_graphs, 2], the numbers of nodes and of edges of each graph."""
        return np.stack([self.whole.n_node, self.whole.n_edge], axis=1)

    def node_rows(self, rows: np.ndarray) -> np.ndarray:
        """The row numbers in `whole.nodes` of the nodes of these graphs, graph by graph."""
        return _members(self.whole.n_node, rows)

    def graph(self, rows: np.ndarray) -> GraphsTuple:
        """The graphs with the numbers `rows` in one GraphsTuple of NumPy arrays."""
        whole, nodes = self.whole, self.node_rows(rows)
        edges = _members(whole.n_edge, rows)
        n_node, n_edge = whole.n_node[rows], whole.n_edge[rows]
        # By how much the node numbers of each graph change.
        shift = np.cumsum(n_node) - n_node - (np.cumsum(whole.n_node) - whole.n_node)[rows]
        shift = np.repeat(shift, n_edge).astype(np.int32)
        return GraphsTuple(
            nodes=whole.nodes[nodes],
            edges=whole.edges[edges],
            globals=whole.globals[rows],
            receivers=whole.receivers[edges] + shift,
            senders=whole.senders[edges] + shift,
            n_node=n_node,
            n_edge=n_edge,
        )


class Topologies(GraphRows):
    """The edges of networkx graphs as a `GraphDataset`: features of width 0, and no targets.

    An undirected edge becomes two edges, one in each direction. Parallel edges become one. Every
    node has one self loop, whether its graph has it or not, as in the code of the paper's authors,
    so that a node receives its own message too.

    >>> topologies = Topologies([nx.path_graph(2)])
    >>> topologies.whole.senders.tolist(), topologies.whole.receivers.tolist()
    ([0, 1, 0, 1], [1, 0, 0, 1])
    """

    def __init__(self, members: Sequence[nx.Graph]):
        """Keeps the edges; attributes of the graphs are ignored.

        Raises:
          ValueError: if `members` is no list, there is no graph, or a graph has no nodes.
        """
        members = _listed(members, "members")
        n_node = np.array([len(graph) for graph in members], np.int32)
        if not n_node.size or n_node.min() < 1:
            raise ValueError(f"`members` must be graphs with nodes, got sizes {n_node.tolist()}")
        edges = [_edges(graph) for graph in members]
        n_edge = np.array([len(pairs) for pairs in edges], np.int32)
        shift = np.repeat(np.cumsum(n_node) - n_node, n_edge)
        senders, receivers = (np.concatenate(edges).T + shift).astype(np.int32)
        super().__init__(
            GraphsTuple(
                nodes=np.zeros([n_node.sum(), 0], np.float32),
                edges=None,
                globals=None,
                receivers=receivers,
                senders=senders,
                n_node=n_node,
                n_edge=n_edge,
            )
        )

    @property
    def n_node(self) -> np.ndarray:
        """[num_graphs] int32, the number of nodes of each graph."""
        return self.whole.n_node


def topologies_of(members: Sequence[nx.Graph] | GraphsTuple, directed: bool) -> Topologies:
    """The graphs as `Topologies` for a `GraphGenerator`; see its `for_data` for the errors.

    Args:
      members: networkx graphs, or a GraphsTuple.
      directed: whether networkx graphs may be directed.
    """
    if isinstance(members, GraphsTuple):
        # Directed edges are allowed: the auto-encoder ignores directions, unless it is directed.
        if members.nodes is None:
            members = members.replace(nodes=np.zeros([sum(members.n_node), 0], np.float32))
        nodes = np.zeros([len(members.nodes), 0], np.float32)
        members = members.replace(nodes=nodes, edges=None, globals=None)
        members, directed = graphs.to_networkx(members), True
    members = _listed(members)
    for i, graph in enumerate(members):
        if not len(graph):
            raise ValueError(f"graph {i} of `graphs` has no nodes")
        if graph.is_directed() and not directed:
            raise ValueError(
                f"graph {i} of `graphs` is directed; set `directed` in the configuration of the "
                "generator, or convert the graph by its method to_undirected"
            )
    return Topologies(members)


def _listed(members: Any, argument: str = "graphs") -> list[nx.Graph]:
    """The graphs as a list; not those of an iterator, which could be iterated only once."""
    if not isinstance(members, Collection) or isinstance(members, str):
        raise ValueError(
            "the graphs must be a GraphsTuple or a list of networkx graphs, got "
            f"{type(members).__name__}"
        )
    return networkx_graphs(members, argument)


def _edges(graph):
    """[num_edges, 2], the sender and the receiver of each edge, numbered in the graph's order."""
    row = {label: i for i, label in enumerate(graph)}
    pairs = [(row[a], row[b]) for a, b in graph.edges() if a != b]  # without keys
    back = [] if graph.is_directed() else [(b, a) for a, b in pairs]
    return np.array(sorted({*pairs, *back}) + [(i, i) for i in range(len(row))])


def _members(counts, rows):
    """Positions of the items of the groups `rows`, where group i has `counts[i]` items in a row."""
    return ranges((np.cumsum(counts) - counts)[rows], counts[rows])
