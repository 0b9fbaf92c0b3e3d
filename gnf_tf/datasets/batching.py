"""Padded batches of static shape, with little padding, as a tf.data pipeline."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import tensorflow as tf

from gnf_tf import seeds
from gnf_tf.graphs import GraphsTuple

__all__ = ["GraphDataset", "NodeDataset", "batches", "node_batches", "plan_batches"]


class GraphDataset(Protocol):
    """What can be batched: labelled graphs that are looked up by row."""

    @property
    def targets(self) -> np.ndarray:
        """[num_graphs, num_targets]."""

    def __len__(self) -> int: ...

    @property
    def sizes(self) -> np.ndarray:
        """[num_graphs, 2]: nodes and edges of each graph."""

    def graph(self, rows: np.ndarray) -> GraphsTuple:
        """The graphs at `rows`, in numpy arrays."""

    def signature(
        self, num_nodes: int | None, num_edges: int | None, num_graphs: int | None
    ) -> GraphsTuple:
        """TensorSpecs of graphs of these total sizes; None: of any, for batches without padding."""


class NodeDataset(Protocol):
    """What `node_batches` takes: graphs with labelled nodes, looked up by row."""

    def __len__(self) -> int: ...

    @property
    def sizes(self) -> np.ndarray:
        """[num_graphs, 2]: nodes and edges of each graph."""

    def graph(self, row: int) -> tuple[GraphsTuple, np.ndarray]:
        """One graph and the labels of its nodes, as of `LabeledGraphs`, in numpy arrays."""


def plan_batches(
    dataset: GraphDataset | NodeDataset, batch_size: int, *, seed: int | None = None, epoch: int = 0
) -> list[np.ndarray]:
    """Rows of each batch of one epoch: every graph once, every batch a like mix of sizes.

    The graphs, ordered by size, are dealt out to the batches like cards. Node and edge totals
    then differ between batches by about one graph, and don't depend on the shuffling, which is
    among graphs of equal size and of the order of the batches.

    Args:
      dataset: what to batch.
      batch_size: graphs a batch; the last cards make some batches one graph smaller.
      seed: shuffles, differently in each epoch; None: no shuffling.
      epoch: which epoch's order.

    Raises:
      ValueError: if the data set is empty or `batch_size` is below 1.
    """
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1, got {batch_size}")
    if not len(dataset):
        raise ValueError("`dataset` holds no graph to batch")
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
    """(inputs, targets, weights) for each batch of `plan_batches`; iterate again for a new epoch.

    inputs: dict of the fields of a GraphsTuple, padded as by `graphs.pad` to static shapes, the
      same in every epoch: `GraphsTuple(**inputs)`. (tf_keras retraces at every batch if it gets
      the GraphsTuple itself.)
    targets: [n_graphs, num_targets] float32, zero on padding graphs.
    weights: [n_graphs] float32, 1 on real graphs, 0 on padding graphs.

    Args:
      dataset: what to batch.
      batch_size: real graphs a batch.
      padded: else there is no padding, and the stream announces sizes that differ.
      seed: see `plan_batches`.
      first_epoch: the epoch of the first iteration; the k-th one has `first_epoch + k`.
      passes: over the data set in an epoch, each with an order of its own.
      parts: those of the parts of each batch, one after another, that are elements of the stream.
      num_parts: like parts in which each batch is dealt out, as to several devices; a part may
        hold no graph where a batch has fewer.

    Raises:
      ValueError: as `plan_batches`, if `passes` is below 1, or for parts that there aren't.
    """
    if passes < 1:
        raise ValueError(f"`passes` must be at least 1, got {passes}")
    _check_parts(parts, num_parts)
    plan = plan_batches(dataset, batch_size)
    all_parts = _split(plan, range(num_parts), num_parts)
    totals = _padded_sizes(dataset, all_parts)
    epoch = first_epoch - 1

    def one_epoch() -> Iterator[tuple]:
        nonlocal epoch
        epoch += 1
        orders = range(epoch * passes, (epoch + 1) * passes)
        whole = itertools.chain.from_iterable(
            plan_batches(dataset, batch_size, seed=seed, epoch=order) for order in orders
        )
        for rows in _split(whole, parts, num_parts):
            graph, targets = dataset.graph(rows), dataset.targets[rows].astype(np.float32)
            weights = np.ones(len(rows), np.float32)
            if padded:
                graph = _pad(graph, *totals)
                targets, weights = (_extended(values, totals[-1]) for values in (targets, weights))
            yield graph._asdict(), targets, weights

    num_nodes, num_edges, num_graphs = totals if padded else (None, None, None)
    signature = (
        dataset.signature(num_nodes, num_edges, num_graphs)._asdict(),
        tf.TensorSpec([num_graphs, dataset.targets.shape[1]], tf.float32),
        tf.TensorSpec([num_graphs], tf.float32),
    )
    stream = tf.data.Dataset.from_generator(one_epoch, output_signature=signature)
    length = passes * len(plan) * len(parts)
    return stream.apply(tf.data.experimental.assert_cardinality(length)).prefetch(4)


def node_batches(
    dataset: NodeDataset,
    batch_size: int,
    *,
    padded: bool,
    seed: int | None = None,
    first_epoch: int = 0,
    parts: Sequence[int] = (0,),
    num_parts: int = 1,
) -> tf.data.Dataset:
    """(inputs, labels, weights) for each batch of `plan_batches`; iterate again for a new epoch.

    inputs: dict of the fields of a GraphsTuple, as of `batches`.
    labels: [num_nodes] int32, the class of each node, or [num_nodes, num_labels] float32, 0 or 1
      for each label; zero on padding nodes, and where a node has no class.
    weights: [num_nodes] float32, 1 on real nodes, 0 on padding nodes and those without a class.

    Args:
      dataset: what to batch.
      batch_size: real graphs a batch.
      padded: to static shapes, the same in every epoch, as by `graphs.pad`; else there is no
        padding, and the stream announces sizes that differ.
      seed: see `plan_batches`.
      first_epoch: the epoch of the first iteration; the k-th one has `first_epoch + k`.
      parts, num_parts: see `batches`.

    Raises:
      ValueError: as `plan_batches`, or for parts that there aren't.
    """
    _check_parts(parts, num_parts)
    plan = plan_batches(dataset, batch_size)
    totals = _padded_sizes(dataset, _split(plan, range(num_parts), num_parts))
    num_nodes, num_edges, num_graphs = totals if padded else (None, None, None)
    graph, labels = dataset.graph(0)
    nothing = GraphsTuple(*(values[:0] for values in graph)), labels[:0]  # of a part without graphs
    multi = labels.ndim == 2
    epoch = first_epoch - 1

    def one_epoch() -> Iterator[tuple]:
        nonlocal epoch
        epoch += 1
        whole = plan_batches(dataset, batch_size, seed=seed, epoch=epoch)
        for rows in _split(whole, parts, num_parts):
            members = [nothing, *(dataset.graph(row) for row in rows)]
            graph = _joined([graph for graph, _ in members])
            labels = np.concatenate([labels for _, labels in members])
            weights = np.ones(len(labels), np.float32) if multi else np.float32(labels >= 0)
            labels = np.maximum(labels, 0).astype(np.float32 if multi else np.int32)
            if padded:
                graph = _pad(graph, *totals)
                labels, weights = (_extended(values, num_nodes) for values in (labels, weights))
            yield graph._asdict(), labels, weights

    lengths = {"nodes": num_nodes, "edges": num_edges, "globals": num_graphs}
    lengths |= {"receivers": num_edges, "senders": num_edges}
    inputs = {
        field: tf.TensorSpec([lengths.get(field, num_graphs), *values.shape[1:]], values.dtype)
        for field, values in graph._asdict().items()
    }
    signature = (
        inputs,
        tf.TensorSpec([num_nodes, *labels.shape[1:]], tf.float32 if multi else tf.int32),
        tf.TensorSpec([num_nodes], tf.float32),
    )
    stream = tf.data.Dataset.from_generator(one_epoch, output_signature=signature)
    length = len(plan) * len(parts)
    return stream.apply(tf.data.experimental.assert_cardinality(length)).prefetch(2)


def _check_parts(parts, num_parts):
    if not parts or not all(0 <= part < num_parts for part in parts):
        raise ValueError(f"`parts` must be some of the {num_parts} parts, got {list(parts)}")


def _split(plan, parts, num_parts):
    """Those parts of each batch in turn, like mixes of sizes: the rows of a batch are ordered."""
    return (rows[part::num_parts] for rows in plan for part in parts)


def _padded_sizes(dataset, plan):
    """Nodes, edges and graphs that every batch of the plan fits into, with a padding node."""
    plan = list(plan)
    num_nodes, num_edges = np.max([dataset.sizes[rows].sum(axis=0) for rows in plan], axis=0)
    return int(num_nodes) + 1, int(num_edges), max(map(len, plan)) + 1


def _joined(members):
    """`graphs.batch` in numpy."""
    first = np.cumsum([0, *(len(graph.nodes) for graph in members[:-1])], dtype=np.int32)
    moved = [
        graph.replace(senders=graph.senders + start, receivers=graph.receivers + start)
        for graph, start in zip(members, first, strict=True)
    ]
    return GraphsTuple(*(np.concatenate(values) for values in zip(*moved, strict=True)))


def _extended(values, total, fill=0):
    result = np.full([total, *values.shape[1:]], fill, values.dtype)
    result[: len(values)] = values
    return result


def _pad(graph, num_nodes, num_edges, num_graphs):
    """`graphs.pad` in numpy: no TensorFlow op inside a generator's thread."""
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
