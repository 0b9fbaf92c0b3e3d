"""Molecules with 3-D positions from SMILES, by rdkit, which is an optional dependency."""

import warnings
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from gnf_tf.datasets.molecules import Molecules
from gnf_tf.errors import DataError

__all__ = [
    "Atoms",
    "SmilesError",
    "atoms_of",
    "conformers",
    "from_atoms",
    "molecules_from_smiles",
    "rdkit_chem",
]


class Atoms(NamedTuple):
    """The atoms of a molecule."""

    numbers: np.ndarray  # [num_atoms]
    positions: np.ndarray  # [num_atoms, 3], in angstrom
    charge: int = 0  # of the molecule, as far as it is known


_SEED = 1  # seed of the embedding, fixed so that a SMILES string has one geometry


def molecules_from_smiles(smiles: Sequence[str]) -> Molecules:
    """Molecules from SMILES strings, with approximate 3-D positions and without targets.

    rdkit adds the hydrogens, embeds the atoms with ETKDGv3 and a fixed seed, and optimizes the
    positions with the force field MMFF94, or with UFF if MMFF94 lacks parameters, such as those of
    CO2, N2 and diynes. Use this only if no better positions are known, because a model that was
    trained on geometries of quantum chemistry, as in QM9, is less accurate on these;
    `read_molecules` reads known positions. If molecules have a net charge, there is one warning,
    because charges are not kept.

    >>> molecules = molecules_from_smiles(["O", "CC"])  # water and ethane
    >>> molecules.n_atoms.tolist(), molecules.elements
    ([3, 8], (1, 6, 8))

    Args:
      smiles: one string for each molecule, which becomes its title.

    Raises:
      ValueError: if rdkit can't parse, embed or optimize a molecule, or a string has several
        molecules; the message names the string.
      DataError: if rdkit is not installed.
    """
    if isinstance(smiles, str):
        raise ValueError(f"`smiles` must be a sequence of strings, got {smiles!r}")
    smiles = list(smiles)
    return from_atoms(conformers(smiles), titles=smiles)


class SmilesError(ValueError):
    """The SMILES string of a row that is no molecule with 3-D positions."""

    def __init__(self, row: int, smiles: str, problem: str, others: Sequence[int] = ()):
        rows = ", ".join(f"`smiles[{row}]`" for row in others)
        also = f"; also wrong: {rows}" if others else ""
        super().__init__(f"`smiles[{row}]`, {smiles!r}, {problem}{also}")
        self.row, self.smiles, self.problem, self.others = row, smiles, problem, others


def from_atoms(
    atoms: Sequence[Atoms],
    targets: np.ndarray | None = None,
    names: Sequence[str] = (),
    units: Sequence[str] = (),
    titles: Sequence[str] | None = None,
) -> Molecules:
    """Molecules from the atoms of each, numbered from 0; see `Molecules`.

    A warning about charges is for the caller of the function that calls this.
    """
    charged = [row for row, of in enumerate(atoms) if of.charge]
    if charged:
        warnings.warn(
            f"{len(charged)} of {len(atoms)} molecules have a net charge, the first one molecule "
            f"{charged[0]} ({atoms[charged[0]].charge:+d}); it is not kept, and models take "
            "molecules for neutral if their training molecules are",
            stacklevel=3,
        )
    return Molecules(
        n_atoms=np.array([len(of.numbers) for of in atoms], np.int64),
        atomic_numbers=np.concatenate([np.zeros(0, np.int64), *(of.numbers for of in atoms)]),
        positions=np.concatenate([np.zeros([0, 3]), *(of.positions for of in atoms)]),
        targets=np.zeros([len(atoms), 0]) if targets is None else targets,
        target_names=tuple(names),
        target_units=tuple(units),
        index=np.arange(len(atoms)),
        titles=None if titles is None else tuple(titles),
    )


def conformers(smiles: Sequence[str]) -> list[Atoms]:
    """The atoms of each molecule, as in `molecules_from_smiles`, with a progress bar.

    Raises:
      SmilesError: if strings are wrong, naming all of them. All strings are parsed before the
        first molecule is embedded, so that most errors come at once.
      DataError: if rdkit is not installed.
    """
    from tqdm import tqdm

    chem = rdkit_chem()
    from rdkit import rdBase

    with rdBase.BlockLogs():  # the errors say the same in one line
        parsed = _each(lambda row: _parsed(chem, row, smiles[row]), range(len(smiles)))
        bar = tqdm(range(len(smiles)), desc="3-D structures", unit="molecule", delay=1)
        return _each(lambda row: _placed(row, smiles[row], parsed[row]), bar)


