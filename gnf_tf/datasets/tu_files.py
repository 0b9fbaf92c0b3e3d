"""Sets of graphs in the text format of the TU Dortmund collection (ENZYMES, PROTEINS, ...)."""

import pathlib
import warnings
import zipfile

import networkx as nx
import numpy as np

from gnf_tf.datasets.attributed_graphs import make_graphs
from gnf_tf.datasets.contents import content_of
from gnf_tf.errors import DataError

__all__ = ["read_tu", "tu_name"]


def tu_name(file_name: str) -> str | None:
    """NAME for a file NAME_A.txt or NAME_graph_indicator.txt, None for other files."""
    for ending in ("_A.txt", "_graph_indicator.txt"):
        if file_name.endswith(ending):
            return file_name.removesuffix(ending)
    return None


def read_tu(folder: pathlib.Path | zipfile.Path, name: str) -> list[nx.Graph]:
    """The data set NAME in a folder or in an archive (Morris et al., "TUDataset", 2020).

    The files NAME_A.txt and NAME_graph_indicator.txt are required; NAME_graph_labels.txt,
    NAME_graph_attributes.txt, NAME_node_labels.txt, NAME_node_attributes.txt, NAME_edge_labels.txt
    and NAME_edge_attributes.txt are optional. A file of labels with several columns gives vectors.
    NAME_A.txt has all edges in one direction, or all edges in both directions.

    Returns:
      Undirected graphs with nodes 0 to n - 1 in the order of the files, without self loops. If the
      files have both directions, an edge has the attributes of the direction from the smaller to
      the larger node.

    Raises:
      DataError: if a file is missing, damaged or truncated.
    """
    paths = _TuPaths(folder, name)
    indicator = _table(paths("graph_indicator"), np.int64, width=1)[:, 0]
    found = np.unique(indicator)
    if not np.array_equal(found, np.arange(1, len(found) + 1)):
        raise DataError(
            f"the data file {paths('graph_indicator')} is damaged: expected every graph from 1 to "
            f"{len(found)}, got {found[0]} to {found[-1]}"
        )
    pairs = _table(paths("A"), np.int64, width=2)
    once = _one_each(pairs, indicator, paths)
    return make_graphs(
        indicator - 1,
        len(found),
        np.sort(pairs[once], axis=1).T - 1,
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


def _one_each(pairs, indicator, paths):
    """[lines] bool, true for one line of each edge; raises a DataError if a line is not an edge."""
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
    distinct = pairs[:, 0] != pairs[:, 1]
    keys = pairs @ [len(indicator) + 1, 1]
    alone = ~np.isin(keys, pairs @ [1, len(indicator) + 1])
    if alone[distinct].all():
        return distinct
    # A truncated file with both directions lacks the reverse of an edge.
    if alone.any():
        line = int(alone.argmax())
        raise DataError(
            f"the data file {path} is damaged: it has edge {pairs[line].tolist()} in line "
            f"{line + 1}, expected its reverse too, as for other edges"
        )
    return pairs[:, 0] < pairs[:, 1]


def _optional(paths, what, rows):
    """The labels and attributes of nodes, edges or graphs; None if their file does not exist."""
    result = {}
    for key, kind in (("label", "labels"), ("features", "attributes")):
        path = paths(f"{what}_{kind}")
        result[key] = None
        if path.exists():
            values = _table(path)
            if len(values) != rows:
                raise DataError(
                    f"the data file {path} is damaged: it has {len(values)} lines, expected {rows}"
                )
            if key == "label":
                whole = (values == np.round(values)) & (np.abs(values) < 2**53)
                values = values.astype(np.int64) if whole.all() else values
                values = values[:, 0] if values.shape[1] == 1 else values
            result[key] = values
    return result


def _table(path, dtype=np.float64, width=None):
    """The numbers in a file, [lines, columns], with commas between columns."""
    content = content_of(path)
    try:
        lines = content.decode("utf-8-sig").splitlines()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about an empty file, which is an error below
            table = np.loadtxt(lines, dtype=dtype, delimiter=",", ndmin=2)
    except ValueError as error:
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
