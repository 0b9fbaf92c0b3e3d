"""The arrays in a user's npz file."""

import io
import os
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping

import numpy as np

from gnf_tf.datasets.contents import content_of
from gnf_tf.errors import DataError
from gnf_tf.files import user_path

__all__ = ["Arrays", "arrays_of", "read_npz"]


class Arrays(Mapping[str, np.ndarray]):
    """The arrays of a file by name.

    Pickled objects, which could run any program, are not loaded: to ask for them is a DataError,
    and those that nobody asks for do no harm.
    """

    def __init__(self, path: os.PathLike | str, arrays: Mapping[str, np.ndarray | None]):
        """Stores the arrays of the file `path`; None stands for pickled objects."""
        self._path, self._arrays = path, arrays

    def __getitem__(self, name: str) -> np.ndarray:
        values = self._arrays[name]
        if values is None:
            raise DataError(
                f"the data file {self._path} has pickled objects in `{name}`, expected numbers or "
                "text"
            )
        return values

    def __contains__(self, name: object) -> bool:
        return name in self._arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


def read_npz(path: str | os.PathLike) -> Arrays:
    """All arrays of a file.

    Raises:
      DataError: if the file is missing or damaged.
    """
    path = user_path(path)
    return arrays_of(path, content_of(path))


def arrays_of(path: os.PathLike | str, content: bytes) -> Arrays:
    """All arrays in the content of the file `path`.

    Raises:
      DataError: if it is damaged.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            # What macOS adds to an archive that it packs is left out.
            names = [name for name in file if not name.startswith(("__MACOSX/", "."))]
            arrays = {name: _loaded(file, name) for name in names}
    except (
        *(OSError, TypeError, ValueError, EOFError, MemoryError, RuntimeError, SyntaxError),
        *(zipfile.BadZipFile, zlib.error, tokenize.TokenError),
    ) as error:
        raise DataError(
            f"the data file {path} is damaged: it is not an npz file of arrays"
        ) from error
    # NumPy returns files in the archive that are not in npy format as bytes.
    if not all(isinstance(values, np.ndarray | None) for values in arrays.values()):
        raise DataError(f"the data file {path} is damaged: it is not an npz file of arrays")
    return Arrays(path, arrays)


def _loaded(file, name):
    try:
        return file[name]
    except ValueError as error:
        if "Object arrays cannot be loaded" in str(error):
            return None
        raise
