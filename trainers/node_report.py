"""What the citation and the PPI trainer share: options, models, scores, the table."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np

from gnf_tf import options, plots, training
from gnf_tf.datasets import LabeledGraph, LabeledGraphs
from gnf_tf.models import ClassifierConfig, NodeClassifier
from gnf_tf.training import NodeSettings, number
from trainers import cli, report

__all__ = [
    "MODELS",
    "NodeOptions",
    "neumann_rbp",
    "print_results",
    "run_seeds",
    "scores",
    "train_and_evaluate",
]

MODELS = ("gnn", "grevnet", "neumann_rbp")
Data = LabeledGraph | LabeledGraphs


class Score(NamedTuple):
    """What models are compared by, a number for each set of nodes."""

    name: str
    """its results are `test_{name}` and `validation_{name}`"""
    heading: str
    """in the table"""
    factor: float
    """from the results to the table's unit"""
    digits: int
    """in the table, after the point"""


ACCURACY, F1 = Score("accuracy", "%", 100.0, 1), Score("f1", "F1", 1.0, 3)


@dataclasses.dataclass(frozen=True)
class NodeOptions(cli.Options):
    """Those that both trainers have."""

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


def run_seeds(
    config: Any,
    load: Callable[[Any, int], tuple[Data, ...]],
    train: Callable[..., dict[str, Any]],
    paper: Sequence[float] | None,
) -> dict[str, Any]:
    """What results.json of the run folder holds: mean and deviation of the seeds' scores.

    Args:
      config: options; `seeds` are trained one after another, each in a folder of its own.
      load: (config, seed) -> data.
      train: (config, seed, *data) -> what results.json of the seed holds.
      paper: its results, of each of MODELS, in the table's unit.
    """
    runs = []
    for seed in config.seeds:
        one = dataclasses.replace(config, seeds=(seed,), run_dir=config.run_dir / f"seed{seed}")
        runs.append(
            cli.once(
                one.run_dir,
                one,
                lambda one=one, seed=seed: load(one, seed),
                lambda *data, one=one, seed=seed: train(one, seed, *data),
            )
        )
    score = _score_of(runs[0])
    tested, validated = (
        score.factor * np.array([number(run[f"{part}_{score.name}"]) for run in runs])
        for part in ("test", "validation")
    )
    return training.write_json(
        config.run_dir / "results.json",
        {
            "model": config.network.model,
            "preset": config.preset,
            "seeds": list(config.seeds),
            score.name: float(tested.mean()),
            "deviation": float(tested.std(ddof=1)) if len(runs) > 1 else None,
            f"validation_{score.name}": float(validated.mean()),
            "paper": None if paper is None else paper[MODELS.index(config.network.model)],
            "runs": runs,
        },
    )


def _score_of(results):
    return F1 if f"test_{F1.name}" in results else ACCURACY


def train_and_evaluate(
    config: Any,
    seed: int,
    epochs: int,
    train: Data,
    validation: Data | None,
    test: Data,
    hparams: dict[str, Any],
) -> dict[str, Any]:
    """Trains, or goes on training, one model; returns what its results.json holds.

    Args:
      config: options, with the run folder of this seed.
      seed: of all that is random.
      epochs: at most.
      train: training data.
      validation: of the same kind; None: the validation nodes of `train`.
      test: whose test nodes, or all, are the test set.
      hparams: to be recorded besides the options.
    """
    training.set_seed(seed)
    model = NodeClassifier.for_data(train, config.network)
    history = training.fit(
        model,
        train,
        validation,
        epochs=epochs,
        folder=config.run_dir,
        seed=seed,
        hparams={"preset": config.preset, **hparams},
        **vars(config.settings),
    )
    results = scores(model, train if validation is None else validation, "validation")
    results |= scores(model, test, "test")
    results |= _show(model, test, config.run_dir, history.epochs)
    score = _score_of(results)
    named = {f"test/{score.name}": results[f"test_{score.name}"]}
    training.write_scores(config.run_dir, named, history.epochs)
    return results | report.trained(history)


