"""The graph generator: what it samples, scores, saves and loads."""

import networkx as nx
import numpy as np
import pytest
import tensorflow as tf

from gnf_tf import graphs, models
from tests import cases

SMALL = {
    "embedding_size": 4,
    "encoder_width": 8,
    "encoder_blocks": 2,
    "encoder_steps": 1,
    "num_steps": 2,
    "width": 8,
    "num_heads": 2,
    "num_bins": 4,
}
SIZES = [3, 5, 5, 7]


def make(**changes):
    generator = models.GraphGenerator(SIZES, models.GeneratorConfig(**SMALL | changes))
    return cases.randomise(generator, scale=0.3)


@pytest.fixture(scope="module", params=["network", "flow", "decoder"])
def generator(request):
    if request.param == "decoder":
        return make(encoder="flow", decoder_blocks=1)
    return make(encoder=request.param)


def same(a, b):
    return all(
        set(x.nodes) == set(y.nodes) and set(x.edges) == set(y.edges)
        for x, y in zip(a, b, strict=True)
    )


def test_generates_simple_graphs_of_the_training_sizes(generator):
    made = generator.generate(400, seed=0)
    sizes = np.array([len(graph) for graph in made])
    for size, share in ((3, 0.25), (5, 0.5), (7, 0.25)):
        assert abs((sizes == size).mean() - share) < 4 * np.sqrt(share * (1 - share) / 400)
    assert set(sizes) == {3, 5, 7}
    assert all(type(graph) is nx.Graph and not nx.number_of_selfloops(graph) for graph in made)
    assert all(list(graph) == list(range(len(graph))) for graph in made)
    assert sum(graph.number_of_edges() for graph in made) > 0


def test_same_seed_same_graphs(generator):
    assert same(generator.generate(20, seed=3), generator.generate(20, seed=3))
    assert not same(
        generator.generate(n_node=[7] * 20, seed=3), generator.generate(n_node=[7] * 20, seed=4)
    )


def test_sizes_can_be_given(generator):
    assert [len(graph) for graph in generator.generate(n_node=[1, 7, 2], seed=0)] == [1, 7, 2]


def test_many_or_large_graphs_are_made_a_few_at_a_time(generator, monkeypatch):
    """No more pairs of nodes at once than said, each graph where its size was asked for."""
    calls = []
    sample = type(generator).sample_embeddings

    def spy(self, n_node, *, seed):
        calls.append(len(n_node) * max(n_node) ** 2)
        return sample(self, n_node, seed=seed)

    monkeypatch.setattr(type(generator), "sample_embeddings", spy)
    monkeypatch.setattr("gnf_tf.models.generator._PAIRS", 60)
    sizes = [7, 2, 5, 7, 1, 5, 7, 7, 3, 5] * 3
    made = generator.generate(n_node=sizes, seed=0)
    assert [len(graph) for graph in made] == sizes
    assert len(calls) > 10 and max(calls) <= 60
    of_seven = [frozenset(graph.edges) for graph in made if len(graph) == 7]
    assert len(set(of_seven)) > 1  # each chunk has its own noise


def test_log_prob_inverts_sampling(generator):
    """Of a sample's latent: the change of variables through the inverse."""
    sample = generator.sample_embeddings(SIZES, seed=1)
    log_prob = generator.embedding_log_prob(sample)
    latent = generator.gnf.forward(sample)
    base = -0.5 * tf.square(latent.nodes) - 0.5 * np.log(2 * np.pi)
    expected = graphs.sum_nodes(tf.reduce_sum(base, axis=-1), sample)
    expected += generator.gnf.forward_log_det_jacobian(sample)
    np.testing.assert_allclose(log_prob, expected, rtol=1e-3, atol=1e-3)
    other = sample.replace(nodes=sample.nodes + 3.0)
    assert (generator.embedding_log_prob(other) < log_prob).numpy().any()


