"""However a tensor or a variable reaches a reversible run, its gradient is the stored one.

In each place alone and in any two at once; eager, in a function, within control flow; step by step
and in a loop.
"""

import functools
import itertools
import threading
import types

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf
import tf_keras

import gnf_tf
from gnf_tf import graphs, networks, reversible
from gnf_tf.substitution import held_values, substituted
from tests import cases
from tests.checks import EXECUTIONS

pytestmark = pytest.mark.usefixtures("kept_half_steps")

WIDTH = 2


def two_single_nodes(nodes):
    """Two graphs of one node with a self loop: nodes, edges and globals are all [2, WIDTH]."""
    return graphs.GraphsTuple(
        nodes=nodes,
        edges=tf.ones([2, WIDTH], tf.float64),
        globals=tf.ones([2, WIDTH], tf.float64),
        senders=tf.constant([0, 1]),
        receivers=tf.constant([0, 1]),
        n_node=tf.constant([1, 1]),
        n_edge=tf.constant([1, 1]),
    )


class Plain:
    """An object of the user's that is no `tf.Module`."""

    def __init__(self, value):
        self.value = value


class Network(snt.Module):
    """Sees edges, globals, nodes and condition, and all tensors of `held`, wherever they are."""

    def __init__(self, output_size, held):
        super().__init__()
        self.inner = networks.GraphConvolution(output_size)
        self.held = held

    def __call__(self, graph):
        seen = [graph.edges, graph.globals, *self.held()]
        out = self.inner(graph).nodes
        terms = [tf.reduce_mean(tf.sin((1.0 + i) * s)) for i, s in enumerate(seen)]
        return graph.replace(nodes=out * tf.add_n(terms))


HOLDERS = {
    "closure": lambda c: lambda: [c],
    "default": lambda c: types.FunctionType((lambda x=None: [x]).__code__, {}, argdefs=(c,)),
    "partial": lambda c: functools.partial(lambda x: [x], c),
    "list": lambda c: functools.partial(list, [c]),
    "dict": lambda c: functools.partial(lambda d: [d["a"]], {"a": c}),
    "object": lambda c: functools.partial(lambda o: [o.value], Plain(Plain(c)).value),
    "method": lambda c: _Module(c).get,
    "twice": lambda c: lambda: [c, c],
}


class _Module(tf.Module):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def get(self):
        return [self.value]


GIVEN = ("nodes", "edges", "globals", "condition")
PLACES = (*GIVEN, *HOLDERS)
# Every two of the inputs and the closure, and every holder beside one input and beside another.
PAIRS = (
    *itertools.combinations((*GIVEN, "closure"), 2),
    *(("edges", holder) for holder in HOLDERS if holder != "closure"),
    *itertools.pairwise(HOLDERS),
)


def outcome(memory, make_layers, graph, condition, execution, watched, loop, num_steps):
    """[nodes, log|det J|, the gradient of both by `watched` and all variables]."""
    tf.random.set_seed(0)
    if loop:
        layers = reversible.Loop(make_layers, num_steps)
        variables = layers.stacked
    else:
        layers = [layer for _ in range(num_steps) for layer in make_layers()]
        variables = [variable for layer in layers for variable in layer.trainable_variables]

    def compute():
        with tf.GradientTape() as tape:
            tape.watch(watched)
            out, log_det = reversible.run(layers, graph, condition, memory=memory)
            loss = tf.reduce_sum(tf.sin(out.nodes)) + tf.reduce_sum(tf.cos(log_det))
        return [out.nodes, log_det, *tape.gradient(loss, [*watched, *variables])]

    return EXECUTIONS[execution](compute)()


def same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-11)


STORED: dict[tuple, list] = {}  # results by the arguments of `check_places`


