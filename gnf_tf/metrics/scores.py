"""Scores of predictions and of densities, and their spread over runs: arrays in, numbers out."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

__all__ = ["classification_scores", "gaussian_nll", "mean_and_deviation", "mean_per_node"]


def classification_scores(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """How good predicted probabilities of classes are, as `NodeClassifier.predict_proba` has them.

    Args:
      labels: [num_nodes] whole numbers, the class of each node; or [num_nodes, num_labels] bool,
        which of many labels each node has.
      probabilities: [num_nodes, num_classes], or of each label, [num_nodes, num_labels].

    Returns:
      `accuracy`, the share of nodes whose likeliest class is the right one; or of many labels
      `f1`, micro-averaged over all nodes and labels, a label being predicted where its probability
      is above 1/2, and 0 where none is true or predicted. `loss`: the mean cross entropy in nats.
    """
    probabilities = np.asarray(probabilities, np.float64)
    if labels.ndim == 2:
        predicted = probabilities > 0.5
        of_truth = np.where(labels, probabilities, 1.0 - probabilities)
        claims = labels.sum() + predicted.sum()
        score = {"f1": float(2 * (labels & predicted).sum() / max(claims, 1))}
    else:
        of_truth = probabilities[np.arange(len(labels)), labels]
        score = {"accuracy": float(np.mean(probabilities.argmax(axis=1) == labels))}
    return score | {"loss": float(-np.log(np.maximum(of_truth, 1e-30)).mean())}


def mean_per_node(values: np.ndarray, n_node: np.ndarray) -> tuple[float, float]:
    """The mean per node of what is known per graph, such as a negative log-likelihood.

    Args:
      values: [num_graphs], each a sum over the nodes of a graph.
      n_node: [num_graphs] node counts.

    Returns:
      The sum of all values over the number of all nodes, and its standard error, the graphs being
      independent (a ratio estimate); the error of a single graph is NaN.
    """
    values, n_node = np.asarray(values, np.float64), np.asarray(n_node)
    mean = values.sum() / n_node.sum()
    if len(values) < 2:
        return float(mean), float("nan")
    rest = values - mean * n_node
    return float(mean), float(rest.std(ddof=1) / n_node.mean() / np.sqrt(len(values)))


def gaussian_nll(train: np.ndarray, test: np.ndarray) -> float:
    """Mean negative log-likelihood of test points under a Gaussian fitted to training points.

    Every density that is worth training has a lower one.

    Args:
      train: [num_points, size], whose mean and covariance the Gaussian has.
      test: [num_points, size].

    Returns:
      Nats per point; NaN where the covariance is singular.
    """
    train = np.asarray(train, np.float64)
    try:
        gaussian = stats.multivariate_normal(train.mean(axis=0), np.cov(train.T))
    except (np.linalg.LinAlgError, ValueError):
        return float("nan")
    return float(-gaussian.logpdf(test).mean())


def mean_and_deviation(values: Sequence[float | None]) -> tuple[float, float | None]:
    """Mean and sample standard deviation of a score over runs; of one run the latter is None.

    A score of None, as JSON files have in place of NaN, makes both NaN.
    """
    numbers = np.array(values, np.float64)
    deviation = float(numbers.std(ddof=1)) if len(numbers) > 1 else None
    return float(numbers.mean()), deviation
