"""Decoding of edges under a constraint, against adding them one by one."""

import networkx as nx
import numpy as np
import pytest

from gnf_tf import datasets, graphs, models
from gnf_tf.models.decoding import CONSTRAINTS, simple_graphs, with_best_edges
from tests.test_generation_trainer import run
from tests.test_generator import make, same
from trainers import generation

SIZES = [9, 1, 0, 12]


def at_most_two(graph):
    return max((degree for _, degree in graph.degree), default=0) <= 2


NAMED = [check for check in CONSTRAINTS.values() if check is not None]
CASES = [(check, False) for check in (*NAMED, at_most_two)]
CASES += [(check, True) for check in (*NAMED, nx.is_directed_acyclic_graph)]


def scores_of(shift, seed=0):
    """[n_graphs, size, size], -inf on the diagonal and where there is no node."""
    scores = np.random.default_rng(seed).normal(shift, size=(len(SIZES), 14, 14))
    is_node = np.arange(14) < np.array(SIZES)[:, np.newaxis]
    pairs = is_node[:, :, np.newaxis] & is_node[:, np.newaxis, :] & ~np.eye(14, dtype=bool)
    return np.where(pairs, scores, -np.inf)


def one_by_one(scores, constraint, directed):
    """The edges of one graph, each checked by itself."""
    graph = nx.empty_graph(len(scores), nx.DiGraph if directed else nx.Graph)
    pairs = [(i, j) for i in range(len(scores)) for j in range(len(scores)) if i != j]
    pairs = [(i, j) for i, j in pairs if directed or i < j]
    wanted = sum(scores[pair] > 0 for pair in pairs)
    for receiver, sender in sorted(pairs, key=lambda pair: -scores[pair]):
        if graph.number_of_edges() < wanted:
            graph.add_edge(sender, receiver)
            if not constraint(graph):
                graph.remove_edge(sender, receiver)
    return set(graph.edges)


def decoded(scores, constraint, directed, connected=False):
    topology = graphs.edgeless(SIZES, 3)
    found = with_best_edges(topology, scores, constraint, connected=connected, directed=directed)
    graphs.validate(found, check_values=True)
    return simple_graphs(found, directed)


@pytest.mark.parametrize("shift", [-1.5, 0.0, 3.0])
@pytest.mark.parametrize(("constraint", "directed"), CASES)
def test_edges_are_those_of_adding_them_one_by_one(constraint, directed, shift):
    scores = scores_of(shift)
    for graph, score, size in zip(
        decoded(scores, constraint, directed), scores, SIZES, strict=True
    ):
        expected = one_by_one(score[:size, :size], constraint, directed)
        assert set(graph.edges) == expected
        assert not size or constraint(graph)


@pytest.mark.parametrize("directed", [False, True])
def test_a_constraint_that_always_holds_changes_nothing(directed):
    scores = scores_of(0.3)
    plain = decoded(scores, None, directed)
    assert sum(graph.number_of_edges() for graph in plain) > 50
    assert same(plain, decoded(scores, lambda _: True, directed))


def test_forests_have_the_largest_sum_of_scores():
    """Kruskal's algorithm, as networkx has it."""
    scores = scores_of(2.0)
    for graph, score, size in zip(decoded(scores, nx.is_forest, False), scores, SIZES, strict=True):
        whole = nx.Graph()
        whole.add_weighted_edges_from(
            (i, j, score[i, j]) for i in range(size) for j in range(i + 1, size)
        )
        expected = nx.maximum_spanning_tree(whole)
        assert {frozenset(edge) for edge in graph.edges} == set(map(frozenset, expected.edges))


def joined(graph, scores, constraint):
    """The edges after joining parts one by one; the parts are found anew each time."""
    pairs = [tuple(pair) for pair in np.argwhere(scores > -np.inf).tolist()]
    for receiver, sender in sorted(pairs, key=lambda pair: -scores[pair]):
        parts = nx.connected_components(graph.to_undirected())
        if not any({sender, receiver} <= part for part in parts):
            graph.add_edge(sender, receiver)
            if not constraint(graph):
                graph.remove_edge(sender, receiver)
    return set(graph.edges)


@pytest.mark.parametrize("shift", [-9.0, -1.5, 0.0])
@pytest.mark.parametrize(("constraint", "directed"), [*CASES, (None, False), (None, True)])
def test_parts_are_joined_by_their_best_edges(constraint, directed, shift):
    scores = scores_of(shift)
    plain = decoded(scores, constraint, directed)
    made = decoded(scores, constraint, directed, connected=True)
    for before, after, score, size in zip(plain, made, scores, SIZES, strict=True):
        score = score if directed else np.where(np.tri(14, dtype=bool), -np.inf, score)
        expected = joined(before.copy(), score[:size, :size], constraint or (lambda _: True))
        assert set(after.edges) == expected >= set(before.edges)
        if size and constraint is not at_most_two:
            assert nx.is_connected(after.to_undirected())
    assert not shift or any(len(x.edges) < len(y.edges) for x, y in zip(plain, made, strict=True))


