"""Graphs in npz files and in TU Dortmund's format, and the error for each damaged file."""

import re
import shutil
import zipfile

import numpy as np
import pytest

from gnf_tf import datasets, graphs


def edges(graph):
    return sorted(graph.edges)


def npz_arrays():
    """A triangle, a graph without edges, a path of four nodes."""
    return {
        "n_nodes": np.array([3, 2, 4], np.int32),
        "n_edges": np.array([3, 0, 3], np.int32),
        "edges": np.array([[0, 0, 1, 0, 1, 2], [1, 2, 2, 1, 2, 3]], np.int32),
        "is_test": np.array([False, True, False]),
        "node_labels": np.arange(9, dtype=np.int16),
        "node_attributes": np.arange(18.0).reshape(9, 2),
        "graph_labels": np.array([1, 2, 1], np.int8),
    }


def save(folder, **changes):
    path = folder / "graphs.npz"
    arrays = npz_arrays() | changes
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    return path


def test_npz_files(tmp_path):
    path = save(tmp_path)
    triangle, empty, line = datasets.read_graphs(path)
    assert edges(triangle) == [(0, 1), (0, 2), (1, 2)]
    assert list(empty) == [0, 1] and not empty.edges
    assert edges(line) == [(0, 1), (1, 2), (2, 3)]
    assert dict(line.nodes(data="label")) == {0: 5, 1: 6, 2: 7, 3: 8}
    np.testing.assert_array_equal(line.nodes[1]["features"], [12.0, 13.0])
    assert [g.graph["label"] for g in (triangle, empty, line)] == [1, 2, 1]
    assert graphs.from_networkx([triangle, line]).nodes.shape == (7, 2)
    train, test = (datasets.read_graphs(path, split) for split in ("train", "test"))
    assert [len(g) for g in train] == [3, 4] and [len(g) for g in test] == [2]
    with pytest.raises(ValueError, match="`split` must be 'train', 'test' or 'all', got 'valid'"):
        datasets.read_graphs(path, "valid")


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"edges": None, "n_edges": None}, "it lacks edges, n_edges"),
        ({"n_nodes": np.zeros(3)}, r"`n_nodes` must be \[G\] whole numbers"),
        ({"n_edges": np.array([3, 0])}, r"`n_edges` has shape \(2,\), expected \(3,\)"),
        ({"edges": np.zeros([2, 5], int)}, r"`edges` has shape \(2, 5\), expected \(2, 6\)"),
        ({"edges": np.full([2, 6], 7)}, "edge 0 joins nodes 7 and 7 of graph 0"),
        ({"edges": npz_arrays()["edges"][::-1]}, "edge 0 joins nodes 1 and 0 .* smaller first"),
        ({"edges": npz_arrays()["edges"] + [[0], [1]]}, "edge 1 joins nodes 0 and 3 of graph 0"),
        ({"edges": npz_arrays()["edges"][:, [0, 0, 1, 3, 4, 5]]}, "graph 0 has an edge twice"),
        ({"is_test": np.zeros(2, bool)}, r"`is_test` has shape \(2,\), expected \(3,\)"),
        ({"node_labels": np.zeros(8)}, r"`node_labels` has shape \(8,\), expected \(9,\)"),
        ({"node_attributes": np.zeros(9)}, r"`node_attributes` has shape \(9,\)"),
        ({"n_nodes": np.array([3, 2, -4])}, r"`n_nodes` must be \[G\] whole numbers from 0 .* -4"),
        ({"n_nodes": np.array([3, 2, 2**40])}, r"`n_nodes` must be \[G\] whole .* 1099511627776"),
        ({"n_nodes": np.array(3)}, r"`n_nodes` has shape \(\), expected \(G,\)"),
        ({"n_edges": np.array([3, 3, -1])}, r"`n_edges` must be \[G\] whole numbers from 0 .* -1"),
        ({"n_edges": np.array([3.0, 0, 3])}, r"`n_edges` must be \[G\] .* got float64"),
        ({"n_edges": np.array(["3", "0", "3"])}, r"`n_edges` must be \[G\] .* got <U1"),
        ({"n_edges": np.array([[3, 0, 3]])}, r"`n_edges` has shape \(1, 3\), expected \(3,\)"),
        ({"n_edges": np.full(3, 2**63, np.uint64)}, "`n_edges` must .* got 9223372036854775808"),
        ({"edges": npz_arrays()["edges"] + 0.0}, "`edges` must be whole numbers, got float64"),
        ({"edges": np.zeros([3, 6], int)}, r"`edges` has shape \(3, 6\), expected \(2, 6\)"),
        ({"edges": npz_arrays()["edges"] - 1}, "edge 0 joins nodes -1 and 0 of graph 0"),
        (
            {"edges": npz_arrays()["edges"].astype(np.uint64) + np.uint64(2**63)},
            "edge 0 joins nodes 9223372036854775808 and 9223372036854775809 of graph 0",
        ),
        (
            {"edges": np.zeros([2, 0]), "n_edges": [1, 0, 0]},
            r"has shape \(2, 0\), expected \(2, 1\)",
        ),
        ({"is_test": np.array(["True", "False", "x"])}, "`is_test` must be True or False, got <U5"),
        ({"is_test": np.array([1, 0, 2])}, "`is_test` must be True or False, got 2"),
        ({"is_test": np.array([1.0, 0.0, 0.5])}, "`is_test` must be True or False, got float64"),
        (
            {"node_labels": np.array(list("abcdefghi"))},
            "`node_labels` must be finite numbers, got <U1",
        ),
        ({"node_attributes": np.full([9, 2], np.nan)}, "`node_attributes` must be finite .* nan"),
        ({"node_attributes": np.ones([9, 2], complex)}, "`node_attributes` must .* complex128"),
        ({"graph_labels": np.array([1.0, np.inf, 0.0])}, "`graph_labels` must be finite .* inf"),
        ({"edge_labels": np.zeros(5)}, r"`edge_labels` has shape \(5,\), expected \(6,\)"),
        ({"graph_attributes": np.zeros(3)}, r"`graph_attributes` has .* expected \(3, 1\)"),
    ],
)
def test_damaged_npz_files(tmp_path, changes, message):
    path = save(tmp_path, **changes)
    with pytest.raises(datasets.DataError, match=rf"graphs.npz is damaged: .*{message}"):
        datasets.read_graphs(path)


