"""What `fit` trains: a Keras model around one of ours, with its loss, metrics and data."""

import abc
import contextlib
import dataclasses
import os
import time
from typing import Any, ClassVar, Literal, TypeAlias

import tensorflow as tf
import tf_keras

from gnf_tf import options, seeds
from gnf_tf.models import saving
from gnf_tf.training import distribution

__all__ = ["Objective", "Settings", "cosine_adam", "step_seed"]

Execution = Literal["xla", "function", "eager"]
Stream: TypeAlias = tf.data.Dataset | tf.distribute.DistributedDataset


@dataclasses.dataclass(frozen=True)
class Settings:
    """How any model is trained; those of one kind of model are in a subclass."""

    batch_size: options.Count = 32
    """graphs a step, of all replicas together"""
    learning_rate: options.Positive = 2e-3
    """highest rate of Adam; it rises for 5 % of the steps, then falls to 0 as a cosine"""
    clip_norm: options.Positive = 4.0
    """gradients are scaled down to this global norm"""
    averaging: options.Share = 0.0
    """decay of the exponential average of the weights; 0: none"""
    patience: options.Count = 20
    """epochs without better weights before stopping"""
    checkpoint_minutes: options.NotNegative = 5.0
    """longest time between checkpoints, which every epoch ends with too"""
    execution: Execution | None = None
    """how a training step runs: compiled by XLA, as a tf.function, or operation by operation;
    default: what suits the model and the data"""

    def __post_init__(self):
        options.check(self)


def step_seed(seed: int, step: tf.Tensor | int) -> tf.Tensor:
    """A stateless seed, int32 [2], for each seed of a training and each of its steps.

    Args:
      seed: a whole number in [0, 2^63).
      step: int32.
    """
    if seed < 2**31:
        return tf.stack([seed, step])
    return tf.random.fold_in(seeds.as_pair(seed), step)


def cosine_adam(
    learning_rate: float, total_steps: int, *, clip_norm: float, beta_2: float = 0.999
) -> tf_keras.optimizers.Adam:
    """Adam whose rate rises for 5 % of the steps, then falls to 0 as a cosine."""
    warmup = max(1, total_steps // 20)
    schedule = tf_keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=learning_rate / 20,
        decay_steps=max(1, total_steps - warmup),
        warmup_target=learning_rate,
        warmup_steps=warmup,
    )
    # One XLA program for each shape of variable is what the optimizer's own jit would compile.
    return tf_keras.optimizers.Adam(
        schedule, beta_2=beta_2, global_clipnorm=clip_norm, jit_compile=False
    )


_FORMAT_RULE = (
    "`filepath` must be the prefix of a TensorFlow checkpoint, without a suffix .h5, .hdf5 or "
    ".keras, for Keras's own formats lose all weights but those of Keras layers, got "
)


def _check_format(filepath, save_format=None):
    filepath = os.fspath(filepath)
    is_keras = save_format not in (None, "tf", "tensorflow")
    if is_keras or filepath.endswith((".h5", ".hdf5", ".keras")):
        raise ValueError(f"{_FORMAT_RULE}{filepath!r}, save_format={save_format!r}")