def check_places(places, execution, loop, num_steps):
    c = tf.constant([[0.3, -0.7], [1.1, 0.4]], tf.float64)
    graph = two_single_nodes(c if "nodes" in places else tf.cos(c))
    graph = graph.replace(**{f: c for f in ("edges", "globals") if f in places})
    condition = c if "condition" in places else tf.sin(c)
    holders = [HOLDERS[place](c) for place in places if place in HOLDERS]

    def make_layers():
        return gnf_tf.GNFStep(
            WIDTH,
            make_conditioner=lambda size: Network(size, lambda: [c for h in holders for c in h()]),
            conditional_size=WIDTH,
            edge_size=WIDTH,
            global_size=WIDTH,
            dtype=tf.float64,
        ).layers

    def results(memory, execution):
        return outcome(memory, make_layers, graph, condition, execution, [c], loop, num_steps)

    if (places, loop, num_steps) not in STORED:
        STORED[places, loop, num_steps] = results("stored", "eager")
    expected = STORED[places, loop, num_steps]
    assert np.abs(expected[2]).max() > 1e-3
    same(results("reversible", execution), expected)


@pytest.mark.parametrize("places", PAIRS, ids="-".join)
def test_one_tensor_in_two_places_has_one_gradient(places):
    check_places(places, "eager", loop=False, num_steps=1)


@pytest.mark.parametrize(
    "places, execution, loop",
    [
        *itertools.product([PLACES], EXECUTIONS, [False, True]),
        *itertools.product(
            [("edges", "condition"), ("globals", "closure"), ("nodes", "method", "list")],
            ["function"],
            [False],
        ),
    ],
    ids=lambda value: "-".join(value[:3]) if isinstance(value, tuple) else str(value),
)
def test_in_every_execution(places, execution, loop):
    check_places(places, execution, loop, num_steps=2)


def test_a_tensor_of_an_edge_that_is_the_condition_too():
    """Two nodes in a directed cycle, as it was reported: the gradient was twice the stored one."""
    c = tf.constant([[0.5], [-1.0]])
    graph = graphs.GraphsTuple(
        nodes=tf.constant([[0.1, 0.2], [0.3, -0.4]]),
        edges=c,
        globals=None,
        senders=tf.constant([0, 1]),
        receivers=tf.constant([1, 0]),
        n_node=tf.constant([2]),
        n_edge=tf.constant([2]),
    )
    gradients = []
    for memory in reversible.MEMORY_MODES:
        gnf = gnf_tf.GNF(
            2,
            2,
            make_conditioner=cases.message_passing,
            conditional_size=1,
            edge_size=1,
            memory=memory,
        )
        cases.randomize(gnf)
        with tf.GradientTape() as tape:
            tape.watch(c)
            loss = tf.reduce_sum(tf.sin(gnf.forward(graph, conditional_input=c).nodes))
        gradients.append(tape.gradient(loss, c))
    np.testing.assert_allclose(*gradients, rtol=1e-4)
    assert np.abs(gradients[0]).max() > 1e-3


# Around a model, with the tape outside: graph and function of a graph to its loss -> loss.
CONTROL_FLOW = {
    "cond": lambda graph, loss: tf.cond(
        tf.reduce_sum(graph.nodes) > -1e9, lambda: loss(graph), lambda: tf.constant(0.0, tf.float64)
    ),
    "while": lambda graph, loss: tf.while_loop(
        lambda i, _: i < 2,
        lambda i, total: (i + 1, total + loss(graph)),
        (tf.constant(0), tf.constant(0.0, tf.float64)),
        maximum_iterations=2,
    )[1],
    "while_state": lambda graph, loss: tf.while_loop(
        lambda i, _: i < 2,
        lambda i, nodes: (i + 1, nodes * (1.0 + 0.1 * loss(graph.replace(nodes=nodes)))),
        (tf.constant(0), graph.nodes),
        maximum_iterations=2,
    )[1][0, 0],
    "map_fn": lambda graph, loss: tf.reduce_sum(
        tf.map_fn(
            lambda scale: loss(graph.replace(nodes=scale * graph.nodes)),
            tf.constant([1.0, 0.5], tf.float64),
        )
    ),
    "switch_case": lambda graph, loss: tf.switch_case(
        tf.cast(tf.reduce_sum(graph.nodes) > -1e9, tf.int32),
        [lambda: tf.constant(0.0, tf.float64), lambda: loss(graph)],
    ),
    "cond_in_while": lambda graph, loss: tf.while_loop(
        lambda i, _: i < 2,
        lambda i, total: (i + 1, total + tf.cond(i > 0, lambda: loss(graph), lambda: total)),
        (tf.constant(0), tf.constant(1.0, tf.float64)),
        maximum_iterations=2,
    )[1],
}


