"""PPI: what proteins do, 121 labels, from their interactions in 24 tissues (4, table 1).

    python trainers/ppi.py                                # quick; downloads the data once
    python trainers/ppi.py --data-dir ~/ppi --preset best
    python trainers/ppi.py --preset paper --model neumann_rbp

20 networks to train, 2 to validate, 2 to test. The score is micro F1 over the proteins: the
authors' code counted padding too. Run it again to go on after an interruption, or to print a
finished run's table again.
"""

import dataclasses
import pathlib
import sys
from typing import Annotated, Literal

if __name__ == "__main__":  # a script's own folder is on the path, its project's is not
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
    import trainers  # noqa: F401  # TensorFlow, quietly

import numpy as np
import tensorflow as tf
import tyro

from gnf_tf import datasets, plots
from gnf_tf.datasets import LabeledGraphs
from gnf_tf.graphs import GraphsTuple
from trainers import common, distribution, node_training, options, training
from trainers.ppi_model import ProteinLabeller

# Table 1 of the paper, micro F1: GNN, GRevNet, Neumann RBP.
PAPER = (0.78, 0.76, 0.70)
SCORE = node_training.Score("f1", "F1", 1.0, 3)


@dataclasses.dataclass(frozen=True)
class Config(distribution.Options, node_training.Options):
    """Options; each has the preset's value unless given."""

    preset: Literal["quick", "paper", "best"] = "quick"
    """quick: minutes on 2 cores; paper: section 7.1.2; best: larger, a guess that was not tuned"""
    epochs: options.Count = 20
    """passes over the training networks at most"""
    batch_size: options.Count = 1
    """networks a step, of all replicas together"""
    conditioner: Literal["diffusion", "convolution", "messages"] = "messages"
    """networks of the couplings: GraphConvolution, diagonal or full, or the paper's messages"""
    share_weights: bool = True
    """all steps of message passing share their networks"""
    data_dir: Annotated[pathlib.Path | None, tyro.conf.arg(metavar="PATH")] = None
    """folder of the release's files or of ppi.zip; default: downloaded to the user's cache"""


PRESETS = {
    "quick": Config(),
    # Sizes, rate and L2 are those of the authors' code, and a classifier of two layers as there;
    # when to stop is our reading.
    "paper": Config(
        preset="paper",
        epochs=500,
        node_size=70,
        message_hidden=80,
        message_size=500,
        head_layers=2,
        l2=4e-5,
        patience=50,
    ),
    "best": Config(
        preset="best",
        seeds=(0, 1, 2),
        epochs=400,
        node_size=256,
        message_size=256,
        coupling="affine",
        share_weights=False,
        head_layers=2,
        dropout=0.1,
        averaging=0.99,
        patience=50,
    ),
}
NUM_STEPS = 4  # as in the paper, which found it best
LEARNING_RATE = {"quick": 5e-3, "paper": 5e-3, "best": 1e-3}


def resolve(config: Config) -> Config:
    """Checks the options and fills in those that follow from others.

    Raises:
      UserError: naming the option, its value and what was expected.
    """
    config = node_training.resolve(
        config,
        num_steps=NUM_STEPS,
        learning_rate=LEARNING_RATE[config.preset],
        run_name="ppi",
    )
    if config.batch_norm and config.strategy != "none":
        raise common.UserError(
            "--batch-norm would take the statistics of each replica's part of a batch; "
            f"--strategy {config.strategy} needs --no-batch-norm"
        )
    if config.mixed_precision and config.model == "neumann_rbp":
        raise common.UserError(
            "--mixed-precision is not for --model neumann_rbp, whose fixed point it leaves inexact"
        )
    if config.mixed_precision and config.conditioner != "messages":
        raise common.UserError(
            "--mixed-precision needs --conditioner messages, the networks with matrix products of "
            f"any size, got {config.conditioner!r}"
        )
    return config


def load(config: Config) -> tuple[LabeledGraphs, LabeledGraphs, LabeledGraphs]:
    """(training, validation, test) networks."""
    return tuple(
        datasets.ppi(split, data_dir=config.data_dir) for split in ("train", "validation", "test")
    )


def make_stream(
    config: Config,
    networks: LabeledGraphs,
    seed: int | None = None,
    first_epoch: int = 0,
    skip: int = 0,
) -> training.Stream:
    """Batches, of one static shape where XLA compiles them; see `datasets.node_batches`."""
    return distribution.dealt(
        datasets.node_batches,
        networks,
        config.batch_size,
        skip=skip,
        padded=config.execution == "xla",
        seed=seed,
        first_epoch=first_epoch,
    )


