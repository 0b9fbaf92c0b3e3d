"""The graph auto-encoders against their equations, pair by pair."""

import functools
import itertools
import math

import networkx as nx
import numpy as np
import pytest
import tensorflow as tf

import gnf_tf
from gnf_tf import datasets, graphs, metrics, models, networks
from tests import cases, checks
from tests.checks import EXECUTIONS

SIZE = 6  # of the blocks


def members(directed=False):
    """Several sizes, a single node, a self loop, no edges."""
    made = [nx.path_graph(4), nx.empty_graph(1), nx.cycle_graph(6), nx.empty_graph(3)]
    made[0].add_edge(1, 1)
    if directed:
        made[0], made[2] = nx.DiGraph([(0, 1), (2, 1), (1, 2)]), nx.DiGraph([(0, 1), (1, 2)])
    return made


def embedded(directed=False, seed=0, scale=0.5):
    graph = graphs.from_networkx(members(directed))
    nodes = tf.random.stateless_normal([graph.nodes.shape[0], 4], [0, seed])
    return graph.replace(nodes=scale * nodes)


def probabilities(x, directed):
    """Equation 6 for all pairs, in a loop."""
    p = np.zeros([len(x), len(x)])
    for i, j in itertools.permutations(range(len(x)), 2):  # from i to j
        a, b = (x[i, :2], x[j, 2:]) if directed else (x[i], x[j])
        p[i, j] = 1.0 / (1.0 + math.exp(10.0 * (((a - b) ** 2).sum() - 1.0)))
    return p


def embeddings(graph):
    return [one.nodes.numpy().astype(np.float64) for one in graphs.unbatch(graph)]


@pytest.mark.parametrize("directed", [False, True])
def test_cross_entropy_is_that_of_every_pair(directed):
    graph = embedded(directed)
    encoder = models.GraphAutoEncoder(4, SIZE, directed=directed)
    expected = []
    for x, one in zip(embeddings(graph), members(directed), strict=True):
        p = probabilities(x, directed)
        pairs = itertools.permutations if directed else itertools.combinations
        expected.append(
            -sum(
                math.log(p[i, j] if one.has_edge(i, j) else 1.0 - p[i, j])
                for i, j in pairs(range(len(x)), 2)
            )
        )
    np.testing.assert_allclose(encoder.cross_entropy(graph), expected, rtol=1e-4)


@pytest.mark.parametrize("directed", [False, True])
def test_decode_has_the_likelier_edges(directed):
    graph = embedded(directed)
    encoder = models.GraphAutoEncoder(4, SIZE, directed=directed)
    decoded = encoder.decode(graph)
    graphs.validate(decoded, check_values=True)
    found = wrong = 0
    pairs = zip(embeddings(graph), graphs.unbatch(decoded), members(directed), strict=True)
    for x, one, true in pairs:
        p = probabilities(x, directed)
        edges = {*zip(one.senders.numpy().tolist(), one.receivers.numpy().tolist(), strict=True)}
        assert edges == {*map(tuple, np.argwhere(p > 0.5).tolist())}
        found += len(edges)
        true_edges = {(a, b) for a, b in true.to_directed().edges if a != b}
        wrong += len(edges ^ true_edges) / (1 if directed else 2)
    assert found > 3
    assert float(tf.reduce_sum(encoder.wrong_edges(graph))) == wrong > 0


def test_wrong_edges_agree_with_the_metric():
    encoder, graph = models.GraphAutoEncoder(4, SIZE), embedded()
    decoded = graphs.to_networkx(encoder.decode(graph))
    report = metrics.wrong_edges(members(), decoded)
    assert report.wrong == float(tf.reduce_sum(encoder.wrong_edges(graph)))


