"""The networkx graphs that `read_graphs` returns, with attributes "features" and "label"."""

import math
import numbers
from collections.abc import Iterable, Iterator
from typing import Any

import networkx as nx
import numpy as np

from gnf_tf.datasets.text_files import plain

__all__ = ["check_widths", "items", "make_graphs", "simple_graph", "vector"]


def simple_graph(graph: nx.Graph, *, node_labels: bool = True) -> nx.Graph:
    """A `Graph` or `DiGraph` with nodes 0 to n - 1, without self loops and parallel edges.

    It keeps the attributes "features" and "label". Nodes are sorted by name if all names are whole
    numbers, and otherwise keep their order. Of parallel edges, the last one gives the attributes.

    Args:
      graph: any networkx graph.
      node_labels: whether the attribute "label" of a node is kept; False if it is a name.

    Raises:
      ValueError: if the graph has no nodes, or an attribute has a wrong value; the message names
        the node or edge.
    """
    if not len(graph):
        raise ValueError("it has no nodes")
    try:
        order = sorted(graph, key=lambda name: plain(str(name), int))
    except ValueError:
        order = list(graph)
    number = {name: i for i, name in enumerate(order)}
    result = nx.DiGraph() if graph.is_directed() else nx.Graph()
    result.graph.update(_attributes("the graph", graph.graph))
    for name in order:
        attributes = _attributes(f"node {name!r}", graph.nodes[name])
        if not node_labels:
            attributes.pop("label", None)
        result.add_node(number[name], **attributes)
    for a, b, data in graph.edges(data=True):
        if a != b:
            result.add_edge(number[a], number[b], **_attributes(f"edge {(a, b)!r}", data))
    return result


def _attributes(what, data):
    result = {}
    if data.get("features") is not None:
        features = vector(data["features"])
        if features is None:
            raise ValueError(
                f"{what} has the features {data['features']!r:.80}, expected finite numbers"
            )
        result["features"] = features
    label = data.get("label")
    if isinstance(label, np.generic | np.ndarray) and label.ndim == 0:
        label = label.item()
    if isinstance(label, np.ndarray | list | tuple):
        label = vector(label)
    elif isinstance(label, numbers.Real):
        whole = isinstance(label, numbers.Integral)
        label = int(label) if whole else float(label) if math.isfinite(label) else None
    elif not isinstance(label, str):
        label = None
    if label is not None:
        result["label"] = label
    elif data.get("label") is not None:
        raise ValueError(
            f"{what} has the label {data['label']!r:.80}, expected a finite number, a vector of "
            "them, or text"
        )
    return result


def vector(value: Any) -> np.ndarray | None:
    """[width] float64 from a number, a sequence of numbers, or a text; None from other values."""
    try:
        if isinstance(value, str):
            value = [plain(word) for word in value.strip("[]() \n").replace(",", " ").split()]
        values = np.atleast_1d(np.asarray(value))
        if values.dtype.kind not in "biuf" or values.ndim != 1 or not values.size:
            return None
        values = values.astype(np.float64)
    except (ValueError, TypeError, OverflowError):
        return None
    return values if np.isfinite(values).all() else None


def items(graph: nx.Graph) -> dict[str, Iterator[tuple[str, dict[str, Any]]]]:
    """(name, attributes) of all nodes, of all edges, and of the graph."""
    return {
        "node": ((f"node {node}", data) for node, data in graph.nodes(data=True)),
        "edge": ((f"edge ({a}, {b})", data) for a, b, data in graph.edges(data=True)),
        "graph": iter([("the whole", graph.graph)]),
    }


def check_widths(graphs: Iterable[tuple[str, nx.Graph]]) -> None:
    """Checks that all nodes have the same number of features, and so all edges and all graphs.

    Args:
      graphs: (the name of a graph in an error message, the graph).

    Raises:
      ValueError: if they do not; the message names the first that differs.
    """
    expected: dict[str, int | str] = {}
    for where, graph in graphs:
        for kind, members in items(graph).items():
            for what, data in members:
                width = len(data["features"]) if "features" in data else "no"
                if width != expected.setdefault(kind, width):
                    raise ValueError(
                        f"{what} of {where} has {width} features, expected {expected[kind]} as for "
                        f"the first {kind}"
                    )


def make_graphs(
    graph_of_node: np.ndarray,
    num_graphs: int,
    edges: np.ndarray,
    *,
    node: dict[str, np.ndarray | None],
    edge: dict[str, np.ndarray | None],
    whole: dict[str, np.ndarray | None],
) -> list[nx.Graph]:
    """Undirected graphs from tables with a row for each node, edge or graph.

    Args:
      graph_of_node: [N], the number of the graph of each node.
      num_graphs: the number of graphs.
      edges: [2, E], the row numbers in `graph_of_node` of the two nodes of each edge.
      node: the attributes of nodes, each [N] or [N, width], or None.
      edge: the attributes of edges, each [E] or [E, width], or None.
      whole: the attributes of graphs, each [num_graphs] or [num_graphs, width], or None.
    """
    order = np.argsort(graph_of_node, kind="stable")
    n_nodes = np.bincount(graph_of_node, minlength=num_graphs)
    starts = np.cumsum(n_nodes) - n_nodes
    local = np.empty(len(order), np.int64)
    local[order] = np.arange(len(order)) - np.repeat(starts, n_nodes)

    graphs = [nx.Graph(**attributes) for attributes in _rows(whole, range(num_graphs))]
    members = zip(
        graph_of_node[order].tolist(),
        local[order].tolist(),
        _rows(node, order.tolist()),
        strict=True,
    )
    for owner, number, attributes in members:
        graphs[owner].add_node(number, **attributes)
    links = zip(
        graph_of_node[edges[0]].tolist(),
        *local[edges].tolist(),
        _rows(edge, range(edges.shape[1])),
        strict=True,
    )
    for owner, low, high, attributes in links:
        graphs[owner].add_edge(low, high, **attributes)
    return graphs


def _rows(columns, order):
    """Yields a dict of attributes for each row of `order`; features are float64 vectors."""
    columns = {key: values for key, values in columns.items() if values is not None}
    if "features" in columns:
        columns["features"] = columns["features"].astype(np.float64)
    for row in order:
        yield {
            key: values[row] if values.ndim > 1 else values[row].item()
            for key, values in columns.items()
        }
