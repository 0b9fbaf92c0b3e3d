"""`MoleculeRegressor`: its predictions depend on the molecule alone, and stay in a file."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from gnf_tf import datasets, graphs, models, training
from gnf_tf.graphs import GraphsTuple
from gnf_tf.models.molecule_regressor import composition

GOLDEN = pathlib.Path(__file__).parent / "golden"
CONFIG = models.RegressorConfig(num_steps=1, node_size=6, message_size=4, num_basis=4)


@pytest.fixture(scope="module")
def test_set():
    """Molecules of QM9 with two targets."""
    return datasets.qm9("test", size=30, targets=["alpha", "gap"])


@pytest.fixture(scope="module")
def model(test_set):
    """Its weights are not those of a new one, whose predictions are the fit on compositions."""
    training.set_seed(1)
    model = models.MoleculeRegressor.for_data(test_set, CONFIG)
    for i, variable in enumerate(model.trainable_variables):
        variable.assign(0.5 * tf.random.stateless_normal(variable.shape, [i, 7]))
    return model


def test_a_new_model_predicts_about_the_fit_on_compositions(test_set):
    training.set_seed(0)
    model = models.MoleculeRegressor.for_data(test_set, CONFIG)
    counts = composition(test_set, model.elements)
    expected = counts @ np.linalg.lstsq(counts, test_set.targets, rcond=None)[0]
    spread = (test_set.targets - expected).std(axis=0)
    np.testing.assert_allclose(model.spread, spread, rtol=1e-4)
    assert (np.abs(model.predict(test_set) - expected) < spread).all()
    assert model.target_names == ("alpha", "gap") and model.target_units == ("bohr^3", "eV")


def test_molecules_are_predicted_one_by_one_as_together(model, test_set):
    """In their order, whatever the batches."""
    together = model.predict(test_set)
    assert together.shape == (30, 2) and together.std(axis=0).min() > 0
    for batch_size in (1, 7):
        np.testing.assert_allclose(model.predict(test_set, batch_size), together, rtol=1e-4)
    order = np.random.default_rng(0).permutation(30)
    np.testing.assert_allclose(model.predict(test_set.select(order)), together[order], rtol=1e-4)
    assert model.predict(test_set.select(np.arange(0))).shape == (0, 2)


def test_atoms_have_no_order_and_space_no_directions(model, test_set):
    one = test_set.select(np.array([3]))
    order = np.random.default_rng(0).permutation(len(one.atomic_numbers))
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=[3, 3]))[0]
    moved = dataclasses.replace(
        one,
        atomic_numbers=one.atomic_numbers[order],
        positions=one.positions[order] @ rotation + [1.0, 2.0, 3.0],
    )
    np.testing.assert_allclose(model.predict(moved), model.predict(one), rtol=1e-4)


def test_it_needs_no_targets_to_predict(model, test_set):
    bare = dataclasses.replace(
        test_set, targets=np.zeros([30, 0]), target_names=(), target_units=()
    )
    np.testing.assert_array_equal(model.predict(bare), model.predict(test_set))


def test_another_element_is_named(model, test_set):
    numbers = test_set.atomic_numbers.copy()
    numbers[test_set.n_atoms[:4].sum()] = 17
    other = dataclasses.replace(test_set, atomic_numbers=numbers)
    with pytest.raises(ValueError, match=r"molecule 4.*Cl|Cl.*molecule 4"):
        model.predict(other)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"elements": (6, 1)}, "`elements` must be ascending"),
        ({"spread": np.array([1.0, 0.0])}, "`spread` must be positive"),
        ({"spread": np.ones(3)}, r"`spread` must have shape \(2,\), got \(3,\)"),
        ({"target_units": ("eV",)}, "`target_units` must have shape"),
        ({"composition_weights": np.full([5, 2], np.nan)}, "`composition_weights` must be finite"),
    ],
)
def test_wrong_statistics_are_named(changes, message, model):
    with pytest.raises(ValueError, match=message):
        models.MoleculeRegressor(**model.arguments() | changes, config=CONFIG)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"node_size": 7}, "`node_size` must be even, got 7"),
        ({"num_steps": 0}, "`num_steps` must be at least 1, got 0"),
        ({"num_steps": True}, "`num_steps` must be a whole number, got True"),
        ({"model": "gcn"}, "`model` must be one of 'grevnet', 'gnn', got 'gcn'"),
    ],
)
def test_a_wrong_config_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        models.RegressorConfig(**changes)


def test_data_without_targets_are_nothing_to_learn(test_set):
    bare = dataclasses.replace(
        test_set, targets=np.zeros([30, 0]), target_names=(), target_units=()
    )
    with pytest.raises(ValueError, match="`train` must hold molecules with targets, got 30"):
        models.MoleculeRegressor.for_data(bare)


def test_the_golden_file_loads_for_ever(test_set):
    """Written by `model.save` of the fixture above in November 2026, with its numbers."""
    model = models.load(GOLDEN / "molecule_regressor.npz")
    expected = json.loads((GOLDEN / "molecule_regressor.json").read_text())
    assert type(model) is models.MoleculeRegressor and model.elements == (1, 6, 7, 8)
    np.testing.assert_allclose(model.predict(test_set), expected["predictions"], rtol=1e-5)


def test_it_can_be_exported(model, test_set, tmp_path):
    """As BUILD.md shows it."""
    graph = tf.nest.map_structure(tf.constant, test_set.graph(np.arange(30)))

    def predict(**fields):
        return {"targets": model.predict_graphs(GraphsTuple(**fields))}

    signature = tf.function(predict).get_concrete_function(**graphs.specs(graph)._asdict())
    tf.saved_model.save(model, tmp_path / "exported", signatures=signature)
    served = tf.saved_model.load(tmp_path / "exported").signatures["serving_default"]
    found = served(**graph._asdict())["targets"]
    np.testing.assert_allclose(found, model.predict(test_set), rtol=1e-4)
