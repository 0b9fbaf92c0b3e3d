"""`GraphDensity`: exact densities of any graphs' features in the data's units, kept in a file."""

import functools
import json
import pathlib

import networkx as nx
import numpy as np
import pytest
import tensorflow as tf

from gnf_tf import datasets, distributions, graphs, models, training
from gnf_tf.graphs import GraphsTuple

pytestmark = pytest.mark.usefixtures("kept_half_steps")

GOLDEN = pathlib.Path(__file__).parent / "golden"
SMALL = {"num_steps": 1, "width": 4, "num_heads": 2, "key_size": 2, "num_bins": 4}
CONFIGS = {
    "all": {"attention": "all", "conditioner": "transformer"},
    "attention to all": {"attention": "all", "conditioner": "attention", "coupling": "affine"},
    "ranks": {"attention": "all", "conditioner": "transformer", "rank_frequencies": 3},
    "edges": {},  # messages along them, for they have features
    "attention along edges": {"attention": "edges", "conditioner": "transformer"},
    "none": {"attention": "none", "conditioner": "transformer"},
    "perceptron": {"attention": "none", "conditioner": "attention", "normalization": "act_norm"},
}


def rings(count, node_size=3, edges=2, globals_=1, seed=0):
    """networkx rings of 3, 4, ... nodes with features of all kinds."""
    rng = np.random.default_rng(seed)
    members = [nx.cycle_graph(3 + i) for i in range(count)]
    for graph in members:
        graph.graph["features"] = rng.normal(size=globals_)
        for node in graph:
            graph.nodes[node]["features"] = [10.0, -5.0, 0.0] + rng.normal(size=node_size)
        for pair in graph.edges:
            graph.edges[pair]["features"] = rng.normal(size=edges)
    return members


def backwards(graph):
    """The same graph, its nodes in the opposite order."""
    result = nx.Graph(**graph.graph)
    result.add_nodes_from(list(graph.nodes(data=True))[::-1])
    result.add_edges_from(graph.edges(data=True))
    return result


def new_model(name="edges"):
    """Of the rings; its weights are not those of a new one, which hardly sees what it is given."""
    training.set_seed(0)
    config = models.DensityConfig(**SMALL, **CONFIGS[name])
    model = models.GraphDensity.for_data(rings(6), config)
    for i, variable in enumerate(model.trainable_variables):
        variable.assign_add(0.3 * tf.random.stateless_normal(variable.shape, [i, 7]))
    return model


kept_model = functools.cache(new_model)  # for what does not change it


@pytest.fixture(scope="module", params=CONFIGS)
def case(request):
    """(name, model)"""
    return request.param, kept_model(request.param)


def test_graphs_are_asked_one_by_one_as_together(case, monkeypatch):
    """In their order, in whatever form and batches, their nodes in any order."""
    _, model = case
    members = rings(6)
    together = model.log_prob(members)
    assert together.shape == (6,) and np.isfinite(together).all()
    whole = graphs.from_networkx(members)
    mixed = [members[i] for i in (4, 0, 5, 2, 1, 3)]
    np.testing.assert_allclose(model.log_prob(mixed), together[[4, 0, 5, 2, 1, 3]], rtol=1e-4)
    relabeled = [backwards(graph) for graph in members]
    np.testing.assert_allclose(model.log_prob(relabeled), together, rtol=1e-4)
    np.testing.assert_allclose(model(whole), together, rtol=1e-4)
    np.testing.assert_allclose(model.distribution(whole).log_prob(whole), together, rtol=1e-4)
    sample = model.sample(whole, seed=3).nodes
    monkeypatch.setattr("gnf_tf.models.chunking.MAX_COST", 40)
    np.testing.assert_allclose(model.log_prob(members), together, rtol=1e-4)
    np.testing.assert_allclose(model.sample(members, seed=3).nodes, sample, rtol=1e-3, atol=1e-3)


FAR = [1e4, 1e15, 1e18, 1e20, 1e30, 1e37]


def test_features_far_from_the_data_are_less_and_less_probable(case):
    """Down to -inf, where float32 overflows; never NaN."""
    _, model = case
    graph = graphs.from_networkx(rings(3))
    nodes = tf.random.stateless_normal(graph.nodes.shape, [0, 1])
    found = [model.log_prob(graph.replace(nodes=scale * nodes)) for scale in FAR]
    assert (np.diff(found[:2], axis=0) < 0.0).all()
    assert not np.isnan(found).any() and (found[-1] == -np.inf).all()


def test_weights_that_are_not_finite_are_named_and_not_taken_for_far_data(case):
    _, model = case
    weight = model.variables[0]
    before = tf.identity(weight)
    weight.assign(tf.fill(weight.shape, np.nan))
    try:
        with pytest.raises(ValueError, match=f"weights must be finite, got .* {weight.name}"):
            model.log_prob(rings(3))
    finally:
        weight.assign(before)


