"""Tables for the conformance tests: every bijector, and the graphs they are tried on."""

import numpy as np
import tensorflow as tf

import gnf_tf
from gnf_tf import graphs, models, networks, training

NODE_SIZE = 4
EDGE_SIZE = 2
GLOBAL_SIZE = 1
WIDTHS = {"edge_size": EDGE_SIZE, "global_size": GLOBAL_SIZE}


def message_passing(output_size):
    return networks.MessagePassing(message_sizes=(5, 6), output_size=output_size)


def attention(output_size):
    return networks.AttentionBlock(
        num_heads=2, key_size=3, hidden_sizes=(7,), output_size=output_size
    )


def transformer(output_size):
    return networks.GraphTransformer(4, output_size, num_heads=2, output_scale=1.0)


def equivariant(output_size):
    """Of the two features of a half, one is a scalar and one a vector on a line."""
    return networks.EquivariantMessages(5, output_size, num_vectors=1, dimension=1)


def positions(output_size):
    """Each half is one vector in the plane."""
    return networks.PositionMessages(5, output_size, output_scale=0.5)


def additive_attention(output_size):
    return networks.AdditiveAttention(num_heads=output_size, value_size=1)


# Random weights make steep splines; how steep is what float32 pays for in the inverse.
spline = gnf_tf.bijectors.Spline(num_bins=4, bound=2.0, min_slope=0.2)

# name -> constructor(dtype). A new bijector is one line here; test_conformance fails without it.
BIJECTORS = {
    "coupling_attention": lambda dtype: gnf_tf.GraphCoupling(
        attention, NODE_SIZE, dtype=dtype, **WIDTHS
    ),
    "coupling_messages_second_half": lambda dtype: gnf_tf.GraphCoupling(
        message_passing, NODE_SIZE, updates=1, dtype=dtype, **WIDTHS
    ),
    "coupling_additive_attention": lambda dtype: gnf_tf.GraphCoupling(
        additive_attention, NODE_SIZE, dtype=dtype, **WIDTHS
    ),
    "coupling_equivariant": lambda dtype: gnf_tf.GraphCoupling(
        equivariant, NODE_SIZE, dtype=dtype, **WIDTHS
    ),
    "coupling_positions": lambda dtype: gnf_tf.GraphCoupling(
        positions, NODE_SIZE, coupling=gnf_tf.bijectors.VectorAffine(), dtype=dtype, **WIDTHS
    ),
    "coupling_volume_preserving": lambda dtype: gnf_tf.GraphCoupling(
        message_passing, NODE_SIZE, coupling="additive", dtype=dtype, **WIDTHS
    ),
    "step": lambda dtype: gnf_tf.GNFStep(
        NODE_SIZE, make_conditioner=attention, dtype=dtype, **WIDTHS
    ),
    "coupling_spline": lambda dtype: gnf_tf.GraphCoupling(
        transformer,
        NODE_SIZE,
        coupling=spline,
        dtype=dtype,
        **WIDTHS,
    ),
    "act_norm": lambda dtype: gnf_tf.GraphActNorm(NODE_SIZE, dtype=dtype),
    "mean_scale": lambda dtype: gnf_tf.GraphMeanScale(NODE_SIZE, dtype=dtype),
    "mixing": lambda dtype: gnf_tf.GraphMixing(NODE_SIZE, dtype=dtype),
    "batch_norm": lambda dtype: gnf_tf.GraphBatchNorm(NODE_SIZE, dtype=dtype),
    "gnf": lambda dtype: gnf_tf.GNF(
        2, NODE_SIZE, make_conditioner=attention, dtype=dtype, **WIDTHS
    ),
    "gnf_shared": lambda dtype: gnf_tf.GNF(
        2, NODE_SIZE, make_conditioner=message_passing, share_weights=True, dtype=dtype, **WIDTHS
    ),
    "gnf_spline": lambda dtype: gnf_tf.GNF(
        2,
        NODE_SIZE,
        make_conditioner=transformer,
        coupling=spline,
        normalization="act_norm",
        mean_scaling=True,
        mixing=True,
        dtype=dtype,
        **WIDTHS,
    ),
    "gnf_stored": lambda dtype: gnf_tf.GNF(
        2, NODE_SIZE, make_conditioner=message_passing, memory="stored", dtype=dtype, **WIDTHS
    ),
}


def randomize(module, seed=0, scale=0.4):
    """New weights: a zero-initialized coupling is the identity and would pass vacuously."""
    rng = np.random.default_rng(seed)
    for variable in sorted(module.variables, key=lambda v: (v.name, v.shape.as_list())):
        value = rng.normal(size=variable.shape) * scale
        if "variance" in variable.name:
            value = np.exp(value)
        variable.assign(tf.cast(value, variable.dtype))
    return module


def make_bijector(name, dtype=tf.float64, seed=0):
    return randomize(BIJECTORS[name](dtype), seed)


def observed_message_passing(see):
    """A `make_conditioner` whose networks call `see(graph)` at each evaluation."""

    def make_conditioner(output_size):
        network = message_passing(output_size)

        def conditioner(graph):
            see(graph)
            return network(graph)

        return conditioner

    return make_conditioner


def mixed_graph(dtype=tf.float64, seed=0, n_node=(3, 1, 0, 4)):
    """Several sizes, a single node, a graph of no nodes, a self loop, a repeated edge."""
    rng = np.random.default_rng(seed)
    senders, receivers, n_edge, offset = [], [], [], 0
    for size in n_node:
        pairs = []
        if size > 1:
            pairs = [(i, (i + 1) % size) for i in range(size)] + [(0, 0), (0, 1), (size - 1, 0)]
        senders += [offset + s for s, _ in pairs]
        receivers += [offset + r for _, r in pairs]
        n_edge.append(len(pairs))
        offset += size
    floats = lambda *shape: tf.constant(rng.normal(size=shape), dtype)  # noqa: E731
    return graphs.GraphsTuple(
        nodes=floats(offset, NODE_SIZE),
        edges=floats(len(senders), EDGE_SIZE),
        globals=floats(len(n_node), GLOBAL_SIZE),
        senders=tf.constant(senders, tf.int32),
        receivers=tf.constant(receivers, tf.int32),
        n_node=tf.constant(n_node, tf.int32),
        n_edge=tf.constant(n_edge, tf.int32),
    )


def randomize_after(module, graph, seed=0):
    """`randomize` for a network whose variables are made at the first call."""
    module(graph)
    return randomize(module, seed)


def random_regressor(molecules, config):
    """Its weights are not those of a new one, whose predictions are the fit on compositions."""
    training.set_seed(1)
    model = models.MoleculeRegressor.for_data(molecules, config)
    for i, variable in enumerate(model.trainable_variables):
        variable.assign(0.5 * tf.random.stateless_normal(variable.shape, [i, 7]))
    return model
