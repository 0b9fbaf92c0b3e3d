"""Mixed precision: what has 16 bits, what keeps 32, and what that costs."""

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

from gnf_tf import datasets, graphs, models, networks, training
from gnf_tf.models import GRevNet
from tests import cases

pytestmark = pytest.mark.usefixtures("kept_half_steps")

WIDTH = 16


def random_graph(nodes=200, edges=800):
    rng = np.random.default_rng(0)
    return graphs.GraphsTuple(
        nodes=tf.constant(rng.normal(size=[nodes, WIDTH]), tf.float32),
        edges=tf.zeros([edges, 0]),
        globals=tf.zeros([1, 0]),
        senders=tf.constant(rng.integers(nodes, size=edges), tf.int32),
        receivers=tf.constant(rng.integers(nodes, size=edges), tf.int32),
        n_node=tf.constant([nodes]),
        n_edge=tf.constant([edges]),
    )


def messages(output_size):
    return networks.MessagePassing((WIDTH, WIDTH), output_size, dropout=0.1)


class Spy(snt.Module):
    """Notes the types that it works with, and multiplies by 3."""

    @snt.once
    def _initialize(self, graph):
        self.w = tf.Variable(tf.constant(3.0, graph.nodes.dtype))

    def __call__(self, graph):
        self._initialize(graph)
        self.seen = (graph.nodes.dtype, graph.edges.dtype, self.w.dtype, graph.senders.dtype)
        return graph.replace(nodes=graph.nodes * self.w)


@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float16])
def test_inside_16_bits_outside_32(dtype):
    graph = cases.mixed_graph(tf.float32)
    network = networks.HalfPrecision(Spy(), dtype)
    out = network(graph)
    assert network._network.seen == (dtype, dtype, dtype, tf.int32)
    assert out.nodes.dtype == tf.float32 and network.variables[0].dtype == tf.float32
    rounded = tf.cast(tf.cast(graph.nodes, dtype) * tf.constant(3.0, dtype), tf.float32)
    np.testing.assert_array_equal(out.nodes, rounded)
    assert np.abs(out.nodes - 3.0 * graph.nodes).max() > 0.0
    np.testing.assert_array_equal(out.edges, graph.edges)
    assert network._network.w.dtype == tf.float32  # again, afterwards
    with pytest.raises(ValueError, match="`dtype` must be tf.bfloat16 or tf.float16, got"):
        networks.HalfPrecision(Spy(), tf.float32)


def test_dropout_reaches_the_network():
    graph = random_graph()
    network = networks.HalfPrecision(messages(WIDTH))
    assert network.takes_seed and not networks.HalfPrecision(networks.MLP((3,))).takes_seed
    first, second = (network(graph, seed=tf.constant([0, i])).nodes for i in (1, 2))
    assert np.abs(first - second).max() > 1e-3
    np.testing.assert_array_equal(network(graph, seed=tf.constant([0, 1])).nodes, first)


@pytest.mark.parametrize("jit", [False, True])
def test_sums_have_32_bits(jit):
    """With 8 bits a sum of ones stays at 256."""
    ones = tf.ones([1000, 1], tf.bfloat16)
    index = tf.zeros([1000], tf.int32)

    @tf.function(jit_compile=jit)
    def sums(ones, value):
        with tf.GradientTape() as tape:
            tape.watch(value)
            total = tf.reduce_sum(tf.cast(graphs.gather(value, index), tf.float32))
        return graphs.scatter_sum(ones, index, 1), tape.gradient(total, value)

    total, gradient = sums(ones, tf.ones([1, 1], tf.bfloat16))
    assert total.dtype == gradient.dtype == tf.bfloat16
    assert total.numpy().item() == gradient.numpy().item() == 1000.0


def test_the_gradient_is_as_good_as_with_stored_activations():
    """Reconstruction is worth a bfloat16, and adds a fraction of what bfloat16 itself changes."""
    graph = random_graph()
    goal = tf.random.stateless_normal(graph.nodes.shape, [0, 1])
    found = {}
    for half, memory in ((False, "stored"), (True, "stored"), (True, "reversible")):
        tf.random.set_seed(0)

        def make_conditioner(output_size, half=half):
            network = networks.MessagePassing((WIDTH, WIDTH), output_size, output_scale=0.2)
            return networks.HalfPrecision(network) if half else network

        net = GRevNet(5, WIDTH, memory=memory, make_conditioner=make_conditioner)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(net(graph).nodes - goal))
        gradients = tape.gradient(loss, net.trainable_variables)
        assert all(g.dtype == tf.float32 and np.abs(g).max() > 0.0 for g in gradients)
        error = np.abs(net.inverse(net(graph)).nodes - graph.nodes).max()
        found[half, memory] = np.concatenate([np.ravel(g) for g in gradients]), error
    exact, stored, reversible = (gradients for gradients, _ in found.values())

    def distance(a, b):
        return np.linalg.norm(a - b) / np.linalg.norm(b)

    assert 1e-3 < distance(stored, exact) < 0.1
    assert distance(reversible, stored) < 0.3 * distance(stored, exact)
    assert found[False, "stored"][1] < 1e-5 < found[True, "reversible"][1] < 0.1


