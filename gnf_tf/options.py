"""Types for the fields of a configuration that carry the rules which their values must follow."""

import dataclasses
import math
import numbers
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np

__all__ = [
    "AtLeast0",
    "AtLeast2",
    "Count",
    "Even",
    "Fractions",
    "NotNegative",
    "OptionError",
    "Positive",
    "Rule",
    "Seed",
    "Seeds",
    "Share",
    "ShareOfAll",
    "Weights",
    "check",
    "check_argument",
    "rules_of",
    "truth",
]


class OptionError(ValueError):
    """A field of a configuration has a value that breaks a rule.

    Attributes:
      option: name of the field.
      expected: the rule in words.
      value: the value of the field.
    """

    def __init__(self, option: str, expected: str, value: Any):
        super().__init__(f"`{option}` must be {expected}, got {value!r}")
        self.option, self.expected, self.value = option, expected, value


@dataclasses.dataclass(frozen=True)
class Rule:
    """A condition in the `Annotated` type of a field.

    Attributes:
      words: the condition in words, after "must be".
      holds: whether a value satisfies the condition.
    """

    words: str
    holds: Callable[[Any], bool]


def _at_least(least):
    return Rule(f"at least {least}", lambda value: value >= least)


def _at_most(most):
    return Rule(f"at most {most}", lambda value: value <= most)


_INT32 = _at_most(np.iinfo(np.int32).max)
_FLOAT32 = _at_most(float(np.finfo(np.float32).max))  # TensorFlow computes in float32

Count = Annotated[int, _at_least(1), _INT32]
AtLeast0 = Annotated[int, _at_least(0), _INT32]
AtLeast2 = Annotated[int, _at_least(2), _INT32]
Even = Annotated[int, _at_least(2), Rule("even", lambda value: value % 2 == 0), _INT32]
Positive = Annotated[float, Rule("positive", lambda value: value > 0), _FLOAT32]
NotNegative = Annotated[float, _at_least(0), _FLOAT32]
Share = Annotated[float, Rule("in [0, 1)", lambda value: 0 <= value and np.float32(value) < 1)]
ShareOfAll = Annotated[float, Rule("in (0, 1]", lambda value: 0 < value <= 1)]
Seed = Annotated[int, Rule("a whole number, 0 or more", lambda seed: seed >= 0)]
Seeds = Annotated[
    tuple[int, ...],
    Rule(
        "different whole numbers, 0 or more",
        lambda seeds: 0 < len(seeds) == len(set(seeds)) and min(seeds) >= 0,
    ),
]
Fractions = Annotated[
    tuple[float, float, float],
    Rule(
        "three positive numbers with a sum of at most 1",
        lambda parts: (
            isinstance(parts, Sequence)
            and len(parts) == 3
            and all(_is_finite(part) and part > 0 for part in parts)
            and sum(parts) <= 1 + 1e-9
        ),
    ),
]
Weights = Annotated[
    dict[str, float],
    Rule(
        "positive numbers by name",
        lambda weights: (
            isinstance(weights, Mapping)
            and all(isinstance(name, str) for name in weights)
            and all(_is_finite(weight) and weight > 0 for weight in weights.values())
        ),
    ),
]


def check(config: Any) -> None:
    """Checks every field of a dataclass against the rules in its annotation.

    A configuration calls this function in its `__post_init__`. NumPy's numbers become Python's,
    which JSON files hold.

    >>> @dataclasses.dataclass
    ... class Config:
    ...     epochs: Count = 0
    >>> check(Config())
    Traceback (most recent call last):
    gnf_tf.options.OptionError: `epochs` must be at least 1, got 0

    Args:
      config: a dataclass instance.

    Raises:
      OptionError: if a value breaks a rule. The message names the field, the rule and the value.
    """
    hints = typing.get_type_hints(type(config), include_extras=True)
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if isinstance(value, np.generic):
            value = value.item()
            object.__setattr__(config, field.name, value)  # also where it is frozen
        check_argument(field.name, hints[field.name], value)


def check_argument(name: str, hint: Any, value: Any) -> None:
    """Raises an OptionError, a ValueError, if an argument breaks a rule of its type `hint`."""
    for rule in rules_of(hint):
        if not rule.holds(value):
            raise OptionError(name, rule.words, value)


def truth(argument: str, function: Callable[[Any], bool], value: Any) -> bool:
    """Returns `function(value)`, which must be True or False, where an argument is a function.

    Others, such as the pairs of `nx.check_planarity`, would count as true, whatever they say.

    Raises:
      ValueError: naming the argument, if the function returns anything else.
    """
    found = function(value)
    if not isinstance(found, bool | np.bool_):
        raise ValueError(f"`{argument}` must return True or False, got {found!r:.80}")
    return bool(found)


def rules_of(hint: Any) -> Iterator[Rule]:
    """The rules of a type such as `Annotated[int, Rule(...)] | None`.

    The rule of the underlying type, such as "a whole number", comes first.
    """
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        yield from rules_of(parts[0])
        yield from (part for part in parts[1:] if isinstance(part, Rule))
    elif origin in (types.UnionType, typing.Union) and type(None) in parts:
        for part in parts:
            for rule in rules_of(part) if part is not type(None) else ():
                yield Rule(rule.words, _or_none(rule))
    elif origin is Literal:
        yield Rule(f"one of {', '.join(map(repr, parts))}", lambda value: value in parts)
    elif hint is bool:
        yield Rule("True or False", lambda value: isinstance(value, bool | np.bool_))
    elif hint is int:
        yield Rule("a whole number", _is_whole)
    elif hint is float:
        yield Rule("a finite number", _is_finite)


def _or_none(rule):
    return lambda value: value is None or rule.holds(value)


def _is_whole(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool | np.bool_)


def _is_finite(value):
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
    return is_real and math.isfinite(value)
