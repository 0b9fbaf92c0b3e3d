"""Training of a `PositionFlow` by maximum likelihood."""

import dataclasses
from typing import ClassVar

import numpy as np
import tensorflow as tf

from gnf_tf import graphs, options
from gnf_tf.graphs import GraphsTuple
from gnf_tf.models import flow_parts
from gnf_tf.models.position_flow import PositionFlow
from gnf_tf.training.objective import VALIDATION, Objective, Settings, named

__all__ = ["PositionObjective", "PositionSettings"]

SHOWN = 200  # graphs in diagnostics and in figures


@dataclasses.dataclass(frozen=True)
class PositionSettings(Settings):
    """The training settings of a `PositionFlow`."""

    batch_size: options.Count = 64
    global_clipnorm: options.Positive = 1.0
    ema_decay: options.Share = 0.999


class PositionObjective(Objective):
    """Minimizes the mean over graphs of log q(a) - log p(x, a), in nats, for one draw of a each.

    Its expectation is an upper bound of the negative log-likelihood, see `PositionFlow`. The draws
    are new in each training step and the same in each validation.
    """

    settings_class = PositionSettings
    loss_name: ClassVar[str] = "bound of the NLL [nats]"
    module: PositionFlow

    def __init__(
        self,
        module: PositionFlow,
        settings: PositionSettings,
        seed: int,
        train: GraphsTuple,
        validation: GraphsTuple | None,
    ):
        with named("train"):
            train = module.rows(train)
        with named("validation"):
            validation = train if validation is None else module.rows(validation)
        super().__init__(module, settings, seed, train, validation, [])

    def batch_loss(self, data, is_training):
        """See `Objective.batch_loss`."""
        inputs, _, weights = data  # 0 for padding graphs
        seed = self.step_seed() if is_training else self.validation_seed()
        joint, conditions = self.module.augmented(GraphsTuple(**inputs), seed)
        # All padding edges join one node, and sums along them would soon be infinite. Where all
        # positions are 0, and so all vectors, nothing grows.
        is_real = graphs.to_nodes(weights, joint)[:, tf.newaxis]
        joint = joint.replace(nodes=joint.nodes * is_real)
        total = -tf.reduce_sum(weights * self.module.log_ratio(joint, conditions))
        num_graphs = tf.reduce_sum(weights)
        return tf.math.divide_no_nan(total, num_graphs), num_graphs, {}

    def diagnose(self) -> dict[str, float]:
        """Returns `reconstruction_error`, max |u - inverse(flow(u))| over the augmented nodes u.

        It is in units of the model's `scale`.
        """
        joint, conditions = self.module.augmented(self._some(), (0, VALIDATION))
        latent = self.module.gnf.forward(joint, **conditions)
        latent = latent.replace(nodes=tf.identity(latent.nodes))  # TFP caches inverses of a tensor
        back = self.module.gnf.inverse(latent, **conditions)
        return {"reconstruction_error": float(tf.reduce_max(tf.abs(back.nodes - joint.nodes)))}

    def summarize(self) -> None:
        """Draws the distances of nodes that an edge joins, of data and of samples."""
        from gnf_tf import plots

        data = self._some()
        both = {"data": data, "samples": self.module.sample(data, seed=(0, VALIDATION))}
        distances = {name: self._distances(graph) for name, graph in both.items()}
        if len(distances["data"]):
            figure = plots.feature_histograms(distances, titles=["distance along edges"])
            tf.summary.image("distances", plots.to_image(figure))

    def _some(self):
        rows = np.arange(min(len(self._validation), SHOWN))
        return flow_parts.tensors(self._validation.graph(rows))

    def _distances(self, graph):
        positions = graph.nodes[:, : self.module.dimension]
        differences = graphs.sum_of_ends(positions, -positions, graph)
        of_two_nodes = np.not_equal(graph.senders, graph.receivers)
        return tf.norm(differences, axis=-1).numpy()[of_two_nodes, np.newaxis]
