"""Labeled graphs from arrays and from networkx graphs with attributes."""

import numbers
from collections.abc import Sequence
from typing import Any

import networkx as nx
import numpy as np
import tensorflow as tf

from gnf_tf.datasets.labeled_graphs import (
    MASKS,
    LabeledGraph,
    LabeledGraphs,
    check_features,
)
from gnf_tf.datasets.node_arrays import (
    as_array,
    as_labels,
    as_labels_of_graphs,
    as_mask,
    distinct_pairs,
)
from gnf_tf.datasets.splits import random_parts
from gnf_tf.graphs import GraphsTuple, from_networkx
from gnf_tf.graphs.exchange import networkx_graphs, shown
from gnf_tf.graphs.validation import as_float32

__all__ = [
    "FRACTIONS",
    "SETS",
    "graphs_with_features",
    "label_attributes",
    "labeled_graphs_from_networkx",
    "names_of_features",
    "node_graph",
    "node_graph_from_networkx",
]

FRACTIONS = (0.6, 0.2, 0.2)
_LABELS = ("class", "label")  # attributes with the class of a node; the first one found counts
# The sets, and what files and libraries call them.
SETS = {"train": ("train",), "validation": ("validation", "valid", "val"), "test": ("test",)}


def node_graph(
    features: Any,
    edges: Any,
    labels: Any = None,
    *,
    train: Any = None,
    validation: Any = None,
    test: Any = None,
    class_names: Sequence[str] | None = None,
    fractions: Sequence[float] = FRACTIONS,
    seed: int = 0,
) -> LabeledGraph:
    """A graph with labeled nodes from NumPy arrays, tensors, data frames or lists.

    `node_graph_from_networkx` takes a networkx graph instead, and `read_node_graph` a file.

    >>> path = node_graph([[0.0], [1.0], [2.0]], [[0, 1], [1, 2]], ["a", "b", None], train=[0])
    >>> path.labels.tolist(), path.class_names, path.train.tolist()
    ([0, 1, -1], ('a', 'b'), [True, False, False])
    >>> path.graph.senders.numpy().tolist(), path.graph.receivers.numpy().tolist()
    ([0, 1, 1, 2], [1, 2, 0, 1])

    Args:
      features: [N, F] finite numbers, a dense array or a scipy.sparse matrix. The graph holds them
        as a dense float32 array of 4 N F bytes.
      edges: [2, E] whole numbers, the two nodes of each edge, numbered from 0. Each edge may be
        given in one direction or in both; the graph has both directions, without self loops and
        repeated edges.
      labels: [N], the class of each node: a whole number, or -1 for no class; or a name, or "" for
        no class. None, NA and NaN are no class either. Or [N, L] zeros and ones, which of L labels
        each node has, or -1 in the whole row of a node whose labels are unknown; [N, 1] are classes
        too, unless `class_names` has one name. None if no node has a label, as in a graph for
        prediction.
      train: the nodes to train on, as bool [N] or as numbers of nodes. The three sets are disjoint,
        and all their nodes have labels. If one of the three is given, the others default to none.
      validation: the nodes to validate on, as `train`.
      test: the nodes to test on, as `train`.
      class_names: the names of the classes or labels, in the order of their numbers; by default
        "0", "1", ..., or the names in `labels` in alphabetical order.
      fractions: the fractions of the labeled nodes in random sets `train`, `validation` and `test`,
        which are drawn if none of the three is given. If the labeled nodes are too few for a node
        in each set, all sets are empty, as in a graph for prediction.
      seed: seed of the random sets.

    Raises:
      ValueError: if an argument breaks one of these rules; the message names the argument, the node
        or edge, and the value.
    """
    features = as_array("features", features)
    check_features("features", features)
    num_nodes = len(features)
    low, high = distinct_pairs(as_array("edges", edges), num_nodes)
    labels, names, known = as_labels(labels, class_names, num_nodes)
    given = dict(zip(MASKS, (train, validation, test), strict=True))
    if any(part is not None for part in given.values()):
        masks = {name: as_mask(name, part, num_nodes) for name, part in given.items()}
    else:
        masks = _random_masks(known, fractions, seed)
    for name, mask in masks.items():
        if mask.shape == known.shape and (mask & ~known).any():
            raise ValueError(
                f"`{name}` must have labeled nodes only, got node {int((mask & ~known).argmax())}, "
                "which has no label"
            )
    senders, receivers = np.concatenate([low, high]), np.concatenate([high, low])
    graph = GraphsTuple(
        nodes=tf.constant(as_float32("node", features)),
        edges=tf.zeros([len(senders), 0]),
        globals=tf.zeros([1, 0]),
        receivers=tf.constant(receivers, tf.int32),
        senders=tf.constant(senders, tf.int32),
        n_node=tf.constant([num_nodes], tf.int32),
        n_edge=tf.constant([len(senders)], tf.int32),
    )
    return LabeledGraph(graph, labels, **masks, class_names=names)


