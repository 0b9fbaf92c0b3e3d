"""Graph auto-encoders: node embeddings that determine the edges (section 3.3)."""

import math
from collections.abc import Callable

import numpy as np
import sonnet as snt
import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import bijectors, graphs, networks, options, seeds
from gnf_tf.graphs.structure import as_tensor
from gnf_tf.models import structure
from gnf_tf.models.decoding import Constraint, with_best_edges
from gnf_tf.networks.conditioner import make_variables, sample_graph

__all__ = ["GraphAutoEncoder"]

Network = Callable[[GraphsTuple], GraphsTuple]


class GraphAutoEncoder(snt.Module):
    """Encodes a graph as node embeddings, and decodes its edges from their distances.

    For a graph with N nodes and embedding width k:

        H ~ N(0, noise_variance I)                                    [N, noise_size]
        R = the rank of H_i1 in its graph, one-hot, with `noise_ranks` [N, max_num_nodes]
        S = degrees and walks, with `walk_length`, see below          [N, walk_length]
        V = eigenvectors, with `num_eigenvectors`, see below          [N, num_eigenvectors]
        X = encoder(H, R, S, V, edges) + embedding_noise E,  E ~ N(0, I) [N, k]
        Y = X, or X + decoder(X) with `make_decoder`                  [N, k]
        p(i ~ j) = sigmoid(-C (|y_i - y_j|^2 - 1)),  C = temperature  equation 6
        cross entropy = -sum over pairs i < j of
                        a_ij log p(i ~ j) + (1 - a_ij) log(1 - p(i ~ j))    equation 5

    a_ij is 1 if an edge joins i and j, else 0. Each call of `encode` draws new noise H, which
    distinguishes nodes with identical neighborhoods, and new E, with which the decoder learns to
    allow for errors of embeddings. Ranks R distinguish nodes more clearly: each node of a graph has
    its own.

    S and V show the encoder what attention along edges, which is a mean over neighbors, learns
    slowly or not at all: S the degree of each node and the probabilities that random walks of 2 to
    `walk_length` steps return to it, V where in a large graph a node is, such as its block of a
    stochastic block model. `gnf_tf.models.structure` has the equations. The paper has none of E, R,
    S and V.

    The encoder is permutation equivariant, so the distribution of X is too. The embeddings of a
    graph do not depend on the rest of its batch.

    The paper's decoder has no network. A decoder network sees all nodes of a graph and can amplify
    small differences between embeddings, so the embeddings can have a simpler density.

    With `directed`, each y splits into halves s (sender) and t (receiver), the cross entropy is a
    sum over ordered pairs, and

        p(i -> j) = sigmoid(-C (|s_i - t_j|^2 - 1))

    Self loops are ignored. Use `FlowAutoEncoder` to train encoder, decoder and embedding density
    together on a likelihood bound; use this class for the paper's two-stage training.
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
        noise_size: int | None = None,
        noise_ranks: bool = False,
        walk_length: int = 0,
        num_eigenvectors: int = 0,
        embedding_noise: float = 0.0,
        temperature: float = 10.0,
        scaled_distance: bool = False,
        name: str | None = None,
    ):
        """Makes the networks, whose variables are made at the first call.

        Args:
          embedding_size: width k of the embeddings, even.
          max_num_nodes: number of nodes of the largest graph, see `graphs.Blocks.of`.
          make_encoder: called once with k, returns a network GraphsTuple -> GraphsTuple whose
            output nodes have width k. Default: a `GraphTransformer` with 6 blocks.
          make_decoder: called once with k, returns such a network, which must not use the edges of
            its input. Default: no decoder network.
          directed: whether edges have a direction.
          noise_variance: variance of each noise feature, positive; 0.3 in the paper.
          noise_size: number of noise features; default: `embedding_size`, as in the paper.
          noise_ranks: whether the encoder also gets the rank R of each node, see above.
          walk_length: number of structural features S that the encoder also gets, see above; 0:
            none, as in the paper.
          num_eigenvectors: number of eigenvectors V that the encoder also gets; 0: none. XLA finds
            eigenvectors slowly: those of 32 graphs of 64 nodes in 300 ms on one core, and without
            XLA in 16 ms.
          embedding_noise: standard deviation of the noise on each embedding feature, 0 or more.
          temperature: C in equation 6, positive; 10 in the paper.
          scaled_distance: whether equation 6 has |y_i - y_j|^2 / sqrt(k), as in the authors' code.
          name: name of the module.

        Raises:
          ValueError: if an argument is out of its range, or a network has dropout.
        """
        super().__init__(name=name)
        options.check_argument("embedding_size", int, embedding_size)
        if embedding_size < 2 or embedding_size % 2:
            raise ValueError(f"`embedding_size` must be even and positive, got {embedding_size}")
        options.check_argument("max_num_nodes", options.Count, max_num_nodes)
        self._noise_size = embedding_size if noise_size is None else noise_size
        for label, value in (
            ("noise_variance", noise_variance),
            ("noise_size", self._noise_size),
            ("temperature", temperature),
        ):
            if not value > 0:
                raise ValueError(f"`{label}` must be positive, got {value}")
        if not embedding_noise >= 0.0:
            raise ValueError(f"`embedding_noise` must be at least 0, got {embedding_noise}")
        for label, flag in (
            ("directed", directed),
            ("noise_ranks", noise_ranks),
            ("scaled_distance", scaled_distance),
        ):
            options.check_argument(label, bool, flag)
        options.check_argument("walk_length", options.AtLeast0, walk_length)
        options.check_argument("num_eigenvectors", options.AtLeast0, num_eigenvectors)
        self._embedding_noise = embedding_noise
        self._noise_ranks = noise_ranks
        self._walk_length = walk_length
        self._num_eigenvectors = num_eigenvectors
        self.embedding_size = embedding_size
        self.max_num_nodes = max_num_nodes
        self.directed = directed
        self._noise_scale = math.sqrt(noise_variance)
        self._temperature = temperature
        self._distance_scale = 1.0 / math.sqrt(embedding_size) if scaled_distance else 1.0
        self._encoder = (make_encoder or self._default_encoder)(embedding_size)
        self._decoder = None if make_decoder is None else make_decoder(embedding_size)
        for label, network in (("encoder", self._encoder), ("decoder", self._decoder)):
            if getattr(network, "takes_seed", False):
                raise ValueError(
                    f"`make_{label}` must give a network without dropout, because it gets no "
                    "seed; got a network whose `takes_seed` is true"
                )

    @snt.once
    def _make_variables(self, dtype):
        """Makes all variables, and checks that they are tracked.

        They have the dtype of an encoder that is a bijector, else that of the first graph.
        """
        if isinstance(self._encoder, bijectors.GraphBijector):
            dtype = self._encoder.shared_options["dtype"]
        self._float_type = dtype
        ranks = self.max_num_nodes if self._noise_ranks else 0
        of_nodes = self._noise_size + ranks + self._structure_size
        for label, network, size in (
            ("encoder", self._encoder, of_nodes),
            ("decoder", self._decoder, self.embedding_size),
        ):
            if network is not None and not isinstance(network, bijectors.GraphBijector):
                sample = sample_graph(size, 0, 0, dtype)
                make_variables(
                    self,
                    f"make_{label}",
                    lambda f=network, x=sample: f(x).nodes,
                    reversible=False,
                )

    def _default_encoder(self, output_size: int) -> Network:
        size = self.max_num_nodes
        return networks.GraphTransformer(
            64, output_size, num_heads=8, num_blocks=6, output_scale=0.3, max_num_nodes=size
        )

    def checked(self, graph: GraphsTuple, node_size: int | None = None) -> GraphsTuple:
        """Returns `graph` as tensors, without None fields, after validation.

        Args:
          graph: any graph.
          node_size: required width of the node features; None: any width.

        Raises:
          ValueError: if `graph` is malformed, its dtype differs from that of the weights, or its
            node features do not have width `node_size`; in eager mode also if one of its graphs has
            more than `max_num_nodes` nodes.
        """
        graph = graphs.fill_missing(graph)
        self._make_variables(graph.nodes.dtype)
        graphs.validate(graph, node_size=node_size, dtype=self._float_type)
        sizes = tf.get_static_value(graph.n_node)
        if tf.executing_eagerly() and (sizes > self.max_num_nodes).any():
            if tf.reduce_any((graph.n_node > self.max_num_nodes) & (graph.n_edge == 0)):
                raise ValueError(
                    f"`max_num_nodes` must hold every graph, got {self.max_num_nodes} for sizes "
                    f"{sizes.tolist()} (`graphs.unpad` removes padding)"
                )
            graphs.Blocks.of(graph, self.max_num_nodes)  # raises, unless it is a padding graph
        return graph

    @property
    def noise_width(self) -> int:
        """The number of features of H, of E if there is any, and of u if there are eigenvectors."""
        of_embeddings = self.embedding_size if self._embedding_noise else 0
        return self._noise_size + of_embeddings + (1 if self._num_eigenvectors else 0)

    @property
    def _structure_size(self):
        """The number of features of S and V together."""
        return self._walk_length + self._num_eigenvectors

    def draw_noise(
        self, num_nodes: int | tf.Tensor, *, seed: seeds.Seed, dtype: tf.DType = tf.float32
    ) -> tf.Tensor:
        """Draws standard normal noise [num_nodes, `noise_width`] for `encode`.

        Args:
          num_nodes: total number of nodes of all graphs.
          seed: a whole number, or a pair of int32, see `gnf_tf.seeds`.
          dtype: dtype of the weights.
        """
        return seeds.normal([num_nodes, self.noise_width], seed, dtype)

    def _noise(self, graph, seed, noise):
        """Returns the canonical topologies with standard normal noise as node features."""
        if (seed is None) == (noise is None):
            raise ValueError(f"either `seed` or `noise` must be given, got {seed} and {noise}")
        if noise is None:
            noise = self.draw_noise(tf.shape(graph.nodes)[0], seed=seed, dtype=graph.nodes.dtype)
        else:
            shape = [graph.nodes.shape[0], self.noise_width]
            noise = as_tensor("noise", noise, graph.nodes.dtype)
            if noise.dtype != graph.nodes.dtype or not noise.shape.is_compatible_with(shape):
                raise ValueError(
                    f"`noise` must be {graph.nodes.dtype.name} of shape {shape}, got "
                    f"{noise.dtype.name} of shape {noise.shape}"
                )
        nodes = tf.ensure_shape(noise, [None, self.noise_width])
        return graphs.canonical(graph.replace(nodes=nodes), directed=self.directed)

    def encode(
        self,
        graph: GraphsTuple,
        *,
        seed: seeds.Seed | None = None,
        noise: tf.Tensor | None = None,
    ) -> GraphsTuple:
        """Returns the graph with embeddings as node features, [num_nodes, embedding_size].

        Args:
          graph: graphs to encode. Only their topology and the dtype of their nodes matter; see
            `graphs.canonical` for topologies that count as equal.
          seed: seed of the noise; exactly one of `seed` and `noise` must be given.
          noise: standard normal noise [num_nodes, noise_width], see `draw_noise`: H, then E, then
            u, which decides on eigenvectors where a symmetry leaves them undetermined.

        Raises:
          ValueError: if `graph` is malformed, or has a graph of more than `max_num_nodes` nodes;
            or if `noise` has another shape or dtype. All methods raise these errors in eager mode.
            In a `tf.function`, see `graphs.Blocks.of`; under XLA the results for a too large graph
            are NaN.
        """
        graph = self.checked(graph)
        noise = self._noise(graph, seed, noise)
        features = [self._noise_scale * noise.nodes[:, : self._noise_size]]
        if self._noise_ranks:
            features.append(self._ranks(noise))
        if self._structure_size:
            features.append(self._structure(noise))
        embedded = self._encoder(noise.replace(nodes=tf.concat(features, axis=-1))).nodes
        if self._embedding_noise:
            e = noise.nodes[:, self._noise_size :][:, : self.embedding_size]
            embedded += self._embedding_noise * e
        return graph.replace(nodes=embedded[1:])

    def _ranks(self, noise):
        """Returns R, one-hot [num_nodes, max_num_nodes]."""
        blocks = graphs.Blocks.of(noise, self.max_num_nodes)
        first = blocks.stack(noise.nodes[:, 0])
        is_smaller = first[:, tf.newaxis, :] < first[:, :, tf.newaxis]
        is_smaller &= blocks.is_node[:, tf.newaxis, :]
        rank = tf.reduce_sum(tf.cast(is_smaller, tf.int32), axis=-1)
        return blocks.unstack(tf.one_hot(rank, self.max_num_nodes, dtype=noise.nodes.dtype))

    def _structure(self, noise):
        """Returns S and V, [num_nodes, _structure_size], of canonical topologies with noise."""
        blocks = graphs.Blocks.of(noise, self.max_num_nodes)
        edges = blocks.adjacency(noise, noise.nodes.dtype)
        edges *= 1.0 - tf.eye(blocks.size, dtype=edges.dtype)
        found = []
        if self._walk_length:
            found.append(structure.walks(edges, noise.n_node, self._walk_length))
        if self._num_eigenvectors:
            u = blocks.stack(noise.nodes[:, -1])
            found.append(structure.eigenvectors(edges, noise.n_node, u, self._num_eigenvectors))
        return blocks.unstack(tf.concat(found, axis=-1))

    def edge_logits(self, graph: GraphsTuple) -> tf.Tensor:
        """Returns the logit of p(i ~ j), equation 6, for all pairs of nodes of each graph.

        Args:
          graph: graphs with embeddings [num_nodes, embedding_size] as node features.

        Returns:
          [n_graphs, size, size] logits, first by receiver and then by sender, in the layout of
          `graphs.Blocks`. Entries for positions without a node and on the diagonal are arbitrary.
        """
        graph = self.checked(graph, self.embedding_size)
        decoded = graph.nodes
        if self._decoder is not None:
            plain = graph.replace(edges=graph.edges[:, :0], globals=graph.globals[:, :0])
            decoded += self._decoder(plain).nodes
        blocks = graphs.Blocks.of(graph, self.max_num_nodes)
        y = blocks.stack(decoded)
        senders, receivers = tf.split(y, 2, axis=-1) if self.directed else (y, y)
        # From the first node on: squares of what nodes share would take the distances' digits.
        origin = tf.stop_gradient(receivers[:, :1])
        senders, receivers = senders - origin, receivers - origin
        distance = tf.reduce_sum(tf.square(receivers), axis=-1, keepdims=True)
        distance += tf.reduce_sum(tf.square(senders), axis=-1)[:, tf.newaxis, :]
        distance -= 2.0 * tf.matmul(receivers, senders, transpose_b=True)
        return blocks.marked(-self._temperature * (self._distance_scale * distance - 1.0))

    def _pairs(self, graph):
        """Returns adjacency and pair weights, each [n_graphs, size (receiver), size (sender)]."""
        graph = self.checked(graph, self.embedding_size)
        blocks = graphs.Blocks.of(graph, self.max_num_nodes)
        dtype = graph.nodes.dtype
        edges = blocks.adjacency(graph, dtype)
        if not self.directed:  # an edge in one direction is an edge
            edges += tf.linalg.matrix_transpose(edges)
        is_node = tf.cast(blocks.is_node, dtype)
        pairs = is_node[:, :, tf.newaxis] * is_node[:, tf.newaxis, :]
        pairs *= 1.0 - tf.eye(blocks.size, dtype=dtype)
        # Under XLA a graph of more than `max_num_nodes` nodes must give NaN, see `encode`.
        pairs = blocks.marked(pairs)
        return tf.minimum(edges, 1.0), pairs if self.directed else 0.5 * pairs

    def cross_entropy(self, graph: GraphsTuple) -> tf.Tensor:
        """Returns the cross entropy of each graph's edges, equation 5, [n_graphs], in nats.

        It is a sum over the pairs of nodes of a graph, not a mean.

        Args:
          graph: graphs with their edges, and embeddings as node features.
        """
        edges, pairs = self._pairs(graph)
        logits = self.edge_logits(graph)
        losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=edges, logits=logits)
        return tf.reduce_sum(pairs * losses, axis=[1, 2])

    def wrong_edges(self, graph: GraphsTuple) -> tf.Tensor:
        """Returns the number of pairs that `decode` without a seed gets wrong, [n_graphs].

        Args:
          graph: graphs with their edges, and embeddings as node features.
        """
        edges, pairs = self._pairs(graph)
        wrong = (self.edge_logits(graph) > 0.0) != (edges > 0.5)
        return tf.reduce_sum(pairs * tf.cast(wrong, pairs.dtype), axis=[1, 2])

    def decode(
        self,
        graph: GraphsTuple,
        *,
        seed: seeds.Seed | None = None,
        constraint: Constraint | None = None,
        connected: bool = False,
    ) -> GraphsTuple:
        """Returns the embeddings with decoded edges: those with p > 1/2, or drawn; in eager mode.

        Args:
          graph: graphs with embeddings as node features; their edges are ignored.
          seed: if given, each edge is drawn with its probability p.
          constraint: a property that all graphs keep, such as `networkx.is_planar`: edges that
            violate it are replaced by the next probable ones, see `with_best_edges`.
          connected: whether the parts of a graph are joined by their most probable edges.

        Returns:
          `graph` with the decoded edges, no self loops; undirected edges have both directions.

        Raises:
          ValueError: if the constraint does not hold for a graph without edges.
        """
        scores = self.edge_logits(graph).numpy()
        if seed is not None:
            shape, pair = scores.shape, seeds.as_pair(seed)
            uniform = tf.random.stateless_uniform(shape, pair, alg="philox").numpy()
            uniform = uniform.clip(1e-12, 1 - 1e-7)
            scores = scores + np.log1p(-uniform) - np.log(uniform)
        scores = np.where(self._pairs(graph)[1] > 0.0, scores, -math.inf)
        return with_best_edges(
            graph, scores, constraint, connected=connected, directed=self.directed
        )
