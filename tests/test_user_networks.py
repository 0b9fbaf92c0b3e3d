"""Networks of users' own classes, which look at themselves in ways that ours do not."""

import copy
import functools
import itertools
from typing import NamedTuple

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf
import tf_keras

import gnf_tf
from gnf_tf import graphs
from tests import cases, checks

SCALES = (1.0, 5.0, 0.5, 2.0)  # of the networks of the four half steps


def weight(size):
    return tf.Variable(tf.random.normal([2, size]) / 2)


class Own(tf.Module):
    """A linear map of the nodes, by a weight that `get` finds, times a number of Python's."""

    def __init__(self, size, scale):
        super().__init__()
        self.make(size, scale)

    def make(self, size, scale):
        self.w, self.scale = weight(size), scale

    def get(self):
        return self.w * self.scale

    def __call__(self, graph):
        return graph.replace(nodes=tf.tanh(tf.matmul(graph.nodes, self.get())))


class Variables(Own):
    def get(self):
        return self.w / (1 + tf.norm(self.trainable_variables[0])) * self.scale


class Submodules(Own):
    def make(self, size, scale):
        self.scale = scale
        self.layer = snt.Linear(size, with_bias=False)
        self.layer(tf.zeros([1, 2]))

    def get(self):
        return sum(layer.w for layer in self.submodules) * self.scale


class Delegating(Own):
    def make(self, size, scale):
        self.inner, self.scale = Own(size, scale), scale

    def __getattr__(self, name):
        if name == "w":
            return self.inner.w
        raise AttributeError(name)


class Dictionary(Own):
    def get(self):
        return self.__dict__["w"] * vars(self)["scale"]


class Parameters(Own):
    def make(self, size, scale):
        self._parameters = {"w": weight(size), "scale": scale}

    def get(self):
        return self._parameters["w"] * self._parameters["scale"]


class Pair(NamedTuple):
    w: tf.Variable
    b: tf.Variable


class Pairs(Own):
    def make(self, size, scale):
        self.pair, self.scale = Pair(weight(size), tf.Variable(0.1)), scale

    def get(self):
        return self.pair.w * self.scale + self.pair.b


class Sparse(Own):
    def make(self, size, scale):
        self.w, self.map = weight(size), tf.sparse.from_dense([[scale, 0.0], [0.0, 2.0]])

    def get(self):
        # Of the operations on sparse tensors XLA has none.
        return tf.matmul(tf.scatter_nd(self.map.indices, self.map.values, [2, 2]), self.w)


class Ragged(Own):
    def make(self, size, scale):
        self.w, self.rows = weight(size), tf.ragged.constant([[1.0, scale], [0.5]])

    def get(self):
        return (
            self.w
            * tf.reduce_sum(self.rows.flat_values)
            / tf.reduce_sum(tf.cast(self.rows.row_splits, tf.float32))
        )


class AttributeDict(dict):
    def __getattr__(self, name):
        return self[name]


class TaggedList(list):
    def total(self):
        return sum(self) * self.scale


class Containers:
    """No `tf.Module`, whose containers TensorFlow would wrap."""

    def __init__(self, size, scale):
        self.dictionary = AttributeDict(w=weight(size))
        self.dictionary.__dict__["scale"] = scale
        self.list = TaggedList([weight(size)])
        self.list.scale = scale

    def __call__(self, graph):
        w = self.list.total() + self.dictionary.w * vars(self.dictionary)["scale"]
        return graph.replace(nodes=tf.tanh(tf.matmul(graph.nodes, w)))


def with_attribute(size, scale):
    w = weight(size)

    def network(graph):
        return graph.replace(nodes=tf.tanh(tf.matmul(graph.nodes, w * network.scale)))

    network.scale = scale
    return network


NETWORKS = {
    kind.__name__: kind
    for kind in (
        *(Own, Variables, Submodules, Delegating, Dictionary, Parameters, Pairs, Sparse, Ragged),
        Containers,
        with_attribute,
    )
}


def new_gnf(kind, memory):
    tf.random.set_seed(0)
    scales = iter(SCALES)
    return gnf_tf.GNF(
        2,
        4,
        make_conditioner=lambda size: kind(size, next(scales)),
        normalization=None,
        memory=memory,
    )


def gradients(gnf, graph):
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(gnf.forward(graph).nodes ** 3)
        loss += tf.reduce_sum(gnf.forward_log_det_jacobian(graph))
    return tape.gradient(loss, gnf.trainable_variables)


def answers(gnf, graph):
    """Latent nodes, what gives them back, and the gradients."""
    latent = gnf.forward(graph)
    back = gnf.inverse(latent.replace(nodes=tf.identity(latent.nodes)))
    return [latent.nodes, back.nodes, gradients(gnf, graph)]


