"""PPI's loader, on files of the release's format."""

import zipfile

import numpy as np
import pytest
import tensorflow as tf

from gnf_tf import datasets, graphs
from tests.ppi_files import write


def test_networks_are_told_apart(tmp_path):
    arrays = write(tmp_path)
    networks = datasets.ppi("train", data_dir=tmp_path)
    assert len(networks) == 2
    np.testing.assert_array_equal(networks.n_node, [2, 3])
    for row, (members, pairs) in enumerate(
        [([1, 3], {(0, 1), (1, 0)}), ([0, 2, 4], {(0, 1), (1, 0), (2, 1), (1, 2)})]
    ):
        graph, labels = networks.graph(row)
        graphs.validate(tf.nest.map_structure(tf.constant, graph), node_size=50, check_values=True)
        np.testing.assert_array_equal(graph.nodes, arrays["feats"][members].astype(np.float32))
        np.testing.assert_array_equal(labels, arrays["labels"][members] == 1)
        found = list(zip(graph.senders.tolist(), graph.receivers.tolist(), strict=True))
        assert set(found) == pairs and len(found) == len(pairs)


def test_archive_and_folder_are_the_same(tmp_path):
    for prefix in ("train", "valid", "test"):
        write(tmp_path, prefix)
    (tmp_path / "zipped").mkdir()
    with zipfile.ZipFile(tmp_path / "zipped" / "ppi.zip", "w") as archive:
        for path in tmp_path.glob("*_*"):
            archive.write(path, path.name)
    for split in ("train", "validation", "test"):
        folder, archive = (
            datasets.ppi(split, data_dir=path) for path in (tmp_path, tmp_path / "zipped")
        )
        np.testing.assert_array_equal(folder.features, archive.features)
        np.testing.assert_array_equal(folder.edges, archive.edges)


def test_a_network_without_links_is_kept(tmp_path):
    write(tmp_path, links=[(0, 2)])
    graph, _ = datasets.ppi("train", data_dir=tmp_path).graph(0)
    assert graph.n_node.tolist() == [2] and graph.n_edge.tolist() == [0]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"feats": np.zeros([5, 49])}, r"feats has shape \(5, 49\), expected \(5, 50\)"),
        ({"labels": np.zeros([4, 121])}, r"labels has shape \(4, 121\), expected \(5, 121\)"),
        ({"feats": np.full([5, 50], np.nan)}, "no finite numbers"),
        ({"links": [(0, 5)]}, "links of nodes that they don't have"),
        ({"links": [(0, 1)]}, "links between different networks"),
    ],
)
def test_files_that_disagree_are_refused(changes, message, tmp_path):
    write(tmp_path, **changes)
    with pytest.raises(datasets.DataError, match=message):
        datasets.ppi("train", data_dir=tmp_path)


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(ValueError, match="`split` must be one of .* got 'valid'"):
        datasets.ppi("valid", data_dir=tmp_path)
    with pytest.raises(datasets.DataError, match="train_feats.npy is missing"):
        datasets.ppi("train", data_dir=tmp_path)
    write(tmp_path)
    for name in ("train_feats.npy", "train_graph.json"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(datasets.DataError, match=f"{name} of .* is damaged"):
            datasets.ppi("train", data_dir=tmp_path)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "ppi.zip").write_bytes(b"PK no archive")
    with pytest.raises(datasets.DataError, match="ppi.zip is damaged"):
        datasets.ppi("train", data_dir=tmp_path)


def test_without_the_network_the_way_out_is_named(monkeypatch):
    def unreachable(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr("pooch.retrieve", unreachable)
    with pytest.raises(datasets.DataError, match="no route to host.*`data_dir`"):
        datasets.ppi("train")