@pytest.mark.parametrize("encoder", ["network", "flow"])
def test_generated_graphs_keep_the_constraint(encoder, tmp_path):
    drawn = {"encoder": encoder, "draw_edges": True, "temperature": 0.1}  # so there are many edges
    generator = make(**drawn)
    plain = generator.generate(n_node=[7] * 30, seed=1)
    assert not all(map(nx.is_forest, plain))
    made = generator.generate(n_node=[7] * 30, seed=1, constraint="forest")
    assert all(map(nx.is_forest, made))
    for before, after in zip(plain, made, strict=True):
        assert after.number_of_edges() == min(before.number_of_edges(), 6)
    assert same(made, generator.generate(n_node=[7] * 30, seed=1, constraint=nx.is_forest))
    by_default = make(**drawn, constraint="forest")
    by_default.save(tmp_path / "model.npz")
    assert same(made, models.load(tmp_path / "model.npz").generate(n_node=[7] * 30, seed=1))
    assert same(plain, by_default.generate(n_node=[7] * 30, seed=1, constraint="none"))
    paths = [nx.path_graph(7)] * 9  # whose errors a constraint would hide
    assert same(generator.decoded_encodings(paths), by_default.decoded_encodings(paths))


@pytest.mark.parametrize("encoder", ["network", "flow"])
def test_generated_graphs_are_connected(encoder):
    generator, by_default = (make(encoder=encoder, connected=value) for value in (False, True))
    plain = generator.generate(30, seed=1)
    assert not all(map(nx.is_connected, plain))
    made = generator.generate(30, seed=1, connected=True)
    assert all(map(nx.is_connected, made))
    assert all(set(x.edges) <= set(y.edges) for x, y in zip(plain, made, strict=True))
    assert same(made, by_default.generate(30, seed=1))
    assert same(plain, by_default.generate(30, seed=1, connected=False))
    trees = by_default.generate(30, seed=1, constraint="forest")
    assert all(map(nx.is_tree, trees))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make(constraint="plane"), "`constraint` must be one of 'none', 'planar', 'for"),
        (
            lambda: make().generate(2, seed=0, constraint="plane"),
            "`constraint` must be one of none, planar, .*, or a function of a graph, got 'plane'",
        ),
        (lambda: make().generate(2, seed=0, constraint=True), "`constraint` must be .* got True"),
        (
            lambda: make().generate(2, seed=0, constraint=nx.is_connected),
            "`constraint` must hold for graphs without edges, got one that does not for . nodes",
        ),
        (
            lambda: models.GraphGenerator.for_data(
                [nx.path_graph(3), nx.cycle_graph(3)], models.GeneratorConfig(constraint="forest")
            ),
            "`constraint` must be a property of all training graphs, which graph 1 does not have, "
            "got 'forest'",
        ),
        (
            lambda: models.GraphGenerator.for_data(
                [nx.path_graph(3), nx.empty_graph(2)], models.GeneratorConfig(connected=True)
            ),
            "`connected` must be False unless all training graphs are connected, which graph 1 is "
            "not, got True",
        ),
        (lambda: make().generate(2, seed=0, connected=1), "`connected` must be True or False"),
    ],
)
def test_wrong_constraints_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.usefixtures("few_are_compared")
@pytest.mark.parametrize("constraint", [nx.check_planarity, lambda graph: "no", lambda graph: None])
def test_a_constraint_returns_true_or_false(constraint):
    """`nx.check_planarity` returns a pair, which would count as true."""
    with pytest.raises(ValueError, match="`constraint` must return True or False, got "):
        with_best_edges(graphs.edgeless([5], 2), np.ones([1, 5, 5]), constraint)


def test_the_trainer_says_what_graphs_are_made(monkeypatch, capsys, tmp_path):
    trees = [nx.random_labeled_tree(n, seed=n) for n in (3, 4, 5, 6) * 5]
    datasets.write_graphs(tmp_path / "trees.g6", trees)
    calls, generate = [], models.GraphGenerator.generate

    def observed(*arguments, **options):
        calls.append(options)
        return generate(*arguments, **options)

    monkeypatch.setattr(models.GraphGenerator, "generate", observed)
    words = ("--data", tmp_path / "trees.g6", "--constraint", "forest", "--connected")
    run(monkeypatch, generation, *words, "--run-dir", tmp_path / "run")
    # Diagnostics are of graphs without them, and the two trials at the end of graphs with them.
    free = [call.get("constraint") == "none" and call["connected"] is False for call in calls]
    assert free == [True] * (len(calls) - 2) + [False] * 2 and len(calls) > 3
    output = capsys.readouterr().out
    assert "generated graphs are made forest and connected; decoded encodings are not" in output
    model = models.load(tmp_path / "run" / "seed0" / "model.npz")
    assert all(map(nx.is_tree, model.generate(20, seed=5)))
    assert "connected 100.0%" in output


def test_graphs_that_lack_the_constraint_are_one_line(monkeypatch, capsys, tmp_path):
    with pytest.raises(SystemExit):
        run(monkeypatch, generation, "--run-dir", tmp_path / "run", "--constraint", "forest")
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: --constraint must be a property of all training graphs, which")
    assert "\n" not in error
