"""One graph or several graphs with labeled nodes, from a user's files."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import scipy.sparse

from gnf_tf import seeds
from gnf_tf.datasets.graph_files import files_in
from gnf_tf.datasets.labeled_graphs import MASKS, LabeledGraph, LabeledGraphs
from gnf_tf.datasets.networkx_files import ATTRIBUTED, listed, read_attributed_graphs
from gnf_tf.datasets.node_arrays import as_labels_of_graphs, distinct_pairs
from gnf_tf.datasets.node_graphs import (
    FRACTIONS,
    SETS,
    graphs_with_features,
    label_attributes,
    labeled_graphs_from_networkx,
    node_graph,
    node_graph_from_networkx,
)
from gnf_tf.datasets.npz_files import read_npz
from gnf_tf.datasets.ppi import ppi
from gnf_tf.datasets.splits import random_parts
from gnf_tf.datasets.text_files import short
from gnf_tf.errors import DataError
from gnf_tf.files import user_path

__all__ = ["node_names", "read_labeled_graphs", "read_node_graph"]

# Argument of `node_graph` -> the names of its array, in this library and in others.
_NAMES = {
    "features": ("features", "x"),
    "edges": ("edges", "edge_index"),
    "labels": ("labels", "label", "y"),
    "class_names": ("class_names",),
    **{
        name: tuple(f"{word}{end}" for word in words for end in ("", "_mask", "_idx"))
        for name, words in SETS.items()
    },
}
_UNLABELED = {name: _NAMES[name] for name in ("features", "edges")}
# Prefixes of the arrays of a sparse matrix; `scipy.sparse.save_npz` writes none.
_SPARSE = {"features": ("feat_", "attr_", ""), "edges": ("adj_",)}
# Format of a sparse matrix -> the arrays that it has besides data and shape.
_INDICES = {"csr": ("indices", "indptr"), "csc": ("indices", "indptr"), "coo": ("row", "col")}
# The arrays of several graphs: those that a file must have, and those that it may have.
_ARRAYS = ("n_nodes", "n_edges", "edges", "node_attributes"), ("node_labels", "class_names")


def read_node_graph(
    path: str | os.PathLike,
    *,
    labeled: bool = True,
    class_names: Sequence[str] | None = None,
    fractions: Sequence[float] = FRACTIONS,
    seed: int = 0,
) -> LabeledGraph:
    """A graph with labeled nodes from a file.

    Use this for one graph, some of whose nodes are labeled, and `read_labeled_graphs` for several
    graphs. The suffix gives the format:

    - `.npz`: the arrays that `node_graph` takes: features (or x), edges (or edge_index), and
      optionally labels (or label, y), train, validation (or valid, val) and test, the last three
      also with _mask or _idx at the end, and class_names. Features may be the arrays of a CSR, CSC
      or COO matrix, as `scipy.sparse.save_npz` writes them, also with the prefix feat_ or attr_;
      with the prefix adj_ they are an adjacency matrix, which gives the edges. Without an array
      format the matrix is CSR. Other arrays are ignored.
    - `.graphml`, `.gexf`, `.gml`, `.json` (node-link): one graph with the attributes that
      `node_graph_from_networkx` takes. The attribute "label" is ignored where it is the name of a
      node: in GML and GEXF, and where it is a text, and at least nine in ten of ten labels or more
      differ, as in files of tools that draw graphs.

    Args:
      path: path of the file.
      labeled: whether labels and sets matter. Otherwise the result has none, whatever the file has,
        for a model to predict the labels.
      class_names: see `node_graph`; in place of those in the file. Give those of a model, if labels
        are names and the file need not have a node of each class.
      fractions: see `node_graph`.
      seed: see `node_graph`.

    Raises:
      ValueError: if `fractions` or `seed` is out of its range.
      DataError: if the file is missing or damaged, or has no such graph.
    """
    random_parts(2**20, fractions)
    options: dict[str, Any] = {"fractions": fractions, "seed": seeds.whole_number(seed)}
    if class_names is not None:
        options["class_names"] = class_names
    path = user_path(path)
    if path.suffix.lower() == ".npz":
        found = _named(path, read_npz(path), _NAMES if labeled else _UNLABELED)
        names = {argument: name for argument, (name, _) in found.items()}
        with _data_errors(path, names):
            return node_graph(**{key: value for key, (_, value) in found.items()} | options)
    graphs = read_attributed_graphs(path, [".npz"])
    if len(graphs) != 1:
        raise DataError(f"the data file {path} must hold one graph, got {len(graphs)}")
    labels = [label for _, label in graphs[0].nodes(data="label") if label is not None]
    are_texts = all(isinstance(label, str) for label in labels)
    if are_texts and len(labels) >= 10 and len(set(labels)) >= 0.9 * len(labels):  # names
        for data in graphs[0].nodes.values():
            data.pop("label", None)
    with _data_errors(path):
        if not labeled:
            whole = graphs_with_features(graphs)
            edges = np.stack([whole.senders, whole.receivers])
            return node_graph(whole.nodes.numpy(), edges, **options)
        return node_graph_from_networkx(graphs[0], **options)


def read_labeled_graphs(
    path: str | os.PathLike,
    *,
    labeled: bool = True,
    class_names: Sequence[str] | None = None,
) -> LabeledGraphs:
    """Several graphs with labeled nodes from a file or a folder.

    Use this to train on some graphs and predict others, and `read_node_graph` for one graph. The
    suffix gives the format:

    - `.npz`: the format of `read_graphs`, with the features in node_attributes and the labels in
      node_labels, as `node_graph` takes them, and optionally class_names. Labels [N, L] must be
      known of each node. Each edge may be given in one direction or in both.
    - `.json` (node-link): one graph or a list of graphs with the attributes that
      `node_graph_from_networkx` takes; `.graphml`, `.gexf`, `.gml`: one such graph.
    - a folder: all such files but `.npz` in it and its subfolders, in natural order (2 before 10);
      or the files of PPI, as in `ppi`, with the graphs of all three splits in the result.

    Args:
      path: path of the file or the folder.
      labeled: whether the labels matter. Otherwise no node has one in the result, whatever the file
        has, for a model to predict them.
      class_names: see `read_node_graph`; not for the files of PPI, which have their own.

    Raises:
      DataError: if the file is missing or damaged, or has no such graphs.
    """
    path = user_path(path)
    suffix = path.suffix.lower()
    if suffix != ".npz" and path.is_dir():
        return _read_folder(path, labeled, class_names)
    if suffix != ".npz":
        graphs = _read_attributed(path, [".npz"], labeled)
        with _data_errors(path):
            return labeled_graphs_from_networkx(graphs, class_names=class_names)
    arrays = read_npz(path)
    needed, optional = _ARRAYS if labeled else (_ARRAYS[0], ())
    missing = set(needed) - set(arrays)
    if missing:
        raise DataError(f"the data file {path} lacks {', '.join(sorted(missing))}")
    names = {"n_node": "n_nodes", "n_edge": "n_edges"}
    names |= {"features": "node_attributes", "labels": "node_labels"}
    with _data_errors(path, names):
        found: dict[str, Any] = {name: arrays.get(name) for name in (*needed, *optional)}
        if class_names is not None:
            found["class_names"] = class_names
        return _from_arrays(**found)


def _read_attributed(path, others, labeled):
    graphs = read_attributed_graphs(path, others)
    known = () if labeled else label_attributes(graphs)
    for graph in graphs:
        for _, data in graph.nodes(data=True):
            for name in known:
                data.pop(name, None)
    return graphs


def _read_folder(folder, labeled, class_names):
    files = files_in(folder)
    if _are_of_ppi(files):
        return _joined([ppi(split, data_dir=folder) for split in MASKS])
    if not files:
        raise DataError(
            f"{folder} holds no graphs, expected files of {listed(ATTRIBUTED)}, or PPI's"
        )
    parts = [_read_attributed(file, (), labeled) for file in files]
    try:
        every = [graph for part in parts for graph in part]
        return labeled_graphs_from_networkx(every, class_names=class_names)
    except ValueError as error:
        for file, part in zip(files, parts, strict=True):
            with _data_errors(file):  # which names the file, if one is wrong by itself
                labeled_graphs_from_networkx(part, class_names=class_names)
        raise DataError(f"the files of {folder} have wrong content: {error}") from error


def _are_of_ppi(files):
    return any(file.name == "ppi.zip" or file.name.endswith("_feats.npy") for file in files)


def node_names(path: str | os.PathLike) -> list[str] | None:
    """The names of the nodes that the readers of this module read, in the same order.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".gml") as file:
    ...     print("graph [ node [ id 7 x 1 ] node [ id 3 x 2 ] ]", file=file, flush=True)
    ...     node_names(file.name)
    ['7', '3']

    Args:
      path: path of the file or the folder.

    Returns:
      What the file calls its nodes, as text, of all graphs one after another: their labels in GML
      and GEXF, if these differ, and else their ids. None for npz files and those of PPI, whose
      nodes have no names.

    Raises:
      DataError: as for the readers, as far as the file is read.
    """
    path = user_path(path)
    files = files_in(path) if path.is_dir() else [path]
    if path.suffix.lower() == ".npz" or _are_of_ppi(files):
        return None
    graphs = (graph for file in files for graph in read_attributed_graphs(file, [".npz"]))
    return [str(node) for graph in graphs for node in graph]


def _joined(parts):
    """The concatenation of several LabeledGraphs."""
    fields = {
        field: np.concatenate([getattr(part, field) for part in parts])
        for field in ("n_node", "n_edge", "features", "labels")
    }
    starts = np.cumsum([0, *(len(part.labels) for part in parts[:-1])])
    edges = [part.edges + start for part, start in zip(parts, starts, strict=True)]
    return LabeledGraphs(**fields, edges=np.concatenate(edges), class_names=parts[0].class_names)


def _from_arrays(n_nodes, n_edges, edges, node_attributes, node_labels=None, class_names=None):
    """LabeledGraphs from the arrays of an npz file, where each graph's nodes begin with 0."""
    # Checks the numbers of nodes, which the checks of the edges and labels need.
    unlabeled = np.full(node_attributes.shape[:1], -1)
    LabeledGraphs(n_nodes, np.zeros_like(n_nodes), node_attributes, unlabeled, np.zeros([0, 2]))
    n_nodes = n_nodes.astype(np.int64)
    labels, names = as_labels_of_graphs(node_labels, class_names, n_nodes)
    is_whole = n_edges.dtype.kind in "iu"
    counts = n_edges.astype(np.int64) if is_whole else np.full(n_edges.shape, -1)
    if counts.shape != n_nodes.shape or (counts < 0).any() or edges.shape != (2, counts.sum()):
        raise ValueError(
            f"`n_edges` must be {n_nodes.shape} whole numbers, at least 0, that add up to the E of "
            f"`edges` [2, E], got {n_edges.dtype} {n_edges.shape} and {edges.shape}"
        )
    owner = np.repeat(np.arange(len(n_nodes)), counts)
    if edges.size and edges.dtype.kind not in "iu":
        raise ValueError(f"`edges` must be whole numbers, got {edges.dtype}")
    wrong = ((edges < 0) | (edges >= n_nodes[owner])).any(axis=0)
    if wrong.any():
        column = int(wrong.argmax())
        raise ValueError(
            f"`edges` must be nodes of graph {owner[column]}, 0 to {n_nodes[owner[column]] - 1}, "
            f"got {edges[:, column].tolist()} in column {column}"
        )
    ends = np.cumsum(n_nodes)
    moved = edges.astype(np.int64) + (ends - n_nodes)[owner]
    pairs = distinct_pairs(moved, ends[-1]).T
    pairs = np.concatenate([pairs, pairs[:, ::-1]])
    pairs = pairs[np.lexsort(pairs.T[::-1])]
    graph_of_edge = np.searchsorted(ends, pairs[:, 0], side="right")
    n_edge = np.bincount(graph_of_edge, minlength=len(n_nodes))
    return LabeledGraphs(n_nodes, n_edge, node_attributes, labels, pairs, names)


