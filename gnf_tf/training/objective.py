"""The Keras model that `fit` trains: a model of `gnf_tf.models` with its loss, metrics and data."""

import abc
import contextlib
import dataclasses
import os
from collections.abc import Iterator
from typing import Any, ClassVar, Literal, TypeAlias

import tensorflow as tf
import tf_keras

from gnf_tf import datasets, options, seeds
from gnf_tf.models import saving
from gnf_tf.training import distribution
from gnf_tf.training.adam import cosine_adam
from gnf_tf.training.input_wait import InputWait
from gnf_tf.training.packing import Packing

__all__ = ["Objective", "Settings", "named", "step_seed"]

VALIDATION = -1  # second number of the seed of validation; those of training are positive
Execution = Literal["xla", "function", "eager"]
Stream: TypeAlias = tf.data.Dataset | tf.distribute.DistributedDataset


@dataclasses.dataclass(frozen=True)
class Settings:
    """The training settings that all models have; subclasses add those of one model."""

    batch_size: options.Count = 32
    """number of graphs in a training step, of all replicas together"""
    learning_rate: options.Positive = 2e-3
    """peak learning rate of Adam; the rate rises linearly in the first 5 % of the training steps,
    then falls to 0 as a cosine"""
    global_clipnorm: options.Positive = 4.0
    """largest global norm of the gradient, which is scaled down to it"""
    ema_decay: options.Share = 0.0
    """decay rate of the exponential moving average (EMA) of the weights, which replaces the weights
    after training; 0: no average"""
    patience: options.Count = 20
    """number of epochs without improvement after which training stops"""
    checkpoint_minutes: options.NotNegative = 5.0
    """longest time between two checkpoints; each epoch ends with one, too"""
    execution: Execution | None = None
    """how a training step runs: compiled by XLA, as a tf.function, or eagerly, operation by
    operation; default: chosen by model and data"""

    def __post_init__(self):
        options.check(self)