def test_samples_are_for_a_topology(case):
    """Which stays as it is, whatever its node features; a seed says which they are."""
    _, model = case
    topology = graphs.from_networkx(rings(3)).replace(nodes=tf.zeros([12, 0]))
    sample = model.sample(topology, seed=1)
    for field in ("edges", "globals", "receivers", "senders", "n_node", "n_edge"):
        np.testing.assert_array_equal(getattr(sample, field), getattr(topology, field))
    np.testing.assert_array_equal(sample.nodes, model.sample(topology, seed=1).nodes)
    assert np.abs(sample.nodes - model.sample(topology, seed=2).nodes).min(axis=0).max() > 0
    expected = model.distribution(topology).sample(seed=1)
    np.testing.assert_allclose(sample.nodes, expected.nodes, rtol=1e-4, atol=1e-4)
    nodes = model.sample(rings(40), seed=1).nodes.numpy()  # in the data's units
    assert (np.abs(nodes.mean(axis=0) - [10.0, -5.0, 0.0]) < 3.0).all()


def test_who_hears_whom(case):
    """What changes a node's density: other nodes, the graph's features, those of edges."""
    name, model = case
    graph = graphs.from_networkx(rings(4)[3:])  # six nodes in a ring

    def score(away=None, **changes):
        """What moving node 0 adds, where node `away` has been moved."""
        nodes = graph.nodes if away is None else graph.nodes + np.float32(np.eye(6)[:, [away]])
        at = [
            graph.replace(nodes=n, **changes)
            for n in (nodes, nodes + np.float32(np.eye(6)[:, [0]]))
        ]
        return float(model(at[0])[0] - model(at[1])[0])

    def heard(row):
        return abs(score(row) - score()) > 1e-3

    # With one step of two couplings node 0 hears nodes two edges away.
    expected = {"none": (False, False), "perceptron": (False, False)}
    found = (heard(1), heard(3))
    if name == "edges" or name == "attention along edges":
        assert found[0]
    else:
        assert found == expected.get(name, (True, True))
    assert abs(score(globals=graph.globals + 1.0) - score()) > 1e-3
    sees_edges = abs(score(edges=graph.edges + 1.0) - score()) > 1e-3
    assert sees_edges == (name == "edges")


def test_densities_are_in_the_units_of_the_data():
    """The same weights on features k times as large: log k less for each feature."""
    small = rings(6)
    large = [graph.copy() for graph in small]
    for graph in large:
        for node in graph:
            graph.nodes[node]["features"] = 100.0 * graph.nodes[node]["features"] + 7.0
    model = new_model()
    other = models.GraphDensity.for_data(large, model.config)
    for variable, value in zip(other.variables, model.variables, strict=True):
        variable.assign(value)
    less = 3 * np.log(100.0) * np.array([len(graph) for graph in small])
    np.testing.assert_allclose(other.log_prob(large), model.log_prob(small) - less, rtol=1e-4)


@pytest.mark.parametrize(
    "data, config, expected",
    [
        (lambda: rings(3), {}, ("edges", "message_passing")),
        (lambda: rings(3, edges=0), {}, ("edges", "transformer")),
        (lambda: rings(1, edges=0), {}, ("all", "transformer")),  # of three nodes: all joined
        (lambda: datasets.mog(3, n_node=(4, 9)), {}, ("all", "transformer")),
        (lambda: datasets.POINT_SETS["mog"], {}, ("all", "transformer")),
        (lambda: rings(3), {"attention": "none"}, ("none", "transformer")),
        (lambda: rings(3), {"conditioner": "attention"}, ("edges", "attention")),
    ],
)
def test_the_data_choose_what_the_config_leaves_open(data, config, expected):
    model = models.GraphDensity.for_data(data(), models.DensityConfig(**SMALL, **config))
    assert (model.config.attention, model.config.conditioner) == expected


