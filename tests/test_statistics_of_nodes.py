"""Normalizations whose nodes are none, one, huge, or no numbers."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

import gnf_tf
from gnf_tf import graphs, networks, reversible
from tests import cases, checks
from tests.checks import EXECUTIONS

pytestmark = pytest.mark.usefixtures("kept_half_steps")


def perceptron(output_size):
    return networks.MLP((3, output_size))


MODELS = {
    "batch norm": lambda memory, **options: gnf_tf.GraphBatchNorm(4, **options).copy(memory=memory),
    "gnf": lambda **options: gnf_tf.GNF(2, 4, make_conditioner=perceptron, **options),
    "grevnet": lambda **options: gnf_tf.models.GRevNet(
        2, 4, batch_norm=True, make_conditioner=perceptron, **options
    ),
}
# name -> (graph, whether it is padded)
EMPTY = {
    "no nodes": (graphs.edgeless([0, 0], 4), False),
    "padding alone": (graphs.pad(graphs.edgeless([0], 4), 3, 0, 3), True),
}


def with_nodes(nodes, dtype=tf.float32):
    nodes = tf.constant(nodes, dtype)
    return graphs.edgeless([nodes.shape[0]], 4, dtype=dtype).replace(nodes=nodes)


def drawn(num_nodes, dtype=tf.float32):
    return with_nodes(np.random.default_rng(0).normal(size=[num_nodes, 4]), dtype)


def statistics(model):
    return {v.name: v.numpy() for v in model.variables if "moving" in v.name}


def trained(model, graph):
    """Values and log-determinants of a training step, and their gradients."""
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        tape.watch(graph.nodes)
        if isinstance(model, tf.Module) and not isinstance(model, gnf_tf.bijectors.GraphBijector):
            values = [model(graph, is_training=True).nodes]
        else:
            values = [
                model.forward(graph, is_training=True).nodes,
                model.forward_log_det_jacobian(graph, is_training=True),
            ]
        loss = tf.add_n([tf.reduce_sum(tf.sin(value)) for value in values])
    gradients = tape.gradient(loss, [graph.nodes, *variables], unconnected_gradients="zero")
    return [*values, *gradients]


@pytest.mark.parametrize(
    "empty, execution, memory",
    [
        *itertools.product(EMPTY, ["eager"], reversible.MEMORY_MODES),
        *itertools.product(["padding alone"], ["function", "xla"], ["reversible"]),
    ],
)
@pytest.mark.parametrize("name", MODELS)
def test_nothing_to_average_leaves_the_moving_averages(name, empty, memory, execution):
    graph, padded = EMPTY[empty]
    model = cases.randomize(MODELS[name](padded=padded, memory=memory))
    before = statistics(model)
    compute = EXECUTIONS[execution](lambda nodes: trained(model, graph.replace(nodes=nodes)))
    results = compute(graph.nodes)
    for values in results:
        assert np.isfinite(values).all()
    after = statistics(model)
    assert after
    for variable, value in after.items():
        np.testing.assert_array_equal(value, before[variable])


@pytest.mark.parametrize("memory", reversible.MEMORY_MODES)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("size", [1e18, 1e20, 1e30, 1e37])
def test_training_on_huge_features(size, name, memory):
    """The square of a float32 overflows from 1.8e19 on. (What networks then give may be NaN.)"""
    model = cases.randomize(MODELS[name](memory=memory))
    graph = drawn(5)
    results = trained(model, graph.replace(nodes=size * graph.nodes))
    for values in (*statistics(model).values(), *(results if name == "batch norm" else ())):
        assert np.isfinite(values).all()


@pytest.mark.parametrize("memory", reversible.MEMORY_MODES)
@pytest.mark.parametrize("name", MODELS)
def test_training_on_a_single_node_is_finite(name, memory):
    model = cases.randomize(MODELS[name](memory=memory))
    for values in (*trained(model, drawn(1)), *statistics(model).values()):
        assert np.isfinite(values).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_that_are_no_numbers_leave_the_moving_averages(value):
    """Of those features: the others of the batch count."""
    norm = cases.randomize(gnf_tf.GraphBatchNorm(4, momentum=0.9))
    before = statistics(norm)
    nodes = drawn(5).nodes.numpy()
    nodes[2, 1] = value
    norm.forward(with_nodes(nodes), is_training=True)
    with np.errstate(invalid="ignore"):  # the variance of an infinite feature is NaN
        of_batch = {"moving_mean:0": nodes.mean(axis=0), "moving_variance:0": nodes.var(axis=0)}
    for name, average in statistics(norm).items():
        expected = 0.9 * before[name] + 0.1 * of_batch[name]
        expected[1] = before[name][1]
        np.testing.assert_allclose(average, expected, rtol=1e-5)


@pytest.mark.parametrize("held", [np.nan, np.inf, 1e30])
def test_what_padding_holds_counts_for_nothing(held):
    graph = graphs.pad(drawn(5), 8, 0, 2)
    norms = [gnf_tf.GraphBatchNorm(4, padded=True) for _ in range(2)]
    out = norms[0].forward(graph, is_training=True)
    held = graph.replace(nodes=tf.concat([graph.nodes[:5], tf.fill([3, 4], held)], axis=0))
    np.testing.assert_array_equal(norms[1].forward(held, is_training=True).nodes[:5], out.nodes[:5])
    for a, b in zip(*(norm.variables for norm in norms), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("size", [1e-3, 1e20, 1e30, 1e38])
def test_act_norm_normalizes_huge_features(size):
    act_norm = gnf_tf.GraphActNorm(4)
    graph = drawn(50)
    graph = graph.replace(nodes=size * graph.nodes / 4.0)
    act_norm.initialize(graph)
    out = act_norm.forward(checks.copied(graph)).nodes.numpy()
    np.testing.assert_allclose(out.mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(out.std(axis=0), 1.0, atol=1e-5)


@pytest.mark.parametrize("size", [1e20, 1e30, 1e37])
def test_mean_scale_makes_huge_means_those_of_independent_nodes(size):
    """n_node * mean^2 is 1 on average, so log_scale is that of small features less log(size)."""
    graph = graphs.edgeless([2] * 50, 4).replace(nodes=drawn(100).nodes)
    scales = []
    for factor in (1.0, size):
        mean_scale = gnf_tf.GraphMeanScale(4)
        mean_scale.initialize(graph.replace(nodes=factor * graph.nodes))
        scales.append(mean_scale.log_scale.numpy())
    np.testing.assert_allclose(scales[1], scales[0] - np.log(size), atol=1e-4)


# name -> (model, its method that takes data)
TAKES_DATA = {
    "act norm": (lambda: gnf_tf.GraphActNorm(4), "initialize"),
    "mean scale": (lambda: gnf_tf.GraphMeanScale(4), "initialize"),
    "batch norm": (lambda: gnf_tf.GraphBatchNorm(4), "calibrate"),
    "padded batch norm": (lambda: gnf_tf.GraphBatchNorm(4, padded=True), "calibrate"),
    "gnf initialize": (
        lambda: gnf_tf.GNF(2, 4, normalization="act_norm", mean_scaling=True),
        "initialize",
    ),
    "gnf calibrate": (lambda: gnf_tf.GNF(2, 4), "calibrate"),
}
NO_DATA = {
    "NaN": (drawn(5).replace(nodes=drawn(5).nodes + np.nan), "`graph.nodes` must be finite, row 0"),
    "infinite": (
        drawn(5).replace(nodes=tf.concat([drawn(4).nodes, tf.fill([1, 4], np.inf)], axis=0)),
        "`graph.nodes` must be finite, row 4",
    ),
    "float64": (drawn(5, tf.float64), "`graph.nodes` must be float32, got float64"),
    "width": (graphs.edgeless([5], 3), r"`graph.nodes` must have width 4, got shape \(5, 3\)"),
    "no nodes": (
        graphs.edgeless([0, 0], 4),
        "`graph` (has no nodes to take statistics of|must have at least [12] nodes?, got (0|none))",
    ),
}


def refuses(model, call, message):
    """With that message, and with nothing assigned."""
    before = [v.numpy() for v in model.variables]
    with pytest.raises(ValueError, match=message):
        call()
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.parametrize("case", NO_DATA)
@pytest.mark.parametrize("name", TAKES_DATA)
def test_statistics_of_no_data_are_refused(name, case):
    make, method = TAKES_DATA[name]
    model, (graph, message) = make(), NO_DATA[case]
    refuses(model, lambda: getattr(model, method)(graph), message)


@pytest.mark.parametrize("padded_model", ["padded batch norm", "gnf"])
def test_statistics_of_padding_alone_are_refused(padded_model):
    graph = graphs.pad(graphs.edgeless([0], 4), 3, 0, 3)
    model = (
        (gnf_tf.GNF(2, 4, padded=True)) if padded_model == "gnf" else TAKES_DATA[padded_model][0]()
    )
    refuses(model, lambda: model.calibrate(graph), "no nodes to take statistics of but padding")


@pytest.mark.parametrize("normalization", ["act_norm", "batch_norm"])
def test_a_conditional_input_that_is_no_number_is_refused(normalization):
    gnf = gnf_tf.GNF(2, 4, normalization=normalization, conditional_size=1)
    method = gnf.initialize if normalization == "act_norm" else gnf.calibrate
    given = tf.constant([[0.0], [0.0], [np.nan], [0.0], [0.0]])
    message = "`conditional_input` must be finite, row 2 is .*nan"
    refuses(gnf, lambda: method(drawn(5), conditional_input=given), message)


def test_a_variance_that_the_dtype_does_not_hold_is_refused():
    norm = gnf_tf.GraphBatchNorm(4)
    huge = drawn(5).replace(nodes=1e30 * drawn(5).nodes)
    refuses(norm, lambda: norm.calibrate(huge), "`graph.nodes` must have a variance below 3.4e.38")


@pytest.mark.parametrize("num_nodes", [5_000, 100_000])  # beyond float16's numbers
@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
def test_statistics_of_many_nodes_in_16_bits(dtype, num_nodes):
    nodes = 2 * np.random.default_rng(0).normal(size=[num_nodes, 4]) + 3
    graph = graphs.edgeless([num_nodes], 4, dtype=dtype).replace(nodes=tf.cast(nodes, dtype))
    norm = gnf_tf.GraphBatchNorm(4, dtype=dtype)
    norm.calibrate(graph)
    np.testing.assert_allclose(tf.cast(norm.moving_mean, tf.float32), 3, atol=0.1)
    np.testing.assert_allclose(tf.cast(norm.moving_variance, tf.float32), 4, atol=0.2)
    normalized = tf.cast(norm.forward(graph, is_training=True).nodes, tf.float32)
    np.testing.assert_allclose(np.std(normalized, axis=0), 1, atol=0.02)
    scale = gnf_tf.bijectors.GraphMeanScale(4, dtype=dtype)
    scale.initialize(graph)
    expected = -np.log(3 * np.sqrt(num_nodes))
    np.testing.assert_allclose(tf.cast(scale.log_scale, tf.float32), expected, atol=0.05)
    scale.log_scale.assign(tf.ones([4], dtype))
    assert float(scale.forward_log_det_jacobian(graph)[0]) == pytest.approx(4, abs=0.03)
