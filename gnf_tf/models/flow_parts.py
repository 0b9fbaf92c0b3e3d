"""What the flows of `GraphDensity`, `GraphGenerator` and `PositionFlow` have in common."""

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from gnf_tf import bijectors, distributions, graphs, options
from gnf_tf.graphs import GraphsTuple

__all__ = [
    "check_heads",
    "coupling",
    "density",
    "no_overflow",
    "tensors",
]


def check_heads(config: Any, *widths: str) -> None:
    """Raises an OptionError if one of these fields is not a multiple of `config.num_heads`."""
    for name in widths:
        if getattr(config, name) % config.num_heads:
            rule = f"a multiple of the number of attention heads, {config.num_heads}"
            raise options.OptionError(name, rule, getattr(config, name))


def coupling(config: Any) -> str | bijectors.Spline:
    """The coupling that `config` names, as `bijectors.GNF` takes it."""
    return bijectors.Spline(config.num_bins) if config.coupling == "spline" else config.coupling


class _Density(tfp.distributions.TransformedDistribution):
    """A density that accepts graphs with edges and globals that are None, as bijectors do."""

    def _call_log_prob(self, value, name, **kwargs):
        return super()._call_log_prob(graphs.fill_missing(GraphsTuple(*value)), name, **kwargs)


def no_overflow(log_probs: np.ndarray, model: tf.Module) -> np.ndarray:
    """Returns log-densities of finite data, -inf in place of NaN.

    A difference of infinities makes a NaN, and only far from the data are there infinities.

    Raises:
      ValueError: for NaN if a weight of the model is not finite.
    """
    for variable in model.variables if np.isnan(log_probs).any() else ():
        if variable.dtype.is_floating and not np.isfinite(variable).all():
            raise ValueError(f"the model's weights must be finite, got others in {variable.name}")
    return np.where(np.isnan(log_probs), np.float32(-np.inf), log_probs)


def density(
    gnf: bijectors.GNF,
    graph: GraphsTuple,
    prior: type[distributions.NodePrior] = distributions.NodePrior,
) -> tfp.distributions.TransformedDistribution:
    """The density of node features on the topologies of `graph`, standard normal in latent space.

    Its `log_prob` also takes graphs with edges and globals that are None.

    Args:
      gnf: the flow, whose forward direction is from data to latent.
      graph: graphs, whose node features matter by their dtype and width alone.
      prior: the class of the density in latent space.
    """
    return _Density(prior(graph), tfp.bijectors.Invert(gnf))


def tensors(graph: GraphsTuple) -> GraphsTuple:
    """The graph with tensors in place of NumPy arrays."""
    return graph.map(tf.constant, GraphsTuple._fields)
