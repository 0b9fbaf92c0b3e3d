"""Every option of every trainer: a wrong value is one line before any work."""

import dataclasses
import importlib
import pathlib
import re
import sys
import typing

import pytest

from gnf_tf import options
from tests.trainer_cases import CASES as TRAINER_CASES
from tests.trainer_cases import TRAINERS
from trainers import cli

# Options whose least value is not 1, or not just above 0; those of a share end below 1.
LEAST = {
    "seed": 0,
    "seeds": 0,
    "num_basis": 2,
    "num_vectors": 0,
    "node_size": {"qm9": 2},
    "embedding_size": 2,
    "decoder_blocks": 0,
    "num_generated": 2,
    "validation_sets": 2,
    "test_sets": 2,
    "num_bins": 2,
    "rank_frequencies": 0,
    "walk_length": 0,
    "num_eigenvectors": 0,
    "l2": 0.0,
    "l2_embedding": 0.0,
    "embedding_noise": 0.0,
    "compactness": 0.0,
    "start_scale": 0.0,
    "checkpoint_minutes": 0.0,
}
SHARES = ("dropout", "feature_dropout", "ema_decay", "beta_2")  # in [0, 1)
LARGEST = {"beta": 1.0}
UNLIMITED = ("seed", "seeds")


def parts(hint):
    """The types that a type is made from: `Annotated[int, ...] | None` -> int, NoneType."""
    if typing.get_origin(hint) is typing.Literal:
        return
    arguments = typing.get_args(hint)
    if not arguments:
        yield hint
    for argument in arguments:
        if isinstance(argument, type) or typing.get_args(argument):
            yield from parts(argument)


def hints_of(config):
    """Option -> type, those of the parts among the others."""
    hints = typing.get_type_hints(config, include_extras=True)
    found = {}
    for field in dataclasses.fields(config):
        kind = hints[field.name]
        part = typing.get_args(kind)[0] if typing.get_args(kind) else None
        found |= hints_of(part) if dataclasses.is_dataclass(part) else {field.name: kind}
    return found


def numeric_options(trainer):
    """(name, int or float) of each option that is a number."""
    config = importlib.import_module(f"trainers.{trainer}").Config
    for name, hint in hints_of(config).items():
        hidden = next(case.hidden for case in TRAINER_CASES if case.trainer == trainer)
        if (
            name in ("fractions", "target_weights") or name in hidden
        ):  # of several numbers, see below; no option
            continue
        for kind in {int, float} & set(parts(hint)):
            yield name, kind


def wrong_values(trainer, name, kind):
    """Below and above what the option may be, and no numbers."""
    least = 0.0 if name in SHARES else LEAST.get(name, 1 if kind is int else None)
    if isinstance(least, dict):
        least = least.get(trainer, 1)
    below = [-1] if kind is int else ["nan", "-inf", "-1e-30"]
    if least is None:
        below += ["0.0"]
    elif kind is int:
        below += range(0, least)
    if name in SHARES:
        return below + ["1.0", "0.9999999999", "inf"]
    if name in UNLIMITED:
        return below
    largest = LARGEST.get(name, 2**31 - 1 if kind is int else None)
    if kind is int:
        return below + [largest + 1]
    return below + (["inf", "1e39"] if largest is None else ["1.001", "inf"])


CASES = [
    pytest.param(trainer, name, value, id=f"{trainer}-{name}-{value}")
    for trainer in TRAINERS
    for name, kind in numeric_options(trainer)
    for value in wrong_values(trainer, name, kind)
]