def make_model(config: Config, networks: LabeledGraphs, seed: int) -> ProteinLabeller:
    """The compiled model, its variables made, for networks of this kind."""
    return node_training.compiled(ProteinLabeller(config, networks, seed), config)


def train_and_evaluate(config: Config, seed: int) -> dict:
    """Trains, or goes on training, one model; returns what its results.json holds."""
    results_path = config.run_dir / f"seed{seed}" / "results.json"
    # Before the folder is made, which data that can\'t be had leave as it is.
    networks = None if results_path.exists() else load(config)
    folder = training.open_seed(config, seed)
    if networks is None:
        return common.read_json(results_path)
    train, validation, test = networks
    model = make_model(config, train, seed)
    graph = as_tensors(validation.graph(0)[0])
    proteins = ", ".join(
        f"{len(part.labels)} {name}"
        for part, name in zip(
            (train, validation, test), ("training", "validation", "test proteins"), strict=True
        )
    )
    trained = node_training.train(
        config,
        folder,
        model,
        f"ppi, seed {seed}: {proteins} in {len(train)}, {len(validation)}, {len(test)} networks",
        steps_per_epoch=len(datasets.plan_batches(train, config.batch_size)),
        epochs=config.epochs,
        make_stream=lambda first_epoch, skip: make_stream(config, train, seed, first_epoch, skip),
        validation_data=make_stream(config, validation),
        validation_steps=len(datasets.plan_batches(validation, config.batch_size)),
        graph=graph,
    )
    with model.averaged():
        results = evaluate(model, validation, test, folder) | model.diagnostics(graph) | trained
    return common.write_json(results_path, results)


def as_tensors(graph: GraphsTuple) -> GraphsTuple:
    """The graph of numpy arrays, in tensors."""
    return tf.nest.map_structure(tf.constant, graph)


def predict(model: ProteinLabeller, networks: LabeledGraphs) -> tuple[np.ndarray, np.ndarray]:
    """(states, logits) of all proteins in the networks' order, see `NodeModel`; no padding."""
    states, logits = [], []
    for row in range(len(networks)):
        graph = as_tensors(networks.graph(row)[0])
        states.append(model.state(graph))
        logits.append(model.logits(graph, states[-1]))
    return np.concatenate(states), np.concatenate(logits)


def micro_f1(labels: np.ndarray, logits: np.ndarray) -> float:
    """As `MicroF1`, of all rows."""
    predicted = logits > 0
    claims = labels.sum() + predicted.sum()
    return float(2.0 * (labels & predicted).sum() / max(claims, 1))


def evaluate(
    model: ProteinLabeller,
    validation: LabeledGraphs,
    test: LabeledGraphs,
    folder: pathlib.Path,
) -> dict[str, float]:
    """Micro F1; the test set's precision and recall go to the folder and its TensorBoard."""
    states, logits = predict(model, test)
    probabilities = tf.sigmoid(logits).numpy()
    figure = plots.precision_recall(test.labels, probabilities, threshold=0.5)
    node_training.show_figure(folder, "precision_recall", figure, model.optimizer.iterations)
    columns = {
        "network": np.repeat(np.arange(len(test)), test.n_node),
        "labels": test.labels.sum(axis=1),
        "predicted": (logits > 0).sum(axis=1),
        "right": (test.labels & (logits > 0)).sum(axis=1),
    }
    node_training.write_projector(folder, states, columns)
    return {
        "test_f1": micro_f1(test.labels, logits),
        "validation_f1": micro_f1(validation.labels, predict(model, validation)[1]),
    }


def main() -> None:
    """The command line."""
    config = resolve(common.parse(PRESETS, "quick", __doc__))
    with distribution.joined(config) as config:
        results = [train_and_evaluate(config, seed) for seed in config.seeds]
        summary = node_training.summarize(config, results, SCORE, PAPER)
        summary = common.write_json(config.run_dir / "results.json", summary)
    print()
    names = zip(node_training.MODELS, PAPER, strict=True)
    paper = "paper: " + ", ".join(f"{model} {score:.2f}" for model, score in names)
    print(node_training.table(summary, SCORE, f"ppi, {config.model}", paper))
    print(f"curves and figures: tensorboard --logdir {config.run_dir}")


if __name__ == "__main__":
    common.run(main)
