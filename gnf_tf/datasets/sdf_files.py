"""Molecules in sdf and mol files, which rdkit reads."""

import itertools
import pathlib
import re

import numpy as np

from gnf_tf.datasets.conformers import atoms_of, rdkit_chem
from gnf_tf.datasets.molecule_targets import Record, distinct_fields
from gnf_tf.datasets.molecules import FARTHEST
from gnf_tf.datasets.text_files import read_text, wrong_line

__all__ = ["read_sdf"]


def read_sdf(path: pathlib.Path) -> list[Record]:
    """The molecules in an sdf or mol file; see `read_molecules` for the format and the errors."""
    chem = rdkit_chem()
    from rdkit import rdBase

    lines = read_text(path).rstrip().split("\n")
    ends = [row + 1 for row, line in enumerate(lines) if line.startswith("$$$$")]
    if not ends or ends[-1] < len(lines):
        # A last molecule without data items may end in "M  END" alone.
        if lines[-1].split() != ["M", "END"]:
            raise wrong_line(
                path, len(lines), f"molecule {len(ends)} doesn't end in $$$$, or at least in M  END"
            )
        ends.append(len(lines))
    records: list[Record] = []
    for start, end in itertools.pairwise([0, *ends]):
        blocks = [row for row in range(start, end) if lines[row].split() == ["M", "END"]]
        if len(blocks) > 1:  # rdkit would read the first alone
            raise wrong_line(
                path,
                blocks[1] + 1,
                f"molecule {len(records)} has a second M  END, expected $$$$ between molecules",
            )
        supplier = chem.SDMolSupplier()
        with rdBase.BlockLogs():  # the errors below say the same in one line
            # Sanitizing is not needed, because only the number of hydrogens matters.
            supplier.SetData("\n".join(lines[start:end]) + "\n", sanitize=False, removeHs=False)
            molecule = next(iter(supplier), None)
            problem = _problem(molecule)
        if problem:
            raise wrong_line(path, start + 1, f"molecule {len(records)} {problem}")
        fields, places = distinct_fields(path, _data_items(lines, blocks[0] + 1, end))
        title = lines[start].strip()
        records.append(Record(start + 1, title, fields, atoms_of(molecule), places))
    return records


def _data_items(lines, row, end):
    """(line, name, text) of each data item of a molecule; the text ends before a blank line."""
    while row < end:
        match = re.match(r">[^<]*<(.*)>", lines[row])
        row += 1
        if match:
            text = list(itertools.takewhile(_is_data, lines[row:end]))
            yield row + 1, match[1], "\n".join(text)
            row += len(text)


def _is_data(line):
    return line.strip() and not line.startswith("$$$$")


def _problem(molecule):
    """What is wrong with a molecule of an sdf file as the end of a sentence, or None."""
    if molecule is None or not molecule.GetNumAtoms():
        return (
            "can't be read by rdkit, expected a mol block, with numbers of atoms in its fourth line"
        )
    for atom in molecule.GetAtoms():
        if not atom.GetAtomicNum():
            return f"has {atom.GetSymbol()!r} as atom {atom.GetIdx()}, expected an element"
    conformer = molecule.GetConformer()
    if not (np.abs(conformer.GetPositions()) <= FARTHEST).all():
        return f"has a coordinate that is not within {FARTHEST} angstrom of 0"
    # The z coordinates of planar molecules are 0 too; the header may say that a file is 2-D.
    if not conformer.Is3D() and molecule.GetProp("_MolFileInfo")[20:22] == "2D":
        return (
            "has positions in 2-D, expected 3-D (for SMILES strings in a csv file, they are made)"
        )
    if not molecule.GetNumBonds() and molecule.GetNumAtoms() > 1:
        return "has no bonds, by which to tell that no hydrogen is missing; an xyz file needs none"
    molecule.UpdatePropertyCache(strict=False)
    missing = sum(atom.GetTotalNumHs() for atom in molecule.GetAtoms())
    if missing:
        return f"lacks {missing} hydrogens, expected positions of all atoms"
    return None
