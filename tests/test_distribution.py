"""Several replicas and workers train as one does on the same batches."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

from gnf_tf import datasets
from gnf_tf.errors import UserError
from gnf_tf.graphs import GraphsTuple
from gnf_tf.training import distribution
from tests.distributed_runs import run_ppi, run_qm9, run_subgraphs
from tests.ppi_files import write_splits

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORKERS = 2


def free_ports(number):
    """Ports of this machine that nobody listens on."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def cluster(addresses, index):
    return json.dumps(
        {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With the runs of one replica, of two in a process, and of two workers."""
    folder = tmp_path_factory.mktemp("runs")
    write_splits(folder)
    addresses = [f"127.0.0.1:{port}" for port in free_ports(WORKERS)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.distributed_runs", folder]
        + [cluster(addresses, index) for index in range(WORKERS)],
        cwd=ROOT,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        run_qm9(folder / "qm9-none", "none")
        run_ppi(folder / "ppi-none", "none")
        run_subgraphs(folder / "subgraphs-none", "none")
        output, _ = process.communicate(timeout=600)
        assert process.returncode == 0, output
    finally:
        process.terminate()
    return folder


def files(folder):
    """Names of what a run leaves but checkpoints; those of events hold a time and a process."""
    paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return {str(p).split("tfevents")[0] for p in paths if "checkpoints" not in p.parts}


def assert_same_history(one, several, epochs):
    histories = [json.loads((path / "history.json").read_text()) for path in (one, several)]
    assert len(histories[0]) == len(histories[1]) == epochs
    for expected, actual in zip(*histories, strict=True):
        assert expected.keys() == actual.keys() >= {"loss", "val_loss", "gradient_norm"}
        for name, value in expected.items():
            np.testing.assert_allclose(actual[name], value, rtol=1e-5, err_msg=name)


def test_two_workers_train_on_closed_subgraphs_as_one_does_on_the_whole_graph(folder):
    assert_same_history(*(folder / f"subgraphs-{s}" for s in ("none", "multi-worker")), epochs=3)


def test_replicas_of_a_users_own_loop_have_averages_of_their_own(folder):
    """1 % of the batch's mean, 5 and 6, and twice that; their mean is what others read."""
    found = np.load(folder / "moving.npz")
    expected = 0.01 * np.array([[5.0, 6.0], [10.0, 12.0]])
    np.testing.assert_allclose(found["of_each"], expected, rtol=1e-5)
    np.testing.assert_allclose(found["read"], expected.mean(axis=0), rtol=1e-5)
    # Replicas ask about the same features, in one graph or in eager mode.
    for of_one, of_other in found["outputs"]:
        np.testing.assert_allclose(of_one, found["outputs"][0][0])
        np.testing.assert_allclose(of_other, found["outputs"][0][1])
        assert np.abs(of_one - of_other).max() > 0.04


@pytest.mark.parametrize(
    "run, strategy",
    [("qm9-{}", "mirrored"), ("ppi-{}/seed0", "multi-worker")],
)
def test_trains_as_one_replica_does(folder, run, strategy):
    """The same loss, gradient, scores and results, though the replicas' parts differ in size."""
    one, several = folder / run.format("none"), folder / run.format(strategy)
    assert_same_history(one, several, epochs=2)
    results = [json.loads((path / "results.json").read_text()) for path in (one, several)]
    if "rows" in results[0]:
        errors = [[row["mae"] for row in result["rows"]] for result in results]
        np.testing.assert_allclose(errors[1], errors[0], rtol=1e-5)
    else:
        for name in ("test_f1", "validation_f1"):
            np.testing.assert_allclose(results[1][name], results[0][name], rtol=1e-6)


def test_the_chief_alone_writes_the_run_folder(folder):
    assert files(folder / "ppi-multi-worker") == files(folder / "ppi-none")
    assert list((folder / "ppi-multi-worker").glob("**/checkpoints"))
    for index in range(WORKERS):
        assert not list((folder / f"temporary{index}").glob("**/checkpoints"))
    # Each opens one for each process: cut off and resumed.
    events = list((folder / "ppi-multi-worker" / "seed0" / "train").glob("*tfevents*"))
    once = list((folder / "ppi-none" / "seed0" / "train").glob("*tfevents*"))
    assert len(events) == len(once) + 1


def test_what_cannot_be_distributed_says_why(folder):
    uneven = (folder / "uneven.txt").read_text()
    assert "`batch_size` must be a multiple of the 2 replicas" in uneven and "got 15" in uneven
    for index in range(WORKERS):
        assert "different options" in (folder / f"different{index}.txt").read_text()
        assert not (folder / f"different{index}").exists()


@pytest.mark.parametrize(
    "config, message",
    [
        (None, "needs TF_CONFIG in the environment, such as {"),
        ("worker", "got worker .JSONDecodeError"),
        ("{}", "KeyError: 'cluster'"),
        (cluster(["host0:5000", "host1"], 0), "with the address host:port of each worker"),
        (cluster(["host0:5000", "host1:5000"], 2), "with an index from 0 to 1"),
        (
            '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "ps", "index": 0}}',
            "with workers alone",
        ),
    ],
)
def test_a_wrong_tf_config_is_named(config, message, monkeypatch, tmp_path):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if config is not None:
        monkeypatch.setenv("TF_CONFIG", config)
    joined = distribution.joined("multi-worker", tmp_path / "run", batch_size=4, values={})
    with pytest.raises(UserError, match=message), joined:
        pass
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("padded", [True, False])
def test_the_parts_of_a_batch_hold_its_graphs(folder, padded):
    """Each graph once, in parts of one static shape where that is asked for; one has none."""
    train = datasets.ppi("train", data_dir=folder)
    options = {"padded": padded, "seed": 3, "first_epoch": 1}
    whole = list(datasets.node_batches(train, 2, **options))
    stream = datasets.node_batches(train, 2, parts=(0, 1), num_parts=2, **options)
    parts = list(stream)
    second = list(datasets.node_batches(train, 2, parts=(1,), num_parts=2, **options))
    assert len(parts) == len(stream) == 2 * len(whole) and len(second) == len(whole)
    shapes = set()
    for i, (_, labels, weights) in enumerate(whole):
        members = parts[2 * i : 2 * i + 2]
        joined = np.concatenate([part[1][part[2] > 0] for part in members])
        np.testing.assert_array_equal(np.sort(joined, axis=0), np.sort(labels[weights > 0], axis=0))
        np.testing.assert_array_equal(members[1][0]["nodes"], second[i][0]["nodes"])
        for inputs, _, real in members:
            graph = GraphsTuple(**inputs)
            assert int(np.sum(graph.n_node)) == len(graph.nodes) == len(real)
            assert int(np.sum(graph.n_edge)) == len(graph.senders)
            shapes.add(tuple(graph.nodes.shape))
    assert min(part[2].numpy().sum() for part in parts) == 0
    assert len(shapes) == 1 if padded else len(shapes) > 1


@pytest.mark.parametrize("parts", [(), (2,), (-1,)])
def test_parts_that_there_are_not(folder, parts):
    train = datasets.ppi("train", data_dir=folder)
    with pytest.raises(ValueError, match="`parts` must be some of the 2 parts"):
        datasets.node_batches(train, 2, padded=False, parts=parts, num_parts=2)
