"""Reports by the protocols of papers: matching, schemes, limits, and tables of several runs."""

import json

import networkx as nx
import numpy as np
import pytest

from gnf_tf import metrics
from gnf_tf.metrics.evaluation import matched_indices
from tests.test_metrics import GENERATED, REFERENCE, mmd_by_hand, random_graphs


def test_matching_by_hand():
    generated, test = np.array([5, 3, 9, 5, 4]), np.array([5, 5, 7, 5, 3])

    def matched(**arguments):
        return matched_indices(generated, test, **arguments).tolist()

    assert matched(replacement=True) == [0, 0, 0, 0, 1]  # 7 is as far from 5 as from 9
    assert matched(replacement=False) == [0, 3, 2, 4, 1]
    assert matched_indices(generated[:1], test, replacement=True).tolist() == [0] * 5


PROTOCOLS = {  # kernel, statistics, schemes
    "gnf": ("gaussian_emd", 4, {"all", "matched_with_replacement", "matched_without_replacement"}),
    "gdss": ("gaussian_emd", 3, {"all", "as_many"}),
    "gran": ("gaussian_tv", 4, set(metrics.SCHEMES)),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_report(protocol):
    kernel, num_statistics, schemes = PROTOCOLS[protocol]
    statistics = ["degree", "clustering", "orbit", "spectrum"][:num_statistics]
    test, train = random_graphs(10, 0.5, seed=5), random_graphs(20, 0.5, seed=6)
    generated = random_graphs(40, 0.4, seed=7) + train[:5] + [nx.Graph()]
    options = {"train": train, "protocol": protocol, "num_bootstrap": 50, "seed": 3}
    report = metrics.evaluate(generated, test, **options)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    found = {name: part for name, part in report.items() if isinstance(part, dict)}
    assert found.keys() == schemes | {"train", "if_drawn", "average"}
    for statistic in statistics:
        for part, other in (("all", generated), ("train", train)):
            interval = metrics.mmd_interval(
                test, other, statistic, kernel, num_bootstrap=50, seed=3
            )
            assert report[part][statistic] == pytest.approx(interval._asdict(), abs=1e-12)
    order = np.random.default_rng(3).permutation(45)
    shuffled = [generated[i] for i in order]
    sizes = [np.array([len(graph) for graph in several]) for several in (shuffled, test)]
    chosen = {"as_many": [shuffled[i : i + 10] for i in (0, 10, 20, 30)]}
    for name, replacement in (("with", True), ("without", False)):
        indices = matched_indices(*sizes, replacement=replacement)
        chosen[f"matched_{name}_replacement"] = [[shuffled[i] for i in indices]]
    for scheme in schemes - {"all"}:
        assert list(report[scheme]) == statistics
        for statistic, value in report[scheme].items():
            values = [mmd_by_hand(test, part, statistic, kernel) for part in chosen[scheme]]
            expected = np.mean(values)
            if scheme == "as_many":
                expected = {"value": expected, "deviation": np.std(values, ddof=1)}
            assert value == pytest.approx(expected, abs=1e-12)
    means = [report["all"][name]["value"] for name in ("degree", "clustering", "orbit")]
    assert report["average"]["all"] == pytest.approx(np.mean(means))
    assert report["uniqueness"] == metrics.uniqueness(generated)
    assert report["novelty"] == metrics.novelty(generated, train)
    distinct = set(matched_indices(*sizes, replacement=True).tolist())
    assert report["distinct_matched"] == len(distinct)
    counts = {"num_generated": 46, "num_nodeless": 1, "num_test": 10}
    counts |= {"kernel": kernel, "protocol": protocol}
    assert {name: report[name] for name in counts} == counts


def test_score_of_a_test_set_that_is_drawn_from_the_training_graphs():
    train, test = random_graphs(9, 0.5, seed=6), random_graphs(4, 0.2, seed=5)
    report = metrics.evaluate(test, test, train=train, num_bootstrap=2000)["if_drawn"]
    rng = np.random.default_rng(0)
    draws = [[train[i] for i in rng.integers(9, size=4)] for _ in range(400)]
    for statistic in metrics.STATISTICS:
        values = [metrics.mmd(draw, train, statistic) for draw in draws]
        found, deviation = report[statistic]["value"], np.std(values)
        assert found == pytest.approx(np.mean(values), abs=4 * deviation / 20)
        assert report[statistic]["deviation"] == pytest.approx(deviation, rel=0.2)


def test_report_without_training_set_of_few_graphs():
    report = metrics.evaluate(GENERATED[:3], REFERENCE, protocol="gran", num_bootstrap=10)
    assert report["train"] is None and report["novelty"] is None and report["if_drawn"] is None
    assert report["matched_without_replacement"] is None and report["as_many"] is None
    assert report["average"]["as_many"] is None
    assert report["matched_with_replacement"].keys() == set(metrics.STATISTICS)
    again = metrics.evaluate(GENERATED[:3], REFERENCE, protocol="gran", num_bootstrap=10)
    assert again == report


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"test": []}, "`test` must hold at least one graph"),
        ({"test": [nx.Graph()]}, "graph 0 of `test` has no node"),
        ({"train": [nx.Graph()]}, "`train` must hold a graph with a node, got 1 without"),
        ({"generated": [nx.Graph()]}, "`generated` must hold a graph with a node, got 1 without"),
        ({"protocol": "mmd"}, "`protocol` must be one of .*'gdss', .*, got 'mmd'"),
        ({"num_bootstrap": 2.5}, "`num_bootstrap` must be a whole number of at least 1, got 2.5"),
        ({"protocol": ["gnf"]}, "`protocol` must be one of .*, got .'gnf'."),
        ({"classes": [0] * 99}, "`classes` must have a number for each of .* graphs, got 99"),
        ({"num_bootstrap": True}, "`num_bootstrap` must be a whole number of at least 1, got True"),
        ({"num_bootstrap": 0}, "`num_bootstrap` must be a whole number of at least 1, got 0"),
    ],
)
def test_wrong_arguments_are_named(changes, message, monkeypatch):
    if "num_bootstrap" in changes:  # which is checked before what takes long
        monkeypatch.delattr("gnf_tf.metrics.evaluation.kernel_matrices")
    with pytest.raises(ValueError, match=message):
        metrics.evaluate(**{"generated": GENERATED, "test": REFERENCE} | changes)


