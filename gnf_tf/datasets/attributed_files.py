"""Graphs with all attributes of their nodes, from the formats that hold attributes."""

import io
import json
import os
from collections.abc import Sequence

import networkx as nx

from gnf_tf.errors import DataError
from gnf_tf.files import user_path

__all__ = ["SUFFIXES", "read_attributed_graphs"]


def _read_json(content):
    data = json.loads(content)
    graphs = data if isinstance(data, list) else [data]
    return [nx.node_link_graph(g, edges="edges" if "edges" in g else "links") for g in graphs]


_READERS = {
    ".graphml": lambda content: [nx.read_graphml(io.BytesIO(content))],
    ".gexf": lambda content: [nx.read_gexf(io.BytesIO(content))],
    ".gml": lambda content: [nx.parse_gml(content.decode().splitlines(), label="id")],
    ".json": _read_json,
}
SUFFIXES = tuple(_READERS)


def read_attributed_graphs(path: str | os.PathLike, others: Sequence[str]) -> list[nx.Graph]:
    """The graphs of a .graphml, .gexf, .gml or node-link .json file, the last also a list of them.

    "features" that are a text of a vector, as GraphML needs it, become the vector. In GML and GEXF
    the "label" of a node is its name, and left out.

    Args:
      path: of the file.
      others: suffixes that the caller reads besides, for the message.

    Raises:
      DataError: if the file is missing, damaged or of another suffix.
    """
    path = user_path(path)
    suffix = path.suffix.lower()
    if suffix not in _READERS:
        *most, last = [*others, *_READERS]
        raise DataError(f"{path} has the suffix {suffix!r}, expected {', '.join(most)} or {last}")
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"the data file {path} is missing") from error
    except OSError as error:
        raise DataError(f"the data file {path} can't be read ({error.strerror})") from error
    try:
        graphs = _READERS[suffix](content)
        for graph in graphs:
            for _, data in graph.nodes(data=True):
                if suffix in (".gml", ".gexf"):
                    data.pop("label", None)
                if isinstance(data.get("features"), str):
                    data["features"] = json.loads(data["features"])
    except Exception as error:  # networkx raises of any kind
        reason = " ".join(repr(error).split())
        raise DataError(
            f"the data file {path} is damaged, no {suffix[1:]} of graphs: {reason:.300}"
        ) from error
    return graphs