def if_on_a_tensor(graph, loss):
    if tf.reduce_sum(graph.nodes) > -1e9:
        found = loss(graph)
    else:
        found = tf.constant(0.0, tf.float64)
    return found


def summed_in_a_range(graph, loss):
    total = tf.constant(0.0, tf.float64)
    for i in tf.range(3):
        total += tf.cast(i, tf.float64) * loss(graph)
    return total


CONTROL_FLOW |= {"if": if_on_a_tensor, "range": summed_in_a_range}


@functools.cache
def networks_of(kind, memory):
    """(the variables, graph -> a loss of it)."""
    tf.random.set_seed(0)
    options = {"dtype": tf.float64, **cases.WIDTHS}
    # Of the networks that sum along edges, a convolution has the fewest operations to trace.
    of_step = {"memory": memory, "make_conditioner": networks.GraphConvolution, **options}
    if kind == "neumann":
        call = model = gnf_tf.models.NeumannRBP(2, cases.NODE_SIZE, **options)
    elif kind == "gnf":
        model = gnf_tf.GNF(1, cases.NODE_SIZE, **of_step)
        call = model.forward
    else:
        if kind == "loop":
            of_step["make_conditioner"] = cases.message_passing
        more = {"batch_norm": kind == "batch_norm", "loop": kind == "loop"}
        call = model = gnf_tf.models.GRevNet(2, cases.NODE_SIZE, **more, **of_step)
    cases.randomize(model, scale=0.1 if kind == "neumann" else 0.4)
    return model.trainable_variables, lambda graph: tf.reduce_mean(tf.sin(call(graph).nodes))


# Each way around steps; the one that nests, and a loop's own, around the others.
@pytest.mark.parametrize(
    "name, kind",
    [
        *itertools.product(CONTROL_FLOW, ["grevnet"]),
        *itertools.product(["cond_in_while"], ["loop", "batch_norm", "gnf"]),
        ("while_state", "loop"),
    ],
)
def test_within_control_flow(name, kind):
    """In a function the gradient is the stored one, which is taken eagerly."""
    graph = cases.mixed_graph()
    results = []
    for memory in reversible.MEMORY_MODES:
        variables, loss = networks_of(kind, memory)

        def step(graph, loss=loss, variables=variables):
            with tf.GradientTape() as tape:
                tape.watch(graph.nodes)
                value = CONTROL_FLOW[name](graph, loss)
            return [value, *tape.gradient(value, [graph.nodes, *variables])]

        results.append((tf.function(step) if memory == "reversible" else step)(graph))
    assert np.abs(results[1][1]).max() > 1e-4
    same(*results)


@pytest.mark.parametrize("name", sorted(set(CONTROL_FLOW) - {"while_state"}))
def test_neumann_rbp_within_control_flow(name):
    """The gradient of a branch that is taken is that of the branch alone."""
    graph = cases.mixed_graph()
    variables, loss = networks_of("neumann", "reversible")

    def gradients(call, graph):
        with tf.GradientTape() as tape:
            tape.watch(graph.nodes)
            value = call(graph)
        return tape.gradient(value, [graph.nodes, *variables])

    found = tf.function(lambda graph: gradients(lambda g: CONTROL_FLOW[name](g, loss), graph))(
        graph
    )
    unrolled = {
        "while": lambda g: 2.0 * loss(g),
        "range": lambda g: 3.0 * loss(g),
        "map_fn": lambda g: loss(g) + loss(g.replace(nodes=0.5 * g.nodes)),
        "cond_in_while": lambda g: loss(g),
    }
    same(found, gradients(unrolled.get(name, loss), graph))


