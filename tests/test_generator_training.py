"""Training a `GraphGenerator` by `training.fit`: its stages, their losses, what is refused."""

import dataclasses

import networkx as nx
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from gnf_tf import datasets, graphs, metrics, models, training
from gnf_tf.errors import UserError
from gnf_tf.training import GeneratorObjective, GeneratorSettings, generator_objective
from gnf_tf.training.generator_objective import generator_losses
from gnf_tf.training.state import TrainingState
from tests import cases, checks

CONFIG = models.GeneratorConfig(
    embedding_size=4,
    encoder_width=8,
    encoder_blocks=1,
    encoder_steps=1,
    num_steps=1,
    width=8,
    num_heads=2,
)
SETTINGS = {"batch_size": 12, "execution": "eager"}
STAGES = {"network": ["auto_encoder", "flow"], "flow": ["end_to_end"]}

pytestmark = pytest.mark.usefixtures("few_are_compared")


@pytest.fixture(scope="module")
def train():
    """Small training graphs."""
    return [graph for graph in datasets.ego_small("train") if len(graph) < 7][:24]


def new_generator(train, **changes):
    training.set_seed(0)
    return models.GraphGenerator.for_data(train, dataclasses.replace(CONFIG, **changes))


@pytest.fixture(scope="module")
def two_stage(train, tmp_path_factory):
    """(generator, its history, its run folder), of the encoder "network"."""
    generator, folder = new_generator(train), tmp_path_factory.mktemp("run")
    return generator, fit(generator, train, folder), folder


@pytest.fixture(scope="module")
def end_to_end(train, tmp_path_factory):
    """The same of the encoder "flow"."""
    generator, folder = new_generator(train, encoder="flow"), tmp_path_factory.mktemp("run")
    return generator, fit(generator, train, folder), folder


@pytest.fixture(params=["two_stage", "end_to_end"])
def trained(request):
    """Either of them."""
    return request.getfixturevalue(request.param)


def fit(generator, train, folder=None, **settings):
    return training.fit(generator, train, folder=folder, **SETTINGS | {"epochs": 3} | settings)


def test_every_stage_learns_in_a_folder_of_its_own(trained):
    generator, history, folder = trained
    stages = STAGES[generator.config.encoder]
    histories = history.stages or {"end_to_end": history}
    assert list(histories) == stages and generator.stage == stages[-1]
    for stage, part in histories.items():
        assert len(training.read_json(folder / stage / "history.json")) == part.epochs == 3
        assert part.history["loss"][-1] < part.history["loss"][0]
    assert {path.name for path in folder.iterdir()} == {*stages, "model.npz"}
    assert history.history == histories[stages[-1]].history


def test_the_model_file_is_the_finished_generator(trained, train):
    generator, _, folder = trained
    loaded = models.load(folder / "model.npz")
    assert loaded.stage == generator.stage
    np.testing.assert_array_equal(loaded.log_prob(train), generator.log_prob(train))


def test_edges_are_decoded_as_brings_them_nearer_to_the_training_graphs(trained, train):
    generator, _, folder = trained
    found = {}
    for is_drawn in (False, True):
        made = generator.generate(generator_objective.COMPARED, seed=0, draw_edges=is_drawn)
        found[is_drawn] = sum(metrics.mmd(train, made, name) for name in metrics.STATISTICS)
    assert generator.draws_edges is min(found, key=found.get)
    assert models.load(folder / "model.npz").draws_edges is generator.draws_edges


def test_whether_edges_are_drawn_is_left_as_the_configuration_says(train):
    config = {"encoder": "flow", "draw_edges": False}
    generator = new_generator(train, **config)
    fit(generator, train, epochs=1)
    assert generator.draws_edges is None
    generator = new_generator(train, encoder="flow", directed=True)
    fit(generator, train, epochs=1)
    assert generator.draws_edges is None


def test_a_finished_training_is_known_again_by_the_trained_model(train, tmp_path):
    generator = new_generator(train, encoder="flow")
    first = fit(generator, train, tmp_path, epochs=1)
    decided = generator.draws_edges
    assert fit(generator, train, tmp_path, epochs=1).history == first.history
    assert generator.draws_edges is decided


def test_a_refused_training_leaves_the_model_as_it_was(trained, train, tmp_path):
    finished, _, folder = trained
    new = new_generator(train, encoder=finished.config.encoder)
    (tmp_path / "file").touch()
    for generator, place, stage in (
        (finished, folder, None),
        (new, tmp_path / "file", "flow"),
        (new, tmp_path / "a*", "flow"),
    ):
        before = generator.stage, generator.draws_edges, weights(generator)
        with pytest.raises(UserError, match="run folder"):
            fit(generator, train, place, epochs=4, stage=stage)
        assert (generator.stage, generator.draws_edges) == before[:2]
        for now, then in zip(weights(generator), before[2], strict=True):
            np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize(
    "encoder, stage, execution",
    [("network", None, "eager"), ("network", "flow", "function"), ("flow", None, "eager")],
)
def test_a_loss_that_is_not_finite_is_named(encoder, stage, execution, train):
    generator = new_generator(train, encoder=encoder)
    settings = {"stage": stage, "execution": execution, "learning_rate": 1e30}
    with pytest.raises(UserError, match="a lower `learning_rate` may help"):
        fit(generator, train, **settings)


