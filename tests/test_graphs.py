"""The GraphsTuple door."""

import re

import networkx as nx
import numpy as np
import pytest
import tensorflow as tf

import gnf_tf
from gnf_tf import datasets, graphs, metrics, models
from gnf_tf.graphs import segments
from tests import cases


def arrays(graph):
    return [np.asarray(value) for value in graph]


def assert_equal(a, b):
    for field, x, y in zip(graphs.GraphsTuple._fields, arrays(a), arrays(b), strict=True):
        np.testing.assert_array_equal(x, y, err_msg=field)
        assert x.dtype == y.dtype, field


def test_fully_connected():
    graph = graphs.fully_connected([2, 0, 1], node_size=3, dtype=tf.float64)
    assert graph.nodes.shape == [3, 3] and graph.nodes.dtype == tf.float64
    pairs = set(zip(graph.senders.numpy(), graph.receivers.numpy(), strict=True))
    assert pairs == {(0, 0), (0, 1), (1, 0), (1, 1), (2, 2)}
    np.testing.assert_array_equal(graph.n_edge, [4, 0, 1])
    graphs.validate(graph)


def test_edgeless():
    graph = graphs.edgeless([2, 0, 1], node_size=3)
    assert graph.senders.shape == [0] and graph.edges.shape == [0, 0]
    np.testing.assert_array_equal(graph.n_edge, [0, 0, 0])
    graphs.validate(graph)


@pytest.mark.parametrize(
    "n_node", [[], [-1], [[2]], [2.9], ["2"], [True], [None], 2, [[1], [1, 2]], iter([2])]
)
def test_sizes_are_checked(n_node):
    for make in (graphs.fully_connected, graphs.edgeless):
        with pytest.raises(ValueError, match="`n_node` must be a non-empty sequence of whole num"):
            make(n_node, 2)
    for node_size, rule in ((-1, "at least 0"), (2.0, "a whole number"), (None, "a whole number")):
        with pytest.raises(ValueError, match=f"`node_size` must be {rule}, got {node_size}"):
            graphs.edgeless([2], node_size)


def undirected():
    """Labels that are no integers, a self loop, an isolated node, features everywhere."""
    graph = nx.Graph(features=[7.0])
    graph.add_nodes_from((label, {"features": [i, -i]}) for i, label in enumerate("abcd"))
    graph.add_edge("b", "a", features=0.5)
    graph.add_edge("c", "c", features=1.5)
    return graph


def test_from_networkx_by_hand():
    graph = graphs.from_networkx([undirected()])
    np.testing.assert_array_equal(graph.nodes, [[0, 0], [1, -1], [2, -2], [3, -3]])
    edges = list(zip(*map(lambda t: t.numpy().tolist(), (graph.senders, graph.receivers))))  # noqa: B905
    assert sorted(edges) == [(0, 1), (1, 0), (2, 2)]  # an edge both ways, a self loop once
    by_pair = dict(zip(edges, graph.edges.numpy()[:, 0], strict=True))
    assert by_pair == {(0, 1): 0.5, (1, 0): 0.5, (2, 2): 1.5}
    np.testing.assert_array_equal(graph.globals, [[7.0]])


def same(a, b):
    """Isomorphic with features; a scalar feature comes back as a vector."""

    def match(x, y):
        return np.array_equal(np.atleast_1d(x.get("features", [])), y.get("features", []))

    return type(a) is type(b) and nx.is_isomorphic(
        a, b, node_match=match, edge_match=None if a.is_multigraph() else match
    )


def test_networkx_round_trip():
    directed = nx.DiGraph([(0, 1), (1, 2), (2, 2)])
    repeated = nx.MultiDiGraph([(0, 1), (0, 1), (1, 0)])
    empty, single = nx.Graph(), nx.empty_graph(1)
    members = [nx.karate_club_graph(), directed, repeated, empty, single, nx.path_graph(4)]
    for node, data in members[0].nodes(data=True):
        data["features"] = [float(node)]
    graph = graphs.from_networkx([members[0]])
    assert same(nx.Graph(members[0]), graphs.to_networkx(graph)[0])
    back = graphs.to_networkx(graphs.from_networkx(members[1:]))
    assert [type(m) for m in back] == [nx.DiGraph, nx.MultiDiGraph, nx.Graph, nx.Graph, nx.Graph]
    assert all(same(a, b) for a, b in zip(members[1:], back, strict=True))
    assert same(undirected(), graphs.to_networkx(graphs.from_networkx([undirected()]))[0])


