"""Graphs with labeled nodes, and sets of points, from a user's files."""

import io
import json
import shutil

import networkx as nx
import numpy as np
import pytest
import scipy.sparse

from gnf_tf import datasets, graphs
from tests.ppi_files import SIZES, write_splits

ARRAYS = {
    "features": np.array([[0.0, 2.0], [1.0, 0.0], [0.0, 0.0], [3.0, 4.0]]),
    "edges": np.array([[0, 1, 2], [1, 2, 3]]),
    "labels": np.array([0, 1, 1, 0]),
    "train": np.array([0, 1]),
    "test": np.array([3]),
}
MASK = {"train": np.isin(range(4), [0, 1]), "test": np.isin(range(4), [3])}


def csr(prefix, matrix):
    """The arrays of older files, which don't say that their format is CSR."""
    found = saved("csr", matrix, prefix)
    del found[f"{prefix}format"]
    return found


def saved(form, matrix, prefix=""):
    """The arrays that `scipy.sparse.save_npz` writes."""
    file = io.BytesIO()
    scipy.sparse.save_npz(file, scipy.sparse.csr_matrix(matrix).asformat(form))
    file.seek(0)
    return {f"{prefix}{name}": values for name, values in np.load(file).items()}


SQUARE = np.array([[0.0, 2, 0, 0], [1, 0, 0, 5], [0, 0, 0, 0], [3, 4, 0, 0]])  # not symmetric


def save(path, arrays, **changes):
    arrays = arrays | changes
    np.savez(path, **{name: values for name, values in arrays.items() if values is not None})
    return path


def without(*names):
    return {name: values for name, values in ARRAYS.items() if name not in names}


@pytest.mark.parametrize(
    "arrays",
    [
        ARRAYS | {"edges_raw": np.zeros([2, 9]), "node_names": np.array(list("abcd"))},
        ARRAYS | {"labels": np.array(list("pqqp"), "S"), "class_names": np.array(["p", "q"], "S")},
        ARRAYS | {"validation": np.zeros(0)},
        without("features") | csr("", ARRAYS["features"]) | {"format": np.array(b"csr")},
        without("features") | csr("feat_", ARRAYS["features"]),
        without("features", "edges")
        | csr("attr_", ARRAYS["features"])
        | csr("adj_", np.eye(4, k=1, dtype=bool)),
        {
            "x": ARRAYS["features"],
            "edge_index": np.concatenate([ARRAYS["edges"], ARRAYS["edges"][::-1]], axis=1),
            "y": ARRAYS["labels"],
            "train_mask": MASK["train"],
            "val_mask": np.zeros(4, bool),
            "test_mask": MASK["test"],
        },
        without("train", "test") | {"train_idx": [0, 1], "valid_idx": [], "test_idx": [3]},
    ],
)
def test_arrays_by_any_of_their_names(arrays, tmp_path):
    network = datasets.read_node_graph(save(tmp_path / "Mine.NPZ.npz", arrays))
    expected = datasets.node_graph(**ARRAYS)
    for found, wanted in zip(network.graph, expected.graph, strict=True):
        np.testing.assert_array_equal(found, wanted)
    for field in ("labels", "train", "validation", "test"):
        np.testing.assert_array_equal(getattr(network, field), getattr(expected, field))


@pytest.mark.parametrize("prefix", ["", "feat_"])
@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
def test_sparse_features_in_any_format_are_not_transposed(form, prefix, tmp_path):
    path = save(tmp_path / "a.npz", without("features"), **saved(form, SQUARE, prefix))
    np.testing.assert_array_equal(datasets.read_node_graph(path).graph.nodes, SQUARE)
    path = save(tmp_path / "a.npz", without("edges"), **saved(form, np.eye(4, k=1), "adj_"))
    assert datasets.read_node_graph(path).graph.senders.numpy().tolist() == [0, 1, 2, 1, 2, 3]


