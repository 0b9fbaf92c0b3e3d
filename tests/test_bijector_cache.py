"""What bijectors keep of earlier calls in eager mode, and when it no longer counts."""

import concurrent.futures
import copy

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import gnf_tf
from gnf_tf import graphs, networks
from tests import checks

pytestmark = pytest.mark.usefixtures("kept_half_steps")

tfb, tfd = tfp.bijectors, tfp.distributions


def make_gnf(**options):
    """One step, with networks that are traced fast: what is kept does not depend on them."""
    options = {"make_conditioner": lambda size: networks.MLP([size], output_scale=0.1)} | options
    return gnf_tf.GNF(1, 4, **options)


@pytest.fixture
def kept():
    """A flow and a graph, and a sample with its log-density, all of which are kept."""
    graph = graphs.fully_connected([3, 2], 4).replace(nodes=tf.random.normal([5, 4], seed=0))
    gnf = make_gnf()
    flow = tfd.TransformedDistribution(gnf_tf.NodePrior(graph), tfb.Invert(gnf))
    return gnf, flow, graph, flow.sample(seed=1)


def test_what_is_kept_is_evaluated_once(kept, monkeypatch):
    gnf, flow, graph, drawn = kept
    latent, calls = gnf.forward(graph), []
    run = gnf_tf.GNF._run
    monkeypatch.setattr(gnf_tf.GNF, "_run", lambda *a, **k: calls.append(1) or run(*a, **k))
    assert gnf.forward(graph).nodes is latent.nodes and gnf.inverse(latent).nodes is graph.nodes
    flow.log_prob(drawn)
    assert not calls
    flow.log_prob(checks.copied(graph))
    assert len(calls) == 1
    with tf.GradientTape():
        flow.experimental_sample_and_log_prob(seed=2)
    assert len(calls) == 2
    with tf.GradientTape(), tf.GradientTape(persistent=True):
        flow.log_prob(graph)
    assert len(calls) == 3


