"""Molecules that are what they must be, or an error that names what is not."""

import dataclasses

import numpy as np
import pytest

from gnf_tf.datasets import Molecules
from gnf_tf.models.composition import composition


def arrays():
    """Water, methane and hydrogen fluoride, all atoms on a line."""
    numbers = np.array([8, 1, 1, 6, 1, 1, 1, 1, 9, 1], np.uint8)
    return {
        "n_atoms": np.array([3, 5, 2]),
        "atomic_numbers": numbers,
        "positions": np.arange(3 * len(numbers), dtype=np.float32).reshape(-1, 3),
        "targets": np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
        "target_names": ("mu", "gap"),
        "target_units": ("D", "eV"),
        "index": np.array([7, 5, 9], np.int32),
    }


def changed(field, place, value, dtype=None):
    values = arrays()[field].astype(dtype or arrays()[field].dtype)
    values[place] = value
    return {field: values}


def test_atoms_are_counted_by_element():
    molecules = Molecules(**arrays())
    expected = [[2, 0, 0, 1, 0], [4, 1, 0, 0, 0], [1, 0, 0, 0, 1]]  # H, C, N, O, F
    elements = (1, 6, 7, 8, 9)
    np.testing.assert_array_equal(molecules.element_counts(elements), expected)
    np.testing.assert_array_equal(
        molecules.element_counts(elements[::-1]), np.fliplr(expected), "in the order that is given"
    )
    assert molecules.elements == (1, 6, 8, 9)
    np.testing.assert_array_equal(composition(molecules, elements), np.c_[expected, [1, 1, 1]])
    np.testing.assert_array_equal(molecules.graph([0]).nodes[:, 0], [8, 1, 1])
    with pytest.raises(ValueError, match=r"molecule 1 has the element C .* expected one of H, O$"):
        molecules.element_counts((1, 8))


@pytest.mark.parametrize(
    "changes, message",
    [
        (changed("atomic_numbers", 4, 119), "119 as atom 1 of molecule 1"),
        (changed("atomic_numbers", 8, 0), "0 as atom 0 of molecule 2"),
        (changed("atomic_numbers", 8, 257, np.int64), "257 as atom 0 of molecule 2"),
        (changed("atomic_numbers", 9, -255, np.int64), "-255 as atom 1 of molecule 2"),
    ],
)
def test_an_unknown_element_is_named_with_its_molecule(changes, message):
    rule = "`atomic_numbers` must be from 1 to 118, got "
    with pytest.raises(ValueError, match=rule + message):
        Molecules(**arrays() | changes)
    with pytest.raises(ValueError, match=rule + message):
        dataclasses.replace(Molecules(**arrays()), **changes)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"n_atoms": np.array([3, 5, 3])}, r"`atomic_numbers` must have shape \(11,\)"),
        ({"n_atoms": np.array([[3, 5, 2]])}, r"`n_atoms` must have rank 1, got shape \(1, 3\)"),
        ({"n_atoms": np.array([8, 0, 2])}, "`n_atoms` must be at least 1, got 0 for molecule 1"),
        ({"n_atoms": np.array([11, -3, 2])}, "`n_atoms` must be at least 1, got -3 for molecule 1"),
        ({"n_atoms": np.array([3.0, 5.0, 2.0])}, "`n_atoms` must be whole numbers, got float64"),
        ({"atomic_numbers": np.array(list("OHHCHHHHFH"))}, "must be whole numbers, got <U1"),
        ({"atomic_numbers": np.full(10, 6.5)}, "must be whole numbers, got float64"),
        ({"positions": [[0, 0, 0], [1, 1]]}, r"`positions` must be an array, got \[\[0, 0, 0\], "),
        ({"positions": np.zeros([10, 2])}, r"`positions` must have shape \(10, 3\), got \(10, 2\)"),
        ({"positions": np.full([10, 3], "a")}, "`positions` must be real numbers, got <U1"),
        ({"positions": np.zeros([10, 3], complex)}, "must be real numbers, got complex128"),
        (changed("positions", (4, 1), np.nan), "`positions` must be within 1000 .*molecule 1"),
        (changed("positions", (9, 0), 1e39, np.float64), "within 1000 .*molecule 2"),
        (changed("positions", (9, 0), 1e20), "`positions` must be within 1000 .*molecule 2"),
        (changed("positions", 3, -1000.01), "`positions` must be within 1000 .*molecule 1"),
        ({"targets": np.zeros([3, 1])}, r"`targets` must have shape \(3, 2\), got \(3, 1\)"),
        (changed("targets", (2, 1), np.inf), "`targets` must be finite, got .*molecule 2"),
        ({"target_units": ("D",)}, "`target_units` must be as many as `target_names`, 2, got 1"),
        ({"target_names": ("mu", "mu")}, r"`target_names` must be distinct, got \('mu', 'mu'\)"),
        ({"target_names": "mu"}, "`target_names` must be a sequence of texts, got 'mu'"),
        ({"target_units": ["D", None]}, "`target_units` must be a sequence of texts, got .'D', N"),
        ({"target_names": [0, 1]}, r"`target_names` must be a sequence of texts, got \[0, 1\]"),
        ({"index": np.arange(4)}, r"`index` must have shape \(3,\), got \(4,\)"),
    ],
)
def test_arrays_that_are_no_molecules_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Molecules(**arrays() | changes)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint64, np.int64])
def test_whole_numbers_of_any_type_are_the_same_molecules(dtype):
    given = arrays()
    given |= {name: given[name].astype(dtype) for name in ("n_atoms", "atomic_numbers", "index")}
    given["positions"] = given["positions"].astype(np.float64)
    given |= {field: np.array(given[field]) for field in ("target_names", "target_units")}
    expected, molecules = Molecules(**arrays()), Molecules(**given)
    for one, other in zip(molecules.graph([2, 1]), expected.graph([2, 1]), strict=True):
        np.testing.assert_array_equal(one, other)
    assert molecules.target_names == expected.target_names  # not arrays, for models compare them
    assert molecules.target_units == expected.target_units
    large = Molecules(
        n_atoms=np.array([20], dtype),
        atomic_numbers=np.ones(20, dtype),
        positions=np.random.default_rng(0).normal(size=[20, 3]),
        targets=np.zeros([1, 0]),
        target_names=(),
        target_units=(),
        index=np.zeros(1, dtype),
    )
    np.testing.assert_array_equal(large.sizes, [[20, 380]])  # beyond a uint8