@contextlib.contextmanager
def named(argument: str) -> Iterator[None]:
    """In this context, errors of data name the argument that holds them."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise type(error)(f"`{argument}`: {error}") from error


def step_seed(seed: int, step: tf.Tensor | int) -> tf.Tensor:
    """Returns a stateless seed, int32 [2], different for each pair of `seed` and `step`.

    Args:
      seed: a whole number, 0 or more, the seed of a training.
      step: int32, number of a training step.
    """
    if seed < 2**31:
        return tf.stack([seed, step])
    return tf.random.fold_in(seeds.as_pair(seed), step)


_FORMAT_RULE = (
    "`filepath` must be the prefix of a TensorFlow checkpoint, without a suffix .h5, .hdf5 or "
    ".keras, since Keras's own formats store weights of Keras layers only, got "
)


def _check_format(filepath, save_format=None):
    filepath = os.fspath(filepath)
    is_keras = save_format not in (None, "tf", "tensorflow")
    if is_keras or filepath.endswith((".h5", ".hdf5", ".keras")):
        raise ValueError(f"{_FORMAT_RULE}{filepath!r}, save_format={save_format!r}")


class Objective(tf_keras.Model, abc.ABC):
    """A Keras model that trains a model of `gnf_tf.models`, its attribute `module`.

    Subclasses define the loss and the metrics, and `fit` trains an objective. Each replica r gets a
    part of a batch, on which L_r is the mean loss over w_r graphs (or nodes). Training minimizes

        L = sum_r s_r L_r + penalty,    s_r = w_r / sum_q w_q

    with sums over replicas. This is the mean loss over the whole batch plus the penalty, however
    the batch is divided into parts; see `distribution.all_reduced` for the gradient.

    With d = `settings.ema_decay` > 0, validation and the trained model use the averages a_t of the
    weights v_t after training step t:

        a_t = d_t a_(t-1) + (1 - d_t) v_t,    d_t = min(d, (1 + t) / (10 + t)),    a_0 = v_0

    The weights are variables of Sonnet modules and TFP bijectors. TensorFlow's checkpoints contain
    them, but Keras's own file formats do not, so saving in those raises an error.

    Attributes:
      module: the model to train.
      settings: training settings, an instance of `settings_class`.
      seed: seed of all random numbers of the training.
      metric_of: metrics by name, among them `loss` and `gradient_norm` (in training only).
      monitor: name of the validation metric that the best weights minimize.
      loss_name: description of the loss with its unit, for plots.
      units: units of metrics that have one, by name of the metric.
      input_wait: measures the time that training waits for batches.
    """

    settings_class: ClassVar[type] = Settings
    monitor: ClassVar[str] = "val_loss"
    loss_name: ClassVar[str]
    has_schedule: ClassVar[bool] = True  # whether the learning rate rises and falls by itself
    units: dict[str, str] = {}  # noqa: RUF012  # subclasses replace it

    def __init__(
        self,
        module: saving.Model,
        settings: Settings,
        seed: int,
        train: Any,
        validation: Any,
        metrics: list[tf_keras.metrics.Metric],
    ):
        """Makes the metrics, and leaves the model as it is.

        Args:
          module: the model to train.
          settings: training settings.
          seed: seed of all random numbers of the training, a whole number, 0 or more.
          train: the training data, as `batches` takes them.
          validation: the validation data, as `batches` takes them.
          metrics: metrics that `batch_loss` updates besides the loss.
        """
        super().__init__(dtype=tf.float32)  # a global policy of 16 bits would scale the loss
        self.module = module
        self.settings = settings
        self.seed = seed
        self.input_wait = InputWait()
        self._train, self._validation = train, validation
        own = [tf_keras.metrics.Mean(name=name) for name in ("loss", "gradient_norm")]
        self.metric_of = {metric.name: metric for metric in own + metrics}
        self.averages = None

    # Subclasses override these.

    @classmethod
    def stages(cls, module: Any, settings: Any) -> dict[str, Any]:
        """Returns the settings of each training stage, by its folder within the run folder.

        Args:
          module: the model to train.
          settings: the settings that the user chose.
        """
        del module
        return {"": settings}

    @abc.abstractmethod
    def batch_loss(
        self, data: Any, is_training: bool
    ) -> tuple[tf.Tensor, tf.Tensor, dict[str, tuple]]:
        """Returns loss, weight and metric updates of this replica's part of a batch.

        Args:
          data: an element of the training or validation stream.
          is_training: whether `data` are training data.

        Returns:
          (mean loss L_r, a scalar, 0 for a part without graphs; number w_r of graphs or nodes that
          it averages; arguments of `update_state` by name of the metric). A metric `loss` is
          reported in place of L_r.
        """

    @property
    def passes(self) -> int:
        """Number of passes over the training data in an epoch."""
        return 1

    @property
    def steps_per_epoch(self) -> int:
        """Number of training steps between two validations."""
        return self.passes * self.num_batches(self._train)

    def batches(self, data: Any, **options: Any) -> Stream:
        """Returns a stream of batches, each divided among the replicas.

        Args:
          data: training or validation data.
          **options: options of `distribution.distribute` and `datasets.batches`.
        """
        return distribution.distribute(datasets.batches, data, self.settings.batch_size, **options)

    def training_stream(self, first_epoch: int, skip: int) -> Stream:
        """Returns the training batches; the k-th iteration is epoch `first_epoch + k`.

        A stream that a strategy distributes has all epochs one after another.

        Args:
          first_epoch: number of the first epoch.
          skip: number of batches of the first epoch to skip.
        """
        return self.batches(
            self._train,
            finish=self.input_wait.timed,
            skip=skip,
            seed=self.seed,
            first_epoch=first_epoch,
            passes=self.passes,
        )

    def validation_stream(self) -> tuple[Stream, int]:
        """Returns the validation batches, and their number."""
        return self.batches(self._validation), self.num_batches(self._validation)

    def penalty(self) -> tf.Tensor | float:
        """Returns the term of the training loss that does not depend on data."""
        return 0.0

    def trained_variables(self) -> list[tf.Variable]:
        """Returns the variables that training changes."""
        return list(self.module.trainable_variables)

    def averaged_variables(self) -> list[tf.Variable]:
        """Returns the variables that have moving averages."""
        return self.trained_variables()

    def optimizer_for(self, total_steps: int) -> tf_keras.optimizers.Optimizer:
        """Returns a new optimizer for `total_steps` training steps."""
        return cosine_adam(
            self.settings.learning_rate, total_steps, global_clipnorm=self.settings.global_clipnorm
        )

    def default_execution(self) -> Execution:
        """Returns the execution for `settings.execution` None."""
        return "xla"

    def diagnose(self) -> dict[str, float]:
        """Returns numerical errors of the model, such as the error of its inverse, by name."""
        return {}

    def summarize(self) -> None:
        """Writes figures of the model by `tf.summary`, after each epoch."""

    def begin(self) -> None:
        """Prepares the model for the training, when nothing refuses it any more."""

    def finish(self) -> None:
        """Completes the model at the end of training, when it has its final weights."""

    def apply_averages(self) -> None:
        """Assigns the averages to the weights of `module`, as after training."""
        if self.averages is not None:
            self._averaged.assign(self.averages)

    # All objectives share these.

    def num_batches(self, data: Any) -> int:
        """Returns the number of batches in one pass over `data`."""
        return -(-len(data) // self.settings.batch_size)

    @contextlib.contextmanager
    def averages_applied(self):
        """Returns a context in which `module` has the averages as weights."""
        variables = self.module.variables
        before = [variable.numpy() for variable in variables]
        self.apply_averages()
        try:
            yield
        finally:
            for variable, value in zip(variables, before, strict=True):
                variable.assign(value)

    def evaluate(self, *args, **kwargs):
        """Evaluates the averaged weights, see `tf_keras.Model.evaluate`."""
        with self.averages_applied():
            return super().evaluate(*args, **kwargs)

    @property
    def metrics(self):
        return list(self.metric_of.values())

    def compile(self, total_steps: int) -> None:
        """Compiles the Keras model, prepares the model, and makes optimizer and averages.

        Args:
          total_steps: number of training steps of the whole training.
        """
        self.begin()
        self._averaged = Packing(self.averaged_variables())
        self.averages = self._averaged.vector if self.settings.ema_decay else None
        execution = self.settings.execution or self.default_execution()
        jit_compile = execution == "xla"
        # Without a strategy, XLA compiles the whole training step. With one, it compiles the
        # computations of each replica, since it can't compile sums over replicas.
        alone = not tf.distribute.has_strategy()
        # `weighted_metrics=[]` keeps Keras from warning that it ignores the weights of a batch.
        super().compile(
            optimizer=self.optimizer_for(total_steps),
            jit_compile=jit_compile and alone,
            run_eagerly=execution == "eager",
            weighted_metrics=[],
        )
        self.distribute_reduction_method = "first"  # metrics already combine all replicas
        self.trained = self.trained_variables()
        self._packing = Packing(self.trained)
        # The vector is no attribute of this model, whose checkpoints would hold the weights twice.
        self.optimizer.build([self._packing.vector])
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
        gradients = tape.gradient(loss, self.trained, unconnected_gradients="zero")
        return self._packing.pack(gradients), loss, weight, updates

    # AutoGraph, which this code does not need, would double the time of tracing.
    @tf.autograph.experimental.do_not_convert
    def train_step(self, data):
        gradient, loss, weight, updates = self._differentiate(data)
        gradient = distribution.all_reduced(gradient, weight)
        vector = self._packing.vector
        vector.assign(self._packing.pack())  # others may have changed the variables
        self.optimizer.apply_gradients([(gradient, vector)], skip_gradients_aggregation=True)
        self._packing.assign(vector)
        self._update_averages()
        norm = tf.norm(gradient)
        # The replicas have the same norm, and together count once.
        once = 1.0 / self.distribute_strategy.num_replicas_in_sync
        return self._update({"loss": (loss, weight), "gradient_norm": (norm, once)} | updates)

    @tf.autograph.experimental.do_not_convert
    def test_step(self, data):
        loss, weight, updates = self._evaluate(data, is_training=False)
        return self._update({"loss": (loss, weight)} | updates)

    def _update(self, updates):
        for name, arguments in updates.items():
            self.metric_of[name].update_state(*arguments)
        return {name: self.metric_of[name].result() for name in updates}

    def _update_averages(self):
        if self.averages is None:
            return
        # The decay is lower at first, to forget the initial weights within a few steps.
        done = tf.cast(self.optimizer.iterations, tf.float32)
        kept = tf.minimum(self.settings.ema_decay, (1.0 + done) / (10.0 + done))
        weights = self._averaged.pack()
        self.averages.assign(weights + kept * (self.averages - weights))

    def step_seed(self) -> tf.Tensor:
        """Returns the seed, int32 [2], of this training step on this replica.

        Its second number is positive, so that other uses can have the other numbers.
        """
        seed = step_seed(self.seed, 1 + tf.cast(self.optimizer.iterations, tf.int32))
        return distribution.seed_of_replica(seed)

    def validation_seed(self) -> tf.Tensor:
        """Returns the seed, int32 [2], of a batch in validation, on this replica.

        The seeds of the batches differ, and are the same in each validation.
        """
        seen = tf.cast(self.metric_of["loss"].count, tf.int32)  # number of graphs or nodes so far
        return distribution.seed_of_replica(tf.stack([seen, VALIDATION]))

    def save_weights(self, filepath, overwrite=True, save_format=None, options=None):
        """Saves a TensorFlow checkpoint, see `tf_keras.Model`; other formats are a ValueError."""
        _check_format(filepath, save_format)
        super().save_weights(filepath, overwrite, save_format, options)

    def load_weights(self, filepath, skip_mismatch=False, by_name=False, options=None):
        """Loads a TensorFlow checkpoint, see `tf_keras.Model`; other formats are a ValueError."""
        # A single file, not a prefix of files, is in Keras's HDF5 format, whatever its name.
        is_hdf5 = os.path.isfile(filepath) and not os.path.exists(f"{os.fspath(filepath)}.index")
        _check_format(filepath, "h5" if is_hdf5 else None)
        return super().load_weights(filepath, skip_mismatch, by_name, options)

    def save(self, filepath, overwrite=True, save_format=None, **kwargs):
        """Saves in TensorFlow's format, see `tf_keras.Model`; other formats are a ValueError."""
        _check_format(filepath, save_format)
        super().save(filepath, overwrite, save_format, **kwargs)

    def save_own_variables(self, store):
        """Raises a ValueError; `tf_keras.models.save_model` calls this for Keras's formats."""
        raise ValueError(f"{_FORMAT_RULE}one of these formats")

    load_own_variables = save_own_variables
