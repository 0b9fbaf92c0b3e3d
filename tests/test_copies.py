"""`copy.deepcopy` of what has been used: the same numbers, and weights of its own."""

import copy

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import gnf_tf
from gnf_tf import datasets, models
from tests import cases, checks

GRAPH = cases.mixed_graph(tf.float32, n_node=(3, 1, 4)).map(
    lambda x: x[:, :0], ("edges", "globals")
)
WIDTH = GRAPH.nodes.shape[1]


def density():
    flow = tfp.bijectors.Invert(gnf_tf.GNF(1, WIDTH))
    return tfp.distributions.TransformedDistribution(gnf_tf.NodePrior(GRAPH), flow)


def molecules():
    return datasets.qm9("test", size=3)


USED = {
    "GRevNet": (lambda: models.GRevNet(1, WIDTH), lambda net: net(GRAPH).nodes),
    "GNF": (
        lambda: gnf_tf.GNF(1, WIDTH),
        lambda gnf: gnf.inverse(checks.copied(GRAPH)).nodes,
    ),
    "TransformedDistribution": (density, lambda flow: flow.log_prob(checks.copied(GRAPH))),
    "GraphDensity": (
        lambda: models.GraphDensity.for_data(GRAPH, models.DensityConfig(num_steps=1)),
        lambda model: model.log_prob(GRAPH),
    ),
    "MoleculeRegressor": (
        lambda: models.pretrained("qm9"),
        lambda model: np.stack(model.predict_interval(molecules())),
    ),
}


@pytest.mark.parametrize("name", USED)
def test_a_copy_gives_the_same_numbers_and_has_its_own_weights(name):
    make, use = USED[name]
    original = make()
    expected = np.array(use(original))
    twin = copy.deepcopy(original)
    np.testing.assert_array_equal(use(twin), expected)
    for variable in original.trainable_variables:
        variable.assign_add(tf.fill(variable.shape, 0.1))
    assert np.abs(use(original) - expected).max() > 1e-3
    np.testing.assert_array_equal(use(twin), expected)
