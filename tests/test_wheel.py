"""The built wheel, outside the checkout: what the README shows, without what only tests have."""

import os
import pathlib
import subprocess
import sys
import zipfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent

# What the README shows of the library: data, fit, save, load, predict, densities, a shipped model.
USE = """
import sys
import numpy as np
import tensorflow_probability as tfp
import gnf_tf

assert gnf_tf.__file__.startswith(sys.argv[1]), gnf_tf.__file__
cora = gnf_tf.datasets.cora()
config = gnf_tf.models.ClassifierConfig(num_steps=1, node_size=4)
model = gnf_tf.models.NodeClassifier.for_data(cora, config)
gnf_tf.training.fit(model, cora, epochs=1, folder="run")
labels = model.predict(cora)
model.save("mine.npz")
for file in ("mine.npz", "run/model.npz"):
    np.testing.assert_array_equal(gnf_tf.models.load(file).predict(cora), labels)

prior = gnf_tf.NodePrior(gnf_tf.graphs.fully_connected([3, 4], 2))
bijector = tfp.bijectors.Invert(gnf_tf.GNF(1, 2))
flow = tfp.distributions.TransformedDistribution(prior, bijector)
assert np.isfinite(flow.log_prob(flow.sample(seed=1))).all()

sizes = gnf_tf.models.GeneratorConfig(
    embedding_size=2, encoder_width=4, encoder_blocks=1, num_steps=1, width=4
)
generator = gnf_tf.models.GraphGenerator([3], sizes, stage="flow")
generator.save("generator.npz")
[same, one] = (
    model.generate(1, seed=1)[0].edges
    for model in (generator, gnf_tf.models.load("generator.npz"))
)
assert set(same) == set(one)

assert gnf_tf.models.pretrained("qm9").target_names[0] == "mu"
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built of a copy, for building leaves folders behind."""
    folder = tmp_path_factory.mktemp("wheel")
    names = ("gnf_tf", "pyproject.toml", "README.md", "LICENSE")
    (folder / "source").mkdir()
    subprocess.run(["cp", "-r", *(ROOT / name for name in names), folder / "source"], check=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    building = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder]
    subprocess.run([*pip, *building, folder / "source"], check=True)
    [path] = folder.glob("*.whl")
    return path


def test_it_holds_the_package_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "gnf_tf/py.typed",
        "gnf_tf/datasets/data/cora.npz",
        "gnf_tf/models/data/qm9.npz",
    } <= names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"gnf_tf"}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "gnf_tf").rglob("*.py")}
    assert modules <= names


def test_it_works_outside_the_checkout(wheel, tmp_path):
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    target = tmp_path / "installed"
    subprocess.run([*pip, "install", "--no-deps", "--target", target, wheel], check=True)
    (tmp_path / "work").mkdir()
    environment = os.environ | {"PYTHONPATH": str(target)}
    words = [sys.executable, "-P", "-c", USE, str(target)]
    subprocess.run(words, cwd=tmp_path / "work", env=environment, check=True)
