"""Bijectors and the prior as a TFP user composes them."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

import gnf_tf
from gnf_tf import graphs, networks
from tests import cases, checks

pytestmark = pytest.mark.usefixtures("kept_half_steps")

tfb, tfd = tfp.bijectors, tfp.distributions


def make_flow(topology, **options):
    options = {"make_conditioner": cases.attention, "dtype": topology.nodes.dtype} | options
    gnf = cases.randomize(gnf_tf.GNF(2, topology.nodes.shape[-1], **options))
    return tfd.TransformedDistribution(gnf_tf.NodePrior(topology), tfb.Invert(gnf)), gnf


@pytest.fixture
def topology():
    return graphs.fully_connected([4, 1, 3], cases.NODE_SIZE, dtype=tf.float64)


def test_coupling_by_hand():
    """Two nodes, one edge 0 -> 1, a conditioner that sums the senders: equation 3 on paper."""

    def make_conditioner(output_size):
        def conditioner(graph):
            sums = tf.math.unsorted_segment_sum(
                tf.gather(graph.nodes, graph.senders), graph.receivers, tf.shape(graph.nodes)[0]
            )
            return graph.replace(nodes=tf.tile(sums, [1, output_size]))

        return conditioner

    coupling = gnf_tf.GraphCoupling(make_conditioner, 2, max_log_scale=1.0, dtype=tf.float64)
    graph = graphs.GraphsTuple(
        nodes=tf.constant([[10.0, 0.5], [20.0, 7.0]], tf.float64),
        edges=None,
        globals=None,
        senders=tf.constant([0]),
        receivers=tf.constant([1]),
        n_node=tf.constant([2]),
        n_edge=tf.constant([1]),
    )
    log_scale = np.tanh(0.5)
    # Node 0 hears nothing: log_scale 0, shift 0. Node 1 hears h1 of node 0, that is 0.5.
    out = coupling.forward(graph)
    assert out.edges is None
    np.testing.assert_allclose(
        out.nodes, [[10.0, 0.5], [20.0 * np.exp(log_scale) + 0.5, 7.0]], rtol=1e-14
    )
    np.testing.assert_allclose(coupling.forward_log_det_jacobian(graph), [log_scale], rtol=1e-14)


def test_log_density_of_a_small_flow_by_hand():
    """Two steps of equation 3 in loops over nodes and edges, batch normalization before each."""
    bound, epsilon = 1.5, 1e-5
    factors = []  # of each coupling: of the node itself and of its messages

    def make_conditioner(output_size):
        own, heard = factors[-1] if factors else (0.7, -0.4)
        factors.append((own + 0.2, 0.1 - heard))
        own, heard = factors[-1]

        def conditioner(graph):
            sums = graphs.scatter_sum(
                tf.gather(graph.nodes, graph.senders), graph.receivers, tf.shape(graph.nodes)[0]
            )
            both = [own * graph.nodes + heard * sums, heard * graph.nodes - own * sums]
            return graph.replace(nodes=tf.concat(both, axis=-1))

        return conditioner

    gnf = gnf_tf.GNF(2, 4, make_conditioner=make_conditioner, max_log_scale=bound, dtype=tf.float64)
    cases.randomize(gnf)
    rng = np.random.default_rng(0)
    features = rng.normal(size=[4, 4])
    edges, graph_of_node = [(0, 1), (1, 2), (2, 1), (0, 2)], [0, 0, 0, 1]  # the last is alone
    graph = graphs.GraphsTuple(
        nodes=tf.constant(features),
        edges=tf.zeros([4, 0], tf.float64),
        globals=tf.zeros([2, 0], tf.float64),
        senders=tf.constant([u for u, _ in edges]),
        receivers=tf.constant([v for _, v in edges]),
        n_node=tf.constant([3, 1]),
        n_edge=tf.constant([4, 0]),
    )

    h, expected = features.copy(), np.zeros(2)
    for step, norm in enumerate(gnf.normalizations):
        mean, variance = norm.moving_mean.numpy(), norm.moving_variance.numpy()
        for v in range(4):
            for i in range(4):
                scale = np.exp(norm.log_scale[i]) / np.sqrt(variance[i] + epsilon)
                h[v, i] = (h[v, i] - mean[i]) * scale + norm.shift[i]
                expected[graph_of_node[v]] += np.log(scale)
        for half in (0, 1):
            own, heard = factors[2 * step + half]
            changed, kept = (h[:, :2], h[:, 2:]) if half == 0 else (h[:, 2:], h[:, :2])
            kept = kept.copy()
            for v in range(4):
                for i in range(2):
                    message = sum(kept[u, i] for u, w in edges if w == v)
                    s = own * kept[v, i] + heard * message
                    log_scale = bound * np.tanh(s / bound)
                    shift = heard * kept[v, i] - own * message
                    changed[v, i] = changed[v, i] * np.exp(log_scale) + shift
                    expected[graph_of_node[v]] += log_scale
    for v in range(4):
        expected[graph_of_node[v]] += -0.5 * np.sum(h[v] ** 2) - 2.0 * np.log(2.0 * np.pi)

    flow = tfd.TransformedDistribution(gnf_tf.NodePrior(graph), tfb.Invert(gnf))
    np.testing.assert_allclose(flow.log_prob(graph), expected, rtol=1e-12)
    np.testing.assert_allclose(gnf.forward(graph).nodes, h, rtol=1e-12)


@pytest.mark.parametrize("updates", [0, 1])
def test_kept_half_is_bit_equal(updates):
    coupling = cases.randomize(
        gnf_tf.GraphCoupling(cases.attention, cases.NODE_SIZE, updates=updates, **cases.WIDTHS)
    )
    graph = cases.mixed_graph(tf.float32)
    half = cases.NODE_SIZE // 2
    kept = slice(half, None) if updates == 0 else slice(None, half)
    for method in (coupling.forward, coupling.inverse):
        out = method(checks.copied(graph)).nodes
        np.testing.assert_array_equal(out[:, kept], graph.nodes[:, kept])


def test_a_new_gnf_is_the_identity(topology):
    gnf = gnf_tf.GNF(num_steps=4, node_size=cases.NODE_SIZE, normalization=None, dtype=tf.float64)
    graph = gnf_tf.NodePrior(topology).sample(seed=1)
    np.testing.assert_array_equal(gnf.forward(checks.copied(graph)).nodes, graph.nodes)
    np.testing.assert_array_equal(gnf.forward_log_det_jacobian(graph), np.zeros(3))


def test_log_scale_is_bounded():
    def make_conditioner(output_size):
        return lambda graph: graph.replace(
            nodes=tf.fill([tf.shape(graph.nodes)[0], output_size], tf.constant(1e6, tf.float32))
        )

    coupling = gnf_tf.GraphCoupling(make_conditioner, 2, max_log_scale=1.5)
    graph = graphs.edgeless([3], 2)
    np.testing.assert_allclose(coupling.forward_log_det_jacobian(graph), [3 * 1.5], rtol=1e-6)


def test_log_prob_is_prior_of_latent_plus_log_det(topology):
    flow, gnf = make_flow(topology)
    graph = flow.sample(seed=3)
    latent = gnf.forward(checks.copied(graph)).nodes.numpy()
    normal = -0.5 * (latent**2).sum(-1) - 0.5 * latent.shape[1] * np.log(2 * np.pi)
    expected = [normal[:4].sum(), normal[4:5].sum(), normal[5:].sum()]
    expected += gnf.forward_log_det_jacobian(checks.copied(graph)).numpy()
    log_prob = flow.log_prob(checks.copied(graph))
    assert log_prob.shape == [3] and log_prob.dtype == tf.float64
    np.testing.assert_allclose(log_prob, expected, rtol=1e-10)


def test_log_prob_takes_any_mix_of_sizes(topology):
    """One flow, one prior: the topology of the event is the event's own."""
    flow, _ = make_flow(topology)
    a = gnf_tf.NodePrior(graphs.fully_connected([2, 5], 4, dtype=tf.float64)).sample(seed=1)
    b = gnf_tf.NodePrior(graphs.fully_connected([6], 4, dtype=tf.float64)).sample(seed=2)
    both = flow.log_prob(graphs.batch([a, b]))
    np.testing.assert_allclose(both, tf.concat([flow.log_prob(a), flow.log_prob(b)], 0), rtol=1e-9)