def test_statistics_are_those_of_the_data():
    members = rings(6)
    nodes = graphs.from_networkx(members).nodes.numpy()
    model = models.GraphDensity.for_data(members, models.DensityConfig(**SMALL))
    np.testing.assert_allclose(model.mean, nodes.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(model.scale, nodes.std(axis=0), rtol=1e-5)
    sets = models.GraphDensity.for_data(datasets.POINT_SETS["mog"], models.DensityConfig(**SMALL))
    assert (sets.mean == 0).all() and (sets.scale == 1).all()


def test_nothing_is_asked_about_nothing():
    model = kept_model("edges")
    assert model.log_prob([]).shape == (0,)
    small = [nx.empty_graph(0), nx.empty_graph(0), rings(1)[0]]
    small[0].graph["features"] = small[1].graph["features"] = [1.0]
    np.testing.assert_array_equal(model.log_prob(small[:2]), [0.0, 0.0])
    small[2].remove_edges_from(list(small[2].edges))  # no edge, and so no features of edges
    log_prob = model.log_prob(small)
    assert (log_prob[:2] == 0).all() and np.isfinite(log_prob[2]) and log_prob[2] != 0
    assert model.sample(small[2:], seed=1).nodes.shape == (3, 3)
    with pytest.raises(ValueError, match="at least one"):
        model.sample([], seed=1)


def without(attribute):
    members = rings(2)
    for graph in members:
        for node in graph:
            if attribute == "nan":
                graph.nodes[node]["features"][1] = np.nan
            else:
                del graph.nodes[node]["features"]
    return members


def scaled(factor):
    points = datasets.mog(3, seed=0)
    return points.replace(nodes=factor * points.nodes / 10)


@pytest.mark.parametrize("verb", ["for_data", "log_prob", "sample", "distribution"])
@pytest.mark.parametrize(
    "given, message",
    [
        ("graphs.g6", "GraphsTuple or a list of networkx graphs, got str"),
        ([1, 2], "graph 0 of `graphs` must be a networkx graph, got 1"),
        (7, "GraphsTuple or a list of networkx graphs, got int"),
        ((graph for graph in []), "GraphsTuple or a list of networkx graphs, got generator"),
        (map(str, []), "GraphsTuple or a list of networkx graphs, got map"),
        (None, "GraphsTuple or a list of networkx graphs, got NoneType"),
        (nx.Graph(), r"single one: \[graph\]"),
        (nx.path_graph(3), r"single one: \[graph\]"),
        (without("nan"), "node 0 of graph 0 has 'features'.*finite"),
    ],
)
def test_what_are_no_graphs_is_named(verb, given, message):
    model = models.GraphDensity if verb == "for_data" else kept_model("edges")
    options = {"seed": 1} if verb == "sample" else {}
    with pytest.raises((ValueError, TypeError), match=message):
        getattr(model, verb)(given, **options)


@pytest.mark.parametrize(
    "given, message",
    [
        (without("features"), "width of at least 2.*got 0"),
        (datasets.mog(3).replace(nodes=tf.random.normal([12, 1])), "width of at least 2.*got 1"),
        (datasets.mog(3).replace(nodes=tf.ones([12, 2])), "feature 0 is 1.0 on every node"),
        (scaled(1e33), r"the deviation of feature 0 is .*e\+3., expected 1e-30 to 1e\+30, where"),
        (scaled(1e-33), "the deviation of feature 0 is .*e-3., .* choose another unit"),
        (graphs.edgeless([0, 0], 2), "must have nodes, got none"),
    ],
)
def test_data_without_a_density_are_named(given, message):
    with pytest.raises(ValueError, match=message):
        models.GraphDensity.for_data(given)


@pytest.mark.parametrize(
    "given, message",
    [
        (rings(2, edges=3), "edge features must have the model's width 2, got 3"),
        (rings(2, globals_=2), "global features must have the model's width 1, got 2"),
        (datasets.mog(2), "node features must have the model's width 3, got 2"),
    ],
)
def test_graphs_of_another_kind_are_named(given, message):
    with pytest.raises(ValueError, match=message):
        kept_model("edges").log_prob(given)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"node_size": 1}, "width of at least 2, .* got 1"),
        ({"mean": np.zeros(2)}, "`mean` must be 3 finite numbers"),
        ({"mean": np.array([0.0, np.nan, 0.0])}, "`mean` must be 3 finite numbers"),
        ({"scale": np.array([1.0, 0.0, 1.0])}, "`scale` must be positive"),
        ({"node_size": 2.5}, "`node_size` must be a whole number, got 2.5"),
        ({"edge_size": -1}, "`edge_size` must be at least 0, got -1"),
        ({"config": {}}, "`config` must be a DensityConfig, got {}"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        models.GraphDensity(**{"node_size": 3} | arguments)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"attention": "some"}, "`attention` must be one of 'all', 'edges', 'none', got 'some'"),
        ({"width": 9}, "`width` must be a multiple of the number of attention heads, 4, got 9"),
        ({"num_bins": 1}, "`num_bins` must be at least 2, got 1"),
        (
            {"attention": "all", "conditioner": "message_passing"},
            "`attention` must be 'edges' for the conditioner 'message_passing', got 'all'",
        ),
    ],
)
def test_a_wrong_config_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        models.DensityConfig(**changes)


@pytest.mark.parametrize("verb", ["log_prob", "sample", "distribution"])
def test_graphs_of_a_function_being_traced_are_named(verb):
    options = {"seed": 1} if verb == "sample" else {}
    use = tf.function(lambda graph: getattr(kept_model("edges"), verb)(graph, **options))
    with pytest.raises(ValueError, match="must be known, got tensors of a `tf.function`"):
        use(graphs.from_networkx(rings(2)))


