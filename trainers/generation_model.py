"""What the graph-generation trainers train: the auto-encoder, the flow, or both together."""

from typing import Literal

import networkx as nx
import numpy as np
import tensorflow as tf
import tf_keras

from gnf_tf import datasets, graphs
from gnf_tf.graphs import GraphsTuple
from gnf_tf.models import GraphGenerator
from trainers.models import AveragedModel, step_seed

__all__ = ["GeneratorTraining", "Stage", "likelihood", "reconstruction"]

Stage = Literal["auto_encoder", "flow", "end_to_end"]


class GeneratorTraining(AveragedModel):
    """Trains a part of a `GraphGenerator` on padded batches, with fresh noise at each step.

    The loss is a mean over graphs, in nats:

        auto_encoder   cross entropy of the edges (equation 5)
        flow           -log p(X), X encoded anew at each step; the encoder stays as it is
        end_to_end     -log p(edges | X) + rate_weight [log q(X | edges) - log p(X)]

    The last is a bound on -log p(edges) where `rate_weight` is 1. Below, embeddings say more of the
    edges and are harder for the flow to follow (beta-VAE; Higgins et al. 2017). In the first
    `annealing_steps` training steps the rate weighs less, from a hundredth of that on, or what the
    embeddings say of the edges is lost before the decoder can use it.

    Validation uses the averages of the weights, and always the same noise.
    """

    def __init__(
        self,
        generator: GraphGenerator,
        stage: Stage,
        averaging: float,
        seed: int,
        annealing_steps: int = 0,
        rate_weight: float = 1.0,
    ):
        super().__init__()
        self._annealing_steps = annealing_steps
        self._rate_weight = rate_weight
        self.generator = generator
        self.stage = stage
        self._seed = seed
        part = {"auto_encoder": generator.auto_encoder, "flow": generator.gnf}
        self.trained = tuple(part.get(stage, generator).trainable_variables)
        self.start_averages(self.trained, averaging)
        names = ("loss", "wrong_edges", "cross_entropy", "rate")
        self.metric_of = {name: tf_keras.metrics.Mean(name=name) for name in names}

    @property
    def metrics(self):
        return list(self.metric_of.values())

    def losses(self, graph: GraphsTuple, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """[n_graphs] each, in nats, `wrong_edges` a number; `rate`: -log p(X), less -log q(X)."""
        encoder = self.generator.auto_encoder
        if self.stage == "end_to_end":
            embedded, log_q = encoder.encode_and_log_prob(graph, seed=seed)
        else:
            embedded, log_q = encoder.encode(graph, seed=seed), 0.0
        values = {"wrong_edges": encoder.wrong_edges(embedded)}
        values["cross_entropy"] = encoder.cross_entropy(embedded)
        values["rate"] = tf.zeros_like(values["cross_entropy"])
        if self.stage != "auto_encoder":
            values["rate"] = log_q - self.generator.embedding_log_prob(embedded)
        parts = {"auto_encoder": ["cross_entropy"], "flow": ["rate"]}
        used = parts.get(self.stage, ["cross_entropy", "rate"])
        weight = {"rate": self._rate_weight if self.stage == "end_to_end" else 1.0}
        values["loss"] = tf.add_n([weight.get(name, 1.0) * values[name] for name in used])
        return values

    def _means(self, inputs, weights, seed):
        values = self.losses(GraphsTuple(**inputs), seed)
        total = tf.reduce_sum(weights)
        # Not weights * value: the padding graph's may be anything.
        return {
            name: tf.reduce_sum(tf.where(weights > 0.0, value, 0.0)) / total
            for name, value in values.items()
        }

    def _update(self, means, weights):
        for name, metric in self.metric_of.items():
            metric.update_state(means[name], sample_weight=tf.reduce_sum(weights))
        return {name: metric.result() for name, metric in self.metric_of.items()}

    def call(self, inputs, training=False):
        del training
        return self.losses(GraphsTuple(**inputs), tf.constant([0, 0]))["loss"]

    def train_step(self, data):
        inputs, _, weights = data
        # Seeds of training are positive, those of validation are not.
        seed = step_seed(self._seed, 1 + tf.cast(self.optimizer.iterations, tf.int32))
        with tf.GradientTape() as tape:
            means = self._means(inputs, weights, seed)
            objective = means["loss"] - self._discount() * means["rate"]
        gradients = tape.gradient(objective, self.trained)
        self.optimizer.apply_gradients(zip(gradients, self.trained, strict=True))
        self.update_averages()
        return self._update(means, weights)

    def _discount(self):
        """How much less than in the loss the rate weighs at this step."""
        if self.stage != "end_to_end" or not self._annealing_steps:
            return 0.0
        done = tf.cast(self.optimizer.iterations, tf.float32) / self._annealing_steps
        return 0.99 * self._rate_weight * tf.maximum(0.0, 1.0 - done)

    def test_step(self, data):
        inputs, _, weights = data
        return self._update(self._means(inputs, weights, tf.constant([0, -1])), weights)


def likelihood(
    generator: GraphGenerator, stage: Stage, members: list[nx.Graph], *, seed: int
) -> dict[str, float | None]:
    """Means over graphs of what `GeneratorTraining` makes small, in nats, with their error.

    Graphs of like size are evaluated together, so that few of the pairs that the networks work on
    are padding: at most a fifth, where there are graphs enough.

    Returns:
      `loss`, `cross_entropy`, `rate`: see `GeneratorTraining`; `standard_error` of the loss, over
      graphs, None of a single one; `padding`: the share of the pairs.
    """
    topologies = datasets.Topologies(members)
    plan = datasets.plan_buckets(topologies.n_node, 256, max_waste=0.2, room="pairs")
    model = GeneratorTraining(generator, stage, averaging=0.0, seed=seed)
    values: dict[str, list[np.ndarray]] = {}
    for i, batch in enumerate(plan):
        graph = graphs.fill_missing(topologies.graph(batch.rows))
        for name, value in model.losses(graph, step_seed(seed, -1 - i)).items():
            values.setdefault(name, []).append(value.numpy())
    joined = {name: np.concatenate(parts) for name, parts in values.items()}
    several = len(members) > 1
    return {name: float(joined[name].mean()) for name in ("loss", "cross_entropy", "rate")} | {
        "standard_error": float(joined["loss"].std(ddof=1) / np.sqrt(len(members)))
        if several
        else None,
        "padding": datasets.padding_waste(plan, topologies.n_node, room="pairs"),
    }


def reconstruction(
    generator: GraphGenerator, stream: tf.data.Dataset, num_draws: int
) -> list[dict[str, float]]:
    """For each draw of the encoder's noise: totals over a data set, as the paper's table 3.

    Args:
      generator: trained.
      stream: of `datasets.batches`.
      num_draws: how many.

    Returns:
      `cross_entropy` in nats, summed over all pairs; `wrong_edges`; `edges`; `pairs`; `nodes`.
    """
    encoder = generator.auto_encoder

    @tf.function(jit_compile=True, autograph=False)
    def totals(inputs, weights, seed):
        embedded = encoder.encode(GraphsTuple(**inputs), seed=seed)
        parts = (encoder.cross_entropy(embedded), encoder.wrong_edges(embedded))
        return [tf.reduce_sum(tf.where(weights > 0.0, part, 0.0)) for part in parts]

    results = []
    for draw in range(num_draws):
        result = dict.fromkeys(("cross_entropy", "wrong_edges", "edges", "pairs", "nodes"), 0.0)
        for i, (inputs, _, weights) in enumerate(stream):
            cross_entropy, wrong = totals(inputs, weights, tf.constant([-2 - draw, i]))
            real = graphs.unpad(GraphsTuple(**inputs))
            n_node = real.n_node.numpy().astype(float)
            loops = int(tf.reduce_sum(tf.cast(real.senders == real.receivers, tf.int32)))
            result["cross_entropy"] += float(cross_entropy)
            result["wrong_edges"] += float(wrong)
            result["edges"] += (len(real.senders) - loops) / 2
            result["pairs"] += (n_node * (n_node - 1) / 2).sum()
            result["nodes"] += n_node.sum()
        results.append(result)
    return results
