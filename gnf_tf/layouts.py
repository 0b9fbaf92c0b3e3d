"""Positions of the nodes of a graph in a drawing."""

import numpy as np
import scipy.sparse.csgraph

__all__ = ["layout"]

_LARGE = 400  # number of nodes from which on a layout uses landmarks


def layout(num_nodes: int, pairs: np.ndarray) -> np.ndarray:
    """Returns positions [num_nodes, 2] in [-1, 1]^2 with distances close to those in the graph.

    This is stress majorization (Gansner, Koren, North, "Graph drawing by stress majorization",
    2005). networkx's Kamada-Kawai layout takes 1.4 to 5.5 times as long, and its spring layout has
    up to 9 times the stress; both fold large grids (benchmarks/layout.py). In a large graph only
    landmarks are laid out by all their distances, and each other node by its distances to the
    landmarks, so that time is proportional to the number of nodes.

    Args:
      num_nodes: number of nodes.
      pairs: [num_edges, 2], the numbers of connected nodes.
    """
    links = scipy.sparse.coo_array((np.ones(len(pairs)), pairs.T), shape=(num_nodes, num_nodes))
    rng = np.random.default_rng(0)
    chosen = None
    if num_nodes > _LARGE:
        number = min(_LARGE // 2, max(20, 1000 * _LARGE // num_nodes))
        chosen = rng.choice(num_nodes, number, replace=False)
    distance = scipy.sparse.csgraph.shortest_path(
        links.tocsr(), directed=False, unweighted=True, indices=chosen
    )
    finite = np.isfinite(distance)
    # Unconnected nodes get a finite distance that keeps components apart.
    distance[~finite] = 1 + max(distance[finite].max(), np.sqrt(num_nodes))
    if chosen is None:
        positions = _majorized(distance, rng)
    else:
        _, part = scipy.sparse.csgraph.connected_components(links, directed=False)
        part[finite.any(axis=0)] = -1
        fixed = _majorized(distance[:, chosen], rng)
        positions = _around_landmarks(fixed, chosen, distance, part, rng)

    # The principal axis is turned to the diagonal, the longest line in the square.
    positions -= positions.mean(axis=0)
    _, axes = np.linalg.eigh(positions.T @ positions)
    positions = positions @ axes @ np.array([[-1.0, 1.0], [1.0, 1.0]])
    positions -= (positions.min(axis=0) + positions.max(axis=0)) / 2
    return positions / max(np.abs(positions).max(), 1e-9)


def _majorized(distance, rng, steps=60):
    """Positions x [n, 2] that reduce sum_ij (|x_i - x_j| - d_ij)^2 / d_ij^2; d is [n, n]."""
    num_nodes = len(distance)
    weight = np.zeros_like(distance)
    apart = ~np.eye(num_nodes, dtype=bool)
    weight[apart] = distance[apart] ** -2.0
    wanted = weight * distance
    # The pseudo-inverse of the weighted Laplacian, up to a shift of all positions.
    solve = np.linalg.inv(np.diag(weight.sum(axis=1)) - weight + 1 / num_nodes)

    # The start is classical scaling, plus noise that separates nodes with equal distances.
    squares = distance**2
    centered = squares - squares.mean(axis=0) - squares.mean(axis=1, keepdims=True) + squares.mean()
    # All eigenvectors are computed: LAPACK can fail to find two of many with equal eigenvalues.
    values, vectors = np.linalg.eigh(-centered / 2)
    positions = np.zeros([num_nodes, 2])
    positions[:, : min(2, num_nodes)] = (vectors * np.sqrt(np.maximum(values, 0)))[:, -2:]
    positions += rng.normal(0.0, 0.1, positions.shape)
    for _ in range(steps):
        x, y = positions.T
        drawn = np.hypot(x[:, np.newaxis] - x, y[:, np.newaxis] - y)
        pull = wanted / np.maximum(drawn, 1e-9)
        positions = solve @ (pull.sum(axis=1, keepdims=True) * positions - pull @ positions)
    return positions


def _around_landmarks(fixed, chosen, distance, part, rng, steps=30):
    """Positions [n, 2] of all nodes by their distances [k, n] to the landmarks `chosen` [k].

    The landmarks have the positions `fixed` [k, 2]; the stress of each other node is majorized
    separately. `part` [n] is the component of a node if it has no landmark, and -1 otherwise.
    """
    weight = np.maximum(distance, 0.5) ** -2.0
    weight /= weight.sum(axis=0)
    middle = weight.T @ fixed
    # A node starts near one of its nearest landmarks, chosen at random to separate nodes with equal
    # distances. The nodes of a component without landmarks start near the same landmark.
    nearest = (distance + rng.uniform(0.0, 0.5, distance.shape)).argmin(axis=0)
    anyone = rng.integers(len(fixed), size=len(part))
    nearest = np.where(part < 0, nearest, anyone[part])
    positions = fixed[nearest] + rng.normal(0.0, 0.5, middle.shape)
    for _ in range(steps):
        x, y = (positions[:, axis] - fixed[:, axis, np.newaxis] for axis in range(2))  # [k, n]
        pull = weight * distance / np.maximum(np.hypot(x, y), 1e-9)
        positions = middle + np.stack([(pull * x).sum(axis=0), (pull * y).sum(axis=0)], axis=1)
    positions[chosen] = fixed
    return positions