def test_edges_and_globals_may_be_none():
    graph = datasets.mog(2)
    model, bare = models.GraphDensity(2), graph.replace(edges=None, globals=None)
    expected = model(graph)
    np.testing.assert_array_equal(model(bare), expected)
    np.testing.assert_array_equal(model.distribution(bare).log_prob(bare), expected)
    prior = distributions.NodePrior
    np.testing.assert_array_equal(prior(bare).log_prob(bare), prior(graph).log_prob(graph))


def test_statistics_of_batch_normalization_are_taken_anew():
    model, data = new_model("attention along edges"), rings(6)
    model.gnf.normalizations[0].moving_mean.assign([1.0, 2.0, 3.0])
    before = model.log_prob(data)
    model.calibrate(data)
    assert np.abs(model.log_prob(data) - before).max() > 1e-3
    whole = graphs.from_networkx(data)
    np.testing.assert_allclose(model(whole), model(whole, is_training=True), rtol=1e-4)
    model = new_model("perceptron")
    before = model.log_prob(data)
    model.calibrate(data)  # ActNorm has none
    np.testing.assert_array_equal(model.log_prob(data), before)


def test_the_golden_file_loads_for_ever():
    """Written by `new_model().save` in November 2026, with its numbers."""
    model = models.GraphDensity.load(GOLDEN / "graph_density.npz")
    expected = json.loads((GOLDEN / "graph_density.json").read_text())
    np.testing.assert_allclose(model.log_prob(rings(3)), expected["log_prob"], rtol=1e-4)
    sample = model.sample(rings(3), seed=1).nodes
    np.testing.assert_allclose(sample, expected["sample"], rtol=1e-3, atol=1e-4)


def test_it_can_be_exported(tmp_path):
    """As BUILD.md shows it."""
    model, graph = kept_model("edges"), graphs.from_networkx(rings(3))

    def log_prob(**fields):
        return {"log_prob": model(GraphsTuple(**fields))}

    signature = tf.function(log_prob).get_concrete_function(**graphs.specs(graph)._asdict())
    tf.saved_model.save(model, tmp_path / "exported", signatures=signature)
    served = tf.saved_model.load(tmp_path / "exported").signatures["serving_default"]
    found = served(**graph._asdict())["log_prob"]
    np.testing.assert_allclose(found, model.log_prob(graph), rtol=1e-5)


@pytest.mark.parametrize(("attention", "added"), [("all", 3 * (1 + 2)), ("edges", 0), ("none", 0)])
def test_ranks_widen_the_input_of_each_network_where_a_node_sees_all(attention, added):
    """Three cosines for each of the one or two features that a coupling keeps."""
    config = {**SMALL, "attention": attention, "conditioner": "transformer"}
    size, with_ranks = (
        sum(
            variable.shape[0]
            for variable in models.GraphDensity(
                3, config=models.DensityConfig(**config, rank_frequencies=frequencies)
            ).trainable_variables
            if "embed/w" in variable.name
        )
        for frequencies in (0, 3)
    )
    assert with_ranks - size == added


def test_conditions_in_other_units_are_standardized(tmp_path):
    """Globals in kelvin and lengths in picometers; of usual ones nothing changes."""
    rng, graph = np.random.default_rng(0), graphs.fully_connected([4] * 20, 2)
    edges, of_graph = rng.normal(size=[len(graph.senders), 1]), rng.normal(size=[20, 1])
    edges, of_graph = ((x - x.mean()) / x.std() for x in (edges, of_graph))
    usual = graph.replace(
        nodes=tf.constant(rng.normal(size=[80, 2]), tf.float32),
        edges=tf.constant(edges, tf.float32),
        globals=tf.constant(of_graph, tf.float32),
    )
    given = usual.replace(edges=150.0 + 20.0 * usual.edges, globals=300.0 + 20.0 * usual.globals)
    made = [
        models.GraphDensity.for_data(data, models.DensityConfig(**SMALL)) for data in (usual, given)
    ]
    assert made[0].edge_units is None and made[0].global_units is None
    for i, (one, other) in enumerate(zip(*(m.trainable_variables for m in made), strict=True)):
        one.assign_add(0.3 * tf.random.stateless_normal(one.shape, [i, 7]))
        other.assign(one)
    found = made[1].log_prob(given)
    np.testing.assert_allclose(found, made[0].log_prob(usual), rtol=1e-3, atol=1e-3)
    for field in ("edges", "globals"):
        other = usual.replace(**{field: -getattr(usual, field)})
        assert np.abs(made[0].log_prob(other) - found).max() > 0.01
    made[1].save(tmp_path / "model.npz")
    np.testing.assert_array_equal(models.load(tmp_path / "model.npz").log_prob(given), found)
