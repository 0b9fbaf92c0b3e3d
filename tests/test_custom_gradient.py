"""Graphs with gradients of ours are freed with the function that they were traced for."""

import gc
import weakref

import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.python.framework import ops

import gnf_tf
from gnf_tf import networks
from gnf_tf.custom_gradient import custom_gradient
from tests import cases

MODELS = {
    "reversible": lambda: gnf_tf.models.GRevNet(2, cases.NODE_SIZE, **cases.WIDTHS),
    "loop": lambda: gnf_tf.models.GRevNet(2, cases.NODE_SIZE, loop=True, **cases.WIDTHS),
    "neumann": lambda: gnf_tf.models.NeumannRBP(2, cases.NODE_SIZE, **cases.WIDTHS),
    "dense": lambda: networks.DotProductAttention(2, 3, fully_connected=True),
    "silu": lambda: networks.GraphTransformer(4, 3, num_heads=0),
}


@pytest.fixture(scope="module", autouse=True)
def few_objects():
    """Garbage is searched among what these tests make, not among all that was imported."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize(
    "name, jit_compile", [*((name, False) for name in MODELS), ("reversible", True), ("loop", True)]
)
def test_a_traced_graph_is_freed(name, jit_compile):
    model, graph = MODELS[name](), cases.mixed_graph(tf.float32)
    model(graph)
    before = set(ops.gradient_registry.list())

    def trace(model):
        @tf.function(jit_compile=jit_compile)
        def gradients(nodes):
            with tf.GradientTape() as tape:
                tape.watch(nodes)
                loss = tf.reduce_sum(tf.sin(model(graph.replace(nodes=nodes)).nodes))
            return tape.gradient(loss, [nodes, *model.trainable_variables])

        traced = gradients.get_concrete_function(graph.nodes)
        return weakref.ref(traced.graph), set(ops.gradient_registry.list()) - before

    reference, registered = trace(model)
    gc.collect()
    assert registered, "no gradient of ours was recorded"
    assert reference() is None
    del model  # with the half steps that it keeps for other graphs
    gc.collect()
    assert not registered & set(ops.gradient_registry.list())


def test_a_traced_density_is_freed():
    """TFP's cache would hold it."""
    graph = cases.mixed_graph(tf.float32)
    gnf = gnf_tf.GNF(1, cases.NODE_SIZE, **cases.WIDTHS)
    flow = tfp.distributions.TransformedDistribution(
        gnf_tf.NodePrior(graph), tfp.bijectors.Invert(gnf)
    )

    def trace():
        log_prob = tf.function(lambda nodes: flow.log_prob(graph.replace(nodes=nodes)))
        return weakref.ref(log_prob.get_concrete_function(graph.nodes).graph)

    reference = trace()
    gc.collect()
    assert reference() is None


def test_the_gradient_is_the_custom_one_wherever_it_is_asked_for():
    """Eager and in graphs; by a tape, by `tf.gradients`, and by a tape around a loop."""

    @custom_gradient
    def tripled(x):
        return tf.identity(x), lambda d: 3.0 * d

    def by_tape(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tripled(x)
        return tape.gradient(y, x)

    def of_a_loop(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            _, y = tf.while_loop(lambda i, _: i < 2, lambda i, y: (i + 1, tripled(y)), (0, x))
        return tape.gradient(y, x)

    x = tf.constant(2.0)
    assert by_tape(x) == tf.function(by_tape)(x) == 3.0
    assert tf.function(lambda x: tf.gradients(tripled(x), x)[0])(x) == 3.0
    assert of_a_loop(x) == tf.function(of_a_loop)(x) == 9.0
