"""The runs that tests/test_distribution.py compares with those of one replica.

    python -m tests.distributed_runs FOLDER mirrored|multi-worker

Mirrored are two virtual CPUs. FOLDER has the files of PPI.
"""

import dataclasses
import json
import os
import pathlib
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from trainers import common, distribution, ppi, qm9, training

# Batches of 14, 13 and 13 molecules, so that the replicas' parts differ.
MOLECULES = {
    "train_size": 40,
    "validation_size": 23,
    "test_size": 16,
    "epochs": 2,
    "batch_size": 16,
    "num_steps": 1,
    "node_size": 8,
    "message_size": 8,
    "num_basis": 6,
    "l2": 1e-3,
    "jit": False,
}
# Batches of two networks and of one: of these a replica has no node at all.
NETWORKS = {
    "epochs": 2,
    "batch_size": 2,
    "num_steps": 2,
    "node_size": 6,
    "message_size": 5,
    "l2": 1e-3,
    "averaging": 0.9,
    "learning_rate": 1e-2,
}


class StopError(Exception):
    """The run is cut off."""


def run_qm9(folder: pathlib.Path, strategy: str, **changes) -> None:
    """Trains on molecules; what is left out of `changes` is small."""
    values = MOLECULES | {"run_dir": folder, "strategy": strategy} | changes
    options = qm9.resolve(dataclasses.replace(qm9.PRESETS["quick"], **values))
    with distribution.joined(options) as config:
        qm9.train_and_evaluate(config)


def run_ppi(folder: pathlib.Path, strategy: str, **changes) -> None:
    """Trains on networks; what is left out of `changes` is small."""
    values = NETWORKS | {"run_dir": folder, "strategy": strategy, "data_dir": folder.parent}
    options = ppi.resolve(dataclasses.replace(ppi.PRESETS["quick"], **values | changes))
    with distribution.joined(options) as config:
        ppi.train_and_evaluate(config, seed=0)


def cut_off(step: int) -> None:
    """Training ends with StopError after that many steps."""
    on_train_batch_end = training.TrainingState.on_train_batch_end

    def stopping(self, batch, logs=None):
        on_train_batch_end(self, batch, logs)
        if self._model.optimizer.iterations.numpy() == step:
            training.TrainingState.on_train_batch_end = on_train_batch_end
            raise StopError

    training.TrainingState.on_train_batch_end = stopping


def refused(folder: pathlib.Path, name: str, strategy: str, **changes) -> None:
    """Writes the error of a run that must not start."""
    try:
        run_qm9(folder / name, strategy, **changes)
    except common.UserError as error:
        (folder / f"{name}.txt").write_text(str(error))


def mirrored(folder: pathlib.Path) -> None:
    """Both kinds of batches; on molecules, with XLA."""
    devices = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
    refused(folder, "uneven", "mirrored", batch_size=15)
    run_qm9(folder / "qm9-mirrored", "mirrored", jit=True)
    run_ppi(folder / "ppi-mirrored", "mirrored")


def multi_worker(folder: pathlib.Path) -> None:
    """Both kinds of batches; on networks, cut off in the second epoch and resumed."""
    index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
    refused(folder, f"different{index}", "multi-worker", patience=5 + index)
    run_qm9(folder / "qm9-multi-worker", "multi-worker")
    cut_off(3)
    try:
        run_ppi(folder / "ppi-multi-worker", "multi-worker", checkpoint_minutes=0.0)
    except StopError:
        if index == 0:  # the chief may write for longer than the others
            time.sleep(1.0)
            (folder / "ppi-multi-worker" / "seed0" / "checkpoints" / "late").touch()
        run_ppi(folder / "ppi-multi-worker", "multi-worker")


if __name__ == "__main__":
    runs = {"mirrored": mirrored, "multi-worker": multi_worker}[sys.argv[2]]
    common.run(lambda: runs(pathlib.Path(sys.argv[1])))
