"""Data for node classification: one graph with some labeled nodes, or several graphs.

Each node has one class (multi-class), or any number of labels (multi-label).
"""

import copy
import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np

from gnf_tf.datasets.ranges import ranges, row_numbers
from gnf_tf.datasets.splits import random_parts
from gnf_tf.graphs import GraphsTuple, fill_missing, validate
from gnf_tf.graphs.validation import as_float32

__all__ = [
    "MASKS",
    "LabeledGraph",
    "LabeledGraphs",
    "check_features",
    "check_names",
    "check_several_classes",
]

MASKS: tuple[Literal["train", "validation", "test"], ...] = ("train", "validation", "test")
_MOST_CLASSES = 2**16  # without class names; larger numbers are identifiers by mistake


class _Labeled:
    """What the two kinds of labeled data say about their labels."""

    labels: np.ndarray
    class_names: tuple[str, ...]

    @property
    def num_classes(self) -> int:
        """The number of classes, or of labels."""
        return len(self.class_names)

    @property
    def is_multi_label(self) -> bool:
        """Whether a node has any number of labels, and not one class."""
        return self.labels.ndim == 2


@dataclasses.dataclass(frozen=True, eq=False)
class LabeledGraph(_Labeled):
    """One graph with N nodes, of which some are labeled: data for transductive classification.

    Use this to train on some nodes of a graph and predict the others, and `LabeledGraphs` to train
    on some graphs and predict others. `node_graph` makes a LabeledGraph from arrays.

    Attributes:
      graph: one graph with finite node features, [N, F].
      labels: [N] int32, the class of each node, -1 for no class; or [N, L] bool, which of L labels
        each node has.
      train: [N] bool, the nodes to train on. The three sets are disjoint. A node without a class,
        or whose labels are unknown, must not be in a set.
      validation: [N] bool, the nodes to validate on.
      test: [N] bool, the nodes to test on.
      class_names: the names of the classes or labels, in the order of their numbers; by default
        "0", "1", ...

    Raises:
      ValueError: if a field breaks one of these rules; the message names the field, the node and
        the value.
    """

    graph: GraphsTuple
    labels: np.ndarray
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    class_names: tuple[str, ...] = ()

    def __post_init__(self):
        graph = fill_missing(self.graph)
        validate(graph, check_values=False)
        if graph.n_node.shape[0] != 1:
            raise ValueError(f"`graph` must be one graph, got {graph.n_node.shape[0]}")
        check_features("graph.nodes", graph.nodes.numpy())
        validate(graph)
        num_nodes = graph.nodes.shape[0]
        labels, names = _checked_labels(self.labels, self.class_names, num_nodes)
        masks = {name: np.asarray(getattr(self, name)) for name in MASKS}
        for name, mask in masks.items():
            if mask.dtype != bool or mask.shape != (num_nodes,):
                raise ValueError(
                    f"`{name}` must be bool of shape {(num_nodes,)}, got {mask.dtype} of shape "
                    f"{mask.shape}"
                )
        together = np.sum(list(masks.values()), axis=0)
        if (together > 1).any():
            node = int(together.argmax())
            both = " and ".join(f"`{name}`" for name in MASKS if masks[name][node])
            raise ValueError(f"{both} must not share nodes, got node {node} in each")
        without = (together > 0) & (labels < 0) if labels.ndim == 1 else np.zeros(0, bool)
        if without.any():
            node = int(without.argmax())
            name = next(name for name in MASKS if masks[name][node])
            raise ValueError(
                f"`{name}` must have labeled nodes only, got node {node}, whose class is -1"
            )
        vars(self).update(masks, graph=graph, labels=labels, class_names=names)


