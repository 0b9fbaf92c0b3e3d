"""The networks that couplings and maps use where no `make_conditioner` is given."""

import functools

from gnf_tf.networks.attention import AttentionBlock
from gnf_tf.networks.conditioner import MakeConditioner
from gnf_tf.networks.message_passing import MessagePassing

__all__ = ["attention", "contraction", "message_passing"]

attention: MakeConditioner = functools.partial(AttentionBlock, 8, 10, (64, 64), output_scale=0.0)
"""For densities, as the paper (5.1; supplement, 7.2): attention of 8 heads with keys, queries and
values of width 10, then an MLP. Its output is zero at first, so that a coupling starts as the
identity."""


def message_passing(node_size: int, num_steps: int, dropout: float) -> MakeConditioner:
    """For a `GRevNet`, as the paper (4, 7.1): messages and a GRU-like update, `node_size` wide.

    The initial outputs are scaled by 1 / num_steps, which keeps deep stacks well conditioned.
    """
    return functools.partial(
        MessagePassing,
        (node_size, node_size),
        dropout=dropout,
        output_scale=1.0 / num_steps,
    )


def contraction(node_size: int) -> MakeConditioner:
    """For `NeumannRBP`: message passing that contracts as initialized.

    It takes the mean of the messages, since the slope of their sum grows with the number of
    neighbors, and scales the initial outputs by 1/2.
    """
    return functools.partial(
        MessagePassing, (node_size, node_size), aggregation="mean", output_scale=0.5
    )
