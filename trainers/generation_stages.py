"""What the auto-encoder's and the generator's trainers share: options, stages, reconstruction."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Annotated, Literal

import networkx as nx
import numpy as np
import tensorflow as tf
import tyro

from gnf_tf import datasets, graphs, metrics, plots
from gnf_tf.models import GeneratorConfig, GraphGenerator
from trainers import common, training
from trainers.generation_model import GeneratorTraining, Stage, reconstruction

__all__ = [
    "DRAWS",
    "EMBEDDING_SIZE",
    "PAPER_OPTIONS",
    "SHOWN",
    "Options",
    "check",
    "fill_in",
    "load_graphs",
    "new_generator",
    "reconstruction_lines",
    "reconstructions",
    "train_stage",
]

SHOWN = 12  # graphs drawn
DRAWS = 5  # of the encoder's noise, as the paper's table 3
EMBEDDING_SIZE = {"ego_small": 14, "community_small": 30, "two_communities": 30}  # the paper's
ANNEALED = 0.6  # share of the end-to-end steps in which the rate weighs less
COMPARED = 200  # graphs generated after each epoch, and training graphs they are compared with
# Section 5.2's sizes and rates, of both trainers' preset `paper`.
PAPER_OPTIONS = {
    "steps": 100_000,
    "epochs": 100,
    "encoder_width": 2048,
    "encoder_blocks": 10,
    "num_heads": 8,
    "learning_rate": 1e-4,
    "averaging": 0.0,
}


@dataclasses.dataclass(frozen=True)
class Options:
    """Those that both trainers have."""

    dataset: Literal["community_small", "ego_small", "two_communities"] = "ego_small"
    """see gnf_tf.datasets; the paper's two, and the other set called community-small"""
    graphs_file: Annotated[pathlib.Path | None, tyro.conf.arg(metavar="PATH")] = None
    """a list of graphs in place of the data set's, see gnf_tf.datasets.read_graphs"""
    steps: int = 1_500
    """training steps of each stage, at least; whole passes over the training graphs are taken"""
    epochs: int = 5
    """parts of each stage, each followed by a validation"""
    batch_size: int = 16
    """graphs a step"""
    embedding_size: int | None = None
    """width of the embeddings; default: the paper's (end to end: 14)"""
    encoder_width: int = 64
    """of the encoder's networks"""
    encoder_blocks: int | None = None
    """attention blocks of the encoder's networks; default: 6, or 2 of a flow (end to end)"""
    decoder_blocks: int | None = None
    """attention blocks of the decoder; default: none, as the paper's, or 2 (end to end)"""
    num_heads: int = 4
    """of all attention"""
    learning_rate: float = 2e-3
    """highest rate of Adam; it rises for 5 % of the steps, then falls to 0 as a cosine"""
    clip_norm: float = 1.0
    """gradients are scaled down to this global norm"""
    averaging: float = 0.999
    """decay of the exponential average of the weights; 0: none"""
    checkpoint_minutes: float = 5.0
    """longest time between checkpoints, which every epoch ends with too"""
    jit: bool = True
    """compile the training step with XLA"""
    seeds: tuple[int, ...] = (0,)
    """of weights, noise and order, one model each, trained in turn; all on the same graphs"""
    run_dir: Annotated[pathlib.Path | None, tyro.conf.arg(metavar="PATH")] = None
    """folder of checkpoints, TensorBoard and results; default: a new one in runs"""


def check(options: Options, *, at_least_1: str = "", multiples_of_heads: str = "") -> None:
    """Checks the shared options and others of the named kinds.

    Raises:
      UserError: naming the option, its value and what was expected.
    """
    at_least_1 = f"steps epochs batch_size encoder_blocks num_heads {at_least_1}"
    common.check(options, at_least_1, lambda value: value >= 1, "at least 1")
    common.check(options, "decoder_blocks", lambda value: value >= 0, "at least 0")
    common.check(options, "embedding_size", lambda size: size >= 2 and size % 2 == 0, "even")
    common.check(
        options,
        f"encoder_width {multiples_of_heads}",
        lambda width: width >= 1 and width % options.num_heads == 0,
        f"a multiple of --num-heads, {options.num_heads}",
    )
    common.check(options, "learning_rate", lambda value: value > 0, "positive")
    common.check(options, "averaging", lambda value: 0 <= value < 1, "in [0, 1)")
    common.check_seeds(options.seeds)


