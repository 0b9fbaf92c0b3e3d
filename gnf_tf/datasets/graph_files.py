"""Sets of graphs in files: by the suffix, by folder, or by archive."""

import os
import pathlib
import re
import zipfile
from collections.abc import Sequence

import networkx as nx
import numpy as np

from gnf_tf.datasets.attributed_graphs import check_widths, items, simple_graph
from gnf_tf.datasets.contents import content_of, opened
from gnf_tf.datasets.networkx_files import FORMATS, Format, read_networkx
from gnf_tf.datasets.npz_graphs import npz_content, read_npz
from gnf_tf.datasets.random_graphs import GraphSplit
from gnf_tf.datasets.tu_files import read_tu, tu_name
from gnf_tf.errors import DataError
from gnf_tf.files import user_path, whole_file

__all__ = ["WRITABLE", "read_graphs", "write_graphs"]

_WRITTEN = {
    ".npz": Format(
        "npz", None, npz_content, {"several graphs", "features", "labels", "node labels"}
    ),
    **{suffix: form for suffix, form in FORMATS.items() if form.write},
}

WRITABLE = tuple(_WRITTEN)  # the suffixes of `write_graphs`


def read_graphs(path: str | os.PathLike, split: GraphSplit = "all") -> list[nx.Graph]:
    """Own graphs, for `graphs.from_networkx` and all models of sets of graphs.

    By the suffix:

    - `.npz`, arrays: n_nodes [G] and n_edges [G]; edges [2, sum of n_edges], the two nodes of each
      edge, numbered in their graph, the smaller first, graph by graph. It may hold is_test [G],
      node_labels [sum of n_nodes], node_attributes [sum of n_nodes, width], edge_labels,
      edge_attributes, graph_labels, graph_attributes.
    - `.g6`, `.graph6`, `.s6`, `.sparse6`: a graph a line, with or without header; in sparse6
      of at most 258,047 nodes.
    - `.json`: node-link data, one graph or a list of them.
    - `.graphml`, which may hold several graphs; `.gexf` and `.gml`, which hold one.
    - `.edgelist`, `.edges`, `.txt`: one undirected graph, an edge a line: two nodes, with blanks or
      a comma between them. A number or {...} after them, empty lines, and what follows # or % is
      left out.
    - `NAME_A.txt`: a data set of TU Dortmund's format, with the other files NAME_*.txt beside it.
    - a folder or a `.zip`, subfolders among it: the one TU data set, or else all the files, in
      natural order (2 before 10). Hidden files, README and LICENSE are passed over.

    Node, edge and graph attributes "features" and "label" are kept, others are not. Features are
    numbers or vectors, which GraphML and GEXF hold as texts, "[0.5, 1]". The "label" of a node in
    GML and GEXF is its name, and not kept.

    Args:
      path: of a file or a folder.
      split: "all", or the graphs that `is_test` of an npz file marks ("test") or not ("train").

    Returns:
      In the order of the file. `nx.Graph`, or `nx.DiGraph` where the file says that edges are
      directed; nodes 0 to n - 1, in the order of their names where these are whole numbers, else of
      the file. Self loops are left out, parallel edges made one. "features" are float64 vectors, as
      wide on all nodes (edges, graphs); "label" is a number, a vector, or text.

    Raises:
      ValueError: for an unknown split, or "train" and "test" where there is no `is_test`.
      DataError: if a file is missing, damaged, or of another suffix, or features are no finite
        numbers, or not of one width.
    """
    if split not in ("train", "test", "all"):
        raise ValueError(f"`split` must be 'train', 'test' or 'all', got {split!r}")
    path = user_path(path)
    is_folder = os.path.isdir(path)  # False of what is no path at all
    if path.suffix.lower() == ".npz" and not is_folder:
        return read_npz(path, content_of(path), split)
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
    """(name, graph) of all graphs in a folder, or in an archive as one."""
    files = sorted(_walk(folder), key=_natural)
    sets = {(str(file.parent), tu_name(file.name)): file for file in files if tu_name(file.name)}
    if len(sets) > 1:
        found = ", ".join(sorted({name for _, name in sets}))
        raise DataError(
            f"{folder} holds several data sets, {found}; give the path of one NAME_A.txt"
        )
    if sets:
        [((_, name), file)] = sets.items()
        return _numbered(folder, read_tu(file.parent, name))
    named = [pair for file in files for pair in _read_file(file)]
    if not named:
        raise DataError(f"{folder} holds no graphs, expected files of {_list(_READ)}")
    return named


