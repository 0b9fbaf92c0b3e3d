"""What turns with space: `EquivariantMessages`, and the stacks and models that are made of it."""

import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf

from gnf_tf import datasets, models, networks
from gnf_tf.networks import equivariant
from tests import cases, checks
from tests.network_cases import three_nodes

pytestmark = pytest.mark.usefixtures("kept_half_steps")

NUM_SCALARS, NUM_VECTORS = 3, 2  # of a half
HALF = NUM_SCALARS + 3 * NUM_VECTORS


def turned_space(sign, seed=0):
    """A random orthogonal matrix of determinant `sign`."""
    matrix = np.linalg.qr(np.random.default_rng(seed).normal(size=[3, 3]))[0]
    return tf.constant(matrix * sign * np.linalg.det(matrix), tf.float64)


def turned(features, num_vectors, space):
    """Features of `split_vectors`, whose vectors turn."""
    scalars, vectors = equivariant.split_vectors(features, num_vectors)
    vectors = tf.einsum("rdc,de->rec", vectors, tf.cast(space, features.dtype))
    return tf.concat([scalars, tf.reshape(vectors, [len(features), -1])], axis=-1)


def random_graph(node_size, dtype=tf.float64):
    """`cases.mixed_graph` with random nodes, and edges of 2 features and a direction."""
    graph, rng = cases.mixed_graph(dtype), np.random.default_rng(2)
    nodes = rng.normal(size=[len(graph.nodes), node_size])
    directions = rng.normal(size=[len(graph.edges), 3])
    edges = tf.concat([graph.edges, tf.constant(directions, dtype)], axis=-1)
    return graph.replace(nodes=tf.constant(nodes, dtype), edges=edges)


def conditioner(output_size):
    return networks.EquivariantMessages(5, output_size, NUM_VECTORS)


def stack(dtype=tf.float64, **options):
    net = models.GRevNet(
        2, 2 * HALF, edge_size=5, make_conditioner=conditioner, dtype=dtype, **options
    )
    return cases.randomize(net)


both_halves = functools.partial(tf.split, num_or_size_splits=2, axis=-1)
every_space = pytest.mark.parametrize("sign", [1, -1], ids=["rotation", "reflection"])


@every_space
@pytest.mark.parametrize("output_size", [HALF, 2 * HALF], ids=["shift", "scale_and_shift"])
def test_new_vectors_turn_and_new_scalars_do_not(output_size, sign):
    graph, space = random_graph(HALF), turned_space(sign)
    network = cases.randomize_after(conditioner(output_size), graph)
    moved = graph.replace(
        nodes=turned(graph.nodes, NUM_VECTORS, space), edges=turned(graph.edges, 1, space)
    )
    found, expected = network(moved).nodes, network(graph).nodes
    if output_size > HALF:  # the log-scales do not turn
        checks.close(found[:, :HALF], expected[:, :HALF], tf.float64)
        np.testing.assert_array_equal(found[:, NUM_SCALARS:HALF], 0.0)
        found, expected = found[:, HALF:], expected[:, HALF:]
    checks.close(found, turned(expected, NUM_VECTORS, space), tf.float64)
    assert np.abs(expected - turned(expected, NUM_VECTORS, space)).max() > 1e-2


@every_space
def test_a_reversible_stack_and_its_inverse_turn(sign):
    graph, space, net = random_graph(2 * HALF), turned_space(sign), stack()

    def moved(graph):
        halves = [turned(half, NUM_VECTORS, space) for half in both_halves(graph.nodes)]
        return graph.replace(nodes=tf.concat(halves, axis=-1), edges=turned(graph.edges, 1, space))

    checks.close(net(moved(graph)).nodes, moved(net(graph)).nodes, tf.float64)
    checks.close(net.inverse(moved(net(graph))).nodes, moved(graph).nodes, tf.float64)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=lambda dtype: dtype.name)
def test_its_gradient_is_that_of_the_stored_network(dtype):
    graph, found = random_graph(2 * HALF, dtype), []
    for memory in ("reversible", "stored"):
        net = stack(dtype, memory=memory)
        with tf.GradientTape() as tape:
            tape.watch(graph.edges)
            loss = tf.reduce_sum(tf.sin(net(graph).nodes))
        sources = [graph.edges, *net.trainable_variables]
        found.append([loss, *map(tf.convert_to_tensor, tape.gradient(loss, sources))])
    for reversible, stored in zip(*found, strict=True):
        size = max(1.0, float(tf.reduce_max(tf.abs(stored))))
        checks.close(reversible / size, stored / size, dtype)


CONFIG = models.RegressorConfig(
    num_steps=1, node_size=6, num_vectors=2, message_size=4, num_basis=4
)


@pytest.fixture(scope="module")
def test_set():
    return datasets.qm9("test", size=4, targets=["mu", "u0"])


@pytest.fixture(scope="module")
def regressor(test_set):
    return cases.random_regressor(test_set, CONFIG)


@every_space
def test_predictions_depend_on_no_frame(regressor, test_set, sign):
    moved = test_set.positions @ turned_space(sign).numpy() + [1.0, 2.0, 3.0]
    moved = dataclasses.replace(test_set, positions=moved)
    found, expected = regressor.predict(moved), regressor.predict(test_set)
    assert expected.std(axis=0).min() > 0
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_padding_changes_no_prediction_and_no_gradient(regressor, test_set):
    checks.padding_changes_no_prediction_and_no_gradient(regressor, test_set)


def test_atoms_at_one_place_have_finite_predictions_and_gradients(regressor):
    both = datasets.Molecules([2], [6, 8], np.zeros([2, 3]), np.zeros([1, 0]), (), (), [0])
    graph = tf.nest.map_structure(tf.constant, both.graph(np.array([0])))
    with tf.GradientTape() as tape:
        tape.watch(graph.nodes)
        predicted = regressor.predict_graphs(graph)
    assert np.isfinite(predicted).all()
    assert np.isfinite(tape.gradient(predicted, graph.nodes)).all()


def test_angles_matter():
    """Node 2 hears nodes 0 and 1 from directions whose angle changes."""
    network, outputs = conditioner(HALF), []
    for angle in (np.pi / 2, np.pi):
        edges = [[0, 1, 0], [1, 0, 0], [np.cos(angle), np.sin(angle), 0], [0, 0, 0]]
        graph = three_nodes(np.ones([3, HALF]), np.c_[np.zeros([4, 2]), edges])
        outputs.append(cases.randomize_after(network, graph)(graph).nodes[2, :NUM_SCALARS])
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-2


@pytest.mark.parametrize(
    "node_size, output_size, edge_size, message",
    [
        (HALF, 3 * HALF, 3, "`output_size` must be 9 or 18, .* got 27"),
        (3 * NUM_VECTORS, HALF, 3, "`graph.nodes` must be more than 6 wide, .* got 6"),
        (HALF, HALF, 2, "`graph.edges` must be at least 3 wide, .* got 2"),
    ],
)
def test_widths_that_do_not_fit_are_named(node_size, output_size, edge_size, message):
    graph = random_graph(node_size)
    with pytest.raises(ValueError, match=message):
        conditioner(output_size)(graph.replace(edges=graph.edges[:, :edge_size]))
