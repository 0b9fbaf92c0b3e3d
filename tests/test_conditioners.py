"""Networks that users hand over: tracked whatever holds them, refused where they have a state."""

import functools
import os

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf
import tf_keras

import gnf_tf
from gnf_tf import networks
from gnf_tf.networks import conditioner
from tests import cases

pytestmark = pytest.mark.usefixtures("kept_half_steps")

WIDTH = cases.NODE_SIZE // 2
KERAS_3 = tf.keras  # TensorFlow's own, which tracks none of Sonnet's variables


def linear(size):
    return snt.Linear(size, w_init=snt.initializers.Constant(0.3))


class PlainObject:
    """Callable, and no `tf.Module`."""

    def __init__(self, size):
        self.layers = {"first": [snt.Linear(5)], "last": linear(size)}

    def __call__(self, graph):
        hidden = tf.tanh(self.layers["first"][0](graph.nodes))
        return graph.replace(nodes=self.layers["last"](hidden))


class InSonnet(snt.Module):
    """A Sonnet module around any layer."""

    def __init__(self, layer):
        super().__init__()
        self._layer = layer

    def __call__(self, graph):
        return graph.replace(nodes=self._layer(graph.nodes))


def closure(size):
    layer = linear(size)
    return lambda graph: graph.replace(nodes=layer(graph.nodes))


def closure_over_a_variable(size):
    weights = tf.Variable(0.3 * tf.ones([WIDTH, size]))
    return lambda graph: graph.replace(nodes=graph.nodes @ weights)


def made_at_the_first_call(size):
    made = []

    def network(graph):
        if not made:
            made.append(linear(size))
        return graph.replace(nodes=made[0](graph.nodes))

    return network


def traced(size):
    layer = linear(size)
    return tf.function(lambda graph: graph.replace(nodes=layer(graph.nodes)))


def keras_functional(size):
    inputs = tf_keras.Input([WIDTH])
    model = tf_keras.Model(inputs, tf_keras.layers.Dense(size)(inputs))
    return lambda graph: graph.replace(nodes=model(graph.nodes))


def method(size):
    return PlainObject(size).__call__


# name -> (make_conditioner, variables of a coupling)
TRACKED = {
    "closure": (closure, 2),
    "closure over a variable": (closure_over_a_variable, 1),
    "made at the first call": (made_at_the_first_call, 2),
    "partial": (lambda size: functools.partial(lambda f, graph: f(graph), closure(size)), 2),
    "plain object": (PlainObject, 4),
    "method": (method, 4),
    "tf.function": (traced, 2),
    "sonnet": (lambda size: InSonnet(linear(size)), 2),
    "closure in sonnet": (
        lambda size: InSonnet(functools.partial(lambda f, x: f(x), linear(size))),
        2,
    ),
    "tf_keras layer": (lambda size: InSonnet(tf_keras.layers.Dense(size)), 2),
    "tf_keras sequential": (
        lambda size: InSonnet(
            tf_keras.Sequential([tf_keras.layers.Dense(3), tf_keras.layers.Dense(size)])
        ),
        4,
    ),
    "tf_keras functional": (keras_functional, 2),
    "scaled closure": (lambda size: networks.Scaled(closure(size), 0.5), 2),
    "half closure": (lambda size: networks.HalfPrecision(closure(size)), 2),
}

HOLDERS = {
    "coupling": (lambda make, memory: gnf_tf.GraphCoupling(make, 4, memory=memory), 1),
    "grevnet": (
        lambda make, memory: gnf_tf.models.GRevNet(1, 4, make_conditioner=make, memory=memory),
        2,
    ),
}


def graph_of_four():
    graph = gnf_tf.graphs.fully_connected([3, 1], 4)
    return graph.replace(nodes=tf.random.stateless_normal([4, 4], seed=[0, 1]))


