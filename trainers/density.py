"""Trains densities of sets of points, GNF or RealNVP, and compares them with the entropy (5.1).

Examples:
    python trainers/density.py                                       # quick, on MOG
    python trainers/density.py --dataset half_moons_6 --preset best --seeds 0 1 2
    python trainers/density.py --model realnvp                       # nodes are independent
    python trainers/density.py --data mine.csv                       # own sets, or graphs
"""

import dataclasses
import functools
import math
import pathlib
import sys
from typing import Annotated, ClassVar, Literal

if __name__ == "__main__":  # Python adds the folder of a script to its path, not the project's
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
    import trainers  # noqa: F401  # TensorFlow, quietly

import numpy as np
from graph_nets import utils_tf

from gnf_tf import datasets, graphs, metrics, options, training
from gnf_tf.datasets import PointSets
from gnf_tf.errors import UserError
from gnf_tf.graphs import GraphsTuple
from gnf_tf.models import DensityConfig, GraphDensity
from gnf_tf.training import DensitySettings
from trainers import cli, report, runner

# Table 2 of the paper.
PAPER = {
    ("mog", "gnf"): 3.6,
    ("mog_ring", "gnf"): 4.2,
    ("half_moons_6", "gnf"): -1.7,
    ("mog", "realnvp"): 4.2,
    ("mog_ring", "realnvp"): 5.2,
    ("half_moons_6", "realnvp"): -1.2,
}
# The exact density of a set of 20 points is a sum over 2^20 subsets; few samples suffice there.
FLOOR_SAMPLES = {"half_moons_6_10_20": 20}
EXACT_SETS = {"half_moons_6_10_20": 150}  # held-out sets compared with their exact density
# Seeds of held-out sets; the seeds of training steps are positive.
TEST, FIGURES = -2, -3
CHUNK = 1000  # sets drawn in one call
PART = 25  # steps between validations of own data: a model of few sets soon knows them by heart


@dataclasses.dataclass(frozen=True)
class Settings(DensitySettings):
    """`DensitySettings` without `steps_per_epoch`, which --steps and --epochs determine."""

    steps_per_epoch: ClassVar[None] = None


@dataclasses.dataclass(frozen=True)
class Config(cli.Options):
    """The options of the trainer; one that is not given has the preset's value."""

    dataset: Literal["mog", "mog_ring", "half_moons_6", "mog_4_9", "half_moons_6_10_20"] = "mog"
    """the distribution of the sets; the last two have sets of several sizes"""
    model: Literal["gnf", "realnvp"] = "gnf"
    """realnvp is the same flow without attention (--attention none)"""
    seeds: options.Seeds = (0,)
    """seeds of the split, the initial weights and the training sets; each trains one model"""
    steps: options.Count = 3_000
    """training steps, each on new sets; on your own data, rounded up to whole passes"""
    epochs: options.Count = 10
    """parts of the training, each of which ends with a validation; on your own data there are more,
    a part for each pass, or for 25 steps if a pass has fewer"""
    test_sets: options.AtLeast2 = 10_000
    """held-out sets of the distribution, by which the model is scored"""
    network: Annotated[DensityConfig, cli.FLAT] = DensityConfig()
    settings: Annotated[Settings, cli.FLAT] = Settings()


PRESETS = {
    "quick": Config(network=DensityConfig(rank_frequencies=8)),
    "paper": Config(  # section 5.1
        steps=15_000,
        epochs=30,
        network=DensityConfig(
            num_steps=12,
            conditioner="attention",
            width=256,
            num_blocks=4,
            num_heads=8,
            coupling="affine",
            mean_scaling=False,
            mixing=False,
        ),
        settings=Settings(
            batch_size=32, learning_rate=1e-4, beta_2=0.9, ema_decay=0.0, patience=30
        ),
    ),
    "best": Config(
        steps=28_000,
        epochs=40,
        network=DensityConfig(num_steps=8, width=48, rank_frequencies=8),
        settings=Settings(learning_rate=3e-3, patience=40),
    ),
}


