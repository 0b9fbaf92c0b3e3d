"""Training of `GraphDensity`, on sets that are drawn and on graphs; the trainer's own results."""

import contextlib
import dataclasses
import io
import json
import math

import numpy as np
import pytest
import tensorflow as tf

from gnf_tf import datasets, graphs, metrics, models, training
from gnf_tf.errors import UserError
from gnf_tf.graphs import GraphsTuple
from gnf_tf.training import DensityObjective, DensitySettings
from tests.test_graph_density import SMALL, rings
from trainers import density

SETS = datasets.POINT_SETS["mog_4_9"]
ONE = tf.range(1)  # step a call
SETTINGS = {"batch_size": 8, "validation_sets": 32, "execution": "eager"}


def new_objective(data=SETS, config=(), validation=None, seed=0, **settings):
    training.set_seed(0)
    model = models.GraphDensity.for_data(data, models.DensityConfig(**SMALL | dict(config)))
    objective = DensityObjective(
        model, DensitySettings(**SETTINGS | settings), seed, data, validation
    )
    objective.compile(24)
    return objective


def test_the_loss_is_the_nll_per_node():
    objective = new_objective(config={"normalization": "none"})
    graph = SETS.sample(8, seed=(0, 1))  # those of the first step
    log_prob = objective.module.log_prob(graph)
    loss, weight, _ = objective.batch_loss(0, is_training=True)
    np.testing.assert_allclose(loss, -log_prob.sum() / len(graph.nodes), rtol=1e-5)
    assert float(weight) == len(graph.nodes)
    validation = SETS.sample(32, seed=(0, -1))
    loss, _, _ = objective.batch_loss(0, is_training=False)
    log_prob = objective.module.log_prob(validation)
    np.testing.assert_allclose(loss, -log_prob.sum() / len(validation.nodes), rtol=1e-5)


def test_no_two_training_steps_see_the_same_sets():
    objective = new_objective()
    for seed in (0, 2**31, 2**63 - 1, 2**64 + 1):
        objective.seed = seed
        losses, drawn = [], []
        for _ in range(2):
            drawn.append(objective.step_seed().numpy().tolist())
            losses.append(float(objective.train_step(ONE)["loss"]))
        assert np.isfinite(losses).all() and drawn[0] != drawn[1]
    assert len(list(objective.training_stream(0, skip=2))) == objective.steps_per_epoch - 2


def test_many_steps_in_one_call_are_the_same_steps():
    together, apart = new_objective(steps_per_epoch=14, execution="xla"), new_objective()
    (call, _) = together.training_stream(0, 0)  # two calls of seven steps
    assert call.shape == [7] and len(list(together.training_stream(0, 7))) == 1
    logs = together.train_step(call[:3])
    for _ in range(3):
        expected = apart.train_step(ONE)
    np.testing.assert_allclose(logs["loss"], expected["loss"], rtol=1e-5)
    assert int(together.optimizer.iterations) == 3
    np.testing.assert_allclose(together.averages, apart.averages, rtol=1e-3, atol=1e-5)


def test_averages_follow_the_weights_and_statistics_follow_them():
    objective = new_objective(ema_decay=0.5)
    variables = list(objective.module.variables)
    expected = [v.numpy() for v in variables]
    for step in range(1, 4):
        objective.train_step(ONE)
        kept = min(0.5, (1 + step) / (10 + step))
        expected = [
            v.numpy() + kept * (average - v.numpy())
            for v, average in zip(variables, expected, strict=True)
        ]
    raw = [v.numpy() for v in variables]
    trained = {variable.ref() for variable in objective.trained}
    with objective.averages_applied():
        for variable, value in zip(variables, expected, strict=True):
            if variable.ref() in trained:
                np.testing.assert_allclose(variable, value, rtol=1e-4, atol=1e-6)
        # Batch statistics are those of the averaged weights.
        sets = objective.module.some_of(SETS)
        frozen = objective.module(sets).numpy()
        np.testing.assert_allclose(frozen, objective.module(sets, is_training=True), rtol=1e-3)
    assert max(np.abs(a - b).max() for a, b in zip(raw, expected, strict=True)) > 1e-4
    for variable, value in zip(variables, raw, strict=True):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.parametrize("attention", ["all", "edges", "none"])
