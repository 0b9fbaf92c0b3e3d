"""Results as text and as JSON, of all trainers."""

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Any

from gnf_tf.errors import UserError
from gnf_tf.training import History
from trainers.cli import as_option

__all__ = ["as_options", "trained", "where"]


@contextlib.contextmanager
def as_options(name: str) -> Iterator[None]:
    """Within it, a ValueError is about the option of that name."""
    try:
        yield
    except ValueError as error:
        raise UserError(f"{as_option(name)}: {error}") from error


def trained(history: History) -> dict[str, Any]:
    """What results.json holds of a training."""
    return {
        "weights": history.weights,
        "epochs": history.epochs,
        "training_seconds": history.seconds,
        "best_validation": history.best,
        "input_wait_share": history.input_wait_share,
        **history.diagnostics,
    }


def where(
    run_dir: pathlib.Path,
    example: str,
    model: pathlib.Path | None = None,
    out: str = "predictions.csv",
) -> None:
    """Prints where the curves and the model are, and how to use it.

    Args:
      run_dir: the run folder.
      example: name of a file that the model could be asked about, or another input.
      model: of the first seed; default: that of the run folder.
      out: name of a file for the answers.
    """
    model = model or run_dir / "model.npz"
    print(f"curves and figures: tensorboard --logdir {run_dir}")
    print(f"use the model: python trainers/predict.py {model} {example} --out {out}")
