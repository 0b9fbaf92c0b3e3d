"""The prior of a graph normalizing flow: standard normal node features (section 3.2)."""

import math

import tensorflow as tf
import tensorflow_probability as tfp
from graph_nets.graphs import GraphsTuple
from tensorflow_probability.python.internal import samplers

from gnf_tf import graphs, seeds

__all__ = ["NodePrior"]


class NodePrior(tfp.distributions.Distribution):
    """P(H_T) = product over nodes of N(h_i | 0, I), given a topology.

    The event is a GraphsTuple. A sample is `topology` with fresh node features; `log_prob` is per
    graph, [n_graphs], over the nodes of the graph that it is given, whatever its topology: one
    prior scores batches of any mix of sizes.
    """

    def __init__(
        self, topology: GraphsTuple, *, validate_args: bool = False, name: str = "NodePrior"
    ):
        """Keeps the topology.

        Args:
          topology: GraphsTuple; its node features give width and dtype, their values don't matter.
          validate_args: check the values of the topology and of each graph too, where eager.
          name: as TFP.

        Raises:
          ValueError: if the topology is malformed, see `graphs.validate`.
        """
        parameters = dict(locals())
        self._topology = graphs.fill_missing(topology)
        graphs.validate(self._topology)
        super().__init__(
            dtype=graphs.map_fields(lambda value: value.dtype, self._topology),
            reparameterization_type=tfp.distributions.FULLY_REPARAMETERIZED,
            validate_args=validate_args,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    @property
    def topology(self) -> GraphsTuple:
        """What samples look like, their node features aside."""
        return self._topology

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    def _event_shape(self):
        return graphs.map_fields(lambda value: value.shape, self._topology)

    def _event_shape_tensor(self):
        return graphs.map_fields(tf.shape, self._topology)

    def _batch_shape(self):
        return tf.TensorShape([])

    def _call_sample_n(self, sample_shape, seed, **kwargs):
        del kwargs
        if tf.TensorShape(tf.get_static_value(sample_shape)).rank != 0:
            raise ValueError(
                f"`sample_shape` must be (), got {sample_shape}: a batch of graphs is one "
                "GraphsTuple; for more samples use the topology graphs.batch([topology] * n)"
            )
        # TFP hands integers to a stateful generator; here the same seed is the same sample.
        seed = None if seed is None else seeds.as_pair(seed)
        nodes = self._topology.nodes
        # Every field a new tensor: TFP's cache must not take two samples for one.
        fields = graphs.map_fields(tf.identity, self._topology)
        return GraphsTuple(*fields).replace(
            nodes=samplers.normal(tf.shape(nodes), dtype=nodes.dtype, seed=seed)
        )

    def _log_prob(self, graph):
        graph = GraphsTuple(*graph)  # TFP may have repacked it
        node_size = self._topology.nodes.shape[-1]
        graphs.validate(
            graph,
            node_size=node_size,
            dtype=self._topology.nodes.dtype,
            check_values=self.validate_args,
        )
        log_prob = -0.5 * (
            tf.reduce_sum(tf.square(graph.nodes), axis=-1) + node_size * math.log(2.0 * math.pi)
        )
        return graphs.sum_nodes(log_prob, graph)
