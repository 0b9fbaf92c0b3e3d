"""Exact densities of node features, given the graph: a GNF that is trained, kept and asked."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Self, TypeAlias

import networkx as nx
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from gnf_tf import datasets, distributions, graphs, seeds
from gnf_tf.graphs import GraphsTuple
from gnf_tf.models import saving
from gnf_tf.models.density_flow import DensityConfig, make_flow
from gnf_tf.networks.conditioner import sample_graph

__all__ = ["DensityConfig", "GraphDensity"]

Graphs: TypeAlias = GraphsTuple | Sequence[nx.Graph]

STATISTICS_SETS = 10_000  # whose statistics normalizations start from, and end with
# Pairs of nodes, or nodes and edges, that are evaluated at a time, and that statistics are of.
_ROOM, _STATISTICS_ROOM = 2**20, 2**22


class GraphDensity(saving.Model):
    """The density of the node features of graphs given the rest of each, by a `GNF`.

    The rest is the number of nodes, the edges, and features of the graph (globals) and, for the
    conditioner "message_passing", of edges: the density is conditioned on them. Sets of points
    are fully connected graphs. Features are standardized within the model, so that densities and
    samples are in the data's own units.

        model = GraphDensity.for_data(graphs)
        gnf_tf.training.fit(model, graphs, epochs=20)
        model.log_prob(graphs)                       # [n_graphs], in nats
        model.sample(topology, seed=1)               # a GraphsTuple with new node features

    Only continuous features have a density: on whole numbers or categories the likelihood grows
    without bound; add uniform noise, or leave them out.
    """

    config_class = DensityConfig

    def __init__(
        self,
        node_size: int,
        edge_size: int = 0,
        global_size: int = 0,
        mean: np.ndarray | None = None,
        scale: np.ndarray | None = None,
        config: DensityConfig | None = None,
        name: str = "graph_density",
    ):
        """Makes the flow and its variables; `for_data` takes the rest from graphs.

        Args:
          node_size: width of the node features, at least 2.
          edge_size: width of the edge features.
          global_size: width of the global features.
          mean: [node_size], of the features; default: zeros.
          scale: [node_size], positive, their deviation; default: ones.
          config: sizes and choices, where the default attention is along the edges.
          name: as tf.Module.

        Raises:
          ValueError: for a size out of its range, or statistics of another shape or that are not
            finite.
        """
        super().__init__(name=name)
        if node_size < 2:
            raise ValueError(
                "node features must have a width of at least 2, for a coupling splits them in two; "
                f"got {node_size}"
            )
        self.config = config = _resolved(config or DensityConfig(), edge_size, is_set=False)
        self.node_size, self.edge_size, self.global_size = node_size, edge_size, global_size
        self.mean = np.asarray(np.zeros(node_size) if mean is None else mean, np.float32)
        self.scale = np.asarray(np.ones(node_size) if scale is None else scale, np.float32)
        for field, values in {"mean": self.mean, "scale": self.scale}.items():
            if values.shape != (node_size,) or not np.isfinite(values).all():
                raise ValueError(f"`{field}` must be {node_size} finite numbers, got {values}")
        if not (self.scale > 0).all():
            raise ValueError(f"`scale` must be positive, got {self.scale}")
        self.gnf = make_flow(config, self.mean, self.scale, edge_size, global_size)
        signature = graphs.specs(sample_graph(node_size, edge_size, global_size))
        self._log_prob, self._to_data = (
            tf.function(function, input_signature=[signature], autograph=False)
            for function in (self.__call__, lambda latent: self.gnf.inverse(latent).nodes)
        )

    @classmethod
    def for_data(
        cls, train: Graphs | datasets.PointSets, config: DensityConfig | None = None
    ) -> Self:
        """A new model for graphs with features of the widths, means and deviations of these.

        Args:
          train: the training graphs: a GraphsTuple, or networkx graphs with node attributes
            "features"; or a distribution of sets, whose features stay as they are.
          config: sizes and choices.

        Raises:
          ValueError: if there is no graph, features are missing, narrower than 2 or not finite,
            or one is the same on all nodes.
        """
        config = config or DensityConfig()
        if isinstance(train, datasets.PointSets):
            model = cls(2, config=_resolved(config, edge_size=0, is_set=True))
        else:
            whole = datasets.GraphRows(train).whole
            node_size, edge_size, global_size = (
                values.shape[1] for values in (whole.nodes, whole.edges, whole.globals)
            )
            is_set = config.attention is None and _is_fully_connected(whole)
            config = _resolved(config, edge_size, is_set)
            mean, scale = _moments(whole.nodes) if node_size > 1 else (None, None)
            model = cls(node_size, edge_size, global_size, mean, scale, config)
        if config.normalization == "act_norm":
            model.gnf.initialize(model.some_of(train))
        return model

    def arguments(self) -> dict[str, Any]:
        """See `saving.Model.arguments`."""
        names = ("node_size", "edge_size", "global_size", "mean", "scale")
        return {name: getattr(self, name) for name in names}

    def distribution(self, topology: Graphs) -> tfp.distributions.TransformedDistribution:
        """The density as TFP has it, to compose: its events are GraphsTuples.

        Args:
          topology: graphs that samples are for, whatever their node features.

        Raises:
          ValueError: if they don't fit the model.
        """
        return tfp.distributions.TransformedDistribution(
            distributions.NodePrior(self._topology(topology)), tfp.bijectors.Invert(self.gnf)
        )

    def __call__(self, graph: GraphsTuple, is_training: bool = False) -> tf.Tensor:
        """[n_graphs] float32: log-densities in nats, for use within other TensorFlow programs."""
        flow = tfp.distributions.TransformedDistribution(
            distributions.NodePrior(graph), tfp.bijectors.Invert(self.gnf)
        )
        return flow.log_prob(graph, bijector_kwargs={"is_training": is_training})

    def log_prob(self, given: Graphs) -> np.ndarray:
        """[n_graphs] float32: log-densities in nats, in the graphs' order; of none, none.

        Args:
          given: any number of graphs: a GraphsTuple, or networkx graphs with "features".

        Raises:
          ValueError: if they don't fit the model, or are malformed.
        """
        if not isinstance(given, GraphsTuple) and not len(given):
            return np.zeros([0], np.float32)
        rows = self.rows(given)
        result = np.zeros([len(rows)], np.float32)
        for chunk in _chunks(rows.sizes, self.config.attention):
            result[chunk] = self._log_prob(_tensors(rows.graph(chunk)))
        return result

    def sample(self, topology: Graphs, *, seed: seeds.Seed) -> GraphsTuple:
        """The graphs with new node features, in the data's units; same seed, same features.

        Args:
          topology: any number of graphs, whatever their node features.
          seed: a whole number, or a pair of int32, see `gnf_tf.seeds`.

        Raises:
          ValueError: if there is none, or they don't fit the model.
        """
        topology = self._topology(topology)
        latent = distributions.NodePrior(topology).sample(seed=seed)
        rows = self.rows(latent)
        nodes = np.zeros(rows.whole.nodes.shape, np.float32)
        for chunk in _chunks(rows.sizes, self.config.attention):
            made = self._to_data(_tensors(rows.graph(chunk)))
            nodes[rows.node_rows(chunk)] = made
        return topology.replace(nodes=tf.constant(nodes))

    def calibrate(self, data: Graphs | datasets.PointSets) -> None:
        """Takes the statistics of batch normalization, if there is one, anew from some of the data.

        See `GNF.calibrate`. Raises a ValueError if the data don't fit the model.
        """
        if self.config.normalization == "batch_norm":
            self.gnf.calibrate(self.some_of(data))

    def some_of(
        self, data: Graphs | datasets.PointSets, num_graphs: int = STATISTICS_SETS
    ) -> GraphsTuple:
        """So many graphs of the data, or fewer: those there are, or can be evaluated at once.

        Of a distribution they are no sets that a training step draws.
        """
        if isinstance(data, datasets.PointSets):
            return self.draw(data, num_graphs, seed=(0, 0))
        rows = self.rows(data)
        order = np.random.default_rng(0).permutation(len(rows))[:num_graphs]
        order = order[: _fitting(rows.sizes[order], self.config.attention, _STATISTICS_ROOM)]
        return _tensors(rows.graph(np.sort(order)))

    def draw(self, sets: datasets.PointSets, num_sets: int, *, seed: seeds.Seed) -> GraphsTuple:
        """Sets with no more edges than the model needs; see `PointSets.sample`."""
        edges: Any = "fully_connected" if self.config.attention == "edges" else "edgeless"
        return sets.sample(num_sets, seed=seed, edges=edges)

    def rows(self, given: Graphs) -> datasets.GraphRows:
        """The graphs, checked, by row, with no more edges than the model needs."""
        whole = self._widened(datasets.GraphRows(given).whole)
        if self.config.attention != "edges":
            bare = graphs.edgeless(whole.n_node, self.node_size)
            edges = tf.zeros([0, self.edge_size])
            whole = bare.replace(nodes=whole.nodes, globals=whole.globals, edges=edges)
        return datasets.GraphRows(whole)

    def _topology(self, given):
        whole = datasets.GraphRows(given).whole
        nodes = np.zeros([len(whole.nodes), self.node_size], np.float32)
        return _tensors(self._widened(whole.replace(nodes=nodes)))

    def _widened(self, graph):
        """The graph; where it has no nodes or edges, their features have the model's widths."""
        for field in ("node", "edge", "global"):
            values, size = getattr(graph, f"{field}s"), getattr(self, f"{field}_size")
            if not len(values):
                graph = graph.replace(**{f"{field}s": np.zeros([0, size], np.float32)})
            elif values.shape[1] != size:
                raise ValueError(
                    f"{field} features must have the model's width {size}, got {values.shape[1]}"
                )
        return graph


