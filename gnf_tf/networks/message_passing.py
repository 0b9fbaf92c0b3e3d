"""Message passing with edge features and a GRU-like update (paper, equations 1 and 2)."""

from collections.abc import Sequence
from typing import Literal

import sonnet as snt
import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import graphs
from gnf_tf.networks.arguments import (
    check_activation,
    check_edge_size,
    check_rate,
    check_sizes,
    edge_size,
)
from gnf_tf.networks.dropout import dropout
from gnf_tf.networks.linear import Linear, output_layer
from gnf_tf.networks.mlp import MLP, Activation

__all__ = ["MessagePassing"]

Aggregation = Literal["sum", "mean"]


class MessagePassing(snt.Module):
    """One step of message passing, the supervised block of the paper (section 4, 7.1).

        m_v = Agg over incoming edges (u, v) of MLP(h_u, h_v, Omega_uv)       (equation 1)
        h_v' = Linear(GRU(h_v, m_v))                                         (equation 2)

    The message MLP's layers end in a linear one. It commutes with the sum, so it is applied to
    the nodes after aggregation; and the first layer is linear in each of its three inputs, so it
    is applied to nodes, once, before they are gathered along the edges. Same function, and no
    product of an edge's features with a square matrix for a two-layer MLP. The last layer has no
    bias: added after aggregation, it would reach nodes without messages too.

    With `sender_only` a message is MLP(h_u, Omega_uv), which without edge features is made once for
    each node, and not once for each edge.

    A node without incoming edges gets the zero message. Edge features are used where the first
    call has some; later calls must have as many. Globals are not used.

    Dropout sets features of the nodes to zero as they enter, where a call has a `seed`.
    """

    def __init__(
        self,
        message_sizes: Sequence[int],
        output_size: int,
        *,
        activation: Activation = tf.nn.relu,
        aggregation: Aggregation = "sum",
        sender_only: bool = False,
        dropout: float = 0.0,
        output_scale: float = 1.0,
        name: str | None = None,
    ):
        """Stores the sizes; variables are made at the first call, in the nodes' dtype.

        Args:
          message_sizes: layers of the message MLP, at least two: hidden ones, then the message.
          output_size: width of the new node features.
          activation: between the layers of the message MLP.
          aggregation: "sum" or "mean" over the incoming edges.
          sender_only: messages don't depend on their receiver, as in the authors' code.
          dropout: probability of a feature to be dropped, see `networks.dropout.dropout`.
          output_scale: factor of the last layer's initial weights.
          name: as Sonnet.

        Raises:
          ValueError: if an argument is out of its range; at the call, if the width of the edges
            changes.
          TypeError: if `activation` can't be called.
        """
        super().__init__(name=name)
        sizes = check_sizes("message_sizes", message_sizes, at_least=2)
        check_activation(activation)
        if aggregation not in ("sum", "mean"):
            raise ValueError(f"`aggregation` must be 'sum' or 'mean', got {aggregation!r}")
        self._activation = activation
        self._aggregation = aggregation
        self._sender_only = sender_only
        self._dropout = check_rate("dropout", dropout)
        self.takes_seed = dropout > 0.0  # see `GraphCoupling`
        ends = 1 if sender_only else 2
        self._from_nodes = Linear(ends * sizes[0], with_bias=False, name="from_nodes")
        self._from_edges = Linear(sizes[0], with_bias=False, name="from_edges")
        self._bias = snt.Bias(bias_dims=[-1], name="message_bias")
        self._hidden = MLP(sizes[1:-1], activation=activation) if len(sizes) > 2 else None
        self._message = Linear(sizes[-1], with_bias=False, name="message")
        self._output = output_layer(output_size, output_scale)

    @snt.once
    def _initialize(self, graph):
        self._edge_size = edge_size(graph)
        self._update = snt.GRU(graph.nodes.shape[-1], dtype=graph.nodes.dtype)

    def __call__(self, graph: GraphsTuple, seed: tf.Tensor | None = None) -> GraphsTuple:
        self._initialize(graph)
        check_edge_size(graph, self._edge_size)
        nodes = dropout(graph.nodes, self._dropout, seed)
        hidden = self._hidden_of_edges(graph, nodes)
        total = graphs.scatter_sum(hidden, graph.receivers, tf.shape(nodes)[0])
        if self._aggregation == "mean":
            degree = graphs.scatter_sum(
                tf.ones_like(hidden[:, :1]), graph.receivers, tf.shape(nodes)[0]
            )
            total = total / tf.maximum(degree, 1.0)
        updated, _ = self._update(self._message(total), nodes)
        return graph.replace(nodes=self._output(updated))

    def _hidden_of_edges(self, graph, nodes):
        """[num_edges, message_sizes[-2]]"""
        if self._sender_only:
            hidden = self._bias(self._from_nodes(nodes))
            if not self._edge_size:
                return graphs.gather(self._activated(graph, hidden), graph.senders)
            hidden = graphs.gather(hidden, graph.senders)
        else:
            sent, received = tf.split(self._from_nodes(nodes), 2, axis=-1)
            received = self._bias(received)  # here, since a batch has far fewer nodes than edges
            hidden = graphs.gather(sent, graph.senders) + graphs.gather(received, graph.receivers)
        if self._edge_size:
            hidden += self._from_edges(graph.edges)
        return self._activated(graph, hidden)

    def _activated(self, graph, hidden):
        """The hidden layers of the message MLP from the first one's activation on."""
        hidden = self._activation(hidden)
        if self._hidden is None:
            return hidden
        return self._activation(self._hidden(graph.replace(nodes=hidden)).nodes)
