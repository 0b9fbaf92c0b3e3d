"""GraphML, GEXF and GML: formats of graphs with attributes, in which networkx leaves gaps."""

import functools
import io
import re
from collections.abc import Callable, Sequence
from typing import Any
from xml.etree import ElementTree

import networkx as nx
import numpy as np
from networkx.readwrite.gexf import GEXFReader

from gnf_tf.datasets.attributed_graphs import items
from gnf_tf.datasets.text_files import plain

__all__ = [
    "check_number",
    "plain_graph",
    "read_gexf",
    "read_gml",
    "read_graphml",
    "write_gml",
    "write_graphml",
]


def read_graphml(content: bytes) -> list[nx.Graph]:
    """All graphs of a file; raises an exception of any type for other content."""
    # This is networkx.read_graphml, which returns the first graph only.
    header = f'<graphml xmlns="{nx.GraphMLReader.NS_GRAPHML}">'
    content = content.replace(b"<graphml>", header.encode())
    graphs = list(_strict(_GraphMLReader())(string=content))
    _check_declared(content, graphs)
    return list(map(_with_defaults, graphs))


# What a reader of XML refuses, and "\r", which it replaces by "\n".
_NOT_IN_XML = re.compile("[\0-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]")


def write_graphml(graphs: Sequence[nx.Graph]) -> bytes:
    """The content of a file; raises a ValueError for labels that XML does not hold."""
    writer = nx.GraphMLWriter()
    for index, graph in enumerate(graphs):
        for what, data in (member for members in items(graph).values() for member in members):
            label = data.get("label")
            if isinstance(label, str) and _NOT_IN_XML.search(label):
                raise ValueError(
                    f"{what} of graph {index} has the label {label!r:.80}, with control characters "
                    "that GraphML doesn't hold; use .json"
                )
        writer.add_graph_element(plain_graph(graph, str))
        writer.attributes.clear()  # otherwise those of earlier graphs are written again
    file = io.BytesIO()
    writer.dump(file)
    return file.getvalue()


class _Types(dict):
    """Python's types by those of GEXF; those that networkx does not know, such as lists, are texts.

    A text may hold the vector of features.
    """

    def __missing__(self, name):
        return {"short": int, "byte": int, "biginteger": int, "bigdecimal": float}.get(name, str)


def read_gexf(content: bytes) -> list[nx.Graph]:
    """The graph of a file; raises an exception of any type for other content."""
    reader = GEXFReader()
    reader.python_type = _Types(reader.python_type)
    graphs = [_strict(reader)(io.BytesIO(content))]
    _check_declared(content, graphs)
    return list(map(_with_defaults, graphs))


class _GraphMLReader(nx.GraphMLReader):
    """A reader that knows keys for everything, also those that do not say what they are for."""

    def make_graph(self, graph_xml, graphml_keys, defaults, *outer):
        graph = super().make_graph(graph_xml, graphml_keys, defaults, *outer)
        for key, value in defaults.items():
            of_key = graphml_keys[key]
            name, value = of_key["name"], of_key["type"](value)
            if of_key["for"] in (None, "all"):
                for members in ("node_default", "edge_default"):
                    graph.graph[members].setdefault(name, value)
            if of_key["for"] in (None, "all", "graph"):
                graph.graph.setdefault(name, value)
        return graph


def _with_defaults(graph):
    """The graph with the defaults of attributes where they count; networkx only lists them."""
    for name, members in (("node_default", graph.nodes), ("edge_default", graph.edges)):
        defaults = graph.graph.pop(name, {})
        for member in members if defaults else ():
            for attribute, value in defaults.items():
                members[member].setdefault(attribute, value)
    return graph


def _strict(reader):
    """A reader of networkx, now without what only Python reads as a number, such as 1_0."""
    for name, kind in reader.python_type.items():
        if kind in (int, float):
            reader.python_type[name] = functools.partial(_converted, kind)
    return reader


def _converted(kind, value):
    # A default has been converted before.
    return plain(value, kind) if isinstance(value, str) else kind(value)


def _check_declared(content, graphs):
    """Raises a ValueError for repeated and missing nodes: networkx merges and adds them."""
    declared = sum(
        str(element.tag).rpartition("}")[2] == "node" and "id" in element.attrib
        for element in ElementTree.fromstring(content).iter()
    )
    check_number(declared, sum(map(len, graphs)), "it")


# Texts and comments, and outside of them numbers without a point but with an exponent, of which
# networkx would read the digits before it, and the exponent as another attribute.
_EXPONENT = re.compile(
    r'"[^"]*"|#[^\n]*|(?<![\w.+-])(?P<digits>[+-]?[0-9]+)(?P<power>[eE][+-]?[0-9]+)(?![\w.])'
)


def read_gml(content: bytes) -> list[nx.Graph]:
    """The graph of a file; raises an exception of any type for other content."""

    def with_point(found):
        if found["digits"]:
            return f"{found['digits']}.0{found['power']}"
        return "" if found[0].startswith("#") else found[0]  # networkx looks for quotes in comments

    text = _EXPONENT.sub(with_point, content.decode("utf-8-sig"))
    return [nx.parse_gml(text.splitlines(), label="id")]


def write_gml(graphs: Sequence[nx.Graph]) -> bytes:
    """The content of a file with one graph."""
    (graph,) = graphs
    return "\n".join([*nx.generate_gml(plain_graph(graph, list)), ""]).encode("ascii")


def check_number(declared: int, found: int, what: str) -> None:
    """Raises a ValueError if a graph has other nodes than those that are listed."""
    if declared != found:
        raise ValueError(
            f"{what} lists {declared} nodes with an id, but ids and edges name {found} nodes"
        )


def plain_graph(graph: nx.Graph, vector: Callable[[list], Any]) -> nx.Graph:
    """A copy of the graph in which vectors are converted by `vector` (to lists or texts)."""

    def attributes(data):
        return {
            key: vector(value.tolist()) if isinstance(value, np.ndarray) else value
            for key, value in data.items()
        }

    result = graph.__class__(**attributes(graph.graph))
    result.add_nodes_from((node, attributes(data)) for node, data in graph.nodes(data=True))
    result.add_edges_from((a, b, attributes(data)) for a, b, data in graph.edges(data=True))
    return result