@dataclasses.dataclass(frozen=True, eq=False)
class LabeledGraphs(_Labeled):
    """Graphs with labeled nodes, concatenated: data for inductive classification.

    Use this to train on some graphs and predict others, and `LabeledGraph` to train on some nodes
    of one graph. Arrays of other numeric types are converted to these.

    Attributes:
      n_node: [num_graphs] int32, the number of nodes of each graph, at least 1.
      n_edge: [num_graphs] int32, the number of edges of each graph.
      features: [num_nodes, F] float32, finite.
      labels: [num_nodes] int32, the class of each node, -1 for no class; or [num_nodes, L] bool,
        which of L labels each node has.
      edges: [num_edges, 2] int32, the sender and the receiver of each edge as row numbers of
        `features`, graph by graph.
      class_names: the names of the classes or labels, in the order of their numbers; by default
        "0", "1", ...

    Raises:
      ValueError: if there is no graph, or a field breaks one of these rules; the message names the
        field, the graph and the value.
    """

    n_node: np.ndarray
    n_edge: np.ndarray
    features: np.ndarray
    labels: np.ndarray
    edges: np.ndarray
    class_names: tuple[str, ...] = ()

    def __post_init__(self):
        n_node, n_edge, edges = (
            _whole(name, getattr(self, name)) for name in ("n_node", "n_edge", "edges")
        )
        features = np.asarray(self.features)
        for name, counts, least in (("n_node", n_node, 1), ("n_edge", n_edge, 0)):
            if counts.shape != n_node.shape or counts.ndim != 1 or not len(counts):
                raise ValueError(
                    f"`{name}` must have a number for each graph, at least one, got shape "
                    f"{counts.shape} where `n_node` has {n_node.shape}"
                )
            if (counts < least).any():
                row = int((counts < least).argmax())
                raise ValueError(
                    f"`{name}` must be at least {least}, got {counts[row]} for graph {row}"
                )
        ends = np.cumsum(n_node)
        check_features("features", features, ends)
        if ends[-1] != len(features):
            raise ValueError(
                f"`n_node` must add up to the rows of `features`, {len(features)}, got {ends[-1]}"
            )
        if edges.shape != (n_edge.sum(), 2):
            raise ValueError(
                f"`edges` must have shape {(int(n_edge.sum()), 2)}, the sum of `n_edge`, got "
                f"{edges.shape}"
            )
        owner = np.repeat(np.arange(len(n_node)), n_edge)[:, np.newaxis]
        wrong = ((edges < (ends - n_node)[owner]) | (edges >= ends[owner])).any(axis=1)
        if wrong.any():
            edge = int(wrong.argmax())
            graph = owner[edge, 0]
            raise ValueError(
                f"`edges` must stay within their graph: edge {edge} of graph {graph} joins "
                f"{edges[edge].tolist()}, expected nodes {ends[graph] - n_node[graph]} to "
                f"{ends[graph] - 1}"
            )
        labels, names = _checked_labels(self.labels, self.class_names, len(features))
        vars(self).update(
            n_node=n_node.astype(np.int32, copy=False),
            n_edge=n_edge.astype(np.int32, copy=False),
            features=as_float32("node", features),
            labels=labels,
            edges=edges.astype(np.int32, copy=False),
            class_names=names,
        )

    def __len__(self) -> int:
        return len(self.n_node)

    @property
    def sizes(self) -> np.ndarray:
        """[num_graphs, 2], the numbers of nodes and of edges of each graph."""
        return np.stack([self.n_node, self.n_edge], axis=1)

    def graph(self, row: int) -> tuple[GraphsTuple, np.ndarray]:
        """The graph with the number `row` and the labels of its nodes; see `graphs`."""
        return self.graphs(np.array([row]))

    def graphs(self, rows: np.ndarray) -> tuple[GraphsTuple, np.ndarray]:
        """The graphs with the numbers `rows` as one GraphsTuple, and the labels of its nodes.

        The nodes of the GraphsTuple are the features; edges and globals have width 0. All arrays
        are NumPy arrays.
        """
        chosen = self.select(rows)
        senders, receivers = chosen.edges.T
        graph = GraphsTuple(
            nodes=chosen.features,
            edges=np.zeros([len(senders), 0], np.float32),
            globals=np.zeros([len(chosen), 0], np.float32),
            receivers=receivers,
            senders=senders,
            n_node=chosen.n_node,
            n_edge=chosen.n_edge,
        )
        return graph, chosen.labels

    def select(self, rows: np.ndarray) -> "LabeledGraphs":
        """The graphs with the numbers `rows`, in this order; see `Molecules.select`."""
        rows = row_numbers(rows)
        starts = np.cumsum(self.n_node) - self.n_node
        firsts = np.cumsum(self.n_edge) - self.n_edge
        n_node, n_edge = self.n_node[rows], self.n_edge[rows]
        nodes, edges = ranges(starts[rows], n_node), ranges(firsts[rows], n_edge)
        moved = np.cumsum(n_node) - n_node - starts[rows]
        chosen = copy.copy(self)  # unlike the constructor, this does not repeat the checks
        vars(chosen).update(
            n_node=n_node,
            n_edge=n_edge,
            features=self.features[nodes],
            labels=self.labels[nodes],
            edges=self.edges[edges] + np.repeat(moved, n_edge).astype(np.int32)[:, np.newaxis],
        )
        return chosen

    def split(self, fractions: Sequence[float], seed: int = 0) -> tuple["LabeledGraphs", ...]:
        """Disjoint random parts of the graphs; arguments and errors as `random_split`."""
        return tuple(self.select(rows) for rows in random_parts(len(self), fractions, seed))


