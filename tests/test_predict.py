"""`trainers/predict.py` with models that no trainer makes, and with an unknown one."""

import copy
import json
import shutil
import sys

import networkx as nx
import numpy as np
import pandas as pd
import pytest

from gnf_tf import datasets, models, training
from gnf_tf.errors import UserError
from trainers import predict


@pytest.fixture(scope="module")
def flow(tmp_path_factory):
    """(file of a PositionFlow, file of its input)."""
    folder = tmp_path_factory.mktemp("flow")
    table = pd.DataFrame(np.random.default_rng(0).normal(size=[12, 3]), columns=list("xyz"))
    table.insert(0, "set", np.repeat(range(4), 3))
    table.to_csv(folder / "points.csv", index=False)
    training.set_seed(0)
    config = models.PositionConfig(num_steps=1, width=8)
    model = models.PositionFlow.for_data(datasets.read_sets(folder / "points.csv"), config=config)
    model.save(folder / "model.npz")
    return folder / "model.npz", folder / "points.csv"


def main(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["predict", *map(str, words)])
    predict.main()


def test_positions_are_scored_and_drawn(flow, monkeypatch, tmp_path):
    model, points = flow
    main(monkeypatch, model, points, "--out", tmp_path / "scores.csv", "--seed", 3)
    sets = datasets.read_sets(points)
    expected = models.load(model).log_prob(sets, seed=3)
    found = pd.read_csv(tmp_path / "scores.csv")["log_prob [nats]"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert pd.read_csv(tmp_path / "scores.csv")["set"].tolist() == [0, 1, 2, 3]
    main(monkeypatch, model, points, "--out", tmp_path / "made.json")
    made = datasets.read_sets(tmp_path / "made.json")
    np.testing.assert_array_equal(made.n_node, sets.n_node)
    assert np.abs(made.nodes - sets.nodes).max() > 0.1


@pytest.mark.parametrize(
    "words",
    [["--coverage", 0.9], ["--coverage=0.5"], ["--constraint=planar"], ["--connected", "False"]],
)
def test_options_of_other_models_are_refused(words, flow, monkeypatch, tmp_path):
    option = words[0].split("=")[0]
    with pytest.raises(UserError, match=f"{option} must be left out for a PositionFlow"):
        main(monkeypatch, *flow, "--out", tmp_path / "scores.csv", *words)


def test_a_switch_is_true_or_false(flow, monkeypatch, tmp_path):
    words = (*flow, "--out", tmp_path / "scores.csv", "--connected", "yes")
    with pytest.raises(UserError, match="--connected must be True or False, or be .* got 'yes'"):
        main(monkeypatch, *words)


def test_generated_graphs_keep_a_constraint(monkeypatch, tmp_path):
    sizes = {"embedding_size": 2, "temperature": 0.1}  # so there are many edges
    generator = models.GraphGenerator([8], models.GeneratorConfig(**sizes, draw_edges=True))
    generator.save(tmp_path / "model.npz")
    given = tmp_path / "given.g6"
    datasets.write_graphs(given, [nx.path_graph(n) for n in (8, 5, 3)])
    for source in (9, given):
        for words, keeps in (
            (["--connected"], nx.is_connected),
            (["--constraint", "forest"], nx.is_forest),
        ):
            for given_words, expected in ([], False), (words, True):
                path = tmp_path / "a.g6"
                main(monkeypatch, tmp_path / "model.npz", source, "--out", path, *given_words)
                assert all(map(keeps, datasets.read_graphs(path))) == expected
    with pytest.raises(UserError, match="--constraint must be left out where no graphs are made"):
        main(monkeypatch, tmp_path / "model.npz", given, "--out", tmp_path / "a.csv", *words)


def test_an_empty_input_is_not_the_current_folder(monkeypatch, tmp_path):
    with pytest.raises(UserError, match="an argument must have a value, got ''"):
        main(monkeypatch, "tests/golden/generator-2-network.npz", "", "--out", tmp_path / "a.g6")


def test_a_path_may_end_like_an_option_without_a_value(flow, monkeypatch, tmp_path):
    model, points = flow
    shutil.copy(model, tmp_path / "model=")
    main(monkeypatch, tmp_path / "model=", points, "--out", tmp_path / "scores.csv")
    assert (tmp_path / "scores.csv").exists()


def test_a_format_that_holds_no_such_graphs_is_refused_before_any_is_made(monkeypatch, tmp_path):
    monkeypatch.delattr("gnf_tf.models.GraphGenerator.generate")
    path = "tests/golden/generator-2-network.npz"
    with pytest.raises(UserError, match="several graphs, which GML doesn't hold"):
        main(monkeypatch, path, 2, "--out", tmp_path / "a.gml")
    directed = models.GraphGenerator([3], models.GeneratorConfig(directed=True))
    directed.save(tmp_path / "model.npz")
    with pytest.raises(UserError, match="directed edges, which graph6 doesn't hold"):
        main(monkeypatch, tmp_path / "model.npz", 2, "--out", tmp_path / "a.g6")


def test_a_run_folder_is_no_model(flow, monkeypatch, tmp_path):
    model, points = flow
    with pytest.raises(UserError, match=r"is a folder, expected a file such as .*model.npz"):
        main(monkeypatch, model.parent, points, "--out", tmp_path / "scores.csv")


def test_a_share_that_is_no_number_is_named(flow, monkeypatch, tmp_path):
    with pytest.raises(UserError, match="--coverage must be a number or None, got '0,9'$"):
        main(monkeypatch, *flow, "--out", tmp_path / "scores.csv", "--coverage", "0,9")


@pytest.mark.parametrize("given", ["10k", "1e3", "-3", "3.0"])
def test_what_is_neither_a_number_of_graphs_nor_a_file(given, monkeypatch, tmp_path):
    model = "tests/golden/generator-2-network.npz"
    with pytest.raises(UserError, match=f"must be a number of graphs, or a file .* got {given}"):
        main(monkeypatch, model, given, "--out", tmp_path / "graphs.g6")


def test_a_misspelled_option_is_named(flow, monkeypatch, tmp_path):
    with pytest.raises(UserError, match="unknown options: --sed 1; did you mean --seed?"):
        main(monkeypatch, *flow, "--out", tmp_path / "scores.csv", "--sed", 1)


def test_no_graphs_are_refused(monkeypatch, tmp_path):
    model = "tests/golden/generator-2-network.npz"
    with pytest.raises(UserError, match="must be a number of graphs of at least 1, got 0"):
        main(monkeypatch, model, "0", "--out", tmp_path / "graphs.g6")


def test_nothing_is_written_into_the_folder_that_is_read(flow, monkeypatch, tmp_path):
    """Or else it could not be read again."""
    with pytest.raises(UserError, match="--out must not be in the folder that is read"):
        main(monkeypatch, flow[0], tmp_path, "--out", tmp_path / "scores.csv")


def test_the_input_at_home_is_not_written(flow, monkeypatch):
    model, points = flow
    monkeypatch.setenv("HOME", str(points.parent))
    before = points.read_bytes()
    with pytest.raises(UserError, match="--out must not be a file that is read"):
        main(monkeypatch, model, f"~/{points.name}", "--out", points)
    assert points.read_bytes() == before


def test_a_model_of_another_class_is_named(flow, monkeypatch, tmp_path):
    monkeypatch.delitem(predict.ANSWERS, models.PositionFlow)
    with pytest.raises(UserError, match=r"model.npz holds a PositionFlow, expected Molecule"):
        main(monkeypatch, *flow, "--out", tmp_path / "scores.csv")


def test_nodes_have_their_names_beside_their_classes(monkeypatch, tmp_path):
    """A file may list them in any order, so that a row number says little."""
    nodes = [{"id": i, "x": float(i), "class": "ab"[i % 2]} for i in (2, 0, 1, 3)]
    (tmp_path / "net.json").write_text(json.dumps({"nodes": nodes, "edges": []}))
    network = datasets.read_node_graph(tmp_path / "net.json")
    config = models.ClassifierConfig(num_steps=1, node_size=4)
    models.NodeClassifier.for_data(network, config).save(tmp_path / "model.npz")
    words = ("model.npz", "net.json", "--out", "classes.csv")
    main(monkeypatch, *(word if word[0] == "-" else tmp_path / word for word in words))
    table = pd.read_csv(tmp_path / "classes.csv")
    assert table["name"].tolist() == [2, 0, 1, 3] and table["node"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", ["density", "classifier"])
def test_features_of_other_names_are_refused(kind, monkeypatch, tmp_path):
    """Features are sorted by name, so that a renamed one would stand in the place of another."""
    file, other = (tmp_path / name for name in ("train", "other"))
    if kind == "density":
        file, other = file.with_suffix(".csv"), other.with_suffix(".csv")
        table = pd.DataFrame(np.random.default_rng(0).normal(size=[12, 2]), columns=["x", "y"])
        table.insert(0, "set", np.repeat(range(4), 3))
        table.to_csv(file, index=False)
        table.rename(columns={"x": "z"}).to_csv(other, index=False)
        config = models.DensityConfig(num_steps=1, width=4)
        model = models.GraphDensity.for_data(datasets.read_sets(file), config)
    else:
        file, other = file.with_suffix(".gml"), other.with_suffix(".gml")
        graph = nx.cycle_graph(6)
        for node, data in graph.nodes(data=True):
            data |= {"x": float(node), "y": node**2, "class": node % 2}
        nx.write_gml(graph, file)
        for data in graph.nodes.values():
            data["z"] = data.pop("x")
        nx.write_gml(graph, other)
        config = models.ClassifierConfig(num_steps=1, node_size=4)
        model = models.NodeClassifier.for_data(datasets.read_node_graph(file), config)
    model.feature_names = datasets.feature_names(file)
    assert copy.deepcopy(model).feature_names == model.feature_names == ("x", "y")
    model.save(tmp_path / "model.npz")
    main(monkeypatch, tmp_path / "model.npz", file, "--out", tmp_path / "out.csv")
    with pytest.raises(UserError, match="features x, y, as in training, got y, z"):
        main(monkeypatch, tmp_path / "model.npz", other, "--out", tmp_path / "made.csv")
    assert not (tmp_path / "made.csv").exists()