def test_density_integrates_to_one():
    """One node of two features: exp(log_prob) summed over a grid, all points in one batch."""
    gnf = cases.randomize(
        gnf_tf.GNF(2, 2, make_conditioner=cases.attention, dtype=tf.float64), scale=0.3
    )
    axis = np.linspace(-12.0, 12.0, 241)
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    points = graphs.fully_connected([1] * len(grid), 2, dtype=tf.float64).replace(
        nodes=tf.constant(grid)
    )
    flow = tfd.TransformedDistribution(gnf_tf.NodePrior(points), tfb.Invert(gnf))
    density = np.exp(flow.log_prob(points))
    np.testing.assert_allclose(density.sum() * (axis[1] - axis[0]) ** 2, 1.0, atol=1e-3)
    assert density.max() < 0.9 * density.sum()


def test_samples_agree_with_log_prob_on_the_volume_of_a_ball():
    """Graphs of two nodes (4 dimensions): mean of 1[x in ball] / p(x) is the ball's volume."""
    num_graphs = 20000
    topology = graphs.fully_connected([2] * num_graphs, 2, dtype=tf.float64)
    gnf = cases.randomize(
        gnf_tf.GNF(2, 2, make_conditioner=cases.attention, dtype=tf.float64), scale=0.3
    )
    flow = tfd.TransformedDistribution(gnf_tf.NodePrior(topology), tfb.Invert(gnf))
    sample, log_prob = flow.experimental_sample_and_log_prob(seed=5)
    points = sample.nodes.numpy().reshape(num_graphs, 4)
    center = np.median(points, axis=0)
    radius = 1.0
    inside = ((points - center) ** 2).sum(-1) < radius**2
    weights = inside * np.exp(-log_prob.numpy())
    volume = np.pi**2 / 2 * radius**4
    error = weights.std() / np.sqrt(num_graphs)
    assert error < 0.1 * volume
    assert abs(weights.mean() - volume) < 4 * error
    np.testing.assert_allclose(flow.log_prob(checks.copied(sample)), log_prob, atol=1e-8)


