"""Graph generation: an auto-encoder and a GNF over its embeddings (5.2).

    python trainers/generation.py                                      # quick, on ego-small
    python trainers/generation.py --dataset community_small --preset best --seeds 0 1 2
    python trainers/generation.py --end-to-end                         # both trained together

Run it again to go on after an interruption, or to print a finished run's table again. The trained
generator is the file generator.npz of the run folder: gnf_tf.models.GraphGenerator.load.
"""

import dataclasses
import pathlib
import sys
from typing import Literal

if __name__ == "__main__":  # a script's own folder is on the path, its project's is not
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
    import trainers  # noqa: F401  # TensorFlow, quietly

import numpy as np

from gnf_tf import metrics, plots
from gnf_tf.models import GeneratorConfig, GraphGenerator
from trainers import common, options, training
from trainers import generation_stages as stages
from trainers.generation_model import likelihood

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
class Config(stages.Options):
    """Options; each has the preset's value unless given."""

    preset: Literal["quick", "paper", "best"] = "quick"
    """quick: minutes on 2 cores; paper: section 5.2's sizes, for a GPU; best: under 2 hours"""
    end_to_end: bool = False
    """train encoder, decoder and flow together on a bound of the graphs' likelihood"""
    encoder_steps: options.Count = 4
    """steps of the encoder, where it is a flow (end to end)"""
    rate_weight: options.ShareOfAll = 1.0
    """end to end, of log q(X | edges) - log p(X); 1: the loss is a bound on the likelihood"""
    num_steps: options.Count = 6
    """steps of the flow over embeddings"""
    width: options.Count = 64
    """of its networks"""
    num_blocks: options.Count = 1
    """attention blocks of its networks"""
    coupling: Literal["affine", "spline"] = "affine"
    """of all flows"""
    num_generated: options.AtLeast2 = 1024
    """graphs generated for an evaluation"""
    trials: options.Count = 3
    """evaluations of each model, each on graphs of its own"""


PRESETS = {
    "quick": Config(),
    "paper": Config(preset="paper", num_steps=12, width=2048, **stages.PAPER_OPTIONS),
    "best": Config(preset="best", steps=12_000, epochs=24, rate_weight=0.3),
}


def resolve(config: Config) -> Config:
    """Checks the options and fills in those that follow from others.

    Raises:
      UserError: naming the option, its value and what was expected.
    """
    how, defaults = "two-stage", {"encoder_blocks": 6, "decoder_blocks": 0}
    if config.end_to_end:
        how, defaults = (
            "end-to-end",
            {"encoder_blocks": 2, "decoder_blocks": 2, "embedding_size": 14},
        )
    run_name = f"generation-{{}}-{config.preset}-{how}"
    return stages.resolve(config, run_name=run_name, multiples_of_heads=["width"], **defaults)


def make_generator(config: Config, train: list, test: list) -> GraphGenerator:
    """Untrained; its auto-encoder takes test graphs of any size."""
    sizes = GeneratorConfig(
        embedding_size=config.embedding_size,
        encoder="flow" if config.end_to_end else "network",
        encoder_width=config.encoder_width,
        encoder_blocks=config.encoder_blocks,
        encoder_steps=config.encoder_steps,
        decoder_blocks=config.decoder_blocks,
        num_steps=config.num_steps,
        width=config.width,
        num_blocks=config.num_blocks,
        num_heads=config.num_heads,
        coupling=config.coupling,
    )
    return stages.new_generator(sizes, train, test)


def evaluate(config: Config, seed: int, generator: GraphGenerator, train: list, test: list) -> dict:
    """What results.json holds of one trained generator; writes figures to its folder."""
    folder = config.run_dir / f"seed{seed}"
    results: dict = {"generation": []}
    for trial in range(config.trials):
        generated = generator.generate(config.num_generated, seed=trial)
        results["generation"].append(metrics.evaluate(generated, test, train=train))
    panels = {"test graphs": test[: stages.SHOWN], "generated": generated[: stages.SHOWN]}
    plots.graph_gallery(panels).savefig(folder / "graphs.png", dpi=110)
    sets = {"test graphs": test, "generated": generated}
    plots.graph_statistics(sets).savefig(folder / "statistics.png", dpi=110)
    last = "end_to_end" if config.end_to_end else "flow"
    for name, members in (("train", train), ("test", test)):
        results[f"likelihood_{name}"] = likelihood(generator, last, members, seed=seed)
    return results | stages.reconstructions(config, generator, train, test)


def train_and_evaluate(config: Config, seed: int) -> dict:
    """Trains, or goes on training, one model; returns what its results.json holds."""
    results_path = config.run_dir / f"seed{seed}" / "results.json"
    # Before the folder is made, which data that can\'t be had leave as it is.
    sets = None if results_path.exists() else stages.load_graphs(config)
    folder = training.open_seed(config, seed)
    if sets is None:
        return common.read_json(results_path)
    train, test = sets
    generator = make_generator(config, train, test)
    names = ("end_to_end",) if config.end_to_end else ("auto_encoder", "flow")
    results = {
        stage: stages.train_stage(
            config, seed, generator, stage, train, rate_weight=config.rate_weight
        )
        for stage in names
    }
    generator.save(folder / "generator.npz")
    results |= evaluate(config, seed, generator, train, test) | common.environment()
    return common.write_json(results_path, results)


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
        "seeds": list(config.seeds),
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
    cells = [f"{common.number(summary['train'][name]):.4f}" for name in metrics.STATISTICS]
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
    return "\n".join(lines + stages.reconstruction_lines(summary["runs"]))


def _cell(found, value="mean", spread="deviation", digits=4):
    text = f"{common.number(found[value]):.{digits}f}"
    return text if found[spread] is None else f"{text} +- {found[spread]:.{digits}f}"


def main() -> None:
    """The command line."""
    config = resolve(common.parse(PRESETS, "quick", __doc__))
    runs = [train_and_evaluate(config, seed) for seed in config.seeds]
    summary = summarize(config, runs)
    summary = common.write_json(config.run_dir / "results.json", summary)
    print()
    print(table(summary))
    print(f"curves and figures: tensorboard --logdir {config.run_dir}")


if __name__ == "__main__":
    common.run(main)