def test_sets_and_labels_that_a_file_lacks(tmp_path):
    path = save(tmp_path / "a.npz", without("train", "test") | {"features": np.ones([4, 1])})
    with pytest.raises(ValueError, match="`fractions` must be positive"):
        datasets.read_node_graph(path, fractions=(1.0, 1.0, 1.0))
    network = datasets.read_node_graph(path, fractions=(0.5, 0.25, 0.25), seed=3)
    assert [m.sum() for m in (network.train, network.validation, network.test)] == [2, 1, 1]
    save(path, without("train", "test", "labels"))
    assert (datasets.read_node_graph(path).labels == -1).all()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"features": None, "edges": None}, "lacks features or x, and edges or edge_index, got"),
        ({"x": ARRAYS["features"]}, "must hold features once, got features and x"),
        ({"train_mask": MASK["train"]}, "must hold train once, got train and train_mask"),
        ({"features": np.full([4, 2], np.nan)}, "`features` must be finite, got nan"),
        (
            {"edges": None, "edge_index": ARRAYS["edges"].T},
            r"`edge_index` must have shape .* \(3, 2\); give its transpose",
        ),
        ({"edges": ARRAYS["edges"] + 1}, "`edges` must be nodes from 0 to 3, got .3, 4. in column"),
        ({"edges": ARRAYS["edges"] / 2}, "`edges` must be whole numbers, got float64"),
        ({"labels": None, "y": np.zeros(3, int)}, "`y` must have shape"),
        ({"labels": np.array([0, -1, 1, 1])}, "`train` must have labeled nodes only, got node 1"),
        ({"test": np.array([1])}, "`train` and `test` must not share nodes, got node 1"),
        ({"labels": np.array([0, 1, None, 0])}, "pickled objects in `labels`, expected numbers or"),
        ({"features": ARRAYS["features"].astype(object)}, "pickled objects in `features`"),
        ({"edges": None} | csr("adj_", SQUARE) | {"adj_data": [None]}, "objects in `adj_data`"),
        (
            {"features": None} | csr("", ARRAYS["features"]) | {"indices": np.array([9, 0, 0, 1])},
            "data, indices, indptr, shape are not a CSR matrix",
        ),
        (
            {"features": None} | saved("csc", SQUARE) | {"indices": np.full(5, 9)},
            "data, indices, indptr, shape are not a CSC matrix",
        ),
        (
            {"features": None} | saved("coo", SQUARE, "attr_") | {"attr_col": np.full(5, 9)},
            "attr_data, attr_row, attr_col, attr_shape are not a COO matrix",
        ),
        ({"features": None} | saved("dia", SQUARE), "format csr, csc, coo, got 'dia' as format"),
        (
            {"edges": None} | saved("bsr", np.eye(4), "adj_"),
            "format csr, csc, coo, got 'bsr' as adj_format",
        ),
        (
            {"features": None} | csr("", ARRAYS["features"]) | {"shape": np.array([4.0, 2.0])},
            "not a CSR matrix",
        ),
    ],
)
def test_damaged_files_of_one_graph(change, message, tmp_path):
    path = save(tmp_path / "mine.npz", ARRAYS, **change)
    with pytest.raises(datasets.DataError, match=f"mine.npz .*{message}"):
        datasets.read_node_graph(path)


@pytest.mark.parametrize(
    "read", [datasets.read_node_graph, datasets.read_labeled_graphs, datasets.read_sets]
)
def test_files_that_are_none(read, tmp_path):
    with pytest.raises(datasets.DataError, match="absent.npz is missing"):
        read(tmp_path / "absent.npz")
    (tmp_path / "folder.npz").mkdir()
    whole = save(tmp_path / "whole.npz", ARRAYS).read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.npz").touch()
    for name in ("folder", "cut", "empty"):
        message = "can't be read" if name == "folder" else "is damaged: it is not an npz file"
        with pytest.raises(datasets.DataError, match=f"{name}.npz {message}"):
            read(tmp_path / f"{name}.npz")


