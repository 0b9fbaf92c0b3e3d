"""Scores of class probabilities and of densities, and the spread of scores over runs."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

__all__ = ["classification_scores", "gaussian_nll", "mean_and_deviation", "mean_per_node"]


def classification_scores(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Returns the scores of predicted class probabilities, such as those of a `NodeClassifier`.

    `training.evaluate_nodes` applies it to a model and a labeled set of nodes.

    Args:
      labels: [num_nodes] whole numbers, the class of each node, of at least one; or
        [num_nodes, num_labels] bool, which of many labels each node has.
      probabilities: [num_nodes, num_classes], or [num_nodes, num_labels] for many labels.

    Returns:
      `accuracy` is the share of nodes whose most probable class is right. For many labels, `f1`
      takes its place: F1, micro-averaged over all pairs of a node and a label, where a label is
      predicted if its probability is above 1/2; it is 0 if no label is true or predicted. `loss`
      is the mean cross entropy in nats.

    Raises:
      ValueError: if the labels are not such labels, or do not fit the probabilities; or if these
        are not from 0 to 1, or those of the classes of a node do not add up to 1.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, np.float64)
    _check_classes(labels, probabilities.shape)
    _check_probabilities(probabilities, sums=labels.ndim == 1)
    if labels.ndim == 2:
        predicted = probabilities > 0.5
        of_truth = np.where(labels, probabilities, 1.0 - probabilities)
        claims = labels.sum() + predicted.sum()
        score = {"f1": float(2 * (labels & predicted).sum() / max(claims, 1))}
    else:
        of_truth = probabilities[np.arange(len(labels)), labels]
        score = {"accuracy": float(np.mean(probabilities.argmax(axis=1) == labels))}
    return score | {"loss": float(-np.log(np.maximum(of_truth, 1e-30)).mean())}


def _check_classes(labels, shape):
    """Raises a ValueError if the labels do not fit probabilities of this shape."""
    one_each = labels.ndim == 1 and labels.dtype.kind in "iu"
    many = labels.ndim == 2 and labels.dtype == bool
    if not (one_each or many) or not len(labels):
        raise ValueError(
            "`labels` must be whole numbers [num_nodes] or bool [num_nodes, num_labels], of at "
            f"least one node, got {labels.dtype} of shape {labels.shape}"
        )
    if len(shape) != 2 or labels.shape != shape[: labels.ndim]:
        raise ValueError(
            "`probabilities` must have a row for each node and a column for each class, got shape "
            f"{shape} for labels of shape {labels.shape}"
        )
    wrong = (labels < 0) | (labels >= shape[1])
    if one_each and wrong.any():
        node = int(wrong.argmax())
        raise ValueError(
            f"`labels` must be classes from 0 to {shape[1] - 1}, got {labels[node]} for node {node}"
        )


def _check_probabilities(probabilities, *, sums):
    """Raises a ValueError that names the row; `sums`: whether each row must add up to 1."""
    tolerance = 1e-2  # float16 has probabilities that add up to 1 within a few 1e-3
    wrong = ~((probabilities >= -tolerance) & (probabilities <= 1 + tolerance)).all(axis=1)
    rule = "be from 0 to 1"
    if sums and not wrong.any():
        wrong = np.abs(probabilities.sum(axis=1) - 1) > tolerance
        rule = "add up to 1 for each node"
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"`probabilities` must {rule}, got {probabilities[row].tolist()!s:.80} in row {row}"
        )


def mean_per_node(values: np.ndarray, n_node: np.ndarray) -> tuple[float, float]:
    """Returns the mean per node of a quantity per graph, such as a negative log-likelihood.

    Args:
      values: [num_graphs], of which each is a sum over the nodes of a graph.
      n_node: [num_graphs] node counts.

    Returns:
      (sum of all values divided by the number of all nodes, its standard error). The error is that
      of a ratio of means over independent graphs, and NaN for a single graph.

    Raises:
      ValueError: if the arguments have other shapes, or there is no node.
    """
    values, n_node = np.asarray(values, np.float64), np.asarray(n_node)
    if values.ndim != 1 or values.shape != n_node.shape:
        raise ValueError(
            "`values` and `n_node` must have the shape [num_graphs], got shapes "
            f"{values.shape} and {n_node.shape}"
        )
    if not n_node.sum() > 0 or (n_node < 0).any():
        raise ValueError(f"`n_node` must be numbers of nodes, not all 0, got {n_node.tolist()}")
    mean = values.sum() / n_node.sum()
    if len(values) < 2:
        return float(mean), float("nan")
    rest = values - mean * n_node
    return float(mean), float(rest.std(ddof=1) / n_node.mean() / np.sqrt(len(values)))


def gaussian_nll(train: np.ndarray, test: np.ndarray) -> float:
    """Returns the mean negative log-likelihood of test points under a Gaussian, in nats per point.

    It is a baseline: a density that learned anything has a lower one.

    Args:
      train: [num_points, size], the points whose mean and covariance the Gaussian has.
      test: [num_points, size].

    Returns:
      The mean, or NaN if the covariance is singular.

    Raises:
      ValueError: if the arguments have other shapes.
    """
    train, test = np.asarray(train, np.float64), np.asarray(test, np.float64)
    if train.ndim != 2 or test.ndim != 2 or train.shape[1] != test.shape[1]:
        raise ValueError(
            "`train` and `test` must have the shape [num_points, size], got shapes "
            f"{train.shape} and {test.shape}"
        )
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    # Without units: of features in very different ones, SciPy takes the small ones for constants.
    with np.errstate(divide="ignore", invalid="ignore"):
        train, test = (train - mean) / deviation, (test - mean) / deviation
    try:
        gaussian = stats.multivariate_normal(cov=np.cov(train.T))
    except (np.linalg.LinAlgError, ValueError):
        return float("nan")
    return float(np.log(deviation).sum() - gaussian.logpdf(test).mean())


def mean_and_deviation(values: Sequence[float | None]) -> tuple[float, float | None]:
    """Returns the mean and the sample standard deviation of a score over runs.

    The deviation of a single run is None. A score of None, which JSON files have in place of NaN,
    makes both NaN.

    Raises:
      ValueError: if there is no value.
    """
    numbers = np.array(values, np.float64)
    if not numbers.size:
        raise ValueError("`values` must have at least one value, got none")
    deviation = float(numbers.std(ddof=1)) if len(numbers) > 1 else None
    return float(numbers.mean()), deviation
