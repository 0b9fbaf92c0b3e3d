"""An affine map of vectors, such as positions, for couplings that commute with rotations."""

import tensorflow as tf

from gnf_tf.bijectors.coupling import BoundedScale

__all__ = ["VectorAffine"]


class VectorAffine(BoundedScale):
    """An affine map of the changing half x of each node, which is one vector of d coordinates.

    A network gives numbers s and r, and vectors c (center), t (shift) and v (direction). With
    n = v / sqrt(1 + |v|^2), w = |n|^2 and f = exp(r) - 1,

        forward:   x' = c + t + exp(s) (y + f (n . y) n),                     y = x - c
        inverse:   x = c + z - f / (1 + f w) (n . z) n,         z = exp(-s) (x' - c - t)
        log|det|:  d s + log(1 + f w)

    So vectors are scaled by exp(s), and along v by up to exp(s + r). If c, t and v turn with space,
    and s and r do not change, the map commutes with rotations and reflections. If x and c, and
    nothing else, move with space, it commutes with translations. `PositionMessages` is such a
    network. s and r are bounded smoothly by `max_log_scale`, as in `Affine`, which scales the
    coordinates one by one and so distinguishes directions of space.

    The scaling along vectors that depend on other particles is that of "vector projection" in
    Midgley, Stimper, Antoran, Mathieu, Schoelkopf, Hernandez-Lobato, "SE(3) equivariant augmented
    coupling flows", NeurIPS 2023, with a smooth limit where the vector vanishes.
    """

    num_params = 4

    def parameters(self, raw):
        """(s, f, w), each [num_nodes, 1], and (c, t, n), each [num_nodes, d]."""
        numbers, center, shift, direction = tf.unstack(raw, axis=1)
        numbers = self.bounded(numbers)
        square = tf.reduce_sum(tf.square(direction), axis=-1, keepdims=True)
        factor = tf.math.expm1(numbers[:, -1:])
        scales = (numbers[:, :1], factor, square / (1.0 + square))
        return *scales, center, shift, direction / tf.sqrt(1.0 + square)

    def forward(self, x, params):
        """x' and equal shares of log|det|, both [num_nodes, d]."""
        log_scale, factor, _, center, shift, unit = params
        x = x - center
        x = x + factor * _product(unit, x) * unit
        return center + shift + tf.exp(log_scale) * x, _shares(x, params)

    def inverse(self, y, params):
        """x and equal shares of log|det| of the inverse, both [num_nodes, d]."""
        log_scale, factor, weight, center, shift, unit = params
        y = tf.exp(-log_scale) * (y - center - shift)
        y = y - factor / (1.0 + factor * weight) * _product(unit, y) * unit
        return center + y, -_shares(y, params)


def _product(a, b):
    return tf.reduce_sum(a * b, axis=-1, keepdims=True)


def _shares(x, params):
    log_scale, factor, weight, *_ = params
    return tf.zeros_like(x) + log_scale + tf.math.log1p(factor * weight) / x.shape[-1]
