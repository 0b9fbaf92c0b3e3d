"""Densities of sets of points, GNF against RealNVP and against the data's own entropy (5.1).

    python trainers/density.py                                       # quick, on MOG
    python trainers/density.py --dataset half_moons_6 --preset best --seeds 0 1 2
    python trainers/density.py --model realnvp                       # nodes are independent
    python trainers/density.py --data mine.csv                       # own sets, or graphs

Run it again to go on after an interruption, or to print a finished run's table again. The trained
model is the file model.npz of a seed's folder: trainers/predict.py, gnf_tf.models.load.
"""

import dataclasses
import pathlib
import sys
from typing import Annotated, ClassVar, Literal

if __name__ == "__main__":  # a script's own folder is on the path, its project's is not
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
    import trainers  # noqa: F401  # TensorFlow, quietly

import numpy as np
from graph_nets import utils_tf
from scipy import stats

from gnf_tf import datasets, options, training
from gnf_tf.datasets import PointSets
from gnf_tf.datasets.splits import random_parts
from gnf_tf.errors import UserError
from gnf_tf.graphs import GraphsTuple
from gnf_tf.models import DensityConfig, GraphDensity
from gnf_tf.training import DensitySettings, number
from trainers import cli, report

# Table 2 of the paper.
PAPER = {
    ("mog", "gnf"): 3.6,
    ("mog_ring", "gnf"): 4.2,
    ("half_moons_6", "gnf"): -1.7,
    ("mog", "realnvp"): 4.2,
    ("mog_ring", "realnvp"): 5.2,
    ("half_moons_6", "realnvp"): -1.2,
}
# Fewer where the exact density of a set is a sum over 2^20 subsets; the spread is tiny there.
FLOOR_SAMPLES = {"half_moons_6_10_20": 20}
EXACT_SETS = {"half_moons_6_10_20": 150}  # held-out sets compared with their exact density
# Seeds of sets that no training step sees: those of training are positive.
TEST, FIGURES = -2, -3
TEST_CHUNK = 1000  # sets drawn in one call


@dataclasses.dataclass(frozen=True)
class Settings(DensitySettings):
    """`DensitySettings`, where --steps and --epochs say how many steps an epoch has."""

    steps_per_epoch: ClassVar[None] = None  # no option


@dataclasses.dataclass(frozen=True)
class Config(cli.Options):
    """Options; each has the preset's value unless given."""

    preset: cli.Preset = "quick"
    """quick: minutes on 2 cores; paper: section 5.1; best: under half an hour on one core"""
    data: cli.Path = None
    """own sets or graphs in place of these, whose nodes have two or more features: .csv or .npz
    with a column or array `set`, or graphs, see gnf_tf.datasets.read_sets"""
    fractions: options.Fractions = (0.8, 0.1, 0.1)
    """shares of own data for training, validation and test, drawn by the seed"""
    dataset: Literal["mog", "mog_ring", "half_moons_6", "mog_4_9", "half_moons_6_10_20"] = "mog"
    """the last two mix sets of several sizes"""
    model: Literal["gnf", "realnvp"] = "gnf"
    """realnvp is the same flow without attention: --attention none"""
    seeds: options.Seeds = (0,)
    """of the split, the initial weights and the training sets; one model each, trained in turn"""
    steps: options.Count = 3_000
    """training steps, each on fresh sets; of own data as many more as whole passes take"""
    epochs: options.Count = 10
    """parts of the training, each followed by a validation"""
    test_sets: options.AtLeast2 = 10_000
    """held-out sets, where they are drawn"""
    network: Annotated[DensityConfig, cli.FLAT] = DensityConfig()
    settings: Annotated[Settings, cli.FLAT] = Settings()


PRESETS = {
    "quick": Config(),
    "paper": Config(
        preset="paper",
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
        preset="best",
        steps=28_000,
        epochs=40,
        network=DensityConfig(num_steps=8, width=48),
        settings=Settings(learning_rate=3e-3, patience=40),
    ),
}


def resolve(config: Config) -> Config:
    """Checks what options say together, and fills in those that follow from others.

    Raises:
      UserError: naming the option, its value and what was expected.
    """
    if config.steps % config.epochs:
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
    name = config.dataset if config.data is None else config.data.stem
    run_dir = config.run_dir or pathlib.Path("runs") / f"density-{name}-{config.preset}-{model}"
    return dataclasses.replace(config, model=model, run_dir=run_dir, network=network)


