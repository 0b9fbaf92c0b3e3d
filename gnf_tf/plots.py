"""Matplotlib figures from arrays, for TensorBoard, result folders and notebooks."""

import io
from collections.abc import Mapping, Sequence

import networkx as nx
import numpy as np
import scipy.sparse.csgraph
import tensorflow as tf
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

_LARGE = 400  # nodes of a graph whose layout takes a fifth of a second

__all__ = [
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


def confusion_matrix(counts: np.ndarray) -> Figure:
    """How often each class was taken for which: a square for each pair, with its count.

    Args:
      counts: [true class, predicted class], at least 0.

    Raises:
      ValueError: if it isn't square.
    """
    if np.ndim(counts) != 2 or len(counts) != np.shape(counts)[1]:
        raise ValueError(f"`counts` must be a square matrix, got shape {np.shape(counts)}")
    # Shades by the share of the true class: a small class is as legible as a large one.
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = 1.4 + 0.5 * len(counts)
    figure = Figure(figsize=(size, size), layout="constrained")
    axis = figure.subplots()
    axis.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0)
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if share[row, column] > 0.6 else "black"
        axis.text(column, row, f"{count:g}", ha="center", va="center", fontsize=8, color=colour)
    classes = np.arange(len(counts))
    axis.set(xlabel="predicted class", ylabel="true class", xticks=classes, yticks=classes)
    axis.set_title(f"accuracy {np.trace(counts) / max(counts.sum(), 1):.1%}", fontsize=10)
    return figure