def failure(monkeypatch, capsys, trainer, *words):
    """What the command line that must fail, before any work, writes to stderr."""
    module = importlib.import_module(f"trainers.{trainer}")
    monkeypatch.setattr(module, "train_and_evaluate", None)
    monkeypatch.setattr(sys, "argv", [f"{trainer}.py", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        cli.run(module.main)
    assert stop.value.code == 1
    return capsys.readouterr().err


@pytest.mark.parametrize("trainer, name, value", CASES)
def test_a_number_out_of_its_range_is_one_line(trainer, name, value, monkeypatch, capsys, tmp_path):
    run_dir, option = tmp_path / "run", f"--{name.replace('_', '-')}"
    error = failure(monkeypatch, capsys, trainer, "--run-dir", run_dir, option, value)
    value = value if isinstance(value, int) else float(value)
    shown = f"({value},)" if name == "seeds" else str(value)
    assert re.fullmatch(rf"error: {option} must be .*, got {re.escape(shown)}\n", error)
    assert not run_dir.exists()


@pytest.mark.parametrize("trainer", TRAINERS)
def test_every_number_has_a_rule(trainer):
    """A new option without one would take every number."""
    config = importlib.import_module(f"trainers.{trainer}").Config
    hints = hints_of(config)
    numbers = dict(numeric_options(trainer))
    assert {"epochs", "batch_size", "learning_rate"} & set(numbers)  # the types are understood
    for name in numbers:
        rules = {rule.words for rule in options.rules_of(hints[name])}
        assert rules - {"a whole number", "a finite number"}, f"{name}: give its type a rule"


@pytest.mark.parametrize("trainer", TRAINERS[1:])  # the first has one seed
@pytest.mark.parametrize("seeds", ["", "1 1", "0 -1", "0 1 0"])
def test_seeds_are_different_and_there_are_some(trainer, seeds, monkeypatch, capsys):
    error = failure(monkeypatch, capsys, trainer, "--seeds", *seeds.split())
    assert error.startswith("error: --seeds must be different whole numbers, 0 or more, got (")


@pytest.mark.parametrize("trainer", TRAINERS)
@pytest.mark.parametrize("fractions", ["0.5 0.5 0.5", "0 0.5 0.5", "0.9 -0.1 0.1", "nan 0.1 0.1"])
def test_fractions_are_shares_of_one_whole(trainer, fractions, monkeypatch, capsys):
    error = failure(monkeypatch, capsys, trainer, "--fractions", *fractions.split())
    rule = "error: --fractions must be three positive numbers with a sum of at most 1, got ("
    assert error.startswith(rule) and error.count("\n") == 1


@pytest.mark.parametrize(
    "fractions", [("0.8", "0.1", "0.1"), (True, 1e-10, 1e-10), (0.1, float("nan"), 0.1), 0.8, None]
)
def test_fractions_in_a_configuration_are_numbers(fractions):
    with pytest.raises(options.OptionError, match="`fractions` must be three positive numbers"):
        options.check(Splitting(fractions))


@dataclasses.dataclass
class Splitting:
    fractions: options.Fractions


@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_tilde_in_a_path_is_the_users_home(trainer, monkeypatch, tmp_path):
    """The shell leaves it where it is quoted, and in --option=~/folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "file.g6").write_bytes(b"Bw\n")  # a triangle
    module = importlib.import_module(f"trainers.{trainer}")
    kinds = typing.get_type_hints(module.Config)
    names = [name for name, kind in kinds.items() if pathlib.Path in typing.get_args(kind)]
    assert "run_dir" in names
    public = [name for name in names if name == "data_dir"]  # refused beside --data
    for given in filter(None, [public, [name for name in names if name not in public]]):
        words = [f"--{name.replace('_', '-')}=~/file.g6" for name in given]
        monkeypatch.setattr(sys, "argv", [f"{trainer}.py", *words])
        config = module.resolve(cli.parse(module.PRESETS, ""))
        assert [getattr(config, name) for name in given] == [tmp_path / "file.g6"] * len(given)


@pytest.mark.parametrize("trainer", TRAINERS)
@pytest.mark.parametrize("words", [["--data", ""], ["--data="], ["--run-dir", ""], ["--run-dir="]])
def test_an_empty_path_is_not_the_working_folder(words, trainer, monkeypatch, capsys):
    error = failure(monkeypatch, capsys, trainer, *words)
    assert error == f"error: {words[0].strip('=')} must have a value, got ''\n"


def test_a_home_that_is_unknown_is_one_line(monkeypatch, capsys):
    error = failure(monkeypatch, capsys, "density", "--run-dir=~nobody-of-this-name/run")
    assert error.startswith("error: --run-dir must be ") and error.count("\n") == 1


@pytest.mark.parametrize("word", ["--directed", "--encode", "--steps-per-epoc"])
def test_a_hidden_option_is_not_among_those_that_are_suggested(word, monkeypatch, capsys):
    error = failure(monkeypatch, capsys, "generation", word)
    shown = re.fullmatch(f"error: unknown options: {word}; (did you mean .*\\?)?.*\n", error)
    assert shown and not re.search("--(directed|encoder|steps-per-epoch)\\?", shown[1] or "")


@pytest.mark.parametrize("trainer", TRAINERS)
def test_help_says_of_l2_what_the_loss_adds(trainer, monkeypatch, capsys):
    module = importlib.import_module(f"trainers.{trainer}")
    monkeypatch.setattr(sys, "argv", [f"{trainer}.py", "--help"])
    with pytest.raises(SystemExit):
        cli.run(module.main)
    text = " ".join(re.sub("[│╭╰─╮╯]", " ", capsys.readouterr().out).split())
    words = "--l2 FLOAT factor of the L2 penalty, half the sum of squares of all weights"
    assert (words in text) == ("--l2 " in text)
