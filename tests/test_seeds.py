"""One rule for all seeds: what is one, what is none, and that different ones are different."""

import ast
import functools
import pathlib

import networkx as nx
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import gnf_tf
from gnf_tf import datasets, graphs, metrics, models, seeds, training

TOPOLOGY = graphs.fully_connected([3, 2], 4)
GRAPHS = [nx.path_graph(4), nx.star_graph(4), nx.cycle_graph(5)]
POINTS = datasets.POINT_SETS["mog_ring"]


@functools.cache
def _flow():
    return tfp.distributions.TransformedDistribution(
        gnf_tf.NodePrior(TOPOLOGY), tfp.bijectors.Invert(gnf_tf.GNF(1, 4))
    )


@functools.cache
def _generator():
    tf.random.set_seed(0)
    return models.GraphGenerator([4, 5], models.GeneratorConfig(2, encoder_blocks=1, num_steps=1))


@functools.cache
def _dropout_net():
    tf.random.set_seed(0)
    return models.GRevNet(1, 4, dropout=0.5)


def _edges(made):
    return [sorted(graph.edges) for graph in made]


def _noise():
    return TOPOLOGY.replace(nodes=tf.ones_like(TOPOLOGY.nodes))


# name -> seed -> what is drawn. Those that also take a pair stand first.
OF_PAIRS = {
    "as_pair": lambda seed: seeds.as_pair(seed),
    "prior": lambda seed: gnf_tf.NodePrior(TOPOLOGY).sample(seed=seed).nodes,
    "flow": lambda seed: _flow().sample(seed=seed).nodes,
    "sample_and_log_prob": (
        lambda seed: _flow().experimental_sample_and_log_prob(seed=seed)[0].nodes
    ),
    "grevnet": lambda seed: _dropout_net()(_noise(), is_training=True, seed=seed).nodes,
    "encode": lambda seed: _generator().auto_encoder.encode(TOPOLOGY, seed=seed).nodes,
    "sample_embeddings": lambda seed: _generator().sample_embeddings([4], seed=seed).nodes,
    "mog": lambda seed: datasets.mog(2, seed=seed).nodes,
    "half_moons_6": lambda seed: datasets.half_moons_6(2, seed=seed).nodes,
}
OF_NUMBERS = {
    "generate": lambda seed: _edges(_generator().generate(20, seed=seed, draw_edges=True)),
    "mixing": lambda seed: gnf_tf.GraphMixing(4, seed=seed).lower.numpy(),
    "plan_batches": lambda seed: np.stack(
        datasets.plan_batches(datasets.Topologies([nx.path_graph(3)] * 20), 4, seed=seed)
    ),
    "community_small": lambda seed: _edges(datasets.community_small("test", seed=seed)),
    "ego_small": lambda seed: [len(graph) for graph in datasets.ego_small("test", seed=seed)],
    "set_seed": lambda seed: training.set_seed(seed) or tf.random.uniform([3]),
    "cora": lambda seed: datasets.cora("one_percent", seed=seed).train,
    "nll_floor": lambda seed: datasets.nll_floor(POINTS, num_samples=5, seed=seed).value,
    "mmd_interval": lambda seed: (
        metrics.mmd_interval(
            GRAPHS, GRAPHS[::-1] + GRAPHS[:1], statistic="degree", num_bootstrap=7, seed=seed
        ).low
    ),
}
ALL = OF_PAIRS | OF_NUMBERS


def same(first, second):
    return np.array_equal(np.asarray(first, object), np.asarray(second, object))


def as_array(drawn):
    return drawn.numpy() if tf.is_tensor(drawn) else drawn


@pytest.mark.parametrize("name", ALL)
def test_every_integer_type_is_a_seed(name):
    expected = as_array(ALL[name](7))
    for seed in (np.int64(7), np.uint8(7), np.array(7), tf.constant(7), tf.constant(7, tf.int64)):
        assert same(as_array(ALL[name](seed)), expected), repr(seed)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("seed", [-1, np.int64(-1), -(2**64)])
def test_a_negative_number_is_refused_by_name(name, seed):
    with pytest.raises(ValueError, match=rf"`seed` must be a whole number, 0 or more, got {seed}"):
        ALL[name](seed)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("seed", [1.0, True, "1"])
def test_what_is_no_integer_is_refused_by_name(name, seed):
    with pytest.raises(TypeError, match="`seed` must be a whole number"):
        ALL[name](seed)


@pytest.mark.parametrize("name", OF_PAIRS)
@pytest.mark.parametrize("seed", [[1, 2, 3], [1.0, 2.0], [0, 2**31]])
def test_what_is_no_pair_is_refused_by_name(name, seed):
    with pytest.raises(
        ValueError, match=r"`seed` must be a .*, 0 or more, or int32 of shape \[2\]"
    ):
        OF_PAIRS[name](seed)


@pytest.mark.parametrize("name", sorted(set(ALL) - {"ego_small", "mmd_interval"}))
def test_seeds_that_differ_in_their_upper_bits_differ(name):
    drawn = [as_array(ALL[name](seed)) for seed in (7, 7 + 2**31, 7 + 2**32, 2**63 + 7, 2**512 + 7)]
    for i, one in enumerate(drawn):
        assert not any(same(one, other) for other in drawn[:i])


def test_small_numbers_are_the_second_of_a_pair():
    np.testing.assert_array_equal(seeds.as_pair(7), [0, 7])
    np.testing.assert_array_equal(seeds.as_pair(2**32 + 3), [1, 3])
    np.testing.assert_array_equal(seeds.as_pair((-2, 7)), [-2, 7])
    for name, draw in OF_PAIRS.items():
        assert same(as_array(draw(7)), as_array(draw((0, 7)))), name


@pytest.mark.parametrize("dtype", [tf.int32, tf.int64])
def test_a_tensor_in_a_function_is_a_seed(dtype):
    pair = tf.function(seeds.as_pair)
    np.testing.assert_array_equal(pair(tf.constant(7, dtype)), [0, 7])
    np.testing.assert_array_equal(pair(tf.constant([5, 7], tf.int32)), [5, 7])
    made = tf.function(lambda step: seeds.as_pair((3, step)))
    np.testing.assert_array_equal(made(tf.constant(7, dtype)), [3, 7])
    with pytest.raises(ValueError, match="`seed` must be"):
        pair(tf.constant([5.0, 7.0]))


def test_every_draw_names_its_algorithm():
    """XLA on a CPU takes 28 times as long for the same numbers where TensorFlow chooses it."""
    draws = []
    for path in pathlib.Path(gnf_tf.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            called = (
                node.func.attr if isinstance(getattr(node, "func", None), ast.Attribute) else ""
            )
            if called in ("stateless_normal", "stateless_uniform"):
                draws.append((path.name, [keyword.arg for keyword in node.keywords]))
    assert len(draws) > 3 and all("alg" in names for _, names in draws), draws


def test_normal_numbers_are_those_of_tensorflow():
    for dtype in (tf.float32, tf.float64):
        expected = tf.random.stateless_normal([5, 3], [0, 7], dtype=dtype)
        np.testing.assert_array_equal(seeds.normal([5, 3], 7, dtype), expected)
        np.testing.assert_array_equal(seeds.normal(tf.constant([5, 3]), (0, 7), dtype), expected)
