"""Keras models that the trainers' are made from: timed, with averaged weights, on replicas."""

import abc
import contextlib
import os
import time
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from gnf_tf import seeds
from trainers import distribution

__all__ = ["AveragedModel", "BatchModel", "TimedModel", "step_seed"]


def step_seed(seed: int, step: tf.Tensor | int) -> tf.Tensor:
    """A stateless seed, int32 [2], for each seed of a model and each of its steps.

    Args:
      seed: a whole number in [0, 2^63).
      step: int32.
    """
    if seed < 2**31:
        return tf.stack([seed, step])
    return tf.random.fold_in(seeds.as_pair(seed), step)


_FORMAT_RULE = (
    "`filepath` must be the prefix of a TensorFlow checkpoint, without a suffix .h5, .hdf5 or "
    ".keras, for Keras's own formats lose all weights but those of Keras layers, got "
)


def _check_format(filepath, save_format=None):
    filepath = os.fspath(filepath)
    is_keras = save_format not in (None, "tf", "tensorflow")
    if is_keras or filepath.endswith((".h5", ".hdf5", ".keras")):
        raise ValueError(f"{_FORMAT_RULE}{filepath!r}, save_format={save_format!r}")


class TimedModel(tf_keras.Model):
    """A Keras model that measures how long it waits for data; subclasses define `train_step`.

    Its weights are those of Sonnet modules and TFP bijectors. TensorFlow's checkpoints keep them,
    `save_weights("prefix")` and `tf.train.Checkpoint(model=model)`; Keras's own formats don't, and
    are refused.
    """

    def save_weights(self, filepath, overwrite=True, save_format=None, options=None):
        """As `tf_keras.Model.save_weights`; a ValueError for a format that loses weights."""
        _check_format(filepath, save_format)
        super().save_weights(filepath, overwrite, save_format, options)

    def load_weights(self, filepath, skip_mismatch=False, by_name=False, options=None):
        """As `tf_keras.Model.load_weights`; a ValueError for a format that loses weights."""
        # A file that is no prefix of others is Keras's HDF5, whatever its name.
        is_hdf5 = os.path.isfile(filepath) and not os.path.exists(f"{os.fspath(filepath)}.index")
        _check_format(filepath, "h5" if is_hdf5 else None)
        return super().load_weights(filepath, skip_mismatch, by_name, options)

    def save(self, filepath, overwrite=True, save_format=None, **kwargs):
        """As `tf_keras.Model.save`; a ValueError for a format that loses weights."""
        _check_format(filepath, save_format)
        super().save(filepath, overwrite, save_format, **kwargs)

    def save_own_variables(self, store):
        """Raises a ValueError: Keras's formats come here by `tf_keras.models.save_model` too."""
        raise ValueError(f"{_FORMAT_RULE}one of these")

    load_own_variables = save_own_variables

    def make_train_function(self, force=False):
        """One training step with its batch fetched in sight, so that the wait is measured.

        Keras's own fetches inside of the compiled step.
        """
        if self.train_function is None or force:
            strategy = self.distribute_strategy
            self._waited = self._elapsed = 0.0
            traced = False

            def step(data):
                logs = strategy.run(self.train_step, args=(data,))
                return {name: strategy.experimental_local_results(v)[0] for name, v in logs.items()}

            def train(iterator):
                nonlocal step, traced
                if not (traced or self.run_eagerly):
                    step = tf.function(
                        step,
                        # One trace for batches of any size that the stream announces; XLA compiles
                        # for each size anyway, and is told it.
                        input_signature=None if self.jit_compile else [iterator.element_spec],
                        jit_compile=self.jit_compile,
                        # Our code needs no AutoGraph, which takes half of the tracing time.
                        autograph=False,
                    )
                start = time.perf_counter()
                data = next(iterator)
                fetched = time.perf_counter()
                logs = step(data)
                if traced:
                    self._waited += fetched - start
                    self._elapsed += time.perf_counter() - start
                traced = True
                return logs

            self.train_function = train
        return self.train_function

    @property
    def input_wait_share(self) -> float:
        """Share of the training steps' time, the first one's apart, spent waiting for batches."""
        return self._waited / self._elapsed if self._elapsed else 0.0