_READ = [".npz", *FORMATS]


def _walk(folder):
    try:
        children = list(folder.iterdir())
    except OSError as error:
        raise DataError(f"the folder {folder} can't be read ({error.strerror})") from error
    for child in children:
        if child.name.upper().startswith((".", "__MACOSX", "README", "LICENSE", "LICENCE")):
            continue
        if child.is_dir():
            yield from _walk(child)
        else:
            yield child


def _natural(path):
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", str(path))]


def _list(suffixes):
    *others, last = suffixes
    return f"{', '.join(others)} or {last}"


def _read_file(path):
    """(name, graph) of all graphs in a file."""
    content = content_of(path)
    suffix = pathlib.PurePath(path.name).suffix.lower()
    if suffix == ".npz":
        return _numbered(path, read_npz(path, content, "all"))
    if suffix not in FORMATS:
        raise DataError(
            f"{path} has the suffix {suffix!r}, expected {_list(_READ)}, or a zip or folder of such"
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
    """Writes what `read_graphs` gives back, by the suffix, whole or not at all.

    `.npz` holds undirected graphs with features and with labels that are numbers; `.g6`, `.graph6`,
    `.s6` and `.sparse6` undirected graphs alone; `.json` everything; `.graphml` everything but
    vectors as labels; `.gml` one graph without labels. Of a GraphML file of several graphs
    `networkx.read_graphml` reads the first only: write a file each for programs that do the same.

    Args:
      path: of the file.
      graphs: of any names of nodes, which become numbers as `read_graphs` gives them; attributes
        but "features" and "label" are not written.

    Raises:
      TypeError: if `graphs` is a single graph, or holds something else.
      ValueError: for an empty sequence, or a graph that the format doesn't hold, naming it.
      DataError: for another suffix, or if the file can't be written.
    """
    path = user_path(path)
    suffix = path.suffix.lower()
    if suffix not in _WRITTEN:
        raise DataError(f"{path} has the suffix {suffix!r}, expected {_list(_WRITTEN)}")
    if isinstance(graphs, nx.Graph) or not all(isinstance(graph, nx.Graph) for graph in graphs):
        raise TypeError(f"`graphs` must be a sequence of networkx graphs, got {graphs!r:.80}")
    if not len(graphs):
        raise ValueError("`graphs` must hold at least one networkx graph, got none")
    form = _WRITTEN[suffix]
    plain = []
    for index, graph in enumerate(graphs):
        if graph.is_multigraph() or nx.number_of_selfloops(graph):
            raise ValueError(
                f"graph {index} has parallel edges or self loops, which aren't written"
            )
        try:
            plain.append(simple_graph(graph))
        except ValueError as error:
            raise ValueError(f"graph {index} can't be written: {error}") from error
        _check_held(index, plain[-1], form)
    if len(graphs) > 1:
        _check({"several graphs"}, "`graphs`", form)
    check_widths((f"graph {index}", graph) for index, graph in enumerate(plain))
    content = form.write(plain)
    try:
        with whole_file(path) as file:
            file.write(content)
    except OSError as error:
        raise DataError(f"the data file {path} can't be written ({error.strerror})") from error


def _check_held(index, graph, form):
    """Raises a ValueError for what a graph has and the format does not hold."""
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
        raise ValueError(f"{what} has {thing}, which {form.name} doesn't hold; use {_list(others)}")