def precision_recall(labels: np.ndarray, scores: np.ndarray, threshold: float) -> Figure:
    """Precision over recall as the threshold falls, and a dot, with its F1, at the one in use.

    All labels are counted together (micro averages). The title has the area under the steps, the
    average precision.

    Args:
      labels: bool, at least one of them true.
      scores: of the same shape; above the threshold a label is predicted.
      threshold: the one in use.

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
    # Equal scores pass the threshold together: the last of them is a point of the curve.
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    precision, recall = right[ends] / (ends + 1), right[ends] / right[-1]
    average = np.sum(np.diff(recall, prepend=0.0) * precision)
    taken = int(np.count_nonzero(scores > threshold))
    found = right[taken - 1] if taken else 0
    # A curve of as many points as a figure can show.
    shown = np.unique(np.linspace(0, len(ends) - 1, 2_000).astype(int))
    figure = Figure(figsize=(4.4, 3.8), layout="constrained")
    axis = figure.subplots()
    axis.plot(recall[shown], precision[shown])
    axis.plot(
        found / right[-1],
        found / max(taken, 1),
        "o",
        label=f"F1 {2 * found / (taken + right[-1]):.3f} at {threshold:g}",
    )
    axis.set(xlabel="recall", ylabel="precision", xlim=(0.0, 1.02), ylim=(0.0, 1.02))
    axis.set_title(f"average precision {average:.3f}", fontsize=10)
    axis.grid(alpha=0.3)
    axis.legend(loc="lower left")
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
        density, *_ = np.histogram2d(points[:, 0], points[:, 1], bins=edges)
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


def feature_histograms(sets: Mapping[str, np.ndarray], *, columns: int = 4) -> Figure:
    """A panel for each feature, with a histogram for each entry: name -> features [n, width]."""
    first = next(iter(sets.values()))
    width = first.shape[1]
    rows, columns = -(-width // columns), min(width, columns)
    figure = Figure(figsize=(3.2 * columns, 2.4 * rows), layout="constrained")
    for feature, (low, high) in enumerate(np.percentile(first, [0.1, 99.9], axis=0).T):
        axis = figure.add_subplot(rows, columns, feature + 1)
        bins = np.linspace(low, high, 41).tolist()
        for name, values in sets.items():
            axis.hist(values[:, feature], bins, density=True, histtype="step", label=name)
        axis.set(title=f"feature {feature}", yticks=[])
    figure.axes[0].legend(fontsize=7)
    return figure


def graph_gallery(
    panels: Mapping[str, Sequence[nx.Graph]], *, columns: int = 4, size: float = 1.5
) -> Figure:
    """A titled block for each entry, side by side: its graphs drawn in rows, data beside samples.

    Nodes have the colour of their degree, on one scale for the whole figure. The same graphs give
    the same figure. A graph without nodes leaves its place empty.

    Args:
      panels: title -> graphs.
      columns: graphs a row of a block.
      size: of each drawing, in inches.

    Raises:
      ValueError: if there is no graph at all, or `columns` is below 1.
    """
    drawn = [graph for members in panels.values() for graph in members]
    if not drawn:
        raise ValueError("`panels` must hold at least one graph, got none")
    if columns < 1:
        raise ValueError(f"`columns` must be at least 1, got {columns}")
    rows = max(-(-len(members) // columns) for members in panels.values())
    figure = Figure(
        figsize=(size * columns * len(panels) + 0.3 * (len(panels) - 1), size * rows + 0.4)
    )
    blocks = figure.subfigures(1, len(panels), squeeze=False, wspace=0.06)[0]
    degrees = [degree for graph in drawn for _, degree in graph.degree]
    top = max([1, *degrees])
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
    pairs = np.array([(row[a], row[b]) for a, b in graph.edges], int).reshape(-1, 2)
    places = _layout(len(graph), pairs)
    # Crowded drawings stay legible: smaller dots, thinner lines.
    crowding = max(1.0, len(graph) / 20)
    width = 0.9 * min(1.0, 60 / max(1, len(pairs))) ** 0.4
    axis.add_collection(LineCollection(places[pairs], colors="0.55", linewidths=width, zorder=1))
    axis.scatter(
        *places.T,
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


def _layout(num_nodes, pairs):
    """[num_nodes, 2] in the square from -1 to 1: distances as nearly as can be those of the graph.

    Of a large graph, some nodes are laid out by their distances from each other, and each of the
    rest by its distances from these, so that time grows with the nodes, not with their cube.
    """
    links = scipy.sparse.coo_array((np.ones(len(pairs)), pairs.T), shape=(num_nodes, num_nodes))
    rng = np.random.default_rng(0)
    chosen = None
    if num_nodes > _LARGE:
        number = min(_LARGE // 2, max(20, 1000 * _LARGE // num_nodes))
        chosen = rng.choice(num_nodes, number, replace=False)
    distance = scipy.sparse.csgraph.shortest_path(
        links.tocsr(), directed=False, unweighted=True, indices=chosen
    )
    finite = np.isfinite(distance)
    # Parts of a graph lie side by side, well apart.
    distance[~finite] = 1 + max(distance[finite].max(), np.sqrt(num_nodes))
    if chosen is None:
        places = _majorized(distance, rng)
    else:
        _, part = scipy.sparse.csgraph.connected_components(links, directed=False)
        part[finite.any(axis=0)] = -1
        places = _placed(_majorized(distance[:, chosen], rng), chosen, distance, part, rng)

    # The long axis goes along the diagonal, where there is most room.
    places -= places.mean(axis=0)
    _, axes = np.linalg.eigh(places.T @ places)
    places = places @ axes @ np.array([[-1.0, 1.0], [1.0, 1.0]])
    places -= (places.min(axis=0) + places.max(axis=0)) / 2
    return places / max(np.abs(places).max(), 1e-9)


def _majorized(distance, rng, steps=60):
    """[n, 2] of such distances [n, n].

    Stress majorization (Gansner, Koren, North, "Graph drawing by stress majorization", 2005). Much
    faster than networkx's layout of the same aim, and unfolds grids, which its springs don't.
    """
    num_nodes = len(distance)
    weight = np.zeros_like(distance)
    apart = ~np.eye(num_nodes, dtype=bool)
    weight[apart] = distance[apart] ** -2.0
    wanted = weight * distance
    # Its pseudo-inverse, but for a shift of all places.
    solve = np.linalg.inv(np.diag(weight.sum(axis=1)) - weight + 1 / num_nodes)

    # It starts from the principal coordinates, shaken, for like nodes have the same ones.
    squares = distance**2
    centred = squares - squares.mean(axis=0) - squares.mean(axis=1, keepdims=True) + squares.mean()
    # All of them: asked for the last two alone, LAPACK can find none where all are equal.
    values, vectors = np.linalg.eigh(-centred / 2)
    places = np.zeros([num_nodes, 2])
    places[:, : min(2, num_nodes)] = (vectors * np.sqrt(np.maximum(values, 0)))[:, -2:]
    places += rng.normal(0.0, 0.1, places.shape)
    for _ in range(steps):
        x, y = places.T
        drawn = np.hypot(x[:, np.newaxis] - x, y[:, np.newaxis] - y)
        pull = wanted / np.maximum(drawn, 1e-9)
        places = solve @ (pull.sum(axis=1, keepdims=True) * places - pull @ places)
    return places


def _placed(fixed, chosen, distance, part, rng, steps=30):
    """[n, 2] of all nodes by their distances [k, n] from the chosen ones, which are `fixed` [k, 2].

    The same majorization, of each node on its own. `part` [n] is which part of the graph a node is
    in if none there is chosen, else -1.
    """
    weight = np.maximum(distance, 0.5) ** -2.0
    weight /= weight.sum(axis=0)
    middle = weight.T @ fixed
    # It starts beside the nearest one, or any of several, so that like nodes fall apart; a part
    # without a chosen one stays together.
    nearest = (distance + rng.uniform(0.0, 0.5, distance.shape)).argmin(axis=0)
    anyone = rng.integers(len(fixed), size=len(part))
    nearest = np.where(part < 0, nearest, anyone[part])
    places = fixed[nearest] + rng.normal(0.0, 0.5, middle.shape)
    for _ in range(steps):
        x, y = (
            places[:, axis] - fixed[:, axis, np.newaxis] for axis in range(2)
        )  # [k, n], from each of them
        pull = weight * distance / np.maximum(np.hypot(x, y), 1e-9)
        places = middle + np.stack([(pull * x).sum(axis=0), (pull * y).sum(axis=0)], axis=1)
    places[chosen] = fixed
    return places


def graph_statistics(sets: Mapping[str, Sequence[nx.Graph]]) -> Figure:
    """Histograms of degree, clustering coefficient and size of each set of graphs, overlaid.

    Raises:
      ValueError: if a set has no node.
    """
    values = {}
    for name, members in sets.items():
        if not any(len(graph) for graph in members):
            raise ValueError(f"{name}: must hold at least one graph with nodes")
        values[name] = (
            [degree for graph in members for _, degree in graph.degree],
            [c for graph in members for c in nx.clustering(graph).values()],
            [len(graph) for graph in members],
        )
    figure = Figure(figsize=(10.5, 3.0), layout="constrained")
    axes = figure.subplots(1, 3)
    for i, (axis, label) in enumerate(
        zip(axes, ("degree", "clustering coefficient", "nodes"), strict=True)
    ):
        every = np.concatenate([columns[i] for columns in values.values()])
        if label == "clustering coefficient":
            bins = np.linspace(0, 1, 21)
        else:
            # Whole numbers in the middle of their bins, several to a bin where there are many.
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
    """The figure as [1, height, width, 4] uint8, for `tf.summary.image`."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return tf.image.decode_png(buffer.getvalue(), channels=4)[tf.newaxis]
