"""Graph convolution with symmetric normalisation.

Kipf, Welling, "Semi-supervised classification with graph convolutional networks", ICLR 2017.
"""

import sonnet as snt
import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import graphs
from gnf_tf.networks.arguments import check_rate
from gnf_tf.networks.dropout import dropout
from gnf_tf.networks.linear import output_layer

__all__ = ["GraphConvolution"]


class GraphConvolution(snt.Module):
    """A linear map of each node's features mixed with those of its neighbours.

        h_v' = W sum over v itself and the senders u of its incoming edges of
               h_u / sqrt(d_u d_v) + b,                 d = 1 + number of incoming edges

    Where edges go both ways no eigenvalue of the mixing is beyond 1, whatever the degrees: deep
    stacks of it don't blow up, as sums of messages do. It is few weights beside `MessagePassing`,
    which is what a graph with few labels wants. Edge features and globals are not used.

    Dropout sets features of the nodes to zero as they enter, where a call has a `seed`.
    """

    takes_seed = True

    def __init__(
        self,
        output_size: int,
        *,
        dropout: float = 0.0,
        output_scale: float = 1.0,
        name: str | None = None,
    ):
        """Stores the sizes; variables are made at the first call, in the nodes' dtype.

        Args:
          output_size: width of the new node features.
          dropout: probability of a feature to be dropped, see `networks.dropout.dropout`.
          output_scale: factor of the initial weights.
          name: as Sonnet.

        Raises:
          ValueError: if an argument is out of its range.
        """
        super().__init__(name=name)
        self._dropout = check_rate("dropout", dropout)
        self._linear = output_layer(output_size, output_scale)

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
