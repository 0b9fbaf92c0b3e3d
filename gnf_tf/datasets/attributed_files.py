"""Graphs with all attributes of their nodes, from the formats that hold attributes."""

import json
import os
from collections.abc import Sequence

import networkx as nx

from gnf_tf.datasets.networkx_files import FORMATS
from gnf_tf.datasets.npz_files import content_of
from gnf_tf.errors import DataError
from gnf_tf.files import user_path

__all__ = ["SUFFIXES", "read_attributed_graphs"]


SUFFIXES = (".graphml", ".gexf", ".gml", ".json")  # of FORMATS, those that hold attributes


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
    if suffix not in SUFFIXES:
        *most, last = [*others, *SUFFIXES]
        raise DataError(f"{path} has the suffix {suffix!r}, expected {', '.join(most)} or {last}")
    content = content_of(path)
    try:
        graphs = FORMATS[suffix].read(content)
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
