"""The graph normalizing flow: T reversible message passing steps (paper, sections 3.1 and 3.2)."""

from typing import Any, Literal, get_args

import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import graphs, reversible
from gnf_tf.bijectors.act_norm import GraphActNorm
from gnf_tf.bijectors.base import GraphBijector
from gnf_tf.bijectors.batch_norm import GraphBatchNorm
from gnf_tf.bijectors.coupling import GraphCoupling
from gnf_tf.bijectors.mean_scale import GraphMeanScale
from gnf_tf.bijectors.mixing import GraphMixing
from gnf_tf.networks import defaults
from gnf_tf.networks.conditioner import MakeConditioner
from gnf_tf.options import Count, check_argument

__all__ = ["GNF", "GNFStep", "Normalization"]

Normalization = Literal["batch_norm", "act_norm"]


class GNFStep(GraphBijector):
    """One step of message passing: two couplings, which update one half of the features each.

    With the node features split as [h0, h1]:

        forward:   h0' = h0 * exp(log_scale_0(h1)) + shift_0(h1),     h1' = h1
                   h1'' = h1' * exp(log_scale_1(h0')) + shift_1(h0'),  h0'' = h0'   (equation 3)
        inverse:   h1' = (h1'' - shift_1(h0'')) / exp(log_scale_1(h0'')),  h0' = h0''
                   h0 = (h0' - shift_0(h1')) / exp(log_scale_0(h1')),      h1 = h1'  (equation 4)
        log|det|:  sum of log_scale_0(h1) + log_scale_1(h0'), per graph

    A `GNF` is several such steps, with a normalization before each; use a step on its own to put
    other bijectors of your choice between steps, in a `tfb.Chain`.
    """

    def __init__(
        self,
        node_size: int,
        *,
        make_conditioner: MakeConditioner = defaults.attention,
        validate_args: bool = False,
        name: str = "gnf_step",
        **coupling_options: Any,
    ):
        """Makes the two couplings.

        Args:
          node_size: width of the node features, at least 2; see `reversible.half_sizes`.
          make_conditioner: see `GraphCoupling`; called once for each coupling.
          validate_args: whether to check the values of each graph too.
          name: as in TFP.
          **coupling_options: arguments of `GraphCoupling`: `coupling`, `max_log_scale`,
            `conditional_size`, `edge_size`, `global_size`, `dtype` and `memory`.

        Raises:
          ValueError: as `GraphCoupling`.
        """
        parameters = dict(locals())
        self.couplings = tuple(
            GraphCoupling(
                make_conditioner,
                node_size,
                updates=half,
                name=f"coupling_{half}",
                **coupling_options,
            )
            for half in (0, 1)
        )
        super().__init__(
            node_size,
            validate_args=validate_args,
            parameters=parameters,
            name=name,
            **self.couplings[0].shared_options,
        )

    @property
    def layers(self):
        return self.couplings