def node_graph_from_networkx(
    graph: nx.Graph,
    *,
    label: str | None = None,
    class_names: Sequence[str] | None = None,
    fractions: Sequence[float] = FRACTIONS,
    seed: int = 0,
) -> LabeledGraph:
    """A graph with labeled nodes from a networkx graph with attributes.

    The nodes keep the order of the networkx graph. Their attributes are:

    - features: the attribute "features", a number or a vector; or else "x", if it is a vector. If
      no node has one, all attributes that are numbers, in alphabetical order, without the label,
      "class", "label" and those of the sets.
    - labels: the attribute `label`, with values as in `node_graph`, or a vector of zeros and ones.
      A node without this attribute has no label. PyTorch Geometric's is "y", beside the vector "x".
    - sets: the attribute "split", which is "train", "validation" ("valid", "val") or "test"; a node
      without it is in no set. Or the attributes "train_mask", "validation_mask" ("valid_mask",
      "val_mask") and "test_mask", or the same without "_mask", which are true or false. If no node
      has one of them, the sets are random, see `node_graph`.

    >>> path = nx.path_graph(3)
    >>> nx.set_node_attributes(path, {0: 0.5, 1: 1.5, 2: 2.5}, "weight")
    >>> nx.set_node_attributes(path, {0: "a", 2: "b"}, "class")
    >>> nx.set_node_attributes(path, {0: "train"}, "split")
    >>> found = node_graph_from_networkx(path)
    >>> found.graph.nodes.numpy().tolist(), found.labels.tolist(), found.train.tolist()
    ([[0.5], [1.5], [2.5]], [0, -1, 1], [True, False, False])

    Args:
      graph: a graph with at least one node. The result has both directions of each edge, also if
        the graph is directed.
      label: the attribute with the label; by default the first that a node has of "class", "label",
        and, if features are a vector, "y".
      class_names: see `node_graph`.
      fractions: see `node_graph`.
      seed: see `node_graph`.

    Raises:
      ValueError: if an attribute breaks one of these rules; the message names the node.
      TypeError: if `graph` is not a networkx graph.
    """
    if not isinstance(graph, nx.Graph):
        raise TypeError(f"`graph` must be one networkx graph, got {type(graph).__name__}")
    whole = graphs_with_features([graph], label=label)
    return node_graph(
        whole.nodes.numpy(),
        np.stack([whole.senders, whole.receivers]),
        _labels_of([graph], label),
        **_masks_of(graph),
        class_names=class_names,
        fractions=fractions,
        seed=seed,
    )


def labeled_graphs_from_networkx(
    graphs: Sequence[nx.Graph],
    *,
    label: str | None = None,
    class_names: Sequence[str] | None = None,
) -> LabeledGraphs:
    """Several graphs with labeled nodes from networkx graphs with attributes.

    The attributes, the arguments and the errors are those of `node_graph_from_networkx`, but for
    the attribute "split", which is ignored. If labels are vectors, each node must have one.
    """
    graphs = networkx_graphs(graphs)
    whole = graphs_with_features(graphs, label=label)
    senders, receivers = whole.senders.numpy(), whole.receivers.numpy()
    distinct = senders != receivers
    graph_of_edge = np.repeat(np.arange(len(graphs)), whole.n_edge)[distinct]
    n_node = whole.n_node.numpy()
    labels, names = as_labels_of_graphs(_labels_of(graphs, label), class_names, n_node)
    return LabeledGraphs(
        n_node=n_node,
        n_edge=np.bincount(graph_of_edge, minlength=len(graphs)),
        features=whole.nodes.numpy(),
        labels=labels,
        edges=np.stack([senders[distinct], receivers[distinct]], axis=1),
        class_names=names,
    )


def graphs_with_features(graphs: Sequence[nx.Graph], *, label: str | None = None) -> GraphsTuple:
    """The graphs with the node features of `node_graph_from_networkx`, without other features.

    Each edge has both directions, without repeated edges. The GraphsTuple has edge features and
    globals of width 0.

    Raises:
      ValueError: if a graph has no nodes, or if node features are missing or not finite; the
        message names the graph.
    """
    for index, graph in enumerate(graphs):
        if not len(graph):
            raise ValueError(f"graph {index} must have nodes, got none")
    own, names = _feature_attributes(graphs, label)
    bare = []
    for index, graph in enumerate(graphs):
        bare.append(nx.Graph())
        for node, data in graph.nodes(data=True):
            lacking = [name for name in names if name not in data]
            if lacking or not names:
                raise ValueError(
                    f"node {node!r} of graph {index} has no "
                    + (f"{lacking[0]!r}" if names else "'features' and no other numbers")
                    + (", others have" if names else f" among its attributes {sorted(data)}")
                )
            if names != [own]:
                for name in names:
                    if not _is_finite(data[name]):
                        raise ValueError(
                            f"node {node!r} of graph {index} has {name!r} {shown(data[name])}; "
                            "expected a finite number"
                        )
            row = data[own] if names == [own] else [data[name] for name in names]
            bare[-1].add_node(node, features=row)
        bare[-1].add_edges_from((a, b) for a, b in graph.edges())
    return from_networkx(bare)


