"""Applies a trained model of any kind to a file, and writes the results to another file.

    python trainers/predict.py runs/qm9/model.npz more.xyz --out predictions.csv
    python trainers/predict.py runs/citation/seed0/model.npz graph.npz --out classes.csv
    python trainers/predict.py runs/density/seed0/model.npz sets.csv --out log_probs.csv
    python trainers/predict.py runs/generation/seed0/model.npz 1000 --out graphs.g6

A MoleculeRegressor predicts targets of molecules, beside their titles or SMILES strings; the column
"unfamiliar" is above 0 for a molecule unlike the training molecules. A NodeClassifier predicts
classes of nodes and their probabilities, beside the names that the file gives them. A GraphDensity
computes log-densities of node features in nats, where low ones indicate anomalies; if --out is a
file of graphs, it samples new features for the input's graphs, which are written without the self
loops that sets have: where messages go along edges, the file has other densities. A PositionFlow
does the same with positions. A GraphGenerator generates a number of graphs, or graphs of the sizes
of the input's; if --out is a csv file, it computes log-densities of the embeddings of the input's
graphs, or, if trainers/autoencoder.py trained the auto-encoder alone, how well it reconstructs each
graph.
"""

import dataclasses
import pathlib
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Annotated, Any

if __name__ == "__main__":  # Python adds the folder of a script to its path, not the project's
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
    import trainers  # noqa: F401  # TensorFlow, quietly

import networkx as nx
import numpy as np
import pandas as pd
import tyro

from gnf_tf import datasets, graphs, models, options
from gnf_tf.datasets.graph_files import WRITABLE, checked_graphs
from gnf_tf.datasets.npz_files import read_npz
from gnf_tf.errors import UserError
from gnf_tf.files import user_path, whole_file
from gnf_tf.headings import with_unit
from gnf_tf.models import decoding
from trainers import cli

CSV, LOG_PROB = ".csv", "log_prob [nats]"


@dataclasses.dataclass(frozen=True)
class Config:
    """The options."""

    model: tyro.conf.Positional[pathlib.Path]
    """file of a trained model, such as model.npz in a run folder"""
    input: tyro.conf.Positional[str]
    """file of the model's input; or, for a GraphGenerator, how many graphs to generate"""
    out: pathlib.Path
    """file to be written, .csv, or graphs with a suffix that gnf_tf.datasets.write_graphs knows"""
    seed: options.Seed = 0
    """seed of samples and of an encoder's noise"""
    coverage: (
        Annotated[float, options.Rule("in (0, 0.999]", lambda value: 0 < value <= 0.999)] | None
    ) = None
    """share of true values within intervals, such as 0.9, for a MoleculeRegressor: the output then
    has two more columns for each target, the ends of its intervals"""
    constraint: decoding.ConstraintName | None = None
    """property that generated graphs keep, for a GraphGenerator; default: that of its training"""
    connected: Annotated[bool | None, cli.SWITCH] = None
    """whether its graphs are connected, --connected or --connected False; default: as in its
    training"""

    def __post_init__(self):
        options.check(self)


def main() -> None:
    """Runs the command line."""
    config = cli.command_line(Config, __doc__)
    out = config.out
    if not out.parent.is_dir():
        raise UserError(f"--out must be in a folder that exists, got {out}")
    if out.exists() and not out.is_file():
        raise UserError(f"--out must be a file, got {out}")
    for given in (config.model, user_path(config.input)):
        if out.exists() and given.exists() and out.samefile(given):
            raise UserError(f"--out must not be a file that is read, got {out}")
        if given.is_dir() and given.resolve() in out.resolve().parents:
            raise UserError(f"--out must not be in the folder that is read, got {out}")
    try:
        model = models.load(config.model)
        if type(model) not in ANSWERS:
            known = ", ".join(kind.__name__ for kind in ANSWERS)
            raise UserError(f"{config.model} holds a {type(model).__name__}, expected {known}")
        for option, kind, lacks in (
            ("coverage", models.MoleculeRegressor, "has no intervals"),
            ("constraint", models.GraphGenerator, "generates no graphs"),
            ("connected", models.GraphGenerator, "generates no graphs"),
        ):
            if (value := getattr(config, option)) is not None and not isinstance(model, kind):
                raise UserError(
                    f"--{option} must be left out for a {type(model).__name__}, which {lacks}, "
                    f"got {value}"
                )
        ask, suffixes = ANSWERS[type(model)]
        if out.suffix.lower() not in suffixes:
            raise UserError(
                f"--out must have a suffix of {', '.join(suffixes)} for a {type(model).__name__}, "
                f"got {out}"
            )
        answer = ask(model, config)
        _write(out, answer)
    except ValueError as error:
        raise UserError(str(error)) from error
    print(f"{len(answer)} {'rows' if out.suffix.lower() == CSV else 'graphs'} written to {out}")


def _check_features(model, path):
    """Raises an error if the features of a file have other names than those of training."""
    names = datasets.feature_names(path)
    if None not in (names, model.feature_names) and names != model.feature_names:
        raise UserError(
            f"the input must have the features {', '.join(model.feature_names)}, as in training, "
            f"got {', '.join(names)}"
        )


def _write(path, answer):
    try:
        if isinstance(answer, pd.DataFrame):
            with whole_file(path) as file:
                answer.to_csv(file)
        else:
            datasets.write_graphs(path, answer)
    except OSError as error:
        raise UserError(f"can't write {path}: {error.strerror or error}") from error


