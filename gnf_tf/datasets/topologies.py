"""Graphs without features or labels, as a data set that can be batched."""

from collections.abc import Sequence

import networkx as nx
import numpy as np
import tensorflow as tf

from gnf_tf.graphs import GraphsTuple

__all__ = ["Topologies"]


class Topologies:
    """The edges of networkx graphs as a `GraphDataset`: node features of width 0, no targets.

    An undirected edge goes both ways. Every node gets a self loop, as the paper's authors' graphs
    have: a node hears itself among its neighbours.
    """

    def __init__(self, members: Sequence[nx.Graph]):
        """Keeps the edges.

        Raises:
          ValueError: if there is no graph, or one without nodes.
        """
        self.n_node = np.array([len(graph) for graph in members], np.int32)
        if not self.n_node.size or self.n_node.min() < 1:
            raise ValueError(
                f"`members` must be graphs with nodes, got sizes {self.n_node.tolist()}"
            )
        self.targets = np.zeros([len(members), 0], np.float32)
        self._edges = [_edges_of(graph) for graph in members]

    def __len__(self) -> int:
        return len(self.n_node)

    @property
    def sizes(self) -> np.ndarray:
        """[num_graphs, 2]: nodes and edges of each graph, self loops among them."""
        return np.stack([self.n_node, [len(edges) for edges in self._edges]], axis=1)

    def graph(self, rows: np.ndarray) -> GraphsTuple:
        """The graphs at `rows`, in numpy arrays."""
        n_node = self.n_node[rows]
        starts = np.cumsum(n_node) - n_node
        edges = [self._edges[row] + start for row, start in zip(rows, starts, strict=True)]
        senders, receivers = np.concatenate(edges).astype(np.int32).T
        return GraphsTuple(
            nodes=np.zeros([n_node.sum(), 0], np.float32),
            edges=np.zeros([len(senders), 0], np.float32),
            globals=np.zeros([len(rows), 0], np.float32),
            receivers=receivers,
            senders=senders,
            n_node=n_node,
            n_edge=np.array([len(pairs) for pairs in edges], np.int32),
        )

    def signature(self, num_nodes: int, num_edges: int, num_graphs: int) -> GraphsTuple:
        """TensorSpecs of padded graphs."""
        return GraphsTuple(
            nodes=tf.TensorSpec([num_nodes, 0], tf.float32),
            edges=tf.TensorSpec([num_edges, 0], tf.float32),
            globals=tf.TensorSpec([num_graphs, 0], tf.float32),
            receivers=tf.TensorSpec([num_edges], tf.int32),
            senders=tf.TensorSpec([num_edges], tf.int32),
            n_node=tf.TensorSpec([num_graphs], tf.int32),
            n_edge=tf.TensorSpec([num_graphs], tf.int32),
        )


def _edges_of(graph):
    """[num_edges, 2]: sender and receiver, in the graph's own order of nodes."""
    row = {label: i for i, label in enumerate(graph)}
    pairs = [(row[a], row[b]) for a, b in graph.edges if a != b]
    back = [] if graph.is_directed() else [(b, a) for a, b in pairs]
    return np.array(sorted({*pairs, *back}) + [(i, i) for i in range(len(row))])
