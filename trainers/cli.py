"""What the trainers share: command lines, errors as one line, a result that is computed once."""

import contextlib
import dataclasses
import io
import pathlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar

import tensorflow as tf
import tyro

from gnf_tf import options
from gnf_tf.errors import DataError, UserError
from gnf_tf.training import distribution, environment, open_run, read_json, write_json

__all__ = [
    "FLAT",
    "Options",
    "Preset",
    "as_option",
    "command_line",
    "flat",
    "once",
    "parse",
    "replicas",
    "run",
]

Config = TypeVar("Config", bound="Options")
Preset = Literal["quick", "paper", "best"]
FLAT = tyro.conf.arg(name="")  # the options of a part stand among the others
Path = Annotated[pathlib.Path | None, tyro.conf.arg(metavar="PATH")]
# Options that change no number: a run may be resumed with others.
FREE = ("run_dir", "data_dir", "data", "targets", "checkpoint_minutes", "strategy")


@dataclasses.dataclass(frozen=True)
class Options:
    """Those that every trainer has."""

    run_dir: Path = None
    """folder of checkpoints, TensorBoard, results and the trained model; default: one in runs"""

    def __post_init__(self):
        options.check(self)


def parse(
    presets: Mapping[str, Config],
    description: str,
    variants: Mapping[str, Callable[[Config], Config]] | None = None,
) -> Config:
    """The command line's configuration: the chosen preset's values, each option overriding one.

    Args:
      presets: name -> dataclass instance with a field `preset` that holds the name; the first one
        is used without `--preset`.
      description: head of the help page.
      variants: value of `--model` -> what the preset is for it, where it isn't as it stands.

    Raises:
      UserError: for a wrong option, or a path in a home that is unknown.
    """
    chosen, _ = _quietly(
        _Choice, default=_Choice(next(iter(presets))), return_unknown_args=True, add_help=False
    )
    if chosen.preset not in presets:
        raise UserError(f"--preset must be one of {', '.join(presets)}, got {chosen.preset!r}")
    preset = presets[chosen.preset]
    if chosen.model in (variants or {}):
        preset = variants[chosen.model](preset)
    return command_line(type(preset), description, default=preset)


@dataclasses.dataclass(frozen=True)
class _Choice:
    preset: str
    model: str = ""


def command_line(kind: type[Any], description: str, **arguments: Any) -> Any:
    """The command line's instance of a dataclass; `~` in its paths is the user's home.

    Raises:
      UserError: for a wrong option, or a path in a home that is unknown.
    """
    config = _quietly(kind, description=description, **arguments)
    paths = {}
    for name, value in vars(config).items():
        if isinstance(value, pathlib.Path):
            try:
                paths[name] = value.expanduser()
            except RuntimeError as error:
                option = as_option(name)
                raise UserError(f"{option} must be in a home that is known, got {value}") from error
    return dataclasses.replace(config, **paths)


def _quietly(kind, **arguments):
    """`tyro.cli`, its errors in one line."""
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            return tyro.cli(kind, **arguments)
    except options.OptionError as error:
        raise UserError(_of_option(error)) from error
    except SystemExit as stop:
        if not stop.code:
            raise
        cause = stop.__context__
        while cause is not None:  # tyro reports the errors of the outermost part itself
            if isinstance(cause, options.OptionError):
                raise UserError(_of_option(cause)) from cause
            cause = cause.__context__
        # tyro draws a box of many lines; its words are kept, in one.
        words = re.sub(r"\x1b\[[0-9;]*m|[─-╿]", " ", errors.getvalue())
        raise UserError(" ".join(words.split())) from None


def _of_option(error):
    return f"{as_option(error.option)} must be {error.expected}, got {error.value}"


def as_option(name: str) -> str:
    """`train_size` -> `--train-size`."""
    return f"--{name.replace('_', '-')}"


def flat(config: Any) -> dict[str, Any]:
    """All options by name, those of the parts among the others."""
    values = {}
    for name, value in vars(config).items():
        values |= flat(value) if dataclasses.is_dataclass(value) else {name: value}
    return values


def once(
    folder: pathlib.Path,
    config: Options,
    load: Callable[[], tuple],
    compute: Callable[..., dict[str, Any]],
) -> dict[str, Any]:
    """What the folder's results.json holds: `compute(*load())`, unless it is there already.

    Raises:
      UserError: if the folder can't be written, or holds a run with other options.
    """
    path = folder / "results.json"
    # Before the folder is made, which data that can't be had leave as it is.
    data = None if path.exists() else load()
    open_run(folder, flat(config), free=FREE)
    if data is None:
        return read_json(path)
    return write_json(path, compute(*data) | environment())


@contextlib.contextmanager
def replicas(config: Config) -> Iterator[Config]:
    """Within it models are made on all replicas of `config.strategy`, see `distribution.joined`."""
    values = {name: value for name, value in flat(config).items() if name not in FREE}
    with distribution.joined(
        config.strategy, config.run_dir, batch_size=config.settings.batch_size, values=values
    ) as folder:
        yield dataclasses.replace(config, run_dir=folder)


def run(main: Callable[[], None]) -> None:
    """Calls `main`; what the user can mend ends as one line on stderr and exit status 1."""
    try:
        main()
    except (UserError, DataError) as error:
        message = str(error)
    except options.OptionError as error:
        message = _of_option(error)
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
