"""Sets of graphs in files, folders and archives."""

import os
import pathlib
import re
import zipfile
from collections.abc import Sequence

import networkx as nx
import numpy as np

from gnf_tf.datasets.attributed_graphs import check_widths, items, simple_graph
from gnf_tf.datasets.contents import content_of, opened
from gnf_tf.datasets.networkx_files import EDGES, FORMATS, Format, listed, read_networkx
from gnf_tf.datasets.npz_graphs import npz_content, read_npz_graphs
from gnf_tf.datasets.random_graphs import GraphSplit
from gnf_tf.datasets.tu_files import read_tu, tu_name
from gnf_tf.errors import DataError
from gnf_tf.files import user_path, whole_file
from gnf_tf.graphs.exchange import networkx_graphs

__all__ = ["WRITABLE", "checked_graphs", "files_in", "read_graphs", "write_graphs"]

_WRITTEN = {
    ".npz": Format(
        "npz", None, npz_content, {"several graphs", "features", "labels", "node labels"}
    ),
    **{suffix: form for suffix, form in FORMATS.items() if form.write},
}

WRITABLE = tuple(_WRITTEN)  # the suffixes of `write_graphs`


def read_graphs(path: str | os.PathLike, split: GraphSplit = "all") -> list[nx.Graph]:
    """The networkx graphs in a file, a folder or an archive, for graph generation and densities.

    Use this for sets of graphs, `read_sets` for sets of points, and `read_node_graph` or
    `read_labeled_graphs` for node classification. The suffix gives the format:

    - `.npz`: arrays n_nodes [G] and n_edges [G], whole numbers, and edges [2, sum of n_edges], the
      two nodes of each edge, graph by graph. Nodes are numbered from 0 in each graph, and the
      smaller node is in row 0. Optional arrays are is_test [G] bool, node_labels [sum of n_nodes],
      node_attributes [sum of n_nodes, width], and edge_labels, edge_attributes, graph_labels and
      graph_attributes in the same way.
    - `.g6`, `.graph6`, `.s6`, `.sparse6`: one graph for each line, with or without a header; a
      graph in sparse6 has at most 258,047 nodes.
    - `.json`: node-link data of one graph, or a list of them.
    - `.graphml`: one or several graphs; `.gexf` and `.gml`: one graph.
    - `.edgelist`, `.edges`, `.txt`: one undirected graph with an edge for each line: two nodes with
      spaces, tabs or a comma between them, and in all lines or in none a number after them, such as
      a weight. This number, empty lines, {...} after the nodes, text after a #, and text after a %
      at the start of a line or after a blank are ignored. Names are texts, with blanks only where
      there are commas; 1, 01 and 1.0 in one file are an error. Every line is an edge: a heading, or
      a line with the numbers of nodes and edges, must follow a #.
    - `NAME_A.txt`: a data set in TU Dortmund's format, with other files NAME_*.txt in its folder.
    - a folder or a `.zip`, including its subfolders: the only TU data set in it, or else all files,
      in natural order (2 before 10). Hidden files, README and LICENSE are ignored. Lists of edges
      and files of other formats in one folder are an error.

    The attributes "features" and "label" of nodes, edges and graphs are kept. Features are numbers
    or vectors; GraphML and GEXF hold a vector as a text, "[0.5, 1]". The "label" of a node in GML
    and GEXF is not kept, because it is the name of the node.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
    ...     print("a b\\nb c", file=file, flush=True)
    ...     (path,) = read_graphs(file.name)
    >>> list(path.edges)
    [(0, 1), (1, 2)]

    Args:
      path: path of a file or a folder.
      split: "all"; or, for an npz file, "test" for the graphs whose `is_test` is true and "train"
        for the others.

    Returns:
      A list of `nx.Graph`, or of `nx.DiGraph` if the file says that edges are directed, without
      self loops and parallel edges. Nodes are 0 to n - 1, sorted by name if all names are whole
      numbers, and otherwise in the order of the file. "features" are float64 vectors of the same
      width for all nodes (or all edges, or all graphs). "label" is a number, a vector or a text.

    Raises:
      ValueError: if `split` is unknown, or is not "all" where there is no `is_test`.
      DataError: if a file is missing or damaged, or has another suffix, or if features are not
        finite or differ in width.
    """
    if split not in ("train", "test", "all"):
        raise ValueError(f"`split` must be 'train', 'test' or 'all', got {split!r}")
    path = user_path(path)
    is_folder = os.path.isdir(path)  # False also for an invalid path, such as one with a zero byte
    if path.suffix.lower() == ".npz" and not is_folder:
        return read_npz_graphs(path, content_of(path), split)
    name = tu_name(path.name)
    if name and not is_folder:
        named = _numbered(path, read_tu(path.parent, name))
    elif is_folder or path.suffix.lower() == ".zip":
        named = _read_folder(path if is_folder else opened(path, zipfile.Path))
    else:
        named = _read_file(path)
    try:
        check_widths(named)
    except ValueError as error:
        raise DataError(str(error)) from error
    if split != "all":
        raise ValueError(f"{path} has no `is_test`: its `split` must be 'all', got {split!r}")
    return [graph for _, graph in named]


def _numbered(path, graphs):
    return [(f"graph {index} of {path}", graph) for index, graph in enumerate(graphs)]


