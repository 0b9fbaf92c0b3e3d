"""Gradients far beyond all others count as 0."""

import copy
import warnings

import numpy as np
import pytest
import tensorflow as tf

from gnf_tf import models, training
from gnf_tf.training.node_objective import NodeObjective
from gnf_tf.training.outliers import Outliers
from tests.test_node_objective import SMALL, ring


@pytest.mark.parametrize("how", [None, {"autograph": False}, {"jit_compile": True}], ids=str)
def test_the_rule(how):
    """Beside the norms before, and the largest that is not scaled down; in any program."""
    outliers = Outliers(2.0)
    replaced = tf.function(outliers.replaced, **how) if how else outliers.replaced
    expected = [
        (1.0, False),
        (30.0, False),  # 20 * 2, not 20 * 1, is the bound
        (599.0, False),  # 20 * 30
        (1e30, True),
        (11990.0, False),  # 20 * 599.0 * 2, less what is forgotten
        (np.inf, True),
        (0.0, False),
        (400000.0, False),
        (1e9, True),
        (1e9, True),
        *[(1e9, True)] * 5,
        (1e9, False),  # as all are: 20 * 400,000 * 2 ** 7
        (1.0, False),
    ]
    for count, (norm, is_outlier) in enumerate(expected):
        before = int(outliers.count)
        gradient = tf.constant([3.0, -np.inf if norm == np.inf else norm])
        found = replaced(gradient, tf.constant(norm))
        np.testing.assert_array_equal(found, [0, 0] if is_outlier else gradient, str(count))
        assert int(outliers.count) == before + is_outlier
    # The first step with a gradient has none before it.
    outliers.variables[1].assign(0.0)
    for norm in (0.0, 1e9):
        np.testing.assert_array_equal(replaced(tf.constant([norm]), tf.constant(norm)), [norm])
    assert np.isnan(replaced(tf.constant([np.nan]), tf.constant(np.nan))).all()  # ends a training


@pytest.fixture(scope="module")
def new_model():
    training.set_seed(0)
    return models.NodeClassifier.for_data(ring(), models.ClassifierConfig(**SMALL))


def train(model, **settings):
    found = copy.deepcopy(model)
    training.fit(found, ring(), ring(), epochs=8, execution="eager", verbose=0, **settings)
    return [variable.numpy() for variable in found.trainable_variables]


def test_a_batch_with_a_huge_gradient_does_not_undo_a_training(new_model, monkeypatch, tmp_path):
    """The user is told, again by the same call, which finds the training finished."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = train(new_model)
    batch_loss = NodeObjective.batch_loss

    def spoiled(self, data, is_training):
        loss, *others = batch_loss(self, data, is_training)
        is_one = is_training and int(self.optimizer.iterations) == 30
        return (1e12 * loss if is_one else loss), *others

    monkeypatch.setattr(NodeObjective, "batch_loss", spoiled)
    for _ in range(2):
        with pytest.warns(UserWarning, match="gradients of 1 of 40 training steps counted as 0"):
            found = train(new_model, folder=tmp_path / "run")
    monkeypatch.setattr(Outliers, "replaced", lambda self, gradient, norm: gradient)
    changes = [
        max(np.abs(a - b).max() for a, b in zip(weights, expected, strict=True))
        for weights in (found, train(new_model))
    ]
    assert 0 < changes[0] < 0.5 * changes[1]  # one step is by the momentum alone