def resolve(config: Config) -> Config:
    """Checks combinations of options, and sets those that follow from others.

    Raises:
      UserError: naming the option, its value and what was expected.
    """
    config.check_source(PRESETS[config.preset], "dataset", "test_sets", "validation_sets")
    if config.data is None and config.steps % config.epochs:
        raise UserError(
            f"--steps must be a multiple of --epochs, {config.epochs}, got {config.steps}"
        )
    network = config.network
    if config.model == "realnvp":
        if network.attention not in (None, "none"):
            raise UserError(
                f"--attention must be none for --model realnvp, got {network.attention}"
            )
        network = dataclasses.replace(network, attention="none")
    model = "realnvp" if network.attention == "none" else "gnf"
    return config.placed("density", config.dataset, model, model=model, network=network)


def load(config: Config, seed: int) -> tuple:
    """Returns training, validation and test data; without --data, three times the distribution.

    Raises:
      UserError: if nodes have fewer than 2 features, or a part of the data is empty.
    """
    if config.data is None:
        return (datasets.POINT_SETS[config.dataset],) * 3
    rows = datasets.GraphRows(datasets.read_sets(config.data))
    with report.as_options("data"):
        if rows.whole.nodes.shape[1] < 2:
            raise ValueError(
                f"nodes must have at least 2 features, got {rows.whole.nodes.shape[1]}"
            )
    return tuple(rows.graph(np.sort(part)) for part in config.parts(len(rows), seed))


