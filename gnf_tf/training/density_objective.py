"""Training of a `GraphDensity` by maximum likelihood."""

import dataclasses
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import tensorflow as tf

from gnf_tf import options, reversible, seeds
from gnf_tf.datasets import GraphRows, PointSets
from gnf_tf.graphs import GraphsTuple
from gnf_tf.models.graph_density import GraphDensity, Graphs
from gnf_tf.training import distribution
from gnf_tf.training.adam import cosine_adam
from gnf_tf.training.objective import VALIDATION, Objective, Settings, named

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DensityObjective", "DensitySettings", "samples_figure"]

FIGURES = -3  # second number of the seed of sets in figures, like VALIDATION
DIAGNOSED, SHOWN = 200, 1000  # graphs in diagnostics and in figures
DRAWN = 12  # features in a figure of histograms, each of which takes a tenth of a second
SAMPLED_STEPS = 300  # default number of training steps in an epoch of drawn sets
MOST_STEPS = 10  # training steps in one call of the compiled program


@dataclasses.dataclass(frozen=True)
class DensitySettings(Settings):
    """The training settings of a `GraphDensity`."""

    batch_size: options.Count = 64
    global_clipnorm: options.Positive = 1.0
    ema_decay: options.Share = 0.999
    beta_2: options.Share = 0.99
    """decay rate of Adam's second moment"""
    steps_per_epoch: options.Count | None = None
    """number of training steps between validations, rounded up to whole passes over the graphs;
    default: one pass over graphs, or 300 steps on drawn sets"""
    validation_sets: options.AtLeast2 = 2_000
    """number of sets, the same in each validation, if sets are drawn"""