def test_resumes_in_the_second_stage_as_if_uninterrupted(two_stage, train, monkeypatch, tmp_path):
    """Of graphs in a GraphsTuple, of which the same comes as of a list."""
    on_train_batch_end = TrainingState.on_train_batch_end

    def stopping(state, batch, logs=None):
        on_train_batch_end(state, batch, logs)
        if state._objective.settings.stage == "flow" and state.next_epoch == 1:
            raise KeyboardInterrupt

    batch = graphs.from_networkx(train)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(TrainingState, "on_train_batch_end", stopping)
        fit(new_generator(batch), batch, tmp_path, checkpoint_minutes=0.0)
    resumed = fit(new_generator(batch), batch, tmp_path, checkpoint_minutes=0.0)
    for stage, part in two_stage[1].stages.items():
        for name, values in part.history.items():
            np.testing.assert_allclose(resumed.stages[stage].history[name], values, rtol=1e-4)


@pytest.mark.parametrize("stage, changed", [("auto_encoder", "auto_encoder"), ("flow", "gnf")])
def test_a_stage_trains_its_part_alone(stage, changed, train):
    generator = new_generator(train)
    before = {name: weights(getattr(generator, name)) for name in ("auto_encoder", "gnf")}
    objective = GeneratorObjective(
        generator, GeneratorSettings(stage=stage, execution="eager"), 0, train, None
    )
    objective.compile(10)
    if stage == "flow":  # it is initialized from data
        before["gnf"] = weights(generator.gnf)
    objective.train_step(next(iter(datasets.batches(generator.topologies(train), 24))))
    for name, values in before.items():
        pairs = zip(values, weights(getattr(generator, name)), strict=True)
        assert all(np.array_equal(*pair) for pair in pairs) != (name == changed)


def weights(module):
    return [variable.numpy() for variable in module.variables]


def test_the_penalty_is_the_information_of_a_gaussian_channel(train):
    """That of the real graphs alone; padding graphs don't count."""
    generator = new_generator(train, embedding_noise=0.1)
    graph = graphs.from_networkx(train)
    padded = graphs.pad(graph, len(graph.nodes) + 9, len(graph.edges) + 9, len(train) + 2)
    options = {"stage": "auto_encoder", "seed": 1}
    plain, penalized = (
        generator_losses(generator, padded, compactness=weight, **options)["loss"]
        for weight in (0.0, 2.0)
    )
    nodes = generator.auto_encoder.encode(padded, seed=1).nodes.numpy()[: len(graph.nodes)]
    information = 0.5 * np.linalg.slogdet(np.cov(nodes.T, bias=True) / 0.01)[1]
    expected = 2.0 * information * np.array(graph.n_node)
    np.testing.assert_allclose((penalized - plain)[: len(train)], expected, rtol=0.05)


def test_the_rate_of_the_flow_leaves_out_the_noise(train):
    generator = new_generator(train, embedding_noise=0.1)
    graph = graphs.from_networkx(train)
    losses = generator_losses(generator, graph, stage="flow", seed=1)
    entropy = scipy.stats.norm(scale=0.1).entropy() * 4 * np.array(graph.n_node)
    np.testing.assert_allclose(losses["rate"], losses["loss"] - entropy, rtol=1e-4)


@pytest.mark.parametrize("beta", [1.0, 0.2])
def test_the_rate_weighs_less_at_first(beta, train):
    """And the loss that is reported has the weight that the rate has at last."""
    generator = new_generator(train, encoder="flow")
    settings = GeneratorSettings(stage="end_to_end", beta=beta, execution="eager")
    objective = GeneratorObjective(generator, settings, 0, train, None)
    cases.randomize(generator, scale=0.3)
    objective.compile(20)  # 12 of these steps are annealed
    (batch,) = datasets.batches(generator.topologies(train), 24)
    for done, share in [(0, 0.01), (6, 0.505), (12, 1.0), (15, 1.0)]:
        objective.optimizer.iterations.assign(done)
        loss, total, updates = objective.batch_loss(batch, is_training=True)
        entropy, rate, reported = (updates[k][0] for k in ("cross_entropy", "rate", "loss"))
        assert total == 24 and abs(rate) > 1
        np.testing.assert_allclose(loss, entropy + share * beta * rate, rtol=1e-4)
        np.testing.assert_allclose(reported, entropy + beta * rate, rtol=1e-4)


