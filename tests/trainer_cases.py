"""The trainers: small runs of each, on real data and on files of a user's own."""

import csv
import dataclasses
import pathlib
from collections.abc import Callable, Sequence

import networkx as nx
import numpy as np

from gnf_tf import datasets
from tests.ppi_files import write_splits

__all__ = ["CASES", "TRAINERS", "Case"]


@dataclasses.dataclass(frozen=True)
class Case:
    """A trainer and its small run.

    Attributes:
      trainer: its name.
      words: of its command line, for all runs.
      data: a folder to write to -> words that name the small run's data.
      own: a folder to write to -> (words that name a file of the user's own, that file).
      model: name of the class of its model.
      folder: of the model within the run folder.
      stage: of the last training within that.
      answers: suffix of what trainers/predict.py gives for the own file.
      tags: of TensorBoard's run `validation`, besides the loss, without units.
      images: of any run.
      hidden: fields that are no options.
    """

    trainer: str
    words: Sequence[str]
    data: Callable[[pathlib.Path], list[str]]
    own: Callable[[pathlib.Path], tuple[list[str], pathlib.Path]]
    model: str
    folder: str = "seed0"
    stage: str = ""
    answers: str = ".csv"
    tags: Sequence[str] = ()
    images: Sequence[str] = ()
    hidden: Sequence[str] = ()

    def __str__(self):
        return self.trainer


def molecules(folder):
    """Waters of random shapes, and their energies."""
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(30):
        atoms = zip("OHH", rng.normal(size=[3, 3]).round(4).tolist(), strict=True)
        lines = [" ".join([symbol, *map(str, place)]) for symbol, place in atoms]
        frames.append("\n".join(["3", "water", *lines]))
    (folder / "mine.xyz").write_text("\n".join(frames) + "\n")
    with open(folder / "mine.csv", "w", newline="") as file:
        csv.writer(file).writerows([["energy [eV]"], *rng.normal(size=[30, 1]).tolist()])
    words = ["--data", folder / "mine.xyz", "--targets", folder / "mine.csv"]
    return words, folder / "mine.xyz"


def labeled_graph(folder):
    """A ring of 30 nodes, of two classes."""
    rng = np.random.default_rng(0)
    nodes = np.arange(30)
    path = folder / "network.npz"
    np.savez(
        path,
        features=rng.normal(size=[30, 5]),
        edges=np.stack([nodes, (nodes + 1) % 30]),
        labels=nodes % 2,
        train=nodes < 10,
        validation=(nodes >= 10) & (nodes < 20),
        test=nodes >= 20,
    )
    return ["--data", path], path


def graphs_with(features, labels, count=12):
    """Rings whose nodes have features, and a label."""
    rng = np.random.default_rng(0)
    members = []
    for size in range(4, 4 + count):
        graph = nx.cycle_graph(size)
        for node in graph:
            graph.nodes[node]["features"] = rng.normal(size=features)
            if labels:
                graph.nodes[node]["label"] = int(rng.integers(labels))
        members.append(graph)
    return members


def labeled_graphs(folder):
    """Rings of labeled nodes."""
    path = folder / "rings.npz"
    datasets.write_graphs(path, graphs_with(5, 3))
    return ["--data", path], path


def sets(folder):
    """Sets of points in three dimensions."""
    rng = np.random.default_rng(0)
    path = folder / "sets.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["set", "x", "y", "z"])
        writer.writerows([i // 3, *rng.normal(size=3).round(4).tolist()] for i in range(120))
    return ["--data", path], path


def graphs(folder):
    """Small rings, in graph6."""
    path = folder / "rings.g6"
    datasets.write_graphs(path, [nx.cycle_graph(3 + i % 5) for i in range(20)])
    return ["--data", path], path


def nothing(folder):
    """The trainer's own data."""
    del folder
    return []


def few_sets(folder):
    """The trainer's own data, of few held-out sets."""
    del folder
    return ["--validation-sets", "32", "--test-sets", "50"]


def protein_files(folder):
    """Small files of PPI's format."""
    write_splits(folder)
    return ["--data-dir", folder]


GENERATOR = (
    "--epochs 2 --steps 4 --batch-size 100 --embedding-size 4 --encoder-width 8 --encoder-blocks 1 "
    "--num-heads 2"
).split()
HIDDEN = ("encoder", "directed", "steps_per_epoch", "stage")

CASES = (
    Case(
        "qm9",
        "--epochs 2 --batch-size 16 --num-steps 1 --node-size 8 --num-vectors 2 --message-size 8 "
        "--num-basis 6".split(),
        lambda _: "--target alpha --train-size 32 --validation-size 24 --test-size 40".split(),
        molecules,
        "MoleculeRegressor",
        folder="",
        tags=("mae/alpha", "diagnostics/reconstruction_error"),
        images=("predicted_against_true/alpha",),
    ),
    Case(
        "citation",
        "--steps 4 --steps-per-epoch 2 --num-steps 1 --node-size 4 --learning-rate 1e-2".split(),
        nothing,
        labeled_graph,
        "NodeClassifier",
        tags=("accuracy", "diagnostics/reconstruction_error"),
        images=("confusion",),
    ),
    Case(
        "ppi",
        "--epochs 2 --num-steps 1 --node-size 6 --message-size 5 --dropout 0.2".split(),
        protein_files,
        labeled_graphs,
        "NodeClassifier",
        tags=("f1", "diagnostics/reconstruction_error"),
        images=("precision_recall",),
    ),
    Case(
        "density",
        "--epochs 2 --steps 4 --batch-size 8 --num-steps 1 --width 8 --num-heads 2 "
        "--num-bins 4".split(),
        few_sets,
        sets,
        "GraphDensity",
        tags=("diagnostics/reconstruction_error",),
        images=("sets",),
        hidden=("steps_per_epoch",),
    ),
    Case(
        "autoencoder",
        GENERATOR,
        nothing,
        graphs,
        "GraphGenerator",
        stage="auto_encoder",
        tags=("wrong_edges", "cross_entropy"),
        images=("reconstructed",),
        hidden=HIDDEN,
    ),
    Case(
        "generation",
        [*GENERATOR, *"--num-steps 1 --width 8 --num-generated 30 --trials 2".split()],
        nothing,
        graphs,
        "GraphGenerator",
        stage="flow",
        answers=".g6",
        tags=("rate", "mmd_to_training_graphs/degree"),
        images=("graphs", "graphs/generated"),
        hidden=HIDDEN,
    ),
)
TRAINERS = tuple(case.trainer for case in CASES)