def check_answers(answered, expected):
    latent, back, found = answered
    np.testing.assert_allclose(latent, expected[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(back, GRAPH.nodes, rtol=1e-3, atol=1e-4)
    for a, b in zip(found, expected[2], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)


GRAPH = cases.mixed_graph(tf.float32).replace(edges=None, globals=None)
expected_answers = functools.cache(lambda name: answers(new_gnf(NETWORKS[name], "stored"), GRAPH))


@pytest.mark.parametrize(
    "name, memory, mode",
    [
        *itertools.product(NETWORKS, ["reversible"], ["eager"]),
        # A function calls the half steps that eager mode compiles.
        *itertools.product(["Own", "Delegating", "Containers"], ["reversible"], ["function"]),
        # XLA gets equal steps as a loop, of stored activations too.
        *itertools.product(["Own", "Sparse"], ["reversible", "stored"], ["xla"]),
    ],
)
def test_the_same_numbers_in_every_mode(name, memory, mode):
    """As one would expect, those of eager mode with stored activations."""
    expected = expected_answers(name)
    assert len(expected[2]) >= len(SCALES) and all(g is not None for g in expected[2])
    gnf = new_gnf(NETWORKS[name], memory)
    check_answers(checks.EXECUTIONS[mode](functools.partial(answers, gnf))(GRAPH), expected)


def test_the_same_numbers_of_all_of_them_in_one_program():
    def gnf(memory):
        tf.random.set_seed(0)
        kinds = itertools.cycle(NETWORKS.values())
        return gnf_tf.GNF(
            len(NETWORKS) // 2 + 1,
            4,
            make_conditioner=lambda size: next(kinds)(size, 0.7),
            normalization=None,
            memory=memory,
        )

    found = checks.EXECUTIONS["xla"](functools.partial(answers, gnf("reversible")))(GRAPH)
    expected = answers(gnf("stored"), GRAPH)
    assert all(gradient is not None for gradient in expected[2])
    check_answers(found, expected)


@pytest.mark.parametrize(
    "name", ["Variables", "Submodules", "Delegating", "Pairs", "Sparse", "Ragged"]
)
def test_the_same_numbers_in_a_loop(name):
    graph = cases.mixed_graph(tf.float32).replace(edges=None, globals=None)

    def net(loop):
        tf.random.set_seed(0)
        return gnf_tf.models.GRevNet(
            3, 4, make_conditioner=lambda size: NETWORKS[name](size, 0.7), loop=loop
        )

    looped, plain = net(True), net(False)
    expected = plain(graph).nodes
    np.testing.assert_allclose(tf.function(looped)(graph).nodes, expected, rtol=1e-4, atol=1e-5)


class Settings:
    """A user's object without weights."""

    def __init__(self):
        self.scale = 1.0

    def __setitem__(self, key, value):
        self.scale = value

    def __float__(self):
        return self.scale


HELD = {
    "dict": (dict.fromkeys([0], 1.0), lambda held: held[0]),
    "list": ([1.0], lambda held: held[0]),
    "array": (np.ones(1, np.float32), lambda held: held[0]),
    "object": (Settings(), float),
}


@pytest.mark.parametrize(
    "name, execution", [*itertools.product(HELD, ["eager"]), ("list", "function"), ("list", "xla")]
)
def test_what_is_changed_in_place_is_changed_in_this_network_alone(name, execution):
    """And in no other of the same structure, of this model or another, which share programs."""
    held, read = HELD[name]

    class Holding(Own):
        def make(self, size, scale):
            self.w, self.held = weight(size), copy.deepcopy(held)

        def get(self):
            return self.w * read(self.held)

    made = []

    def make(size):
        made.append(Holding(size, None))
        return made[-1]

    tf.random.set_seed(0)
    gnf, other = (gnf_tf.GNF(2, 4, make_conditioner=make, normalization=None) for _ in range(2))

    def found(gnf):
        run = checks.EXECUTIONS[execution](functools.partial(answers, gnf))
        return tf.nest.flatten(run(GRAPH.replace(nodes=tf.identity(GRAPH.nodes))))

    before = found(gnf), found(other)
    made[0].held[0] = 3.0
    for a, b in zip(found(other), before[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    expected = tf.nest.flatten(answers(gnf.copy(memory="stored"), GRAPH))
    for a, b in zip(found(gnf), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)
    assert max(np.abs(a - b).max() for a, b in zip(expected, before[0], strict=True)) > 0.1


@pytest.mark.parametrize("execution", checks.EXECUTIONS)
def test_keras_networks_without_an_input_shape(execution):
    """They build themselves anew for other numbers of rows; and what changes in one stays there."""
    made = []

    def make(size):
        dense = tf_keras.layers.Dense
        made.append(tf_keras.Sequential([dense(6, activation="tanh"), dense(size)]))
        return lambda graph, network=made[-1]: graph.replace(nodes=network(graph.nodes))

    tf_keras.utils.set_random_seed(0)
    gnf, other = (gnf_tf.GNF(1, 4, make_conditioner=make, normalization=None) for _ in range(2))

    def agrees(gnf):
        graph = GRAPH.replace(nodes=tf.identity(GRAPH.nodes))
        found = checks.EXECUTIONS[execution](functools.partial(answers, gnf))(graph)
        expected = answers(gnf.copy(memory="stored"), GRAPH)
        for a, b in zip(*map(tf.nest.flatten, (found, expected)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)

    agrees(gnf)
    made[0].layers[0].activation = tf.nn.relu
    agrees(gnf)
    agrees(other)


def of_gradients(w):
    """A network of the gradient of an energy."""

    @tf.function
    def slope(x, w):
        return tf.gradients(tf.reduce_sum(tf.sin(tf.matmul(x, w))), x)[0]

    return lambda graph: graph.replace(nodes=tf.matmul(tf.sin(slope(graph.nodes, w)), w))


def mapped(w):
    return lambda graph: graph.replace(nodes=tf.vectorized_map(tf.sin, tf.matmul(graph.nodes, w)))


@pytest.mark.parametrize("make", [of_gradients, mapped])
def test_networks_may_trace_functions(make):
    gnf = gnf_tf.GNF(1, 4, make_conditioner=lambda size: make(weight(size)), normalization=None)
    found = [answers(gnf.copy(memory=memory), GRAPH) for memory in ("reversible", "stored")]
    for a, b in zip(*map(tf.nest.flatten, found), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    assert np.abs(found[0][0] - GRAPH.nodes).max() > 0.1


@pytest.mark.parametrize("options", [{}, {"unconnected_gradients": "zero"}])
def test_tapes_of_a_networks_own_are_refused(options):
    """They would record nothing, and the gradient be None or 0."""

    def make(size):
        w = weight(size)

        def network(graph):
            with tf.GradientTape() as tape:
                tape.watch(graph.nodes)
                energy = tf.reduce_sum(tf.sin(tf.matmul(graph.nodes, w)))
            slope = tape.gradient(energy, graph.nodes, **options)
            return graph.replace(nodes=tf.matmul(slope, w))

        return network

    with pytest.raises(ValueError, match="must give a network without a tf.GradientTape of its"):
        gnf_tf.GNF(1, 4, make_conditioner=make)


def test_what_python_knows_is_read_at_each_trace():
    """A class attribute that changed, and a global; see also how instance attributes do."""

    class Scaled(Own):
        factor = 1.0

        def get(self):
            return self.w * self.factor

    graph = graphs.fully_connected([3, 2], 4).replace(nodes=tf.ones([5, 4]))
    coupling = gnf_tf.GraphCoupling(lambda size: Scaled(size, 1.0), 4)
    for Scaled.factor in (1.0, 3.0):
        found = tf.function(lambda g: coupling.forward(g).nodes)(graph)
        np.testing.assert_allclose(found, coupling.forward(graph).nodes, rtol=1e-5)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda size: None, "network, which can be called, got None"),
        (lambda size: lambda graph: graph.nodes, "returns a GraphsTuple, .*, got EagerTensor"),
        (lambda size: lambda graph: None, "returns a GraphsTuple, .*, got NoneType"),
        (lambda size: lambda graph: (graph,), "returns a GraphsTuple, .*, got tuple"),
        (
            lambda size: lambda graph: graph.replace(nodes=np.zeros([2, size], np.float32)),
            "whose nodes are a tensor, got ndarray",
        ),
        (
            lambda size: lambda graph: graph.replace(nodes=tf.zeros([2, size], tf.float64)),
            "nodes of the dtype of its input, float32, got float64",
        ),
        (
            lambda size: lambda graph: graph.replace(nodes=tf.zeros([2, size], tf.int32)),
            "nodes of the dtype of its input, float32, got int32",
        ),
    ],
)
def test_what_is_no_network_is_named(make, message):
    with pytest.raises(ValueError, match=r"(?s)`make_conditioner\(4\)` must give a .*" + message):
        gnf_tf.GraphCoupling(make, 4)


@pytest.mark.parametrize("given", [None, 3, tf.zeros([2, 4]), {"nodes": tf.zeros([2, 4])}])
def test_what_is_no_graph_is_named(given):
    for use in (gnf_tf.GNF(1, 4).forward, gnf_tf.models.GRevNet(1, 4), gnf_tf.NodePrior):
        with pytest.raises(TypeError, match="`graph` must be a GraphsTuple, got "):
            use(given)


class Gain(snt.Module):
    """A linear map times a tensor that its user assigns, as in hypernetworks."""

    def __init__(self, size):
        super().__init__()
        self.linear, self.gain = snt.Linear(size), tf.ones([size])

    def __call__(self, graph):
        return graph.replace(nodes=self.gain * self.linear(graph.nodes))


def gradients_by(gnf, graph, sources):
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(gnf.forward(checks.copied(graph)).nodes ** 2)
    return tape.gradient(loss, sources)


def test_a_tensor_that_is_assigned_counts_from_then_on():
    """Also in the gradient, and in no other model of the same structure."""
    made = []

    def make(size):
        made.append(Gain(size))
        return made[-1]

    graph = cases.mixed_graph(tf.float32)
    gnf = gnf_tf.GNF(1, 4, make_conditioner=make, normalization=None, **cases.WIDTHS)
    other = gnf_tf.GNF(1, 4, make_conditioner=Gain, normalization=None, **cases.WIDTHS)
    gain = tf.Variable([0.5, -0.3, 0.8, 0.1])
    for _ in range(2):
        found = []
        for one in (gnf, gnf.copy(memory="stored")):
            with tf.GradientTape() as tape:
                for network in made:
                    network.gain = 2.0 * gain
                loss = tf.reduce_sum(one.forward(checks.copied(graph)).nodes ** 2)
            found.append(tape.gradient(loss, gain))
        np.testing.assert_allclose(*found, rtol=1e-4)
        for network in made:
            network.linear.w = tf.Variable(-0.5 * network.linear.w)
        latent = gnf.forward(checks.copied(graph))
        back = gnf.inverse(checks.copied(latent)).nodes
        np.testing.assert_allclose(back, graph.nodes, atol=1e-4)
    found = [
        gradients_by(one, graph, other.trainable_variables)
        for one in (other, other.copy(memory="stored"))
    ]
    for reversible, stored in zip(*found, strict=True):
        np.testing.assert_allclose(reversible, stored, rtol=1e-3, atol=1e-3)
    compiled = tf.function(lambda graph: other.forward(graph).nodes, autograph=False)
    expected = other.forward(checks.copied(graph)).nodes
    np.testing.assert_allclose(compiled(graph), expected, rtol=1e-5, atol=1e-5)


class Attends(snt.Module):
    """It keeps its hidden features, to be looked at."""

    def __init__(self, size):
        super().__init__()
        self.hidden, self.out = snt.Linear(8), snt.Linear(size)

    def __call__(self, graph):
        self.last = tf.tanh(self.hidden(graph.nodes))
        return graph.replace(nodes=self.out(self.last))


def test_a_network_may_keep_what_it_computed():
    """A tensor of a graph that is finished is out of scope wherever the network runs next."""
    graph = cases.mixed_graph(tf.float32)
    gnf = gnf_tf.GNF(2, 4, make_conditioner=Attends, **cases.WIDTHS)
    expected = gnf.forward(graph).nodes
    compiled = tf.function(
        lambda graph: (gnf.forward(graph).nodes, gradients_by(gnf, graph, gnf.trainable_variables)),
        autograph=False,
    )
    for _ in range(2):
        found, by_weights = compiled(checks.copied(graph))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(gnf.forward(checks.copied(graph)).nodes, expected, atol=1e-5)
        eager = gradients_by(gnf, graph, gnf.trainable_variables)
        for one, other in zip(by_weights, eager, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


class Seeded(snt.Module):
    takes_seed = True

    def __init__(self, size):
        super().__init__()
        self.linear = snt.Linear(size)

    def __call__(self, graph, seed=None):
        nodes = graph.nodes if seed is None else tf.nn.dropout(graph.nodes, 0.5)
        return graph.replace(nodes=self.linear(nodes))


def test_what_is_no_function_of_its_seed_is_refused():
    with pytest.raises(ValueError, match="got one that runs RandomUniform"):
        gnf_tf.GNF(1, 4, make_conditioner=Seeded, normalization=None)


class OfNodes:
    """A map with a slope for each node in place of each feature."""

    num_params = 1

    def parameters(self, raw):
        return tf.tanh(raw[:, 0])

    def forward(self, x, log_slope):
        return x * tf.exp(log_slope), tf.reduce_sum(log_slope, -1)

    def inverse(self, y, log_slope):
        return y * tf.exp(-log_slope), -tf.reduce_sum(log_slope, -1)


def test_log_slopes_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="`forward` gave"):
        gnf_tf.GNF(1, 4, coupling=OfNodes(), normalization=None)


def test_an_error_of_a_network_says_how_it_is_called():
    """A layer of Keras takes features, and not a graph."""
    with pytest.raises(ValueError, match="input") as caught:
        gnf_tf.GNF(1, 4, make_conditioner=tf_keras.layers.Dense, normalization=None)
    assert "`make_conditioner(4)` gave a network that is called with a GraphsTuple" in "".join(
        caught.value.__notes__
    )
