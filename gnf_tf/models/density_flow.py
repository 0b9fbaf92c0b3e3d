"""The flow of a `GraphDensity`: what its configuration says, made of the library's parts."""

import dataclasses
import functools
from typing import Literal

import numpy as np
import sonnet as snt
import tensorflow as tf

from gnf_tf import bijectors, graphs, networks, options, reversible

__all__ = ["DensityConfig", "make_flow"]


@dataclasses.dataclass(frozen=True)
class DensityConfig:
    """The sizes and choices of a `GraphDensity`."""

    attention: Literal["all", "edges", "none"] | None = None
    """which nodes a node hears: all of its graph, its neighbors, or none, so that nodes are
    independent (RealNVP); default: all where all graphs are fully connected, else its neighbors"""
    num_steps: options.Count = 6
    """steps of the flow, each two couplings"""
    conditioner: Literal["attention", "transformer", "message_passing"] | None = None
    """networks of the couplings: the paper's AttentionBlock, GraphTransformer, or MessagePassing,
    which alone sees features of edges; default: it where edges have some, else transformer"""
    width: options.Count = 64
    """of the networks"""
    num_blocks: options.Count = 1
    """of the transformer; hidden layers of the others"""
    num_heads: options.Count = 4
    """of the attention"""
    key_size: options.Count = 10
    """of keys, queries and values of AttentionBlock"""
    coupling: Literal["affine", "spline"] = "spline"
    """how features are transformed: the paper's equation 3, or rational-quadratic splines"""
    num_bins: options.AtLeast2 = 16
    """of the splines"""
    normalization: Literal["act_norm", "batch_norm", "none"] = "batch_norm"
    """before each step of the flow"""
    mean_scaling: bool = True
    """scale the mean of each graph before each step of the flow, unless nodes are independent"""
    mixing: bool = True
    """an invertible linear map of the features before each step of the flow"""
    memory: Literal["reversible", "stored"] = "stored"
    """how the gradient gets its activations; sets are small, and storing them is faster"""

    def __post_init__(self):
        options.check(self)
        is_transformer = self.conditioner in (None, "transformer")
        if is_transformer and self.attention != "none" and self.width % self.num_heads:
            raise options.OptionError(
                "width", f"a multiple of the {self.num_heads} heads of the transformer", self.width
            )
        if self.conditioner == "message_passing" and self.attention not in (None, "edges"):
            raise options.OptionError(
                "attention", "'edges' where networks pass messages along them", self.attention
            )


def make_flow(
    config: DensityConfig, mean: np.ndarray, scale: np.ndarray, edge_size: int, global_size: int
) -> bijectors.GNF:
    """A new GNF after a standardization of the features.

    Args:
      config: with an attention and a conditioner.
      mean: [node_size], what the standardization subtracts.
      scale: [node_size], what it divides by.
      edge_size: width of the edge features.
      global_size: width of the global features.
    """
    return _StandardizedGNF(
        mean,
        scale,
        num_steps=config.num_steps,
        node_size=len(mean),
        make_conditioner=functools.partial(_make_conditioner, config),
        coupling=bijectors.Spline(config.num_bins) if config.coupling == "spline" else "affine",
        normalization=None if config.normalization == "none" else config.normalization,
        mean_scaling=config.mean_scaling and config.attention != "none",
        mixing=config.mixing,
        edge_size=edge_size,
        global_size=global_size,
        memory=config.memory,
    )


def _make_conditioner(config, output_size):
    """The network of a coupling, which starts as the identity or near it."""
    hears = config.attention != "none"
    to_all = config.attention == "all"
    hidden = (config.width,) * config.num_blocks
    if config.conditioner == "message_passing":
        network = networks.MessagePassing(
            (*hidden, config.width), output_size, output_scale=1.0 / config.num_steps
        )
    elif config.conditioner == "transformer":
        network = networks.GraphTransformer(
            config.width,
            output_size,
            num_heads=config.num_heads if hears else 0,
            num_blocks=config.num_blocks,
            fully_connected=to_all,
        )
    elif hears:
        network = networks.AttentionBlock(
            config.num_heads,
            config.key_size,
            hidden,
            output_size,
            activation=tf.nn.leaky_relu,
            output_scale=0.0,
            fully_connected=to_all,
        )
    else:
        network = networks.MLP(
            (*hidden, output_size), activation=tf.nn.leaky_relu, output_scale=0.0
        )
    return _Given(network, config.conditioner == "message_passing")


class _StandardizedGNF(bijectors.GNF):
    """A `GNF` after the standardization of features."""

    def __init__(self, mean, scale, **arguments):
        self._standardization = _Standardization(mean, scale)
        super().__init__(**arguments)

    @property
    def layers(self):
        return (self._standardization, *super().layers)


class _Standardization(reversible.ReversibleLayer):
    """(x - mean) / scale, with constants."""

    def __init__(self, mean, scale):
        self._mean, self._scale = mean, scale
        self._log_det = np.float32(-np.log(scale.astype(np.float64)).sum())

    def condition(self, kept, graph, **unused):
        del kept, graph, unused

    def transform(self, changed, params):
        changed = (changed - self._mean) / self._scale
        return changed, tf.fill(tf.shape(changed)[:1], self._log_det)

    def invert(self, changed, params):
        changed = changed * self._scale + self._mean
        return changed, tf.fill(tf.shape(changed)[:1], -self._log_det)


class _Given(snt.Module):
    """A network that sees globals as features of the nodes, and of edges what it can."""

    def __init__(self, network, sees_edges):
        super().__init__(name="given")
        self._network, self._sees_edges = network, sees_edges

    def __call__(self, graph):
        if graph.globals.shape[-1]:
            of_graph = graphs.to_nodes(graph.globals, graph)
            graph = graph.replace(nodes=tf.concat([graph.nodes, of_graph], axis=-1))
        edges = graph.edges if self._sees_edges else graph.edges[:, :0]
        return self._network(graph.replace(edges=edges, globals=graph.globals[:, :0]))