def test_labels_of_pytorch_geometric_are_beside_a_vector_alone(tmp_path):
    """`to_networkx` writes x and y of nodes; where x is a number, both are features."""
    path, graph = tmp_path / "graph.json", nx.path_graph(4)
    for node, data in graph.nodes(data=True):
        data |= {"x": [float(node), 1.0], "y": node % 2}

    def found(labeled=True):
        path.write_text(json.dumps(nx.node_link_data(graph, edges="edges")))
        one = datasets.read_node_graph(path, labeled=labeled)
        several = datasets.read_labeled_graphs(path, labeled=labeled)
        np.testing.assert_array_equal(one.labels, several.labels)
        np.testing.assert_array_equal(one.graph.nodes, several.features)
        return several

    np.testing.assert_array_equal(found().labels, [0, 1, 0, 1])
    assert found().features.shape == (4, 2)
    np.testing.assert_array_equal(found(labeled=False).labels, [-1] * 4)
    for data in graph.nodes.values():
        data["y"] = [1.0, 0.0] if data["y"] else [0.0, 0.0]
    np.testing.assert_array_equal(found().labels, [[0, 0], [1, 0]] * 2)
    nx.set_node_attributes(graph, {node: "abba"[node] for node in graph}, "class")
    np.testing.assert_array_equal(found().labels, [0, 1, 1, 0])
    for data in graph.nodes.values():
        del data["class"]
        data |= {"x": data["x"][0], "y": data["y"][0]}
    np.testing.assert_array_equal(found(labeled=False).features[:, 0], range(4))
    np.testing.assert_array_equal(found().features[:, 1], [0, 1, 0, 1])
    np.testing.assert_array_equal(found().labels, [-1] * 4)


def attributed():
    """The graph of ARRAYS, its features the numbers `a` and `b`."""
    graph = nx.Graph(ARRAYS["edges"].T.tolist())
    for node, (a, b) in enumerate(ARRAYS["features"].tolist()):
        graph.nodes[node].update({"a": a, "b": b, "class": "pq"[ARRAYS["labels"][node]]})
        if node != 2:
            graph.nodes[node]["split"] = "train" if node < 2 else "test"
    return graph


def write(path, graph):
    if path.suffix == ".json":
        path.write_text(json.dumps(nx.node_link_data(graph, edges="links")))
    else:
        getattr(nx, f"write_{path.suffix[1:]}")(graph, path)
    return path


@pytest.mark.parametrize("suffix", ["graphml", "gexf", "gml", "json"])
def test_networkx_formats(suffix, tmp_path):
    path = write(tmp_path / f"mine.{suffix}", attributed())
    network = datasets.read_node_graph(path)
    expected = datasets.node_graph(**ARRAYS)
    for found, wanted in zip(network.graph, expected.graph, strict=True):
        np.testing.assert_array_equal(found, wanted)
    for field in ("labels", "train", "validation", "test"):
        np.testing.assert_array_equal(getattr(network, field), getattr(expected, field))
    assert network.class_names == ("p", "q")
    assert datasets.read_labeled_graphs(path).sizes.tolist() == [[4, 6]]
    np.testing.assert_array_equal(datasets.read_sets(path).nodes, ARRAYS["features"])
    whole = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"\xff\xfe\x00"):
        path.write_bytes(content)
        for read in (datasets.read_node_graph, datasets.read_labeled_graphs, datasets.read_sets):
            with pytest.raises(datasets.DataError, match=f"mine.{suffix} is damaged, not"):
                read(path)


def test_vectors_in_graphml_are_texts(tmp_path):
    graph = nx.path_graph(5)
    nx.set_node_attributes(graph, "[0.5, 1]", "features")
    nx.set_node_attributes(graph, dict(enumerate("abab")), "label")
    network = datasets.read_node_graph(write(tmp_path / "a.graphml", graph))
    np.testing.assert_array_equal(network.graph.nodes, [[0.5, 1.0]] * 5)
    np.testing.assert_array_equal(network.labels, [0, 1, 0, 1, -1])


@pytest.mark.parametrize(
    "read, expected",
    [
        (datasets.read_node_graph, ".npz, .graphml, .gexf, .gml or .json"),
        (datasets.read_labeled_graphs, ".npz, .graphml, .gexf, .gml or .json"),
        (datasets.read_sets, ".csv, .npz, .zip, .graphml, .gexf, .gml or .json"),
    ],
)
def test_other_suffixes_and_missing_files(read, expected, tmp_path):
    (tmp_path / "mine.xlsx").touch()
    with pytest.raises(datasets.DataError, match=f"has the suffix '.xlsx', expected {expected}$"):
        read(tmp_path / "mine.xlsx")
    with pytest.raises(datasets.DataError, match="absent.gml is missing"):
        read(tmp_path / "absent.gml")