def test_from_networkx_errors():
    with pytest.raises(ValueError, match="at least one graph"):
        graphs.from_networkx([])
    for given, message in (
        (nx.path_graph(2), "`graphs` must be a sequence of networkx graphs, got a single one"),
        (None, "`graphs` must be a sequence of networkx graphs, got NoneType"),
        ([nx.path_graph(2), 1], "graph 1 of `graphs` must be a networkx graph, got 1"),
        ("ab", "`graphs` must be a sequence of networkx graphs, got str"),
    ):
        with pytest.raises(TypeError, match=message):
            graphs.from_networkx(given)
    graph = undirected()
    del graph.nodes["c"]["features"]
    with pytest.raises(ValueError, match="node 'c' of graph 1 has no 'features'"):
        graphs.from_networkx([undirected(), graph])
    graph.nodes["c"]["features"] = [1.0]
    with pytest.raises(ValueError, match=r"node 'c' of graph 0 .* shape \(1,\)"):
        graphs.from_networkx([graph])


@pytest.mark.parametrize("dtype", [tf.float64, np.float64, "float64", np.dtype("float64")])
def test_a_dtype_may_have_any_name(dtype):
    for member in (undirected(), nx.path_graph(2)):
        graph = graphs.from_networkx([member], dtype=dtype)
        assert {values.dtype for values in (graph.nodes, graph.edges, graph.globals)} == {
            tf.float64
        }


def test_batch_and_unbatch():
    graph = cases.mixed_graph()
    members = graphs.unbatch(graph)
    assert [int(m.n_node[0]) for m in members] == [3, 1, 0, 4]
    for member in members:
        graphs.validate(member)
    assert_equal(graphs.batch(members), graph)
    assert_equal(graphs.batch(iter(members)), graph)
    with pytest.raises(ValueError, match="at least one GraphsTuple"):
        graphs.batch([])
    with pytest.raises(TypeError, match="sequence of GraphsTuples, got a single one"):
        graphs.batch(graph)
    with pytest.raises(TypeError, match="sequence of GraphsTuples, got NoneType"):
        graphs.batch(None)
    with pytest.raises(TypeError, match="graph 1 of `graphs` must be a GraphsTuple, got Graph"):
        graphs.batch([graph, nx.path_graph(2)])
    with pytest.raises(ValueError, match="agree in dtype and width of `nodes`"):
        graphs.batch([graphs.edgeless([1], 2), graphs.edgeless([1], 3)])


@pytest.mark.parametrize("width", ["known", "unknown"])
@pytest.mark.parametrize("where", ["all", "first", "last"])
def test_batch_with_dynamic_sizes(where, width):
    """In a `tf.function`, where the rows of all graphs, or of some, are known only at the call."""
    members = [cases.mixed_graph(seed=n, n_node=(n, 0, 4)) for n in (3, 1, 2)]
    members[1] = members[1].replace(n_node=tf.cast(members[1].n_node, tf.int64))

    def spec(value):
        widths = value.shape[1:] if width == "known" else [None] * (value.shape.rank - 1)
        return tf.TensorSpec([None, *widths], value.dtype)

    static = {"all": members[:0], "first": members[1:], "last": members[:-1]}[where]
    specs = [tf.nest.map_structure(tf.TensorSpec.from_tensor, g) for g in members]
    for i, member in enumerate(members):
        if not any(member is other for other in static):
            specs[i] = tf.nest.map_structure(spec, member)
    batched = tf.function(graphs.batch, input_signature=[specs])
    assert_equal(batched(members), graphs.batch(members))


