"""Graph attention: every node weighs the messages that it receives (paper, section 2.1)."""

import math
from collections.abc import Sequence

import sonnet as snt
import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import graphs, xla
from gnf_tf.graphs.segments import at_least_float32
from gnf_tf.networks.arguments import (
    check_activation,
    check_edge_size,
    check_positive,
    check_sizes,
    edge_size,
)
from gnf_tf.networks.linear import Linear
from gnf_tf.networks.mlp import MLP, Activation

__all__ = ["AdditiveAttention", "AttentionBlock", "DotProductAttention"]

# Up to this many nodes a graph, sums are faster than XLA's matrix products on a CPU; measured by
# benchmarks.flows.
_SMALL = 16


def _softmax_over_incoming(logits, receivers, num_nodes):
    """Softmax of [num_edges, num_heads] over the edges that share a receiver."""
    highest = tf.stop_gradient(tf.math.unsorted_segment_max(logits, receivers, num_nodes))
    weights = tf.exp(logits - tf.gather(highest, receivers))
    # Of many edges the sum is beyond what 16 bits hold.
    total = graphs.scatter_sum(at_least_float32(weights), receivers, num_nodes)
    return tf.cast(at_least_float32(weights) / graphs.gather(total, receivers), logits.dtype)


class DotProductAttention(snt.Module):
    """Multi-head scaled dot-product attention along the edges, as the paper's flows use it.

    In each head, with queries q, keys k and values w that are linear in the node features:

        alpha_vu = softmax over senders u of (q_v . k_u / sqrt(key_size))
        message_v = sum over u of alpha_vu w_u

    The messages of all heads are concatenated and mapped linearly: nodes [num_nodes, any] ->
    [num_nodes, output_size]. A node without incoming edges gets the message 0, and so the bias of
    the output layer. Globals and edge features are not used; `AdditiveAttention` uses the latter.

    By default the weights are computed along the edge list. With `max_num_nodes` they are computed
    in dense arrays [n_graphs, max_num_nodes, max_num_nodes]: the result is the same, and faster
    where graphs are small or dense. With `fully_connected` they are dense too, and every node
    attends to all nodes of its graph, including itself, whatever the edges are.
    """

    def __init__(
        self,
        num_heads: int,
        key_size: int,
        *,
        value_size: int | None = None,
        output_size: int | None = None,
        fully_connected: bool = False,
        max_num_nodes: int | None = None,
        name: str | None = None,
    ):
        """Stores the sizes; variables are made at the first call, in the nodes' dtype.

        Args:
          num_heads: number of heads.
          key_size: width of queries and keys, per head.
          value_size: width of values, per head; default: `key_size`.
          output_size: width of the new node features; default: `num_heads * value_size`.
          fully_connected: whether every node attends to all nodes of its graph.
          max_num_nodes: the size of the largest graph, for dense arrays; see `graphs.Blocks.of`.
            Only the last graph that has nodes may be larger, since `graphs.pad` puts padding there:
            its nodes beyond the maximum neither send nor receive. Default: the edge list; with
            `fully_connected`, the largest graph of the batch (XLA then compiles anew for each new
            `n_node`).
          name: as in Sonnet.

        Raises:
          ValueError: if a size is below 1; at the call, if another graph than the last exceeds
            `max_num_nodes` (in a `tf.function` as tf.errors.InvalidArgumentError; XLA can't tell).
        """
        super().__init__(name=name)
        check_positive(num_heads=num_heads, key_size=key_size)
        value_size = key_size if value_size is None else value_size
        output_size = num_heads * value_size if output_size is None else output_size
        check_positive(value_size=value_size, output_size=output_size)
        if max_num_nodes is not None:
            check_positive(max_num_nodes=max_num_nodes)
        self._num_heads = num_heads
        self._key_size = key_size
        self._value_size = value_size
        self._fully_connected = fully_connected
        self._max_num_nodes = max_num_nodes
        self._project = Linear(num_heads * (2 * key_size + value_size), name="project")
        self._output = Linear(output_size, name="output")

    def __call__(self, graph: GraphsTuple) -> GraphsTuple:
        per_head = tf.reshape(
            self._project(graph.nodes),
            [-1, self._num_heads, 2 * self._key_size + self._value_size],
        )
        parts = [self._key_size, self._key_size, self._value_size]
        queries, keys, values = tf.split(per_head, parts, axis=-1)
        queries = queries / math.sqrt(self._key_size)
        is_dense = self._fully_connected or self._max_num_nodes is not None
        attend = self._attend_dense if is_dense else self._attend_edges
        messages = attend(queries, keys, values, graph)
        messages = tf.reshape(messages, [-1, self._num_heads * self._value_size])
        return graph.replace(nodes=self._output(messages))

    def _attend_edges(self, queries, keys, values, graph):
        num_nodes = tf.shape(graph.nodes)[0]
        logits = tf.reduce_sum(  # [num_edges, num_heads]
            graphs.gather(queries, graph.receivers) * graphs.gather(keys, graph.senders), axis=-1
        )
        weights = _softmax_over_incoming(logits, graph.receivers, num_nodes)
        return graphs.scatter_sum(
            weights[..., tf.newaxis] * graphs.gather(values, graph.senders),
            graph.receivers,
            num_nodes,
        )

    def _attend_dense(self, queries, keys, values, graph):
        parts = (queries, keys, values)
        sizes = tf.get_static_value(graph.n_node)
        if (
            self._fully_connected
            and sizes is not None
            and len(set(sizes)) == 1
            and sizes[0] <= (self._max_num_nodes or sizes[0])
        ):
            # Graphs of one size, known while tracing: a reshape makes the arrays dense.
            shape = [len(sizes), sizes[0]]
            blocks = [tf.reshape(part, [*shape, *part.shape[1:]]) for part in parts]
            return tf.reshape(_attend_blocks(*blocks), [-1, *values.shape[1:]])
        if graph.nodes.shape[0] == 0:
            return values
        blocks = graphs.Blocks.of(graph, self._max_num_nodes)
        if self._fully_connected:
            counts = tf.cast(blocks.is_node[:, tf.newaxis], queries.dtype)
        else:
            counts = blocks.adjacency(graph, queries.dtype)
        return blocks.unstack(_attend_blocks(*map(blocks.stack, parts), counts))