def test_a_loop_has_it_too():
    """Whose networks hold slices of the stacked weights, not variables."""
    graph, found = random_graph(), []
    for half in (False, True):
        tf.random.set_seed(0)

        def make_conditioner(output_size, half=half):
            network = networks.MessagePassing((WIDTH, WIDTH), output_size, output_scale=0.2)
            return networks.HalfPrecision(network) if half else network

        net = GRevNet(3, WIDTH, loop=True, make_conditioner=make_conditioner)
        found.append(net(graph).nodes.numpy())
    np.testing.assert_allclose(found[1], found[0], atol=0.1)
    assert np.abs(found[1] - found[0]).max() > 1e-4


def regression():
    """A model of molecules, and how a training step of it is taken."""
    # Without mu, the norm of a vector, whose gradient depends on every digit near 0, the start.
    train = datasets.qm9("train", size=40, targets=list(datasets.QM9_TARGETS)[1:])

    def make(mixed):
        config = models.RegressorConfig(num_steps=1, node_size=8, mixed_precision=mixed)
        return models.MoleculeRegressor.for_data(train, config)

    return make, train


def classification():
    """A model of labeled nodes."""
    rng = np.random.default_rng(0)
    nodes = np.arange(12)
    edges = np.stack([nodes, (nodes + 1) % 12])
    network = datasets.node_graph(rng.normal(size=[12, 5]), edges, nodes % 2, seed=0)

    def make(mixed):
        config = models.ClassifierConfig(
            num_steps=2, node_size=6, conditioner="messages", mixed_precision=mixed
        )
        return models.NodeClassifier.for_data(network, config)

    return make, network


@pytest.mark.parametrize("kind", [regression, classification])
def test_the_models_couplings_have_it(kind):
    """A step has nearly the loss and the gradient that it has with 32 bits, and not the same."""
    make, train = kind()
    found = []
    for mixed in (False, True):
        training.set_seed(0)
        history = training.fit(make(mixed), train, epochs=1, execution="eager").history
        found.append([history["loss"][0], history["gradient_norm"][0]])
    exact, mixed = found
    np.testing.assert_allclose(mixed, exact, rtol=2e-2)
    assert np.abs(np.subtract(mixed, exact)).max() > 1e-6


@pytest.mark.parametrize(
    "changes", [{"model": "neumann_rbp"}, {"conditioner": "convolution"}], ids=str
)
def test_what_does_not_hold_is_refused(changes):
    with pytest.raises(ValueError, match="`mixed_precision` must be False"):
        models.ClassifierConfig(mixed_precision=True, **changes)


@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float16])
@pytest.mark.parametrize("sizes", [[600, 600], [600, 599]], ids=["equal", "unequal"])
def test_sums_over_nodes_have_32_bits(dtype, sizes):
    """bfloat16 has 8 significant bits: 256 and 1 are 256."""
    graph = graphs.edgeless(sizes, 2, dtype=dtype)
    ones = tf.ones_like(graph.nodes)
    assert graphs.sum_nodes(ones, graph).numpy().tolist() == [
        [np.asarray(size, dtype.as_numpy_dtype)] * 2 for size in sizes
    ]
    assert (graphs.mean_nodes(ones, graph).numpy() == 1.0).all()


def test_sums_over_more_edges_than_float16_counts():
    """Up to 65,504: of so many equal neighbors the mean is that of one, in every network."""
    n, results = 66_000, []
    for dtype in (tf.float32, tf.float16):
        graph = graphs.GraphsTuple(
            nodes=tf.ones([n + 1, 2], dtype),
            edges=tf.zeros([n, 0], dtype),
            globals=tf.zeros([1, 0], dtype),
            senders=tf.range(1, n + 1),
            receivers=tf.zeros([n], tf.int32),
            n_node=[n + 1],
            n_edge=[n],
        )
        made = []
        for network in (
            networks.AdditiveAttention(1, 2),
            networks.DotProductAttention(1, 2),
            networks.GraphConvolution(2, diagonal=True),
        ):
            tf.random.set_seed(0)
            network(graph)
            for i, variable in enumerate(network.variables):
                variable.assign(tf.cast(tf.random.stateless_normal(variable.shape, [0, i]), dtype))
            made.append(network(graph).nodes[0])
        results.append(made)
    for found, expected in zip(*reversed(results), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-2)
        assert np.abs(expected).max() > 0.05
