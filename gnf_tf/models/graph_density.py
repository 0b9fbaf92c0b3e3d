"""Exact densities of node features given the rest of the graph (section 5.1)."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Self, TypeAlias

import networkx as nx
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from gnf_tf import datasets, distributions, graphs, options, seeds
from gnf_tf.graphs import GraphsTuple
from gnf_tf.models import chunking, flow_parts, saving
from gnf_tf.models.density_flow import DensityConfig, make_flow
from gnf_tf.models.scales import check_scales, check_units, units_of
from gnf_tf.networks.conditioner import sample_graph

__all__ = ["DensityConfig", "GraphDensity"]

Graphs: TypeAlias = GraphsTuple | Sequence[nx.Graph]

# The statistics of normalizations are taken from at most so many graphs, of at most this cost.
STATISTICS_SETS, _STATISTICS_COST = 10_000, 2**22


class GraphDensity(saving.Model):
    """The density of the node features of a graph given the rest of the graph, by a `GNF`.

    For node features X [num_nodes, node_size], standardized as x = (X - mean) / scale,

        log p(X | rest) = log N(GNF(x); 0, I) + log|det dGNF/dx| - num_nodes sum_k log scale_k

    The rest is the number of nodes, the edges, the globals, and, for the conditioner
    "message_passing", the edge features. Sets of points are fully connected graphs. Densities and
    samples are in the units of the data.

        model = GraphDensity.for_data(graphs)
        gnf_tf.training.fit(model, graphs, epochs=20)
        model.log_prob(graphs)                       # [n_graphs], in nats
        model.sample(topology, seed=1)               # a GraphsTuple with new node features

    Node features must be continuous: on integers or categories the likelihood is unbounded, unless
    uniform noise is added. Use `GraphGenerator` to model the edges of graphs instead.
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
        edge_units: np.ndarray | None = None,
        global_units: np.ndarray | None = None,
        name: str = "graph_density",
    ):
        """Makes the flow and its variables; `for_data` derives the arguments from graphs.

        Args:
          node_size: width of the node features, at least 2.
          edge_size: width of the edge features.
          global_size: width of the globals.
          mean: [node_size], mean of each node feature; default: zeros.
          scale: [node_size], positive, standard deviation of each node feature; default: ones.
          config: sizes and choices; an `attention` of None means "edges".
          edge_units: [2, edge_size], offset and scale by which the networks standardize edge
            features, see `scales.units_of`; None: they don't.
          global_units: the same of the globals.
          name: name of the module.

        Raises:
          ValueError: if a size is out of its range, or `mean` or `scale` has another shape or
            values that are not finite.
        """
        super().__init__(name=name)
        options.check_argument("node_size", int, node_size)
        if node_size < 2:
            raise ValueError(
                "node features must have a width of at least 2, which a coupling splits in two, "
                f"got {node_size}"
            )
        self.config = config = _resolved(self.checked_config(config), edge_size, is_set=False)
        self.node_size, self.edge_size, self.global_size = node_size, edge_size, global_size
        self.mean = np.asarray(np.zeros(node_size) if mean is None else mean, np.float32)
        self.scale = np.asarray(np.ones(node_size) if scale is None else scale, np.float32)
        for field, values in {"mean": self.mean, "scale": self.scale}.items():
            if values.shape != (node_size,) or not np.isfinite(values).all():
                raise ValueError(f"`{field}` must be {node_size} finite numbers, got {values}")
        if not (self.scale > 0).all():
            raise ValueError(f"`scale` must be positive, got {self.scale}")
        self.edge_units = check_units("edge_units", edge_units, edge_size)
        self.global_units = check_units("global_units", global_units, global_size)
        units = (self.edge_units, self.global_units)
        self.gnf = make_flow(config, self.mean, self.scale, edge_size, global_size, *units)
        signature = graphs.specs(sample_graph(node_size, edge_size, global_size))
        self._log_prob, self._to_data = (
            tf.function(function, input_signature=[signature], autograph=False)
            for function in (self.__call__, lambda latent: self.gnf.inverse(latent).nodes)
        )

    @classmethod
    def for_data(
        cls, train: Graphs | datasets.PointSets, config: DensityConfig | None = None
    ) -> Self:
        """Makes a model for graphs with the feature widths, means and deviations of `train`.

        Of edge features and globals, those are standardized that have values beyond 10 in size.

        Args:
          train: the training graphs: a GraphsTuple, or networkx graphs with node attributes
            "features"; or a distribution of point sets, whose features are not standardized.
          config: sizes and choices.

        Raises:
          ValueError: if `train` has no graph, or its node features are missing, narrower than 2,
            not finite, or constant, or have deviations near the limits of float32.
        """
        config = cls.checked_config(config)
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
            units = units_of(whole.edges), units_of(whole.globals)
            model = cls(node_size, edge_size, global_size, mean, scale, config, *units)
        if config.normalization == "act_norm":
            model.gnf.initialize(model.some_of(train))
        return model

    def arguments(self) -> dict[str, Any]:
        """See `saving.Model.arguments`."""
        sizes = ("node_size", "edge_size", "global_size")
        names = (*sizes, "mean", "scale", "edge_units", "global_units")
        return {name: getattr(self, name) for name in names}

    def distribution(self, topology: Graphs) -> tfp.distributions.TransformedDistribution:
        """Returns the density as a TFP distribution, whose events are GraphsTuples.

        Use this to compose the density with other parts of TFP, and `log_prob` and `sample` to
        evaluate any number of graphs in batches.

        Args:
          topology: graphs that samples are drawn for; their node features are ignored.

        Raises:
          ValueError: if `topology` does not fit the model.
        """
        return flow_parts.density(self.gnf, self._topology(topology))

    def __call__(self, graph: GraphsTuple, is_training: bool = False) -> tf.Tensor:
        """Returns log-densities [n_graphs] float32, in nats, for use in TensorFlow programs.

        Args:
          graph: graphs, all at once.
          is_training: whether batch normalization uses, and updates, the statistics of `graph`.
        """
        graph = graphs.fill_missing(graph)
        flow = flow_parts.density(self.gnf, graph)
        return flow.log_prob(graph, bijector_kwargs={"is_training": is_training})

    def log_prob(self, given: Graphs) -> np.ndarray:
        """Returns log-densities [n_graphs] float32, in nats, evaluating a few graphs at a time.

        They are -inf where float32 overflows, very far from the data.

        Args:
          given: any number of graphs: a GraphsTuple, or networkx graphs with node attributes
            "features".

        Raises:
          ValueError: if `given` is malformed or does not fit the model, or weights are NaN.
        """
        if isinstance(given, list | tuple) and not given:
            return np.zeros([0], np.float32)
        rows = self.rows(given)
        result = np.zeros([len(rows)], np.float32)
        for chunk in self._chunks(rows):
            result[chunk] = self._log_prob(flow_parts.tensors(rows.graph(chunk)))
        return flow_parts.no_overflow(result, self)

    def sample(self, topology: Graphs, *, seed: seeds.Seed) -> GraphsTuple:
        """Returns `topology` with node features drawn from the density, in the units of the data.

        Args:
          topology: any number of graphs; their node features are ignored.
          seed: a whole number, or a pair of int32, see `gnf_tf.seeds`; the same seed draws the
            same features.

        Raises:
          ValueError: if `topology` has no graph or does not fit the model.
        """
        topology = self._topology(topology)
        latent = distributions.NodePrior(topology).sample(seed=seed)
        rows = self.rows(latent)
        nodes = np.zeros(rows.whole.nodes.shape, np.float32)
        for chunk in self._chunks(rows):
            made = self._to_data(flow_parts.tensors(rows.graph(chunk)))
            nodes[rows.node_rows(chunk)] = made
        return topology.replace(nodes=tf.constant(nodes))

    def calibrate(self, data: Graphs | datasets.PointSets) -> None:
        """Replaces the statistics of batch normalization by those of `some_of(data)`.

        Without batch normalization nothing changes. See `GNF.calibrate`.

        Args:
          data: graphs, or a distribution of point sets.

        Raises:
          ValueError: if `data` does not fit the model.
        """
        if self.config.normalization == "batch_norm":
            self.gnf.calibrate(self.some_of(data))

    def some_of(
        self, data: Graphs | datasets.PointSets, num_graphs: int = STATISTICS_SETS
    ) -> GraphsTuple:
        """Returns at most `num_graphs` graphs of `data`, few enough to be evaluated at once.

        Args:
          data: graphs, of which a fixed random subset is taken; or a distribution of point sets,
            from which sets are drawn with a seed that no training step uses.
          num_graphs: the largest number of graphs.
        """
        if isinstance(data, datasets.PointSets):
            return self.draw(data, num_graphs, seed=(0, 0))
        rows = self.rows(data)
        order = np.random.default_rng(0).permutation(len(rows))[:num_graphs]
        n_node, n_edge = self._costs(rows.sizes[order])
        order = order[: chunking.num_fitting(n_node, n_edge, _STATISTICS_COST)]
        return flow_parts.tensors(rows.graph(np.sort(order)))

    def draw(self, sets: datasets.PointSets, num_sets: int, *, seed: seeds.Seed) -> GraphsTuple:
        """Draws point sets, as graphs that have edges only if the model uses them.

        Args:
          sets: the distribution.
          num_sets: number of sets.
          seed: see `PointSets.sample`.
        """
        edges: Any = "fully_connected" if self.config.attention == "edges" else "edgeless"
        return sets.sample(num_sets, seed=seed, edges=edges)

    def rows(self, given: Graphs) -> datasets.GraphRows:
        """Returns graphs as a data set, after validation, with edges only if the model uses them.

        Args:
          given: a GraphsTuple, or networkx graphs with node attributes "features".

        Raises:
          ValueError: if `given` is malformed or does not fit the model.
        """
        whole = self._widened(datasets.GraphRows(given).whole)
        if self.config.attention != "edges":
            bare = graphs.edgeless(whole.n_node, self.node_size)
            edges = tf.zeros([0, self.edge_size])
            whole = bare.replace(nodes=whole.nodes, globals=whole.globals, edges=edges)
        return datasets.GraphRows(whole)

    def _costs(self, sizes):
        """Returns what `chunking.num_fitting` takes for graphs of these `sizes`."""
        n_node, n_edge = sizes.T
        return n_node, None if self.config.attention == "all" else n_edge

    def _chunks(self, rows):
        return chunking.chunks(*self._costs(rows.sizes))

    def _topology(self, given):
        whole = datasets.GraphRows(given).whole
        nodes = np.zeros([len(whole.nodes), self.node_size], np.float32)
        return flow_parts.tensors(self._widened(whole.replace(nodes=nodes)))

    def _widened(self, graph):
        """Returns `graph`, in which fields without rows get the model's feature widths."""
        for field in ("node", "edge", "global"):
            values, size = getattr(graph, f"{field}s"), getattr(self, f"{field}_size")
            if not len(values):
                graph = graph.replace(**{f"{field}s": np.zeros([0, size], np.float32)})
            elif values.shape[1] != size:
                raise ValueError(
                    f"{field} features must have the model's width {size}, got {values.shape[1]}"
                )
        return graph