def regress(model: models.MoleculeRegressor, config: Config) -> pd.DataFrame:
    """Predicts the targets of molecules, and how unlike the training molecules they are."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        molecules = datasets.read_molecules(config.input)
        if config.coverage is None:
            columns = {"": model.predict(molecules)}
        else:
            found = model.predict_with_interval(molecules, config.coverage)
            columns = dict(zip(("", " lower", " upper"), found, strict=True))
    for message in {str(warning.message): None for warning in caught}:
        print(f"warning: {message}", file=sys.stderr)
    # A list, because targets may be named "unfamiliar", or "gap" and "gap lower".
    table = [] if molecules.titles is None else [pd.Series(molecules.titles, name="title")]
    table += [
        pd.Series(values[:, i], name=with_unit(f"{name}{end}", unit))
        for i, (name, unit) in enumerate(zip(model.target_names, model.target_units, strict=True))
        for end, values in columns.items()
    ]
    if model.training_ranges is not None:
        table.append(pd.Series(model.unfamiliar(molecules), name="unfamiliar"))
    return pd.concat(table, axis=1).rename_axis("molecule")


def classify(model: models.NodeClassifier, config: Config) -> pd.DataFrame:
    """Predicts the classes or labels of nodes, and their probabilities."""
    _check_features(model, config.input)
    network = _read_nodes(config.input)
    classes, predicted = np.array(model.class_names), model.predict(network)
    columns = [f"p({name})" for name in classes]
    table = pd.DataFrame(model.predict_proba(network), columns=columns)
    if model.multi_label:
        table.insert(0, "labels", [" ".join(classes[row]) for row in predicted])
    else:
        table.insert(0, "class", classes[predicted])
    sizes = getattr(network, "n_node", [len(table)])
    if (names := datasets.node_names(config.input)) is not None:
        table.insert(0, "name", names)
    places = [(graph, node) for graph, size in enumerate(sizes) for node in range(size)]
    return table.set_index(pd.MultiIndex.from_tuples(places, names=["graph", "node"]))


def _read_nodes(path):
    """Reads one graph or several, as the two trainers of a NodeClassifier do."""
    if path.lower().endswith(".npz") and "n_nodes" not in read_npz(path):
        return datasets.read_node_graph(path, labeled=False)
    return datasets.read_labeled_graphs(path, labeled=False)


def score(
    model: models.GraphDensity | models.PositionFlow, config: Config
) -> pd.DataFrame | list[nx.Graph]:
    """Computes log-densities of node features, or samples new features."""
    _check_features(model, config.input)
    sets = datasets.read_sets(config.input)
    if config.out.suffix.lower() == CSV:
        noise = {"seed": config.seed} if isinstance(model, models.PositionFlow) else {}
        names = datasets.set_names(config.input)
        table = _of_graphs(sets.n_node, {LOG_PROB: model.log_prob(sets, **noise)})
        return table if names is None else table.assign(set=names)
    made = graphs.to_networkx(model.sample(sets, seed=config.seed))
    for graph in made:  # the points of a set are joined to themselves, which no file holds
        graph.remove_edges_from(list(nx.selfloop_edges(graph)))
    return made


def generate(model: models.GraphGenerator, config: Config) -> pd.DataFrame | list[nx.Graph]:
    """Generates graphs, or scores given graphs by log-density or reconstruction error."""
    is_csv = config.out.suffix.lower() == CSV
    wanted: dict[str, Any] = {"constraint": config.constraint, "connected": config.connected}
    is_number = config.input.isascii() and config.input.isdecimal()
    if is_number and not pathlib.Path(config.input).exists():
        if is_csv:
            raise UserError(f"--out must be a file of graphs where they are made, got {config.out}")
        number = int(config.input)
        if not number:
            raise UserError("the input must be a number of graphs of at least 1, got 0")
        _check_format(model, config, number)
        return model.generate(number, seed=config.seed, **wanted)
    if not user_path(config.input).exists():
        raise UserError(
            f"the input must be a number of graphs, or a file that exists, got {config.input}"
        )
    for option, value in wanted.items():
        if is_csv and value is not None:
            raise UserError(f"--{option} must be left out where no graphs are made, got {value}")
    given = datasets.read_graphs(config.input)
    sizes = [len(graph) for graph in given]
    if not is_csv:
        _check_format(model, config, len(sizes))
        return model.generate(n_node=sizes, seed=config.seed, **wanted)
    if model.stage == "auto_encoder":
        cross_entropy, wrong = model.reconstruction(given, seed=config.seed)
        return _of_graphs(sizes, {"cross_entropy [nats]": cross_entropy, "wrong_edges": wrong})
    return _of_graphs(sizes, {LOG_PROB: model.log_prob(given, seed=config.seed)})


def _check_format(model, config, number):
    """Raises an error if the file can't hold such graphs, before they are generated."""
    alike = nx.empty_graph(2, nx.DiGraph if model.config.directed else nx.Graph)
    checked_graphs(config.out, [alike] * min(number, 2))


def _of_graphs(sizes, columns):
    columns = {name: np.asarray(values) for name, values in columns.items()}
    return pd.DataFrame({"n_node": sizes} | columns).rename_axis("graph")


ANSWERS: dict[type, tuple[Callable[[Any, Config], Any], Sequence[str]]] = {
    models.MoleculeRegressor: (regress, [CSV]),
    models.NodeClassifier: (classify, [CSV]),
    models.GraphDensity: (score, [CSV, *WRITABLE]),
    models.PositionFlow: (score, [CSV, *WRITABLE]),
    models.GraphGenerator: (generate, [CSV, *WRITABLE]),
}


if __name__ == "__main__":
    cli.run(main)