def test_one_graph_is_asked_for_and_a_list_may_be_several(tmp_path):
    path = tmp_path / "mine.json"
    data = nx.node_link_data(attributed(), edges="edges")
    path.write_text(json.dumps([data, data]))
    assert datasets.read_labeled_graphs(path).sizes.tolist() == [[4, 6]] * 2
    with pytest.raises(datasets.DataError, match="mine.json must hold one graph, got 2"):
        datasets.read_node_graph(path)
    write_splits(tmp_path)
    found = datasets.read_labeled_graphs(tmp_path)
    assert tuple(found.n_node) == sum(SIZES.values(), ()) and found.num_classes == 121


def test_a_folder_holds_several_graphs(tmp_path):
    """In natural order, also in subfolders; classes are those of all files together."""
    folder = tmp_path / "mine"
    (folder / "sub").mkdir(parents=True)
    (folder / "README.md").touch()
    for name, size, label in (("10", 3, "a"), ("2", 2, "b"), ("sub/1", 4, "c")):
        graph = nx.path_graph(size)
        for node in graph:
            graph.nodes[node].update(features=f"[{size}, {node}]", label=label)
        nx.write_graphml(graph, folder / f"{name}.graphml")
    found = datasets.read_labeled_graphs(folder)
    assert found.n_node.tolist() == [2, 3, 4] and found.class_names == ("a", "b", "c")
    assert found.labels.tolist() == [1] * 2 + [0] * 3 + [2] * 4
    np.testing.assert_array_equal(found.features[2:5], [[3, 0], [3, 1], [3, 2]])

    def error():
        with pytest.raises(datasets.DataError) as caught:
            datasets.read_labeled_graphs(folder)
        return str(caught.value)

    nx.write_graphml(nx.path_graph(2), folder / "11.graphml")
    assert "11.graphml has wrong content: " in error()
    graph.nodes[0]["features"] = "[1]"  # another width than in the other files
    nx.write_graphml(nx.subgraph(graph, [0]), folder / "11.graphml")
    assert "mine have wrong content: " in error() and "11.graphml" not in error()
    (folder / "11.graphml").write_text("")
    assert "11.graphml" in error()
    (folder / "11.graphml").rename(folder / "11.csv")
    assert "11.csv has the suffix '.csv', expected .graphml, .gexf, .gml or .json" in error()
    shutil.rmtree(folder)
    folder.mkdir()
    assert "mine holds no graphs, expected files of .graphml" in error()


SEVERAL = {
    "n_nodes": np.array([2, 3], np.uint8),
    "n_edges": np.array([1, 3], np.uint8),
    "edges": np.array([[0, 0, 1, 2], [1, 1, 2, 1]], np.uint8),
    "node_attributes": np.arange(10.0).reshape(5, 2),
    "node_labels": np.array([0, 1, -1, 1, 0]),
}


@pytest.mark.parametrize(
    "labels", [SEVERAL["node_labels"], np.eye(5, 3, dtype=np.uint8), np.array(list("abbab")), None]
)
def test_several_graphs(labels, tmp_path):
    path = save(tmp_path / "a.npz", SEVERAL, node_labels=labels)
    found = datasets.read_labeled_graphs(path)
    assert found.sizes.tolist() == [[2, 2], [3, 4]]
    graph, own = found.graph(1)
    np.testing.assert_array_equal(graph.nodes, SEVERAL["node_attributes"][2:])
    pairs = sorted(zip(graph.senders.tolist(), graph.receivers.tolist(), strict=True))
    assert pairs == [(0, 1), (1, 0), (1, 2), (2, 1)]
    assert len(own) == 3 and found.is_multi_label == (np.ndim(labels) == 2)


@pytest.mark.parametrize("labels", [[0, 1, -1, 1, 0], [3, 0, 1, 1, 2]])
def test_one_class_a_node_may_be_a_column(labels, tmp_path):
    """As OGB writes them; a name makes it the one of many labels."""
    column = np.array(labels)[:, np.newaxis]
    found = datasets.read_labeled_graphs(save(tmp_path / "a.npz", SEVERAL, node_labels=column))
    assert found.labels.tolist() == labels
    graph = datasets.node_graph(np.eye(5), np.array([[0], [1]]), column)
    assert graph.labels.tolist() == labels and not graph.is_multi_label
    binary = datasets.node_graph(np.eye(5), np.array([[0], [1]]), column == 1, class_names=["a"])
    assert binary.is_multi_label and binary.labels.shape == (5, 1)