def test_log_prob_of_a_graph_is_that_of_its_embedding(generator):
    graph = graphs.from_networkx([nx.path_graph(4), nx.complete_graph(5)])
    embedded = generator.auto_encoder.encode(graph, seed=2)
    np.testing.assert_allclose(
        generator.log_prob(graph, seed=2), generator.embedding_log_prob(embedded), rtol=1e-5
    )


@pytest.mark.parametrize(
    "changes", [{}, {"encoder": "flow"}, {"coupling": "spline"}, {"directed": True}]
)
def test_saves_and_loads(changes, tmp_path):
    before = make(**changes)
    before.save(tmp_path / "one.npz")
    after = models.GraphGenerator.load(tmp_path / "one.npz")
    assert after.config == before.config
    for a, b in zip(after.variables, before.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    made = after.generate(10, seed=0)
    assert same(made, before.generate(10, seed=0))
    assert made[0].is_directed() == bool(changes.get("directed"))
    assert [path.name for path in tmp_path.iterdir()] == ["one.npz"]


def test_larger_graphs_than_in_training_can_be_encoded(tmp_path):
    config = models.GeneratorConfig(**SMALL)
    large = graphs.from_networkx([nx.cycle_graph(9)])
    with pytest.raises(ValueError, match=r"`max_num_nodes` .* got 7 for sizes \[9, 9\]"):
        models.GraphGenerator(SIZES, config).log_prob(graphs.batch([large, large]))
    generator = models.GraphGenerator(SIZES, config, max_num_nodes=9)
    generator.save(tmp_path / "one.npz")
    loaded = models.GraphGenerator.load(tmp_path / "one.npz")
    np.testing.assert_array_equal(loaded.log_prob(large), generator.log_prob(large))
    assert max(map(len, loaded.generate(50, seed=0))) == max(SIZES)


@pytest.mark.parametrize("damage", ["truncated", "empty", "other", "fewer"])
def test_damaged_files_are_named(damage, tmp_path):
    path = tmp_path / "one.npz"
    make().save(path)
    content = path.read_bytes()
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "other":
        np.savez(path, header="{}")
    else:
        with np.load(path) as file:
            arrays = dict(file)
        arrays.pop("weights/gnf.gnf_steps.0.couplings.0._conditioner._embed.w")
        np.savez(path, **arrays)
    with pytest.raises(ValueError, match="`path` .*one.npz is no whole saved model"):
        models.GraphGenerator.load(path)


def test_a_file_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    path = tmp_path / "one.npz"
    make().save(path)
    content = path.read_bytes()
    monkeypatch.setattr(np, "savez", lambda file, **_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        make().save(path)
    assert path.read_bytes() == content and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda g: g.generate(seed=0), "one of `num_graphs` and `n_node`"),
        (lambda g: g.generate(2, n_node=[3], seed=0), "one of `num_graphs` and `n_node`"),
        (lambda g: g.generate(0, seed=0), "`num_graphs` must be at least 1, got 0"),
        (lambda g: g.generate(n_node=[8], seed=0), "`n_node` must be from 1 to 7"),
        (lambda g: g.generate(n_node=[0], seed=0), "`n_node` must be from 1 to 7"),
        (lambda _: models.GraphGenerator([]), "`n_node` must be whole numbers"),
        (lambda _: models.GraphGenerator([3, 0]), "`n_node` must be whole numbers"),
        (
            lambda _: models.GraphGenerator([3, 6], max_num_nodes=5),
            "`max_num_nodes` must be at least 6, the largest of `n_node`, got 5",
        ),
        (lambda _: models.GraphGenerator([2.5]), "`n_node` must be whole numbers"),
        (
            lambda _: models.GraphGenerator([3], models.GeneratorConfig(encoder="x")),
            "`encoder` must be 'network' or 'flow', got 'x'",
        ),
    ],
)
def test_wrong_arguments_are_named(generator, call, message):
    with pytest.raises(ValueError, match=message):
        call(generator)
