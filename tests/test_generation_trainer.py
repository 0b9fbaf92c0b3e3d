"""The pages of the generation and the auto-encoder trainers: evaluation, own graphs."""

import copy
import dataclasses
import json

import networkx as nx
import numpy as np
import pytest

from gnf_tf import datasets, graphs, metrics, models, training
from trainers import autoencoder, cli, generation, generator_options

SMALL = (
    "--steps 2 --epochs 1 --encoder-width 4 --encoder-blocks 1 --num-heads 1 --num-steps 1 "
    "--width 4 --execution eager --num-bins 4"
).split()

pytestmark = pytest.mark.usefixtures("few_are_compared")


def run(monkeypatch, trainer, *words):
    """The command line of a small model."""
    if trainer is generation:
        words += ("--encoder-steps", "1", "--num-generated", "30", "--trials", "2")
    monkeypatch.setattr("sys.argv", [trainer.__name__, *SMALL, *map(str, words)])
    cli.run(trainer.main)


def sizes_of(*sizes):
    return [nx.path_graph(size) for size in sizes]


@pytest.fixture(scope="module", params=["network", "flow"])
def finished(request, tmp_path_factory):
    """(generator of a finished run on small graphs, training graphs, test graphs, run folder)."""
    folder = tmp_path_factory.mktemp("run")
    members = [graph for graph in datasets.ego_small("all") if len(graph) < 9][:30]
    train, test = members[:20], members[20:]
    write_graphs(folder / "mine.npz", train, test)
    with pytest.MonkeyPatch.context() as patch:
        words = ("--end-to-end",) if request.param == "flow" else ()
        words += ("--data", folder / "mine.npz", "--run-dir", folder / "run", "--seeds", 2**32)
        run(patch, generation, *words)
    folder = folder / "run" / f"seed{2**32}"
    return models.load(folder / "model.npz"), train, test, folder


def test_results_are_those_of_the_saved_generator(finished):
    generator, train, test, folder = finished
    results = training.read_json(folder / "results.json")
    assert len(results["generation"]) == 2
    for trial, reports in enumerate(results["generation"]):
        generated = generator.generate(30, seed=trial)
        for name in metrics.PROTOCOLS:
            assert reports[name] == metrics.evaluate(generated, test, train=train, protocol=name)
        assert reports["valid"] == metrics.validity(generated, metrics.is_ego)
    encoded = generator.decoded_encodings(train, seed=2**32)
    expected = {name: metrics.mmd(test, encoded, name) for name in metrics.STATISTICS}
    assert results["decoded_encodings"] == expected
    assert len(results["reconstruction_test"]) == generator_options.DRAWS
    assert results["reconstruction_test"][0]["edges"] == sum(g.number_of_edges() for g in test)
    assert len({draw["cross_entropy"] for draw in results["reconstruction_test"]}) == 5


def test_likelihood_is_that_of_the_embeddings_or_of_the_graphs(finished):
    generator, _, test, folder = finished
    found = training.read_json(folder / "results.json")["likelihood_test"]
    is_flow = generator.config.encoder == "flow"
    losses = -(generator.elbo if is_flow else generator.log_prob)(test, seed=2**32).numpy()
    np.testing.assert_allclose(found["loss"], losses.mean(), rtol=1e-5)
    expected = losses.std(ddof=1) / np.sqrt(len(test))
    np.testing.assert_allclose(found["standard_error"], expected, rtol=1e-4)


def test_summary_is_over_models_and_trials(finished):
    """By hand, of two models that are the same but for one number."""
    generator, _, _, folder = finished
    results = training.read_json(folder / "results.json")
    other = copy.deepcopy(results)
    other["generation"][1]["gnf"]["all"]["degree"]["value"] += 0.5
    end_to_end = generator.config.encoder == "flow"
    config = generation.Config(seeds=(0, 1), trials=2, dataset="ego_small", end_to_end=end_to_end)
    summary = generation.summarize(config, [results, other])
    reports = [trial["gnf"] for run in (results, other) for trial in run["generation"]]
    values = [report["all"]["degree"]["value"] for report in reports]
    mean, deviation = summary["generation"]["gnf"]["all"]["degree"]["value"].values()
    assert len(values) == 4 and (mean, deviation) == (np.mean(values), np.std(values, ddof=1))
    runs = [{"seed": seed} | run for seed, run in enumerate((results, other))]
    table = generation.table(summary | {"runs": runs})
    assert f"{mean:.4f} +- {deviation:.4f}" in table
    assert "valid (is_ego)" in table and "2 models, 2 trials each" in table
    # The paper's row is that of its graphs, by the same recipe.
    (row,) = [line for line in table.splitlines() if "GNF (the paper)" in line and "0.0008" in line]
    assert row.split()[-6:] == ["1", "0.01", "0.03", "0.0008", "-", "0.0136"]
    known = results["generation"][0]["gran"]["train"]["orbit"]["value"]
    assert f"{known:.4f}" in table


