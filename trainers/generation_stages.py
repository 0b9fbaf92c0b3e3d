"""What the auto-encoder's and the generator's trainers share: options, stages, reconstruction."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Sequence
from typing import Annotated, Literal, TypeVar

import networkx as nx
import numpy as np
import tensorflow as tf
import tyro

from gnf_tf import datasets, graphs, metrics, plots
from gnf_tf.models import GeneratorConfig, GraphGenerator
from trainers import common, options, training
from trainers.generation_model import GeneratorTraining, Stage, reconstruction

__all__ = [
    "DRAWS",
    "PAPER_OPTIONS",
    "SHOWN",
    "Options",
    "load_graphs",
    "new_generator",
    "reconstruction_lines",
    "reconstructions",
    "resolve",
    "train_stage",
]

Config = TypeVar("Config", bound="Options")

SHOWN = 12  # graphs drawn
DRAWS = 5  # of the encoder's noise, as the paper's table 3
EMBEDDING_SIZE = {"ego_small": 14, "community_small": 30, "two_communities": 30}  # the paper's
OWN_EMBEDDING_SIZE = 14  # of graphs from a file
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

    dataset: Literal["community_small", "ego_small", "two_communities"] | None = None
    """see gnf_tf.datasets; the paper's two, and the other set called community-small; default:
    ego_small"""
    graphs_file: Annotated[pathlib.Path | None, tyro.conf.arg(metavar="PATH")] = None
    """in place of a data set, training and test graphs, see gnf_tf.datasets.read_graphs"""
    graphs_digest: tyro.conf.Suppress[tyro.conf.Fixed[str | None]] = None
    """of the contents of that file, filled in: a run folder belongs to them, not to their place"""
    steps: options.Count = 1_500
    """training steps of each stage, at least; whole passes over the training graphs are taken"""
    epochs: options.Count = 5
    """parts of each stage, each followed by a validation"""
    batch_size: options.Count = 16
    """graphs a step"""
    embedding_size: options.Even | None = None
    """width of the embeddings; default: the paper's, 14 for a file and end to end"""
    encoder_width: options.Count = 64
    """of the encoder's networks"""
    encoder_blocks: options.Count | None = None
    """attention blocks of the encoder's networks; default: 6, or 2 of a flow (end to end)"""
    decoder_blocks: options.AtLeast0 | None = None
    """attention blocks of the decoder; default: none, as the paper's, or 2 (end to end)"""
    num_heads: options.Count = 4
    """of all attention"""
    learning_rate: options.Positive = 2e-3
    """highest rate of Adam; it rises for 5 % of the steps, then falls to 0 as a cosine"""
    clip_norm: options.Positive = 1.0
    """gradients are scaled down to this global norm"""
    averaging: options.Share = 0.999
    """decay of the exponential average of the weights; 0: none"""
    checkpoint_minutes: options.NotNegative = 5.0
    """longest time between checkpoints, which every epoch ends with too"""
    jit: bool = True
    """compile the training step with XLA"""
    seeds: options.Seeds = (0,)
    """of weights, noise and order, one model each, trained in turn; all on the same graphs"""
    run_dir: Annotated[pathlib.Path | None, tyro.conf.arg(metavar="PATH")] = None
    """folder of checkpoints, TensorBoard and results; default: a new one in runs"""

    @property
    def graphs(self) -> str:
        """What is trained on: the data set or the file, as results name it."""
        return self.dataset if self.graphs_file is None else str(self.graphs_file)


def resolve(
    config: Config, *, run_name: str, multiples_of_heads: Sequence[str], **defaults
) -> Config:
    """Checks the shared options and fills in those that follow from others.

    Args:
      config: the options of a trainer.
      run_name: of the default run folder, {} standing for the graphs.
      multiples_of_heads: options besides `encoder_width` that `num_heads` has to divide.
      **defaults: of options that are None.

    Raises:
      UserError: naming the option, its value and what was expected.
    """
    config = options.checked(config)
    for name in ("encoder_width", *multiples_of_heads):
        if getattr(config, name) % config.num_heads:
            raise common.UserError(
                f"--{name.replace('_', '-')} must be a multiple of --num-heads, "
                f"{config.num_heads}, got {getattr(config, name)}"
            )
    if config.graphs_file is None:
        graphs_name = dataset = config.dataset or "ego_small"
        defaults = {"dataset": dataset, "embedding_size": EMBEDDING_SIZE[dataset]} | defaults
    elif config.dataset is None:
        digest = hashlib.sha256(config.graphs_file.read_bytes()).hexdigest()[:8]
        graphs_name = f"{config.graphs_file.stem}-{digest}"
        defaults = {"graphs_digest": digest, "embedding_size": OWN_EMBEDDING_SIZE} | defaults
    else:
        raise common.UserError(
            "--dataset must be left out with --graphs-file, which is in place of it, "
            f"got {config.dataset}"
        )
    defaults["run_dir"] = pathlib.Path("runs") / run_name.format(graphs_name)
    missing = {name: value for name, value in defaults.items() if getattr(config, name) is None}
    return dataclasses.replace(config, **missing)


def load_graphs(config: Options) -> tuple[list[nx.Graph], list[nx.Graph]]:
    """(training graphs, test graphs).

    Raises:
      UserError: for a file that doesn't say which graphs are for what, or has too few nodes.
    """
    if config.graphs_file is None:
        make = datasets.GRAPH_SETS[config.dataset]
        return make("train"), make("test")
    try:
        train, test = (datasets.read_graphs(config.graphs_file, s) for s in ("train", "test"))
    except ValueError as error:
        rule = "--graphs-file must say which graphs are for the test"
        raise common.UserError(f"{rule}: {error}") from error
    for name, members, least in (("training", train, 2), ("test", test, 1)):
        sizes = [len(graph) for graph in members]
        if min(sizes, default=0) < 1 or sum(sizes) < least:
            raise common.UserError(
                f"--graphs-file must have {name} graphs, none without nodes, and {least} or more "
                f"nodes in all, got node counts {sizes} in {config.graphs_file}"
            )
    return train, test


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
    print(f"{config.graphs}, seed {seed}, {stage}: {weights} weights")
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
        # Graphs of one node have no pairs, and no cross entropy.
        loss = np.mean(
            [common.number(draw["cross_entropy"]) / max(draw["pairs"], 1.0) for draw in draws]
        )
        lines.append(
            f"auto-encoder, {name}: {np.mean(wrong):.1f} ({min(wrong):.0f} to {max(wrong):.0f}) "
            f"wrong of {draws[0]['edges']:.0f} edges, cross entropy {loss:.2e} nats a pair "
            f"({len(draws)} draws)"
        )
    return lines