def _attend_blocks(queries, keys, values, counts=None):
    """Attention within dense graphs: all arguments are [n_graphs, size, heads, width].

    `counts`, [n_graphs, receiver or 1, sender], is the number of edges between two nodes; None: 1.
    """
    size = queries.shape[1]
    if xla.is_compiling() and size is not None and size <= _SMALL:
        # XLA calls a matrix product for each tiny graph, but fuses a sum with what is around it.
        logits = tf.reduce_sum(queries[:, :, tf.newaxis] * keys[:, tf.newaxis], axis=-1)
        if counts is not None:
            counts = counts[..., tf.newaxis]
        terms, total = _exponentials(logits, counts, axis=2)  # [n_graphs, receiver, sender, heads]
        shares = terms / total[:, :, tf.newaxis]
        return tf.reduce_sum(shares[..., tf.newaxis] * values[:, tf.newaxis], axis=2)
    logits = tf.einsum("gihk,gjhk->ghij", queries, keys)
    if counts is not None:
        counts = counts[:, tf.newaxis]
    if not xla.is_compiling():  # TensorFlow's softmax is one operation
        return tf.einsum("ghij,gjhw->gihw", _softmax(logits, counts), values)
    # Divided after the sum over senders, one pass less over the pairs of nodes.
    terms, total = _exponentials(logits, counts, axis=3)
    total = tf.transpose(total, [0, 2, 1])[..., tf.newaxis]
    return tf.einsum("ghij,gjhw->gihw", terms, values) / total


def _softmax(logits, counts):
    """Softmax with as many equal terms as there are edges; all 0 for a node without edges."""
    if counts is None:
        return tf.nn.softmax(logits)
    logits = _only_present(logits, counts) + tf.math.log(tf.maximum(counts, 1))
    return tf.where(counts > 0, tf.nn.softmax(logits), 0)


def _exponentials(logits, counts, axis):
    """The terms of this softmax along an axis, and their sum; 1 in place of a sum of no terms."""
    if counts is not None:
        logits = _only_present(logits, counts)
    # TensorFlow's would transpose by a permutation that it computes, and the gradient of a loop
    # would store it, which XLA refuses.
    terms = tf.exp(logits - tf.stop_gradient(tf.reduce_max(logits, axis, keepdims=True)))
    if counts is None:
        return terms, tf.reduce_sum(terms, axis)
    terms *= counts
    total = tf.reduce_sum(terms, axis)
    return terms, tf.where(total > 0, total, 1)


def _only_present(logits, counts):
    return tf.where(counts > 0, logits, tf.constant(logits.dtype.min / 2, logits.dtype))