def test_no_molecules():
    nothing = Molecules(**arrays()).select([])
    assert len(nothing) == 0 and nothing.element_counts((1, 8)).shape == (0, 2)
    assert len(dataclasses.replace(nothing, n_atoms=[], index=[])) == 0


def test_rows_are_chosen_by_number_or_mask_and_what_is_neither_is_named():
    molecules = Molecules(**arrays())
    last = len(molecules) - 1
    for rows in ([last], np.array([last]), np.arange(len(molecules)) == last):
        assert molecules.select(rows).index.tolist() == [molecules.index[last]]
    for rows in (1, [0.0], [[0]], "0", None):
        with pytest.raises(ValueError, match="`rows` must be a vector of row numbers, or of True"):
            molecules.select(rows)


def test_titles_stay_with_their_molecules():
    molecules = Molecules(**arrays(), titles=["water", "methane", "HF"])
    assert molecules.select([2, 0]).titles == ("HF", "water")
    assert molecules.select(molecules.n_atoms == 5).titles == ("methane",)
    assert Molecules(**arrays()).select([0]).titles is None
    for titles, message in ((["water"], "3 texts, got 1"), ([1, 2, 3], "a sequence of texts")):
        with pytest.raises(ValueError, match=f"`titles` must be {message}"):
            Molecules(**arrays(), titles=titles)


def test_molecules_are_compared_by_identity():
    molecules = Molecules(**arrays())
    assert molecules == molecules and molecules != Molecules(**arrays())


@pytest.mark.parametrize("numbers, distance", [((17, 17), 1.99), ((26, 8), 1.66), ((1, 1), 0.74)])
def test_bonds_of_any_elements(numbers, distance):
    """At the length of Cl2, of an iron oxide, of H2; and not at twice that."""

    def bonded(length):
        molecules = Molecules(
            [2], numbers, [[0, 0, 0], [0, 0, length]], np.zeros([1, 0]), (), (), [0]
        )
        return molecules.graph([0]).edges[:, 1].tolist()

    assert bonded(distance) == [1, 1] and bonded(2 * distance) == [0, 0]


def test_parts_are_all_molecules_once():
    whole = Molecules(
        np.ones(20, int),
        np.arange(1, 21),
        np.zeros([20, 3]),
        np.zeros([20, 0]),
        (),
        (),
        np.arange(20),
    )
    parts = whole.split((0.5, 0.25, 0.25), seed=3)
    assert [len(part) for part in parts] == [10, 5, 5]
    assert sorted(np.concatenate([part.index for part in parts])) == list(range(20))
    for part, again in zip(parts, whole.split((0.5, 0.25, 0.25), seed=3), strict=True):
        np.testing.assert_array_equal(part.atomic_numbers - 1, part.index)
        np.testing.assert_array_equal(part.index, again.index)
    assert (whole.split((1.0,), seed=0)[0].index != whole.split((1.0,), seed=1)[0].index).any()
