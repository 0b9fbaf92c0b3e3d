"""Model files: a header, arrays of statistics, and weights by attribute path, in one npz."""

import abc
import dataclasses
import json
import os
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import tensorflow as tf

from gnf_tf.files import json_value, user_path, whole_file

__all__ = ["Model", "Saved", "assign", "load", "named_variables", "read", "write"]

_FORMAT = "gnf_tf.model 1"
_HEADER, _STATISTICS, _WEIGHTS = "header", "statistics/", "weights/"
# Arguments that files of earlier versions lack, by class; the constructor knows their values there.
_LATER = {
    "GraphDensity": {"edge_units", "global_units"},
    "GraphGenerator": {"stage", "draws_edges"},
    "MoleculeRegressor": {"readouts", "extent_weights", "training_ranges"},
    "NodeClassifier": {"feature_units"},
}


class Saved(NamedTuple):
    """The contents of a model file."""

    header: dict[str, Any]
    """format, class, configuration and arguments, as JSON values"""
    statistics: dict[str, np.ndarray]
    """arrays that the model needs besides its weights, by name"""
    weights: dict[str, np.ndarray]
    """weights by attribute path, see `named_variables`"""


def named_variables(module: tf.Module) -> dict[str, tf.Variable]:
    """Returns all variables by attribute path, such as "auto_encoder._encoder._layers.0.w".

    Attributes are visited in alphabetical order, and a variable with several paths has the first.
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
    """Writes a model file, an npz file without pickles, atomically.

    Args:
      path: path of the file; `~` is the home folder.
      header: JSON values; numbers may be NumPy's.
      statistics: arrays that the model needs besides its weights.
      module: the module whose variables are the weights.

    Raises:
      OSError: if the file can't be written.
    """
    arrays: dict[str, Any] = {_HEADER: json.dumps(header, default=json_value)}
    arrays |= {_STATISTICS + name: values for name, values in statistics.items()}
    for name, variable in named_variables(module).items():
        arrays[_WEIGHTS + name] = variable.numpy()
    with whole_file(path) as file:
        np.savez(file, **arrays)


def read(path: str | os.PathLike) -> Saved:
    """Reads a file of `write`.

    Args:
      path: path of the file; `~` is the home folder.

    Raises:
      FileNotFoundError: if the file does not exist.
      ValueError: if the file is damaged or of another kind.
    """
    path = user_path(path)
    if path.is_dir():
        raise ValueError(f"`path` {path} is a folder, expected a file such as {path / 'model.npz'}")
    try:
        with open(path, "rb") as file:
            if not zipfile.is_zipfile(file):
                raise ValueError("expected an npz file of `save`, got other contents")
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        if _HEADER not in arrays:
            raise ValueError(f"it has no array `{_HEADER}`")
        header = json.loads(str(arrays.pop(_HEADER)))
        if not isinstance(header, dict):
            raise ValueError("its header is not a JSON object")
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
        raise ValueError(f"`path` {path} is no complete model file: {error}") from error
    return Saved(header, parts[_STATISTICS], parts[_WEIGHTS])


def assign(module: tf.Module, weights: Mapping[str, np.ndarray]) -> None:
    """Assigns the weights of a file to the variables of `module`, all or none.

    Args:
      module: the module to change.
      weights: arrays by attribute path, see `named_variables`.

    Raises:
      ValueError: if a weight is missing, unknown, not finite, or of another shape or dtype.
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


