"""Training on several devices or machines, by TensorFlow's distribution strategies.

A replica is a copy of the model on one device; a worker is a process with one or more replicas.
Each replica computes on a part of each batch, so `batch_size` counts the graphs of all replicas
together, and a training step is that of a single replica on the whole batch.
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
    "all_reduced",
    "any_worker",
    "assign",
    "distribute",
    "is_multi_worker",
    "joined",
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
    """Returns a context in which models are made on all replicas.

    Args:
      name: "none": a single replica; "mirrored": one replica for each GPU of this machine;
        "multi-worker": one replica for each GPU of several machines, each with its own TF_CONFIG in
        the environment.
      folder: the run folder.
      batch_size: number of graphs in a training step, of all replicas together.
      values: configuration of the run, by name, which must be equal for all workers.

    Yields:
      The run folder of this process. A worker that is not the chief gets a temporary copy: saving
      involves all workers, and only the chief may write the files.

    Raises:
      OptionError: if `batch_size` is not a multiple of the number of replicas.
      UserError: if TF_CONFIG is wrong, or the workers have different values or run folders.
    """
    if name == "none":
        yield folder
        return
    strategy = _strategy(name)
    num_replicas = strategy.num_replicas_in_sync
    if batch_size % num_replicas:
        rule = f"a multiple of the {num_replicas} replicas, which get equal parts of a batch"
        raise options.OptionError("batch_size", rule, batch_size)
    with strategy.scope(), contextlib.ExitStack() as stack:
        if is_multi_worker():
            _check_same(folder, values)
        if not _is_chief(strategy):
            copy = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory())) / "run"
            if folder.exists():
                leave_out = shutil.ignore_patterns("events.*", "*.partial", "*.png")
                shutil.copytree(folder, copy, ignore=leave_out)
            folder = copy
        yield folder
        any_worker(False)  # a barrier: no worker leaves while others still need it


@functools.cache  # two strategies in a process would mix up their collective operations
def _strategy(name):
    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    workers, index = _cluster()
    print(f"worker {index} of {len(workers)}: joining {', '.join(workers)}", flush=True)
    return tf.distribute.MultiWorkerMirroredStrategy()


def _cluster():
    """Returns the addresses of all workers and the index of this one, from TF_CONFIG."""
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
    """Returns whether several processes train together."""
    return isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy)


def _is_chief(strategy):
    resolver = strategy.cluster_resolver
    return resolver is None or not resolver.task_id


def _check_same(folder, values):
    any_worker(False)  # a barrier: all files of an interrupted run have been written
    files = sorted(path.name for path in folder.glob("**/checkpoints/*"))
    digest = tf.constant([zlib.crc32(repr((values, files)).encode())], tf.int64)
    digests = tf.distribute.get_strategy().gather(digest, axis=0)
    if len(set(digests.numpy())) > 1:
        raise UserError(
            "the workers were started with different options, or the run folder is not the same "
            f"for all of them, {folder}"
        )


def any_worker(flag: bool) -> bool:
    """Returns whether `flag` is true on any worker; all workers must call this together."""
    if not is_multi_worker():
        return flag
    return bool(_total(tf.constant(float(flag))) > 0.0)


@tf.function(autograph=False)
def _total(value):
    strategy = tf.distribute.get_strategy()
    return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(lambda: value), axis=None)


def distribute(
    make_stream: Callable[..., tf.data.Dataset],
    *arguments: Any,
    skip: int = 0,
    finish: Callable[[tf.data.Dataset], tf.data.Dataset] = lambda stream: stream,
    **options: Any,
) -> tf.data.Dataset | tf.distribute.DistributedDataset:
    """Returns a stream of batches, each divided into parts for the replicas.

    Args:
      make_stream: a function such as `datasets.batches`, which is called with `arguments`,
        `options`, and `parts` and `num_parts`, the parts of each batch to return.
      *arguments: arguments of `make_stream`.
      skip: number of batches of the first epoch to skip.
      finish: applied last, to the stream of a worker.
      **options: options of `make_stream`.
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
        # Keras iterates once over a distributed stream, for all epochs.
        return finish(stream.repeat() if tf.distribute.has_strategy() else stream)

    return tf.distribute.get_strategy().distribute_datasets_from_function(of_worker)


def all_reduced(gradient: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """Returns the gradient of the mean over the whole batch, the same on all replicas.

    For mean losses L_r of the parts on replicas r, each over w_r graphs (or nodes), this is

        g = sum_r s_r grad L_r,    s_r = w_r / sum_q w_q

    Args:
      gradient: grad L_r on this replica, a vector.
      weight: w_r, a scalar.
    """
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return gradient
    share = weight / context.all_reduce(tf.distribute.ReduceOp.SUM, weight)
    return context.all_reduce(tf.distribute.ReduceOp.SUM, share * gradient)


def assign(variables: Sequence[tf.Variable], values: Sequence[tf.Tensor]) -> None:
    """Assigns values, which must be the same on all replicas, to variables."""

    def assigned(strategy, values):
        for variable, value in zip(variables, values, strict=True):
            strategy.extended.update(variable, lambda one, new: one.assign(new), args=(value,))

    if tf.distribute.in_cross_replica_context():
        assigned(tf.distribute.get_strategy(), values)
    else:
        tf.distribute.get_replica_context().merge_call(assigned, args=(values,))


def seed_of_replica(seed: tf.Tensor) -> tf.Tensor:
    """Returns a different seed, int32 [2], for each replica; with one replica, `seed` itself."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return seed
    return tf.random.fold_in(seed, context.replica_id_in_sync_group)