@pytest.mark.parametrize("suffix", [".npz", ".json", "folder"])
def test_labels_that_are_to_be_predicted_may_be_unknown(suffix, tmp_path):
    """Each node may have any number of labels, which `LabeledGraphs` must know, if any matter."""
    graph = nx.path_graph(3)
    for node in graph:
        graph.nodes[node].update(features=[node, 1.0])
    graph.nodes[0]["label"] = [0, 1]
    path = tmp_path / f"a{suffix}"
    if suffix == ".npz":
        save(path, SEVERAL, node_labels=[[0, 1]] + [[-1, -1]] * 4)
    elif suffix == ".json":
        path.write_text(json.dumps(nx.node_link_data(graph, edges="edges")))
    else:
        path.mkdir()
        (path / "b.json").write_text(json.dumps(nx.node_link_data(graph, edges="edges")))
    with pytest.raises(datasets.DataError, match="labels` must be known of each node where a node"):
        datasets.read_labeled_graphs(path)
    found = datasets.read_labeled_graphs(path, labeled=False)
    assert found.features.shape[1] == 2 and set(found.labels.tolist()) == {-1}


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": np.array([10**7, 0, 1, 2])},
        {"labels": np.array(["a", None, "b", None], object)},
        {"train": np.ones([4, 10], bool)},
        {"train_mask": np.ones(4, bool)},
    ],
)
def test_labels_and_sets_of_one_graph_that_do_not_matter_are_not_read(changes, tmp_path):
    path = save(tmp_path / "a.npz", ARRAYS, **changes)
    with pytest.raises(datasets.DataError):
        datasets.read_node_graph(path)
    found = datasets.read_node_graph(path, labeled=False)
    np.testing.assert_array_equal(found.graph.nodes, ARRAYS["features"])
    assert set(found.labels.tolist()) == {-1} and not found.train.any()


def test_attributes_that_do_not_matter_are_not_read(tmp_path):
    graph = nx.path_graph(3)
    for node in graph:
        graph.nodes[node].update(weight=0.5 * node, split="all", label=["a", 1], train_mask="no")
    path = tmp_path / "a.json"
    path.write_text(json.dumps(nx.node_link_data(graph, edges="edges")))
    with pytest.raises(datasets.DataError):
        datasets.read_node_graph(path)
    found = datasets.read_node_graph(path, labeled=False)
    np.testing.assert_array_equal(found.graph.nodes, [[0], [0.5], [1]])
    assert set(found.labels.tolist()) == {-1} and not found.train.any()


@pytest.mark.parametrize("suffix", [".npz", ".json", "folder"])
def test_classes_that_a_file_lacks_are_given_by_their_names(suffix, tmp_path):
    """As those of a model, for graphs that are held out."""
    graph = nx.path_graph(3)
    for node in graph:
        graph.nodes[node].update(features=[node, 1.0], label="ac"[node % 2])
    path = tmp_path / f"a{suffix}"
    text = json.dumps(nx.node_link_data(graph, edges="edges"))
    if suffix == ".npz":
        save(path, SEVERAL, node_labels=["a", "c", "a", "a", "c"])
    elif suffix == ".json":
        path.write_text(text)
    else:
        path.mkdir()
        (path / "b.json").write_text(text)
    assert datasets.read_labeled_graphs(path).class_names == ("a", "c")
    found = datasets.read_labeled_graphs(path, class_names=("a", "b", "c"))
    assert found.class_names == ("a", "b", "c") and set(found.labels.tolist()) == {0, 2}
    with pytest.raises(datasets.DataError, match="class_names"):
        datasets.read_labeled_graphs(path, class_names=("a", "b"))
    if suffix == ".json":
        one = datasets.read_node_graph(path, class_names=("a", "b", "c"))
        assert one.class_names == ("a", "b", "c") and one.labels.tolist() == [0, 2, 0]


