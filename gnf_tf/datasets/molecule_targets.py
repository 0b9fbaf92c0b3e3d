"""Targets of the molecules in a user's file: fields of this file, or columns of a csv file."""

import os
import pathlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gnf_tf.datasets.conformers import Atoms
from gnf_tf.datasets.text_files import finite, number, read_table, short, with_exponent, wrong_line
from gnf_tf.errors import DataError
from gnf_tf.files import user_path

__all__ = [
    "Record",
    "any_case",
    "are_counted",
    "distinct_fields",
    "read_targets",
    "title_of",
    "titles",
]

_TITLES = ("id", "name", "title", "molecule", "molecule_id", "mol_id", "index")


class Record(NamedTuple):
    """A molecule in a file."""

    line: int  # number of its first line, from 1
    title: str
    fields: dict[str, str]
    atoms: Atoms | str  # a SMILES string if the positions are not known
    places: Mapping[str, int] = {}  # numbers of the lines of fields that are not in `line`


def titles(names: Sequence[str]) -> list[str]:
    """The names, among those of fields, of the title of a molecule; `id` first, `index` last."""
    found = [name for name in names if name.lower() in _TITLES]
    return sorted(found, key=lambda name: _TITLES.index(name.lower()))


def title_of(fields: Mapping[str, str]) -> str:
    """The title in the fields of a molecule; "" for none."""
    return next((fields[name] for name in titles([*fields]) if fields[name]), "")


def any_case(names: Collection[str], name: str) -> str | None:
    """The name among `names`, or else the first that differs in case alone, or None."""
    same = [other for other in names if other.lower() == name.lower()]
    return name if name in same else next(iter(same), None)


def distinct_fields(
    path: pathlib.Path, items: Iterable[tuple[int, str, str]]
) -> tuple[dict[str, str], dict[str, int]]:
    """({name: text}, {name: line}) of the fields of a molecule, each (line, name, text).

    Raises:
      DataError: if two fields of one name have different texts, and are not the same number.
    """
    fields: dict[str, str] = {}
    places: dict[str, int] = {}
    for line, name, text in items:
        before = fields.get(name, text)  # the same text twice may be a formula: O=C=O O=C=O
        numbers = [finite(with_exponent(value)) for value in (before, text)]
        if before != text and (None in numbers or numbers[0] != numbers[1]):
            raise wrong_line(path, line, f"the field `{name}` is given for the second time")
        fields[name], places[name] = text, line
    return fields, places


def read_targets(
    path: pathlib.Path,
    records: Sequence[Record],
    targets: str | os.PathLike | Sequence[str] | None,
) -> tuple[np.ndarray, list[str], list[str]]:
    """(values [num_molecules, num_targets], names, units) of the targets of `read_molecules`."""
    if targets is None:
        return np.zeros([len(records), 0]), [], []
    if isinstance(targets, str | os.PathLike):
        source = user_path(targets)
        if source.suffix.lower() != ".csv":
            raise ValueError(
                f"`targets` must be a .csv file or a list of names, got {os.fspath(targets)!r}"
            )
        wanted, rows = _target_file(path, records, source)
        places: list[Mapping[str, int]] = [{}] * len(rows)
        names = [_name_and_unit(column)[0] for column in wanted]
        if len(set(names)) < len(names):
            raise wrong_line(
                source, 1, f"expected distinct targets, got {short(', '.join(wanted))}"
            )
    else:
        if not isinstance(targets, Iterable):
            raise ValueError(f"`targets` must be a .csv file or a list of names, got {targets!r}")
        source, wanted = path, list(targets)
        if not all(isinstance(name, str) for name in wanted):
            raise ValueError(f"`targets` must be names, got {wanted}")
        names = [_name_and_unit(name)[0] for name in wanted]
        if len(set(names)) < len(names):
            raise ValueError(f"`targets` must be distinct names, got {wanted}")
        rows = [(record.line, record.fields) for record in records]
        places = [record.places for record in records]
    line, fields = rows[0]
    line = 1 if source.suffix.lower() == ".csv" else line  # that of the names of columns
    keys = [_key(source, line, fields, name) for name in wanted]
    values = np.zeros([len(rows), len(keys)])
    for row, (line, fields) in enumerate(rows):
        for column, key in enumerate(keys):
            if key not in fields:
                raise wrong_line(
                    source, line, f"molecule {row} lacks `{key}`, which molecule 0 has"
                )
            values[row, column] = number(source, places[row].get(key, line), fields, key)
    pairs = zip(wanted, keys, strict=True)
    return values, names, [_name_and_unit(name)[1] or _name_and_unit(key)[1] for name, key in pairs]


