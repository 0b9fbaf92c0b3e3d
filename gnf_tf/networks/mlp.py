"""A multi-layer perceptron applied to every node."""

from collections.abc import Callable, Sequence

import sonnet as snt
import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf.networks.arguments import check_activation, check_sizes
from gnf_tf.networks.linear import Linear, output_layer

__all__ = ["MLP", "Activation"]

Activation = Callable[[tf.Tensor], tf.Tensor]


class MLP(snt.Module):
    """Applies the same multi-layer perceptron to the features of every node.

    nodes [num_nodes, any] -> [num_nodes, output_sizes[-1]]. The last layer has no activation.
    Edges and globals are not used: as the network of a coupling it makes a RealNVP of single nodes.
    """

    def __init__(
        self,
        output_sizes: Sequence[int],
        *,
        activation: Activation = tf.nn.relu,
        output_scale: float = 1.0,
        name: str | None = None,
    ):
        """Stores the sizes; variables are made at the first call, in the nodes' dtype.

        Args:
          output_sizes: widths of the layers, at least one.
          activation: applied between the layers.
          output_scale: factor of the last layer's initial weights, see `linear.output_layer`.
          name: as in Sonnet.

        Raises:
          ValueError: if there is no size, a size is below 1, or the scale is negative.
          TypeError: if `activation` can't be called.
        """
        super().__init__(name=name)
        sizes = check_sizes("output_sizes", output_sizes, at_least=1)
        check_activation(activation)
        self._layers = [Linear(size) for size in sizes[:-1]]
        self._layers.append(output_layer(sizes[-1], output_scale))
        self._activation = activation

    def __call__(self, graph: GraphsTuple) -> GraphsTuple:
        nodes = graph.nodes
        for layer in self._layers[:-1]:
            nodes = self._activation(layer(nodes))
        return graph.replace(nodes=self._layers[-1](nodes))
