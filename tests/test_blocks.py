"""Dense blocks of the graphs of a batch."""

import networkx as nx
import numpy as np
import pytest
import tensorflow as tf

from gnf_tf import graphs, models, networks

MEMBERS = [nx.path_graph(3), nx.empty_graph(0), nx.star_graph(4), nx.cycle_graph(4)]
SIZES = [3, 0, 5, 4]


def batch():
    return graphs.fill_missing(graphs.from_networkx(MEMBERS))


def in_xla(function, *arguments):
    return tf.function(function, jit_compile=True, autograph=False)(*arguments)


@pytest.mark.parametrize("max_num_nodes", [None, 5, 9])
def test_blocks_are_as_large_as_the_largest_graph(max_num_nodes):
    blocks = graphs.Blocks.of(batch(), max_num_nodes)
    assert blocks.size == 5
    assert blocks.is_node.numpy().sum(axis=1).tolist() == SIZES


def test_xla_has_blocks_of_the_announced_size():
    is_node = in_xla(lambda graph: graphs.Blocks.of(graph, 9).is_node, batch())
    assert is_node.shape == [4, 9]
    assert is_node.numpy().sum(axis=1).tolist() == SIZES


@pytest.mark.parametrize("max_num_nodes", [None, 7])
def test_rows_go_to_their_graph_and_back(max_num_nodes):
    values = np.arange(24.0).reshape([12, 2])
    blocks = graphs.Blocks.of(batch(), max_num_nodes)
    stacked = blocks.stack(tf.constant(values)).numpy()
    start = 0
    for block, size in zip(stacked, SIZES, strict=True):
        np.testing.assert_array_equal(block[:size], values[start : start + size])
        np.testing.assert_array_equal(block[size:], 0.0)
        start += size
    np.testing.assert_array_equal(blocks.unstack(tf.constant(stacked)), values)


def test_gradients_of_both_ways_are_each_others_transpose():
    """<stack(a), b> = <a, unstack(b)>, and both ways' gradients say so, the second ones too."""
    rng = np.random.default_rng(0)
    blocks = graphs.Blocks.of(batch())
    rows = tf.constant(rng.normal(size=[12, 3]))
    block = tf.constant(rng.normal(size=[4, 5, 3]))
    with tf.GradientTape() as tape:
        tape.watch([rows, block])
        product = tf.reduce_sum(blocks.stack(rows) * block)
    d_rows, d_block = tape.gradient(product, [rows, block])
    np.testing.assert_array_equal(d_rows, blocks.unstack(block))
    np.testing.assert_array_equal(d_block, blocks.stack(rows))
    with tf.GradientTape() as outer:
        outer.watch([rows, block])
        with tf.GradientTape() as tape:
            tape.watch(block)
            square = tf.reduce_sum(tf.square(blocks.unstack(block)) * rows)
        total = tf.reduce_sum(tf.square(tape.gradient(square, block)))
    d_rows, d_block = outer.gradient(total, [rows, block])
    inside = blocks.unstack(block)
    np.testing.assert_allclose(d_rows, 8.0 * rows * inside**2, rtol=1e-12)
    np.testing.assert_allclose(d_block, blocks.stack(8.0 * rows**2 * inside), rtol=1e-12)


def test_adjacency_is_that_of_networkx():
    graph = batch()
    dense = graphs.Blocks.of(graph).adjacency(graph).numpy()
    for block, member in zip(dense, MEMBERS, strict=True):
        size = len(member)
        expected = nx.to_numpy_array(member) if size else np.zeros([0, 0])
        np.testing.assert_array_equal(block[:size, :size], expected)
        assert block.sum() == expected.sum()


def test_adjacency_counts_edges_from_sender_to_receiver():
    graph = graphs.fill_missing(graphs.from_networkx([nx.path_graph(2)]))
    graph = graph.replace(
        senders=tf.constant([0, 0, 1]),
        receivers=tf.constant([1, 1, 1]),
        n_edge=tf.constant([3]),
        edges=tf.zeros([3, 0]),
    )
    dense = graphs.Blocks.of(graph).adjacency(graph)
    np.testing.assert_array_equal(dense[0], [[0.0, 0.0], [2.0, 1.0]])


