"""Dense blocks of the graphs of a batch."""

import networkx as nx
import numpy as np
import pytest
import tensorflow as tf

from gnf_tf import graphs

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
