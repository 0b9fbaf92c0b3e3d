"""Sets of points in the plane with a known density: mixtures of Gaussians and half moons (5.1).

A set has one point at each of n centers, with Gaussian noise, in random order; the sets of MOG ring
are also rotated by a random angle. Because each center has exactly one point, the points depend on
each other, and a density of independent points can't represent them. `nll_floor` computes the
likelihood that a density can reach.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import tensorflow as tf

from gnf_tf import graphs, options, seeds
from gnf_tf.graphs import GraphsTuple
from gnf_tf.graphs.structure import float_type, whole_sizes

__all__ = [
    "POINT_SETS",
    "PointSets",
    "Topology",
    "grid_centers",
    "half_moons_6",
    "mog",
    "mog_ring",
    "moon_centers",
]

Topology = Literal["fully_connected", "edgeless"]


@dataclasses.dataclass(frozen=True, eq=False)
class PointSets:
    """A distribution over sets of points in the plane.

    Use this for sets with centers, noise or angles that you choose, and to compute their density
    with `log_prob` and `nll_floor`; `mog`, `mog_ring` and `half_moons_6` draw the paper's sets.

    Attributes:
      centers: one array [n, 2] for each size n of set, the means of the Gaussians, which are kept
        in float64; the sizes of consecutive sets cycle through them.
      noise: the standard deviation of the Gaussian noise on each coordinate, positive.
      max_angle: the upper end of the range [0, max_angle) of the uniform angle, in radians, by
        which each set is rotated about the origin.

    Raises:
      ValueError: if `centers` is empty, has another shape, two different arrays of one size, or
        values that are not finite, `noise` is not positive, or `max_angle` is negative.
    """

    centers: tuple[np.ndarray, ...]
    noise: float
    max_angle: float = 0.0

    def __post_init__(self):
        shapes = [np.shape(of_size) for of_size in self.centers]
        if not shapes or any(len(s) != 2 or s[1] != 2 or not s[0] for s in shapes):
            raise ValueError(f"`centers` must be arrays of shape [n, 2], got shapes {shapes}")
        centers = tuple(np.asarray(of_size, np.float64) for of_size in self.centers)
        if not all(np.isfinite(of_size).all() for of_size in centers):
            raise ValueError(f"`centers` must be finite, got {self.centers}")
        for first, other in itertools.combinations(centers, 2):
            if len(first) == len(other) and (first != other).any():
                raise ValueError(
                    f"`centers` must be one array for each size, got two for {len(first)}: "
                    f"{first.tolist()} and {other.tolist()}"
                )
        object.__setattr__(self, "centers", centers)  # the class is frozen
        options.check_argument("noise", options.Positive, self.noise)
        options.check_argument("max_angle", options.NotNegative, self.max_angle)

    def topology(
        self, num_graphs: int, edges: Topology = "fully_connected", dtype: tf.DType = tf.float32
    ) -> GraphsTuple:
        """`num_graphs` sets with zero features, from which a `NodePrior` samples.

        Raises:
          ValueError: if `num_graphs` is below 1, `dtype` no float type, or `edges` unknown.
        """
        options.check_argument("num_graphs", options.Count, num_graphs)
        dtype = float_type(dtype)
        makers = {"fully_connected": graphs.fully_connected, "edgeless": graphs.edgeless}
        if edges not in makers:
            raise ValueError(f"`edges` must be one of {tuple(makers)}, got {edges!r}")
        return makers[edges](self._sizes(num_graphs), 2, dtype=dtype)

    def _sizes(self, num_graphs):
        return np.array([len(self.centers[i % len(self.centers)]) for i in range(num_graphs)])

    def sample(
        self,
        num_graphs: int,
        *,
        seed: seeds.Seed,
        edges: Topology = "fully_connected",
        dtype: tf.DType = tf.float32,
    ) -> GraphsTuple:
        """`num_graphs` sets, nodes [num_nodes, 2]; the same seed gives the same sets.

        Functions compiled by XLA draw other numbers from a seed than eager execution does.

        Args:
          num_graphs: the number of sets.
          seed: a whole number, or a pair of int32, see `gnf_tf.seeds`.
          edges: "fully_connected" (with self loops) or "edgeless".
          dtype: the type of the coordinates.

        Raises:
          ValueError: as `topology`.
        """
        topology = self.topology(num_graphs, edges, dtype)
        dtype, seed = topology.nodes.dtype, seeds.as_pair(seed)
        sizes = self._sizes(num_graphs)
        starts = np.cumsum(sizes) - sizes
        members, rows = [], []
        for i, centers in enumerate(self.centers):
            mine = starts[i :: len(self.centers)]
            if len(mine):
                part = tf.random.fold_in(seed, i)
                members.append(tf.reshape(self._draw(centers, len(mine), part, dtype), [-1, 2]))
                rows.append((mine[:, np.newaxis] + np.arange(len(centers))).ravel())
        # `members` is sorted by size; `order` says which of its rows each row of the batch is.
        order = np.argsort(np.concatenate(rows), kind="stable")
        return topology.replace(nodes=tf.gather(tf.concat(members, axis=0), order))

    def _draw(self, centers, count, seed, dtype):
        """`count` sets of one size, [count, n, 2]."""
        noise_seed, order_seed, angle_seed = tf.unstack(tf.random.split(seed, 3))
        n = len(centers)
        order = tf.argsort(tf.random.stateless_uniform([count, n], order_seed, alg="philox"))
        points = tf.gather(tf.constant(centers, dtype), order)
        points += self.noise * seeds.normal([count, n, 2], noise_seed, dtype)
        if not self.max_angle:
            return points
        uniform = tf.random.stateless_uniform([count, 1], angle_seed, dtype=dtype, alg="philox")
        angle = self.max_angle * uniform
        x, y = tf.unstack(points, axis=-1)
        cos, sin = tf.cos(angle), tf.sin(angle)
        return tf.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)


def grid_centers(num_centers: int, spacing: float = 10.0) -> np.ndarray:
    """A square or nearly square grid about the origin, [num_centers, 2] float64.

    >>> grid_centers(4).tolist()
    [[-5.0, -5.0], [-5.0, 5.0], [5.0, -5.0], [5.0, 5.0]]

    Args:
      num_centers: the number of centers; 6 give a grid of 3 x 2.
      spacing: the distance of adjacent centers.

    Raises:
      ValueError: if `num_centers` is not the product of two whole numbers that differ by at most 1.
    """
    options.check_argument("num_centers", int, num_centers)
    short = math.isqrt(max(num_centers, 0))
    if num_centers < 1 or num_centers not in (short * short, short * (short + 1)):
        raise ValueError(f"`num_centers` must be 1, 2, 4, 6, 9, 12, ..., got {num_centers}")
    columns, rows = np.arange(num_centers // short), np.arange(short)
    x, y = (spacing * (axis - axis.mean()) for axis in (columns, rows))
    return np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)


def moon_centers(num_centers: int) -> np.ndarray:
    """Two half circles of radius 1, as in scikit-learn's `make_moons`, [num_centers, 2] float64.

    The first half of the centers lies on the upper half circle about the origin, the others on the
    lower half circle about (1, 0.5), at equal angles from end to end.

    Raises:
      ValueError: if `num_centers` is below 2.
    """
    options.check_argument("num_centers", options.AtLeast2, num_centers)
    upper = np.linspace(0.0, np.pi, num_centers // 2)
    lower = np.linspace(0.0, np.pi, num_centers - num_centers // 2)
    return np.concatenate(
        [
            np.stack([np.cos(upper), np.sin(upper)], axis=-1),
            np.stack([1.0 - np.cos(lower), 0.5 - np.sin(lower)], axis=-1),
        ]
    )


def _mog_sets(n_node, spacing, noise, max_angle=0.0):
    options.check_argument("spacing", float, spacing)
    sizes = whole_sizes(n_node, 1).tolist()
    return PointSets(tuple(grid_centers(n, spacing) for n in sizes), noise, max_angle)


def _moon_sets(n_node, noise):
    return PointSets(tuple(map(moon_centers, whole_sizes(n_node, 1).tolist())), noise)


def mog(
    num_graphs: int = 1000,
    *,
    seed: seeds.Seed = 0,
    n_node: Sequence[int] = (4,),
    spacing: float = 10.0,
    noise: float = 1.0,
    edges: Topology = "fully_connected",
    dtype: tf.DType = tf.float32,
) -> GraphsTuple:
    """MOG (5.1): each point of a set has its own isotropic Gaussian on a grid, in random order.

    >>> sets = mog(3, n_node=[4, 9])
    >>> sets.n_node.numpy().tolist(), sets.nodes.shape.as_list()
    ([4, 9, 4], [17, 2])

    Args:
      num_graphs: the number of sets.
      seed: a whole number, or a pair of int32, see `gnf_tf.seeds`; each seed gives other sets.
      n_node: the sizes through which consecutive sets cycle, 1, 2, 4, 6, 9, 12, ...
      spacing: the distance of adjacent means on the grid.
      noise: the standard deviation of the Gaussians.
      edges: "fully_connected" (with self loops) or "edgeless".
      dtype: the type of the coordinates.

    Returns:
      A GraphsTuple whose nodes [num_nodes, 2] are the coordinates.

    Raises:
      ValueError: if an argument is out of its range.
    """
    sets = _mog_sets(n_node, spacing, noise)
    return sets.sample(num_graphs, seed=seed, edges=edges, dtype=dtype)


def mog_ring(
    num_graphs: int = 1000,
    *,
    seed: seeds.Seed = 0,
    n_node: Sequence[int] = (4,),
    spacing: float = 10.0,
    noise: float = 1.0,
    max_angle: float = math.pi,
    edges: Topology = "fully_connected",
    dtype: tf.DType = tf.float32,
) -> GraphsTuple:
    """MOG ring (5.1): `mog`, each set rotated about the origin by an angle in [0, max_angle)."""
    sets = _mog_sets(n_node, spacing, noise, max_angle)
    return sets.sample(num_graphs, seed=seed, edges=edges, dtype=dtype)


def half_moons_6(
    num_graphs: int = 1000,
    *,
    seed: seeds.Seed = 0,
    n_node: Sequence[int] = (6,),
    noise: float = 0.05,
    edges: Topology = "fully_connected",
    dtype: tf.DType = tf.float32,
) -> GraphsTuple:
    """6 half moons (5.1): a point at each center of two half circles, with noise, as `mog`.

    `n_node` may have any sizes of at least 2; the other arguments are those of `mog`.
    """
    return _moon_sets(n_node, noise).sample(num_graphs, seed=seed, edges=edges, dtype=dtype)


# The paper's three sets, and the mixtures of sizes in its authors' code.
POINT_SETS = {
    "mog": _mog_sets((4,), 10.0, 1.0),
    "mog_ring": _mog_sets((4,), 10.0, 1.0, math.pi),
    "half_moons_6": _moon_sets((6,), 0.05),
    "mog_4_9": _mog_sets((4, 9), 10.0, 1.0),
    "half_moons_6_10_20": _moon_sets((6, 10, 20), 0.05),
}
