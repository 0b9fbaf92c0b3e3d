"""Evaluation of a `NodeClassifier`: which data it refuses."""

import dataclasses

import numpy as np
import pytest

from gnf_tf import datasets, models, training
from gnf_tf.errors import UserError
from tests.test_node_objective import SMALL, ring, unlabeled


@pytest.mark.parametrize(
    "data, part, message",
    [
        (np.zeros(3), "test", "`data` must be a LabeledGraph or LabeledGraphs, got ndarray"),
        (ring(), "tset", "`part` must be one of .* got 'tset'"),
        (unlabeled(), "tset", "`part` must be one of .* got 'tset'"),
        (ring(train=[0]), "test", "`data` must have test nodes, got none"),
        (unlabeled(), "test", "`data` must have labeled nodes, got none"),
        (ring(True), "test", "`data` must have one class a node, as the model, got any number"),
        (
            dataclasses.replace(ring(), class_names=("1", "0", "2")),
            "test",
            "`data` must have the model's classes, 0, 1, 2, got 1, 0, 2",
        ),
        (
            dataclasses.replace(ring(), class_names=("0", "1", "2", "3")),
            "test",
            "`data` must have the model's classes, 0, 1, 2, got 0, 1, 2, 3",
        ),
        (
            datasets.node_graph(np.ones([3, 4]), [[0], [1]], [0, 1, 2], test=[0]),
            "test",
            "`data` must have 5 features a node, as the model, got 4",
        ),
    ],
)
def test_data_that_cannot_be_evaluated_are_named(data, part, message, tmp_path):
    model = models.NodeClassifier(5, ("0", "1", "2"), config=models.ClassifierConfig(**SMALL))
    with pytest.raises(ValueError, match=message):
        training.evaluate_nodes(model, data, part, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_folder_is_made_or_named(tmp_path):
    model = models.NodeClassifier(5, ("0", "1", "2"), config=models.ClassifierConfig(**SMALL))
    data = ring(train=range(6))
    training.evaluate_nodes(model, data, "train", tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b" / "confusion.png").exists()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="can't write the run folder .*file"):
        training.evaluate_nodes(model, data, "train", tmp_path / "file")
