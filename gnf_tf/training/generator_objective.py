"""Training of a `GraphGenerator`: its auto-encoder, its flow, or both together."""

import dataclasses
import math
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
import tf_keras

from gnf_tf import graphs, metrics, options, seeds
from gnf_tf.graphs import GraphsTuple
from gnf_tf.models import decoding
from gnf_tf.models.generator import GraphGenerator, Graphs, Stage
from gnf_tf.training.adam import cosine_adam
from gnf_tf.training.objective import Objective, Settings, named

__all__ = ["GeneratorObjective", "GeneratorSettings", "generator_losses"]

LARGE = 100  # number of nodes
WARMUP = 0.6  # share of the end-to-end training steps in which the weight of the rate rises
NORMAL_ENTROPY = 0.5 * math.log(2.0 * math.pi * math.e)
COMPARED = 200  # graphs that are generated after each epoch, and training graphs to compare with
SHOWN = 12  # graphs in a figure
# Diagnostics are of graphs without these, which would hide what a model has not learned.
FREE: dict[str, Any] = {"constraint": "none", "connected": False}


@dataclasses.dataclass(frozen=True)
class GeneratorSettings(Settings):
    """The training settings of a `GraphGenerator`."""

    batch_size: options.Count = 16
    global_clipnorm: options.Positive = 1.0
    ema_decay: options.Share = 0.999
    steps_per_epoch: options.Count | None = None
    """number of training steps between validations, rounded up to whole passes over the training
    graphs; default: one pass"""
    beta: options.ShareOfAll = 1.0
    """weight of the rate log q(X | edges) - log p(X) in end-to-end training, the beta of a
    beta-VAE; 1: the loss is an upper bound on -log p(edges)"""
    compactness: options.NotNegative = 0.0
    """weight of a penalty on embeddings in the stage auto_encoder: the nats that they cost under a
    Gaussian with their covariance. With it they use few directions, and the flow learns them more
    easily; it needs an `embedding_noise`, against which their size counts"""
    stage: Stage | None = None
    """part to train; default: end_to_end for the encoder "flow", else auto_encoder and then flow"""


