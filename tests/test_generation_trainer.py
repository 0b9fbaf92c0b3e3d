"""The generation trainer, end to end on small models and real graphs."""

import copy
import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from graph_nets import utils_tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gnf_tf import datasets, graphs, metrics, models
from trainers import autoencoder, common, generation, training
from trainers import generation_stages as stages
from trainers.generation_model import GeneratorTraining, reconstruction

SMALL = {
    "steps": 6,
    "epochs": 3,
    "batch_size": 60,
    "embedding_size": 4,
    "encoder_width": 8,
    "encoder_blocks": 2,
    "encoder_steps": 1,
    "num_steps": 1,
    "width": 8,
    "num_heads": 2,
    "num_generated": 30,
    "trials": 2,
    "jit": False,
}
STAGES = {False: ("auto_encoder", "flow"), True: ("end_to_end",)}


def make_config(run_dir, preset="quick", **changes):
    values = SMALL | {"run_dir": run_dir} | changes
    return generation.resolve(dataclasses.replace(generation.PRESETS[preset], **values))


@pytest.fixture(scope="module", params=[False, True], ids=["two_stage", "end_to_end"])
def finished(request, tmp_path_factory):
    """A finished run: (its configuration, its results)."""
    config = make_config(tmp_path_factory.mktemp("run"), end_to_end=request.param)
    return config, generation.train_and_evaluate(config, 0)


def load_generator(config):
    return models.GraphGenerator.load(config.run_dir / "seed0" / "generator.npz")


def test_results_are_those_of_the_saved_generator(finished):
    config, results = finished
    folder = config.run_dir / "seed0"
    assert json.loads((folder / "results.json").read_text()) == results
    generator = load_generator(config)
    for trial, report in enumerate(results["generation"]):
        generated = generator.generate(30, seed=trial)
        assert report == metrics.evaluate(
            generated, datasets.ego_small("test"), train=datasets.ego_small("train")
        )
    assert len(results["generation"]) == 2
    for name in ("graphs.png", "statistics.png"):
        assert np.std(tf.image.decode_png((folder / name).read_bytes())) > 5


def test_summary_is_over_models_and_trials(finished):
    """By hand, of two models that are the same but for one number."""
    config, results = finished
    other = copy.deepcopy(results)
    other["generation"][1]["all"]["degree"]["value"] += 0.5
    config = dataclasses.replace(config, seeds=(0, 1))
    summary = generation.summarize(config, [results, other])
    values = [r["all"]["degree"]["value"] for run in (results, other) for r in run["generation"]]
    assert len(values) == 4
    np.testing.assert_allclose(summary["all"]["degree"]["mean"], np.mean(values))
    np.testing.assert_allclose(summary["all"]["degree"]["deviation"], np.std(values, ddof=1))
    assert summary["train"]["orbit"] == results["generation"][0]["train"]["orbit"]["value"]
    table = generation.table(summary)
    mean, deviation = summary["all"]["degree"].values()
    assert f"{mean:.4f} +- {deviation:.4f}" in table
    assert "0.0008" in table and "2 models, 2 trials each" in table
    # Fewer graphs than test graphs can't be matched without replacement.
    results["generation"][0]["matched_without_replacement"] = None
    assert generation.summarize(config, [results])["matched_without_replacement"] is None


def test_reconstruction_is_that_of_decoded_graphs(finished):
    config, results = finished
    generator = load_generator(config)
    test = datasets.ego_small("test")
    tf.config.run_functions_eagerly(True)  # XLA's random numbers are others
    try:
        draws = reconstruction(generator, datasets.batches(datasets.Topologies(test), 100), 1)
    finally:
        tf.config.run_functions_eagerly(False)
    assert draws[0]["edges"] == sum(graph.number_of_edges() for graph in test)
    assert draws[0]["nodes"] == sum(map(len, test))
    assert draws[0]["pairs"] == sum(len(graph) * (len(graph) - 1) / 2 for graph in test)
    topologies = datasets.Topologies(test)
    (plan,) = datasets.plan_batches(topologies, 100)
    graph = graphs.fill_missing(topologies.graph(plan))
    # The padded batch has one more node, and the same noise for the others.
    embedded = generator.auto_encoder.encode(graph, seed=tf.constant([-2, 0]))
    decoded = graphs.to_networkx(generator.auto_encoder.decode(embedded))
    wrong = metrics.wrong_edges([test[row] for row in plan], decoded).wrong
    assert draws[0]["wrong_edges"] == wrong > 0
    assert len(results["reconstruction_test"]) == stages.DRAWS


