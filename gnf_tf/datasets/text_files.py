"""Text and tables that users wrote, with errors that name file and line."""

import csv
import io
import os
import pathlib

import numpy as np

from gnf_tf.datasets.contents import content_of
from gnf_tf.errors import DataError

__all__ = ["finite", "number", "read_table", "read_text", "short", "whole", "wrong_line"]

_LARGEST = float(np.finfo(np.float32).max)


def read_text(path: pathlib.Path) -> str:
    """A file in UTF-8, its lines ended by newlines.

    Raises:
      DataError: if it is missing, can't be read, is empty or is not UTF-8.
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


def read_table(path: pathlib.Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """(names of the columns, (line, {name: text}) of each row) of a csv file with a header.

    A first column without a name is called "index": pandas writes its index so.

    Raises:
      DataError: as `read_text`; for names that are empty or twice there, a row of another number
        of cells, or no rows.
    """
    reader = csv.reader(io.StringIO(read_text(path)), strict=True)
    try:
        rows = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise wrong_line(
            path, reader.line_num, f"{error}, expected cells between commas"
        ) from error
    (first, header), *rows = (row for row in rows if any(row[1])) or [(1, [""])]
    header[0] = header[0] or "index"
    if not all(header) or len(set(header)) < len(header):
        raise wrong_line(
            path, first, f"expected a distinct name of each column, got {short(', '.join(header))}"
        )
    for line, cells in rows:
        if len(cells) != len(header):
            raise wrong_line(path, line, f"expected {len(header)} cells, got {len(cells)}")
    if not rows:
        raise wrong_line(path, first, "expected rows below the names of the columns, got none")
    return header, [(line, dict(zip(header, cells, strict=True))) for line, cells in rows]


def finite(text: str) -> float | None:
    """A number that is finite in float32, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if -_LARGEST <= value <= _LARGEST else None


def number(path: os.PathLike, line: int, cells: dict[str, str], name: str) -> float:
    """The number in the cell `name` of a line.

    Raises:
      DataError: if the cell has no number that is finite in float32.
    """
    value = finite(cells[name])
    if value is None:
        raise wrong_line(
            path, line, f"expected a finite number as `{name}`, got {short(cells[name])}"
        )
    return value


def whole(text: str) -> int:
    """A whole number of at most nine digits, or 0 for any other text."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def short(text: str) -> str:
    """The text as an error shows it: quoted, in one line."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def wrong_line(path: str | os.PathLike, line: int, problem: str) -> DataError:
    """The error for a line, counted from 1."""
    return DataError(f"the data file {path} is wrong in line {line}: {problem}")
