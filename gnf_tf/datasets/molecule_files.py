"""Molecules from a user's files: .xyz, .sdf, .mol, and .csv with SMILES strings."""

import itertools
import os
import re
from collections.abc import Sequence

import numpy as np

from gnf_tf.datasets.conformers import (
    Atoms,
    SmilesError,
    atoms_of,
    conformers,
    from_atoms,
    rdkit_chem,
)
from gnf_tf.datasets.molecule_targets import Record, any_case, read_targets, titles
from gnf_tf.datasets.molecules import FARTHEST, SYMBOLS, Molecules
from gnf_tf.datasets.text_files import (
    finite,
    number,
    read_table,
    read_text,
    short,
    whole,
    with_exponent,
    wrong_line,
)
from gnf_tf.errors import DataError
from gnf_tf.files import user_path

__all__ = ["read_molecules"]

_NUMBERS = {symbol.lower(): number for number, symbol in enumerate(SYMBOLS, start=1)}
_NUMBERS |= {"d": 1, "t": 1}  # isotopes of hydrogen
# Units of length in which the positions of an xyz file must not be.
_NOT_ANGSTROM = (
    *("bohr", "bohrs", "a0", "au", "a.u.", "a.u", "atomic", "atomic_units", "atomic units"),
    *("nm", "nanometer", "nanometers", "pm", "picometer", "picometers", "m", "meter", "meters"),
    *("crystal", "fractional", "direct", "alat"),
)
_HEAD = re.compile(">[^<]*<(.*)>")  # of a data item in an sdf file
_UNITS = re.compile("((length|distance|position|coordinate|coord|pos)s?_?)?units?", re.IGNORECASE)
# In a comment without fields, such as "coordinates in bohr" or "Units: bohr".
_IN_BOHR = re.compile(
    r"\b(coord(inate)?s?|positions?|geometry|lengths?|distances?|units?)\b[^=,;]*\bbohrs?\b",
    re.IGNORECASE,
)
# key=value in the comment line of an xyz frame; a value with spaces is quoted or in brackets. Pairs
# may be followed by a comma or a semicolon.
_PAIR = re.compile(
    r"""(?:"(?P<quoted>[^"]+)"|(?P<key>[^\s="',;]+))\s*=\s*"""
    r"""(?P<value>"[^"]*"|'[^']*'|\{[^}]*\}|\[[^]]*\]|((?![,;]+(\s|$|[^\s=]+\s*=))\S)+)"""
)


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
      columns are fields; the column `id`, or another one of a title, is the title.

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
      The molecules in the order of the file, with `index` 0, 1, ...

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
    return from_atoms(atoms, values, names, units)


def _xyz(path):
    # The original files of QM9 have exponents such as 2.1*^-6.
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
                f"molecule {len(records)} has {count} atoms, but lines for {len(atoms)} follow",
            )
        records.append(_frame(path, row, lines[row + 1], atoms))
        row += 2 + count
        # In the original files of QM9, lines of frequencies, SMILES and InChI follow.
        if lines[row + 2 : row + 3] and lines[row + 2].startswith("InChI="):
            row += 3
    return records


def _frame(path, row, comment, lines):
    items = [
        (row + 2, match["key"] or match["quoted"], match["value"].strip("\"'{}"))
        for match in _PAIR.finditer(comment)
    ]
    fields, places = _distinct(path, _without_formulas(items))
    unit = next((fields[name] for name in fields if _UNITS.fullmatch(name)), "")
    if unit.lower() in _NOT_ANGSTROM or _IN_BOHR.search(comment):
        raise wrong_line(
            path, row + 2, f"expected positions in angstrom, got the unit {unit or 'bohr'}"
        )
    properties = any_case(fields, "Properties")
    title = "" if properties else comment.split("\t")[0].strip()
    for name in titles(fields)[:1]:
        title = fields[name]
    columns = _columns(path, row + 2, fields.pop(properties, None))
    cells = [line.split() for line in lines]
    if columns[2] is None and all(len(atom) > 4 for atom in cells):  # the second would be x
        if problem := _other_columns(cells):
            raise wrong_line(path, row + 3, f"expected {problem} in {short(lines[0])}")
    found = [_atom(path, row + 3 + k, atom, *columns) for k, atom in enumerate(cells)]
    numbers, positions = zip(*found, strict=True)
    atoms = Atoms(np.array(numbers), np.array(positions), _charge(path, row + 2, fields))
    return Record(row + 1, title, fields, atoms, places)


