"""The graph normalizing flow: T reversible message passing steps (paper, sections 3.1 and 3.2)."""

from typing import Literal, get_args

import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import graphs, networks, reversible
from gnf_tf.bijectors.act_norm import GraphActNorm
from gnf_tf.bijectors.base import GraphBijector
from gnf_tf.bijectors.batch_norm import GraphBatchNorm
from gnf_tf.bijectors.coupling import Coupling, GraphCoupling, MakeConditioner
from gnf_tf.bijectors.mean_scale import GraphMeanScale
from gnf_tf.bijectors.mixing import GraphMixing

__all__ = ["GNF", "GNFStep", "Normalization"]

Normalization = Literal["batch_norm", "act_norm"]


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
        conditional_size: int = 0,
        edge_size: int = 0,
        global_size: int = 0,
        dtype: tf.DType = tf.float32,
        memory: reversible.Memory = "reversible",
        validate_args: bool = False,
        name: str = "gnf_step",
    ):
        """Makes the two couplings; the arguments are those of `GraphCoupling`."""
        parameters = dict(locals())
        super().__init__(
            node_size,
            conditional_size=conditional_size,
            dtype=dtype,
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
                conditional_size=conditional_size,
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

    Each step is a normalisation (`GraphBatchNorm`, `GraphActNorm` or none), a `GraphMeanScale`
    and a `GraphMixing` (both optional), and a `GNFStep`. The density of node features given a
    topology, and RealNVP, which is the same flow where there are no edges (and no mean scaling):

        topology = gnf_tf.graphs.fully_connected(n_node=[4, 7], node_size=6)   # or edgeless(...)
        gnf = gnf_tf.GNF(num_steps=12, node_size=6)
        flow = tfd.TransformedDistribution(gnf_tf.NodePrior(topology), tfb.Invert(gnf))
        flow.log_prob(flow.sample(seed=1))                                      # [n_graphs]

    A new GNF is the identity map, with the default conditioner and no mixing.

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
        normalization: Normalization | None = "batch_norm",
        mean_scaling: bool = False,
        mixing: bool = False,
        padded: bool = False,
        coupling: Coupling = "affine",
        max_log_scale: float = 2.0,
        conditional_size: int = 0,
        edge_size: int = 0,
        global_size: int = 0,
        dtype: tf.DType = tf.float32,
        memory: reversible.Memory = "reversible",
        validate_args: bool = False,
        name: str = "gnf",
    ):
        """Makes the steps and their variables.

        Args:
          num_steps: T, at least 1.
          node_size: width of the node features, at least 2; see `reversible.half_sizes`.
          make_conditioner: see `GraphCoupling`; called twice a step (twice in all if shared).
          share_weights: every step uses the same two couplings. The rest stays separate.
          normalization: before each step: "batch_norm" as in the paper, "act_norm" (then call
            `initialize` with data before training), or None.
          mean_scaling: a `GraphMeanScale` before each step; `initialize` is for it too.
          mixing: a `GraphMixing` before each step.
          padded: training batches come from `graphs.pad`, see `GraphBatchNorm`.
          coupling, max_log_scale: see `GraphCoupling`, as the next four.
          conditional_size: width of the `conditional_input`.
          edge_size: width of the edge features.
          global_size: width of the global features.
          dtype: float type of the graphs.
          memory: see `gnf_tf.reversible.run`.
          validate_args: check the values of each graph too.
          name: as TFP.

        Raises:
          ValueError: for an argument out of its range.
        """
        parameters = dict(locals())
        if num_steps < 1:
            raise ValueError(f"`num_steps` must be at least 1, got {num_steps}")
        if normalization not in (None, *get_args(Normalization)):
            raise ValueError(
                f"`normalization` must be one of {get_args(Normalization)} or None, "
                f"got {normalization!r}"
            )
        super().__init__(
            node_size,
            conditional_size=conditional_size,
            dtype=dtype,
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
                conditional_size=conditional_size,
                edge_size=edge_size,
                global_size=global_size,
                dtype=dtype,
                memory=memory,
                name=f"step_{t}",
            )
            for t in range(1 if share_weights else num_steps)
        )
        shared = {"dtype": dtype, "memory": memory}

        def normalize(t):
            if normalization == "batch_norm":
                return GraphBatchNorm(node_size, padded=padded, name=f"batch_norm_{t}", **shared)
            return GraphActNorm(node_size, name=f"act_norm_{t}", **shared)

        steps_with = range(num_steps)
        self.normalizations = tuple(normalize(t) for t in steps_with) if normalization else ()
        self.mean_scalings = tuple(
            GraphMeanScale(node_size, name=f"mean_scale_{t}", **shared)
            for t in (steps_with if mean_scaling else ())
        )
        self.mixings = tuple(
            GraphMixing(node_size, seed=t, name=f"mixing_{t}", **shared)
            for t in (steps_with if mixing else ())
        )
        self._num_steps = num_steps

    @property
    def num_steps(self) -> int:
        """T, the number of full steps."""
        return self._num_steps

    @property
    def steps(self):
        steps = []
        before = (self.normalizations, self.mean_scalings, self.mixings)
        for t in range(self.num_steps):
            steps.extend(parts[t] for parts in before if parts)
            steps.extend(self.gnf_steps[t % len(self.gnf_steps)].steps)
        return tuple(steps)

    def initialize(self, graph: GraphsTuple, *, conditional_input: tf.Tensor | None = None) -> None:
        """Initialises the steps that can be, in turn, from what reaches them of a batch of data.

        Raises:
          ValueError: if the graph is malformed, or has fewer than two nodes; if a feature or the
            conditional input is not finite; if there are no such steps: neither "act_norm" nor
            `mean_scaling`.
        """
        if not any(isinstance(step, (GraphActNorm, GraphMeanScale)) for step in self.steps):
            raise ValueError(
                f"{self.name}: there is nothing to initialise without 'act_norm' or mean scaling"
            )
        for step, reaching in self._with_data(graph, conditional_input):
            if isinstance(step, (GraphActNorm, GraphMeanScale)):
                step.initialize(reaching)

    def calibrate(self, graph: GraphsTuple, *, conditional_input: tf.Tensor | None = None) -> None:
        """Sets the statistics of each batch normalisation, in turn, to those of a batch of data.

        For weights that no training step has used, such as averages of weights, whose own
        statistics the moving averages don't know; as `update_bn` of stochastic weight averaging
        (Izmailov et al., "Averaging weights leads to wider optima and better generalization",
        UAI 2018).

        Raises:
          ValueError: if the graph is malformed or without nodes; if a feature or the conditional
            input is not finite, or a variance overflows; if there is no "batch_norm".
        """
        if not any(isinstance(step, GraphBatchNorm) for step in self.steps):
            raise ValueError(f"{self.name}: there is nothing to calibrate without 'batch_norm'")
        for step, reaching in self._with_data(graph, conditional_input):
            if isinstance(step, GraphBatchNorm):
                step.calibrate(reaching)

    def _with_data(self, graph, conditional_input):
        """Each step with what reaches it of the data, through the earlier ones as they then are."""
        graph = self._checked_graph(graphs.fill_missing(graph), check_values=True)
        conditional_input = self._checked(conditional_input, graph, check_values=True)
        for step in self.steps:
            yield step, graph
            graph, _ = reversible.run([step], graph, conditional_input)
