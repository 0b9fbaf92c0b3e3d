"""Figures from arrays."""

import tracemalloc
import warnings

import networkx as nx
import numpy as np
import pytest
import tensorflow as tf

from gnf_tf import plots


def test_predicted_against_true():
    rng = np.random.default_rng(0)
    true = rng.normal(size=[50, 5])
    figure = plots.predicted_against_true(true, true + 0.5, list("abcde"), ["eV"] * 5)
    titles = [axis.get_title() for axis in figure.axes]
    assert titles[:5] == [f"{name}  (MAE 0.5 eV)" for name in "abcde"]
    image = plots.to_image(figure)
    assert image.dtype == tf.uint8 and image.shape[0] == 1 and image.shape[-1] == 4
    assert np.std(image) > 5
    with pytest.raises(ValueError, match=r"must have shape \[n, 2\], got \(50, 5\)"):
        plots.predicted_against_true(true, true, ["a", "b"], ["", ""])


def test_names_are_no_formulas():
    """What a user calls a target is drawn as it stands."""
    names = [r"$\alpha_{$", "a$b"]
    values = np.arange(4.0).reshape([2, 2])
    plots.to_image(plots.predicted_against_true(values, values, names, ["$^$", "eV"]))
    plots.to_image(plots.calibration([0.5, 0.9], values / 4, names))
    figure = plots.calibration([0.5, 0.9], values / 4, ["_E", "mu"])
    assert [text.get_text().strip() for text in figure.legends[0].get_texts()] == ["_E", "mu"]


def test_what_has_no_unit_has_no_brackets():
    values = np.arange(4.0).reshape([2, 2])
    figure = plots.predicted_against_true(values, values, ["a", "b"], ["", "eV"])
    assert [axis.get_xlabel() for axis in figure.axes[:2]] == ["true", "true [eV]"]


def test_loss_curves():
    figure = plots.loss_curves({"training": [3.0, 2.0], "validation": [3.0, 2.5]})
    lines = figure.axes[0].get_lines()
    assert [line.get_label() for line in lines] == ["training", "validation"]
    np.testing.assert_array_equal(lines[0].get_xdata(), [1, 2])


def test_confusion_matrix_has_a_square_for_each_pair():
    counts = np.array([[8, 2], [0, 0]])
    (axis,) = plots.confusion_matrix(counts).axes
    assert [text.get_text() for text in axis.texts] == ["8", "2", "0", "0"]
    np.testing.assert_allclose(axis.images[0].get_array(), [[0.8, 0.2], [0.0, 0.0]])
    assert axis.get_title() == "accuracy 80.0%"
    with pytest.raises(ValueError, match=r"`counts` must be a square matrix, got shape \(2, 3\)"):
        plots.confusion_matrix(np.zeros([2, 3]))


def test_precision_recall_goes_through_the_threshold_in_use():
    labels = np.array([[True, False], [True, False], [False, True]])
    scores = np.array([[0.9, 0.8], [0.7, 0.1], [0.2, 0.7]])  # 1 of 1, 1 of 2, 3 of 4, ...
    figure = plots.precision_recall(labels, scores, threshold=0.75)
    (axis,) = figure.axes
    curve, dot = axis.get_lines()
    recall, precision = [1 / 3, 1 / 3, 1, 1, 1], [1, 1 / 2, 3 / 4, 3 / 5, 1 / 2]
    np.testing.assert_allclose(curve.get_xydata(), np.stack([recall, precision], axis=1))
    np.testing.assert_allclose(dot.get_xydata(), [[1 / 3, 1 / 2]])
    assert dot.get_label() == "F1 0.400 at 0.75"
    assert axis.get_title() == "average precision 0.833"
    assert np.std(plots.to_image(figure)) > 5
    none_taken = plots.precision_recall(labels, scores, threshold=1.0).axes[0].get_lines()[1]
    assert none_taken.get_label() == "F1 0.000 at 1"
    with pytest.raises(ValueError, match=r"with a true label, got shapes \(3, 2\).* 0 true"):
        plots.precision_recall(labels & False, scores, threshold=0.5)
    with pytest.raises(ValueError, match=r"of one shape.* \(3, 2\) and \(2, 2\), 3 true"):
        plots.precision_recall(labels, scores[:2], threshold=0.5)


def test_features_are_counted_side_by_side():
    rng = np.random.default_rng(0)
    sets = {"data": rng.normal(size=[50, 5]), "samples": rng.normal(size=[70, 5])}
    figure = plots.feature_histograms(sets)
    assert [axis.get_title() for axis in figure.axes] == [f"feature {i}" for i in range(5)]
    assert all(len(axis.patches) == 2 for axis in figure.axes)
    names = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert names == list(sets)


