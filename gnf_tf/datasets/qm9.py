"""QM9: 130,831 small organic molecules with geometries and properties from DFT.

Ramakrishnan, Dral, Rupp, von Lilienfeld, Scientific Data 1, 140022 (2014). The molecules come from
the CSV files of the PyPI package `qm9pack`, which leaves out the 3,054 molecules that failed the
consistency check. They are converted once into a cache file.
"""

import dataclasses
import importlib.util
import os
import pathlib
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from gnf_tf import seeds
from gnf_tf.datasets.molecules import Molecules
from gnf_tf.datasets.npz_files import read_npz
from gnf_tf.errors import DataError
from gnf_tf.files import cache_folder, user_path, whole_file

__all__ = ["QM9_TARGETS", "Target", "qm9"]

Split = Literal["train", "validation", "test"]

_EV = 27.211386245988  # eV in a hartree (CODATA 2018)
_SPLIT_SIZES = {"train": 110_000, "validation": 10_000}  # all others are test molecules
_CACHE_NAME = "qm9-1.npz"  # 1 is the version of the format

_ELEMENTS = (1, 6, 7, 8, 9)
# Energies of single atoms in hartree, for H, C, N, O, F: the values published with QM9
# (atomref.txt; Ramakrishnan et al. 2014).
_ATOM_ENERGIES = {
    "u0": (-0.500273, -37.846772, -54.583861, -75.064579, -99.718730),
    "u": (-0.498857, -37.845355, -54.582445, -75.063163, -99.717314),
    "h": (-0.497912, -37.844411, -54.581501, -75.062219, -99.716370),
    "g": (-0.510927, -37.861317, -54.598897, -75.079532, -99.733544),
}


class Target(NamedTuple):
    """A property of molecules in QM9.

    Attributes:
      column: the name of its column in the CSV files.
      unit: the unit of the values that `qm9` returns.
      factor: what a value in the CSV files is multiplied by to give a value in `unit`.
      description: the property in words.
    """

    column: str
    unit: str
    factor: float
    description: str


# In the paper's order (table 1).
QM9_TARGETS: dict[str, Target] = {
    "mu": Target("Dipole_debye", "D", 1.0, "dipole moment"),
    "alpha": Target("Polarizability_bohr3", "bohr^3", 1.0, "isotropic polarizability"),
    "homo": Target("HOMO_au", "eV", _EV, "energy of the highest occupied orbital"),
    "lumo": Target("LUMO_au", "eV", _EV, "energy of the lowest unoccupied orbital"),
    "gap": Target("HOMO_LUMO_gap_au", "eV", _EV, "LUMO minus HOMO"),
    "r2": Target("R2_bohr2", "bohr^2", 1.0, "electronic spatial extent"),
    "zpve": Target("ZPVE_au", "eV", _EV, "zero-point vibrational energy"),
    "u0": Target("InternalEnergy_0K_au", "eV", _EV, "internal energy at 0 K"),
    "u": Target("InternalEnergy_298K_au", "eV", _EV, "internal energy at 298.15 K"),
    "h": Target("Enthalphy_298K_au", "eV", _EV, "enthalpy at 298.15 K"),
    "g": Target("GibbsFreeEnergy_298K_au", "eV", _EV, "free energy at 298.15 K"),
    "cv": Target("Heatcapacity_Cv_cal_mol_K", "cal/(mol K)", 1.0, "heat capacity at 298.15 K"),
}


def qm9(
    split: Split,
    *,
    size: int | None = None,
    targets: Sequence[str] = tuple(QM9_TARGETS),
    atomization: bool = True,
    seed: int = 0,
    data_dir: str | os.PathLike | None = None,
) -> Molecules:
    """A split of QM9; the three splits of one seed are disjoint.

    Args:
      split: "train" (110,000 molecules), "validation" (10,000) or "test" (10,831), parts of a
        random permutation of all molecules.
      size: the number of molecules to keep from the beginning of the split; None for all.
      targets: the names of the targets, from `QM9_TARGETS`.
      atomization: whether u0, u, h and g are energies of atomization, that is, minus the energies
        of the free atoms; otherwise they are total energies.
      seed: seed of the permutation.
      data_dir: the folder of the cache file, which is made if it does not exist; by default the
        user's cache folder.

    Raises:
      ValueError: if the split or a target is unknown, or the split has fewer than `size` molecules.
      DataError: if `qm9pack` is missing or damaged, or the cache file is damaged or can't be
        written.
    """
    unknown = [name for name in targets if name not in QM9_TARGETS]
    if unknown or not targets:
        raise ValueError(f"`targets` must be among {', '.join(QM9_TARGETS)}; got {unknown}")
    if split not in ("train", "validation", "test"):
        raise ValueError(f"`split` must be 'train', 'validation' or 'test', got {split!r}")
    everything = _load(cache_folder() if data_dir is None else user_path(data_dir))
    rows = _split_rows(len(everything), split, seed)
    if size is not None and not 1 <= size <= len(rows):
        raise ValueError(f"`size` must be from 1 to {len(rows)} for {split!r}, got {size}")
    molecules = everything.select(rows[:size])
    columns = [list(QM9_TARGETS).index(name) for name in targets]
    values = molecules.targets[:, columns] * [QM9_TARGETS[name].factor for name in targets]
    if atomization:
        values -= _atom_energies(molecules, targets)
    return dataclasses.replace(
        molecules,
        targets=values,
        target_names=tuple(targets),
        target_units=tuple(QM9_TARGETS[name].unit for name in targets),
    )


