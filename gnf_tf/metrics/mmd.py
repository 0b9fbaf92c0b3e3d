"""Maximum mean discrepancy (MMD) between two sets of graphs, and how far it would spread."""

from typing import NamedTuple

import numpy as np

from gnf_tf import seeds
from gnf_tf.metrics.simple import Graphs, graph_set, with_nodes
from gnf_tf.metrics.statistics import Kernel, Statistic, describe, kernel_matrix

__all__ = ["KernelMatrices", "MMDInterval", "kernel_matrices", "mmd", "mmd_interval"]


def mmd(
    graphs_a: Graphs,
    graphs_b: Graphs,
    statistic: Statistic = "degree",
    kernel: Kernel = "gaussian_emd",
) -> float:
    """Squared MMD of a graph statistic, the number that GraphRNN's evaluation prints.

        mean k(a, a') + mean k(b, b') - 2 mean k(a, b)

    over all pairs, those of a graph with itself included: so it is biased, upward by about
    (1 - mean k) / n for a set of n graphs. `describe` says what the statistics are,
    `kernel_matrix` what the kernels. It is 0 for equal sets up to rounding, and can be slightly
    negative, since the kernels with the earth mover's distance need not be positive definite.

    A generated graph without nodes has no degree, clustering or spectrum and is left out, as in
    the original. For the orbits, the original leaves it out on either side: ORCA prints nothing
    that could be read. A graph with nodes but no edges stays, with orbit counts of zero. Apart
    from this, a and b can change places.

    Args:
      graphs_a: the reference: networkx graphs, undirected and simple, or a GraphsTuple, where an
        undirected edge is a pair of edges, one each way. Self loops are dropped, as GraphRNN's
        loader does (`networkx.degree_histogram` would count one as 2); edge weights and all
        attributes are ignored.
      graphs_b: the generated graphs.
      statistic: "degree", "clustering", "orbit" or "spectrum".
      kernel: "gaussian_emd" (GraphRNN) or "gaussian_tv" (GRAN); GDSS has both.

    Raises:
      TypeError: for a single networkx graph, or anything in the sequences that isn't one.
      ValueError: for an unknown `statistic` or `kernel`; no graphs, or none with a node; a
        directed graph or a multigraph; a graph without nodes in `graphs_a`, orbits apart.
    """
    return kernel_matrices(graphs_a, graphs_b, statistic, kernel).mmd()


class MMDInterval(NamedTuple):
    """An MMD with the bounds between which it would fall for other sets of these sizes.

    Attributes:
      value: what `mmd` gives.
      low, high: bounds of the interval about it; `low` may be negative.
      bias: about how much of `value` comes from the pairs of a graph with itself. `value - bias`
        estimates the distance of the two distributions and is about 0 where they agree.
    """

    value: float
    low: float
    high: float
    bias: float


def mmd_interval(
    graphs_a: Graphs,
    graphs_b: Graphs,
    statistic: Statistic = "degree",
    kernel: Kernel = "gaussian_emd",
    *,
    level: float = 0.95,
    num_bootstrap: int = 1000,
    seed: int = 0,
) -> MMDInterval:
    """`mmd` with its percentile bootstrap interval, graphs of both sets drawn with replacement.

    Args:
      graphs_a, graphs_b, statistic, kernel: as `mmd`.
      level: share of the replicates inside the interval.
      num_bootstrap: number of replicates.
      seed: of the replicates.

    Raises:
      TypeError, ValueError: as `mmd`; ValueError if `level` is not between 0 and 1 or
        `num_bootstrap` is below 1.
    """
    matrices = kernel_matrices(graphs_a, graphs_b, statistic, kernel)
    return matrices.interval(level=level, num_bootstrap=num_bootstrap, seed=seed)


class KernelMatrices(NamedTuple):
    """Kernel values among the graphs of two sets: all that an MMD of them, or of parts, needs.

    Attributes:
      aa: [n_a, n_a].
      ab: [n_a, n_b].
      bb: [n_b, n_b].
    """

    aa: np.ndarray
    ab: np.ndarray
    bb: np.ndarray

    def mmd(self) -> float:
        """Squared MMD, biased."""
        return float(self.aa.mean() + self.bb.mean() - 2.0 * self.ab.mean())

    def choose_b(self, indices: np.ndarray) -> "KernelMatrices":
        """The second set replaced by some of its graphs, which may come several times."""
        return KernelMatrices(self.aa, self.ab[:, indices], self.bb[np.ix_(indices, indices)])

    def interval(
        self, *, level: float = 0.95, num_bootstrap: int = 1000, seed: int = 0
    ) -> MMDInterval:
        """The percentile bootstrap interval of `mmd`, see `mmd_interval`.

        A graph drawn twice is compared with its own copy, so replicates lie higher than the value
        by another `bias`, which is known exactly and taken off here. The interval so tells the
        spread of the biased number, about itself; it is no interval for the distance of the two
        distributions. Where these agree it is too wide, by a factor of 1.4 to 2 on sets tried.
        """
        if not 0.0 < level < 1.0:
            raise ValueError(f"`level` must be between 0 and 1, got {level}")
        if num_bootstrap < 1:
            raise ValueError(f"`num_bootstrap` must be at least 1, got {num_bootstrap}")
        rng = seeds.generator(seed)
        a, b = (_weights(rng, len(k), num_bootstrap) for k in (self.aa, self.bb))
        replicates = _quadratic(a, self.aa, a) + _quadratic(b, self.bb, b)
        replicates -= 2.0 * _quadratic(a, self.ab, b)
        bias = sum(float(np.diag(k).mean() - k.mean()) / len(k) for k in (self.aa, self.bb))
        low, high = np.quantile(replicates - bias, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
        return MMDInterval(self.mmd(), float(low), float(high), bias)


def kernel_matrices(
    graphs_a: Graphs,
    graphs_b: Graphs,
    statistic: Statistic = "degree",
    kernel: Kernel = "gaussian_emd",
) -> KernelMatrices:
    """Kernel values among the graphs that `mmd` compares; arguments and errors as there."""
    set_a, set_b = graph_set(graphs_a, "graphs_a"), graph_set(graphs_b, "graphs_b")
    if statistic != "orbit" and not set_a.n_node.all():
        index = int(np.argmin(set_a.n_node))
        raise ValueError(f"graph {index} of `graphs_a` has no node, so no {statistic} statistic")
    a = describe(with_nodes(set_a, "graphs_a"), statistic)
    b = describe(with_nodes(set_b, "graphs_b"), statistic)
    return KernelMatrices(*(kernel_matrix(*p, statistic, kernel) for p in ((a, a), (a, b), (b, b))))


def _weights(rng, count, num_bootstrap):
    """Share of each graph in each replicate, [num_bootstrap, count]."""
    return rng.multinomial(count, np.full(count, 1.0 / count), size=num_bootstrap) / count


def _quadratic(left, matrix, right):
    return np.einsum("ri,ri->r", left @ matrix, right)
