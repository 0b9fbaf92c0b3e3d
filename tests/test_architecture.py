"""Dependence goes one way, every module says what it is, and the requirements are complete."""

import ast
import importlib.metadata
import pathlib
import re
import subprocess
import sys
import tomllib

import pytest

from tests import trainer_cases

ROOT = pathlib.Path(__file__).resolve().parent.parent
OURS = {"gnf_tf", "trainers", "benchmarks", "tests"}

# part of gnf_tf -> the parts it may import besides itself
ALLOWED = {
    "xla": set(),
    "errors": set(),
    "options": set(),
    "files": set(),
    "headings": set(),
    "seeds": set(),
    "substitution": set(),
    "traces": set(),
    "custom_gradient": set(),
    "graphs": {"custom_gradient", "options", "xla"},
    "networks": {"custom_gradient", "graphs", "substitution", "xla"},
    "reversible": {
        *("custom_gradient", "graphs", "options", "seeds", "substitution", "traces", "xla"),
    },
    "bijectors": {"graphs", "networks", "options", "reversible", "seeds"},
    "distributions": {"graphs", "networks", "reversible", "seeds"},
    "models": {
        "custom_gradient",
        "graphs",
        "networks",
        "reversible",
        "seeds",
        "datasets",
        "errors",
        "files",
        "headings",
        "options",
        "substitution",
        "bijectors",
        "distributions",
    },
    "training": {
        "bijectors",
        "datasets",
        "errors",
        "files",
        "graphs",
        "headings",
        "metrics",
        "models",
        "options",
        "plots",
        "reversible",
        "seeds",
    },
    "datasets": {"errors", "files", "graphs", "options", "seeds"},
    "metrics": {"graphs", "options", "seeds"},
    "layouts": set(),
    "plots": {"graphs", "headings", "layouts"},
}