def _rows(data, part):
    """Numbers of the labeled nodes of a set."""
    if isinstance(data, LabeledGraph):
        return np.flatnonzero(getattr(data, part))
    return (
        np.flatnonzero(data.labels >= 0) if data.labels.ndim == 1 else np.arange(len(data.labels))
    )


def scores(model: NodeClassifier, data: Data, part: str) -> dict[str, float]:
    """Accuracy, or micro F1 of many labels, and the mean cross entropy in nats, of one set.

    Args:
      model: trained.
      data: the set's graphs.
      part: "train", "validation" or "test": name of the set, and of a LabeledGraph those nodes.
    """
    rows = _rows(data, part)
    labels, predicted = data.labels[rows], model.predict(data)[rows]
    probabilities = np.maximum(model.predict_proba(data)[rows].astype(np.float64), 1e-30)
    if model.multi_label:
        claims = labels.sum() + predicted.sum()
        score = 2.0 * (labels & predicted).sum() / max(claims, 1)
        others = np.maximum(1.0 - probabilities, 1e-30)
        losses = -np.log(np.where(labels, probabilities, others))
    else:
        score = np.mean(labels == predicted)
        losses = -np.log(probabilities[np.arange(len(rows)), labels])
    name = (F1 if model.multi_label else ACCURACY).name
    return {f"{part}_{name}": float(score), f"{part}_loss": float(losses.mean())}


def _show(
    model: NodeClassifier, data: Data, folder: pathlib.Path, step: int
) -> dict[str, list[list[int]]]:
    """The test set's errors as a figure, and what its classes are read from; the confusions."""
    results = {}
    rows = _rows(data, "test")
    labels, predicted = data.labels[rows], model.predict(data)[rows]
    columns = {"class": labels, "predicted": predicted}
    if model.multi_label:
        columns = {"labels": labels, "predicted": predicted, "right": labels & predicted}
        columns = {name: values.sum(axis=1) for name, values in columns.items()}
        if labels.any():
            probabilities = model.predict_proba(data)[rows]
            figure = plots.precision_recall(labels, probabilities, threshold=0.5)
            training.show_figure(folder, "precision_recall", figure, step)
    else:
        counts = np.zeros([len(model.class_names)] * 2, int)
        np.add.at(counts, (labels, predicted), 1)
        results["confusion"] = counts.tolist()
        training.show_figure(folder, "confusion", plots.confusion_matrix(counts), step)
    if isinstance(data, LabeledGraphs):
        columns = {"network": np.repeat(np.arange(len(data)), data.n_node)[rows], **columns}
    training.write_projector(folder, "test nodes", model.states(data)[rows], columns)
    return results


def print_results(config: Any, summary: dict, title: str, paper: str, example: str) -> None:
    """The table, and how to use the model.

    Args:
      config: options.
      summary: what `run_seeds` returned.
      title: what was learned.
      paper: the paper's results, in words.
      example: name of a file that the model could be asked about.
    """
    score = F1 if F1.name in summary else ACCURACY
    digits, parts = score.digits, ("test", "validation")
    print()
    heads = (f"test {score.heading}", f"validation {score.heading}")
    print(f"{'seed':>6}{heads[0]:>9}{heads[1]:>15}{'epochs':>8}{'seconds':>9}")
    for seed, run in zip(summary["seeds"], summary["runs"], strict=True):
        tested, validated = (score.factor * number(run[f"{p}_{score.name}"]) for p in parts)
        print(
            f"{seed:>6}{tested:>9.{digits}f}{validated:>15.{digits}f}"
            f"{run['epochs']:>8}{run['training_seconds']:>9.0f}"
        )
    deviation = summary["deviation"]
    spread = "" if deviation is None else f" +- {deviation:.{digits}f} (deviation of a seed)"
    mean = number(summary[score.name])
    print(f"{title}, {summary['model']}: {mean:.{digits}f} {score.heading}{spread}; {paper}")
    first = config.run_dir / f"seed{summary['seeds'][0]}"
    report.where(config.run_dir, example, first / "model.npz")
