"""Isomorphism classes of graphs, and the uniqueness and novelty of generated graphs."""

from collections.abc import Sequence

import networkx as nx
import numpy as np
from scipy.sparse.csgraph import connected_components

from gnf_tf.metrics.orbits import NUM_ORBITS, orbit_counts
from gnf_tf.metrics.simple import Graphs, GraphSet, graph_set, union

__all__ = [
    "given_or_found",
    "isomorphism_classes",
    "new_classes",
    "novelty",
    "refined",
    "uniqueness",
]


def uniqueness(graphs: Graphs, *, classes: Sequence[int] | None = None) -> float:
    """The number of isomorphism classes among the graphs, divided by the number of graphs.

    It falls when a generator repeats itself; `novelty` falls when it repeats its training data.

    >>> import networkx as nx
    >>> uniqueness([nx.path_graph(3), nx.star_graph(2), nx.complete_graph(3), nx.path_graph(2)])
    0.75

    Args:
      graphs: graphs that `mmd` accepts.
      classes: `isomorphism_classes(graphs)`, if they are known; else they are computed.

    Raises:
      TypeError, ValueError: if `graphs` are not what `mmd` accepts.
      ValueError: if `classes` has not one number for each graph.
    """
    classes = given_or_found(classes, graph_set(graphs, "graphs"))
    return len(set(classes)) / len(classes)


def novelty(graphs: Graphs, train: Graphs, *, classes: Sequence[int] | None = None) -> float:
    """The share of the graphs that are isomorphic to no training graph.

    A graph that is generated twice counts twice; `uniqueness` measures such repetition.

    Args:
      graphs: graphs that `mmd` accepts.
      train: the training graphs.
      classes: the isomorphism classes of `graphs`, followed by those of `train`, if they are known;
        else they are computed.

    Raises:
      TypeError, ValueError: if `graphs` or `train` are not what `mmd` accepts.
      ValueError: if `classes` has not one number for each graph.
    """
    new = [c is not None for c in new_classes(graphs, train, classes)]
    return sum(new) / len(new)


def new_classes(
    graphs: Graphs, train: Graphs, classes: Sequence[int] | None = None
) -> list[int | None]:
    """The isomorphism class of each graph; None for the classes of training graphs.

    The arguments and errors are those of `novelty`.
    """
    graphs, train = graph_set(graphs, "graphs"), graph_set(train, "train")
    classes = given_or_found(classes, union(graphs, train))
    known = set(classes[len(graphs) :])
    return [None if c in known else c for c in classes[: len(graphs)]]


def given_or_found(classes: Sequence[int] | None, graphs: GraphSet) -> Sequence[int]:
    """The classes of `graphs`, if they are not given; raises a ValueError for another number."""
    if classes is None:
        return isomorphism_classes(graphs)
    if len(classes) != len(graphs):
        raise ValueError(
            f"`classes` must have a number for each of {len(graphs)} graphs, got {len(classes)}"
        )
    return classes


def isomorphism_classes(graphs: Graphs) -> list[int]:
    """The isomorphism class of each graph; classes are numbered in the order in which they appear.

    The result is exact. Connected components are classified one by one: color refinement
    (the 1-dimensional Weisfeiler-Leman test), started from the orbit counts of the nodes, tells
    most of them apart, and networkx's VF2++ decides between components with equal colors. A graph
    is then known by the classes of its components. Without the refinement, VF2++ takes hundreds
    of times as long on regular graphs; without the components, it can try all their permutations.

    >>> import networkx as nx
    >>> isomorphism_classes([nx.path_graph(3), nx.complete_graph(3), nx.star_graph(2)])
    [0, 1, 0]

    Raises:
      TypeError, ValueError: if `graphs` are not what `mmd` accepts.
    """
    graphs = graph_set(graphs, "graphs")
    components, owners = _components(graphs)
    parts: list[list[int]] = [[] for _ in range(len(graphs))]
    for owner, label in zip(owners, _component_classes(components), strict=True):
        parts[owner].append(label)
    numbers: dict[tuple[int, ...], int] = {}
    return [numbers.setdefault(tuple(sorted(part)), len(numbers)) for part in parts]


def _components(graphs):
    """The connected components as a GraphSet, and the index of the graph that owns each."""
    _, labels = connected_components(graphs.adjacency, directed=False)
    order = np.argsort(labels, kind="stable")
    components = GraphSet(graphs.adjacency[order][:, order], np.bincount(labels))
    return components, graphs.graph_ids[order][components.starts]


def _component_classes(components):
    """The isomorphism class of each connected graph."""
    firsts, classes, count = {}, [], 0  # sorted colors -> (first component, class) pairs
    for index, colors in enumerate(components.split(refined(components))):
        order = np.argsort(colors, kind="stable")
        adjacency, colors = components.member(index)[order][:, order], colors[order]
        known = firsts.setdefault(colors.tobytes(), [])
        found = next((label for one, label in known if _isomorphic(one, adjacency, colors)), count)
        if found == count:
            known.append((adjacency, count))
            count += 1
        classes.append(found)
    return classes


def _isomorphic(a, b, colors):
    """Whether graphs with adjacency matrices [n, n] are isomorphic by a map that keeps `colors`."""
    if (a != b).nnz == 0:  # the usual case of isomorphic graphs, and the only fast one if large
        return True
    a, b = nx.from_scipy_sparse_array(a), nx.from_scipy_sparse_array(b)
    for graph in (a, b):
        nx.set_node_attributes(graph, dict(enumerate(colors.tolist())), "color")
    return nx.vf2pp_is_isomorphic(a, b, node_label="color")


# Multipliers of a hash: odd, and arbitrary otherwise. Nodes whose hashes are equal by accident
# cost time, since VF2++ compares them, but can't make the result wrong.
_FACTORS = np.random.default_rng(0).integers(2**63, size=NUM_ORBITS, dtype=np.uint64) * 2 + 1
_SHIFT = np.uint64(31)


def _hashed(colors):
    """A hash of 64-bit integers; sums of hashes then tell multisets of colors apart."""
    for factor in _FACTORS[:2]:
        colors = (colors ^ (colors >> _SHIFT)) * factor
    return colors ^ (colors >> _SHIFT)


def refined(components: GraphSet) -> np.ndarray:
    """Colors [num_nodes], uint64, that an isomorphism preserves.

    A node's orbit counts give its first color. Then each color is replaced by a hash of itself and
    of the colors of the neighbors, until the number of colors no longer grows.
    """
    adjacency = components.adjacency.astype(np.uint64)
    colors = _hashed(orbit_counts(components).astype(np.uint64) @ _FACTORS)
    before, now = -1, len(np.unique(colors))
    while now > before:
        colors = _hashed(colors * _FACTORS[2] + adjacency @ _hashed(colors))
        before, now = now, len(np.unique(colors))
    return colors
