"""Whole graphs in one feed-forward pass: node counts, a flow, a decoder (section 3.3)."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import networkx as nx
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from graph_nets.graphs import GraphsTuple

from gnf_tf import bijectors, distributions, graphs, networks, seeds
from gnf_tf.models import saving
from gnf_tf.models.auto_encoder import FlowAutoEncoder, GraphAutoEncoder

__all__ = ["GeneratorConfig", "GraphGenerator"]

_PAIRS = 2**20  # of nodes at a time, which bounds the memory of generating large or many graphs


@dataclasses.dataclass(frozen=True)
class GeneratorConfig:
    """The sizes of a `GraphGenerator`."""

    embedding_size: int = 14
    """width of the embeddings, even"""
    encoder: Literal["network", "flow"] = "network"
    """network: `GraphAutoEncoder`, the paper's; flow: `FlowAutoEncoder`, trained end to end"""
    directed: bool = False
    """edges have a direction"""
    encoder_width: int = 64
    """of the encoder's and the decoder's networks"""
    encoder_blocks: int = 6
    """attention blocks of the encoder's networks; of a flow, every second attends to all nodes"""
    encoder_steps: int = 4
    """steps of a flow encoder"""
    decoder_blocks: int = 0
    """attention blocks between all nodes, in front of equation 6; 0: none, the paper's decoder"""
    noise_variance: float | None = None
    """of the encoder's noise features; None: 0.3, and 1 / (2 embedding_size) for a flow encoder"""
    temperature: float = 10.0
    """C of the decoder, equation 6"""
    num_steps: int = 6
    """steps of the flow over embeddings"""
    width: int = 64
    """of its networks"""
    num_blocks: int = 1
    """attention blocks of its networks"""
    num_heads: int = 4
    """of all attention"""
    coupling: Literal["affine", "spline"] = "affine"
    """of all flows"""
    num_bins: int = 8
    """of the splines"""


class GraphGenerator(saving.Model):
    """An auto-encoder, a GNF over its embeddings, and the sizes of the graphs it was trained on.

    A graph is generated as

        N ~ the training graphs' node counts,   Z ~ N(0, I) [N, embedding_size]
        X = gnf.inverse(Z) on the fully connected topology
        edges where equation 6 has p > 1/2, or drawn with that probability

        generator = GraphGenerator.load(path)
        generator.generate(1024, seed=0)                             # list of networkx graphs
    """

    config_class = GeneratorConfig

    def __init__(
        self,
        n_node: Sequence[int],
        config: GeneratorConfig = GeneratorConfig(),
        *,
        max_num_nodes: int | None = None,
        name: str = "generator",
    ):
        """Makes the parts and their variables; they are trained from outside.

        Args:
          n_node: node counts of the training graphs, each at least 1.
          config: sizes.
          max_num_nodes: of the largest graph to encode or generate; default: the largest of
            `n_node`. A larger graph is an error; compiled by XLA, its results are NaN.
          name: as tf.Module.

        Raises:
          ValueError: for node counts that are none or below 1, or a size out of its range.
        """
        super().__init__(name=name)
        sizes = np.asarray(n_node)
        if sizes.ndim != 1 or not sizes.size or sizes.dtype.kind not in "iu" or sizes.min() < 1:
            raise ValueError(f"`n_node` must be whole numbers of at least 1, got {n_node!r}")
        self.config = config
        self.n_node = sizes.astype(np.int32)
        self.max_num_nodes = int(sizes.max() if max_num_nodes is None else max_num_nodes)
        if self.max_num_nodes < sizes.max():
            raise ValueError(
                f"`max_num_nodes` must be at least {sizes.max()}, the largest of `n_node`, "
                f"got {max_num_nodes}"
            )
        shared = {
            "make_decoder": self._make_decoder if config.decoder_blocks else None,
            "directed": config.directed,
            "temperature": config.temperature,
        }
        if config.encoder == "flow":
            self.auto_encoder = FlowAutoEncoder(
                config.embedding_size,
                self.max_num_nodes,
                make_flow=self._make_encoder_flow,
                noise_variance=config.noise_variance,
                **shared,
            )
        elif config.encoder == "network":
            self.auto_encoder = GraphAutoEncoder(
                config.embedding_size,
                self.max_num_nodes,
                make_encoder=self._make_encoder,
                noise_variance=0.3 if config.noise_variance is None else config.noise_variance,
                **shared,
            )
        else:
            raise ValueError(f"`encoder` must be 'network' or 'flow', got {config.encoder!r}")
        self.gnf = self._flow(
            config.num_steps,
            config.embedding_size,
            lambda output_size: networks.GraphTransformer(
                config.width,
                output_size,
                num_heads=config.num_heads,
                num_blocks=config.num_blocks,
                fully_connected=True,
                max_num_nodes=self.max_num_nodes,
            ),
            mean_scaling=True,
            name="gnf",
        )
        sample = self.auto_encoder.encode(graphs.fully_connected([2], 0), seed=0)
        self.auto_encoder.edge_logits(sample)  # makes the last variables

    def _make_encoder(self, output_size):
        return networks.GraphTransformer(
            self.config.encoder_width,
            output_size,
            num_heads=self.config.num_heads,
            num_blocks=self.config.encoder_blocks,
            output_scale=0.3,
            max_num_nodes=self.max_num_nodes,
        )

    def _make_decoder(self, output_size):
        return networks.GraphTransformer(
            self.config.encoder_width,
            output_size,
            num_heads=self.config.num_heads,
            num_blocks=self.config.decoder_blocks,
            output_scale=0.1,
            fully_connected=True,
            max_num_nodes=self.max_num_nodes,
        )

    def _make_encoder_flow(self, node_size):
        def make_conditioner(output_size):
            return networks.GraphTransformer(
                self.config.encoder_width,
                output_size,
                num_heads=self.config.num_heads,
                num_blocks=self.config.encoder_blocks,
                fully_connected=[i % 2 == 1 for i in range(self.config.encoder_blocks)],
                max_num_nodes=self.max_num_nodes,
            )

        return self._flow(self.config.encoder_steps, node_size, make_conditioner, name="encoder")

    def _flow(self, num_steps, node_size, make_conditioner, **options):
        is_spline = self.config.coupling == "spline"
        return bijectors.GNF(
            num_steps,
            node_size,
            make_conditioner=make_conditioner,
            coupling=bijectors.Spline(self.config.num_bins) if is_spline else self.config.coupling,
            normalization="act_norm",
            mixing=True,
            memory="stored",  # the graphs are small, and storing is faster
            **options,
        )

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

    def log_prob(self, graph: GraphsTuple, *, seed: seeds.Seed = 0) -> tf.Tensor:
        """log p(X) of graphs' embeddings, X encoded with noise from `seed`: [n_graphs], in nats.

        Args and errors are those of `GraphAutoEncoder.encode`.
        """
        return self.embedding_log_prob(self.auto_encoder.encode(graph, seed=seed))

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
          ValueError: if not just one of `num_graphs` and `n_node` is given, or for a number out
            of its range.
        """
        if (num_graphs is None) == (n_node is None):
            raise ValueError(
                f"one of `num_graphs` and `n_node` must be given, got {num_graphs} and {n_node}"
            )
        if n_node is None:
            if num_graphs < 1:
                raise ValueError(f"`num_graphs` must be at least 1, got {num_graphs}")
            n_node = seeds.generator(seed).choice(self.n_node, num_graphs)
        if draw_edges is None:
            draw_edges = self.config.encoder == "flow"
        sizes = self._checked_sizes(n_node)
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
        return {"n_node": self.n_node, "max_num_nodes": self.max_num_nodes}


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
