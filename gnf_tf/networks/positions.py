"""Message passing among positions, for flows over the positions of particles."""

import sonnet as snt
import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import graphs
from gnf_tf.networks.arguments import check_edge_size, check_positive, edge_size
from gnf_tf.networks.linear import Linear, output_layer

__all__ = ["PositionMessages"]

_SPACING, _NUM_CENTERS = 0.2, 24  # of the basis of distances, for positions of standard deviation 1


class PositionMessages(snt.Module):
    """Parameters of a `VectorAffine`, equivariant to rotations, reflections and translations.

    Each node i has a position u_i, the first columns of the nodes, and attributes c_i, the others;
    an edge (j, i) may have features Omega_ji. With D_ji = u_i - u_j, r_ji = |D_ji|, b(r) Gaussians
    at equally spaced distances and log(1 + r), m the mean of the positions of the graph, and [ , ]
    for a concatenation, two rounds of messages lead to coefficients phi, psi and n numbers:

        e_ji  = silu(W_1 c_j + W_2 c_i + W_3 b(r_ji) + W_4 Omega_ji + f_1)
        h_i   = silu(W_5 sum over j of e_ji + f_2)
        e_ji' = silu(W_6 h_j + W_7 h_i + W_8 e_ji + f_3)
        [n_i, psi_i] = W_9 silu(W_10 [h_i, sum over j of e_ji'] + f_4) + f_5,    phi_ji = W_11 e_ji'
        v_i^k = sum over j of phi_ji^k D_ji / (1 + r_ji) + psi_i^k (u_i - m),    k = 0, 1, 2

    The output is [n_i, u_i + v_i^0, v_i^1, v_i^2]: n invariant numbers, as many as a position has
    coordinates, then the center, the shift and the direction of the `VectorAffine`. If positions
    turn, vectors turn likewise; if they move, only the center moves. All functions are smooth.

    Choose it for `gnf_tf.models.PositionFlow`; `EquivariantMessages` is for scalars and vectors on
    nodes whose positions stay fixed. Globals are not used.
    """

    def __init__(
        self, width: int, output_size: int, *, output_scale: float = 1.0, name: str | None = None
    ):
        """Stores the sizes; variables are made at the first call, in the nodes' dtype.

        Args:
          width: width of the messages e and of h.
          output_size: four times the number of coordinates of a position.
          output_scale: factor of the initial weights W_9 and W_11.
          name: as in Sonnet.

        Raises:
          ValueError: if an argument is out of its range; at the call, if the widths of nodes or
            edges do not fit.
        """
        super().__init__(name=name)
        check_positive(width=width, output_size=output_size)
        if output_size % 4:
            raise ValueError(f"`output_size` must be a multiple of 4, got {output_size}")
        self._dimension = dimension = output_size // 4
        self._attributes = Linear(2 * width, with_bias=False, name="attributes")
        self._lengths = Linear(width, name="lengths")
        self._features = Linear(width, with_bias=False, name="features")
        self._hidden = output_layer(width, 0.1)
        self._from_nodes = Linear(2 * width, with_bias=False, name="from_nodes")
        self._from_edges = Linear(width, name="from_edges")
        self._update = output_layer(width, 0.3)
        self._of_nodes = output_layer(dimension + 3, output_scale)
        self._of_edges = output_layer(3, output_scale, with_bias=False)

    @snt.once
    def _initialize(self, graph):
        if graph.nodes.shape[-1] < self._dimension:
            raise ValueError(
                f"`graph.nodes` must be at least {self._dimension} wide, to begin with positions, "
                f"got {graph.nodes.shape[-1]}"
            )
        self._edge_size = edge_size(graph)

    def __call__(self, graph: GraphsTuple) -> GraphsTuple:
        self._initialize(graph)
        check_edge_size(graph, self._edge_size)
        positions, attributes = graph.nodes[:, : self._dimension], graph.nodes[:, self._dimension :]
        differences = graphs.sum_of_ends(-positions, positions, graph)  # receiver minus sender
        # The gradient of the length is infinite at 0.
        lengths = tf.sqrt(tf.reduce_sum(tf.square(differences), -1, keepdims=True) + 1e-6)

        edges = self._lengths(_basis(lengths))
        if self._edge_size:
            edges += self._features(graph.edges)
        if attributes.shape[-1]:
            edges += _to_edges(self._attributes(attributes), graph)
        edges = tf.nn.silu(edges)
        nodes = tf.nn.silu(self._hidden(_total(edges, graph)))
        edges = tf.nn.silu(self._from_edges(edges) + _to_edges(self._from_nodes(nodes), graph))

        units = (differences / (1.0 + lengths))[:, tf.newaxis]
        vectors = self._of_edges(edges)[..., tf.newaxis] * units
        vectors = tf.reshape(vectors, [-1, 3 * self._dimension])
        total, vectors = tf.split(
            _total(tf.concat([edges, vectors], axis=-1), graph),
            [edges.shape[-1], vectors.shape[-1]],
            axis=-1,
        )
        update = tf.nn.silu(self._update(tf.concat([nodes, total], axis=-1)))
        numbers, factors = tf.split(self._of_nodes(update), [self._dimension, 3], axis=-1)
        from_mean = (
            factors[..., tf.newaxis]
            * (positions - graphs.mean_nodes(positions, graph))[:, tf.newaxis]
        )
        vectors += tf.reshape(from_mean, tf.shape(vectors))
        center = positions + vectors[:, : self._dimension]
        output = [numbers, center, vectors[:, self._dimension :]]
        return graph.replace(nodes=tf.concat(output, axis=-1))


def _basis(lengths):
    """[num_edges, 1] -> [num_edges, _NUM_CENTERS + 1].

    The logarithm tells large distances apart. With r itself in its place, psi (u - m) would be
    quadratic in the positions, and a particle far from the others infinite after a few couplings.
    """
    centers = tf.cast(_SPACING * tf.range(_NUM_CENTERS, dtype=tf.float32), lengths.dtype)
    bumps = tf.exp(-0.5 * tf.square((lengths - centers) / _SPACING))
    return tf.concat([bumps, tf.math.log1p(lengths)], axis=-1)


def _to_edges(nodes, graph):
    """The sum of the first half of `nodes` at the sender and the second half at the receiver."""
    sent, received = tf.split(nodes, 2, axis=-1)
    return graphs.sum_of_ends(sent, received, graph)


def _total(edges, graph):
    return graphs.scatter_sum(edges, graph.receivers, tf.shape(graph.nodes)[0])