def test_same_seed_same_sample(topology):
    flow, _ = make_flow(topology)
    np.testing.assert_array_equal(flow.sample(seed=7).nodes, flow.sample(seed=7).nodes)
    assert np.abs(flow.sample(seed=7).nodes - flow.sample(seed=8).nodes).max() > 0.1


def test_sample_shape_is_refused_with_the_way_out(topology):
    with pytest.raises(ValueError, match=r"`sample_shape` must be \(\).*graphs.batch"):
        make_flow(topology)[0].sample(3, seed=1)


def test_samples_are_differentiable(topology):
    flow, gnf = make_flow(topology)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(flow.sample(seed=1).nodes))
    gradients = tape.gradient(loss, gnf.trainable_variables)
    assert all(np.abs(g).max() > 0 for g in gradients)


def test_each_network_runs_once_in_log_prob_and_once_in_its_gradient(topology):
    calls = []

    class Counting(networks.MLP):
        def __call__(self, graph):
            calls.append(self)
            return super().__call__(graph)

    flow, gnf = make_flow(topology, make_conditioner=lambda size: Counting((3, size)))
    graph = flow.sample(seed=1)
    calls.clear()
    with tf.GradientTape() as tape:
        log_prob = flow.log_prob(checks.copied(graph))
        assert len(calls) == len(set(map(id, calls))) == 4
        calls.clear()
        gradients = tape.gradient(log_prob, gnf.trainable_variables)
    assert all(g is not None for g in gradients)
    assert len(calls) == len(set(map(id, calls))) == 4

    calls.clear()
    compiled = tf.function(flow.log_prob).get_concrete_function(checks.copied(graph))
    assert compiled.structured_outputs is not None
    # All steps share one trace of either half step.
    assert len(calls) == len(set(map(id, calls))) == 2


def test_realnvp_is_the_flow_on_edgeless_graphs():
    """Where there are no edges a node's image depends on that node alone."""
    topology = graphs.edgeless([4], cases.NODE_SIZE, dtype=tf.float64)
    flow, gnf = make_flow(topology)
    graph = gnf_tf.NodePrior(topology).sample(seed=1)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(graph.nodes)
        nodes = gnf.forward(graph).nodes
    jacobian = tape.jacobian(nodes, graph.nodes, experimental_use_pfor=False).numpy()
    between = jacobian[~np.eye(4, dtype=bool)[:, None, :, None].repeat(4, 1).repeat(4, 3)]
    np.testing.assert_array_equal(between, 0.0)
    # Four graphs of one node each are the same four nodes: the log-density is their sum.
    split = graph.replace(
        n_node=tf.ones(4, tf.int32),
        n_edge=tf.zeros(4, tf.int32),
        globals=tf.zeros([4, 0], tf.float64),
    )
    np.testing.assert_allclose(
        tf.reduce_sum(flow.log_prob(split)), flow.log_prob(graph)[0], rtol=1e-12
    )
    # With edges the same weights do couple the nodes.
    connected = graphs.fully_connected([4], cases.NODE_SIZE, dtype=tf.float64)
    moved = gnf.forward(connected.replace(nodes=graph.nodes)).nodes
    assert np.abs(moved - nodes).max() > 1e-3


