"""The runs that tests/test_distribution.py compares with those of one replica.

    python -m tests.distributed_runs FOLDER TF_CONFIG...

One process has two virtual CPUs, which are mirrored, and one is a worker for each TF_CONFIG. All
are forks of one, so that TensorFlow is imported once; it starts its threads only when it is used.
FOLDER has the files of PPI.
"""

import json
import multiprocessing
import os
import pathlib
import signal
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import networkx as nx
import numpy as np
import tensorflow as tf

import gnf_tf
from gnf_tf import datasets, graphs, models, training
from gnf_tf.errors import UserError
from gnf_tf.options import OptionError
from gnf_tf.training import distribution
from gnf_tf.training.state import TrainingState
from trainers import ppi, qm9

# Batches of 14, 13 and 13 molecules, so that the replicas' parts differ.
MOLECULES = (
    "--target alpha --train-size 40 --validation-size 23 --test-size 16 --epochs 2 --num-steps 1 "
    "--node-size 8 --num-vectors 0 --message-size 8 --num-basis 6 --l2 1e-3"
).split()
# Batches of two networks and of one: of these a replica has no node at all.
NETWORKS = (
    "--epochs 2 --batch-size 2 --num-steps 1 --node-size 6 --message-size 5 --l2 1e-3 "
    "--ema-decay 0.9 --learning-rate 1e-2"
).split()


class StopError(Exception):
    """The run is cut off."""


def run_qm9(
    folder: pathlib.Path,
    strategy: str,
    execution: str = "function",
    batch_size: int = 16,
    patience: int = 20,
) -> None:
    """Trains on molecules."""
    words = ["--execution", execution, "--batch-size", batch_size, "--patience", patience]
    _run(qm9, folder, strategy, *MOLECULES, *words)


def run_ppi(folder: pathlib.Path, strategy: str, checkpoint_minutes: float = 5.0) -> None:
    """Trains on networks."""
    words = ["--data-dir", folder.parent, "--checkpoint-minutes", checkpoint_minutes]
    _run(ppi, folder, strategy, *NETWORKS, *words)


def components() -> datasets.LabeledGraph:
    """A graph of components of one size, so that subgraphs cut no edge."""
    rng, grids = np.random.default_rng(0), nx.disjoint_union_all([nx.grid_2d_graph(3, 4)] * 4)
    features, classes = rng.normal(size=[len(grids), 4]), rng.integers(3, size=len(grids))
    return datasets.node_graph(features, np.array(grids.edges).T, classes)


def run_subgraphs(folder: pathlib.Path, strategy: str) -> None:
    """Trains on subgraphs of `components`, each step on all; without a strategy, on the whole."""
    network = components()
    settings = {"epochs": 3, "l2": 1e-3, "learning_rate": 1e-2, "batch_size": 2}
    sets: tuple = (network, network)
    if strategy == "none":
        settings["steps_per_epoch"] = 1
    else:
        sets = tuple(datasets.subgraphs(network, 2, marked=m) for m in ("train", "validation"))
    with distribution.joined(strategy, folder, batch_size=2, values={}) as own:
        training.set_seed(0)
        config = models.ClassifierConfig(num_steps=2, node_size=6)
        model = models.NodeClassifier.for_data(network, config)
        training.fit(model, *sets, folder=own, **settings)


def _run(module, folder, strategy, *words):
    before = sys.argv
    sys.argv = ["trainer", *map(str, words), "--run-dir", str(folder), "--strategy", strategy]
    try:
        module.main()
    finally:
        sys.argv = before


def cut_off(step: int) -> None:
    """Training ends with StopError after that many steps."""
    on_train_batch_end = TrainingState.on_train_batch_end

    def stopping(self, batch, logs=None):
        on_train_batch_end(self, batch, logs)
        if self.model.optimizer.iterations.numpy() == step:
            TrainingState.on_train_batch_end = on_train_batch_end
            raise StopError

    TrainingState.on_train_batch_end = stopping


def refused(folder: pathlib.Path, name: str, strategy: str, **changes) -> None:
    """Writes the error of a run that must not start."""
    try:
        run_qm9(folder / name, strategy, **changes)
    except (UserError, OptionError) as error:
        (folder / f"{name}.txt").write_text(str(error))


def moving_averages(folder: pathlib.Path) -> None:
    """Writes those of a user's own loop: of each replica, and what is read outside."""
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        norm = gnf_tf.GraphBatchNorm(2)
    graph = graphs.edgeless([6], 2).replace(nodes=tf.reshape(tf.range(12.0), [6, 2]))

    def scaled():
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        return graph.replace(nodes=graph.nodes * (1.0 + tf.cast(number, tf.float32)))

    @tf.function
    def train():
        strategy.run(lambda: norm.forward(scaled(), is_training=True))
        return [strategy.run(lambda: norm.forward(graph).nodes) for _ in range(4)]

    outputs = [*train(), strategy.run(lambda: norm.forward(graph).nodes)]
    outputs = [strategy.experimental_local_results(output) for output in outputs]
    of_each = strategy.experimental_local_results(norm.moving_mean)
    np.savez(folder / "moving.npz", of_each=of_each, read=norm.moving_mean.numpy(), outputs=outputs)


def mirrored(folder: pathlib.Path) -> None:
    """Molecules, with XLA."""
    devices = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
    moving_averages(folder)
    refused(folder, "uneven", "mirrored", batch_size=15)
    run_qm9(folder / "qm9-mirrored", "mirrored", execution="xla")


def multi_worker(folder: pathlib.Path, tf_config: str) -> None:
    """Networks, cut off in the second epoch and resumed."""
    index = json.loads(tf_config)["task"]["index"]
    os.environ["TF_CONFIG"] = tf_config
    tempfile.tempdir = str(folder / f"temporary{index}")
    pathlib.Path(tempfile.tempdir).mkdir()
    refused(folder, f"different{index}", "multi-worker", patience=5 + index)
    cut_off(3)
    try:
        run_ppi(folder / "ppi-multi-worker", "multi-worker", checkpoint_minutes=0.0)
    except StopError:
        if index == 0:  # the chief may write for longer than the others
            time.sleep(1.0)
            (folder / "ppi-multi-worker" / "seed0" / "checkpoints" / "late").touch()
        run_ppi(folder / "ppi-multi-worker", "multi-worker")
    run_subgraphs(folder / "subgraphs-multi-worker", "multi-worker")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends its daemons
    folder, *configs = sys.argv[1:]
    folder = pathlib.Path(folder)
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=mirrored, args=(folder,), daemon=True)]
    processes += [
        fork.Process(target=multi_worker, args=(folder, config), daemon=True) for config in configs
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    sys.exit(any(process.exitcode for process in processes))