def test_batches_are_of_the_graphs_alone(attention):
    """Each once a pass, without padding, in an order of each epoch's own."""
    members = rings(10)
    config = {"attention": attention, "conditioner": "transformer"}
    objective = new_objective(members, config, batch_size=4, steps_per_epoch=4)
    assert objective.steps_per_epoch == 6  # whole passes of three batches

    def firsts(stream):
        parts = [GraphsTuple(**inputs) for inputs, _, _ in stream]
        assert sum(len(part.nodes) for part in parts) == 2 * sum(range(3, 13))
        starts = [np.cumsum(part.n_node) - part.n_node for part in parts]
        return [part.nodes.numpy()[start] for part, start in zip(parts, starts, strict=True)]

    one, other = firsts(objective.training_stream(0, 0)), firsts(objective.training_stream(1, 0))
    for half in (one[:3], one[3:], other[:3]):
        rows = np.concatenate(half)
        expected = [graph.nodes[0]["features"] for graph in members]
        np.testing.assert_allclose(
            rows[rows[:, 0].argsort()], sorted(map(list, expected)), rtol=1e-5
        )
    assert (np.concatenate(one) != np.concatenate(other)).any()
    skipped = [inputs["nodes"] for inputs, _, _ in objective.training_stream(1, 4)]
    assert len(skipped) == 2
    validation, count = objective.validation_stream()
    assert count == len(list(validation)) == 3


def test_graphs_are_validated_as_a_whole():
    """The mean over all nodes, whatever the batches."""
    members = rings(7)
    objective = new_objective(members, batch_size=4)
    logs = objective.evaluate(objective.validation_stream()[0], verbose=0, return_dict=True)
    with objective.averages_applied():
        expected = -objective.module.log_prob(members).sum() / sum(range(3, 10))
    np.testing.assert_allclose(logs["loss"], expected, rtol=1e-5)


def test_it_learns_a_gaussian():
    """To its entropy: points of a set share a place; and alone to that of a point."""
    rng = np.random.default_rng(0)

    def data(count):
        place = rng.normal(size=[count, 1, 2])
        nodes = (place + 0.3 * rng.normal(size=[count, 3, 2])) * [1.0, 10.0] + [0.0, 50.0]
        topology = graphs.fully_connected([3] * count, 2)
        return topology.replace(nodes=tf.constant(nodes.reshape(-1, 2), tf.float32))

    train, test = data(1500), data(500)
    covariance = np.kron(np.ones([3, 3]) + 0.09 * np.eye(3), np.diag([1.0, 100.0]))
    entropy = 0.5 * np.linalg.slogdet(2 * np.pi * np.e * covariance)[1] / 3
    model = models.GraphDensity.for_data(
        train, models.DensityConfig(num_steps=2, width=16, coupling="affine")
    )
    training.fit(model, train, epochs=4, batch_size=50, learning_rate=2e-2, ema_decay=0.9)
    nll = -model.log_prob(test).sum() / 1500
    assert entropy - 0.1 < nll < entropy + 0.1
    independent = 0.5 * np.log(2 * np.pi * np.e * 1.09) * 2 + np.log(10.0)
    assert nll < independent - 0.5


def test_data_choose_how_a_step_runs():
    assert new_objective().default_execution() == "xla"
    assert new_objective(rings(2)).default_execution() == "function"


def test_data_of_another_kind_are_named():
    with pytest.raises(ValueError, match="node features of width 2.*got widths 3 and 1"):
        new_objective(rings(3), validation=SETS)
    with pytest.raises(ValueError, match="node features must have the model's width 2, got 3"):
        new_objective(validation=rings(3))


def test_each_feature_is_drawn_where_there_is_no_plane():
    model = models.GraphDensity.for_data(rings(3), models.DensityConfig(**SMALL))
    figure = training.samples_figure(model, graphs.from_networkx(rings(3)))
    assert [axis.get_title() for axis in figure.axes] == ["feature 0", "feature 1", "feature 2"]


# The trainer.

WORDS = {
    "steps": 2,
    "epochs": 1,
    "test_sets": 50,
    "network": models.DensityConfig(**SMALL),
    "settings": density.Settings(**SETTINGS),
}


# Held-out and validation sets of own data are parts of the data.
OWN = {
    "test_sets": density.Config.test_sets,
    "settings": density.Settings(batch_size=8, execution="eager"),
}


def make_config(run_dir, preset="quick", **changes):
    values = WORDS | {"run_dir": run_dir} | (OWN if "data" in changes else {}) | changes
    return density.resolve(dataclasses.replace(density.PRESETS[preset], **values))