def _whole(name, values):
    values = np.asarray(values)
    if values.size and values.dtype.kind not in "iu":
        raise ValueError(f"`{name}` must be whole numbers, got {values.dtype}")
    return values.astype(np.int64)


def check_several_classes(train: LabeledGraph | LabeledGraphs) -> None:
    """Raises a ValueError if there is no class, or one alone, in the training data `train`."""
    if not train.class_names:
        raise ValueError("`train` must have nodes with labels, got no class")
    if train.is_multi_label:
        return
    own = train.labels[train.train] if isinstance(train, LabeledGraph) else train.labels
    found = np.unique(own[own >= 0])
    if len(found) == 1:
        raise ValueError(
            "`train` must have training nodes of at least two classes, got "
            f"{train.class_names[found[0]]!r} alone; a label -1 means no class"
        )


def check_features(name: str, features: np.ndarray, ends: np.ndarray | None = None) -> None:
    """Checks that node features are finite float32 numbers, [N, F].

    Args:
      name: the name of the features in the error message.
      features: the features of all nodes.
      ends: [num_graphs], the row number after the last node of each graph, for several graphs.

    Raises:
      ValueError: if they are not.
    """
    if features.ndim != 2 or not features.size or features.dtype.kind not in "biuf":
        raise ValueError(
            f"`{name}` must be numbers [num_nodes, num_features], at least one of each, got "
            f"{features.dtype} of shape {features.shape}"
        )
    # Larger numbers than float32 holds would become infinite.
    finite = np.abs(features) <= np.finfo(np.float32).max
    if not finite.all():
        node, column = np.argwhere(~finite)[0]
        where = f"feature {column} of node {node}"
        if ends is not None:
            graph = int(np.searchsorted(ends, node, side="right"))
            where = f"feature {column} of node {node - ([0, *ends][graph])} of graph {graph}"
        raise ValueError(f"`{name}` must be finite, got {features[node, column]} as {where}")


def check_names(class_names: Sequence[str]) -> tuple[str, ...]:
    """Returns names of classes as a tuple.

    Raises:
      ValueError: if they are no different strings.
    """
    if isinstance(class_names, str) or not all(isinstance(name, str) for name in class_names):
        raise ValueError(f"`class_names` must be a sequence of strings, got {class_names!r}")
    names = tuple(class_names)
    if len(set(names)) < len(names):
        raise ValueError(f"`class_names` must all be different, got {names}")
    return names


def _checked_labels(labels, class_names, num_nodes):
    """(labels, class names) with the types of the attributes of `LabeledGraph`."""
    labels = np.asarray(labels)
    one_each = labels.ndim == 1 and labels.dtype.kind in "iu"
    if not one_each and not (labels.ndim == 2 and labels.dtype == bool and labels.shape[1]):
        raise ValueError(
            "`labels` must be whole numbers [num_nodes] or bool [num_nodes, num_labels], got "
            f"{labels.dtype} of shape {labels.shape}"
        )
    if len(labels) != num_nodes:
        raise ValueError(
            f"`labels` must have a row for each of {num_nodes} nodes, got {len(labels)}"
        )
    names = check_names(class_names)
    most = (len(names) or _MOST_CLASSES) - 1
    if not one_each:
        if names and len(names) != labels.shape[1]:
            raise ValueError(
                f"`class_names` must name all {labels.shape[1]} labels, got {len(names)}"
            )
        return labels, names or tuple(map(str, range(labels.shape[1])))
    wrong = (labels < -1) | (labels > most)
    if wrong.any():
        node = int(wrong.argmax())
        raise ValueError(
            f"`labels` must be classes from 0 to {most}, or -1 for none, got {labels[node]} for "
            f"node {node}"
        )
    labels = labels.astype(np.int32)
    return labels, names or tuple(map(str, range(labels.max() + 1)))
