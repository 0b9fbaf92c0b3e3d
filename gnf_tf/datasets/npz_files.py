"""The arrays in a user's npz file."""

import io
import os
import tokenize
import zipfile
import zlib

import numpy as np

from gnf_tf.datasets.contents import content_of
from gnf_tf.errors import DataError
from gnf_tf.files import user_path

__all__ = ["arrays_of", "read_npz"]


def read_npz(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """All arrays of a file; pickled objects are refused.

    Raises:
      DataError: if the file is missing or damaged.
    """
    path = user_path(path)
    return arrays_of(path, content_of(path))


def arrays_of(path: os.PathLike | str, content: bytes) -> dict[str, np.ndarray]:
    """All arrays in the content of the file `path`; pickled objects are refused.

    Raises:
      DataError: if it is damaged.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = dict(file)
    except (
        *(OSError, TypeError, ValueError, EOFError, MemoryError, RuntimeError, SyntaxError),
        *(zipfile.BadZipFile, zlib.error, tokenize.TokenError),
    ) as error:
        raise DataError(
            f"the data file {path} is damaged: it is not an npz file of arrays"
        ) from error
    # NumPy returns files in the archive that are not in npy format as bytes.
    if not all(isinstance(values, np.ndarray) for values in arrays.values()):
        raise DataError(f"the data file {path} is damaged: it is not an npz file of arrays")
    return arrays
