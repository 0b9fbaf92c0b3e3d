"""Training of a `GraphDensity`: maximum likelihood."""

import dataclasses
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import tensorflow as tf

from gnf_tf import datasets, options, reversible, seeds
from gnf_tf.datasets import GraphRows, PointSets
from gnf_tf.graphs import GraphsTuple
from gnf_tf.models.graph_density import GraphDensity, Graphs
from gnf_tf.training import distribution
from gnf_tf.training.objective import Objective, Settings, cosine_adam

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DensityObjective", "DensitySettings", "samples_figure"]

# Second numbers of the seeds of sets that no training step sees: those are positive.
VALIDATION, FIGURES = -1, -3
DIAGNOSED, SHOWN = 200, 1000  # graphs
SAMPLED_STEPS = 300  # training steps between validations, where sets are drawn
MOST_STEPS = 10  # in one call of the compiled program


@dataclasses.dataclass(frozen=True)
class DensitySettings(Settings):
    """How a `GraphDensity` is trained."""

    batch_size: options.Count = 64
    clip_norm: options.Positive = 1.0
    averaging: options.Share = 0.999
    beta_2: options.Share = 0.99
    """of Adam"""
    steps_per_epoch: options.Count | None = None
    """training steps between validations, rounded up to whole passes over the graphs; default: one
    pass, or 300 steps on sets that are drawn"""
    validation_sets: options.AtLeast2 = 2_000
    """sets of each validation, always the same, where they are drawn"""


class DensityObjective(Objective):
    """The negative log-likelihood per node of all graphs together, in nats.

    `train` and `validation` are graphs, or a distribution of sets, `datasets.PointSets`: then each
    training step draws sets of its own.

    Validation and samples have the averages of the weights, with statistics of batch normalization
    taken anew: the moving ones are those of weights that are not averaged.
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
        super().__init__(module, settings, seed, [])
        self._train = self._checked(train)
        self._validation = self._train if validation is None else self._checked(validation)

    def _checked(self, data):
        if not isinstance(data, PointSets):
            return self.module.rows(data)
        if self.module.node_size != 2 or self.module.global_size:
            raise ValueError(
                "a model of sets in the plane must have node features of width 2 and none of the "
                f"graph, got widths {self.module.node_size} and {self.module.global_size}"
            )
        return data

    @property
    def steps_per_epoch(self) -> int:
        """See `Objective.steps_per_epoch`."""
        steps = self.settings.steps_per_epoch
        if isinstance(self._train, PointSets):
            return steps or SAMPLED_STEPS
        return self._passes * -(-len(self._train) // self.settings.batch_size)

    @property
    def _passes(self):
        of_one = -(-len(self._train) // self.settings.batch_size)
        return -(-(self.settings.steps_per_epoch or 1) // of_one)

    def default_execution(self):
        """XLA where sets are drawn; graphs come in batches of many sizes."""
        return "xla" if isinstance(self._train, PointSets) else "function"

    def training_stream(self, first_epoch, skip):
        """See `Objective.training_stream`."""
        if isinstance(self._train, PointSets):
            steps = self._steps_per_call
            return distribution.dealt(
                _calls, self.steps_per_epoch // steps, steps, skip=skip // steps
            )
        return distribution.dealt(
            datasets.batches,
            self._train,
            self.settings.batch_size,
            padded=False,
            passes=self._passes,
            skip=skip,
            seed=self.seed,
            first_epoch=first_epoch,
        )

    def validation_stream(self):
        """See `Objective.validation_stream`."""
        if isinstance(self._validation, PointSets):
            return distribution.dealt(_calls, 1), 1
        size = self.settings.batch_size
        stream = distribution.dealt(datasets.batches, self._validation, size, padded=False)
        return stream, -(-len(self._validation) // size)

    @property
    def _steps_per_call(self):
        """A part of an epoch; one where XLA, which takes a third of a step to be called, is not."""
        if not self.jit_compile:
            return 1
        return max(n for n in range(1, MOST_STEPS + 1) if self.steps_per_epoch % n == 0)

    def train_step(self, data):
        """As many steps as there are elements in `data`, where sets are drawn."""
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
                seed = distribution.seed_of_replica(tf.constant([0, VALIDATION]))
                graph = self._drawn(sets, self.settings.validation_sets, seed)
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
        """All of the flow."""
        return list(self.module.variables)

    def optimizer_for(self, total_steps):
        """See `Objective.optimizer_for`."""
        settings = self.settings
        return cosine_adam(
            settings.learning_rate,
            total_steps,
            clip_norm=settings.clip_norm,
            beta_2=settings.beta_2,
        )

    def settle(self) -> None:
        """The averages, for which batch normalization has its statistics taken anew."""
        super().settle()
        whole = self._train.whole if isinstance(self._train, GraphRows) else self._train
        self.module.calibrate(whole)

    def diagnose(self) -> dict[str, float]:
        """`reconstruction_error`: the largest of a feature, after the flow and its inverse.

        In units of the features' deviations.
        """
        graph, layers = self._some(DIAGNOSED, VALIDATION), self.module.gnf.layers
        latent, _ = reversible.run(layers, graph)
        back, _ = reversible.run(layers, latent, inverse=True)
        error = tf.abs(back.nodes - graph.nodes) / self.module.scale
        return {"reconstruction_error": float(tf.reduce_max(error))}

    def summarize(self) -> None:
        """Histograms of log|det| of each step of the flow; samples beside the data."""
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


def _calls(count, steps=1, *, parts, num_parts):
    """A stream of so many elements [steps] for each part: sets are drawn, and nothing is read."""
    del num_parts
    return tf.data.Dataset.from_tensors(tf.range(steps)).repeat(count * len(parts))


def samples_figure(model: GraphDensity, graph: GraphsTuple, *, seed: seeds.Seed = 0) -> "Figure":
    """Data beside samples for the same graphs: in the plane as sets, else feature by feature.

    Args:
      model: whose samples.
      graph: the data.
      seed: of the samples.
    """
    from gnf_tf import plots

    both = {"data": graph, "samples": model.sample(graph, seed=seed)}
    if model.node_size != 2:
        return plots.feature_histograms({k: np.asarray(g.nodes) for k, g in both.items()})
    return plots.point_sets(
        {
            title: (
                np.asarray(one.nodes),
                np.split(np.asarray(one.nodes), np.cumsum(one.n_node)[:-1])[:8],
            )
            for title, one in both.items()
        }
    )
