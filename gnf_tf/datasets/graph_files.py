"""Lists of graphs from files: npz files of edge lists, and folders in the format of TU Dortmund.

Node labels and attributes become the attributes "label" (a number) and "features" (a vector, what
`graphs.from_networkx` takes) of the nodes; those of edges and graphs alike.
"""

import os
import pathlib
import tokenize
import warnings
import zipfile
import zlib

import networkx as nx
import numpy as np

from gnf_tf.datasets.random_graphs import GraphSplit
from gnf_tf.errors import DataError

__all__ = ["read_graphs", "tu_dataset"]


def read_graphs(path: str | os.PathLike, split: GraphSplit = "all") -> list[nx.Graph]:
    """The graphs of an npz file, in its order: undirected, nodes 0 to n - 1, no self loops.

    The file holds n_nodes [G] and n_edges [G], whole numbers; edges [2, sum of n_edges], the two
    nodes of each edge, numbered in their graph, the smaller first, graph by graph; and it may hold
    is_test [G], booleans or 0 and 1, and as finite numbers node_labels [sum of n_nodes],
    node_attributes [sum of n_nodes, width], graph_labels [G]. Whole numbers are of any integer
    type; an array without elements is of any.

    Args:
      path: of the file.
      split: "all", or the graphs that `is_test` marks ("test") or not ("train").

    Raises:
      ValueError: for an unknown split, or "train" and "test" where the file has no `is_test`.
      DataError: if the file is missing or damaged.
    """
    if split not in ("train", "test", "all"):
        raise ValueError(f"`split` must be 'train', 'test' or 'all', got {split!r}")
    path = pathlib.Path(os.path.expanduser(path))
    arrays = _load(path)
    _check(path, arrays)
    graphs = _npz_graphs(path, arrays)
    if split == "all":
        return graphs
    if "is_test" not in arrays:
        raise ValueError(f"{path} has no `is_test`: its `split` must be 'all', got {split!r}")
    is_test = arrays["is_test"].astype(bool)
    return [g for g, test in zip(graphs, is_test, strict=True) if test == (split == "test")]


def _load(path):
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except FileNotFoundError as error:
        raise DataError(f"the data file {path} is missing") from error
    except (
        *(OSError, TypeError, ValueError, EOFError, MemoryError, RuntimeError, SyntaxError),
        *(zipfile.BadZipFile, zlib.error, tokenize.TokenError),
    ) as error:
        raise DataError(f"the data file {path} is damaged: no npz file of arrays") from error
    # What is not an npy file within the archive comes as bytes.
    if not all(isinstance(values, np.ndarray) for values in arrays.values()):
        raise DataError(f"the data file {path} is damaged: no npz file of arrays")
    return arrays


# What each array must be where it isn't empty: kinds of its dtype, least and greatest value.
_COUNTS = "iu", 0, np.iinfo(np.int32).max, f"[G] whole numbers from 0 to {np.iinfo(np.int32).max}"
_FINITE = "biuf", -np.finfo(np.float64).max, np.finfo(np.float64).max, "finite numbers"
_RULES = {
    "n_nodes": _COUNTS,
    "n_edges": _COUNTS,
    "edges": ("iu", -np.inf, np.inf, "whole numbers"),
    "is_test": ("biu", 0, 1, "True or False"),
    "node_labels": _FINITE,
    "node_attributes": _FINITE,
    "graph_labels": _FINITE,
}