def _split_rows(total, split, seed):
    order = seeds.generator(seed).permutation(total)
    # A shorter source, as in tests, is split in the same proportions.
    whole = 130_831
    ends = np.cumsum([n * min(total, whole) // whole for n in _SPLIT_SIZES.values()])
    parts = np.split(order, ends)
    return parts[("train", "validation", "test").index(split)]


def _atom_energies(molecules, targets):
    """[num_molecules, num_targets] in eV, the energies of the free atoms; 0 for other targets."""
    zeros = (0.0,) * len(_ELEMENTS)
    table = np.array([_ATOM_ENERGIES.get(name, zeros) for name in targets])
    return molecules.element_counts(_ELEMENTS) @ table.T * _EV


def _load(folder):
    """All molecules, with all targets in the units of the CSV files."""
    path = folder / _CACHE_NAME
    if not path.exists():
        _write_atomically(path, _convert(_source_files()))
    try:
        arrays = read_npz(path)
        columns = tuple(target.column for target in QM9_TARGETS.values())
        molecules = Molecules(**arrays, target_names=columns, target_units=("",) * len(columns))
        molecules.element_counts(_ELEMENTS)  # raises for other elements
    except (DataError, TypeError, ValueError) as error:
        raise DataError(
            f"the data cache {path} is damaged ({error}); delete it, and it is made again"
        ) from error
    return molecules


def _source_files():
    spec = importlib.util.find_spec("qm9pack")
    if spec is None or not spec.submodule_search_locations:
        raise DataError("QM9 needs the package qm9pack: pip install qm9pack==1.0.3")
    folder = pathlib.Path(spec.submodule_search_locations[0]) / "data"
    return [folder / f"qm9_part{part}.csv" for part in (1, 2, 3)]


def _convert(paths):
    """The arrays of `Molecules`, from the CSV files."""
    from tqdm import tqdm

    parts = [_read(path) for path in tqdm(paths, desc="converting QM9 (once)", unit="file")]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _read(path):
    import pandas as pd

    columns = ["Index", "N_atoms", "Elements", "XYZ_Ang"]
    values = [target.column for target in QM9_TARGETS.values()]
    try:
        numeric = dict.fromkeys(["Index", "N_atoms", *values], np.float64)
        table = pd.read_csv(path, usecols=[*columns, *values], dtype=numeric)
    except FileNotFoundError as error:
        raise DataError(f"the data file {path} is missing; reinstall qm9pack==1.0.3") from error
    except (ValueError, pd.errors.ParserError) as error:
        raise DataError(f"the data file {path} is damaged ({error})") from error
    # The last row of a truncated file lacks its last columns.
    missing = table.isna().any(axis=1)
    if missing.any():
        raise DataError(f"the data file {path} is damaged in line {int(missing.argmax()) + 2}")
    symbols = table["Elements"].str.count(",") + 1
    coordinates = table["XYZ_Ang"].str.count(",") + 1
    wrong = (symbols != table["N_atoms"]) | (coordinates != 3 * table["N_atoms"])
    if wrong.any():
        raise DataError(
            f"the data file {path} is damaged in line {int(wrong.argmax()) + 2}: its atoms, "
            "elements and coordinates differ in number"
        )
    no_brackets = str.maketrans("", "", "[]' ")
    number = {"H": 1, "C": 6, "N": 7, "O": 8, "F": 9}
    try:
        elements = ",".join(table["Elements"]).translate(no_brackets).split(",")
        atomic_numbers = np.array([number[element] for element in elements], np.uint8)
        text = ",".join(table["XYZ_Ang"]).translate(no_brackets)
        positions = np.loadtxt([text], np.float64, comments=None, delimiter=",").reshape(-1, 3)
        targets = table[values].to_numpy(np.float64)
    except (KeyError, ValueError) as error:
        raise DataError(f"the data file {path} is damaged: a value is wrong ({error})") from error
    return {
        "index": table["Index"].to_numpy(np.int32),
        "n_atoms": table["N_atoms"].to_numpy(np.uint8),
        "atomic_numbers": atomic_numbers,
        "positions": positions.astype(np.float32),
        "targets": targets,
    }


def _write_atomically(path, arrays):
    """Writes a complete npz file, or none if it is interrupted."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            np.savez(file, **arrays)
    except OSError as error:
        raise DataError(f"can't write the data cache {path}: {error.strerror or error}") from error
