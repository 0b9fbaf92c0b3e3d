"""What the trainers share: command lines, errors as one line, a result that is computed once."""

import contextlib
import dataclasses
import difflib
import functools
import pathlib
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, NoReturn, Self, TypeVar

import tensorflow as tf
import tyro
from tyro import _errors as wrong  # private: the hook that tyro has for words of one's own

from gnf_tf import options
from gnf_tf.errors import DataError, UserError
from gnf_tf.training import distribution, environment, open_run, read_json, write_json

__all__ = [
    "FLAT",
    "Options",
    "as_option",
    "command_line",
    "digest",
    "flat",
    "once",
    "parse",
    "replicas",
    "run",
    "train",
]

Config = TypeVar("Config", bound="Options")
FLAT = tyro.conf.arg(name="")  # the options of a part stand among the others
Path = Annotated[pathlib.Path | None, tyro.conf.arg(metavar="PATH")]
# Options that change no number: a run may be resumed with others.
FREE = ("run_dir", "data_dir", "data", "targets", "checkpoint_minutes", "strategy")

AGAIN = """The same command resumes an interrupted run, and prints a finished run's table again. The
trained model is the file model.npz in the run folder, or in its folder of each seed, for
trainers/predict.py and gnf_tf.models.load."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Those that every trainer has; each adds `dataset`, the name of the trainer's own data."""

    preset: Literal["quick", "paper", "best"] = "quick"
    """quick: minutes on 2 cores; paper: its sizes; best: up to hours, see benchmarks/RESULTS.md"""
    run_dir: Path = None
    """folder of checkpoints, TensorBoard, results and the trained model; default: one in runs"""
    data: Path = None
    """file or folder of own data, in place of the trainer's; DATA.md has the formats"""
    fractions: options.Fractions = (0.8, 0.1, 0.1)
    """shares of own data for training, validation and test, drawn by the seed, where the file
    doesn't say what is for which"""

    def __post_init__(self):
        options.check(self)

    @property
    def title(self) -> str:
        """What is trained on, as results name it."""
        return self.dataset if self.data is None else str(self.data)

    def placed(self, *names: str, **changes: Any) -> Self:
        """These with the default run folder, unless another was given.

        Args:
          *names: the trainer; its data, in place of which own data are named; then what else
            tells runs apart.
          **changes: of further options.
        """
        run_dir, (trainer, data, *rest) = self.run_dir, names
        if run_dir is None:
            if self.data is not None:
                data = f"{self.data.stem}-{digest(self.data)}"
            run_dir = pathlib.Path("runs") / "-".join([trainer, data, self.preset, *rest])
        return dataclasses.replace(self, run_dir=run_dir, **changes)

    def folders(self) -> Iterator[pathlib.Path]:
        """Of the models, one for each seed; of a trainer of a single one the run folder."""
        for seed in getattr(self, "seeds", [None]):
            yield self.run_dir if seed is None else self.run_dir / f"seed{seed}"


def parse(
    presets: Mapping[str, Config],
    description: str,
    variants: Mapping[str, Callable[[Config], Config]] | None = None,
) -> Config:
    """The command line's configuration: the chosen preset's values, each option overriding one.

    Args:
      presets: name -> values; the first one is used without `--preset`.
      description: head of the help page.
      variants: value of `--model` -> what the preset is for it, where it isn't as it stands.

    Raises:
      UserError, OptionError: for a wrong option, or a path in a home that is unknown.
    """
    default = _Choice(next(iter(presets)))
    chosen, _ = _parsed(_Choice, default=default, return_unknown_args=True, add_help=False)
    if chosen.preset not in presets:
        raise UserError(f"--preset must be one of {', '.join(presets)}, got {chosen.preset!r}")
    preset = dataclasses.replace(presets[chosen.preset], preset=chosen.preset)
    if chosen.model in (variants or {}):
        preset = variants[chosen.model](preset)
    return command_line(type(preset), f"{description}\n{AGAIN}", default=preset)


@dataclasses.dataclass(frozen=True)
class _Choice:
    preset: str
    model: str = ""


def command_line(kind: type[Any], description: str, **arguments: Any) -> Any:
    """The command line's instance of a dataclass; `~` in its paths is the user's home.

    Raises:
      UserError, OptionError: for a wrong option, or a path in a home that is unknown.
    """
    config = _parsed(kind, description=description, **arguments)
    paths = {name: p for name, p in vars(config).items() if isinstance(p, pathlib.Path)}
    for name, path in paths.items():
        try:
            paths[name] = path.expanduser()
        except RuntimeError as error:
            raise options.OptionError(name, "in a home that is known", path) from error
    return dataclasses.replace(config, **paths)


