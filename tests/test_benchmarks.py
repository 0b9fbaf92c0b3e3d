"""What the benchmarks measure, where it doesn't depend on the machine."""

import dataclasses
import functools
import itertools
import os

import numpy as np
import pytest
import tensorflow as tf

import gnf_tf
from benchmarks import (
    depth,
    depth_models,
    flows,
    generation,
    memory,
    particles,
    planted,
    positions,
    processes,
    scale,
)
from benchmarks.processes import MEGABYTE, peak_mb
from gnf_tf import datasets, networks
from tests.conftest import QUICK_XLA


@pytest.fixture
def xla_of_users(monkeypatch):
    """Processes fuse loops, as those of users do, but leave out what LLVM does after that.

    Its optimizations come after buffers have been assigned.
    """
    flags = os.environ["XLA_FLAGS"].replace(QUICK_XLA, "--xla_backend_optimization_level=0")
    monkeypatch.setenv("XLA_FLAGS", flags)


def megabytes(variables):
    return sum(4 * variable.shape.num_elements() for variable in variables) / MEGABYTE


def test_buffers_of_a_compiled_training_step_grow_by_weights_alone(xla_of_users):
    """XLA's own account of the memory it will take, of 2 and 3 steps: a single one is no loop.

    A step adds its weights and their gradients, and copies of both for the loops; a node's state
    for each step, the least that stored activations take, would be found.
    """
    config = memory.Config(nodes=1000, edges=4000)
    graph = memory.make_graph(config.nodes, config.edges, config.node_size, tf.float32)
    buffers, weights = [], []
    for num_steps in (2, 3):
        buffers.append(memory.memory_point(config, "xla", num_steps, "reversible")["buffers_mb"])
        network, _ = memory.make_step(num_steps, "reversible", "xla", graph)
        network(graph)
        weights.append(megabytes(network.trainable_variables))
    states = config.nodes * config.node_size * 4 / MEGABYTE
    assert 0.0 < buffers[1] - buffers[0] < 4.0 * (weights[1] - weights[0]) + 0.2 * states


def train_unlike_layers(num_steps):
    """Compiles a training step of layers that no loop can hold; returns the weights [MB]."""
    widths = itertools.count(8)
    graph = memory.make_graph(1000, 4000, 16, tf.float32)
    network = gnf_tf.models.GRevNet(
        num_steps,
        16,
        make_conditioner=lambda size: networks.MessagePassing((8, next(widths)), size),
    )
    network(graph)

    @tf.function(jit_compile=True, autograph=False)
    def gradients():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.sin(network(graph).nodes))
        return tape.gradient(loss, network.trainable_variables)

    gradients()
    return megabytes(network.trainable_variables)


def test_buffers_of_unlike_layers_grow_by_weights_alone(xla_of_users):
    """XLA could run all inversions first, and keep what each gives, see `reversible.layers`."""
    weights, buffers = zip(
        *(processes.with_buffers(train_unlike_layers, n) for n in (2, 3)), strict=True
    )
    states = 1000 * 16 * 4 / MEGABYTE
    assert 0.0 < buffers[1] - buffers[0] < 4.0 * (weights[1] - weights[0]) + 0.2 * states


def test_flows_run_and_what_is_compared_is_of_one_shape():
    """Ours against TFP's, dense against edge list; the third peer is not installed here."""
    config = flows.Config(nodes=8, num_steps=1, hidden=(5,), num_heads=2, key_size=3, repeats=1)
    pairs = [
        {"ours": flows.our_realnvp, "tfp": flows.tfp_realnvp},
        {
            "ours": functools.partial(flows.attention_gnf, dense=True),
            "edges": functools.partial(flows.attention_gnf, dense=False),
        },
    ]
    for pair in pairs:
        made = {name: functools.partial(make, config, 4, "eager") for name, make in pair.items()}
        rows = flows.compare(config, 4, "eager", made, "ours")
        assert [row["task"] for row in rows] == list(flows.TASKS)
        assert all(ms > 0 for row in rows for ms in row["ms"].values())
    other = dataclasses.replace(config, hidden=(6,))
    wrong = {
        "ours": lambda: flows.our_realnvp(config, 4, "eager"),
        "tfp": lambda: flows.tfp_realnvp(other, 4, "eager"),
    }
    with pytest.raises(RuntimeError, match="different numbers of weights"):
        flows.compare(config, 4, "eager", wrong, "ours")


def test_depth_is_measured_on_identical_networks():
    """grevnet and gnn, of one loss as they train; the peer is not installed here."""
    config = depth.Config(state=4, repeats=1, train_steps=30, models=("grevnet", "gnn"))
    network = depth_models.first_nodes(depth_models.load("cora"), 30)
    trainers = [
        depth_models.tensorflow_trainer(config, network, model, 3) for model in config.models
    ]
    reversible, stored = ([trainer.step() for _ in range(4)] for trainer in trainers)
    assert reversible[-1] < reversible[0]
    np.testing.assert_allclose(reversible[0], stored[0], rtol=1e-6)
    np.testing.assert_allclose(reversible, stored, rtol=2e-3)  # Adam amplifies rounding
    row = depth.measure_times(config, network, ["grevnet", "neumann_rbp"], 2)
    assert set(row["seconds"]) == {"grevnet", "neumann_rbp"} and min(row["seconds"].values()) > 0
    row = depth.train(config, network, 2)
    assert row["losses"][-1] < row["losses"][0] and row["inverse_error"] < 1e-4
    assert row["largest_class"] < row["train_accuracy"] == row["validation_accuracy"]