def _other_columns(cells):
    """What the first columns of all atoms are in place of an element and x, or None."""
    columns = list(zip(*(atom[: len(min(cells, key=len))] for atom in cells), strict=True))
    counted = [str(k) for k in range(1, len(cells) + 1)]
    second = [finite(cell) for cell in columns[1]]
    charges = [_NUMBERS.get(symbol.lower(), 0) for symbol in columns[0]]
    if list(columns[0]) == counted and all(map(whole, columns[1])):
        return "an element first, got numbers of atoms"
    if len(cells) > 1 and list(columns[1]) == counted:
        return "x after the element, got the number of an atom"
    if max(charges) > 1 and charges == second:
        return "x after the element, got a nuclear charge"
    if all(map(_is_mass, charges, second)):
        return "x after the element, got a mass"
    shifted = None not in map(finite, columns[4]) and any("." in cell for cell in columns[2])
    if set(columns[1]) <= {"0", "-1"} and shifted:
        return "x after the element, got 0 or -1 as for frozen atoms (if x is 0, write 0.0)"
    if all(set(column) <= {"0", "1"} for column in columns[2:7:2]) and len(columns) > 6:
        return "x, y and z after the element, got a 0 or 1 after each"
    return None


def _is_mass(atomic_number, value):
    """Whether a value may be the mass of an isotope."""
    if value is None or atomic_number < 1:
        return False
    if atomic_number == 1:
        return min(abs(value - mass) for mass in (1.008, 2.014, 3.016)) < 0.02
    return 1.9 <= value / atomic_number <= 2.7  # from as many neutrons as protons to uranium


def _without_formulas(items):
    """The fields without those of different texts: in two SMILES, O=CC O=CCO, O is no name."""
    texts: dict[str, list[str]] = {}
    for _, name, text in items:
        texts.setdefault(name, []).append(text)
    free = {
        name
        for name, values in texts.items()
        if len(set(values)) > 1 and all(finite(with_exponent(value)) is None for value in values)
    }
    special = {name for name in free if titles([name]) or _UNITS.fullmatch(name)}
    return [item for item in items if item[1] not in free - special]


def _charge(path, line, fields):
    """The net charge in the field `charge` of a frame, 0 without this field."""
    name = any_case(fields, "charge")
    if name is None:
        return 0
    value = number(path, line, fields, name)
    if not value.is_integer():
        raise wrong_line(
            path, line, f"expected a whole number as `{name}`, got {short(fields[name])}"
        )
    return int(value)


def _distinct(path, items):
    """({name: text}, {name: line}) of fields, each (line, name, text)."""
    fields, places = {}, {}
    for line, name, text in items:
        before = fields.get(name, text)  # the same text twice may be a formula: O=C=O O=C=O
        numbers = [finite(with_exponent(value)) for value in (before, text)]
        if before != text and (None in numbers or numbers[0] != numbers[1]):
            raise wrong_line(path, line, f"the field `{name}` is given for the second time")
        fields[name], places[name] = text, line
    return fields, places


def _columns(path, line, properties):
    """(first column of the element, of the position, number of columns; None for any number)."""
    if properties is None:
        return 0, 1, None
    parts = properties.split(":")
    triples = list(zip(parts[::3], parts[1::3], map(whole, parts[2::3]), strict=False))
    if len(parts) % 3 or not all(width for _, _, width in triples):
        raise wrong_line(
            path, line, f"Properties are {short(properties)}, expected name:type:columns"
        )
    starts = itertools.accumulate((width for _, _, width in triples), initial=0)
    start = {
        (name.lower(), width): first
        for (name, _, width), first in zip(triples, starts, strict=False)
    }
    element = [start[name, 1] for name in ("species", "z", "numbers") if (name, 1) in start]
    if not element or ("pos", 3) not in start:
        raise wrong_line(
            path, line, f"Properties are {short(properties)}, expected species:S:1 and pos:R:3"
        )
    return element[0], start["pos", 3], sum(width for _, _, width in triples)


def _atom(path, line, cells, element, position, width):
    """(atomic number, position) from the cells of a line in an xyz file."""
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
    coordinates = []
    for cell in cells[position : position + 3]:
        value = finite(with_exponent(cell))
        if value is None:
            raise wrong_line(path, line, f"expected a coordinate in angstrom, got {short(cell)}")
        if abs(value) > FARTHEST:
            raise wrong_line(
                path,
                line,
                f"expected a coordinate within {FARTHEST} angstrom of 0, got {short(cell)}; "
                "move the molecule to the origin",
            )
        coordinates.append(value)
    return number, coordinates


def _sdf(path):
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
    records = []
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
        fields, places = _distinct(path, _data_items(lines, blocks[0] + 1, end))
        title = lines[start].strip()
        records.append(Record(start + 1, title, fields, atoms_of(molecule), places))
    return records


def _data_items(lines, row, end):
    """(line, name, text) of each data item of a molecule; the text ends before a blank line."""
    while row < end:
        match = _HEAD.match(lines[row])
        row += 1
        if match:
            text = list(itertools.takewhile(_is_data, lines[row:end]))
            yield row + 1, match[1], "\n".join(text)
            row += len(text)


def _is_data(line):
    # A blank line before the next item may be missing.
    return line.strip() and not line.startswith("$$$$") and not _HEAD.match(line)


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
