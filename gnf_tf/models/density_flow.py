"""The configuration of a `GraphDensity`, and the flow that follows from it."""

import dataclasses
import functools
from typing import Literal

import numpy as np
import sonnet as snt
import tensorflow as tf

from gnf_tf import bijectors, graphs, networks, options, reversible
from gnf_tf.models import flow_parts
from gnf_tf.models.scales import in_units

__all__ = ["DensityConfig", "make_flow"]


@dataclasses.dataclass(frozen=True)
class DensityConfig:
    """The sizes and choices of a `GraphDensity`."""

    attention: Literal["all", "edges", "none"] | None = None
    """which nodes the networks of a node see: all nodes of its graph, its neighbors, or no other
    node, so that nodes are independent (RealNVP); default: all nodes if every graph is fully
    connected, else neighbors"""
    num_steps: options.Count = 6
    """number of flow steps, of two couplings each"""
    conditioner: Literal["attention", "transformer", "message_passing"] | None = None
    """networks of the couplings: the paper's AttentionBlock, a GraphTransformer, or MessagePassing,
    the only one that uses edge features; default: message_passing if edges have features, else
    transformer"""
    width: options.Count = 64
    """width of the networks' layers"""
    num_blocks: options.Count = 1
    """number of attention blocks of the transformer, or of hidden layers of the other networks"""
    num_heads: options.Count = 4
    """number of attention heads"""
    rank_frequencies: options.AtLeast0 = 0
    """number of cosines of the rank of each node feature in its graph that the networks also get,
    see `networks.Ranked`; ignored if a node does not see all nodes of its graph. With as many as a
    set has points, flows of sets learn faster which point goes where"""
    key_size: options.Count = 10
    """width of keys, queries and values of each head of the AttentionBlock"""
    coupling: Literal["affine", "spline"] = "spline"
    """transformation in the couplings: the paper's equation 3, or monotonic rational-quadratic
    splines"""
    num_bins: options.AtLeast2 = 16
    """number of bins of each spline"""
    normalization: Literal["act_norm", "batch_norm", "none"] = "batch_norm"
    """normalization of the features before each flow step"""
    mean_scaling: bool = True
    """whether the mean of each graph is scaled before each flow step; ignored if nodes are
    independent"""
    mixing: bool = True
    """whether features pass through an invertible linear map before each flow step"""
    memory: Literal["reversible", "stored"] = "stored"
    """reversible: activations are reconstructed for the gradient; stored: they are kept, which is
    faster and fits into memory for small graphs"""

    def __post_init__(self):
        options.check(self)
        if self.conditioner in (None, "transformer") and self.attention != "none":
            flow_parts.check_heads(self, "width")
        if self.conditioner == "message_passing" and self.attention not in (None, "edges"):
            rule = "'edges' for the conditioner 'message_passing'"
            raise options.OptionError("attention", rule, self.attention)


def make_flow(
    config: DensityConfig,
    mean: np.ndarray,
    scale: np.ndarray,
    edge_size: int,
    global_size: int,
    edge_units: np.ndarray | None = None,
    global_units: np.ndarray | None = None,
) -> bijectors.GNF:
    """Makes a GNF whose first step standardizes the node features: (x - mean) / scale.

    Args:
      config: sizes and choices; `attention` and `conditioner` must not be None.
      mean: [node_size], subtracted from the features.
      scale: [node_size], positive, divides the features.
      edge_size: width of the edge features.
      global_size: width of the global features.
      edge_units: [2, edge_size], offset and scale by which the networks standardize edge features,
        see `scales.units_of`; None: they don't.
      global_units: the same of the globals.
    """
    return _StandardizedGNF(
        mean,
        scale,
        num_steps=config.num_steps,
        node_size=len(mean),
        make_conditioner=functools.partial(_make_conditioner, config, edge_units, global_units),
        coupling=flow_parts.coupling(config),
        normalization=None if config.normalization == "none" else config.normalization,
        mean_scaling=config.mean_scaling and config.attention != "none",
        mixing=config.mixing,
        edge_size=edge_size,
        global_size=global_size,
        memory=config.memory,
    )


def _make_conditioner(config, edge_units, global_units, output_size):
    """Makes the network of a coupling, which is the identity or close to it at initialization."""
    attends = config.attention != "none"
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
            num_heads=config.num_heads if attends else 0,
            num_blocks=config.num_blocks,
            fully_connected=to_all,
        )
    elif attends:
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
    sees_edges = config.conditioner == "message_passing"
    network = _Conditioned(network, sees_edges, edge_units, global_units)
    if to_all and config.rank_frequencies:
        network = networks.Ranked(network, config.rank_frequencies)
    return network


class _StandardizedGNF(bijectors.GNF):
    """A `GNF` with a standardization of the features as its first step."""

    def __init__(self, mean, scale, **arguments):
        self._standardization = _Standardization(mean, scale)
        super().__init__(**arguments)

    @property
    def layers(self):
        return (self._standardization, *super().layers)


class _Standardization(reversible.ReversibleLayer):
    """The map (x - mean) / scale with constant `mean` and `scale`."""

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


class _Conditioned(snt.Module):
    """A network that gets globals as further node features, and edge features if it uses them."""

    def __init__(self, network, sees_edges, edge_units, global_units):
        super().__init__(name="conditioned")
        self._network, self._sees_edges = network, sees_edges
        self._edge_units, self._global_units = edge_units, global_units

    def __call__(self, graph):
        if graph.globals.shape[-1]:
            of_graph = graphs.to_nodes(in_units(graph.globals, self._global_units), graph)
            graph = graph.replace(nodes=tf.concat([graph.nodes, of_graph], axis=-1))
        edges = graph.edges[:, :0]
        if self._sees_edges:
            edges = in_units(graph.edges, self._edge_units)
        return self._network(graph.replace(edges=edges, globals=graph.globals[:, :0]))
