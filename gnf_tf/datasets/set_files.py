"""Sets of points, or graphs with node features, from a user's files: data for densities."""

import csv
import os

import numpy as np
import tensorflow as tf

from gnf_tf.datasets.attributed_files import read_attributed_graphs
from gnf_tf.datasets.graph_files import read_graphs
from gnf_tf.datasets.labeled_graphs import check_features
from gnf_tf.datasets.node_graphs import graphs_with_features
from gnf_tf.datasets.npz_files import read_npz
from gnf_tf.errors import DataError
from gnf_tf.files import user_path
from gnf_tf.graphs import GraphsTuple, fully_connected

__all__ = ["read_sets"]

_SET = "set"  # the column, or array, that says which set a point is in


def read_sets(path: str | os.PathLike) -> GraphsTuple:
    """Graphs with node features, nodes [num_nodes, F] float32: sets of points, or graphs.

    .csv: a first line with the names of the columns, among them "set", the number or name of the
    set that the point of a line is in; all others are features, numbers.
    .npz: arrays features [num_nodes, F] and set [num_nodes].
    A set, whose points need not follow one another, becomes a fully connected graph with self
    loops, as `graphs.fully_connected` makes it; sets are in the order of their first points.

    .graphml, .gexf, .gml and .json (node-link); an .npz of graphs, a folder or a .zip as
    `read_graphs` reads them: graphs whose nodes have features as `node_graph_from_networkx` takes
    them, each edge in both directions.

    Raises:
      DataError: if the file is missing, damaged, or holds no such sets, naming the file and the
        line and column, the array, or the graph.
    """
    path = user_path(path)
    suffix = path.suffix.lower()
    arrays = read_npz(path) if suffix == ".npz" else {}
    try:
        if suffix == ".csv":
            return _joined(*_read_csv(path))
        if suffix == ".npz" and "n_nodes" not in arrays:
            return _joined(*_of_arrays(arrays))
        if suffix in (".npz", ".zip") or path.is_dir():
            graphs = read_graphs(path)
        else:
            graphs = read_attributed_graphs(path, [".csv", ".npz", ".zip"])
        if not graphs:
            raise ValueError("it must hold a graph, got none")
        return graphs_with_features(graphs)
    except ValueError as error:
        raise DataError(f"the data file {path} doesn't fit: {error}") from error


def _of_arrays(arrays):
    missing = {"features", _SET} - set(arrays)
    if missing:
        raise ValueError(f"it lacks {', '.join(sorted(missing))}, got arrays {sorted(arrays)}")
    features, sets = arrays["features"], arrays[_SET]
    check_features("features", features)
    if sets.shape != features.shape[:1] or sets.dtype.kind not in "biuSU":
        raise ValueError(
            f"`{_SET}` must be whole numbers or names {features.shape[:1]}, a set for each row of "
            f"`features`, got {sets.dtype} of shape {sets.shape}"
        )
    return features, sets


def _joined(features, sets):
    """Each set as a fully connected graph."""
    _, first, inverse, counts = np.unique(
        sets, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(first[inverse], kind="stable")
    graph = fully_connected(counts[np.argsort(first)], features.shape[1])
    return graph.replace(nodes=tf.constant(features[order], tf.float32))


def _read_csv(path):
    """(features [num_points, F], name of each point's set)."""
    try:
        # A byte order mark is what spreadsheets begin with.
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            lines = [(reader.line_num, row) for row in reader if row]
    except FileNotFoundError as error:
        raise DataError(f"the data file {path} is missing") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"the data file {path} can't be read as csv ({error})") from error
    if len(lines) < 2:
        raise ValueError(f"it must have a line of names and lines of numbers, got {len(lines)}")
    names = [name.strip() for name in lines[0][1]]
    if _SET not in names:
        raise ValueError(f"it must have a column {_SET!r}, got columns {names}")
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise ValueError(f"its columns must have different names, got {repeated[0]!r} twice")
    if len(names) < 2:
        raise ValueError(f"it must have a column of features besides {_SET!r}, got none")
    where = names.index(_SET)
    features = np.empty([len(lines) - 1, len(names) - 1])
    sets = []
    for row, (line, cells) in enumerate(lines[1:]):
        if len(cells) != len(names):
            raise ValueError(f"line {line} must have {len(names)} cells, got {len(cells)}")
        sets.append(cells.pop(where).strip())
        if not sets[-1]:
            raise ValueError(f"line {line} must name a set in column {_SET!r}, got nothing")
        try:
            features[row] = cells
            fine = np.abs(features[row]) <= np.finfo(np.float32).max
        except ValueError:
            fine = [_is_number(cell) for cell in cells]
        if not np.all(fine):
            column = int(np.argmin(fine))
            name = [*names[:where], *names[where + 1 :]][column]
            raise ValueError(
                f"line {line} must have a finite number in column {name!r}, got {cells[column]!r}"
            )
    return features, np.array(sets)


def _is_number(cell):
    try:
        float(cell)
    except ValueError:
        return False
    return True
