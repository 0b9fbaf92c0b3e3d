"""A generator's graphs against the test set, in one report."""

from typing import Any

from gnf_tf import seeds
from gnf_tf.metrics.isomorphism import novelty, uniqueness
from gnf_tf.metrics.matching import matched_indices
from gnf_tf.metrics.mmd import kernel_matrices
from gnf_tf.metrics.simple import Graphs, graph_set, with_nodes
from gnf_tf.metrics.statistics import STATISTICS, Kernel

__all__ = ["evaluate"]


def evaluate(
    generated: Graphs,
    test: Graphs,
    *,
    train: Graphs | None = None,
    kernel: Kernel = "gaussian_emd",
    seed: int = 0,
    num_bootstrap: int = 1000,
) -> dict[str, Any]:
    """Every number that says how like the test set the generated graphs are, and how new.

    MMDs are those of the test set with

        "all"                          every generated graph, as the paper's rows "(1024)";
        "matched_with_replacement"     those of nearest node counts, as its other rows;
        "matched_without_replacement"  the same, no graph twice; None for too few graphs;
        "train"                        the training set, which a perfect generator would equal.

    Each is {statistic: value}; for "all" and "train" {statistic: {"value", "low", "high",
    "bias"}}, see `MMDInterval`. Generated graphs are shuffled before matching, and those without
    nodes left out of all MMDs; uniqueness and novelty count them. Graphs are taken whole, where
    GraphRNN's loader keeps the largest component of each: hand those over to compare with it.

    Args:
      generated, test: graphs as `mmd` takes them.
      train: the training graphs; without them there is no "train" and no "novelty" (None).
      kernel: as in `mmd`.
      seed: of shuffling and bootstrap.
      num_bootstrap: replicates for each interval.

    Returns:
      The MMDs above; "uniqueness", "novelty"; "distinct_matched": how many of the graphs matched
      with replacement are different ones; "num_generated", "num_nodeless", "num_test"; "kernel".
      Only plain numbers and strings, fit for JSON.

    Raises:
      TypeError, ValueError: as `mmd`, `generated` being its `graphs_b`.
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
    """Indices of the generated graphs that each scheme takes, None where there are too few."""
    order = seeds.generator(seed).permutation(len(sizes))
    schemes = {"matched_with_replacement": True, "matched_without_replacement": False}
    result = dict.fromkeys(schemes)
    for scheme, replacement in schemes.items():
        if replacement or len(sizes) >= len(test_sizes):
            chosen = matched_indices(sizes[order], test_sizes, replacement=replacement)
            result[scheme] = order[chosen]
    return result
