"""What the citation and the PPI trainer share: options, training, the table."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import numpy as np
import tensorflow as tf

from gnf_tf import metrics, options, plots, training
from gnf_tf.datasets import LabeledGraph, LabeledGraphs
from gnf_tf.models import ClassifierConfig, NodeClassifier
from gnf_tf.training import NodeSettings
from trainers import cli, report

__all__ = ["MODELS", "NodeOptions", "neumann_rbp", "summarize", "table", "train_and_evaluate"]

MODELS = ("gnn", "grevnet", "neumann_rbp")
Data = LabeledGraph | LabeledGraphs


class Score(NamedTuple):
    """How a score of `metrics.classification_scores` is shown."""

    heading: str
    factor: float
    """from results.json to the table's unit"""
    form: str


SCORES = {"accuracy": Score("%", 100.0, ".1f"), "f1": Score("F1", 1.0, ".3f")}


@dataclasses.dataclass(frozen=True)
class NodeOptions(cli.Options):
    """Those that both trainers have.

    A trainer adds `epochs`, the `title` of its data, and `paper`: its scores of MODELS, or None.
    """

    seeds: options.Seeds = (0,)
    """of all that is random; one model each, in turn"""
    data: cli.Path = None
    """file of the user's own, in place of the trainer's data"""
    network: Annotated[ClassifierConfig, cli.FLAT] = ClassifierConfig()
    settings: Annotated[NodeSettings, cli.FLAT] = NodeSettings()


def neumann_rbp(config: Any) -> Any:
    """A preset for that model, which has the library's defaults in all presets."""
    return dataclasses.replace(
        config,
        network=dataclasses.replace(
            config.network, model="neumann_rbp", num_steps=None, start_scale=None
        ),
        settings=dataclasses.replace(config.settings, learning_rate=None),
    )


def train_and_evaluate(
    config: Any, seed: int, train: Data, validation: Data, test: Data
) -> dict[str, Any]:
    """Trains, or goes on training, one model; returns what its results.json holds.

    Args:
      config: options, with the run folder of this seed.
      seed: of all that is random.
      train: whose training nodes are learned from; of LabeledGraphs all nodes with labels.
      validation: the same, of the validation nodes.
      test: the same, of the test nodes.
    """
    parts = {"train": train, "validation": validation, "test": test}
    rows = {name: _rows(data, name) for name, data in parts.items()}
    counts = ", ".join(f"{len(nodes)} {name}" for name, nodes in rows.items())
    print(f"{config.title}, seed {seed}: {counts} nodes; run folder {config.run_dir}")
    training.set_seed(seed)
    model = NodeClassifier.for_data(train, config.network)
    history = training.fit(
        model,
        train,
        validation,
        epochs=config.epochs,
        folder=config.run_dir,
        seed=seed,
        hparams={"preset": config.preset, "data": config.title},
        **vars(config.settings),
    )
    results = report.trained(history)
    for name in ("validation", "test"):
        nodes, data = rows[name], parts[name]
        probabilities = model.predict_proba(data)[nodes]
        scores = metrics.classification_scores(data.labels[nodes], probabilities)
        results |= {f"{name}_{score}": value for score, value in scores.items()}
    score = _score_of(results)
    named = {f"test/{score}": results[f"test_{score}"]}
    training.write_scores(config.run_dir, named, history.epochs)
    return results | _show(model, test, nodes, probabilities, config.run_dir, history.epochs)


def _rows(data: Data, part: str) -> np.ndarray:
    """Numbers of the labeled nodes of a set."""
    if isinstance(data, LabeledGraph):
        return np.flatnonzero(getattr(data, part))
    return np.arange(len(data.labels)) if data.is_multi_label else np.flatnonzero(data.labels >= 0)


def _show(
    model: NodeClassifier,
    data: Data,
    rows: np.ndarray,
    probabilities: np.ndarray,
    folder: pathlib.Path,
    step: int,
) -> dict[str, list[list[int]]]:
    """The test set's errors as a figure, and what its classes are read from; the confusions."""
    results, labels = {}, data.labels[rows]
    if model.multi_label:
        predicted = probabilities > 0.5
        columns = {"labels": labels, "predicted": predicted, "right": labels & predicted}
        columns = {name: values.sum(axis=1) for name, values in columns.items()}
        if labels.any():
            figure = plots.precision_recall(labels, probabilities, threshold=0.5)
            training.show_figure(folder, "precision_recall", figure, step)
    else:
        columns = {"class": labels, "predicted": probabilities.argmax(axis=1)}
        counts = tf.math.confusion_matrix(*columns.values(), len(model.class_names)).numpy()
        results["confusion"] = counts.tolist()
        training.show_figure(folder, "confusion", plots.confusion_matrix(counts), step)
    if isinstance(data, LabeledGraphs):
        columns = {"network": np.repeat(np.arange(len(data)), data.n_node)[rows], **columns}
    training.write_projector(folder, "test nodes", model.states(data)[rows], columns)
    return results


def _score_of(results: Mapping[str, Any]) -> str:
    return "f1" if "test_f1" in results else "accuracy"


def summarize(config: Any, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """What results.json of the run folder holds: mean and deviation of the seeds' scores."""
    name = _score_of(runs[0])
    means = {}
    for part in ("validation", "test"):
        values = np.array([run[f"{part}_{name}"] for run in runs], float)
        means[part], deviation = metrics.mean_and_deviation(SCORES[name].factor * values)
    return {
        "model": config.network.model,
        "preset": config.preset,
        "seeds": list(config.seeds),
        name: means["test"],
        "deviation": deviation,
        f"validation_{name}": means["validation"],
        "paper": config.paper and config.paper[MODELS.index(config.network.model)],
        "runs": runs,
    }


def table(config: Any, summary: dict[str, Any]) -> str:
    """The results as text."""
    name = _score_of(summary["runs"][0])
    heading, factor, form = SCORES[name]
    rows = [run | {"seed": s} for s, run in zip(summary["seeds"], summary["runs"], strict=True)]
    for part in ("test", "validation"):
        for row in rows:
            value = row[f"{part}_{name}"]
            row[part] = None if value is None else factor * value
    text = report.table(
        rows,
        ("seed", "seed", "d"),
        (f"test {heading}", "test", form),
        (f"validation {heading}", "validation", form),
        ("epochs", "epochs", "d"),
        ("seconds", "training_seconds", ".0f"),
    )
    mean = f"{report.number(summary[name], form)} {heading}"
    if summary["deviation"] is not None:
        mean += f" +- {summary['deviation']:{form}} (deviation of a seed)"
    theirs = "not in the paper"
    if config.paper:
        theirs = ", ".join(f"{m} {x}" for m, x in zip(MODELS, config.paper, strict=True))
        theirs = f"paper: {theirs}"
    return f"{text}\n{config.title}, {summary['model']}: {mean}; {theirs}"
