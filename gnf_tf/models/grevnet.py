"""GRevNet: a graph neural network that is exactly reversible (paper, section 3.1)."""

from typing import Any

import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import bijectors, graphs, options, reversible, seeds
from gnf_tf.networks import defaults

__all__ = ["GRevNet"]


class GRevNet(tf.Module):
    """Reversible message passing, GraphsTuple -> GraphsTuple, trained in O(nodes) memory.

    Each of T steps updates the two halves of the node features [num_nodes, node_size] in turn by
    equation 3. Its scale and shift come from message passing (equations 1 and 2): a message MLP,
    summed over the incoming edges, then a GRU-like update. `memory="stored"` is the identical
    network with stored activations, the paper's GNN: only the computation of the gradient differs.

    `coupling="additive"`, without a scale, is what the authors' code uses; "affine" is the paper's
    equation. For a density of node features use `gnf_tf.GNF`, which has log-determinants.
    """

    def __init__(
        self,
        num_steps: int,
        node_size: int,
        *,
        make_conditioner: bijectors.MakeConditioner | None = None,
        max_log_scale: float = 1.0,
        dropout: float = 0.0,
        batch_norm: bool = False,
        padded: bool = False,
        share_weights: bool = False,
        loop: bool = False,
        memory: str = "reversible",
        dtype: tf.DType = tf.float32,
        name: str | None = None,
        **coupling_options: Any,
    ):
        """Makes the network and its variables.

        Args:
          num_steps: T, the number of message passing steps; the paper's supervised models use 4.
          node_size: width of the node features, in and out, at least 2.
          make_conditioner: see `bijectors.GraphCoupling`; called for each half of each step.
            Default: `networks.MessagePassing`, with messages as wide as `node_size`.
          max_log_scale: bound of the affine coupling's log-scale, see `bijectors.Affine`.
          dropout: for the default networks in training: the probability that a node feature is
            dropped as it enters. The map stays exactly reversible: gradient and inverse draw the
            same masks again from the seed of the call.
          batch_norm: whether there is batch normalization before each step, for deep stacks.
          padded: whether training batches come from `graphs.pad`, see `GraphBatchNorm`.
          share_weights: whether all steps share one pair of networks.
          loop: whether the steps are a `reversible.Loop`, for hundreds of them: each variable then
            has the weights of all steps, [num_steps, ...], which an optimizer updates at once. It
            excludes `batch_norm` and `share_weights`.
          memory: "reversible" or "stored", see `gnf_tf.reversible.run`.
          dtype: float type of the graphs.
          name: as `tf.Module`.
          **coupling_options: further arguments of `GraphCoupling`: `coupling`, `edge_size` and
            `global_size`.

        Raises:
          ValueError: for an argument out of its range; for `dropout` with a `make_conditioner`,
            whose networks bring their own; for `loop` with an option that it excludes.
        """
        super().__init__(name=name)
        options.check_argument("num_steps", options.Count, num_steps)
        options.check_argument("node_size", int, node_size)
        if dropout and make_conditioner is not None:
            raise ValueError(
                f"`dropout` must be 0 where `make_conditioner` makes the networks, got {dropout}"
            )
        if loop and (batch_norm or share_weights):
            raise ValueError("`loop` must be False with `batch_norm` or `share_weights`, got True")
        self._float_type = dtype
        self._node_size = node_size
        self._memory = memory
        if make_conditioner is None:
            make_conditioner = defaults.message_passing(node_size, num_steps, dropout)
        coupling_options |= {
            "make_conditioner": make_conditioner,
            "max_log_scale": max_log_scale,
            "dtype": dtype,
            "memory": memory,
        }
        if loop:
            self._stack = reversible.Loop(
                lambda: bijectors.GNFStep(node_size, **coupling_options).layers, num_steps
            )
        else:
            self._stack = bijectors.GNF(
                num_steps,
                node_size,
                share_weights=share_weights,
                normalization="batch_norm" if batch_norm else None,
                padded=padded,
                **coupling_options,
            )

    def __call__(
        self, graph: GraphsTuple, is_training: bool = False, seed: seeds.Seed | None = None
    ) -> GraphsTuple:
        """The graph with the node features H_T after `num_steps` steps.

        Args:
          graph: nodes H_0 [num_nodes, node_size]; edges [num_edges, edge_size] and globals
            [n_graphs, global_size], which stay as they are.
          is_training: whether batch normalization uses, and updates, the statistics of the batch,
            and networks drop features.
          seed: of the dropout, in training only; see `gnf_tf.seeds`.

        Raises:
          ValueError: if a field of the graph doesn't fit the network; if `dropout` has no seed in
            training.
        """
        return self._run(
            graph, inverse=False, is_training=is_training, seed=seed if is_training else None
        )

    def inverse(self, graph: GraphsTuple, seed: seeds.Seed | None = None) -> GraphsTuple:
        """The graph that `__call__` maps to `graph`, by equation 4.

        Args:
          graph: nodes H_T [num_nodes, node_size].
          seed: the seed with which `__call__` dropped features in training; None: without dropout.

        It does not invert batch normalization in training, whose statistics are unknown.
        """
        return self._run(graph, inverse=True, is_training=False, seed=seed)

    def _run(self, graph, *, inverse, is_training, seed):
        filled = graphs.fill_missing(graph)
        graphs.validate(
            filled, node_size=self._node_size, dtype=self._float_type, check_values=False
        )
        is_loop = isinstance(self._stack, reversible.Loop)
        result, _ = reversible.run(
            self._stack if is_loop else self._stack.layers,
            filled,
            inverse=inverse,
            memory=self._memory,
            is_training=is_training,
            seed=seed,
        )
        return graphs.restore_missing(result, graph)
