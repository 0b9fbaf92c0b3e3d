"""Own sets of graphs: each format there and back, and the error for each damaged file."""

import json
import shutil
import zipfile

import networkx as nx
import numpy as np
import pytest

from gnf_tf import datasets, graphs

ONE = ".gexf", ".gml", ".edgelist", ".edges", ".txt"


def edges(graph):
    return sorted(graph.edges)


def attributed(**kwargs):
    """A path of three nodes and an edge, with what `kwargs` say of "node", "edge", "graph"."""
    result = [nx.path_graph(3), nx.path_graph(2)]
    for index, graph in enumerate(result):
        graph.graph.update({key: make(index) for key, make in kwargs.get("graph", {}).items()})
        for kind, members in (("node", graph.nodes), ("edge", graph.edges)):
            for row, member in enumerate(members):
                made = {key: make(row + index) for key, make in kwargs.get(kind, {}).items()}
                members[member].update(made)
    return result


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert (
            type(one) is type(other) and list(one) == sorted(other) and edges(one) == edges(other)
        )
        pairs = [(one.graph, other.graph)]
        pairs += [(one.nodes[node], other.nodes[node]) for node in one]
        pairs += [(one.edges[edge], other.edges[edge]) for edge in one.edges]
        for left, right in pairs:
            assert left.keys() == right.keys()
            for key in left:
                np.testing.assert_array_equal(left[key], right[key])
                assert np.asarray(left[key]).dtype.kind == np.asarray(right[key]).dtype.kind


FEATURES = {"features": lambda row: np.array([row + 0.5, -1e-9])}
CLASS = {"label": lambda row: 3 * row}
EVERYTHING = attributed(**dict.fromkeys(["node", "edge", "graph"], FEATURES | CLASS))
TEXTS = attributed(node={"label": "C{}".format})
DIRECTED = [nx.DiGraph([(1, 0), (1, 2)])]


@pytest.mark.parametrize(
    "suffix, expected",
    [
        *[(s, attributed()) for s in (".npz", ".g6", ".graph6", ".s6", ".sparse6", ".JSON")],
        *[(suffix, EVERYTHING) for suffix in (".npz", ".json", ".graphml")],
        *[(suffix, TEXTS) for suffix in (".json", ".graphml")],
        *[(suffix, DIRECTED) for suffix in (".json", ".graphml", ".gml")],
        (".gml", attributed(node=FEATURES, edge=FEATURES, graph=FEATURES)[:1]),
        (".json", attributed(node={"label": lambda row: np.array([row, 1.5])})),
    ],
)
def test_what_is_written_is_read_again(tmp_path, suffix, expected):
    path = tmp_path / f"mine{suffix}"
    datasets.write_graphs(path, expected)
    if suffix == ".npz":
        with pytest.raises(ValueError, match="has no `is_test`"):
            datasets.read_graphs(path, "test")
    found = datasets.read_graphs(path)
    assert_same(found, expected)
    assert graphs.from_networkx(found).n_node.shape == len(expected)


KARATE = nx.karate_club_graph()  # with weights on edges, texts on nodes


@pytest.mark.parametrize(
    "name, write",
    [
        ("a.graphml", nx.write_graphml),
        ("a.gexf", nx.write_gexf),
        ("a.gml", nx.write_gml),
        ("a.edgelist", nx.write_edgelist),
        ("a.edges", nx.write_weighted_edgelist),
        ("a.txt", lambda graph, path: nx.write_edgelist(graph, path, delimiter=", ")),
        ("a.g6", nx.write_graph6),
        ("a.s6", nx.write_sparse6),
        (
            "a.json",
            lambda g, path: path.write_text(json.dumps(nx.node_link_data(g, edges="edges"))),
        ),
        (
            "b.json",
            lambda g, path: path.write_text(json.dumps(nx.node_link_data(g, edges="links"))),
        ),
    ],
)
def test_what_networkx_writes(tmp_path, name, write):
    write(KARATE, tmp_path / name)
    (found,) = datasets.read_graphs(tmp_path / name)
    assert list(found) == list(range(34)) and found.nodes[0] == {} and found.graph == {}
    assert {frozenset(edge) for edge in found.edges} == {frozenset(edge) for edge in KARATE.edges}


