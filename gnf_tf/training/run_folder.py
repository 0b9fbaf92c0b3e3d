"""The folder of a training run: its JSON files, and the check that it holds the same run."""

import contextlib
import datetime
import errno
import fcntl
import importlib.metadata
import json
import math
import os
import pathlib
import platform
import re
import shlex
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import tensorflow as tf

from gnf_tf.errors import UserError
from gnf_tf.files import json_value, whole_file

__all__ = [
    "alone",
    "environment",
    "number",
    "open_run",
    "read_json",
    "without_nodes",
    "write_json",
    "writing",
]


def write_json(path: pathlib.Path, value: Any) -> Any:
    """Writes a JSON file atomically, and returns the value that `read_json` will return.

    NaN and infinities become null, since JSON does not have them.

    Args:
      path: path of the file.
      value: JSON values, NaN and infinities.
    """
    value = _finite(value)
    with whole_file(path) as file:
        file.write((json.dumps(value, indent=1, allow_nan=False) + "\n").encode())
    return value


def _finite(value):
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def number(value: float | None) -> float:
    """Returns a number from a file of `write_json`, with NaN for null."""
    return math.nan if value is None else value


def read_json(path: pathlib.Path) -> Any:
    """Reads a file of `write_json`.

    Raises:
      UserError: if the file is damaged.
    """
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); choose another run folder") from error


def open_run(
    folder: pathlib.Path,
    values: Mapping[str, Any],
    *,
    name: str = "config.json",
    free: Collection[str] = (),
) -> None:
    """Makes the run folder, or checks that it holds a run with the same options.

    Args:
      folder: the run folder.
      values: values of the options by name, which the folder keeps in a file.
      name: name of that file.
      free: options that may differ, since they do not change results.

    Raises:
      UserError: if the folder can't be written or named so, or holds a run with other values.
    """
    if set("*?[\\") & set(str(folder)):
        raise UserError(
            "the run folder must have none of the characters * ? [ \\ in its path, which "
            f"TensorFlow takes for patterns of names, got {folder}"
        )
    path = folder / name
    values = json.loads(json.dumps(values, default=json_value))
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            write_json(path, values)
            return
        with tempfile.TemporaryFile(dir=folder):
            pass
        before = read_json(path)
    if not isinstance(before, dict):
        raise UserError(f"{path} is damaged (it holds no options); choose another run folder")
    for option in sorted((before.keys() | values.keys()) - set(free)):
        if before.get(option) != values.get(option):
            raise UserError(
                f"the run folder {folder} holds a run with {option} = {before.get(option)!r}, not "
                f"{values.get(option)!r}; choose another run folder"
            )


@contextlib.contextmanager
def writing(folder: pathlib.Path) -> Iterator[None]:
    """In this context, errors of writing a run folder become a UserError with its name."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        # TensorFlow's writers have their own classes for a full disk or a missing folder.
        reason = error.message if isinstance(error, tf.errors.OpError) else error.strerror
        reason = next(iter((reason or "").splitlines()), "") or str(error)
        raise UserError(f"can't write the run folder {folder}: {without_nodes(reason)}") from error


def without_nodes(message: str) -> str:
    """Returns a message of TensorFlow's without the names of nodes in its program."""
    return re.sub(r"\{\{.*?\}\} ?", "", message)


@contextlib.contextmanager
def alone(folder: pathlib.Path) -> Iterator[None]:
    """Keeps other trainings out of a run folder, which would mix their checkpoints with ours.

    The lock ends with this context, or with the process, however that ends.

    Args:
      folder: the run folder, which exists.

    Raises:
      UserError: if another training is in the folder.
    """
    with open(folder / ".lock", "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                raise UserError(
                    f"another process trains in the run folder {folder} now; wait for its end, or "
                    "choose another run folder"
                ) from error
            # A file system without locks: then there is none.
        yield


def environment() -> dict[str, Any]:
    """Returns command, date, versions and machine, on which results depend, too."""
    packages = ("tensorflow", "tensorflow-probability", "tf_keras", "dm-sonnet", "numpy")
    return {
        "command": shlex.join(["python", *sys.argv]),
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in packages},
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "gpus": [
            tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")
            for gpu in tf.config.list_physical_devices("GPU")
        ],
    }
