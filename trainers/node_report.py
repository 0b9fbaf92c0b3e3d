"""The common parts of the citation and the PPI trainer: options, training, the table."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any

from gnf_tf import datasets, metrics, options, training
from gnf_tf.datasets import LabeledGraph, LabeledGraphs
from gnf_tf.models import ClassifierConfig, NodeClassifier
from gnf_tf.training import NodeSettings
from trainers import cli, report

__all__ = ["NodeOptions", "neumann_rbp", "summarize", "table", "train_and_evaluate"]

Data = LabeledGraph | LabeledGraphs


# Heading and format of the scores of `metrics.classification_scores`.
SCORES = {"accuracy": ("accuracy", ".1%"), "f1": ("F1", ".3f")}


@dataclasses.dataclass(frozen=True)
class NodeOptions(cli.Options):
    """The options that both trainers have.

    A trainer adds `epochs`, and `paper`, the paper's scores in words or None.
    """

    seeds: options.Seeds = (0,)
    """seeds of everything random; each trains one model"""
    network: Annotated[ClassifierConfig, cli.FLAT] = ClassifierConfig()
    settings: Annotated[NodeSettings, cli.FLAT] = NodeSettings()


def neumann_rbp(config: Any) -> Any:
    """Adapts a preset to Neumann RBP, which has the library's defaults in all presets."""
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
    """Trains one model, or resumes its training; returns the content of its results.json.

    Args:
      config: options, with the run folder of this seed.
      seed: seed of everything random.
      train: data for training: the training nodes of a LabeledGraph, or all of LabeledGraphs.
      validation: data for validation, in the same way.
      test: data for the test, in the same way.
    """
    print(f"{config.title}, seed {seed}; run folder {config.run_dir}")
    training.set_seed(seed)
    model = NodeClassifier.for_data(train, config.network)
    if config.data is not None:
        model.feature_names = datasets.feature_names(config.data)
    history = report.fit(model, train, validation, config, seed)
    validated = training.evaluate_nodes(model, validation, "validation")
    tested = training.evaluate_nodes(model, test, "test", config.run_dir, history.steps)
    score = _score_of(tested)
    training.write_scores(config.run_dir, {f"test/{score}": tested[score]}, history.steps)
    results = {f"validation_{name}": value for name, value in validated.items()}
    return report.trained(history) | results | {f"test_{k}": v for k, v in tested.items()}


def _score_of(results: Mapping[str, Any]) -> str:
    return "f1" if results.keys() & {"f1", "test_f1"} else "accuracy"


def summarize(config: Any, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns the mean and the deviation of the scores over seeds."""
    name = _score_of(runs[0])
    validated, _ = metrics.mean_and_deviation([run[f"validation_{name}"] for run in runs])
    tested, deviation = metrics.mean_and_deviation([run[f"test_{name}"] for run in runs])
    found = {name: tested, "deviation": deviation, f"validation_{name}": validated}
    return found | {"model": config.network.model, "paper": config.paper}


def table(summary: dict[str, Any]) -> str:
    """Returns the results as text."""
    name = _score_of(summary["runs"][0])
    heading, form = SCORES[name]
    text = report.table(
        summary["runs"],
        ("seed", "seed", "d"),
        (f"test {heading}", f"test_{name}", form),
        (f"validation {heading}", f"validation_{name}", form),
        ("epochs", "epochs", "d"),
        ("seconds", "training_seconds", ".0f"),
    )
    deviation = summary["deviation"]
    return (
        f"{text}\n{summary['dataset']}, {summary['model']}: {heading} "
        f"{report.text(summary[name], form, deviation)}"
        f"{'' if deviation is None else ' (deviation of a seed)'}; "
        f"{summary['paper'] or 'not in the paper'}"
    )
