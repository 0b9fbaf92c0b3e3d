"""Layers of equal structure share one compiled half step; the rest of them does not."""

import copy
import functools
import gc

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf
from tensorflow.python.platform import tf_logging as logging

import gnf_tf
from gnf_tf import graphs, networks, reversible
from gnf_tf.reversible import half_step
from gnf_tf.substitution import described
from tests import cases


class Scaled(snt.Module):
    """The nodes by a weight matrix, then by a Python number."""

    def __init__(self, output_size, factor=1.0, activation=tf.nn.tanh):
        super().__init__()
        self._linear = snt.Linear(output_size)
        self.factor = factor
        self.activation = activation

    def __call__(self, graph):
        nodes = self.activation(self._linear(graph.nodes))
        return graph.replace(nodes=self.factor * nodes)


@pytest.fixture(autouse=True)
def no_half_steps():
    half_step._HALF_STEPS.clear()


def gradients(net, graph):
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.sin(net(graph).nodes))
    return tape.gradient(loss, net.trainable_variables)


def num_traces():
    return sum(len(each._compiled) for each in half_step._HALF_STEPS.values())


def test_many_half_steps_are_no_retracing(monkeypatch):
    """For which TensorFlow warns, as it counts those of different layers as one function."""
    warnings = []
    monkeypatch.setattr(logging, "warning", lambda *message, **_: warnings.append(message))
    for width in range(4, 8):
        net = gnf_tf.models.GRevNet(1, width, make_conditioner=networks.GraphConvolution)
        gradients(net, graphs.fully_connected([3], width))
    assert not warnings


@pytest.mark.parametrize("memory", reversible.MEMORY_MODES)
def test_traces_do_not_grow_with_depth_or_with_the_batches(memory):
    counts = set()
    for num_steps in (1, 3):
        half_step._HALF_STEPS.clear()
        net = gnf_tf.models.GRevNet(
            num_steps, cases.NODE_SIZE, memory=memory, make_conditioner=networks.GraphConvolution
        )
        for sizes in ([3], [2, 5], [1, 1, 4]):
            gradients(net, graphs.fully_connected(sizes, cases.NODE_SIZE))
        counts.add((len(half_step._HALF_STEPS), num_traces()))
    # Two halves; with memory="reversible" also the backward function of each.
    assert counts == {(2, 4 if memory == "reversible" else 2)}


@pytest.mark.parametrize("memory", reversible.MEMORY_MODES)
def test_a_graph_function_calls_what_is_shared(memory):
    def size(num_steps):
        net = gnf_tf.models.GRevNet(num_steps, cases.NODE_SIZE, memory=memory)
        graph = graphs.fully_connected([3], cases.NODE_SIZE)
        function = tf.function(lambda: gradients(net, graph), autograph=False)
        definition = function.get_concrete_function().graph.as_graph_def()
        in_functions = sum(len(each.node_def) for each in definition.library.function)
        return len(definition.node), in_functions

    (few, few_within), (many, many_within) = size(1), size(5)
    assert many_within == few_within
    # What a step adds is calls and the sums of their gradients, not the operations of a half step.
    assert (many - few) / 4 < few_within / 4


@pytest.mark.parametrize("order", [(True, False), (False, True)])
def test_training_and_evaluation_are_functions_of_their_own(order):
    """Batch normalization takes its statistics from the batch in training alone."""
    half_step._HALF_STEPS.clear()
    layer = gnf_tf.GraphBatchNorm(4)
    graph = graphs.edgeless([50], 4)
    nodes = 5.0 + tf.random.stateless_normal([50, 4], [0, 1])
    means = {}
    for is_training in order:
        seen = graph.replace(nodes=tf.identity(nodes))  # TFP remembers what it has mapped
        means[is_training] = np.mean(layer.forward(seen, is_training=is_training).nodes)
    assert abs(means[True]) < 1e-3 and means[False] > 4.0


def test_layers_of_other_structure_have_their_own():
    made = iter([Scaled(4), Scaled(4, factor=2.0), Scaled(4, activation=tf.nn.relu), Scaled(4)])
    gnf = gnf_tf.GNF(2, 4, make_conditioner=lambda output_size: next(made), normalization=None)
    graph = graphs.edgeless([3], 4)
    graph = graph.replace(nodes=tf.random.stateless_normal([3, 4], [0, 1]))
    found = gnf.forward(graph).nodes
    assert len(half_step._HALF_STEPS) == 4
    tf.config.run_functions_eagerly(True)
    try:
        expected = gnf.forward(graph.replace(nodes=tf.identity(graph.nodes))).nodes
    finally:
        tf.config.run_functions_eagerly(False)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_an_attribute_that_changes_is_seen():
    made = []

    def make(output_size):
        made.append(Scaled(output_size))
        return made[-1]

    coupling = gnf_tf.GraphCoupling(make, 4, coupling="additive")
    graph = graphs.edgeless([3], 4).replace(nodes=tf.ones([3, 4]))
    shift = coupling.forward(graph).nodes - graph.nodes
    made[0].factor = 3.0
    again = graph.replace(nodes=tf.identity(graph.nodes))
    np.testing.assert_allclose(coupling.forward(again).nodes - graph.nodes, 3.0 * shift, rtol=1e-5)
    made[0]._linear = snt.Linear(2, w_init=snt.initializers.Zeros())
    made[0](graph.replace(nodes=graph.nodes[:, :2]))
    again = graph.replace(nodes=tf.identity(graph.nodes))
    np.testing.assert_array_equal(coupling.forward(again).nodes, graph.nodes)