@pytest.mark.parametrize("name", ["cond", "map_fn"])
def test_within_control_flow_under_xla(name):
    graph = cases.mixed_graph()
    variables, loss = networks_of("grevnet", "reversible")

    def step(nodes):
        with tf.GradientTape() as tape:
            value = CONTROL_FLOW[name](graph.replace(nodes=nodes), loss)
        return [value, *tape.gradient(value, variables)]

    same(tf.function(step, jit_compile=True)(graph.nodes), step(graph.nodes))


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "function"])
def test_variables_that_cannot_be_replaced_have_their_gradient_all_the_same(compiled):
    """Those of a functional Keras model, whose layers are held by nodes of its own."""
    graph = cases.mixed_graph()
    results = []
    for memory in reversible.MEMORY_MODES:
        tf_keras.utils.set_random_seed(0)

        def make_conditioner(output_size):
            inputs = tf_keras.Input([cases.NODE_SIZE // 2], dtype=tf.float64)
            layer = tf_keras.layers.Dense(output_size, activation="tanh", dtype=tf.float64)
            model = tf_keras.Model(inputs, layer(inputs))
            return lambda graph: graph.replace(nodes=model(graph.nodes))

        net = gnf_tf.models.GRevNet(
            2,
            cases.NODE_SIZE,
            make_conditioner=make_conditioner,
            memory=memory,
            dtype=tf.float64,
            **cases.WIDTHS,
        )
        assert len(net.trainable_variables) == 8

        def gradient(net=net):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(tf.sin(net(graph).nodes))
            return tape.gradient(loss, net.trainable_variables)

        results.append(tf.function(gradient)() if compiled else gradient())
    same(*results)


@pytest.mark.parametrize(
    "second, kind, execution",
    [
        *itertools.product([False], ["grevnet"], ["eager", "function", "function inside"]),
        *itertools.product([False], ["loop"], ["eager", "function"]),
        *itertools.product([True], ["gnf"], ["eager", "function"]),
    ],
)
def test_forward_mode_differentiation(second, kind, execution):
    """Of a value, and of a gradient."""
    graph, results = cases.mixed_graph(), []

    def directional(value, primal):
        with tf.autodiff.ForwardAccumulator(primal, tf.ones_like(primal)) as forward:
            found = value(primal)
        return forward.jvp(found)

    for memory in ("stored", "reversible"):
        variables, loss = networks_of(kind, memory)

        def value(nodes, loss=loss):
            if not second:
                return loss(graph.replace(nodes=nodes))
            with tf.GradientTape() as tape:
                tape.watch(nodes)
                value = loss(graph.replace(nodes=nodes))
            return tape.gradient(value, nodes)

        inner = tf.function(value, autograph=False) if execution == "function inside" else value
        call = directional
        if execution == "function":
            call = tf.function(directional, autograph=False)
        results.append([call(inner, graph.nodes)])
        if execution == "eager":
            results[-1].append(directional(lambda _, f=inner: f(graph.nodes), variables[0]))
    for expected in results[0]:
        assert np.abs(expected).max() > 1e-4
    same(*results)


def make_net(**options):
    tf.random.set_seed(0)
    net = gnf_tf.models.GRevNet(3, cases.NODE_SIZE, dtype=tf.float64, **options, **cases.WIDTHS)
    return cases.randomize(net, scale=0.2)


THREADED = {
    "steps": make_net,
    "loop": lambda: make_net(loop=True),
    "half": lambda: make_net(
        make_conditioner=lambda size: networks.HalfPrecision(cases.message_passing(size))
    ),
    "loop_half": lambda: make_net(
        loop=True,
        make_conditioner=lambda size: networks.HalfPrecision(cases.message_passing(size)),
    ),
}


@pytest.mark.parametrize("name", THREADED)
def test_threads_can_share_a_model(name):
    """Each gets its own values, and the variables are all there meanwhile and afterwards."""
    net = THREADED[name]()
    inputs = [cases.mixed_graph(seed=seed) for seed in range(4)]
    count = len(net.trainable_variables)

    def compute(graph):
        with tf.GradientTape() as tape:
            tape.watch(graph.nodes)
            nodes = net(graph).nodes
            loss = tf.reduce_sum(tf.sin(nodes))
        return [nodes, *tape.gradient(loss, [graph.nodes, *net.trainable_variables])]

    expected = [compute(graph) for graph in inputs]
    found: dict[int, list] = {}
    failed = []

    def work(i):
        try:
            for _ in range(4):
                found[i] = compute(inputs[i])
                assert len(net.trainable_variables) == count
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed
    for i in range(4):
        same(found[i], expected[i])
    assert len(net.trainable_variables) == count


class TestSubstitution:
    """`substituted` on its own."""

    def test_the_object_itself_where_nothing_is_replaced(self):
        module = cases.message_passing(3)
        module(cases.mixed_graph())
        assert substituted(module, {id(object()): 1}) is module
        assert len(held_values(module)) == len(module.variables)

    def test_replaced_everywhere_and_the_original_left_alone(self):
        variable = tf.Variable(1.0)
        module = _Module([variable, {"a": (variable, "b")}, Plain(variable)])
        log = []

        def function(x, *, y=variable):
            log.append(x)
            return x + y + sum(tf.nest.flatten([module.value[0], module.value[1]["a"][0]]))

        new = substituted(function, {id(variable): tf.constant(10.0)})
        assert float(new(0.5)) == 30.5 and float(function(0.5)) == 3.5
        assert log == [0.5, 0.5] and held_values(function) == [variable]

    def test_attributes_are_written_on_the_original(self):
        class Counting(_Module):
            def get(self):
                self.calls = getattr(self, "calls", 0) + 1
                return super().get()

        module = Counting(tf.Variable(1.0))
        view = substituted(module, {id(module.value): tf.constant(2.0)})
        assert isinstance(view, Counting)
        assert float(view.get()[0]) == 2.0 and float(module.get()[0]) == 1.0 and module.calls == 2

    def test_an_attribute_that_overrides_a_default_of_the_class(self):
        class Scaling(_Module):
            factor = 1.0

            def get(self):
                return self.factor * self.value

        module = Scaling(tf.Variable(1.0))
        module.factor = 3.0
        view = substituted(module, {id(module.value): tf.constant(2.0)})
        assert float(view.get()) == 6.0
        again = substituted(view, {id(view.value): tf.constant(4.0)})
        assert float(again.get()) == 12.0 and module.factor == view.factor == 3.0

    def test_what_a_substitution_holds_is_what_was_substituted(self):
        module = _Module([tf.Variable(1.0), tf.Variable(2.0)])
        new = tf.constant(5.0)
        view = substituted(module, {id(module.value[0]): new})
        held = held_values(view)
        assert held[0] is new and held[1] is module.value[1] and len(held) == 2

    def test_a_cycle(self):
        module = _Module(tf.Variable(1.0))
        module.owner = _Module(module)
        module.again = lambda: module.owner.value.value
        view = substituted(module, {id(module.value): tf.constant(2.0)})
        assert float(view.owner.value.value) == 2.0 and float(view.again()) == 2.0
        assert view.owner.value is view

    def test_order_and_identity(self):
        first, second = tf.Variable(1.0), tf.constant(2)
        held = held_values([_Module(first), (second, first), {"a": second}, None, "text", 3])
        assert held[0] is first and held[1] is second and len(held) == 2
