"""Every bijector of cases.py against every identity of checks.py."""

import functools
import inspect
import itertools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import gnf_tf
from gnf_tf import graphs
from tests import cases, checks

pytestmark = pytest.mark.usefixtures("kept_half_steps")

CHECKS = (
    checks.round_trip,
    checks.log_dets_mirror,
    checks.permutation_equivariant,
    checks.graphs_one_by_one,
    checks.padding_changes_nothing,
)
# What float32 may lose is the inverse; float64 tells all else apart from rounding.
CASES = [*itertools.product(CHECKS, [tf.float64]), *itertools.product(CHECKS[:2], [tf.float32])]


made = functools.cache(cases.make_bijector)


@pytest.mark.parametrize(
    "check, dtype", CASES, ids=[f"{check.__name__}-{dtype.name}" for check, dtype in CASES]
)
@pytest.mark.parametrize("name", cases.BIJECTORS)
def test_identity(name, check, dtype):
    check(made(name, dtype), cases.mixed_graph(dtype))


@pytest.mark.parametrize("name", cases.BIJECTORS)
def test_log_det_is_that_of_the_autodiff_jacobian(name):
    checks.jacobian_blocks(made(name, tf.float64), cases.mixed_graph())


@pytest.mark.parametrize("name", cases.BIJECTORS)
def test_every_variable_has_a_gradient(name):
    """In float64. Training, in other tests, differentiates all of them in float32."""
    checks.every_variable_has_a_gradient(made(name, tf.float64), cases.mixed_graph())


@pytest.mark.parametrize("name", cases.BIJECTORS)
def test_execution_modes_agree(name):
    checks.same_in_every_execution_mode(made(name, tf.float64), cases.mixed_graph())


@pytest.mark.parametrize("name", cases.BIJECTORS)
def test_checkpoint_preserves_log_prob(name, tmp_path):
    graph = cases.mixed_graph()
    prior = gnf_tf.NodePrior(graph)

    def log_prob(bijector):
        flow = tfp.distributions.TransformedDistribution(prior, tfp.bijectors.Invert(bijector))
        return flow.log_prob(checks.copied(graph)).numpy()

    saved, restored = cases.make_bijector(name, seed=1), cases.make_bijector(name, seed=2)
    assert np.abs(log_prob(saved) - log_prob(restored)).max() > 1e-3
    path = tf.train.Checkpoint(bijector=saved).save(str(tmp_path / "checkpoint"))
    tf.train.Checkpoint(bijector=restored).restore(path).assert_consumed()
    np.testing.assert_array_equal(log_prob(saved), log_prob(restored))


def test_every_public_bijector_is_in_the_table():
    public = {
        cls
        for cls in vars(gnf_tf.bijectors).values()
        if inspect.isclass(cls) and issubclass(cls, gnf_tf.bijectors.GraphBijector)
    } - {gnf_tf.bijectors.GraphBijector}
    assert public == {type(make(tf.float32)) for make in cases.BIJECTORS.values()}


class _WrongInverse(gnf_tf.GraphCoupling):
    """The inverse forgets the shift: right only behind TFP's cache."""

    def invert(self, changed, params):
        log_scale, shift = params
        return super().invert(changed + shift, (log_scale, shift))


def test_a_wrong_inverse_fails_the_round_trip_although_the_cache_hides_it():
    wrong = cases.randomize(
        _WrongInverse(cases.attention, cases.NODE_SIZE, dtype=tf.float64, **cases.WIDTHS)
    )
    graph = cases.mixed_graph()
    naive = wrong.inverse(wrong.forward(graph))
    np.testing.assert_array_equal(naive.nodes, graph.nodes)
    with pytest.raises(AssertionError):
        checks.round_trip(wrong, graph)


def test_padding_case_has_padding():
    padded = graphs.pad(cases.mixed_graph(), 13, 30, 6)
    assert not graphs.node_mask(padded).numpy().all()