@pytest.mark.parametrize(
    "read", [datasets.read_graphs, datasets.read_labeled_graphs, datasets.read_sets]
)
def test_pickled_objects_are_refused_where_they_are_needed(tmp_path, read):
    """They are not loaded, since they could run any program; others in the file do no harm."""
    arrays = npz_arrays() | {"names": np.array(["a", None], object)}
    read(save(tmp_path, **arrays))
    for name in ("n_nodes", "n_edges", "edges", "node_attributes", "node_labels"):
        path = save(tmp_path, **arrays | {name: arrays[name].astype(object)})
        with pytest.raises(datasets.DataError, match=f"npz has pickled objects in `{name}`, exp"):
            read(path)


@pytest.mark.parametrize("counts", [np.uint8, np.int16, np.uint32, np.uint64, ">i8"])
@pytest.mark.parametrize("ends", [np.uint8, np.int16, np.int64, np.uint64])
def test_whole_numbers_of_any_type(tmp_path, counts, ends):
    """Also where sums of the small types would overflow."""
    path = tmp_path / "graphs.npz"
    pairs = np.array([[0, 1, 0, 198], [199, 3, 199, 199]], ends)
    for n_nodes, n_edges, edges in (
        ([200] * 4, [1, 1, 0, 2], pairs),
        ([3, 0, 200], [0, 0, 0], np.zeros([2, 0], ends)),
        ([3, 0, 200], [0, 0, 0], np.zeros([2, 0])),
    ):
        np.savez(
            path, n_nodes=np.array(n_nodes, counts), n_edges=np.array(n_edges, counts), edges=edges
        )
        found = datasets.read_graphs(path)
        assert [len(graph) for graph in found] == n_nodes
        expected = list(zip(*edges.astype(int).tolist(), strict=True))
        assert [edge for graph in found for edge in graph.edges] == expected
        assert [graph.number_of_edges() for graph in found] == n_edges


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64])
def test_test_graphs_are_marked_by_booleans_or_0_and_1(tmp_path, dtype):
    path = save(tmp_path, is_test=np.array([1, 0, 0], dtype))
    assert [len(graph) for graph in datasets.read_graphs(path, "test")] == [3]
    assert [len(graph) for graph in datasets.read_graphs(path, "train")] == [2, 4]