def test_models_free_their_half_steps():
    net = gnf_tf.models.GRevNet(2, cases.NODE_SIZE)
    gradients(net, graphs.edgeless([3], cases.NODE_SIZE))
    assert half_step._HALF_STEPS
    del net
    gc.collect()
    assert not half_step._HALF_STEPS


def test_a_deep_copy_has_its_own_weights():
    gnf = gnf_tf.GNF(1, 4, make_conditioner=Scaled, normalization=None)
    graph = graphs.edgeless([3], 4).replace(nodes=tf.ones([3, 4]))
    before = gnf.forward(graph).nodes
    copied = copy.deepcopy(gnf)
    for variable in gnf.trainable_variables:
        variable.assign(tf.zeros_like(variable))
    again = graph.replace(nodes=tf.identity(graph.nodes))
    np.testing.assert_allclose(copied.forward(again).nodes, before, rtol=1e-6)
    np.testing.assert_array_equal(gnf.forward(again).nodes, graph.nodes)


class TestDescription:
    """`described` on its own."""

    @pytest.mark.parametrize(
        "make, other, equal",
        [
            (lambda: Scaled(4), lambda: Scaled(4), True),
            (lambda: Scaled(4), lambda: Scaled(3), False),
            (lambda: Scaled(4), lambda: Scaled(4, factor=2.0), False),
            (lambda: Scaled(4), lambda: Scaled(4, activation=tf.nn.relu), False),
            (lambda: tf.Variable([1.0, 2.0]), lambda: tf.Variable([0.0, 0.0]), True),
            (lambda: tf.Variable([1.0]), lambda: tf.Variable([[1.0]]), False),
            (lambda: tf.Variable([1.0]), lambda: tf.Variable([1.0], dtype=tf.float64), False),
            (lambda: np.arange(3), lambda: np.arange(3), True),
            (lambda: np.arange(3), lambda: np.arange(1, 4), False),
            (lambda: [1, 2], lambda: (1, 2), False),
            (lambda: [1], lambda: [True], False),
            (lambda: {"a": 1}, lambda: {"b": 1}, False),
            (lambda: {"a": 1}, lambda: {"a": 2}, False),
            (lambda: [[], [1]], lambda: [[1], []], False),
        ],
    )
    def test_equal_only_for_objects_that_compute_the_same(self, make, other, equal):
        def description(make):
            item = make()
            if isinstance(item, Scaled):
                item(graphs.edgeless([2], 3))
            return described([item]).structure

        assert (description(make) == description(other)) == equal
        if equal:
            assert hash(description(make)) == hash(description(other))

    def test_which_parts_are_the_same_object(self):
        a, b = tf.Variable(1.0), tf.Variable(2.0)
        assert described([a, b, a]).structure != described([a, b, b]).structure
        assert described([a, b, a]).structure == described([b, a, b]).structure

    def test_code_and_closures_of_functions(self):
        def adding(number):
            return lambda x: x + number

        assert described(adding(1)).structure == described(adding(1)).structure
        assert described(adding(1)).structure != described(adding(2)).structure
        assert described(lambda x: x + 1).structure != described(lambda x: x + 2).structure


def sorts(net, graph):
    """How often a compiled training step sorts edges, in its graph and in functions."""
    traced = tf.function(lambda: gradients(net, graph), autograph=False).get_concrete_function()
    definition = traced.graph.as_graph_def()
    within = [node for function in definition.library.function for node in function.node_def]
    return [sum(node.op == "TopKV2" for node in nodes) for nodes in (definition.node, within)]


@pytest.mark.parametrize("loop", [False, True], ids=["steps", "loop"])
def test_edges_are_sorted_once_and_only_where_sums_need_it(loop):
    graph = graphs.fully_connected([3], cases.NODE_SIZE)
    net = gnf_tf.models.GRevNet(
        2, cases.NODE_SIZE, loop=loop, make_conditioner=networks.GraphConvolution
    )
    gradients(net, graph)
    assert sorts(net, graph) == [2, 0]  # by sender and by receiver
    dense = functools.partial(gnf_tf.networks.AttentionBlock, 2, 3, (4,), fully_connected=True)
    net = gnf_tf.models.GRevNet(2, cases.NODE_SIZE, loop=loop, make_conditioner=dense)
    gradients(net, graph)
    assert sorts(net, graph) == [0, 0]


def test_a_graph_passes_on_what_it_knows_of_sizes():
    """The number of nodes, and sizes: attention within graphs of one size needs no gathers."""
    dense = functools.partial(gnf_tf.networks.AttentionBlock, 2, 3, (4,), fully_connected=True)
    net = gnf_tf.models.GRevNet(2, cases.NODE_SIZE, make_conditioner=dense)

    def operations(sizes):
        graph = graphs.fully_connected(sizes, cases.NODE_SIZE)
        traced = tf.function(lambda: net(graph).nodes, autograph=False).get_concrete_function()
        assert traced.output_shapes == [sum(sizes), cases.NODE_SIZE]
        functions = traced.graph.as_graph_def().library.function
        return {node.op for function in functions for node in function.node_def}

    assert "GatherV2" in operations([2, 3]) and "GatherV2" not in operations([3, 3])
