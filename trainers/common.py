"""What the trainers share: command lines, errors as one line, run folders."""

import contextlib
import dataclasses
import datetime
import importlib.metadata
import io
import json
import math
import os
import pathlib
import platform
import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

import tensorflow as tf
import tyro

from gnf_tf.errors import DataError, UserError

__all__ = [
    "UserError",
    "environment",
    "number",
    "open_run",
    "parse",
    "read_json",
    "run",
    "write_json",
]

Config = TypeVar("Config")


def parse(presets: Mapping[str, Config], default: str, description: str) -> Config:
    """The command line's configuration: the chosen preset's values, each option overriding one.

    Args:
      presets: name -> dataclass instance with a field `preset` that holds the name.
      default: name of the preset used without `--preset`.
      description: head of the help page.

    Raises:
      UserError: for a wrong option.
    """
    arguments = sys.argv[1:]
    chosen = default
    for i, argument in enumerate(arguments):
        match = re.fullmatch(r"--preset(?:=(.*))?", argument)
        if match:
            chosen = match[1] if match[1] is not None else (arguments[i + 1 : i + 2] or [""])[0]
    if chosen not in presets:
        raise UserError(f"--preset must be one of {', '.join(presets)}, got {chosen!r}")
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            return tyro.cli(type(presets[chosen]), default=presets[chosen], description=description)
    except SystemExit as stop:
        if not stop.code:
            raise
        # tyro draws a box of many lines; its words are kept, in one.
        words = re.sub(r"\x1b\[[0-9;]*m|[─-╿]", " ", errors.getvalue())
        raise UserError(" ".join(words.split())) from None


def run(main: Callable[[], None]) -> None:
    """Calls `main`; what the user can mend ends as one line on stderr and exit status 1."""
    try:
        main()
    except (UserError, DataError) as error:
        message = str(error)
    except OSError as error:
        message = f"{error.strerror or error}: {error.filename or ''}".rstrip(": ")
    except tf.errors.OpError as error:
        # TensorFlow's writers report a full disk or a folder gone in their own classes.
        message = error.message.splitlines()[0] if error.message else type(error).__name__
    except MemoryError:
        message = "there is too little memory; smaller sizes or batches may help"
    except KeyboardInterrupt:
        print("interrupted; the same command resumes this run", file=sys.stderr)
        sys.exit(130)
    else:
        return
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(1)


def write_json(path: pathlib.Path, value: Any) -> Any:
    """Writes the file whole or not at all; returns the value as `read_json` will.

    Numbers that are not finite become null, for JSON knows no NaN and no infinities.
    """
    value = _finite(value)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with open(temporary, "w") as file:
            json.dump(value, file, indent=1, allow_nan=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return value


def _finite(value):
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def number(value: float | None) -> float:
    """A number from a JSON file, to compute with or to print: NaN where the file has null."""
    return math.nan if value is None else value


def read_json(path: pathlib.Path) -> Any:
    """What `write_json` wrote.

    Raises:
      UserError: if it is damaged.
    """
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); choose another --run-dir") from error


def open_run(folder: pathlib.Path, config: Any, places: Collection[str] = ()) -> None:
    """Makes the run folder with its config.json, or checks that it belongs to this configuration.

    Args:
      folder: the run folder.
      config: a dataclass.
      places: fields of it that say where things are, not what is computed: they may differ.

    Raises:
      UserError: if the folder can't be written, or holds a run of another configuration.
    """
    path = folder / "config.json"
    values = json.loads(json.dumps(dataclasses.asdict(config), default=str))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            write_json(path, values)
            return
        with tempfile.TemporaryFile(dir=folder):
            pass
        before = read_json(path)
    except OSError as error:
        raise UserError(f"can't write the run folder {folder}: {error.strerror}") from error
    for name in sorted((before.keys() | values.keys()) - set(places)):
        if before.get(name) != values.get(name):
            raise UserError(
                f"the run folder {folder} holds a run with {name} = {before.get(name)!r}, not "
                f"{values.get(name)!r}; choose another --run-dir"
            )


def environment() -> dict[str, Any]:
    """What a result depends on besides its configuration: command, date, versions, machine."""
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