def test_pad_by_hand():
    graph = graphs.from_networkx([nx.path_graph(2)]).replace(nodes=tf.zeros([2, 1]))
    padded = graphs.pad(graph.replace(nodes=tf.constant([[1.0], [2.0]])), 5, 4, 4)
    np.testing.assert_array_equal(padded.nodes[:, 0], [1, 2, 0, 0, 0])
    np.testing.assert_array_equal(padded.senders, [0, 1, 2, 2])
    np.testing.assert_array_equal(padded.receivers, [1, 0, 2, 2])
    np.testing.assert_array_equal(padded.n_node, [2, 3, 0, 0])
    np.testing.assert_array_equal(padded.n_edge, [2, 2, 0, 0])
    np.testing.assert_array_equal(graphs.graph_mask(padded), [True, False, False, False])
    np.testing.assert_array_equal(graphs.node_mask(padded), [True, True, False, False, False])
    np.testing.assert_array_equal(graphs.edge_mask(padded), [True, True, False, False])
    graphs.validate(padded)


@pytest.mark.parametrize("n_node", [(3, 1, 0, 4), (3, 0), (0, 0), (1,)])
def test_unpad_undoes_pad(n_node):
    """Also where the last real graphs have no nodes."""
    graph = cases.mixed_graph(n_node=n_node)
    assert_equal(graphs.unpad(graphs.pad(graph, 20, 40, 9)), graph)
    sizes = (sum(n_node) + 1, int(graph.senders.shape[0]), len(n_node) + 1)
    assert_equal(graphs.unpad(graphs.pad(graph, *sizes)), graph)


@pytest.mark.parametrize(
    "sizes, message",
    [
        ((8, 30, 6), "`num_nodes` must be at least 9 here, got 8"),
        ((9, 12, 6), "`num_edges` must be at least 13 here, got 12"),
        ((9, 30, 4), "`num_graphs` must be at least 5 here, got 4"),
        ((9.0, 30, 5), "`num_nodes` must be a whole number, got 9.0"),
        ((9, None, 5), "`num_edges` must be a whole number, got None"),
        ((9, 30, 10**10), "`num_graphs` must be at most 2147483647, got 10000000000"),
    ],
)
def test_pad_too_small(sizes, message):
    with pytest.raises(ValueError, match=message):
        graphs.pad(cases.mixed_graph(), *sizes)


def test_pad_with_dynamic_sizes():
    graph = cases.mixed_graph()
    signature = graphs.GraphsTuple(
        *(tf.TensorSpec([None, *value.shape[1:]], value.dtype) for value in graph)
    )
    pad = tf.function(lambda g: graphs.pad(g, 12, 30, 6), input_signature=[signature])
    padded = pad(graph)
    assert pad.get_concrete_function().structured_outputs.nodes.shape == [12, 4]
    assert_equal(padded, graphs.pad(graph, 12, 30, 6))


@pytest.mark.parametrize(
    "options", [None, {}, {"jit_compile": True}], ids=["eager", "graph", "xla"]
)
def test_segments(options):
    def segments(graph):
        return (
            graphs.node_graph_ids(graph),
            graphs.edge_graph_ids(graph),
            graphs.sum_nodes(graph.nodes, graph),
            graphs.to_nodes(tf.range(4.0)[:, tf.newaxis], graph),
        )

    graph = cases.mixed_graph()
    run = segments if options is None else tf.function(segments, **options)
    nodes, edges, sums, spread = run(graph)
    np.testing.assert_array_equal(nodes, [0, 0, 0, 1, 3, 3, 3, 3])
    np.testing.assert_array_equal(edges, [0] * 6 + [3] * 7)
    np.testing.assert_array_equal(spread[:, 0], nodes)
    expected = [graph.nodes[:3], graph.nodes[3:4], graph.nodes[:0], graph.nodes[4:]]
    np.testing.assert_allclose(sums, [np.sum(part, axis=0) for part in expected])


def test_work_of_segments_is_linear_under_xla():
    """No tensor of the compiled program has a number for each pair of a node and a graph."""
    graph = cases.mixed_graph(n_node=[4] * 300)

    @tf.function(jit_compile=True)
    def spread_sums(graph):
        sums = graphs.sum_nodes(graph.nodes, graph)
        return sums, graphs.to_nodes(sums, graph), graphs.edge_graph_ids(graph)

    program = spread_sums.experimental_get_compiler_ir(graph)(stage="optimized_hlo")
    shapes = re.findall(r"[a-z]+[0-9]+\[([0-9,]+)\]", program)
    largest = max(np.prod([int(n) for n in shape.split(",")]) for shape in shapes)
    assert tf.size(graph.nodes) <= largest < 300 * 1200 / 10


