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
    """Message passing and a GRU-like update, the paper's supervised network (sections 4 and 7.1).

        m_v = Agg over incoming edges (u, v) of MLP(h_u, h_v, Omega_uv)       (equation 1)
        h_v' = Linear(GRU(h_v, m_v))                                          (equation 2)

    h are the nodes [num_nodes, any], Omega the edge features [num_edges, any], and h' the new
    nodes [num_nodes, output_size]. A node without incoming edges gets the message 0. Edge features
    are used if the first call has some; later calls must have the same width. Globals are not used.
    With `sender_only` a message is MLP(h_u, Omega_uv). A call with a `seed` drops features of the
    nodes as they enter.

    Choose it where edges have features or degrees matter; `GraphConvolution` has fewer weights,
    and attention weighs the neighbors.

    The equations are computed at less cost. The last layer of the MLP is linear and commutes with
    the aggregation, so it is applied to nodes, not to edges. (It has no bias, which would reach
    nodes without messages.) The first layer is linear in each of its three inputs, so it is
    applied to nodes before they are gathered along the edges.
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
          message_sizes: widths of the message MLP's layers, at least two; the last one is that of
            the message.
          output_size: width of the new node features.
          activation: applied between the layers of the message MLP.
          aggregation: "sum" or "mean" over the incoming edges.
          sender_only: whether messages ignore their receiver, as in the authors' code.
          dropout: probability that a feature is dropped, see `networks.dropout.dropout`.
          output_scale: factor of the initial weights of equation 2's linear layer.
          name: as in Sonnet.

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
        total = self._sum_over_incoming(graph, nodes)
        if self._aggregation == "mean":
            ones = tf.ones([tf.shape(graph.receivers)[0], 1], nodes.dtype)
            degree = graphs.scatter_sum(ones, graph.receivers, tf.shape(nodes)[0])
            total = total / tf.maximum(degree, 1.0)
        updated, _ = self._update(self._message(total), nodes)
        return graph.replace(nodes=self._output(updated))

    def _sum_over_incoming(self, graph, nodes):
        """The sum of the inputs of the message MLP's last layer, [num_nodes, message_sizes[-2]]."""
        if self._sender_only:
            hidden = self._bias(self._from_nodes(nodes))
            if not self._edge_size:
                hidden = self._activated(graph, hidden)
                return graphs.propagate(hidden, graph.senders, graph.receivers)
            hidden = graphs.gather(hidden, graph.senders)
        else:
            sent, received = tf.split(self._from_nodes(nodes), 2, axis=-1)
            received = self._bias(received)  # of nodes, which are fewer than edges
            hidden = graphs.sum_of_ends(sent, received, graph)
        if self._edge_size:
            hidden += self._from_edges(graph.edges)
        hidden = self._activated(graph, hidden)
        return graphs.scatter_sum(hidden, graph.receivers, tf.shape(nodes)[0])

    def _activated(self, graph, hidden):
        """The hidden layers of the message MLP, after the product of the first one."""
        hidden = self._activation(hidden)
        if self._hidden is None:
            return hidden
        return self._activation(self._hidden(graph.replace(nodes=hidden)).nodes)
