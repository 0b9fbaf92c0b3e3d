"""Graph generation: an auto-encoder and a GNF over its embeddings (5.2).

    python trainers/generation.py                                      # quick, on ego-small
    python trainers/generation.py --dataset community_small --preset best --seeds 0 1 2
    python trainers/generation.py --end-to-end                         # both trained together
    python trainers/generation.py --data mine.g6                       # own graphs

Run it again to go on after an interruption, or to print a finished run's table again. The trained
generator is the file model.npz of the folder of each seed: trainers/predict.py, gnf_tf.models.load.
"""

import dataclasses
import pathlib
import sys

if __name__ == "__main__":  # a script's own folder is on the path, its project's is not
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
    import trainers  # noqa: F401  # TensorFlow, quietly

import numpy as np

from gnf_tf import metrics, options, plots, training
from gnf_tf.training import number
from trainers import cli, generator_evaluation, generator_options, report
from trainers.generator_options import PAPER as PAPER_OPTIONS
from trainers.generator_options import PAPER_TRAINING, Network, Training

SHOWN = 12  # graphs
# Tables 4 and 5 of the paper, degree / clustering / orbit: its GNF, as many as test graphs and
# matched in size, and "(1024)".
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
    """Options; each has the preset's value unless given."""

    preset: cli.Preset = "quick"
    """quick: minutes on 2 cores; paper: section 5.2's sizes, for a GPU; best: under 2 hours"""
    end_to_end: bool = False
    """train encoder, decoder and flow together on a bound of the graphs' likelihood"""
    num_generated: options.AtLeast2 = 1024
    """graphs generated for an evaluation"""
    trials: options.Count = 3
    """evaluations of each model, each on graphs of its own"""


PRESETS = {
    "quick": Config(),
    "paper": Config(
        preset="paper",
        **PAPER_OPTIONS,
        network=Network(
            encoder_width=2048, encoder_blocks=10, num_heads=8, num_steps=12, width=2048
        ),
        settings=PAPER_TRAINING,
    ),
    "best": Config(
        preset="best",
        steps=12_000,
        epochs=24,
        settings=Training(beta=0.3, patience=24),
    ),
}


def resolve(config: Config) -> Config:
    """Fills in the options that follow from others; errors as `generator_options.resolve`."""
    how, network = "two-stage", {}
    if config.end_to_end:
        how = "end-to-end"
        network = {
            "encoder": "flow",
            "embedding_size": 14,
            "encoder_blocks": 2,
            "decoder_blocks": 2,
        }
    run_name = f"generation-{{}}-{config.preset}-{how}"
    return generator_options.resolve(config, run_name=run_name, **network)


def train_and_evaluate(config: Config, seed: int, *sets: list) -> dict:
    """Trains, or goes on training, one model; returns what its results.json holds."""
    train, _, test = sets
    folder = config.run_dir
    generator, histories = generator_options.train(config, seed, folder, sets)
    results = {stage: report.trained(history) for stage, history in histories.items()}
    results["generation"] = []
    for trial in range(config.trials):
        generated = generator.generate(config.num_generated, seed=trial)
        results["generation"].append(metrics.evaluate(generated, test, train=train))
    for name, members in (("train", train), ("test", test)):
        likelihood = generator_evaluation.likelihood(generator, members, seed=seed)
        results[f"likelihood_{name}"] = likelihood
    step = histories[generator.stage].epochs
    for name, draw, shown in (
        ("graphs", plots.graph_gallery, SHOWN),
        ("statistics", plots.graph_statistics, None),
    ):
        figure = draw({"test graphs": test[:shown], "generated": generated[:shown]})
        training.show_figure(folder, name, figure, step)
    scores = {f"test/mmd/{name}": _mean(results, name) for name in metrics.STATISTICS}
    training.write_scores(folder / generator.stage, scores, step)
    return results | generator_evaluation.reconstruction(generator, train, test)


def _mean(results, name):
    return np.mean([report["all"][name]["value"] for report in results["generation"]])


def summarize(config: Config, runs: list[dict]) -> dict:
    """What the results.json of all seeds together holds: means and deviations over all trials."""
    reports = [report for run in runs for report in run["generation"]]

    def over_trials(values):
        values = np.array(values, float)
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
        return {"mean": float(np.mean(values)), "deviation": deviation}

    def mmds(scheme):
        if any(report[scheme] is None for report in reports):
            return None
        return {
            name: over_trials([_value(report[scheme][name]) for report in reports])
            for name in metrics.STATISTICS
        }

    return {
        "dataset": config.graphs,
        "preset": config.preset,
        "end_to_end": config.end_to_end,
        "seeds": config.seeds,
        "trials": config.trials,
        **{scheme: mmds(scheme) for scheme in SCHEMES},
        "uniqueness": over_trials([report["uniqueness"] for report in reports]),
        "novelty": over_trials([report["novelty"] for report in reports]),
        "train": {name: _value(reports[0]["train"][name]) for name in metrics.STATISTICS},
        "paper": PAPER.get(config.graphs),
        "runs": runs,
    }


def _value(found):
    return found["value"] if isinstance(found, dict) else found


def table(summary: dict) -> str:
    """The results as text."""
    lines = [f"{'MMD to the test graphs':<36}" + "".join(f"{n:>18}" for n in metrics.STATISTICS)]
    for scheme, label in SCHEMES.items():
        if summary[scheme] is not None:
            cells = [_cell(summary[scheme][name]) for name in metrics.STATISTICS]
            lines.append(f"{label:<36}" + "".join(f"{cell:>18}" for cell in cells))
        if summary["paper"] and scheme in summary["paper"]:
            cells = summary["paper"][scheme]
            lines.append(f"{'  paper, its GNF':<36}" + "".join(f"{cell:>18}" for cell in cells))
    cells = [f"{number(summary['train'][name]):.4f}" for name in metrics.STATISTICS]
    lines.append(f"{'training graphs':<36}" + "".join(f"{cell:>18}" for cell in cells))
    lines.append(
        f"unique {summary['uniqueness']['mean']:.1%}, not in training "
        f"{summary['novelty']['mean']:.1%}; {len(summary['seeds'])} models, "
        f"{summary['trials']} trials each"
    )
    what = "bound on -log p(graph)" if summary["end_to_end"] else "-log p(embedding)"
    for seed, run in zip(summary["seeds"], summary["runs"], strict=True):
        train, test = (
            _cell(run[f"likelihood_{name}"], "loss", "standard_error", 2)
            for name in ("train", "test")
        )
        lines.append(f"{what}, seed {seed}: train {train}, test {test} nats a graph")
    return "\n".join(lines + generator_evaluation.reconstruction_lines(summary["runs"]))


def _cell(found, value="mean", spread="deviation", digits=4):
    text = f"{number(found[value]):.{digits}f}"
    return text if found[spread] is None else f"{text} +- {found[spread]:.{digits}f}"


def main() -> None:
    """The command line."""
    config = resolve(cli.parse(PRESETS, __doc__))
    runs = generator_options.of_seeds(config, train_and_evaluate)
    summary = training.write_json(config.run_dir / "results.json", summarize(config, runs))
    print()
    print(table(summary))
    model = config.run_dir / f"seed{config.seeds[0]}" / "model.npz"
    report.where(config.run_dir, "1000", model, "graphs.g6")


if __name__ == "__main__":
    cli.run(main)
