"""The optimizer of training, beside Keras's own."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from gnf_tf.training.adam import Adam, cosine_adam


def trained(optimizer_class, dtype, **how):
    """Variables, moments and the number of steps after six steps, two of them with large gradients.

    One variable gets gradients of some of its rows, another one those of all of its rows.
    """
    rng = np.random.default_rng(0)
    table, matrix = (tf.Variable(rng.normal(size=[5, 3]), dtype=dtype) for _ in range(2))
    optimizer = optimizer_class(
        tf_keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5),
        beta_1=0.75,  # float32 numbers, to which Keras rounds those of its powers
        beta_2=0.9375,
        epsilon=1e-3,
        global_clipnorm=2.0,
        jit_compile=False,
    )
    optimizer.build([table, matrix])

    def step(rows, scale):
        with tf.GradientTape() as tape:
            picked = tf.gather(table, rows)
            loss = tf.reduce_sum(scale * tf.sin(picked)) + tf.reduce_sum(tf.cos(scale * matrix))
        variables = [table, matrix]
        gradients = tape.gradient(loss, variables)
        assert isinstance(gradients[0], tf.IndexedSlices)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))

    if how:
        step = tf.function(step, **how)
    for i in range(6):
        rows = tf.constant([i % 5, 4, 4])
        step(rows, tf.constant(100.0 if i % 3 else 0.5, dtype))
    return [variable.numpy() for variable in (table, matrix, *optimizer.variables)]


@pytest.mark.parametrize("how", [{}, {"autograph": False}, {"jit_compile": True}], ids=str)
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=lambda dtype: dtype.name)
def test_its_numbers_are_those_of_keras(dtype, how):
    expected = trained(tf_keras.optimizers.Adam, dtype)
    values = trained(Adam, dtype, **how)
    rtol = 1e-5 if dtype == tf.float32 else 1e-11
    for value, same in zip(values, expected, strict=True):
        np.testing.assert_allclose(value, same, rtol=rtol, atol=rtol)


def test_the_rate_rises_then_falls():
    rates = [float(cosine_adam(0.4, 200, global_clipnorm=1.0).learning_rate)]
    optimizer, variable = cosine_adam(0.4, 200, global_clipnorm=1.0), tf.Variable([1.0])
    for _ in range(200):
        optimizer.apply_gradients([(tf.constant([1.0]), variable)])
        rates.append(float(optimizer.learning_rate))
    # The rate that `learning_rate` has after a step is that of the step.
    np.testing.assert_allclose(rates[1::10][:2], [0.02, 0.4], rtol=1e-5)
    assert np.all(np.diff(rates[1:11]) > 0) and np.all(np.diff(rates[12:]) < 0)
    np.testing.assert_allclose(rates[-1], 0.0, atol=1e-3)