def test_a_process_beyond_its_memory_is_stopped():
    config = depth.Config(state=4)
    network = depth_models.first_nodes(depth_models.load("cora"), 30)
    arguments = (depth.measure_peak, config, network, "grevnet", 2)
    assert processes.in_process(*arguments, limit_mb=200) is None  # TensorFlow alone takes more
    assert 200 < processes.in_process(*arguments, limit_mb=4000) < 4000


def test_a_peak_is_that_of_the_process_and_not_of_its_parent():
    assert 0.0 < processes.in_process(peak_mb) < 400.0 < peak_mb()  # TensorFlow takes more


def test_a_peak_on_a_gpu_is_that_of_its_allocator(monkeypatch):
    """No GPU here: TensorFlow's answers are set."""
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    peaks = {"GPU:0": {"current": 0, "peak": 3 * MEGABYTE}}
    monkeypatch.setattr(tf.config.experimental, "get_memory_info", peaks.__getitem__)
    assert peak_mb() == 3.0


def test_growth_is_per_step_and_less_the_program():
    points = {
        4: {"peak_mb": 100.0, "program_mb": 90.0},
        16: {"peak_mb": 500.0, "program_mb": 400.0},
        24: {"peak_mb": 140.0, "program_mb": 110.0},
    }
    assert depth.growth(points) == (2.0, 1.0)
    assert depth.growth({4: points[4]}) is None


def test_generation_is_measured_in_time_and_memory():
    config = generation.Config(embedding_size=4, num_steps=1, width=4, repeats=1)
    row = generation.generation_point(config, 5, 3)
    assert (row["nodes"], row["graphs"]) == (5, 3)
    assert row["seconds"] > 0 and row["peak_mb"] > 100


def test_scale_is_measured_on_one_network_in_both_ways():
    config = scale.Config(state=4, repeats=1)
    losses = [
        scale.make_step(config, model, nodes=20, depth=2)()
        for model in ("messages", "messages_stored")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    point = scale.measure(config, "grevnet", nodes=20, depth=2)
    assert point["seconds"] > 0 and point["peak_mb"] > 100


def test_slopes_are_exponents_and_leave_out_what_did_not_fit():
    def points(seconds, peak_mb):
        point = {"seconds": seconds, "cpu_seconds": seconds**2, "peak_mb": peak_mb}
        return {"8": point, "32": None}

    results = {"messages": {"100": points(1.0, 50.0), "1000": points(10.0, 50.0)}}
    found = scale.slopes(results)["messages"]
    exponents = {"seconds": 1.0, "cpu_seconds": 2.0, "peak_mb": 0.0}
    assert found == {"8": pytest.approx(exponents)}


def test_a_planted_graph_is_written_with_and_without_edges(tmp_path, capsys):
    planted.main(planted.Config(nodes=300, hops=(0, 2), out=tmp_path))
    graph, edgeless = (
        datasets.read_node_graph(tmp_path / f"{name}.npz") for name in ("graph", "edgeless")
    )
    assert len(graph.graph.senders) > 1000 and len(edgeless.graph.senders) == 0
    np.testing.assert_array_equal(graph.labels, edgeless.labels)
    np.testing.assert_array_equal(graph.test, edgeless.test)
    assert capsys.readouterr().out.count("hops") == 2


@pytest.mark.parametrize("name", particles.SYSTEMS)
def test_forces_are_the_gradients_of_energies(name):
    system, rng = particles.SYSTEMS[name](), np.random.default_rng(0)
    x, direction = rng.normal(size=[2, 3, system.num_particles, system.dimension])
    x -= x.mean(axis=1, keepdims=True)
    above, below = (system.annealed(x + h * direction, 0.3)[0] for h in (1e-6, -1e-6))
    slope = (direction * system.annealed(x, 0.3)[1]).sum(axis=(1, 2))
    np.testing.assert_allclose((above - below) / 2e-6, slope, rtol=1e-4)


def test_annealing_finds_the_normalization_and_the_variance():
    class Springs(particles.DW4):
        """Springs between all pairs: normal, of precision 4 particles."""

        def pair(self, r):
            return 0.5 * r**2, r

    system = Springs()
    found = particles.anneal(system, num_chains=500, num_rounds=5, seed=0, steps=50, thin=5)
    exact = 0.5 * system.degrees * np.log(2.0 * np.pi / system.num_particles)
    assert found.log_z == pytest.approx(exact, abs=0.2)
    square = np.square(found.positions).sum(axis=(2, 3)).mean() / system.degrees
    assert square == pytest.approx(1.0 / system.num_particles, rel=0.1)


def test_a_flow_over_positions_is_compared_with_a_gaussian_and_the_entropy():
    """The flow is the identity here, and so the Gaussian."""
    system = particles.DW4()
    x = np.random.default_rng(0).normal(size=[300, 4, 2])
    x -= x.mean(axis=1, keepdims=True)
    config = positions.Config(num_samples=2, num_test=100)
    small = gnf_tf.models.PositionConfig(num_steps=1, width=4)
    model = gnf_tf.models.PositionFlow.for_data(positions.to_graph(x[:200]), 2, small)
    for variable in model.trainable_variables:
        variable.assign(tf.zeros_like(variable))
    row, samples = positions.evaluate(config, system, model, x[:200], x[200:], 1.0)
    assert samples.shape == (100, 4, 2)
    assert row["flow_1"] == pytest.approx(row["gaussian"], rel=1e-4)
    assert row["entropy"] == pytest.approx(1.0 + system.energy(x[200:]).mean())
    assert 0.01 <= row["ess"] <= 1.0
