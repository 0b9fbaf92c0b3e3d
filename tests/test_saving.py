"""Model files: weights by name, whole or not at all, and files of before that load for ever."""

import json
import os
import pathlib

import networkx as nx
import numpy as np
import pytest
import tensorflow as tf

from gnf_tf import datasets, graphs, models
from gnf_tf.files import whole_file
from gnf_tf.models import saving

GOLDEN = pathlib.Path(__file__).parent / "golden"
KINDS = ("network", "flow")


def load(path):
    return models.GraphGenerator.load(path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("version", [1, 2])
def test_files_of_before_give_the_numbers_that_they_gave(version, kind):
    """generator.json has what the code that wrote version 1 computed from it."""
    generator = load(GOLDEN / f"generator-{version}-{kind}.npz")
    expected = json.loads((GOLDEN / "generator.json").read_text())[kind]
    members = [nx.path_graph(3), nx.star_graph(2), nx.empty_graph(1)]
    graph = graphs.fill_missing(datasets.Topologies(members).graph(np.arange(3)))
    embedded = generator.auto_encoder.encode(graph, seed=1)
    np.testing.assert_allclose(generator.log_prob(graph, seed=1), expected["log_prob"], rtol=1e-4)
    np.testing.assert_allclose(
        generator.auto_encoder.cross_entropy(embedded), expected["cross_entropy"], rtol=1e-4
    )
    made = [sorted(map(list, graph.edges)) for graph in generator.generate(6, seed=2)]
    assert made == expected["edges"]


def arrays_of(path):
    with np.load(path) as file:
        return dict(file)


def rewritten(tmp_path, change, kind="network", version=2):
    """A file of before with its arrays changed."""
    arrays = arrays_of(GOLDEN / f"generator-{version}-{kind}.npz")
    change(arrays)
    np.savez(tmp_path / "changed.npz", **arrays)
    return tmp_path / "changed.npz"


FIRST = "weights/auto_encoder._encoder._embed.w"
SECOND = "weights/auto_encoder._encoder._hidden.0.w"


def rename(arrays):
    arrays["weights/auto_encoder._encoder._other.w"] = arrays.pop(FIRST)


def header(arrays, **changes):
    arrays["header"] = json.dumps(json.loads(str(arrays["header"])) | changes)


CHANGES = {
    "missing": (lambda a: a.pop(FIRST), "auto_encoder._encoder._embed.w is missing"),
    "extra": (lambda a: a.update({"weights/b": np.zeros(2)}), "b is not of this model"),
    "renamed": (rename, "_embed.w is missing; .*_other.w is not of this model"),
    "another shape": (
        lambda a: a.update({FIRST: a[FIRST][:, :-1]}),
        r"_embed.w has shape \(.*expected \(",
    ),
    "transposed": (lambda a: a.update({SECOND: a[SECOND].T}), "_hidden.0.w has shape"),
    "another type": (
        lambda a: a.update({FIRST: a[FIRST].astype(np.float64)}),
        "_embed.w has shape .* type float64, expected .* float32",
    ),
    "NaN": (lambda a: a.update({FIRST: np.nan * a[FIRST]}), "_embed.w has values that are not"),
    "no sizes": (lambda a: a.pop("statistics/n_node"), "n_node"),
    "no header": (lambda a: a.pop("header"), "header"),
    "a header that is none": (lambda a: a.update(header="[1, 2]"), "not a JSON object"),
    "another format": (lambda a: header(a, format="x"), "its format is 'x', expected"),
    "an unknown class": (
        lambda a: header(a, format="gnf_tf.model 1", **{"class": "X"}),
        "its class is 'X', expected one of .*GraphGenerator, .*MoleculeRegressor",
    ),
    "no class": (lambda a: header(a, format="gnf_tf.model 1"), "'class'"),
    "an unknown option": (lambda a: header(a, config={"size": 3}), "size"),
    "a wrong option": (lambda a: header(a, config={"embedding_size": 3}), "`embedding_size`"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_does_not_fit_is_refused_by_name(name, tmp_path):
    change, message = CHANGES[name]
    path = rewritten(tmp_path, change)
    with pytest.raises(ValueError, match=f"(?s)`path` .*no complete model file: .*{message}"):
        load(path)


def test_weights_of_version_1_that_are_missing_are_named(tmp_path):
    path = rewritten(tmp_path, lambda a: a.pop("weight_0003"), version=1)
    with pytest.raises(ValueError, match="its weights don't fit: .* is missing"):
        load(path)


def test_the_order_of_attributes_is_no_matter(tmp_path):
    """Equal shapes can't swap: arrays in another order are the same weights."""
    one = load(rewritten(tmp_path, lambda a: a.update({FIRST: a.pop(FIRST)})))
    other = load(GOLDEN / "generator-2-network.npz")
    for a, b in zip(one.variables, other.variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_nothing_is_assigned_where_something_does_not_fit():
    class Two(tf.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = tf.Variable([1.0]), [tf.Variable([2.0]), {"c": tf.Variable([3.0])}]

    module = Two()
    assert list(saving.named_variables(module)) == ["a", "b.0", "b.1.c"]
    weights = {name: np.float32([7.0]) for name in ("a", "b.0")}
    with pytest.raises(ValueError, match=r"b.1.c is missing"):
        saving.assign(module, weights)
    assert float(module.a[0]) == 1.0
    saving.assign(module, weights | {"b.1.c": np.float32([8.0])})
    assert float(module.b[1]["c"][0]) == 8.0


@pytest.mark.parametrize("share", np.linspace(0.0, 0.999, 12))
def test_a_file_cut_short_anywhere_is_refused(share, tmp_path):
    content = (GOLDEN / "generator-2-network.npz").read_bytes()
    path = tmp_path / "cut.npz"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"`path` .*cut.npz is no complete model file"):
        load(path)


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.npz")
    with pytest.raises(ValueError, match="is a folder, expected a file"):
        load(tmp_path)


def test_each_class_loads_its_own():
    with pytest.raises(ValueError, match=r"regressor.npz holds a MoleculeRegressor, not a"):
        load(GOLDEN / "molecule_regressor.npz")
    assert models.load(GOLDEN / "generator-1-flow.npz").config.encoder == "flow"


SIZES = {
    "density": lambda number: models.GraphDensity(number(2), number(1)),
    "positions": lambda number: models.PositionFlow(number(3)),
    "config": lambda number: models.GraphDensity(
        2, config=models.DensityConfig(num_steps=number(2))
    ),
}


@pytest.mark.parametrize("name", SIZES)
def test_sizes_may_be_numbers_of_numpy(name, tmp_path):
    SIZES[name](np.int64).save(tmp_path / "a.npz")
    loaded, expected = models.load(tmp_path / "a.npz"), SIZES[name](int)
    assert loaded.config == expected.config
    assert loaded.gnf.node_size == expected.gnf.node_size


def test_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    generator = load(GOLDEN / "generator-2-network.npz")
    generator.save("~/one.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["one.npz"]
    assert load("~/one.npz").config == generator.config


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()], ids=repr)
def test_what_interrupts_the_writing_leaves_the_file_before(error, tmp_path):
    path = tmp_path / "file"
    path.write_text("before")
    with pytest.raises(type(error)), whole_file(path) as file:
        file.write(b"half")
        raise error
    assert path.read_text() == "before" and len(list(tmp_path.iterdir())) == 1
    with whole_file(path) as file:
        file.write(b"after")
    assert path.read_text() == "after" and len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        load(GOLDEN / "generator-2-network.npz").save(tmp_path / "none" / "one.npz")
    assert caught.value.filename == str(tmp_path / "none")


def test_what_is_no_file_is_not_replaced(tmp_path):
    """Such as a device; and a link remains a link."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "pipe"):
        with pytest.raises(OSError, match=f"this is no file.*{name}"), whole_file(tmp_path / name):
            raise AssertionError("it was opened")
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to(target)
    for content in (b"first", b"second"):
        with whole_file(link) as file:
            file.write(content)
        assert link.is_symlink() and target.read_bytes() == content
    longest = tmp_path / ("n" * os.pathconf(tmp_path, "PC_NAME_MAX"))
    with whole_file(longest) as file:
        file.write(b"x")
    assert longest.read_bytes() == b"x"


@pytest.mark.parametrize(
    "name, part",
    [
        ("graph_density", "mean"),
        ("graph_density", "edge_size"),
        ("molecule_regressor", "spread"),
        ("molecule_regressor", "target_units"),
        ("node_classifier", "class_names"),
    ],
)
def test_an_argument_that_is_missing_is_named(name, part, tmp_path):
    """Also one that the constructor can do without."""
    arrays = arrays_of(GOLDEN / f"{name}.npz")
    head = json.loads(str(arrays["header"]))
    head["arguments"].pop(part, None)
    arrays.pop(f"statistics/{part}", None)
    np.savez(tmp_path / "changed.npz", **arrays | {"header": json.dumps(head)})
    with pytest.raises(ValueError, match=f"no complete model file: .*{part}"):
        models.load(tmp_path / "changed.npz")


@pytest.mark.parametrize("content", [b"a text\n", b">>graph6<<Bw\n", b"", b"\x93NUMPY\x01\x00v"])
def test_a_file_of_another_kind_is_called_that(content, tmp_path):
    (tmp_path / "other").write_bytes(content)
    with pytest.raises(ValueError, match=r"other is no complete model file: expected an npz file"):
        models.load(tmp_path / "other")
