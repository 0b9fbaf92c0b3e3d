"""Paths of the user, and files that are replaced atomically."""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import IO

__all__ = ["cache_folder", "user_path", "whole_file"]


def user_path(path: str | os.PathLike) -> pathlib.Path:
    """Returns the path with a leading `~` replaced by the user's home folder."""
    return pathlib.Path(os.path.expanduser(path))


def cache_folder() -> pathlib.Path:
    """The cache folder of this package, such as `~/.cache/gnf_tf`; it need not exist yet."""
    import pooch

    return pathlib.Path(pooch.os_cache("gnf_tf"))


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[IO[bytes]]:
    """A context manager that writes a binary file, which replaces `path` only when it is complete.

    If an error, a signal or a full disk interrupts the writing, `path` remains unchanged.

    Raises:
      OSError: if the file can't be written.
    """
    path = user_path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, 0o644)  # readable by others, unlike other temporary files
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        pathlib.Path(temporary).unlink(missing_ok=True)
        raise