def test_padding_beyond_the_room_has_no_place():
    """The padding graph is larger than any place for it, in XLA as elsewhere."""
    padded = graphs.pad(batch(), num_nodes=30, num_edges=40, num_graphs=5)

    def parts(graph):
        blocks = graphs.Blocks.of(graph, 6)
        ones = tf.ones([30, 1])
        return blocks.stack(ones), blocks.unstack(blocks.stack(ones)), blocks.adjacency(graph)

    for stacked, back, dense in (parts(padded), in_xla(parts, padded)):
        assert stacked.shape == [5, 6, 1]
        np.testing.assert_array_equal(back[:, 0], [1.0] * 18 + [0.0] * 12)
        assert tf.reduce_sum(dense[:4]) == sum(2 * len(g.edges) for g in MEMBERS)


TOO_LARGE = {
    "alone": [nx.path_graph(9)],
    "last": [nx.path_graph(3), nx.path_graph(9)],
    "first": [nx.path_graph(9), nx.path_graph(3)],
    "first without edges": [nx.empty_graph(9), nx.path_graph(3)],
    "one edge": [nx.path_graph(3), nx.Graph([(0, 8), *((i, i) for i in range(9))])],
}
# What uses blocks: function of a graph -> numbers a node.
USES = {
    "blocks": lambda graph: (lambda b: b.unstack(b.stack(graph.nodes)))(graphs.Blocks.of(graph, 5)),
    "along edges": networks.DotProductAttention(2, 3, max_num_nodes=5),
    "to all": networks.DotProductAttention(2, 3, fully_connected=True, max_num_nodes=5),
    "transformer": networks.GraphTransformer(4, 3, max_num_nodes=5, output_scale=1.0),
}


def with_nodes(members):
    graph = graphs.fill_missing(graphs.from_networkx(members))
    return graph.replace(nodes=tf.random.stateless_normal([len(graph.nodes), 4], [0, 1]))


def nodes_of(use, graph):
    out = use(graph)
    return out.nodes if isinstance(out, graphs.GraphsTuple) else out


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("name", TOO_LARGE)
def test_a_graph_that_does_not_fit_is_an_error_or_nan(name, use):
    """Wherever it stands; XLA, which can't raise, gives NaN for what has no place."""
    graph, call = with_nodes(TOO_LARGE[name]), USES[use]
    message = "`max_num_nodes` must hold every graph"
    with pytest.raises(ValueError, match=rf"{message}.* got 5 for sizes .*9"):
        nodes_of(call, graph)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        tf.function(lambda graph: nodes_of(call, graph), autograph=False)(graph)
    if use != "blocks" and name != "first":
        return  # compiling takes seconds: one batch stands for all
    for batch in (graph, graphs.pad(graph, 30, 60, 5)):
        found = in_xla(lambda graph: nodes_of(call, graph), batch).numpy()
        beyond = np.concatenate([np.arange(len(member)) >= 5 for member in TOO_LARGE[name]])
        assert np.isnan(found[: len(beyond)][beyond]).all()
        if use in ("blocks", "to all"):
            fits = np.repeat(
                [len(m) <= 5 for m in TOO_LARGE[name]], list(map(len, TOO_LARGE[name]))
            )
            assert np.isfinite(found[: len(beyond)][fits]).all()
            assert np.isfinite(found[len(beyond) :]).all()


@pytest.mark.parametrize("use", USES)
def test_padding_of_any_size_is_none(use):
    graph, call = with_nodes(MEMBERS), USES[use]
    expected = nodes_of(call, graph)
    padded = graphs.pad(graph, 40, 60, 7)
    for run in (lambda f, x: f(x), lambda f, x: tf.function(f, autograph=False)(x), in_xla):
        found = run(lambda graph: nodes_of(call, graph), padded)
        np.testing.assert_allclose(found[:12], expected, atol=1e-5)
        assert np.isfinite(found).all()


@pytest.mark.parametrize("run", [lambda f: f, tf.function], ids=["eager", "function"])
def test_nothing_is_nan_where_every_graph_has_room(run):
    """TensorFlow's search for NaN, by which users find theirs, stops at the first one."""
    tf.debugging.enable_check_numerics()
    try:
        blocks = run(lambda graph: graphs.Blocks.of(graph, 9).unstack(tf.ones([3, 9, 2])))
        np.testing.assert_array_equal(blocks(graphs.edgeless([3, 5, 2], 2)), 1.0)
        config = models.GeneratorConfig(width=4, num_heads=1, encoder_steps=1, num_steps=1)
        model = models.GraphGenerator.for_data([nx.path_graph(4), nx.cycle_graph(5)], config)
        assert np.isfinite(run(model.log_prob)(graphs.from_networkx([nx.path_graph(4)]))).all()
    finally:
        tf.debugging.disable_check_numerics()