def _each(function, rows):
    """Applies `function` to each row; one error names all rows that are wrong."""
    made, errors = [], []
    for row in rows:
        try:
            made.append(function(row))
        except SmilesError as error:
            errors.append(error)
    if errors:
        first, *others = errors
        raise SmilesError(first.row, first.smiles, first.problem, [e.row for e in others])
    return made


def rdkit_chem() -> ModuleType:
    """`rdkit.Chem`.

    Raises:
      DataError: if rdkit is not installed.
    """
    try:
        from rdkit import Chem
    except ImportError as error:
        raise DataError(
            "SMILES strings, .sdf and .mol files need rdkit: pip install rdkit"
        ) from error
    return Chem


def _parsed(chem, row, smiles):
    # rdkit takes the text after a space for a name.
    one_word = isinstance(smiles, str) and len(smiles.split()) == 1
    molecule = chem.MolFromSmiles(smiles) if one_word else None
    if molecule is None:
        raise SmilesError(row, smiles, "is not a SMILES string that rdkit can parse")
    if len(chem.GetMolFrags(molecule)) > 1:
        raise SmilesError(row, smiles, "has several molecules, expected one")
    if not all(atom.GetAtomicNum() for atom in molecule.GetAtoms()):
        raise SmilesError(row, smiles, "has an atom without an element")
    return chem.AddHs(molecule)


def _placed(row, smiles, molecule):
    from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

    options = rdDistGeom.ETKDGv3()
    options.randomSeed = _SEED
    if rdDistGeom.EmbedMolecule(molecule, options) < 0:
        # Strained cages violate the torsion angles and ring geometries that ETKDG prefers.
        options.useRandomCoords = True
        options.useBasicKnowledge = options.useExpTorsionAnglePrefs = False
        if rdDistGeom.EmbedMolecule(molecule, options) < 0:
            raise SmilesError(
                row,
                smiles,
                "has atoms that rdkit can't place; give their positions in an .xyz file",
            )
    has_mmff = rdForceFieldHelpers.MMFFHasAllMoleculeParams(molecule)
    has_uff = rdForceFieldHelpers.UFFHasAllMoleculeParams(molecule)
    if has_mmff and not (has_uff and _has_guessed_bonds(molecule)):
        rdForceFieldHelpers.MMFFOptimizeMolecule(molecule, maxIters=2000)
    elif has_uff:
        rdForceFieldHelpers.UFFOptimizeMolecule(molecule, maxIters=2000)
    elif molecule.GetNumAtoms() > 1:
        raise SmilesError(row, smiles, "has atoms for which MMFF94 and UFF lack parameters")
    return atoms_of(molecule)


def _has_guessed_bonds(molecule):
    """Whether MMFF94 lacks the length of a bond, for which rdkit then takes that of a single one.

    In angstrom, it takes 1.46 for N2, 1.40 for CO2, and 1.54 between the triple bonds of a diyne;
    UFF has 1.12, 1.24 and 1.41. A multiple bond in MMFF94's own tables is at most 0.94 times as
    long as the sum of the covalent radii, and a single one of a linear atom is shorter than it.
    """
    from rdkit.Chem import GetPeriodicTable, HybridizationType, rdForceFieldHelpers

    radius = GetPeriodicTable().GetRcovalent
    properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(molecule)
    for bond in molecule.GetBonds():
        ends = bond.GetBeginAtom(), bond.GetEndAtom()
        is_multiple = bond.GetBondTypeAsDouble() >= 2
        is_linear = any(atom.GetHybridization() == HybridizationType.SP for atom in ends)
        if (is_multiple or is_linear) and all(atom.GetAtomicNum() > 1 for atom in ends):
            found = properties.GetMMFFBondStretchParams(molecule, *(atom.GetIdx() for atom in ends))
            longest = sum(radius(atom.GetAtomicNum()) for atom in ends)
            if found and found[-1] > (0.95 if is_multiple else 1.0) * longest:
                return True
    return False


def atoms_of(molecule: Any) -> Atoms:
    """The atoms of a molecule of rdkit that has a conformer."""
    atoms = list(molecule.GetAtoms())
    return Atoms(
        np.array([atom.GetAtomicNum() for atom in atoms]),
        molecule.GetConformer().GetPositions(),
        sum(atom.GetFormalCharge() for atom in atoms),
    )
