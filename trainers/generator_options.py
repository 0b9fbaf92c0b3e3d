"""The common parts of the auto-encoder's and the generator's trainers: options, data, table 3."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import networkx as nx
import numpy as np
import tyro

from gnf_tf import datasets, options, training
from gnf_tf.errors import UserError
from gnf_tf.models import GeneratorConfig, GraphGenerator
from gnf_tf.training import GeneratorSettings, History, number
from trainers import cli, report

__all__ = [
    "DRAWS",
    "PAPER",
    "PAPER_TRAINING",
    "Network",
    "Options",
    "Training",
    "load",
    "reconstruction",
    "reconstruction_lines",
    "resolve",
    "train",
]

Sets = tuple[list[nx.Graph], list[nx.Graph] | None, list[nx.Graph]]
DRAWS = 5  # of the encoder's noise, as in the paper's table 3


@dataclasses.dataclass(frozen=True)
class Network(GeneratorConfig):
    """Sizes of the networks; those that are None follow from the graphs and the training."""

    embedding_size: options.Even | None = None
    """width of the embeddings; default: the paper's; 14 for your own graphs and end to end"""
    encoder: tyro.conf.Suppress[Literal["network", "flow"]] = "network"
    directed: tyro.conf.Suppress[bool] = False
    encoder_blocks: options.Count | None = None
    """attention blocks of the encoder's networks; default: 6, or 2 end to end"""
    decoder_blocks: options.AtLeast0 | None = None
    """attention blocks of the decoder; default: none, as in the paper, or 2 end to end"""


@dataclasses.dataclass(frozen=True)
class Training(GeneratorSettings):
    """`GeneratorSettings` without the settings that the trainer determines."""

    steps_per_epoch: tyro.conf.Suppress[options.Count | None] = None
    stage: tyro.conf.Suppress[None] = None


@dataclasses.dataclass(frozen=True)
class Options(cli.Options):
    """The options that both trainers have."""

    dataset: (
        Literal["community_small", "ego_small", "two_communities", "planar", "stochastic_blocks"]
        | None
    ) = None
    """the set of graphs, see gnf_tf.datasets: the paper's two, another one that is also called
    community-small, and two of larger graphs; default: ego_small"""
    data: Annotated[
        pathlib.Path | None, tyro.conf.arg(metavar="PATH", aliases=["--graphs-file"])
    ] = None
    """your own graphs in place of a data set, in any format of gnf_tf.datasets.read_graphs"""
    steps: options.Count = 1_500
    """training steps of each stage, rounded up to whole passes over the training graphs"""
    epochs: options.Count = 5
    """parts of each stage, each of which ends with a validation"""
    seeds: options.Seeds = (0,)
    """seeds of weights, noise, order and the split of your own graphs; each trains one model"""
    network: Annotated[Network, cli.FLAT] = Network()
    settings: Annotated[Training, cli.FLAT] = Training()


# Both trainers' preset `paper` has these values of section 5.2.
PAPER = {"steps": 100_000, "epochs": 100}
PAPER_TRAINING = Training(learning_rate=1e-4, ema_decay=0.0, patience=100)


def resolve(config: Options, *names: str, **defaults: Any) -> Options:
    """Sets the options that follow from others.

    Args:
      config: the options of a trainer.
      *names: the name of the trainer, and what else distinguishes its run folders.
      **defaults: the encoder, and values of fields of `network` that are None.

    Raises:
      UserError: if both a data set and a file of graphs are given, or a weight of the compactness
        of embeddings that have no noise.
    """
    config.check_source(Options())
    if config.data is None:
        config = dataclasses.replace(config, dataset=config.dataset or "ego_small")
        size = 14 if config.dataset == "ego_small" else 30  # the paper's
        defaults = {"embedding_size": size} | defaults
    elif config.dataset is None:
        defaults = {"embedding_size": GeneratorConfig.embedding_size} | defaults
    else:
        raise UserError(
            f"--dataset must be left out with --data, which is in place of it, got {config.dataset}"
        )
    defaults = {"encoder_blocks": 6, "decoder_blocks": 0, "encoder": "network"} | defaults
    given = {k: v for k, v in vars(config.network).items() if v is not None and k != "encoder"}
    network = dataclasses.replace(config.network, **defaults | given)
    compactness = config.settings.compactness
    if network.encoder == "network" and compactness and not network.embedding_noise:
        raise UserError(f"--compactness must be 0 without --embedding-noise, got {compactness}")
    return config.placed(names[0], config.dataset, *names[1:], network=network)


