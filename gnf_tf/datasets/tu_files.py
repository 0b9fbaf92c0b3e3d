"""Sets of graphs in the text format of the TU Dortmund collection (ENZYMES, PROTEINS, ...)."""

import pathlib
import zipfile

import networkx as nx
import numpy as np

from gnf_tf.datasets.attributed_graphs import make_graphs
from gnf_tf.datasets.text_files import finite, read_text, short, wrong_line
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
    NAME_A.txt has all edges in one direction, or all edges in both directions. Blank lines are left
    out: nodes, edges and graphs are numbered by the other lines.

    Returns:
      Undirected graphs with nodes 0 to n - 1 in the order of the files, without self loops. If the
      files have both directions, an edge has the attributes of the direction from the smaller to
      the larger node.

    Raises:
      DataError: if a file is missing, damaged or truncated.
    """
    paths = _TuPaths(folder, name)
    indicator = _whole_numbers(paths("graph_indicator"), 1)[:, 0]
    found = np.unique(indicator)
    if not np.array_equal(found, np.arange(1, len(found) + 1)):
        raise DataError(
            f"the data file {paths('graph_indicator')} is damaged: expected every graph from 1 to "
            f"{len(found)}, got {found[0]} to {found[-1]}"
        )
    pairs = _whole_numbers(paths("A"), 2)
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
        raise _wrong_row(
            path,
            wrong.any(axis=1).argmax(),
            f"expected nodes from 1 to {len(indicator)}, the lines of {paths('graph_indicator')}",
        )
    ends = indicator[pairs - 1]
    apart = ends[:, 0] != ends[:, 1]
    if apart.any():
        raise _wrong_row(path, apart.argmax(), "expected two nodes of the same graph")
    distinct = pairs[:, 0] != pairs[:, 1]
    keys = pairs @ [len(indicator) + 1, 1]
    alone = ~np.isin(keys, pairs @ [1, len(indicator) + 1])
    if alone[distinct].all():
        return distinct
    # A truncated file with both directions lacks the reverse of an edge.
    if alone.any():
        raise _wrong_row(path, alone.argmax(), "expected the reverse of each edge too")
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
                    f"the data file {path} is damaged: it has {len(values)} lines of numbers, "
                    f"expected {rows}"
                )
            if key == "label":
                whole = (values == np.round(values)) & (np.abs(values) < 2**53)
                values = values.astype(np.int64) if whole.all() else values
                values = values[:, 0] if values.shape[1] == 1 else values
            result[key] = values
    return result


def _whole_numbers(path, columns):
    """[rows, columns] int64, as `_table`."""
    table = _table(path, columns)
    wrong = (table != np.round(table)) | (np.abs(table) >= 2**53)
    if wrong.any():
        raise _wrong_row(path, wrong.any(axis=1).argmax(), "expected whole numbers")
    return table.astype(np.int64)


def _table(path, columns=None):
    """[rows, columns] float64, the numbers in a file with commas between them.

    Args:
      path: path of the file.
      columns: how many numbers each line must have; None for as many as the first.
    """
    rows = _rows(path)
    columns = columns or rows[0].count(",") + 1
    try:
        table = np.loadtxt(rows, comments=None, delimiter=",", ndmin=2)
    except ValueError:
        table = np.empty([0, 0])
    if table.shape[1] == columns and np.isfinite(table).all():
        return table
    cells = (row.split(",") for row in rows)
    wrong = [len(texts) != columns or None in map(finite, texts) for texts in cells]
    raise _wrong_row(path, wrong.index(True), f"expected finite numbers, {columns} in each line")


def _rows(path):
    return [line for line in read_text(path).split("\n") if line.strip()]


def _wrong_row(path, row, expected):
    """The error about a line, where `row` counts the lines that are not blank, from 0."""
    lines = enumerate(read_text(path).split("\n"), start=1)
    line, text = [(line, text) for line, text in lines if text.strip()][row]
    return wrong_line(path, line, f"{expected}, got {short(text)}")