@pytest.mark.parametrize("dtype", [np.int64, np.float64])
def test_a_file_of_no_graphs(tmp_path, dtype):
    empty = np.zeros(0, dtype)
    path = save(
        tmp_path,
        **dict.fromkeys(["n_nodes", "n_edges", "is_test", "node_labels", "graph_labels"], empty),
        edges=np.zeros([2, 0], dtype),
        node_attributes=np.zeros([0, 2], dtype),
    )
    assert datasets.read_graphs(path) == datasets.read_graphs(path, "test") == []


def test_archives_of_other_files(tmp_path):
    path = tmp_path / "graphs.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for key in ("n_nodes", "n_edges", "edges"):
            archive.writestr(key, "1, 2, 3")
    with pytest.raises(
        datasets.DataError, match="graphs.npz is damaged: it is not an npz file of arrays"
    ):
        datasets.read_graphs(path)


def test_truncated_npz_files(tmp_path):
    path = save(tmp_path)
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], content[:100], b"", b"text"):
        path.write_bytes(damaged)
        with pytest.raises(datasets.DataError, match="graphs.npz is damaged"):
            datasets.read_graphs(path)


# A path of three nodes and a pair of nodes, whose ids are mixed.
TU = {
    "A": "1, 2\n2, 1\n2, 4\n4, 2\n3, 5\n5, 3\n",
    "graph_indicator": "1\n1\n2\n1\n2\n",
    "graph_labels": "1\n-1\n",
    "node_labels": "0\n1\n2\n3\n4\n",
    "node_attributes": "0.5, 1\n1.5, 1\n2.5, 1\n3.5, 1\n4.5, 1\n",
    "edge_labels": "7\n7\n8\n8\n9\n9\n",
    "graph_attributes": "1e-3\n2.0\n",
}


def write_tu(folder, **changes):
    for what, text in (TU | changes).items():
        if text is not None:
            (folder / f"TOY_{what}.txt").write_text(text)
    return folder


