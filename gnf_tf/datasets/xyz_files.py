"""Molecules in xyz files, plain, extended, or of other programs."""

import itertools
import pathlib
import re

import numpy as np

from gnf_tf.datasets.conformers import Atoms
from gnf_tf.datasets.molecule_targets import (
    Record,
    any_case,
    distinct_fields,
    title_of,
    titles,
)
from gnf_tf.datasets.molecules import FARTHEST, SYMBOLS
from gnf_tf.datasets.text_files import (
    finite,
    number,
    read_text,
    short,
    whole,
    with_exponent,
    wrong_line,
)

__all__ = ["read_xyz"]

_NUMBERS = {symbol.lower(): number for number, symbol in enumerate(SYMBOLS, start=1)}
_NUMBERS |= {"d": 1, "t": 1}  # isotopes of hydrogen
# Units of length in which the positions of an xyz file must not be.
_NOT_ANGSTROM = (
    *("bohr", "bohrs", "a0", "au", "a.u.", "a.u", "atomic", "atomic_units", "atomic units"),
    *("nm", "nanometer", "nanometers", "pm", "picometer", "picometers", "m", "meter", "meters"),
    *("crystal", "fractional", "direct", "alat"),
)
_UNITS = re.compile("((length|distance|position|coordinate|coord|pos)s?_?)?units?", re.IGNORECASE)
# In the words of a comment, such as "coordinates in bohr", "Units: a.u." or "bohr" alone; the unit
# of another quantity, or of a number, says nothing of the positions. "Au" is gold.
_LENGTHS = r"(?P<unit>bohrs?|a\.u\.?|atomic[ _]units?|nm|nanomet(er|re)s?|pm|picomet(er|re)s?)"
_PLACES = r"(coord(inate)?s?|positions?|geom(etry)?|lengths?|distances?|units?|orientation|xyz)"
_WORDS_OF_UNITS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\W*((in|xyz|cartesians?|geom(etry)?)\W+)*{_LENGTHS}\W*",
        rf".*\b{_PLACES}\b((?!ang|å|energ|charge|dipole|mass)[^=;\d])*\b{_LENGTHS}(?!\w).*",
    )
]
# key=value in the comment line of an xyz frame; a value with spaces is quoted or in brackets. Pairs
# may be followed by a comma or a semicolon.
_PAIR = re.compile(
    r"""(?:"(?P<quoted>[^"]+)"|(?P<key>[^\s="',;]+))\s*=\s*"""
    r"""(?P<value>"[^"]*"|'[^']*'|\{[^}]*\}|\[[^]]*\]|((?![,;]+(\s|$|[^\s=]+\s*=))\S)+)"""
)


def read_xyz(path: pathlib.Path) -> list[Record]:
    """The molecules in an xyz file; see `read_molecules` for the format and the errors."""
    # The original files of QM9 have exponents such as 2.1*^-6.
    lines = read_text(path).rstrip().replace("*^", "e").split("\n")
    records: list[Record] = []
    row = 0
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
    fields, places = distinct_fields(path, _without_formulas(items))
    unit = next((fields[name] for name in fields if _UNITS.fullmatch(name)), "")
    words = next(filter(None, (one.fullmatch(comment) for one in _WORDS_OF_UNITS)), None)
    if unit.lower() in _NOT_ANGSTROM or words:
        found = words["unit"] if words else unit
        raise wrong_line(path, row + 2, f"expected positions in angstrom, got the unit {found}")
    properties = any_case(fields, "Properties")
    title = "" if properties else comment.split("\t")[0].strip()
    title = title_of(fields) or title
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
