"""QM9 and the batches of static shape."""

import csv
import importlib
import pathlib
import re

import numpy as np
import pytest

from gnf_tf import datasets, graphs
from gnf_tf.datasets.molecules import Molecules

qm9_module = importlib.import_module("gnf_tf.datasets.qm9")


@pytest.fixture(scope="module")
def source():
    """The installed CSV files."""
    return qm9_module._source_files()


@pytest.fixture
def small_source(source, tmp_path, monkeypatch):
    """The first 300 real rows as a source of their own, and a cache folder for them."""
    path = tmp_path / "source.csv"
    with open(source[0]) as file:
        path.write_text("".join(next(file) for _ in range(301)))
    monkeypatch.setattr(qm9_module, "_source_files", lambda: [path])
    return path


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def load(split="train", **options):
    return datasets.qm9(split, **options)


def test_the_whole_data_set():
    """Counts published with QM9, and values of methane, number 1."""
    parts = [load(split, atomization=False) for split in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [110_000, 10_000, 10_831]
    assert sum(part.n_atoms.sum() for part in parts) == 2_359_210
    index = np.concatenate([part.index for part in parts])
    assert len(np.unique(index)) == 130_831
    y = np.concatenate([part.targets for part in parts])
    names = parts[0].target_names
    hartree = 27.211386245988
    difference = (y[:, names.index("h")] - y[:, names.index("u")]) / hartree
    assert np.isin(np.round(difference, 6), [0.000944, 0.000945]).all()
    gap = y[:, names.index("lumo")] - y[:, names.index("homo")]
    np.testing.assert_allclose(y[:, names.index("gap")], gap, atol=1.1e-4 * hartree)
    methane = dict(zip(names, y[index == 1][0], strict=True))
    assert methane["alpha"] == 13.21 and methane["r2"] == 35.3641 and methane["cv"] == 6.469
    np.testing.assert_allclose(methane["homo"], -0.3877 * hartree)
    np.testing.assert_allclose(methane["u0"], -40.47893 * hartree)


def test_atomization_energies():
    """Mean and deviation of U0's, in eV, as commonly stated."""
    u0 = load(targets=["u0"]).targets[:, 0]
    np.testing.assert_allclose([u0.mean(), u0.std()], [-76.1, 10.3], atol=0.1)


def test_splits_are_disjoint_seeded_and_cut_to_size(small_source, cache):
    splits = ("train", "validation", "test")
    parts = [load(split, data_dir=cache) for split in splits]
    index = np.concatenate([part.index for part in parts])
    assert len(np.unique(index)) == 300
    again = load(size=10, data_dir=cache)
    np.testing.assert_array_equal(again.index, parts[0].index[:10])
    assert (load(size=10, data_dir=cache, seed=1).index != again.index).any()


def test_graph_by_brute_force(small_source, cache):
    molecules = load(data_dir=cache)
    rows = np.array([5, 2, 9])
    graph = molecules.graph(rows)
    graphs.validate(graphs.fill_missing(graph))
    starts = np.cumsum(molecules.n_atoms) - molecules.n_atoms
    node = edge = 0
    for row in rows:
        n = molecules.n_atoms[row]
        atoms = slice(starts[row], starts[row] + n)
        numbers, positions = molecules.atomic_numbers[atoms], molecules.positions[atoms]
        found = {}
        for k in range(edge, edge + n * (n - 1)):
            found[graph.senders[k] - node, graph.receivers[k] - node] = graph.edges[k]
        assert set(found) == {(i, j) for i in range(n) for j in range(n) if i != j}
        for (i, j), (distance, bonded) in found.items():
            np.testing.assert_allclose(
                distance, np.sqrt(((positions[i] - positions[j]) ** 2).sum()), rtol=1e-5
            )
            radii = {1: 0.31, 6: 0.76, 7: 0.71, 8: 0.66, 9: 0.57}
            assert bonded == (distance < radii[numbers[i]] + radii[numbers[j]] + 0.4)
        np.testing.assert_array_equal(graph.nodes[node : node + n, 0], numbers)
        centers = graph.nodes[node : node + n, 1:] - positions
        np.testing.assert_allclose(centers, np.tile(centers[0], [n, 1]), atol=1e-5)
        np.testing.assert_allclose(numbers @ graph.nodes[node : node + n, 1:], 0, atol=1e-4)
        node, edge = node + n, edge + n * (n - 1)


def test_methane_has_four_bonds(small_source, cache):
    parts = [load(split, data_dir=cache) for split in ("train", "validation", "test")]
    part = next(part for part in parts if 1 in part.index)
    graph = part.graph(np.flatnonzero(part.index == 1))
    assert graph.n_node == [5] and graph.edges[:, 1].sum() == 8  # each bond both ways


def test_plan_deals_every_molecule_once(small_source, cache):
    molecules = load(data_dir=cache)
    plans = [datasets.plan_batches(molecules, 16, seed=3, epoch=epoch) for epoch in (0, 1)]
    for plan in plans:
        assert sorted(np.concatenate(plan)) == list(range(len(molecules)))
        assert {len(rows) for rows in plan} <= {15, 16}
    assert [list(rows) for rows in plans[0]] != [list(rows) for rows in plans[1]]
    again = datasets.plan_batches(molecules, 16, seed=3, epoch=1)
    assert [list(rows) for rows in again] == [list(rows) for rows in plans[1]]


def test_batches_are_padded_graphs_of_one_shape(small_source, cache):
    molecules = load(data_dir=cache)
    stream = datasets.batches(molecules, 16, seed=3)
    shapes, seen = set(), []
    for inputs, targets, weights in stream:
        graph = graphs.GraphsTuple(**inputs)
        shapes.add(tuple(tuple(value.shape) for value in graph))
        graphs.validate(graph)
        np.testing.assert_array_equal(graphs.graph_mask(graph), weights == 1.0)
        np.testing.assert_array_equal(targets[weights == 0.0], 0.0)
        real = graphs.unpad(graph)
        assert np.isin(real.nodes[:, 0], molecules.elements).all()
        seen.append(targets[weights == 1.0])
    assert len(shapes) == 1 and len(seen) == stream.cardinality()
    seen = np.concatenate(seen)
    expected = molecules.targets.astype(np.float32)
    np.testing.assert_array_equal(seen[np.lexsort(seen.T)], expected[np.lexsort(expected.T)])
    padding = (
        1 - molecules.sizes[:, 1].sum() / (len(molecules) // 16 + 1) / inputs["senders"].shape[0]
    )
    assert padding < 0.2


def test_numpy_padding_is_that_of_graphs(small_source, cache):
    molecules = load(data_dir=cache)
    inputs, _, _ = next(iter(datasets.batches(molecules, 16)))
    graph = molecules.graph(datasets.plan_batches(molecules, 16)[0])
    sizes = (inputs["nodes"].shape[0], inputs["senders"].shape[0], inputs["n_node"].shape[0])
    expected = graphs.pad(graph, *sizes)
    for field, value in expected._asdict().items():
        np.testing.assert_array_equal(inputs[field], value, err_msg=field)


def test_epochs_differ_and_can_be_entered_anywhere(small_source, cache):
    molecules = load(data_dir=cache)

    def targets(stream):
        return np.concatenate([batch[1] for batch in stream])

    stream = datasets.batches(molecules, 16, seed=3)
    epochs = [targets(stream), targets(stream)]
    assert (epochs[0] != epochs[1]).any()
    later = datasets.batches(molecules, 16, seed=3, first_epoch=1)
    np.testing.assert_array_equal(targets(later), epochs[1])


SETS = datasets.GraphRows(datasets.mog(6))
NODES = datasets.LabeledGraphs([1, 2], [0, 0], np.zeros([3, 1]), [0, 1, 0], np.zeros([0, 2]))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"batch_size": 2.5}, "`batch_size` must be a whole number, got 2.5"),
        ({"batch_size": 0}, "`batch_size` must be at least 1, got 0"),
        ({"seed": -1}, "`seed` must be a whole number, 0 or more, got -1"),
        ({"seed": 1.5}, "`seed` must be a whole number, 0 or more, got 1.5"),
        ({"first_epoch": -1}, "`first_epoch` must be at least 0, got -1"),
        ({"first_epoch": 0.5}, "`first_epoch` must be a whole number, got 0.5"),
        ({"num_parts": 1.5}, "`num_parts` must be a whole number, got 1.5"),
        ({"parts": [1]}, "`parts` must be some of the 1 parts"),
    ],
)
def test_wrong_arguments_of_batches_are_named_at_once(arguments, message):
    arguments = {"batch_size": 2} | arguments
    for make in (lambda: datasets.batches(SETS, **arguments), lambda: node_batches(**arguments)):
        with pytest.raises((TypeError, ValueError), match=message):
            make()


