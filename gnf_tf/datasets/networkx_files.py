"""File formats that networkx reads and writes, by suffix."""

import codecs
import decimal
import json
import pathlib
import re
import zipfile
from collections.abc import Callable, Iterable, Sequence, Set
from typing import Any, NamedTuple

import networkx as nx

from gnf_tf.datasets.attributed_graphs import vector
from gnf_tf.datasets.contents import AnyPath, content_of
from gnf_tf.datasets.graph_markup import (
    check_number,
    plain_graph,
    read_gexf,
    read_gml,
    read_graphml,
    write_gml,
    write_graphml,
)
from gnf_tf.datasets.text_files import finite
from gnf_tf.errors import DataError

__all__ = [
    "ATTRIBUTED",
    "EDGES",
    "FORMATS",
    "Format",
    "listed",
    "read_attributed_graphs",
    "read_networkx",
]


class Format(NamedTuple):
    """How files with a suffix are read and written.

    Attributes:
      name: the name of the format.
      read: returns the networkx graphs in the content of a file, and raises an exception of any
        type for other content; None if networkx does not read the format.
      write: returns the content of a file with graphs that `simple_graph` returned; None if we do
        not write the format.
      holds: what the format can hold: "several graphs", "directed edges", "features", "labels",
        "vector labels", and "node labels" if the "label" of a node is not its name.
    """

    name: str
    read: Callable[[bytes], list[nx.Graph]] | Any
    write: Callable[[Sequence[nx.Graph]], bytes] | Any = None
    holds: Set[str] = frozenset()


_MOST_NODES = 258_047  # in sparse6, of larger numbers of which networkx would read any


def _read_graph6(content):
    """One graph for each line, in sparse6 if the line begins with a colon, else in graph6."""
    graphs = []
    lines = content.removeprefix(codecs.BOM_UTF8).splitlines()
    for number, line in enumerate(lines, 1):
        line = re.sub(rb"^>>(graph|sparse)6<<", b"", line.strip())
        if not line:
            continue
        sparse = line.startswith(b":")
        try:
            if line.startswith((b"&", b">>digraph6<<", b";")):
                raise ValueError("it is in digraph6 or incremental sparse6, which are not read")
            # networkx does not check this.
            if not all(63 <= character <= 126 for character in line[sparse:]):
                raise ValueError("expected characters from ? to ~")
            if line.startswith(b":~~"):
                # A wrong character could ask networkx for billions of nodes.
                raise ValueError(f"it has more than {_MOST_NODES} nodes")
            read = nx.from_sparse6_bytes if sparse else nx.from_graph6_bytes
            graphs.append(read(line))
        except Exception as error:
            shown = line[:40].decode("ascii", "replace")
            raise ValueError(
                f"line {number}, {shown!r}, is truncated or wrong ({error})"
            ) from error
    return graphs


def _write_graph6(graphs):
    return b"".join(nx.to_graph6_bytes(graph, header=False) for graph in graphs)


def _write_sparse6(graphs):
    for index, graph in enumerate(graphs):
        if len(graph) > _MOST_NODES:
            raise ValueError(
                f"graph {index} has {len(graph)} nodes, and sparse6 holds at most {_MOST_NODES}; "
                "use .npz"
            )
    return b"".join(nx.to_sparse6_bytes(graph, header=False) for graph in graphs)


def _read_json(content):
    data = json.loads(content)
    data = data if isinstance(data, list) else [data]
    return [_node_link(index, item) for index, item in enumerate(data)]


def _node_link(index, data):
    key = "links" if isinstance(data, dict) and "edges" not in data else "edges"
    if not (
        isinstance(data, dict)
        and isinstance(data.get("graph", {}), dict)
        and _are_objects(data.get("nodes"), set())
        and _are_objects(data.get(key), {"source", "target"})
    ):
        raise ValueError(
            f"graph {index} must have 'nodes' and 'edges' (or 'links'), lists of objects, and each "
            "edge must have 'source' and 'target'"
        )
    for name in ("directed", "multigraph"):
        if not isinstance(data.get(name, False), bool):
            raise ValueError(
                f"graph {index} must have true or false as '{name}', got {data[name]!r}"
            )
    if {"edges", "links"} <= data.keys():
        raise ValueError(f"graph {index} must have 'edges' or 'links', got both")
    graph = nx.node_link_graph(data, edges=key)
    check_number(len(data["nodes"]), len(graph), f"graph {index}")
    return graph


def _are_objects(values, keys):
    return isinstance(values, list) and all(
        isinstance(value, dict) and keys <= value.keys() for value in values
    )


def _write_json(graphs):
    data = [nx.node_link_data(plain_graph(graph, list), edges="edges") for graph in graphs]
    return json.dumps(data if len(data) > 1 else data[0]).encode()


# What follows these is ignored: as in networkx, # may also follow a name without a blank.
_IGNORED = re.compile(r"#|^%|(?<=[\s,])[%{]")
_HEADINGS = {("source", "target"), ("from", "to"), ("src", "dst")}


def _read_edges(content):
    """A graph with an edge for each line: two nodes, and a number or {...}, which is ignored."""
    rows, first = {}, None  # the fields of each line, and (number, columns) of the first
    for number, line in enumerate(content.decode("utf-8-sig").splitlines(), 1):
        text = _IGNORED.split(line.strip())[0].strip()
        if not text:
            continue
        text = text.rstrip(",")  # a comma may precede {...}
        fields = [field.strip() for field in text.split("," if "," in text else None)]
        rows[number] = fields
        first = first or (number, len(fields))
        expected = _violated(text, fields)
        if not expected and len(fields) != first[1]:
            expected = f"{first[1]} columns, as in line {first[0]}"
        if expected:
            raise ValueError(f"line {number} is {line.strip()!r:.80}, expected {expected}")
    edges = [tuple(fields[:2]) for fields in rows.values()]
    if not edges:
        return []
    _check_heading(edges)
    _check_spelling(rows)
    return [nx.Graph(edges)]