def load(config: Config, seed: int) -> tuple:
    """Training, validation and test data; of drawn sets the distribution, which serves for all.

    Raises:
      UserError: for fractions that leave a part empty.
    """
    if config.data is None:
        return (datasets.POINT_SETS[config.dataset],) * 3
    rows = datasets.GraphRows(datasets.read_sets(config.data))
    with report.as_options("data"):
        if rows.whole.nodes.shape[1] < 2:
            raise ValueError(
                f"nodes must have at least 2 features, got {rows.whole.nodes.shape[1]}"
            )
    with report.as_options("fractions"):
        return tuple(
            rows.graph(np.sort(part)) for part in random_parts(len(rows), config.fractions, seed)
        )


def train_and_evaluate(
    config: Config,
    seed: int,
    train: GraphsTuple | PointSets,
    validation: GraphsTuple | PointSets,
    test: GraphsTuple | PointSets,
) -> dict:
    """Trains, or goes on training, in `config.run_dir`; returns what its results.json holds."""
    training.set_seed(seed)
    with report.as_options("data"):
        model = GraphDensity.for_data(train, config.network)
    print(f"seed {seed}; attention to {model.config.attention}; run folder {config.run_dir}")
    history = training.fit(
        model,
        train,
        validation,
        epochs=config.epochs,
        folder=config.run_dir,
        seed=seed,
        hparams={"preset": config.preset, "data": config.data or config.dataset},
        steps_per_epoch=config.steps // config.epochs,
        **vars(config.settings),
    )
    if config.data is None:
        likelihood = held_out(model, config)
        shown = model.draw(test, 1000, seed=(0, FIGURES))
    else:
        likelihood = of_own_data(model, train, test)
        shown = test
    training.show_figure(
        config.run_dir, "sets", training.samples_figure(model, shown), history.epochs
    )
    training.write_scores(
        config.run_dir, {"test/nll [nats/node]": likelihood["nll"]}, history.epochs
    )
    return likelihood | report.trained(history)


def held_out(model: GraphDensity, config: Config) -> dict[str, float]:
    """NLL per node on sets that training never sees, and how far above the least it is.

    The latter from the sets' exact density, over the same sets, so that its error is far below
    that of the NLL.
    """
    sets = datasets.POINT_SETS[config.dataset]
    exact = datasets.log_prob if config.model == "gnf" else datasets.independent_log_prob
    exact_sets = EXACT_SETS.get(config.dataset, config.test_sets)
    n_node, log_probs, exact_log_probs = [], [], []
    for start in range(0, config.test_sets, TEST_CHUNK):
        count = min(TEST_CHUNK, config.test_sets - start)
        graph = model.draw(sets, count, seed=(start, TEST))
        n_node.append(graph.n_node)
        log_probs.append(model.log_prob(graph))
        if start < exact_sets:
            first = utils_tf.get_graph(graph, slice(0, exact_sets - start))
            exact_log_probs.append(exact(sets, first))
    n_node = np.concatenate(n_node)
    log_probs = np.concatenate(log_probs).astype(np.float64)
    exact_log_probs = np.concatenate(exact_log_probs)
    nll, error = _per_node(-log_probs, n_node)
    known = slice(len(exact_log_probs))
    above, above_error = _per_node(exact_log_probs - log_probs[known], n_node[known])
    return {
        "nll": nll,
        "standard_error": error,
        "above_floor": above,
        "above_floor_error": above_error,
        "test_sets": config.test_sets,
    }


def of_own_data(model: GraphDensity, train: GraphsTuple, test: GraphsTuple) -> dict[str, float]:
    """NLL per node of test graphs, and that of a Gaussian fitted to the training nodes."""
    nll, error = _per_node(-model.log_prob(test).astype(np.float64), test.n_node)
    nodes = train.nodes.astype(np.float64)
    try:
        gaussian = stats.multivariate_normal(nodes.mean(axis=0), np.cov(nodes.T))
        of_gaussian = float(-gaussian.logpdf(test.nodes).mean())
    except (np.linalg.LinAlgError, ValueError):  # features that depend on one another
        of_gaussian = None
    return {
        "nll": nll,
        "standard_error": error,
        "gaussian": of_gaussian,
        "test_sets": len(test.n_node),
    }