def test_missing_fields_are_filled_and_restored():
    graph = graphs.GraphsTuple(
        nodes=np.ones([3, 2], np.float32),
        edges=None,
        globals=None,
        senders=np.array([0], np.int64),
        receivers=np.array([1], np.int64),
        n_node=np.array([3]),
        n_edge=np.array([1]),
    )
    filled = graphs.fill_missing(graph)
    assert filled.edges.shape == [1, 0] and filled.globals.shape == [1, 0]
    assert filled.edges.dtype == tf.float32 and filled.senders.dtype == tf.int32
    restored = graphs.restore_missing(filled, graph)
    assert restored.edges is None and restored.globals is None
    with pytest.raises(ValueError, match="`graph.receivers` must not be None"):
        graphs.fill_missing(graph.replace(senders=None, receivers=None))


def _broken(**fields):
    return cases.mixed_graph().replace(**fields)


@pytest.mark.parametrize(
    "graph, message",
    [
        (_broken(nodes=tf.zeros([8], tf.float64)), "`graph.nodes` must have rank 2"),
        (_broken(nodes=tf.zeros([8, 4], tf.int32)), "`graph.nodes` must be floating point"),
        (_broken(edges=tf.zeros([13, 2])), "`graph.edges` must have the nodes' dtype, float64"),
        (_broken(nodes=tf.zeros([8, 3], tf.float64)), "`graph.nodes` must have width 4"),
        (_broken(senders=tf.zeros([13])), "`graph.senders` must be int32 or int64, got float32"),
        (_broken(n_node=tf.constant([[8]])), "`graph.n_node` must have rank 1"),
        (_broken(receivers=tf.zeros([12], tf.int32)), "`graph.receivers` must have as many rows"),
        (_broken(edges=tf.zeros([3, 2], tf.float64)), "`graph.edges` must have as many rows"),
        (_broken(globals=tf.zeros([3, 1], tf.float64)), "`graph.globals` must have as many rows"),
        (_broken(n_node=tf.constant([3, 1, 1, 4])), "`graph.n_node` must add up .* 8, got 9"),
        (_broken(n_node=tf.constant([4, 1, -1, 4])), "`graph.n_node` must not be negative, got -1"),
        (_broken(n_edge=tf.constant([6, 0, 0, 6])), "`graph.n_edge` must add up .* 13, got 12"),
        (
            _broken(senders=tf.constant([0, 1, 2, 0, 0, 9, 4, 5, 6, 7, 4, 4, 7])),
            "`graph.senders` must stay .* edge 5 of graph 0 has 9, expected 0 to 2",
        ),
        (
            _broken(receivers=tf.constant([1, 2, 0, 0, 1, 0, 0, 6, 7, 4, 4, 5, 4])),
            "`graph.receivers` must stay .* edge 6 of graph 3 has 0, expected 4 to 7",
        ),
        (
            _broken(edges=tf.fill([13, 2], tf.constant(np.nan, tf.float64))),
            "`graph.edges` must be fin",
        ),
        (graphs.edgeless([1], 4).replace(n_node=tf.zeros([0], tf.int32)), "at least one graph"),
    ],
)
def test_validate_names_what_is_wrong(graph, message):
    with pytest.raises(ValueError, match=message):
        graphs.validate(graph, node_size=4)


@pytest.mark.parametrize(
    "door",
    [
        graphs.unbatch,
        graphs.to_networkx,
        lambda graph: graphs.pad(graph, 20, 40, 9),
        lambda graph: metrics.novelty([nx.path_graph(2)], graph),
        models.GraphGenerator.for_data,
    ],
)
@pytest.mark.parametrize(
    "changes, message",
    [
        ({"n_edge": [4, 4, 4]}, "`graph.senders` must stay .* edge 2 of graph 0 has 2, expected 0"),
        ({"n_edge": [2, 4, 7]}, "`graph.n_edge` must add up to the rows .* 12, got 13"),
        ({"n_node": [2, 2, 5]}, "`graph.receivers` must stay|`graph.senders` must stay"),
        ({"n_node": [2, 3, 5]}, "`graph.n_node` must add up to the rows .* 9, got 10"),
        ({"receivers": np.zeros(11, np.int32)}, "`graph.receivers` must have as many rows"),
    ],
)
def test_malformed_graphs_are_refused_at_every_door(door, changes, message):
    graph = graphs.from_networkx([nx.path_graph(n) for n in (2, 3, 4)])
    door(graph)
    with pytest.raises(ValueError, match=message):
        door(graph.replace(**changes))


