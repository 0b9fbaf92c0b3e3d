"""Densities given a condition, `conditional_input`."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import gnf_tf
from gnf_tf import graphs
from tests import cases, checks

pytestmark = pytest.mark.usefixtures("kept_half_steps")

tfb, tfd = tfp.bijectors, tfp.distributions


@pytest.mark.parametrize("memory", ["reversible", "stored"])
def test_conditional_density(memory):
    """The condition moves the density, gets gradients, and graphs stay independent of others'."""
    graph = cases.mixed_graph()
    gnf = cases.randomize(
        gnf_tf.GNF(
            2,
            cases.NODE_SIZE,
            make_conditioner=cases.attention,
            conditional_size=3,
            memory=memory,
            dtype=tf.float64,
            **cases.WIDTHS,
        )
    )
    flow = tfd.TransformedDistribution(gnf_tf.NodePrior(graph), tfb.Invert(gnf))
    condition = tf.constant(np.random.default_rng(1).normal(size=[8, 3]))
    kwargs = {"conditional_input": condition}
    log_prob = flow.log_prob(checks.copied(graph), bijector_kwargs=kwargs)

    # Round trip, and the Jacobian's determinant, under the condition.
    there = gnf.forward(checks.copied(graph), **kwargs)
    back = gnf.inverse(checks.copied(there), **kwargs)
    np.testing.assert_allclose(back.nodes, graph.nodes, atol=1e-10)
    assert (
        np.abs(
            gnf.forward(checks.copied(graph), conditional_input=-condition).nodes - there.nodes
        ).max()
        > 0.1
    )

    # Only the graph whose node's condition changed has another density: nodes 3 is graph 1.
    changed = tf.tensor_scatter_nd_add(condition, [[3]], [[1.0, 1.0, 1.0]])
    other = flow.log_prob(checks.copied(graph), bijector_kwargs={"conditional_input": changed})
    moved = np.abs(other - log_prob) > 1e-6
    np.testing.assert_array_equal(moved, [False, True, False, False])

    sample = flow.sample(seed=1, bijector_kwargs=kwargs)
    again = flow.sample(seed=1, bijector_kwargs={"conditional_input": changed})
    assert np.abs(sample.nodes - again.nodes)[3].max() > 1e-3

    with tf.GradientTape() as tape:
        tape.watch(condition)
        value = tf.reduce_sum(
            flow.log_prob(checks.copied(graph), bijector_kwargs={"conditional_input": condition})
        )
    gradient = tape.gradient(value, condition).numpy()
    step = 1e-6 * np.ones([8, 3])
    ends = [
        flow.log_prob(
            checks.copied(graph), bijector_kwargs={"conditional_input": condition + sign * step}
        )
        .numpy()
        .sum()
        for sign in (1, -1)
    ]
    np.testing.assert_allclose(gradient.sum(), (ends[0] - ends[1]) / 2e-6, rtol=1e-5)


@pytest.mark.parametrize(
    "value, found",
    [
        (None, "None"),
        (np.zeros([8, 2]), "float64 of shape .8, 2."),
        (tf.zeros([8, 3]), "float32 of shape .8, 3."),
    ],
)
def test_wrong_conditional_input_is_refused(value, found):
    gnf = gnf_tf.GNF(1, 4, conditional_size=3, dtype=tf.float64, **cases.WIDTHS)
    with pytest.raises(ValueError, match=f"`conditional_input` must .*8, 3.* got {found}"):
        gnf.forward(cases.mixed_graph(), conditional_input=value)
    with pytest.raises(ValueError, match="`conditional_size` must be at least 0, got -1"):
        gnf_tf.GNF(1, 4, conditional_size=-1)


def test_conditional_input_of_uneven_rows_is_refused():
    gnf = gnf_tf.GNF(1, 4, conditional_size=1, dtype=tf.float64, **cases.WIDTHS)
    with pytest.raises(ValueError, match="`conditional_input` must be an array of numbers, got"):
        gnf.forward(cases.mixed_graph(), conditional_input=[[1.0]] * 7 + [[]])


@pytest.mark.parametrize("kind", [np.array, tf.Variable])
def test_a_change_of_the_conditional_input_is_seen(kind):
    """Although the results for its old values are alive in TFP's cache."""
    graph = cases.mixed_graph()
    gnf = cases.randomize(
        gnf_tf.GNF(
            1,
            4,
            make_conditioner=cases.attention,
            conditional_size=1,
            dtype=tf.float64,
            **cases.WIDTHS,
        )
    )
    methods = ("forward", "inverse", "forward_log_det_jacobian", "inverse_log_det_jacobian")
    condition, alive = kind(np.zeros([8, 1])), []
    for value in (0.0, 1.0):
        if kind is tf.Variable:
            condition.assign(tf.fill([8, 1], tf.constant(value, tf.float64)))
        else:
            condition.fill(value)
        for method in methods:
            use = getattr(gnf, method)
            found = use(graph, conditional_input=condition)
            fixed = tf.fill([8, 1], tf.constant(value, tf.float64))
            expected = use(checks.copied(graph), conditional_input=fixed)
            for one, other in zip(*map(tf.nest.flatten, (found, expected)), strict=True):
                np.testing.assert_array_equal(one, other)
            alive.append(found)


def test_conditional_input_without_conditional_size_is_refused():
    gnf = gnf_tf.GNF(1, 4, dtype=tf.float64, **cases.WIDTHS)
    with pytest.raises(ValueError, match="`conditional_input` must be .*8, 0.* got .*8, 3"):
        gnf.forward(cases.mixed_graph(), conditional_input=np.zeros([8, 3]))


@pytest.mark.parametrize("seed", [None, np.array([1, 2])])
def test_an_array_may_be_a_condition_in_training(seed):
    """Batch statistics have no inverse, which TFP would ask for if it found nothing kept."""
    graph = graphs.fully_connected([3, 2], 4).replace(nodes=tf.random.normal([5, 4], seed=0))
    gnf = gnf_tf.GNF(1, 4, conditional_size=2)
    flow = tfd.TransformedDistribution(gnf_tf.NodePrior(graph), tfb.Invert(gnf))
    condition = np.random.default_rng(0).normal(size=[5, 2]).astype(np.float32)
    found, expected = (
        flow.log_prob(
            checks.copied(graph),
            bijector_kwargs={"conditional_input": given, "is_training": True, "seed": seed},
        )
        for given in (condition, tf.constant(condition))
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)
