"""The prior of a graph normalizing flow: standard normal node features (section 3.2)."""

import math

import tensorflow as tf
import tensorflow_probability as tfp
from graph_nets.graphs import GraphsTuple
from tensorflow_probability.python.internal import samplers

from gnf_tf import graphs, seeds

__all__ = ["NodePrior"]


class NodePrior(tfp.distributions.Distribution):
    """P(H_T) = product over nodes i of N(h_i | 0, I), given a topology (paper, section 3.2).

    The event is a GraphsTuple with nodes [num_nodes, node_size]. A sample is `topology` with new
    node features. `log_prob(graph)` is per graph, [n_graphs], in nats. It takes graphs of any
    topology, so that one prior scores batches of all sizes. Edges and globals of None are accepted;
    a `TransformedDistribution` of TFP accepts only tensors, see `graphs.fill_missing`.

    A TFP distribution such as `tfd.MultivariateNormalDiag` has single nodes as its events; use this
    one for the density of all nodes of a graph together, and as the base of a `GNF`.
    """

    def __init__(
        self, topology: GraphsTuple, *, validate_args: bool = False, name: str = "NodePrior"
    ):
        """Stores the topology.

        Args:
          topology: a GraphsTuple, whose nodes give node_size and dtype; their values don't matter.
          validate_args: whether to check the values of each graph too, in eager execution.
          name: as in TFP.

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
        """The graph of which samples are copies, but for the node features."""
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
        # TFP would use a stateful generator for an integer; here a seed determines the sample.
        seed = samplers.sanitize_seed(None) if seed is None else seed
        nodes = self._topology.nodes
        # Every field is a new tensor, so that TFP's cache can't mistake a sample for another.
        fields = graphs.map_fields(tf.identity, self._topology)
        return GraphsTuple(*fields).replace(nodes=seeds.normal(tf.shape(nodes), seed, nodes.dtype))

    def _call_log_prob(self, value, name, **kwargs):
        graph = graphs.fill_missing(value)  # TFP refuses None before `_log_prob`
        return super()._call_log_prob(graph, name, **kwargs)

    def _checked(self, graph):
        graph = GraphsTuple(*graph)  # TFP may have repacked it
        graphs.validate(
            graph,
            node_size=self._topology.nodes.shape[-1],
            dtype=self._topology.nodes.dtype,
            check_values=self.validate_args,
        )
        return graph

    def _log_prob(self, graph):
        graph = self._checked(graph)
        node_size = self._topology.nodes.shape[-1]
        log_prob = -0.5 * (
            tf.reduce_sum(tf.square(graph.nodes), axis=-1) + node_size * math.log(2.0 * math.pi)
        )
        return graphs.sum_nodes(log_prob, graph)
