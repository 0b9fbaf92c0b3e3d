"""Users' own molecules from files: .xyz, .sdf, .mol, and .csv with SMILES."""

import itertools
import os
import re
from collections.abc import Sequence

import numpy as np

from gnf_tf.datasets.conformers import SmilesError, conformers, from_atoms, rdkit_chem
from gnf_tf.datasets.molecule_targets import Record, read_targets, titles
from gnf_tf.datasets.molecules import SYMBOLS, Molecules
from gnf_tf.datasets.text_files import finite, read_table, read_text, short, whole, wrong_line
from gnf_tf.errors import DataError
from gnf_tf.files import user_path

__all__ = ["read_molecules"]

_NUMBERS = {symbol.lower(): number for number, symbol in enumerate(SYMBOLS, start=1)}
# key=value in the comment line of an xyz frame; a value with spaces is quoted or in brackets.
_PAIR = re.compile(
    r"""(?:"(?P<quoted>[^"]+)"|(?P<key>[^\s="']+))\s*=\s*"""
    r"""(?P<value>"[^"]*"|'[^']*'|\{[^}]*\}|\[[^]]*\]|\S+)"""
)


def read_molecules(
    path: str | os.PathLike, targets: str | os.PathLike | Sequence[str] | None = None
) -> Molecules:
    """Molecules from a file, by its suffix, with targets if they are named.

    - `.xyz`: one or many frames, plain or extended (`Properties=species:S:1:pos:R:3` in the comment
      line). Columns other than element and position are left out, and so is a lattice: distances
      are between the positions as they stand. `key=value` pairs of the comment line are fields; the
      title is one named `id`, `name`, `title` or `index`, else the comment of a plain frame up to
      a tab. QM9's original files are read, without their properties.
    - `.sdf`, `.mol`: by rdkit. The positions must be in 3-D and of all atoms, hydrogens too.
    - `.csv`: from a column `smiles`, as by `molecules_from_smiles`, by rdkit. All columns are
      fields; the title is that of the column `id`, `name`, `title` or `index`.

    Elements are given by symbol or number, positions in angstrom.

    Args:
      path: of the file, in UTF-8.
      targets: None for none; names of fields, e.g. ["energy [eV]", "gap"]; or the path of a csv
        file, whose columns are targets, but for `smiles` and those of titles. The first column of
        titles (`id`, `name`, `title`, `index`, or a first one without a name) says which molecule
        a row is of: the one with this title, or, if no molecule has a title, with this number,
        from 0. Without such a column, rows are in the molecules' order. A unit may follow a
        target's name, in the file or in the list: "energy [eV]" or "energy (eV)".

    Returns:
      The molecules in the file's order; `index` counts them from 0.

    Raises:
      ValueError: for `targets` that are neither a csv file nor distinct names.
      DataError: if a file is missing, damaged or of another kind, lacks a target, or needs rdkit,
        which is not installed; the message names file, and line or molecule.
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
    for record, (_, positions) in zip(records, atoms, strict=True):
        if len(set(map(tuple, positions.tolist()))) < len(positions):
            raise wrong_line(path, record.line, "two atoms of this molecule have one position")
    return from_atoms(atoms, values, names, units)


def _xyz(path):
    # QM9's own files have exponents like 2.1*^-6.
    lines = read_text(path).rstrip().replace("*^", "e").split("\n")
    records, row = [], 0
    while row < len(lines):
        if not lines[row].strip():
            row += 1
            continue
        count = whole(lines[row].strip())
        if not count:
            raise wrong_line(
                path,
                row + 1,
                f"expected the number of atoms of molecule {len(records)}, got {short(lines[row])}",
            )
        atoms = list(itertools.takewhile(str.strip, lines[row + 2 : row + 2 + count]))
        if len(atoms) < count:
            raise wrong_line(
                path,
                row + 1,
                f"molecule {len(records)} has {count} atoms, but lines of {len(atoms)} follow",
            )
        records.append(_frame(path, row, lines[row + 1], atoms))
        row += 2 + count
        # QM9's own files go on with frequencies, SMILES and InChI.
        if lines[row + 2 : row + 3] and lines[row + 2].startswith("InChI="):
            row += 3
    return records


def _frame(path, row, comment, lines):
    fields = {
        match["key"] or match["quoted"]: match["value"].strip("\"'")
        for match in _PAIR.finditer(comment)
    }
    title = "" if "Properties" in fields else comment.split("\t")[0].strip()
    for name in titles(fields)[:1]:
        title = fields[name]
    columns = _columns(path, row + 2, fields.pop("Properties", None))
    atoms = [_atom(path, row + 3 + k, line.split(), *columns) for k, line in enumerate(lines)]
    numbers, positions = zip(*atoms, strict=True)
    return Record(row + 1, title, fields, (np.array(numbers), np.array(positions)))


def _columns(path, line, properties):
    """The first columns of element and position; how many there are, None for any number."""
    if properties is None:
        return 0, 1, None
    parts = properties.split(":")
    triples = list(zip(parts[::3], parts[1::3], map(whole, parts[2::3]), strict=False))
    if len(parts) % 3 or not all(width for _, _, width in triples):
        raise wrong_line(
            path, line, f"Properties are {short(properties)}, expected name:type:columns"
        )
    starts = itertools.accumulate((width for _, _, width in triples), initial=0)
    start = {(name, width): first for (name, _, width), first in zip(triples, starts, strict=False)}
    element = [start[name, 1] for name in ("species", "Z", "numbers") if (name, 1) in start]
    if not element or ("pos", 3) not in start:
        raise wrong_line(
            path, line, f"Properties are {short(properties)}, expected species:S:1 and pos:R:3"
        )
    return element[0], start["pos", 3], sum(width for _, _, width in triples)


def _atom(path, line, cells, element, position, width):
    """(atomic number, position) from the cells of a line."""
    if len(cells) < 4 if width is None else len(cells) != width:
        raise wrong_line(
            path,
            line,
            f"expected an atom in {width or 'at least 4'} columns, got {short(' '.join(cells))}",
        )
    symbol = cells[element]
    number = _NUMBERS.get(symbol.lower()) or whole(symbol)
    if not 1 <= number <= len(SYMBOLS):
        raise wrong_line(path, line, f"expected an element's symbol or number, got {short(symbol)}")
    place = [finite(cell) for cell in cells[position : position + 3]]
    if None in place:
        wrong = cells[position + place.index(None)]
        raise wrong_line(path, line, f"expected a finite coordinate, got {short(wrong)}")
    return number, place


def _sdf(path):
    chem = rdkit_chem()
    from rdkit import rdBase

    lines = read_text(path).rstrip().split("\n")
    ends = [row + 1 for row, line in enumerate(lines) if line.startswith("$$$$")]
    if not ends or ends[-1] < len(lines):
        # Without data fields, the end of a molecule can be seen even so.
        if lines[-1].split() != ["M", "END"]:
            raise wrong_line(
                path, len(lines), f"molecule {len(ends)} doesn't end in $$$$, or at least in M  END"
            )
        ends.append(len(lines))
    records = []
    for start, end in itertools.pairwise([0, *ends]):
        supplier = chem.SDMolSupplier()
        with rdBase.BlockLogs():  # the errors below say it in a line
            # Not sanitized: of the bonds, only the number of hydrogens matters.
            supplier.SetData("\n".join(lines[start:end]) + "\n", sanitize=False, removeHs=False)
            molecule = next(iter(supplier), None)
            problem = _problem(molecule)
        if problem:
            raise wrong_line(path, start + 1, f"molecule {len(records)} {problem}")
        numbers = np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()])
        positions = molecule.GetConformer().GetPositions()
        fields = {name: molecule.GetProp(name) for name in molecule.GetPropNames()}
        records.append(Record(start + 1, lines[start].strip(), fields, (numbers, positions)))
    return records


def _problem(molecule):
    """What is wrong with a molecule of an sdf file, or None."""
    if molecule is None or not molecule.GetNumAtoms():
        return "can't be read by rdkit, expected a mol block with atoms"
    for atom in molecule.GetAtoms():
        if not atom.GetAtomicNum():
            return f"has {atom.GetSymbol()!r} as atom {atom.GetIdx()}, expected an element"
    conformer = molecule.GetConformer()
    if not (np.abs(conformer.GetPositions()) <= np.finfo(np.float32).max).all():
        return "has a coordinate that is not finite"
    # Planar molecules are flat too; the header may say which it is.
    if not conformer.Is3D() and molecule.GetProp("_MolFileInfo")[20:22] == "2D":
        return "has positions in 2-D, expected 3-D (a csv with SMILES gets them made)"
    molecule.UpdatePropertyCache(strict=False)
    missing = sum(atom.GetTotalNumHs() for atom in molecule.GetAtoms())
    if missing:
        return f"lacks {missing} hydrogens, expected positions of all atoms"
    return None


def _csv(path):
    header, rows = read_table(path)
    columns = [name for name in header if name.lower() == "smiles"]
    if len(columns) != 1:
        raise wrong_line(path, 1, f"expected one column `smiles`, got {short(', '.join(header))}")
    named = titles(header)
    return [
        Record(line, cells[named[0]] if named else "", cells, cells[columns[0]])
        for line, cells in rows
    ]


_READERS = {".xyz": _xyz, ".sdf": _sdf, ".mol": _sdf, ".csv": _csv}