@pytest.mark.parametrize("directed", [False, True])
def test_drawn_edges_have_their_probability(directed):
    num_draws = 2000
    x = tf.constant([[0.3, 0.1, 0.5, -0.2], [0.9, -0.4, 0.2, 0.1], [0.2, 0.8, 0.1, 0.4]])
    encoder = models.GraphAutoEncoder(4, SIZE, directed=directed)
    many = graphs.edgeless([3] * num_draws, 4).replace(nodes=tf.tile(x, [num_draws, 1]))
    drawn = encoder.decode(many, seed=3)
    assert np.array_equal(drawn.senders, encoder.decode(many, seed=3).senders)
    counts = np.zeros([3, 3])
    np.add.at(counts, (drawn.senders.numpy() % 3, drawn.receivers.numpy() % 3), 1)
    p = probabilities(x.numpy().astype(np.float64), directed)
    error = np.sqrt(p * (1 - p) / num_draws)
    assert (np.abs(counts / num_draws - p) <= 4.5 * error + 1e-9).all()
    assert ((p > 0.05).sum() > 1 and np.abs(counts - counts.T).max() > 0) or not directed


@pytest.mark.parametrize("kind", ["network", "flow"])
def test_encoders_are_equivariant_and_know_no_batch_mates(kind):
    graph = embedded()
    make = {"network": models.GraphAutoEncoder, "flow": models.FlowAutoEncoder}[kind]
    encoder = make(4, SIZE)
    encoder.encode(graph, seed=0)
    cases.randomize(encoder, scale=0.2)
    run = encoder._encoder if kind == "network" else encoder.flow.forward
    out = run(graph).nodes
    moved, order = checks.relabeled(graph)
    checks.close(run(moved).nodes, tf.gather(out, order), tf.float32)
    alone = [run(one).nodes for one in graphs.unbatch(graph)]
    checks.close(tf.concat(alone, axis=0), out, tf.float32)
    other = graph.replace(senders=graph.receivers[:0], receivers=graph.receivers[:0])
    other = other.replace(edges=graph.edges[:0], n_edge=tf.zeros_like(graph.n_edge))
    assert np.abs(run(other).nodes - out).max() > 1e-3, "the edges must matter"


@pytest.mark.parametrize("directed", [False, True])
def test_a_decoder_is_equivariant_and_knows_neither_edges_nor_batch_mates(directed):
    """What it adds to the embeddings is what the distances of equation 6 are taken of."""

    def make_decoder(output_size):
        return networks.GraphTransformer(
            8, output_size, num_heads=2, fully_connected=True, max_num_nodes=SIZE
        )

    graph = embedded(directed)
    encoder = models.GraphAutoEncoder(4, SIZE, make_decoder=make_decoder, directed=directed)
    decoder = cases.randomize_after(encoder._decoder, graph)
    refined = graph.replace(nodes=graph.nodes + decoder(graph).nodes)
    assert np.abs(refined.nodes - graph.nodes).max() > 0.1
    plain = models.GraphAutoEncoder(4, SIZE, directed=directed)
    renamed, _ = checks.relabeled(graph)
    np.testing.assert_allclose(
        encoder.cross_entropy(renamed), encoder.cross_entropy(graph), rtol=1e-3
    )
    np.testing.assert_allclose(
        encoder.cross_entropy(graph), plain.cross_entropy(refined), rtol=1e-4
    )
    alone = [encoder.cross_entropy(one) for one in graphs.unbatch(graph)]
    np.testing.assert_allclose(tf.concat(alone, axis=0), encoder.cross_entropy(graph), rtol=1e-3)
    decoded = encoder.decode(graph)
    assert same_edges(decoded, plain.decode(refined))
    no_edges = graph.replace(
        senders=graph.senders[:0],
        receivers=graph.receivers[:0],
        edges=graph.edges[:0],
        n_edge=tf.zeros_like(graph.n_edge),
    )
    assert same_edges(decoded, encoder.decode(no_edges))


def same_edges(a, b):
    return np.array_equal(a.senders, b.senders) and np.array_equal(a.receivers, b.receivers)


