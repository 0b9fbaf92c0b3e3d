"""A report that compares generated graphs with a test set."""

from typing import Any

import numpy as np

from gnf_tf import seeds
from gnf_tf.metrics.isomorphism import novelty, uniqueness
from gnf_tf.metrics.mmd import kernel_matrices
from gnf_tf.metrics.simple import Graphs, graph_set, with_nodes
from gnf_tf.metrics.statistics import STATISTICS, Kernel

__all__ = ["evaluate", "matched_indices"]


def evaluate(
    generated: Graphs,
    test: Graphs,
    *,
    train: Graphs | None = None,
    kernel: Kernel = "gaussian_emd",
    seed: int = 0,
    num_bootstrap: int = 1000,
) -> dict[str, Any]:
    """All numbers of the paper's section 5.2.2 for one set of generated graphs, and a few more.

    The report compares the test set with four others, by the squared MMD of each statistic:

        "all"                          all generated graphs: the rows "(1024)" of tables 4 and 5;
        "matched_with_replacement"     for each test graph, the generated graph of the nearest
                                       number of nodes: the other rows of these tables;
        "matched_without_replacement"  the same, but no generated graph is chosen twice; None if
                                       there are fewer generated graphs than test graphs;
        "train"                        the training graphs: the score of a perfect generator.

    Generated graphs are shuffled before they are matched. Those without nodes are left out of every
    MMD, but count in "uniqueness" and "novelty". GraphRNN's scripts keep only the largest component
    of each generated graph; pass these components to compare with its numbers. Use `mmd` for one
    statistic alone.

    Args:
      generated: graphs that `mmd` accepts.
      test: graphs that `mmd` accepts.
      train: the training graphs, or None, which makes "train" and "novelty" None.
      kernel: the kernel of `mmd`.
      seed: seed of the shuffle and of the bootstrap.
      num_bootstrap: number of bootstrap replicates of each interval.

    Returns:
      A dictionary of plain numbers and strings, which JSON can hold. "all" and "train" map each
      statistic to the fields of an `MMDInterval`, the matched sets map it to a number. Besides,
      there are "uniqueness", "novelty", "distinct_matched" (how many different graphs the matching
      with replacement chose), "num_generated", "num_nodeless", "num_test" and "kernel".

    Raises:
      TypeError, ValueError: if the graphs are not what `mmd` accepts, `generated` as `graphs_b`.
    """
    generated, test = graph_set(generated, "generated"), graph_set(test, "test")
    train = None if train is None else graph_set(train, "train")
    usable = with_nodes(generated, "generated")
    matches = _matches(usable.n_node, test.n_node, seed)
    report: dict[str, dict[str, Any]] = {
        "all": {},
        **{scheme: {} for scheme in matches},
        "train": {},
    }

    def interval(matrices):
        return matrices.interval(num_bootstrap=num_bootstrap, seed=seed)._asdict()

    for statistic in STATISTICS:
        matrices = kernel_matrices(test, usable, statistic, kernel)
        report["all"][statistic] = interval(matrices)
        for scheme, indices in matches.items():
            if indices is not None:
                report[scheme][statistic] = matrices.choose_b(indices).mmd()
        if train is not None:
            report["train"][statistic] = interval(kernel_matrices(test, train, statistic, kernel))
    return {scheme: values or None for scheme, values in report.items()} | {
        "uniqueness": uniqueness(generated),
        "novelty": None if train is None else novelty(generated, train),
        "distinct_matched": len(set(matches["matched_with_replacement"].tolist())),
        "num_generated": len(generated),
        "num_nodeless": len(generated) - len(usable),
        "num_test": len(test),
        "kernel": kernel,
    }


def _matches(sizes, test_sizes, seed):
    """The indices of the generated graphs that each scheme chooses; None if there are too few."""
    order = seeds.generator(seed).permutation(len(sizes))
    schemes = {"matched_with_replacement": True, "matched_without_replacement": False}
    result = dict.fromkeys(schemes)
    for scheme, replacement in schemes.items():
        if replacement or len(sizes) >= len(test_sizes):
            chosen = matched_indices(sizes[order], test_sizes, replacement=replacement)
            result[scheme] = order[chosen]
    return result


def matched_indices(sizes: np.ndarray, test_sizes: np.ndarray, *, replacement: bool) -> np.ndarray:
    """For each test graph, the index of the generated graph of the nearest number of nodes.

    Of several equally near graphs the first is chosen. With replacement this is GraphRNN's scheme:
    all test graphs of one size get the same generated graph, so that few different ones remain.

    Args:
      sizes: [num_generated] int, the number of nodes of each generated graph; without replacement,
        there must be at least as many as test graphs.
      test_sizes: [num_test] int, the number of nodes of each test graph.
      replacement: whether a generated graph can be chosen more than once.

    Returns:
      [num_test] int.
    """
    distance = np.abs(sizes - test_sizes[:, np.newaxis]).astype(np.float64)
    if replacement:
        return distance.argmin(axis=1)
    chosen: list[int] = []
    for row in distance:
        row[chosen] = np.inf
        chosen.append(int(row.argmin()))
    return np.array(chosen)
