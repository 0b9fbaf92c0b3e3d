"""Files that are written whole or not at all."""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import IO

__all__ = ["cache_folder", "user_path", "whole_file"]


def user_path(path: str | os.PathLike) -> pathlib.Path:
    """The path, a leading `~` replaced by the user's home folder."""
    return pathlib.Path(os.path.expanduser(path))


def cache_folder() -> pathlib.Path:
    """The user's cache folder of this package, as `~/.cache/gnf_tf`; it may not be there yet."""
    import pooch

    return pathlib.Path(pooch.os_cache("gnf_tf"))


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[IO[bytes]]:
    """A binary file to write, which takes the place of `path` at the end, and only then.

    Whatever interrupts the writing, an error, a kill or a full disk, `path` is what it was before.

    Raises:
      OSError: if the file can't be written.
    """
    path = user_path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, 0o644)  # a folder may be shared
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        pathlib.Path(temporary).unlink(missing_ok=True)
        raise
