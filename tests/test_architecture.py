"""Dependence between the modules goes one way, and every module says what it is."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent

# part -> the parts it may import besides itself
ALLOWED = {
    "graphs": set(),
    "networks": {"graphs"},
    "reversible": {"graphs"},
    "bijectors": {"graphs", "networks", "reversible"},
    "distributions": {"graphs", "networks", "reversible"},
    "models": {"graphs", "networks", "reversible", "bijectors", "distributions"},
    "datasets": {"graphs"},
    "metrics": {"graphs"},
    "plots": {"graphs"},
}


def imported(source, name):
    """Dotted names of what a module imports, `from a import b` as a.b."""
    for node in ast.walk(ast.parse(source, name)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def violations(part, source, name):
    """Imports of parts that `part` may not know."""
    for target in imported(source, name):
        path = target.split(".")
        if path[0] in ("trainers", "tests", "benchmarks"):
            yield f"{name} imports {target}"
        elif path[0] == "gnf_tf" and path[1] not in ALLOWED[part] | {part}:
            yield f"{name} imports {target}"


def library_modules():
    for path in sorted((ROOT / "gnf_tf").rglob("*.py")):
        relative = path.relative_to(ROOT / "gnf_tf")
        if str(relative) != "__init__.py":
            yield pytest.param(path, relative.parts[0].removesuffix(".py"), id=str(relative))


@pytest.mark.parametrize("path, part", list(library_modules()))
def test_library_imports_downwards_only(path, part):
    assert part in ALLOWED, f"{part}: give its place in the order of dependence"
    assert list(violations(part, path.read_text(), path.name)) == []


def test_the_check_finds_what_is_forbidden():
    assert list(violations("graphs", "from gnf_tf import networks", "x"))
    assert list(violations("bijectors", "import gnf_tf.distributions.node_prior", "x"))
    assert list(violations("models", "def f():\n    from trainers import common", "x"))
    assert not list(violations("models", "from gnf_tf.bijectors import GNF", "x"))


@pytest.mark.parametrize("folder", ["gnf_tf", "trainers", "benchmarks"])
def test_every_module_has_a_docstring_and_stays_short(folder):
    for path in sorted((ROOT / folder).rglob("*.py")):
        source = path.read_text()
        assert ast.get_docstring(ast.parse(source)), f"{path.name} has no docstring"
        assert len(source.splitlines()) <= 400, f"{path.name}: split it"


@pytest.mark.parametrize("path, part", list(library_modules()))
def test_every_module_lists_its_public_names(path, part):
    names = {
        target.id
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    assert "__all__" in names