def test_histograms_of_values_beyond_the_axis_are_flat():
    """The axis is that of the first entry."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sets = {"data": np.linspace(0, 1, 9)[:, np.newaxis], "far": np.full([5, 1], 7.0)}
        figure = plots.feature_histograms(sets | {"none": np.zeros([0, 1])})
    data, far, none = (patch.get_xy()[:, 1] for patch in figure.axes[0].patches)
    assert data.max() > 0 and far.max() == none.max() == 0


def test_point_sets_draw_each_set_in_its_color_over_the_density():
    rng = np.random.default_rng(0)
    data = rng.normal(size=[400, 2]) * [2.0, 1.0]
    sets = [data[:4], data[4:13]]
    figure = plots.point_sets({"data": (data, sets), "samples": (data + 0.1, sets[:1])})
    left, right = figure.axes
    assert left.get_title() == "data" and right.get_title() == "samples"
    assert left.get_xlim() == right.get_xlim() and left.get_ylim() == right.get_ylim()
    np.testing.assert_array_equal(left.lines[1].get_xydata(), sets[1])
    assert left.lines[0].get_color() != left.lines[1].get_color()
    counts = left.collections[0].get_array()
    np.testing.assert_allclose(np.expm1(counts).sum(), 400)
    assert plots.to_image(figure).shape[0] == 1
    own = plots.point_sets({"a": (data, []), "b": (0.1 * data, [])}, share_axes=False)
    np.testing.assert_allclose(own.axes[0].get_xlim(), 10 * np.array(own.axes[1].get_xlim()))


def test_point_sets_must_be_in_the_plane():
    with pytest.raises(ValueError, match="samples: points must have shape .n, 2., got .3, 3."):
        plots.point_sets({"data": (np.zeros([3, 2]), []), "samples": (np.zeros([3, 3]), [])})


def offsets(axis):
    return np.asarray(axis.collections[1].get_offsets())


def test_graph_gallery_draws_every_graph_in_the_block_of_its_title():
    data = [nx.star_graph(5), nx.path_graph(3), nx.cycle_graph(4)]
    samples = [nx.empty_graph(0), nx.empty_graph(1), nx.empty_graph(["a", "b"])]
    figure = plots.graph_gallery({"data": data, "samples": samples}, columns=2)
    left, right = figure.subfigs
    assert left.get_suptitle() == "data" and right.get_suptitle() == "samples"
    drawn = [len(offsets(axis)) if axis.collections else 0 for axis in figure.axes]
    assert drawn == [6, 3, 4, 0, 0, 1, 2, 0]
    assert [len(axis.collections[0].get_segments()) for axis in left.axes[:3]] == [5, 2, 4]
    for axis in left.axes[:3]:
        places = offsets(axis)
        assert np.abs(places).max() <= 1.0 + 1e-9
        assert np.linalg.norm(places[:, np.newaxis] - places, axis=-1)[0, 1:].min() > 0.1
        segments = np.reshape(axis.collections[0].get_segments(), [-1, 1, 2])
        assert (np.abs(segments - places).sum(axis=-1).min(axis=1) < 1e-9).all()
    np.testing.assert_array_equal(left.axes[0].collections[1].get_array(), [5, 1, 1, 1, 1, 1])
    assert plots.to_image(figure).shape[0] == 1


def test_graph_gallery_is_the_same_each_time():
    graph = nx.gnp_random_graph(15, 0.3, seed=0)
    one, two = (plots.graph_gallery({"a": [graph]}, columns=1) for _ in range(2))
    np.testing.assert_array_equal(offsets(one.axes[0]), offsets(two.axes[0]))


@pytest.mark.parametrize("side", [8, 19, 21, 30])
def test_graph_gallery_unfolds_a_grid(side):
    """Each edge is about as long as the others, and distant corners lie apart."""
    graph = nx.convert_node_labels_to_integers(nx.grid_2d_graph(side, side))
    places = offsets(plots.graph_gallery({"grid": [graph]}, columns=1).axes[0])
    lengths = [np.linalg.norm(places[a] - places[b]) for a, b in graph.edges]
    assert np.quantile(lengths, 0.95) < 1.3 * np.median(lengths)
    assert max(lengths) < 2 * np.median(lengths)
    corners = places[[0, side - 1, side * (side - 1), side**2 - 1]]
    between = np.linalg.norm(corners[:, np.newaxis] - corners, axis=-1)
    assert between[np.triu_indices(4, 1)].min() > 0.8 * (side - 1) * np.median(lengths)


LARGE = {
    "tree": nx.barabasi_albert_graph(2000, 1, seed=0),
    "star": nx.star_graph(2000),
    "parts": nx.gnp_random_graph(2000, 4e-4, seed=0),
    "empty": nx.empty_graph(2000),
}


@pytest.mark.parametrize("name", LARGE)
def test_a_large_graph_costs_no_matrix_of_its_nodes(name):
    """Such a matrix has 32 MB; the layout by all distances holds several, and cubes them."""
    graph = LARGE[name]
    tracemalloc.start()
    try:
        one, two = (plots.graph_gallery({"a": [graph]}, columns=1).axes[0] for _ in range(2))
        assert tracemalloc.get_traced_memory()[1] < 30e6
    finally:
        tracemalloc.stop()
    places = offsets(one)
    np.testing.assert_array_equal(places, offsets(two))
    assert np.isfinite(places).all() and np.abs(places).max() <= 1.0 + 1e-9
    # They fill the drawing: few lie in the same hundredth of it, and edges join what is near.
    _, crowd = np.unique(((places + 1) * 4.99).astype(int), axis=0, return_counts=True)
    assert len(crowd) > 50 and crowd.max() < len(graph) / 5
    if name != "star" and graph.edges:
        random = np.random.default_rng(0).permutation(len(graph))
        lengths, others = (
            [np.linalg.norm(places[a] - places[to[b]]) for a, b in graph.edges]
            for to in (np.arange(len(graph)), random)
        )
        assert np.mean(lengths) < np.mean(others) / 2


def test_graph_statistics():
    sets = {"stars": [nx.star_graph(4)] * 3, "cliques": [nx.complete_graph(4), nx.empty_graph(0)]}
    figure = plots.graph_statistics(sets)
    assert [axis.get_xlabel() for axis in figure.axes] == [
        "degree",
        "clustering coefficient",
        "nodes",
    ]
    for axis in figure.axes[:2]:
        shares = [sum(bar.get_height() for bar in bars) for bars in axis.containers]
        np.testing.assert_allclose(shares, 1.0)
    stars, cliques = figure.axes[0].containers
    np.testing.assert_allclose([bar.get_height() for bar in stars], [0.8, 0.0, 0.0, 0.2])
    np.testing.assert_allclose([bar.get_height() for bar in cliques], [0.0, 0.0, 1.0, 0.0])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["stars", "cliques"]


def test_figures_without_graphs():
    with pytest.raises(ValueError, match="`panels` must hold at least one graph, got none"):
        plots.graph_gallery({"data": []})
    with pytest.raises(ValueError, match="`columns` must be at least 1, got 0"):
        plots.graph_gallery({"data": [nx.path_graph(2)]}, columns=0)
    with pytest.raises(ValueError, match="samples: must hold at least one graph with nodes"):
        plots.graph_statistics({"data": [nx.path_graph(2)], "samples": [nx.empty_graph(0)]})


def test_graphs_of_many_nodes_alike_are_drawn():
    """In the first and the last, LAPACK finds none if asked for two eigenvectors alone."""
    alike = [nx.gnp_random_graph(9, 0.9, seed=45), nx.empty_graph(17), nx.complete_graph(17)]
    alike.append(nx.empty_graph(11))
    alike[-1].add_edge(3, 5)
    figure = plots.graph_gallery({"alike": alike})
    for axis, graph in zip(figure.axes, alike, strict=False):
        places = offsets(axis)
        assert len(np.unique(places.round(3), axis=0)) == len(graph)


@pytest.mark.parametrize("points", [np.ones([5, 2]), np.full([3, 2], np.nan), np.zeros([0, 2])])
def test_point_sets_at_one_place_or_nowhere(points):
    plots.to_image(plots.point_sets({"data": (points, [points])}))


def test_many_classes_have_no_numbers():
    """A text takes a hundredth of a second, and a square of 200 classes has 40,000."""
    figure = plots.confusion_matrix(np.ones([200, 200]))
    assert not figure.axes[0].texts and max(figure.get_size_inches()) < 20


def test_graphs_from_iterators_and_with_parallel_edges():
    members = [nx.path_graph(3), nx.MultiGraph([(0, 1), (0, 1)])]
    assert plots.graph_statistics({"given": iter([nx.path_graph(3)])}).axes
    assert plots.graph_gallery({"given": members}).axes
