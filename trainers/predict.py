"""Asks a trained model of any kind about a file, and writes the answers to another.

    python trainers/predict.py runs/qm9/model.npz more.xyz --out predictions.csv
    python trainers/predict.py runs/citation/seed0/model.npz graph.npz --out classes.csv
    python trainers/predict.py runs/density/seed0/model.npz sets.csv --out log_probs.csv
    python trainers/predict.py runs/generation/seed0/model.npz 1000 --out graphs.g6

A MoleculeRegressor predicts targets of molecules; a NodeClassifier classes of nodes and their
probabilities; a GraphDensity log-densities of node features, in nats, of which low ones tell
anomalies, or with --out of graphs new features for the input's graphs; a GraphGenerator makes
graphs, so many, or of the sizes of the input's graphs, or with --out of a csv file gives the
log-densities of their embeddings; one of which trainers/autoencoder.py trained the auto-encoder
alone gives how well it reconstructs each graph, in such a file.
"""

import csv
import dataclasses
import io
import pathlib
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

if __name__ == "__main__":  # a script's own folder is on the path, its project's is not
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
    import trainers  # noqa: F401  # TensorFlow, quietly

import numpy as np
import tyro

from gnf_tf import datasets, graphs, models, options
from gnf_tf.datasets.graph_files import WRITABLE
from gnf_tf.datasets.npz_files import read_npz
from gnf_tf.errors import UserError
from gnf_tf.files import whole_file
from trainers import cli

CSV = ".csv"


@dataclasses.dataclass(frozen=True)
class Config:
    """Options."""

    model: tyro.conf.Positional[pathlib.Path]
    """file of a trained model, as model.npz of a run folder"""
    input: tyro.conf.Positional[str]
    """file that the model is asked about; or of a GraphGenerator how many graphs to make"""
    out: pathlib.Path
    """file to be written: .csv, or graphs of any suffix of gnf_tf.datasets.write_graphs"""
    seed: options.Seed = 0
    """of what is drawn"""

    def __post_init__(self):
        options.check(self)


def main() -> None:
    """The command line."""
    config = cli.command_line(Config, __doc__)
    out = config.out
    if not out.parent.is_dir():
        raise UserError(f"--out must be in a folder that exists, got {config.out}")
    try:
        model = models.load(config.model)
        answer = ANSWERS[type(model)]
        written = answer(model, config, out)
    except ValueError as error:
        raise UserError(str(error)) from error
    print(f"{written} written to {out}")


def regress(model: models.MoleculeRegressor, config: Config, out: pathlib.Path) -> str:
    """Targets of molecules."""
    _only_csv(model, out)
    molecules = datasets.read_molecules(config.input)
    predicted = model.predict(molecules)
    names = [
        f"{name} [{unit}]" if unit else name
        for name, unit in zip(model.target_names, model.target_units, strict=True)
    ]
    _write_csv(out, ["molecule", *names], ([i, *row] for i, row in enumerate(predicted.tolist())))
    return f"{len(molecules)} predictions"


def classify(model: models.NodeClassifier, config: Config, out: pathlib.Path) -> str:
    """Classes of nodes, or their labels, and probabilities."""
    _only_csv(model, out)
    network = _read_nodes(config.input)
    probabilities = model.predict_proba(network)
    predicted = model.predict(network)
    names = model.class_names
    if model.multi_label:
        chosen = [
            " ".join(n for n, has in zip(names, row, strict=True) if has) for row in predicted
        ]
    else:
        chosen = [names[label] for label in predicted]
    sizes = getattr(network, "n_node", [len(chosen)])
    places = [(graph, node) for graph, size in enumerate(sizes) for node in range(size)]
    heads = ["graph", "node", "labels" if model.multi_label else "class"]
    rows = zip(places, chosen, probabilities.tolist(), strict=True)
    _write_csv(
        out,
        [*heads, *(f"p({name})" for name in names)],
        ([*place, label, *row] for place, label, row in rows),
    )
    return f"labels of {len(chosen)} nodes"


def _read_nodes(path):
    """One graph or several, as either trainer of a NodeClassifier reads them."""
    if path.lower().endswith(".npz") and "n_nodes" not in read_npz(path):
        return datasets.read_node_graph(path)
    return datasets.read_labeled_graphs(path)


def score(model: models.GraphDensity, config: Config, out: pathlib.Path) -> str:
    """Log-densities of node features, or new features."""
    _csv_or_graphs(out)
    sets = datasets.read_sets(config.input)
    if out.suffix.lower() == CSV:
        return _write_log_probs(out, model.log_prob(sets), sets.n_node)
    made = graphs.to_networkx(model.sample(sets, seed=config.seed))
    datasets.write_graphs(out, made)
    return f"{len(made)} graphs with new features"


def generate(model: models.GraphGenerator, config: Config, out: pathlib.Path) -> str:
    """New graphs, or log-densities of the embeddings of graphs."""
    _csv_or_graphs(out)
    if config.input.isdecimal() and not pathlib.Path(config.input).exists():
        if out.suffix.lower() == CSV:
            raise UserError(f"--out must be a file of graphs where they are made, got {out}")
        made = model.generate(int(config.input), seed=config.seed)
    else:
        given = datasets.read_graphs(config.input)
        sizes = [len(graph) for graph in given]
        if out.suffix.lower() == CSV and model.stage == "auto_encoder":
            scores = np.array(model.reconstruction(given, seed=config.seed)).tolist()
            rows = zip(range(len(given)), sizes, *scores, strict=True)
            _write_csv(out, ["graph", "n_node", "cross_entropy [nats]", "wrong_edges"], rows)
            return f"reconstruction errors of {len(given)} graphs"
        if out.suffix.lower() == CSV:
            return _write_log_probs(out, model.log_prob(given, seed=config.seed), sizes)
        made = model.generate(n_node=sizes, seed=config.seed)
    datasets.write_graphs(out, made)
    return f"{len(made)} graphs"


ANSWERS: dict[type, Callable[[Any, Config, pathlib.Path], str]] = {
    models.MoleculeRegressor: regress,
    models.NodeClassifier: classify,
    models.GraphDensity: score,
    models.GraphGenerator: generate,
}


def _only_csv(model, out):
    if out.suffix.lower() != CSV:
        raise UserError(f"--out must be a {CSV} file for a {type(model).__name__}, got {out}")


def _csv_or_graphs(out):
    if out.suffix.lower() not in (CSV, *WRITABLE):
        expected = ", ".join((CSV, *WRITABLE))
        raise UserError(f"--out must have a suffix of {expected}, got {out}")


def _write_log_probs(out, log_probs, n_node):
    rows = zip(n_node, log_probs, strict=True)
    _write_csv(
        out,
        ["graph", "n_node", "log_prob [nats]"],
        ([i, int(size), float(value)] for i, (size, value) in enumerate(rows)),
    )
    return f"log-densities of {len(log_probs)} graphs"


def _write_csv(path: pathlib.Path, heads: Sequence[str], rows: Iterable[Sequence]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(heads)
    writer.writerows(rows)
    with whole_file(path) as file:
        file.write(text.getvalue().encode())


if __name__ == "__main__":
    cli.run(main)