class AveragedModel(TimedModel):
    """A model whose weights' exponential averages serve for all but training."""

    def start_averages(self, variables: Sequence[tf.Variable], decay: float) -> None:
        """Once the variables are made; `decay` 0 keeps no memory: the averages are the weights."""
        self._averaged = list(variables)
        self._averaging = decay
        # Replicas average the same values.
        once = tf.VariableAggregation.ONLY_FIRST_REPLICA
        self.averages = [tf.Variable(v, trainable=False, aggregation=once) for v in variables]

    def update_averages(self) -> None:
        """For the end of each training step."""
        # Shorter memory at first, or the initial weights would weigh for thousands of steps.
        done = tf.cast(self.optimizer.iterations, tf.float32)
        kept = tf.minimum(self._averaging, (1.0 + done) / (10.0 + done))
        for average, variable in zip(self.averages, self._averaged, strict=True):
            average.assign(variable + kept * (average - variable))

    def evaluate(self, *args, **kwargs):
        """As `tf_keras.Model.evaluate`, with the averaged weights."""
        with self.averaged():
            return super().evaluate(*args, **kwargs)

    @contextlib.contextmanager
    def averaged(self):
        """Within it the model has its averaged weights."""
        before = [variable.numpy() for variable in self._averaged]
        for variable, average in zip(self._averaged, self.averages, strict=True):
            variable.assign(average)
        try:
            yield
        finally:
            for variable, value in zip(self._averaged, before, strict=True):
                variable.assign(value)


class BatchModel(TimedModel, abc.ABC):
    """A model whose loss is a mean over the graphs of a batch, or their nodes, plus a penalty.

    On several replicas each has a part of the batch. The mean over the batch is the sum of the
    means over the parts, each times its share of what is averaged; and so are the gradients,
    however much each part holds.

    Attributes:
      metric_of: by name; the model updates `loss` and, in training, `gradient_norm`.
    """

    metric_of: dict[str, tf_keras.metrics.Metric]

    @abc.abstractmethod
    def batch_loss(
        self, data: Any, is_training: bool
    ) -> tuple[tf.Tensor, tf.Tensor, dict[str, tuple]]:
        """(mean loss over the data, how much that averages, metric -> arguments of its update).

        The loss of data that hold nothing is 0.
        """

    def penalty(self) -> tf.Tensor | float:
        """What training adds to the loss, whatever the data."""
        return 0.0

    @property
    def metrics(self):
        return list(self.metric_of.values())

    def compile(self, *args, jit_compile: bool = False, **kwargs):
        """As `tf_keras.Model.compile`."""
        # XLA compiles a whole step where there is nothing else than this replica. Else what each
        # does by itself: it knows no sums over replicas.
        alone = not tf.distribute.has_strategy()
        # No metrics of Keras's own: `weighted_metrics=[]` says that weights are seen to.
        super().compile(*args, jit_compile=jit_compile and alone, weighted_metrics=[], **kwargs)
        self.distribute_reduction_method = "first"  # metrics are sums over replicas already
        self._differentiate, self._evaluate = self._differentiated, self.batch_loss
        if jit_compile and not alone:
            self._differentiate, self._evaluate = (
                tf.function(function, jit_compile=True, autograph=False)
                for function in (self._differentiated, self.batch_loss)
            )

    def _differentiated(self, data):
        with tf.GradientTape() as tape:
            loss, weight, updates = self.batch_loss(data, is_training=True)
            loss += self.penalty()
        gradients = tape.gradient(loss, self.trainable_variables, unconnected_gradients="zero")
        return gradients, loss, weight, updates

    def train_step(self, data):
        gradients, loss, weight, updates = self._differentiate(data)
        gradients = distribution.merged(gradients, weight)
        self.optimizer.apply_gradients(
            zip(gradients, self.trainable_variables, strict=True),
            skip_gradients_aggregation=True,
        )
        norm = tf.linalg.global_norm(gradients)
        # All replicas together count once, as a single one does.
        once = 1.0 / self.distribute_strategy.num_replicas_in_sync
        return self._update(updates | {"loss": (loss, weight), "gradient_norm": (norm, once)})

    def test_step(self, data):
        loss, weight, updates = self._evaluate(data, is_training=False)
        return self._update(updates | {"loss": (loss, weight)})

    def _update(self, updates):
        for name, arguments in updates.items():
            self.metric_of[name].update_state(*arguments)
        return {name: self.metric_of[name].result() for name in updates}
