"""Command lines of the trainers: options, and errors of one line."""

import dataclasses
import difflib
import functools
import itertools
import pathlib
import re
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, NoReturn, Self, TypeVar, get_type_hints

import numpy as np
import tensorflow as tf
import tyro
from tyro import _errors  # private: tyro has no public means to report errors in one line

from gnf_tf import options
from gnf_tf.datasets.graph_files import files_in
from gnf_tf.datasets.npz_graphs import marked_as_test
from gnf_tf.datasets.splits import random_parts
from gnf_tf.datasets.tu_files import tu_name
from gnf_tf.errors import DataError, UserError

__all__ = [
    "FLAT",
    "SWITCH",
    "Options",
    "as_option",
    "command_line",
    "digest",
    "flat",
    "parse",
    "run",
]

Config = TypeVar("Config", bound="Options")
FLAT = tyro.conf.arg(name="")  # the options of a nested dataclass get no prefix


def _as_switch(words):
    if words in ([], ["True"], ["False"]):
        return words != ["False"]
    raise ValueError(f"expected True or False, got: {' '.join(words)!r}")


# An option that may be given alone, or with True or False; by default it is None.
SWITCH = tyro.constructors.PrimitiveConstructorSpec(
    nargs=(0, 1),
    metavar="[True|False]",
    instance_from_str=_as_switch,
    is_instance=lambda value: value is None or isinstance(value, bool),
    str_from_instance=lambda value: [str(value)],
)
Preset = Literal["quick", "paper", "best"]
Path = Annotated[pathlib.Path | None, tyro.conf.arg(metavar="PATH")]
TOO_LITTLE_MEMORY = "there is too little memory; smaller sizes or batches may help"
AGAIN = """The same command resumes an interrupted run, and prints a finished run's table again. The
trained model is the file model.npz in the run folder, or in its folder of each seed, for
trainers/predict.py and gnf_tf.models.load."""


@dataclasses.dataclass(frozen=True)
class Options:
    """The options that all trainers have. A trainer adds `dataset`, the name of its public data."""

    preset: Preset = "quick"
    """quick takes minutes on 2 cores; paper has the paper's sizes; best takes up to hours, see
    benchmarks/RESULTS.md"""
    run_dir: Path = None
    """folder for checkpoints, TensorBoard, results and the trained model; default: runs/..."""
    data: Path = None
    """file or folder of your own data, used in place of the public data; README.md lists the
    formats"""
    fractions: options.Fractions = (0.8, 0.1, 0.1)
    """shares of your own data for training, validation and test, drawn by the seed, if the file
    does not name these sets"""

    def __post_init__(self):
        options.check(self)

    @property
    def title(self) -> str:
        """The name of the training data in results."""
        return self.dataset if self.data is None else str(self.data)

    def contents(self) -> dict[str, Any]:
        """Returns digests of the user's files: a run belongs to their contents, not to paths."""
        return {} if self.data is None else {"data_digest": digest(self.data)}

    def placed(self, *names: str, **changes: Any) -> Self:
        """Returns the options with a run folder, which is named after the run unless it was given.

        Args:
          *names: the trainer; its public data, which the name of `data` replaces; and what else
            distinguishes runs.
          **changes: new values of further options.
        """
        run_dir, (trainer, data, *rest) = self.run_dir, names
        if run_dir is None:
            if self.data is not None:
                data = f"{self.data.stem}-{digest(self.data)}"
            run_dir = pathlib.Path("runs") / "-".join([trainer, data, self.preset, *rest])
        if self.data is not None and self.data.resolve() in run_dir.resolve().parents:
            raise UserError(f"--run-dir must not be in the folder that is read, got {run_dir}")
        return dataclasses.replace(self, run_dir=run_dir, **changes)

    def check_source(self, default: Self, *public: str) -> None:
        """Checks that no option is given that would be ignored.

        Args:
          default: the options of the preset.
          *public: names of the options that are for the public data only. `fractions` is for the
            user's own data only.

        Raises:
          UserError: if such an option has another value than in `default`.
        """
        names, source, beside = ["fractions"], "your own", "without"
        if self.data is not None:
            names, source, beside = [*public], "the public", "with"
        usual = flat(default)
        for name, value in flat(self).items():
            if name in names and value != usual[name]:
                raise UserError(
                    f"{as_option(name)} is for {source} data and must be left out {beside} --data, "
                    f"got {value}"
                )

    def parts(self, number: int, seed: int) -> list[np.ndarray]:
        """Returns the numbers of the training, validation and test members of the user's data.

        They are drawn, but for test members that an npz file marks as such.

        Args:
          number: how many members the data have.
          seed: seed of the random parts.

        Raises:
          UserError: if a part is empty.
        """
        marked = marked_as_test(self.data)
        try:
            if marked is None:
                return random_parts(number, self.fractions, seed)
            train, validation, _ = self.fractions
            others = np.flatnonzero(~marked)
            shares = (train / (train + validation), validation / (train + validation))
            drawn = random_parts(len(others), shares, seed)
        except ValueError as error:
            raise UserError(f"--fractions: {error}") from error
        if not marked.any():
            raise UserError(f"--data must have test members, got no `is_test` in {self.data}")
        return [*(others[part] for part in drawn), np.flatnonzero(marked)]

    def folders(self) -> Iterator[pathlib.Path]:
        """Yields the folder of each seed's model; without `seeds`, the run folder itself."""
        for seed in getattr(self, "seeds", [None]):
            yield self.run_dir if seed is None else self.run_dir / f"seed{seed}"


