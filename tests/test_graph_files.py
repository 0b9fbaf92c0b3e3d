"""Files of graphs that networkx reads: each format there and back, and errors for damaged files."""

import json
import shutil

import networkx as nx
import numpy as np
import pytest

from gnf_tf import datasets, graphs


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


@pytest.mark.parametrize("kind", [bool, np.bool_])
def test_true_and_false_are_labels_1_and_0(tmp_path, kind):
    datasets.write_graphs(tmp_path / "a.json", attributed(node={"label": lambda row: kind(row)}))
    (graph, *_) = datasets.read_graphs(tmp_path / "a.json")
    assert [graph.nodes[node]["label"] for node in (0, 1)] == [0, 1]


@pytest.mark.parametrize(
    "suffix, expected",
    [
        *[(s, attributed()) for s in (".npz", ".g6", ".graph6", ".s6", ".sparse6", ".JSON")],
        *[(suffix, EVERYTHING) for suffix in (".npz", ".json", ".graphml")],
        *[(suffix, TEXTS) for suffix in (".json", ".graphml")],
        *[(suffix, DIRECTED) for suffix in (".json", ".graphml", ".gml")],
        (".gml", attributed(node=FEATURES, edge=FEATURES, graph=FEATURES)[:1]),
        (".json", attributed(node={"label": lambda row: np.array([row, 1.5])})),
        (".npz", attributed(node={"label": lambda row: np.array(row)})),
        (".json", attributed(node={"label": lambda row: np.array(row / 4)})),
        (".json", attributed(node={"label": lambda row: "a\0\r\n\x1b\ud800\uffff"})),
        (".graphml", attributed(node={"label": lambda row: "a\t\nb\x7f\x85 <&\U0001f600"})),
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


@pytest.mark.parametrize("suffix", [".g6", ".s6", ".json", ".graphml", ".gml"])
def test_a_byte_order_mark_is_ignored(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    datasets.write_graphs(path, DIRECTED if suffix == ".gml" else attributed())
    found = datasets.read_graphs(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert_same(datasets.read_graphs(path), found)


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
        ("a.g6", "Bw\nD Q", "line 2, 'D Q', is truncated or wrong"),
        ("a.g6", "&BP_", "it is in digraph6 or incremental sparse6, which are not read"),
        ("a.g6", "?", "graph 0: it has no nodes"),
        ("a.g6", "~~~~~~~~", "line 1"),
        ("a.s6", ":", "not sparse6: line 1, ':', is truncated"),
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
        *[
            (
                "a.json",
                f'{{"{name}": {value}, "nodes": [{{"id": 1}}], "links": []}}',
                f"graph 0 must have true or false as '{name}', got",
            )
            for name in ("directed", "multigraph")
            for value in ('"false"', "0", "null", "[]")
        ],
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
        ("a.txt", "source,target\nann,bob\n", "'source', 'target'., which seems to be a heading"),
        ("a.txt", '"From","To"\n', "which seems to be a heading"),
        (
            "a.txt",
            "source,target,weight\n0,1,2\n",
            "line 1 is 'source,target,weight', expected two",
        ),
        ("a.edges", "#x\n\n0 1 2.5\n1 2\n", "line 4 is '1 2', expected 3 columns, as in line 3"),
        ("a.edges", "0 1\n1 2 3\n", "line 2 is '1 2 3', expected 2 columns, as in line 1"),
        ("a.edges", "0 1 2\n1 2 heavy\n", "line 2 is '1 2 heavy', expected two nodes, and at most"),
        ("a.edges", "0 -> 1\n", "line 1 is '0 -> 1', expected two nodes"),
        ("a.edges", "0 ; 1\n", "line 1 is '0 ; 1', expected two nodes"),
        ("a.edges", "Room 5\t7\n", "expected tabs or spaces between the columns, not both"),
        ("a.edges", "1 2\n\n3 01\n", "line 3 has the node '01', expected '1' as in a line before"),
        ("a.edges", "1,2.0\n2,3.0\n", "line 2 has the node '2', expected '2.0'"),
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


GEXF = (
    '<gexf xmlns="http://www.gexf.net/1.2draft" version="1.2"><graph><attributes class="node">'
    '<attribute id="0" title="features" type="{}"/></attributes><nodes><node id="a"><attvalues>'
    '<attvalue for="0" value="{}"/></attvalues></node></nodes></graph></gexf>'
)


@pytest.mark.parametrize(
    "name, write, message",
    [
        ("a.edges", "0 1 2\n1 2 {}".format, "line 2 is '1 2 {}', expected two nodes"),
        ("a.json", lambda text: one_node(features=text), "node 1 has the features '{}', expected"),
        *[
            (name, write, "expected a number in the digits 0 to 9, got '{}'")
            for kind in ("int", "double")
            for name, write in (
                ("a.graphml", lambda text, kind=kind: GRAPHML.format(kind, NODE.format("a", text))),
                ("a.gexf", lambda text, kind=kind: GEXF.format(kind.replace("int", "long"), text)),
            )
        ],
        (
            "a.graphml",
            lambda text: GRAPHML.format("string", NODE.format("a", text)),
            "node 'a' has the features '{}'",
        ),
        ("a.gexf", lambda text: GEXF.format("string", text), "node 'a' has the features '{}'"),
    ],
)
@pytest.mark.parametrize("text", ["1_0", "\u0661", "\uff11"])
def test_numbers_that_only_python_reads(tmp_path, name, write, message, text):
    path = tmp_path / name
    path.write_bytes(write("10").encode())
    datasets.read_graphs(path)
    path.write_bytes(write(text).encode())
    with pytest.raises(datasets.DataError, match=message.format(text)):
        datasets.read_graphs(path)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("0 1\n1 2\n", [(0, 1), (1, 2)]),
        ("0,1\n1\t2\n2  3\n", [(0, 1), (1, 2), (2, 3)]),
        ("0 \t1\t 5\n1\t2 \t6\n", [(0, 1), (1, 2)]),
        ("10 1_0\n", [(0, 1)]),  # two names: the second is no number
        ("0 1#2\n1 2 # 3\n% 3 4\n2 3\t% 4\n", [(0, 1), (1, 2), (2, 3)]),
        ("a b%c\nb%c d{e}\n", [(0, 1), (1, 2)]),
        ("New York,Boston,306\nBoston,Paris,5531\n", [(0, 1), (1, 2)]),
        ("user 1\nuser item\n", [(0, 1), (0, 2)]),
        ("1 1\n1 2\n2 1\n1 2\n", [(0, 1)]),
        ("01 002\n002 03\n", [(0, 1), (1, 2)]),
    ],
)
def test_readings_of_edge_lists(tmp_path, text, expected):
    path = tmp_path / "a.edges"
    path.write_text(text)
    (found,) = datasets.read_graphs(path)
    assert edges(found) == expected and len(found) == 1 + max(map(max, expected))


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
            attributed(node={"label": lambda row: [row, 0.5]}),
            ValueError,
            "graph 0 has vector labels, which npz doesn't hold; use .json",
        ),
        (
            "a.npz",
            TEXTS,
            ValueError,
            "node 0 of graph 0 has the label 'C0'; an npz file holds numb",
        ),
        ("a.npz", [TEXTS[0], KARATE], ValueError, "label"),
        *[
            (
                "a.graphml",
                [TEXTS[0], *attributed(**{kind: {"label": lambda row, text=text: text}})],
                ValueError,
                f"{what} of graph 1 has the label 'a.*b', with control characters that GraphML",
            )
            for kind, what in (("node", "node 0"), ("edge", "edge .0, 1."), ("graph", "the whole"))
            for text in ("a\x1bb", "a\0b", "a\r\nb", "a\ud800b", "a\ufffeb")
        ],
        ("a.npz", attributed(node={"label": lambda row: 2**70}), ValueError, "at most 64 bits"),
        (
            "a.npz",
            attributed(node={"label": lambda row: 2**60 + 1 if row else 0.5}),
            ValueError,
            f"node 1 of graph 0 has the label {2**60 + 1}, which an npz file holds as 1.1529215",
        ),
        (
            "a.s6",
            [KARATE, nx.empty_graph(258_048)],
            ValueError,
            "graph 1 has 258048 nodes, and sparse6 holds at most 258047; use .npz",
        ),
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
        ("a.json", ["graph"], TypeError, "graph 0 of `graphs` must be a networkx graph, got 'gr"),
        ("a.json", None, TypeError, "`graphs` must be a sequence of networkx graphs, got NoneType"),
        (
            "a.gexf",
            [KARATE],
            datasets.DataError,
            "has the suffix '.gexf', expected .npz, .* or .json",
        ),
        ("a", [KARATE], datasets.DataError, "has the suffix '', expected .npz, .* or .json"),
        ("absent/a.g6", [KARATE], datasets.DataError, "a.g6 can't be written .*[Nn]o such f"),
    ],
)
def test_what_cannot_be_written(tmp_path, name, given, error, message):
    with pytest.raises(error, match=message):
        datasets.write_graphs(tmp_path / name, given)
    assert not list(tmp_path.iterdir())