def test_likelihood_is_that_of_each_graph_alone(finished):
    """Buckets put together what belongs together, and waste little on padding."""
    config, results = finished
    found = results["likelihood_test"]
    assert found["padding"] < 0.2
    assert found["standard_error"] > 0
    np.testing.assert_allclose(
        found["loss"],
        found["rate"] + (found["cross_entropy"] if config.end_to_end else 0.0),
        rtol=1e-5,
    )
    generator = load_generator(config)
    encoder = generator.auto_encoder
    test = datasets.Topologies(datasets.ego_small("test"))
    plan = datasets.plan_buckets(test.n_node, 256, max_waste=0.2, room="pairs")
    entropies = []
    for i, batch in enumerate(plan):
        graph = graphs.fill_missing(test.graph(batch.rows))
        embedded = encoder.encode(graph, seed=tf.constant([0, -1 - i]))
        for j in range(len(batch.rows)):
            alone = utils_tf.get_graph(embedded, j)
            entropies.append(encoder.cross_entropy(alone).numpy()[0])
    assert len(plan) > 1
    np.testing.assert_allclose(found["cross_entropy"], np.mean(entropies), rtol=1e-4)


def test_every_stage_learns(finished):
    config, _ = finished
    for stage in STAGES[config.end_to_end]:
        history = json.loads((config.run_dir / "seed0" / stage / "history.json").read_text())
        assert len(history) == config.epochs
        assert history[-1]["loss"] < history[0]["loss"]


def test_tensorboard_has_what_is_promised(finished):
    config, _ = finished
    stage = STAGES[config.end_to_end][-1]
    events = EventAccumulator(
        str(config.run_dir / "seed0" / stage / "tensorboard"), size_guidance={"tensors": 0}
    )
    events.Reload()
    tags = set(events.Tags()["tensors"])
    assert {"loss/train", "loss/validation", "wrong_edges/validation", "graphs"} <= tags
    for statistic in metrics.STATISTICS:
        assert len(events.Tensors(f"mmd_to_training_graphs/{statistic}")) == config.epochs


def test_a_finished_run_is_not_run_again(finished):
    config, results = finished
    before = sorted((path.name, path.stat().st_mtime_ns) for path in config.run_dir.rglob("*"))
    assert generation.train_and_evaluate(config, 0) == results
    after = sorted((path.name, path.stat().st_mtime_ns) for path in config.run_dir.rglob("*"))
    assert before == after


def test_autoencoder_trainer(tmp_path, monkeypatch, capsys):
    words = ["autoencoder.py", "--run-dir", str(tmp_path), "--seeds", "0", str(2**32)]
    for name in ("steps", "epochs", "batch_size", "encoder_width", "encoder_blocks", "num_heads"):
        words += [f"--{name.replace('_', '-')}", str(SMALL[name])]
    monkeypatch.setattr("sys.argv", words)
    autoencoder.main()
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["seeds"] == [0, 2**32] and results["dataset"] == "ego_small"
    draws = [draw for run in results["runs"] for draw in run["reconstruction_test"]]
    assert len({draw["cross_entropy"] for draw in draws}) == 2 * stages.DRAWS
    assert draws[0]["edges"] == sum(g.number_of_edges() for g in datasets.ego_small("test"))
    assert (
        np.std(tf.image.decode_png((tmp_path / f"seed{2**32}" / "reconstructed.png").read_bytes()))
        > 5
    )
    output = capsys.readouterr().out
    assert "wrong of 320 edges" in output and "32 of 984" in output


class StopError(Exception):
    pass


def test_resumes_in_the_second_stage_as_if_uninterrupted(monkeypatch, tmp_path):
    seed = 2**63 - 1  # the largest: the other runs have 0
    uninterrupted = generation.train_and_evaluate(make_config(tmp_path / "a"), seed)
    config = make_config(tmp_path / "b", checkpoint_minutes=0.0)
    on_train_batch_end = training.TrainingState.on_train_batch_end

    def stopping(self, batch, logs=None):
        on_train_batch_end(self, batch, logs)
        is_flow = self._model.stage == "flow"
        if is_flow and int(self._model.optimizer.iterations) == 5:
            raise StopError

    with monkeypatch.context() as patch:
        patch.setattr(training.TrainingState, "on_train_batch_end", stopping)
        with pytest.raises(StopError):
            generation.train_and_evaluate(config, seed)
    resumed = generation.train_and_evaluate(config, seed)
    assert resumed["generation"] == uninterrupted["generation"]
    assert resumed["flow"]["best_training_loss"] == uninterrupted["flow"]["best_training_loss"]


