"""What the trainers' options may be: the rules of a number stand in its type."""

import dataclasses
import pathlib
import typing
from collections.abc import Callable, Iterator
from typing import Annotated, Any, TypeVar

import numpy as np

from trainers.common import UserError

__all__ = [
    "AtLeast0",
    "AtLeast2",
    "Count",
    "Even",
    "NotNegative",
    "Positive",
    "Rule",
    "Seed",
    "Seeds",
    "Share",
    "ShareOfAll",
    "checked",
    "rules_of",
]

Config = TypeVar("Config")


@dataclasses.dataclass(frozen=True)
class Rule:
    """In the `Annotated` type of an option: `--option must be {words}`, where `holds(value)`."""

    words: str
    holds: Callable[[Any], bool]


def _at_least(least):
    return Rule(f"at least {least}", lambda value: value >= least)


def _at_most(most):
    return Rule(f"at most {most}", lambda value: value <= most)


_SEED_LIMIT = 2**63  # see gnf_tf.seeds
_INT32 = _at_most(np.iinfo(np.int32).max)
_FLOAT32 = _at_most(float(np.finfo(np.float32).max))  # what TensorFlow computes with

Count = Annotated[int, _at_least(1), _INT32]
AtLeast0 = Annotated[int, _at_least(0), _INT32]
AtLeast2 = Annotated[int, _at_least(2), _INT32]
Even = Annotated[int, _at_least(2), Rule("even", lambda value: value % 2 == 0), _INT32]
Positive = Annotated[float, Rule("positive", lambda value: value > 0), _FLOAT32]
NotNegative = Annotated[float, _at_least(0), _FLOAT32]
Share = Annotated[float, Rule("in [0, 1)", lambda value: 0 <= value and np.float32(value) < 1)]
ShareOfAll = Annotated[float, Rule("in (0, 1]", lambda value: 0 < value <= 1)]
Seed = Annotated[
    int,
    Rule(f"a whole number from 0 to {_SEED_LIMIT - 1}", lambda seed: 0 <= seed < _SEED_LIMIT),
]
Seeds = Annotated[
    tuple[int, ...],
    Rule(
        f"different whole numbers from 0 to {_SEED_LIMIT - 1}",
        lambda seeds: (
            0 < len(seeds) == len(set(seeds)) and 0 <= min(seeds) <= max(seeds) < _SEED_LIMIT
        ),
    ),
]


def rules_of(option_type: Any) -> Iterator[Rule]:
    """The rules in a type such as `Annotated[int, Rule(...)] | None`."""
    for part in typing.get_args(option_type):
        if isinstance(part, Rule):
            yield part
        else:
            yield from rules_of(part)


def checked(config: Config) -> Config:
    """The options, after each is checked by its own rules; in paths ~ is the user's home.

    Args:
      config: a dataclass; an option that is None has no value to check.

    Raises:
      UserError: naming the option, its value and the rule, or a path whose user is unknown.
    """
    types = typing.get_type_hints(type(config), include_extras=True)
    paths = {}
    for name, value in vars(config).items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, pathlib.Path):
            try:
                paths[name] = value.expanduser()
            except RuntimeError as error:
                raise UserError(f"{option} must be in a home that is known, got {value}") from error
        for rule in rules_of(types[name]):
            if value is not None and not rule.holds(value):
                raise UserError(f"{option} must be {rule.words}, got {value}")
    return dataclasses.replace(config, **paths)
