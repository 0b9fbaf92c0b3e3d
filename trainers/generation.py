"""Graph generation: an auto-encoder and a GNF over its embeddings (5.2).

    python trainers/generation.py                                      # quick, on ego-small
    python trainers/generation.py --dataset community_small --preset best
    python trainers/generation.py --end-to-end                         # both trained together

Run it again to go on after an interruption, or to print a finished run's table again. The trained
generator is the file generator.npz of the run folder: gnf_tf.models.GraphGenerator.load.
"""

import dataclasses
import os
import pathlib
import sys
from typing import Literal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's own chatter, not its errors

import tf_keras

if __name__ == "__main__":  # a script's own folder is on the path, its project's is not
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from gnf_tf import metrics, plots
from gnf_tf.models import GeneratorConfig, GraphGenerator
from trainers import common
from trainers import generation_stages as stages
from trainers.generation_model import likelihood

# Tables 4 and 5 of the paper, degree / clustering / orbit: its GNF, as many as test graphs and
# matched in size, and "(1024)".
PAPER = {
    "community_small": {"all": (0.12, 0.15, 0.02), "matched": (0.20, 0.20, 0.11)},
    "ego_small": {"all": (0.01, 0.03, 0.0008), "matched": (0.03, 0.10, 0.001)},
}


@dataclasses.dataclass(frozen=True)
class Config(stages.Options):
    """Options; each has the preset's value unless given."""

    preset: Literal["quick", "paper", "best"] = "quick"
    """quick: minutes on 2 cores; paper: section 5.2's sizes, for a GPU; best: under 2 hours"""
    end_to_end: bool = False
    """train encoder, decoder and flow together on a bound of the graphs' likelihood"""
    encoder_steps: int = 4
    """steps of the encoder, where it is a flow (end to end)"""
    num_steps: int = 6
    """steps of the flow over embeddings"""
    width: int = 64
    """of its networks"""
    num_blocks: int = 1
    """attention blocks of its networks"""
    coupling: Literal["affine", "spline"] = "affine"
    """of all flows"""
    num_generated: int = 1024
    """graphs generated for the evaluation"""


PRESETS = {
    "quick": Config(),
    "paper": Config(preset="paper", num_steps=12, width=2048, **stages.PAPER_OPTIONS),
    "best": Config(preset="best", steps=30_000, epochs=40, num_steps=8),
}


def resolve(config: Config) -> Config:
    """Checks the options and fills in those that follow from others.

    Raises:
      UserError: naming the option, its value and what was expected.
    """
    if config.encoder_blocks is None:
        config = dataclasses.replace(config, encoder_blocks=2 if config.end_to_end else 6)
    if config.embedding_size is None:
        size = 8 if config.end_to_end else stages.EMBEDDING_SIZE[config.dataset]
        config = dataclasses.replace(config, embedding_size=size)
    stages.check(config, at_least_1="encoder_steps num_steps", multiples_of_heads="width")
    if config.num_generated < 2:
        raise common.UserError(f"--num-generated must be at least 2, got {config.num_generated}")
    how = "end-to-end" if config.end_to_end else "two-stage"
    run_dir = config.run_dir or pathlib.Path("runs") / (
        f"generation-{config.dataset}-{config.preset}-{how}-seed{config.seed}"
    )
    return dataclasses.replace(config, run_dir=run_dir)


def make_generator(config: Config, train: list, test: list) -> GraphGenerator:
    """Untrained; its auto-encoder takes test graphs of any size."""
    sizes = GeneratorConfig(
        embedding_size=config.embedding_size,
        encoder="flow" if config.end_to_end else "network",
        encoder_width=config.encoder_width,
        encoder_blocks=config.encoder_blocks,
        encoder_steps=config.encoder_steps,
        num_steps=config.num_steps,
        width=config.width,
        num_blocks=config.num_blocks,
        num_heads=config.num_heads,
        coupling=config.coupling,
    )
    return stages.new_generator(sizes, train, test)


def evaluate(config: Config, generator: GraphGenerator, train: list, test: list) -> dict:
    """What results.json holds of the trained generator; writes figures to the run folder."""
    generated = generator.generate(config.num_generated, seed=config.seed)
    panels = {"test graphs": test[: stages.SHOWN], "generated": generated[: stages.SHOWN]}
    plots.graph_gallery(panels).savefig(config.run_dir / "graphs.png", dpi=110)
    sets = {"test graphs": test, "generated": generated}
    plots.graph_statistics(sets).savefig(config.run_dir / "statistics.png", dpi=110)
    results = {"generation": metrics.evaluate(generated, test, train=train)}
    last = "end_to_end" if config.end_to_end else "flow"
    for name, members in (("train", train), ("test", test)):
        results[f"likelihood_{name}"] = likelihood(generator, last, members, seed=config.seed)
    return results | stages.reconstructions(config, generator, train, test)


def table(config: Config, results: dict) -> str:
    """The results as text."""
    report = results["generation"]
    baseline = {name: value["value"] for name, value in report["train"].items()}
    rows = [
        ("all generated graphs", {n: v["value"] for n, v in report["all"].items()}, "all"),
        ("matched in size, with replacement", report["matched_with_replacement"], "matched"),
        ("matched in size, without", report["matched_without_replacement"], None),
        ("training graphs", baseline, None),
    ]
    lines = [f"{'MMD to the test graphs':<36}" + "".join(f"{name:>12}" for name in baseline)]
    paper = PAPER.get(config.dataset) if config.graphs_file is None else None
    for label, values, scheme in rows:
        if values is not None:
            lines.append(f"{label:<36}" + "".join(f"{values[n]:>12.4f}" for n in baseline))
        if paper and scheme:
            lines.append(f"{'  paper, its GNF':<36}" + "".join(f"{v:>12}" for v in paper[scheme]))
    what = "bound on -log p(graph)" if config.end_to_end else "-log p(embedding)"
    for name in ("train", "test"):
        found = results[f"likelihood_{name}"]
        error = found["standard_error"]
        lines.append(f"{what}, {name}: {found['loss']:.2f} +- {error:.2f} nats a graph")
    lines.append(f"unique {report['uniqueness']:.1%}, not in training {report['novelty']:.1%}")
    lines += stages.reconstruction_lines(results)
    return "\n".join(lines)


def train_and_evaluate(config: Config) -> dict:
    """Trains, or goes on training, in `config.run_dir`; returns what results.json holds."""
    common.open_run(config.run_dir, config, places=stages.PLACES)
    results_path = config.run_dir / "results.json"
    if results_path.exists():
        return common.read_json(results_path)
    tf_keras.utils.set_random_seed(config.seed)
    train, test = stages.load_graphs(config)
    generator = make_generator(config, train, test)
    names = ("end_to_end",) if config.end_to_end else ("auto_encoder", "flow")
    results = {stage: stages.train_stage(config, generator, stage, train) for stage in names}
    generator.save(config.run_dir / "generator.npz")
    results |= evaluate(config, generator, train, test) | common.environment()
    common.write_json(results_path, results)
    return results


def main() -> None:
    """The command line."""
    config = resolve(common.parse(PRESETS, "quick", __doc__))
    results = train_and_evaluate(config)
    print()
    print(table(config, results))
    print(f"curves and figures: tensorboard --logdir {config.run_dir}")


if __name__ == "__main__":
    common.run(main)