@pytest.mark.parametrize("encoder", STAGES)
def test_a_validation_has_new_noise_for_each_batch_and_the_next_one_the_same(encoder, train):
    generator = new_generator(train, encoder=encoder)
    settings = GeneratorSettings(stage=STAGES[encoder][0], batch_size=5, execution="eager")
    objective = GeneratorObjective(generator, settings, 0, train, train[:5])
    objective.compile(1)
    checks.noise_of_validation(objective)


@pytest.mark.parametrize(
    "num_eigenvectors, max_num_nodes, expected",
    [(0, 200, "xla"), (2, 60, "xla"), (2, 200, "function")],
)
def test_xla_finds_no_eigenvectors_of_large_graphs(
    train, num_eigenvectors, max_num_nodes, expected
):
    config = dataclasses.replace(CONFIG, num_eigenvectors=num_eigenvectors)
    generator = models.GraphGenerator.for_data(train, config, max_num_nodes=max_num_nodes)
    settings = GeneratorSettings(stage="auto_encoder")
    objective = GeneratorObjective(generator, settings, 0, train, None)
    assert objective.default_execution() == expected


def test_steps_are_rounded_up_to_whole_passes(train):
    generator = new_generator(train)
    for steps, expected in ((None, 2), (1, 2), (2, 2), (3, 4)):
        settings = GeneratorSettings(batch_size=12, steps_per_epoch=steps, stage="auto_encoder")
        objective = GeneratorObjective(generator, settings, 0, train, None)
        assert objective.steps_per_epoch == expected == len(list(objective.training_stream(0, 0)))


def test_a_trained_flow_goes_on_where_it_was(trained, train):
    """Its normalization is not taken from data anew."""
    generator, _, _ = trained
    before = weights(generator.gnf)
    settings = GeneratorSettings(stage=generator.stage)
    GeneratorObjective(generator, settings, 0, train[:3], None)
    for a, b in zip(before, weights(generator.gnf), strict=True):
        np.testing.assert_array_equal(a, b)


def test_edges_in_one_direction_are_those_in_both(train, tmp_path):
    whole = graphs.from_networkx([nx.Graph(graph.edges) for graph in train])
    keep = tf.where(whole.senders < whole.receivers)[:, 0]
    ends = np.cumsum(whole.n_edge)
    directed = whole.replace(
        senders=tf.gather(whole.senders, keep),
        receivers=tf.gather(whole.receivers, keep),
        edges=tf.gather(whole.edges, keep),
        n_edge=np.diff(np.searchsorted(keep, [0, *ends])).astype(np.int32),
    )
    settings = {"epochs": 1, "steps_per_epoch": 1, "verbose": 0, **SETTINGS}
    found = []
    for data in (whole, directed):
        generator = new_generator(data, encoder="flow")
        training.fit(generator, data, folder=tmp_path / str(len(found)), **settings)
        found.append(generator)
    one, other = (generator.draws_edges for generator in found)
    assert one is other is not None
    for a, b in zip(found[0].variables, found[1].variables, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_only_an_auto_encoder_is_not_asked_for_graphs(train):
    """Nor for densities; training its flow makes it a generator."""
    generator = new_generator(train)
    fit(generator, train, stage="auto_encoder", epochs=1)
    for ask in (lambda: generator.generate(3, seed=0), lambda: generator.log_prob(train)):
        with pytest.raises(ValueError, match="only the auto-encoder was trained"):
            ask()
    generator.stage = "flow"
    assert len(generator.generate(3, seed=0)) == 3


@pytest.mark.parametrize(
    "data, settings, message",
    [
        (lambda train: [], {}, "`graphs` must hold at least one graph, got none"),
        (lambda train: [train[0].subgraph([])], {}, "graph 0 of `graphs` has no nodes"),
        (lambda train: [*train, train[0].to_directed()], {}, "graph 24 of `graphs` is directed"),
        (lambda train: datasets.ego_small("train"), {}, "nodes, more than the generator's `max_n"),
        (lambda train: [train[0].subgraph(list(train[0])[:1])], {}, "two or more nodes in all"),
        (lambda train: train, {"stage": "end_to_end"}, "`stage` must not be 'end_to_end' where"),
        (lambda train: train, {"stage": "x"}, "`stage` must be one of 'auto_encoder', 'flow'"),
        (lambda train: train, {"compactness": 0.1}, "`compactness` must be 0 where"),
        (lambda train: train, {"beta": 0.0}, r"`beta` must be in \(0, 1\], got 0.0"),
    ],
)
def test_what_does_not_fit_is_named_before_any_work(data, settings, message, train, tmp_path):
    with pytest.raises(ValueError, match=message):
        fit(new_generator(train), data(train), tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()
