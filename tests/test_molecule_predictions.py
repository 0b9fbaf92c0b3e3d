"""What a chemist gets besides numbers: warnings about unfamiliar molecules, and intervals."""

import copy
import dataclasses
import pathlib
import warnings

import numpy as np
import pytest

from gnf_tf import datasets, models, plots, training
from gnf_tf.errors import UserError
from gnf_tf.models import chunking, familiarity
from gnf_tf.models.intervals import LEVELS, Intervals
from trainers import predict

GOLDEN = pathlib.Path(__file__).parent / "golden"
CONFIG = models.RegressorConfig(num_steps=1, node_size=6, message_size=4, num_basis=4)
NAMES = ("mu", "alpha")
# Positions in angstrom of molecules with angles of 90 degrees.
WATER = ([8, 1, 1], [[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [0.0, 0.96, 0.0]])
PEROXIDE = ([8, 8, 1, 1], [[0.0, 0.0, 0.0], [1.45, 0.0, 0.0], [0.0, 0.96, 0.0], [1.45, 0.96, 0.0]])


def molecules(*atoms, scale=1.0):
    numbers, positions = zip(*atoms, strict=True)
    positions = scale * np.concatenate(positions)
    sizes = [len(n) for n in numbers]
    targets = np.zeros([len(atoms), 0])
    numbers = np.concatenate(numbers)
    return datasets.Molecules(sizes, numbers, positions, targets, (), (), np.arange(len(atoms)))


@pytest.fixture(scope="module")
def train():
    return datasets.qm9("train", size=300, targets=NAMES)


@pytest.fixture(scope="module")
def validation():
    """Without those of seven C-O bonds and of four N-H bonds, about which a call would warn."""
    some = datasets.qm9("validation", size=122, targets=NAMES)
    return some.select(np.delete(np.arange(122), [28, 115]))


@pytest.fixture(scope="module")
def model(train, validation):
    training.set_seed(0)
    model = models.MoleculeRegressor.for_data(train, CONFIG)
    model.calibrate(validation)
    return model


def test_features_are_counts_of_atoms_and_bonds_and_nearest_distances(monkeypatch):
    monkeypatch.setattr(chunking, "MAX_COST", 18)  # so that the molecules are two chunks
    names = familiarity.feature_names((1, 8))
    values = familiarity.features(molecules(WATER, PEROXIDE, ([8], [[0, 0, 0]])), (1, 8))
    expected = [
        [3, 1, 2, 1, 0, 2, 0, 0.96, 0.96, 0.96, 0.96, 1, 0, np.nan, 0.96, np.nan],
        [4, 2, 2, 2, 0, 2, 1, 0.96, 0.96, 0.96, 0.96, 1, 0, np.nan, 0.96, 1.45],
        [1, 1, 0, 1, 0, 0, 0, np.nan, np.nan, np.nan, np.nan, 1, 0, np.nan, np.nan, np.nan],
    ]
    expected = [[*row, *row[-3:]] for row in expected]  # the largest lengths of bonds
    np.testing.assert_allclose(values[:, :19], expected, rtol=1e-6)
    assert names[1] == "number of heavy atoms" and names[6] == "number of O-O bonds"
    assert len(names) == values.shape[1]
    assert familiarity.features(molecules(WATER).select(np.arange(0)), (1, 8)).shape == (0, 61)


def test_bond_valences_are_by_element_and_number_of_bonds():
    values = familiarity.features(molecules(WATER, PEROXIDE, ([8], [[0, 0, 0]])), (1, 8))
    names = [name for name in familiarity.feature_names((1, 8)) if "atoms with" in name]
    assert len(names) == values.shape[1] - 19
    named = [dict(zip(names, row, strict=True)) for row in values[:, 19:]]
    for name, present in (
        ("H atoms with 1 bonds", [1, 1, 0]),
        ("O atoms with 2 bonds", [1, 1, 0]),
        ("O atoms with 0 bonds", [0, 0, 1]),
        ("O atoms with 1 bonds", [0, 0, 0]),
    ):
        assert [row[f"presence of {name}"] for row in named] == present
    positions, radii = np.array(WATER[1]), np.array([0.66, 0.31, 0.31])
    away = np.linalg.norm(positions[:, np.newaxis] - positions, axis=-1)
    terms = np.exp((radii[:, np.newaxis] + radii - away) / 0.37)
    of_oxygen, *of_hydrogens = terms.sum(axis=1) - np.diag(terms)
    for which, expected in (("smallest", min(of_hydrogens)), ("largest", max(of_hydrogens))):
        found = named[0][f"{which} bond valence of H atoms with 1 bonds"]
        assert found == pytest.approx(expected, rel=1e-5)
        found = named[0][f"{which} bond valence of O atoms with 2 bonds"]
        assert found == pytest.approx(of_oxygen, rel=1e-5)
    assert named[2]["smallest bond valence of O atoms with 0 bonds"] == 0
    assert np.isnan(named[2]["largest bond valence of H atoms with 1 bonds"])


def test_ranges_of_valences_leave_out_what_one_molecule_of_ten_thousand_has():
    longer = np.array(WATER[1]) * 1.05
    many = molecules(*[WATER] * 10_000, (WATER[0], longer))
    column = familiarity.feature_names((1, 8)).index(
        "smallest bond valence of O atoms with 2 bonds"
    )
    odd, usual = familiarity.features(molecules((WATER[0], longer), WATER), (1, 8))[:, column]
    for number, least in ((10_001, usual), (500, odd)):
        some = many.select(np.arange(10_001 - number, 10_001))
        ranges = familiarity.training_ranges(some, (1, 8))[:, column]
        np.testing.assert_allclose(ranges, [least - 0.2, usual + 0.2], rtol=1e-5)


@pytest.mark.parametrize("number, share", [(1, 0.9), (2, 0.95), (4, 0.99), (None, 0.99)])
def test_missing_hydrogens_are_unfamiliar(number, share):
    """Of 1, 2, 4 or all of a molecule, so that even numbers leave no electron without partner."""
    whole, rng = datasets.qm9("test", size=300, targets=NAMES), np.random.default_rng(0)
    starts, lacking = np.cumsum(whole.n_atoms) - whole.n_atoms, []
    for start, size in zip(starts, whole.n_atoms, strict=True):
        rows = np.arange(start, start + size)
        hydrogens = rows[whole.atomic_numbers[rows] == 1]
        if len(hydrogens) >= (number or 1):
            rows = np.setdiff1d(rows, rng.permutation(hydrogens)[:number])
            lacking.append((whole.atomic_numbers[rows], whole.positions[rows]))
    model = models.pretrained("qm9")
    assert not model.unfamiliar(whole).any()
    assert (model.unfamiliar(molecules(*lacking)) > 0).mean() > share


def test_bonds_that_are_all_too_long_or_too_short_are_unfamiliar():
    whole, model = datasets.qm9("test", size=300, targets=NAMES), models.pretrained("qm9")
    for scale in (0.95, 1.05):
        scaled = dataclasses.replace(whole, positions=scale * whole.positions)
        assert (model.unfamiliar(scaled) > 0).mean() > 0.97


def test_what_is_outside_of_the_ranges_is_named():
    ranges = familiarity.training_ranges(molecules(WATER), (1, 8))
    known = molecules(WATER, (WATER[0], 1.02 * np.array(WATER[1])))
    assert familiarity.problem(familiarity.features(known, (1, 8)), ranges, (1, 8)) is None
    text = familiarity.problem(
        familiarity.features(molecules(WATER, PEROXIDE), (1, 8)), ranges, (1, 8)
    )
    assert text.startswith(
        "errors may be large for 1 of 2 molecules, which are unlike the training"
    )
    assert "(numbers 1): number of atoms is 4 for molecule 1, 3 to 3 in training; " in text
    assert text.count("in training") == 3
    bohr = familiarity.features(molecules(WATER, scale=1.89), (1, 8))
    text = familiarity.problem(bohr, ranges, (1, 8))
    assert "smallest distance of H to its nearest atom in angstrom is 1.814 for molecule 0" in text
    excess = familiarity.excess(bohr, ranges)[0]  # in units of 1, which no range exceeds
    np.testing.assert_allclose(excess[5], 2)  # no bond of two is left
    assert excess[11] == 2  # the atoms are three parts
    np.testing.assert_allclose(excess[7:11], 1.89 * 0.96 - 1.01, rtol=1e-4)


def test_distorted_molecules_are_unfamiliar_and_others_are_not(model, train):
    assert (model.unfamiliar(train) == 0).all()
    fresh = datasets.qm9("test", size=400, targets=NAMES)
    assert (model.unfamiliar(fresh) > 0).mean() < 0.06
    noise = 0.2 * np.random.default_rng(0).normal(size=fresh.positions.shape)
    for positions in (fresh.positions + noise, 1.89 * fresh.positions, 0.53 * fresh.positions):
        moved = dataclasses.replace(fresh, positions=positions)
        assert (model.unfamiliar(moved) > 0).mean() > 0.99


def moved_apart(molecules, by):
    """The first molecule with its first bond, which is in no ring, longer by some angstrom."""
    x = molecules.positions.astype(float)
    axis = (x[1] - x[0]) / np.linalg.norm(x[1] - x[0])
    return dataclasses.replace(
        molecules, positions=x + np.outer((x - x.mean(0)) @ axis > 0, by * axis)
    )


@pytest.mark.parametrize("by", [0.5, 1.0, 5.0])
def test_stretched_and_broken_bonds_are_unfamiliar(by):
    model = models.pretrained("qm9")
    ethane = datasets.molecules_from_smiles(["CC"])
    assert model.unfamiliar(moved_apart(ethane, 0.0)) == 0
    assert model.unfamiliar(moved_apart(ethane, by)) > 0


def test_several_molecules_radicals_and_ions_are_unfamiliar(model):
    water = np.array(WATER[1])
    pair = molecules((WATER[0] * 2, [*water, *(water + [0.0, 0.0, 4.0])]))
    radicals = datasets.molecules_from_smiles(["C[CH2]", "CC[CH2]"])
    with pytest.warns(UserWarning, match="charge"):
        ions = datasets.molecules_from_smiles(["CC(=O)[O-]", "CC[NH3+]"])
    for some, reason in ((pair, "parts"), (radicals, "electrons"), (ions, "electrons")):
        assert (model.unfamiliar(some) > 0).all()
        names = familiarity.feature_names(model.elements)
        values = familiarity.features(some, model.elements)
        outside = familiarity.excess(values, model.training_ranges)
        (column,) = [i for i, name in enumerate(names) if f"number of {reason}" in name]
        assert (outside[:, column] > 0).all()


def test_a_model_of_an_earlier_version_looks_at_the_features_of_then(tmp_path):
    model = models.pretrained("qm9")
    old = copy.deepcopy(model)
    known = familiarity.sizes_and_distances(model.training_ranges, model.elements)
    old.training_ranges = known
    old.save(tmp_path / "model.npz")
    loaded = models.load(tmp_path / "model.npz")
    ethane = moved_apart(datasets.molecules_from_smiles(["CC"]), 1.0)
    for number in familiarity.feature_numbers(model.elements):
        old.training_ranges = model.training_ranges[:, :number]
        old.save(tmp_path / "versions.npz")
        assert models.load(tmp_path / "versions.npz").training_ranges.shape == (2, number)
    assert loaded.unfamiliar(ethane) == 0 and model.unfamiliar(ethane) > 0
    np.testing.assert_array_equal(known.shape, loaded.training_ranges.shape)


def test_a_refused_training_keeps_the_intervals(model, train, tmp_path):
    (tmp_path / "file").touch()
    kept = copy.deepcopy(model)
    with pytest.raises(UserError, match="run folder"):
        training.fit(kept, train, epochs=1, folder=tmp_path / "file")
    assert kept.intervals is not None


def test_training_widens_the_ranges(model, train):
    """So that nobody is warned about the molecules of the last training."""
    known = copy.deepcopy(model)
    hydrogen = train.select(np.arange(1)).targets
    h2 = datasets.Molecules(
        [2], [1, 1], [[0, 0, 0], [0, 0, 0.7]], hydrogen, NAMES, model.target_units, [0]
    )
    assert known.unfamiliar(h2) > 0
    training.fit(known, h2, epochs=1, execution="eager", verbose=0)
    assert known.unfamiliar(h2) == 0 and not known.unfamiliar(train).any()
    assert model.unfamiliar(h2) > 0


def test_targets_of_another_kind_are_warned_about(train):
    """As total energies are for a model of atomization energies."""
    small = train.select(np.arange(20))
    model = models.MoleculeRegressor.for_data(small, CONFIG)
    other = dataclasses.replace(small, targets=small.targets + [0.0, 1e4])
    settings = {"epochs": 1, "execution": "eager", "verbose": 0}
    with pytest.warns(UserWarning, match=r"the targets alpha of `train` are \d+ times the spread"):
        training.fit(model, other, **settings)
    with pytest.warns(UserWarning, match=r"the targets alpha of `validation` are \d+ times"):
        model.calibrate(other)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        training.fit(model, small, **settings)
        model.calibrate(small)


def test_no_extent_is_negative_and_outside_of_its_interval():
    model = models.pretrained("qm9")
    ethanol = datasets.molecules_from_smiles(["CCO"])
    small = dataclasses.replace(ethanol, positions=0.1 * ethanol.positions)
    with pytest.warns(UserWarning, match="unlike the training"):
        predicted, lower, upper = model.predict_with_interval(small)
    assert predicted[0, model.target_names.index("r2")] == 0
    assert (lower <= predicted).all() and (predicted <= upper).all()


def test_infinite_intervals_are_warned_about(model, validation):
    few = copy.deepcopy(model)
    few.calibrate(validation.select(np.arange(17)))
    with pytest.warns(UserWarning, match="coverage 0.9 are infinite .* needs 2 c / .1 - c."):
        upper = few.predict_interval(validation, 0.9)[1]
    assert np.isinf(upper).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        few.predict_interval(validation, 0.5)


def test_a_call_warns_once_and_where_it_stands(model, train):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(train)
    for call in (model.predict, model.predict_interval, model.predict_with_interval):
        with pytest.warns(UserWarning, match=r"2 of 2 molecules.* number of") as caught:
            call(molecules(WATER, PEROXIDE, scale=3.0))
        assert len(caught) == 1 and caught[0].filename == __file__


@pytest.mark.parametrize("call", ["predict", "predict_interval", "unfamiliar"])
def test_an_unknown_element_is_refused(call, model):
    sulfide = molecules(WATER, ([16, 1, 1], WATER[1]))
    with pytest.raises(ValueError, match=r"molecule 1 has the element S .* one of H, C, N, O"):
        getattr(model, call)(sulfide)


@pytest.mark.parametrize(
    "call", ["predict", "predict_interval", "unfamiliar", "fitted", "calibrate", "for_data"]
)
@pytest.mark.parametrize("given, name", [(["CCO"], "list"), (None, "NoneType")])
def test_what_are_no_molecules_is_refused(call, given, name, model):
    argument = {"calibrate": "validation", "for_data": "train"}.get(call, "molecules")
    message = rf"`{argument}` must be Molecules, .*molecules_from_smiles.* got {name}$"
    with pytest.raises(TypeError, match=message):
        getattr(model, call)(given)


def synthetic(num, seed):
    """Features, and errors whose scale depends on the first one; the last one is constant."""
    rng = np.random.default_rng(seed)
    features = np.c_[rng.normal(size=[num, 3]), np.ones(num)]
    return features, np.abs(rng.laplace(size=[num, 2]) * np.exp(0.8 * features[:, [0]]) * [1, 50])


def test_intervals_have_the_stated_coverage_and_are_wide_where_errors_are_large():
    intervals = Intervals.fit(*synthetic(4000, 0))
    features, errors = synthetic(20000, 1)
    coverages = [0.1, 0.5, 0.9, 0.99]
    half = intervals.half_widths(features, coverages)
    shares = (errors <= half).mean(axis=1)
    np.testing.assert_allclose(shares, np.array([coverages] * 2).T, atol=0.03)
    np.testing.assert_allclose(intervals.scale_weights[0], 0.8, atol=0.1)
    one = intervals.half_widths(features, 0.5)
    np.testing.assert_array_equal(one, half[1])
    # In the fifth with the largest errors, too, unlike intervals of one width.
    large = features[:, 0] > np.quantile(features[:, 0], 0.8)
    assert (errors[large] <= half[2][large]).mean() > 0.87
    assert (errors[large] <= np.quantile(errors, 0.9, axis=0)).mean() < 0.75


@pytest.mark.parametrize("unit", [1e-29, 1e-18, 1e18])
def test_intervals_do_not_depend_on_the_unit(unit):
    features, errors = synthetic(600, 0)
    half, scaled = (
        Intervals.fit(features, factor * errors).half_widths(features, 0.9) / factor
        for factor in (1.0, unit)
    )
    np.testing.assert_allclose(scaled, half, rtol=1e-3)
    assert Intervals.fit(features, 0.0 * errors).half_widths(features, 0.9).max() == 0.0


def test_a_coverage_in_single_precision_is_that_in_double_precision():
    intervals = Intervals.fit(*synthetic(2000, 0))
    for coverage in (0.1, 0.3, 0.7, 0.999):
        expected = intervals.of_coverage(coverage)
        np.testing.assert_array_equal(intervals.of_coverage(np.float32(coverage)), expected)


def test_intervals_know_rare_kinds_whose_errors_are_large():
    """One of a hundred has errors 30 times as large, as QM9's smallest molecules have."""

    def with_rare(num, seed):
        features, errors = synthetic(num, seed)
        rare = np.arange(num) % 100 == 0
        return np.c_[features, rare], errors * np.where(rare, 30.0, 1.0)[:, np.newaxis], rare

    intervals = Intervals.fit(*with_rare(8000, 0)[:2])
    features, errors, rare = with_rare(20000, 1)
    half = intervals.half_widths(features, 0.9)
    assert (errors[rare] <= half[rare]).mean() > 0.8
    np.testing.assert_allclose((errors <= half).mean(), 0.9, atol=0.03)
    # A file of a version that did not look at the last feature keeps its intervals.
    older = Intervals(
        intervals.scale_weights[[0, 1, 2, 3, 5]], intervals.scale_range, intervals.quantiles
    )
    np.testing.assert_array_equal(
        older.half_widths(features, 0.9), older.half_widths(features[:, :-1], 0.9)
    )


def test_few_molecules_give_wide_or_infinite_intervals_and_no_low_coverage():
    features, errors = synthetic(20000, 2)
    shares = []
    for seed in range(25):
        intervals = Intervals.fit(*synthetic(18, seed + 3))
        shares.append((errors[:500] <= intervals.half_widths(features[:500], 0.9)).mean())
    assert np.mean(shares) > 0.87
    assert np.isinf(intervals.half_widths(features, 0.901)).all()  # 9 / 10 is the most of 9
    assert np.isinf(Intervals.fit(*synthetic(1, 0)).half_widths(features, 0.5)).all()
    with pytest.raises(ValueError, match="need validation molecules, got none"):
        Intervals.fit(*synthetic(0, 0))


def test_intervals_are_around_predictions_and_norms_are_not_negative(model, validation):
    lower, upper = model.predict_interval(validation, [0.2, 0.9])
    predicted = model.predict(validation)
    for found, expected in zip(
        model.predict_with_interval(validation, [0.2, 0.9]), (predicted, lower, upper), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    assert lower.shape == upper.shape == (2, 120, 2)
    assert (lower[1] <= lower[0]).all() and (upper[0] <= upper[1]).all()
    middle = (lower + upper) / 2
    np.testing.assert_allclose(middle[..., 1], [predicted[:, 1]] * 2, rtol=1e-6)
    assert lower[..., 0].min() == 0 and lower[..., 1].min() > 0
    inside = (lower <= validation.targets) & (validation.targets <= upper)
    np.testing.assert_allclose(inside.mean(axis=1), [[0.2] * 2, [0.9] * 2], atol=0.12)


def test_a_file_keeps_ranges_and_intervals(model, validation, tmp_path):
    model.save(tmp_path / "model.npz")
    loaded = models.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(loaded.unfamiliar(validation), model.unfamiliar(validation))
    for again, before in zip(
        loaded.predict_interval(validation), model.predict_interval(validation), strict=True
    ):
        np.testing.assert_array_equal(again, before)
    loaded.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "model.npz").read_bytes()


def test_an_old_file_predicts_without_warnings_and_says_what_it_lacks(train):
    old = models.load(GOLDEN / "molecule_regressor.npz")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        old.predict(molecules(PEROXIDE, scale=3.0))
    with pytest.raises(ValueError, match=r"no ranges .* `model.training_ranges = "):
        old.unfamiliar(molecules(WATER))
    with pytest.raises(ValueError, match="no intervals: call `calibrate`"):
        old.predict_interval(molecules(WATER))


@pytest.mark.parametrize("coverage", [0.0, -0.1, 1.0, 90, float("nan"), [0.5, 1.0], "0.9", None])
def test_a_wrong_coverage_is_named(coverage, model, validation):
    with pytest.raises(ValueError, match=r"`coverage` must be in \(0, 0.999\], got "):
        model.predict_interval(validation, coverage)


def test_wrong_arguments_are_named(model, train):
    for changes in (
        {"target_names": ("mu", "x")},
        {"target_names": ("alpha", "mu")},
        {"target_units": ("D", "angstrom^3")},
        {"target_units": ("", "angstrom^3")},
    ):
        with pytest.raises(
            ValueError, match=r"`validation` must .* mu \[D\], alpha \[bohr\^3\], got"
        ):
            model.calibrate(dataclasses.replace(train, **changes))
    with pytest.raises(ValueError, match="`validation` must have molecules, got none"):
        model.calibrate(train.select([]))
    model.check_targets(dataclasses.replace(train, target_units=("D", "")), "unstated")
    with pytest.raises(ValueError, match=r"`quantiles` must have shape \(999, 2\), got \(3, 2\)"):
        Intervals(np.zeros([5, 2]), np.zeros([2, 2]), np.zeros([3, 2]))
    with pytest.raises(ValueError, match=r"`shares` must have shape \(2, 1\), got \(1, 2\)"):
        plots.calibration([0.1, 0.9], np.zeros([1, 2]), ["mu"])


def test_the_shipped_model_warns_and_has_intervals():
    model = models.pretrained("qm9")
    test = datasets.qm9("test", size=200)
    lower, upper = model.predict_interval(test, [0.5, 0.9])
    shares = ((lower <= test.targets) & (test.targets <= upper)).mean(axis=(1, 2))
    np.testing.assert_allclose(shares, [0.5, 0.9], atol=0.06)
    assert len(LEVELS) == len(model.intervals.quantiles)
    # Its errors are largest, beside the usual ones, for the smallest molecules, and it knows.
    water, usual = (
        np.subtract(*model.predict_interval(some)[::-1]).mean(axis=0)
        for some in (molecules(WATER), test)
    )
    assert (water > usual).mean() > 0.8
    with pytest.warns(UserWarning, match="O-O bonds is 1 for molecule 0, 0 to 0 in training"):
        model.predict(molecules(PEROXIDE))


def test_the_command_line_writes_intervals_and_what_is_unfamiliar(model, tmp_path, capsys):
    model.save(tmp_path / "model.npz")
    lines = ["3", "", "O 0 0 0", "H 0.96 0 0", "H 0 0.96 0"]
    (tmp_path / "two.xyz").write_text("\n".join(lines + lines[:-1] + ["H 0 3 0"]))
    config = predict.Config(
        tmp_path / "model.npz", str(tmp_path / "two.xyz"), tmp_path / "out.csv", coverage=0.5
    )
    table = predict.regress(model, config)
    named = copy.deepcopy(model)
    named.target_names = ("unfamiliar", "alpha")
    named.target_units = ("", "bohr^3")
    # `unfamiliar` is a target too, whose predictions were lost.
    np.testing.assert_array_equal(predict.regress(named, config).iloc[:, 0], table["mu [D]"])
    columns = [
        f"{name}{end} [{unit}]"
        for name, unit in zip(NAMES, model.target_units, strict=True)
        for end in ("", " lower", " upper")
    ]
    assert list(table) == [*columns, "unfamiliar"]
    assert (table["alpha lower [bohr^3]"] < table["alpha upper [bohr^3]"]).all()
    again = model.unfamiliar(datasets.read_molecules(tmp_path / "two.xyz"))
    np.testing.assert_array_equal(table["unfamiliar"], again)
    assert capsys.readouterr().err.count("warning: errors may be large for 2 of 2") == 2
