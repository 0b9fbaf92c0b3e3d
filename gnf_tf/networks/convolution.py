"""Graph convolution with symmetric normalisation.

Kipf, Welling, "Semi-supervised classification with graph convolutional networks", ICLR 2017.
"""

import sonnet as snt
import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import graphs
from gnf_tf.networks.arguments import check_dtype, check_positive, check_rate
from gnf_tf.networks.dropout import dropout
from gnf_tf.networks.linear import output_layer

__all__ = ["GraphConvolution"]


class GraphConvolution(snt.Module):
    """A linear map of each node's features mixed with those of its neighbours.

        h_v' = W sum over v itself and the senders u of its incoming edges of
               h_u / sqrt(d_u d_v) + b,                 d = 1 + number of incoming edges

    Where edges go both ways no eigenvalue of the mixing is beyond 1, whatever the degrees: deep
    stacks of it don't blow up, as sums of messages do. It is few weights beside `MessagePassing`,
    which is what a graph with few labels wants. Fewer still: with `diagonal` W is one weight a
    feature, so that features spread along the edges and don't mix. Edge features and globals are
    not used.

    Dropout sets features of the nodes to zero as they enter, where a call has a `seed`.
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
          diagonal: W is diagonal; the features that enter must be as many.
          dropout: probability of a feature to be dropped, see `networks.dropout.dropout`.
          output_scale: factor of the initial weights; of a diagonal W, these weights.
          name: as Sonnet.

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
        ones = tf.ones([tf.shape(graph.receivers)[0], 1], nodes.dtype)
        weight = tf.math.rsqrt(1.0 + graphs.scatter_sum(ones, graph.receivers, num_nodes))
        sent = weight * nodes
        received = graphs.scatter_sum(
            graphs.gather(sent, graph.senders), graph.receivers, num_nodes
        )
        return graph.replace(nodes=self._linear(weight * (sent + received)))


class _DiagonalLayer(snt.Module):
    """As `output_layer`, its matrix diagonal, all of it equal to the scale at first."""

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