def node_batches(dataset=NODES, **arguments):
    return datasets.node_batches(dataset, padded=False, **arguments)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: datasets.batches(NODES, 2), "must be graphs with targets, .* got LabeledGraphs"),
        (lambda: datasets.batches(datasets.mog(6), 2), "with targets, .* got GraphsTuple"),
        (lambda: node_batches(SETS, batch_size=2), "must be LabeledGraphs, got GraphRows"),
        (lambda: datasets.batches(SETS, 2, passes=0.5), "`passes` must be a whole number, got 0.5"),
        (lambda: datasets.plan_batches(SETS, 2, seed=0, epoch=-1), "`epoch` must be at least 0"),
    ],
)
def test_wrong_data_and_epochs_of_batches_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_bad_arguments(small_source, cache):
    with pytest.raises(ValueError, match="`targets` must be among mu, alpha.*got.*'color'"):
        load(targets=["mu", "color"], data_dir=cache)
    with pytest.raises(ValueError, match="`split` must be .*'half'"):
        load("half", data_dir=cache)
    with pytest.raises(ValueError, match="`size` must be from 1 to 22 for 'validation', got 23"):
        load("validation", size=23, data_dir=cache)
    with pytest.raises(ValueError, match="`batch_size` must be at least 1, got 0"):
        datasets.plan_batches(load(data_dir=cache), 0)
    with pytest.raises(ValueError, match="holds no graph"):
        datasets.plan_batches(load(data_dir=cache).select(np.array([], int)), 4)