def test_noise_is_redrawn_with_the_seed_and_has_its_variance():
    encoder = models.GraphAutoEncoder(2, 500, make_encoder=lambda size: lambda graph: graph)
    graph = graphs.edgeless([500] * 20, 0)
    noise = encoder.encode(graph, seed=1).nodes.numpy()
    assert noise.shape == (10_000, 2)
    np.testing.assert_allclose(noise.var(), 0.3, rtol=0.05)
    np.testing.assert_array_equal(noise, encoder.encode(graph, seed=1).nodes)
    assert np.abs(noise - encoder.encode(graph, seed=2).nodes).max() > 0.1


def test_embeddings_have_noise_that_the_encoder_does_not_see():
    """Of one noise feature H, which this encoder repeats, and of E for each embedding feature."""
    encoder = models.GraphAutoEncoder(
        4,
        500,
        make_encoder=lambda size: lambda graph: graph.replace(nodes=tf.tile(graph.nodes, [1, 4])),
        noise_size=1,
        embedding_noise=0.5,
    )
    nodes = encoder.encode(graphs.edgeless([500] * 20, 0), seed=1).nodes.numpy()
    np.testing.assert_allclose(np.cov(nodes.T), 0.3 + 0.25 * np.eye(4), atol=0.03)


@pytest.mark.parametrize("is_compiled", [False, True])
def test_ranks_number_the_nodes_of_each_graph_by_their_noise(is_compiled):
    """This encoder returns its input, two noise features and the one-hot ranks."""
    encoder = models.GraphAutoEncoder(
        2 + SIZE,
        SIZE,
        make_encoder=lambda size: lambda graph: graph,
        noise_size=2,
        noise_ranks=True,
    )
    graph = graphs.pad(embedded(), num_nodes=25, num_edges=30, num_graphs=6)
    noise = encoder.draw_noise(25, seed=3)
    encode = tf.function(encoder.encode, jit_compile=True) if is_compiled else encoder.encode
    nodes = encode(graph, noise=noise).nodes.numpy()
    np.testing.assert_allclose(nodes[:, :2], math.sqrt(0.3) * noise, rtol=1e-6)
    start = 0
    for size in map(len, members()):
        of_graph = slice(start, start + size)
        order = np.argsort(noise[of_graph, 0])
        np.testing.assert_array_equal(nodes[of_graph, 2:][order], np.eye(SIZE)[:size])
        start += size


