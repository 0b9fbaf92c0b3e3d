"""Matplotlib figures of arrays and graphs, for TensorBoard, run folders and notebooks."""

import io
from collections.abc import Mapping, Sequence

import networkx as nx
import numpy as np
import tensorflow as tf
from matplotlib import colormaps
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from gnf_tf import layouts
from gnf_tf.headings import with_unit

__all__ = [
    "calibration",
    "confusion_matrix",
    "feature_histograms",
    "graph_gallery",
    "graph_statistics",
    "loss_curves",
    "point_sets",
    "precision_recall",
    "predicted_against_true",
    "to_image",
]

MOST_NUMBERED = 30  # classes of a confusion matrix in which numbers are legible


def predicted_against_true(
    true: np.ndarray, predicted: np.ndarray, names: Sequence[str], units: Sequence[str]
) -> Figure:
    """Draws a panel for each target: predictions against true values, and the mean absolute error.

    Args:
      true: [n, num_targets].
      predicted: [n, num_targets].
      names: num_targets names.
      units: num_targets units.

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
        name, unit = _plain(name), _plain(unit)
        axis.set_title(f"{name}  (MAE {error:.3g} {unit})", fontsize=9)
        axis.set_xlabel(with_unit("true", unit), fontsize=8)
        axis.set_ylabel(with_unit("predicted", unit), fontsize=8)
        axis.tick_params(labelsize=7)
    return figure


def _plain(text):
    """The text as it stands.

    matplotlib would read what is between two dollars as a formula, and leave what begins with an
    underscore out of a legend.
    """
    text = text.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def calibration(coverages: Sequence[float], shares: np.ndarray, names: Sequence[str]) -> Figure:
    """Draws the shares of true values within prediction intervals against the stated shares.

    Args:
      coverages: [num_coverages], the stated shares, see `MoleculeRegressor.predict_interval`.
      shares: [num_coverages, num_targets], the measured shares.
      names: num_targets names.

    Raises:
      ValueError: if the shapes don't agree.
    """
    if np.shape(shares) != (len(coverages), len(names)):
        raise ValueError(
            f"`shares` must have shape {(len(coverages), len(names))}, got {np.shape(shares)}"
        )
    figure = Figure(figsize=(5.2, 4.0), layout="constrained")
    axis = figure.subplots()
    axis.set_prop_cycle(color=list(colormaps["tab20"](np.arange(20))))
    axis.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    axis.plot(coverages, shares, "o-", markersize=3, linewidth=1, label=[*map(_plain, names)])
    axis.set(xlabel="stated share", ylabel="share within the intervals", aspect="equal")
    axis.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize=8)
    return figure


def loss_curves(
    history: Mapping[str, Sequence[float]], ylabel: str = "loss", yscale: str = "log"
) -> Figure:
    """Draws one curve for each entry of `history`, against the epochs, which begin with 1."""
    figure = Figure(figsize=(5.0, 3.4), layout="constrained")
    axis = figure.subplots()
    for name, values in history.items():
        axis.plot(np.arange(1, len(values) + 1), values, "o-", markersize=3, label=name)
    axis.set(xlabel="epoch", ylabel=ylabel, yscale=yscale)
    axis.grid(alpha=0.3)
    axis.legend()
    return figure


def confusion_matrix(counts: np.ndarray) -> Figure:
    """Draws a confusion matrix, with the accuracy as the title.

    Each square has its count if there are at most 30 classes.

    Args:
      counts: [num_classes, num_classes], how often each true class (row) was predicted as each
        class (column).

    Raises:
      ValueError: if the matrix is not square.
    """
    if np.ndim(counts) != 2 or len(counts) != np.shape(counts)[1]:
        raise ValueError(f"`counts` must be a square matrix, got shape {np.shape(counts)}")
    # Colors show the share within the true class, so that small classes are legible too.
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    is_legible = len(counts) <= MOST_NUMBERED
    size = 1.4 + 0.5 * min(len(counts), MOST_NUMBERED)
    figure = Figure(figsize=(size, size), layout="constrained")
    axis = figure.subplots()
    axis.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0)
    for (row, column), count in np.ndenumerate(counts) if is_legible else ():
        color = "white" if share[row, column] > 0.6 else "black"
        axis.text(column, row, f"{count:g}", ha="center", va="center", fontsize=8, color=color)
    axis.set(xlabel="predicted class", ylabel="true class")
    if is_legible:
        axis.set(xticks=np.arange(len(counts)), yticks=np.arange(len(counts)))
    axis.set_title(f"accuracy {np.trace(counts) / max(counts.sum(), 1):.1%}", fontsize=10)
    return figure


def precision_recall(labels: np.ndarray, scores: np.ndarray, threshold: float) -> Figure:
    """Draws precision against recall, with a dot and the F1 score at the given threshold.

    All labels are counted together (micro average). The title gives the average precision, which is
    the area under the curve of steps.

    Args:
      labels: bool, of any shape, with at least one true label.
      scores: of the shape of `labels`; a label is predicted if its score exceeds the threshold.
      threshold: the threshold of the dot.

    Raises:
      ValueError: if the shapes don't agree, or no label is true.
    """
    if labels.shape != scores.shape or not labels.any():
        raise ValueError(
            "`labels` and `scores` must be of one shape, with a true label, got shapes "
            f"{labels.shape} and {scores.shape}, {np.count_nonzero(labels)} true"
        )
    order = np.argsort(-scores, axis=None, kind="stable")
    ranked = scores.ravel()[order]
    right = np.cumsum(labels.ravel()[order])
    # Equal scores pass a threshold together, so only the last of them gives a point of the curve.
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    precision, recall = right[ends] / (ends + 1), right[ends] / right[-1]
    average = np.sum(np.diff(recall, prepend=0.0) * precision)
    taken = int(np.count_nonzero(scores > threshold))
    found = right[taken - 1] if taken else 0
    # The figure can't show more points than these.
    shown = np.unique(np.linspace(0, len(ends) - 1, 2_000).astype(int))
    figure = Figure(figsize=(4.4, 3.8), layout="constrained")
    axis = figure.subplots()
    axis.plot(recall[shown], precision[shown])
    label = f"F1 {2 * found / (taken + right[-1]):.3f} at {threshold:g}"
    axis.plot(found / right[-1], found / max(taken, 1), "o", label=label)
    axis.set(xlabel="recall", ylabel="precision", xlim=(0.0, 1.02), ylim=(0.0, 1.02))
    axis.set_title(f"average precision {average:.3f}", fontsize=10)
    axis.grid(alpha=0.3)
    axis.legend(loc="lower left")
    return figure


def point_sets(
    panels: Mapping[str, tuple[np.ndarray, Sequence[np.ndarray]]], *, share_axes: bool = True
) -> Figure:
    """Draws sets of points over the density of all points, as in the paper's figure 2.

    Args:
      panels: for each title, the points [n, 2] whose density is shown in gray, and the sets
        [n_i, 2] that are drawn, each in its own color.
      share_axes: whether all panels have the axes that fit the points of the first one; otherwise
        the axes of each panel fit its points.

    Raises:
      ValueError: if points do not have shape [n, 2].
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
        density, *_ = np.histogram2d(points[:, 0], points[:, 1], bins=edges)
        shade = np.log1p(density.T)
        axis.pcolormesh(*edges, shade, cmap="Greys", vmax=1.5 * max(shade.max(), 1.0))
        for i, one in enumerate(sets):
            axis.plot(*one.T, "o", color=f"C{i % 10}", markersize=5, markeredgecolor="white")
        axis.set(title=title, aspect="equal", xlim=edges[0][[0, -1]], ylim=edges[1][[0, -1]])
        axis.tick_params(labelsize=7)
    return figure