def _name_and_unit(text):
    # Parentheses without a space before are of the name: log(P), E(HF).
    match = re.fullmatch(r"(.+?)(?:\s*\[(.*)\]|\s+\((.*)\))", text.strip())
    return (match[1], (match[2] or match[3] or "").strip()) if match else (text.strip(), "")


def _key(path, line, fields, wanted):
    """The field with the name of a target, and with the same unit if both have a unit."""
    name, unit = _name_and_unit(wanted)
    if wanted in fields:
        return wanted
    parts = {key: _name_and_unit(key) for key in fields}
    fits = [key for key, (n, u) in parts.items() if n == name and (not unit or u in (unit, ""))]
    if len(fits) != 1:
        there = short(", ".join(fits or fields)) if fields else "none"
        one = "one field" if fits else "a field"
        raise wrong_line(path, line, f"expected {one} `{wanted}`, got {there}")
    return fits[0]


def _target_file(path, records, source):
    """(names of the columns with targets, (line, cells) of each molecule)."""
    header, rows = read_table(source)
    named = titles(header)
    columns = [name for name in header if name not in named and name.lower() != "smiles"]
    if not columns:
        raise wrong_line(source, 1, f"expected a column of targets, got {short(', '.join(header))}")
    if named and not source.samefile(path):
        rows, named = _joined_by_one(path, records, source, rows, named)
    if len(rows) != len(records):
        raise DataError(
            f"the data file {source} has {len(rows)} rows of targets, expected {len(records)}, one "
            f"for each molecule of {path}"
        )
    if not named:
        _check_same(path, records, source, rows, ["smiles"], "no column has titles")
    elif named[0].lower() == "index" or are_counted([cells[named[0]] for _, cells in rows]):
        # Numbers of rows, which may be those of another order.
        others = ["smiles", *named[1:]]
        _check_same(path, records, source, rows, others, f"both have one `{named[0]}`")
    return columns, rows


def are_counted(texts: Sequence[str]) -> bool:
    """Whether they are the numbers of rows, from 0 or 1."""
    return any({str(k) for k in range(first, first + len(texts))} == set(texts) for first in (0, 1))


def _check_same(path, records, source, rows, columns, reason):
    """Each row has the text of its molecule in those columns that are fields of the molecule."""
    for record, (line, cells) in zip(records, rows, strict=True):
        for column in columns:
            own, other = any_case(record.fields, column), any_case(cells, column)
            if own and other and record.fields[own] != cells[other]:
                raise wrong_line(
                    source,
                    line,
                    f"`{other}` is {short(cells[other])}, expected {short(record.fields[own])} as "
                    f"for the molecule in line {record.line} of {path}, because {reason}",
                )


def _joined_by_one(path, records, source, rows, columns):
    """The rows in the order of the molecules, and the columns, first that which tells the order.

    Where the names of the first column are none of the molecules', row numbers serve.
    """
    first, *others = columns
    try:
        return _joined(path, records, source, rows, first), columns
    except DataError:
        numbers = [name for name in others if name.lower() == "index"]
        if not numbers or any(any_case(record.fields, first) for record in records):
            raise
        return _joined(path, records, source, rows, numbers[0]), [*numbers, first]


def _joined(path, records, source, rows, column):
    """The rows in the order of the molecules, whose fields or titles are in `column`."""
    keys = [any_case(record.fields, column) for record in records]
    of_molecule, kind = [record.title for record in records], "the title"
    if any(keys):
        if None in keys:
            row = keys.index(None)
            raise wrong_line(
                path,
                records[row].line,
                f"molecule {row} lacks the field `{column}`, by which {source} names molecules",
            )
        pairs = zip(records, keys, strict=True)
        of_molecule, kind = [record.fields[key] for record, key in pairs], f"the {column}"
    elif not any(of_molecule):
        of_molecule, kind = [str(number) for number in range(len(records))], "the number"
    record_of, row_of = {}, {}
    for record, title in zip(records, of_molecule, strict=True):
        if record_of.setdefault(title, record) is not record:
            raise wrong_line(
                path,
                record.line,
                f"a second molecule has {kind} {short(title)}, by which {source} names them",
            )
    for line, cells in rows:
        title = cells[column]
        if row_of.setdefault(title, (line, cells))[1] is not cells:
            raise wrong_line(source, line, f"`{column}` is {short(title)} for the second time")
        if title not in record_of:
            raise wrong_line(
                source,
                line,
                f"no molecule of {path} has {kind} {short(title)}; without the column that "
                "names them, rows are in the molecules' order",
            )
    for title, record in record_of.items():
        if title not in row_of:
            raise DataError(
                f"the data file {source} has no row with {short(title)} as `{column}`, for the "
                f"molecule in line {record.line} of {path}"
            )
    return [row_of[title] for title in of_molecule]