@pytest.mark.parametrize("preset", ["quick", "paper", "best"])
@pytest.mark.parametrize("trainer", [generation, autoencoder])
def test_presets_make_a_generator(trainer, preset):
    config = trainer.resolve(trainer.PRESETS[preset])
    assert config.network.embedding_size == 14 and config.network.encoder_blocks >= 6
    sizes = models.GeneratorConfig(**vars(config.network))
    models.GraphGenerator(
        [3], dataclasses.replace(sizes, width=16, encoder_width=16, encoder_blocks=1)
    )


def test_what_is_trained_decides_what_is_not_given():
    config = generation.resolve(
        generation.Config(end_to_end=True, network=generator_options.Network(decoder_blocks=1))
    )
    assert config.network.encoder == "flow"
    assert (config.network.encoder_blocks, config.network.decoder_blocks) == (2, 1)
    config = generation.resolve(generation.Config(dataset="community_small"))
    assert (config.network.embedding_size, config.network.decoder_blocks) == (30, 0)


def write_graphs(path, train, test, **changes):
    """A file of graphs that says which are for the test."""
    members = [*train, *test]
    edges = [sorted(pair) for graph in members for pair in graph.edges]
    arrays = {
        "n_nodes": np.array([len(graph) for graph in members], int),
        "n_edges": np.array([graph.number_of_edges() for graph in members], int),
        "edges": np.array(edges, int).reshape(-1, 2).T,
        "is_test": np.arange(len(members)) >= len(train),
    } | changes
    np.savez(path, **{name: values for name, values in arrays.items() if values is not None})
    return path


@pytest.mark.parametrize("trainer", [autoencoder, generation])
@pytest.mark.parametrize(
    "train, test, changes, message",
    [
        ([4, 5], [3], {"is_test": None}, "--fractions: `fractions` must leave no part empty"),
        ([], [4, 5], {}, "--data must have training graphs, none without nodes and one of"),
        ([0, 5], [4], {}, "--data must have training graphs, .* got node counts [0, 5]"),
        ([1], [4], {}, "--data must have training graphs, .* got node counts [1]"),
        ([4, 5], [], {}, "--data must have test graphs, .* got node counts []"),
        ([1] * 9, [1], {"is_test": None}, "--data must have training graphs, .* node counts [1, 1"),
        ([4, 5], [3, 0], {}, "--data must have test graphs, .* got node counts [3, 0]"),
        ([], [], {}, "--data must have training graphs, .* got node counts []"),
    ],
)
def test_a_file_that_cannot_serve_is_one_line_before_any_work(
    trainer, train, test, changes, message, monkeypatch, tmp_path, capsys
):
    monkeypatch.chdir(tmp_path)
    path = write_graphs(tmp_path / "graphs.npz", sizes_of(*train), sizes_of(*test), **changes)
    with pytest.raises(SystemExit) as stop:
        run(monkeypatch, trainer, "--data", path)
    error = capsys.readouterr().err
    assert stop.value.code == 1 and error.count("\n") == 1
    start, _, end = message.partition(".*")
    assert error.startswith(f"error: {start}") and end in error
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "trainer, words, message",
    [
        (autoencoder, "--compactness 0.3", "--compactness must be 0 without --embedding-noise"),
        (generation, "--compactness 0.3", "--compactness must be 0 without --embedding-noise"),
        (
            generation,
            "--end-to-end --embedding-noise 0.1",
            "--embedding-noise must be left out for the encoder 'flow', got 0.1",
        ),
    ],
)
def test_noise_that_does_not_fit_is_one_line(
    trainer, words, message, monkeypatch, tmp_path, capsys
):
    with pytest.raises(SystemExit):
        run(monkeypatch, trainer, "--run-dir", tmp_path / "run", *words.split())
    assert capsys.readouterr().err.startswith(f"error: {message}")
    assert not list(tmp_path.iterdir())