def _resolved(config, edge_size, is_set):
    """Returns the configuration with the defaults that depend on the data filled in."""
    conditioner, attention = config.conditioner, config.attention
    if conditioner is None:
        sees_edges = edge_size and attention in (None, "edges")
        conditioner = "message_passing" if sees_edges else "transformer"
    if attention is None:
        attention = "all" if is_set and conditioner != "message_passing" else "edges"
    return dataclasses.replace(config, conditioner=conditioner, attention=attention)


def _is_fully_connected(graph):
    """Whether every node of each graph sends to every other node of that graph."""
    pairs = np.stack([graph.senders, graph.receivers], axis=1).astype(np.int64)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    n_node = graph.n_node.astype(np.int64)
    needed = (n_node * (n_node - 1)).sum()
    return len(pairs) >= needed and len(np.unique(pairs, axis=0)) == needed


def _moments(nodes):
    """Returns mean and standard deviation of each feature, [node_size] each."""
    if not len(nodes):
        raise ValueError("the graphs must have nodes, got none")
    constant = np.flatnonzero(np.ptp(nodes, axis=0) == 0)
    if constant.size:
        raise ValueError(
            f"feature {constant[0]} is {nodes[0, constant[0]]} on every node and has no density; "
            "remove this feature"
        )
    nodes = nodes.astype(np.float64)
    mean, scale = nodes.mean(axis=0), nodes.std(axis=0)
    check_scales({f"the deviation of feature {k}": value for k, value in enumerate(scale)})
    return mean, scale
