"""Checks and conversions of the arrays that `node_graph` takes."""

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse

__all__ = ["as_array", "as_labels", "as_labels_of_graphs", "as_mask", "distinct_pairs"]


def as_labels(
    given: Any, class_names: Sequence[str] | None, num_nodes: int
) -> tuple[np.ndarray, tuple[str, ...], np.ndarray]:
    """Labels as `node_graph` takes them, converted to those of `LabeledGraph`.

    Args:
      given: the labels as `node_graph` takes them.
      class_names: the names as `node_graph` takes them.
      num_nodes: the number of nodes N.

    Returns:
      (labels, class names, [N] bool: which nodes have a label).

    Raises:
      ValueError: if `node_graph` does not take them.
    """
    given_names = np.asarray(() if class_names is None else class_names)
    if given_names.ndim != 1:
        raise ValueError(f"`class_names` must be a sequence of strings, got {class_names!r}")
    names = tuple(_text("class_names", given_names))
    labels = np.full(num_nodes, -1) if given is None else as_array("labels", given)
    if labels.dtype.kind in "SU" and not isinstance(given, np.ndarray):
        labels = np.asarray(given, object)  # keeps numbers among names as numbers
    if labels.shape[:1] != (num_nodes,) or labels.ndim > 2:
        raise ValueError(
            f"`labels` must have shape [N] or [N, L] for N = {num_nodes} nodes, got {labels.shape}"
        )
    if labels.ndim == 2 and labels.shape[1] == 1 and len(names) != 1:
        labels = labels[:, 0]  # one class a node, as OGB writes them
    if labels.ndim == 1 and labels.dtype.kind in "OSU":
        labels, names = _from_names(labels, names)
    if labels.dtype.kind not in "biuf":
        raise ValueError(f"`labels` must be whole numbers or names, got {labels.dtype}")
    if labels.ndim == 1 and labels.dtype.kind == "f":
        labels = np.where(np.isnan(labels), -1, labels)  # as pandas has missing numbers
    if labels.ndim == 1:
        wrong = ~((labels == np.round(labels)) & (np.abs(labels) < 2**31))
        rule = "whole numbers, or -1 for none"
    else:
        unknown = (labels == -1).all(axis=1)
        wrong = ~(np.isin(labels, (0, 1)).all(axis=1) | unknown)
        rule = "0 or 1 in each of the L columns, or one class a node [N]"
    if wrong.any():
        node = int(wrong.argmax())
        raise ValueError(f"`labels` must be {rule}, got {labels[node].tolist()} for node {node}")
    if labels.ndim == 2:
        return labels > 0, names, ~unknown
    return labels.astype(np.int64), names, labels >= 0


