"""PPI's loader, on files of the release's format."""

import zipfile

import networkx as nx
import numpy as np
import pytest
import tensorflow as tf

from gnf_tf import datasets, graphs
from tests.ppi_files import LINKS, write


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


def as_networkx(name_of, order=range(5)):
    """The links of `ppi_files` between nodes of these names, listed in this order."""
    graph = nx.DiGraph()
    graph.add_nodes_from(name_of(row) for row in order)
    graph.add_edges_from((name_of(a), name_of(b)) for a, b in LINKS)
    return graph


@pytest.mark.parametrize("key", ["links", "edges"])
@pytest.mark.parametrize(
    "graph",
    [
        as_networkx(int),
        as_networkx(
            int, order=[3, 0, 4, 1, 2]
        ),  # ids that are the numbers of rows, wherever listed
        as_networkx(lambda row: row + 1),
        as_networkx(lambda row: f"P{9 - row}"),
        as_networkx(lambda row: ("protein", row)),
        nx.MultiDiGraph(as_networkx(int)),
        as_networkx(int).to_undirected(),
    ],
)
def test_what_networkx_writes_with_either_name_of_the_links(graph, key, tmp_path):
    write(tmp_path)
    expected = datasets.ppi("train", data_dir=tmp_path)
    write(tmp_path, graph=nx.node_link_data(graph, edges=key))
    found = datasets.ppi("train", data_dir=tmp_path)
    for field in ("n_node", "n_edge", "edges", "features", "labels"):
        np.testing.assert_array_equal(getattr(found, field), getattr(expected, field))


def test_nodes_without_ids_are_the_rows(tmp_path):
    write(tmp_path)
    expected = datasets.ppi("train", data_dir=tmp_path)
    data = nx.node_link_data(as_networkx(int)) | {"nodes": [{}] * 5}
    write(tmp_path, graph=data)
    np.testing.assert_array_equal(datasets.ppi("train", data_dir=tmp_path).edges, expected.edges)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint64, np.float64])
def test_whole_numbers_of_any_type(dtype, tmp_path):
    arrays = write(tmp_path)
    expected = datasets.ppi("train", data_dir=tmp_path)
    write(tmp_path, **{name: arrays[name].astype(dtype) for name in ("graph_id", "labels")})
    found = datasets.ppi("train", data_dir=tmp_path)
    np.testing.assert_array_equal(found.n_node, expected.n_node)
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_array_equal(found.edges, expected.edges)


def test_a_folder_in_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path)
    assert len(datasets.ppi("train", data_dir="~")) == 2


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
        ({"links": [(0, -1)]}, "links of nodes that they don't have, as -1"),
        ({"links": [(0, 1.5)]}, "links of nodes that they don't have, as 1.5"),
        ({"links": [("0", 2)]}, "links of nodes that they don't have, as '0'"),
        ({"links": [(0, {})]}, "train_graph.json of .* is damaged"),
        ({"links": [(0, 10**30)]}, "links of nodes that they don't have, as 10000"),
        ({"graph": []}, "train_graph.json of .* is damaged"),
        ({"graph": {"nodes": [{}] * 5}}, "train_graph.json of .* is damaged"),
        ({"graph": {"nodes": [{}] * 4, "links": []}}, "has 4 nodes, .* expected 5"),
        ({"graph": {"nodes": [{"id": 7}] * 5, "edges": []}}, "5 nodes, 1 of them different"),
        ({"graph": {"nodes": 5, "edges": []}}, "train_graph.json of .* is damaged"),
        ({"feats": np.full([5, 50], "a")}, "feats that are no finite numbers"),
        ({"feats": np.full([5, 50], 1e39)}, "feats that are no finite numbers"),
        ({"feats": np.full([5, 50], None)}, "train_feats.npy of .* is damaged"),
        ({"labels": np.full([5, 121], np.nan)}, "labels that are no zeros and ones"),
        ({"labels": np.full([5, 121], 2)}, "labels that are no zeros and ones"),
        ({"labels": np.full([5, 121], "1")}, "labels that are no zeros and ones"),
        ({"graph_id": np.array([7, 5, 7, 5, np.nan])}, "graph_id that are no whole numbers"),
        ({"graph_id": np.array([7, 5, 7, 5, 6.5])}, "graph_id that are no whole numbers"),
        ({"graph_id": np.array(list("ababa"))}, "graph_id that are no whole numbers"),
        ({"graph_id": np.zeros(0)}, r"no nodes: graph_id has shape \(0,\)$"),
        ({"graph_id": np.array(7)}, r"no nodes: graph_id has shape \(\)$"),
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