@pytest.mark.parametrize("suffix", [".graphml", ".gexf", ".gml", ".json", ".edgelist"])
def test_names_parallel_edges_and_self_loops(tmp_path, suffix):
    graph = nx.MultiGraph([("c", "a"), ("a", "c"), ("a", "a"), ("a", "b")])
    path = tmp_path / f"a{suffix}"
    write = {
        ".graphml": nx.write_graphml,
        ".gexf": nx.write_gexf,
        ".gml": nx.write_gml,
        ".json": lambda g, path: path.write_text(json.dumps(nx.node_link_data(g, edges="edges"))),
        ".edgelist": nx.write_edgelist,
    }[suffix]
    write(graph, path)
    (found,) = datasets.read_graphs(path)
    assert type(found) is nx.Graph and list(found) == [0, 1, 2] and edges(found) == [(0, 1), (1, 2)]


def test_features_as_texts_and_names_as_numbers(tmp_path):
    graph = nx.Graph([(10, 2), (10, 9)])
    for node, text in ((2, "[1 2.5]"), (9, "3, 4"), (10, "(5, 6)")):
        graph.nodes[node].update(features=text, label=node / 2, color="red")
    nx.write_graphml(graph, tmp_path / "a.graphml")
    (found,) = datasets.read_graphs(tmp_path / "a.graphml")
    assert edges(found) == [(0, 2), (1, 2)] and found.nodes[1].keys() == {"features", "label"}
    np.testing.assert_array_equal(
        graphs.from_networkx([found]).nodes, np.array([[1, 2.5], [3, 4], [5, 6]])
    )


def test_lines_of_graph6_and_sparse6_in_one_file(tmp_path):
    path = tmp_path / "a.g6"
    sparse = [nx.to_sparse6_bytes(nx.path_graph(n), header=n == 5).strip() for n in (4, 5)]
    path.write_bytes(b"\r\n".join([b">>graph6<<", b"Bw", b"", *sparse, b">>graph6<<A_"]))
    found = datasets.read_graphs(path)
    assert [graph.number_of_edges() for graph in found] == [3, 3, 4, 1]


def test_folders_and_archives(tmp_path):
    folder = tmp_path / "mine"
    (folder / "more").mkdir(parents=True)
    for number in (10, 9, 1):
        datasets.write_graphs(folder / f"g{number}.json", [nx.path_graph(number + 1)])
    datasets.write_graphs(folder / "more" / "x.npz", [nx.path_graph(3)])
    for other in (".hidden", "README.md", "LICENSE"):
        (folder / other).write_text("text")
    archive = shutil.make_archive(tmp_path / "mine", "zip", tmp_path, "mine")
    for path in (folder, archive):
        assert [len(graph) for graph in datasets.read_graphs(path)] == [2, 10, 11, 3]
        with pytest.raises(ValueError, match="has no `is_test`: its `split` must be 'all'"):
            datasets.read_graphs(path, "train")
    datasets.write_graphs(folder / "more" / "x.npz", attributed(node=FEATURES))
    with pytest.raises(
        datasets.DataError, match=r"node 0 of graph 0 of .*x.npz has 2 features, exp"
    ):
        datasets.read_graphs(folder)
    (folder / "notes.doc").write_text("text")
    with pytest.raises(
        datasets.DataError, match="notes.doc has the suffix '.doc', expected .npz, "
    ):
        datasets.read_graphs(folder)


KEY = '<key id="d" for="node" attr.name="features" attr.type="{}"/>'
GRAPHML = f"<graphml>{KEY}<graph>{{}}</graph></graphml>"
NODE = '<node id="{}"><data key="d">{}</data></node>'
BOMB = (
    '<!DOCTYPE a [<!ENTITY b0 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa">'
    + "".join(f'<!ENTITY b{i + 1} "{f"&b{i};" * 10}">' for i in range(9))
    + "]><graphml>&b9;</graphml>"
)