def test_defaults_of_attributes_count(tmp_path):
    """A key of GraphML, or an attribute of GEXF, may have a default."""
    keys = "".join(
        f'<key id="{name}" for="{what}" attr.name="{name}" attr.type="{kind}">'
        f"<default>{default}</default></key>"
        for what, name, kind, default in (
            ("node", "class", "string", "A"),
            ("node", "size", "int", "7"),
            ("node", "weight", "double", "1.5"),
            ("node", "train_mask", "boolean", "true"),
            ("edge", "w", "double", "1.0"),
        )
    )
    path = tmp_path / "a.graphml"
    path.write_text(
        f'<graphml>{keys}<graph edgedefault="undirected"><node id="a"/><node id="b">'
        '<data key="class">B</data><data key="train_mask">false</data><data key="size">2</data>'
        '</node><edge source="a" target="b"/></graph></graphml>'
    )
    found = datasets.read_node_graph(path)
    np.testing.assert_array_equal(found.graph.nodes, [[7, 1.5], [2, 1.5]])
    assert found.class_names == ("A", "B") and found.labels.tolist() == [0, 1]
    assert found.train.tolist() == [True, False]
    assert len(datasets.read_graphs(path)[0].edges) == 1
    path = tmp_path / "a.gexf"
    path.write_text(
        '<gexf xmlns="http://www.gexf.net/1.2draft" version="1.2"><graph>'
        '<attributes class="node"><attribute id="0" title="size" type="integer">'
        '<default>5</default></attribute></attributes><nodes><node id="a"/><node id="b">'
        '<attvalues><attvalue for="0" value="3"/></attvalues></node></nodes>'
        '<edges><edge source="a" target="b"/></edges></graph></gexf>'
    )
    np.testing.assert_array_equal(datasets.read_node_graph(path).graph.nodes, [[5], [3]])


