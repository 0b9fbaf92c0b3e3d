"""Sets of graphs in npz files with edge lists."""

import io
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import networkx as nx
import numpy as np

from gnf_tf.datasets.attributed_graphs import items, make_graphs
from gnf_tf.datasets.npz_files import arrays_of, read_npz
from gnf_tf.datasets.random_graphs import GraphSplit
from gnf_tf.errors import DataError

__all__ = ["marked_as_test", "npz_content", "read_npz_graphs"]


def read_npz_graphs(path: str | os.PathLike, content: bytes, split: GraphSplit) -> list[nx.Graph]:
    """The undirected graphs of an npz file, in its order, with nodes 0 to n - 1.

    `read_graphs` describes the arrays of the file. Whole numbers may have any integer type, and an
    array without elements any type.

    Args:
      path: path of the file, for error messages.
      content: content of the file.
      split: "all"; or "test" for the graphs whose `is_test` is true, "train" for the others.

    Raises:
      ValueError: if `split` is not "all" and the file has no `is_test`.
      DataError: if the file is damaged.
    """
    arrays = arrays_of(path, content)
    _check(path, arrays)
    graphs = _graphs(path, arrays)
    if split == "all":
        return graphs
    if "is_test" not in arrays:
        raise ValueError(f"{path} has no `is_test`: its `split` must be 'all', got {split!r}")
    is_test = arrays["is_test"].astype(bool)
    return [g for g, test in zip(graphs, is_test, strict=True) if test == (split == "test")]


def marked_as_test(path: pathlib.Path) -> np.ndarray | None:
    """[G] bool, `is_test` of an npz file of graphs; None for other files, and if it has none.

    Raises:
      DataError: if the file is damaged.
    """
    if path.suffix.lower() != ".npz" or path.is_dir():
        return None
    arrays = read_npz(path)
    if not {"is_test", "n_nodes"} <= set(arrays):
        return None
    _check(path, arrays)
    return arrays["is_test"].astype(bool)


# Rules for each array that is not empty: kinds of its dtype, smallest and largest value.
_COUNTS = "iu", 0, np.iinfo(np.int32).max, f"[G] whole numbers from 0 to {np.iinfo(np.int32).max}"
_FINITE = "biuf", -np.finfo(np.float64).max, np.finfo(np.float64).max, "finite numbers"
_ATTRIBUTES = {  # array -> (node, edge or graph, attribute)
    f"{kind}_{name}s": (kind, key)
    for kind in ("node", "edge", "graph")
    for name, key in (("label", "label"), ("attribute", "features"))
}
_RULES = {
    "n_nodes": _COUNTS,
    "n_edges": _COUNTS,
    "edges": ("iu", -np.inf, np.inf, "whole numbers"),
    "is_test": ("biu", 0, 1, "True or False"),
    **dict.fromkeys(_ATTRIBUTES, _FINITE),
}


def _check(path, arrays):
    """Raises a DataError if an array is missing, or has a wrong type, value or shape."""
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
    shapes = {"n_edges": n_graphs, "edges": (2, num_edges), "is_test": n_graphs}
    for key, (kind, attribute) in _ATTRIBUTES.items():
        shapes[key] = ({"node": total, "edge": num_edges, "graph": n_graphs[0]}[kind],)
        if attribute == "features" and key in arrays:
            shapes[key] += (max((1, *arrays[key].shape[1:2])),)
    for key, shape in shapes.items():
        if key in arrays and arrays[key].shape != shape:
            raise DataError(
                f"the data file {path} is damaged: `{key}` has shape {arrays[key].shape}, expected "
                f"{shape}"
            )


def _graphs(path, arrays):
    # Unsigned and small types would overflow in differences and sums.
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
    attributes = {"node": {}, "edge": {}, "graph": {}}
    for key, (kind, attribute) in _ATTRIBUTES.items():
        attributes[kind][attribute] = arrays.get(key)
    starts = np.cumsum(n_nodes) - n_nodes
    graphs = make_graphs(
        np.repeat(np.arange(len(n_nodes)), n_nodes),
        len(n_nodes),
        edges + starts[graph_of_edge],
        node=attributes["node"],
        edge=attributes["edge"],
        whole=attributes["graph"],
    )
    found = np.array([graph.number_of_edges() for graph in graphs], np.int64)
    if (found != n_edges).any():
        row = int((found != n_edges).argmax())
        raise DataError(f"the data file {path} is damaged: graph {row} has an edge twice")
    return graphs


def npz_content(graphs: Sequence[nx.Graph]) -> bytes:
    """The content of a file for `read_npz_graphs`, from undirected graphs of `simple_graph`.

    Raises:
      ValueError: if a label is not a number, or only some nodes, edges or graphs have labels.
    """
    # In these graphs, the smaller node of an edge comes first.
    edges = [edge for graph in graphs for edge in graph.edges]
    arrays: dict[str, Any] = {
        "n_nodes": np.array([len(graph) for graph in graphs], np.int32),
        "n_edges": np.array([graph.number_of_edges() for graph in graphs], np.int32),
        "edges": np.array(edges, np.int32).reshape(-1, 2).T,
    }
    for key, (kind, attribute) in _ATTRIBUTES.items():
        values = _column(graphs, kind, attribute)
        if values is not None:
            arrays[key] = values
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def _column(graphs, kind, attribute):
    """An attribute of all nodes, edges or graphs as an array, or None if none has it."""
    members = [
        (f"{what} of graph {index}", data.get(attribute))
        for index, graph in enumerate(graphs)
        for what, data in items(graph)[kind]
    ]
    if all(value is None for _, value in members):
        return None
    for what, value in members:
        if attribute == "label" and not isinstance(value, int | float):
            raise ValueError(
                f"{what} has the label {value!r:.80}; an npz file holds numbers, "
                f"for all {kind}s or none"
            )
    values = np.array([value for _, value in members])
    if values.dtype.kind not in "iuf":
        raise ValueError(f"`graphs` must have labels of at most 64 bits on {kind}s")
    if attribute == "label":
        for (what, label), value in zip(members, values.tolist(), strict=True):
            if label != value:  # a large whole number beside others
                raise ValueError(
                    f"{what} has the label {label!r}, which an npz file holds as {value!r} beside "
                    "labels that are no whole numbers, or negative; use .json"
                )
    return values