def load(config: Options, seed: int) -> Sets:
    """Returns training graphs, validation graphs or None, and test graphs.

    Raises:
      UserError: if --data lacks graphs for a set, or has graphs that can't be learned from.
    """
    if config.data is None:
        make = datasets.GRAPH_SETS[config.dataset]
        return make("train"), None, make("test")
    try:
        train, test = (datasets.read_graphs(config.data, split) for split in ("train", "test"))
        validation = None
    except ValueError:  # the file does not say which graphs are for the test
        members = datasets.read_graphs(config.data)
        with report.as_options("fractions"):
            train, validation, test = datasets.random_split(members, config.fractions, seed=seed)
    for name, members, least in (
        ("training", train, 2),
        ("validation", train if validation is None else validation, 1),
        ("test", test, 1),
    ):
        sizes = [len(graph) for graph in members]
        if min(sizes, default=0) < 1 or max(sizes) < least:
            raise UserError(
                f"--data must have {name} graphs, none without nodes and one of at least {least}, "
                f"got node counts {sizes} in {config.data}"
            )
        if any(graph.is_directed() for graph in members):
            raise UserError(
                f"--data must have undirected graphs, got directed ones in {config.data}; a "
                "GraphGenerator of directed graphs is trained by gnf_tf.training.fit"
            )
    return train, validation, test


def train(
    config: Options, seed: int, sets: Sets, stage: str | None = None
) -> tuple[GraphGenerator, dict[str, History]]:
    """Trains one model, or resumes its training; returns it and the history of each stage."""
    train, validation, test = sets
    training.set_seed(seed)
    generator = GraphGenerator.for_data(
        train,
        GeneratorConfig(**vars(config.network)),
        max_num_nodes=max(map(len, [*train, *(validation or ()), *test])),
    )
    print(
        f"{config.title}, seed {seed}: {len(train)} training, {len(validation or ())} validation, "
        f"{len(test)} test graphs; run folder {config.run_dir}"
    )
    steps = -(-config.steps // config.epochs)
    history = report.fit(
        generator, train, validation, config, seed, steps_per_epoch=steps, stage=stage
    )
    return generator, history.stages or {generator.stage: history}


def reconstruction(
    generator: GraphGenerator, train: Sequence[nx.Graph], test: Sequence[nx.Graph]
) -> dict[str, list[dict[str, float]]]:
    """Returns totals over the training and the test graphs for each draw, as in table 3.

    Returns:
      For each draw of the encoder's noise, `cross_entropy` in nats, summed over all pairs of
      nodes; `wrong_edges`; `edges`; `pairs`.
    """
    results = {}
    for name, members in (("train", train), ("test", test)):
        totals = {
            "edges": sum(graph.number_of_edges() for graph in members),
            "pairs": sum(len(graph) * (len(graph) - 1) / 2 for graph in members),
        }
        draws = results[f"reconstruction_{name}"] = []
        for draw in range(DRAWS):
            found = generator.reconstruction(members, seed=(-2 - draw, 0))
            sums = (float(np.sum(values, dtype=float)) for values in found)
            draws.append(dict(zip(("cross_entropy", "wrong_edges"), sums, strict=True)) | totals)
    return results


def reconstruction_lines(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns a line of text for each set of graphs, over all models and draws."""
    lines = []
    for name in ("train", "test"):
        draws = [draw for run in runs for draw in run[f"reconstruction_{name}"]]
        wrong = [draw["wrong_edges"] for draw in draws]
        # Graphs of one node have no pairs and no cross entropy.
        loss = np.mean([number(draw["cross_entropy"]) / max(draw["pairs"], 1.0) for draw in draws])
        lines.append(
            f"auto-encoder, {name}: {np.mean(wrong):.1f} ({min(wrong):.0f} to {max(wrong):.0f}) "
            f"wrong of {draws[0]['edges']:.0f} edges, cross entropy {loss:.2e} nats a pair "
            f"({len(draws)} draws)"
        )
    return lines
