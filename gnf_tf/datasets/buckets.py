"""Batches of graphs of similar size, for dense blocks [num_graphs, num_nodes] with little padding.

`plan_batches` mixes sizes, which costs no padding in a GraphsTuple, where graphs are concatenated.
In a dense block (`graphs.Blocks`), each graph is padded to the size of the largest graph.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from gnf_tf import seeds

__all__ = ["BlockBatch", "padding_waste", "plan_buckets"]


Room = Literal["nodes", "pairs"]
_POWER = {"nodes": 1, "pairs": 2}


class BlockBatch(NamedTuple):
    """The graphs of a batch, and the shape [num_graphs, num_nodes] of the block that holds them.

    Attributes:
      rows: the row numbers of the graphs, at most `num_graphs` of them.
      num_graphs: the number of graphs that fit into the block.
      num_nodes: the number of nodes of each graph that fit into the block.
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
    """The batches of one epoch, in which every graph occurs once, each with one range of sizes.

    The sizes are split into the smallest number of ranges for which `padding_waste` is at most
    `max_waste`, and the bounds of the ranges minimize it. All batches of a range have the same
    block shape in every epoch, so that XLA compiles once for each range. Use this for networks
    that work on all pairs of nodes in a block, and `plan_batches` otherwise: a batch of similar
    sizes is not a random sample of the data.

    >>> [(batch.rows.tolist(), batch.num_nodes) for batch in plan_buckets([2, 9, 2, 8], 2)]
    [([0, 2], 2), ([1, 3], 9)]

    Args:
      sizes: [num_graphs], the number of nodes of each graph.
      batch_size: the largest number of graphs in a batch; the graphs of a range are divided evenly
        among its batches.
      max_waste: the largest share of the blocks that may be padding. If no ranges reach it, for
        example because there are few graphs, the ranges with the least padding are used.
      room: what is counted: "nodes", of which a block has num_graphs * num_nodes, or "pairs" of
        nodes, of which it has num_graphs * num_nodes^2.
      seed: seed of the shuffle, which differs between epochs; None for no shuffle.
      epoch: number of the epoch, from 0.

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
    """The share of the nodes, or of the pairs of nodes, of all blocks that is padding, in [0, 1).

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
    # room[i, j]: the room of a range of sizes from values[i] to values[j], infinite if i > j.
    members = before[np.newaxis, 1:] - before[:-1, np.newaxis]
    num_batches = -(-members // batch_size)
    slots = num_batches * -(-members // np.maximum(num_batches, 1))
    room = slots * values.astype(float) ** power
    room[np.tril_indices(len(values), -1)] = np.inf

    # Dynamic programming over the number of ranges k. least[j]: the least room of the sizes up to
    # values[j] in k ranges. firsts[k - 1][j]: the index of the smallest size in the last of them.
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