def test_the_flow_stage_leaves_the_encoder_alone(tmp_path):
    config = make_config(tmp_path)
    train = datasets.ego_small("train")[:20]
    generator = generation.make_generator(config, train, train)
    generator.initialize(graphs.fill_missing(datasets.Topologies(train).graph(np.arange(20))))
    model = GeneratorTraining(generator, "flow", 0.0, seed=0)
    model.compile(optimizer=training.cosine_adam(1e-2, 10, clip_norm=1.0), weighted_metrics=[])
    model.optimizer.build(model.trained)
    before = [v.numpy() for v in generator.auto_encoder.variables]
    flow_before = [v.numpy() for v in generator.gnf.trainable_variables]
    model.train_step(next(iter(datasets.batches(datasets.Topologies(train), 20))))
    for variable, value in zip(generator.auto_encoder.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    moved = zip(generator.gnf.trainable_variables, flow_before, strict=True)
    assert any(np.abs(variable - value).max() > 0 for variable, value in moved)


@pytest.mark.parametrize("rate_weight", [1.0, 0.2])
@pytest.mark.parametrize("done, share", [(0, 0.01), (5, 0.505), (10, 1.0), (15, 1.0)])
def test_the_rate_weighs_less_at_first(rate_weight, done, share, tmp_path):
    """A step of plain gradient descent, after so many steps, follows cross entropy + weight x rate.

    The loss that is reported has the weight that the rate has at last.
    """
    config = make_config(tmp_path, end_to_end=True)
    train = datasets.ego_small("train")[:12]
    generator = generation.make_generator(config, train, train)
    topologies = datasets.Topologies(train)
    generator.initialize(graphs.fill_missing(topologies.graph(np.arange(12))))
    model = GeneratorTraining(
        generator, "end_to_end", 0.0, seed=0, annealing_steps=10, rate_weight=rate_weight
    )
    model.compile(optimizer=tf_keras.optimizers.SGD(1e-3, jit_compile=False))
    model.optimizer.build(model.trained)
    model.optimizer.iterations.assign(done)
    (batch,) = datasets.batches(topologies, 12)
    before = [variable.numpy() for variable in model.trained]
    with tf.GradientTape() as tape:
        means = model._means(batch[0], batch[2], tf.constant([0, 1 + done]))
        objective = means["cross_entropy"] + share * rate_weight * means["rate"]
    gradients = tape.gradient(objective, model.trained)
    logs = model.train_step(batch)
    reported = means["cross_entropy"] + rate_weight * means["rate"]
    np.testing.assert_allclose(logs["loss"], reported, rtol=1e-4)
    largest = max(float(tf.reduce_max(tf.abs(g))) for g in gradients)
    for variable, old, gradient in zip(model.trained, before, gradients, strict=True):
        moved = (old - variable.numpy()) / 1e-3
        np.testing.assert_allclose(moved, gradient, rtol=0.02, atol=1e-3 * largest)


@pytest.mark.parametrize("preset", ["quick", "paper", "best"])
def test_presets_make_a_generator(preset, tmp_path):
    config = generation.resolve(
        dataclasses.replace(generation.PRESETS[preset], width=16, encoder_width=16)
    )
    train = datasets.ego_small("train")[:5]
    assert generation.make_generator(config, train, train).config.embedding_size == 14
    config = autoencoder.resolve(dataclasses.replace(autoencoder.PRESETS[preset], encoder_width=16))
    assert autoencoder.make_generator(config, train, train).config.embedding_size == 14


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"epochs": 0}, "--epochs must be at least 1, got 0"),
        ({"embedding_size": 5}, "--embedding-size must be even, got 5"),
        ({"width": 9}, "--width must be a multiple of --num-heads, 2, got 9"),
        ({"learning_rate": 0.0}, "--learning-rate must be positive, got 0.0"),
        ({"averaging": 1.0}, "--averaging must be in .* got 1.0"),
        ({"trials": 0}, "--trials must be at least 1, got 0"),
        ({"seeds": (1, 1)}, "--seeds must be different .* got \\(1, 1\\)"),
        ({"num_generated": 1}, "--num-generated must be at least 2, got 1"),
        ({"decoder_blocks": -1}, "--decoder-blocks must be at least 0, got -1"),
        ({"rate_weight": 0.0}, r"--rate-weight must be in \(0, 1\], got 0.0"),
    ],
)
def test_wrong_options_name_the_option(changes, message, tmp_path):
    with pytest.raises(common.UserError, match=message):
        make_config(tmp_path, **changes)


def write_graphs(path, train, test, **changes):
    """A file of paths with so many nodes."""
    sizes = [*train, *test]
    edges = [(i, i + 1) for n in sizes for i in range(n - 1)]
    arrays = {
        "n_nodes": np.array(sizes, int),
        "n_edges": np.array([max(n - 1, 0) for n in sizes], int),
        "edges": np.array(edges, int).reshape(-1, 2).T,
        "is_test": np.arange(len(sizes)) >= len(train),
    } | changes
    np.savez(path, **{name: values for name, values in arrays.items() if values is not None})
    return path


