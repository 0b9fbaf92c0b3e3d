"""The optimizer of training: its rate, and that it treats all weights as one vector."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from gnf_tf.training.adam import cosine_adam
from gnf_tf.training.packing import Packing
from tests.test_node_objective import first, make, ring


@pytest.mark.parametrize("how", [None, {"autograph": False}, {"jit_compile": True}], ids=str)
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=lambda dtype: dtype.name)
def test_packed_variables_are_their_parts_in_order(dtype, how):
    shapes = [[], [2, 3], [0, 4], [1]]
    values = [np.arange(np.prod(shape)).reshape(shape) + 10.0 * i for i, shape in enumerate(shapes)]
    variables = [tf.Variable(value, dtype=dtype) for value in values]
    packing = Packing(variables)

    def add_one(rows):
        packing.assign(packing.pack() + 1.0)
        some = tf.IndexedSlices(tf.ones([2, 3], dtype), rows, tf.constant([2, 3]))
        return packing.pack([variables[0], some, variables[2], variables[3]])

    mixed = (tf.function(add_one, **how) if how else add_one)(tf.constant([1, 1]))
    for variable, value in zip(variables, values, strict=True):
        np.testing.assert_array_equal(variable, value + 1.0)
    assert mixed.dtype == dtype
    np.testing.assert_array_equal(mixed, [1, 0, 0, 0, 2, 2, 2, 31])


@pytest.mark.parametrize("execution", ["eager", "function", "xla"])
def test_training_steps_are_those_of_keras_on_each_variable(execution):
    """Adam with clipping, and averages, beside Keras's Adam and averages of each variable."""
    settings = {"global_clipnorm": 0.1, "ema_decay": 0.3, "l2": 1e-2}
    packed, apart = (
        make(ring(), settings=settings | {"execution": how}) for how in (execution, "eager")
    )
    optimizer = tf_keras.optimizers.Adam(
        apart.settings.learning_rate, global_clipnorm=0.1, jit_compile=False
    )
    averages = [variable.numpy() for variable in apart.module.variables]
    step = tf.function(packed.train_step, jit_compile=execution == "xla", autograph=False)
    data = first(packed)
    for done in range(1, 5):
        (step if execution != "eager" else packed.train_step)(data)
        with tf.GradientTape() as tape:
            loss = apart.batch_loss(data, is_training=True)[0] + apart.penalty()
        gradients = tape.gradient(loss, apart.trained, unconnected_gradients="zero")
        optimizer.apply_gradients(zip(gradients, apart.trained, strict=True))
        kept = min(0.3, (1 + done) / (10 + done))
        averages = [
            kept * average + (1 - kept) * variable.numpy()
            for average, variable in zip(averages, apart.module.variables, strict=True)
        ]
    for variable, expected in zip(packed.trained, apart.trained, strict=True):
        np.testing.assert_allclose(variable, expected, rtol=1e-4, atol=1e-6)
    packed.apply_averages()
    for variable, expected in zip(packed.module.variables, averages, strict=True):
        np.testing.assert_allclose(variable, expected, rtol=1e-4, atol=1e-6)


def test_a_training_step_starts_from_the_variables_as_they_are():
    """A callback, or a user between two calls, may change the weights of the model."""
    changed, fresh = (make(ring(), settings={"execution": "eager"}) for _ in range(2))
    changed.trained[0].assign_add(tf.ones_like(changed.trained[0]))
    fresh.trained[0].assign_add(tf.ones_like(fresh.trained[0]))
    fresh.compile(10)
    for objective in (changed, fresh):
        objective.train_step(first(objective))
    for variable, expected in zip(changed.trained, fresh.trained, strict=True):
        np.testing.assert_array_equal(variable, expected)


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
