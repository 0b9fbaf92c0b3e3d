"""The README's Python code runs as it stands, and its commands name files that exist."""

import pathlib
import re

import pytest

README = (pathlib.Path(__file__).resolve().parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("code", BLOCKS, ids=range(len(BLOCKS)))
def test_python_block(code):
    exec(compile(code, "README.md", "exec"), {})


def test_blocks_were_found():
    assert len(BLOCKS) == 2


@pytest.mark.parametrize("marker", ["main", "test"])
def test_commands_set_up_what_they_need(marker):
    command = re.search(rf"<!-- command: {marker} -->\n```bash\n(.*?)```", README, re.DOTALL)[1]
    assert command.startswith(
        "python3 -m venv .venv && .venv/bin/pip install -q -r requirements.txt"
    )
