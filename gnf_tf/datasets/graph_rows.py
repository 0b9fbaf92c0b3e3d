"""A batch of graphs as a data set, whose graphs are looked up by row."""

from collections.abc import Sequence

import networkx as nx
import numpy as np
import tensorflow as tf

from gnf_tf import graphs
from gnf_tf.datasets.ranges import ranges
from gnf_tf.graphs import GraphsTuple

__all__ = ["GraphRows"]


class GraphRows:
    """The graphs of a GraphsTuple, or networkx graphs, as a `GraphDataset` without targets.

    Attributes:
      whole: all graphs as one GraphsTuple, numpy arrays, features float32.
    """

    def __init__(self, given: GraphsTuple | Sequence[nx.Graph]):
        """Keeps the graphs; features of networkx graphs as `graphs.from_networkx` takes them.

        Raises:
          ValueError: if they are neither, there is none, or they are malformed.
          TypeError: for a single networkx graph.
        """
        if not isinstance(given, GraphsTuple):
            is_list = isinstance(given, list | tuple) and all(
                isinstance(g, nx.Graph) for g in given
            )
            if not is_list and not isinstance(given, nx.Graph):
                raise ValueError(
                    "the graphs must be a GraphsTuple or a list of networkx graphs, got "
                    f"{type(given).__name__}"
                )
            given = graphs.from_networkx(given)
        given = graphs.fill_missing(given).map(
            lambda values: tf.cast(values, tf.float32), ("nodes", "edges", "globals")
        )
        graphs.validate(given)
        self.whole = given.map(np.asarray, GraphsTuple._fields)
        self.targets = np.zeros([len(self), 0], np.float32)

    def __len__(self) -> int:
        return len(self.whole.n_node)

    @property
    def sizes(self) -> np.ndarray:
        """[num_graphs, 2]: nodes and edges of each graph."""
        return np.stack([self.whole.n_node, self.whole.n_edge], axis=1)

    def node_rows(self, rows: np.ndarray) -> np.ndarray:
        """Which rows of `whole.nodes` the nodes of these graphs are, one graph after another."""
        return _places(self.whole.n_node, rows)

    def graph(self, rows: np.ndarray) -> GraphsTuple:
        """The graphs at `rows`, in numpy arrays."""
        whole, nodes = self.whole, self.node_rows(rows)
        edges = _places(whole.n_edge, rows)
        n_node, n_edge = whole.n_node[rows], whole.n_edge[rows]
        # What each graph's nodes are moved by.
        moved = np.cumsum(n_node) - n_node - (np.cumsum(whole.n_node) - whole.n_node)[rows]
        moved = np.repeat(moved, n_edge).astype(np.int32)
        return GraphsTuple(
            nodes=whole.nodes[nodes],
            edges=whole.edges[edges],
            globals=whole.globals[rows],
            receivers=whole.receivers[edges] + moved,
            senders=whole.senders[edges] + moved,
            n_node=n_node,
            n_edge=n_edge,
        )

    def signature(
        self, num_nodes: int | None, num_edges: int | None, num_graphs: int | None
    ) -> GraphsTuple:
        """TensorSpecs of graphs of these total sizes; None: of any."""
        sizes = {"nodes": num_nodes, "edges": num_edges}
        sizes |= {"receivers": num_edges, "senders": num_edges}
        return GraphsTuple(
            **{
                field: tf.TensorSpec(
                    [sizes.get(field, num_graphs), *values.shape[1:]], values.dtype
                )
                for field, values in self.whole._asdict().items()
            }
        )


def _places(counts, rows):
    """Where in a concatenation of so many items each the items of `rows` are."""
    return ranges((np.cumsum(counts) - counts)[rows], counts[rows])
