"""A model as one file: a header, arrays of statistics, and the weights by attribute path."""

import json
import os
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from gnf_tf.files import user_path, whole_file

__all__ = ["Saved", "assign", "named_variables", "read", "write"]

_HEADER, _STATISTICS, _WEIGHTS = "header", "statistics/", "weights/"


class Saved(NamedTuple):
    """What a file holds."""

    header: dict[str, Any]
    """what JSON can say: format, configuration, names"""
    statistics: dict[str, np.ndarray]
    """arrays by name"""
    weights: dict[str, np.ndarray]
    """by attribute path, see `named_variables`"""


def named_variables(module: tf.Module) -> dict[str, tf.Variable]:
    """The variables by the attributes that lead to them, as "auto_encoder._encoder._layers.0.w".

    Each variable once, by the first path, where attributes are taken in alphabetical order.
    """
    found = tf.Module._flatten(
        module, predicate=lambda value: isinstance(value, tf.Variable), with_path=True
    )
    return {".".join(map(str, path)): variable for path, variable in found}


def write(
    path: str | os.PathLike,
    header: Mapping[str, Any],
    statistics: Mapping[str, np.ndarray],
    module: tf.Module,
) -> None:
    """Writes an npz file without pickles, whole or not at all.

    Args:
      path: of the file; `~` is the home folder.
      header: what JSON can say.
      statistics: arrays that the model needs besides its weights.
      module: whose variables are the weights.

    Raises:
      OSError: if the file can't be written.
    """
    arrays = {_STATISTICS + name: values for name, values in statistics.items()}
    for name, variable in named_variables(module).items():
        arrays[_WEIGHTS + name] = variable.numpy()
    with whole_file(path) as file:
        np.savez(file, **{_HEADER: json.dumps(header)}, **arrays)


def read(path: str | os.PathLike) -> Saved:
    """What `write` wrote.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it is damaged, or another kind of file.
    """
    path = user_path(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        header = json.loads(str(arrays.pop(_HEADER)))
        if not isinstance(header, dict):
            raise ValueError("its header is no object of JSON")
        parts: dict[str, dict[str, np.ndarray]] = {_STATISTICS: {}, _WEIGHTS: {}}
        for name, values in arrays.items():
            part = next((part for part in parts if name.startswith(part)), _WEIGHTS)
            parts[part][name.removeprefix(part)] = np.asarray(values)
    except FileNotFoundError:
        raise
    except (
        *(OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, RuntimeError),
        *(MemoryError, SyntaxError, tokenize.TokenError, zipfile.BadZipFile, zlib.error),
    ) as error:
        raise ValueError(f"{path} is no whole file of a saved model: {error}") from error
    return Saved(header, parts[_STATISTICS], parts[_WEIGHTS])


def assign(module: tf.Module, weights: Mapping[str, np.ndarray]) -> None:
    """Gives the variables of `module` the weights of a file, all or none.

    Args:
      module: to be changed.
      weights: by attribute path.

    Raises:
      ValueError: if one is missing, is not of this model, or has another shape or dtype, by name.
    """
    variables = named_variables(module)
    problems = [f"{name} is missing" for name in sorted(variables.keys() - weights.keys())]
    problems += [f"{name} is not of this model" for name in sorted(weights.keys() - variables)]
    for name, variable in variables.items():
        if name in weights:
            found = (weights[name].shape, weights[name].dtype)
            expected = (tuple(variable.shape), np.dtype(variable.dtype.as_numpy_dtype))
            if found != expected:
                problems.append(
                    f"{name} has shape {found[0]} and type {found[1]}, expected {expected[0]} "
                    f"and {expected[1]}"
                )
            elif not np.isfinite(weights[name]).all():
                problems.append(f"{name} has values that are not finite")
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ValueError(f"its weights don't fit: {'; '.join(problems[:3])}{more}")
    for name, variable in variables.items():
        variable.assign(weights[name])