def _named(path, arrays, names_of):
    """A dict: argument of `node_graph` -> (name in the file, value)."""
    found = {}
    for argument, names in names_of.items():
        present = [(name, arrays[name]) for name in names if name in arrays]
        for prefix in _SPARSE.get(argument, ()):
            matrix = _sparse(path, arrays, prefix)
            if matrix is not None:
                if argument == "edges":
                    matrix = np.stack(matrix.nonzero())
                present.append((f"{prefix}*" if prefix else "data", matrix))
        if len(present) > 1:
            raise DataError(
                f"the data file {path} must hold {argument} once, got "
                f"{' and '.join(name for name, _ in present)}"
            )
        if present:
            found[argument] = present[0]
    missing = [" or ".join(_NAMES[name]) for name in ("features", "edges") if name not in found]
    if missing:
        raise DataError(
            f"the data file {path} lacks {', and '.join(missing)}, got arrays "
            f"{short(', '.join(sorted(arrays)))}"
        )
    return found


def _sparse(path, arrays, prefix):
    """The sparse matrix in the arrays with this prefix, as CSR or CSC; None if there is none."""
    if not {f"{prefix}data", f"{prefix}shape"} <= set(arrays):
        return None
    given = arrays.get(f"{prefix}format", np.array("csr"))
    is_text = given.dtype.kind == "S" and not given.ndim
    form = given.item().decode(errors="replace") if is_text else str(given)
    if form not in _INDICES:
        raise DataError(
            f"the data file {path} must hold a sparse matrix in the format "
            f"{', '.join(_INDICES)}, got {form!r} as {prefix}format"
        )
    names = [f"{prefix}{part}" for part in ("data", *_INDICES[form], "shape")]
    if not set(names) <= set(arrays):
        return None
    data, *indices, shape = (arrays[name] for name in names)
    try:
        if form == "coo":
            return scipy.sparse.coo_array((data, tuple(indices)), tuple(shape.tolist())).tocsr()
        kind = scipy.sparse.csr_array if form == "csr" else scipy.sparse.csc_array
        matrix = kind((data, *indices), tuple(shape.tolist()))
        matrix.check_format()
    except (TypeError, ValueError, IndexError, OverflowError) as error:
        raise DataError(
            f"the data file {path} is damaged: {', '.join(names)} are not a {form.upper()} matrix "
            f"({error})"
        ) from error
    return matrix


@contextlib.contextmanager
def _data_errors(path, names=None) -> Iterator[None]:
    """Turns ValueErrors about arguments into DataErrors about arrays with the given names."""
    try:
        yield
    except ValueError as error:
        message = str(error)
        for argument, name in (names or {}).items():
            message = message.replace(f"`{argument}`", f"`{name}`")
        raise DataError(f"the data file {path} has wrong content: {message}") from error
