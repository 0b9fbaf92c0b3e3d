"""Recurrent message passing trained by Neumann recurrent back-propagation (section 4, table 1).

Liao et al., "Reviving and improving recurrent back-propagation", ICML 2018.
"""

import tensorflow as tf
from graph_nets.graphs import GraphsTuple
from tensorflow.python.eager import record

from gnf_tf import bijectors, graphs
from gnf_tf.networks import defaults
from gnf_tf.networks.arguments import check_positive
from gnf_tf.networks.conditioner import make_conditioner_variables
from gnf_tf.reversible.gradient import local
from gnf_tf.substitution import held_values, substituted

__all__ = ["NeumannRBP"]


class NeumannRBP(tf.Module):
    """One map applied until nothing moves, GraphsTuple -> GraphsTuple, trained in O(nodes) memory.

    With x the node features of the input, h_0 = 0 and the same weights w at each step:

        h_t = F(h_{t-1}, x; w),   t = 1 ... num_steps                the new node features
        v = sum over k = 0 ... num_terms of (J^T)^k dL/dh,           J = dF/dh
        dL/dw = v^T dF/dw,        dL/dx = v^T dF/dx

    J, dF/dw and dF/dx are taken at the last state that F was applied to, the only one that is
    kept. If the states have converged and F contracts, the sum is (I - J^T)^-1 dL/dh, the gradient
    of the fixed point, but for a rest that shrinks geometrically in `num_terms`. A fixed point
    doesn't depend on h_0, which is zero here: that x matters at all is by entering at each step.

    That F contracts is the user's business. The default one does as initialised, and nothing keeps
    training from changing that: watch `residual`. The number of steps is always the same, since a
    rule of when to stop would make a graph's result depend on what else is in its batch. There are
    no second derivatives: they raise a LookupError.
    """

    def __init__(
        self,
        num_steps: int,
        node_size: int,
        *,
        input_size: int | None = None,
        num_terms: int | None = None,
        edge_size: int = 0,
        global_size: int = 0,
        make_conditioner: bijectors.MakeConditioner | None = None,
        dtype: tf.DType = tf.float32,
        name: str | None = None,
    ):
        """Makes the network and its variables.

        Args:
          num_steps: how often the map is applied.
          node_size: width of the state h, the node features of the result.
          input_size: width of x, the node features of the input; default: `node_size`.
          num_terms: of the Neumann series, 0 or more beyond dL/dh itself; default:
            num_steps - 1, as many as the gradient through all steps has.
          edge_size: width of the edge features.
          global_size: width of the global features.
          make_conditioner: output width -> network F, called once; `bijectors.GraphCoupling` says
            what its network may not do, and dropout is out of place too. It gets nodes
            [num_nodes, node_size + input_size], h first, and returns as many of width `node_size`.
            Default: `networks.MessagePassing` with two message layers as wide as `node_size`; the
            mean of the messages, since the slope of their sum grows with the number of neighbours;
            and initial outputs scaled by a half.
          dtype: float type of the graphs.
          name: as `tf.Module`.

        Raises:
          ValueError: for an argument out of its range, or a network of the wrong width, with
            dropout, or that `GraphCoupling` would refuse.
        """
        super().__init__(name=name)
        input_size = node_size if input_size is None else input_size
        check_positive(num_steps=num_steps, node_size=node_size, input_size=input_size)
        num_terms = num_steps - 1 if num_terms is None else num_terms
        if num_terms < 0:
            raise ValueError(f"`num_terms` must be at least 0, got {num_terms}")
        self._num_steps = num_steps
        self._num_terms = num_terms
        self._node_size = node_size
        self._input_size = input_size
        self._float_type = dtype
        self._network = (make_conditioner or defaults.contraction(node_size))(node_size)
        if getattr(self._network, "takes_seed", False):
            raise ValueError(
                "`make_conditioner` must give a network without dropout, for a map that is another "
                "one at each step has no fixed point; got one whose `takes_seed` is true"
            )
        # Made here, since the loop below is no place to make variables.
        make_conditioner_variables(
            self,
            self._network,
            node_size,
            input_size=node_size + input_size,
            edge_size=edge_size,
            global_size=global_size,
            dtype=dtype,
        )

    @tf.autograph.experimental.do_not_convert
    def __call__(self, graph: GraphsTuple) -> GraphsTuple:
        """Node features after `num_steps` steps; the rest of the graph as it was.

        Args:
          graph: nodes [num_nodes, input_size]; edges and globals as wide as announced.

        Raises:
          ValueError: if the graph doesn't fit, naming the field.
        """
        filled = self._checked(graph)
        before = self._iterate(filled, self._num_steps - 1)
        # The one step that tapes see: they carry v from its output to weights and inputs.
        nodes = self._map(before, filled)
        # The gradient of a branch or a loop around this call can't reach variables themselves.
        held = held_values(self._network)
        values = dict(zip(map(id, held), local(map(tf.convert_to_tensor, held)), strict=True))

        @tf.custom_gradient
        def with_series(nodes):
            def gradient(d_nodes):
                return self._series(substituted(self._network, values), d_nodes, before, filled)

            return tf.identity(nodes), gradient

        return graph.replace(nodes=with_series(nodes))

    def residual(self, graph: GraphsTuple) -> tf.Tensor:
        """How far from a fixed point: largest |F(h) - h| of a node and feature, [n_graphs].

        Of the state h after `num_steps` steps, which are taken anew; 0 for a graph without nodes.

        Raises:
          ValueError: if the graph doesn't fit, naming the field.
        """
        filled = self._checked(graph)
        state = self._iterate(filled, self._num_steps)
        moved = tf.reduce_max(tf.abs(self._map(state, filled) - state), axis=-1)
        largest = tf.math.unsorted_segment_max(
            moved, graphs.node_graph_ids(filled), tf.shape(filled.n_node)[0]
        )
        return tf.maximum(largest, 0.0)

    def _checked(self, graph):
        filled = graphs.fill_missing(graph)
        graphs.validate(
            filled, node_size=self._input_size, dtype=self._float_type, check_values=False
        )
        return GraphsTuple(*local(filled))

    def _map(self, state, graph, network=None):
        """F, one step: [num_nodes, node_size] -> the same."""
        nodes = tf.concat([state, graph.nodes], axis=-1)
        return (network or self._network)(graph.replace(nodes=nodes)).nodes

    def _iterate(self, graph, num_steps):
        """The state after so many steps from zero, a constant to every tape."""
        start = tf.zeros([tf.shape(graph.nodes)[0], self._node_size], graph.nodes.dtype)
        # An eager tape would keep every state, stopped gradient or not.
        with record.stop_recording():
            _, state = tf.while_loop(
                lambda step, _: step < num_steps,
                lambda step, state: (step + 1, self._map(state, graph)),
                (tf.constant(0), tf.ensure_shape(start, [None, self._node_size])),
                maximum_iterations=num_steps,
            )
        return tf.stop_gradient(state)

    def _series(self, network, d_nodes, state, graph):
        """v, from dL/dh and the state that J is taken at."""
        # One evaluation of F serves all terms; the tape is asked for J^T of each.
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(state)
            nodes = self._map(state, graph, network)

        def add_term(k, term, total):
            term = tape.gradient(
                nodes,
                state,
                output_gradients=term,
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
            return k + 1, term, total + term

        _, _, total = tf.while_loop(
            lambda k, *_: k < self._num_terms,
            add_term,
            (tf.constant(0), d_nodes, d_nodes),
            maximum_iterations=self._num_terms,
        )
        return tf.raw_ops.PreventGradient(
            input=total, message="NeumannRBP has no second derivatives"
        )