def run_on(monkeypatch, trainer, path, *words):
    """The command line of a small model of the graphs of a file."""
    names = ["steps", "epochs", "encoder_width", "encoder_blocks", "num_heads"]
    if trainer is generation:
        names += ["encoder_steps", "num_steps", "width", "num_generated", "trials"]
    words = [f"{trainer.__name__}.py", "--graphs-file", str(path), *words, "--no-jit"]
    for name in names:
        words += [f"--{name.replace('_', '-')}", str(SMALL[name])]
    monkeypatch.setattr("sys.argv", words)
    common.run(trainer.main)


@pytest.mark.parametrize("trainer", [autoencoder, generation])
@pytest.mark.parametrize(
    "train, test, changes, message",
    [
        ([4, 5], [3], {"is_test": None}, "must say which graphs are for the test: "),
        ([], [4, 5], {}, "must have training graphs, none without nodes"),
        ([0, 5], [4], {}, "must have training graphs, .* got node counts [0, 5]"),
        ([1], [4], {}, "must have training graphs, .* 2 or more nodes in all, got node counts [1]"),
        ([4, 5], [], {}, "must have test graphs, .* got node counts []"),
        ([4, 5], [3, 0], {}, "must have test graphs, .* got node counts [3, 0]"),
        ([], [], {}, "must have training graphs, .* got node counts []"),
    ],
)
def test_a_file_that_cannot_serve_is_one_line_before_any_work(
    trainer, train, test, changes, message, monkeypatch, tmp_path, capsys
):
    monkeypatch.chdir(tmp_path)
    path = write_graphs(tmp_path / "graphs.npz", train, test, **changes)
    with pytest.raises(SystemExit) as stop:
        run_on(monkeypatch, trainer, path)
    error = capsys.readouterr().err
    assert stop.value.code == 1 and error.count("\n") == 1
    start, _, end = message.partition(".*")
    assert error.startswith(f"error: --graphs-file {start}") and end in error
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(
    "train, test, words", [([4], [3, 5], []), ([4, 5], [3], ["--end-to-end"]), ([2], [1], [])]
)
def test_a_single_graph_has_no_standard_error(train, test, words, monkeypatch, tmp_path, capsys):
    path = write_graphs(tmp_path / "graphs.npz", train, test)
    run_dir = tmp_path / "run"
    run_on(monkeypatch, generation, path, "--run-dir", str(run_dir), *words)
    summary = json.loads((run_dir / "results.json").read_text())
    (run,) = summary["runs"]
    for name, members in (("train", train), ("test", test)):
        likelihood = run[f"likelihood_{name}"]
        assert np.isfinite(likelihood["loss"])
        assert (likelihood["standard_error"] is None) == (len(members) == 1)
    output = capsys.readouterr().out
    assert "nan" not in output and "MMD to the test graphs" in output
    assert summary["dataset"] == str(path) and summary["paper"] is None


def test_results_of_a_file_name_the_file(monkeypatch, tmp_path, capsys):
    """As does the default run folder; those of other graphs have another."""
    monkeypatch.chdir(tmp_path)
    folders = []
    for place, sizes in (("a", [4, 5]), ("b", [4, 6])):
        (tmp_path / place).mkdir()
        path = write_graphs(tmp_path / place / "mine.npz", sizes, [3])
        run_on(monkeypatch, autoencoder, path)
        (folder,) = set((tmp_path / "runs").iterdir()) - set(folders)
        folders.append(folder)
        assert folder.name.startswith("autoencoder-mine-") and folder.name.endswith("-quick")
        assert json.loads((folder / "results.json").read_text())["dataset"] == str(path)
        config = json.loads((folder / "seed0" / "config.json").read_text())
        assert config["dataset"] is None and config["embedding_size"] == 14
    output = capsys.readouterr().out
    assert f"{path}, seed 0, auto_encoder: " in output
    assert "ego" not in output and "community" not in output


def test_a_run_folder_belongs_to_what_a_file_holds(monkeypatch, tmp_path):
    path, moved = tmp_path / "mine.npz", tmp_path / "moved.npz"
    options = {"run_dir": tmp_path / "run", "seeds": (0,)}

    def opened(path):
        config = generation.resolve(generation.Config(graphs_file=path, **options))
        return training.open_seed(config, 0)

    opened(write_graphs(path, [4, 5], [3]))
    path.rename(moved)
    assert opened(moved) == tmp_path / "run" / "seed0"
    with pytest.raises(common.UserError, match="holds a run with graphs_digest = '"):
        opened(write_graphs(path, [4, 6], [3]))


def test_a_data_set_and_a_file_are_one_too_many(monkeypatch, tmp_path, capsys):
    path = write_graphs(tmp_path / "graphs.npz", [4, 5], [3])
    with pytest.raises(SystemExit):
        run_on(monkeypatch, generation, path, "--dataset", "ego_small")
    error = capsys.readouterr().err
    assert error.startswith("error: --dataset must be left out with --graphs-file")


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