def test_what_is_kept_does_not_outlive_the_weights(kept):
    gnf, flow, graph, drawn = kept
    alive, update = [], tf.keras.optimizers.Adam(0.1)
    for step in range(3):
        latent = gnf.forward(graph)
        for use, given in (
            (gnf.forward, graph),
            (gnf.inverse, latent),
            (gnf.forward_log_det_jacobian, graph),
            (gnf.inverse_log_det_jacobian, latent),
            (flow.log_prob, graph),
            (flow.log_prob, drawn),
        ):
            found = use(given)
            alive.append((found, latent))
            expected = use(checks.copied(given))
            for one, other in zip(*map(tf.nest.flatten, (found, expected)), strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
        if step:  # by an optimizer, which writes to the memory of the variables
            gradients = [tf.ones_like(v) for v in gnf.trainable_variables]
            update.apply_gradients(zip(gradients, gnf.trainable_variables, strict=True))
        else:
            gnf.trainable_variables[0].assign_add(tf.ones_like(gnf.trainable_variables[0]))


def test_a_tape_has_gradients_although_outputs_of_an_earlier_one_are_kept(kept):
    gnf, flow, graph, drawn = kept
    losses = []
    for _ in range(3):
        with tf.GradientTape() as tape:
            latent = gnf.forward(graph)  # that of the step before is alive until now
            log_det = gnf.forward_log_det_jacobian(graph)
            loss = tf.reduce_sum(latent.nodes**2) - tf.reduce_sum(log_det)
            loss -= tf.reduce_sum(flow.log_prob(drawn))
        gradients = tape.gradient(loss, gnf.trainable_variables)
        assert all(gradient is not None for gradient in gradients)
        for variable, gradient in zip(gnf.trainable_variables, gradients, strict=True):
            variable.assign_sub(1e-3 * gradient)
        losses.append(loss)
    assert losses[0] > losses[1] > losses[2]


def test_values_from_outside_a_tape_do_not_hide_the_weights_from_it(kept):
    """They are alive, and TFP's cache would give them to the tape as constants."""
    gnf, flow, graph, drawn = kept

    def gradients(graph):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_sum(flow.log_prob(graph))
        return tape.gradient(loss, gnf.trainable_variables)

    alive = [gnf.forward(graph), flow.log_prob(drawn)]
    for one in (graph, drawn):
        expected = gradients(one.replace(nodes=tf.identity(one.nodes)))
        for a, b in zip(gradients(one), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    del alive


@pytest.mark.parametrize("coupling", ["affine", "additive"])
def test_log_dets_are_those_of_the_weights_where_no_output_is_kept(coupling):
    """The input alone keeps its log-determinant, which is constant in additive couplings."""
    graph = graphs.fully_connected([3, 2], 4).replace(nodes=tf.random.normal([5, 4], seed=0))
    gnf = make_gnf(coupling=coupling)

    def gradients(graph):
        with tf.GradientTape() as tape:
            log_det = gnf.forward_log_det_jacobian(graph)
            loss = tf.reduce_sum(gnf.forward(graph).nodes ** 2) - tf.reduce_sum(log_det)
        return tape.gradient(loss, gnf.trainable_variables)

    for _ in range(3):
        for variable in gnf.trainable_variables:
            variable.assign_add(tf.fill(variable.shape, 0.1))
        found, expected = (gnf.forward_log_det_jacobian(g) for g in (graph, checks.copied(graph)))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
        for one, other in zip(gradients(graph), gradients(checks.copied(graph)), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
    with tf.GradientTape(watch_accessed_variables=False):
        found, expected = (gnf.forward_log_det_jacobian(g) for g in (graph, checks.copied(graph)))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_threads_with_one_input_have_gradients_of_their_own(kept):
    gnf, _, graph, _ = kept

    def gradients(_=None):
        with tf.GradientTape() as tape:
            log_det = gnf.forward_log_det_jacobian(graph)
            loss = tf.reduce_sum(gnf.forward(graph).nodes ** 2) + tf.reduce_sum(log_det)
        return tape.gradient(loss, gnf.trainable_variables)

    expected = gradients()
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        for found in pool.map(gradients, range(30)):
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def shaken(gnf):
    """The flow with weights that make no map trivial."""
    for i, variable in enumerate(gnf.trainable_variables):
        variable.assign_add(0.05 * tf.random.stateless_normal(variable.shape, [i, 2]))
    return gnf


def shift_moving_averages(gnf, graph):
    del graph
    for layer in gnf.layers:
        for moving in getattr(layer, "non_trainable_variables", ()):
            moving.assign_add(tf.fill(moving.shape, 0.5))


def pass_in_training(gnf, graph):
    gnf.forward(graph.replace(nodes=3 * graph.nodes), is_training=True)


def calibrate(gnf, graph):
    gnf.calibrate(graph.replace(nodes=3 * graph.nodes))


@pytest.mark.parametrize("change", [shift_moving_averages, pass_in_training, calibrate])
def test_what_is_kept_does_not_outlive_moving_averages(kept, change):
    """No gradient is wanted for them, so that no tape tells of them."""
    gnf, flow, graph, drawn = kept
    alive = gnf.forward(graph), flow.log_prob(drawn)
    change(gnf, graph)
    np.testing.assert_array_equal(gnf.forward(graph).nodes, gnf.forward(checks.copied(graph)).nodes)
    for one in (graph, drawn):
        expected = flow.log_prob(checks.copied(one))
        np.testing.assert_allclose(flow.log_prob(one), expected, rtol=1e-4, atol=1e-4)
    assert np.abs(alive[0].nodes - gnf.forward(graph).nodes).max() > 0.01


def test_what_is_kept_does_not_outlive_what_a_users_network_holds():
    class Scaled(tf.Module):
        def __init__(self, size):
            super().__init__()
            self.gain = tf.Variable(tf.ones([size]), trainable=False)
            self.others = [tf.Variable(v, trainable=False) for v in ("a", [True], 3, 1.5j)]

        def __call__(self, graph):
            total = tf.reduce_sum(graph.nodes, axis=-1, keepdims=True)
            return graph.replace(nodes=self.gain * total)

    graph = graphs.fully_connected([3, 2], 4).replace(nodes=tf.random.normal([5, 4], seed=0))
    gnf = make_gnf(make_conditioner=Scaled, normalization=None)
    alive = gnf.forward(graph)
    assert gnf.forward(graph).nodes is alive.nodes
    for variable in gnf.non_trainable_variables:
        if variable.dtype == tf.float32:
            variable.assign(tf.fill(variable.shape, 0.3))
    found, expected = gnf.forward(graph).nodes, gnf.forward(checks.copied(graph)).nodes
    np.testing.assert_array_equal(found, expected)
    assert np.abs(alive.nodes - found).max() > 0.01


def train_then_evaluate(gnf, log_prob, graph):
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(log_prob(graph))
    gradients = tape.gradient(loss, gnf.trainable_variables)
    for variable, gradient in zip(gnf.trainable_variables, gradients, strict=True):
        variable.assign_sub(1e-3 * gradient)
    return loss, tf.reduce_mean(log_prob(graph))


def unrolled(gnf, log_prob, graph):
    first = tf.reduce_mean(log_prob(graph))
    return first, *[train_then_evaluate(gnf, log_prob, graph)[0] for _ in range(2)]


def in_a_loop(gnf, log_prob, graph):
    first = last = tf.reduce_mean(log_prob(graph))
    for _ in tf.range(3):
        last, _ = train_then_evaluate(gnf, log_prob, graph)
    return first, last, tf.reduce_mean(log_prob(graph))


def around_moving_averages(gnf, log_prob, graph):
    first = tf.reduce_mean(log_prob(graph))
    pass_in_training(gnf, graph)
    return first, tf.reduce_mean(log_prob(graph))


def in_branches(gnf, log_prob, graph):
    del gnf
    found = tf.cond(graph.nodes[0, 0] > 0, lambda: 3 * log_prob(graph), lambda: 2 * log_prob(graph))
    found += tf.switch_case(graph.n_node[0] % 2, [lambda: log_prob(graph)] * 2)
    return tf.reduce_mean(found), tf.reduce_mean(log_prob(graph))


@pytest.mark.parametrize(
    "use", [train_then_evaluate, unrolled, in_a_loop, around_moving_averages, in_branches]
)
def test_a_function_uses_nothing_that_is_outdated_or_out_of_reach(use):
    graph = graphs.fully_connected([3, 2], 4).replace(nodes=tf.random.normal([5, 4], seed=0))
    gnf, results = shaken(make_gnf()), []
    flow = tfd.TransformedDistribution(gnf_tf.NodePrior(graph), tfb.Invert(gnf))
    weights = [variable.numpy() for variable in gnf.variables]
    for given in (lambda one: one, checks.copied):  # of which nothing is kept

        @tf.function
        def function(graph, given=given):
            return use(gnf, lambda one: flow.log_prob(given(one)), graph)

        results.append(function(graph))
        for variable, value in zip(gnf.variables, weights, strict=True):
            variable.assign(value)
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert len({float(one) for one in results[0]}) == len(results[0])


def test_a_function_evaluates_once_what_has_not_changed(monkeypatch):
    graph = graphs.fully_connected([3, 2], 4).replace(nodes=tf.random.normal([5, 4], seed=0))
    gnf, calls = make_gnf(), []
    flow = tfd.TransformedDistribution(gnf_tf.NodePrior(graph), tfb.Invert(gnf))
    run = gnf_tf.GNF._run
    monkeypatch.setattr(gnf_tf.GNF, "_run", lambda *a, **k: calls.append(1) or run(*a, **k))

    @tf.function
    def function(graph):
        drawn = flow.sample(seed=1)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(flow.log_prob(graph))
        gnf.forward(checks.copied(graph))
        return flow.log_prob(drawn), tape.gradient(loss, gnf.trainable_variables)

    function(graph)
    assert len(calls) == 3


def test_a_condition_that_changes_is_noticed_whatever_holds_it():
    class Frame:
        """Like pandas's, which TensorFlow converts to a tensor."""

        def __init__(self, values):
            self.values = values

        def __array__(self, dtype=None, copy=None):
            return np.array(self.values, dtype)

    graph = graphs.fully_connected([3, 2], 4).replace(nodes=tf.random.normal([5, 4], seed=0))
    gnf = shaken(make_gnf(conditional_size=1, normalization=None))
    frame = Frame(np.zeros([5, 1], np.float32))
    alive = gnf.forward(graph, conditional_input=frame)
    frame.values[:] = 3
    found = gnf.forward(graph, conditional_input=frame)
    expected = gnf.forward(checks.copied(graph), conditional_input=tf.fill([5, 1], 3.0))
    np.testing.assert_allclose(found.nodes, expected.nodes, rtol=1e-6)
    assert np.abs(found.nodes - alive.nodes).max() > 0.01


@pytest.mark.parametrize("make", ["constructed", "copied"])
def test_bijectors_of_equal_arguments_have_results_of_their_own(make):
    """TFP takes bijectors for equal whose constructors got the same; their weights differ."""
    graph = graphs.fully_connected([3, 2], 4).replace(nodes=tf.random.normal([5, 4], seed=0))
    one = make_gnf()
    other = copy.deepcopy(one) if make == "copied" else make_gnf()
    shaken(one)
    assert one != other and one == one and len({one, other, one}) == 2
    flows = [
        tfd.TransformedDistribution(gnf_tf.NodePrior(graph), tfb.Invert(gnf))
        for gnf in (one, other)
    ]
    expected = [flow.log_prob(checks.copied(graph)) for flow in flows]
    assert np.abs(expected[0] - expected[1]).max() > 0.01
    both = tf.function(lambda graph: [flow.log_prob(graph) for flow in flows])(graph)
    with tf.GradientTape() as tape:
        alive = one.forward(graph), other.forward(graph)
        found = [flow.log_prob(graph) for flow in flows]
    assert all(g is not None for g in tape.gradient(found[1], other.trainable_variables))
    for values in (both, found, [flow.log_prob(graph) for flow in flows]):
        np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-5)
    # A copy of the one with the other's weights undoes what that one does, and no other does.
    assert np.abs(other.inverse(alive[0]).nodes - graph.nodes).max() > 0.01
    chained = tfb.Chain([tfb.Invert(one), other]).forward(graph)
    assert np.abs(chained.nodes - graph.nodes).max() > 0.01
    with pytest.raises(NotImplementedError):
        tfd.kl_divergence(*flows)


def late_watch(log_prob, graph):
    with tf.GradientTape() as tape:
        log_prob(graph)
        tape.watch(graph.nodes)
        return tape.gradient(log_prob(graph), graph.nodes)


def inner_tape(log_prob, graph):
    with tf.GradientTape():
        log_prob(graph)
        with tf.GradientTape() as tape:
            tape.watch(graph.nodes)
            found = log_prob(graph)
        return tape.gradient(found, graph.nodes)


def inner_tapes_of_a_persistent_one(log_prob, graph):
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(graph.nodes)
        for _ in range(2):
            with tf.GradientTape() as tape:
                tape.watch(graph.nodes)
                found = log_prob(graph)
            gradient = tape.gradient(found, graph.nodes)
        return gradient, outer.gradient(tf.reduce_sum(gradient**2), graph.nodes)


def accumulator(log_prob, graph):
    with tf.GradientTape():
        log_prob(graph)
        with tf.autodiff.ForwardAccumulator(graph.nodes, tf.ones_like(graph.nodes)) as made:
            found = log_prob(graph)
        return made.jvp(found)


def of_a_sample(log_prob, graph):
    """By the sample itself, not by what it was made of."""
    del graph
    with tf.GradientTape() as tape:
        drawn = log_prob.__self__.sample(seed=1)
        found = log_prob(drawn)
    return tape.gradient(found, drawn.nodes)


@pytest.mark.parametrize("is_compiled", [False, True], ids=["eager", "function"])
@pytest.mark.parametrize(
    "use", [late_watch, inner_tape, inner_tapes_of_a_persistent_one, accumulator, of_a_sample]
)
def test_what_is_kept_hides_nothing_from_a_tape_that_has_not_recorded_it(use, is_compiled):
    graph = graphs.fully_connected([3, 2], 4).replace(nodes=tf.random.normal([5, 4], seed=0))
    gnf = shaken(make_gnf(normalization="act_norm"))
    prior = gnf_tf.NodePrior(graph)
    kept = tfd.TransformedDistribution(prior, tfb.Invert(gnf))
    never_kept = Fresh(prior, tfb.Invert(gnf))
    run = tf.function(use) if is_compiled else use
    found, expected = run(kept.log_prob, graph), run(never_kept.log_prob, graph)
    for one, other in zip(*map(tf.nest.flatten, (found, expected)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


class Fresh(tfd.TransformedDistribution):
    """It evaluates a copy of each input, so that nothing is kept."""

    def log_prob(self, graph):
        return super().log_prob(checks.copied(graph))
