"""The pages of the citation and the PPI trainer: presets, options, the table of several seeds."""

import json
import sys

import numpy as np
import pytest

from gnf_tf import datasets
from gnf_tf.errors import DataError
from trainers import citation, cli, node_report, ppi


def parsed(monkeypatch, page, *words):
    monkeypatch.setattr(sys, "argv", ["trainer", *words])
    variants = {"neumann_rbp": node_report.neumann_rbp}
    return page.resolve(cli.parse(page.PRESETS, page.__doc__, variants))


@pytest.mark.parametrize(
    "page, words, expected",
    [
        (citation, "", (5, 0.0, None)),
        (citation, "--preset paper", (4, 0.1, 1e-3)),
        (citation, "--preset paper --model gnn --start-scale 0.5", (4, 0.5, 1e-3)),
        (citation, "--preset paper --model neumann_rbp", (100, 1.0, None)),
        (citation, "--model neumann_rbp --num-steps 30 --learning-rate 0.5", (30, 1.0, 0.5)),
        (ppi, "--preset best", (4, 0.0, 1e-3)),
        (ppi, "--preset best --model neumann_rbp --start-scale 0", (100, 0.0, None)),
    ],
)
def test_options_are_the_presets_or_the_models_unless_given(page, words, expected, monkeypatch):
    config = parsed(monkeypatch, page, *words.split())
    network = config.network.resolved()
    assert (network.num_steps, network.start_scale, config.settings.learning_rate) == expected


@pytest.mark.parametrize(
    "page, words, message",
    [
        (citation, "--steps 7", "--steps must be a multiple of --steps-per-epoch, 5, got 7"),
        (citation, "--coupling affine", "--coupling must be 'additive' for the conditioner"),
        (citation, "--loop --model neumann_rbp", "--loop must be False for the model"),
        (citation, "--dropout 1", "--dropout must be in [0, 1), got 1.0"),
        (citation, "--seeds 1 1", "--seeds must be different whole numbers"),
        (citation, "--fractions 0.9 0.1 0.1", "--fractions must be three positive numbers"),
        (ppi, "--batch-size 0", "--batch-size must be at least 1, got 0"),
        (ppi, "--mixed-precision --conditioner convolution", "--mixed-precision must be False"),
        (ppi, "--strategy mirrored --batch-norm True", "needs --batch-norm False"),
        (ppi, "--strategy mirrored --num-steps 21", "needs --batch-norm False"),
    ],
)
def test_wrong_options_are_named(page, words, message, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        cli.run(lambda: parsed(monkeypatch, page, *words.split()))
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize(
    "name, scores, expected",
    [
        ("f1", [0.5, 0.75], "F1 0.625 +- 0.177 (deviation of a seed)"),
        ("accuracy", [0.5, 0.75], "accuracy 62.5% +- 17.7% (deviation of a seed)"),
        ("accuracy", [0.5], "accuracy 50.0%"),
    ],
)
def test_several_seeds_make_a_summary(name, scores, expected, monkeypatch, capsys, tmp_path):
    """Each is trained once; one more seed trains that one."""
    trained = []

    def train(config, seed, number):
        assert config.run_dir.name == f"seed{seed}" and number == 2 * seed
        trained.append(seed)
        np.savez(config.run_dir / "model.npz", weights=np.zeros(1))
        score = scores[seed]
        return {f"test_{name}": score, f"validation_{name}": 1.0} | {"epochs": 1} | seconds

    seconds = {"training_seconds": 1.0}
    monkeypatch.setattr(ppi, "load", lambda _, seed: (2 * seed,))
    monkeypatch.setattr(ppi, "train_and_evaluate", train)
    for last in (1, len(scores)):
        seeds = map(str, range(last))
        monkeypatch.setattr(sys, "argv", ["ppi", "--run-dir", str(tmp_path), "--seeds", *seeds])
        ppi.main()
    assert trained == list(range(len(scores)))
    summary = json.loads((tmp_path / "results.json").read_text())
    assert "grevnet 0.76" in summary["paper"] and len(summary["runs"]) == len(scores)
    printed = capsys.readouterr().out
    assert f"ppi, grevnet: {expected}; paper: gnn 0.78, grevnet 0.76" in printed
    assert "seed0/model.npz graphs.npz" in printed


def test_an_own_graph_must_have_all_three_sets(monkeypatch, tmp_path):
    path = tmp_path / "graph.npz"
    arrays = {"features": np.eye(4), "edges": [[0, 1], [1, 2]], "labels": [0, 1, 0, 1]}
    np.savez(path, **arrays, train=np.array([0, 1]), test=np.array([2]))
    config = parsed(monkeypatch, citation, "--data", str(path))
    with pytest.raises(DataError, match="for training, validation and test, got 2, 0, 1"):
        citation.load(config, 0)


def test_splits_by_the_seed(monkeypatch):
    config = parsed(monkeypatch, citation, "--split", "one_percent")
    first, again, other = (citation.load(config, seed)[0].train for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert first.sum() == other.sum() == 27 and (first != other).any()
    assert datasets.cora().train.sum() == 140