class Model(tf.Module, abc.ABC):
    """A model that one file holds completely.

    A subclass has the constructor `cls(**arguments, config=config)`, which needs no data and makes
    all variables, so that `load` can construct the model from its file.

    Attributes:
      config: sizes and choices, a frozen dataclass, an instance of `config_class`.
      found_arguments: names of `arguments` that a training or a calibration finds.
      feature_names: names of the node features, if somebody has given them; a record, which its
        file keeps. The trainers set it for data whose features have names.
    """

    config_class: ClassVar[type]
    found_arguments: ClassVar[tuple[str, ...]] = ()
    config: Any
    feature_names: tuple[str, ...] | None = None
    _classes: ClassVar[dict[str, type["Model"]]] = {}

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        Model._classes.setdefault(cls.__name__, cls)  # a user's class may have the same name

    @abc.abstractmethod
    def arguments(self) -> dict[str, Any]:
        """Returns the constructor's arguments besides `config`: numpy arrays and JSON values."""

    @classmethod
    def checked_config(cls, config: Any) -> Any:
        """Returns `config`, or the default configuration for None.

        Raises:
          ValueError: if `config` is the configuration of another model, or none.
        """
        if config is None:
            return cls.config_class()
        if not isinstance(config, cls.config_class):
            expected = cls.config_class.__name__
            raise ValueError(f"`config` must be a {expected}, got {config!r:.80}")
        return config

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Returns a model of the same numbers, as from its file; what is compiled is not copied."""
        twin = memo[id(self)] = type(self)(**self.arguments(), config=self.config)
        for variable, value in zip(twin.variables, self.variables, strict=True):
            variable.assign(value)
        twin.feature_names = self.feature_names
        return twin

    def save(self, path: str | os.PathLike) -> None:
        """Writes the model to one npz file, atomically; `gnf_tf.models.load` reads it.

        Args:
          path: path of the file; `~` is the home folder.

        Raises:
          OSError: if the file can't be written.
        """
        arguments = self.arguments()
        statistics = {k: v for k, v in arguments.items() if isinstance(v, np.ndarray)}
        header = {
            "format": _FORMAT,
            "class": type(self).__name__,
            "config": dataclasses.asdict(self.config),
            "arguments": {k: v for k, v in arguments.items() if k not in statistics},
        }
        if self.feature_names is not None:
            header["feature_names"] = list(self.feature_names)
        write(path, header, statistics, self)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Self:
        """Loads a model of this class; use `gnf_tf.models.load` for a model of any class.

        Args:
          path: path of the file; `~` is the home folder.

        Raises:
          FileNotFoundError: if the file does not exist.
          ValueError: if the file is damaged, or holds a model of another class.
        """
        model = load(path)
        if not isinstance(model, cls):
            raise ValueError(f"{path} holds a {type(model).__name__}, not a {cls.__name__}")
        return model


def load(path: str | os.PathLike) -> Model:
    """Loads a model of any class from a file of `Model.save`.

    On the same machine, the loaded model gives bit-identical results.

    Args:
      path: path of the file; `~` is the home folder.

    Raises:
      FileNotFoundError: if the file does not exist.
      ValueError: if the file is damaged, its format or class is unknown, or an argument or a weight
        is missing, unknown, or of another shape or dtype.
    """
    header, statistics, weights = read(path)
    try:
        header, statistics, weights = _upgraded(header, statistics, weights)
        if header.get("format") != _FORMAT:
            raise ValueError(f"its format is {header.get('format')!r}, expected {_FORMAT!r}")
        if header["class"] not in Model._classes:
            known = ", ".join(sorted(Model._classes))
            raise ValueError(f"its class is {header['class']!r}, expected one of {known}")
        model_class = Model._classes[header["class"]]
        config = model_class.config_class(**header["config"])
        model = model_class(**header["arguments"], **statistics, config=config)
        given = {*header["arguments"], *statistics, *_LATER.get(header["class"], ())}
        if missing := model.arguments().keys() - given:
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
        if all(name.startswith("weight_") for name in weights):  # GraphGenerator's format 1
            names = enumerate(named_variables(model))
            places = {f"weight_{place:04d}": name for place, name in names}
            weights = {places.get(key, key): values for key, values in weights.items()}
        assign(model, weights)
        if (names := header.get("feature_names")) is not None:
            model.feature_names = tuple(map(str, names))
    except (
        *(ValueError, KeyError, TypeError, AttributeError, OverflowError, MemoryError),
        tf.errors.OpError,
    ) as error:
        raise ValueError(f"`path` {user_path(path)} is no complete model file: {error}") from error
    return model


def _upgraded(header, statistics, weights):
    """Converts the contents of a file in an older format to the present format."""
    if header.get("format") in ("gnf_tf.GraphGenerator 1", "gnf_tf.GraphGenerator 2"):
        if header["format"].endswith("1"):
            statistics = {"n_node": weights.pop("n_node")}
        header = {
            "format": _FORMAT,
            "class": "GraphGenerator",
            "config": header["config"],
            "arguments": {"max_num_nodes": header["max_num_nodes"]},
        }
    return header, statistics, weights