@pytest.mark.parametrize(
    "door",
    [
        graphs.unbatch,
        gnf_tf.NodePrior,
        lambda graph: gnf_tf.GNF(1, 2, validate_args=True).forward(graph),
        datasets.GraphRows,
    ],
)
@pytest.mark.parametrize(
    "changes, message",
    [
        ({"n_node": 3}, r"`graph.n_node` must have rank 1, got shape \(\)"),
        ({"senders": 0}, r"`graph.senders` must have rank 1, got shape \(\)"),
        ({"nodes": [[1.0, 2.0], [3.0, 4.0], [5.0]]}, r"`graph.nodes`|node features must be an arr"),
        ({"senders": [0, [1]]}, "`graph.senders` must be an array"),
        ({"senders": np.array([0, 2**32 + 1])}, "`graph.senders` must stay within .* edge 1"),
        ({"n_edge": np.array([2 + 2**32])}, "`graph.n_edge` must add up"),
    ],
)
def test_fields_that_cannot_be_read_are_named(door, changes, message):
    graph = graphs.GraphsTuple(
        nodes=np.ones([3, 2], np.float32),
        edges=None,
        globals=None,
        senders=[0, 1],
        receivers=[1, 2],
        n_node=[3],
        n_edge=[2],
    )
    door(graph)
    with pytest.raises(ValueError, match=message):
        door(graph.replace(**changes))


def test_validate_accepts_good_graphs():
    graphs.validate(cases.mixed_graph(), node_size=4, edge_size=2, global_size=1)
    graphs.validate(cases.mixed_graph().replace(edges=None, globals=None))
    with pytest.raises(ValueError, match="`graph.edges` must have width 2, got None"):
        graphs.validate(cases.mixed_graph().replace(edges=None), edge_size=2)


INDEX = tf.constant([2, 0, 2, 1, 0], tf.int32)


def in_both(function, *args):
    """What eager execution and XLA give."""
    compiled = tf.function(function, jit_compile=True, autograph=False)(*args)
    return function(*args), compiled


def test_gather_and_scatter_sum_are_transposes_also_in_xla():
    rng = np.random.default_rng(0)
    nodes, edges = rng.normal(size=[4, 2, 3]), rng.normal(size=[5, 2, 3])
    matrix = np.eye(4)[INDEX.numpy()]  # [edges, nodes]

    def gathered(nodes, d_edges):
        with tf.GradientTape() as tape:
            tape.watch(nodes)
            out = graphs.gather(nodes, INDEX)
        return out, tape.gradient(out, nodes, output_gradients=d_edges)

    def summed(edges, d_nodes):
        with tf.GradientTape() as tape:
            tape.watch(edges)
            out = graphs.scatter_sum(edges, INDEX, 4)
        return out, tape.gradient(out, edges, output_gradients=d_nodes)

    there = np.einsum("en,nij->eij", matrix, nodes)
    back = np.einsum("en,eij->nij", matrix, edges)
    for out, gradient in in_both(gathered, tf.constant(nodes), tf.constant(edges)):
        np.testing.assert_allclose(out, there)
        np.testing.assert_allclose(tf.convert_to_tensor(gradient), back)
    for out, gradient in in_both(summed, tf.constant(edges), tf.constant(nodes)):
        np.testing.assert_allclose(out, back)
        np.testing.assert_allclose(gradient, there)


