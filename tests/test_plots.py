"""Figures from arrays."""

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


def test_loss_curves():
    figure = plots.loss_curves({"training": [3.0, 2.0], "validation": [3.0, 2.5]})
    lines = figure.axes[0].get_lines()
    assert [line.get_label() for line in lines] == ["training", "validation"]
    np.testing.assert_array_equal(lines[0].get_xdata(), [1, 2])


def test_point_sets_draw_each_set_in_its_colour_over_the_density():
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
