"""Sets of points, or graphs with node features, from a user's files: data for densities."""

import os

import numpy as np
import tensorflow as tf

from gnf_tf.datasets.graph_files import read_graphs
from gnf_tf.datasets.labeled_graphs import check_features
from gnf_tf.datasets.networkx_files import read_attributed_graphs
from gnf_tf.datasets.node_graphs import graphs_with_features
from gnf_tf.datasets.npz_files import read_npz
from gnf_tf.datasets.text_files import number, read_table, short, wrong_line
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
    """(features [num_points, F], the name of each point's set)."""
    header, rows = read_table(path)
    names = [name for name in header if name != _SET]
    if len(names) == len(header) or not names:
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
