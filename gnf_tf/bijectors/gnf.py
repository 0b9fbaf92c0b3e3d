"""The graph normalizing flow: T reversible message passing steps (paper, sections 3.1 and 3.2)."""

import tensorflow as tf

from gnf_tf import networks
from gnf_tf.bijectors.base import GraphBijector
from gnf_tf.bijectors.batch_norm import GraphBatchNorm
from gnf_tf.bijectors.coupling import Coupling, GraphCoupling, MakeConditioner

__all__ = ["GNF", "GNFStep"]


def _attention_conditioner(output_size: int) -> networks.AttentionBlock:
    """The paper's choice (supplement, 7.2): attention, then an MLP; starts as the identity."""
    return networks.AttentionBlock(
        num_heads=8,
        key_size=10,
        hidden_sizes=(64, 64),
        output_size=output_size,
        output_scale=0.0,
    )


class GNFStep(GraphBijector):
    """One full step of message passing: two couplings (equation 3).

    With the node features split as [h0, h1]:

        forward:   h0' = h0 * exp(log_scale_0(h1)) + shift_0(h1),  h1' = h1
                   h1'' = h1 * exp(log_scale_1(h0')) + shift_1(h0'),  h0'' = h0'
        inverse:   equation 4, the same two lines undone from the last
        log|det|:  sum of log_scale_0(h1) + log_scale_1(h0'), per graph
    """

    def __init__(
        self,
        node_size: int,
        *,
        make_conditioner: MakeConditioner = _attention_conditioner,
        coupling: Coupling = "affine",
        max_log_scale: float = 2.0,
        edge_size: int = 0,
        global_size: int = 0,
        dtype: tf.DType = tf.float32,
        memory: str = "reversible",
        validate_args: bool = False,
        name: str = "gnf_step",
    ):
        """Makes the two couplings; the arguments are those of `GraphCoupling`."""
        parameters = dict(locals())
        super().__init__(
            node_size,
            memory=memory,
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )
        self.couplings = tuple(
            GraphCoupling(
                make_conditioner,
                node_size,
                updates=half,
                coupling=coupling,
                max_log_scale=max_log_scale,
                edge_size=edge_size,
                global_size=global_size,
                dtype=dtype,
                memory=memory,
                name=f"coupling_{half}",
            )
            for half in (0, 1)
        )

    @property
    def steps(self):
        return self.couplings


class GNF(GraphBijector):
    """`forward` is the paper's message passing, data H_0 to latent H_T, in `num_steps` steps.

    Each step is a `GraphBatchNorm` (optional) and a `GNFStep`. The density of node features given
    a topology, and RealNVP, which is the same flow where there are no edges:

        topology = gnf_tf.graphs.fully_connected(n_node=[4, 7], node_size=6)   # or edgeless(...)
        gnf = gnf_tf.GNF(num_steps=12, node_size=6)
        flow = tfd.TransformedDistribution(gnf_tf.NodePrior(topology), tfb.Invert(gnf))
        flow.log_prob(flow.sample(seed=1))                                      # [n_graphs]

    A new GNF is the identity map, with the default conditioner.

    References: Liu, Kumar, Ba, Kiros, Swersky, "Graph Normalizing Flows", NeurIPS 2019; Dinh,
    Sohl-Dickstein, Bengio, "Density estimation using Real NVP", ICLR 2017.
    """

    def __init__(
        self,
        num_steps: int = 12,
        node_size: int = 6,
        *,
        make_conditioner: MakeConditioner = _attention_conditioner,
        share_weights: bool = False,
        batch_norm: bool = True,
        padded: bool = False,
        coupling: Coupling = "affine",
        max_log_scale: float = 2.0,
        edge_size: int = 0,
        global_size: int = 0,
        dtype: tf.DType = tf.float32,
        memory: str = "reversible",
        validate_args: bool = False,
        name: str = "gnf",
    ):
        """Makes the steps and their variables.

        Args:
          num_steps: T, at least 1.
          node_size: width of the node features, even.
          make_conditioner: see `GraphCoupling`; called twice a step (twice in all if shared).
          share_weights: every step uses the same two couplings. Batch norm stays separate.
          batch_norm: a `GraphBatchNorm` before each step, as in the paper.
          padded: training batches come from `graphs.pad`, see `GraphBatchNorm`.
          coupling, max_log_scale, edge_size, global_size, dtype: see `GraphCoupling`.
          memory: see `gnf_tf.reversible.run`.
          validate_args: check the values of each graph too.
          name: as TFP.

        Raises:
          ValueError: for an argument out of its range.
        """
        parameters = dict(locals())
        if num_steps < 1:
            raise ValueError(f"`num_steps` must be at least 1, got {num_steps}")
        super().__init__(
            node_size,
            memory=memory,
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )
        self.gnf_steps = tuple(
            GNFStep(
                node_size,
                make_conditioner=make_conditioner,
                coupling=coupling,
                max_log_scale=max_log_scale,
                edge_size=edge_size,
                global_size=global_size,
                dtype=dtype,
                memory=memory,
                name=f"step_{t}",
            )
            for t in range(1 if share_weights else num_steps)
        )
        self.batch_norms = tuple(
            GraphBatchNorm(
                node_size, padded=padded, dtype=dtype, memory=memory, name=f"batch_norm_{t}"
            )
            for t in range(num_steps if batch_norm else 0)
        )
        self._num_steps = num_steps

    @property
    def num_steps(self) -> int:
        """T, the number of full steps."""
        return self._num_steps

    @property
    def steps(self):
        steps = []
        for t in range(self.num_steps):
            if self.batch_norms:
                steps.append(self.batch_norms[t])
            steps.extend(self.gnf_steps[t % len(self.gnf_steps)].steps)
        return tuple(steps)
