"""What the import of TensorFlow writes to stderr: what goes wrong, and nothing else."""

import ast
import os
import pathlib
import signal
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
TRAINERS = ("qm9", "citation", "ppi", "density", "autoencoder", "generation", "predict")
CHATTER = """WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795779100.773620    4387 cudart_stub.cc:31] Could not find cuda drivers
"""
NEWS = """W0000 00:00:1795779100.773620    4387 gpu.cc:31] The driver is older than CUDA
E0000 00:00:1795779100.773620    4387 gpu.cc:32] The device is out of memory
F0000 00:00:1795779100.773620    4387 cpu.cc:33] This library needs AVX
a line of its own
"""


def run(*words, **environment):
    """A Python process started as a user would, without what the tests' own is told."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("TF_CPP_")}
    return subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=own | environment, capture_output=True, text=True
    )


@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_trainer_imports_tensorflow_quietly(trainer):
    """Before anything that imports it too; test_trainers looks at what a whole run writes."""
    statements = ast.parse((ROOT / f"trainers/{trainer}.py").read_text()).body
    (first,) = [i for i, node in enumerate(statements) if isinstance(node, ast.If)][:1]
    assert ast.unparse(statements[first].test) == "__name__ == '__main__'"
    assert ast.unparse(statements[first].body[-1]) == "import trainers"
    for node in statements[:first]:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) else []
        assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names


@pytest.mark.parametrize(
    "ending, status, last",
    [
        ("", 0, ""),
        ("raise ImportError('libcudart.so is missing')", 1, "ImportError: libcudart.so is missing"),
        ("os.abort()", -signal.SIGABRT, ""),
    ],
)
def test_what_is_no_chatter_is_kept(ending, status, last, tmp_path):
    """However the import of TensorFlow ends; in place of it is one that only writes."""
    source = f"import os\nos.write(2, {CHATTER + NEWS + CHATTER!r}.encode())\n{ending}\n"
    (tmp_path / "tensorflow.py").write_text(source)
    done = run("-c", "import trainers", PYTHONPATH=str(tmp_path))
    assert done.returncode == status
    assert done.stderr.startswith(NEWS) and "InitializeLog" not in done.stderr
    assert last in done.stderr


def test_what_comes_after_the_import_is_kept(tmp_path):
    (tmp_path / "tensorflow.py").write_text("")
    script = f"import os, trainers\nos.write(2, {CHATTER!r}.encode())"
    assert run("-c", script, PYTHONPATH=str(tmp_path)).stderr == CHATTER


def test_who_sets_the_level_sees_what_it_lets_through(tmp_path):
    (tmp_path / "tensorflow.py").write_text(f"import os\nos.write(2, {CHATTER!r}.encode())")
    script = "import os, trainers, tensorflow\nprint(os.environ['TF_CPP_MIN_LOG_LEVEL'])"
    done = run("-c", script, PYTHONPATH=str(tmp_path), TF_CPP_MIN_LOG_LEVEL="0")
    assert (done.stdout, done.stderr) == ("0\n", CHATTER)
    assert run("-c", script, PYTHONPATH=str(tmp_path)).stdout == "3\n"