class DensityObjective(Objective):
    """Minimizes the negative log-likelihood (NLL) per node, in nats.

        L = -sum_g log p(X_g | rest of g) / sum_g N_g

    The sums are over the graphs g of a batch, with N_g nodes and node features X_g. `train` and
    `validation` are graphs, or distributions of point sets, `datasets.PointSets`, from which each
    training step draws new sets.

    Validation and the trained model use the averages of the weights. Moving statistics of batch
    normalization belong to the weights during training, so the statistics for the averages are
    computed from training data, by `GraphDensity.calibrate`.
    """

    settings_class = DensitySettings
    loss_name: ClassVar[str] = "NLL per node [nats]"
    module: GraphDensity
    settings: DensitySettings

    def __init__(
        self,
        module: GraphDensity,
        settings: DensitySettings,
        seed: int,
        train: Graphs | PointSets,
        validation: Graphs | PointSets | None,
    ):
        with named("train"):
            train = _checked(module, train)
        with named("validation"):
            validation = train if validation is None else _checked(module, validation)
        super().__init__(module, settings, seed, train, validation, [])

    @property
    def steps_per_epoch(self) -> int:
        """See `Objective.steps_per_epoch`."""
        if isinstance(self._train, PointSets):
            return self.settings.steps_per_epoch or SAMPLED_STEPS
        return super().steps_per_epoch

    @property
    def passes(self) -> int:
        """See `Objective.passes`."""
        return -(-(self.settings.steps_per_epoch or 1) // self.num_batches(self._train))

    def default_execution(self):
        """Returns "xla" if sets are drawn, else "function", since batches differ in size."""
        return "xla" if isinstance(self._train, PointSets) else "function"

    def batches(self, data, **options):
        """See `Objective.batches`."""
        return super().batches(data, padded=False, **options)

    def training_stream(self, first_epoch, skip):
        """See `Objective.training_stream`."""
        if not isinstance(self._train, PointSets):
            return super().training_stream(first_epoch, skip)
        steps = self._steps_per_call
        calls = self.steps_per_epoch // steps
        finish = self.input_wait.timed
        return distribution.distribute(_calls, calls, steps, finish=finish, skip=skip // steps)

    def validation_stream(self):
        """See `Objective.validation_stream`."""
        if not isinstance(self._validation, PointSets):
            return super().validation_stream()
        return distribution.distribute(_calls, 1), 1

    @property
    def _steps_per_call(self):
        """Number of training steps in one call of the compiled program, a divisor of the epoch.

        XLA compiles them as one loop. This loop took 12 ms a step, where a loop around the program,
        by Keras's `steps_per_execution`, and single calls took 30 ms or more (2 CPU cores).
        """
        if not self.jit_compile:
            return 1
        return max(n for n in range(1, MOST_STEPS + 1) if self.steps_per_epoch % n == 0)

    @tf.autograph.experimental.do_not_convert
    def train_step(self, data):
        """Takes one training step; if sets are drawn, one for each element of `data`."""
        one_step = super().train_step
        if not isinstance(self._train, PointSets) or data.shape[0] == 1:
            return one_step(data)

        def step(i):
            one_step(data)
            return [i + 1]

        tf.while_loop(lambda i: i < data.shape[0], step, [0])
        return {metric.name: metric.result() for metric in self.metrics}

    def batch_loss(self, data, is_training):
        """See `Objective.batch_loss`."""
        sets = self._train if is_training else self._validation
        if isinstance(sets, PointSets):
            if is_training:
                graph = self._drawn(sets, self.settings.batch_size, self.step_seed())
            else:
                count = self.settings.validation_sets
                graph = self._drawn(sets, count, self.validation_seed())
        else:
            graph = GraphsTuple(**data[0])
        total = tf.reduce_sum(self.module(graph, is_training=is_training))
        num_nodes = tf.cast(tf.shape(graph.nodes)[0], total.dtype)
        return tf.math.divide_no_nan(-total, num_nodes), num_nodes, {}

    def _drawn(self, sets, num_sets, seed):
        return self.module.draw(
            sets, -(-num_sets // self.distribute_strategy.num_replicas_in_sync), seed=seed
        )

    def averaged_variables(self):
        """Returns all variables, also those of the normalizations."""
        return list(self.module.variables)

    def optimizer_for(self, total_steps):
        """See `Objective.optimizer_for`."""
        settings = self.settings
        return cosine_adam(
            settings.learning_rate,
            total_steps,
            global_clipnorm=settings.global_clipnorm,
            beta_2=settings.beta_2,
        )

    def apply_averages(self) -> None:
        """Assigns the averages, and computes the statistics of batch normalization for them."""
        super().apply_averages()
        whole = self._train.whole if isinstance(self._train, GraphRows) else self._train
        self.module.calibrate(whole)

    def diagnose(self) -> dict[str, float]:
        """Returns `reconstruction_error`, max |x - inverse(flow(x))| over node features x.

        It is in units of the features' standard deviations.
        """
        graph, layers = self._some(DIAGNOSED, VALIDATION), self.module.gnf.layers
        latent, _ = reversible.run(layers, graph)
        back, _ = reversible.run(layers, latent, inverse=True)
        error = tf.abs(back.nodes - graph.nodes) / self.module.scale
        return {"reconstruction_error": float(tf.reduce_max(error))}

    def summarize(self) -> None:
        """Draws histograms of log|det| of each flow step, and samples beside the data."""
        from gnf_tf import plots

        graph = self._some(DIAGNOSED, VALIDATION)
        for i, layer in enumerate(self.module.gnf.layers[1:]):
            graph, log_det = reversible.run([layer], graph)
            tf.summary.histogram(f"log_det_per_node/{i:02d}_{layer.name}", log_det)
        figure = samples_figure(self.module, self._some(SHOWN, FIGURES))
        tf.summary.image("sets", plots.to_image(figure))

    def _some(self, num_graphs, seed):
        if isinstance(self._validation, PointSets):
            return self.module.draw(self._validation, num_graphs, seed=(0, seed))
        return self.module.some_of(self._validation.whole, num_graphs)


def _checked(module, data):
    if not isinstance(data, PointSets):
        return module.rows(data)
    if module.node_size != 2 or module.global_size:
        raise ValueError(
            "a model of sets in the plane must have node features of width 2 and no globals, got "
            f"widths {module.node_size} and {module.global_size}"
        )
    return data


def _calls(count, steps=1, *, parts, num_parts):
    """Returns a stream of `count` elements [steps] for each part, for sets that are drawn."""
    del num_parts
    return tf.data.Dataset.from_tensors(tf.range(steps)).repeat(count * len(parts))


def samples_figure(model: GraphDensity, graph: GraphsTuple, *, seed: seeds.Seed = 0) -> "Figure":
    """Draws data beside samples: point sets in the plane, else histograms of the first features.

    Args:
      model: the model to draw samples from.
      graph: the data; samples are drawn for the same topologies.
      seed: seed of the samples.
    """
    from gnf_tf import plots

    both = {"data": graph, "samples": model.sample(graph, seed=seed)}
    if model.node_size != 2:
        return plots.feature_histograms(
            {name: np.asarray(one.nodes)[:, :DRAWN] for name, one in both.items()}
        )
    return plots.point_sets(
        {
            title: (
                np.asarray(one.nodes),
                np.split(np.asarray(one.nodes), np.cumsum(one.n_node)[:-1])[:8],
            )
            for title, one in both.items()
        }
    )
