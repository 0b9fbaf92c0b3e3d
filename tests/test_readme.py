"""The README's Python code runs as it stands, and its commands set up what they need."""

import contextlib
import csv
import importlib
import pathlib
import re
from unittest import mock

import pytest

from tests import trainer_cases

ROOT = pathlib.Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("code", BLOCKS, ids=range(len(BLOCKS)))
def test_python_block(code, tmp_path):
    """In a folder where it may save files."""
    with contextlib.chdir(tmp_path):
        exec(compile(code, "README.md", "exec"), {})


def test_no_block_escapes():
    """Every fence opens as bash, python or bibtex; all that say python are run above."""
    fences = re.findall(r"^[ >]*(?:```|~~~)(.*)$", README, flags=re.MULTILINE)
    assert set(fences[::2]) == {"bash", "python", "bibtex"} and set(fences[1::2]) == {""}
    assert fences.count("python") == len(BLOCKS) > 0


@pytest.mark.parametrize(
    "marker, job",
    [("main", ".venv/bin/python trainers/qm9.py"), ("test", ".venv/bin/python -m pytest")],
)
def test_commands_set_up_what_they_need(marker, job):
    [command] = re.findall(rf"<!-- command: {marker} -->\n```bash\n(.*?)\n```", README, re.DOTALL)
    set_up = "python3 -m venv .venv && .venv/bin/pip install -q -r requirements.txt"
    assert command == f"{set_up} && {job}"


def test_own_molecules_to_predictions(tmp_path):
    """The chemist's two commands, in a folder with such files."""
    [block] = re.findall(r"```bash\n([^`]*--data[^`]*)```", README)
    _, path = trainer_cases.molecules(tmp_path)
    (tmp_path / "more.xyz").write_bytes(path.read_bytes())
    for line in block.splitlines():
        program, script, *words = line.split()
        assert program == ".venv/bin/python" and (ROOT / script).exists()
        with contextlib.chdir(tmp_path), mock.patch("sys.argv", [script, *words]):
            importlib.import_module(script.removesuffix(".py").replace("/", ".")).main()
    with open(tmp_path / "predictions.csv", newline="") as file:
        heads, *rows = csv.reader(file)
    assert heads == ["molecule", "title", "energy [eV]", "unfamiliar"] and len(rows) == 30