def _check(path, arrays):
    """Raises a DataError for an array that is missing or of a wrong kind, value or shape."""
    missing = {"n_nodes", "n_edges", "edges"} - set(arrays)
    if missing:
        raise DataError(f"the data file {path} is damaged: it lacks {', '.join(sorted(missing))}")
    for key, (kinds, low, high, rule) in _RULES.items():
        values = arrays.get(key, np.zeros(0)).ravel()
        found = None
        if values.size and values.dtype.kind not in kinds:
            found = values.dtype
        elif values.size and not ((values >= low) & (values <= high)).all():
            found = values[((values >= low) & (values <= high)).argmin()]
        if found is not None:
            raise DataError(f"the data file {path} is damaged: `{key}` must be {rule}, got {found}")
    n_graphs = arrays["n_nodes"].shape
    if len(n_graphs) != 1:
        raise DataError(
            f"the data file {path} is damaged: `n_nodes` has shape {n_graphs}, expected (G,)"
        )
    total, num_edges = (int(arrays[key].astype(np.int64).sum()) for key in ("n_nodes", "n_edges"))
    width = arrays["node_attributes"].shape[1:2] or (1,) if "node_attributes" in arrays else ()
    shapes = {
        "n_edges": n_graphs,
        "edges": (2, num_edges),
        "is_test": n_graphs,
        "node_labels": (total,),
        "node_attributes": (total, *width),
        "graph_labels": n_graphs,
    }
    for key, shape in shapes.items():
        if key in arrays and arrays[key].shape != shape:
            raise DataError(
                f"the data file {path} is damaged: `{key}` has shape {arrays[key].shape}, expected "
                f"{shape}"
            )


def _npz_graphs(path, arrays):
    # Of one signed type, in which differences and sums are right.
    n_nodes, n_edges, edges = (
        arrays[key].astype(np.int64) for key in ("n_nodes", "n_edges", "edges")
    )
    graph_of_edge = np.repeat(np.arange(len(n_nodes)), n_edges)
    low, high = edges
    wrong = (low < 0) | (low >= high) | (high >= n_nodes[graph_of_edge])
    if wrong.any():
        column = int(wrong.argmax())
        low, high = arrays["edges"][:, column]
        raise DataError(
            f"the data file {path} is damaged: edge {column} joins nodes {low} and {high} of graph "
            f"{graph_of_edge[column]}, expected numbers below {n_nodes[graph_of_edge[column]]}, "
            "the smaller first"
        )
    starts = np.cumsum(n_nodes) - n_nodes
    graphs = _make(
        np.repeat(np.arange(len(n_nodes)), n_nodes),
        len(n_nodes),
        edges + starts[graph_of_edge],
        node={"label": arrays.get("node_labels"), "features": arrays.get("node_attributes")},
        whole={"label": arrays.get("graph_labels")},
    )
    found = np.array([graph.number_of_edges() for graph in graphs], np.int64)
    if (found != n_edges).any():
        row = int((found != n_edges).argmax())
        raise DataError(f"the data file {path} is damaged: graph {row} has an edge twice")
    return graphs


def tu_dataset(folder: str | os.PathLike, name: str) -> list[nx.Graph]:
    """A data set of the TU Dortmund collection (ENZYMES, PROTEINS, ...) from its text files.

    Morris et al., "TUDataset", ICML 2020 workshop. Of the files NAME_A.txt and
    NAME_graph_indicator.txt must be there; NAME_graph_labels, NAME_graph_attributes,
    NAME_node_labels, NAME_node_attributes, NAME_edge_labels and NAME_edge_attributes are read
    where they are. A label file of several columns gives vectors.

    Args:
      folder: where the files are.
      name: what their names start with, e.g. "ENZYMES".

    Returns:
      Undirected graphs, nodes 0 to n - 1 in the order of the files. Self loops are left out; an
      edge has what the files say of the direction from the smaller number to the greater.

    Raises:
      DataError: if a file is missing, damaged or cut short.
    """
    paths = _TuPaths(pathlib.Path(os.path.expanduser(folder)), name)
    indicator = _table(paths("graph_indicator"), np.int64, width=1)[:, 0]
    found = np.unique(indicator)
    if not np.array_equal(found, np.arange(1, len(found) + 1)):
        raise DataError(
            f"the data file {paths('graph_indicator')} is damaged: expected every graph from 1 to "
            f"{len(found)}, got {found[0]} to {found[-1]}"
        )
    pairs = _table(paths("A"), np.int64, width=2)
    _check_pairs(pairs, indicator, paths)
    once = pairs[:, 0] < pairs[:, 1]
    return _make(
        indicator - 1,
        len(found),
        pairs[once].T - 1,
        node=_optional(paths, "node", len(indicator)),
        edge={
            key: None if values is None else values[once]
            for key, values in _optional(paths, "edge", len(pairs)).items()
        },
        whole=_optional(paths, "graph", len(found)),
    )


class _TuPaths:
    def __init__(self, folder, name):
        self._folder, self._name = folder, name

    def __call__(self, what):
        return self._folder / f"{self._name}_{what}.txt"