class GeneratorObjective(Objective):
    """Trains one part of a `GraphGenerator`, with new encoder noise in each training step.

    The loss is a mean over graphs, in nats, of a sum over pairs of nodes (edges) or over nodes. For
    embeddings X = encoder(noise | edges), whose density is q(X | edges) for the encoder "flow", the
    stages minimize

        auto_encoder   -log p(edges | X) + compactness N/2 log det(Cov(X) / s^2)    equation 5
        flow           -log p(X), for a fixed encoder
        end_to_end     -log p(edges | X) + beta (log q(X | edges) - log p(X))

    N is the number of nodes of the graph, s the `embedding_noise`, and Cov(X) the covariance of a
    node's embedding over the batch. The penalty bounds the information in the embeddings by that of
    a Gaussian channel; the paper has none.

    End to end, this is the objective of a beta-VAE (Higgins et al. 2017) with X ~ q: the first term
    is the distortion and the second one beta times the rate, whose expectation is the KL divergence
    of q(X | edges) from p(X). For `beta` = 1 it is the negative evidence lower bound,
    an upper bound on -log p(edges). With beta < 1 embeddings carry more information about the
    edges, and their density is harder for the flow to learn.

    The weight of the rate rises linearly, at training step t of T, as is usual for VAEs: else the
    embeddings lose the information about the edges before the decoder can use it.

        beta_t = beta min(1, 0.01 + 0.99 t / (0.6 T))

    The reported metric `loss` has the final weight beta throughout. Without validation graphs the
    training graphs serve for validation, with the averaged weights and the same noise every time.
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
        with named("train"):
            train = module.topologies(train)
        with named("validation"):
            validation = train if validation is None else module.topologies(validation)
        if train.n_node.sum() < 2:
            raise ValueError("`train` must have two or more nodes in all, got 1")
        if settings.stage == "end_to_end" and module.config.encoder != "flow":
            raise ValueError(
                "`stage` must not be 'end_to_end' where the `encoder` of the configuration is "
                f"{module.config.encoder!r}, expected 'flow'"
            )
        penalized = settings.compactness and settings.stage == "auto_encoder"
        if penalized and not module.config.embedding_noise:
            raise ValueError(
                "`compactness` must be 0 where the configuration has no `embedding_noise`, got "
                f"{settings.compactness}"
            )
        names = ["wrong_edges", "cross_entropy", *["rate"] * (settings.stage != "auto_encoder")]
        means = [tf_keras.metrics.Mean(name=name) for name in names]
        super().__init__(module, settings, seed, train, validation, means)
        self.units = dict.fromkeys(names[1:], "nats per graph")

    @classmethod
    def stages(cls, module: GraphGenerator, settings: GeneratorSettings) -> dict[str, Any]:
        """Returns one stage for the encoder "flow", else two, see `Objective.stages`."""
        names: list[Any] = [settings.stage]
        if settings.stage is None:
            is_flow = module.config.encoder == "flow"
            names = ["end_to_end"] if is_flow else ["auto_encoder", "flow"]
        return {name: dataclasses.replace(settings, stage=name) for name in names}

    def begin(self) -> None:
        """Initializes the flow from the embeddings, unless it was trained for them before."""
        module, stage = self.module, self.settings.stage
        if stage != "auto_encoder" and module.stage in (None, "auto_encoder"):
            everything = self._train.graph(np.arange(len(self._train)))
            module.initialize(graphs.fill_missing(everything), seed=self.seed)
        module.stage, module.draws_edges = stage, None

    @property
    def passes(self) -> int:
        """See `Objective.passes`."""
        return -(-(self.settings.steps_per_epoch or 1) // self.num_batches(self._train))

    def default_execution(self):
        """Returns "function" for eigenvectors of large graphs, which XLA finds slowly, else "xla".

        A training step of 8 graphs of up to 187 nodes takes 0.7 s, and 2.1 s with XLA; one of 32
        graphs of 64 nodes 0.8 and 0.6 s (one CPU core).
        """
        is_slow = self.module.config.num_eigenvectors and self.module.max_num_nodes > LARGE
        return "function" if is_slow else "xla"

    def trained_variables(self):
        """Returns the variables of the part that the stage trains."""
        parts = {"auto_encoder": self.module.auto_encoder, "flow": self.module.gnf}
        return list(parts.get(self.settings.stage, self.module).trainable_variables)

    def optimizer_for(self, total_steps):
        """See `Objective.optimizer_for`."""
        self._warmup_steps = round(WARMUP * total_steps)
        settings = self.settings
        return cosine_adam(
            settings.learning_rate,
            total_steps,
            global_clipnorm=settings.global_clipnorm,
            beta_2=0.99,
        )

    def batch_loss(self, data, is_training):
        """Returns means over the real graphs of a padded batch, see `Objective.batch_loss`."""
        inputs, _, weights = data
        seed = self.step_seed() if is_training else self.validation_seed()
        losses = generator_losses(
            self.module,
            GraphsTuple(**inputs),
            stage=self.settings.stage,
            seed=seed,
            beta=self.settings.beta,
            compactness=self.settings.compactness,
        )
        total = tf.reduce_sum(weights)
        # `weights * value` would be NaN if the value of a padding graph is not finite.
        means = {
            name: tf.math.divide_no_nan(tf.reduce_sum(tf.where(weights > 0.0, value, 0.0)), total)
            for name, value in losses.items()
        }
        loss = means["loss"]
        if is_training and self.settings.stage == "end_to_end":
            loss -= self._missing_weight() * means["rate"]
        return loss, total, {name: (mean, total) for name, mean in means.items()}

    def _missing_weight(self):
        """Returns beta - beta_t at this training step."""
        done = tf.cast(self.optimizer.iterations, tf.float32) / max(1, self._warmup_steps)
        return 0.99 * self.settings.beta * tf.maximum(0.0, 1.0 - done)

    def summarize(self) -> None:
        """Draws generated and training graphs, and compares them.

        The decoded encodings of the training graphs are compared too: where they score well and
        generated graphs don't, the flow over embeddings is to blame, else the auto-encoder.
        """
        from gnf_tf import plots

        if self.settings.stage == "auto_encoder":
            return
        made, known = self.module.generate(COMPARED, seed=0, **FREE), self._training_graphs()
        for name, members in (("training_graphs", known), ("generated", made)):
            figure = plots.graph_gallery({name.replace("_", " "): members[:SHOWN]})
            tf.summary.image(f"graphs/{name}", plots.to_image(figure))
        if self.module.config.directed:
            return
        # The MMD is to training graphs, so that nobody stops training by the test graphs.
        encoded = self.module.decoded_encodings(known)
        for suffix, members in (("", made), ("_of_decoded_encodings", encoded)):
            for statistic in metrics.STATISTICS:
                value = metrics.mmd(known, members, statistic)
                tf.summary.scalar(f"mmd_to_training_graphs{suffix}/{statistic}", value)
            connected = np.mean([metrics.is_connected(graph) for graph in members])
            tf.summary.scalar(f"share_connected{suffix}", connected)

    def finish(self) -> None:
        """Finds out whether drawn edges or those of p > 1/2 give the better graphs.

        They are those with the lesser squared MMD to the training graphs, a mean over the
        statistics. Nothing is compared if `config.draw_edges` decides, or for directed graphs.
        """
        config = self.module.config
        is_open = config.draw_edges is None and not config.directed
        if self.settings.stage == "auto_encoder" or not is_open:
            return
        known, found = self._training_graphs(), {}
        for is_drawn in (False, True):
            made = self.module.generate(COMPARED, seed=0, draw_edges=is_drawn, **FREE)
            found[is_drawn] = np.mean([metrics.mmd(known, made, s) for s in metrics.STATISTICS])
        self.module.draws_edges = bool(found[True] < found[False])

    def _training_graphs(self):
        """Returns some training graphs, without self loops."""
        some = self._train.graph(np.arange(min(len(self._train), COMPARED)))
        return decoding.simple_graphs(some, self.module.config.directed)


def generator_losses(
    generator: GraphGenerator,
    graph: GraphsTuple,
    *,
    stage: Stage,
    seed: seeds.Seed,
    beta: float = 1.0,
    compactness: float = 0.0,
) -> dict[str, tf.Tensor]:
    """Returns the losses of each graph, see `GeneratorObjective`.

    Args:
      generator: the model.
      graph: topologies; features are ignored.
      stage: the stage whose loss is returned.
      seed: seed of the encoder's noise.
      beta: weight beta of the rate in the stage end_to_end.
      compactness: weight of the penalty in the stage auto_encoder.

    Returns:
      [n_graphs] each: `loss`, in nats; `cross_entropy`, -log p(edges | X), in nats; `wrong_edges`,
      the number of pairs that are decoded wrong; and, except for the stage auto_encoder, `rate`, in
      nats: log q(X | edges) - log p(X) for the stage end_to_end, -log p(X) for the stage flow, less
      the entropy of the embedding noise if there is any; the latter is then an upper bound on the
      information in the embeddings, which is what the flow has to learn.
    """
    encoder = generator.auto_encoder
    if stage == "end_to_end":
        embedded, log_q = encoder.encode_and_log_prob(graph, seed=seed)
    else:
        embedded, log_q = encoder.encode(graph, seed=seed), 0.0
        if generator.config.embedding_noise:
            of_feature = -math.log(generator.config.embedding_noise) - NORMAL_ENTROPY
            num_features = encoder.embedding_size * graph.n_node
            log_q = of_feature * tf.cast(num_features, embedded.nodes.dtype)
    if tf.executing_eagerly() and not np.isfinite(embedded.nodes).all():
        # Eager methods refuse such embeddings, of which all losses are NaN.
        names = ["loss", "cross_entropy", "wrong_edges", *["rate"] * (stage != "auto_encoder")]
        return dict.fromkeys(names, tf.fill(tf.shape(graph.n_node), math.nan))
    values = {"wrong_edges": encoder.wrong_edges(embedded)}
    values["cross_entropy"] = values["loss"] = encoder.cross_entropy(embedded)
    if compactness and stage == "auto_encoder":
        nats = compactness * _gaussian_nats(embedded, generator.config.embedding_noise)
        values["loss"] += nats * tf.cast(graph.n_node, nats.dtype)
    if stage != "auto_encoder":
        values["loss"] = -generator.embedding_log_prob(embedded)
        values["rate"] = values["loss"] + log_q
    if stage == "end_to_end":
        values["loss"] = values["cross_entropy"] + beta * values["rate"]
    return values


def _gaussian_nats(graph, noise):
    """Returns log det(Cov(X) / noise^2) / 2, which bounds the information of a node, in nats."""
    mask = graphs.node_mask(graph)[:, tf.newaxis]
    nodes = tf.where(mask, graph.nodes / noise, 0.0)
    count = tf.reduce_sum(tf.cast(mask, nodes.dtype))
    mean = tf.reduce_sum(nodes, axis=0) / count
    covariance = tf.matmul(nodes, nodes, transpose_a=True) / count - mean[:, tf.newaxis] * mean
    # A little of the identity keeps the covariance of few nodes regular.
    covariance += 0.01 * tf.eye(nodes.shape[1], dtype=nodes.dtype)
    return 0.5 * tf.linalg.logdet(covariance)
