"""Every notebook runs from top to bottom in its quick mode, and is kept with its outputs."""

import json
import pathlib

import matplotlib
import pytest

from benchmarks import processes

NOTEBOOKS = sorted((pathlib.Path(__file__).resolve().parent.parent / "notebooks").glob("*.ipynb"))


def code_cells(path):
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_in_quick_mode(path, monkeypatch):
    """The cells are plain Python: no kernel is needed.

    Nor is a process for each size whose memory is measured, as `test_benchmarks` starts them.
    """
    monkeypatch.setenv("GNF_QUICK", "1")
    run_here = lambda worker, *arguments, limit_mb: worker(*arguments)  # noqa: E731
    monkeypatch.setattr(processes, "in_process", run_here)
    matplotlib.use("agg")
    names: dict = {"__name__": "__main__"}
    for cell in code_cells(path):
        exec(compile("".join(cell["source"]), str(path), "exec"), names)
    assert names["QUICK"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_kept_and_free_of_errors(path):
    cells = code_cells(path)
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not [output for output in outputs if output["output_type"] == "error"]