SEEDS = [0, 2**64 + 1]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(The content of results.json, what was printed, the run folder), of two seeds."""
    folder = tmp_path_factory.mktemp("run")
    words = "--steps 2 --epochs 1 --test-sets 50 --batch-size 8 --validation-sets 32 --num-steps 1"
    words += " --width 8 --num-heads 2 --num-bins 4 --execution eager --seeds"
    words = [*words.split(), *map(str, SEEDS), "--run-dir", str(folder)]
    output = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(output):
        patch.setattr("sys.argv", ["density.py", *words])
        density.main()
    return json.loads((folder / "results.json").read_text()), output.getvalue(), folder


def test_results_are_the_nll_of_held_out_sets_under_the_saved_weights(finished):
    results, folder = finished[0]["runs"][0], finished[2] / "seed0"
    model = models.GraphDensity.load(folder / "model.npz")
    log_prob = model.log_prob(datasets.mog(50, seed=(0, density.TEST)))
    np.testing.assert_allclose(results["nll"], -log_prob.sum() / 200, rtol=1e-5)
    error = (log_prob / 4).std(ddof=1) / math.sqrt(50)
    np.testing.assert_allclose(results["standard_error"], error, rtol=1e-4)
    assert results["reconstruction_error"] < 1e-3


def test_own_graphs_are_compared_with_a_gaussian(tmp_path):
    path = tmp_path / "sets.csv"
    rows = np.random.default_rng(0).normal(size=[60, 2])
    path.write_text("set,x,y\n" + "".join(f"{i // 3},{x},{y}\n" for i, (x, y) in enumerate(rows)))
    config = make_config(tmp_path / "run", data=path)
    data = density.load(config, 0)
    results = density.train_and_evaluate(config, 0, *data)
    train, _, test = (graph.nodes for graph in data)
    assert results["gaussian"] == metrics.gaussian_nll(train, test) and results["test_sets"] == 2
    runs = [results | {"seed": 0}]
    table = density.table({"dataset": "mine", "runs": runs} | density.summarize(config, runs))
    assert "floor" not in table and "a Gaussian" in table


@pytest.mark.parametrize("preset", ["quick", "paper"])  # best is quick with more and wider steps
@pytest.mark.parametrize("name", ["gnf", "realnvp"])
def test_presets_start_near_the_data(name, preset):
    """Built, and one step taken; a realnvp's nodes are independent, a gnf's are not."""
    config = density.resolve(
        dataclasses.replace(
            density.PRESETS[preset],
            model=name,
            network=dataclasses.replace(density.PRESETS[preset].network, num_steps=1, num_blocks=1),
        )
    )
    model = models.GraphDensity.for_data(SETS, config.network)
    settings = dataclasses.replace(config.settings, batch_size=4, execution="eager")
    objective = DensityObjective(model, settings, 0, SETS, None)
    objective.compile(10)
    objective.train_step(ONE)
    for variable in model.trainable_variables:  # a coupling starts as the identity
        variable.assign_add(0.05 * tf.random.stateless_normal(variable.shape, seed=[1, 2]))
    sets = SETS.sample(2, seed=3)
    np.testing.assert_array_equal(sets.n_node, [4, 9])
    together = model.log_prob(sets)
    alone = model.log_prob(graphs.edgeless([1] * 13, 2).replace(nodes=sets.nodes))
    alone = np.array([alone[:4].sum(), alone[4:].sum()])
    assert np.isfinite(together).all()
    assert np.allclose(together, alone, rtol=1e-4) == (name == "realnvp")


def test_several_seeds_make_a_summary(finished):
    summary, output, _ = finished
    nlls = [run["nll"] for run in summary["runs"]]
    assert summary["seeds"] == SEEDS and len(set(nlls)) == 2
    np.testing.assert_allclose(summary["nll"], np.mean(nlls))
    np.testing.assert_allclose(summary["error"], np.std(nlls, ddof=1) / math.sqrt(2))
    np.testing.assert_allclose(summary["floor"], 3.6324, atol=1e-3)
    above = summary["above_floor"]
    np.testing.assert_allclose(above, np.mean(nlls) - 3.6324, atol=0.5)  # few test sets
    assert "paper 3.6" in output and "above this model's floor" in output


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"steps": 25, "epochs": 3}, "--steps must be a multiple of --epochs, 3, got 25"),
        (
            {"model": "realnvp", "network": models.DensityConfig(attention="all")},
            "--attention must be none for --model realnvp, got all",
        ),
    ],
)
def test_options_that_do_not_go_together_are_named(changes, message, tmp_path):
    with pytest.raises(UserError, match=message):
        make_config(tmp_path, **changes)


@pytest.mark.parametrize(
    "steps, epochs, num_batches, expected",
    [
        (3000, 10, 4, (108, 28)),  # few sets: a validation after each 25 steps
        (3000, 10, 100, (30, 100)),  # after each pass
        (3000, 10, 781, (4, 781)),  # whole passes, and not 10 of them
        (600, 60, 4, (50, 12)),
        (10, 20, 4, (3, 4)),
        (1, 1, 1, (1, 1)),
    ],
)
def test_own_data_are_validated_after_each_pass(steps, epochs, num_batches, expected):
    assert density.parts(steps, epochs, num_batches) == expected


def test_own_graphs_need_two_features(tmp_path):
    path = tmp_path / "sets.csv"
    path.write_text("set,x\n" + "".join(f"{i},{0.3 * i}\n" for i in range(12)))
    with pytest.raises(UserError, match="--data: nodes must have at least 2 features, got 1"):
        density.load(make_config(tmp_path, data=path), 0)
    path.write_text("set,x,y\n0,1.0,2.0\n")
    with pytest.raises(UserError, match="--fractions: .* no part empty"):
        density.load(make_config(tmp_path, data=path), 0)
