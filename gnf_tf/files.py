"""Paths of the user, files that are replaced atomically, and the values that JSON files hold."""

import contextlib
import errno
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import IO, Any

import numpy as np

__all__ = ["cache_folder", "json_value", "user_path", "whole_file"]


def user_path(path: str | os.PathLike) -> pathlib.Path:
    """Returns the path with a leading `~` replaced by the user's home folder."""
    return pathlib.Path(os.path.expanduser(path))


def cache_folder() -> pathlib.Path:
    """The cache folder of this package, such as `~/.cache/gnf_tf`; it need not exist yet."""
    import pooch

    return pathlib.Path(pooch.os_cache("gnf_tf"))


def json_value(value: Any) -> Any:
    """The JSON value of a NumPy number or of a path: the `default` of `json.dumps`.

    Raises:
      TypeError: if it is neither.
    """
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, pathlib.PurePath):
        return str(value)
    raise TypeError(f"expected JSON values, NumPy numbers or paths, got {value!r:.80}")


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[IO[bytes]]:
    """A context manager that writes a binary file, which replaces `path` only when it is complete.

    If an error, a signal or a full disk interrupts the writing, `path` remains unchanged. A link
    remains a link, whose target is replaced.

    Raises:
      OSError: if the file can't be written; at once, if the folder does not exist, or `path` is a
        folder, a device or another thing that is no file.
    """
    path = pathlib.Path(os.path.realpath(user_path(path)))
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(path.parent))
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "this is no file, and is not replaced", str(path))
    # Not named after the file, whose name may be as long as names can be.
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".partial")
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
