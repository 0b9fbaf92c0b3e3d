"""Graph convolution with symmetric normalization.

Kipf, Welling, "Semi-supervised classification with graph convolutional networks", ICLR 2017.
"""

import sonnet as snt
import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import graphs
from gnf_tf.graphs.segments import at_least_float32
from gnf_tf.networks.arguments import check_dtype, check_positive, check_rate
from gnf_tf.networks.dropout import dropout
from gnf_tf.networks.linear import output_layer

__all__ = ["GraphConvolution"]


class GraphConvolution(snt.Module):
    """A linear map of a weighted sum over each node and its neighbors.

        h_v' = W (sum over u of h_u / sqrt(d_u d_v)) + b

    The sum is over v itself and the senders u of its incoming edges; d is 1 + the number of
    incoming edges. nodes [num_nodes, any] -> [num_nodes, output_size].

    Choose it over `MessagePassing` for graphs with few labels, since it has few weights; with
    `diagonal` it has one weight a feature, and features spread along the edges without mixing.
    Where every edge has its reverse, no eigenvalue of the averaging exceeds 1, so that deep stacks
    don't blow up as sums of messages do. Edge features and globals are not used.

    A call with a `seed` drops features of the nodes as they enter.
    """

    def __init__(
        self,
        output_size: int,
        *,
        diagonal: bool = False,
        dropout: float = 0.0,
        output_scale: float = 1.0,
        name: str | None = None,
    ):
        """Stores the sizes; variables are made at the first call, in the nodes' dtype.

        Args:
          output_size: width of the new node features.
          diagonal: whether W is diagonal; then the nodes must be `output_size` wide.
          dropout: probability that a feature is dropped, see `networks.dropout.dropout`.
          output_scale: factor of the initial weights; the initial weights of a diagonal W.
          name: as in Sonnet.

        Raises:
          ValueError: if an argument is out of its range; at the call, if the nodes are not as wide
            as a diagonal W.
        """
        super().__init__(name=name)
        self._dropout = check_rate("dropout", dropout)
        self.takes_seed = dropout > 0.0  # see `GraphCoupling`
        make_linear = _DiagonalLayer if diagonal else output_layer
        self._linear = make_linear(output_size, output_scale)

    def __call__(self, graph: GraphsTuple, seed: tf.Tensor | None = None) -> GraphsTuple:
        nodes = dropout(graph.nodes, self._dropout, seed)
        num_nodes = tf.shape(nodes)[0]
        # Degrees, and sums of many neighbors, are beyond what 16 bits hold.
        sent = at_least_float32(nodes)
        ones = tf.ones([tf.shape(graph.receivers)[0], 1], sent.dtype)
        weight = tf.math.rsqrt(1.0 + graphs.scatter_sum(ones, graph.receivers, num_nodes))
        sent *= weight
        received = graphs.propagate(sent, graph.senders, graph.receivers)
        mixed = tf.cast(weight * (sent + received), nodes.dtype)
        return graph.replace(nodes=self._linear(mixed))


class _DiagonalLayer(snt.Module):
    """A linear layer with a diagonal matrix, whose initial weights are all `output_scale`."""

    def __init__(self, output_size, output_scale):
        super().__init__(name="linear")
        check_positive(output_size=output_size)
        if not output_scale >= 0:
            raise ValueError(f"`output_scale` must not be negative, got {output_scale}")
        self._size = output_size
        self._scale = output_scale

    @snt.once
    def _initialize(self, inputs):
        scale = tf.constant(self._scale, inputs.dtype)
        self._w = tf.Variable(tf.fill([self._size], scale), name="w")
        self._b = tf.Variable(tf.zeros([self._size], inputs.dtype), name="b")

    def __call__(self, inputs):
        if inputs.shape[-1] != self._size:
            raise ValueError(
                f"`graph.nodes` must be {self._size} wide for a diagonal W of that output size, "
                f"got {inputs.shape[-1]}"
            )
        self._initialize(inputs)
        check_dtype(inputs, self._w)
        return inputs * self._w + self._b
