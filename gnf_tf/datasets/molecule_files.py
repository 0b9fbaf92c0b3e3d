"""Molecules from a user's files: .xyz, .sdf, .mol, and .csv with SMILES strings."""

import os
from collections.abc import Sequence

import numpy as np

from gnf_tf.datasets.conformers import SmilesError, conformers, from_atoms
from gnf_tf.datasets.molecule_targets import Record, are_counted, read_targets, title_of
from gnf_tf.datasets.molecules import Molecules
from gnf_tf.datasets.sdf_files import read_sdf
from gnf_tf.datasets.text_files import read_table, short, wrong_line
from gnf_tf.datasets.xyz_files import read_xyz
from gnf_tf.errors import DataError
from gnf_tf.files import user_path

__all__ = ["read_molecules"]


def read_molecules(
    path: str | os.PathLike, targets: str | os.PathLike | Sequence[str] | None = None
) -> Molecules:
    """Molecules from a file in UTF-8, whose suffix gives the format, with or without targets.

    - `.xyz`: one or several frames, plain or extended (with `Properties=species:S:1:pos:R:3`, for
      example, in the comment line; upper or lower case). Only elements and positions are read;
      there is no periodicity, also if a frame has a lattice. The `key=value` pairs of the comment
      line, which a comma or a semicolon may follow, are the fields. The title of a molecule is the
      field `id` or another one of a title, see `targets`, or in a plain frame the comment up to a
      tab. In a plain frame, the element and the position are the first four columns. The original
      files of QM9 are read without their properties.
    - `.sdf`, `.mol`: read by rdkit, with the data items as fields. All atoms, also hydrogens, must
      have 3-D positions. Between molecules, a line `$$$$` is needed.
    - `.csv`: a table with a column `smiles`; `molecules_from_smiles` makes the positions. All
      columns are fields; the column `id`, or another one of a title, is the title, and `index` if
      there is no other.

    An element is a symbol, also D or T, or an atomic number. Positions are in angstrom, each
    coordinate within 1000 of 0. If molecules have a net charge in an `.sdf` file, a SMILES string
    or the field `charge` of an `.xyz` file, there is one warning, because charges are not kept.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".xyz") as file:
    ...     print("2\\ngap=11.2\\nH 0 0 0\\nH 0 0 0.74", file=file, flush=True)
    ...     hydrogen = read_molecules(file.name, ["gap [eV]"])
    >>> hydrogen.atomic_numbers.tolist(), hydrogen.targets.tolist(), hydrogen.target_units
    ([1, 1], [[11.2]], ('eV',))

    Args:
      path: path of the file.
      targets: None for no targets; or a list with names of fields; or the path of a csv file, in
        which all columns but `smiles` and the titles are targets. The first column of the csv file
        with the name `id`, `name`, `title`, `index`, `molecule`, `molecule_id` or `mol_id`, or the
        first column if it has no name (`index`), assigns a row to the molecule with this text in
        the field of the same name. If the molecules lack this field, it is their title, and if none
        has a title, their number, from 0. Without such a column, the rows are in the order of the
        molecules. SMILES strings in both files must then be equal, and so must SMILES strings and
        titles where `index`, or a column of the numbers of rows, assigns the rows, since it may
        number rows in another order. The name of a target may be followed by its unit, in the file
        or in the list: "energy [eV]" or "energy (eV)", the latter with a space; log(P) is a name.

    Returns:
      The molecules in the order of the file, with `index` 0, 1, ... and with their titles, or
      SMILES strings where a csv file has no titles but the numbers of rows.

    Raises:
      ValueError: if `targets` is neither a csv file nor a list of distinct names.
      DataError: if a file is missing or damaged, has another suffix, or lacks a target, or if rdkit
        is needed and not installed; the message names the file, and the line or molecule.
    """
    path = user_path(path)
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise DataError(
            f"the data file {path} has the suffix {path.suffix!r}, expected one of "
            f"{', '.join(_READERS)}"
        )
    records = read(path)
    values, names, units = read_targets(path, records, targets)
    atoms = [record.atoms for record in records]
    if read is _csv:
        try:
            atoms = conformers(atoms)
        except SmilesError as error:
            problem = f"{error.smiles!r} {error.problem}"
            if error.others:
                lines = ", ".join(f"line {records[row].line}" for row in error.others)
                problem += f"; also wrong: {lines}"
            raise wrong_line(path, records[error.row].line, problem) from error
    for record, (_, positions, _) in zip(records, atoms, strict=True):
        if len(set(map(tuple, positions.astype(np.float32).tolist()))) < len(positions):
            raise wrong_line(path, record.line, "two atoms of this molecule have the same position")
    return from_atoms(atoms, values, names, units, _displayed(records))


def _displayed(records):
    """The title of each molecule, or its SMILES string if it has none but its number; or None."""
    found = [record.title for record in records]
    if isinstance(records[0].atoms, str):
        is_number = are_counted(found)
        found = [record.atoms if is_number else record.title or record.atoms for record in records]
    return found if any(found) else None


def _csv(path):
    header, rows = read_table(path)
    columns = [name for name in header if name.lower() == "smiles"]
    if len(columns) != 1:
        raise wrong_line(path, 1, f"expected one column `smiles`, got {short(', '.join(header))}")
    return [Record(line, title_of(cells), cells, cells[columns[0]]) for line, cells in rows]


_READERS = {".xyz": read_xyz, ".sdf": read_sdf, ".mol": read_sdf, ".csv": _csv}
