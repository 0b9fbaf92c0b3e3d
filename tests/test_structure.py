"""The features of the places of nodes that encoders get, against NumPy."""

import networkx as nx
import numpy as np
import pytest
import tensorflow as tf

from gnf_tf import graphs, models

SIZE = 7  # of the blocks
# Without symmetries, with a self loop, one node, a star and parts of equal sizes (with equal
# eigenvalues), no edges.
MEMBERS = [
    nx.Graph([(0, 1), (1, 2), (2, 3), (3, 0), (0, 2), (3, 4), (4, 5), (1, 1)]),
    nx.empty_graph(1),
    nx.star_graph(5),
    nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3)),
    nx.empty_graph(2),
]
DIRECTED = [nx.DiGraph([(0, 1), (2, 1), (1, 2), (2, 3)]), nx.DiGraph([(0, 1), (1, 2), (2, 0)])]


def encoder(directed=False, **options):
    """An encoder that returns its input: the first column is a noise feature."""
    return models.GraphAutoEncoder(
        2,
        SIZE,
        make_encoder=lambda size: lambda graph: graph,
        noise_size=1,
        directed=directed,
        **options,
    )


def features(members, *, is_compiled=False, noise=None, directed=False, **options):
    """The features of the nodes of each graph, from a padded batch."""
    made = encoder(directed, **options)
    graph = graphs.pad(graphs.from_networkx(members), num_nodes=30, num_edges=40, num_graphs=7)
    if noise is None:
        noise = made.draw_noise(30, seed=3)
    encode = tf.function(made.encode, jit_compile=True) if is_compiled else made.encode
    nodes = encode(graph, noise=noise).nodes.numpy()[:, 1:]
    return np.split(nodes, np.cumsum([len(member) for member in members]))[:-1]


def adjacency(member):
    """[receiver, sender] without self loops."""
    edges = nx.to_numpy_array(member).T
    np.fill_diagonal(edges, 0.0)
    return edges


@pytest.mark.parametrize("is_compiled", [False, True])
@pytest.mark.parametrize("directed", [False, True])
def test_walks_are_degrees_and_probabilities_of_a_return(directed, is_compiled):
    members = DIRECTED if directed else MEMBERS
    found = features(members, is_compiled=is_compiled, directed=directed, walk_length=5)
    for member, rows in zip(members, found, strict=True):
        senders = adjacency(member)
        degree = senders.sum(axis=1)
        step = senders / np.maximum(degree, 1.0)[:, np.newaxis]
        powers = [np.linalg.matrix_power(step, t) for t in (2, 3, 4, 5)]
        expected = [np.log(1.0 + degree), *(len(member) * np.diag(power) for power in powers)]
        np.testing.assert_allclose(rows, np.stack(expected, axis=1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("is_compiled", [False, True])
@pytest.mark.parametrize("directed", [False, True])
def test_eigenvectors_are_those_of_the_normalized_adjacency(directed, is_compiled):
    """Their outer products, which no choice of eigenvectors changes, against NumPy's.

    The largest eigenvalue 1 of a connected graph, that of sqrt(degree), is not among them. Noise
    tells equal eigenvalues apart, and moves each by its size, 0.001.
    """
    members = DIRECTED if directed else MEMBERS
    options = {"directed": directed, "num_eigenvectors": 6}
    found = features(members, is_compiled=is_compiled, **options)
    for member, rows in zip(members, found, strict=True):
        edges = np.maximum(adjacency(member), adjacency(member).T)
        root = np.sqrt(edges.sum(axis=1))
        products = np.maximum(np.outer(root, root), 1e-9)
        matrix = edges / products - np.outer(root, root) / max((root**2).sum(), 1.0)
        values, vectors = np.linalg.eigh(matrix)
        expected = (vectors * np.maximum(values, 0.0)) @ vectors.T
        np.testing.assert_allclose(rows @ rows.T / len(member), expected, atol=0.01)


def test_eigenvectors_are_in_the_order_of_their_eigenvalues():
    """Two triangles joined by an edge: the first eigenvector tells the triangles apart."""
    member = nx.Graph([(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3), (2, 3)])
    first, second = features([member], num_eigenvectors=2)[0].T
    sides = np.sign(first)
    np.testing.assert_array_equal(sides, sides[0] * np.array([1, 1, 1, -1, -1, -1]))
    assert np.square(first).mean() > np.square(second).mean()


def permuted(member, order):
    """The graph whose node i is node order[i] of `member`."""
    return nx.relabel_nodes(member, {old: new for new, old in enumerate(order)})


@pytest.mark.parametrize(
    "member",
    [*MEMBERS, nx.cycle_graph(6)],
    ids=["plain", "one", "star", "parts", "empty", "cycle"],
)
def test_eigenvectors_are_equivariant_also_where_eigenvalues_are_equal(member):
    """Permuted nodes with permuted noise have permuted features, for each choice of the noise."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        order = rng.permutation(len(member))
        other = nx.empty_graph(len(member))
        other.add_edges_from(permuted(member, order).edges)
        noise = rng.normal(size=[30, 2]).astype(np.float32)
        moved = noise.copy()
        moved[: len(member)] = noise[order]
        before, after = (
            features([one], noise=tf.constant(values), num_eigenvectors=4)[0]
            for one, values in ((member, noise), (other, moved))
        )
        np.testing.assert_allclose(after, before[order], atol=2e-3)


def test_symmetry_leaves_signs_to_chance():
    """Of a path, the first eigenvector changes its sign from end to end, the second does not."""
    member = nx.path_graph(6)
    made = encoder(num_eigenvectors=2)
    graph = graphs.from_networkx([member] * 400)
    rows = made.encode(graph, seed=0).nodes.numpy()[:, 1:].reshape([400, len(member), 2])
    # The number of positive signs is binomial(400, 1/2), of deviation 10.
    assert 160 < (rows[:, 0, 0] > 0).sum() < 240
    skewness = (rows[0] ** 3).sum(axis=0)
    assert abs(skewness[0]) < 0.05 and skewness[1] > 0.1
    np.testing.assert_allclose(rows[:, :, 1] - rows[:1, :, 1], 0.0, atol=0.02)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float64])
def test_eigenvectors_of_another_dtype(dtype):
    graph = graphs.from_networkx(MEMBERS[:1])
    expected = features(MEMBERS[:1], num_eigenvectors=2)[0]
    made = encoder(num_eigenvectors=2)
    noise = tf.cast(made.draw_noise(30, seed=3)[: len(MEMBERS[0])], dtype)
    graph = graph.replace(
        **{name: tf.cast(getattr(graph, name), dtype) for name in ("nodes", "edges", "globals")}
    )
    found = made.encode(graph, noise=noise).nodes
    assert found.dtype == dtype
    np.testing.assert_allclose(tf.cast(found, tf.float32)[:, 1:], expected, atol=0.02)