def _check_pairs(pairs, indicator, paths):
    path = paths("A")
    wrong = (pairs < 1) | (pairs > len(indicator))
    if wrong.any():
        line = int(wrong.any(axis=1).argmax())
        raise DataError(
            f"the data file {path} is damaged in line {line + 1}: nodes {pairs[line].tolist()}, "
            f"expected numbers from 1 to {len(indicator)}, the lines of {paths('graph_indicator')}"
        )
    ends = indicator[pairs - 1]
    apart = ends[:, 0] != ends[:, 1]
    if apart.any():
        line = int(apart.argmax())
        raise DataError(
            f"the data file {path} is damaged in line {line + 1}: nodes {pairs[line].tolist()} are "
            "of different graphs"
        )
    # A file that is cut short lacks the reverse of an edge.
    keys = pairs @ [len(indicator) + 1, 1]
    alone = ~np.isin(keys, pairs @ [1, len(indicator) + 1])
    if alone.any():
        line = int(alone.argmax())
        raise DataError(
            f"the data file {path} is damaged: it has edge {pairs[line].tolist()} in line "
            f"{line + 1}, expected its reverse too"
        )


def _optional(paths, what, rows):
    """The labels and attributes of nodes, edges or graphs; None for a file that isn't there."""
    result = {}
    for key, kind, dtype in (("label", "labels", np.int64), ("features", "attributes", np.float64)):
        path = paths(f"{what}_{kind}")
        result[key] = None
        if path.exists():
            values = _table(path, dtype)
            if len(values) != rows:
                raise DataError(
                    f"the data file {path} is damaged: it has {len(values)} lines, expected {rows}"
                )
            flat = key == "label" and values.shape[1] == 1
            result[key] = values[:, 0] if flat else values
    return result


def _table(path, dtype, width=None):
    """[lines, columns] of a file of numbers with commas between them."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an empty file, refused below
            table = np.loadtxt(path, dtype=dtype, delimiter=",", ndmin=2)
    except FileNotFoundError as error:
        raise DataError(f"the data file {path} is missing") from error
    except (OSError, ValueError) as error:
        raise DataError(f"the data file {path} is damaged ({error})") from error
    if not table.size or width not in (None, table.shape[1]):
        raise DataError(
            f"the data file {path} is damaged: {len(table)} lines of {table.shape[1]} numbers, "
            f"expected lines of {width or 'at least 1'}"
        )
    wrong = ~np.isfinite(table).all(axis=1)
    if wrong.any():
        line = int(wrong.argmax())
        raise DataError(
            f"the data file {path} is damaged in line {line + 1}: {table[line].tolist()}, "
            "expected finite numbers"
        )
    return table


def _make(graph_of_node, num_graphs, edges, node, whole, edge=None):
    """Graphs from `edges` [2, E] between rows of `graph_of_node`, and attributes, row by row."""
    order = np.argsort(graph_of_node, kind="stable")
    n_nodes = np.bincount(graph_of_node, minlength=num_graphs)
    starts = np.cumsum(n_nodes) - n_nodes
    local = np.empty(len(order), np.int64)
    local[order] = np.arange(len(order)) - np.repeat(starts, n_nodes)

    graphs = [nx.Graph(**attributes) for attributes in _rows(whole, num_graphs)]
    members = zip(
        graph_of_node[order].tolist(), local[order].tolist(), _rows(node, order), strict=True
    )
    for owner, number, attributes in members:
        graphs[owner].add_node(number, **attributes)
    links = zip(
        graph_of_node[edges[0]].tolist(),
        *local[edges].tolist(),
        _rows(edge or {}, edges.shape[1]),
        strict=True,
    )
    for owner, low, high, attributes in links:
        graphs[owner].add_edge(low, high, **attributes)
    return graphs


def _rows(columns, order):
    """A dict of attributes for each row of `order`, or for the first so many rows."""
    order = range(order) if isinstance(order, int) else order.tolist()
    columns = {key: values for key, values in columns.items() if values is not None}
    for row in order:
        yield {
            key: values[row] if values.ndim > 1 else values[row].item()
            for key, values in columns.items()
        }