def _per_node(values, n_node):
    """A sum over sets by that of their nodes, with its standard error, NaN of a single set."""
    mean = values.sum() / n_node.sum()
    if len(values) < 2:
        return float(mean), float("nan")
    rest = values - mean * n_node
    return float(mean), float(rest.std(ddof=1) / n_node.mean() / np.sqrt(len(values)))


def summarize(config: Config, results: list[dict]) -> dict:
    """What the results.json of all seeds together holds: nats per node, and what to compare."""
    several = len(results) > 1

    def over_seeds(name, error_of_one):
        values = np.array([number(r[name]) for r in results], float)
        if several:
            return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
        return float(values.mean()), number(results[0][error_of_one])

    nll, error = over_seeds("nll", "standard_error")
    summary = {
        "dataset": config.dataset if config.data is None else str(config.data),
        "model": config.model,
        "preset": config.preset,
        "seeds": list(config.seeds),
        "nll": nll,
        "error": error,
        "error_over": "seeds" if several else "test sets",
        "runs": results,
    }
    if config.data is not None:
        return summary | {"gaussian": over_seeds("gaussian", "gaussian")[0]}
    sets = datasets.POINT_SETS[config.dataset]
    floor = datasets.nll_floor(sets, FLOOR_SAMPLES.get(config.dataset, 2000))
    independent = datasets.independent_floor(sets)
    above, above_error = over_seeds("above_floor", "above_floor_error")
    return summary | {
        "above_floor": above,
        "above_floor_error": above_error,
        "floor": floor.value,
        "floor_error": floor.error,
        "independent_floor": independent.value,
        "independent_floor_error": independent.error,
        "paper": PAPER.get((config.dataset, config.model)),
    }


def table(summary: dict) -> str:
    """The results as text."""
    is_own = "gaussian" in summary
    columns = {"nll": "NLL", "standard_error": "+-"}
    columns |= {"gaussian": "Gaussian"} if is_own else {"above_floor": "above"}
    columns |= {} if is_own else {"above_floor_error": "+-"}
    lines = [f"{'seed':>6}" + "".join(f"{c:>10}" for c in columns.values()) + f"{'seconds':>9}"]
    for seed, run in zip(summary["seeds"], summary["runs"], strict=True):
        values = "".join(f"{number(run[name]):>10.4f}" for name in columns)
        lines.append(f"{seed:>6}{values}{number(run['training_seconds']):>9.0f}")
    values = {k: number(v) if isinstance(v, float | None) else v for k, v in summary.items()}
    over = f"over {summary['error_over']}"
    if not is_own:
        paper = summary["paper"]
        over += "; not in the paper" if paper is None else f"; paper {paper}"
    lines.append(
        f"{values['dataset']}, {values['model']}: {values['nll']:.4f} +- {values['error']:.4f} "
        f"nats per node ({over})"
    )
    if is_own:
        lines.append(
            f"a Gaussian with the training nodes' mean and covariance: {values['gaussian']:.4f}"
        )
        return "\n".join(lines)
    lines += [
        f"floor of exchangeable densities {values['floor']:.4f} +- {values['floor_error']:.4f}, "
        f"of independent nodes {values['independent_floor']:.4f} +- "
        f"{values['independent_floor_error']:.4f}",
        f"above this model's floor, set by set: {values['above_floor']:.4f} +- "
        f"{values['above_floor_error']:.4f}",
    ]
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    config = resolve(cli.parse(PRESETS, __doc__))
    folders = [config.run_dir / f"seed{seed}" for seed in config.seeds]
    results = []
    for seed, folder in zip(config.seeds, folders, strict=True):
        one = dataclasses.replace(config, run_dir=folder, seeds=(seed,))
        results.append(
            cli.once(
                folder,
                one,
                lambda one=one, seed=seed: load(one, seed),
                lambda *data, one=one, seed=seed: train_and_evaluate(one, seed, *data),
            )
        )
    path = config.run_dir / "results.json"
    if not path.exists() or training.read_json(path)["seeds"] != list(config.seeds):
        training.write_json(path, summarize(config, results) | training.environment())
    summary = training.read_json(path)
    print(f"\n{results[0]['test_sets']} held-out sets")
    print(table(summary))
    report.where(config.run_dir, "more.csv", folders[0] / "model.npz")


if __name__ == "__main__":
    cli.run(main)
