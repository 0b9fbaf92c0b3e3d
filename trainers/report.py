"""Training by the options of a trainer, and its results as text and as JSON."""

import contextlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gnf_tf import training
from gnf_tf.errors import UserError
from gnf_tf.models.saving import Model
from gnf_tf.training import History
from trainers.cli import Options, as_option

__all__ = ["as_options", "fit", "show", "table", "text", "trained"]


@contextlib.contextmanager
def as_options(name: str) -> Iterator[None]:
    """In this context, a ValueError becomes a UserError that names this option."""
    try:
        yield
    except ValueError as error:
        raise UserError(f"{as_option(name)}: {error}") from error


def trained(history: History) -> dict[str, Any]:
    """Returns what results.json records of a training."""
    return {
        "weights": history.weights,
        "epochs": history.epochs,
        "training_seconds": history.seconds,
        "best_validation": history.best,
        "input_wait_share": history.input_wait_share,
        **history.diagnostics,
    }


def fit(
    model: Model, train: Any, validation: Any, config: Options, seed: int, **settings: Any
) -> History:
    """Calls `training.fit` with the options, and with `settings`, which override theirs."""
    return training.fit(
        model,
        train,
        validation,
        epochs=config.epochs,
        folder=config.run_dir,
        seed=seed,
        hparams={"preset": config.preset, "data": config.title},
        **vars(config.settings) | settings,
    )


def text(value: Any, form: str, error: float | None = None) -> str:
    """Formats a value, and its error if there is one; None, null in a JSON file, becomes "-"."""
    shown = "-" if value is None else format(value, form)
    return shown if error is None else f"{shown} +- {error:{form}}"


def table(rows: Sequence[Mapping[str, Any]], *columns: tuple[str, str, str]) -> str:
    """Returns a line of headings and a line for each row.

    Args:
      rows: values by name.
      *columns: heading, name of the values and their format; a column without a format has text,
        which is flush left.
    """
    cells = [[heading for heading, _, _ in columns]]
    cells += [[text(row.get(name), form) for _, name, form in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    aligned = [f"{'>' if form else '<'}{w}" for (*_, form), w in zip(columns, widths, strict=True)]
    return "\n".join("  ".join(map(format, line, aligned)).rstrip() for line in cells)


def show(config: Options, results: str, example: str, out: str = "predictions.csv") -> None:
    """Prints the results, and commands that show the curves and use the model.

    Args:
      config: the options.
      results: the results as text.
      example: input for `trainers/predict.py`, such as the name of a file.
      out: name of the file that it writes.
    """
    model = shlex.quote(str(next(config.folders()) / "model.npz"))
    print(f"\n{results}")
    print(f"curves and figures: tensorboard --logdir {shlex.quote(str(config.run_dir))}")
    print(f"use the model: python trainers/predict.py {model} {example} --out {out}")
