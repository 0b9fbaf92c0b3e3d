"""Every network in a table, and what the tests of networks share."""

import tensorflow as tf

from gnf_tf import graphs, networks
from tests import cases, checks

DTYPES = (tf.float32, tf.float64)
MAX_NUM_NODES = 4  # of `cases.mixed_graph`; less than its padding graph has below

# name -> constructor. A new network is one line here; a test fails without it.
NETWORKS = {
    "mlp": lambda: networks.MLP((7, 3)),
    "dot_product": lambda: networks.DotProductAttention(2, 3, value_size=2, output_size=5),
    "dot_product_dense": lambda: networks.DotProductAttention(2, 3, fully_connected=True),
    "dot_product_dense_bounded": lambda: networks.DotProductAttention(
        2, 3, fully_connected=True, max_num_nodes=MAX_NUM_NODES
    ),
    "dot_product_edge_blocks": lambda: networks.DotProductAttention(
        2, 3, max_num_nodes=MAX_NUM_NODES
    ),
    "attention_block": lambda: networks.AttentionBlock(2, 3, (7,), 4),
    "attention_block_dense": lambda: networks.AttentionBlock(
        2, 3, (7,), 4, fully_connected=True, max_num_nodes=MAX_NUM_NODES
    ),
    "transformer": lambda: networks.GraphTransformer(4, 3, num_heads=2, output_scale=1.0),
    "transformer_alone": lambda: networks.GraphTransformer(
        4, 3, num_heads=0, num_blocks=2, output_scale=1.0
    ),
    "transformer_dense": lambda: networks.GraphTransformer(
        4,
        3,
        num_heads=2,
        output_scale=1.0,
        fully_connected=True,
        max_num_nodes=MAX_NUM_NODES,
    ),
    "additive": lambda: networks.AdditiveAttention(2, 3),
    "messages_sum": lambda: networks.MessagePassing((5, 6), 3),
    "messages_mean": lambda: networks.MessagePassing((5, 6), 3, aggregation="mean"),
    "messages_deep": lambda: networks.MessagePassing((5, 7, 6), 3),
    "messages_sender": lambda: networks.MessagePassing((5, 7, 6), 3, sender_only=True),
    "messages_scaled": lambda: networks.Scaled(networks.MessagePassing((5, 6), 3), 0.3),
    "ranked_dense": lambda: networks.Ranked(
        networks.MLP((7, 3)), 3, sharpness=0.3, max_num_nodes=MAX_NUM_NODES
    ),
    "messages_equivariant": lambda: networks.EquivariantMessages(5, 8, 1, dimension=2),
    "messages_equivariant_shift": lambda: networks.EquivariantMessages(5, 4, 2, dimension=1),
    "messages_positions": lambda: networks.PositionMessages(5, 8),
    "convolution": lambda: networks.GraphConvolution(3),
    "convolution_diagonal": lambda: networks.GraphConvolution(4, diagonal=True),
}
USE_EDGES = {name for name in NETWORKS if name.startswith(("additive", "messages"))}
NEED_EDGES = {name for name in NETWORKS if "equivariant" in name}
USE_GLOBALS = {name for name in NETWORKS if name.startswith(("attention_block", "transformer"))}
USE_TOPOLOGY = {
    name for name in NETWORKS if "dense" not in name and name not in ("mlp", "transformer_alone")
}


def make_network(name, dtype=tf.float64, seed=0):
    return cases.randomize_after(NETWORKS[name](), cases.mixed_graph(dtype), seed)


def padded_with_noise(graph):
    """The graph padded, with features in all its padding, as after a few steps of a flow."""
    sizes = [len(graph.nodes) + 5, len(graph.senders) + 7, len(graph.n_node) + 2]
    padded = graphs.pad(graph, *sizes)
    noisy = {}
    for field in ("nodes", "edges", "globals"):
        real, values = getattr(graph, field), getattr(padded, field)
        noise = tf.random.stateless_normal(values[len(real) :].shape, seed=[1, 2])
        noisy[field] = tf.concat([real, tf.cast(noise, real.dtype)], axis=0)
    return padded.replace(**noisy)


def value_and_gradients(network, graph, num_nodes):
    """(new nodes, gradients to nodes and variables) of a loss over the first `num_nodes`."""
    with tf.GradientTape() as tape:
        tape.watch(graph.nodes)
        nodes = network(graph).nodes[:num_nodes]
        loss = tf.reduce_sum(tf.sin(nodes))
    sources = [graph.nodes, *network.trainable_variables]
    return nodes, *map(tf.convert_to_tensor, tape.gradient(loss, sources))


def all_close(actual, expected, dtype):
    for a, b in zip(actual, expected, strict=True):
        checks.close(a, b, dtype)


def set_variables(network, values):
    """Assigns each value to the one variable whose name ends so."""
    for ending, value in values.items():
        (variable,) = [v for v in network.variables if v.name.endswith(ending + ":0")]
        variable.assign(tf.cast(tf.reshape(value, variable.shape), variable.dtype))


def three_nodes(nodes, edges=None):
    """Node 0 hears node 2; node 1 hears nobody; node 2 hears 0 and 1, and itself if `edges`."""
    senders, receivers = [2, 0, 1], [0, 2, 2]
    if edges is not None:
        senders, receivers = [*senders, 2], [*receivers, 2]
        edges = tf.constant(edges, tf.float64)
    return graphs.GraphsTuple(
        nodes=tf.constant(nodes, tf.float64),
        edges=edges,
        globals=None,
        senders=tf.constant(senders),
        receivers=tf.constant(receivers),
        n_node=tf.constant([3]),
        n_edge=tf.constant([len(senders)]),
    )
