"""The identities that a bijector over GraphsTuples promises, each as a function that asserts it."""

import numpy as np
import tensorflow as tf

from gnf_tf import graphs

TOLERANCE = {tf.float32: 3e-4, tf.float64: 1e-10}
EXECUTIONS = {
    "eager": lambda f: f,
    "function": lambda f: tf.function(f, autograph=False),
    "xla": lambda f: tf.function(f, autograph=False, jit_compile=True),
}


def copied(graph):
    """The same graph in new tensors, so that TFP's cache can't hand back the answer."""
    return graph.map(tf.identity, fields=graph._fields)


def close(actual, expected, dtype):
    np.testing.assert_allclose(actual, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


def topology_unchanged(before, after):
    for field in ("edges", "globals", "senders", "receivers", "n_node", "n_edge"):
        np.testing.assert_array_equal(getattr(before, field), getattr(after, field), err_msg=field)


def round_trip(bijector, graph):
    """inverse(forward(x)) = x and forward(inverse(y)) = y, each computed afresh."""
    dtype = graph.nodes.dtype
    there = bijector.forward(copied(graph))
    close(bijector.inverse(copied(there)).nodes, graph.nodes, dtype)
    back = bijector.inverse(copied(graph))
    close(bijector.forward(copied(back)).nodes, graph.nodes, dtype)
    topology_unchanged(graph, there)
    topology_unchanged(graph, back)
    assert np.abs(there.nodes - graph.nodes).max() > 1e-2, "the identity would pass vacuously"


def log_dets_mirror(bijector, graph):
    """forward_log_det_jacobian(x) = -inverse_log_det_jacobian(forward(x))."""
    fldj = bijector.forward_log_det_jacobian(copied(graph))
    ildj = bijector.inverse_log_det_jacobian(copied(bijector.forward(copied(graph))))
    assert fldj.shape == graph.n_node.shape
    assert fldj.dtype == graph.nodes.dtype
    close(fldj, -ildj, graph.nodes.dtype)


def jacobian_blocks(bijector, graph):
    """log|det| per graph is that of the autodiff Jacobian, whose graphs don't touch each other."""
    size = int(tf.size(graph.nodes))
    copies = graphs.batch([graph] * size)  # the gradient in copy i is row i of the Jacobian
    with tf.GradientTape() as tape:
        tape.watch(copies.nodes)
        nodes = bijector.forward(copies).nodes
    one_hot = tf.reshape(tf.eye(size, dtype=nodes.dtype), nodes.shape)
    jacobian = tape.gradient(nodes, copies.nodes, output_gradients=one_hot)
    jacobian = tf.reshape(jacobian, [size, size]).numpy()
    ends = np.cumsum(graph.n_node) * graph.nodes.shape[-1]
    outside = jacobian.copy()
    expected = []
    for start, end in zip(np.concatenate([[0], ends[:-1]]), ends, strict=True):
        expected.append(np.linalg.slogdet(jacobian[start:end, start:end])[1])
        outside[start:end, start:end] = 0.0
    np.testing.assert_array_equal(outside, 0.0)
    close(bijector.forward_log_det_jacobian(copied(graph)), expected, graph.nodes.dtype)


def relabeled(graph, seed=0):
    """(the graph with the nodes of each member and all edge rows permuted, new row -> old row)."""
    rng = np.random.default_rng(seed)
    starts = np.concatenate([[0], np.cumsum(graph.n_node)[:-1]])
    order = np.concatenate(
        [start + rng.permutation(n) for start, n in zip(starts, graph.n_node.numpy(), strict=True)]
    ).astype(np.int32)
    position = np.argsort(order)
    edge_starts = np.concatenate([[0], np.cumsum(graph.n_edge)[:-1]])
    edge_order = np.concatenate(
        [s + rng.permutation(n) for s, n in zip(edge_starts, graph.n_edge.numpy(), strict=True)]
    ).astype(np.int32)
    moved = graph.replace(
        nodes=tf.gather(graph.nodes, order),
        edges=tf.gather(graph.edges, edge_order),
        senders=tf.constant(position[graph.senders.numpy()[edge_order]], tf.int32),
        receivers=tf.constant(position[graph.receivers.numpy()[edge_order]], tf.int32),
    )
    return moved, order


def permutation_equivariant(bijector, graph):
    moved, order = relabeled(graph)
    dtype = graph.nodes.dtype
    close(
        bijector.forward(moved).nodes,
        tf.gather(bijector.forward(copied(graph)).nodes, order),
        dtype,
    )
    close(
        bijector.forward_log_det_jacobian(copied(moved)),
        bijector.forward_log_det_jacobian(copied(graph)),
        dtype,
    )


def graphs_one_by_one(bijector, graph):
    """A batch gives what its graphs give alone."""
    dtype = graph.nodes.dtype
    together = bijector.forward(copied(graph))
    alone = [bijector.forward(member) for member in graphs.unbatch(graph)]
    close(together.nodes, tf.concat([member.nodes for member in alone], axis=0), dtype)
    log_dets = [bijector.forward_log_det_jacobian(m) for m in graphs.unbatch(graph)]
    close(bijector.forward_log_det_jacobian(copied(graph)), tf.concat(log_dets, axis=0), dtype)


def padding_changes_nothing(bijector, graph):
    """Not in the values, not in the log-determinants, whatever the padding nodes hold."""
    dtype = graph.nodes.dtype
    num_nodes, num_graphs = graph.nodes.shape[0], graph.n_node.shape[0]
    padded = graphs.pad(graph, num_nodes + 5, graph.senders.shape[0] + 7, num_graphs + 2)
    noise = tf.cast(tf.random.stateless_normal([5, graph.nodes.shape[1]], seed=[1, 2]), dtype)
    padded = padded.replace(nodes=tf.concat([padded.nodes[:num_nodes], noise], axis=0))
    for method in ("forward", "inverse"):
        expected = getattr(bijector, method)(copied(graph))
        actual = getattr(bijector, method)(copied(padded))
        close(actual.nodes[:num_nodes], expected.nodes, dtype)
        log_det = getattr(bijector, f"{method}_log_det_jacobian")
        close(log_det(copied(padded))[:num_graphs], log_det(copied(graph)), dtype)


def same_in_every_execution_mode(bijector, graph):
    """eager = tf.function = XLA."""
    dtype = graph.nodes.dtype

    def value_and_log_det(graph):
        return bijector.forward(graph).nodes, bijector.forward_log_det_jacobian(graph)

    eager = value_and_log_det(copied(graph))
    for options in ({}, {"jit_compile": True, "autograph": False}):
        compiled = tf.function(value_and_log_det, **options)(copied(graph))
        for actual, expected in zip(compiled, eager, strict=True):
            close(actual, expected, dtype)


def every_variable_has_a_gradient(bijector, graph):
    """Of both directions, and no variable's gradient is zero throughout."""
    for method in ("forward", "inverse"):
        with tf.GradientTape() as tape:
            value = getattr(bijector, method)(copied(graph)).nodes
            log_det = getattr(bijector, f"{method}_log_det_jacobian")(copied(graph))
            loss = tf.reduce_sum(tf.sin(value)) + tf.reduce_sum(log_det)
        variables = bijector.trainable_variables
        assert variables
        for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
            assert gradient is not None, f"{method}: {variable.name}"
            assert np.abs(gradient).max() > 0.0, f"{method}: {variable.name}"


def padding_changes_no_prediction_and_no_gradient(regressor, molecules):
    """Of four molecules, by all variables and node features."""
    graph = tf.nest.map_structure(tf.constant, molecules.graph(np.arange(4)))
    padded = graphs.pad(graph, *(np.array([len(graph.nodes), len(graph.edges), 4]) + 5))
    results = []
    for batch in (graph, padded):
        with tf.GradientTape() as tape:
            tape.watch(batch.nodes)
            predicted = regressor.predict_graphs(batch)[:4]
            loss = tf.reduce_sum(predicted / regressor.spread)
        by_nodes, *gradients = tape.gradient(loss, [batch.nodes, *regressor.trainable_variables])
        results.append((predicted, by_nodes[: len(graph.nodes)], *gradients))
    for plain, same in zip(*results, strict=True):
        np.testing.assert_allclose(same, plain, rtol=1e-3, atol=1e-3 * np.abs(plain).max())


def noise_of_validation(objective):
    """The batches of a validation get different noise, and the next validation gets it again."""
    batch = next(iter(objective.validation_stream()[0]))

    def loss():
        return float(objective.batch_loss(batch, is_training=False)[0])

    of_first_batch = loss()
    objective.test_step(batch)
    assert loss() != of_first_batch
    objective.reset_metrics()
    assert loss() == of_first_batch
