"""A report that compares generated graphs with a test set."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gnf_tf import seeds
from gnf_tf.metrics.isomorphism import given_or_found, novelty, uniqueness
from gnf_tf.metrics.mmd import check_bootstrap, kernel_matrices
from gnf_tf.metrics.protocols import PROTOCOLS, SCHEMES
from gnf_tf.metrics.scores import mean_and_deviation
from gnf_tf.metrics.simple import Graphs, graph_set, union, with_nodes

__all__ = ["evaluate", "matched_indices"]


def evaluate(
    generated: Graphs,
    test: Graphs,
    *,
    train: Graphs | None = None,
    protocol: str = "gnf",
    seed: int = 0,
    num_bootstrap: int = 1000,
    classes: Sequence[int] | None = None,
) -> dict[str, Any]:
    """Compares generated graphs with test graphs by the protocol of a paper.

    A protocol decides which statistics are compared by which kernel, and which generated graphs:

        "gnf"   degree, clustering, orbit by the earth mover's distance, as in tables 4 and 5 of the
                paper and the scripts of GraphRNN (You et al. 2018), which it uses; spectrum, and
                "matched_without_replacement", are added;
        "gdss"  degree, clustering, orbit by the same kernels, and their average, for "as_many"
                graphs (Jo et al. 2022, and GSDM, DualDiff and others that compare with it); "all"
                is added. GDSS deletes isolated nodes of generated graphs first;
        "gran"  degree, clustering, orbit, spectrum by the total variation, for "as_many" graphs
                (Liao et al. 2019, and SPECTRE, DiGress and others); the other schemes are added.

    The report has the squared MMD of each statistic to the test graphs (`mmd`), for each scheme:

        "all"                          all generated graphs: the rows "(1024)" of tables 4 and 5;
        "as_many"                      as many generated graphs as there are test graphs: the mean
                                       and the deviation over disjoint parts of all graphs;
        "matched_with_replacement"     for each test graph, the generated graph of the nearest
                                       number of nodes: the other rows of these tables;
        "matched_without_replacement"  the same, but no generated graph is chosen twice;
        "train"                        the training graphs: the score of a perfect generator;
        "if_drawn"                     what "train" would be, in the mean, if the test graphs were
                                       drawn from the training graphs, with its deviation: the
                                       error that comes from the size of the test set alone.

    Generated graphs are shuffled before they are chosen. Those without nodes are left out of every
    MMD, but count in "uniqueness" and "novelty". GraphRNN's scripts keep only the largest component
    of each generated graph; pass these components to compare with its numbers. Use `mmd` for one
    statistic alone.

    Args:
      generated: graphs that `mmd` accepts.
      test: graphs that `mmd` accepts.
      train: the training graphs, or None, which makes "train", "if_drawn" and "novelty" None.
      protocol: "gnf", "gdss" or "gran". Numbers of different protocols cannot be compared.
      seed: seed of the shuffle and of the bootstrap.
      num_bootstrap: number of bootstrap replicates of each interval.
      classes: the isomorphism classes of `generated`, followed by those of `train` unless it is
        None, for reports by several protocols; else they are computed.

    Returns:
      A dictionary of plain numbers and strings, which JSON can hold. The schemes map each statistic
      to a number (matched sets), to "value" and "deviation" ("as_many", "if_drawn"), or to the
      fields of an `MMDInterval` ("all", "train"). A scheme is None if there are fewer generated
      graphs than it needs. "average" has the mean of degree, clustering and orbit for each scheme.
      Besides, there are "uniqueness", "novelty", "distinct_matched" (how many different graphs the
      matching with replacement chooses), "num_generated", "num_nodeless", "num_test", "protocol"
      and "kernel".

    Raises:
      TypeError, ValueError: if the graphs are not what `mmd` accepts, `test` as `graphs_a`.
      ValueError: if `protocol` is unknown, `num_bootstrap` is no whole number of at least 1, or
        `classes` has not one number for each graph.
    """
    if protocol not in tuple(PROTOCOLS):  # also for a list, which has no hash
        raise ValueError(f"`protocol` must be one of {tuple(PROTOCOLS)}, got {protocol!r}")
    check_bootstrap(num_bootstrap)
    kernel, statistics, schemes = PROTOCOLS[protocol]
    generated, test = graph_set(generated, "generated"), graph_set(test, "test")
    train = None if train is None else graph_set(train, "train")
    classes = given_or_found(classes, generated if train is None else union(generated, train))
    usable = with_nodes(generated, "generated")
    order = seeds.generator(seed).permutation(len(usable))
    choices = {scheme: _choices(scheme, usable.n_node, test.n_node, order) for scheme in SCHEMES}
    report: dict[str, Any] = {scheme: {} for scheme in (*schemes, "train", "if_drawn")}
    bootstrap = {"num_bootstrap": num_bootstrap, "seed": seed}
    for statistic in statistics:
        matrices = kernel_matrices(test, usable, statistic, kernel, ("test", "generated"))
        for scheme in schemes:
            values = [matrices.choose_b(indices).mmd() for indices in choices[scheme]]
            if scheme == "all":
                report[scheme][statistic] = matrices.interval(**bootstrap)._asdict()
            elif values:
                one = values[0] if scheme != "as_many" else _named(*mean_and_deviation(values))
                report[scheme][statistic] = one
        if train is not None:
            matrices = kernel_matrices(test, train, statistic, kernel, ("test", "train"))
            report["train"][statistic] = matrices.interval(**bootstrap)._asdict()
            report["if_drawn"][statistic] = _named(*matrices.if_drawn(**bootstrap))
    report = {scheme: values or None for scheme, values in report.items()}
    return report | {
        "average": {scheme: values and _average(values) for scheme, values in report.items()},
        "uniqueness": uniqueness(generated, classes=classes[: len(generated)]),
        "novelty": None if train is None else novelty(generated, train, classes=classes),
        "distinct_matched": len(set(choices["matched_with_replacement"][0].tolist())),
        "num_generated": len(generated),
        "num_nodeless": len(generated) - len(usable),
        "num_test": len(test),
        "protocol": protocol,
        "kernel": kernel,
    }


def _named(value, deviation):
    return {"value": value, "deviation": deviation}


def _average(values):
    """The mean of the first three statistics of a scheme, which GDSS prints."""
    found = [values[name] for name in ("degree", "clustering", "orbit")]
    return sum(x["value"] if isinstance(x, dict) else x for x in found) / len(found)


def _choices(scheme, sizes, test_sizes, order):
    """The indices of each set of generated graphs, in this order, that a scheme compares."""
    count, replacement = len(test_sizes), scheme == "matched_with_replacement"
    if scheme == "all" or (len(order) < count and not replacement):
        return []
    if scheme == "as_many":
        return order[: len(order) // count * count].reshape(-1, count)
    return [order[matched_indices(sizes[order], test_sizes, replacement=replacement)]]


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