class GNF(GraphBijector):
    """A graph normalizing flow: T steps of reversible message passing, each after a normalization.

    `forward` is the paper's message passing from data H_0 to latent H_T, opposite to TFP's flows.
    Each step is a `GraphBatchNorm` or `GraphActNorm`, a `GraphMeanScale` and a `GraphMixing` (all
    of them optional), and a `GNFStep`. With the default networks and no mixing, a new GNF is the
    identity but for the epsilon of batch normalization. The density of node features [num_nodes,
    node_size], given the topology, is a transformed distribution:

    >>> import gnf_tf
    >>> import tensorflow_probability as tfp
    >>> topology = gnf_tf.graphs.fully_connected(n_node=[4, 7], node_size=6)
    >>> gnf = gnf_tf.GNF(num_steps=2, node_size=6)
    >>> flow = tfp.distributions.TransformedDistribution(
    ...     gnf_tf.NodePrior(topology), tfp.bijectors.Invert(gnf)
    ... )
    >>> flow.log_prob(flow.sample(seed=1)).shape
    TensorShape([2])

    On graphs without edges, and without mean scaling, the same flow is RealNVP: its nodes are
    independent. To pass messages without a density use `gnf_tf.models.GRevNet`, which has no
    log-determinant.

    References: Liu, Kumar, Ba, Kiros, Swersky, "Graph Normalizing Flows", NeurIPS 2019; Dinh,
    Sohl-Dickstein, Bengio, "Density estimation using Real NVP", ICLR 2017.
    """

    def __init__(
        self,
        num_steps: int,
        node_size: int,
        *,
        share_weights: bool = False,
        normalization: Normalization | None = "batch_norm",
        mean_scaling: bool = False,
        mixing: bool = False,
        padded: bool = False,
        validate_args: bool = False,
        name: str = "gnf",
        **step_options: Any,
    ):
        """Makes the steps and their variables.

        Args:
          num_steps: T, at least 1; the paper uses 12.
          node_size: width of the node features, at least 2; see `reversible.half_sizes`.
          share_weights: whether every step uses the same two couplings. Normalizations, mean
            scalings and mixings are never shared.
          normalization: before each step: "batch_norm" as in the paper, "act_norm" (then call
            `initialize` with data before training), or None.
          mean_scaling: whether there is a `GraphMeanScale` before each step; `initialize` is for
            it too.
          mixing: whether there is a `GraphMixing` before each step.
          padded: whether training batches come from `graphs.pad`, see `GraphBatchNorm`.
          validate_args: whether to check the values of each graph too.
          name: as in TFP.
          **step_options: arguments of `GNFStep` and `GraphCoupling`: `make_conditioner`,
            `coupling`, `max_log_scale`, `conditional_size`, `edge_size`, `global_size`, `dtype`
            and `memory`.

        Raises:
          ValueError: for an argument out of its range.
        """
        parameters = dict(locals())
        check_argument("num_steps", Count, num_steps)
        if normalization not in (None, *get_args(Normalization)):
            raise ValueError(
                f"`normalization` must be one of {get_args(Normalization)} or None, "
                f"got {normalization!r}"
            )
        self.gnf_steps = tuple(
            GNFStep(node_size, name=f"step_{t}", **step_options)
            for t in range(1 if share_weights else num_steps)
        )
        options = self.gnf_steps[0].shared_options
        super().__init__(
            node_size, validate_args=validate_args, parameters=parameters, name=name, **options
        )
        dtype = options["dtype"]

        def normalize(t):
            if normalization == "batch_norm":
                return GraphBatchNorm(node_size, padded=padded, dtype=dtype, name=f"batch_norm_{t}")
            return GraphActNorm(node_size, dtype=dtype, name=f"act_norm_{t}")

        steps_with = range(num_steps)
        self.normalizations = tuple(normalize(t) for t in steps_with) if normalization else ()
        self.mean_scalings = tuple(
            GraphMeanScale(node_size, dtype=dtype, name=f"mean_scale_{t}")
            for t in (steps_with if mean_scaling else ())
        )
        self.mixings = tuple(
            GraphMixing(node_size, seed=t, dtype=dtype, name=f"mixing_{t}")
            for t in (steps_with if mixing else ())
        )
        self._num_steps = num_steps

    @property
    def num_steps(self) -> int:
        """T, the number of message passing steps."""
        return self._num_steps

    @property
    def layers(self):
        layers = []
        before = (self.normalizations, self.mean_scalings, self.mixings)
        for t in range(self.num_steps):
            layers.extend(kind[t] for kind in before if kind)
            layers.extend(self.gnf_steps[t % len(self.gnf_steps)].layers)
        return tuple(layers)

    def initialize(self, graph: GraphsTuple, *, conditional_input: tf.Tensor | None = None) -> None:
        """Initializes each `GraphActNorm` and `GraphMeanScale` from data, in forward order.

        Each gets the data as the layers before it map them.

        Args:
          graph: a batch of data, nodes [num_nodes, node_size], without padding.
          conditional_input: [num_nodes, conditional_size], if there is any.

        Raises:
          ValueError: if the graph is malformed, or has fewer than two nodes; if a feature or the
            conditional input is not finite; if there is neither "act_norm" nor `mean_scaling`.
        """
        self._prepare("initialize", "'act_norm' or mean scaling", graph, conditional_input)

    def calibrate(self, graph: GraphsTuple, *, conditional_input: tf.Tensor | None = None) -> None:
        """Sets the statistics of each `GraphBatchNorm` to those of a batch, in forward order.

        Use it for weights that no training step has used, such as averages of weights: the moving
        averages of the statistics do not belong to them. It is what `update_bn` does in stochastic
        weight averaging (Izmailov et al., "Averaging weights leads to wider optima and better
        generalization", UAI 2018).

        Args:
          graph: a batch of data, nodes [num_nodes, node_size].
          conditional_input: [num_nodes, conditional_size], if there is any.

        Raises:
          ValueError: if the graph is malformed or without nodes; if a feature or the conditional
            input is not finite, or a variance overflows; if there is no "batch_norm".
        """
        self._prepare("calibrate", "'batch_norm'", graph, conditional_input)

    def _prepare(self, method, needed, graph, conditional_input):
        """Calls the method of each layer that has it, on the data that reach the layer."""
        if not any(hasattr(layer, method) for layer in self.layers):
            raise ValueError(f"{self.name}: there is nothing to {method} without {needed}")
        graph = self._checked_graph(graphs.fill_missing(graph), check_values=True)
        conditional_input = self._checked(conditional_input, graph, check_values=True)
        for layer in self.layers:
            if hasattr(layer, method):
                getattr(layer, method)(graph)
            graph, _ = reversible.run([layer], graph, conditional_input)
