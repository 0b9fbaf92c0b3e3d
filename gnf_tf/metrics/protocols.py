"""Protocols by which papers compare generated graphs with test graphs, and their results."""

from typing import Literal, NamedTuple, get_args

from gnf_tf.metrics.statistics import STATISTICS, Kernel, Statistic

__all__ = ["PROTOCOLS", "SCHEMES", "Protocol", "Published", "Scheme", "published"]

Scheme = Literal["all", "as_many", "matched_with_replacement", "matched_without_replacement"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)


class Protocol(NamedTuple):
    """What a published MMD is computed from; see `evaluate`.

    Attributes:
      kernel: the kernel of `mmd`.
      statistics: the statistics of the graphs.
      schemes: which generated graphs are compared with the test graphs.
    """

    kernel: Kernel
    statistics: tuple[Statistic, ...]
    schemes: tuple[Scheme, ...]


PROTOCOLS = {
    "gnf": Protocol(
        "gaussian_emd",
        STATISTICS,
        ("all", "matched_with_replacement", "matched_without_replacement"),
    ),
    "gdss": Protocol("gaussian_emd", ("degree", "clustering", "orbit"), ("as_many", "all")),
    "gran": Protocol("gaussian_tv", STATISTICS, SCHEMES),
}


class Published(NamedTuple):
    """A published result.

    Attributes:
      method: name of the method.
      protocol: a key of `PROTOCOLS`.
      scheme: the scheme of the protocol.
      mmd: the squared MMD of degree, clustering and orbit, and "average", their mean, which is all
        that some papers print.
      evaluations: how often a network is evaluated to generate a graph; None if the number depends
        on the graph, or was not found.
      source: where the numbers were read.
    """

    method: str
    protocol: str
    scheme: Scheme
    mmd: dict[str, float]
    evaluations: int | None
    source: str


def published(train_edges: int, test_edges: int) -> list[Published]:
    """The published results on a set of graphs, which the numbers of its edges identify.

    The sets are those that the paper's authors generated (edges without self loops; the totals in
    the paper's table 3, where the two sets are exchanged, include them: 1,329 and 353 for
    ego-small), and those of GDSS (Jo et al. 2022), all in their authors' split.

    >>> [(row.scheme, row.mmd["orbit"]) for row in published(3758, 984) if row.method == "GNF"]
    [('all', 0.02), ('matched_with_replacement', 0.11)]

    Args:
      train_edges: number of edges of all training graphs.
      test_edges: number of edges of all test graphs.

    Returns:
      The results; none for another set of graphs.
    """
    return list(_PUBLISHED.get((train_edges, test_edges), ()))


_PAPER, _AUTHORS = "the paper", "its authors"
_MATCHED: Scheme = "matched_with_replacement"


def _each(*values):
    """The MMD of degree, clustering and orbit, and their average."""
    names = ("degree", "clustering", "orbit", "average")
    return dict(zip(names, [*values, round(sum(values) / 3, 4)], strict=True))


_PUBLISHED = {
    (3758, 984): (
        Published("GNF", "gnf", "all", _each(0.12, 0.15, 0.02), 1, _PAPER),
        Published("GraphRNN", "gnf", "all", _each(0.03, 0.01, 0.01), None, _PAPER),
        Published("GNF", "gnf", _MATCHED, _each(0.20, 0.20, 0.11), 1, _PAPER),
        Published("GraphRNN", "gnf", _MATCHED, _each(0.08, 0.12, 0.04), None, _PAPER),
        Published("GraphVAE", "gnf", _MATCHED, _each(0.35, 0.98, 0.54), 1, _PAPER),
        Published("DeepGMG", "gnf", _MATCHED, _each(0.22, 0.95, 0.40), None, _PAPER),
    ),
    (1308, 346): (
        Published("GNF", "gnf", "all", _each(0.01, 0.03, 0.0008), 1, _PAPER),
        Published("GraphRNN", "gnf", "all", _each(0.04, 0.05, 0.06), None, _PAPER),
        Published("GNF", "gnf", _MATCHED, _each(0.03, 0.10, 0.001), 1, _PAPER),
        Published("GraphRNN", "gnf", _MATCHED, _each(0.09, 0.22, 0.003), None, _PAPER),
        Published("GraphVAE", "gnf", _MATCHED, _each(0.13, 0.17, 0.05), 1, _PAPER),
        Published("DeepGMG", "gnf", _MATCHED, _each(0.04, 0.10, 0.02), None, _PAPER),
    ),
    (2824, 691): (
        Published("GDSS", "gdss", "as_many", {"average": 0.046}, 1000, _AUTHORS),
        Published("GSDM", "gdss", "as_many", {"average": 0.009}, 1000, _AUTHORS),
        Published("DualDiff", "gdss", "as_many", {"average": 0.006}, 1000, _AUTHORS),
        Published("GDSS", "gdss", "as_many", {"average": 0.110}, 50, _AUTHORS),
        Published("GSDM", "gdss", "as_many", {"average": 0.109}, 50, _AUTHORS),
        Published("DualDiff", "gdss", "as_many", {"average": 0.098}, 50, _AUTHORS),
        Published("EDP-GNN", "gdss", "as_many", _each(0.053, 0.144, 0.026), None, "another paper"),
    ),
    (1367, 372): (
        Published("GDSS", "gdss", "as_many", {"average": 0.017}, 1000, _AUTHORS),
        Published("GSDM", "gdss", "as_many", {"average": 0.016}, 1000, _AUTHORS),
        Published("DualDiff", "gdss", "as_many", {"average": 0.004}, 1000, _AUTHORS),
        Published("GDSS", "gdss", "as_many", {"average": 0.040}, 50, _AUTHORS),
        Published("GSDM", "gdss", "as_many", {"average": 0.044}, 50, _AUTHORS),
        Published("DualDiff", "gdss", "as_many", {"average": 0.032}, 50, _AUTHORS),
        Published("EDP-GNN", "gdss", "as_many", _each(0.052, 0.093, 0.007), None, "another paper"),
    ),
}
