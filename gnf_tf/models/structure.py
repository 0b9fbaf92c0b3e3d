"""Features of the place of each node in its graph, which the encoders of graphs get."""

import tensorflow as tf

__all__ = ["eigenvectors", "walks"]

TIES = 1e-3  # scale of the noise that tells equal eigenvalues, and vanishing skewness, apart


def walks(edges: tf.Tensor, n_node: tf.Tensor, length: int) -> tf.Tensor:
    """Returns degrees, and the probabilities that random walks return (Dwivedi et al. 2022).

    With the degree d_i of node i, the number N of nodes, and P_ij = a_ij / d_i:

        (log(1 + d_i), N (P^2)_ii, ..., N (P^length)_ii)

    Args:
      edges: [n_graphs, size, size] the numbers a_ij, 0 or 1, first by receiver i and then by sender
        j, in the layout of `graphs.Blocks`, with an empty diagonal.
      n_node: [n_graphs] the number of nodes of each graph.
      length: the number of features.

    Returns:
      [n_graphs, size, length].
    """
    degree = tf.reduce_sum(edges, axis=-1, keepdims=True)
    step = tf.math.divide_no_nan(edges, degree)
    size = tf.cast(n_node, edges.dtype)[:, tf.newaxis]
    features, power = [tf.math.log1p(degree[..., 0])], step
    for _ in range(length - 1):
        power = tf.matmul(power, step)
        features.append(size * tf.linalg.diag_part(power))
    return tf.stack(features, axis=-1)


def eigenvectors(edges: tf.Tensor, n_node: tf.Tensor, noise: tf.Tensor, number: int) -> tf.Tensor:
    """Returns the spectral embedding of the nodes of each graph (Sussman et al. 2012).

    With the degrees d_i and the number N of nodes, the matrix

        M_ij = a_ij / sqrt(d_i d_j) - 2 sqrt(d_i d_j) / sum(d)

    has the eigenvalues of the normalized adjacency, 1 less those of the normalized Laplacian, but
    -1 in place of that of the eigenvector sqrt(d), which says no more than the degrees. For the
    largest eigenvalues l_k of M, and its eigenvectors v_k of length 1, the features of node i are

        sqrt(N max(l_k, 0)) v_ik

    The sign of v_k is that for which sum_i v_ik^3 is positive. Where a symmetry of the graph leaves
    the sign undetermined, or the eigenvectors of equal eigenvalues, the noise u determines them: a
    little of sum_i u_i v_ik is added to that sum, and a little of u to the diagonal of M. So the
    features of a graph whose nodes and noise are permuted are permuted alike.

    Args:
      edges: see `walks`; an edge in one direction counts as one in both.
      n_node: see `walks`.
      noise: [n_graphs, size] standard normal noise u, 0 in slots without a node.
      number: the number of features. A graph of fewer nodes has features 0.

    Returns:
      [n_graphs, size, number].
    """
    dtype = edges.dtype
    # LAPACK has no half precision.
    wide = tf.float64 if dtype == tf.float64 else tf.float32
    edges, noise = tf.cast(edges, wide), tf.cast(noise, wide)
    edges = tf.maximum(edges, tf.linalg.matrix_transpose(edges))
    root = tf.sqrt(tf.reduce_sum(edges, axis=-1))
    products = root[:, :, tf.newaxis] * root[:, tf.newaxis, :]
    total = tf.reduce_sum(tf.square(root), axis=-1)[:, tf.newaxis, tf.newaxis]
    matrix = tf.math.divide_no_nan(edges, products) - tf.math.divide_no_nan(2.0 * products, total)
    # Slots without a node have eigenvectors of eigenvalue 0, and so features 0.
    values, vectors = tf.linalg.eigh(matrix + tf.linalg.diag(TIES * noise))
    values, vectors = values[:, tf.newaxis, ::-1][..., :number], vectors[..., ::-1][..., :number]
    size = tf.cast(n_node, wide)[:, tf.newaxis, tf.newaxis]
    skewness = vectors * (tf.sqrt(size) * tf.square(vectors) + TIES * noise[:, :, tf.newaxis])
    signs = tf.sign(tf.reduce_sum(skewness, axis=1, keepdims=True))
    features = signs * vectors * tf.sqrt(size * tf.maximum(values, 0.0))
    features = tf.pad(features, [[0, 0], [0, 0], [0, number - tf.shape(features)[2]]])
    return tf.cast(tf.ensure_shape(features, [None, None, number]), dtype)