def parse(
    presets: Mapping[str, Config],
    description: str,
    variants: Mapping[str, Callable[[Config], Config]] | None = None,
) -> Config:
    """Returns the options of the command line, which override the values of the chosen preset.

    Args:
      presets: values by the name of the preset.
      description: head of the help page.
      variants: for a value of `--model`, a function that adapts the preset's values to it.

    Raises:
      UserError, OptionError: for a wrong option, or a path in the home of an unknown user.
    """
    chosen, _ = _parsed(_Choice, return_unknown_args=True, add_help=False)
    preset = dataclasses.replace(presets[chosen.preset], preset=chosen.preset)
    if chosen.model in (variants or {}):
        preset = variants[chosen.model](preset)
    return command_line(type(preset), f"{description}\n{AGAIN}", default=preset)


@dataclasses.dataclass(frozen=True)
class _Choice:
    preset: Preset = "quick"
    model: str = ""


def command_line(kind: type[Any], description: str, **arguments: Any) -> Any:
    """Returns the instance of a dataclass that the command line describes; expands `~` in paths.

    Raises:
      UserError, OptionError: for a wrong option, or a path in the home of an unknown user.
    """
    for before, word in itertools.pairwise(sys.argv):
        if word == "" or re.fullmatch("--[^=]*=", word):  # as a path it would be the working folder
            option = word.strip("=") or (before if before.startswith("--") else "an argument")
            raise UserError(f"{option} must have a value, got ''")
    config = _parsed(kind, description=description, **arguments)
    paths = {name: p for name, p in vars(config).items() if isinstance(p, pathlib.Path)}
    for name, path in paths.items():
        try:
            paths[name] = path.expanduser()
        except RuntimeError as error:
            raise options.OptionError(name, "in a home that is known", path) from error
    return dataclasses.replace(config, **paths)


def _parsed(kind, **arguments):
    names = [as_option(name) for name in _shown(arguments.get("default", kind))]
    with _errors.on_parse_error(functools.partial(_refuse, names)):
        return tyro.cli(kind, **arguments)


def _shown(config):
    """Yields the names of the options that the help page lists."""
    hints = get_type_hints(
        config if isinstance(config, type) else type(config), include_extras=True
    )
    for field in dataclasses.fields(config):
        if dataclasses.is_dataclass(value := getattr(config, field.name, None)):
            yield from _shown(value)
        elif tyro.conf.Suppress not in getattr(hints[field.name], "__metadata__", ()):
            yield field.name