def _read_folder(folder):
    """(name, graph) of all graphs in a folder or an archive."""
    files = files_in(folder)
    sets = {(str(file.parent), tu_name(file.name)): file for file in files if tu_name(file.name)}
    if len(sets) > 1:
        found = ", ".join(sorted({name for _, name in sets}))
        raise DataError(
            f"{folder} holds several data sets, {found}; give the path of one NAME_A.txt"
        )
    if sets:
        [((_, name), file)] = sets.items()
        return _numbered(folder, read_tu(file.parent, name))
    edge_lists = [file for file in files if FORMATS.get(_suffix(file)) is EDGES]
    if 0 < len(edge_lists) < len(files):  # any text seems to be one
        raise DataError(
            f"{folder} holds files of other formats beside {edge_lists[0]}, which is read as a "
            "list of edges; move one of them to another folder"
        )
    named = [pair for file in files for pair in _read_file(file)]
    if not named:
        raise DataError(f"{folder} holds no graphs, expected files of {listed(_READ)}")
    return named


_READ = [".npz", *FORMATS]


def files_in(folder: pathlib.Path) -> list[pathlib.Path]:
    """All files in a folder or an archive and its subfolders, in natural order (2 before 10).

    Hidden files, README and LICENSE are left out.

    Raises:
      DataError: if the folder can't be read.
    """
    return sorted(_files(folder), key=_natural)


def _files(folder):
    try:
        children = list(folder.iterdir())
    except OSError as error:
        raise DataError(f"the folder {folder} can't be read ({error.strerror})") from error
    for child in children:
        if child.name.upper().startswith((".", "__MACOSX", "README", "LICENSE", "LICENCE")):
            continue
        if child.is_dir():
            yield from _files(child)
        else:
            yield child


def _suffix(path):
    return pathlib.PurePath(path.name).suffix.lower()


def _natural(path):
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", str(path))]


def _read_file(path):
    """(name, graph) of all graphs in a file."""
    content = content_of(path)
    suffix = _suffix(path)
    if suffix == ".npz":
        return _numbered(path, read_npz_graphs(path, content, "all"))
    if suffix not in FORMATS:
        raise DataError(
            f"{path} has the suffix {suffix!r}, expected {listed(_READ)}, or a zip or folder of "
            "such"
        )
    graphs, form = read_networkx(path, content), FORMATS[suffix]
    if not graphs:
        raise DataError(f"the data file {path} holds no graphs, expected {form.name}")
    result = []
    for index, graph in enumerate(graphs):
        try:
            result.append(simple_graph(graph, node_labels=suffix not in (".gml", ".gexf")))
        except ValueError as error:
            raise DataError(f"the data file {path} is damaged in graph {index}: {error}") from error
    return _numbered(path, result)


def write_graphs(path: str | os.PathLike, graphs: Sequence[nx.Graph]) -> None:
    """Writes a file from which `read_graphs` returns the same graphs.

    The suffix gives the format. An interrupted call leaves no incomplete file.

    - `.npz`: undirected graphs with features, and with labels that are numbers, which come back as
      floats if not all of them are whole.
    - `.g6`, `.graph6`, `.s6`, `.sparse6`: undirected graphs without attributes.
    - `.json`: all graphs.
    - `.graphml`: all graphs but those with vectors, or texts with control characters, as labels.
      `networkx.read_graphml` reads only the first graph of a file.
    - `.gml`: one graph without labels.

    Args:
      path: path of the file.
      graphs: the graphs. Nodes are renumbered as in `read_graphs`, and only the attributes
        "features" and "label" are written.

    Raises:
      TypeError, ValueError: see `graphs.exchange.networkx_graphs`.
      ValueError: if the format can't hold a graph; the message names it.
      DataError: if the suffix is another one, or the file can't be written.
    """
    path = user_path(path)
    form, plain = checked_graphs(path, graphs)
    content = form.write(plain)
    try:
        with whole_file(path) as file:
            file.write(content)
    except OSError as error:
        raise DataError(f"the data file {path} can't be written ({error.strerror})") from error


def checked_graphs(path: pathlib.Path, graphs: Sequence[nx.Graph]) -> tuple[Format, list[nx.Graph]]:
    """The format of a file that is to be written, and the graphs as it will hold them.

    The arguments and errors are those of `write_graphs`.
    """
    suffix = path.suffix.lower()
    if suffix not in _WRITTEN:
        raise DataError(f"{path} has the suffix {suffix!r}, expected {listed(_WRITTEN)}")
    graphs = networkx_graphs(graphs)
    form = _WRITTEN[suffix]
    plain = []
    for index, graph in enumerate(graphs):
        if graph.is_multigraph() or nx.number_of_selfloops(graph):
            raise ValueError(
                f"graph {index} has parallel edges or self loops, which are not written"
            )
        try:
            plain.append(simple_graph(graph))
        except ValueError as error:
            raise ValueError(f"graph {index} can't be written: {error}") from error
        _check_held(index, plain[-1], form)
    if len(graphs) > 1:
        _check({"several graphs"}, "`graphs`", form)
    check_widths((f"graph {index}", graph) for index, graph in enumerate(plain))
    return form, plain


def _check_held(index, graph, form):
    """Raises a ValueError if a graph has something that the format does not hold."""
    has = {"directed edges"} if graph.is_directed() else set()
    for kind, members in items(graph).items():
        for _, data in members:
            if "features" in data:
                has.add("features")
            if "label" in data:
                vector = isinstance(data["label"], np.ndarray)
                has |= {"labels", *["vector labels"] * vector, *["node labels"] * (kind == "node")}
    _check(has, f"graph {index}", form)


def _check(has, what, form):
    for thing in sorted(has - form.holds):
        others = [suffix for suffix, other in _WRITTEN.items() if has <= other.holds]
        raise ValueError(
            f"{what} has {thing}, which {form.name} doesn't hold; use {listed(others)}"
        )
