"""Training of a `GraphGenerator`: its auto-encoder, its flow, or both together."""

import dataclasses
from typing import Any, ClassVar

import networkx as nx
import numpy as np
import tensorflow as tf
import tf_keras

from gnf_tf import datasets, graphs, metrics, options, seeds
from gnf_tf.graphs import GraphsTuple
from gnf_tf.models.generator import GraphGenerator, Graphs, Stage
from gnf_tf.training import distribution
from gnf_tf.training.objective import Objective, Settings, cosine_adam

__all__ = ["GeneratorObjective", "GeneratorSettings", "generator_losses"]

ANNEALED = 0.6  # share of the end-to-end steps in which the rate weighs less
COMPARED = 200  # graphs generated after each epoch, and training graphs they are compared with
SHOWN = 12  # of each of them


@dataclasses.dataclass(frozen=True)
class GeneratorSettings(Settings):
    """How a `GraphGenerator` is trained."""

    batch_size: options.Count = 16
    clip_norm: options.Positive = 1.0
    averaging: options.Share = 0.999
    steps_per_epoch: options.Count | None = None
    """training steps between two validations, rounded up to whole passes over the training graphs;
    default: one pass"""
    rate_weight: options.ShareOfAll = 1.0
    """end to end, of log q(X | edges) - log p(X); 1: the loss is a bound on the likelihood"""
    stage: Stage | None = None
    """what is trained; default: end_to_end where the encoder is a flow, else auto_encoder and then
    flow"""


