"""A model file, loaded in another process, gives the same numbers to the bit.

And data have the same digest there, by which a run is resumed.
"""

import pathlib
import subprocess
import sys

import networkx as nx
import numpy as np

from gnf_tf import datasets, models
from gnf_tf.training.fit import digest
from tests import test_graph_density, test_node_classifier, test_positions

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"


def makers():
    """Name of a file -> a model that has the weights of no new one."""
    made = {
        "regressor": models.load(GOLDEN / "molecule_regressor.npz"),
        "generator": models.load(GOLDEN / "generator-2-flow.npz"),
        "density": test_graph_density.new_model("attention to all"),
        "positions": test_positions.new_model(),
    }
    for kind in test_node_classifier.KINDS:
        made[kind] = test_node_classifier.make(kind, multi_label=kind == "gnn")
    return made


def numbers(model):
    """What a model answers, all in one array."""
    if isinstance(model, models.MoleculeRegressor):
        answers = [model.predict(datasets.qm9("test", size=30, targets=["alpha", "gap"]))]
    elif isinstance(model, models.NodeClassifier):
        answers = [model.predict_proba(test_node_classifier.rings())]
    elif isinstance(model, models.GraphDensity):
        data = test_graph_density.rings(5)
        answers = [model.log_prob(data), model.sample(data, seed=1).nodes]
    elif isinstance(model, models.PositionFlow):
        data = test_positions.data()
        answers = [model.log_prob(data, num_samples=2, seed=0), model.sample(data, seed=1).nodes]
    else:
        generated = model.generate(4, seed=7)
        answers = [model.log_prob([nx.path_graph(3), nx.cycle_graph(4)])]
        answers += [nx.to_numpy_array(graph) for graph in generated]
    return np.concatenate([np.ravel(answer) for answer in answers])


WORDS = {f"word {i}" for i in range(20)}  # their order depends on the process


def answer_all(folder):
    """For each model file of the folder, a file of its numbers; and the digest of WORDS."""
    (pathlib.Path(folder) / "digest").write_text(digest([WORDS, {"a": 1}]))
    for path in pathlib.Path(folder).glob("*.npz"):
        np.save(path.with_suffix(".npy"), numbers(models.load(path)))


def test_a_file_gives_the_same_numbers_to_the_bit(tmp_path):
    made = makers()
    for name, model in made.items():
        model.save(tmp_path / f"{name}.npz")
    code = "import sys; from tests import test_new_process as t; t.answer_all(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, cwd=ROOT)
    for name, model in made.items():
        np.testing.assert_array_equal(np.load(tmp_path / f"{name}.npy"), numbers(model), name)
    assert (tmp_path / "digest").read_text() == digest([WORDS, {"a": 1}])
