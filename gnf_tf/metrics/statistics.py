"""Graph statistics, and the kernels between the statistics of two graphs.

The settings are those of the evaluation scripts of GraphRNN (You et al. 2018: degree, clustering,
orbit) and GRAN (Liao et al. 2019: spectrum, total variation). MMDs with different kernels cannot be
compared.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import numpy as np
from scipy.spatial.distance import cdist

from gnf_tf.metrics.orbits import NUM_ORBITS, orbit_counts, triangle_counts
from gnf_tf.metrics.simple import Graphs, GraphSet, graph_set

__all__ = ["KERNELS", "STATISTICS", "Kernel", "Statistic", "describe", "kernel_matrix"]

Statistic = Literal["degree", "clustering", "orbit", "spectrum"]
Kernel = Literal["gaussian_emd", "gaussian_tv"]
STATISTICS: tuple[Statistic, ...] = get_args(Statistic)
KERNELS: tuple[Kernel, ...] = get_args(Kernel)

CLUSTERING_BINS = 100  # over [0, 1], as in GraphRNN
# As in GRAN. The range begins below 0, so that an eigenvalue 0 is inside the first bin.
SPECTRUM_BINS = 200
SPECTRUM_RANGE = (-1e-5, 2.0)


def describe(graphs: Graphs, statistic: Statistic) -> np.ndarray:
    """A statistic of each graph, as a matrix with one row for each graph, float64.

    The first three are histograms, as shares of the nodes:

        "degree"      degrees: [n_graphs, largest degree + 1];
        "clustering"  clustering coefficients, in 100 bins over [0, 1]: [n_graphs, 100];
        "spectrum"    eigenvalues of the symmetrically normalized Laplacian: [n_graphs, 200];
        "orbit"       mean over the nodes of each column of `orbit_counts`: [n_graphs, 15].

    Memory is proportional to the number of edges; "spectrum" needs a dense matrix of each graph.

    An eigenvalue 2, which every bipartite component has, counts in the last bin of the spectrum.
    GRAN's script drops it if rounding makes it larger than 2, so that its result depends on the
    order of the nodes.

    Raises:
      TypeError, ValueError: if `graphs` are not what `mmd` accepts.
      ValueError: if a graph has no node.
    """
    maker = _settings(statistic).describe
    graphs = graph_set(graphs, "graphs")
    if not graphs.n_node.all():
        index = int(np.argmin(graphs.n_node))
        raise ValueError(f"graph {index} of `graphs` has no node, so no {statistic} statistic")
    return maker(graphs)


def kernel_matrix(
    a: np.ndarray, b: np.ndarray, statistic: Statistic, kernel: Kernel = "gaussian_emd"
) -> np.ndarray:
    """The kernel k = exp(-d^2 / (2 sigma^2)) between the rows of two results of `describe`.

    The distance d depends on `kernel`. "gaussian_emd" is the earth mover's distance: the L1
    distance of the cumulative sums, times the width of a bin. "gaussian_tv" is the total variation:
    half the L1 distance.

        statistic   sigma  width of a bin
        degree      1      1
        clustering  0.1    0.01
        spectrum    1      1
        orbit       30     no histogram: "gaussian_emd" takes the L2 distance, as in GraphRNN, and
                           "gaussian_tv" half the L1 distance, as in GRAN

    Args:
      a: [n_a, bins_a]; the shorter rows of `a` and `b` are padded with zeros.
      b: [n_b, bins_b].
      statistic: the statistic in `a` and `b`.
      kernel: "gaussian_emd" or "gaussian_tv".

    Returns:
      [n_a, n_b] float64.

    Raises:
      ValueError: if `statistic` or `kernel` is unknown, or `a` or `b` has another shape.
    """
    settings = _settings(statistic)
    if kernel not in KERNELS:
        raise ValueError(f"`kernel` must be one of {KERNELS}, got {kernel!r}")
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    for name, rows in (("a", a), ("b", b)):
        if rows.ndim != 2:
            raise ValueError(f"`{name}` must be [n, bins], got shape {rows.shape}")
    bins = max(a.shape[1], b.shape[1])
    a, b = (np.pad(x, [(0, 0), (0, bins - x.shape[1])]) for x in (a, b))
    if kernel == "gaussian_tv":
        distance = cdist(a, b, "cityblock") / 2.0
    elif settings.bin_width is None:
        distance = cdist(a, b)
    else:
        distance = settings.bin_width * cdist(a.cumsum(axis=1), b.cumsum(axis=1), "cityblock")
    return np.exp(-np.square(distance) / (2.0 * settings.sigma**2))


def _settings(statistic):
    if statistic not in STATISTICS:
        raise ValueError(f"`statistic` must be one of {STATISTICS}, got {statistic!r}")
    return _SETTINGS[statistic]


def _degree(graphs):
    degree = graphs.adjacency.sum(axis=1)
    bins = int(degree.max()) + 1
    counts = np.bincount(graphs.graph_ids * bins + degree, minlength=len(graphs) * bins)
    return counts.reshape(-1, bins) / graphs.n_node[:, np.newaxis]


def _clustering(graphs):
    degree = graphs.adjacency.sum(axis=1)
    closed = 2 * triangle_counts(graphs.adjacency)
    coefficients = closed / np.maximum(degree * (degree - 1), 1)
    return _histograms(graphs.split(coefficients), CLUSTERING_BINS, (0.0, 1.0))


def _spectrum(graphs):
    spectra = (_eigenvalues(graphs.member(i)) for i in range(len(graphs)))
    return _histograms(spectra, SPECTRUM_BINS, SPECTRUM_RANGE)


def _eigenvalues(adjacency):
    adjacency = adjacency.toarray().astype(np.float64)  # sparse products of few nodes are slow
    degree = adjacency.sum(axis=1)
    scale = 1.0 / np.sqrt(np.maximum(degree, 1.0))  # 1 if isolated
    laplacian = scale[:, np.newaxis] * (np.diag(degree) - adjacency) * scale
    return np.minimum(np.linalg.eigvalsh(laplacian), SPECTRUM_RANGE[1])


def _orbit(graphs):
    counts = np.add.reduceat(orbit_counts(graphs), graphs.starts)
    return counts.reshape(-1, NUM_ORBITS) / graphs.n_node[:, np.newaxis]


def _histograms(samples, bins, limits):
    counts = np.stack([np.histogram(x, bins, limits)[0] for x in samples])
    return counts / counts.sum(axis=1, keepdims=True)


class _Settings(NamedTuple):
    describe: Callable[[GraphSet], np.ndarray]
    sigma: float
    bin_width: float | None  # None if the statistic is no histogram


_SETTINGS = {
    "degree": _Settings(_degree, 1.0, 1.0),
    "clustering": _Settings(_clustering, 0.1, 1.0 / CLUSTERING_BINS),
    "orbit": _Settings(_orbit, 30.0, None),
    "spectrum": _Settings(_spectrum, 1.0, 1.0),
}
