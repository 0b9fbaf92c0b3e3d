"""Batches of graphs of similar size, for dense blocks [num_graphs, num_nodes] with little padding.

`plan_batches` mixes sizes, which wastes nothing where graphs lie end to end; in a block every graph
takes the room of the largest.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from gnf_tf import seeds

__all__ = ["BlockBatch", "padding_waste", "plan_buckets"]


Room = Literal["nodes", "pairs"]
_POWER = {"nodes": 1, "pairs": 2}


class BlockBatch(NamedTuple):
    """The graphs of a batch and the shape of the block that they go into.

    rows: of the graphs, at most `num_graphs` of them.
    num_graphs: room for graphs.
    num_nodes: room for nodes of each graph.
    """

    rows: np.ndarray
    num_graphs: int
    num_nodes: int


def plan_buckets(
    sizes: Sequence[int] | np.ndarray,
    batch_size: int,
    *,
    max_waste: float = 0.15,
    room: Room = "nodes",
    seed: int | None = None,
    epoch: int = 0,
) -> list[BlockBatch]:
    """Batches of one epoch: every graph once, each batch from one range of sizes.

    The ranges are as few as keep `padding_waste` at `max_waste` or less, and placed so that it is
    least. All batches of a range have one shape of block, the same in every epoch, so that XLA
    compiles once for each range. Graphs that share a block are redrawn each epoch, but sizes stay
    in their range: a batch is no like mix of all sizes.

    Args:
      sizes: [num_graphs], the number of nodes of each graph.
      batch_size: most graphs a batch; those of a range are dealt out evenly.
      max_waste: share of the room that may stay empty; if no ranges do with so little, as when
        there are few graphs, those that waste least are taken.
      room: for "nodes", num_graphs * num_nodes of a block, or for "pairs" of nodes, num_graphs
        * num_nodes^2, which is what attention works on. "pairs" needs more ranges.
      seed: shuffles, differently in each epoch; None: no shuffling.
      epoch: which epoch's order.

    Raises:
      ValueError: if `sizes` is empty or has a number below 1, `batch_size` is below 1,
        `max_waste` is not in [0, 1), or `room` is unknown.
    """
    sizes = np.asarray(sizes)
    if sizes.ndim != 1 or not sizes.size or (sizes < 1).any():
        raise ValueError(f"`sizes` must be a list of numbers of at least 1, got {sizes}")
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1, got {batch_size}")
    if not 0 <= max_waste < 1:
        raise ValueError(f"`max_waste` must be in [0, 1), got {max_waste}")
    _check_room(room)
    rng = None if seed is None else seeds.generator(seed, epoch)
    plan = []
    largest = _ranges(sizes, batch_size, max_waste, _POWER[room])
    bucket_of_graph = np.searchsorted(largest, sizes)
    for bucket, num_nodes in enumerate(largest.tolist()):
        rows = np.flatnonzero(bucket_of_graph == bucket)
        if rng is not None:
            rows = rng.permutation(rows)
        num_batches = -(-len(rows) // batch_size)
        most = -(-len(rows) // num_batches)
        plan += [BlockBatch(rows[i::num_batches], most, num_nodes) for i in range(num_batches)]
    if rng is not None:
        plan = [plan[i] for i in rng.permutation(len(plan))]
    return plan


def padding_waste(
    plan: Sequence[BlockBatch], sizes: Sequence[int], *, room: Room = "nodes"
) -> float:
    """The share of the blocks' room for nodes, or for pairs of nodes, that stays empty.

    Raises:
      ValueError: if `room` is unknown.
    """
    _check_room(room)
    power = _POWER[room]
    total = sum(batch.num_graphs * batch.num_nodes**power for batch in plan)
    return 1.0 - sum((np.asarray(sizes)[batch.rows] ** power).sum() for batch in plan) / total


def _check_room(room):
    if room not in _POWER:
        raise ValueError(f"`room` must be 'nodes' or 'pairs', got {room!r}")


def _ranges(sizes, batch_size, max_waste, power):
    """The largest size of each range, ascending."""
    values, counts = np.unique(sizes, return_counts=True)
    before = np.concatenate([[0], np.cumsum(counts)])  # graphs smaller than each value
    # room[i, j]: of a range from values[i] to values[j], if i <= j.
    members = before[np.newaxis, 1:] - before[:-1, np.newaxis]
    num_batches = -(-members // batch_size)
    slots = num_batches * -(-members // np.maximum(num_batches, 1))
    room = slots * values.astype(float) ** power
    room[np.tril_indices(len(values), -1)] = np.inf

    # least[j]: room for all sizes up to values[j] in so many ranges; first: where the last begins.
    least, firsts = room[0], [np.zeros(len(values), int)]
    best, best_count = least[-1], 1
    needed = (sizes.astype(float) ** power).sum()
    while best * (1 - max_waste) > needed and len(firsts) < len(values):
        total = room + np.concatenate([[np.inf], least[:-1]])[:, np.newaxis]
        firsts.append(total.argmin(axis=0))
        least = total.min(axis=0)
        if least[-1] < best:
            best, best_count = least[-1], len(firsts)

    largest, last = [], len(values) - 1
    for first in reversed(firsts[:best_count]):
        largest.append(values[last])
        last = first[last] - 1
    return np.array(largest[::-1])