def test_reports_of_runs_beside_published_results():
    runs = [
        metrics.evaluate(GENERATED[i:], REFERENCE[:2], train=REFERENCE, protocol="gdss", seed=i)
        for i in range(3)
    ]
    known = [metrics.evaluate(REFERENCE, REFERENCE[:2], train=REFERENCE, protocol="gdss")]
    merged = metrics.over_runs(runs)
    values = [run["as_many"]["degree"]["value"] for run in runs]
    expected = {"mean": np.mean(values), "deviation": np.std(values, ddof=1)}
    assert merged["as_many"]["degree"]["value"] == pytest.approx(expected)
    assert merged["protocol"] == "gdss"
    assert metrics.over_runs([{"a": 1.0}, {"a": None}]) == {"a": None}
    rows = list(metrics.comparison(merged, metrics.over_runs(known), (1367, 372)))
    assert rows[0]["degree"] == "{mean:.4f} +- {deviation:.4f}".format(**expected)
    by_label = {row[""].strip(): row for row in rows}
    assert by_label["EDP-GNN (another paper)"]["average"] == "0.0507"
    averages = [row["average"] for row in rows if "DualDiff" in row[""]]
    assert averages == ["0.004", "0.032"]
    assert rows[-2]["orbit"] == f"{runs[0]['train']['orbit']['value']:.4f}"
    assert rows[-1]["orbit"].startswith(f"{runs[0]['if_drawn']['orbit']['value']:.4f} +- ")
    assert len(list(metrics.comparison(merged, metrics.over_runs(known)))) == len(rows) - 7
