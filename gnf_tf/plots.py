"""Matplotlib figures from arrays, for TensorBoard, result folders and notebooks."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

__all__ = ["loss_curves", "point_sets", "predicted_against_true", "to_image"]


def predicted_against_true(
    true: np.ndarray, predicted: np.ndarray, names: Sequence[str], units: Sequence[str]
) -> Figure:
    """A panel for each target: predicted over true values, the diagonal, the mean absolute error.

    Args:
      true: [n, num_targets].
      predicted: [n, num_targets].
      names: of the targets.
      units: of the targets.

    Raises:
      ValueError: if the shapes don't agree.
    """
    if true.shape != predicted.shape or true.ndim != 2 or true.shape[1] != len(names):
        raise ValueError(
            f"`true` and `predicted` must have shape [n, {len(names)}], got {true.shape} and "
            f"{predicted.shape}"
        )
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(3.1 * columns, 2.9 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[len(names) :]:
        axis.set_axis_off()
    for i, (axis, name, unit) in enumerate(zip(axes, names, units, strict=False)):
        ends = [true[:, i].min(), true[:, i].max()]
        error = np.abs(true[:, i] - predicted[:, i]).mean()
        axis.plot(ends, ends, color="0.6", linewidth=1)
        axis.plot(true[:, i], predicted[:, i], ".", markersize=2, alpha=0.4)
        axis.set_title(f"{name}  (MAE {error:.3g} {unit})", fontsize=9)
        axis.set_xlabel(f"true [{unit}]", fontsize=8)
        axis.set_ylabel(f"predicted [{unit}]", fontsize=8)
        axis.tick_params(labelsize=7)
    return figure


def loss_curves(
    history: Mapping[str, Sequence[float]], ylabel: str = "loss", yscale: str = "log"
) -> Figure:
    """One curve for each entry of `history`, over epochs counted from 1."""
    figure = Figure(figsize=(5.0, 3.4), layout="constrained")
    axis = figure.subplots()
    for name, values in history.items():
        axis.plot(np.arange(1, len(values) + 1), values, "o-", markersize=3, label=name)
    axis.set(xlabel="epoch", ylabel=ylabel, yscale=yscale)
    axis.grid(alpha=0.3)
    axis.legend()
    return figure


def point_sets(
    panels: Mapping[str, tuple[np.ndarray, Sequence[np.ndarray]]], *, share_axes: bool = True
) -> Figure:
    """A panel for each entry: the density of all points in gray, some sets in a colour each.

    As figure 2 of the paper.

    Args:
      panels: title -> (points [n, 2] for the density, sets [n_i, 2] to draw).
      share_axes: all panels show what fits the first one's points; else each its own.

    Raises:
      ValueError: for points that are not in the plane.
    """
    for title, (points, sets) in panels.items():
        if any(np.ndim(p) != 2 or np.shape(p)[1] != 2 for p in (points, *sets)):
            raise ValueError(f"{title}: points must have shape [n, 2], got {np.shape(points)}")
    clouds = [points for points, _ in panels.values()]
    limits = [_limits(clouds[0] if share_axes else points) for points in clouds]
    aspect = max((high[1] - low[1]) / (high[0] - low[0]) for low, high in limits)
    figure = Figure(figsize=(4.2 * len(panels), 0.5 + 4.0 * aspect), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (low, high), (title, (points, sets)) in zip(
        axes, limits, panels.items(), strict=True
    ):
        edges = [np.linspace(*ends, 121) for ends in zip(low, high, strict=True)]
        density, *_ = np.histogram2d(*points.T, bins=edges)
        shade = np.log1p(density.T)
        axis.pcolormesh(*edges, shade, cmap="Greys", vmax=1.5 * max(shade.max(), 1.0))
        for i, one in enumerate(sets):
            axis.plot(*one.T, "o", color=f"C{i % 10}", markersize=5, markeredgecolor="white")
        axis.set(title=title, aspect="equal", xlim=edges[0][[0, -1]], ylim=edges[1][[0, -1]])
        axis.tick_params(labelsize=7)
    return figure


def _limits(points):
    """(lowest, highest) corner of a box around the points, with a margin."""
    margin = 0.08 * np.ptp(points, axis=0).max()
    return points.min(axis=0) - margin, points.max(axis=0) + margin


def to_image(figure: Figure) -> tf.Tensor:
    """The figure as [1, height, width, 4] uint8, for `tf.summary.image`."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return tf.image.decode_png(buffer.getvalue(), channels=4)[tf.newaxis]
