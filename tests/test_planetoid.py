"""The citation networks of the package against their published counts."""

import importlib.resources
import pathlib

import numpy as np
import pytest

from gnf_tf import datasets, graphs
from gnf_tf.datasets import planetoid

# Papers, citations, words, classes, and the sizes of the public split, as published.
COUNTS = {
    "cora": (2708, 5278, 1433, 7, (140, 500, 1000)),
    "citeseer": (3327, 4552, 3703, 6, (120, 500, 1000)),
    "pubmed": (19717, 44324, 500, 3, (60, 500, 1000)),
}


def load(name, *args, **options):
    return getattr(datasets, name)(*args, **options)


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_the_published_ones(name):
    num_nodes, num_edges, num_words, num_classes, split = COUNTS[name]
    network = load(name)
    graph = network.graph
    graphs.validate(graph)
    assert graph.nodes.shape == (num_nodes, num_words) and graph.nodes.dtype == np.float32
    pairs = np.stack([graph.senders, graph.receivers])
    assert pairs.shape == (2, 2 * num_edges)
    assert (pairs[0] != pairs[1]).all(), "self loops"
    keys = set(map(tuple, pairs.T.tolist()))
    assert len(keys) == 2 * num_edges, "repeats"
    assert all((b, a) in keys for a, b in keys)
    assert network.num_classes == num_classes and network.labels.dtype == np.int32
    assert set(np.unique(network.labels)) - {-1} == set(range(num_classes))
    parts = (network.train, network.validation, network.test)
    assert tuple(part.sum() for part in parts) == split
    assert np.sum(parts, axis=0).max() == 1, "disjoint"
    assert (np.bincount(network.labels[network.train]) == 20).all()
    assert (network.labels[np.any(parts, axis=0)] >= 0).all()


def test_citeseer_has_15_papers_without_words_and_label():
    network = load("citeseer")
    empty = network.labels < 0
    assert empty.sum() == 15
    assert not np.any(network.graph.nodes.numpy()[empty])


@pytest.mark.parametrize("name", COUNTS)
def test_labels_belong_to_the_nodes(name):
    """Neighbors mostly have one label, and words of a class look alike: nothing is out of step."""
    network = load(name)
    senders, receivers = network.graph.senders.numpy(), network.graph.receivers.numpy()
    agree = network.labels[senders] == network.labels[receivers]
    assert agree.mean() > 0.7
    x = network.graph.nodes.numpy()
    means = np.stack(
        [x[network.train & (network.labels == c)].mean(0) for c in range(network.num_classes)]
    )
    # At chance this is 1 / num_classes.
    guess = (x[network.test] @ (means / np.linalg.norm(means, axis=1, keepdims=True)).T).argmax(1)
    assert (guess == network.labels[network.test]).mean() > 0.5


def test_features_are_normalized_by_row_or_as_in_the_source():
    sums = load("cora").graph.nodes.numpy().sum(axis=1)
    np.testing.assert_allclose(sums, 1.0, rtol=1e-5)
    raw = load("cora", normalize=False).graph.nodes.numpy()
    assert set(np.unique(raw)) == {0.0, 1.0} and raw.sum() == 49216


def test_one_percent_split_is_random_and_seeded():
    network = load("cora", "one_percent")
    parts = [network.train, network.validation, network.test]
    assert [part.sum() for part in parts] == [27, 1354, 1327]
    assert (np.sum(parts, axis=0) == 1).all()
    np.testing.assert_array_equal(load("cora", "one_percent", seed=0).train, network.train)
    assert (load("cora", "one_percent", seed=1).train != network.train).any()
    citeseer = load("citeseer", "one_percent")
    used = citeseer.train | citeseer.validation | citeseer.test
    np.testing.assert_array_equal(used, citeseer.labels >= 0)


def test_unknown_split():
    with pytest.raises(ValueError, match="`split` must be 'public' or 'one_percent', got 'train'"):
        load("cora", "train")


def test_a_missing_or_damaged_file_is_named(tmp_path, monkeypatch):
    source = importlib.resources.files("gnf_tf.datasets") / "data" / "cora.npz"
    monkeypatch.setattr(planetoid.importlib.resources, "files", lambda _: tmp_path)
    with pytest.raises(datasets.DataError, match="cora.npz is missing"):
        load("cora")
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "cora.npz"
    content = source.read_bytes()
    path.write_bytes(content)
    assert load("cora").num_classes == 7
    for damaged in (content[:-100], content[:5000] + b"?" + content[5001:], b""):
        path.write_bytes(damaged)
        with pytest.raises(datasets.DataError, match="cora.npz is damaged: .* expected ac93fa37"):
            load("cora")


def test_the_files_and_their_licence_are_declared_as_package_data():
    root = pathlib.Path(__file__).resolve().parent.parent
    assert '"gnf_tf.datasets" = ["data/*"]' in (root / "pyproject.toml").read_text()
    license_file = root / "gnf_tf" / "datasets" / "data" / "LICENSE"
    assert "Copyright (c) 2016 Zhilin Yang" in license_file.read_text()
