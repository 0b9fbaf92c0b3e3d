"""Whole graphs in one feed-forward pass: node counts, a flow, a decoder (section 3.3)."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Self, TypeAlias, get_args

import networkx as nx
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from graph_nets.graphs import GraphsTuple

from gnf_tf import datasets, distributions, graphs, seeds
from gnf_tf.models import saving
from gnf_tf.models.auto_encoder import FlowAutoEncoder
from gnf_tf.models.generator_parts import GeneratorConfig, make_auto_encoder, make_gnf

__all__ = ["GeneratorConfig", "GraphGenerator", "Stage"]

Graphs: TypeAlias = Sequence[nx.Graph] | GraphsTuple
Stage = Literal["auto_encoder", "flow", "end_to_end"]

_DEFAULT = GeneratorConfig()
_PAIRS = 2**20  # of nodes at a time, which bounds the memory of generating large or many graphs


class GraphGenerator(saving.Model):
    """An auto-encoder, a GNF over its embeddings, and the sizes of the graphs it was trained on.

    A graph is generated as

        N ~ the training graphs' node counts,   Z ~ N(0, I) [N, embedding_size]
        X = gnf.inverse(Z) on the fully connected topology
        edges where equation 6 has p > 1/2, or drawn with that probability

        generator = GraphGenerator.for_data(graphs)
        gnf_tf.training.fit(generator, graphs, epochs=20)
        generator.generate(1024, seed=0)                             # list of networkx graphs

    Attributes:
      n_node: [num_graphs] node counts of the training graphs.
      max_num_nodes: of the largest graph to encode or generate.
      stage: what training trained last; None: nothing yet, or a file of an older format.
    """

    config_class = GeneratorConfig

    def __init__(
        self,
        n_node: Sequence[int],
        config: GeneratorConfig = _DEFAULT,
        *,
        max_num_nodes: int | None = None,
        stage: Stage | None = None,
        name: str = "generator",
    ):
        """Makes the parts and their variables; `for_data` takes the node counts from graphs.

        Args:
          n_node: node counts of the training graphs, each at least 1.
          config: sizes.
          max_num_nodes: of the largest graph to encode or generate; default: the largest of
            `n_node`. A larger graph is an error; compiled by XLA, its results are NaN.
          stage: see the attribute.
          name: as tf.Module.

        Raises:
          ValueError: for node counts that are none or below 1, a size out of its range, or an
            unknown stage.
        """
        super().__init__(name=name)
        sizes = np.asarray(n_node)
        if sizes.ndim != 1 or not sizes.size or sizes.dtype.kind not in "iu" or sizes.min() < 1:
            raise ValueError(f"`n_node` must be whole numbers of at least 1, got {n_node!r}")
        if stage not in (None, *get_args(Stage)):
            raise ValueError(f"`stage` must be one of {get_args(Stage)} or None, got {stage!r}")
        self.config, self.stage = config, stage
        self.n_node = sizes.astype(np.int32)
        self.max_num_nodes = int(sizes.max() if max_num_nodes is None else max_num_nodes)
        if self.max_num_nodes < sizes.max():
            raise ValueError(
                f"`max_num_nodes` must be at least {sizes.max()}, the largest of `n_node`, "
                f"got {max_num_nodes}"
            )
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
        """A new generator for graphs of the sizes of these, of which it keeps no more.

        Args:
          graphs: the training graphs: networkx graphs, or a GraphsTuple.
          config: sizes.
          max_num_nodes: see the constructor; more than the default where other graphs are larger.

        Raises:
          TypeError: for a single graph, or what is none.
          ValueError: if there is no graph, one without nodes, or a directed one that `config` does
            not allow; or for `max_num_nodes` below the largest graph.
        """
        n_node = _topologies(graphs, config.directed).n_node
        return cls(n_node, config, max_num_nodes=max_num_nodes)

    def topologies(self, graphs: Graphs) -> datasets.Topologies:
        """Graphs as a data set, which can be batched, where this generator can encode them.

        Args:
          graphs: networkx graphs, or a GraphsTuple, whose features don't matter.

        Raises:
          TypeError: for a single graph, or what is none.
          ValueError: as `for_data`, or if a graph has more than `max_num_nodes` nodes.
        """
        found = _topologies(graphs, self.config.directed)
        for i, size in enumerate(found.n_node):
            if size > self.max_num_nodes:
                raise ValueError(
                    f"graph {i} of `graphs` has {size} nodes, more than the generator's "
                    f"`max_num_nodes`, {self.max_num_nodes}"
                )
        return found

    def initialize(self, graph: GraphsTuple, *, seed: seeds.Seed = 0) -> None:
        """Data-dependent initialisation of the flow over embeddings, from some training graphs."""
        self.gnf.initialize(self.auto_encoder.encode(graph, seed=seed))

    def embedding_log_prob(self, graph: GraphsTuple) -> tf.Tensor:
        """log p(X) of embeddings, the node features of `graph`: [n_graphs], in nats.

        Raises:
          ValueError: as `GraphAutoEncoder.encode`.
        """
        graph = self.auto_encoder.checked(graph, self.config.embedding_size)
        # The flow is over embeddings alone, and its networks would see other features.
        graph = graph.replace(edges=graph.edges[:, :0], globals=graph.globals[:, :0])
        prior = distributions.NodePrior(graph)
        return tfp.distributions.TransformedDistribution(
            prior, tfp.bijectors.Invert(self.gnf)
        ).log_prob(graph)

    def log_prob(self, graph: Graphs, *, seed: seeds.Seed = 0) -> tf.Tensor:
        """log p(X) of graphs' embeddings, X encoded with noise from `seed`: [n_graphs], in nats.

        Args:
          graph: networkx graphs, any number, evaluated a few at a time; or a GraphsTuple.
          seed: see `GraphAutoEncoder.encode`.

        Raises:
          ValueError: as `topologies`, for networkx graphs; as `GraphAutoEncoder.encode`, for a
            GraphsTuple; or if only the auto-encoder was trained.
        """
        self._check_flow()

        def evaluate(graph, **noise):
            return self.embedding_log_prob(self.auto_encoder.encode(graph, **noise))

        return self._of_each(graph, seed, evaluate)

    def elbo(self, graph: Graphs, *, seed: seeds.Seed = 0) -> tf.Tensor:
        """[n_graphs], in nats: of each graph a lower bound of log p(edges), in expectation,

            log p(edges | X) + log p(X) - log q(X | edges),   one X drawn from q(X | edges)

        the evidence lower bound, which end-to-end training makes large. Use `log_prob` where the
        encoder is a network: q then has no density, and embeddings alone have a likelihood.

        Args:
          graph: as `log_prob`.
          seed: as `log_prob`.

        Raises:
          ValueError: as `log_prob`, or if the encoder is not a flow.
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
        """How well the auto-encoder encodes and decodes graphs; low for graphs like those it knows.

        Args:
          graph: as `log_prob`.
          seed: of the noise.

        Returns:
          [n_graphs] each: the cross entropy of the edges, summed over pairs of nodes, in nats; and
          how many pairs are decoded wrong where the likelier of edge and none is taken.

        Raises:
          ValueError: as `log_prob`, but for the last.
        """

        def evaluate(graph, **noise):
            embedded = self.auto_encoder.encode(graph, **noise)
            parts = (self.auto_encoder.cross_entropy, self.auto_encoder.wrong_edges)
            return tf.stack([part(embedded) for part in parts], axis=1)

        return tuple(tf.unstack(self._of_each(graph, seed, evaluate, width=(2,)), axis=1))

    def _of_each(
        self,
        members: Graphs,
        seed: seeds.Seed,
        function: Callable[..., tf.Tensor],
        width: tuple[int, ...] = (),
    ) -> tf.Tensor:
        """`function(graph, seed=seed)`; of a list a few at a time, with the same noise."""
        if isinstance(members, GraphsTuple):
            return function(members, seed=seed)
        if not isinstance(members, nx.Graph) and not len(members := list(members)):
            return tf.zeros([0, *width])
        found = self.topologies(members)
        noise = self.auto_encoder.draw_noise(found.n_node.sum(), seed=seed)
        of_graph = np.split(np.arange(len(noise)), np.cumsum(found.n_node)[:-1])
        order, values = [], []
        for rows in _chunks(found.n_node):
            nodes = np.concatenate([of_graph[row] for row in rows])
            values.append(function(found.graph(rows), noise=tf.gather(noise, nodes)))
            order.append(rows)
        return tf.gather(tf.concat(values, axis=0), np.argsort(np.concatenate(order)))

    def _check_flow(self):
        if self.stage == "auto_encoder":
            raise ValueError(
                "of this generator only the auto-encoder was trained, and the flow would make "
                'noise: go on with gnf_tf.training.fit(..., stage="flow")'
            )

    def sample_embeddings(self, n_node: Sequence[int], *, seed: seeds.Seed) -> GraphsTuple:
        """Embeddings for graphs of these sizes, on edgeless graphs: the networks attend to all.

        Args:
          n_node: the sizes.
          seed: a whole number, or a pair of int32, see `gnf_tf.seeds`.

        Raises:
          ValueError: if a size is below 1 or above `max_num_nodes`.
        """
        topology = graphs.edgeless(self._checked_sizes(n_node), self.config.embedding_size)
        prior = distributions.NodePrior(topology)
        flow = tfp.distributions.TransformedDistribution(prior, tfp.bijectors.Invert(self.gnf))
        return flow.sample(seed=seed)

    def _checked_sizes(self, n_node):
        sizes = np.asarray(n_node)
        if not sizes.size or sizes.min() < 1 or sizes.max() > self.max_num_nodes:
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
    ) -> list[nx.Graph]:
        """New graphs; the same seed gives the same ones.

        Args:
          num_graphs: how many, their sizes drawn from the training graphs'.
          n_node: or the size of each.
          seed: of sizes, embeddings and edges.
          draw_edges: draw each edge with its probability, and not just where it is above 1/2.
            Default: where the encoder is a flow, since its decoder is trained as a probability.

        Raises:
          ValueError: if not just one of `num_graphs` and `n_node` is given, for a number out of
            its range, or if only the auto-encoder was trained.
        """
        self._check_flow()
        if (num_graphs is None) == (n_node is None):
            raise ValueError(
                f"one of `num_graphs` and `n_node` must be given, got {num_graphs} and {n_node}"
            )
        wanted: Any = n_node
        if num_graphs is not None:
            if num_graphs < 1:
                raise ValueError(f"`num_graphs` must be at least 1, got {num_graphs}")
            wanted = seeds.generator(seed).choice(self.n_node, num_graphs)
        if draw_edges is None:
            draw_edges = self.config.encoder == "flow"
        sizes = self._checked_sizes(wanted)
        generated: dict[int, nx.Graph] = {}
        for i, rows in enumerate(_chunks(sizes)):
            pair = tf.random.split(tf.random.fold_in(seeds.as_pair(seed), i), 2)
            embedded = self.sample_embeddings(sizes[rows], seed=pair[0])
            decoded = self.auto_encoder.decode(embedded, seed=pair[1] if draw_edges else None)
            made = _to_simple_graphs(decoded, self.config.directed)
            generated.update(zip(rows.tolist(), made, strict=True))
        return [generated[row] for row in range(len(sizes))]

    def arguments(self) -> dict[str, Any]:
        """See `saving.Model.arguments`."""
        return {name: getattr(self, name) for name in ("n_node", "max_num_nodes", "stage")}