def _feature_attributes(graphs, label=None):
    """(the attribute that would hold a vector, the attributes with the features of nodes)."""
    nodes = [data for graph in graphs for _, data in graph.nodes(data=True)]
    own = "x" if any(np.ndim(data.get("x")) == 1 for data in nodes) else "features"
    if any("features" in data for data in nodes):
        own = "features"
    if any(own in data for data in nodes):
        return own, [own]
    numeric = {
        name
        for data in nodes
        for name, value in data.items()
        if isinstance(value, numbers.Real | np.bool_)
    }
    return own, sorted(numeric - {label, *_LABELS, "split", *_mask_names(nodes)})


def label_attributes(graphs: Sequence[nx.Graph]) -> tuple[str, ...]:
    """The attributes that may hold the labels of nodes, the one that counts before others."""
    own, names = _feature_attributes(graphs)
    return (*_LABELS, "y") if names == [own] else _LABELS  # else "y" may be a coordinate


def names_of_features(graphs: Sequence[nx.Graph]) -> tuple[str, ...] | None:
    """The attributes that `graphs_with_features` takes for features; None for vectors."""
    own, names = _feature_attributes(graphs)
    return None if names == [own] else tuple(names)


def _is_finite(value):
    """Whether a value is a number that is finite as float32."""
    try:
        largest = float(np.finfo(np.float32).max)
        return isinstance(value, numbers.Real | np.bool_) and abs(float(value)) <= largest
    except OverflowError:  # a whole number that is too large for a float
        return False


def _random_masks(known, fractions, seed):
    rows = np.flatnonzero(known)
    try:
        parts = random_parts(len(rows), fractions, seed)
    except ValueError:
        of_many = random_parts(2**20, fractions, seed)  # raises unless the nodes are too few
        parts = [part[:0] for part in of_many]
    if len(parts) != len(MASKS):
        raise ValueError(
            f"`fractions` must be three numbers, for {', '.join(MASKS)}, got {fractions}"
        )
    return {
        name: np.isin(np.arange(len(known)), rows[part])
        for name, part in zip(MASKS, parts, strict=True)
    }


def _labels_of(graphs, label):
    """The labels of all nodes, None for a node without one."""
    nodes = [item for graph in graphs for item in graph.nodes(data=True)]
    if label is None:
        known = label_attributes(graphs)
        label = next((name for name in known if any(name in data for _, data in nodes)), "label")
    values = [data.get(label) for _, data in nodes]
    vectors = [value for value in values if isinstance(value, list | tuple) or np.ndim(value)]
    if vectors:
        values = [[-1] * len(vectors[0]) if value is None else value for value in values]
    return values


def _masks_of(graph):
    """The sets that the attribute "split" defines, as arguments of `node_graph`."""
    set_of, found = {word: name for name, words in SETS.items() for word in words}, []
    for node, part in graph.nodes(data="split"):
        part = "" if part is None else part
        if not isinstance(part, str) or part not in {"", *set_of}:
            raise ValueError(
                f"the 'split' of node {node!r} must be 'train', 'validation' or 'test', got "
                f"{shown(part)}"
            )
        found.append(set_of.get(part, ""))
    if any(found):
        parts = np.array(found)
        return {name: parts == name for name in MASKS}
    masks = {}
    for attribute in _mask_names([data for _, data in graph.nodes(data=True)]):
        name = set_of[attribute.removesuffix("_mask")]
        if name in masks:
            words = " or ".join(f"'{word}_mask'" for word in SETS[name])
            raise ValueError(f"nodes must have {words} once, got {attribute!r} beside another")
        masks[name] = np.array([_is_in(*item, attribute) for item in graph.nodes(data=attribute)])
    return masks


def _mask_names(nodes):
    """The attributes that tell which nodes are in a set."""
    for words in SETS.values():
        for word in words:
            if any(f"{word}_mask" in data for data in nodes):
                yield f"{word}_mask"
            # Features may be called so, too.
            values = [data[word] for data in nodes if word in data]
            if values and all(isinstance(value, bool | np.bool_) for value in values):
                yield word


def _is_in(node, value, attribute):
    """Whether a node is in the set, by its attribute."""
    if value is None:
        return False
    if not isinstance(value, numbers.Real | np.bool_) or value not in (0, 1):
        raise ValueError(
            f"the {attribute!r} of node {node!r} must be true or false, got {shown(value)}"
        )
    return bool(value)
