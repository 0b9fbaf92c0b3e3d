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
from typing import Annotated, Literal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's own chatter, not its errors

import numpy as np
import tensorflow as tf
import tf_keras
import tyro

if __name__ == "__main__":  # a script's own folder is on the path, its project's is not
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from gnf_tf import datasets, graphs, metrics, plots
from gnf_tf.models import GeneratorConfig, GraphGenerator
from trainers import common, training
from trainers.generation_model import GeneratorTraining, reconstruction

# Tables 4 and 5 of the paper, degree / clustering / orbit: its GNF, as many as test graphs and
# matched in size, and "(1024)".
PAPER = {
    "community_small": {"all": (0.12, 0.15, 0.02), "matched": (0.20, 0.20, 0.11)},
    "ego_small": {"all": (0.01, 0.03, 0.0008), "matched": (0.03, 0.10, 0.001)},
}
SHOWN = 12  # graphs drawn
DRAWS = 5  # of the encoder's noise, as the paper's table 3
PLACES = ("run_dir", "checkpoint_minutes")


@dataclasses.dataclass(frozen=True)
class Config:
    """Options; each has the preset's value unless given."""

    preset: Literal["quick", "paper", "best"] = "quick"
    """quick: minutes on 2 cores; paper: section 5.2's sizes, for a GPU; best: under 2 hours"""
    dataset: Literal["community_small", "ego_small", "two_communities"] = "ego_small"
    """see gnf_tf.datasets; the paper's two, and the other set called community-small"""
    graphs_file: Annotated[pathlib.Path | None, tyro.conf.arg(metavar="PATH")] = None
    """a list of graphs in place of the data set's, see gnf_tf.datasets.read_graphs"""
    end_to_end: bool = False
    """train encoder, decoder and flow together on a bound of the graphs' likelihood"""
    steps: int = 1_500
    """training steps of each stage, at least; whole passes over the training graphs are taken"""
    epochs: int = 5
    """parts of each stage, each followed by a validation"""
    batch_size: int = 16
    """graphs a step"""
    embedding_size: int = 14
    """width of the embeddings"""
    encoder_width: int = 64
    """of the encoder's networks"""
    encoder_blocks: int | None = None
    """attention blocks of the encoder's networks; default: 6, or 2 of a flow (end to end)"""
    encoder_steps: int = 4
    """steps of the encoder, where it is a flow (end to end)"""
    num_steps: int = 6
    """steps of the flow over embeddings"""
    width: int = 64
    """of its networks"""
    num_blocks: int = 1
    """attention blocks of its networks"""
    num_heads: int = 4
    """of all attention"""
    coupling: Literal["affine", "spline"] = "affine"
    """of all flows"""
    learning_rate: float = 2e-3
    """highest rate of Adam; it rises for 5 % of the steps, then falls to 0 as a cosine"""
    clip_norm: float = 1.0
    """gradients are scaled down to this global norm"""
    averaging: float = 0.999
    """decay of the exponential average of the weights; 0: none"""
    num_generated: int = 1024
    """graphs generated for the evaluation"""
    checkpoint_minutes: float = 5.0
    """longest time between checkpoints, which every epoch ends with too"""
    jit: bool = True
    """compile the training step with XLA"""
    seed: int = 0
    """of weights, noise and order; the graphs are those of the data set's seed 0"""
    run_dir: Annotated[pathlib.Path | None, tyro.conf.arg(metavar="PATH")] = None
    """folder of checkpoints, TensorBoard and results; default: runs/generation-..."""


PRESETS = {
    "quick": Config(),
    "paper": Config(
        preset="paper",
        steps=100_000,
        epochs=100,
        encoder_width=2048,
        encoder_blocks=10,
        num_steps=12,
        width=2048,
        num_heads=8,
        learning_rate=1e-4,
        averaging=0.0,
    ),
    "best": Config(preset="best", steps=30_000, epochs=40, num_steps=8),
}


def resolve(config: Config) -> Config:
    """Checks the options and fills in those that follow from others.

    Raises:
      UserError: naming the option, its value and what was expected.
    """
    if config.encoder_blocks is None:
        config = dataclasses.replace(config, encoder_blocks=2 if config.end_to_end else 6)
    for name in ("steps", "epochs", "batch_size", "encoder_blocks", "encoder_steps", "num_steps"):
        if getattr(config, name) < 1:
            raise common.UserError(
                f"--{name.replace('_', '-')} must be at least 1, got {getattr(config, name)}"
            )
    if config.num_generated < 2:
        raise common.UserError(f"--num-generated must be at least 2, got {config.num_generated}")
    if config.embedding_size < 2 or config.embedding_size % 2:
        raise common.UserError(f"--embedding-size must be even, got {config.embedding_size}")
    for name in ("width", "encoder_width"):
        if getattr(config, name) < 1 or getattr(config, name) % config.num_heads:
            raise common.UserError(
                f"--{name.replace('_', '-')} must be a multiple of --num-heads, "
                f"{config.num_heads}, got {getattr(config, name)}"
            )
    if not config.learning_rate > 0:
        raise common.UserError(f"--learning-rate must be positive, got {config.learning_rate}")
    if not 0.0 <= config.averaging < 1.0:
        raise common.UserError(f"--averaging must be in [0, 1), got {config.averaging}")
    how = "end-to-end" if config.end_to_end else "two-stage"
    run_dir = config.run_dir or pathlib.Path("runs") / (
        f"generation-{config.dataset}-{config.preset}-{how}-seed{config.seed}"
    )
    return dataclasses.replace(config, run_dir=run_dir)


