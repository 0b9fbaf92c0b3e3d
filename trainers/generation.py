"""Trains a graph generator, an auto-encoder and a GNF over its embeddings (5.2).

Examples:
    python trainers/generation.py                                      # quick, on ego-small
    python trainers/generation.py --dataset community_small --preset best --seeds 0 1 2
    python trainers/generation.py --end-to-end                         # both trained together
    python trainers/generation.py --data mine.g6                       # own graphs
"""

import dataclasses
import pathlib
import sys
from collections.abc import Sequence

if __name__ == "__main__":  # Python adds the folder of a script to its path, not the project's
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
    import trainers  # noqa: F401  # TensorFlow, quietly

import networkx as nx
import numpy as np

from gnf_tf import metrics, options, plots, training
from gnf_tf.models import GraphGenerator
from trainers import cli, generator_options, report
from trainers.generator_options import PAPER as PAPER_OPTIONS
from trainers.generator_options import PAPER_TRAINING, Network, Training, load

SHOWN = 6  # graphs of each kind in a picture
# Tables 4 and 5 of the paper, its GNF, degree / clustering / orbit: the rows with as many graphs as
# test graphs, matched in size, and the rows "(1024)".
PAPER = {
    "community_small": {
        "all": (0.12, 0.15, 0.02),
        "matched_with_replacement": (0.20, 0.20, 0.11),
    },
    "ego_small": {
        "all": (0.01, 0.03, 0.0008),
        "matched_with_replacement": (0.03, 0.10, 0.001),
    },
}
SCHEMES = {
    "all": "all generated graphs",
    "matched_with_replacement": "matched in size, with replacement",
    "matched_without_replacement": "matched in size, without",
}


@dataclasses.dataclass(frozen=True)
class Config(generator_options.Options):
    """The options of the trainer; one that is not given has the preset's value."""

    end_to_end: bool = False
    """trains encoder, decoder and flow together on a bound of the graphs' likelihood"""
    num_generated: options.AtLeast2 = 1024
    """graphs that are generated for one evaluation"""
    trials: options.Count = 3
    """evaluations of each model, each on newly generated graphs"""


PRESETS = {
    "quick": Config(),
    "paper": Config(  # section 5.2, for a GPU
        **PAPER_OPTIONS,
        network=Network(
            encoder_width=2048, encoder_blocks=10, num_heads=8, num_steps=12, width=2048
        ),
        settings=PAPER_TRAINING,
    ),
    "best": Config(
        steps=12_000,
        epochs=24,
        settings=Training(beta=0.3, patience=24),
    ),
}


def resolve(config: Config) -> Config:
    """Sets the options that follow from others, see `generator_options.resolve`."""
    if not config.end_to_end:
        return generator_options.resolve(config, "generation", "two-stage")
    sizes = {"embedding_size": 14, "encoder_blocks": 2, "decoder_blocks": 2}
    return generator_options.resolve(config, "generation", "end-to-end", encoder="flow", **sizes)


def train_and_evaluate(config: Config, seed: int, *sets: list) -> dict:
    """Trains one model, or resumes its training; returns the content of its results.json."""
    train, _, test = sets
    generator, histories = generator_options.train(config, seed, sets)
    results = {stage: report.trained(history) for stage, history in histories.items()}
    results["generation"] = []
    for trial in range(config.trials):
        generated = generator.generate(config.num_generated, seed=trial)
        results["generation"].append(metrics.evaluate(generated, test, train=train))
    encoded = generator.decoded_encodings(train, seed=seed)
    results["decoded_encodings"] = {s: metrics.mmd(test, encoded, s) for s in metrics.STATISTICS}
    results["connected"] = {
        name: float(np.mean([metrics.is_connected(graph) for graph in members]))
        for name, members in (("generated", generated), ("decoded_encodings", encoded))
    }
    for name, members in (("train", train), ("test", test)):
        results[f"likelihood_{name}"] = likelihood(generator, members, seed)
    step = histories[generator.stage].epochs
    for name, draw, shown in (
        ("graphs", plots.graph_gallery, SHOWN),
        ("statistics", plots.graph_statistics, None),
    ):
        figure = draw({"test graphs": test[:shown], "generated": generated[:shown]})
        training.show_figure(config.run_dir, name, figure, step)
    means = _mmds(results["generation"], "all")
    scores = {f"test/mmd/{name}": value["mean"] for name, value in means.items()}
    for name, value in results["decoded_encodings"].items():
        scores[f"test/mmd_of_decoded_encodings/{name}"] = value
    training.write_scores(config.run_dir / generator.stage, scores, step)
    return results | generator_options.reconstruction(generator, train, test)


