"""The time that training waits for its input."""

import time

import numpy as np
import tensorflow as tf
import tf_keras

__all__ = ["InputWait"]


class InputWait(tf_keras.callbacks.Callback):
    """Measures the share of the time of training steps that is spent waiting for batches.

    Keras fetches a batch within its training function, so `timed` reads the clock in the input
    pipeline. The first step is left out, since it is traced and compiled. With several replicas,
    the share is approximate, since TensorFlow fetches their batches in advance.
    """

    def __init__(self):
        super().__init__()
        self._waited = self._elapsed = 0.0
        self._times = {"start": 0.0, "fetching": 0.0}  # of what the training step fetches
        self._is_first = True

    @property
    def share(self) -> float:
        """Share of the time, in [0, 1]; 0 before the second training step."""
        return self._waited / self._elapsed if self._elapsed else 0.0

    def timed(self, stream: tf.data.Dataset) -> tf.data.Dataset:
        """Returns the same stream, which measures the time in which its elements are fetched."""
        times = self._times  # TensorFlow keeps the functions for ever: they must not hold `self`

        def begin(now):
            times["start"] = now

        def end(now):
            times["fetching"] += now - times["start"]

        def clock(note):
            def read(_):
                note(time.perf_counter())
                return np.int64(0)

            return tf.data.Dataset.counter().map(lambda i: tf.numpy_function(read, [i], tf.int64))

        # `zip` fetches in this order: clock, element, clock.
        zipped = tf.data.Dataset.zip(clock(begin), stream, clock(end))
        options = tf.data.Options()
        options.autotune.enabled = False  # it would fetch elements before they are asked for
        return zipped.map(lambda _, element, __: element).with_options(options)

    def on_train_batch_begin(self, batch, logs=None):
        self._step_start, self._times["fetching"] = time.perf_counter(), 0.0

    def on_train_batch_end(self, batch, logs=None):
        if not self._is_first:
            self._waited += self._times["fetching"]
            self._elapsed += time.perf_counter() - self._step_start
        self._is_first = False
