"""Training of a `PositionFlow` by maximum likelihood."""

import dataclasses
from typing import ClassVar

import tensorflow as tf

from gnf_tf import options
from gnf_tf.graphs import GraphsTuple
from gnf_tf.models.position_flow import PositionFlow
from gnf_tf.training.objective import Objective, Settings

__all__ = ["PositionObjective", "PositionSettings"]


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
        train = module.rows(train)
        validation = train if validation is None else module.rows(validation)
        super().__init__(module, settings, seed, train, validation, [])

    def batch_loss(self, data, is_training):
        """See `Objective.batch_loss`."""
        inputs, _, weights = data  # 0 for padding graphs
        seed = self.step_seed() if is_training else self.validation_seed()
        total = -tf.reduce_sum(weights * self.module(GraphsTuple(**inputs), seed))
        num_graphs = tf.reduce_sum(weights)
        return tf.math.divide_no_nan(total, num_graphs), num_graphs, {}