def one_node(**attributes):
    return json.dumps({"nodes": [{"id": 1, **attributes}], "edges": []})


@pytest.mark.parametrize(
    "name, content, message",
    [
        *[(f"a{s}", "", "holds no graphs") for s in (".g6", ".s6", ".edges", ".txt", ".edgelist")],
        *[
            (f"a{s}", "", "is damaged")
            for s in (".graphml", ".gexf", ".gml", ".json", ".npz", ".zip")
        ],
        *[
            (f"a{s}", b"\xff\xfe\x80", "is damaged")
            for s in (".gml", ".json", ".txt", ".gexf", ".g6")
        ],
        ("a.g6", "Bw\nDQ", "is damaged, not graph6: line 2, 'DQ', .*Expected 10 bits"),
        ("a.g6", "Bw\nD Q", "line 2, 'D Q', is cut short or wrong"),
        ("a.g6", "?", "graph 0: it has no nodes"),
        ("a.g6", "~~~~~~~~", "line 1"),
        ("a.s6", ":", "not sparse6: line 1, ':', is cut short"),
        ("a.s6", ":~~~~~~~~", "line 1, .*more than 258047 nodes"),
        ("a.s6", ":A\x01", "line 1, .*characters from"),
        ("a.graphml", "<graphml><graph>", "not GraphML: no element found"),
        ("a.graphml", "<html/>", "holds no graphs, expected GraphML"),
        ("a.graphml", BOMB, "is damaged"),
        ("a.graphml", GRAPHML.format("string", ""), "graph 0: it has no nodes"),
        ("a.graphml", GRAPHML.format("string", "<node/>"), "lists 0 nodes with an id"),
        ("a.graphml", GRAPHML.format("string", '<node id="a"/>' * 2), "lists 2 .* name 1 nodes"),
        (
            "a.graphml",
            GRAPHML.format("string", '<node id="a"/><edge source="a" target="b"/>'),
            "lists 1 nodes with an id, but ids and edges name 2 nodes",
        ),
        (
            "a.graphml",
            GRAPHML.format("string", NODE.format("a", "1 x")),
            "graph 0: node 'a' has the features '1 x', expected finite numbers",
        ),
        (
            "a.graphml",
            GRAPHML.format("string", NODE.format("a", "1 2") + NODE.format("b", "1")),
            "node 1 of graph 0 of .*a.graphml has 1 features, expected 2",
        ),
        ("a.graphml", GRAPHML.format("double", NODE.format("a", "nan")), "features nan, expected"),
        ("a.gexf", "<gexf/>", "not GEXF: No <graph> element"),
        ("a.gml", "graph [ node [ id 1 ]", "not GML: expected ']', found EOF"),
        ("a.gml", "graph [ node [ id 1 ] node [ id 1 ] ]", "node id 1 is duplicated"),
        ("a.gml", "graph 3", "not GML"),
        ("a.json", "{", "not node-link JSON"),
        ("a.json", "[" * 100000, "not node-link JSON"),
        ("a.json", "[]", "holds no graphs"),
        ("a.json", "3", "graph 0 must have 'nodes' and 'edges'"),
        ("a.json", f"[{one_node()}, {{}}]", "graph 1 must have 'nodes' and 'edges'"),
        ("a.json", '{"nodes": [1], "links": []}', "graph 0 must have"),
        ("a.json", '{"nodes": [{"id": 1}], "links": [{"source": 1}]}', "graph 0 must have"),
        (
            "a.json",
            '{"nodes": [{"id": 1}], "links": [{"source": 1, "target": 2}]}',
            "graph 0 lists 1 nodes with an id, but ids and edges name 2",
        ),
        ("a.json", one_node(features=[1, float("nan")]), r"node 1 has the features \[1, nan\]"),
        ("a.json", one_node(features=["a"]), "node 1 has the features"),
        ("a.json", one_node(features=[[1]]), "node 1 has the features"),
        ("a.json", one_node(features=[]), "node 1 has the features"),
        ("a.json", one_node(label=float("inf")), "node 1 has the label inf, expected a finite"),
        ("a.json", one_node(label={}), "node 1 has the label {}"),
        ("a.edges", "0 1\n2\n", "not an edge list: line 2 is '2', expected two nodes"),
        ("a.edges", "0 1\n1 2 nan\n", "line 2 is '1 2 nan'"),
        ("a.edges", "0,1\n1,\n", "line 2 is '1,'"),
        ("a.txt", "this is no list of edges", "line 1 is 'this is"),
        ("a.txt", "source target\n0 1\n1 2\n", "'source', 'target'., which seems to be a heading"),
        ("a.zip", "text", "a.zip is damaged .File is not a zip file"),
        (
            "a.xyz",
            "text",
            "a.xyz has the suffix '.xyz', expected .npz, .g6, .* or a zip or folder",
        ),
        ("a", "text", "a has the suffix '', expected"),
        ("a_A.txt", "1, 2", "a_graph_indicator.txt is missing"),
    ],
)
def test_damaged_files(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(datasets.DataError, match=message) as caught:
        datasets.read_graphs(path)
    assert str(path.parent) in str(caught.value) and "\n" not in str(caught.value)


def test_missing_files_and_empty_folders(tmp_path):
    for name in ("absent.npz", "absent.g6", "absent.zip", "absent", "~no-such-user/a.npz"):
        with pytest.raises(datasets.DataError, match=f"{name} is missing"):
            datasets.read_graphs(name if name[0] == "~" else tmp_path / name)
    with pytest.raises(datasets.DataError, match="holds no graphs, expected files of .npz, .g6"):
        datasets.read_graphs(tmp_path)


MULTI, LOOP = nx.MultiGraph([(0, 1)]), nx.Graph([(0, 1), (1, 1)])


@pytest.mark.parametrize(
    "name, given, error, message",
    [
        (
            "a.g6",
            DIRECTED,
            ValueError,
            "graph 0 has directed edges, which graph6 doesn't hold; use",
        ),
        ("a.npz", DIRECTED, ValueError, "graph 0 has directed edges, which npz doesn't hold; use"),
        (
            "a.s6",
            EVERYTHING,
            ValueError,
            "graph 0 has features, which sparse6 doesn't hold; use .npz",
        ),
        ("a.gml", attributed(), ValueError, "`graphs` has several graphs, which GML doesn't hold"),
        ("a.gml", TEXTS[:1], ValueError, "graph 0 has labels, which GML doesn't hold"),
        (
            "a.npz",
            TEXTS,
            ValueError,
            "node 0 of graph 0 has the label 'C0'; an npz file holds numb",
        ),
        ("a.npz", [TEXTS[0], KARATE], ValueError, "label"),
        ("a.npz", attributed(node={"label": lambda row: 2**70}), ValueError, "at most 64 bits"),
        ("a.json", [EVERYTHING[0], KARATE], ValueError, "node 0 of graph 1 has no features, exp"),
        (
            "a.json",
            attributed(edge={"features": lambda row: np.nan}),
            ValueError,
            "graph 0 .* edge",
        ),
        ("a.json", [MULTI], ValueError, "graph 0 has parallel edges or self loops"),
        ("a.json", [LOOP], ValueError, "graph 0 has parallel edges or self loops"),
        ("a.json", [KARATE, nx.Graph()], ValueError, "graph 1 can't be written: it has no nodes"),
        ("a.json", [], ValueError, "`graphs` must hold at least one"),
        ("a.json", KARATE, TypeError, "`graphs` must be a sequence of networkx graphs"),
        ("a.json", ["graph"], TypeError, "`graphs` must be a sequence of networkx graphs"),
        (
            "a.gexf",
            [KARATE],
            datasets.DataError,
            "has the suffix '.gexf', expected .npz, .* or .json",
        ),
        ("a", [KARATE], datasets.DataError, "has the suffix '', expected .npz, .* or .json"),
        ("absent/a.g6", [KARATE], datasets.DataError, "a.g6 can't be written .No such file"),
    ],
)
def test_what_cannot_be_written(tmp_path, name, given, error, message):
    with pytest.raises(error, match=message):
        datasets.write_graphs(tmp_path / name, given)
    assert not list(tmp_path.iterdir())


def test_random_split():
    items = list("abcdefghij")
    train, validation, test = datasets.random_split(items, (0.6, 0.3, 0.1), seed=1)
    assert (len(train), len(validation), len(test)) == (6, 3, 1)
    assert sorted(train + validation + test) == items
    assert datasets.random_split(items, (0.6, 0.3, 0.1), seed=1) == (train, validation, test)
    assert datasets.random_split(items, (0.6, 0.3, 0.1), seed=2)[0] != train
    for fractions, message in (
        ((0.9, 0.2), "sum to at most 1, got .0.9, 0.2"),
        ((0.5, -0.1), "must be positive"),
        ((0.5, np.nan), "must be positive"),
        ((), "must be positive"),
        ((0.9, 0.01), "must leave no part empty, got .0.9, 0.01., which are .9, 0. of 10"),
    ):
        with pytest.raises(ValueError, match=message):
            datasets.random_split(items, fractions)


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
        ({"edges": npz_arrays()["edges"].astype(object)}, "not an npz file of arrays"),
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
        datasets.DataError, match="graphs.npz is damaged: not an npz file of arrays"
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
        ("A", "1, 2\n2, ", "is damaged"),
        ("A", "1, 2, 3\n", "is damaged: 1 lines of 3 numbers, expected lines of 2"),
        ("A", "1, 2\n2, 1\n2, 4\n", r"it has edge \[2, 4\] in line 3, expected its reverse"),
        (
            "A",
            "1, 2\n2, 1\n2, 9\n9, 2\n",
            r"in line 3: nodes \[2, 9\], expected numbers from 1 to 5",
        ),
        ("A", "1, 3\n3, 1\n", r"in line 1: nodes \[1, 3\] are of different graphs"),
        ("A", "one, two\n", "is damaged"),
        ("graph_indicator", "1\n1\n3\n1\n3\n", "expected every graph from 1 to 2, got 1 to 3"),
        ("node_labels", "0\n1\n2\n", "it has 3 lines, expected 5"),
        ("node_attributes", "0.5, 1\n1.5\n", "is damaged"),
        ("edge_labels", "7\n7\n", "it has 2 lines, expected 6"),
        ("graph_labels", "1\n", "it has 1 lines, expected 2"),
        ("graph_labels", "1\none\n", "is damaged"),
        ("A", "", "is damaged"),
        ("graph_indicator", "", "is damaged"),
        ("node_labels", "", "is damaged"),
        ("node_attributes", "1\n2\nnan\n4\n5\n", r"in line 3: \[nan\], expected finite numbers"),
        ("graph_attributes", "1, 2\n3, -inf\n", r"in line 2: \[3.0, -inf\], expected finite"),
        ("graph_indicator", "0\n0\n1\n0\n1\n", "expected every graph from 1 to 2, got 0 to 1"),
        ("graph_indicator", "1.5\n1\n2\n1\n2\n", "is damaged"),
        ("A", "1.5, 2\n2, 1.5\n", "is damaged"),
        ("A", "-1, 2\n2, -1\n", r"in line 1: nodes \[-1, 2\], expected numbers from 1 to 5"),
    ],
)
def test_damaged_tu_files(tmp_path, what, text, message):
    folder = write_tu(tmp_path, **{what: text})
    with pytest.raises(datasets.DataError, match=rf"TOY_{what}.txt .*{message}"):
        datasets.read_graphs(folder)
