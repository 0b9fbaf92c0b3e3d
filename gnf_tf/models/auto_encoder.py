"""The graph auto-encoder: node embeddings from which the edges can be told (section 3.3)."""

import math
from collections.abc import Callable
from typing import Any

import sonnet as snt
import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import bijectors, graphs, networks, reversible, seeds
from gnf_tf.networks.conditioner import make_variables, sample_graph

__all__ = ["FlowAutoEncoder", "GraphAutoEncoder"]

Network = Callable[[GraphsTuple], GraphsTuple]


class GraphAutoEncoder(snt.Module):
    """Noise features, message passing along the edges, and edges back from distances.

        h_i ~ N(0, noise_variance I), redrawn at each encoding
        X = encoder(H, edges)                                        [num_nodes, embedding_size]
        Y = X, or X + decoder(X)
        p(i ~ j) = sigmoid(-temperature (|y_i - y_j|^2 - 1))         equation 6
        cross entropy = sum over pairs of nodes of a graph           equation 5

    The noise tells apart nodes that look alike, and the encoder is permutation equivariant: so is
    the distribution of X. A graph's embedding depends on nothing else in its batch. The paper's
    decoder has no network. One that sees all nodes at once can make much of small differences,
    which leaves the embeddings a simpler density.

    A directed auto-encoder splits each y in what a node is as a sender, s, and as a receiver, t,
    and has p(i -> j) = sigmoid(-temperature (|s_i - t_j|^2 - 1)). Self loops
    are ignored: of pairs of nodes only those of two nodes count.
    """

    def __init__(
        self,
        embedding_size: int,
        max_num_nodes: int,
        *,
        make_encoder: Callable[[int], Network] | None = None,
        make_decoder: Callable[[int], Network] | None = None,
        directed: bool = False,
        noise_variance: float = 0.3,
        temperature: float = 10.0,
        name: str | None = None,
    ):
        """Makes the networks; their variables are made at the first call.

        Args:
          embedding_size: width of the embeddings, even.
          max_num_nodes: of the largest graph; see `graphs.Blocks.of`.
          make_encoder: output width -> network GraphsTuple -> GraphsTuple, called once; default: a
            `GraphTransformer` of 6 blocks.
          make_decoder: output width -> network, called once, whose graphs' edges don't matter: it
            gets any. Default: none.
          directed: edges have a direction.
          noise_variance: of each noise feature, positive; the paper's 0.3.
          temperature: C of equation 6, positive; the paper's 10.
          name: as Sonnet.

        Raises:
          ValueError: for an argument out of its range.
        """
        super().__init__(name=name)
        if embedding_size < 2 or embedding_size % 2:
            raise ValueError(f"`embedding_size` must be even and positive, got {embedding_size}")
        if max_num_nodes < 1:
            raise ValueError(f"`max_num_nodes` must be at least 1, got {max_num_nodes}")
        for label, value in (("noise_variance", noise_variance), ("temperature", temperature)):
            if not value > 0.0:
                raise ValueError(f"`{label}` must be positive, got {value}")
        self.embedding_size = embedding_size
        self.max_num_nodes = max_num_nodes
        self.directed = directed
        self._noise_scale = math.sqrt(noise_variance)
        self._temperature = temperature
        self._encoder = (make_encoder or self._default_encoder)(embedding_size)
        self._decoder = None if make_decoder is None else make_decoder(embedding_size)
        for label, network in (("encoder", self._encoder), ("decoder", self._decoder)):
            if getattr(network, "takes_seed", False):
                raise ValueError(
                    f"`make_{label}` must give a network without dropout, for no seed reaches it "
                    "here; got one whose `takes_seed` is true"
                )

    @snt.once
    def _make_variables(self, dtype):
        """In the dtype of the first graph; and sees that they are tracked."""
        self._float_type = dtype
        sample = sample_graph(self.embedding_size, 0, 0, dtype)
        for label, network in (("encoder", self._encoder), ("decoder", self._decoder)):
            if network is not None and not isinstance(network, bijectors.GraphBijector):
                make_variables(
                    self, f"make_{label}", lambda f=network: f(sample).nodes, reversible=False
                )

    def _default_encoder(self, output_size: int) -> Network:
        return networks.GraphTransformer(
            64,
            output_size,
            num_heads=8,
            num_blocks=6,
            output_scale=0.3,
            max_num_nodes=self.max_num_nodes,
        )

    def checked(self, graph: GraphsTuple, node_size: int | None = None) -> GraphsTuple:
        """The graph as tensors.

        Raises:
          ValueError: if it is malformed, of another dtype than the weights, or of nodes that are
            not `node_size` wide; or holds a graph of more than `max_num_nodes` nodes, if eager.
        """
        graph = graphs.fill_missing(graph)
        self._make_variables(graph.nodes.dtype)
        graphs.validate(graph, node_size=node_size, dtype=self._float_type)
        sizes = tf.get_static_value(graph.n_node)
        if tf.executing_eagerly() and (sizes > self.max_num_nodes).any():
            if tf.reduce_any((graph.n_node > self.max_num_nodes) & (graph.n_edge == 0)):
                raise ValueError(
                    f"`max_num_nodes` must hold every graph, got {self.max_num_nodes} for sizes "
                    f"{sizes.tolist()} (`graphs.unpad` takes off padding)"
                )
            graphs.Blocks.of(graph, self.max_num_nodes)  # raises for all but padding
        return graph

    def draw_noise(
        self, num_nodes: int | tf.Tensor, *, seed: seeds.Seed, dtype: tf.DType = tf.float32
    ) -> tf.Tensor:
        """Standard normal features [num_nodes, embedding_size], for `encode`.

        Args:
          num_nodes: of all graphs.
          seed: a whole number, or a pair of int32, see `gnf_tf.seeds`.
          dtype: that of the weights.
        """
        shape = [num_nodes, self.embedding_size]
        return tf.random.stateless_normal(shape, seeds.as_pair(seed), dtype=dtype)

    def _noise(self, graph, seed, noise):
        """Standard normal node features on the topologies as the encoder is to see them."""
        if (seed is None) == (noise is None):
            raise ValueError(f"one of `seed` and `noise` must be given, got {seed} and {noise}")
        if noise is None:
            noise = self.draw_noise(tf.shape(graph.nodes)[0], seed=seed, dtype=graph.nodes.dtype)
        nodes = tf.ensure_shape(noise, [None, self.embedding_size])
        return graphs.canonical(graph.replace(nodes=nodes), directed=self.directed)

    def encode(
        self,
        graph: GraphsTuple,
        *,
        seed: seeds.Seed | None = None,
        noise: tf.Tensor | None = None,
    ) -> GraphsTuple:
        """The graph with embeddings, [num_nodes, embedding_size], as its node features.

        Args:
          graph: its topology is encoded, whichever way it is written, see `graphs.canonical`; its
            features don't matter but for the nodes' dtype.
          seed: of the noise, see `draw_noise`.
          noise: or the noise itself.

        Raises:
          ValueError: for a malformed graph, or one of more nodes than `max_num_nodes`, as far as
            values are known, as in all methods. Where only sizes are not, as in a `tf.function`,
            see `graphs.Blocks.of`; XLA's results for too large a graph are NaN.
        """
        graph = self.checked(graph)
        noise = self._noise(graph, seed, noise)
        embedded = self._encoder(noise.replace(nodes=self._noise_scale * noise.nodes))
        return graph.replace(nodes=embedded.nodes[1:])

    def edge_logits(self, graph: GraphsTuple) -> tf.Tensor:
        """Logits of an edge for all pairs of each graph, from embeddings (equation 6).

        Returns:
          [n_graphs, receiver, sender], places of `graphs.Blocks`; without meaning where there is
          no node, and on the diagonal.
        """
        graph = self.checked(graph, self.embedding_size)
        decoded = graph.nodes
        if self._decoder is not None:
            plain = graph.replace(edges=graph.edges[:, :0], globals=graph.globals[:, :0])
            decoded += self._decoder(plain).nodes
        blocks = graphs.Blocks.of(graph, self.max_num_nodes)
        y = blocks.stack(decoded)
        senders, receivers = tf.split(y, 2, axis=-1) if self.directed else (y, y)
        squares = [tf.reduce_sum(tf.square(part), axis=-1) for part in (receivers, senders)]
        distance = squares[0][:, :, tf.newaxis] + squares[1][:, tf.newaxis, :]
        distance -= 2.0 * tf.matmul(receivers, senders, transpose_b=True)
        logits = -self._temperature * (distance - 1.0)
        return tf.where(blocks.is_cut[:, tf.newaxis, tf.newaxis], math.nan, logits)

    def _pairs(self, graph):
        """(adjacency, weights of the pairs), [n_graphs, receiver, sender] each."""
        graph = self.checked(graph, self.embedding_size)
        blocks = graphs.Blocks.of(graph, self.max_num_nodes)
        dtype = graph.nodes.dtype
        edges = blocks.adjacency(graph, dtype)
        if not self.directed:  # an edge either way is an edge
            edges += tf.linalg.matrix_transpose(edges)
        is_node = tf.cast(blocks.is_node, dtype)
        pairs = is_node[:, :, tf.newaxis] * is_node[:, tf.newaxis, :]
        pairs *= 1.0 - tf.eye(blocks.size, dtype=dtype)
        # What is no number in a graph that XLA cuts, is none in a sum over its pairs.
        pairs = tf.where(blocks.is_cut[:, tf.newaxis, tf.newaxis], math.nan, pairs)
        return tf.minimum(edges, 1.0), pairs if self.directed else 0.5 * pairs

    def cross_entropy(self, graph: GraphsTuple) -> tf.Tensor:
        """[n_graphs], in nats: of each graph's edges under its embeddings, summed over pairs.

        Args:
          graph: topology, and embeddings as node features.
        """
        edges, pairs = self._pairs(graph)
        logits = self.edge_logits(graph)
        losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=edges, logits=logits)
        return tf.reduce_sum(pairs * losses, axis=[1, 2])

    def wrong_edges(self, graph: GraphsTuple) -> tf.Tensor:
        """[n_graphs]: pairs whose edge `decode` would get wrong; arguments as `cross_entropy`."""
        edges, pairs = self._pairs(graph)
        wrong = (self.edge_logits(graph) > 0.0) != (edges > 0.5)
        return tf.reduce_sum(pairs * tf.cast(wrong, pairs.dtype), axis=[1, 2])

    def decode(self, graph: GraphsTuple, *, seed: seeds.Seed | None = None) -> GraphsTuple:
        """The embeddings with edges where p > 0.5, or drawn from p. Eager only.

        Args:
          graph: embeddings as node features; its edges don't matter.
          seed: draws each edge with its probability; default: the likelier of edge and none.

        Returns:
          Without self loops; undirected edges stand in both directions.
        """
        logits = self.edge_logits(graph).numpy()
        threshold = 0.0
        if seed is not None:
            seed = seeds.as_pair(seed)
            uniform = tf.random.stateless_uniform(logits.shape, seed).numpy().clip(1e-12, 1 - 1e-7)
            threshold = tf.math.log(uniform) - tf.math.log1p(-uniform)
        _, pairs = self._pairs(graph)
        edges = (logits > threshold) & (pairs > 0.0)
        if not self.directed:  # the upper triangle decides
            edges = tf.linalg.band_part(tf.cast(edges, tf.int32), 0, -1)
            edges = (edges + tf.linalg.matrix_transpose(edges)) > 0
        owner, receiver, sender = tf.unstack(tf.cast(tf.where(edges), tf.int32), axis=1)
        start = tf.gather(tf.cumsum(graph.n_node, exclusive=True), owner)
        n_edge = tf.math.bincount(owner, minlength=len(graph.n_node), maxlength=len(graph.n_node))
        return graph.replace(
            receivers=start + receiver,
            senders=start + sender,
            edges=tf.zeros([len(owner), 0], graph.nodes.dtype),
            n_edge=n_edge,
        )