# What tyro calls the kinds of values in a help page, in words.
KINDS = {
    "INT": "a whole number",
    "FLOAT": "a number",
    "{None}|INT": "a whole number or None",
    "{None}|FLOAT": "a number or None",
    "{None,True,False}": "True or False, or None",
    "[True|False]": "True or False, or be given alone",
    "INT [INT ...]": "whole numbers with blanks between them",
    "[INT [INT ...]]": "whole numbers with blanks between them",
    "FLOAT FLOAT FLOAT": "three numbers with blanks between them",
    "[STR STR [STR STR ...]]": "pairs of words with blanks between them",
}


def _refuse(names: list[str], event: _errors.ParseErrorEvent) -> NoReturn:
    """Raises an error of one line before tyro draws a box of many lines."""
    cause, argument = sys.exception(), getattr(event, "argument", None)
    if isinstance(cause, options.OptionError):
        raise cause
    name = argument.display_name() if argument else ""
    match event:
        case _errors.UnrecognizedArgs(tokens=[first, *_] as tokens):
            near = difflib.get_close_matches(first, names, n=1)
            hint = f"did you mean {near[0]}?" if near else "--help lists the options"
            message = f"unknown options: {' '.join(tokens)}; {hint}"
        case _errors.InvalidChoice(value=value, choices=choices):
            message = f"{name} must be one of {', '.join(choices)}, got {value!r}"
        case _errors.MissingArgs(missing_arguments=missing):
            message = f"{', '.join(m.arg.display_name() for m in missing)} must be given"
        case _errors.InstantiationFailure(message=reason):
            kind = argument.lowered.metavar if argument else ""
            given = re.search(r"\[(.*?)\]", reason) or re.search(r": ('.*')$", reason)
            got = f", got {given[1]}" if given else ""
            message = f"{name} must be {KINDS.get(kind, kind)}{got}"
        case _:
            kind = argument.lowered.metavar if argument else ""
            message = (
                f"{name} must be {KINDS[kind]}" if kind in KINDS else f"{name} must have a value"
            )
    raise UserError(message)


def as_option(name: str) -> str:
    """`train_size` -> `--train-size`."""
    return f"--{name.replace('_', '-')}"


def flat(config: Any) -> dict[str, Any]:
    """Returns the values of all options by name, those of nested dataclasses included."""
    values = {}
    for name, value in vars(config).items() if config is not None else ():
        values |= flat(value) if dataclasses.is_dataclass(value) else {name: value}
    return values


def digest(path: pathlib.Path) -> str:
    """Returns eight hexadecimal digits of the contents of the files that are read for a path.

    These are the file itself; all files of a data set in TU Dortmund's format that it belongs to;
    or all files of a folder, but those that are ignored.

    Raises:
      DataError: if it is missing.
    """
    if not path.exists():
        raise DataError(f"the data file {path} is missing")
    files, name = [path], tu_name(path.name)
    if path.is_dir():
        files = sorted(files_in(path))
    elif name:
        files = sorted(f for f in path.parent.glob("*.txt") if f.name.startswith(f"{name}_"))
    value = 0
    for file in files:
        value = zlib.crc32(file.read_bytes(), value)
    return f"{value:08x}"


def run(main: Callable[[], None]) -> None:
    """Calls `main`; an error that the user can mend becomes one line on stderr, exit status 1."""
    try:
        main()
    except (UserError, DataError) as error:
        message = str(error)
    except options.OptionError as error:
        message = f"{as_option(error.option)} must be {error.expected}, got {error.value}"
    except OSError as error:
        message = f"{error.strerror or error}: {error.filename or ''}".rstrip(": ")
    except tf.errors.OpError as error:
        # TensorFlow's writers have their own classes for a full disk or a missing folder.
        message = error.message.splitlines()[0] if error.message else type(error).__name__
        if message.startswith("Graph execution error"):
            if not isinstance(error, tf.errors.ResourceExhaustedError):
                raise  # users can't mend it, and whoever mends it needs the traceback
            message = TOO_LITTLE_MEMORY
    except MemoryError:
        message = TOO_LITTLE_MEMORY
    except KeyboardInterrupt:
        print("interrupted; the same command resumes this run", file=sys.stderr)
        sys.exit(130)
    else:
        return
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(1)