def test_damaged_cache(small_source, cache):
    load(data_dir=cache)
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", whole.replace(whole[5000:5040], bytes(40))):
        path.write_bytes(damaged)
        with pytest.raises(datasets.DataError, match=f"{path} is damaged .* delete it"):
            load(data_dir=cache)
    path.unlink()
    assert len(load(data_dir=cache)) > 0


@pytest.mark.parametrize("cut", [1, 40, 700])
def test_truncated_source(small_source, cache, cut):
    """Cut anywhere in its last row, the file is refused, and no cache is made."""
    text = small_source.read_text().rstrip("\n")
    small_source.write_text(text[:-cut] if cut > 1 else text.rsplit(",", 1)[0])
    with pytest.raises(datasets.DataError, match="source.csv is damaged"):
        load(data_dir=cache)
    assert not cache.exists()


def test_wrong_number_of_atoms_names_the_line(small_source, cache):
    lines = small_source.read_text().splitlines(keepends=True)
    lines[7] = lines[7].replace("'C',", "", 1)
    small_source.write_text("".join(lines))
    with pytest.raises(datasets.DataError, match="source.csv is damaged in line 8: its atoms"):
        load(data_dir=cache)


@pytest.mark.parametrize("column", ["Index", "XYZ_Ang", "Dipole_debye"])
def test_a_number_that_only_python_reads(small_source, cache, column):
    with small_source.open(newline="") as file:
        rows = list(csv.reader(file))
    place = rows[0].index(column)
    rows[7][place] = re.sub("[0-9]+", "1_0", rows[7][place], count=1)
    with small_source.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    with pytest.raises(datasets.DataError, match="source.csv is damaged"):
        load(data_dir=cache)


def test_missing_source(monkeypatch, cache, tmp_path):
    monkeypatch.setattr(qm9_module, "_source_files", lambda: [tmp_path / "none.csv"])
    with pytest.raises(datasets.DataError, match=r"none.csv is missing; reinstall qm9pack==1.0.3"):
        load(data_dir=cache)
    monkeypatch.undo()
    monkeypatch.setattr(qm9_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(datasets.DataError, match="pip install qm9pack==1.0.3"):
        load(data_dir=cache)


def test_an_interrupted_or_failing_write_leaves_nothing(small_source, cache, monkeypatch):
    def full_disk(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(qm9_module.os, "fsync", full_disk)
    with pytest.raises(datasets.DataError, match="can't write .*No space left on device"):
        load(data_dir=cache)
    assert list(cache.iterdir()) == []

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(qm9_module.os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load(data_dir=cache)
    assert list(cache.iterdir()) == []


def test_unwritable_cache_folder(small_source, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(datasets.DataError, match="can't write the data cache"):
        load(data_dir=pathlib.Path(blocked) / "cache")


def test_select_keeps_atoms_with_their_molecule(small_source, cache):
    molecules = load(data_dir=cache)
    picked = molecules.select(np.array([7, 3]))
    assert isinstance(picked, Molecules) and len(picked) == 2
    for k, row in enumerate((7, 3)):
        one, other = picked.graph(np.array([k])), molecules.graph(np.array([row]))
        np.testing.assert_array_equal(one.edges, other.edges)
        np.testing.assert_array_equal(picked.targets[k], molecules.targets[row])


@pytest.mark.parametrize(
    "changes",
    [
        {"atomic_numbers": lambda numbers: np.where(numbers == 6, 16, numbers)},
        {"positions": lambda positions: positions * np.nan},
        {"n_atoms": lambda n_atoms: n_atoms[1:]},
        {"targets": lambda targets: targets[:, 1:]},
        {"index": lambda index: index.astype(str)},
    ],
)
def test_a_cache_of_no_molecules_is_refused(small_source, cache, changes):
    load(data_dir=cache)
    (path,) = cache.iterdir()
    with np.load(path) as file:
        arrays = dict(file)
    (field, change), *_ = changes.items()
    np.savez(path, **arrays | {field: change(arrays[field])})
    with pytest.raises(
        datasets.DataError, match=f"{path} is damaged .*(must|expected) .*delete it"
    ):
        load(data_dir=cache)
    np.savez(path, **{name: values for name, values in arrays.items() if name != field})
    with pytest.raises(datasets.DataError, match=f"{path} is damaged .*{field}.* delete it"):
        load(data_dir=cache)


def test_a_folder_in_the_home(small_source, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(load(data_dir="~/cache")) == len(load(data_dir=tmp_path / "cache"))
    assert {path.name for path in tmp_path.iterdir()} == {"source.csv", "cache"}
