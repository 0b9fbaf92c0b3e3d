"""Recurrent message passing, trained by Neumann recurrent back-propagation (section 4, table 1).

Liao et al., "Reviving and improving recurrent back-propagation", ICML 2018.
"""

import tensorflow as tf
from graph_nets.graphs import GraphsTuple
from tensorflow.python.eager import record

from gnf_tf import bijectors, graphs, seeds
from gnf_tf.custom_gradient import custom_gradient, local
from gnf_tf.graphs.structure import float_type
from gnf_tf.networks import defaults
from gnf_tf.networks.arguments import check_positive
from gnf_tf.networks.conditioner import make_conditioner_variables
from gnf_tf.substitution import held_values, substituted

__all__ = ["NeumannRBP"]


class NeumannRBP(tf.Module):
    """The fixed point of one map, GraphsTuple -> GraphsTuple, trained in O(nodes) memory.

    With x [num_nodes, input_size] the node features of the input, h_0 = 0 and the same weights w in
    all T = num_steps steps, the result is h_T [num_nodes, node_size]:

        h_t = F(h_{t-1}, x; w),   t = 1 ... T
        dL/dw = v^T dF/dw,        dL/dx = v^T dF/dx
        v = sum over k = 0 ... num_terms of (J^T)^k dL/dh_T,         J = dF/dh

    J, dF/dw and dF/dx are evaluated at h_{T-1}, the only state that is kept. If the states have
    converged and F is a contraction, v approaches (I - J^T)^-1 dL/dh_T, which gives the exact
    gradient of the fixed point, with an error that shrinks geometrically in `num_terms`. The fixed
    point doesn't depend on h_0, so x enters at every step.

    Choose `GRevNet` unless the fixed point itself is wanted: its gradient is exact without
    convergence. Here F must be a contraction. The default F is one at first, but training can
    change that: monitor `residual`. The number of steps is fixed, because a stopping rule would
    make the result of a graph depend on the other graphs of its batch. A network with dropout drops
    the same features in all steps of a call, since a map that changes from step to step has no
    fixed point. Second derivatives raise a LookupError.
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
          num_steps: T, how many times the map is applied; the paper uses 100.
          node_size: width of the state h, the node features of the result.
          input_size: width of x, the node features of the input; default: `node_size`.
          num_terms: the number of terms of the Neumann series after dL/dh_T itself, at least 0;
            default: T - 1, the number of terms in the gradient through all steps.
          edge_size: width of the edge features.
          global_size: width of the global features.
          make_conditioner: called once, with `node_size`; returns the network F. Its nodes are
            [h, x], [num_nodes, node_size + input_size], and it must return [num_nodes, node_size].
            The same networks are refused as by `bijectors.GraphCoupling`.
            Default: `networks.MessagePassing`, with messages as wide as `node_size`, their mean
            over the neighbors, and initial outputs scaled by 1/2.
          dtype: float type of the graphs.
          name: as `tf.Module`.

        Raises:
          ValueError: for an argument out of its range; for a network of the wrong width, or that
            `GraphCoupling` would refuse.
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
        self._float_type = dtype = float_type(dtype)
        self._network = (make_conditioner or defaults.contraction(node_size))(node_size)
        self._takes_seed = getattr(self._network, "takes_seed", False)
        # Made here, since variables can't be made in the loop of the steps.
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
    def __call__(self, graph: GraphsTuple, seed: seeds.Seed | None = None) -> GraphsTuple:
        """The graph with the node features h_T, [num_nodes, node_size].

        Args:
          graph: nodes x [num_nodes, input_size]; edges [num_edges, edge_size] and globals
            [n_graphs, global_size], which stay as they are.
          seed: of the dropout, in training only; see `gnf_tf.seeds`. None: nothing is dropped.

        Raises:
          ValueError: if a field of the graph doesn't fit the network.
        """
        filled = self._checked(graph)
        (seed,) = (None,) if seed is None else local([seeds.as_pair(seed)])
        before = self._iterate(filled, self._num_steps - 1, seed)
        # Tapes see this step only. They propagate v from its output to the weights and inputs.
        nodes = self._map(before, filled, seed)
        # Values, since the gradient of a loop or a branch around this call can't reach variables.
        held = held_values(self._network)
        values = dict(zip(map(id, held), local(map(tf.convert_to_tensor, held)), strict=True))

        @custom_gradient
        def with_series(nodes):
            def gradient(d_nodes):
                network = substituted(self._network, values)
                return self._series(network, d_nodes, before, filled, seed)

            return tf.identity(nodes), gradient

        return graph.replace(nodes=with_series(nodes))

    def residual(self, graph: GraphsTuple) -> tf.Tensor:
        """The distance from a fixed point: the largest |F(h_T) - h_T| of each graph, [n_graphs].

        The maximum is over the nodes of the graph and the features; it is 0 for a graph without
        nodes. The steps are computed anew.

        Args:
          graph: see `__call__`.

        Raises:
          ValueError: if a field of the graph doesn't fit the network.
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

    def _map(self, state, graph, seed=None, network=None):
        """F: the next state, [num_nodes, node_size], from `state` of the same shape."""
        nodes = tf.concat([state, graph.nodes], axis=-1)
        options = {"seed": seed} if self._takes_seed and seed is not None else {}
        return (network or self._network)(graph.replace(nodes=nodes), **options).nodes

    def _iterate(self, graph, num_steps, seed=None):
        """The state after so many steps from h_0 = 0, as a constant for every tape."""
        start = tf.zeros([tf.shape(graph.nodes)[0], self._node_size], graph.nodes.dtype)
        # An eager tape would keep every state, even with a stopped gradient.
        with record.stop_recording():
            _, state = tf.while_loop(
                lambda step, _: step < num_steps,
                lambda step, state: (step + 1, self._map(state, graph, seed)),
                (tf.constant(0), tf.ensure_shape(start, [None, self._node_size])),
                maximum_iterations=num_steps,
            )
        return tf.stop_gradient(state)

    def _series(self, network, d_nodes, state, graph, seed):
        """v, from dL/dh_T and the state h_{T-1} at which J is evaluated."""
        # F is evaluated once; the tape then gives the product with J^T for every term.
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(state)
            nodes = self._map(state, graph, seed, network)

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