def test_given_names_of_classes_are_in_place_of_those_in_the_file(tmp_path):
    path = save(tmp_path / "a.npz", ARRAYS, class_names=np.array(["p", "q"]))
    assert datasets.read_node_graph(path).class_names == ("p", "q")
    found = datasets.read_node_graph(path, class_names=["x", "y", "z"])
    assert found.class_names == ("x", "y", "z")


@pytest.mark.parametrize("dtype", ["u8", "i8", "u4", "i2"])
def test_whole_numbers_of_any_type(dtype, tmp_path):
    names = ("n_nodes", "n_edges", "edges", "node_labels")
    whole = {name: SEVERAL[name].astype(dtype) for name in names[: 3 if dtype[0] == "u" else 4]}
    found = datasets.read_labeled_graphs(save(tmp_path / "a.npz", SEVERAL | whole))
    assert found.sizes.tolist() == [[2, 2], [3, 4]]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"n_nodes": None, "node_attributes": None}, "lacks n_nodes, node_attributes"),
        ({"n_nodes": np.array([2.0, 3.0])}, "`n_nodes` must be whole numbers, got float64"),
        ({"n_nodes": np.array([2, 2])}, "`n_nodes` must add up .* `node_attributes`, 5, got 4"),
        ({"n_nodes": np.array([5, 0])}, "`n_nodes` must be at least 1, got 0 for graph 1"),
        ({"n_edges": np.array([1, 2])}, "`n_edges` must be .* that add up to the E"),
        ({"n_edges": np.array([5, -1])}, "`n_edges` must be .* at least 0"),
        ({"edges": SEVERAL["edges"] / 1}, "`edges` must be whole numbers, got float64"),
        ({"edges": SEVERAL["edges"] + 1}, "nodes of graph 0, 0 to 1, got .1, 2. in column 0"),
        ({"edges": SEVERAL["edges"].T}, "`n_edges` must be .* that add up"),
        ({"node_labels": np.zeros(4, int)}, "`node_labels` must have shape"),
        ({"node_attributes": np.full([5, 2], np.inf)}, "got inf as feature 0 of node 0 of graph 0"),
        ({"node_attributes": np.array(1.0)}, r"`node_attributes` must be .* of shape \(\)"),
        ({"n_nodes": np.array(5)}, "`n_nodes` must have a number for each graph"),
        ({"n_edges": np.array(4)}, r"`n_edges` must be .* got int64 \(\)"),
        ({"n_edges": np.array(["1", "3"])}, "`n_edges` must be .* got <U1"),
        ({"n_edges": np.array([2**64 - 1, 5], np.uint64)}, "`n_edges` must be .* at least 0"),
        ({"edges": np.array(4)}, r"`edges` .2, E., got uint8 .* and \(\)"),
        ({"node_labels": np.array(4)}, "`node_labels` must have shape"),
        ({"class_names": np.array("a")}, "`class_names` must be a sequence"),
        (
            {"node_labels": np.array([[0, 1], [1, 0], [0, 0], [-1, -1], [-1, -1]])},
            "`node_labels` must be known of each node .* for node 1 of graph 1",
        ),
    ],
)
def test_damaged_files_of_several_graphs(change, message, tmp_path):
    path = save(tmp_path / "mine.npz", SEVERAL, **change)
    with pytest.raises(datasets.DataError, match=f"mine.npz .*{message}"):
        datasets.read_labeled_graphs(path)