def test_gather_and_scatter_sum_have_second_derivatives():
    def second(x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                edges = graphs.gather(x, INDEX) ** 2
                y = tf.reduce_sum(graphs.scatter_sum(edges, INDEX, 3) ** 2)
            first = tf.convert_to_tensor(inner.gradient(y, x))
        return outer.gradient(first, x)

    x = np.array([0.5, -1.0, 2.0])
    degree = np.array([2.0, 1.0, 2.0])  # y = sum_v degree_v^2 x_v^4
    for value in in_both(second, tf.constant(x)):
        np.testing.assert_allclose(tf.convert_to_tensor(value), 12.0 * degree**2 * x**2)


def test_propagate_is_a_product_with_the_adjacency_matrix():
    senders, receivers = tf.constant([0, 1, 1, 2], tf.int32), tf.constant([1, 0, 2, 2], tf.int32)
    matrix = np.zeros([3, 3])
    matrix[receivers, senders] = 1.0

    def derivatives(x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                total = graphs.propagate(x**2, senders, receivers)
                y = tf.reduce_sum(total**2)
            first = tf.convert_to_tensor(inner.gradient(y, x))
        return total, first, tf.convert_to_tensor(outer.gradient(first, x))

    x = np.array([[0.5, 1.0], [-1.0, 2.0], [2.0, -3.0]])
    total = matrix @ x**2
    first = 4.0 * x * (matrix.T @ total)
    second = 4.0 * (matrix.T @ total) + 8.0 * x * (matrix.T @ matrix @ x)
    for found in in_both(derivatives, tf.constant(x)):
        for a, b in zip(found, (total, first, second), strict=True):
            np.testing.assert_allclose(a, b)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_bad_value_stays_in_its_row(bad):
    values = tf.constant([bad, 1.0, 2.0, 3.0, 4.0])
    for out in in_both(lambda values: graphs.scatter_sum(values, INDEX, 4), values):
        np.testing.assert_array_equal(out, [5.0, 3.0, bad, 0.0])


def test_no_edges_sum_to_zero():
    none = tf.zeros([0], tf.int32)
    for out in in_both(lambda values: graphs.scatter_sum(values, none, 3), tf.zeros([0, 2])):
        np.testing.assert_array_equal(out, np.zeros([3, 2]))


def sums_along_edges(nodes, edges, senders, receivers):
    """The sums that know the order of edges, with gradients, and second ones of `propagate`."""
    inputs = [nodes, edges]
    with tf.GradientTape() as outer:
        outer.watch(inputs)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            total = graphs.scatter_sum(edges * graphs.gather(nodes, senders), receivers, 7)
            total += graphs.propagate(nodes**2, senders, receivers)
            loss = tf.reduce_sum(total**3)
        first = [tf.convert_to_tensor(g) for g in tape.gradient(loss, inputs)]
        again = tf.reduce_sum(first[0] ** 2) + tf.reduce_sum(first[1] ** 2)
    return [total, *first, *map(tf.convert_to_tensor, outer.gradient(again, inputs))]


@pytest.mark.parametrize("num_edges", [0, 9])
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
def test_sums_do_not_depend_on_the_order_of_edges(dtype, num_edges):
    """Eager, in a function of unknown sizes, and in a loop in one; some nodes have no edges."""
    rng = np.random.default_rng(0)
    ends = tf.constant(rng.integers(5, size=[2, num_edges]), tf.int32)
    nodes, edges = (tf.constant(rng.normal(size=[n, 2]), dtype) for n in (7, num_edges))

    def ordered(nodes, edges, ends, is_loop=False):
        graph = graphs.edgeless([7], 2).replace(senders=ends[0], receivers=ends[1])
        graph = segments.with_edge_order(graph, segments.EdgeOrder.of(graph))
        args = (nodes, edges, graph.senders, graph.receivers)
        if not is_loop:
            return sums_along_edges(*args)
        start = [tf.zeros_like(x) for x in (nodes, nodes, edges, nodes, edges)]
        return tf.while_loop(
            lambda i, *_: i < 2, lambda i, *_: (i + 1, *sums_along_edges(*args)), (0, *start)
        )[1:]

    sizes = [tf.TensorSpec([None, 2], dtype)] * 2 + [tf.TensorSpec([2, None], tf.int32)]
    compiled = tf.function(ordered, autograph=False)
    expected = sums_along_edges(nodes, edges, *ends)
    close = {"float64": 1e-12, "float32": 1e-4}.get(dtype, 0.05)
    for found in (
        ordered(nodes, edges, ends),
        compiled.get_concrete_function(*sizes)(nodes, edges, ends),
        compiled.get_concrete_function(*sizes, is_loop=True)(nodes, edges, ends),
    ):
        for a, b in zip(found, expected, strict=True):
            assert a.dtype == dtype
            np.testing.assert_allclose(
                tf.cast(a, tf.float64), tf.cast(b, tf.float64), rtol=close, atol=close
            )
