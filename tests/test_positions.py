"""Flows over positions: the same density in every place, orientation and numbering of nodes."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

import gnf_tf
from gnf_tf import datasets, distributions, graphs, models, networks, training
from gnf_tf.graphs import GraphsTuple
from gnf_tf.training import PositionObjective, PositionSettings
from tests import cases, checks

NUM_ATTRIBUTES, EDGE_SIZE = 2, 1
SMALL = models.PositionConfig(num_steps=2, width=6)


def flow(memory="reversible"):
    """Two steps on [a, x] in space, with attributes and edge features, of random weights."""
    made = gnf_tf.GNF(
        2,
        6,
        make_conditioner=lambda size: networks.PositionMessages(5, size),
        coupling=gnf_tf.bijectors.VectorAffine(),
        normalization=None,
        conditional_size=NUM_ATTRIBUTES,
        edge_size=EDGE_SIZE,
        dtype=tf.float64,
        memory=memory,
    )
    return cases.randomize(made)


def random_graph(node_size=6, n_node=(4, 1, 0, 3), dtype=tf.float64):
    graph, rng = graphs.fully_connected(n_node, node_size, dtype=dtype), np.random.default_rng(1)
    edges = rng.normal(size=[len(graph.senders), EDGE_SIZE])
    nodes = rng.normal(size=graph.nodes.shape)
    return graph.replace(nodes=tf.constant(nodes, dtype), edges=tf.constant(edges, dtype))


@pytest.fixture(scope="module")
def bijector():
    return flow()


GRAPH = random_graph()
ATTRIBUTES = tf.constant(np.random.default_rng(2).normal(size=[8, NUM_ATTRIBUTES]))


def density(bijector, graph):
    return tfp.distributions.TransformedDistribution(
        distributions.PositionPrior(graph), tfp.bijectors.Invert(bijector)
    )


def log_prob(bijector, graph, attributes=ATTRIBUTES):
    conditions = {"conditional_input": attributes}
    return density(bijector, graph).log_prob(checks.copied(graph), bijector_kwargs=conditions)


def moved(nodes, space, place):
    """Both vectors of each node turned by `space` and moved by `place`."""
    vectors = tf.reshape(nodes, [-1, 2, 3]) @ tf.constant(space) + place
    return tf.reshape(vectors, [-1, 6])


@pytest.mark.parametrize("sign", [1, -1], ids=["rotation", "reflection"])
def test_the_flow_moves_with_space_and_its_density_stays(bijector, sign):
    rng = np.random.default_rng(3)
    space = np.linalg.qr(rng.normal(size=[3, 3]))[0]
    space *= np.cbrt(sign * np.sign(np.linalg.det(space)))
    place = graphs.to_nodes(tf.constant(rng.normal(size=[4, 3])), GRAPH)[:, tf.newaxis]
    other = GRAPH.replace(nodes=moved(GRAPH.nodes, space, place))
    for method in (bijector.forward, bijector.inverse):
        before, after = (
            method(graph, conditional_input=ATTRIBUTES).nodes for graph in (GRAPH, other)
        )
        np.testing.assert_allclose(after, moved(before, space, place), atol=1e-9)
        assert np.abs(before - GRAPH.nodes).max() > 0.1
    np.testing.assert_allclose(log_prob(bijector, other), log_prob(bijector, GRAPH), atol=1e-9)


def test_the_density_does_not_depend_on_the_numbering(bijector):
    other, order = checks.relabeled(GRAPH)
    numbered = log_prob(bijector, other, tf.gather(ATTRIBUTES, order))
    np.testing.assert_allclose(numbered, log_prob(bijector, GRAPH), atol=1e-9)


def without_mean(num_nodes):
    """An orthonormal basis of the vectors of mean 0, [num_nodes, num_nodes - 1]."""
    shifted = np.concatenate([np.ones([num_nodes, 1]), np.eye(num_nodes)[:, 1:]], axis=1)
    return np.linalg.qr(shifted)[0][:, 1:]


def test_the_log_det_is_that_of_the_map_without_the_mean(bijector):
    """Of the coordinates of x - m in a basis, and of a - m, by autodiff."""
    num_nodes = 3
    graph, attributes = random_graph(n_node=(num_nodes,)), ATTRIBUTES[:num_nodes]
    basis = tf.constant(without_mean(num_nodes))
    relative = tf.reshape(graph.nodes, [num_nodes, 2, 3])
    relative -= tf.reduce_mean(relative[:, 1], axis=0)
    parts = [relative[:, 0], tf.matmul(basis, relative[:, 1], transpose_a=True)]
    coordinates = tf.concat([tf.reshape(part, [-1]) for part in parts], axis=0)

    with tf.GradientTape(persistent=True) as tape:
        tape.watch(coordinates)
        a, x = tf.split(coordinates, [3 * num_nodes, 3 * (num_nodes - 1)], axis=0)
        nodes = tf.concat([tf.reshape(a, [-1, 3]), basis @ tf.reshape(x, [-1, 3])], axis=1)
        mapped = bijector.forward(graph.replace(nodes=nodes), conditional_input=attributes).nodes
        mean = tf.reduce_mean(mapped[:, 3:], axis=0)
        a, x = mapped[:, :3] - mean, tf.matmul(basis, mapped[:, 3:] - mean, transpose_a=True)
        mapped = tf.concat([tf.reshape(a, [-1]), tf.reshape(x, [-1])], axis=0)
    jacobian = tape.jacobian(mapped, coordinates, experimental_use_pfor=False)
    expected = np.linalg.slogdet(jacobian)[1]
    log_det = bijector.forward_log_det_jacobian(graph, conditional_input=attributes)
    np.testing.assert_allclose(log_det, [expected], rtol=1e-10)
    assert abs(expected) > 0.1
    latent = scipy.stats.norm.logpdf(mapped).sum()
    np.testing.assert_allclose(log_prob(bijector, graph, attributes), [latent + expected])


def test_the_prior_is_normal_without_the_mean():
    topology = graphs.fully_connected([4] * 20_000, 6)
    prior = distributions.PositionPrior(topology)
    sample = prior.sample(seed=1)
    nodes = sample.nodes.numpy().reshape(-1, 4, 2, 3).astype(np.float64)
    a, x = nodes[:, :, 0], nodes[:, :, 1]
    np.testing.assert_allclose(x.mean(axis=1), 0.0, atol=1e-6)
    for values, covariance in ((a, np.eye(4)), (x, np.eye(4) - 0.25)):
        found = np.einsum("gid,gjd->ij", values, values) / (3 * len(values))
        np.testing.assert_allclose(found, covariance, atol=0.03)
    coordinates = [a[:3].reshape(3, -1), np.einsum("ik,gid->gkd", without_mean(4), x[:3])]
    flat = np.concatenate([part.reshape(3, -1) for part in coordinates], axis=1)
    expected = scipy.stats.multivariate_normal(np.zeros(21)).logpdf(flat)
    np.testing.assert_allclose(prior.log_prob(sample)[:3], expected, rtol=1e-5)
    moved = sample.replace(nodes=sample.nodes + 1.5)
    np.testing.assert_allclose(prior.log_prob(moved)[:3], expected, rtol=1e-5)


def test_empty_and_single_graphs_have_densities():
    """A single node has no relative position, and a graph without nodes has density 1."""
    prior = distributions.PositionPrior(GRAPH)
    single = scipy.stats.norm.logpdf(GRAPH.nodes[4, :3] - GRAPH.nodes[4, 3:]).sum()
    np.testing.assert_allclose(prior.log_prob(GRAPH)[1:3], [single, 0.0], atol=1e-12)


def test_reversible_gradients_are_the_stored_ones(bijector):
    results = []
    for made in (bijector, flow("stored")):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(log_prob(made, GRAPH))
        results.append(tape.gradient(loss, made.trainable_variables))
    for reversible, stored in zip(*results, strict=True):
        np.testing.assert_allclose(reversible, stored, rtol=1e-7, atol=1e-9)


def test_particles_at_one_place_have_finite_densities_and_gradients(bijector):
    nodes = tf.zeros_like(GRAPH.nodes)
    with tf.GradientTape() as tape:
        tape.watch(nodes)
        value = log_prob(bijector, GRAPH.replace(nodes=nodes))
    assert np.isfinite(value).all() and np.isfinite(tape.gradient(value, nodes)).all()


def data(node_size=5, scale=2.0):
    graph = random_graph(node_size, n_node=(3, 4) * 8 + (1,), dtype=tf.float32)
    return graph.replace(nodes=scale * graph.nodes + 7.0)


def new_model():
    config = models.PositionConfig(num_steps=1, width=4)
    return cases.randomize(models.PositionFlow.for_data(data(), config=config), scale=0.3)


@pytest.fixture(scope="module")
def model():
    return new_model()


def test_a_model_of_the_identity_is_the_fitted_normal_density():
    graph = data()
    identity = cases.randomize(models.PositionFlow.for_data(graph, config=SMALL), scale=0.0)
    nodes = graph.nodes[:3, :3].numpy().astype(np.float64)
    square = np.square(nodes - nodes.mean(axis=0)).sum()
    expected = -3.0 * np.log(2 * np.pi * identity.scale**2) - 0.5 * square / identity.scale**2
    for num_samples in (1, 3):
        found = identity.log_prob(graph, num_samples=num_samples, seed=0)
        np.testing.assert_allclose(found[[0, -1]], [expected, 0.0], rtol=1e-5, atol=1e-5)


def test_a_model_ignores_the_place_and_its_bound_rises(model):
    graph = data()
    few, many = (model.log_prob(graph, num_samples=k, seed=0) for k in (1, 30))
    place = tf.concat([tf.fill([3], 4.0), tf.zeros([2])], axis=0)
    elsewhere = model.log_prob(graph.replace(nodes=graph.nodes + place), num_samples=1, seed=0)
    np.testing.assert_allclose(elsewhere, few, atol=1e-3)
    assert many.mean() > few.mean() + 0.1
    np.testing.assert_array_equal(model.log_prob(graph, num_samples=1, seed=0), few)


def test_positions_far_from_the_data_have_no_density(model):
    """-inf, where float32 overflows; never NaN."""
    graph = data()
    several = graph.n_node.numpy() > 1  # a single particle has the density of nothing, 1
    for scale in (1e4, 1e15, 1e18, 1e20, 1e30, 1e37):
        nodes = tf.concat([scale * graph.nodes[:, :3], graph.nodes[:, 3:]], axis=-1)
        found = model.log_prob(graph.replace(nodes=nodes), num_samples=2, seed=0)
        assert not np.isnan(found).any() and (found[several] < -1e4).all()


def test_a_particle_at_thirty_deviations_has_a_density():
    """Its coordinates grow about linearly, not as a square, with each of the twenty couplings."""
    nodes = np.random.default_rng(0).normal(size=[19, 3])
    nodes[0] *= 30.0
    graph = graphs.fully_connected([19], 3).replace(nodes=tf.constant(nodes, tf.float32))
    model = models.PositionFlow()
    joint, _ = model.augmented(graph, 0)
    latent = model.gnf.forward(joint)
    assert np.abs(latent.nodes).max() < 100.0
    np.testing.assert_allclose(
        model.gnf.inverse(checks.copied(latent)).nodes, joint.nodes, atol=1e-3
    )
    assert -1e4 < model.log_prob(graph, num_samples=1, seed=0) < -100.0


def test_particles_that_have_flown_apart_are_the_least_likely(model):
    """And not NaN, which sorts among the most likely."""
    graph = data()
    nodes = graph.nodes.numpy()
    nodes[:3, :3] *= 1e30
    near = model.log_prob(graph, num_samples=2, seed=0)
    found = model.log_prob(graph.replace(nodes=nodes), num_samples=2, seed=0)
    assert found[0] == -np.inf
    np.testing.assert_array_equal(found[1:], near[1:])


def test_samples_have_mean_zero_and_keep_attributes(model):
    sample = model.sample(data(), seed=3)
    np.testing.assert_allclose(graphs.sum_nodes(sample.nodes[:, :3], sample), 0.0, atol=1e-4)
    np.testing.assert_array_equal(sample.nodes[:, 3:], data().nodes[:, 3:])


def test_samples_have_the_density_that_they_are_drawn_from():
    """The weights r(x) q(a) / p(x, a) of samples average to 1, for normal densities r and q."""
    model = cases.randomize(models.PositionFlow(config=SMALL), scale=0.15)
    flow = model.distribution(graphs.fully_connected([2] * 20_000, 3))
    sample = flow.sample(seed=3)
    log_prob = flow.log_prob(checks.copied(sample))
    a, x = (values.reshape(-1, 2, 3) for values in np.split(sample.nodes.numpy(), 2, axis=1))
    a, x = a - x.mean(axis=1, keepdims=True), (x[:, 0] - x[:, 1]) / np.sqrt(2.0)
    log_ratio = scipy.stats.norm.logpdf(a).sum(axis=(1, 2)) - log_prob
    log_ratio += scipy.stats.norm.logpdf(x, scale=np.std(x)).sum(axis=1)
    ratio = np.exp(log_ratio)
    error = ratio.std() / np.sqrt(len(ratio))
    assert np.abs(ratio - 1.0).mean() > 0.03 and error < 0.02
    assert abs(ratio.mean() - 1.0) < 4.0 * error


def test_it_can_be_exported(model, tmp_path):
    """As BUILD.md shows it."""

    def bound(seed, **fields):
        return {"bound": model(GraphsTuple(**fields), seed)}

    fields = graphs.fill_missing(data())._asdict()
    specs = graphs.specs(data())._asdict() | {"seed": tf.TensorSpec([2], tf.int32)}
    signature = tf.function(bound).get_concrete_function(**specs)
    tf.saved_model.save(model, tmp_path / "exported", signatures=signature)
    served = tf.saved_model.load(tmp_path / "exported").signatures["serving_default"]
    seed = tf.constant([3, 4])
    expected = model(GraphsTuple(**fields), seed)
    np.testing.assert_allclose(served(**fields, seed=seed)["bound"], expected, rtol=1e-5)


def test_a_validation_has_new_noise_for_each_batch_and_the_next_one_the_same():
    graph = random_graph(3, (2, 3), tf.float32)
    made = models.PositionFlow.for_data(graph, config=models.PositionConfig(num_steps=1, width=8))
    objective = PositionObjective(made, PositionSettings(execution="eager"), 0, graph, None)
    objective.compile(1)
    checks.noise_of_validation(objective)


def test_padding_changes_nothing_however_many_edges_it_has():
    """They all join one node, and sums along them would grow with each coupling."""
    graph = graphs.fill_missing(graphs.fully_connected([4, 3], 3))
    graph = graph.replace(nodes=tf.random.normal([7, 3], seed=1), globals=tf.zeros([2, 0]))
    made = models.PositionFlow.for_data(graph)
    objective = PositionObjective(made, PositionSettings(execution="eager"), 0, graph, None)
    objective.compile(1)
    losses = []
    for num_nodes, num_edges in ((7, 25), (12, 20_025)):
        padded = graph
        if num_nodes > 7:
            padded = graphs.pad(graph, num_nodes, num_edges, 3)
        weights = tf.constant([1.0, 1.0, 0.0][: len(padded.n_node)])
        with tf.GradientTape() as tape:
            loss, *_ = objective.batch_loss((padded._asdict(), None, weights), False)
        gradients = tape.gradient(loss, made.trainable_variables)
        assert all(np.isfinite(gradient).all() for gradient in gradients)
        losses.append(float(loss))
    assert np.isfinite(losses).all() and abs(losses[0] - losses[1]) < 20.0  # of other draws


def test_a_model_is_trained(tmp_path):
    """It learns that two particles keep their distance, which no Gaussian knows."""
    rng, graph = np.random.default_rng(0), graphs.fully_connected([2] * 300, 3)
    ends = rng.normal(size=[300, 3])
    ends /= np.linalg.norm(ends, axis=1, keepdims=True)
    graph = graph.replace(nodes=np.stack([ends, -ends], axis=1).reshape([600, 3]))
    training.set_seed(0)
    config = models.PositionConfig(num_steps=2, width=8)
    made = models.PositionFlow.for_data(graph, config=config)
    before = made.log_prob(graph, num_samples=5, seed=0).mean()
    settings = {"batch_size": 30, "learning_rate": 1e-2, "execution": "function"}
    history = training.fit(made, graph, epochs=12, verbose=0, **settings)
    assert 0.0 < history.diagnostics["reconstruction_error"] < 1e-4
    assert made.log_prob(graph, num_samples=5, seed=0).mean() > before + 0.3
    training.fit(made, graph, epochs=1, folder=tmp_path, verbose=0, **settings)
    [events] = (tmp_path / "validation").glob("*tfevents*")
    assert b"distances" in events.read_bytes()


@pytest.mark.parametrize(
    "wrong, message",
    [
        (lambda: models.PositionFlow(0), "`dimension` must be at least 1, got 0"),
        (lambda: models.PositionFlow(2.5), "`dimension` must be a whole number, got 2.5"),
        (lambda: models.PositionFlow(scale=0.0), "`scale` must be positive, got 0.0"),
        (lambda: models.PositionFlow(scale="1"), "`scale` must be a finite number, got '1'"),
        (lambda: models.PositionFlow(attribute_size=-1), "`attribute_size` must be at least 0"),
        (lambda: models.PositionFlow(edge_size=2.5), "`edge_size` must be a whole number, got 2.5"),
        (
            lambda: models.PositionFlow(config=models.DensityConfig()),
            "`config` must be a PositionConfig, got DensityConfig",
        ),
        (
            lambda: models.PositionFlow.for_data(graphs.fully_connected([3, 1], 3)),
            "`train` must have a graph of nodes at different positions",
        ),
        (
            lambda: models.PositionFlow.for_data(data(3, scale=1e37)),
            r"the deviation of the positions is .*e\+3., expected 1e-30 to 1e\+30",
        ),
        (lambda: models.PositionFlow.for_data(data(), "2"), "`dimension` must be a whole .* '2'"),
        (
            lambda: distributions.PositionPrior(graphs.fully_connected([3], 3)),
            "`topology.nodes` must have an even width .* got 3",
        ),
        (
            lambda: distributions.PositionPrior(graphs.fully_connected([3], 4)).log_prob(data(3)),
            "`graph.nodes` must have width 4",
        ),
        (
            lambda: models.PositionFlow(2, config=SMALL)(data(3), 0),
            "`graph.nodes` must have width 2",
        ),
        (
            lambda: models.PositionFlow(2, config=SMALL)(data(2).replace(edges=[[1.0]] * 25), 0),
            "`graph.edges` must have width 0",
        ),
        (
            lambda: models.PositionFlow(2, config=SMALL)(
                graphs.fully_connected([3], 2, dtype=tf.float64), 0
            ),
            "`graph.nodes` must be float32, got float64",
        ),
        (lambda: models.PositionFlow.for_data(data(2)), "at least 3 wide, .* got 2"),
        (lambda: models.PositionFlow(config=SMALL).rows(data()), "nodes must be 3 wide, got 5"),
        (lambda: networks.PositionMessages(4, 6), "`output_size` must be a multiple of 4, got 6"),
        (lambda: gnf_tf.bijectors.VectorAffine(-1.0), "`max_log_scale` .* got -1.0"),
    ],
)
def test_what_does_not_fit_is_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


def test_edges_and_globals_may_be_none():
    flow = models.PositionFlow(2, config=SMALL)
    graph = graphs.fully_connected([3, 2], 2)
    graph = graph.replace(nodes=tf.random.stateless_normal([5, 2], (0, 1)))
    bare = graph.replace(edges=None, globals=None)
    np.testing.assert_array_equal(flow(bare, seed=1), flow(graph, seed=1))
    joint = graph.replace(nodes=tf.random.stateless_normal([5, 4], (0, 2)))
    expected = flow.distribution(graph).log_prob(joint)
    found = flow.distribution(bare).log_prob(joint.replace(edges=None, globals=None))
    np.testing.assert_array_equal(found, expected)


def test_attributes_and_edges_in_other_units_are_standardized(tmp_path):
    """Masses and lengths in picometers; of usual ones nothing changes."""
    rng, graph = np.random.default_rng(0), graphs.fully_connected([4] * 20, 5)
    nodes, edges = rng.normal(size=[80, 5]), rng.normal(size=[len(graph.senders), 1])
    nodes[:, 3:] = np.clip(nodes[:, 3:], -3, 3)
    for values in (nodes[:, 3:], edges):
        values -= values.mean(axis=0)
        values /= values.std(axis=0)
    usual, given = (
        graph.replace(
            nodes=tf.constant(nodes * [1, 1, 1, 1, size] + [0, 0, 0, 0, shift], tf.float32),
            edges=tf.constant(size * edges + shift, tf.float32),
        )
        for size, shift in ((1.0, 0.0), (20.0, 150.0))
    )
    made = [models.PositionFlow.for_data(one, config=SMALL) for one in (usual, given)]
    assert made[0].attribute_units is None and made[0].edge_units is None
    np.testing.assert_allclose(made[1].attribute_units, [[0, 150], [1, 20]], rtol=1e-5)
    for i, (one, other) in enumerate(zip(*(m.trainable_variables for m in made), strict=True)):
        one.assign_add(0.3 * tf.random.stateless_normal(one.shape, [i, 7]))
        other.assign(one)
    found = made[1].log_prob(given, num_samples=1, seed=0)
    expected = made[0].log_prob(usual, num_samples=1, seed=0)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    for other in (
        usual.replace(edges=-usual.edges),
        usual.replace(nodes=usual.nodes * [1.0, 1.0, 1.0, 1.0, -1.0]),
    ):
        changed = made[0].log_prob(other, num_samples=1, seed=0)
        assert np.abs(changed - expected).max() > 0.01
    drawn = [
        m.sample(one, seed=1).nodes[:, :3] for m, one in zip(made, (usual, given), strict=True)
    ]
    np.testing.assert_allclose(*drawn, rtol=1e-3, atol=1e-3)
    made[1].save(tmp_path / "model.npz")
    loaded = models.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(loaded.log_prob(given, num_samples=1, seed=0), found)


def test_a_bound_needs_a_draw(model):
    with pytest.raises(ValueError, match="`num_samples` must be at least 1, got 0"):
        model.log_prob(data(), num_samples=0, seed=0)
    with pytest.raises(ValueError, match="`num_samples` must be a whole number, got 2.5"):
        model.log_prob(data(), num_samples=2.5, seed=0)


def test_molecules_have_graphs_of_positions_and_elements():
    molecules = datasets.molecules_from_smiles(["CO", "N"])
    with pytest.raises(ValueError, match="`train` must be graphs, such as `position_graph`"):
        models.PositionFlow.for_data(molecules)
    rows = np.array([1, 0])
    graph = molecules.position_graph(rows)
    expected = molecules.graph(rows)
    np.testing.assert_array_equal(graph.nodes[:, :3], expected.nodes[:, 1:])
    elements = np.array([1, 6, 7, 8])
    np.testing.assert_array_equal(elements[graph.nodes[:, 3:].argmax(1)], expected.nodes[:, 0])
    assert graph.nodes.shape[1] == 7 and graph.edges.shape == (len(expected.senders), 0)
    assert molecules.position_graph(rows, [1, 6, 7, 8, 9]).nodes.shape[1] == 8
    with pytest.raises(ValueError, match="molecule 0 has the element O"):
        molecules.position_graph(rows, [1, 6, 7])
    flow = models.PositionFlow.for_data(graph, config=SMALL)
    assert flow.attribute_size == 4 and np.isfinite(flow.log_prob(graph, seed=0)).all()