def test_chain_with_our_own_and_tfp_bijectors(topology):
    first = cases.randomize(gnf_tf.GNFStep(4, make_conditioner=cases.attention, dtype=tf.float64))
    second = cases.randomize(gnf_tf.GraphBatchNorm(4, dtype=tf.float64), seed=3)
    # TFP's Scale on the nodes alone: identity on every other field.
    scale = tfb.JointMap(
        type(graphs.event_ndims())(
            **{
                field: tfb.Scale(tf.constant(2.0, tf.float64))
                if field == "nodes"
                else tfb.Identity()
                for field in graphs.GraphsTuple._fields
            }
        )
    )
    graph = gnf_tf.NodePrior(topology).sample(seed=1)
    chain = tfb.Chain([first, second])
    expected = first.forward(second.forward(checks.copied(graph)))
    np.testing.assert_allclose(chain.forward(checks.copied(graph)).nodes, expected.nodes)
    checks.round_trip(chain, graph)
    checks.log_dets_mirror(chain, graph)
    flow = tfd.TransformedDistribution(gnf_tf.NodePrior(topology), tfb.Invert(chain))
    assert flow.log_prob(flow.sample(seed=1)).shape == [3]
    scaled = scale.forward(copied := checks.copied(graph))
    np.testing.assert_array_equal(scaled.nodes, 2.0 * copied.nodes)
    np.testing.assert_array_equal(
        tfb.Chain([first, scale]).forward(checks.copied(graph)).nodes,
        first.forward(graph.replace(nodes=2.0 * graph.nodes)).nodes,
    )


def test_inside_a_joint_distribution(topology):
    """As in the README: every density counts once, also that of what all graphs share."""
    flow, _ = make_flow(topology)

    def joint_with(rate):
        gamma = tfd.Gamma(tf.constant(2.0, tf.float64), tf.constant(rate, tf.float64))
        return gamma, tfd.JointDistributionNamed({"graph": flow, "temperature": gamma})

    gamma, joint = joint_with([1.0, 2.0, 3.0])  # a temperature for each graph
    sample = joint.sample(seed=1)
    each = flow.log_prob(checks.copied(sample["graph"]))
    expected = each + gamma.log_prob(sample["temperature"])
    assert joint.log_prob(sample).shape == expected.shape == [3]
    np.testing.assert_allclose(joint.log_prob(sample), expected, rtol=1e-9)

    gamma, joint = joint_with(1.0)
    sample = joint.sample(seed=1)
    parts = joint.log_prob_parts(sample)
    total = tf.reduce_sum(parts["graph"]) + parts["temperature"]
    expected = tf.reduce_sum(flow.log_prob(checks.copied(sample["graph"])))
    expected += gamma.log_prob(sample["temperature"])
    assert total.shape == []
    np.testing.assert_allclose(total, expected, rtol=1e-9)


def test_a_seed_of_tfps_stream_determines_the_sample(topology):
    """Some joint distributions hand such seeds of 512 bits on."""
    flow, _ = make_flow(topology)
    draws = [flow.sample(seed=tfp.util.SeedStream(seed, "salt")()).nodes for seed in (3, 3, 4)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0].numpy() != draws[2].numpy()).all()
    joint = tfd.JointDistributionNamedAutoBatched({"graph": flow, "scale": tfd.Gamma(2.0, 1.0)})
    first, again = joint.sample(seed=3), joint.sample(seed=3)
    np.testing.assert_array_equal(first["graph"].nodes, again["graph"].nodes)


@pytest.mark.parametrize("options", [{}, {"jit_compile": True}], ids=["function", "xla"])
def test_compiled_log_prob_and_gradient_on_a_padded_batch(topology, options):
    flow, gnf = make_flow(topology)
    graph = graphs.pad(flow.sample(seed=1), 12, 30, 5)

    def value_and_gradient(graph):
        with tf.GradientTape() as tape:
            log_prob = flow.log_prob(graph)
            real = tf.where(graphs.graph_mask(graph), log_prob, 0.0)
            loss = tf.reduce_sum(real)
        return log_prob[:3], tape.gradient(loss, gnf.trainable_variables)

    expected = value_and_gradient(checks.copied(graph))
    actual = tf.function(value_and_gradient, **options)(graph)
    tf.nest.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10), actual, expected
    )


