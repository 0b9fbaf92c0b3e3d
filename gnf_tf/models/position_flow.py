"""Densities of the positions of particles or atoms, the same in every place and orientation."""

import dataclasses
import functools
import math
from typing import Any, Literal, Self

import numpy as np
import sonnet as snt
import tensorflow as tf
import tensorflow_probability as tfp

from gnf_tf import bijectors, datasets, distributions, graphs, networks, options, seeds
from gnf_tf.graphs import GraphsTuple
from gnf_tf.models import chunking, flow_parts, saving
from gnf_tf.models.scales import check_scales, check_units, in_units, units_of
from gnf_tf.networks.conditioner import sample_graph

__all__ = ["PositionConfig", "PositionFlow"]


@dataclasses.dataclass(frozen=True)
class PositionConfig:
    """The sizes and choices of a `PositionFlow`."""

    num_steps: options.Count = 10
    """number of flow steps, of two couplings each"""
    width: options.Count = 32
    """width of the messages"""
    memory: Literal["reversible", "stored"] = "stored"
    """reversible: activations are reconstructed for the gradient; stored: they are kept, which is
    faster and fits into memory for small graphs"""

    def __post_init__(self):
        options.check(self)


class PositionFlow(saving.Model):
    """The density of the positions of a graph's nodes given the rest of the graph.

    It is invariant to rotations, reflections and translations of the positions and to permutations
    of the nodes. The nodes of a graph have positions in their first d columns, and attributes that
    are given, such as elements, in the others. With N nodes, the density is that of the d (N - 1)
    coordinates of the positions in an orthonormal basis of the vectors whose mean is 0.

    An augmented flow (Huang, Dinh, Courville, "Augmented normalizing flows", 2020) has an auxiliary
    vector a_i beside each position x_i, which is drawn from q(a) = N(0, I). With z = x / scale, a
    `GNF` maps [a, z], both relative to the mean of z, to those of a `PositionPrior`:

        log p(x, a) = log PositionPrior(GNF([a, z])) + log|det dGNF| - d (N - 1) log scale

    Its couplings change a given z, then z given a, by a `VectorAffine` whose parameters are
    `PositionMessages`; Midgley et al., "SE(3) equivariant augmented coupling flows", NeurIPS 2023,
    have splines in local frames. log p(x, a) is exact, and log p(x) has a lower bound in
    expectation, the importance-weighted one of `log_prob`. Edges say which nodes see each other;
    particles are best fully connected.

        model = PositionFlow.for_data(graphs, dimension=3)
        gnf_tf.training.fit(model, graphs, epochs=20)
        model.log_prob(graphs, num_samples=20, seed=0)   # [n_graphs], in nats
        model.sample(topology, seed=1)                   # a GraphsTuple with new positions

    Use `GraphDensity` for features that have no orientation in space.
    """

    config_class = PositionConfig

    def __init__(
        self,
        dimension: int = 3,
        attribute_size: int = 0,
        edge_size: int = 0,
        scale: float = 1.0,
        config: PositionConfig | None = None,
        attribute_units: np.ndarray | None = None,
        edge_units: np.ndarray | None = None,
        name: str = "position_flow",
    ):
        """Makes the flow and its variables; `for_data` derives the arguments from graphs.

        Args:
          dimension: d, the number of coordinates of a position.
          attribute_size: width of the other node features.
          edge_size: width of the edge features.
          scale: unit of the positions within the flow, positive.
          config: sizes and choices.
          attribute_units: [2, attribute_size], offset and scale by which the networks standardize
            attributes, see `scales.units_of`; None: they don't.
          edge_units: the same of edge features, [2, edge_size].
          name: name of the module.

        Raises:
          ValueError: if a size, the scale or the units are out of their range.
        """
        super().__init__(name=name)
        options.check_argument("dimension", options.Count, dimension)
        options.check_argument("attribute_size", options.AtLeast0, attribute_size)
        options.check_argument("scale", options.Positive, scale)
        self.config = config = self.checked_config(config)
        self.dimension, self.attribute_size, self.edge_size = dimension, attribute_size, edge_size
        self.scale = float(scale)
        self.attribute_units = check_units("attribute_units", attribute_units, attribute_size)
        self.edge_units = check_units("edge_units", edge_units, edge_size)
        self.gnf = bijectors.GNF(
            config.num_steps,
            2 * dimension,
            make_conditioner=functools.partial(
                _make_conditioner, config, self.attribute_units, self.edge_units
            ),
            coupling=bijectors.VectorAffine(),
            normalization=None,
            conditional_size=attribute_size,
            edge_size=edge_size,
            memory=config.memory,
        )
        signature = graphs.specs(sample_graph(dimension + attribute_size, edge_size, 0))
        seed = tf.TensorSpec([2], tf.int32)
        self._log_prob = tf.function(
            self.__call__, input_signature=[signature, seed], autograph=False
        )
        joint = graphs.specs(sample_graph(2 * dimension, edge_size, 0))
        attributes = tf.TensorSpec([None, attribute_size], tf.float32)
        self._to_data = tf.function(
            self._positions, input_signature=[joint, attributes], autograph=False
        )

    @classmethod
    def for_data(
        cls, train: GraphsTuple, dimension: int = 3, config: PositionConfig | None = None
    ) -> Self:
        """Makes a model for graphs with the widths of `train`, and the size of their positions.

        Attributes and edge features that have values beyond 10 in size are standardized.

        Args:
          train: the training graphs; their nodes have positions in the first `dimension` columns.
            `datasets.Molecules.position_graph` makes them of molecules.
          dimension: number of coordinates of a position.
          config: sizes and choices.

        Raises:
          ValueError: if `train` has no graph or is something else, its nodes are narrower than
            `dimension`, or all its nodes are at the mean position of their graph, or near the
            limits of float32.
        """
        options.check_argument("dimension", options.Count, dimension)
        if isinstance(train, datasets.Molecules):
            raise ValueError("`train` must be graphs, such as `position_graph` of these Molecules")
        whole = datasets.GraphRows(train).whole
        node_size, edge_size = whole.nodes.shape[1], whole.edges.shape[1]
        if node_size < dimension:
            raise ValueError(
                f"the nodes must be at least {dimension} wide, to begin with positions, "
                f"got {node_size}"
            )
        positions = whole.nodes[:, :dimension].astype(np.float64)
        deviations = (
            positions - graphs.mean_nodes(tf.constant(positions), flow_parts.tensors(whole)).numpy()
        )
        degrees = dimension * np.maximum(whole.n_node - 1, 0).sum()
        scale = math.sqrt(np.square(deviations).sum() / max(degrees, 1))
        if not scale:
            raise ValueError("`train` must have a graph of nodes at different positions, got none")
        check_scales({"the deviation of the positions": scale})
        units = units_of(whole.nodes[:, dimension:]), units_of(whole.edges)
        return cls(dimension, node_size - dimension, edge_size, scale, config, *units)

    def arguments(self) -> dict[str, Any]:
        """See `saving.Model.arguments`."""
        sizes = ("dimension", "attribute_size", "edge_size")
        names = (*sizes, "scale", "attribute_units", "edge_units")
        return {name: getattr(self, name) for name in names}

    def distribution(self, topology: GraphsTuple) -> tfp.distributions.TransformedDistribution:
        """Returns the density of [a, z] as a TFP distribution, z = x / scale.

        Its events are GraphsTuples with nodes [num_nodes, 2 d], up to translations. If there are
        attributes, its methods need `bijector_kwargs={"conditional_input": attributes}`.

        Args:
          topology: graphs that samples are drawn for; node features are ignored.

        Raises:
          ValueError: if `topology` is malformed.
        """
        topology = graphs.fill_missing(topology)
        nodes = tf.zeros([tf.shape(topology.nodes)[0], 2 * self.dimension])
        graph = topology.replace(nodes=nodes)
        return flow_parts.density(self.gnf, graph, distributions.PositionPrior)

    def __call__(self, graph: GraphsTuple, seed: seeds.Seed) -> tf.Tensor:
        """Returns log p(x, a) - log q(a) for one draw of a, [n_graphs] float32, in nats.

        Its expectation is at most log p(x). Maximize it to train the model.

        Args:
          graph: graphs with nodes [num_nodes, d + attribute_size].
          seed: seed of a, see `gnf_tf.seeds`.
        """
        joint, conditions = self.augmented(graph, seed)
        return self.log_ratio(joint, conditions)

    def log_ratio(self, joint: GraphsTuple, conditions: dict[str, Any]) -> tf.Tensor:
        """Returns log p(x, a) - log q(a) of given x and a, [n_graphs] float32, in nats.

        Args:
          joint: graphs with nodes [a, z], where z = x / scale has the mean 0 in each graph.
          conditions: arguments of the methods of `gnf`, see `augmented`.
        """
        log_prob = self.distribution(joint).log_prob(joint, bijector_kwargs=conditions)
        noise = joint.nodes[:, : self.dimension]
        log_noise = -0.5 * (tf.square(noise) + math.log(2.0 * math.pi))
        degrees = self.dimension * tf.maximum(joint.n_node - 1, 0)
        log_prob -= graphs.sum_nodes(tf.reduce_sum(log_noise, axis=-1), joint)
        return log_prob - math.log(self.scale) * tf.cast(degrees, log_prob.dtype)

    def augmented(self, graph: GraphsTuple, seed: seeds.Seed) -> tuple[GraphsTuple, dict[str, Any]]:
        """Returns [a, z] for one draw of a, and what `gnf` is conditioned on.

        Args:
          graph: graphs with nodes [num_nodes, d + attribute_size].
          seed: seed of a, see `gnf_tf.seeds`.

        Returns:
          joint: graphs with nodes [num_nodes, 2 d].
          conditions: arguments of the methods of `gnf`.

        Raises:
          ValueError: if `graph` is malformed or does not fit the model.
        """
        graph = graphs.fill_missing(graph)
        node_size = self.dimension + self.attribute_size
        graphs.validate(graph, node_size=node_size, edge_size=self.edge_size, dtype=tf.float32)
        positions, attributes = tf.split(
            graph.nodes, [self.dimension, self.attribute_size], axis=-1
        )
        positions = (positions - graphs.mean_nodes(positions, graph)) / self.scale
        nodes = tf.concat([seeds.normal(tf.shape(positions), seed), positions], axis=-1)
        joint = graph.replace(nodes=nodes, globals=graph.globals[:, :0])
        return joint, self._conditions(attributes)

    def log_prob(
        self, given: GraphsTuple, *, num_samples: int = 20, seed: seeds.Seed
    ) -> np.ndarray:
        """Returns estimates of the log-densities log p(x), [n_graphs] float32, in nats.

        With K = `num_samples` draws of a, the estimate is log (1/K) sum_k p(x, a_k) / q(a_k), whose
        expectation is a lower bound that rises to log p(x) with K (Burda, Grosse, Salakhutdinov,
        "Importance weighted autoencoders", ICLR 2016). The density is the same for turned, moved or
        renumbered positions, and so is the distribution of its estimates; two estimates differ, by
        their draws. It is -inf where float32 overflows, very far from the data.

        Args:
          given: any number of graphs.
          num_samples: K, at least 1.
          seed: seed of all a, see `gnf_tf.seeds`.

        Raises:
          ValueError: if `given` is malformed or does not fit the model, K is no whole number of at
            least 1, or weights are NaN.
        """
        options.check_argument("num_samples", options.Count, num_samples)
        rows = self.rows(given)
        result = np.zeros([len(rows)], np.float32)
        for i, chunk in enumerate(chunking.chunks(*rows.sizes.T)):
            graph = flow_parts.tensors(rows.graph(chunk))
            own = tf.random.fold_in(seeds.as_pair(seed), i)
            ratios = [self._log_prob(graph, tf.random.fold_in(own, k)) for k in range(num_samples)]
            each = flow_parts.no_overflow(np.stack(ratios), self)
            result[chunk] = tf.reduce_logsumexp(each, axis=0) - math.log(num_samples)
        return result

    def sample(self, topology: GraphsTuple, *, seed: seeds.Seed) -> GraphsTuple:
        """Returns `topology` with positions drawn from the density, whose mean in a graph is 0.

        Args:
          topology: any number of graphs; their positions are ignored, their attributes are kept.
          seed: see `gnf_tf.seeds`; the same seed draws the same positions.

        Raises:
          ValueError: if `topology` has no graph or does not fit the model.
        """
        rows = self.rows(topology)
        attributes = rows.whole.nodes[:, self.dimension :]
        latent = self.distribution(flow_parts.tensors(rows.whole)).distribution.sample(seed=seed)
        latent = datasets.GraphRows(latent)
        positions = np.zeros([len(attributes), self.dimension], np.float32)
        for chunk in chunking.chunks(*rows.sizes.T):
            nodes = rows.node_rows(chunk)
            made = self._to_data(
                flow_parts.tensors(latent.graph(chunk)), tf.constant(attributes[nodes])
            )
            positions[nodes] = made
        nodes = np.concatenate([positions, attributes], axis=-1)
        return flow_parts.tensors(rows.whole.replace(nodes=nodes))

    def rows(self, given: GraphsTuple) -> datasets.GraphRows:
        """Returns graphs as a data set, after validation.

        Raises:
          ValueError: if `given` is malformed or does not fit the model.
        """
        rows = datasets.GraphRows(given)
        widths = {"nodes": self.dimension + self.attribute_size, "edges": self.edge_size}
        for field, width in widths.items():
            values = getattr(rows.whole, field)
            if values.shape[1] != width:
                raise ValueError(f"{field} must be {width} wide, got {values.shape[1]}")
        rows.whole = rows.whole.replace(globals=np.zeros([len(rows), 0], np.float32))
        return rows

    def _conditions(self, attributes):
        return {"conditional_input": attributes if self.attribute_size else None}

    def _positions(self, latent, attributes):
        graph = self.gnf.inverse(latent, **self._conditions(attributes))
        positions = graph.nodes[:, self.dimension :]
        return self.scale * (positions - graphs.mean_nodes(positions, graph))


def _make_conditioner(config, attribute_units, edge_units, output_size):
    network = networks.PositionMessages(
        config.width, output_size, output_scale=0.1 / config.num_steps
    )
    if attribute_units is None and edge_units is None:
        return network
    return _InUnits(network, attribute_units, edge_units)


class _InUnits(snt.Module):
    """A network that gets attributes, the last columns of the nodes, and edges standardized."""

    def __init__(self, network, attribute_units, edge_units):
        super().__init__(name="in_units")
        self._network = network
        self._attribute_units, self._edge_units = attribute_units, edge_units

    def __call__(self, graph):
        size = 0 if self._attribute_units is None else self._attribute_units.shape[1]
        positions, attributes = tf.split(graph.nodes, [graph.nodes.shape[1] - size, size], axis=1)
        nodes = tf.concat([positions, in_units(attributes, self._attribute_units)], axis=1)
        return self._network(
            graph.replace(nodes=nodes, edges=in_units(graph.edges, self._edge_units))
        )
