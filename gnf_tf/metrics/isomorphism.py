"""Which graphs are the same up to the order of their nodes: uniqueness and novelty."""

import numpy as np
import scipy.sparse
from scipy.sparse.csgraph import connected_components

from gnf_tf.metrics.orbits import NUM_ORBITS, orbit_counts
from gnf_tf.metrics.simple import Graphs, GraphSet, graph_set, union

__all__ = ["isomorphism_classes", "novelty", "uniqueness"]


def uniqueness(graphs: Graphs) -> float:
    """Number of isomorphism classes among the graphs by the number of graphs; as `mmd` takes them.

    Raises:
      TypeError, ValueError: as `mmd`, for what isn't undirected simple graphs.
    """
    classes = isomorphism_classes(graphs)
    return len(set(classes)) / len(classes)


def novelty(graphs: Graphs, train: Graphs) -> float:
    """Share of the graphs that are isomorphic to no training graph; both as `mmd` takes them.

    Raises:
      TypeError, ValueError: as `mmd`, for what isn't undirected simple graphs.
    """
    graphs, train = graph_set(graphs, "graphs"), graph_set(train, "train")
    classes = isomorphism_classes(union(graphs, train))
    known = set(classes[len(graphs) :])
    return sum(c not in known for c in classes[: len(graphs)]) / len(graphs)


def isomorphism_classes(graphs: Graphs) -> list[int]:
    """The class of each graph, numbered in order of first appearance; exact.

    Graphs are compared component by component. Nodes are coloured by what an isomorphism
    preserves: orbit counts, then the colours of the neighbours, round by round. Components whose
    colours differ are not isomorphic. Between those of the same colours an isomorphism is
    searched for: a node of a colour that several have is matched with each such node of the other
    in turn, which splits the colours further. Only graphs made to resist, of many like nodes,
    take long.

    Raises:
      TypeError, ValueError: as `mmd`, for what isn't undirected simple graphs.
    """
    graphs = graph_set(graphs, "graphs")
    components, owners = _components(graphs)
    parts: list[list[int]] = [[] for _ in range(len(graphs))]
    for owner, label in zip(owners, _component_classes(components), strict=True):
        parts[owner].append(label)
    numbers: dict[tuple[int, ...], int] = {}
    return [numbers.setdefault(tuple(sorted(part)), len(numbers)) for part in parts]


def _components(graphs):
    """The connected components as graphs of their own, and which graph each one is part of."""
    _, labels = connected_components(graphs.adjacency, directed=False)
    order = np.argsort(labels, kind="stable")
    components = GraphSet(graphs.adjacency[order][:, order], np.bincount(labels))
    return components, graphs.graph_ids[order][components.starts]


def _component_classes(components):
    start = _mixed(orbit_counts(components).astype(np.uint64) @ _FACTORS)
    parts = components.split(_refined(components.adjacency, start))
    firsts, classes, count = {}, [], 0  # colours -> one graph of each of their classes
    for index, colors in enumerate(parts):
        known = firsts.setdefault(np.sort(colors).tobytes(), [])
        member = components.member(index)
        found = next((label for *one, label in known if _isomorphic(*one, member, colors)), count)
        if found == count:
            known.append((member, colors, count))
            count += 1
        classes.append(found)
    return classes


# Of hashing: odd, otherwise arbitrary. Equal hashes of unlike nodes would cost time, not truth.
_FACTORS = np.random.default_rng(0).integers(2**63, size=NUM_ORBITS, dtype=np.uint64) * 2 + 1
_SHIFT = np.uint64(31)


def _mixed(colors):
    """A fixed scrambling of 64 bit numbers, without which sums of them would tell too little."""
    for factor in _FACTORS[:2]:
        colors = (colors ^ (colors >> _SHIFT)) * factor
    return colors ^ (colors >> _SHIFT)


def _refined(adjacency, colors):
    """Colours split by the neighbours' colours until nothing splits any more."""
    neighbours = adjacency.astype(np.uint64)
    before, now = -1, len(np.unique(colors))
    while now > before:
        colors = _mixed(colors * _FACTORS[2] + neighbours @ _mixed(colors))
        before, now = now, len(np.unique(colors))
    return colors


def _isomorphic(a, colors_a, b, colors_b):
    """Whether an isomorphism of adjacency matrices [n, n] maps colours [n] to equal ones."""
    order_a, order_b = np.argsort(colors_a), np.argsort(colors_b)
    if not np.array_equal(colors_a[order_a], colors_b[order_b]):
        return False
    if (a[order_a][:, order_a] != b[order_b][:, order_b]).nnz == 0:
        return True
    values, counts = np.unique(colors_a, return_counts=True)
    if (counts == 1).all():
        return False  # the one map left is none, which takes hashes that collide
    several = values[counts > 1]
    color = several[counts[counts > 1].argmin()]
    both = scipy.sparse.block_diag([a, b], format="csr")
    n = len(colors_a)
    node = np.flatnonzero(colors_a == color)[0]
    for other in np.flatnonzero(colors_b == color):
        colors = np.concatenate([colors_a, colors_b])
        colors[[node, n + other]] = ~color
        colors = _refined(both, colors)
        if _isomorphic(a, colors[:n], b, colors[n:]):
            return True
    return False
