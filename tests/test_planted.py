"""Graphs with planted classes, and the best that a classifier of their nodes can do."""

import itertools

import numpy as np
import pytest

from gnf_tf import datasets
from gnf_tf.datasets import PlantedClasses


def test_graphs_have_the_statistics_that_were_asked_for():
    planted = PlantedClasses(20_000, num_classes=4, degree=6.0, homophily=0.7, separation=1.5)
    network = planted.sample(seed=1)
    labels = network.labels
    np.testing.assert_array_equal(np.bincount(labels), [5000] * 4)
    ends = np.stack([network.graph.senders, network.graph.receivers])
    assert ends.shape[1] == pytest.approx(20_000 * 6.0, rel=0.01)
    assert (labels[ends[0]] == labels[ends[1]]).mean() == pytest.approx(0.7, abs=0.01)
    means = [network.graph.nodes.numpy()[labels == c].mean(axis=0) for c in range(4)]
    np.testing.assert_allclose(means, 1.5 * np.eye(4), atol=0.06)
    assert [network.train.sum(), network.test.sum()] == [12_000, 4000]
    again, other = planted.sample(seed=1), planted.sample(seed=2)
    np.testing.assert_array_equal(network.graph.nodes, again.graph.nodes)
    np.testing.assert_array_equal(network.graph.senders, again.graph.senders)
    assert (network.labels != other.labels).any()


def test_the_posterior_is_exact_on_a_tree():
    """Against the sum over all classes of all nodes."""
    planted = PlantedClasses(5, num_classes=3, homophily=0.6, separation=1.2)
    features = np.random.default_rng(0).normal(size=[5, 3])
    edges = np.array([[0, 1, 1, 3], [1, 2, 3, 4]])
    weight = {True: 0.6, False: 0.2}
    expected = np.zeros([5, 3])
    for classes in itertools.product(range(3), repeat=5):
        likelihood = np.exp(1.2 * features[np.arange(5), classes].sum())
        likelihood *= np.prod([weight[classes[a] == classes[b]] for a, b in edges.T])
        expected[np.arange(5), classes] += likelihood
    expected /= expected.sum(axis=1, keepdims=True)
    network = datasets.node_graph(features, edges)
    np.testing.assert_allclose(planted.posterior(network, hops=3), expected, rtol=1e-4)
    alone = np.exp(1.2 * features)
    alone /= alone.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(planted.posterior(network, hops=0), alone, rtol=1e-4)
    assert np.abs(planted.posterior(network, hops=2) - expected).max() > 1e-3


def test_more_hops_are_right_more_often_as_often_as_they_claim():
    planted = PlantedClasses(10_000, num_classes=4, separation=1.0)
    network = planted.sample()
    scores = []
    for hops in (0, 1, 4):
        posterior = planted.posterior(network, hops)
        scores.append((posterior.argmax(axis=1) == network.labels).mean())
        assert posterior.max(axis=1).mean() == pytest.approx(scores[-1], abs=0.015)
    assert scores[0] + 0.1 < scores[1] and scores[1] + 0.1 < scores[2]


@pytest.mark.parametrize(
    "name, options",
    [
        ("num_classes", {"num_classes": 1}),
        ("num_classes", {"num_nodes": 3}),
        ("homophily", {"homophily": 1.1}),
        ("separation", {"separation": -1.0}),
    ],
)
def test_bad_options(name, options):
    with pytest.raises(ValueError, match=f"`{name}`"):
        PlantedClasses(**{"num_nodes": 10} | options)
