"""Reading the files that a user names."""

import pathlib
import zipfile
from collections.abc import Callable
from typing import Any, TypeVar

from gnf_tf.errors import DataError

__all__ = ["AnyPath", "content_of", "opened"]

AnyPath = pathlib.Path | zipfile.Path
Opened = TypeVar("Opened")


def content_of(path: AnyPath) -> bytes:
    """The bytes of a file in a folder or in a zip archive; errors as `opened`."""
    return opened(path, lambda path: path.read_bytes())


def opened(path: AnyPath, read: Callable[[Any], Opened]) -> Opened:
    """`read(path)`, with a DataError for each exception that it raises.

    Raises:
      DataError: if the file is missing, damaged, or can't be read.
    """
    try:
        return read(path)
    except FileNotFoundError as error:
        raise DataError(f"the data file {path} is missing") from error
    except OSError as error:
        raise DataError(
            f"the data file {path} can't be read ({error.strerror or error})"
        ) from error
    except Exception as error:  # zipfile and zlib raise exceptions of many types
        raise DataError(f"the data file {path} is damaged ({error})") from error
