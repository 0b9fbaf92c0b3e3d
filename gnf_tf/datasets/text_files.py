"""Texts and tables in a user's files, with errors that name the file and the line."""

import csv
import io
import os
import pathlib
import re
from collections.abc import Callable

import numpy as np

from gnf_tf.datasets.contents import AnyPath, content_of
from gnf_tf.errors import DataError

__all__ = [
    "finite",
    "number",
    "plain",
    "read_table",
    "read_text",
    "short",
    "whole",
    "with_exponent",
    "wrong_line",
]

_LARGEST = float(np.finfo(np.float32).max)


def read_text(path: AnyPath) -> str:
    """The text of a file in UTF-8, with newlines as line ends.

    Raises:
      DataError: if the file is missing, can't be read, is empty, or is not in UTF-8.
    """
    data = content_of(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise wrong_line(path, line, "expected text in UTF-8, got other bytes") from error
    if not text.strip():
        raise DataError(f"the data file {path} is empty")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_table(
    path: pathlib.Path, *, index: str = "index"
) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """A csv file with a header, as (names of the columns, (line, {name: text}) for each row).

    Args:
      path: path of the file.
      index: name of a first column without a name, or with the name "Unnamed: 0", such as the
        index that pandas writes.

    Raises:
      DataError: as `read_text`; if a column has no name, two columns have the same name, a row has
        another number of cells than the header, or there is no row; or if semicolons, tabs or bars
        are between the columns.
    """
    # A first line such as "sep=," tells Excel what is between the columns.
    text = re.sub(r"\Asep=.\n", "\n", read_text(path), flags=re.IGNORECASE)
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        rows = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise wrong_line(
            path, reader.line_num, f"{error}, expected cells between commas"
        ) from error
    (first, header), *rows = [row for row in rows if any(row[1])] or [(1, [""])]
    for separator in ";\t|":
        if len(header) == 1 and all(separator in cells[0] for _, cells in [(first, header), *rows]):
            raise wrong_line(
                path,
                first,
                f"expected commas between the columns, got {separator!r} in {header[0]!r}",
            )
    if header[0] in ("", "Unnamed: 0"):  # as pandas reads the former and writes it again
        header[0] = index if index not in header[1:] else ""
    if not all(header[1:]) or len(set(header)) < len(header):
        raise wrong_line(
            path, first, f"expected a distinct name of each column, got {short(', '.join(header))}"
        )
    for line, cells in rows:
        if len(cells) != len(header):
            if header[0].startswith("#"):
                raise wrong_line(
                    path, first, f"expected the names of the columns, got {short(header[0])}"
                )
            raise wrong_line(path, line, f"expected {len(header)} cells, got {len(cells)}")
    if not rows:
        raise wrong_line(path, first, "expected rows below the names of the columns, got none")
    # The numbers of rows are left out beside a column of that name.
    start = 1 if index and not header[0] else 0
    return header[start:], [
        (line, dict(zip(header[start:], cells[start:], strict=True))) for line, cells in rows
    ]


def plain(text: str, kind: Callable[[str], float] = float) -> float:
    """`kind(text)`, `int` or `float`, without what only Python reads as a number.

    Raises:
      ValueError: if the text is no number, has an underscore (1_0), or digits of another script.
    """
    if "_" in text or not text.isascii():
        raise ValueError(f"expected a number in the digits 0 to 9, got {short(text)}")
    return kind(text)


def finite(text: str) -> float | None:
    """The number in a text, or None if it has no number that is finite in float32."""
    try:
        value = plain(text)
    except ValueError:
        return None
    return value if -_LARGEST <= value <= _LARGEST else None


def with_exponent(text: str) -> str:
    """The text of a number whose exponent has an e, where Fortran writes a D, as in 1.5D-3."""
    return re.sub(r"(?<=[0-9.])[dD](?=[+-]?[0-9])", "e", text)


def number(path: os.PathLike, line: int, cells: dict[str, str], name: str) -> float:
    """The number in the cell `name` of a line.

    Raises:
      DataError: if the cell has no number that is finite in float32.
    """
    value = finite(with_exponent(cells[name]))
    if value is None:
        raise wrong_line(
            path, line, f"expected a finite number as `{name}`, got {short(cells[name])}"
        )
    return value


def whole(text: str) -> int:
    """The whole number in a text of at most nine digits, or 0 for any other text."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def short(text: str) -> str:
    """A text for an error message: quoted, in one line, and not longer than 60 characters."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def wrong_line(path: AnyPath | str | os.PathLike, line: int, problem: str) -> DataError:
    """The error about a line, counted from 1."""
    return DataError(f"the data file {path} is wrong in line {line}: {problem}")