def imported(source):
    """Dotted names of what a module imports anywhere in it, `from a import b` as a.b."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from (f"{module}.{alias.name}" for alias in node.names)


def violations(owner, source):
    """What `source` imports and may not know; `owner` is e.g. "gnf_tf.graphs" or "trainers"."""
    package, _, part = owner.partition(".")
    for target in imported(source):
        top, _, rest = target.partition(".")
        if top == "gnf_tf" and part:
            # The package itself counts as everything, its own importer among it.
            fine = rest.split(".")[0] in ALLOWED[part] | {part}
        elif top in OURS:
            fine = top in {package, "gnf_tf"}
        else:
            fine = top != ""  # a relative import hides where it points
        if not fine:
            yield target


def reachable(arrows):
    """(a, b) for every way from a to b along these pairs."""
    found = set(arrows)
    while more := {(a, d) for a, b in found for c, d in found if b == c} - found:
        found |= more
    return found


def test_the_diagram_shows_the_imports_that_are_allowed():
    arrows = re.findall(r"^    (\w+) --> (\w+)$", (ROOT / "BUILD.md").read_text(), re.MULTILINE)
    drawn = reachable(arrows)
    parts = {part for arrow in arrows for part in arrow} - {"trainers", "benchmarks"}
    allowed = {(a, b) for a in parts for b in ALLOWED[a] & parts}
    assert {(a, b) for a, b in drawn if a in parts} == reachable(allowed)
    assert parts == {p for p in ALLOWED if (ROOT / "gnf_tf" / p).is_dir()} | {"plots"}
    assert {b for a, b in drawn if a == "trainers"} == parts


def test_every_trainer_has_a_case():
    with_main = {path.stem for path in modules("trainers") if "def main()" in path.read_text()}
    assert with_main - {"predict"} == set(trainer_cases.TRAINERS)


def modules(folder):
    return sorted((ROOT / folder).rglob("*.py"))


def owned():
    """(path, owner) of every module outside the tests."""
    for folder in ("gnf_tf", "trainers", "benchmarks"):
        for path in modules(folder):
            part = path.relative_to(ROOT / folder).parts[0].removesuffix(".py")
            inside = folder == "gnf_tf" and part != "__init__"
            owner = f"gnf_tf.{part}" if inside else folder
            yield pytest.param(path, owner, id=str(path.relative_to(ROOT)))


@pytest.mark.parametrize("path, owner", list(owned()))
def test_imports_go_downwards_only(path, owner):
    part = owner.partition(".")[2]
    assert part in ALLOWED or not part, f"{part}: give its place in the order of dependence"
    assert list(violations(owner, path.read_text())) == []


@pytest.mark.parametrize(
    "owner, source",
    [
        ("gnf_tf.graphs", "from gnf_tf import networks"),
        ("gnf_tf.graphs", "import gnf_tf"),
        ("gnf_tf.graphs", "from .. import networks"),
        ("gnf_tf.networks", "from gnf_tf.reversible import recompute"),
        ("gnf_tf.bijectors", "import gnf_tf.distributions.node_prior"),
        ("gnf_tf.distributions", "from gnf_tf import GNF"),
        ("gnf_tf.datasets", "from gnf_tf import graphs, metrics"),
        ("gnf_tf.models", "def f():\n    from trainers import common"),
        ("gnf_tf", "import trainers.common"),
        ("trainers", "from tests.cases import BIJECTORS"),
        ("benchmarks", "from trainers import qm9"),
    ],
)
def test_the_check_finds_what_is_forbidden(owner, source):
    assert len(list(violations(owner, source))) == 1


@pytest.mark.parametrize(
    "owner, source",
    [
        ("gnf_tf.models", "from gnf_tf.bijectors import GNF\nfrom gnf_tf import distributions"),
        ("gnf_tf.graphs", "import tensorflow as tf\nfrom gnf_tf.graphs import padding"),
        ("gnf_tf.plots", "from gnf_tf.graphs import GraphsTuple"),
        ("trainers", "import gnf_tf\nfrom trainers import common"),
    ],
)
def test_the_check_leaves_alone_what_is_allowed(owner, source):
    assert list(violations(owner, source)) == []


@pytest.mark.parametrize("folder", ["gnf_tf", "trainers", "benchmarks"])
def test_every_module_has_a_docstring_and_stays_short(folder):
    for path in modules(folder):
        source = path.read_text()
        assert ast.get_docstring(ast.parse(source)), f"{path.name} has no docstring"
        assert len(source.splitlines()) <= 400, f"{path.name}: split it"


@pytest.mark.parametrize("path", modules("gnf_tf"), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_lists_its_public_names(path):
    body = ast.parse(path.read_text()).body
    lists = [
        ast.literal_eval(node.value)
        for node in body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    defined = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    public = {name for name in defined if not name.startswith("_")}
    assert len(lists) == 1, "one __all__"
    assert public <= set(lists[0]), "public names that __all__ leaves out"


def distributions(folders, imports=imported):
    """Names, as registries spell them, of the distributions that these folders import."""
    known = importlib.metadata.packages_distributions()
    for folder in folders:
        for path in modules(folder):
            for target in imports(path.read_text()):
                top = target.partition(".")[0]
                if top not in OURS | sys.stdlib_module_names:
                    yield canonical(known.get(top, [top])[0])


def pinned(path):
    lines = (ROOT / path).read_text().splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    assert all(len(pin) == 2 for pin in pins), "every requirement is pinned: name==version"
    return {canonical(name) for name, _ in pins}


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_requirements_are_pinned_and_name_what_is_imported():
    needed = pinned("requirements.txt")
    assert set(distributions(OURS - {"benchmarks"})) <= needed
    assert set(distributions(["benchmarks"])) <= needed | pinned("benchmarks/requirements.txt")


def test_the_package_declares_what_it_imports():
    """What is imported at the top is a dependency; within a function it may be of an extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    def names(lines):
        return {canonical(re.split(r"[<>=\[]", line)[0]) for line in lines}

    dependencies = names(project["dependencies"])
    optional = project["optional-dependencies"]
    extras = names(optional["molecules"]) | names(optional["subgraphs"])
    assert set(distributions(["gnf_tf"], at_the_top)) <= dependencies
    assert set(distributions(["gnf_tf"])) <= dependencies | extras


# What few need, or what takes a second to import.
LAZY = {"matplotlib", "pandas", "pooch", "tqdm", "rdkit", "pymetis", "qm9pack", "tensorboard"}


def at_the_top(source):
    """What a module imports as it is imported itself, by the first part of its name."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imported(ast.unparse(node))


@pytest.mark.parametrize("path", modules("gnf_tf"), ids=lambda p: str(p.relative_to(ROOT)))
def test_what_few_need_is_imported_when_it_is_used(path):
    names = set(at_the_top(path.read_text()))
    assert not {name for name in names if name.startswith("gnf_tf.plots")}
    if path.name != "plots.py":
        assert not {name.split(".")[0] for name in names} & LAZY


def test_the_import_loads_nothing_that_few_need():
    """pandas and matplotlib are imported by Keras, which TensorFlow brings."""
    code = """
import sys, graph_nets, sonnet, tensorflow_probability, networkx, scipy.sparse
before = set(sys.modules)
import gnf_tf
new = {name.split(".")[0] for name in set(sys.modules) - before}
print(sorted(new & set(sys.argv[1:])), gnf_tf.plots.__name__)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, *LAZY], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[] gnf_tf.plots\n"