def train_and_evaluate(
    config: Config,
    seed: int,
    train: GraphsTuple | PointSets,
    validation: GraphsTuple | PointSets,
    test: GraphsTuple | PointSets,
) -> dict:
    """Trains one model, or resumes its training; returns the content of its results.json."""
    training.set_seed(seed)
    with report.as_options("data"):
        model = GraphDensity.for_data(train, config.network)
        if config.data is not None:
            model.feature_names = datasets.feature_names(config.data)
    print(f"seed {seed}; attention to {model.config.attention}; run folder {config.run_dir}")
    steps = config.steps // config.epochs
    if config.data is not None:
        num_batches = -(-len(train.n_node) // config.settings.batch_size)
        epochs, steps = parts(config.steps, config.epochs, num_batches)
        config = dataclasses.replace(config, epochs=epochs)
    history = report.fit(model, train, validation, config, seed, steps_per_epoch=steps)
    shown = test
    if config.data is None:
        shown = model.draw(test, 1000, seed=(0, FIGURES))
        test = held_out(model, test, config.test_sets)
    log_probs = model.log_prob(test)
    nll, error = metrics.mean_per_node(-log_probs, test.n_node)
    if config.data is None:
        reference = floors(config.dataset) | above_floor(config, test, log_probs)
    else:
        reference = {"gaussian": metrics.gaussian_nll(train.nodes, test.nodes)}
    figure = training.samples_figure(model, shown)
    training.show_figure(config.run_dir, "sets", figure, history.steps)
    training.write_scores(config.run_dir, {"test/nll [nats per node]": nll}, history.steps)
    scores = {"nll": nll, "standard_error": error, "test_sets": len(test.n_node)}
    return scores | reference | report.trained(history)


def parts(steps: int, epochs: int, num_batches: int) -> tuple[int, int]:
    """Divides a training on own data, whose parts are whole passes over the data.

    Args:
      steps: least number of training steps.
      epochs: least number of parts, if each can have a pass.
      num_batches: number of training steps in a pass.

    Returns:
      The number of parts, and that of the training steps in each.
    """
    wanted = max(1, min(steps // epochs, max(PART, num_batches)))
    of_one = num_batches * -(-wanted // num_batches)
    return -(-steps // of_one), of_one


def held_out(model: GraphDensity, sets: PointSets, num_sets: int) -> GraphsTuple:
    """Draws test sets, with seeds that no training step uses."""
    starts = range(0, num_sets, CHUNK)
    return graphs.batch(
        [model.draw(sets, min(CHUNK, num_sets - i), seed=(i, TEST)) for i in starts]
    )


def above_floor(config: Config, test: GraphsTuple, log_probs: np.ndarray) -> dict[str, float]:
    """Returns how far the NLL per node is above the least possible one.

    The exact density of the same test sets is subtracted, so that the randomness of the sets
    cancels and the standard error is far below that of the NLL.
    """
    exact = datasets.log_prob if config.model == "gnf" else datasets.independent_log_prob
    sets = datasets.POINT_SETS[config.dataset]
    count = min(len(log_probs), EXACT_SETS.get(config.dataset, len(log_probs)))
    parts = [
        exact(sets, utils_tf.get_graph(test, slice(i, min(i + CHUNK, count))))
        for i in range(0, count, CHUNK)
    ]
    lacking = np.concatenate(parts) - log_probs[:count]
    above, error = metrics.mean_per_node(lacking, test.n_node[:count])
    return {"above_floor": above, "above_floor_error": error}


@functools.cache  # the same for every seed
def floors(dataset: str) -> dict[str, float]:
    """Returns the least NLL per node of exchangeable densities, and of independent nodes."""
    sets = datasets.POINT_SETS[dataset]
    least = {
        "floor": datasets.nll_floor(sets, FLOOR_SAMPLES.get(dataset, 2000)),
        "independent_floor": datasets.independent_floor(sets),
    }
    errors = {f"{name}_error": estimate.error for name, estimate in least.items()}
    return {name: estimate.value for name, estimate in least.items()} | errors


def summarize(config: Config, runs: list[dict]) -> dict:
    """Returns means over seeds, in nats per node, and the values that they are compared with."""
    summary = {
        "model": config.model,
        "error_over": "seeds" if len(runs) > 1 else "test sets",
    }
    if config.data is None:
        summary |= {"paper": PAPER.get((config.dataset, config.model))}
        summary |= {name: value for name, value in runs[0].items() if "floor" in name}
    compared = "above_floor" if config.data is None else "gaussian"
    for name, of_one, error in (
        ("nll", "standard_error", "error"),
        (compared, f"{compared}_error", f"{compared}_error"),
    ):
        summary[name], deviation = metrics.mean_and_deviation([run[name] for run in runs])
        several = deviation is not None
        summary[error] = deviation / math.sqrt(len(runs)) if several else runs[0].get(of_one)
    return summary


def table(summary: dict) -> str:
    """Returns the results as text."""
    is_own = "gaussian" in summary
    reference = [("Gaussian", "gaussian", ".4f")]
    if not is_own:
        reference = [("above", "above_floor", ".4f"), ("+-", "above_floor_error", ".4f")]
    text = report.table(
        summary["runs"],
        ("seed", "seed", "d"),
        ("NLL", "nll", ".4f"),
        ("+-", "standard_error", ".4f"),
        *reference,
        ("seconds", "training_seconds", ".0f"),
    )

    def value(name, error=None):
        return report.text(summary[name], ".4f", error and summary[error])

    over = f"over {summary['error_over']}"
    if not is_own:
        paper = summary["paper"]
        over += "; not in the paper" if paper is None else f"; paper {paper}"
    text += f"\n{summary['dataset']}, {summary['model']}: {value('nll', 'error')} nats per node"
    text += f" ({over})"
    if is_own:
        return (
            f"{text}\na Gaussian with the training nodes' mean and covariance: {value('gaussian')}"
        )
    return (
        f"{text}\nfloor of exchangeable densities {value('floor', 'floor_error')}, of independent "
        f"nodes {value('independent_floor', 'independent_floor_error')}\n"
        f"above this model's floor, set by set: {value('above_floor', 'above_floor_error')}"
    )


def main() -> None:
    """Runs the command line."""
    config = resolve(cli.parse(PRESETS, __doc__))
    summary = runner.train(config, load, train_and_evaluate, summarize)
    text = f"{summary['runs'][0]['test_sets']} held-out sets\n{table(summary)}"
    report.show(config, text, "more.csv")


if __name__ == "__main__":
    cli.run(main)