def _topologies(members, directed):
    """See `GraphGenerator.topologies`."""
    if isinstance(members, nx.Graph):
        raise TypeError("`graphs` must be a sequence of networkx graphs, got a single one: [graph]")
    if isinstance(members, GraphsTuple):
        # An auto-encoder takes an edge either way for one, unless it is directed.
        nodes = np.zeros([sum(members.n_node), 0], np.float32)
        members = members.replace(nodes=nodes, edges=None, globals=None)
        members, directed = graphs.to_networkx(graphs.fill_missing(members)), True
    members = list(members)
    if not members:
        raise ValueError("`graphs` must hold at least one graph, got none")
    for i, graph in enumerate(members):
        if not isinstance(graph, nx.Graph):
            raise TypeError(f"graph {i} of `graphs` must be a networkx graph, got {graph!r:.80}")
        if not len(graph):
            raise ValueError(f"graph {i} of `graphs` has no nodes")
        if graph.is_directed() and not directed:
            raise ValueError(
                f"graph {i} of `graphs` is directed, which the generator isn't: its configuration "
                "must have `directed`, or the graph go through networkx's to_undirected"
            )
    return datasets.Topologies(members)


def _chunks(sizes):
    """Which graphs are made at a time: of like size, and with `_PAIRS` of nodes at most."""
    order = np.argsort(sizes, kind="stable")
    while order.size:
        pairs = np.arange(1, order.size + 1) * sizes[order].astype(np.int64) ** 2
        count = max(1, np.searchsorted(pairs, _PAIRS, side="right"))
        yield order[:count]
        order = order[count:]


def _to_simple_graphs(graph, directed):
    """networkx graphs of the topology alone, nodes 0 ... n - 1."""
    make = nx.DiGraph if directed else nx.Graph
    node_ends, edge_ends = np.cumsum(graph.n_node), np.cumsum(graph.n_edge)
    pairs = np.stack([graph.senders.numpy(), graph.receivers.numpy()], axis=1)
    made = []
    for n_node, node_end, n_edge, edge_end in zip(
        graph.n_node.numpy(), node_ends, graph.n_edge.numpy(), edge_ends, strict=True
    ):
        one = make()
        one.add_nodes_from(range(n_node))
        one.add_edges_from((pairs[edge_end - n_edge : edge_end] - (node_end - n_node)).tolist())
        made.append(one)
    return made