def load_graphs(config: Config) -> tuple[list, list]:
    """(training graphs, test graphs)."""
    if config.graphs_file is not None:
        return tuple(datasets.read_graphs(config.graphs_file, s) for s in ("train", "test"))
    make = datasets.GRAPH_SETS[config.dataset]
    return make("train"), make("test")


def make_generator(config: Config, train: list) -> GraphGenerator:
    """Untrained."""
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
    return GraphGenerator([len(graph) for graph in train], sizes)


def train_stage(config: Config, generator: GraphGenerator, stage: str, train: list) -> dict:
    """Trains, or goes on training, one stage; the generator then has its best averaged weights."""
    folder = config.run_dir / stage
    topologies = datasets.Topologies(train)
    if stage != "auto_encoder":
        everything = graphs.fill_missing(topologies.graph(np.arange(len(train))))
        generator.initialize(everything, seed=config.seed)
    model = GeneratorTraining(generator, stage, config.averaging, config.seed)
    batches_a_pass = len(datasets.plan_batches(topologies, config.batch_size))
    passes = -(-config.steps // (config.epochs * batches_a_pass))
    steps_per_epoch = passes * batches_a_pass
    optimizer = training.cosine_adam(
        config.learning_rate,
        steps_per_epoch * config.epochs,
        clip_norm=config.clip_norm,
        beta_2=0.99,
    )
    model.compile(optimizer=optimizer, jit_compile=config.jit, weighted_metrics=[])
    model.optimizer.build(model.trained)
    state = training.TrainingState(
        folder,
        model,
        steps_per_epoch=steps_per_epoch,
        patience=config.epochs,
        save_seconds=60.0 * config.checkpoint_minutes,
    )
    print(f"{stage}: {sum(int(tf.size(v)) for v in model.trained)} weights")
    if state.next_epoch or state.done_steps:
        print(f"resuming after epoch {state.next_epoch}, step {state.done_steps}")
    stream = datasets.batches(
        topologies,
        config.batch_size,
        seed=config.seed,
        first_epoch=state.next_epoch,
        passes=passes,
    )

    def figures() -> None:
        if stage != "auto_encoder":
            with model.averaged():
                made = generator.generate(SHOWN, seed=0)
            panels = {"training graphs": train[:SHOWN], "generated": made}
            tf.summary.image("graphs", plots.to_image(plots.graph_gallery(panels)))

    training.fit(
        model,
        stream,
        state,
        epochs=config.epochs,
        validation_data=datasets.batches(topologies, config.batch_size),
        callbacks=[training.Scalars(folder, config, figures)],
    )
    state.restore_best()
    for variable, average in zip(model.trained, model.averages, strict=True):
        variable.assign(average)
    return {"seconds": float(state.seconds), "best_training_loss": float(state.best)}


def evaluate(config: Config, generator: GraphGenerator, train: list, test: list) -> dict:
    """What results.json holds of the trained generator; writes figures to the run folder."""
    generated = generator.generate(config.num_generated, seed=config.seed)
    panels = {"test graphs": test[:SHOWN], "generated": generated[:SHOWN]}
    plots.graph_gallery(panels).savefig(config.run_dir / "graphs.png", dpi=110)
    sets = {"test graphs": test, "generated": generated}
    plots.graph_statistics(sets).savefig(config.run_dir / "statistics.png", dpi=110)
    results = {"generation": metrics.evaluate(generated, test, train=train)}
    for name, members in (("train", train), ("test", test)):
        stream = datasets.batches(datasets.Topologies(members), config.batch_size)
        results[f"reconstruction_{name}"] = reconstruction(generator, stream, DRAWS)
    return results


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
    lines.append(f"unique {report['uniqueness']:.1%}, not in training {report['novelty']:.1%}")
    for name in ("train", "test"):
        draws = results[f"reconstruction_{name}"]
        wrong = np.mean([draw["wrong_edges"] for draw in draws])
        loss = np.mean([draw["cross_entropy"] / draw["pairs"] for draw in draws])
        lines.append(
            f"auto-encoder, {name}: {wrong:.1f} wrong of {draws[0]['edges']:.0f} edges, cross "
            f"entropy {loss:.2e} nats a pair (means of {len(draws)} draws)"
        )
    return "\n".join(lines)


def train_and_evaluate(config: Config) -> dict:
    """Trains, or goes on training, in `config.run_dir`; returns what results.json holds."""
    common.open_run(config.run_dir, config, places=PLACES)
    results_path = config.run_dir / "results.json"
    if results_path.exists():
        return common.read_json(results_path)
    tf_keras.utils.set_random_seed(config.seed)
    train, test = load_graphs(config)
    generator = make_generator(config, train)
    stages = ("end_to_end",) if config.end_to_end else ("auto_encoder", "flow")
    results = {stage: train_stage(config, generator, stage, train) for stage in stages}
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