def test_sets_of_points(tmp_path):
    text = "x,set,y\n1,b,2\n3,a,4\n5,b,6\n\n7,c,-8e1\n"
    (tmp_path / "mine.csv").write_text(text)
    (tmp_path / "spreadsheet.CSV").write_bytes(
        b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()
    )
    points = [[1, 2], [3, 4], [5, 6], [7, -80]]
    np.savez(tmp_path / "names.npz", features=points, set=list("babc"))
    np.savez(tmp_path / "numbers.npz", features=points, set=np.array([7, -1, 7, 3]))
    expected = graphs.fully_connected([2, 1, 1], 2)
    for path in tmp_path.iterdir():
        found = datasets.read_sets(path)
        np.testing.assert_array_equal(found.nodes, [[1, 2], [5, 6], [3, 4], [7, -80]])
        for field in ("senders", "receivers", "n_node", "n_edge"):
            np.testing.assert_array_equal(getattr(found, field), getattr(expected, field))


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
def test_the_row_numbers_of_pandas_are_no_feature(name, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(
        f"{name},set,index,x\n0,a,5,6\n1,a,7,8\n"
    )  # "index" is a name that the user gave
    np.testing.assert_array_equal(datasets.read_sets(path).nodes, [[5, 6], [7, 8]])


def test_graphs_whose_nodes_have_features(tmp_path):
    path = save(tmp_path / "a.npz", SEVERAL, n_edges=[1, 2], edges=[[0, 0, 1], [1, 1, 2]])
    found = datasets.read_sets(path)
    np.testing.assert_array_equal(found.nodes, SEVERAL["node_attributes"])
    assert found.n_edge.numpy().tolist() == [2, 4] and found.edges.shape == [6, 0]


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "is empty"),
        (b",,\n , \n", "line 1: expected rows below the names of the columns, got none"),
        (b"set,x\n", "line 1: expected rows below the names of the columns, got none"),
        (b"x,y\n1,2\n", "line 1: expected a column 'set' and columns of features, got 'x, y'"),
        (b"set\n1\n", "line 1: expected a column 'set' and columns of features, got 'set'"),
        (b",set\n0,1\n", "line 1: expected a column 'set' and columns of features, got ', set'"),
        (b",set,\n0,1,2\n", "line 1: expected a distinct name of each column, got ', set, '"),
        (b"set,x,x\n1,2,3\n", "line 1: expected a distinct name of each column, got 'set, x, x'"),
        (b"x,set,y\n1,1,2\n1,1,two\n", "line 3: expected a finite number as `y`, got 'two'"),
        (b"x,set,y\n1,1,2\n\n,1,2\n", "line 4: expected a finite number as `x`, got ''"),
        (b"set,x\n1,nan\n", "line 2: expected a finite number as `x`, got 'nan'"),
        (b"set,x\n1,1e39\n", "line 2: expected a finite number as `x`, got '1e39'"),
        *[
            (
                f"set,x\n1,{text}\n".encode(),
                f"line 2: expected a finite number as `x`, got '{text}'",
            )
            for text in ("1_0", "1_0e5", "\u0661", "\uff11", "infinity", "-inf", "NaN")
        ],
        (b"set,x\n1,2,3\n", "line 2: expected 2 cells, got 3"),
        (b"set,x\n1\n", "line 2: expected 2 cells, got 1"),
        (b"set,x\n ,1\n", "line 2: expected the name of a set in `set`"),
        (b"set,x\n\xff\xfe,1\n", "line 2: expected text in UTF-8"),
    ],
)
def test_damaged_csv_files(content, message, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_bytes(content)
    with pytest.raises(datasets.DataError, match=f"mine.csv .*{message}"):
        datasets.read_sets(path)


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"features": np.ones([2, 1])}, "it lacks set, got arrays"),
        ({"features": np.ones([2, 1]), "set": np.zeros(3, int)}, r"`set` must be .* \(3,\)"),
        ({"features": np.ones([2, 1]), "set": np.zeros(2)}, "`set` must be .* got float64"),
        ({"features": np.ones([2, 1]), "set": [None, 1]}, "has pickled objects in `set`"),
        ({"features": np.ones(2), "set": np.zeros(2, int)}, "`features` must be numbers"),
        ({"features": [[1.0], [np.nan]], "set": [0, 0]}, "got nan as feature 0 of node 1"),
        (
            {key: SEVERAL[key] for key in ("n_nodes", "node_labels")}
            | {"n_edges": [0, 0], "edges": np.zeros([2, 0])},
            "node 0 of graph 0 has no 'features'",
        ),
        ({"n_nodes": [], "n_edges": [], "edges": np.zeros([2, 0])}, "must hold a graph, got none"),
    ],
)
def test_damaged_npz_files_of_sets(arrays, message, tmp_path):
    path = save(tmp_path / "mine.npz", arrays)
    with pytest.raises(datasets.DataError, match=f"mine.npz .*{message}"):
        datasets.read_sets(path)