def test_the_distance_may_be_divided_by_the_root_of_the_width():
    graph = embedded()
    scaled = models.GraphAutoEncoder(4, SIZE, scaled_distance=True).edge_logits(graph)
    smaller = graph.replace(nodes=graph.nodes / 4**0.25)
    plain = models.GraphAutoEncoder(4, SIZE).edge_logits(smaller)
    np.testing.assert_allclose(scaled, plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("directed", [False, True])
def test_what_all_nodes_of_a_graph_share_does_not_move_its_logits(directed):
    """Its squares would take the digits of the distances, 1e6 in float32 all but one of ten."""
    graph = embedded()
    encoder = models.GraphAutoEncoder(4, SIZE, directed=directed)
    nodes = tf.round(1024 * graph.nodes) / 1024  # exact in what is added
    expected = encoder.edge_logits(graph.replace(nodes=nodes))
    offset = tf.constant([512.0, -1024.0] * 2)
    moved = encoder.edge_logits(graph.replace(nodes=nodes + offset))
    for n, of_one, of_other in zip(graph.n_node, moved, expected, strict=True):
        np.testing.assert_allclose(of_one[:n, :n], of_other[:n, :n], rtol=1e-5, atol=1e-4)


def small_flow(size, conditional_size=0):
    """Along the edges, then to all, as the default one."""

    def make_conditioner(output_size):
        return networks.GraphTransformer(
            8,
            output_size,
            num_heads=2,
            num_blocks=2,
            fully_connected=(False, True),
            max_num_nodes=SIZE,
        )

    return gnf_tf.GNF(
        1,
        size,
        make_conditioner=make_conditioner,
        normalization="act_norm",
        mixing=True,
        conditional_size=conditional_size,
    )


@pytest.mark.parametrize("structure", [{}, {"walk_length": 2, "num_eigenvectors": 2}])
def test_flow_encoder_knows_its_density(structure):
    """log q = log N(noise) - log|det| of the autodiff Jacobian, for each graph."""
    make_flow = functools.partial(small_flow, conditional_size=sum(structure.values()))
    encoder = models.FlowAutoEncoder(4, SIZE, make_flow=make_flow, **structure)
    graph = embedded()
    encoder.encode(graph, seed=0)
    cases.randomize(encoder, scale=0.2)
    out, log_q = encoder.encode_and_log_prob(graph, seed=5)
    identity = models.GraphAutoEncoder(
        4, SIZE, make_encoder=lambda size: lambda graph: graph, noise_variance=1.0, **structure
    )
    seen_nodes = identity.encode(graph, seed=5).nodes
    noise, given = seen_nodes[:, :4], tf.pad(seen_nodes[:, 4:], [[1, 0], [0, 0]])
    conditions = {"conditional_input": given} if structure else {}
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(noise)
        # Along the edges as the encoder sees them: both ways, and a self loop on every node.
        seen = graphs.canonical(graph.replace(nodes=noise))
        again = encoder.flow.forward(seen, **conditions).nodes[1:] / math.sqrt(8.0)
    checks.close(again, out.nodes, tf.float32)
    size = int(tf.size(noise))
    jacobian = tape.jacobian(again, noise, experimental_use_pfor=False)
    jacobian = np.reshape(jacobian, [size, size]).astype(np.float64)
    ends = 4 * np.cumsum(graph.n_node)
    flat = noise.numpy().astype(np.float64).ravel()
    expected = []
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        base = -0.5 * (flat[start:end] ** 2 + math.log(2 * math.pi)).sum()
        expected.append(base - np.linalg.slogdet(jacobian[start:end, start:end])[1])
    np.testing.assert_allclose(log_q, expected, rtol=1e-3, atol=1e-3)


def test_padding_changes_nothing():
    graph = embedded()
    padded = graphs.pad(graph, num_nodes=25, num_edges=30, num_graphs=6)
    encoder = models.GraphAutoEncoder(4, SIZE)
    for method in (encoder.cross_entropy, encoder.wrong_edges):
        np.testing.assert_allclose(method(padded)[:4], method(graph), rtol=1e-6)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"embedding_size": 3}, "`embedding_size` must be even and positive, got 3"),
        ({"max_num_nodes": 0}, "`max_num_nodes` must be at least 1, got 0"),
        ({"noise_variance": -1.0}, "`noise_variance` must be positive, got -1.0"),
        ({"temperature": 0.0}, "`temperature` must be positive, got 0.0"),
        ({"noise_size": 0}, "`noise_size` must be positive, got 0"),
        ({"embedding_size": "4"}, "`embedding_size` must be a whole number, got '4'"),
        ({"noise_ranks": "no"}, "`noise_ranks` must be True or False, got 'no'"),
        ({"walk_length": -1}, "`walk_length` must be at least 0, got -1"),
        ({"num_eigenvectors": -1}, "`num_eigenvectors` must be at least 0, got -1"),
        ({"embedding_noise": -1.0}, "`embedding_noise` must be at least 0, got -1.0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        models.GraphAutoEncoder(**{"embedding_size": 4, "max_num_nodes": 5, **arguments})


@pytest.mark.parametrize(
    "noise", [np.zeros([6, 4]), tf.zeros([7, 3]), tf.zeros([7, 4], tf.float64)]
)
@pytest.mark.parametrize("kind", [models.GraphAutoEncoder, models.FlowAutoEncoder])
def test_wrong_noise_is_named(noise, kind):
    graph = graphs.from_networkx([nx.path_graph(3), nx.path_graph(4)])
    with pytest.raises(ValueError, match=r"`noise` must be float32 of shape \[7, 4\], got"):
        kind(4, 5).encode(graph, noise=noise)


def test_a_flow_has_the_dtype_of_its_weights():
    graph = graphs.from_networkx([nx.path_graph(3)], dtype=tf.float64)
    with pytest.raises(ValueError, match="`graph.nodes` must be float32, got float64"):
        models.FlowAutoEncoder(4, 5).encode(graph, seed=0)


@pytest.mark.parametrize("size, variance", [(0, None), (4, 0.0)])
def test_wrong_sizes_and_variances_of_a_flow_are_named(size, variance):
    with pytest.raises(ValueError, match="must be (even and )?positive, got 0"):
        models.FlowAutoEncoder(size, 5, noise_variance=variance)


def test_a_flow_must_have_the_width_of_walks_and_eigenvectors():
    structure = {"walk_length": 3, "num_eigenvectors": 2}
    message = r"`conditional_size` is `walk_length` \+ `num_eigenvectors`, 5, got 0"
    with pytest.raises(ValueError, match=message):
        models.FlowAutoEncoder(4, SIZE, make_flow=small_flow, **structure)
    assert models.FlowAutoEncoder(4, SIZE, **structure).flow.conditional_size == 5


def test_transformer_blocks_can_differ_in_whom_they_hear():
    """Two nodes without edges: heard by a block that attends to all, not along the edges."""
    graph = graphs.edgeless([2], 3).replace(nodes=tf.constant([[1.0, 2, 3], [4, 5, 6]]))
    changed = graph.replace(nodes=graph.nodes + [[0.0], [1.0]])
    for to_all, heard in ((False, False), (True, True), ((False, True), True)):
        network = networks.GraphTransformer(
            4, 2, num_heads=2, num_blocks=2, fully_connected=to_all, max_num_nodes=2
        )
        cases.randomize_after(network, graph)
        difference = np.abs(network(graph).nodes[0] - network(changed).nodes[0]).max()
        assert (difference > 1e-4) == heard
    with pytest.raises(ValueError, match="`fully_connected` must be .* 2 blocks, got .True,."):
        networks.GraphTransformer(4, 2, num_blocks=2, fully_connected=(True,))


def with_edges(graph, pairs, dtype=tf.int32):
    """The first graph of two, 4 nodes and then 2, with these edges; the second as it was."""
    senders, receivers = np.array([*pairs, *SECOND]).T
    return graph.replace(
        senders=tf.constant(senders, dtype),
        receivers=tf.constant(receivers, dtype),
        n_node=tf.cast(graph.n_node, dtype),
        n_edge=tf.constant([len(pairs), len(SECOND)], dtype),
        edges=tf.zeros([len(pairs) + len(SECOND), 0]),
    )


SECOND = [(4, 5), (5, 4)]
PATH = [(0, 1), (1, 2), (2, 3)]  # one of the ways to write a path of 4 nodes
BOTH = PATH + [(b, a) for a, b in PATH]
LOOPS = [(i, i) for i in range(4)]
PLAIN = with_edges(graphs.edgeless([4, 2], 0), BOTH)
# Ways to write PLAIN; the last two say nothing else of a directed graph either.
FORMS = {
    "one way": lambda: with_edges(PLAIN, PATH),
    "the other way": lambda: with_edges(PLAIN, [(b, a) for a, b in PATH]),
    "mixed ways": lambda: with_edges(PLAIN, [(1, 0), (1, 2), (2, 3), (3, 2)]),
    "self loops": lambda: with_edges(PLAIN, LOOPS + BOTH),
    "some self loops": lambda: with_edges(PLAIN, BOTH + LOOPS[1:3]),
    "repeated": lambda: with_edges(PLAIN, BOTH + PATH + PATH + LOOPS + LOOPS),
    "int64": lambda: with_edges(PLAIN, BOTH, tf.int64),
    "another order": lambda: with_edges(PLAIN, BOTH[::-1]),
    "features": lambda: PLAIN.replace(
        nodes=tf.ones([6, 3]),
        edges=tf.random.stateless_normal([len(PLAIN.senders), 2], [0, 1]),
        globals=tf.random.stateless_normal([2, 3], [0, 2]),
    ),
    "no fields": lambda: PLAIN.replace(edges=None, globals=None),
    "networkx": lambda: graphs.from_networkx([nx.path_graph(4), nx.path_graph(2)]),
    "networkx, directed": lambda: graphs.from_networkx(
        [nx.DiGraph(PATH), nx.path_graph(2, nx.DiGraph)]
    ),
    "the trainers'": lambda: graphs.fill_missing(
        datasets.Topologies([nx.path_graph(4), nx.path_graph(2)]).graph(np.arange(2))
    ),
    "padded": lambda: graphs.pad(PLAIN, 20, 30, 4),
    "padded, with all loops": lambda: graphs.pad(with_edges(PLAIN, LOOPS + PATH), 9, 40, 5),
}
OF_DIRECTED = {"self loops", "some self loops", "int64", "another order", "features", "padded"}


def along_edges(size):
    """An encoder that counts edges in its edge list, unlike the default one."""
    return networks.MessagePassing((5, 5), size)


@functools.cache
def encoders(directed=False):
    made = {
        "network": models.GraphAutoEncoder(4, SIZE, directed=directed),
        "edge list": models.GraphAutoEncoder(
            4,
            SIZE,
            make_encoder=along_edges,
            make_decoder=networks_mlp,
            directed=directed,
            walk_length=3,
            num_eigenvectors=2,
        ),
        "flow": models.FlowAutoEncoder(
            4,
            SIZE,
            make_flow=functools.partial(small_flow, conditional_size=5),
            directed=directed,
            walk_length=3,
            num_eigenvectors=2,
        ),
    }
    for name, encoder in made.items():
        encoder.edge_logits(encoder.encode(PLAIN, seed=0))
        cases.randomize(encoder, seed=len(name), scale=0.3)
    return made


def networks_mlp(size):
    return networks.GraphTransformer(
        8, size, num_heads=2, fully_connected=True, max_num_nodes=SIZE, output_scale=0.1
    )


ENCODERS = ("network", "edge list", "flow")


@functools.cache
def all_of(name, directed, execution):
    """What computes everything of a topology, of the 2 graphs and 6 nodes that are real."""
    encoder = encoders(directed)[name]

    def compute(graph):
        graph = encoder.encode(graph, seed=3)
        results = [
            graph.nodes[:6],
            encoder.cross_entropy(graph)[:2],
            encoder.wrong_edges(graph)[:2],
        ]
        if isinstance(encoder, models.FlowAutoEncoder):
            results.append(encoder.encode_and_log_prob(graph, seed=4)[1][:2])
        return results

    return EXECUTIONS[execution](compute)


@functools.cache
def of_plain(name, directed, execution, sizes):
    whole = PLAIN
    if sizes:  # the noise is drawn for all rows at once
        whole = graphs.pad(with_edges(PLAIN, BOTH + LOOPS), *sizes)
    return all_of(name, directed, execution)(whole)


# Tracing and compiling take seconds: these forms and encoders stand for all.
COMPILED = [
    ("padded", "function", "edge list"),
    ("padded", "function", "flow"),
    ("repeated", "xla", "edge list"),
]


@pytest.mark.parametrize(
    "form, execution, name", [*itertools.product(FORMS, ["eager"], ENCODERS), *COMPILED]
)
def test_what_is_seen_does_not_depend_on_how_a_graph_is_written(form, execution, name):
    for directed in (False, True):
        if directed and (form not in OF_DIRECTED or execution != "eager"):
            continue
        # In the same execution: XLA makes other noise of a seed.
        found = all_of(name, directed, execution)(graphs.fill_missing(FORMS[form]()))
        expected = of_plain(name, directed, execution, PADDED.get(form))
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


PADDED = {"padded": (20, 30, 4), "padded, with all loops": (9, 40, 5)}


def test_the_canonical_form_is_that_of_the_trainers():
    members = [nx.path_graph(4), nx.star_graph(2), nx.empty_graph(1)]
    expected = graphs.fill_missing(datasets.Topologies(members).graph(np.arange(3)))
    found = graphs.canonical(graphs.from_networkx(members))
    pairs = {tuple(pair) for pair in np.stack([expected.senders, expected.receivers], 1) + 1}
    there = [tuple(p) for p in np.stack([found.senders, found.receivers], 1) if p[0]]
    assert set(there) == pairs and len(there) == len(pairs)
    assert found.n_edge.numpy().tolist()[1:] == expected.n_edge.numpy().tolist()
    graphs.validate(found)


@pytest.mark.parametrize("name", ENCODERS)
def test_a_graph_larger_than_the_room_is_an_error_or_nan(name):
    encoder = encoders()[name]
    methods = {
        "encode": lambda graph: encoder.encode(graph, seed=0).nodes,
        "cross_entropy": encoder.cross_entropy,
        "wrong_edges": encoder.wrong_edges,
        "edge_logits": encoder.edge_logits,
    }
    batches = ([nx.path_graph(9)], [nx.path_graph(3), nx.path_graph(9)])
    for members in (*batches, [nx.path_graph(3), nx.empty_graph(9)], [nx.empty_graph(9)]):
        graph = graphs.from_networkx(members)
        graph = graph.replace(nodes=tf.zeros([len(graph.nodes), 4]))
        for label, method in methods.items():
            with pytest.raises(ValueError, match=r"`max_num_nodes` must hold .* got 6 for sizes"):
                method(graph)
            # Tracing and compiling take seconds: one batch stands for all. Both other encoders are
            # transformers, and decode alike; the methods of the decoder begin alike.
            compiled = {"flow": methods, "edge list": ["edge_logits"], "network": []}[name]
            if members is not batches[1] or label not in compiled:
                continue
            with pytest.raises(tf.errors.InvalidArgumentError, match="`max_num_nodes` must hold"):
                EXECUTIONS["function"](method)(graph)
            found = EXECUTIONS["xla"](method)(graph).numpy()
            last = found[-3:] if label == "encode" else found[-1]
            assert np.isnan(last).all(), label


def test_networks_that_cannot_be_tracked_or_never_drop_out_are_refused():
    layer = networks.MLP((4,))
    plain = models.GraphAutoEncoder(4, SIZE, make_encoder=lambda size: lambda graph: layer(graph))
    plain.encode(PLAIN, seed=0)
    assert len(plain.trainable_variables) == 2
    with pytest.raises(ValueError, match="`make_encoder` must give a network that makes its"):
        models.GraphAutoEncoder(
            4, SIZE, make_encoder=lambda size: lambda graph: networks.MLP((size,))(graph)
        ).encode(PLAIN, seed=0)
    for label in ("encoder", "decoder"):
        with pytest.raises(ValueError, match=f"`make_{label}` must give a network without dropout"):
            models.GraphAutoEncoder(
                4,
                SIZE,
                **{f"make_{label}": lambda n: networks.MessagePassing((3, 3), n, dropout=0.5)},
            )


def test_another_float_type_is_named():
    encoder = models.GraphAutoEncoder(4, SIZE)
    encoder.encode(PLAIN, seed=0)
    with pytest.raises(ValueError, match="`graph.nodes` must be float32, .*got float64"):
        encoder.encode(graphs.edgeless([3], 0, dtype=tf.float64), seed=0)
