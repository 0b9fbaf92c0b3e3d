"""`MoleculeRegressor`: its predictions depend on the molecule alone, and stay in a file."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from gnf_tf import datasets, graphs, models, training
from gnf_tf.graphs import GraphsTuple
from gnf_tf.models import chunking, readouts
from gnf_tf.models.composition import composition
from tests import cases, checks

GOLDEN = pathlib.Path(__file__).parent / "golden"
CONFIG = models.RegressorConfig(num_steps=1, node_size=6, message_size=4, num_basis=4)
TARGETS = {"mu": "dipole", "alpha": "scalar", "gap": "gap", "lumo": "scalar", "homo": "scalar"}
TARGETS |= {"r2": "extent"}


@pytest.fixture(scope="module")
def test_set():
    """Molecules of QM9 with targets of every kind."""
    return datasets.qm9("test", size=30, targets=list(TARGETS))


@pytest.fixture(scope="module")
def model(test_set):
    return cases.random_regressor(test_set, CONFIG)


def test_a_new_model_predicts_about_the_least_squares_fits(test_set):
    training.set_seed(0)
    model = models.MoleculeRegressor.for_data(test_set, CONFIG)
    assert model.target_names == tuple(TARGETS) and model.readouts == tuple(TARGETS.values())
    assert model.target_units == ("D", "bohr^3", "eV", "eV", "eV", "bohr^2")
    counts = composition(test_set, model.elements)
    with_extents = np.c_[counts, test_set.extents(model.elements)]
    for name, features in (("alpha", counts), ("r2", with_extents)):
        place = model.target_names.index(name)
        targets = test_set.targets[:, place]
        expected = features @ np.linalg.lstsq(features, targets, rcond=None)[0]
        spread = (targets - expected).std()
        np.testing.assert_allclose(model.spread[place], spread, rtol=1e-4)
        assert (np.abs(model.predict(test_set)[:, place] - expected) < 2 * spread).all()
    assert spread < 0.02 * targets.std()  # electrons near nuclei explain most of r2


def test_large_reference_energies_take_no_digits(test_set):
    """Conformers of a bromide differ by 1e-6 of their total energy, less than float32 resolves."""
    alpha = dataclasses.replace(
        test_set, targets=test_set.targets[:, [1]], target_names=("alpha",), target_units=("",)
    )
    reference = 2.0**26 * alpha.n_atoms[:, np.newaxis]
    total = dataclasses.replace(alpha, targets=alpha.targets + reference)
    predicted, losses, spreads = [], [], []
    for data in (alpha, total):
        training.set_seed(0)
        model = models.MoleculeRegressor.for_data(data, CONFIG)
        objective = training.RegressionObjective(
            model, training.RegressionSettings(), 0, data, None
        )
        batch = next(iter(objective.validation_stream()[0]))
        losses.append(objective.batch_loss(batch, is_training=False)[0])
        predicted.append(model.predict(data))
        spreads.append(model.spread)
    np.testing.assert_allclose(spreads[1], spreads[0], rtol=1e-5)
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    np.testing.assert_allclose(predicted[1] - reference, predicted[0], atol=1e-4 * spreads[0][0])


def test_the_loss_is_the_mean_over_targets_by_their_weights(model, test_set):
    def objective(**settings):
        settings = training.RegressionSettings(**settings)
        return training.RegressionObjective(model, settings, 0, test_set, None)

    def loss(**weights):
        trained = objective(target_weights=weights)
        batch = next(iter(trained.validation_stream()[0]))
        return float(trained.batch_loss(batch, is_training=False)[0])

    errors = np.abs(model.predict(test_set) - test_set.targets).mean(axis=0) / model.spread
    np.testing.assert_allclose(loss(), errors.mean(), rtol=1e-4)
    expected = (errors.sum() + errors[0] + 0.5 * errors[2]) / (len(TARGETS) + 1.5)
    np.testing.assert_allclose(loss(mu=2, gap=1.5), expected, rtol=1e-4)
    with pytest.raises(
        ValueError, match="`target_weights` must be weights of targets among mu, al"
    ):
        objective(target_weights={"Mu": 2.0})
    for wrong in ({"mu": 0.0}, {"mu": -1}, {"mu": float("nan")}, {"mu": "2"}, {0: 2.0}, [2.0]):
        with pytest.raises(ValueError, match="`target_weights` must be positive numbers by name"):
            objective(target_weights=wrong)


def test_point_charges_have_the_dipole_and_extent_of_the_textbook():
    """Two charges of 0.41 e at the distance 0.917 angstrom have 4.80320 * 0.41 * 0.917 debye."""
    fluoride = datasets.Molecules(
        [2], [9, 1], [[5.0, 6.0, 7.0], [5.0, 6.0, 7.917]], [[0.0]], ("x",), ("",), [0]
    )
    graph = graphs.pad(tf.nest.map_structure(tf.constant, fluoride.graph(np.array([0]))), 5, 9, 3)
    charges = tf.constant([9.59, 10.41, 0.0, 0.0, 0.0])  # a sum of 20 e is taken away
    found = 4.80320 * readouts.dipole(charges, graph).numpy()
    np.testing.assert_allclose(found, [1.8058, 0, 0], atol=1e-4)
    # The center of nuclear charge is 0.1 * 0.917 from F: 9 * 0.0917^2 + 0.8253^2 angstrom^2.
    model = models.MoleculeRegressor(
        *((1, 9), ("x",), ("",), np.zeros([3, 1]), np.ones(1), ("extent",)),
        extent_weights=np.array([[1.0], [9.0]]),
        config=CONFIG,
    )
    np.testing.assert_allclose(model.baseline(graph)[:, 0], [0.75680, 0, 0], atol=1e-4)


def test_the_gap_is_lumo_minus_homo(model, test_set):
    gap, lumo, homo = model.predict(test_set)[:, 2:5].T
    np.testing.assert_allclose(gap, lumo - homo, atol=1e-5 * np.abs(lumo).max())
    assert gap.std() > 0


def test_padding_changes_no_prediction_and_no_gradient(model, test_set):
    checks.padding_changes_no_prediction_and_no_gradient(model, test_set)


def test_read_outs_are_chosen_by_name_and_unit_or_by_the_user(test_set):
    def chosen(units, stated=None, **changes):
        data = dataclasses.replace(test_set, target_units=units, **changes)
        return models.MoleculeRegressor.for_data(data, CONFIG, stated).readouts

    other = ("", "", "eV", "eV", "", "")
    assert set(chosen(other)) == {"scalar"}
    stated = {"mu": "dipole", "r2": "extent", "gap": "gap"}
    assert chosen(other, stated) == tuple(TARGETS.values())
    optical = test_set.targets + [0, 0, 1, 0, 0, 0]
    assert chosen(test_set.target_units, targets=optical)[2] == "scalar"
    milli = ("", "", "meV", "eV", "eV", "")
    for units, targets, message in (
        (milli, test_set.targets, "must have the unit of homo and lumo, got 'eV', 'eV', 'meV'"),
        (other, optical, "gap, which must be lumo - homo, got .* for molecule"),
    ):
        with pytest.raises(ValueError, match=message):
            chosen(units, {"gap": "gap"}, targets=targets)
    for wrong, message in (
        ({"x": "dipole"}, "`readouts` must be of mu, .*, got x"),
        ({"mu": "vector"}, "`readouts` must be among scalar, dipole, extent, gap, got 'vector'"),
        ({"homo": "dipole"}, "must be scalar for the target homo, which is -.* no dipole is neg"),
    ):
        with pytest.raises(ValueError, match=message):
            chosen(test_set.target_units, wrong)
    for factor in (1e60, 1e-50):
        with pytest.raises(ValueError, match="target mu from its fit is .*, expected 1e-30 to"):
            chosen(other, targets=factor * test_set.targets)
    with pytest.raises(ValueError, match="needs targets homo and lumo, got x"):
        readouts.check(("gap",), ("x",))


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_predictions_from_few_molecules_do_not_depend_on_the_unit(factor, test_set):
    """The least-squares fit is exact, so that it says nothing about the scale of errors."""
    few, made = test_set.select(np.arange(4)), []
    for scale in (1.0, factor):
        training.set_seed(0)
        data = dataclasses.replace(few, targets=scale * few.targets)
        model = models.MoleculeRegressor.for_data(data, CONFIG)
        assert (model.spread <= 0.011 * np.abs(data.targets).max(axis=0)).any()
        made.append(model.predict(data) / scale)
    np.testing.assert_allclose(made[1], made[0], rtol=1e-4, atol=1e-5 * np.abs(few.targets).max())


def test_a_dipole_that_hardly_varies_is_within_reach_of_the_network(test_set):
    """No least-squares fit has it; in units of its deviation, 100 would be asked of the network."""
    few = test_set.select(np.arange(8))
    column = few.target_names.index("mu")
    targets = few.targets.copy()
    targets[:, column] = np.linspace(1.84, 1.86, 8)
    alike = models.MoleculeRegressor.for_data(dataclasses.replace(few, targets=targets), CONFIG)
    np.testing.assert_allclose(alike.spread[column], 0.185, rtol=0.01)
    found = models.MoleculeRegressor.for_data(few, CONFIG).spread[column]
    np.testing.assert_allclose(found, few.targets[:, column].std(), rtol=1e-6)


def test_a_file_keeps_the_read_outs(model, test_set, tmp_path):
    model.save(tmp_path / "model.npz")
    loaded = models.load(tmp_path / "model.npz")
    assert loaded.readouts == model.readouts
    np.testing.assert_array_equal(loaded.predict(test_set), model.predict(test_set))


def test_molecules_are_predicted_one_by_one_as_together(model, test_set, monkeypatch):
    """In their order, whatever the batches."""
    together = model.predict(test_set)
    assert together.shape == (30, 6) and together.std(axis=0).min() > 0
    for batch_size, max_cost in ((1, 2**20), (7, 2**20), (7, 300)):
        monkeypatch.setattr(chunking, "MAX_COST", max_cost)  # of large molecules, fewer
        np.testing.assert_allclose(model.predict(test_set, batch_size), together, rtol=1e-4)
    order = np.random.default_rng(0).permutation(30)
    np.testing.assert_allclose(model.predict(test_set.select(order)), together[order], rtol=1e-4)
    assert model.predict(test_set.select(np.arange(0))).shape == (0, 6)


def test_atoms_have_no_order_and_space_no_directions(model, test_set):
    one = test_set.select(np.array([3]))
    order = np.random.default_rng(0).permutation(len(one.atomic_numbers))
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=[3, 3]))[0]
    for sign in (1.0, -1.0):  # one of the two is a reflection
        moved = dataclasses.replace(
            one,
            atomic_numbers=one.atomic_numbers[order],
            positions=sign * one.positions[order] @ rotation + [1.0, 2.0, 3.0],
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
        ({"spread": np.zeros(6)}, "`spread` must be positive"),
        ({"spread": np.ones(3)}, r"`spread` must have shape \(6,\), got \(3,\)"),
        ({"readouts": ("scalar",)}, r"`readouts` must have shape \(6,\), got \(1,\)"),
        ({"extent_weights": np.full([4, 6], np.inf)}, "`extent_weights` must be finite"),
        ({"target_units": ("eV",)}, "`target_units` must have shape"),
        ({"training_ranges": np.ones([2, 3])}, r"`training_ranges` must have shape \(2, "),
        ({"composition_weights": np.full([5, 6], np.nan)}, "`composition_weights` must be finite"),
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
    assert model.readouts == ("scalar", "scalar")  # a file of November 2026 names none
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