def likelihood(
    generator: GraphGenerator, members: Sequence[nx.Graph], seed: int
) -> dict[str, float | None]:
    """Returns the mean of -log p(X) over graphs; end to end, of a bound on -log p(edges)."""
    log_prob = generator.elbo if generator.stage == "end_to_end" else generator.log_prob
    loss, deviation = metrics.mean_and_deviation(-log_prob(members, seed=seed).numpy())
    error = None if deviation is None else deviation / np.sqrt(len(members))
    return {"loss": loss, "standard_error": error}


def summarize(config: Config, runs: list[dict]) -> dict:
    """Returns means and deviations over the trials of all seeds."""
    trials = [trial for run in runs for trial in run["generation"]]
    return {
        "end_to_end": config.end_to_end,
        "trials": config.trials,
        **{scheme: _mmds(trials, scheme) for scheme in SCHEMES},
        "uniqueness": _over_trials([trial["uniqueness"] for trial in trials]),
        "novelty": _over_trials([trial["novelty"] for trial in trials]),
        "train": {name: found["mean"] for name, found in _mmds(trials[:1], "train").items()},
        "paper": PAPER.get(config.title),
    }


def _mmds(trials: list[dict], scheme: str) -> dict[str, dict] | None:
    """Returns the mean and the deviation of each MMD of `metrics.evaluate` over trials."""
    if any(trial[scheme] is None for trial in trials):
        return None
    found = {name: [trial[scheme][name] for trial in trials] for name in metrics.STATISTICS}
    return {
        name: _over_trials([x["value"] if isinstance(x, dict) else x for x in values])
        for name, values in found.items()
    }


def _over_trials(values: list[float]) -> dict[str, float | None]:
    return dict(zip(("mean", "deviation"), metrics.mean_and_deviation(values), strict=True))


def table(summary: dict) -> str:
    """Returns the results as text."""

    def cells(means):
        return {s: report.text(m["mean"], ".4f", m["deviation"]) for s, m in means.items()}

    rows = []
    for scheme, label in SCHEMES.items():
        if summary[scheme] is not None:
            rows.append({"": label} | cells(summary[scheme]))
        if scheme in (summary["paper"] or {}):
            theirs = zip(metrics.STATISTICS, [*summary["paper"][scheme], None], strict=True)
            rows.append({"": "  paper, its GNF"} | {s: report.text(x, "") for s, x in theirs})
    train = {s: report.text(value, ".4f") for s, value in summary["train"].items()}
    rows.append({"": "training graphs"} | train)
    columns = [(statistic, statistic, ">") for statistic in metrics.STATISTICS]
    lines = [report.table(rows, ("MMD to the test graphs", "", ""), *columns)]
    lines.append(
        f"unique {summary['uniqueness']['mean']:.1%}, not in training "
        f"{summary['novelty']['mean']:.1%}; {len(summary['runs'])} models, "
        f"{summary['trials']} trials each"
    )
    # Where decoded encodings are good and generated graphs are not, the flow is to blame.
    for run in summary["runs"]:
        lines.append(
            f"decoded encodings of training graphs, seed {run['seed']}: MMD "
            + ", ".join(f"{name} {value:.4f}" for name, value in run["decoded_encodings"].items())
            + "; connected {decoded_encodings:.1%}, of generated graphs {generated:.1%}".format(
                **run["connected"]
            )
        )
    what = "bound on -log p(graph)" if summary["end_to_end"] else "-log p(embedding)"
    for run in summary["runs"]:
        train, test = (
            report.text(found["loss"], ".2f", found["standard_error"])
            for found in (run["likelihood_train"], run["likelihood_test"])
        )
        lines.append(f"{what}, seed {run['seed']}: train {train}, test {test} nats a graph")
    return "\n".join(lines + generator_options.reconstruction_lines(summary["runs"]))


def main() -> None:
    """Runs the command line."""
    config = resolve(cli.parse(PRESETS, __doc__))
    summary = cli.train(config, load, train_and_evaluate, summarize)
    report.show(config, table(summary), "1000", "graphs.g6")


if __name__ == "__main__":
    cli.run(main)