class GeneratorObjective(Objective):
    """A part of a `GraphGenerator`, with fresh noise at each step.

    The loss is a mean over graphs, in nats:

        auto_encoder   cross entropy of the edges (equation 5)
        flow           -log p(X), X encoded anew at each step; the encoder stays as it is
        end_to_end     -log p(edges | X) + rate_weight [log q(X | edges) - log p(X)]

    The last is a bound on -log p(edges) where `rate_weight` is 1. Below, embeddings say more of the
    edges and are harder for the flow to follow (beta-VAE; Higgins et al. 2017). In the first part
    of the training steps the rate weighs less, from a hundredth of that on, or what the embeddings
    say of the edges is lost before the decoder can use it.

    Without validation graphs the training graphs serve: their noise is always the same, and the
    weights are the averages.
    """

    settings_class = GeneratorSettings
    loss_name: ClassVar[str] = "loss of a graph [nats]"
    module: GraphGenerator
    settings: GeneratorSettings

    def __init__(
        self,
        module: GraphGenerator,
        settings: GeneratorSettings,
        seed: int,
        train: Graphs,
        validation: Graphs | None,
    ):
        train = module.topologies(train)
        validation = train if validation is None else module.topologies(validation)
        if train.n_node.sum() < 2:
            raise ValueError("`train` must have two or more nodes in all, got 1")
        if settings.stage == "end_to_end" and module.config.encoder != "flow":
            raise ValueError(
                "`stage` must not be 'end_to_end' where the `encoder` of the configuration is "
                f"{module.config.encoder!r}, expected 'flow'"
            )
        if settings.stage != "auto_encoder" and module.stage in (None, "auto_encoder"):
            everything = train.graph(np.arange(len(train)))
            module.initialize(graphs.fill_missing(everything), seed=seed)
        module.stage = settings.stage
        names = ["wrong_edges", "cross_entropy", *["rate"] * (settings.stage != "auto_encoder")]
        super().__init__(module, settings, seed, [tf_keras.metrics.Mean(name=n) for n in names])
        self.units = dict.fromkeys(names[1:], "nats/graph")
        self._train, self._validation = train, validation

    @classmethod
    def stages(cls, module: GraphGenerator, settings: GeneratorSettings) -> dict[str, Any]:
        """See `Objective.stages`."""
        names: list[Any] = [settings.stage]
        if settings.stage is None:
            is_flow = module.config.encoder == "flow"
            names = ["end_to_end"] if is_flow else ["auto_encoder", "flow"]
        return {name: dataclasses.replace(settings, stage=name) for name in names}

    @property
    def _passes(self):
        steps = self.settings.steps_per_epoch or 1
        return -(-steps // self._steps_of_pass)

    @property
    def _steps_of_pass(self):
        return -(-len(self._train) // self.settings.batch_size)

    @property
    def steps_per_epoch(self) -> int:
        """See `Objective.steps_per_epoch`."""
        return self._passes * self._steps_of_pass

    def training_stream(self, first_epoch, skip):
        """See `Objective.training_stream`."""
        return distribution.dealt(
            datasets.batches,
            self._train,
            self.settings.batch_size,
            skip=skip,
            seed=self.seed,
            first_epoch=first_epoch,
            passes=self._passes,
        )

    def validation_stream(self):
        """See `Objective.validation_stream`."""
        size = self.settings.batch_size
        stream = distribution.dealt(datasets.batches, self._validation, size)
        return stream, -(-len(self._validation) // size)

    def trained_variables(self):
        """Those of the stage."""
        parts = {"auto_encoder": self.module.auto_encoder, "flow": self.module.gnf}
        return list(parts.get(self.settings.stage, self.module).trainable_variables)

    def optimizer_for(self, total_steps):
        """See `Objective.optimizer_for`."""
        self._annealing_steps = round(ANNEALED * total_steps)
        settings = self.settings
        return cosine_adam(
            settings.learning_rate, total_steps, clip_norm=settings.clip_norm, beta_2=0.99
        )

    def batch_loss(self, data, is_training):
        """See `Objective.batch_loss`; padding weighs nothing."""
        inputs, _, weights = data
        seed = self.step_seed()
        if not is_training:
            seed = distribution.seed_of_replica(tf.constant([0, -1]))
        losses = generator_losses(
            self.module,
            GraphsTuple(**inputs),
            stage=self.settings.stage,
            seed=seed,
            rate_weight=self.settings.rate_weight,
        )
        total = tf.reduce_sum(weights)
        # Not weights * value: the padding graph's may be anything.
        means = {
            name: tf.math.divide_no_nan(tf.reduce_sum(tf.where(weights > 0.0, value, 0.0)), total)
            for name, value in losses.items()
        }
        loss = means["loss"]
        if is_training and self.settings.stage == "end_to_end":
            loss -= self._discount() * means["rate"]
        return loss, total, {name: (mean, total) for name, mean in means.items()}

    def _discount(self):
        """How much less than in the loss the rate weighs at this step."""
        done = tf.cast(self.optimizer.iterations, tf.float32) / max(1, self._annealing_steps)
        return 0.99 * self.settings.rate_weight * tf.maximum(0.0, 1.0 - done)

    def summarize(self) -> None:
        """Draws generated graphs beside training graphs, and compares them."""
        from gnf_tf import plots

        if self.settings.stage == "auto_encoder":
            return
        made = self.module.generate(COMPARED, seed=0)
        known = self._train.graph(np.arange(min(len(self._train), COMPARED)))
        known = graphs.to_networkx(graphs.fill_missing(known))
        for graph in known:
            graph.remove_edges_from(list(nx.selfloop_edges(graph)))
        for name, members in (("training_graphs", known), ("generated", made)):
            figure = plots.graph_gallery({name.replace("_", " "): members[:SHOWN]})
            tf.summary.image(f"graphs/{name}", plots.to_image(figure))
        if self.module.config.directed:
            return
        # With training graphs: whoever watches, and stops, must not choose by the test graphs.
        for statistic in metrics.STATISTICS:
            value = metrics.mmd(known, made, statistic)
            tf.summary.scalar(f"mmd_to_training_graphs/{statistic}", value)


def generator_losses(
    generator: GraphGenerator,
    graph: GraphsTuple,
    *,
    stage: Stage,
    seed: seeds.Seed,
    rate_weight: float = 1.0,
) -> dict[str, tf.Tensor]:
    """What training makes small, of each graph, for scoring graphs too.

    Args:
      generator: whose.
      graph: topologies.
      stage: what was trained, see `GeneratorObjective`.
      seed: of the encoder's noise.
      rate_weight: see `GeneratorSettings`.

    Returns:
      [n_graphs] each, in nats: `loss`, which end to end is a bound on -log p(edges);
      `cross_entropy`; `rate`, -log p(X), end to end less -log q(X | edges); and the number of
      `wrong_edges`. Of the stage auto_encoder there is no rate.
    """
    encoder = generator.auto_encoder
    if stage == "end_to_end":
        embedded, log_q = encoder.encode_and_log_prob(graph, seed=seed)
    else:
        embedded, log_q = encoder.encode(graph, seed=seed), 0.0
    values = {"wrong_edges": encoder.wrong_edges(embedded)}
    values["cross_entropy"] = values["loss"] = encoder.cross_entropy(embedded)
    if stage != "auto_encoder":
        values["rate"] = values["loss"] = log_q - generator.embedding_log_prob(embedded)
    if stage == "end_to_end":
        values["loss"] = values["cross_entropy"] + rate_weight * values["rate"]
    return values