def _tensors(graph):
    return graph.map(tf.constant, GraphsTuple._fields)


def _resolved(config, edge_size, is_set):
    """The configuration with the choices that the data make."""
    conditioner, attention = config.conditioner, config.attention
    if conditioner is None:
        sees_edges = edge_size and attention in (None, "edges")
        conditioner = "message_passing" if sees_edges else "transformer"
    if attention is None:
        attention = "all" if is_set and conditioner != "message_passing" else "edges"
    return dataclasses.replace(config, conditioner=conditioner, attention=attention)


def _is_fully_connected(graph):
    """Whether each node of each graph sends to every other of its graph."""
    pairs = np.stack([graph.senders, graph.receivers], axis=1).astype(np.int64)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    n_node = graph.n_node.astype(np.int64)
    needed = (n_node * (n_node - 1)).sum()
    return len(pairs) >= needed and len(np.unique(pairs, axis=0)) == needed


def _moments(nodes):
    """(mean, deviation) of each feature."""
    if not len(nodes):
        raise ValueError("the graphs must have nodes, got none")
    constant = np.flatnonzero(np.ptp(nodes, axis=0) == 0)
    if constant.size:
        raise ValueError(
            f"feature {constant[0]} is {nodes[0, constant[0]]} on every node and has no density; "
            "leave it out"
        )
    nodes = nodes.astype(np.float64)
    return nodes.mean(axis=0), nodes.std(axis=0)


def _fitting(sizes, attention, room):
    """How many graphs, from the first on, fit into the room: one at least."""
    n_node, n_edge = sizes.T.astype(np.int64)
    if attention == "all":  # dense blocks, each of the size of the largest
        cost = np.arange(1, len(sizes) + 1) * np.square(np.maximum.accumulate(n_node))
    else:
        cost = np.cumsum(n_node + n_edge)
    return max(1, int(np.searchsorted(cost, room, side="right")))


def _chunks(sizes, attention) -> Iterator[np.ndarray]:
    """Which graphs are evaluated at a time: of like size, and as many as there is room for."""
    order = np.argsort(sizes[:, 0], kind="stable")
    while order.size:
        count = _fitting(sizes[order], attention, _ROOM)
        yield order[:count]
        order = order[count:]