def _parsed(kind, **arguments):
    names = [as_option(name) for name in flat(arguments.get("default"))]
    with wrong.on_parse_error(functools.partial(_refuse, names)):
        return tyro.cli(kind, **arguments)


def _refuse(names: list[str], event: wrong.ParseErrorEvent) -> NoReturn:
    """Raises in one line what tyro would draw as a box of many."""
    cause, argument = sys.exception(), getattr(event, "argument", None)
    if isinstance(cause, options.OptionError):
        raise cause
    name = argument.display_name() if argument else ""
    match event:
        case wrong.UnrecognizedArgs(tokens=[first, *_] as tokens):
            near = difflib.get_close_matches(first, names, n=1)
            hint = f"did you mean {near[0]}?" if near else "--help lists the options"
            message = f"unknown options: {' '.join(tokens)}; {hint}"
        case wrong.InvalidChoice(value=value, choices=choices):
            message = f"{name} must be one of {', '.join(choices)}, got {value!r}"
        case wrong.MissingArgs(missing_arguments=missing):
            message = f"{', '.join(m.arg.display_name() for m in missing)} must be given"
        case wrong.InstantiationFailure(message=reason):
            message = f"{name}: {reason}"
        case _:
            message = f"{name} must have a value"
    raise UserError(message)


def as_option(name: str) -> str:
    """`train_size` -> `--train-size`."""
    return f"--{name.replace('_', '-')}"


def flat(config: Any) -> dict[str, Any]:
    """All options by name, those of the parts among the others; of None, none."""
    values = {}
    for name, value in vars(config).items() if config is not None else ():
        values |= flat(value) if dataclasses.is_dataclass(value) else {name: value}
    return values


def once(
    config: Config, load: Callable[[], tuple], compute: Callable[..., dict[str, Any]]
) -> dict[str, Any]:
    """What results.json of the run folder holds: `compute(*load())`, unless it is there already.

    Raises:
      UserError: if the folder can't be written, or holds a run with other options.
    """
    path = config.run_dir / "results.json"
    # Before the folder is made, which data that can't be had leave as it is.
    data = None if path.exists() else load()
    # A run belongs to the contents of own data, not to their place.
    files = {name: getattr(config, name, None) for name in ("data", "targets")}
    digests = {f"{name}_digest": digest(file) for name, file in files.items() if file}
    open_run(config.run_dir, flat(config) | digests, free=FREE)
    if data is None:
        return read_json(path)
    return write_json(path, compute(*data) | environment())


def digest(path: pathlib.Path) -> str:
    """Eight hexadecimal digits of what a file, or all files of a folder, hold."""
    value = 0
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        value = zlib.crc32(file.read_bytes() if file.is_file() else b"", value)
    return f"{value:08x}"


def train(
    config: Config,
    load: Callable[[Config, int], tuple],
    train_and_evaluate: Callable[..., dict[str, Any]],
    summarize: Callable[[Config, list[dict[str, Any]]], dict[str, Any]],
) -> dict[str, Any]:
    """Trains a model for each seed, in a folder of its own, where that is not done yet.

    Args:
      config: options with `seeds`; each model's have the one seed and the folder.
      load: (options, seed) -> data.
      train_and_evaluate: (options, seed, *data) -> what results.json of the seed's folder holds.
      summarize: (config, those of all seeds) -> what results.json of the run folder holds besides.

    Returns:
      What it holds; `runs` are those of the seeds.
    """
    with replicas(config) as config:
        runs = []
        for seed, folder in zip(config.seeds, config.folders(), strict=True):
            one = dataclasses.replace(config, seeds=(seed,), run_dir=folder)
            make, compute = (functools.partial(f, one, seed) for f in (load, train_and_evaluate))
            runs.append({"seed": seed} | once(one, make, compute))
        shared = {"dataset": config.title, "preset": config.preset, "seeds": config.seeds}
        summary = shared | summarize(config, runs) | {"runs": runs}
        return write_json(config.run_dir / "results.json", summary)


@contextlib.contextmanager
def replicas(config: Config) -> Iterator[Config]:
    """Within it models are made on all replicas of `config.strategy`, see `distribution.joined`."""
    values = {name: value for name, value in flat(config).items() if name not in FREE}
    with distribution.joined(
        getattr(config, "strategy", "none"),
        config.run_dir,
        batch_size=config.settings.batch_size,
        values=values,
    ) as folder:
        yield dataclasses.replace(config, run_dir=folder)


def run(main: Callable[[], None]) -> None:
    """Calls `main`; what the user can mend ends as one line on stderr and exit status 1."""
    try:
        main()
    except (UserError, DataError) as error:
        message = str(error)
    except options.OptionError as error:
        message = f"{as_option(error.option)} must be {error.expected}, got {error.value}"
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