def test_the_order_of_columns_does_not_matter(tmp_path):
    """Or else a model of one file would get wrong features from another."""
    found = []
    for index, text in enumerate(("set,x,y\n1,2,3\n", "y,set,x\n3,1,2\n")):
        path = tmp_path / f"{index}.csv"
        path.write_text(text)
        found.append(datasets.read_sets(path).nodes.numpy().tolist())
    assert found == [[[2.0, 3.0]]] * 2


def test_features_of_any_name_in_files_folders_and_archives(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    graph = nx.path_graph(3)
    nx.set_node_attributes(graph, {node: 0.5 * node for node in graph}, "height")
    nx.set_node_attributes(graph, 2, "age")
    nx.write_graphml(graph, folder / "2.graphml")
    nx.write_graphml(graph.subgraph([0, 1]), folder / "10.graphml")
    shutil.make_archive(tmp_path / "zipped", "zip", folder)
    expected = [[2.0, 0.0], [2.0, 0.5], [2.0, 1.0]]
    assert datasets.read_sets(folder / "2.graphml").nodes.numpy().tolist() == expected
    for path in (folder, tmp_path / "zipped.zip"):
        sets = datasets.read_sets(path)
        assert sets.n_node.numpy().tolist() == [3, 2]
        assert sets.nodes.numpy().tolist() == expected + expected[:2]


@pytest.mark.parametrize("suffix", [".graphml", ".json"])
def test_labels_that_are_names_of_nodes_are_no_classes(suffix, tmp_path):
    """Tools that draw graphs give each node a text; some nodes of a class have the same one."""
    graph = nx.cycle_graph(10)
    for node, data in graph.nodes(data=True):
        data |= {"label": f"Person {node}", "class": "ab"[node % 2], "size": float(node)}
    file = tmp_path / f"drawn{suffix}"
    if suffix == ".graphml":
        nx.write_graphml(graph, file)
    else:
        file.write_text(json.dumps(nx.node_link_data(graph, edges="edges")))
    found = datasets.read_node_graph(file)
    assert found.class_names == ("a", "b") and found.graph.nodes.shape == (10, 1)
    for data in graph.nodes.values():
        del data["class"]
    nx.write_graphml(graph, tmp_path / "names.graphml")
    assert (datasets.read_node_graph(tmp_path / "names.graphml").labels == -1).all()
    graph.nodes[0]["label"] = "Person 1"
    nx.write_graphml(graph, tmp_path / "namesakes.graphml")
    assert (datasets.read_node_graph(tmp_path / "namesakes.graphml").labels == -1).all()
    for node in graph:
        graph.nodes[node]["label"] = f"class {node % 5}"
    nx.write_graphml(graph, tmp_path / "classes.graphml")
    assert len(datasets.read_node_graph(tmp_path / "classes.graphml").class_names) == 5


def test_names_of_nodes_are_in_the_order_of_their_features(tmp_path):
    data = {"nodes": [{"id": i, "x": float(i)} for i in (2, 0, 1)], "edges": []}
    (tmp_path / "one.json").write_text(json.dumps(data))
    names = datasets.node_names(tmp_path / "one.json")
    found = datasets.read_node_graph(tmp_path / "one.json", labeled=False)
    assert names == ["2", "0", "1"] and found.graph.nodes[:, 0].numpy().tolist() == [2.0, 0.0, 1.0]
    folder = tmp_path / "several"
    folder.mkdir()
    nx.write_gml(nx.path_graph(["a", "b"]), folder / "10.gml")
    (folder / "9.json").write_text(json.dumps(data))
    assert datasets.node_names(folder) == ["2", "0", "1", "a", "b"]
    for labels, expected in ((["b", "a"], ["b", "a"]), (["a", "a"], ["4", "3"])):
        graph = nx.Graph([(4, 3)])
        for node, x, label in zip(graph, (1.0, 2.0), labels, strict=True):
            graph.add_node(node, x=x, label=label)
        nx.write_gexf(graph, tmp_path / "one.gexf")
        assert datasets.node_names(tmp_path / "one.gexf") == expected
        found = datasets.read_node_graph(tmp_path / "one.gexf", labeled=False)
        assert found.graph.nodes[:, 0].numpy().tolist() == [1.0, 2.0]
    np.savez(tmp_path / "arrays.npz", x=np.zeros([2, 1]), edges=np.zeros([2, 0], int))
    assert datasets.node_names(tmp_path / "arrays.npz") is None
