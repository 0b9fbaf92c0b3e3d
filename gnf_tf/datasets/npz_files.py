"""The arrays of a user's npz file."""

import os
import tokenize
import zipfile
import zlib

import numpy as np

from gnf_tf.errors import DataError
from gnf_tf.files import user_path

__all__ = ["read_npz"]


def read_npz(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """All arrays of the file, without pickles.

    Raises:
      DataError: if the file is missing or damaged.
    """
    path = user_path(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except FileNotFoundError as error:
        raise DataError(f"the data file {path} is missing") from error
    except (
        *(OSError, TypeError, ValueError, EOFError, MemoryError, RuntimeError, SyntaxError),
        *(zipfile.BadZipFile, zlib.error, tokenize.TokenError),
    ) as error:
        raise DataError(f"the data file {path} is damaged: no npz file of arrays") from error
    # What is not an npy file within the archive comes as bytes.
    if not all(isinstance(values, np.ndarray) for values in arrays.values()):
        raise DataError(f"the data file {path} is damaged: no npz file of arrays")
    return arrays