class AttentionBlock(snt.Module):
    """Attention, then an MLP on [own features, message, globals]: the paper's GNF network (5.1).

    nodes [num_nodes, any] -> [num_nodes, output_size]. Globals are used where they are not None and
    of positive width; edge features are not used. For sets of few features `GraphTransformer`
    is more expressive.
    """

    def __init__(
        self,
        num_heads: int,
        key_size: int,
        hidden_sizes: Sequence[int],
        output_size: int,
        *,
        activation: Activation = tf.nn.relu,
        output_scale: float = 1.0,
        fully_connected: bool = False,
        max_num_nodes: int | None = None,
        name: str | None = None,
    ):
        """Stores the sizes; variables are made at the first call, in the nodes' dtype.

        Args:
          num_heads: number of heads.
          key_size: width of queries, keys and values, per head.
          hidden_sizes: widths of the hidden layers of the MLP.
          output_size: width of the new node features.
          activation: applied between the layers of the MLP.
          output_scale: factor of the last layer's initial weights, see `linear.output_layer`.
          fully_connected: see `DotProductAttention`.
          max_num_nodes: see `DotProductAttention`.
          name: as in Sonnet.

        Raises:
          ValueError: as `DotProductAttention` and `MLP`.
          TypeError: if `activation` can't be called.
        """
        super().__init__(name=name)
        hidden_sizes = check_sizes("hidden_sizes", hidden_sizes, at_least=0)
        check_positive(output_size=output_size)
        self._attention = DotProductAttention(
            num_heads, key_size, fully_connected=fully_connected, max_num_nodes=max_num_nodes
        )
        self._mlp = MLP(
            (*hidden_sizes, output_size), activation=activation, output_scale=output_scale
        )

    def __call__(self, graph: GraphsTuple) -> GraphsTuple:
        parts = [graph.nodes, self._attention(graph).nodes]
        if graph.globals is not None and graph.globals.shape[-1]:
            parts.append(graphs.to_nodes(graph.globals, graph))
        return self._mlp(graph.replace(nodes=tf.concat(parts, axis=-1)))


class AdditiveAttention(snt.Module):
    """Graph attention with an additive score, the equation of the paper's section 2.1.

    With x = W h for the nodes h and, where there are edge features Omega, y = W_e Omega (else 0):

        e_vu = leaky_relu(a_r . x_v + a_s . x_u + a_e . y_vu)
        alpha_vu = softmax over senders u of e_vu
        m_v = activation(sum over u of alpha_vu (x_u + y_vu))

    in each head. The messages of all heads are concatenated: nodes [num_nodes, any] ->
    [num_nodes, num_heads * value_size]. A node without incoming edges gets activation(0). Edge
    features are used if the first call has some; later calls must have the same width. Globals are
    not used. Choose it over `DotProductAttention`, the network of the paper's experiments, where
    edges have features.
    """

    def __init__(
        self,
        num_heads: int,
        value_size: int,
        *,
        activation: Activation = tf.nn.elu,
        name: str | None = None,
    ):
        """Stores the sizes; variables are made at the first call, in the nodes' dtype.

        Args:
          num_heads: number of heads.
          value_size: width of x, per head.
          activation: applied to the aggregated messages.
          name: as in Sonnet.

        Raises:
          ValueError: if a size is below 1; at the call, if the width of the edges changes.
          TypeError: if `activation` can't be called.
        """
        super().__init__(name=name)
        check_positive(num_heads=num_heads, value_size=value_size)
        check_activation(activation)
        self._num_heads = num_heads
        self._value_size = value_size
        self._activation = activation
        self._project = Linear(num_heads * value_size, name="project")
        self._project_edges = Linear(num_heads * value_size, with_bias=False, name="edges")

    @snt.once
    def _initialize(self, graph):
        self._edge_size = edge_size(graph)
        init = snt.initializers.TruncatedNormal(1.0 / math.sqrt(self._value_size))
        names = ["score_receiver", "score_sender"] + ["score_edge"] * bool(self._edge_size)
        self._scores = [
            tf.Variable(init([self._num_heads, self._value_size], graph.nodes.dtype), name=name)
            for name in names
        ]

    def __call__(self, graph: GraphsTuple) -> GraphsTuple:
        self._initialize(graph)
        check_edge_size(graph, self._edge_size)
        num_nodes = tf.shape(graph.nodes)[0]
        shape = [-1, self._num_heads, self._value_size]
        x = tf.reshape(self._project(graph.nodes), shape)

        def score(values, vector):  # [rows, num_heads]
            return tf.reduce_sum(values * vector, axis=-1)

        logits = graphs.gather(score(x, self._scores[0]), graph.receivers)
        logits += graphs.gather(score(x, self._scores[1]), graph.senders)
        values = graphs.gather(x, graph.senders)
        if self._edge_size:
            y = tf.reshape(self._project_edges(graph.edges), shape)
            logits += score(y, self._scores[2])
            values += y
        alpha = _softmax_over_incoming(tf.nn.leaky_relu(logits), graph.receivers, num_nodes)
        messages = graphs.scatter_sum(alpha[..., tf.newaxis] * values, graph.receivers, num_nodes)
        messages = tf.reshape(messages, [-1, self._num_heads * self._value_size])
        return graph.replace(nodes=self._activation(messages))