def test_trains_through_keras(topology):
    """A flow in a tf_keras model: fit lowers the loss, and batch norm gathers its statistics."""
    gnf = gnf_tf.GNF(2, cases.NODE_SIZE, make_conditioner=cases.attention)

    class Density(tf_keras.Model):
        def __init__(self):
            super().__init__()
            self.gnf = gnf

        def call(self, inputs, training=False):
            graph = graphs.GraphsTuple(**inputs)
            flow = tfd.TransformedDistribution(gnf_tf.NodePrior(graph), tfb.Invert(self.gnf))
            log_prob = flow.log_prob(graph, bijector_kwargs={"is_training": bool(training)})
            self.add_loss(-tf.reduce_mean(log_prob))
            return log_prob

    tf_keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    nodes = rng.normal(size=[8 * 3, cases.NODE_SIZE]) * [1, 0.2, 3, 1] + [5, 0, 0, -2]
    graph = graphs.fully_connected([3] * 8, cases.NODE_SIZE).replace(
        nodes=tf.constant(nodes, tf.float32)
    )
    model = Density()
    model.compile(optimizer=tf_keras.optimizers.Adam(3e-2, clipnorm=4.0, jit_compile=False))
    data = tf.data.Dataset.from_tensors((graph._asdict(),)).repeat(20)
    history = model.fit(data, epochs=2, verbose=0).history["loss"]
    assert len(model.trainable_variables) == len(gnf.trainable_variables) > 0
    assert history[1] < history[0]
    assert np.abs(gnf.normalizations[0].moving_mean.numpy()[0] - 5.0 * (1 - 0.99**40)) < 0.2


def test_a_prior_has_no_density_of_a_tensor():
    """Also not of one with as many rows as a GraphsTuple has fields."""
    graph = graphs.fully_connected([3, 4], 4)
    with pytest.raises(TypeError, match="`graph` must be a GraphsTuple, got EagerTensor"):
        gnf_tf.NodePrior(graph).log_prob(graph.nodes)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: gnf_tf.GNF(2, 1), "`node_size` must be at least 2, .* got 1; append a feature"),
        (lambda: gnf_tf.GNF(0, 4), "`num_steps` must be at least 1, got 0"),
        (lambda: gnf_tf.GNF(1, 4, memory="disk"), "`memory` must be one of .*'disk'"),
        (
            lambda: gnf_tf.GNF(1, 4, max_log_scale=0.0),
            "`max_log_scale` must be positive, got 0.0",
        ),
        (lambda: gnf_tf.GNF(1, 4, coupling="cubic"), "`coupling` must be .*'cubic'"),
        (lambda: gnf_tf.GraphCoupling(cases.attention, 4, updates=2), "`updates` must be .* got 2"),
        (lambda: gnf_tf.GraphCoupling(cases.attention, 4, updates=1.0), "`updates` .* got 1.0"),
        (
            lambda: gnf_tf.GraphBatchNorm(4, momentum=1.0),
            r"`momentum` must be in \[0, 1\), got 1.0",
        ),
        (lambda: gnf_tf.GraphBatchNorm(4, epsilon=0.0), "`epsilon` must be positive, got 0.0"),
        (
            lambda: gnf_tf.GraphBatchNorm(4, epsilon=np.inf),
            "`epsilon` must be a finite .* got inf",
        ),
        (lambda: gnf_tf.GraphBatchNorm(4, momentum="a"), "`momentum` must be a finite .* got 'a'"),
        (lambda: gnf_tf.GraphBatchNorm(4, epsilon=None), "`epsilon` must be a finite .* got None"),
        (lambda: gnf_tf.GNF(1, 4, dtype=None), "`dtype` must be a float type, got None"),
        (lambda: gnf_tf.GNF(2.5, 4), "`num_steps` must be a whole number, got 2.5"),
        (lambda: gnf_tf.GNF(True, 4), "`num_steps` must be a whole number, got True"),
        (lambda: gnf_tf.GNF(1, 4.0), "`node_size` must be a whole number, got 4.0"),
        (lambda: gnf_tf.GraphActNorm("4"), "`node_size` must be a whole number, got '4'"),
        (
            lambda: gnf_tf.GNF(1, 4, conditional_size=1.5),
            "`conditional_size` must be a whole number, got 1.5",
        ),
        (lambda: gnf_tf.GNF(1, 4, edge_size=-1), "`edge_size` must be at least 0, got -1"),
        (lambda: gnf_tf.GNFStep(4, global_size=2.5), "`global_size` must be a whole .* got 2.5"),
        (lambda: gnf_tf.GNF(1, 4, dtype=tf.int32), "`dtype` must be a float type, got tf.int32"),
        (lambda: gnf_tf.GNF(1, 4, coupling=None), r"`coupling` must be .*Spline\(\), got None"),
        (
            lambda: gnf_tf.GNF(1, 4, coupling=gnf_tf.bijectors.VectorAffine),
            "`coupling` must be .* got <class",
        ),
        (lambda: gnf_tf.bijectors.Spline(2.5), "`num_bins` must be a whole number, got 2.5"),
        (lambda: gnf_tf.GNF(1, 4, make_conditioner=None), "`make_conditioner` must .* got None"),
        (lambda: gnf_tf.models.GRevNet(0, 4), "`num_steps` must be at least 1, got 0"),
        (lambda: gnf_tf.models.GRevNet(1, 3.5), "`node_size` must be a whole number, got 3.5"),
        (
            lambda: gnf_tf.GraphCoupling(lambda _: cases.attention(3), 4),
            "must give a network with nodes of width 4.*gave shape",
        ),
    ],
)
def test_constructor_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_graph_of_the_wrong_width_is_refused(topology):
    with pytest.raises(ValueError, match="nodes.*6.*4|nodes.*4.*6"):
        gnf_tf.GNF(1, 6, make_conditioner=cases.attention, dtype=tf.float64).forward(topology)


