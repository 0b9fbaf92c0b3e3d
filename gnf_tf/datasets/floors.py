"""The smallest negative log-likelihood that a density can reach on `PointSets`: their entropy.

Held-out NLL below it, beyond the error bar, means a wrong log-determinant.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from scipy.special import logsumexp

from gnf_tf import seeds
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

_ANGLES = 512  # quadrature; a set of radius 7 and noise 1 is about 40 angles wide


class Estimate(NamedTuple):
    """A Monte Carlo mean with its standard error."""

    value: float
    error: float


def nll_floor(sets: PointSets, num_samples: int = 2000, seed: int = 0) -> Estimate:
    """Least NLL per node, in nats, of any permutation invariant density, given the set's size.

    It is the entropy of a set in random order, by its number of points. With the noise e, the
    order and the angle a of a set x known, its density is that of e, of entropy log(2 pi e
    noise^2) a point; what not knowing them costs is the expectation of

        log N(e) - log p(x),   p(x) = mean over angles of permanent[N(x_i; R_a c_j)] / n!

    which is estimated from samples; its spread is small, that of -log p(x) is not.

    Args:
      sets: the distribution.
      num_samples: sets of each size.
      seed: of the samples.

    Raises:
      ValueError: if `num_samples` is below 2.
    """
    rng = _generator(num_samples, seed)
    costs = []
    for places in sets.places:
        points, log_given = _draw(sets, places, num_samples, rng)
        log_p = [_log_set_density(x, _all_turns(sets, places), sets.noise) for x in points]
        costs.append(log_given - np.array(log_p))
    return _per_node(sets, sum(costs))


def independent_floor(sets: PointSets, num_samples: int = 2000, seed: int = 0) -> Estimate:
    """Least NLL per node, in nats, of any density of independent nodes that ignores the size.

    That is what a RealNVP on edgeless graphs can reach: the entropy of one point of the sets.

    Args and errors as `nll_floor`.
    """
    rng = _generator(num_samples, seed)
    turns = _all_turns(sets, np.concatenate(sets.places))
    costs = []
    for places in sets.places:
        points, log_given = _draw(sets, places, num_samples, rng)
        log_p = _log_point_density(points.reshape(-1, 2), turns, sets.noise)
        costs.append(log_given - log_p.reshape(num_samples, -1).sum(axis=1))
    return _per_node(sets, sum(costs))


def log_prob(sets: PointSets, graph: GraphsTuple) -> np.ndarray:
    """Exact log density of each set given its size, [n_graphs] in nats, in float64.

    The mean of its difference to a model's log_prob, on the same sets, is what that model lacks:
    the sets' own randomness cancels, so that it is known better than the model's NLL is.

    Args:
      sets: the distribution.
      graph: batch of sets, nodes [num_nodes, 2]; their edges don't matter.

    Raises:
      ValueError: for a set of a size that `sets` doesn't have.
    """
    turns = {len(places): _all_turns(sets, places) for places in sets.places}
    members = _members(graph)
    for i, points in enumerate(members):
        if len(points) not in turns:
            raise ValueError(
                f"set {i} of `graph` has {len(points)} nodes, `sets` only {sorted(turns)}"
            )
    return np.array([_log_set_density(x, turns[len(x)], sets.noise) for x in members])


def independent_log_prob(sets: PointSets, graph: GraphsTuple) -> np.ndarray:
    """Log density of each set, were its points independent: [n_graphs] in nats, in float64.

    Arguments as `log_prob`; sets of any size.
    """
    turns = _all_turns(sets, np.concatenate(sets.places))
    members = _members(graph)
    log_p = _log_point_density(np.concatenate(members), turns, sets.noise)
    return np.array([p.sum() for p in np.split(log_p, np.cumsum([len(x) for x in members])[:-1])])


def log_permanent(log_matrix: np.ndarray) -> np.ndarray:
    """log of the permanent of exp(log_matrix), [..., n, n] -> [...], exact, all terms positive.

    Row by row, over the subsets of columns taken so far: n^2 2^(n-1) operations, where the sum
    over permutations has n! n and Ryser's formula cancels.
    """
    n = log_matrix.shape[-1]
    lead = log_matrix.shape[:-2]
    highest = log_matrix.max(axis=-1)  # each row scaled to a largest entry of 1
    matrix = np.exp(log_matrix - highest[..., np.newaxis])
    taken = np.zeros([*lead, *[2] * n])  # one axis of length 2 a column
    empty: Any = (..., *[0] * n)
    every: Any = (..., *[1] * n)
    taken[empty] = 1.0
    for i in range(n):
        after = np.zeros_like(taken)
        for j in range(n):
            free: Any = (..., 0, *[slice(None)] * (n - 1 - j))
            full: Any = (..., 1, *[slice(None)] * (n - 1 - j))
            entry = matrix[..., i, j].reshape([*lead, *[1] * (n - 1)])
            after[full] += taken[free] * entry
        taken = after
    return np.log(taken[every]) + highest.sum(axis=-1)


def _members(graph):
    points = np.asarray(graph.nodes, np.float64)
    return np.split(points, np.cumsum(graph.n_node)[:-1])


def _generator(num_samples, seed):
    if num_samples < 2:
        raise ValueError(f"`num_samples` must be at least 2, got {num_samples}")
    return seeds.generator(seed)


def _draw(sets, places, num_samples, rng):
    """(points [num_samples, n, 2], log density given place and angle [num_samples]).

    The order of the points and the angle of the set are left out: nothing here depends on them,
    if the angles make up whole turns of the places' symmetry.
    """
    noise = rng.normal(size=[num_samples, *places.shape])
    log_given = _log_normal(np.square(noise).sum(axis=-1), sets.noise).sum(axis=-1)
    angle = rng.uniform(0.0, sets.max_angle, size=num_samples)
    return _turned(places + sets.noise * noise, angle), log_given


def _turned(points, angle):
    cos, sin = np.cos(angle)[:, np.newaxis], np.sin(angle)[:, np.newaxis]
    x, y = points[..., 0], points[..., 1]
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)


def _log_normal(squares, noise):
    """Log density of a point in the plane whose scaled squared distance is `squares`."""
    return -0.5 * squares - math.log(2.0 * math.pi * noise**2)


def _all_turns(sets, places):
    """[num_angles, n, 2]: midpoints of equal parts of the angles' range."""
    if not sets.max_angle:
        return places[np.newaxis]
    angles = (np.arange(_ANGLES) + 0.5) * sets.max_angle / _ANGLES
    return _turned(np.broadcast_to(places, [_ANGLES, *places.shape]), angles)


def _log_components(points, places, noise):
    """Log density of each point at each place: [p, 2], [..., n, 2] -> [..., p, n]."""
    squares = np.square(points[:, np.newaxis] - places[..., np.newaxis, :, :]).sum(axis=-1)
    return _log_normal(squares / noise**2, noise)


def _log_set_density(points, turns, noise):
    """log p of one set [n, 2], in random order and turned at random."""
    log_p = log_permanent(_log_components(points, turns, noise)) - math.lgamma(len(points) + 1)
    return logsumexp(log_p) - math.log(len(turns))


def _log_point_density(points, turns, noise):
    """log p of each point [p, 2] on its own."""
    of_angle = [logsumexp(_log_components(points, t, noise), axis=-1) for t in turns]
    return logsumexp(of_angle, axis=0) - math.log(len(turns) * turns.shape[1])


def _per_node(sets, costs):
    """Entropy given everything, and the mean cost [num_samples] shared out among the nodes."""
    total = sum(map(len, sets.places))
    known = math.log(2.0 * math.pi * math.e * sets.noise**2)
    error = costs.std(ddof=1) / math.sqrt(len(costs))
    return Estimate(float(known + costs.mean() / total), float(error / total))