class FlowAutoEncoder(GraphAutoEncoder):
    """An auto-encoder whose encoder is itself a graph normalizing flow along the edges.

        X = scale flow(H | edges),   H ~ N(0, I),   scale^2 = noise_variance
        log q(X | edges) = log N(H; 0, I) - log|det dX/dH|

    The density of the embeddings of a graph is then exact, and with a prior p(X) over embeddings

        log p(edges) >= E_q [log p(edges | X) + log p(X) - log q(X | edges)]

    is a bound on the likelihood of whole graphs (up to the order of their nodes) that can be
    trained end to end: the paper's future work. The scale comes last, so that the flow's networks
    see features of about 1. Default: 1 / (2 embedding_size), with which the mean squared distance
    of two nodes is 1 while the flow is new.
    """

    def __init__(
        self,
        embedding_size: int,
        max_num_nodes: int,
        *,
        make_flow: Callable[[int], bijectors.GNF] | None = None,
        make_decoder: Callable[[int], Network] | None = None,
        directed: bool = False,
        noise_variance: float | None = None,
        temperature: float = 10.0,
        name: str | None = None,
    ):
        """Makes the flow; arguments and errors as `GraphAutoEncoder`.

        Args:
          embedding_size: as there.
          max_num_nodes: as there.
          make_flow: node size -> GNF without `normalization="batch_norm"`; default: 4 steps whose
            networks attend along the edges and then to all.
          make_decoder: as there.
          directed: as there.
          noise_variance: as there, or None.
          temperature: as there.
          name: as Sonnet.
        """
        super().__init__(
            embedding_size,
            max_num_nodes,
            make_encoder=make_flow or self._default_flow,
            make_decoder=make_decoder,
            directed=directed,
            noise_variance=noise_variance or 0.5 / embedding_size,
            temperature=temperature,
            name=name,
        )

    def _default_flow(self, node_size):
        def make_conditioner(output_size):
            return networks.GraphTransformer(
                64,
                output_size,
                num_blocks=2,
                fully_connected=(False, True),
                max_num_nodes=self.max_num_nodes,
            )

        return bijectors.GNF(
            4,
            node_size,
            make_conditioner=make_conditioner,
            normalization="act_norm",
            mixing=True,
            memory="stored",
        )

    @property
    def flow(self) -> bijectors.GNF:
        """The encoder."""
        flow: Any = self._encoder
        return flow

    def encode(self, graph, *, seed=None, noise=None):
        return self.encode_and_log_prob(graph, seed=seed, noise=noise)[0]

    def encode_and_log_prob(
        self,
        graph: GraphsTuple,
        *,
        seed: seeds.Seed | None = None,
        noise: tf.Tensor | None = None,
    ) -> tuple[GraphsTuple, tf.Tensor]:
        """(the graph with embeddings, log q(X | edges) per graph [n_graphs], in nats)."""
        graph = self.checked(graph)
        noise = self._noise(graph, seed, noise)
        constant = 0.5 * math.log(2.0 * math.pi) + math.log(self._noise_scale)
        log_prob = -tf.reduce_sum(0.5 * tf.square(noise.nodes) + constant, axis=-1)
        embedded, log_det = reversible.run(self.flow.layers, noise)
        embedded = graph.replace(nodes=self._noise_scale * embedded.nodes[1:])
        # The engine's log-determinant is per node; padding is the caller's.
        return embedded, graphs.sum_nodes((log_prob - log_det)[1:], graph)