class Objective(tf_keras.Model, abc.ABC):
    """A Keras model of the loss of one of our models, a mean over a batch, plus a penalty.

    A subclass says what the data are, what the loss is and what is measured; `fit` does the rest.

    On several replicas each has a part of the batch. The mean over the batch is the sum of the
    means over the parts, each times its share of what is averaged; and so are the gradients,
    however much each part holds.

    Where `settings.averaging` is positive, exponential averages of the weights serve for all but
    training. The model's weights are those of Sonnet modules and TFP bijectors: TensorFlow's
    checkpoints keep them; Keras's own formats don't, and are refused.

    Attributes:
      module: the model that is trained.
      settings: how, an instance of `settings_class`.
      metric_of: by name; `loss` and, in training, `gradient_norm` are there for every model.
      monitor: what is least for the best weights.
      loss_name: what the loss is, with its unit, for plots.
      units: of those metrics that have one, by name.
    """

    settings_class: ClassVar[type] = Settings
    monitor: ClassVar[str] = "val_loss"
    loss_name: ClassVar[str]
    units: dict[str, str] = {}  # noqa: RUF012  # a subclass sets its own

    def __init__(
        self,
        module: saving.Model,
        settings: Settings,
        seed: int,
        metrics: list[tf_keras.metrics.Metric],
    ):
        """Makes the metrics and the averages.

        Args:
          module: to be trained.
          settings: how.
          seed: of all that training draws.
          metrics: by name, what `batch_loss` updates besides the loss.
        """
        super().__init__()
        self.module = module
        self.settings = settings
        self.seed = seed
        own = [tf_keras.metrics.Mean(name=name) for name in ("loss", "gradient_norm")]
        self.metric_of = {metric.name: metric for metric in own + metrics}
        # Replicas average the same values.
        once = tf.VariableAggregation.ONLY_FIRST_REPLICA
        self._averaged = list(self.averaged_variables()) if settings.averaging else []
        self.averages = [tf.Variable(v, trainable=False, aggregation=once) for v in self._averaged]

    # What a subclass says.

    @classmethod
    def stages(cls, module: Any, settings: Any) -> dict[str, Any]:
        """The trainings that follow one another: folder within the run folder -> settings."""
        del module
        return {"": settings}

    @abc.abstractmethod
    def batch_loss(
        self, data: Any, is_training: bool
    ) -> tuple[tf.Tensor, tf.Tensor, dict[str, tuple]]:
        """(mean loss over the data, how much that averages, metric -> arguments of its update).

        The loss of data that hold nothing is 0. A `loss` among the metrics is shown in its place.
        """

    @property
    @abc.abstractmethod
    def steps_per_epoch(self) -> int:
        """Training steps between two validations."""

    @abc.abstractmethod
    def training_stream(self, first_epoch: int, skip: int) -> Stream:
        """The batches of epoch `first_epoch` without the first `skip`, then of the next ones.

        The k-th iteration is the k-th epoch; one that a strategy distributes has the epochs one
        after another.
        """

    @abc.abstractmethod
    def validation_stream(self) -> tuple[Stream, int]:
        """What is evaluated after each epoch, and its number of elements."""

    def penalty(self) -> tf.Tensor | float:
        """What training adds to the loss, whatever the data."""
        return 0.0

    def trained_variables(self) -> list[tf.Variable]:
        """Those that the gradient is taken of."""
        return list(self.module.trainable_variables)

    def averaged_variables(self) -> list[tf.Variable]:
        """Those that are averaged."""
        return self.trained_variables()

    def optimizer_for(self, total_steps: int) -> tf_keras.optimizers.Optimizer:
        """A new optimizer for so many steps."""
        return cosine_adam(
            self.settings.learning_rate, total_steps, clip_norm=self.settings.clip_norm
        )

    def default_execution(self) -> Execution:
        """Where the settings name none."""
        return "xla"

    def diagnose(self) -> dict[str, float]:
        """What can go wrong with the model, as numbers, by name."""
        return {}

    def summarize(self) -> None:
        """Writes what this kind of model shows after each epoch, by `tf.summary`."""

    def settle(self) -> None:
        """Gives the module the weights that it keeps after training: the averages."""
        for variable, average in zip(self._averaged, self.averages, strict=True):
            variable.assign(average)

    # What all have.

    @contextlib.contextmanager
    def settled(self):
        """Within it the module is as `settle` leaves it."""
        variables = self.module.variables
        before = [variable.numpy() for variable in variables]
        self.settle()
        try:
            yield
        finally:
            for variable, value in zip(variables, before, strict=True):
                variable.assign(value)

    def evaluate(self, *args, **kwargs):
        """As `tf_keras.Model.evaluate`, with the averaged weights."""
        with self.settled():
            return super().evaluate(*args, **kwargs)

    @property
    def metrics(self):
        return list(self.metric_of.values())

    def compile(self, total_steps: int) -> None:
        """With the optimizer, its variables made, and the execution that the settings name."""
        execution = self.settings.execution or self.default_execution()
        jit_compile = execution == "xla"
        # XLA compiles a whole step where there is nothing else than this replica. Else what each
        # does by itself: it knows no sums over replicas.
        alone = not tf.distribute.has_strategy()
        # No metrics of Keras's own: `weighted_metrics=[]` says that weights are seen to.
        super().compile(
            optimizer=self.optimizer_for(total_steps),
            jit_compile=jit_compile and alone,
            run_eagerly=execution == "eager",
            weighted_metrics=[],
        )
        self.distribute_reduction_method = "first"  # metrics are sums over replicas already
        self.trained = self.trained_variables()
        self.optimizer.build(self.trained)
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
        return gradients, loss, weight, updates

    def train_step(self, data):
        gradients, loss, weight, updates = self._differentiate(data)
        gradients = distribution.merged(gradients, weight)
        self.optimizer.apply_gradients(
            zip(gradients, self.trained, strict=True), skip_gradients_aggregation=True
        )
        self._update_averages()
        norm = tf.linalg.global_norm(gradients)
        # All replicas together count once, as a single one does.
        once = 1.0 / self.distribute_strategy.num_replicas_in_sync
        return self._update({"loss": (loss, weight), "gradient_norm": (norm, once)} | updates)

    def test_step(self, data):
        loss, weight, updates = self._evaluate(data, is_training=False)
        return self._update({"loss": (loss, weight)} | updates)

    def _update(self, updates):
        for name, arguments in updates.items():
            self.metric_of[name].update_state(*arguments)
        return {name: self.metric_of[name].result() for name in updates}

    def _update_averages(self):
        # Shorter memory at first, or the initial weights would weigh for thousands of steps.
        done = tf.cast(self.optimizer.iterations, tf.float32)
        kept = tf.minimum(self.settings.averaging, (1.0 + done) / (10.0 + done))
        for average, variable in zip(self.averages, self._averaged, strict=True):
            average.assign(variable + kept * (average - variable))

    def step_seed(self) -> tf.Tensor:
        """The seed, int32 [2], of what this training step draws, on this replica.

        Seeds of training steps have a positive second number, so that others may have the rest.
        """
        seed = step_seed(self.seed, 1 + tf.cast(self.optimizer.iterations, tf.int32))
        return distribution.seed_of_replica(seed)

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