def fill_in(options: Options, **defaults: int) -> Options:
    """The options, those that are None at their defaults."""
    missing = {name: value for name, value in defaults.items() if getattr(options, name) is None}
    return dataclasses.replace(options, **missing)


def load_graphs(config: Options) -> tuple[list[nx.Graph], list[nx.Graph]]:
    """(training graphs, test graphs)."""
    if config.graphs_file is not None:
        return tuple(datasets.read_graphs(config.graphs_file, s) for s in ("train", "test"))
    make = datasets.GRAPH_SETS[config.dataset]
    return make("train"), make("test")


def new_generator(
    sizes: GeneratorConfig, train: list[nx.Graph], test: list[nx.Graph]
) -> GraphGenerator:
    """It generates graphs of the training graphs' sizes, and can encode all test graphs."""
    return GraphGenerator(
        [len(graph) for graph in train], sizes, max_num_nodes=max(map(len, train + test))
    )


def train_stage(
    config: Options,
    seed: int,
    generator: GraphGenerator,
    stage: Stage,
    train: list[nx.Graph],
    *,
    rate_weight: float = 1.0,
) -> dict[str, float]:
    """Trains, or goes on training, one stage; the generator then has its best averaged weights.

    `rate_weight` is of `end_to_end` alone, see `GeneratorTraining`.
    """
    folder = config.run_dir / f"seed{seed}" / stage
    topologies = datasets.Topologies(train)
    if stage != "auto_encoder":
        everything = graphs.fill_missing(topologies.graph(np.arange(len(train))))
        generator.initialize(everything, seed=seed)
    batches_a_pass = len(datasets.plan_batches(topologies, config.batch_size))
    passes = -(-config.steps // (config.epochs * batches_a_pass))
    steps_per_epoch = passes * batches_a_pass
    annealing_steps = round(ANNEALED * steps_per_epoch * config.epochs)
    model = GeneratorTraining(
        generator,
        stage,
        config.averaging,
        seed,
        annealing_steps=annealing_steps,
        rate_weight=rate_weight,
    )
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
    weights = sum(int(tf.size(v)) for v in model.trained)
    print(f"{config.dataset}, seed {seed}, {stage}: {weights} weights")
    stream = datasets.batches(
        topologies,
        config.batch_size,
        seed=seed,
        first_epoch=state.next_epoch,
        passes=passes,
    )

    def figures() -> None:
        if stage != "auto_encoder":
            with model.averaged():
                made = generator.generate(COMPARED, seed=0)
            panels = {"training graphs": train[:SHOWN], "generated": made[:SHOWN]}
            tf.summary.image("graphs", plots.to_image(plots.graph_gallery(panels)))
            # With training graphs: whoever watches, and stops, must not choose by the test graphs.
            for statistic in metrics.STATISTICS:
                value = metrics.mmd(train[:COMPARED], made, statistic)
                tf.summary.scalar(f"mmd_to_training_graphs/{statistic}", value)

    training.fit(
        model,
        stream.skip,
        state,
        epochs=config.epochs,
        validation_data=datasets.batches(topologies, config.batch_size),
        callbacks=[training.Scalars(folder, config, figures)],
    )
    state.restore_best()
    for variable, average in zip(model.trained, model.averages, strict=True):
        variable.assign(average)
    return {"seconds": float(state.seconds), "best_training_loss": float(state.best)}


def reconstructions(
    config: Options, generator: GraphGenerator, train: list[nx.Graph], test: list[nx.Graph]
) -> dict[str, list]:
    """`reconstruction` of the training and the test graphs."""
    results = {}
    for name, members in (("train", train), ("test", test)):
        stream = datasets.batches(datasets.Topologies(members), config.batch_size)
        results[f"reconstruction_{name}"] = reconstruction(generator, stream, DRAWS)
    return results


def reconstruction_lines(runs: Sequence[dict[str, list]]) -> list[str]:
    """A line of text for each set of graphs; of one model or several."""
    lines = []
    for name in ("train", "test"):
        draws = [draw for run in runs for draw in run[f"reconstruction_{name}"]]
        wrong = [draw["wrong_edges"] for draw in draws]
        loss = np.mean([draw["cross_entropy"] / draw["pairs"] for draw in draws])
        lines.append(
            f"auto-encoder, {name}: {np.mean(wrong):.1f} ({min(wrong):.0f} to {max(wrong):.0f}) "
            f"wrong of {draws[0]['edges']:.0f} edges, cross entropy {loss:.2e} nats a pair "
            f"({len(draws)} draws)"
        )
    return lines
