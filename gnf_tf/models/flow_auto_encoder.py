"""Graph auto-encoders whose encoder is a flow, for training on a bound of the likelihood."""

import functools
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import bijectors, graphs, networks, reversible, seeds
from gnf_tf.models.auto_encoder import GraphAutoEncoder

__all__ = ["FlowAutoEncoder"]


class FlowAutoEncoder(GraphAutoEncoder):
    """An auto-encoder whose encoder is a graph normalizing flow along the edges.

        X = c flow(H | edges),   H ~ N(0, I),   c^2 = noise_variance
        log q(X | edges) = log N(H; 0, I) - log|det dX/dH|

    The encoder's density q is therefore exact. With a prior p(X) over embeddings, such as the flow
    of `GraphGenerator`, the evidence lower bound

        log p(edges) >= E_q [log p(edges | X) + log p(X) - log q(X | edges)]

    bounds the likelihood of whole graphs, up to the order of their nodes, and trains encoder,
    decoder and prior end to end (future work in the paper). With `num_eigenvectors`, q is the
    density given the eigenvectors, and the bound an expectation over their noise too.

    The factor c comes after the flow, so that the flow's networks get features of scale 1. The
    default c^2 = 1 / (2 embedding_size) gives two nodes a mean squared distance of 1 at
    initialization.

    Use `GraphAutoEncoder` for the paper's encoder, whose density is unknown.
    """

    def __init__(
        self,
        embedding_size: int,
        max_num_nodes: int,
        *,
        make_flow: Callable[[int], bijectors.GNF] | None = None,
        noise_variance: float | None = None,
        **options: Any,
    ):
        """Makes the flow.

        Args:
          embedding_size: width of the embeddings, even.
          max_num_nodes: number of nodes of the largest graph, see `graphs.Blocks.of`.
          make_flow: called once with `embedding_size`, returns a GNF for nodes of that width,
            without `normalization="batch_norm"`, whose `conditional_size` is the sum of
            `walk_length` and `num_eigenvectors`; the features S and V of `GraphAutoEncoder` are its
            conditional input. Default: a GNF with 4 steps whose networks attend along the edges and
            then between all nodes.
          noise_variance: c^2 above; default: 1 / (2 embedding_size).
          **options: `make_decoder`, `directed`, `walk_length`, `num_eigenvectors`, `temperature`,
            `scaled_distance` and `name` of `GraphAutoEncoder`.

        Raises:
          ValueError: if an argument is out of its range, the flow has another `conditional_size`,
            or the decoder network has dropout.
        """
        if noise_variance is None:
            noise_variance = 0.5 / max(embedding_size, 1)  # the constructor below checks the size
        super().__init__(
            embedding_size,
            max_num_nodes,
            make_encoder=make_flow or self._default_flow,
            noise_variance=noise_variance,
            **options,
        )
        if self.flow.conditional_size != self._structure_size:
            raise ValueError(
                "`make_flow` must give a GNF whose `conditional_size` is `walk_length` + "
                f"`num_eigenvectors`, {self._structure_size}, got {self.flow.conditional_size}"
            )

    def _default_flow(self, node_size):
        return bijectors.GNF(
            4,
            node_size,
            make_conditioner=functools.partial(
                networks.GraphTransformer,
                64,
                num_blocks=2,
                fully_connected=(False, True),
                max_num_nodes=self.max_num_nodes,
            ),
            conditional_size=self._structure_size,
            normalization="act_norm",
            mixing=True,
            memory="stored",
        )

    @property
    def flow(self) -> bijectors.GNF:
        """The encoder, a flow over node features given the edges."""
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
        """Returns the graph with embeddings X, and log q(X | edges), [n_graphs], in nats.

        Args:
          graph: graphs to encode, see `encode`.
          seed: seed of the noise; exactly one of `seed` and `noise` must be given.
          noise: standard normal noise [num_nodes, noise_width], H and then u, see `encode`.

        Raises:
          ValueError: see `encode`.
        """
        graph = self.checked(graph)
        noise = self._noise(graph, seed, noise)
        constant = 0.5 * math.log(2.0 * math.pi) + math.log(self._noise_scale)
        h = noise.nodes[:, : self.embedding_size]
        log_prob = -tf.reduce_sum(0.5 * tf.square(h) + constant, axis=-1)
        structure = self._structure(noise) if self._structure_size else None
        embedded, log_det = reversible.run(self.flow.layers, noise.replace(nodes=h), structure)
        embedded = graph.replace(nodes=self._noise_scale * embedded.nodes[1:])
        # `reversible.run` returns log-determinants per node; row 0 is that of `graphs.canonical`.
        return embedded, graphs.sum_nodes((log_prob - log_det)[1:], graph)
