"""Runs of the trainers: one model for each seed, in a folder for each, whose results are kept."""

import contextlib
import dataclasses
import functools
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

from gnf_tf.errors import UserError
from gnf_tf.training import distribution, environment, open_run, read_json, write_json
from trainers import cli
from trainers.cli import Config

__all__ = ["once", "replicas", "train"]

# A run may be resumed with other values of these options, because they change no result.
FREE = ("run_dir", "data_dir", "data", "targets", "checkpoint_minutes", "strategy")

CONFIG = "config.json"  # the options of the run that a folder holds


def once(
    config: Config, load: Callable[[], tuple], compute: Callable[..., dict[str, Any]]
) -> dict[str, Any]:
    """Returns the content of results.json in the run folder, `compute(*load())`, computed once.

    It is computed again if results.json or the model is missing or damaged.

    Raises:
      UserError: if the folder can't be written, or holds a run with other options.
    """
    path = config.run_dir / "results.json"
    _refuse_others(config, f"seed*/{CONFIG}")
    # Data are loaded first, so that an error in them leaves no folder behind.
    # A run whose model was deleted is finished again, from its last checkpoint.
    results = _finished(config.run_dir)
    data = None if results else load()
    own = config.run_dir / CONFIG
    is_new = not own.exists()
    open_run(config.run_dir, cli.flat(config) | config.contents(), name=CONFIG, free=FREE)
    if results:
        return results
    try:
        return write_json(path, compute(*data) | environment())
    except Exception:
        # Without a training, the folder is free for a run with other options.
        if is_new and list(config.run_dir.iterdir()) == [own]:
            own.unlink()
            config.run_dir.rmdir()
        raise


def _finished(folder):
    """The content of results.json, or None if it or the model is missing or damaged."""
    try:
        results = read_json(folder / "results.json")
    except (OSError, UserError):
        return None
    is_whole = isinstance(results, dict) and "command" in results  # as `environment` adds it
    return results if is_whole and zipfile.is_zipfile(folder / "model.npz") else None


def _refuse_others(config, pattern):
    """Trainers with --seeds keep their runs in folders of the run folder, the others in itself."""
    if any(config.run_dir.glob(pattern)):
        raise UserError(
            f"the run folder {config.run_dir} holds a run of another trainer; choose another run "
            "folder"
        )


def train(
    config: Config,
    load: Callable[[Config, int], tuple],
    train_and_evaluate: Callable[..., dict[str, Any]],
    summarize: Callable[[Config, list[dict[str, Any]]], dict[str, Any]],
) -> dict[str, Any]:
    """Trains one model for each seed, in a folder for each, and summarizes their results.

    A seed whose folder has results and a model is not trained again.

    Args:
      config: options with `seeds`. `load` and `train_and_evaluate` get them with one seed, and
        the folder of that seed as run folder.
      load: function of the options and the seed, which returns data.
      train_and_evaluate: function of the options, the seed and the data, which returns the
        content of results.json in the seed's folder.
      summarize: function of `config` and the results of all seeds, which returns a summary.

    Returns:
      The content of results.json in the run folder: the summary, and `runs`, the results of all
      seeds.
    """
    _refuse_others(config, CONFIG)
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
    """In this context, models are made on all replicas, see `distribution.joined`."""
    values = {name: value for name, value in cli.flat(config).items() if name not in FREE}
    with distribution.joined(
        getattr(config, "strategy", "none"),
        config.run_dir,
        batch_size=config.settings.batch_size,
        values=values,
    ) as folder:
        yield dataclasses.replace(config, run_dir=folder)