def test_globals_of_another_width_are_refused(topology):
    gnf = gnf_tf.GNF(1, 4, make_conditioner=cases.attention, dtype=tf.float64, **cases.WIDTHS)
    with pytest.raises(ValueError, match="globals of `graph` must be as wide as .* got"):
        gnf.forward(topology.replace(globals=tf.zeros([3, 3], tf.float64)))


@pytest.mark.parametrize("value", ["no", 1, None, tf.constant(True)])
def test_is_training_is_a_boolean(value, topology):
    gnf = gnf_tf.GNF(1, 4, make_conditioner=cases.attention, dtype=tf.float64, **cases.WIDTHS)
    net = gnf_tf.models.GRevNet(1, 4, dtype=tf.float64, **cases.WIDTHS)
    for use in (gnf.forward, gnf.inverse, net):
        with pytest.raises(ValueError, match="`is_training` must be True or False, got"):
            use(topology, is_training=value)


def test_validate_args_finds_nan(topology):
    gnf = gnf_tf.GNF(1, 4, make_conditioner=cases.attention, dtype=tf.float64, validate_args=True)
    nodes = topology.nodes.numpy()
    nodes[2, 1] = np.nan
    with pytest.raises(ValueError, match="nodes"):
        gnf.forward(topology.replace(nodes=tf.constant(nodes)))


def test_second_derivatives_by_batch_statistics_need_stored_activations():
    graph = graphs.edgeless([5], 2, dtype=tf.float64)
    nodes = tf.random.stateless_normal([5, 2], [0, 1], dtype=tf.float64)
    norm = gnf_tf.GraphBatchNorm(2, dtype=tf.float64)

    def penalty(norm, nodes):
        with tf.GradientTape() as tape:
            tape.watch(nodes)
            latent = norm.forward(graph.replace(nodes=nodes), is_training=True)
            loss = tf.reduce_sum(latent.nodes**3)
        return tf.reduce_sum(tape.gradient(loss, nodes) ** 2)

    def gradient(norm):
        with tf.GradientTape() as tape:
            tape.watch(nodes)
            value = penalty(norm, nodes)
        return tape.gradient(value, nodes)

    step = np.zeros([5, 2])
    step[0, 0] = 1e-5
    stored = norm.copy(memory="stored")
    numeric = (penalty(stored, nodes + step) - penalty(stored, nodes - step)) / 2e-5
    np.testing.assert_allclose(gradient(stored)[0, 0], numeric, rtol=1e-5)
    with pytest.raises(LookupError, match='need memory="stored"'):
        gradient(norm)