def _limits(points):
    """The lowest and the highest corner of a box around the points, with a margin."""
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        return np.zeros(2), np.ones(2)
    margin = 0.08 * np.ptp(points, axis=0).max() or 0.5  # the points may be at one place
    return points.min(axis=0) - margin, points.max(axis=0) + margin


def feature_histograms(
    sets: Mapping[str, np.ndarray], *, titles: Sequence[str] | None = None, columns: int = 4
) -> Figure:
    """Draws a panel for each feature, with one histogram for each entry of `sets`.

    Args:
      sets: for each name, features [n, width]; the first entry sets the ranges of the axes.
      titles: one for each feature; default: their numbers.
      columns: number of panels in a row.
    """
    first = next(iter(sets.values()))
    width = first.shape[1]
    rows, columns = -(-width // columns), min(width, columns)
    figure = Figure(figsize=(3.2 * columns, 2.4 * rows), layout="constrained")
    for feature, (low, high) in enumerate(np.percentile(first, [0.1, 99.9], axis=0).T):
        axis = figure.add_subplot(rows, columns, feature + 1)
        bins = np.linspace(low, high, 41).tolist()
        for name, values in sets.items():
            # Shares, not a density, which is not a number where all values are beyond the axis.
            shares = np.full(len(values), 1 / max(len(values), 1))
            axis.hist(values[:, feature], bins, weights=shares, histtype="step", label=name)
        axis.set(title=titles[feature] if titles else f"feature {feature}", yticks=[])
    figure.axes[0].legend(fontsize=7)
    return figure


def graph_gallery(
    panels: Mapping[str, Sequence[nx.Graph]], *, columns: int = 4, size: float = 1.5
) -> Figure:
    """Draws graphs in panels side by side, such as data beside samples.

    The color of a node shows its degree, on one scale for the whole figure. The same graphs give
    the same figure. The drawing of a graph without nodes is empty. `graph_statistics` compares
    whole sets of graphs.

    Args:
      panels: for each title, the graphs to draw.
      columns: number of graphs in a row of a panel.
      size: width and height of each drawing, in inches.

    Raises:
      ValueError: if there is no graph, or `columns` is below 1.
    """
    drawn = [graph for members in panels.values() for graph in members]
    if not drawn:
        raise ValueError("`panels` must hold at least one graph, got none")
    if columns < 1:
        raise ValueError(f"`columns` must be at least 1, got {columns}")
    rows = max(-(-len(members) // columns) for members in panels.values())
    width = size * columns * len(panels) + 0.3 * (len(panels) - 1)
    figure = Figure(figsize=(width, size * rows + 0.4))
    blocks = figure.subfigures(1, len(panels), squeeze=False, wspace=0.06)[0]
    top = max([1, *(degree for graph in drawn for _, degree in graph.degree)])
    for block, (title, members) in zip(blocks, panels.items(), strict=True):
        block.suptitle(title, fontsize=11, y=1 - 0.08 / (size * rows + 0.4), va="top")
        axes = block.subplots(rows, columns, squeeze=False).ravel()
        block.subplots_adjust(0, 0, 1, 1 - 0.35 / (size * rows + 0.4), wspace=0, hspace=0)
        for i, axis in enumerate(axes):
            axis.set_axis_off()
            if i < len(members) and len(members[i]):
                _draw_graph(axis, members[i], top)
    return figure


def _draw_graph(axis, graph, top):
    row = {node: i for i, node in enumerate(graph)}
    pairs = np.array([(row[a], row[b]) for a, b in graph.edges()], int).reshape(-1, 2)
    positions = layouts.layout(len(graph), pairs)
    # Smaller dots and thinner lines keep crowded drawings legible.
    crowding = max(1.0, len(graph) / 20)
    width = 0.9 * min(1.0, 60 / max(1, len(pairs))) ** 0.4
    axis.add_collection(LineCollection(positions[pairs], colors="0.55", linewidths=width, zorder=1))
    axis.scatter(
        *positions.T,
        s=36 * crowding**-0.75,
        c=[degree for _, degree in graph.degree],
        cmap="viridis",
        vmin=-0.15 * top,
        vmax=1.05 * top,
        edgecolors="white",
        linewidths=0.5 / crowding,
        zorder=2,
    )
    axis.set(xlim=(-1.2, 1.2), ylim=(-1.2, 1.2), aspect="equal")


def graph_statistics(sets: Mapping[str, Sequence[nx.Graph]]) -> Figure:
    """Draws overlaid histograms of degrees, clustering coefficients and sizes of sets of graphs.

    `gnf_tf.metrics.mmd` measures how much such distributions differ.

    Raises:
      ValueError: if a set has no node.
    """
    values = {}
    for name, members in sets.items():
        members = list(members)
        if not any(len(graph) for graph in members):
            raise ValueError(f"{name}: must hold at least one graph with nodes")
        values[name] = (
            [degree for graph in members for _, degree in graph.degree],
            [c for graph in members for c in nx.clustering(graph).values()],
            [len(graph) for graph in members],
        )
    figure = Figure(figsize=(10.5, 3.0), layout="constrained")
    axes = figure.subplots(1, 3)
    for i, label in enumerate(("degree", "clustering coefficient", "nodes")):
        axis = axes[i]
        every = np.concatenate([columns[i] for columns in values.values()])
        if label == "clustering coefficient":
            bins = np.linspace(0, 1, 21)
        else:
            # Each bin holds `step` whole numbers, and its edges lie between whole numbers.
            step = max(1, -(-int(np.ptp(every) + 1) // 30))
            bins = np.arange(every.min() - 0.5, every.max() + 0.5 + step, step)
        for name, columns in values.items():
            share = np.full(len(columns[i]), 1 / len(columns[i]))
            axis.hist(columns[i], bins, weights=share, alpha=0.5, label=name)
        axis.set(xlabel=label)
        axis.tick_params(labelsize=8)
    axes[0].set_ylabel("share")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    return figure


def to_image(figure: Figure) -> tf.Tensor:
    """Renders the figure as [1, height, width, 4] uint8, for `tf.summary.image`."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return tf.image.decode_png(buffer.getvalue(), channels=4)[tf.newaxis]
