"""Each network against its own equations: by hand, by a loop over the edges, by another path."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

import gnf_tf
from gnf_tf import graphs, networks
from gnf_tf.networks.dropout import dropout
from tests import cases
from tests.network_cases import (
    DTYPES,
    NEED_EDGES,
    NETWORKS,
    USE_TOPOLOGY,
    all_close,
    make_network,
    set_variables,
    three_nodes,
    value_and_gradients,
)

# Dot-product attention.


@pytest.mark.parametrize("max_num_nodes", [None, 5, 9])
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)
def test_dense_path_equals_the_edge_list_path(dtype, max_num_nodes):
    """On mixed sizes, 0 and 1 among them: values, gradients to nodes and to variables."""
    graph = graphs.fully_connected([3, 1, 0, 5, 2, 0], cases.NODE_SIZE, dtype=dtype)
    nodes = tf.random.stateless_normal(graph.nodes.shape, seed=[3, 4], dtype=dtype)
    graph = graph.replace(nodes=nodes)
    sizes = {"value_size": 2, "output_size": 7}
    by_edges = cases.randomize_after(networks.DotProductAttention(3, 4, **sizes), graph)
    dense = networks.DotProductAttention(
        3, 4, **sizes, fully_connected=True, max_num_nodes=max_num_nodes
    )
    edgeless = graphs.edgeless(graph.n_node, cases.NODE_SIZE, dtype=dtype).replace(nodes=nodes)
    dense(edgeless)
    for target, source in zip(dense.variables, by_edges.variables, strict=True):
        target.assign(source)
    all_close(
        value_and_gradients(dense, edgeless, len(nodes)),
        value_and_gradients(by_edges, graph, len(nodes)),
        dtype,
    )


# Sums, under XLA, for small blocks, and matrix products for others.
BLOCKS = [(5, False), (5, True), (20, True)]


@pytest.mark.parametrize("max_num_nodes, compiled", BLOCKS)
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)
def test_blocks_equal_the_edge_list(dtype, max_num_nodes, compiled):
    """With repeated edges, a self loop, and nodes that nobody sends to."""
    graph = cases.mixed_graph(dtype)
    by_edges = cases.randomize_after(networks.DotProductAttention(3, 4, output_size=7), graph)
    blocks = networks.DotProductAttention(3, 4, output_size=7, max_num_nodes=max_num_nodes)
    blocks(graph)
    for target, source in zip(blocks.variables, by_edges.variables, strict=True):
        target.assign(source)
    run = value_and_gradients
    if compiled:
        run = tf.function(run, jit_compile=True)
    num_nodes = len(graph.nodes)
    all_close(run(blocks, graph, num_nodes), run(by_edges, graph, num_nodes), dtype)


def hand_made_dot_product(graph, max_num_nodes=None):
    """q_v . k_u / sqrt(key_size) = a_v a_u and value w_u = b_u, for node features (a, b)."""
    network = networks.DotProductAttention(1, 4, value_size=1, max_num_nodes=max_num_nodes)
    network(graph)
    queries = [[2, 0, 0, 0], [0, 0, 0, 0]]  # the 2 undoes the division by sqrt(4)
    keys = [[1, 0, 0, 0], [0, 0, 0, 0]]
    values = [[0], [1]]
    set_variables(
        network,
        {
            "project/w": np.hstack([queries, keys, values]),
            "project/b": np.zeros(9),
            "output/w": 1.0,
            "output/b": 0.5,
        },
    )
    return network


def test_dot_product_attention_by_hand():
    graph = three_nodes([[0.0, 6.0], [np.log(2.0), 9.0], [1.0, 5.0]])
    expected = [
        # Node 0: one sender, node 2, gets all the weight, whatever its score.
        5.0,
        # Node 1: no sender, message zero.
        0.0,
        # Node 2: scores 1 * 0 and 1 * log 2, so weights 1/3 and 2/3: 6/3 + 18/3.
        8.0,
    ]
    out = hand_made_dot_product(graph)(graph).nodes[:, 0]
    np.testing.assert_allclose(out, np.add(expected, 0.5), rtol=1e-12)  # 0.5: output bias


@pytest.mark.parametrize("max_num_nodes, compiled", [(None, False), *BLOCKS])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_dot_product_softmax_is_stable(sign, max_num_nodes, compiled):
    """Scores of -+1e6 and more, where exp overflows, or underflows for all senders at once."""
    graph = three_nodes([[sign * 2e3, 6.0], [sign * 1e3, 9.0], [1e3, 5.0]])
    network = hand_made_dot_product(graph, max_num_nodes)
    run = tf.function(value_and_gradients, jit_compile=True) if compiled else value_and_gradients
    nodes, gradient, *_ = run(network, graph, 3)
    winner = 6.0 if sign > 0 else 9.0  # node 2 hears the higher score: node 0's or node 1's
    np.testing.assert_allclose(nodes[:, 0], [5.5, 0.5, winner + 0.5], rtol=1e-12)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", ["dot_product_dense", "additive"])
def test_softmax_is_stable_in_float32(name):
    network, graph = make_network(name, tf.float32), cases.mixed_graph(tf.float32)
    scaled = graph.replace(nodes=1e6 * graph.nodes)
    for values in value_and_gradients(network, scaled, len(graph.nodes)):
        assert np.isfinite(values).all()


def test_max_num_nodes_too_small_is_refused():
    network = networks.DotProductAttention(2, 3, fully_connected=True, max_num_nodes=3)
    network(cases.mixed_graph(n_node=(3, 2)))
    graph = cases.mixed_graph(n_node=(3, 4, 1))
    with pytest.raises(ValueError, match=r"`max_num_nodes` .* got 3 for sizes \[3, 4, 1\]"):
        network(graph)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"`max_num_nodes` .* got 3 for"):
        tf.function(lambda graph: network(graph).nodes)(graph)


def small_attention(size):
    return networks.DotProductAttention(1, size, fully_connected=True, max_num_nodes=3)


@pytest.mark.parametrize("memory", ["reversible", "stored"])
@pytest.mark.parametrize("kind", ["gnf", "grevnet", "loop"])
def test_max_num_nodes_too_small_is_refused_within_a_stack(kind, memory):
    """As by the network alone, though half steps are compiled in eager mode too."""
    options = {"make_conditioner": small_attention, "dtype": tf.float64, "memory": memory}
    if kind == "gnf":
        stack = gnf_tf.GNF(2, cases.NODE_SIZE, **options)
        uses = [stack.forward, stack.inverse, stack.forward_log_det_jacobian]
    else:
        uses = [gnf_tf.models.GRevNet(2, cases.NODE_SIZE, loop=kind == "loop", **options)]
    for use in uses:
        use(cases.mixed_graph(n_node=(3, 2)))
        with pytest.raises(ValueError, match=r"^`max_num_nodes` .* got 3 for sizes \[3, 4, 1\]$"):
            use(cases.mixed_graph(n_node=(3, 4, 1)))


def test_nodes_beyond_max_num_nodes_get_nothing():
    """Padding is one node larger than the bound: its fourth node hears nobody."""
    graph = graphs.pad(cases.mixed_graph(n_node=(2,)), 6, 8, 2)
    noise = tf.random.stateless_normal([6, cases.NODE_SIZE], [0, 1], dtype=tf.float64)
    graph = graph.replace(nodes=noise)
    network = networks.DotProductAttention(2, 3, fully_connected=True, max_num_nodes=3)
    cases.randomize_after(network, graph)
    (bias,) = [v for v in network.variables if v.name.endswith("output/b:0")]
    out = network(graph).nodes
    np.testing.assert_array_equal(out[5], bias)
    assert np.abs(out[:5] - bias).max(axis=1).min() > 1e-3


# Additive attention.


def test_additive_attention_by_hand():
    log2 = np.log(2.0)
    graph = three_nodes([[1.0], [1.0], [1.0]], edges=[[-3.0], [0.0], [log2], [-5.0 * log2]])
    network = networks.AdditiveAttention(1, 1)
    network(graph)
    set_variables(
        network,
        {
            "project/w": 1.0,
            "project/b": 0.0,
            "edges/w": 1.0,
            "score_receiver": -1.0,
            "score_sender": 1.0,
            "score_edge": 1.0,
        },
    )
    expected = [
        # Node 0 hears node 2 alone: value 1 - 3, then elu.
        np.exp(-2.0) - 1.0,
        # Node 1 hears nobody: elu(0).
        0.0,
        # Node 2: scores -1 + 1 + (0, log 2, -5 log 2), of which leaky_relu keeps 0 and log 2 and
        # makes -log 2 of the last; weights (1, 2, 1/2) / 3.5 on 1 + (0, log 2, -5 log 2).
        (1.0 + 2.0 * (1.0 + log2) + 0.5 * (1.0 - 5.0 * log2)) / 3.5,
    ]
    # TensorFlow holds leaky_relu's slope 0.2 in float32, in float64 too.
    np.testing.assert_allclose(network(graph).nodes[:, 0], expected, rtol=1e-7)


# Message passing.


def loop_over_edges(network, graph, aggregation, sender_only):
    """Equations 1 and 2 in numpy, edge by edge, the message MLP applied to each edge whole."""
    values = {v.name.split("/", 1)[1]: v.numpy() for v in network.variables}
    nodes = graph.nodes.numpy()
    ends = np.split(values["from_nodes/w:0"], 1 if sender_only else 2, axis=1)
    weights = np.vstack(ends)
    edges = np.zeros([len(graph.senders), 0])
    if graph.edges is not None:
        edges = graph.edges.numpy()
        weights = np.vstack([weights, values["from_edges/w:0"]])
    messages = [[] for _ in nodes]
    for sender, receiver, edge in zip(graph.senders, graph.receivers, edges, strict=True):
        h = np.concatenate([nodes[sender], nodes[receiver]][: len(ends)] + [edge])
        h = np.maximum(h @ weights + values["message_bias/b:0"], 0.0)
        if "mlp/linear/w:0" in values:
            h = np.maximum(h @ values["mlp/linear/w:0"] + values["mlp/linear/b:0"], 0.0)
        messages[int(receiver)].append(h @ values["message/w:0"])

    def sigmoid(x):
        return 1.0 / (1.0 + np.exp(-x))

    w_h, b = (np.split(values[f"gru/{key}:0"], 3, axis=-1) for key in ("w_h", "b"))
    updated = []
    for h, incoming in zip(nodes, messages, strict=True):
        m = np.sum(incoming, axis=0) if incoming else np.zeros(values["message/w:0"].shape[1])
        if aggregation == "mean":
            m = m / max(len(incoming), 1)
        m = np.split(m @ values["gru/w_i:0"], 3)
        z = sigmoid(m[0] + h @ w_h[0] + b[0])
        r = sigmoid(m[1] + h @ w_h[1] + b[1])
        a = np.tanh(m[2] + (r * h) @ w_h[2] + b[2])
        updated.append((1.0 - z) * h + z * a)
    return np.stack(updated) @ values["linear/w:0"] + values["linear/b:0"]


@pytest.mark.parametrize("aggregation", ["sum", "mean"])
@pytest.mark.parametrize("message_sizes", [(5, 6), (5, 7, 6)], ids=str)
@pytest.mark.parametrize("sender_only", [False, True])
@pytest.mark.parametrize("has_edges", [False, True])
def test_message_passing_equals_a_loop_over_edges(
    has_edges, sender_only, message_sizes, aggregation
):
    graph = cases.mixed_graph()
    graph = graph if has_edges else graph.replace(edges=None)
    network = networks.MessagePassing(
        message_sizes, 3, aggregation=aggregation, sender_only=sender_only
    )
    cases.randomize_after(network, graph)
    expected = loop_over_edges(network, graph, aggregation, sender_only)
    np.testing.assert_allclose(network(graph).nodes, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", sorted(USE_TOPOLOGY))
def test_a_node_without_incoming_edges_gets_the_zero_message(name):
    """Node 1 of the three, which hears nobody, ends as it would in a graph without edges."""
    graph = three_nodes(np.random.default_rng(0).normal(size=(3, cases.NODE_SIZE)))
    edgeless = graphs.edgeless([3], cases.NODE_SIZE, dtype=tf.float64).replace(nodes=graph.nodes)
    if name in NEED_EDGES:
        graph = graph.replace(edges=tf.ones([len(graph.senders), 2], tf.float64))
        edgeless = edgeless.replace(edges=tf.ones([0, 2], tf.float64))
    network = cases.randomize_after(NETWORKS[name](), graph)
    out, alone = network(graph).nodes, network(edgeless).nodes
    np.testing.assert_allclose(out[1], alone[1], rtol=1e-12)
    assert np.abs(out - alone)[[0, 2]].max(axis=1).min() > 1e-3


# Graph convolution.


@pytest.mark.parametrize("diagonal", [False, True], ids=["full", "diagonal"])
def test_convolution_is_that_of_the_dense_matrix(diagonal):
    """D^-1/2 (A + I) D^-1/2 H W + b, with a repeated edge twice in A; and after dropout."""
    graph, size = cases.mixed_graph(), len(cases.mixed_graph().nodes)
    network = networks.GraphConvolution(cases.NODE_SIZE, diagonal=diagonal, dropout=0.5)
    cases.randomize_after(network, graph)
    (weights,) = [v.numpy() for v in network.variables if v.name.endswith("w:0")]
    (bias,) = [v for v in network.variables if v.name.endswith("b:0")]
    weights = np.diag(weights) if diagonal else weights
    matrix = np.eye(size)
    np.add.at(matrix, (graph.receivers.numpy(), graph.senders.numpy()), 1.0)
    root = 1.0 / np.sqrt(matrix.sum(axis=1))
    matrix = root[:, np.newaxis] * matrix * root
    seed = tf.constant([3, 5])
    for options, nodes in (({}, graph.nodes), ({"seed": seed}, dropout(graph.nodes, 0.5, seed))):
        expected = matrix @ nodes.numpy() @ weights + bias.numpy()
        np.testing.assert_allclose(network(graph, **options).nodes, expected, rtol=1e-12)


def test_diagonal_convolution_starts_as_the_mean_times_its_scale_and_keeps_the_width():
    graph = cases.mixed_graph(n_node=(1,))
    network = networks.GraphConvolution(cases.NODE_SIZE, diagonal=True, output_scale=0.3)
    np.testing.assert_allclose(network(graph).nodes, 0.3 * graph.nodes, rtol=1e-12)
    with pytest.raises(ValueError, match="`graph.nodes` must be 3 wide .* got 4"):
        networks.GraphConvolution(3, diagonal=True)(graph)


# A network times a constant.


def test_scaled_is_the_network_times_the_scale_with_its_dropout():
    graph, seed = cases.mixed_graph(), tf.constant([3, 5])
    network = networks.MessagePassing((5, 6), 3, dropout=0.5)
    scaled = networks.Scaled(network, 0.3)
    for options in ({}, {"seed": seed}):
        expected = 0.3 * network(graph, **options).nodes
        np.testing.assert_allclose(scaled(graph, **options).nodes, expected, rtol=1e-12)
    assert scaled.takes_seed and not networks.Scaled(networks.MLP((3,)), 0.3).takes_seed
    assert len(scaled.trainable_variables) == len(network.trainable_variables)


# A network that gets ranks.


@pytest.mark.parametrize("bound", [None, 4], ids=["unbounded", "bounded"])
@pytest.mark.parametrize("sharpness", [0.3, 1e-9])
def test_ranked_adds_the_cosines_of_the_rank_of_each_feature_in_its_graph(sharpness, bound):
    graph = cases.mixed_graph()
    ranked = networks.Ranked(lambda graph: graph, 3, sharpness=sharpness, max_num_nodes=bound)
    nodes = graph.nodes.numpy()
    expected, start = [], 0
    for size in graph.n_node.numpy():
        x = nodes[start : start + size]
        above = scipy.special.expit((x[:, np.newaxis] - x) / sharpness).sum(axis=1)
        if sharpness < 1e-6:  # without ties, the ranks from one half to n - 1/2
            np.testing.assert_allclose(above, scipy.stats.rankdata(x, axis=0) - 0.5)
        angles = np.pi * (above / size)[..., np.newaxis] * [1, 2, 3]
        expected.append(np.concatenate([x, np.cos(angles).reshape(size, 3 * x.shape[1])], axis=1))
        start += size
    np.testing.assert_allclose(ranked(graph).nodes, np.concatenate(expected), atol=1e-12)
    assert len(nodes) == start


def test_ranked_hands_on_the_seed_and_takes_no_nodes_too():
    graph, seed = cases.mixed_graph(), tf.constant([3, 5])
    network = networks.Ranked(networks.MessagePassing((5, 6), 3, dropout=0.5), 2)
    assert network.takes_seed and not networks.Ranked(networks.MLP((3,)), 2).takes_seed
    assert np.abs(network(graph, seed=seed).nodes - network(graph).nodes).max() > 1e-3
    empty = graphs.fully_connected([0, 0], cases.NODE_SIZE, dtype=tf.float64)
    assert networks.Ranked(networks.MLP((3,)), 2)(empty).nodes.shape == [0, 3]
