"""Generation of whole graphs in one feed-forward pass (section 3.3)."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Self, TypeAlias, get_args

import networkx as nx
import numpy as np
import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import datasets, graphs, options, seeds
from gnf_tf.datasets.graph_rows import topologies_of
from gnf_tf.graphs.structure import whole_sizes
from gnf_tf.models import chunking, flow_parts, saving
from gnf_tf.models.decoding import (
    Constraint,
    ConstraintName,
    as_constraint,
    check_known,
    simple_graphs,
)
from gnf_tf.models.flow_auto_encoder import FlowAutoEncoder
from gnf_tf.models.generator_parts import GeneratorConfig, make_auto_encoder, make_gnf

__all__ = ["GeneratorConfig", "GraphGenerator", "Stage"]

Graphs: TypeAlias = Sequence[nx.Graph] | GraphsTuple
Stage = Literal["auto_encoder", "flow", "end_to_end"]

_DEFAULT = GeneratorConfig()


class GraphGenerator(saving.Model):
    """A generative model of graphs: an auto-encoder, and a GNF over its embeddings.

    A graph is generated in one feed-forward pass:

        N ~ node counts of the training graphs,   Z ~ N(0, I)      [N, embedding_size]
        X = gnf.inverse(Z) on the fully connected topology         [N, embedding_size]
        each edge with p > 1/2, or drawn with probability p, from equation 6

    Which of the two gives graphs nearer to the training graphs is found at the end of training,
    unless `config.draw_edges` decides. With `config.constraint`, such as planarity, edges that
    would violate it are replaced by the next probable ones, and with `config.connected`, parts of a
    graph are joined by the most probable ones.

    Training has two stages for the encoder "network" and one for the encoder "flow", see
    `gnf_tf.training.GeneratorObjective`.

        generator = GraphGenerator.for_data(graphs)
        gnf_tf.training.fit(generator, graphs, epochs=20)
        generator.generate(1024, seed=0)                             # list of networkx graphs

    Use `GraphDensity` for node features of graphs whose edges are given.

    Attributes:
      config: sizes and choices.
      n_node: [num_graphs] int32, node counts of the training graphs.
      max_num_nodes: largest number of nodes of a graph that can be encoded or generated.
      stage: the stage that was trained last; None if none was, or in files of an older format.
      draws_edges: whether training found drawn edges better; None if it did not compare them.
      auto_encoder: the `GraphAutoEncoder`, for the encoder "flow" a `FlowAutoEncoder`.
      gnf: the flow over embeddings.
    """

    config_class = GeneratorConfig
    found_arguments = ("stage", "draws_edges")

    def __init__(
        self,
        n_node: Sequence[int] | np.ndarray,
        config: GeneratorConfig = _DEFAULT,
        *,
        max_num_nodes: int | None = None,
        stage: Stage | None = None,
        draws_edges: bool | None = None,
        name: str = "generator",
    ):
        """Makes the parts and their variables; `for_data` derives `n_node` from graphs.

        Args:
          n_node: node counts of the training graphs, each at least 1.
          config: sizes and choices.
          max_num_nodes: largest number of nodes of a graph to encode or generate; default: the
            largest of `n_node`; at least 2. A larger graph is an error; under XLA its results are
            NaN.
          stage: the stage that was trained last.
          draws_edges: whether generated edges are drawn where `config.draw_edges` is None.
          name: name of the module.

        Raises:
          ValueError: if `n_node` is empty or has a count below 1, or another argument is out of its
            range.
        """
        super().__init__(name=name)
        sizes = whole_sizes(n_node, 1)
        options.check_argument("max_num_nodes", options.Count | None, max_num_nodes)
        if stage not in (None, *get_args(Stage)):
            raise ValueError(f"`stage` must be one of {get_args(Stage)} or None, got {stage!r}")
        options.check_argument("draws_edges", bool | None, draws_edges)
        self.config = config = self.checked_config(config)
        self.stage = stage
        self.draws_edges = draws_edges
        self.n_node = sizes.astype(np.int32)
        self.max_num_nodes = int(sizes.max() if max_num_nodes is None else max_num_nodes)
        if self.max_num_nodes < sizes.max():
            raise ValueError(
                f"`max_num_nodes` must be at least {sizes.max()}, the largest of `n_node`, "
                f"got {max_num_nodes}"
            )
        if self.max_num_nodes < 2:
            raise ValueError("the largest graph must have at least 2 nodes, got graphs of 1 node")
        self.auto_encoder = make_auto_encoder(config, self.max_num_nodes)
        self.gnf = make_gnf(config, self.max_num_nodes)
        sample = self.auto_encoder.encode(graphs.fully_connected([2], 0), seed=0)
        self.auto_encoder.edge_logits(sample)  # makes the last variables

    @classmethod
    def for_data(
        cls,
        graphs: Graphs,
        config: GeneratorConfig = _DEFAULT,
        *,
        max_num_nodes: int | None = None,
    ) -> Self:
        """Makes a generator for the node counts of `graphs`, and keeps nothing else of them.

        Args:
          graphs: the training graphs: networkx graphs, or a GraphsTuple.
          config: sizes and choices.
          max_num_nodes: see the constructor; needed if other graphs are larger.

        Raises:
          TypeError: if `graphs` is a single graph, or has an element that is not a graph.
          ValueError: if `graphs` is empty, has a graph without nodes, or has a directed graph and
            `config.directed` is False, or one that lacks what `config` demands; or if
            `max_num_nodes` is below the largest graph.
        """
        found = topologies_of(graphs, config.directed)
        check_known(found, config.constraint, connected=config.connected, directed=config.directed)
        return cls(found.n_node, config, max_num_nodes=max_num_nodes)

    def topologies(self, graphs: Graphs) -> datasets.Topologies:
        """Returns graphs as a data set that can be batched, after checking that they fit.

        Args:
          graphs: networkx graphs, or a GraphsTuple; features are ignored.

        Raises:
          TypeError: if `graphs` is a single graph, or has an element that is not a graph.
          ValueError: as for `for_data`, or if a graph has more than `max_num_nodes` nodes.
        """
        found = topologies_of(graphs, self.config.directed)
        for i, size in enumerate(found.n_node):
            if size > self.max_num_nodes:
                raise ValueError(
                    f"graph {i} of `graphs` has {size} nodes, more than the generator's "
                    f"`max_num_nodes`, {self.max_num_nodes}"
                )
        return found

    def initialize(self, graph: GraphsTuple, *, seed: seeds.Seed = 0) -> None:
        """Initializes the flow over embeddings from data, see `GNF.initialize`.

        Args:
          graph: some training graphs.
          seed: seed of the encoder's noise.
        """
        self.gnf.initialize(self.auto_encoder.encode(graph, seed=seed))

    def embedding_log_prob(self, graph: GraphsTuple) -> tf.Tensor:
        """Returns log p(X) of embeddings X, [n_graphs], in nats.

        Args:
          graph: graphs with embeddings [num_nodes, embedding_size] as node features.

        Raises:
          ValueError: see `GraphAutoEncoder.encode`.
        """
        graph = self.auto_encoder.checked(graph, self.config.embedding_size)
        # The flow's networks must not get edge features and globals.
        graph = graph.replace(edges=graph.edges[:, :0], globals=graph.globals[:, :0])
        return flow_parts.density(self.gnf, graph).log_prob(graph)

    def log_prob(self, graph: Graphs, *, seed: seeds.Seed = 0) -> tf.Tensor:
        """Returns log p(X) of the embeddings X of graphs, encoded with noise: [n_graphs], in nats.

        This is a density of embeddings, not of edges; `elbo` bounds the log-likelihood of edges.

        Args:
          graph: networkx graphs, any number, which are evaluated a few at a time; or a GraphsTuple.
          seed: seed of the encoder's noise, which is another one under XLA, see `gnf_tf.seeds`.

        Raises:
          TypeError: if `graph` or `seed` has another type.
          ValueError: as for `topologies` if `graph` has networkx graphs, else as for
            `GraphAutoEncoder.encode`; or if only the auto-encoder was trained.
        """
        self._check_flow()

        def evaluate(graph, **noise):
            return self.embedding_log_prob(self.auto_encoder.encode(graph, **noise))

        return self._of_each(graph, seed, evaluate)

    def elbo(self, graph: Graphs, *, seed: seeds.Seed = 0) -> tf.Tensor:
        """Returns a lower bound of log p(edges), in expectation over `seed`: [n_graphs], in nats.

        With one X drawn from the encoder's density q(X | edges), it is

            log p(edges | X) + log p(X) - log q(X | edges)

        End-to-end training maximizes it. An encoder that is a network has no density q; use
        `log_prob`, the density of the embeddings alone, there.

        Args:
          graph: networkx graphs, any number, which are evaluated a few at a time; or a GraphsTuple.
          seed: see `log_prob`.

        Raises:
          TypeError, ValueError: as for `log_prob`, or if the encoder is not a flow.
        """
        self._check_flow()
        encoder = self.auto_encoder
        if not isinstance(encoder, FlowAutoEncoder):
            raise ValueError(
                "`elbo` needs a generator whose `config.encoder` is 'flow', got "
                f"{self.config.encoder!r}; its graphs' embeddings have a `log_prob`"
            )

        def evaluate(graph, **noise):
            embedded, log_q = encoder.encode_and_log_prob(graph, **noise)
            return self.embedding_log_prob(embedded) - log_q - encoder.cross_entropy(embedded)

        return self._of_each(graph, seed, evaluate)

    def reconstruction(self, graph: Graphs, *, seed: seeds.Seed = 0) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns errors of the auto-encoder for each graph.

        Both errors are low for graphs that resemble the training graphs.

        Args:
          graph: networkx graphs, any number, which are evaluated a few at a time; or a GraphsTuple.
          seed: seed of the encoder's noise.

        Returns:
          (cross entropy of the edges, summed over pairs of nodes, in nats; number of pairs that
          `GraphAutoEncoder.decode` without a seed gets wrong), [n_graphs] each.

        Raises:
          TypeError: if `graph` or `seed` has another type.
          ValueError: as for `topologies` if `graph` has networkx graphs, else as for
            `GraphAutoEncoder.encode`.
        """

        def evaluate(graph, **noise):
            embedded = self.auto_encoder.encode(graph, **noise)
            parts = (self.auto_encoder.cross_entropy, self.auto_encoder.wrong_edges)
            return tf.stack([part(embedded) for part in parts], axis=1)

        return tuple(tf.unstack(self._of_each(graph, seed, evaluate, width=(2,)), axis=1))

    def decoded_encodings(self, graph: Graphs, *, seed: int = 0) -> list[nx.Graph]:
        """Encodes graphs and decodes their embeddings, as `generate` does with the flow's samples.

        `config.constraint` and `connected` are left out, since they would hide errors.

        Where these graphs resemble the given ones and generated graphs don't, the flow over
        embeddings is to blame; where they don't, the auto-encoder is.

        Args:
          graph: networkx graphs, or a GraphsTuple, which are all encoded at once.
          seed: seed of the encoder's noise, and of the edges if `generate` draws them by default.
        """
        found = self.topologies(graph)
        whole = graphs.fill_missing(found.graph(np.arange(len(found))))
        of_noise, of_edges = tf.unstack(tf.random.split(seeds.as_pair(seed), 2))
        return self._decoded(self.auto_encoder.encode(whole, seed=of_noise), of_edges)

    def _decoded(self, embedded, seed, draw_edges=None, **demanded):
        by_default = self.config.encoder == "flow" or self.config.embedding_noise > 0.0
        choices = (draw_edges, self.config.draw_edges, self.draws_edges, by_default)
        is_drawn = next(choice for choice in choices if choice is not None)
        seed = seed if is_drawn else None
        decoded = self.auto_encoder.decode(embedded, seed=seed, **demanded)
        return simple_graphs(decoded, self.config.directed)

    def _of_each(
        self,
        members: Graphs,
        seed: seeds.Seed,
        function: Callable[..., tf.Tensor],
        width: tuple[int, ...] = (),
    ) -> tf.Tensor:
        """Returns `function(graph, seed=seed)`; networkx graphs are evaluated a few at a time.

        Their noise is drawn for all graphs at once, so that it does not depend on the chunks, and
        `function` gets it as `noise` in place of the seed.
        """
        if isinstance(members, GraphsTuple):
            return function(members, seed=seed)
        if isinstance(members, list | tuple) and not members:
            return tf.zeros([0, *width])
        found = self.topologies(members)
        noise = self.auto_encoder.draw_noise(found.n_node.sum(), seed=seed)
        of_graph = np.split(np.arange(len(noise)), np.cumsum(found.n_node)[:-1])
        order, values = [], []
        for rows in chunking.chunks(found.n_node):
            nodes = np.concatenate([of_graph[row] for row in rows])
            values.append(function(found.graph(rows), noise=tf.gather(noise, nodes)))
            order.append(rows)
        return tf.gather(tf.concat(values, axis=0), np.argsort(np.concatenate(order)))

    def _check_flow(self):
        if self.stage == "auto_encoder":
            raise ValueError(
                "only the auto-encoder was trained of this generator, or after its flow, which so "
                'does not fit; continue with gnf_tf.training.fit(..., stage="flow")'
            )

    def sample_embeddings(self, n_node: Sequence[int], *, seed: seeds.Seed) -> GraphsTuple:
        """Draws embeddings X from the flow, as node features of graphs without edges.

        Args:
          n_node: number of nodes of each graph, a sequence of whole numbers.
          seed: a whole number, or a pair of int32, see `gnf_tf.seeds`.

        Raises:
          ValueError: if `n_node` is no such sequence, or a number is below 1 or above
            `max_num_nodes`.
        """
        topology = graphs.edgeless(self._checked_sizes(n_node), self.config.embedding_size)
        return flow_parts.density(self.gnf, topology).sample(seed=seed)

    def _checked_sizes(self, n_node):
        sizes = whole_sizes(n_node, 1)
        if sizes.max() > self.max_num_nodes:
            raise ValueError(
                f"`n_node` must be from 1 to {self.max_num_nodes}, the generator's "
                f"`max_num_nodes`, got {n_node!r}"
            )
        return sizes

    def generate(
        self,
        num_graphs: int | None = None,
        n_node: Sequence[int] | None = None,
        *,
        seed: int,
        draw_edges: bool | None = None,
        constraint: ConstraintName | Constraint | None = None,
        connected: bool | None = None,
    ) -> list[nx.Graph]:
        """Generates graphs.

        Args:
          num_graphs: number of graphs, whose node counts are drawn from `n_node` of the training
            graphs; exactly one of `num_graphs` and `n_node` must be given.
          n_node: number of nodes of each graph, a sequence of whole numbers.
          seed: seed of node counts, embeddings and edges; the same seed gives the same graphs.
          draw_edges: whether each edge is drawn with its probability p, or is present if p > 1/2;
            default: see `GeneratorConfig.draw_edges`.
          constraint: a property that all graphs keep, by name as in `GeneratorConfig.constraint`,
            or a function as in `GraphAutoEncoder.decode`; default: `config.constraint`.
          connected: whether all graphs are connected; default: `config.connected`.

        Raises:
          TypeError: if `seed` is no whole number.
          ValueError: if both or neither of `num_graphs` and `n_node` are given, an argument is of
            another type or out of its range, or only the auto-encoder was trained.
        """
        self._check_flow()
        if (num_graphs is None) == (n_node is None):
            raise ValueError(
                f"one of `num_graphs` and `n_node` must be given, got {num_graphs} and {n_node}"
            )
        options.check_argument("num_graphs", options.Count | None, num_graphs)
        options.check_argument("draw_edges", bool | None, draw_edges)
        options.check_argument("connected", bool | None, connected)
        config = self.config
        demanded = {
            "constraint": as_constraint(config.constraint if constraint is None else constraint),
            "connected": config.connected if connected is None else connected,
        }
        wanted: Any = n_node
        if num_graphs is not None:
            wanted = seeds.generator(seed).choice(self.n_node, num_graphs)
        sizes = self._checked_sizes(wanted)
        generated: dict[int, nx.Graph] = {}
        for i, rows in enumerate(chunking.chunks(sizes)):
            pair = tf.random.split(tf.random.fold_in(seeds.as_pair(seed), i), 2)
            embedded = self.sample_embeddings(sizes[rows], seed=pair[0])
            made = self._decoded(embedded, pair[1], draw_edges, **demanded)
            generated.update(zip(rows.tolist(), made, strict=True))
        return [generated[row] for row in range(len(sizes))]

    def arguments(self) -> dict[str, Any]:
        """See `saving.Model.arguments`."""
        names = ("n_node", "max_num_nodes", "stage", "draws_edges")
        return {name: getattr(self, name) for name in names}
