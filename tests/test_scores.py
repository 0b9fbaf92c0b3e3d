"""Scores of classes and of densities, by hand and by what they are for."""

import numpy as np
import pytest

from gnf_tf import metrics


def test_classes_by_hand():
    labels, probabilities = np.array([0, 1, 1]), [[0.7, 0.3], [0.6, 0.4], [0.0, 1.0]]
    found = metrics.classification_scores(labels, np.array(probabilities))
    assert found.keys() == {"accuracy", "loss"}
    np.testing.assert_allclose(found["accuracy"], 2 / 3)
    np.testing.assert_allclose(found["loss"], -np.log(0.7 * 0.4 * 1.0) / 3)
    wrong = metrics.classification_scores(np.array([0]), np.array([[0.0, 1.0]]))
    assert wrong["accuracy"] == 0.0 and np.isfinite(wrong["loss"])


def test_many_labels_by_hand():
    """2 right of 3 predicted and 3 true."""
    labels = np.array([[True, False], [True, True]])
    probabilities = np.array([[0.9, 0.6], [0.8, 0.1]])
    found = metrics.classification_scores(labels, probabilities)
    assert found.keys() == {"f1", "loss"}
    np.testing.assert_allclose(found["f1"], 2 * 2 / (3 + 3))
    np.testing.assert_allclose(found["loss"], -np.log(0.9 * 0.4 * 0.8 * 0.1) / 4)
    nothing = metrics.classification_scores(np.zeros([2, 2], bool), np.zeros([2, 2]))
    assert nothing == {"f1": 0.0, "loss": 0.0}


def test_lists_are_arrays_too():
    found = metrics.classification_scores([0, 1], [[0.7, 0.3], [0.6, 0.4]])
    assert found["accuracy"] == 0.5
    assert metrics.classification_scores([[True, False]], [[0.7, 0.3]])["f1"] == 1.0


@pytest.mark.parametrize(
    "labels, probabilities, message",
    [
        ([0, -1], np.eye(2), "`labels` must be classes from 0 to 1, got -1 for node 1"),
        ([0, 2], np.eye(2), "`labels` must be classes from 0 to 1, got 2 for node 1"),
        ([0.0, 1.0], np.eye(2), "`labels` must be whole numbers .* got float64"),
        ([[0, 1], [1, 0]], np.eye(2), r"`labels` must be .* got int64 of shape \(2, 2\)"),
        (1, np.eye(2), r"`labels` must be .* got int64 of shape \(\)"),
        (np.zeros(0, int), np.zeros([0, 2]), r"of at least one node, got int64 of shape \(0,\)"),
        (np.zeros([0, 2], bool), np.zeros([0, 2]), "of at least one node, got bool"),
        ([0, 1, 0], np.eye(2), r"a row for each node .* got shape \(2, 2\) for labels .* \(3,\)"),
        ([0, 1], [0.5, 0.5], r"a column for each class, got shape \(2,\) for"),
        (np.ones([2, 3], bool), np.eye(2), r"`probabilities` must have .* of shape \(2, 3\)"),
        ([0, 1], [[0.5, 0.5], [np.nan, 0.5]], r"must be from 0 to 1, got \[nan, 0.5\] in row 1"),
        ([0, 1], [[9, -1], [0.5, 0.5]], r"must be from 0 to 1, got \[9.0, -1.0\] in row 0"),
        ([0, 1], [[0.5, 0.5], [0.5, 0.4]], r"must add up to 1 .* got \[0.5, 0.4\] in row 1"),
        ([[True, False]], [[0.5, 1.5]], r"`probabilities` must be from 0 to 1, got \[0.5, 1.5\]"),
    ],
)
def test_labels_that_do_not_fit_are_named(labels, probabilities, message):
    with pytest.raises(ValueError, match=message):
        metrics.classification_scores(labels, probabilities)


def test_the_mean_per_node_has_the_error_that_drawing_again_shows():
    """Of graphs of several sizes, whose values grow with them."""
    rng = np.random.default_rng(0)
    n_node = rng.integers(1, 9, size=[2000, 100])
    values = 3.0 * n_node + rng.normal(size=n_node.shape) * n_node
    means, errors = np.transpose(
        [metrics.mean_per_node(v, n) for v, n in zip(values, n_node, strict=True)]
    )
    np.testing.assert_allclose(means.mean(), 3.0, atol=0.01)
    np.testing.assert_allclose(errors.mean(), means.std(), rtol=0.05)
    mean, error = metrics.mean_per_node(np.array([6.0]), np.array([3]))
    assert mean == 2.0 and np.isnan(error)


def test_the_gaussian_is_the_data_s_own():
    """Its NLL on what it was drawn from is the entropy."""
    covariance = np.array([[4.0, 1.0], [1.0, 2.0]])
    points = np.random.default_rng(0).multivariate_normal([3.0, -1.0], covariance, size=4000)
    entropy = 0.5 * np.linalg.slogdet(2 * np.pi * np.e * covariance)[1]
    found = metrics.gaussian_nll(points[:2000], points[2000:])
    np.testing.assert_allclose(found, entropy, atol=0.05)
    assert np.isnan(metrics.gaussian_nll(points[:, [0, 0]], points[:, [0, 0]]))
    # In other units it changes by their logarithms.
    other = points * [1e9, 1e-3]
    np.testing.assert_allclose(
        metrics.gaussian_nll(other[:2000], other[2000:]), found + 6 * np.log(10), rtol=1e-9
    )


@pytest.mark.parametrize(
    "values, expected",
    [([2.0], (2.0, None)), ([1.0, 3.0], (2.0, np.sqrt(2))), ([1.0, None], (np.nan, np.nan))],
)
def test_mean_and_deviation_by_hand(values, expected):
    np.testing.assert_equal(metrics.mean_and_deviation(values), expected)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: metrics.mean_and_deviation([]), "`values` must have at least one value, got none"),
        (lambda: metrics.over_runs([]), "`reports` must hold at least one report, got none"),
        (lambda: metrics.mean_per_node([1, 2], [1, 2, 3]), r"`values` and `n_node` .*\(2,\) and"),
        (lambda: metrics.mean_per_node([], []), r"`n_node` must be numbers of nodes.* got \[\]"),
        (lambda: metrics.mean_per_node([1, 2], [-1, 3]), r"`n_node` must be .* got \[-1, 3\]"),
        (
            lambda: metrics.gaussian_nll(np.zeros([5, 2]), np.zeros([5, 1])),
            r"`train` and `test` must have .* got shapes \(5, 2\) and \(5, 1\)",
        ),
        (
            lambda: metrics.wrong_edges(np.full([2, 2], np.nan), np.zeros([2, 2])),
            "must be a matrix of finite numbers, got NaN",
        ),
        (
            lambda: metrics.kernel_matrix([0, 0, 0], [[0, 0, 0]] * 2, "degree"),
            r"`a` must be \[n, bins\], got shape \(3,\)",
        ),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
