"""Batches of graphs as a tf.data pipeline, all padded to one static shape with little padding."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import tensorflow as tf

from gnf_tf import options, seeds
from gnf_tf.datasets.labeled_graphs import LabeledGraphs
from gnf_tf.graphs import GraphsTuple

__all__ = ["GraphDataset", "batches", "node_batches", "plan_batches"]


class GraphDataset(Protocol):
    """The data sets that `batches` takes: graphs with targets, which are looked up by row.

    `Molecules`, `GraphRows` and `Topologies` are such data sets.
    """

    @property
    def targets(self) -> np.ndarray:
        """[num_graphs, num_targets], the values to predict; num_targets may be 0."""

    def __len__(self) -> int: ...

    @property
    def sizes(self) -> np.ndarray:
        """[num_graphs, 2], the numbers of nodes and of edges of each graph."""

    def graph(self, rows: np.ndarray) -> GraphsTuple:
        """The graphs with the numbers `rows` in one GraphsTuple of NumPy arrays."""


def plan_batches(
    dataset: GraphDataset | LabeledGraphs,
    batch_size: int,
    *,
    seed: int | None = None,
    epoch: int = 0,
) -> list[np.ndarray]:
    """The row numbers of each batch of one epoch, in which every graph occurs once.

    Each batch is a stratified sample of the sizes: the graphs are sorted by size, and every k-th
    graph goes into the same batch, where k is the number of batches. The total numbers of nodes and
    edges then differ between batches by about one graph, so that padding to the largest batch costs
    little. A shuffle permutes graphs of equal size, and the batches; the totals stay the same.

    >>> from gnf_tf import datasets
    >>> sets = datasets.mog(4, n_node=[4, 9])  # sets of 4, 9, 4 and 9 points
    >>> plan = datasets.plan_batches(datasets.GraphRows(sets), 2)
    >>> [rows.tolist() for rows in plan]
    [[0, 1], [2, 3]]

    Args:
      dataset: the graphs to batch.
      batch_size: the largest number of graphs in a batch; some batches may have one graph less.
      seed: seed of the shuffle, which differs between epochs; None for no shuffle.
      epoch: number of the epoch, from 0.

    Raises:
      TypeError: if `seed` is no whole number.
      ValueError: if the data set is empty, or a number is not whole or out of its range.
    """
    options.check_argument("batch_size", options.Count, batch_size)
    options.check_argument("epoch", options.AtLeast0, epoch)
    if not len(dataset):
        raise ValueError("`dataset` must hold at least one graph, it holds no graph")
    rng = None if seed is None else seeds.generator(seed, epoch)
    order = np.arange(len(dataset)) if rng is None else rng.permutation(len(dataset))
    nodes, edges = dataset.sizes[order].T
    order = order[np.lexsort((edges, nodes))]
    num_batches = -(-len(dataset) // batch_size)
    plan = [order[i::num_batches] for i in range(num_batches)]
    if rng is not None:
        plan = [plan[i] for i in rng.permutation(num_batches)]
    return plan


def batches(
    dataset: GraphDataset,
    batch_size: int,
    *,
    padded: bool = True,
    seed: int | None = None,
    first_epoch: int = 0,
    passes: int = 1,
    parts: Sequence[int] = (0,),
    num_parts: int = 1,
) -> tf.data.Dataset:
    """Elements (inputs, targets, weights), one for each batch of `plan_batches`.

    Each iteration over the pipeline is a new epoch. Use this where graphs have the targets, and
    `node_batches` where nodes have labels.

    >>> from gnf_tf import datasets
    >>> stream = datasets.batches(datasets.GraphRows(datasets.mog(6)), 4)
    >>> for inputs, targets, weights in stream:  # two batches of 3 sets of 4 points, and padding
    ...     print(inputs["nodes"].shape, inputs["n_node"].numpy(), weights.numpy())
    (13, 2) [4 4 4 1] [1. 1. 1. 0.]
    (13, 2) [4 4 4 1] [1. 1. 1. 0.]

    - inputs: a dict of the fields of a GraphsTuple, so that `GraphsTuple(**inputs)` is the batch
      (tf_keras would retrace its training step at each batch if it got the GraphsTuple itself).
    - targets: [n_graphs, num_targets] float32, zero for padding graphs.
    - weights: [n_graphs] float32, 1 for data graphs and 0 for padding graphs.

    Args:
      dataset: the graphs to batch.
      batch_size: the largest number of data graphs in a batch.
      padded: whether each batch is padded, as by `graphs.pad`, to static shapes that are the same
        in every epoch. Otherwise nothing is padded, and the shapes differ between batches.
      seed: see `plan_batches`.
      first_epoch: number of the first iteration's epoch; the k-th iteration after it is epoch
        `first_epoch + k`.
      passes: how many times an epoch visits each graph, in a new order each time.
      parts: which shards of each batch the pipeline yields, one element for each, in this order.
      num_parts: the number of shards into which each batch is split, such as one for each of
        several replicas. Shard i of a batch has its graphs i, i + num_parts, i + 2 num_parts, ...;
        it has no graph if the batch has too few.

    Raises:
      TypeError: if `seed` is no whole number.
      ValueError: as `plan_batches`; if `dataset` has no targets; or if `parts` is empty or has a
        number that is not in [0, num_parts).
    """
    if not hasattr(dataset, "targets"):
        raise ValueError(
            "`dataset` must be graphs with targets, such as Molecules or GraphRows (`node_batches` "
            f"takes LabeledGraphs), got {type(dataset).__name__}"
        )

    def read(rows: np.ndarray) -> tuple[GraphsTuple, np.ndarray, np.ndarray]:
        targets = dataset.targets[rows].astype(np.float32)
        return dataset.graph(rows), targets, np.ones(len(rows), np.float32)

    return _stream(
        dataset, batch_size, read, "graphs", padded, seed, first_epoch, passes, parts, num_parts
    )


def node_batches(
    dataset: LabeledGraphs,
    batch_size: int,
    *,
    padded: bool,
    seed: int | None = None,
    first_epoch: int = 0,
    parts: Sequence[int] = (0,),
    num_parts: int = 1,
) -> tf.data.Dataset:
    """Elements (inputs, labels, weights), one for each batch of `plan_batches`.

    Each iteration over the pipeline is a new epoch. Use this where nodes have labels, and `batches`
    where graphs have targets.

    - inputs: a dict of the fields of a GraphsTuple, as in `batches`.
    - labels: [num_nodes] int32, the class of each node, or [num_nodes, num_labels] float32, 1 for
      each label that the node has and 0 for the others; zero for padding nodes, and for nodes
      without a class.
    - weights: [num_nodes] float32, 1 for data nodes, 0 for padding nodes and for nodes without a
      class.

    Args:
      dataset: the graphs to batch.
      batch_size: the largest number of data graphs in a batch.
      padded: see `batches`.
      seed: see `plan_batches`.
      first_epoch: see `batches`.
      parts: see `batches`.
      num_parts: see `batches`.

    Raises:
      TypeError: if `seed` is no whole number.
      ValueError: as `batches`; if `dataset` is not LabeledGraphs.
    """
    if not isinstance(dataset, LabeledGraphs):
        raise ValueError(f"`dataset` must be LabeledGraphs, got {type(dataset).__name__}")

    def read(rows: np.ndarray) -> tuple[GraphsTuple, np.ndarray, np.ndarray]:
        graph, labels = dataset.graphs(rows)
        if dataset.is_multi_label:
            return graph, labels.astype(np.float32), np.ones(len(labels), np.float32)
        return graph, np.maximum(labels, 0), (labels >= 0).astype(np.float32)

    return _stream(
        dataset, batch_size, read, "nodes", padded, seed, first_epoch, 1, parts, num_parts
    )


def _stream(
    dataset, batch_size, read, labeled, padded, seed, first_epoch, passes, parts, num_parts
):
    """The pipeline of `read(rows)`, (graph, labels, weights), for the rows of each shard.

    `labeled` says which total is the length of the labels and weights: "nodes" or "graphs".
    """
    # Checked here, since an error in the generator below is hidden in one of TensorFlow's.
    if seed is not None:
        seed = seeds.whole_number(seed)
    options.check_argument("first_epoch", options.AtLeast0, first_epoch)
    options.check_argument("passes", options.Count, passes)
    options.check_argument("num_parts", options.Count, num_parts)
    if not parts or not all(0 <= part < num_parts for part in parts):
        raise ValueError(f"`parts` must be some of the {num_parts} parts, got {list(parts)}")
    plan = plan_batches(dataset, batch_size)
    totals = _padded_sizes(dataset, _shards(plan, range(num_parts), num_parts))
    epoch = first_epoch - 1

    def element(rows):
        graph, labels, weights = read(rows)
        if padded:
            graph = _pad(graph, *totals)
            length = len(graph.nodes if labeled == "nodes" else graph.n_node)
            labels, weights = _extended(labels, length), _extended(weights, length)
        return graph._asdict(), labels, weights

    def one_epoch() -> Iterator[tuple]:
        nonlocal epoch
        epoch += 1
        for order in range(epoch * passes, (epoch + 1) * passes):
            plan = plan_batches(dataset, batch_size, seed=seed, epoch=order)
            yield from map(element, _shards(plan, parts, num_parts))

    signature = tf.nest.map_structure(
        lambda values: tf.TensorSpec(
            values.shape if padded else [None, *values.shape[1:]], values.dtype
        ),
        element(np.zeros(0, int)),
    )
    stream = tf.data.Dataset.from_generator(one_epoch, output_signature=signature)
    length = passes * len(plan) * len(parts)
    return stream.apply(tf.data.experimental.assert_cardinality(length)).prefetch(4)


def _shards(plan, parts, num_parts):
    """Those shards of each batch in turn. A batch is sorted by size: its shards are alike too."""
    return (rows[part::num_parts] for rows in plan for part in parts)


def _padded_sizes(dataset, plan):
    """Numbers of nodes, edges and graphs that each batch of the plan fits into.

    They have room for at least one padding node and one padding graph, as `graphs.pad` needs.
    """
    plan = list(plan)
    num_nodes, num_edges = np.max([dataset.sizes[rows].sum(axis=0) for rows in plan], axis=0)
    return int(num_nodes) + 1, int(num_edges), max(map(len, plan)) + 1


def _pad(graph, num_nodes, num_edges, num_graphs):
    """`graphs.pad` in NumPy, because TensorFlow operations are slow in a generator's thread."""
    nodes, edges, members = len(graph.nodes), len(graph.senders), len(graph.n_node)
    n_node, n_edge = _extended(graph.n_node, num_graphs), _extended(graph.n_edge, num_graphs)
    n_node[members], n_edge[members] = num_nodes - nodes, num_edges - edges
    return GraphsTuple(
        nodes=_extended(graph.nodes, num_nodes),
        edges=_extended(graph.edges, num_edges),
        globals=_extended(graph.globals, num_graphs),
        receivers=_extended(graph.receivers, num_edges, nodes),
        senders=_extended(graph.senders, num_edges, nodes),
        n_node=n_node,
        n_edge=n_edge,
    )


def _extended(values, length, fill=0):
    result = np.full([length, *values.shape[1:]], fill, values.dtype)
    result[: len(values)] = values
    return result
