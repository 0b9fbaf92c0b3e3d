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
