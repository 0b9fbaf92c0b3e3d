"""Training on several devices or machines: what each of them reads, sums up and writes.

A replica is a copy of the model on a device of its own; a worker is a process, with one replica or
several. Everything that runs on replicas gets a part of each batch, so that `batch_size` is that
of all replicas together, and a step is the one that a single replica would take.
"""

import contextlib
import functools
import json
import os
import pathlib
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import tensorflow as tf

from gnf_tf import options
from gnf_tf.errors import UserError

__all__ = [
    "StrategyName",
    "any_worker",
    "dealt",
    "is_multi_worker",
    "joined",
    "merged",
    "seed_of_replica",
]

StrategyName = Literal["none", "mirrored", "multi-worker"]

EXAMPLE = (
    '{"cluster": {"worker": ["host0:5000", "host1:5000"]}, "task": {"type": "worker", "index": 0}}'
)


@contextlib.contextmanager
def joined(
    name: StrategyName, folder: pathlib.Path, *, batch_size: int, values: Mapping[str, Any]
) -> Iterator[pathlib.Path]:
    """Within it, models are made on all replicas.

    Args:
      name: "none"; "mirrored": all GPUs of the machine; "multi-worker": those of several machines,
        each with its TF_CONFIG in the environment.
      folder: the run folder.
      batch_size: graphs a step, of all replicas together.
      values: what is computed, which must be the same for all workers.

    Yields:
      The run folder of this process. A worker that is not the chief works on a copy, deleted in
      the end: saving takes all workers, and only one may write a file.

    Raises:
      OptionError: for a batch that can't be dealt out evenly.
      UserError: for a wrong TF_CONFIG, or workers that were started with different values or see
        different run folders.
    """
    if name == "none":
        yield folder
        return
    strategy = _strategy(name)
    num_replicas = strategy.num_replicas_in_sync
    if batch_size % num_replicas:
        rule = f"a multiple of the {num_replicas} replicas, among which each batch is dealt out"
        raise options.OptionError("batch_size", rule, batch_size)
    with strategy.scope(), contextlib.ExitStack() as stack:
        if is_multi_worker():
            _check_same(folder, values)
        if not _is_chief(strategy):
            copy = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory())) / "run"
            if folder.exists():
                leave_out = shutil.ignore_patterns("events.*", "*.partial", "*.png", "model.npz")
                shutil.copytree(folder, copy, ignore=leave_out)
            folder = copy
        yield folder
        any_worker(False)  # none leaves while others still need it


@functools.cache  # two in a process would take each other's collective operations for theirs
def _strategy(name):
    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    workers, index = _cluster()
    print(f"worker {index} of {len(workers)}: joining {', '.join(workers)}", flush=True)
    return tf.distribute.MultiWorkerMirroredStrategy()


def _cluster():
    """(addresses of all workers, index of this one) by TF_CONFIG."""
    text = os.environ.get("TF_CONFIG")
    rule = f"training on several machines needs TF_CONFIG in the environment, such as {EXAMPLE}"
    if not text:
        raise UserError(rule)
    try:
        found = json.loads(text)
        workers, task = found["cluster"]["worker"], found["task"]
        kind, index = task["type"], int(task["index"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{rule}; got {text} ({type(error).__name__}: {error})") from error
    if set(found["cluster"]) != {"worker"} or kind != "worker":
        raise UserError(f"{rule}, with workers alone; got {text}")
    if not isinstance(workers, list) or not all(_is_address(worker) for worker in workers):
        raise UserError(f"{rule}, with the address host:port of each worker; got {text}")
    if not 0 <= index < len(workers):
        raise UserError(f"{rule}, with an index from 0 to {len(workers) - 1}; got {text}")
    return workers, index


def _is_address(text):
    host, _, port = str(text).rpartition(":")
    return bool(host) and port.isdigit() and 0 < int(port) < 2**16


def is_multi_worker() -> bool:
    """Whether several processes train together."""
    return isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy)


def _is_chief(strategy):
    resolver = strategy.cluster_resolver
    return resolver is None or not resolver.task_id


def _check_same(folder, values):
    any_worker(False)  # what the chief of a run just cut off still writes is there from here on
    files = sorted(path.name for path in folder.glob("**/checkpoints/*"))
    digest = tf.constant([zlib.crc32(repr((values, files)).encode())], tf.int64)
    digests = tf.distribute.get_strategy().gather(digest, axis=0)
    if len(set(digests.numpy())) > 1:
        raise UserError(
            f"the workers were started with different options, or the run folder, {folder}, is not "
            "the same for all of them"
        )


def any_worker(flag: bool) -> bool:
    """Whether any worker says so; all of them have to ask. With one process, what it says."""
    if not is_multi_worker():
        return flag
    return bool(_total(tf.constant(float(flag))) > 0.0)


@tf.function(autograph=False)
def _total(value):
    strategy = tf.distribute.get_strategy()
    return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(lambda: value), axis=None)


def dealt(
    make_stream: Callable[..., tf.data.Dataset],
    *arguments: Any,
    skip: int = 0,
    **options: Any,
) -> tf.data.Dataset | tf.distribute.DistributedDataset:
    """A stream of batches, each of which is dealt out to the replicas.

    Args:
      make_stream: such as `datasets.batches`; called with the rest, and with `parts`, `num_parts`.
      *arguments: for it.
      skip: batches of the first epoch to leave out.
      **options: for it.
    """

    def of_worker(context):
        here = context.num_replicas_in_sync // context.num_input_pipelines
        first = here * context.input_pipeline_id
        stream = make_stream(
            *arguments,
            parts=range(first, first + here),
            num_parts=context.num_replicas_in_sync,
            **options,
        ).skip(here * skip)
        # Keras goes on reading what a strategy distributes, epoch after epoch.
        return stream.repeat() if tf.distribute.has_strategy() else stream

    return tf.distribute.get_strategy().distribute_datasets_from_function(of_worker)


def merged(gradients: Sequence[tf.Tensor], weight: tf.Tensor) -> list[tf.Tensor]:
    """Gradients of the mean over a batch, from those of the mean over this replica's part.

    Args:
      gradients: of the part.
      weight: scalar, how much is averaged in this part.
    """
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return list(gradients)
    share = weight / context.all_reduce(tf.distribute.ReduceOp.SUM, weight)
    weighted = [share * gradient for gradient in gradients]
    return context.all_reduce(tf.distribute.ReduceOp.SUM, weighted)


def seed_of_replica(seed: tf.Tensor) -> tf.Tensor:
    """Another seed for each replica, where there are several: their nodes are not the same."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return seed
    return tf.random.fold_in(seed, context.replica_id_in_sync_group)
