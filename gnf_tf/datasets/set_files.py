"""Sets of points, or graphs with node features, from a user's files, for density estimation."""

import os
import pathlib
import zipfile

import numpy as np
import tensorflow as tf

from gnf_tf.datasets.contents import opened
from gnf_tf.datasets.graph_files import files_in, read_graphs
from gnf_tf.datasets.labeled_graphs import check_features
from gnf_tf.datasets.networkx_files import ATTRIBUTED, read_attributed_graphs
from gnf_tf.datasets.node_graphs import graphs_with_features, names_of_features
from gnf_tf.datasets.npz_files import read_npz
from gnf_tf.datasets.text_files import number, read_table, short, wrong_line
from gnf_tf.errors import DataError
from gnf_tf.files import user_path
from gnf_tf.graphs import GraphsTuple, fully_connected
from gnf_tf.graphs.validation import as_float32

__all__ = ["feature_names", "read_sets", "set_names"]

_SET = "set"  # the column, or the array, with the set of each point


def read_sets(path: str | os.PathLike) -> GraphsTuple:
    """Sets of points, or graphs with node features, for `GraphDensity`.

    Use this if the nodes have features, and `read_graphs` if only the edges matter. Sets of points
    are read from two formats:

    - `.csv`: a line for each point, below a line with the names of the columns. The column "set"
      has the number or the name of the set of a point, and each other column is a feature. The
      features are sorted by the names of their columns, so that files with the columns in another
      order have the same features. A first column without a name, or "Unnamed: 0", such as the
      row numbers that pandas writes, is left out.
    - `.npz`: arrays features [num_nodes, F] and set [num_nodes].

    Each set becomes a fully connected graph with self loops, as in `graphs.fully_connected`. The
    points of a set need not be consecutive. The sets are in the order of their first points.

    Graphs are read from `.graphml`, `.gexf`, `.gml` and `.json` (node-link) files, from folders and
    `.zip` archives of them, and from `.npz` files and other folders and archives as in
    `read_graphs`. The features of their nodes are those of `node_graph_from_networkx`, and each
    edge has both directions.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
    ...     print("set,x,y\\na,0,1\\nb,2,3\\na,4,5", file=file, flush=True)
    ...     sets = read_sets(file.name)
    >>> sets.n_node.numpy().tolist(), sets.nodes.numpy().tolist()
    ([2, 1], [[0.0, 1.0], [4.0, 5.0], [2.0, 3.0]])

    Args:
      path: path of the file or the folder.

    Returns:
      A GraphsTuple with nodes [num_nodes, F] float32, and edges and globals of width 0.

    Raises:
      DataError: if the file is missing or damaged, or has no such sets; the message names the line
        and the column, the array, or the graph. Or if a feature has values most of which float32
        does not tell apart.
    """
    path = user_path(path)
    suffix = path.suffix.lower()
    try:
        if points := _read_points(path):
            return _joined(*points)
        if suffix == ".npz":
            graphs = read_graphs(path)
        elif suffix == ".zip" or path.is_dir():
            graphs = _read_folder(path) or read_graphs(path)
        else:
            graphs = read_attributed_graphs(path, [".csv", ".npz", ".zip"])
        if not graphs:
            raise ValueError("it must hold a graph, got none")
        return graphs_with_features(graphs)
    except ValueError as error:
        raise DataError(f"the data file {path} has wrong content: {error}") from error


def set_names(path: str | os.PathLike) -> list[str] | None:
    """The names of the sets that `read_sets` reads from a file, in the same order.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
    ...     print("set,x,y\\nb,0,1\\na,2,3\\nb,4,5", file=file, flush=True)
    ...     set_names(file.name)
    ['b', 'a']

    Args:
      path: path of the file or the folder.

    Returns:
      The different values of "set", as text; or None for graphs, which have no names.

    Raises:
      DataError: as for `read_sets`, as far as the file is read.
    """
    path = user_path(path)
    try:
        points = _read_points(path)
    except ValueError as error:
        raise DataError(f"the data file {path} has wrong content: {error}") from error
    return None if points is None else list(map(str, dict.fromkeys(points[1].tolist())))


def feature_names(path: str | os.PathLike) -> tuple[str, ...] | None:
    """The names of the node features that the readers of files return, in the same order.

    Give them to a model, as its attribute `feature_names`, for `trainers/predict.py` to refuse
    files with other features.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
    ...     print("set,y,x\\na,0,1", file=file, flush=True)
    ...     feature_names(file.name)
    ('x', 'y')

    Args:
      path: path of a file or a folder that `read_sets`, `read_node_graph` or `read_labeled_graphs`
        reads.

    Returns:
      The names of the columns, or of the attributes of nodes; None where features are vectors.

    Raises:
      DataError: as for the readers, as far as the file is read.
    """
    path = user_path(path)
    suffix = path.suffix.lower()
    if suffix == ".csv":
        header, _ = read_table(path, index="")
        return tuple(_features_of(header))
    if suffix == ".zip" or path.is_dir():
        graphs = _read_folder(path)
    else:
        graphs = read_attributed_graphs(path, []) if suffix in ATTRIBUTED else []
    return names_of_features(graphs) if graphs else None


def _features_of(header):
    return sorted(name for name in header if name not in ("", _SET))


def _read_points(path):
    """(features [num_points, F], the set of each point), or None for a path of graphs."""
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return _read_csv(path)
    arrays = read_npz(path) if suffix == ".npz" else {"n_nodes": None}
    return None if "n_nodes" in arrays else _of_arrays(arrays)


def _read_folder(path):
    """The graphs of a folder or an archive if all its files keep attributes of any name."""
    files = files_in(path if path.is_dir() else opened(path, zipfile.Path))
    if not all(pathlib.PurePath(file.name).suffix.lower() in ATTRIBUTED for file in files):
        return []
    return [graph for file in files for graph in read_attributed_graphs(file, [])]


def _of_arrays(arrays):
    missing = {"features", _SET} - set(arrays)
    if missing:
        raise ValueError(
            f"it lacks {', '.join(sorted(missing))}, got arrays {short(', '.join(sorted(arrays)))}"
        )
    features, sets = arrays["features"], arrays[_SET]
    check_features("features", features)
    if sets.shape != features.shape[:1] or sets.dtype.kind not in "biuSU":
        raise ValueError(
            f"`{_SET}` must be whole numbers or names {features.shape[:1]}, a set for each row of "
            f"`features`, got {sets.dtype} of shape {sets.shape}"
        )
    return features, sets


def _joined(features, sets):
    """A fully connected graph for each set."""
    _, first, inverse, counts = np.unique(
        sets, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(first[inverse], kind="stable")
    graph = fully_connected(counts[np.argsort(first)], features.shape[1])
    return graph.replace(nodes=tf.constant(as_float32("node", features[order])))


def _read_csv(path):
    """(features [num_points, F], the name of each point's set)."""
    header, rows = read_table(path, index="")
    names = _features_of(header)
    if _SET not in header or not names:
        raise wrong_line(
            path,
            1,
            f"expected a column {_SET!r} and columns of features, got {short(', '.join(header))}",
        )
    for line, cells in rows:
        if not cells[_SET]:
            raise wrong_line(path, line, f"expected the name of a set in `{_SET}`, got nothing")
    features = [[number(path, line, cells, name) for name in names] for line, cells in rows]
    return np.array(features), np.array([cells[_SET] for _, cells in rows])
