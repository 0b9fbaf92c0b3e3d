"""An invertible linear map of the features of each node (Glow, section 3.2)."""

import numpy as np
import scipy.linalg
import tensorflow as tf

from gnf_tf import seeds
from gnf_tf.bijectors.base import GraphLayer

__all__ = ["GraphMixing"]


class GraphMixing(GraphLayer):
    """Multiplies the features of every node by the same invertible matrix W.

        forward:   y = x W,    W = P L (U + diag(sign * exp(log_diagonal)))
        inverse:   x = y W^-1
        log|det|:  n_node * sum of log_diagonal

    P is a fixed permutation matrix, L is lower triangular with ones on its diagonal, and U is
    strictly upper triangular; all are [node_size, node_size]. W starts as a random rotation.
    P and the signs follow from `seed` and are no variables, so a checkpoint belongs to one seed.

    A coupling divides the features in two halves, always the same ones. With a mixing
    between couplings, each feature can depend on every other one.

    Reference: Kingma, Dhariwal, "Glow", NeurIPS 2018 (the LU decomposition of section 3.2).
    """

    def __init__(
        self,
        node_size: int,
        *,
        seed: int = 0,
        dtype: tf.DType = tf.float32,
        validate_args: bool = False,
        name: str = "graph_mixing",
    ):
        """Makes the variables.

        Args:
          node_size: width of the node features, at least 2.
          seed: a whole number that determines the initial rotation, see `gnf_tf.seeds`.
          dtype: float type of the graphs.
          validate_args: whether to check the values of each graph too.
          name: as in TFP.

        Raises:
          ValueError: if `node_size` is below 2.
          TypeError, ValueError: for a bad `seed`.
        """
        parameters = dict(locals())
        super().__init__(
            node_size,
            dtype=dtype,
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )
        normal = seeds.generator(seed).normal(size=[node_size, node_size])
        permutation, lower, upper = scipy.linalg.lu(np.linalg.qr(normal)[0])
        diagonal = np.diag(upper)
        self._permutation = tf.constant(permutation, dtype)
        self._sign = tf.constant(np.sign(diagonal), dtype)
        self._strictly_lower = np.tril(np.ones([node_size, node_size]), -1)
        self.lower = tf.Variable(tf.cast(lower * self._strictly_lower, dtype), name="lower")
        self.upper = tf.Variable(tf.cast(upper * self._strictly_lower.T, dtype), name="upper")
        self.log_diagonal = tf.Variable(
            tf.cast(np.log(np.abs(diagonal)), dtype), name="log_diagonal"
        )

    def condition(self, kept, graph, **unused):
        """(L, U + diag(sign * exp(log_diagonal)), log_diagonal)."""
        del kept, graph, unused
        below = tf.constant(self._strictly_lower, self.lower.dtype)
        lower = self.lower * below + tf.eye(self.node_size, dtype=self.lower.dtype)
        log_diagonal = tf.convert_to_tensor(self.log_diagonal)
        diagonal = tf.linalg.diag(self._sign * tf.exp(log_diagonal))
        return lower, self.upper * tf.transpose(below) + diagonal, log_diagonal

    def transform(self, changed, params):
        """Data to latent: (y [num_nodes, node_size], log|det| per node [num_nodes])."""
        lower, upper, log_diagonal = params
        weights = tf.matmul(self._permutation, tf.matmul(lower, upper))
        log_det = tf.fill(tf.shape(changed)[:1], tf.reduce_sum(log_diagonal))
        return tf.matmul(changed, weights), log_det

    def invert(self, changed, params):
        """Latent to data: (x, log|det| per node of the inverse), of the same shapes."""
        lower, upper, log_diagonal = params
        # TensorFlow solves in no type of 16 bits.
        solved = tf.float32 if changed.dtype.size < 4 else changed.dtype
        parts = (lower, upper, tf.transpose(self._permutation))
        lower, upper, inverse = (tf.cast(part, solved) for part in parts)
        inverse = tf.linalg.triangular_solve(lower, inverse)
        inverse = tf.linalg.triangular_solve(upper, inverse, lower=False)
        inverse = tf.cast(inverse, changed.dtype)
        log_det = tf.fill(tf.shape(changed)[:1], -tf.reduce_sum(log_diagonal))
        return tf.matmul(changed, inverse), log_det