def test_directed_graphs_and_a_data_set_besides_are_refused(monkeypatch, tmp_path, capsys):
    path = tmp_path / "graphs.json"
    datasets.write_graphs(path, [nx.DiGraph([(0, 1)])] * 20)
    for words, message in (
        ((), "error: --data must have undirected graphs, got directed ones in "),
        (("--dataset", "ego_small"), "error: --dataset must be left out with --data"),
    ):
        with pytest.raises(SystemExit):
            run(monkeypatch, generation, "--data", path, "--run-dir", tmp_path / "run", *words)
        assert capsys.readouterr().err.startswith(message)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_single_graph_has_no_standard_error(monkeypatch, tmp_path, capsys):
    path = write_graphs(tmp_path / "graphs.npz", sizes_of(2), sizes_of(1))
    run(monkeypatch, generation, "--data", path, "--run-dir", tmp_path / "run")
    summary = json.loads((tmp_path / "run" / "results.json").read_text())
    (results,) = summary["runs"]
    for name in ("train", "test"):
        likelihood = results[f"likelihood_{name}"]
        assert np.isfinite(likelihood["loss"]) and likelihood["standard_error"] is None
    output = capsys.readouterr().out
    assert "nan" not in output and "MMD to the test graphs" in output
    assert summary["dataset"] == str(path) and "GNF (the paper)" not in output


def test_results_of_a_file_name_the_file_and_belong_to_its_graphs(monkeypatch, tmp_path, capsys):
    """As does the default run folder; those of other graphs have another."""
    monkeypatch.chdir(tmp_path)
    folders = []
    for place, sizes in (("a", [4, 5]), ("b", [4, 6])):
        (tmp_path / place).mkdir()
        path = write_graphs(tmp_path / place / "mine.npz", sizes_of(*sizes), sizes_of(3))
        run(monkeypatch, autoencoder, "--graphs-file", path)
        (folder,) = set((tmp_path / "runs").iterdir()) - set(folders)
        folders.append(folder)
        assert folder.name.startswith("autoencoder-mine-") and folder.name.endswith("-quick")
        assert json.loads((folder / "results.json").read_text())["dataset"] == str(path)
        config = json.loads((folder / "seed0" / "config.json").read_text())
        assert config["dataset"] is None and config["embedding_size"] == 14
    output = capsys.readouterr().out
    assert f"{path}, seed 0: 2 training, 0 validation, 1 test graphs" in output
    assert "ego" not in output and "community" not in output
    (tmp_path / "moved.npz").write_bytes((tmp_path / "a" / "mine.npz").read_bytes())
    run(monkeypatch, autoencoder, "--data", "moved.npz", "--run-dir", folders[0])
    with pytest.raises(SystemExit):
        run(monkeypatch, autoencoder, "--data", "moved.npz", "--run-dir", folders[1])
    assert "holds a run with data_digest = '" in capsys.readouterr().err


def test_topologies_have_both_directions_and_self_loops():
    test = datasets.ego_small("test")[:6]
    topologies = datasets.Topologies(test)
    graph = graphs.fill_missing(topologies.graph(np.arange(6)))
    graphs.validate(graph, check_values=True)
    for one, true in zip(graphs.unbatch(graph), test, strict=True):
        pairs = {*zip(one.senders.numpy().tolist(), one.receivers.numpy().tolist(), strict=True)}
        assert pairs == set(true.to_directed().edges) | {(i, i) for i in true}
    np.testing.assert_array_equal(topologies.sizes[:, 0], graph.n_node)
    np.testing.assert_array_equal(topologies.sizes[:, 1], graph.n_edge)
    with pytest.raises(ValueError, match="`members` must be graphs with nodes, got sizes .0."):
        datasets.Topologies([test[0].subgraph([])])


def test_an_epoch_of_several_passes_is_those_epochs_in_turn():
    topologies = datasets.Topologies(datasets.ego_small("test"))

    def seen(epochs, **options):
        stream = datasets.batches(topologies, 10, seed=1, **options)
        return [inputs["n_node"].numpy().tolist() for _ in range(epochs) for inputs, *_ in stream]

    assert seen(2, passes=3) == seen(6)
    assert seen(1, passes=3, first_epoch=1) == seen(3, first_epoch=3)
    with pytest.raises(ValueError, match="`passes` must be at least 1, got 0"):
        datasets.batches(topologies, 10, passes=0)