def assert_toy(found):
    path, pair = found
    assert list(path) == [0, 1, 2] and edges(path) == [(0, 1), (1, 2)]
    assert list(pair) == [0, 1] and edges(pair) == [(0, 1)]
    assert dict(path.nodes(data="label")) == {0: 0, 1: 1, 2: 3}
    np.testing.assert_array_equal(pair.nodes[1]["features"], [4.5, 1.0])
    assert [g.graph["label"] for g in (path, pair)] == [1, -1]
    np.testing.assert_array_equal(path.graph["features"], [1e-3])
    assert path.edges[1, 2]["label"] == 8 and pair.edges[0, 1]["label"] == 9


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"A": "1, 2\n4, 2\n5, 3\n", "edge_labels": "7\n8\n9\n"},  # one direction
        {"A": TU["A"] + "1, 1\n", "edge_labels": TU["edge_labels"] + "5\n"},  # a self loop
        {"node_labels": "0.0\n1.0\n2.0\n3.0\n4.0\n", "graph_labels": "1e0\n-1.\n"},
        {key: text.replace("\n", "\r\n") for key, text in TU.items()},
        {key: "\ufeff" + text for key, text in TU.items()},
        {key: "\n" + text.replace("\n", "\n \n") for key, text in TU.items()},
    ],
)
def test_tu_files(tmp_path, changes, monkeypatch):
    """In a folder, below one, as a file of it, and in archives as they are distributed."""
    folder = tmp_path / "root" / "TOY" / "raw"
    folder.mkdir(parents=True)
    (folder / "README.txt").write_text("of the data")
    write_tu(folder, **changes)
    archives = [
        shutil.make_archive(tmp_path / name, "zip", root)
        for name, root in (("whole", tmp_path / "root"), ("flat", folder))
    ]
    for path in (folder, tmp_path / "root", folder / "TOY_A.txt", *archives):
        assert_toy(datasets.read_graphs(path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert_toy(datasets.read_graphs("~/flat.zip"))


def test_tu_files_with_what_must_be_there_alone_and_several_in_a_folder(tmp_path):
    write_tu(tmp_path, **dict.fromkeys(set(TU) - {"A", "graph_indicator"}))
    path, pair = datasets.read_graphs(tmp_path)
    assert path.nodes[0] == pair.edges[0, 1] == path.graph == {}
    (tmp_path / "OTHER_A.txt").write_text("1, 2\n")
    with pytest.raises(datasets.DataError, match="several data sets, OTHER, TOY; give the path of"):
        datasets.read_graphs(tmp_path)


def test_labels_that_are_no_whole_numbers_stay_floats(tmp_path):
    path, _ = datasets.read_graphs(write_tu(tmp_path, graph_labels="0.5\n2\n"))
    assert path.graph["label"] == 0.5


@pytest.mark.parametrize(
    "what, text, message",
    [
        ("A", None, "is missing"),
        ("graph_indicator", None, "is missing"),
        ("A", "1, 2\n2, ", "line 2: expected finite numbers, 2 in each line, got '2, '"),
        ("A", "1, 2, 3\n", "line 1: expected finite numbers, 2 in each line, got '1, 2, 3'"),
        ("A", "1, 2\n2, 1\n2, 4\n", "line 3: expected the reverse of each edge too, got '2, 4'"),
        ("A", "1, 2\n2, 1\n2, 9\n9, 2\n", "line 3: expected nodes from 1 to 5, .* got '2, 9'"),
        ("A", "1, 3\n3, 1\n", "line 1: expected two nodes of the same graph, got '1, 3'"),
        ("A", "one, two\n", "line 1: expected finite numbers, 2 in each line, got 'one, two'"),
        *[
            ("A", f"1, 2\n2, {text}\n", f"line 2: expected finite numbers, .*, got '2, {text}'")
            for text in ("1_0", "\u0661", "infinity", "nan", "1 # one")
        ],
        ("graph_indicator", "1\n1\n3\n1\n3\n", "expected every graph from 1 to 2, got 1 to 3"),
        ("node_labels", "0\n1\n2\n", "it has 3 lines of numbers, expected 5"),
        ("node_attributes", "0.5, 1\n1.5\n", "line 2: expected finite numbers, 2 in each"),
        ("edge_labels", "7\n7\n", "it has 2 lines of numbers, expected 6"),
        ("graph_labels", "1\n", "it has 1 lines of numbers, expected 2"),
        ("graph_labels", "1\none\n", "line 2: expected finite numbers, 1 in each line, got 'one'"),
        ("A", "", "is empty"),
        ("graph_indicator", "", "is empty"),
        ("node_labels", "", "is empty"),
        ("node_attributes", "1\n2\nnan\n4\n5\n", "line 3: expected finite numbers, .* got 'nan'"),
        ("graph_attributes", "1, 2\n3, -inf\n", "line 2: expected finite numbers, .*, -inf'"),
        ("graph_indicator", "0\n0\n1\n0\n1\n", "expected every graph from 1 to 2, got 0 to 1"),
        ("graph_indicator", "1.5\n1\n2\n1\n2\n", "line 1: expected whole numbers, got '1.5'"),
        ("A", "1.5, 2\n2, 1.5\n", "line 1: expected whole numbers, got '1.5, 2'"),
        ("A", "-1, 2\n2, -1\n", "line 1: expected nodes from 1 to 5, .*got '-1, 2'"),
    ],
)
def test_damaged_tu_files(tmp_path, what, text, message):
    folder = write_tu(tmp_path, **{what: text})
    with pytest.raises(datasets.DataError, match=rf"TOY_{what}.txt .*{message}"):
        datasets.read_graphs(folder)
    if match := re.match(r"line (\d)(.*)", message):  # the number is that of the line in the file
        write_tu(tmp_path, **{what: "\n \n" + text.replace("\n", "\r\n\n")})
        with pytest.raises(datasets.DataError, match=f"line {2 * int(match[1]) + 1}{match[2]}"):
            datasets.read_graphs(folder)