def test_edges_and_links_at_once_are_refused(tmp_path):
    path = tmp_path / "a.json"
    nodes, link = [{"id": 0}, {"id": 1}], {"source": 0, "target": 1}
    path.write_text(json.dumps({"nodes": nodes, "links": [link], "edges": []}))
    with pytest.raises(datasets.DataError, match="graph 0 must have 'edges' or 'links', got both"):
        datasets.read_graphs(path)


def test_numbers_of_gml_without_a_point(tmp_path):
    """As printf writes them; networkx takes the exponent for another attribute."""
    (tmp_path / "a.gml").write_text("""graph [ # a "comment, 1e-05
    node [ id 0 label "x 1e-05 y" features 2e-05 features 1E+20 features -3e0 ]
    node [ id 1 features 3e-06 features 1 features +7e-2 ]
    edge [ source 0 target 1 label 2e-05 ] ]""")
    (graph,) = datasets.read_graphs(tmp_path / "a.gml")
    features = [data["features"] for _, data in graph.nodes(data=True)]
    np.testing.assert_array_equal(features, [[2e-5, 1e20, -3.0], [3e-6, 1.0, 0.07]])
    assert list(graph.edges(data="label")) == [(0, 1, 2e-5)]


@pytest.mark.parametrize("of", ['for="all"', ""])
def test_defaults_of_keys_for_everything_count(tmp_path, of):
    (tmp_path / "a.graphml").write_text(
        f"""<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
        <key id="c" {of} attr.name="label" attr.type="string"><default>b</default></key>
        <graph edgedefault="undirected"><node id="n0"><data key="c">a</data></node><node id="n1"/>
        <edge source="n0" target="n1"/></graph></graphml>"""
    )
    (graph,) = datasets.read_graphs(tmp_path / "a.graphml")
    assert dict(graph.nodes(data="label")) == {0: "a", 1: "b"}
    assert graph.edges[0, 1]["label"] == graph.graph["label"] == "b"


@pytest.mark.parametrize("one, other", [("100000", "1e+05"), ("1", "1.0e0"), ("1.5", "1.50")])
def test_nodes_whose_number_is_written_in_two_ways_are_refused(tmp_path, one, other):
    (tmp_path / "a.txt").write_text(f"{one} 2\n3 {other}\n")
    with pytest.raises(datasets.DataError, match="line 2 has the node .* as in a line before"):
        datasets.read_graphs(tmp_path / "a.txt")


def test_a_text_beside_graphs_is_no_graph(tmp_path):
    datasets.write_graphs(tmp_path / "a.json", [nx.path_graph(3)])
    (tmp_path / "notes.txt").write_text("created 2024\n")
    with pytest.raises(datasets.DataError, match="files of other formats beside .*notes.txt"):
        datasets.read_graphs(tmp_path)
    (tmp_path / "a.json").rename(tmp_path / "a.edges").write_text("1 2\n2 3\n")
    assert [len(graph) for graph in datasets.read_graphs(tmp_path)] == [3, 2]


def test_types_of_gexf_1_3(tmp_path):
    attributes = {"features": "listdouble", "label": "short"}
    keys = "".join(f'<attribute id="{k}" title="{k}" type="{v}"/>' for k, v in attributes.items())
    values = '<attvalues><attvalue for="{}" value="{}"/></attvalues>'.format
    nodes = "".join(f'<node id="{i}">{values("features", [i + 0.5, 2])}</node>' for i in range(2))
    edge = f'<edge source="0" target="1">{values("label", 3)}</edge>'
    (tmp_path / "a.gexf").write_text(
        '<gexf xmlns="http://gexf.net/1.3" version="1.3"><graph defaultedgetype="undirected">'
        f'<attributes class="node">{keys}</attributes><attributes class="edge">{keys}</attributes>'
        f"<nodes>{nodes}</nodes><edges>{edge}</edges></graph></gexf>"
    )
    (graph,) = datasets.read_graphs(tmp_path / "a.gexf")
    np.testing.assert_array_equal(graph.nodes[1]["features"], [1.5, 2.0])
    assert graph.edges[0, 1]["label"] == 3