def _violated(text, fields):
    """What a line with an edge must have, and this one has not; None if it has all."""
    if (
        len(fields) not in (2, 3)
        or not all(fields)
        or any(finite(field) is None for field in fields[2:])
        or (len(fields) == 3 and not re.search(r"\w", fields[1]))  # such as a -> 1
    ):
        return "two nodes, and at most a number after them"
    if "\t" in text and "," not in text and " " in re.sub(r"\s*\t\s*", "", text):
        return "tabs or spaces between the columns, not both"
    return None


def _check_heading(edges):
    first, *others = edges
    known = tuple(name.strip("\"'").lower() for name in first) in _HEADINGS
    if known or (others and not _has_number(first) and all(map(_has_number, others))):
        raise ValueError(
            f"it begins with {first}, which seems to be a heading; a heading must follow a #"
        )


def _has_number(edge):
    return any(finite(name) is not None for name in edge)


def _check_spelling(rows):
    """Raises a ValueError for a node whose number is written in two ways, as 1 and 01."""
    line_of: dict[str, int] = {}
    for line, fields in rows.items():
        for name in fields[:2]:
            line_of.setdefault(name, line)
    names: dict[decimal.Decimal, str] = {}
    for name, line in line_of.items():
        if re.fullmatch(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,4})?", name):
            first = names.setdefault(decimal.Decimal(name), name)
            if first != name:
                raise ValueError(
                    f"line {line} has the node {name!r}, expected {first!r} as in a line before"
                )


_GRAPH6 = Format("graph6", _read_graph6, _write_graph6, {"several graphs"})
_SPARSE6 = Format("sparse6", _read_graph6, _write_sparse6, {"several graphs"})
EDGES = Format("an edge list", _read_edges)
_GRAPHML = Format(
    "GraphML",
    read_graphml,
    write_graphml,
    {"several graphs", "directed edges", "features", "labels", "node labels"},
)
_GML = Format("GML", read_gml, write_gml, {"directed edges", "features"})
_JSON = Format("node-link JSON", _read_json, _write_json, _GRAPHML.holds | {"vector labels"})

FORMATS = {
    ".g6": _GRAPH6,
    ".graph6": _GRAPH6,
    ".s6": _SPARSE6,
    ".sparse6": _SPARSE6,
    ".graphml": _GRAPHML,
    ".gexf": Format("GEXF", read_gexf),
    ".gml": _GML,
    ".json": _JSON,
    ".edgelist": EDGES,
    ".edges": EDGES,
    ".txt": EDGES,
}

ATTRIBUTED = (".graphml", ".gexf", ".gml", ".json")  # the formats that hold attributes


def listed(suffixes: Iterable[str]) -> str:
    """The suffixes for an error message, with "or" before the last one."""
    *others, last = suffixes
    return f"{', '.join(others)} or {last}" if others else last


def read_networkx(path: pathlib.Path | zipfile.Path, content: bytes) -> list[nx.Graph]:
    """The graphs in the content of a file with a suffix of `FORMATS`, as networkx reads them.

    Raises:
      DataError: if the content is damaged.
    """
    form = FORMATS[pathlib.PurePath(path.name).suffix.lower()]
    try:
        return form.read(content)
    except Exception as error:  # networkx raises exceptions of any type
        explained = isinstance(error, ValueError | SyntaxError | nx.NetworkXError)
        reason = str(error) if explained else repr(error)
        raise DataError(
            f"the data file {path} is damaged, not {form.name}: {' '.join(reason.split()):.300}"
        ) from error


def read_attributed_graphs(path: AnyPath, others: Sequence[str]) -> list[nx.Graph]:
    """The graphs of a .graphml, .gexf, .gml or node-link .json file with all their attributes.

    The attribute "features" may be a text that holds a vector, because GraphML has no vectors; it
    is returned as the vector. In GML and GEXF the attribute "label" is the name of a node: if the
    labels of all nodes differ, the graph has them in place of the ids, and no such attribute.

    Args:
      path: path of the file.
      others: the suffixes of other files that the caller reads, for the error message.

    Raises:
      DataError: if the file is missing or damaged, or has another suffix.
    """
    suffix = pathlib.PurePath(path.name).suffix.lower()
    if suffix not in ATTRIBUTED:
        raise DataError(
            f"{path} has the suffix {suffix!r}, expected {listed([*others, *ATTRIBUTED])}"
        )
    graphs = read_networkx(path, content_of(path))
    if suffix in (".gml", ".gexf"):
        graphs = list(map(_with_labels_as_names, graphs))
    for graph in graphs:
        for _, data in graph.nodes(data=True):
            if isinstance(data.get("features"), str):
                found = vector(data["features"])
                data["features"] = data["features"] if found is None else found
    return graphs


def _with_labels_as_names(graph):
    labels = {node: str(data.pop("label", "")) for node, data in graph.nodes(data=True)}
    are_distinct = len(set(labels.values())) == len(labels) and "" not in labels.values()
    return nx.relabel_nodes(graph, labels) if are_distinct else graph