def loss_of(model, graph):
    call = model.forward if isinstance(model, gnf_tf.bijectors.GraphBijector) else model
    return tf.reduce_sum(tf.sin(call(graph).nodes))


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("name", TRACKED)
def test_every_variable_is_tracked_trained_and_saved(name, holder, tmp_path):
    make, each = TRACKED[name]
    make_holder, couplings = HOLDERS[holder]
    models = []
    for memory in ("reversible", "stored"):
        tf_keras.utils.set_random_seed(0)
        models.append(make_holder(make, memory))
    graph = graph_of_four()
    gradients = []
    for model in models:
        assert len(model.trainable_variables) == each * couplings
        with tf.GradientTape() as tape:
            loss = loss_of(model, graph)
        gradients.append(tape.gradient(loss, model.trainable_variables))
    half = name.startswith("half")
    for found, expected in zip(*gradients, strict=True):
        assert np.abs(expected).max() > 0.0
        np.testing.assert_allclose(found, expected, rtol=0.1 if half else 1e-3, atol=1e-5)
    # From one to another model whose weights differ.
    for variable in models[1].variables:
        variable.assign_add(0.1 * tf.ones_like(variable))
    path = tf.train.Checkpoint(model=models[0]).write(os.fspath(tmp_path / "weights"))
    tf.train.Checkpoint(model=models[1]).read(path).assert_consumed()
    for one, other in zip(*(model.variables for model in models), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", sorted(set(TRACKED) - {"half closure"}))
def test_neumann_rbp_tracks_them_too(name):
    def make(size):
        inner = TRACKED[name][0](size)
        # Its network gets the state and the input, WIDTH together.
        return inner

    net = gnf_tf.models.NeumannRBP(3, 1, input_size=WIDTH - 1, make_conditioner=make)
    assert len(net.trainable_variables) == TRACKED[name][1]


GLOBAL_LAYER = []


def held_by_a_global(size):
    GLOBAL_LAYER[:] = [linear(size)]
    return _call_global


def _call_global(graph):
    return graph.replace(nodes=GLOBAL_LAYER[0](graph.nodes))


def new_at_each_call(size):
    return lambda graph: graph.replace(nodes=linear(size)(graph.nodes))


def keras_3(size):
    return InSonnet(KERAS_3.layers.Dense(size))


def keras_3_batch_norm(size):
    layer, norm = linear(size), KERAS_3.layers.BatchNormalization(trainable=False)
    return lambda graph: graph.replace(nodes=layer(norm(graph.nodes)))


UNTRACKED = {
    "a global": (held_by_a_global, "held elsewhere: linear.*w:0 of shape"),
    "new at each call": (new_at_each_call, "makes its variables once"),
    "keras 3": (keras_3, "layers of Keras 3 are none.*held elsewhere: .*kernel"),
    "keras 3 batch norm": (keras_3_batch_norm, "held elsewhere"),
}


GLOBAL_TENSOR = tf.constant([2.0])


def scaled_by_a_global(size):
    layer = linear(size)
    return lambda graph: graph.replace(nodes=layer(graph.nodes) * GLOBAL_TENSOR)


def scaled_in_a_function(size):
    return tf.function(scaled_by_a_global(size))


class ScaledByItsClass(InSonnet):
    scale = tf.constant(3.0)

    def __call__(self, graph):
        return super().__call__(graph.replace(nodes=self.scale * graph.nodes))


HIDDEN = {
    "a global tensor": (scaled_by_a_global, r"held elsewhere.*float32 of shape \(1,\)"),
    "a global tensor in a tf.function": (scaled_in_a_function, "float tensors .* found"),
    "a tensor of a class": (lambda size: ScaledByItsClass(linear(size)), r"of shape \(\)"),
}


def dropping(size):
    layer = linear(size)
    return lambda graph: graph.replace(nodes=tf.nn.dropout(layer(graph.nodes), 0.5))


def hidden_dropout(size):
    """Its zero weights hide in the output that the network is random."""
    layer = networks.MLP((3, size), output_scale=0.0)
    return lambda graph: layer(graph.replace(nodes=tf.nn.dropout(graph.nodes, 0.5)))


def traced_dropout(size):
    return tf.function(dropping(size))


def noisy(size):
    layer, generator = linear(size), tf.random.Generator.from_seed(0)
    return lambda graph: graph.replace(nodes=layer(graph.nodes + generator.normal([1])))


def batch_norm(size):
    layer, norm = linear(size), snt.BatchNorm(True, True)
    return lambda graph: graph.replace(nodes=layer(norm(graph.nodes, is_training=True)))


def moving_average(size):
    layer, average = linear(size), snt.ExponentialMovingAverage(0.9)

    def network(graph):
        average(tf.reduce_mean(graph.nodes))
        return graph.replace(nodes=layer(graph.nodes))

    return network


def counting(size):
    layer, calls = linear(size), tf.Variable(0, trainable=False)

    def network(graph):
        calls.assign_add(1)
        return graph.replace(nodes=layer(graph.nodes))

    return network


def keras_dropout(size):
    layer, drop = linear(size), tf_keras.layers.Dropout(0.5)
    return lambda graph: graph.replace(nodes=layer(drop(graph.nodes, training=True)))


def keras_batch_norm(size):
    layer, norm = linear(size), tf_keras.layers.BatchNormalization()
    return lambda graph: graph.replace(nodes=layer(norm(graph.nodes, training=True)))


def keras_model(layer):
    """A model whose layer is random or changes in `fit` alone, for nobody calls it in training."""

    def make(size):
        model = tf_keras.Sequential([layer(), tf_keras.layers.Dense(size)])
        return lambda graph: graph.replace(nodes=model(graph.nodes))

    return make


STATEFUL = {
    "tf.nn.dropout": (dropping, "RandomUniform"),
    "dropout before zero weights": (hidden_dropout, "RandomUniform"),
    "dropout in a tf.function": (traced_dropout, "RandomUniform"),
    "a random generator": (noisy, "RngReadAndSkip"),
    "snt.BatchNorm": (batch_norm, "Assign"),
    "a moving average": (moving_average, "Assign"),
    "a counter": (counting, "AssignAddVariableOp"),
    "tf_keras dropout": (keras_dropout, "Random|Rng"),
    "tf_keras batch norm": (keras_batch_norm, "Assign"),
    "tf_keras dropout in fit": (keras_model(lambda: tf_keras.layers.Dropout(0.5)), "Random|Rng"),
    "tf_keras noise in fit": (
        keras_model(lambda: tf_keras.layers.GaussianNoise(1.0)),
        "Random|Rng",
    ),
    "tf_keras batch norm in fit": (keras_model(tf_keras.layers.BatchNormalization), "Assign"),
}
REFUSED = UNTRACKED | HIDDEN | STATEFUL
CONSTRUCTORS = {
    "gnf": lambda make: gnf_tf.GNF(1, 4, make_conditioner=make),
    "grevnet": lambda make: gnf_tf.models.GRevNet(1, 4, make_conditioner=make),
    "loop": lambda make: gnf_tf.models.GRevNet(2, 4, make_conditioner=make, loop=True),
    "neumann": lambda make: gnf_tf.models.NeumannRBP(2, 1, input_size=1, make_conditioner=make),
}


@pytest.mark.parametrize("constructor", CONSTRUCTORS)
@pytest.mark.parametrize("name", REFUSED)
def test_what_can_be_neither_tracked_nor_repeated_is_refused(name, constructor):
    make, message = REFUSED[name]
    with pytest.raises(ValueError, match=rf"(?s)`make_conditioner` must give a network.*{message}"):
        CONSTRUCTORS[constructor](make)


def test_evaluation_mode_and_stateless_dropout_are_fine():
    def make(size):
        layer, norm = linear(size), snt.BatchNorm(True, True)
        norm(tf.zeros([1, WIDTH]), is_training=True)
        return lambda graph: graph.replace(nodes=layer(norm(graph.nodes, is_training=False)))

    gnf = gnf_tf.GNF(1, 4, make_conditioner=make, normalization=None)
    assert len(gnf.trainable_variables) == 2 * 4
    assert len(gnf.variables) > 2 * 4  # the moving averages are saved too
    gnf_tf.GNF(1, 4, make_conditioner=lambda n: networks.MessagePassing((3, 3), n, dropout=0.5))

    def make_of_keras(size):
        model = tf_keras.Sequential([tf_keras.layers.Dropout(0.5), tf_keras.layers.Dense(size)])
        return lambda graph: graph.replace(nodes=model(graph.nodes, training=False))

    gnf_tf.GNF(1, 4, make_conditioner=make_of_keras)


@pytest.mark.parametrize("make, checked", [(cases.attention, 2), (closure, 6)])
def test_networks_that_are_alike_are_checked_once(make, checked, monkeypatch):
    """One for each half of the features; networks with code of a user's own are checked each."""
    calls = []
    monkeypatch.setattr(conditioner, "_check_repeatable", lambda *_: calls.append(None))
    monkeypatch.setattr(conditioner, "_CHECKED", {})
    gnf = gnf_tf.GNF(3, 4, make_conditioner=make, normalization=None)
    assert len(calls) == checked
    one = gnf_tf.GNF(1, 4, make_conditioner=make, normalization=None)
    assert len(gnf.variables) == 3 * len(one.variables) > 0


def test_what_python_frees_meanwhile_is_none_of_the_network(tmp_path):
    """Here a writer of summaries, as a training before leaves it."""
    writers = [tf.summary.create_file_writer(str(tmp_path)) for _ in range(2)]

    def make(size):
        network = closure(size)

        def freeing(graph):
            del writers[:1]
            return network(graph)

        return freeing

    assert len(gnf_tf.GraphCoupling(make, 4).trainable_variables) == 2 and not writers


class LearnedShift(tf.Module):
    """A map of features with a variable of its own."""

    num_params = 1

    def __init__(self):
        super().__init__()
        self.scale = tf.Variable(0.5)

    def parameters(self, raw):
        return self.scale * raw[:, 0]

    def forward(self, x, params):
        return x + params, tf.zeros_like(x)

    def inverse(self, y, params):
        return y - params, tf.zeros_like(y)


def test_a_map_of_the_users_is_tracked_too():
    class Plain:
        num_params = 1

        def __init__(self):
            self.inner = LearnedShift()

        def __getattr__(self, name):
            return getattr(self.inner, name)

    for coupling in (LearnedShift(), Plain()):
        made = gnf_tf.GraphCoupling(closure, 4, coupling=coupling)
        assert len(made.trainable_variables) == 3
        with tf.GradientTape() as tape:
            loss = loss_of(made, graph_of_four())
        assert all(g is not None for g in tape.gradient(loss, made.trainable_variables))


class TestSeeds:
    """Dropout within a bijector draws from the seed that its methods get."""

    @staticmethod
    def make(memory="reversible", **options):
        tf.random.set_seed(0)
        gnf = gnf_tf.GNF(
            2,
            4,
            make_conditioner=lambda n: networks.MessagePassing((5, 5), n, dropout=0.5),
            normalization=None,
            memory=memory,
            **options,
        )
        return cases.randomize(gnf)

    @pytest.mark.parametrize("seed", [7, np.array([0, 7])], ids=repr)
    def test_a_number_and_a_pair_in_both_directions(self, seed):
        gnf, graph = self.make(), graph_of_four()
        plain = gnf.forward(graph).nodes
        dropped = gnf.forward(graph, is_training=True, seed=seed)
        np.testing.assert_array_equal(dropped.nodes, gnf.forward(graph, seed=7).nodes)
        assert np.abs(dropped.nodes - plain).max() > 1e-2
        other = gnf.forward(graph, is_training=True, seed=8).nodes
        assert np.abs(dropped.nodes - other).max() > 1e-2
        fresh = dropped.map(tf.identity, fields=dropped._fields)
        np.testing.assert_allclose(gnf.inverse(fresh, seed=seed).nodes, graph.nodes, atol=1e-4)
        np.testing.assert_allclose(
            gnf.forward_log_det_jacobian(graph, seed=seed),
            -gnf.inverse_log_det_jacobian(fresh, seed=seed),
            atol=1e-4,
        )

    def test_a_seed_must_be_given_in_training(self):
        graph = graph_of_four()
        for model in (self.make(), self.make().gnf_steps[0], self.grevnet(loop=True)):
            call = getattr(model, "forward", model)
            with pytest.raises(ValueError, match="`seed` must be given in training with `dropout`"):
                call(graph, is_training=True)
            call(graph, is_training=True, seed=1)
            call(graph)

    @staticmethod
    def grevnet(**options):
        return gnf_tf.models.GRevNet(2, 4, dropout=0.5, **options)

    def test_as_a_distribution(self):
        import tensorflow_probability as tfp

        gnf, graph = self.make(), graph_of_four()
        flow = tfp.distributions.TransformedDistribution(
            gnf_tf.NodePrior(graph), tfp.bijectors.Invert(gnf)
        )
        options = {"is_training": True, "seed": 3}
        first = flow.log_prob(graph, bijector_kwargs=options)
        np.testing.assert_array_equal(first, flow.log_prob(graph, bijector_kwargs=options))
        other = flow.log_prob(graph, bijector_kwargs=options | {"seed": 4})
        assert np.abs(first - other).max() > 1e-3
        with pytest.raises(ValueError, match="`seed` must be given in training"):
            flow.log_prob(graph, bijector_kwargs={"is_training": True})

    @pytest.mark.parametrize("compiled", [False, True], ids=["eager", "function"])
    def test_gradients_equal_stored_ones(self, compiled):
        graph, gradients = graph_of_four(), []
        for memory in ("reversible", "stored"):
            gnf = self.make(memory)

            def compute(step, gnf=gnf):
                with tf.GradientTape() as tape:
                    out = gnf.forward(graph, is_training=True, seed=(1, step))
                    loss = tf.reduce_sum(tf.sin(out.nodes))
                return tape.gradient(loss, gnf.trainable_variables)

            call = tf.function(compute) if compiled else compute
            gradients.append(call(tf.constant(5)))
        for found, expected in zip(*gradients, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


class TestCopy:
    """A copy of a bijector is the same map with the same variables."""

    @pytest.mark.parametrize("name", cases.BIJECTORS)
    def test_shares_the_variables(self, name):
        bijector, graph = cases.make_bijector(name), cases.mixed_graph()
        copy = bijector.copy(name="other")
        assert copy.name == "other" and bijector.name != "other" and copy is not bijector
        for one, other in zip(bijector.variables, copy.variables, strict=True):
            assert one is other
        np.testing.assert_array_equal(copy.forward(graph).nodes, bijector.forward(graph).nodes)
        cases.randomize(bijector, seed=3)
        fresh = graph.map(tf.identity, fields=graph._fields)
        np.testing.assert_array_equal(copy.forward(fresh).nodes, bijector.forward(fresh).nodes)
        assert copy.parameters["name"] == "other" and type(copy) is type(bijector)

    def test_other_options(self):
        gnf, graph = cases.make_bijector("gnf"), cases.mixed_graph()
        stored = gnf.copy(memory="stored", validate_args=True)
        assert stored.memory == "stored" and stored.validate_args and gnf.memory == "reversible"
        np.testing.assert_allclose(stored.forward(graph).nodes, gnf.forward(graph).nodes)
        with pytest.raises(ValueError, match="shares the variables; got node_size, num_steps"):
            gnf.copy(num_steps=3, node_size=2)
        with pytest.raises(ValueError, match="`memory` must be one of"):
            gnf.copy(memory="disk")

    def test_restores_as_a_checkpoint(self, tmp_path):
        gnf = cases.make_bijector("gnf")
        path = tf.train.Checkpoint(gnf=gnf.copy(name="other")).write(os.fspath(tmp_path / "gnf"))
        before = gnf.variables[0].numpy()
        cases.randomize(gnf, seed=5)
        tf.train.Checkpoint(gnf=gnf).read(path).assert_consumed()
        np.testing.assert_array_equal(gnf.variables[0], before)
