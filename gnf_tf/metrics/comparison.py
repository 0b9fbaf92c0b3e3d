"""Tables of the results of several runs beside published ones."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gnf_tf.metrics.protocols import PROTOCOLS, published
from gnf_tf.metrics.scores import mean_and_deviation

__all__ = ["comparison", "over_runs"]

_LABELS = {
    "all": "all generated graphs",
    "as_many": "as many as test graphs",
    "matched_with_replacement": "matched in size, with replacement",
    "matched_without_replacement": "matched in size, without",
}


def over_runs(reports: Sequence[Any]) -> Any:
    """Returns reports of several runs as one report, with means and deviations for numbers.

    >>> over_runs([{"a": 1.0, "b": "x"}, {"a": 3.0, "b": "x"}])["a"]["mean"]
    2.0

    Args:
      reports: results of `evaluate`, or other nested dictionaries with equal keys.

    Returns:
      Such a dictionary, in which "mean" and "deviation" of `mean_and_deviation` replace a number.
      Texts are those of the first report; what is None in some report is None.

    Raises:
      ValueError: if there is no report.
    """
    if not reports:
        raise ValueError("`reports` must hold at least one report, got none")
    first = reports[0]
    if any(report is None for report in reports):
        return None
    if isinstance(first, Mapping):
        return {name: over_runs([report[name] for report in reports]) for name in first}
    if isinstance(first, str):
        return first
    return dict(zip(("mean", "deviation"), mean_and_deviation(reports), strict=True))


def comparison(
    generated: Mapping[str, Any], drawn: Mapping[str, Any], edges: Sequence[int] = (0, 0)
) -> Iterator[dict[str, str]]:
    """Yields the rows of a table of MMDs: generated graphs, published results, training graphs.

    Args:
      generated: `over_runs` of reports of `evaluate`, which all have the same protocol.
      drawn: the same of reports that have as many random training graphs in place of the generated
        ones. These have the MMD of a perfect generator.
      edges: arguments of `published`, the numbers of edges of the training and of the test graphs.

    Yields:
      The cells of a row as text: a label "", the number of network "evaluations" that generate a
      graph, each statistic of the protocol, and their "average"; with deviations over reports. The
      last rows are "train" and "if_drawn" of `evaluate`, with the deviation between test sets.
    """
    _, statistics, schemes = PROTOCOLS[generated["protocol"]]
    empty = dict.fromkeys(["", "evaluations", *statistics, "average"], "-")
    rows = [row for row in published(*edges) if row.protocol == generated["protocol"]]
    for scheme in schemes:
        yield empty | {"": _LABELS[scheme], "evaluations": "1"} | _cells(generated, scheme)
        for row in (row for row in rows if row.scheme == scheme):
            cells = {name: f"{value:g}" for name, value in row.mmd.items()}
            cells[""] = f"  {row.method} ({row.source})"
            yield empty | cells | {"evaluations": str(row.evaluations or "-")}
        yield empty | {"": "  random training graphs"} | _cells(drawn, scheme)
    yield empty | {"": "all training graphs"} | _cells(generated, "train")
    yield empty | {"": "  if the test graphs were drawn from them"} | _cells(generated, "if_drawn")


def _cells(found, scheme):
    cells = {}
    for name, value in ((found[scheme] or {}) | {"average": found["average"][scheme]}).items():
        if value is None:  # there are too few graphs
            continue
        one = value.get("value", value)
        spread = value["deviation"]["mean"] if scheme == "if_drawn" and "value" in value else None
        error = spread or one["deviation"] or 0.0
        cells[name] = f"{one['mean']:.4f}" + (f" +- {error:.4f}" if error >= 5e-5 else "")
    return cells
