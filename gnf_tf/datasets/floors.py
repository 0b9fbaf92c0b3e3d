"""The smallest negative log-likelihood (NLL) that a density of `PointSets` can reach.

No density has a smaller expected NLL than the entropy of the data (Gibbs' inequality). A held-out
NLL below this floor, by more than its standard error, therefore shows a mistake, such as a wrong
log-determinant.

Given its size n, a set has the centers c_1, ..., c_n, noise of standard deviation sigma, and a
rotation R_a by an angle a that is uniform on [0, max_angle). Its points, before they are put into a
random order, are

    x_j = R_a (c_j + sigma z_j),    z_j ~ N(0, I) in two dimensions,

and N_ij(a) = N(x_i; R_a c_j, sigma^2 I) is the density of point i at center j. The density of a set
in random order, and of one of its points without the others, are means over the angle a:

    p(x_1, ..., x_n) = mean_a perm[N(a)] / n!,        perm: the permanent of an n x n matrix
    q(x_i)           = mean_a sum_j N_ij(a) / n.

The mean over the angle is computed by the midpoint rule.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from scipy.special import logsumexp

from gnf_tf import options, seeds
from gnf_tf.datasets.synthetic import PointSets
from gnf_tf.graphs import GraphsTuple

__all__ = [
    "Estimate",
    "independent_floor",
    "independent_log_prob",
    "log_permanent",
    "log_prob",
    "nll_floor",
]

# Angles of the midpoint rule: at least so many, and so many for each deviation of the angle given a
# set. Of more than the last number, neither the time nor the memory would be small.
_LEAST_ANGLES, _ANGLES_PER_DEVIATION, _MOST_ANGLES = 512, 4, 200_000
_MOST_SUBSETS = 2**22  # entries of `log_permanent` at a time


class Estimate(NamedTuple):
    """A Monte Carlo mean, and its standard error."""

    value: float
    error: float


def nll_floor(sets: PointSets, num_samples: int = 2000, seed: int = 0) -> Estimate:
    """The least NLL per node, in nats, of a permutation invariant density given the set's size.

    Use this for densities of whole sets, such as a GNF, and `independent_floor` for densities that
    treat points one by one. The value is the entropy of a set in random order, divided by n:

        H(x) = n (1 + log(2 pi sigma^2)) + E[log p(x | a, order) - log p(x)].

    The first term is the entropy of the noise. The second is what the unknown angle and order add;
    it is estimated from samples, and varies much less between them than -log p(x). For several
    sizes, the sum of the entropies is divided by the sum of the sizes.

    >>> one_center = PointSets((np.zeros([1, 2]),), noise=1.0)
    >>> round(nll_floor(one_center, num_samples=2).value, 4)  # 1 + log(2 pi)
    2.8379

    Args:
      sets: the distribution of the data.
      num_samples: number of samples for each size of set.
      seed: seed of the samples.

    Raises:
      ValueError: if `num_samples` is below 2, or the noise too small for the mean over the angle.
    """
    rng = _generator(num_samples, seed)
    gaps = []
    for centers in sets.centers:
        points, log_given = _draw(sets, centers, num_samples, rng)
        rotated = _rotations(sets, centers)
        log_p = [_log_set_density(x, rotated, sets.noise) for x in points]
        gaps.append(log_given - np.array(log_p))
    return _per_node(sets, sum(gaps))


def independent_floor(sets: PointSets, num_samples: int = 2000, seed: int = 0) -> Estimate:
    """The least NLL per node, in nats, of a density of independent points that ignores the size.

    A RealNVP on edgeless graphs is such a density. The value is the entropy of the density q of a
    single point, where j ranges over the centers of all sizes. Arguments and errors are those of
    `nll_floor`.
    """
    rng = _generator(num_samples, seed)
    rotated = _rotations(sets, np.concatenate(sets.centers))
    gaps = []
    for centers in sets.centers:
        points, log_given = _draw(sets, centers, num_samples, rng)
        log_q = _log_point_density(points.reshape(-1, 2), rotated, sets.noise)
        gaps.append(log_given - log_q.reshape(num_samples, -1).sum(axis=1))
    return _per_node(sets, sum(gaps))


def log_prob(sets: PointSets, graph: GraphsTuple) -> np.ndarray:
    """The log-density log p of each set given its size, [n_graphs] float64 in nats.

    The mean of log p(x) minus a model's log-density of the same sets estimates the model's
    Kullback-Leibler divergence. It is more precise than the difference between the model's NLL and
    `nll_floor`, because the randomness of the sets cancels.

    Args:
      sets: the distribution of the data.
      graph: the sets, with nodes [num_nodes, 2]; edges are ignored.

    Raises:
      ValueError: if a set has a size that no set of `sets` has, or the noise is too small for the
        mean over the angle.
    """
    rotated = {len(centers): _rotations(sets, centers) for centers in sets.centers}
    members = _members(graph)
    for i, points in enumerate(members):
        if len(points) not in rotated:
            raise ValueError(
                f"each set of `graph` must have as many nodes as one of `sets`, {sorted(rotated)}, "
                f"got {len(points)} nodes in set {i}"
            )
    return np.array([_log_set_density(x, rotated[len(x)], sets.noise) for x in members])


def independent_log_prob(sets: PointSets, graph: GraphsTuple) -> np.ndarray:
    """The sum of log q over the points of each set, [n_graphs] float64 in nats.

    This is the log-density of a set if its points were independent. Sets may be of any size;
    arguments are those of `log_prob`.
    """
    rotated = _rotations(sets, np.concatenate(sets.centers))
    members = _members(graph)
    log_q = _log_point_density(np.concatenate(members), rotated, sets.noise)
    return np.array([q.sum() for q in np.split(log_q, np.cumsum([len(x) for x in members])[:-1])])


def log_permanent(log_matrix: np.ndarray) -> np.ndarray:
    """The log of the permanent of exp(log_matrix), [..., n, n] -> [...].

    All terms of the permanent are positive, so that nothing cancels (in Ryser's formula terms
    would); one that is too small for float64 is computed in logs. The recursion goes over the rows:
    after row i, an array of shape [2] * n holds, for each subset of i columns, the sum over all
    ways to assign these columns to the first i rows. It takes n^2 2^(n-1) operations, while the sum
    over all permutations takes n! n.

    >>> round(float(np.exp(log_permanent(np.zeros([3, 3])))), 6)  # 3! permutations
    6.0
    """
    largest = log_matrix.max(axis=-1)  # each row is scaled so that its largest entry is 1
    largest = np.where(np.isfinite(largest), largest, 0.0)
    permanent = _permanent(np.exp(log_matrix - largest[..., np.newaxis]))
    is_small = permanent < 1e-200  # some of its terms may be 0 in float64
    result = np.log(np.where(is_small, 1.0, permanent)) + largest.sum(axis=-1)
    if is_small.any():
        # In logs, sums are products, and a sum takes ten times as long.
        in_logs = _permanent(log_matrix[is_small], np.logaddexp, np.add, zero=-np.inf, one=0.0)
        result = np.array(result)
        result[is_small] = in_logs
    return result


def _permanent(matrix, add=np.add, multiply=np.multiply, zero=0.0, one=1.0):
    """The permanent, see `log_permanent`, by the operations that are given."""
    n, lead = matrix.shape[-1], matrix.shape[:-2]
    assigned = np.full([*lead, *[2] * n], zero)  # index 1 on axis j: column j is in the subset
    no_column: Any = (..., *[0] * n)
    all_columns: Any = (..., *[1] * n)
    assigned[no_column] = one
    for i in range(n):
        after = np.full_like(assigned, zero)
        for j in range(n):
            without_j: Any = (..., 0, *[slice(None)] * (n - 1 - j))
            with_j: Any = (..., 1, *[slice(None)] * (n - 1 - j))
            entry = matrix[..., i, j].reshape([*lead, *[1] * (n - 1)])
            after[with_j] = add(after[with_j], multiply(assigned[without_j], entry))
        assigned = after
    return assigned[all_columns]


def _members(graph):
    points = np.asarray(graph.nodes, np.float64)
    return np.split(points, np.cumsum(graph.n_node)[:-1])


def _generator(num_samples, seed):
    options.check_argument("num_samples", options.AtLeast2, num_samples)
    return seeds.generator(seed)


def _draw(sets, centers, num_samples, rng):
    """(points [num_samples, n, 2], log p(x | a, order) [num_samples]).

    The points are not put into a random order, because neither density depends on it.
    """
    z = rng.normal(size=[num_samples, *centers.shape])
    log_given = _log_normal(np.square(z).sum(axis=-1), sets.noise).sum(axis=-1)
    angle = rng.uniform(0.0, sets.max_angle, size=num_samples)
    return _rotated(centers + sets.noise * z, angle), log_given


def _rotated(points, angle):
    cos, sin = np.cos(angle)[:, np.newaxis], np.sin(angle)[:, np.newaxis]
    x, y = points[..., 0], points[..., 1]
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)


def _log_normal(squares, noise):
    """log N(x; c, noise^2 I) in two dimensions, where `squares` is |x - c|^2 / noise^2."""
    return -0.5 * squares - math.log(2.0 * math.pi * noise**2)


def _rotations(sets, centers):
    """[num_angles, n, 2], the centers rotated by the angles of the midpoint rule."""
    if not sets.max_angle:
        return centers[np.newaxis]
    # Given a set, -log p(x | a) has the second derivative sum_j |c_j|^2 / sigma^2 at its angle.
    deviation = sets.noise / max(np.linalg.norm(centers), np.finfo(float).tiny)
    number = max(_LEAST_ANGLES, math.ceil(_ANGLES_PER_DEVIATION * sets.max_angle / deviation))
    if number > _MOST_ANGLES:
        least = sets.noise * number / _MOST_ANGLES
        raise ValueError(
            "`sets.noise` must be large enough for a mean over the angle, at least about "
            f"{least:.1g}, got {sets.noise}"
        )
    angles = (np.arange(number) + 0.5) * sets.max_angle / number
    return _rotated(np.broadcast_to(centers, [number, *centers.shape]), angles)


def _log_components(points, centers, noise):
    """log N_ij for each point i and center j: [p, 2], [..., n, 2] -> [..., p, n]."""
    squares = np.square(points[:, np.newaxis] - centers[..., np.newaxis, :, :]).sum(axis=-1)
    return _log_normal(squares / noise**2, noise)


def _log_set_density(points, rotated, noise):
    """log p(x) of one set [n, 2]; `rotated` are the centers, [num_angles, n, 2]."""
    at_once = max(1, _MOST_SUBSETS >> len(points))
    log_p = [
        log_permanent(_log_components(points, rotated[i : i + at_once], noise))
        for i in range(0, len(rotated), at_once)
    ]
    return logsumexp(np.concatenate(log_p)) - math.lgamma(len(points) + 1) - math.log(len(rotated))


def _log_point_density(points, rotated, noise):
    """log q(x) of each point [p, 2]; `rotated` are the centers, [num_angles, n, 2]."""
    of_angle = [logsumexp(_log_components(points, c, noise), axis=-1) for c in rotated]
    return logsumexp(of_angle, axis=0) - math.log(len(rotated) * rotated.shape[1])


def _per_node(sets, gaps):
    """1 + log(2 pi sigma^2), plus the mean of the gaps [num_samples] divided by the nodes."""
    total = sum(map(len, sets.centers))
    noise_entropy = math.log(2.0 * math.pi * math.e * sets.noise**2)
    error = gaps.std(ddof=1) / math.sqrt(len(gaps))
    return Estimate(float(noise_entropy + gaps.mean() / total), float(error / total))
