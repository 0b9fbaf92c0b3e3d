"""A graph of another float type than a model's: one error that names field, dtype, expectation."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import gnf_tf
from tests import cases, network_cases

OTHER = {tf.float32: tf.float64, tf.float64: tf.float32}


def flow(dtype):
    return tfp.distributions.TransformedDistribution(
        gnf_tf.NodePrior(cases.mixed_graph(dtype)), tfp.bijectors.Invert(gnf(dtype))
    )


def gnf(dtype, **options):
    return gnf_tf.GNF(1, cases.NODE_SIZE, dtype=dtype, **options, **cases.WIDTHS)


def grevnet(dtype, **options):
    return gnf_tf.models.GRevNet(1, cases.NODE_SIZE, dtype=dtype, **options, **cases.WIDTHS)


# name -> dtype of the model -> a function of a graph
MODELS = {
    **{f"{name} forward": lambda d, n=name: cases.BIJECTORS[n](d).forward for name in ("gnf",)},
    "inverse": lambda dtype: gnf(dtype).inverse,
    "log det": lambda dtype: gnf(dtype).forward_log_det_jacobian,
    "initialize": lambda dtype: gnf(dtype, normalization="act_norm").initialize,
    "calibrate": lambda dtype: gnf(dtype).calibrate,
    "chain": lambda dtype: tfp.bijectors.Chain([gnf(dtype), gnf(dtype)]).forward,
    "prior": lambda dtype: gnf_tf.NodePrior(cases.mixed_graph(dtype)).log_prob,
    "flow": lambda dtype: flow(dtype).log_prob,
    "grevnet": grevnet,
    "grevnet inverse": lambda dtype: grevnet(dtype).inverse,
    "grevnet in a loop": lambda dtype: grevnet(dtype, loop=True),
    "neumann": lambda dtype: gnf_tf.models.NeumannRBP(
        2, cases.NODE_SIZE, dtype=dtype, **cases.WIDTHS
    ),
}


@pytest.mark.parametrize("dtype", OTHER, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("name", MODELS)
def test_a_model_names_field_dtype_and_expectation(name, dtype):
    call, other = MODELS[name](dtype), OTHER[dtype]
    right, wrong = cases.mixed_graph(dtype), cases.mixed_graph(other)
    call(right)
    fields = {"nodes": wrong, "edges": right.replace(edges=wrong.edges)}
    fields["globals"] = right.replace(globals=wrong.globals)
    for field, graph in fields.items():
        message = rf"`graph.{field}` must be {dtype.name}, got {other.name}"
        with pytest.raises(ValueError, match=message):
            call(graph)
        with pytest.raises(ValueError, match=message):
            tf.function(call)(graph)


@pytest.mark.parametrize("name", cases.BIJECTORS)
def test_every_bijector_does(name):
    bijector = cases.BIJECTORS[name](tf.float32)
    for method in (bijector.forward, bijector.inverse, bijector.inverse_log_det_jacobian):
        with pytest.raises(ValueError, match="`graph.nodes` must be float32, got float64"):
            method(cases.mixed_graph(tf.float64))


@pytest.mark.parametrize("dtype", OTHER, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("name", network_cases.NETWORKS)
def test_every_network_does(name, dtype):
    network, other = network_cases.NETWORKS[name](), OTHER[dtype]
    network(cases.mixed_graph(dtype))
    rule = f"features of `graph` must be {dtype.name}, as at the network's first call"
    with pytest.raises(ValueError, match=f"{rule}, got {other.name}"):
        network(cases.mixed_graph(other))


def test_numpy_features_of_the_right_type_are_fine():
    graph = cases.mixed_graph(tf.float32)
    as_numpy = graph.map(np.asarray, fields=graph._fields)
    np.testing.assert_array_equal(
        gnf(tf.float32).forward(as_numpy).nodes, gnf(tf.float32).forward(graph).nodes
    )