def as_labels_of_graphs(
    given: Any, class_names: Sequence[str] | None, n_node: np.ndarray
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels of several graphs, converted to those of `LabeledGraphs`.

    Args:
      given: the labels of all nodes, as `node_graph` takes them.
      class_names: the names as `node_graph` takes them.
      n_node: [num_graphs], the number of nodes of each graph.

    Returns:
      (labels, class names).

    Raises:
      ValueError: if `node_graph` does not take them; or if a node's many labels are unknown, which
        the bool labels of `LabeledGraphs` can't tell from none.
    """
    labels, names, known = as_labels(given, class_names, int(n_node.sum()))
    if labels.ndim == 2 and not known.all():
        row, ends = int(known.argmin()), np.cumsum(n_node)
        graph = int(np.searchsorted(ends, row, side="right"))
        raise ValueError(
            "`labels` must be known of each node where a node has any number of labels, got none "
            f"(or -1) for node {row - (ends[graph] - n_node[graph])} of graph {graph}"
        )
    return labels, names


def _from_names(labels, names):
    """(whole numbers, names of the classes) from labels that are names or None."""
    # pandas need not be there; the comparison of its NA to "" is neither true nor false.
    values = [
        None if value is None or type(value).__name__ == "NAType" or value == "" else value
        for value in _text("labels", labels)
    ]
    if all(value is None or isinstance(value, numbers.Real) for value in values):
        return np.asarray([-1 if value is None else value for value in values]), names
    # Columns of names in pandas have NaN where a name is missing.
    values = [None if isinstance(value, float) and np.isnan(value) else value for value in values]
    for node, value in enumerate(values):
        if value is not None and not isinstance(value, str):
            raise ValueError(
                f"`labels` must all be names or all be whole numbers, got {value!r} for node {node}"
            )
    names = names or tuple(sorted(set(values) - {None}))
    number = {None: -1} | {name: row for row, name in enumerate(names)}
    for node, value in enumerate(values):
        if value not in number:
            raise ValueError(
                f"`labels` must be among `class_names`, {names}, got {value!r} for node {node}"
            )
    return np.array([number[value] for value in values]), names


def _text(name, values):
    """The values [N] as a list, bytes among them decoded to text."""
    found = values.tolist()
    for row, value in enumerate(found):
        if isinstance(value, bytes):  # also in the object array that a tensor of strings becomes
            try:
                found[row] = value.decode("utf-8")
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"`{name}` must be text in UTF-8, got {value!r} in row {row}"
                ) from error
    return found


def distinct_pairs(edges: np.ndarray, num_nodes: int) -> np.ndarray:
    """Each pair of adjacent nodes once, [2, num_pairs] int64, sorted, without self loops.

    The smaller node of a pair is in row 0.

    Args:
      edges: [2, E] whole numbers, each edge in one direction or in both.
      num_nodes: the number of nodes; the nodes are 0 to `num_nodes` - 1.

    Raises:
      ValueError: if `edges` has another shape or type, or a number that is not a node.
    """
    if not edges.size:
        return np.zeros([2, 0], np.int64)
    if edges.ndim != 2 or edges.shape[0] != 2:
        raise ValueError(
            f"`edges` must have shape [2, E], got {edges.shape}"
            + ("; give its transpose" if edges.shape[1:] == (2,) else "")
        )
    if edges.dtype.kind not in "iu":
        raise ValueError(f"`edges` must be whole numbers, got {edges.dtype}")
    wrong = (edges < 0) | (edges >= num_nodes)
    if wrong.any():
        column = int(wrong.any(axis=0).argmax())
        raise ValueError(
            f"`edges` must be nodes from 0 to {num_nodes - 1}, got {edges[:, column].tolist()} in "
            f"column {column}"
        )
    ends = np.sort(edges.astype(np.int64), axis=0)
    low, high = ends[:, ends[0] != ends[1]]
    return np.stack(np.divmod(np.unique(low * num_nodes + high), num_nodes))


def as_array(name: str, values: Any) -> np.ndarray:
    """An array or a scipy.sparse matrix as a dense array.

    Raises:
      ValueError: if it is neither; the message names it.
    """
    if scipy.sparse.issparse(values):
        return values.toarray()
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`{name}` must be an array, got rows of different lengths ({error})"
        ) from error


def as_mask(name: str, given: Any, num_nodes: int) -> np.ndarray:
    """A set of nodes as `node_graph` takes it, converted to bool [num_nodes].

    Raises:
      ValueError: if `node_graph` does not take it; the message names it.
    """
    mask = np.zeros(num_nodes, bool)
    values = as_array(name, [] if given is None else given)
    if values.dtype == bool:
        return values
    if not values.size:
        return mask
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise ValueError(
            f"`{name}` must be bool {(num_nodes,)} or a list of nodes' numbers, got {values.dtype} "
            f"of shape {values.shape}"
        )
    wrong = (values < 0) | (values >= num_nodes)
    if wrong.any():
        raise ValueError(
            f"`{name}` must be nodes from 0 to {num_nodes - 1}, got {values[wrong.argmax()]}"
        )
    found, counts = np.unique(values, return_counts=True)
    if (counts > 1).any():
        raise ValueError(
            f"`{name}` must name a node once, got node {found[counts.argmax()]} "
            f"{counts.max()} times; zeros and ones must be bool"
        )
    mask[values] = True
    return mask
