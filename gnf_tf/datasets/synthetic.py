"""Sets of points in the plane with a known density: mixtures of Gaussians and half moons (5.1).

A set has one point at each of some fixed places, with Gaussian noise, in random order; in the
ring, the whole set is turned by a random angle. What makes it hard is that no place is taken
twice: a density of independent points can't say so. `floors` computes what can be reached.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import tensorflow as tf

from gnf_tf import graphs, seeds
from gnf_tf.graphs import GraphsTuple

__all__ = [
    "POINT_SETS",
    "PointSets",
    "Topology",
    "grid_places",
    "half_moons_6",
    "mog",
    "mog_ring",
    "moon_places",
]

Topology = Literal["fully_connected", "edgeless"]


@dataclasses.dataclass(frozen=True, eq=False)
class PointSets:
    """A distribution over sets of points, of which any number can be drawn.

    Attributes:
      places: for each size of set, its places [n, 2]; sets of the sizes take turns.
      noise: standard deviation of the Gaussian noise on each coordinate, positive.
      max_angle: each set is turned about the origin by an angle uniform on [0, max_angle), radians.
    """

    places: tuple[np.ndarray, ...]
    noise: float
    max_angle: float = 0.0

    def __post_init__(self):
        if not self.places or any(np.ndim(p) != 2 or np.shape(p)[1] != 2 for p in self.places):
            shapes = [np.shape(p) for p in self.places]
            raise ValueError(f"`places` must be arrays of shape [n, 2], got shapes {shapes}")
        if not self.noise > 0:
            raise ValueError(f"`noise` must be positive, got {self.noise}")
        if not self.max_angle >= 0:
            raise ValueError(f"`max_angle` must be at least 0, got {self.max_angle}")

    def topology(
        self, num_graphs: int, edges: Topology = "fully_connected", dtype: tf.DType = tf.float32
    ) -> GraphsTuple:
        """`num_graphs` sets with zero features: what a `NodePrior` takes.

        Raises:
          ValueError: if `num_graphs` is below 1, or for an unknown `edges`.
        """
        if num_graphs < 1:
            raise ValueError(f"`num_graphs` must be at least 1, got {num_graphs}")
        makers = {"fully_connected": graphs.fully_connected, "edgeless": graphs.edgeless}
        if edges not in makers:
            raise ValueError(f"`edges` must be one of {tuple(makers)}, got {edges!r}")
        return makers[edges](self._sizes(num_graphs), 2, dtype=dtype)

    def _sizes(self, num_graphs):
        return np.array([len(self.places[i % len(self.places)]) for i in range(num_graphs)])

    def sample(
        self,
        num_graphs: int,
        *,
        seed: seeds.Seed,
        edges: Topology = "fully_connected",
        dtype: tf.DType = tf.float32,
    ) -> GraphsTuple:
        """`num_graphs` sets. Same seed, same sets; XLA's random numbers are others than eager ones.

        Args:
          num_graphs: how many sets.
          seed: a whole number, or a pair of int32, see `gnf_tf.seeds`.
          edges: topology of the graphs.
          dtype: of the coordinates.

        Raises:
          ValueError: as `topology`.
        """
        topology = self.topology(num_graphs, edges, dtype)
        seed = seeds.as_pair(seed)
        sizes = self._sizes(num_graphs)
        starts = np.cumsum(sizes) - sizes
        members, rows = [], []
        for i, places in enumerate(self.places):
            mine = starts[i :: len(self.places)]
            if len(mine):
                part = tf.random.experimental.stateless_fold_in(seed, i)
                members.append(tf.reshape(self._draw(places, len(mine), part, dtype), [-1, 2]))
                rows.append((mine[:, np.newaxis] + np.arange(len(places))).ravel())
        # The members lie size by size; row r of the batch is where `order` finds r.
        order = np.argsort(np.concatenate(rows), kind="stable")
        return topology.replace(nodes=tf.gather(tf.concat(members, axis=0), order))

    def _draw(self, places, count, seed, dtype):
        """[count, n, 2]."""
        noise_seed, order_seed, angle_seed = tf.unstack(
            tf.random.experimental.stateless_split(seed, 3)
        )
        n = len(places)
        order = tf.argsort(tf.random.stateless_uniform([count, n], order_seed))
        points = tf.gather(tf.constant(places, dtype), order)
        points += self.noise * tf.random.stateless_normal([count, n, 2], noise_seed, dtype=dtype)
        if not self.max_angle:
            return points
        angle = self.max_angle * tf.random.stateless_uniform([count, 1], angle_seed, dtype=dtype)
        x, y = tf.unstack(points, axis=-1)
        cos, sin = tf.cos(angle), tf.sin(angle)
        return tf.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)


def grid_places(num_places: int, spacing: float = 10.0) -> np.ndarray:
    """[num_places, 2]: a square or nearly square grid about the origin.

    4 places are (+-5, +-5), 6 a grid of 3 x 2, 9 one of 3 x 3.

    Raises:
      ValueError: if `num_places` is no product of two whole numbers that differ by at most 1.
    """
    short = math.isqrt(max(num_places, 0))
    if num_places < 1 or num_places not in (short * short, short * (short + 1)):
        raise ValueError(f"`num_places` must be 1, 2, 4, 6, 9, 12, ..., got {num_places}")
    columns, rows = np.arange(num_places // short), np.arange(short)
    x, y = (spacing * (axis - axis.mean()) for axis in (columns, rows))
    return np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)


def moon_places(num_places: int) -> np.ndarray:
    """[num_places, 2]: two half circles of radius 1, as scikit-learn's `make_moons`.

    The first half of the places lies on the upper moon about the origin, the others on the lower
    one about (1, 0.5), at equal angles from end to end.

    Raises:
      ValueError: if `num_places` is below 2.
    """
    if num_places < 2:
        raise ValueError(f"`num_places` must be at least 2, got {num_places}")
    upper = np.linspace(0.0, np.pi, num_places // 2)
    lower = np.linspace(0.0, np.pi, num_places - num_places // 2)
    return np.concatenate(
        [
            np.stack([np.cos(upper), np.sin(upper)], axis=-1),
            np.stack([1.0 - np.cos(lower), 0.5 - np.sin(lower)], axis=-1),
        ]
    )


def _mog_sets(n_node, spacing, noise, max_angle=0.0):
    return PointSets(tuple(grid_places(n, spacing) for n in n_node), noise, max_angle)


def _moon_sets(n_node, noise):
    return PointSets(tuple(moon_places(n) for n in n_node), noise)


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
    """MOG: each point of a set from its own isotropic Gaussian on a grid, in random order.

    Args:
      num_graphs: how many sets; any number, fresh ones for each seed.
      seed: a whole number, or a pair of int32, see `gnf_tf.seeds`.
      n_node: sizes of the sets, taking turns; see `grid_places`.
      spacing: distance of neighbouring centres.
      noise: standard deviation of the Gaussians.
      edges: "fully_connected" (with self loops) or "edgeless".
      dtype: of the coordinates.

    Returns:
      Nodes [num_nodes, 2], the coordinates.

    Raises:
      ValueError: for an argument out of its range.
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
    """MOG ring: `mog`, each set turned by an angle uniform on [0, max_angle)."""
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
    """6 half moons: a point at each place of `moon_places`, with noise; arguments as `mog`."""
    return _moon_sets(n_node, noise).sample(num_graphs, seed=seed, edges=edges, dtype=dtype)


# The paper's three sets, and the mixtures of sizes in its authors' code.
POINT_SETS = {
    "mog": _mog_sets((4,), 10.0, 1.0),
    "mog_ring": _mog_sets((4,), 10.0, 1.0, math.pi),
    "half_moons_6": _moon_sets((6,), 0.05),
    "mog_4_9": _mog_sets((4, 9), 10.0, 1.0),
    "half_moons_6_10_20": _moon_sets((6, 10, 20), 0.05),
}
