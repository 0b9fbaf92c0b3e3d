"""GRevNet: a graph neural network that is exactly reversible (paper, section 3.1)."""

import functools

import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import bijectors, graphs, networks, reversible, seeds

__all__ = ["GRevNet"]


class GRevNet(tf.Module):
    """Reversible message passing, GraphsTuple -> GraphsTuple, trained in O(nodes) memory.

    The node features are split in halves that update each other in turn by equation 3, with
    scale and shift from message passing (equations 1 and 2): a message MLP, summed over the
    incoming edges, then a GRU-like update. `memory="stored"` is the identical network with
    stored activations, the paper's GNN: only the way to the gradient differs.

    `coupling="additive"` (no scale) is what the authors' code used; "affine" is the paper's
    equation.
    """

    def __init__(
        self,
        num_steps: int = 4,
        node_size: int = 64,
        *,
        edge_size: int = 0,
        global_size: int = 0,
        coupling: str = "affine",
        max_log_scale: float = 1.0,
        memory: str = "reversible",
        make_conditioner: bijectors.MakeConditioner | None = None,
        dropout: float = 0.0,
        batch_norm: bool = False,
        padded: bool = False,
        share_weights: bool = False,
        loop: bool = False,
        dtype: tf.DType = tf.float32,
        name: str | None = None,
    ):
        """Makes the network and its variables.

        Args:
          num_steps: message passing steps, each two half steps.
          node_size: width of the node features, in and out, at least 2.
          edge_size: width of the edge features.
          global_size: width of the global features.
          coupling: "affine" or "additive".
          max_log_scale: bound of the affine coupling's log-scale, see `GraphCoupling`.
          memory: "reversible" or "stored", see `gnf_tf.reversible.run`.
          make_conditioner: see `bijectors.GraphCoupling`; called for each half step. Default:
            `networks.MessagePassing` with two message layers as wide as `node_size` and initial
            outputs scaled by 1 / num_steps, which keeps deep stacks well conditioned.
          dropout: of the default networks, in training: probability of a node feature to be
            dropped as it enters. Still exactly reversible: gradient and inverse draw the same
            masks again from the call's seed.
          batch_norm: batch normalisation before each step, for deep stacks.
          padded: training batches come from `graphs.pad`, see `GraphBatchNorm`.
          share_weights: all steps share one pair of networks.
          loop: the steps are a `reversible.Loop`, for hundreds of them: under `tf.function` the
            program doesn't grow with `num_steps`. Each variable has all steps' weights. Not with
            `batch_norm` or `share_weights`; no second derivatives under "reversible".
          dtype: float type of the graphs.
          name: as `tf.Module`.

        Raises:
          ValueError: for an argument out of its range; `dropout` with a `make_conditioner`,
            whose networks have to have their own; `loop` with what a loop can't do.
        """
        super().__init__(name=name)
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

            def make_conditioner(output_size):
                return networks.MessagePassing(
                    message_sizes=(node_size, node_size),
                    output_size=output_size,
                    dropout=dropout,
                    output_scale=1.0 / num_steps,
                )

        shared = {
            "make_conditioner": make_conditioner,
            "coupling": coupling,
            "max_log_scale": max_log_scale,
            "edge_size": edge_size,
            "global_size": global_size,
            "dtype": dtype,
            "memory": memory,
        }
        if loop:
            self._stack = reversible.Loop(
                lambda: bijectors.GNFStep(node_size, **shared).steps, num_steps
            )
            self._run_steps = self._stack.run
        else:
            self._stack = bijectors.GNF(
                num_steps,
                node_size,
                share_weights=share_weights,
                normalization="batch_norm" if batch_norm else None,
                padded=padded,
                **shared,
            )
            self._run_steps = functools.partial(reversible.run, self._stack.steps)

    def __call__(
        self, graph: GraphsTuple, is_training: bool = False, seed: seeds.Seed | None = None
    ) -> GraphsTuple:
        """Node features after `num_steps` steps; the rest of the graph as it was.

        Args:
          graph: nodes [num_nodes, node_size]; edges and globals as wide as announced.
          is_training: batch normalisation takes, and updates, its statistics; networks drop out.
          seed: of the dropout, used in training alone, see `gnf_tf.seeds`.

        Raises:
          ValueError: if the graph doesn't fit, naming the field; without a seed in training with
            `dropout`.
        """
        return self._run(
            graph, inverse=False, is_training=is_training, seed=seed if is_training else None
        )

    def inverse(self, graph: GraphsTuple, seed: seeds.Seed | None = None) -> GraphsTuple:
        """The input graph that `__call__` maps to `graph`: not training, or with that `seed`.

        Not what training with batch normalisation maps there: its statistics are unknown.
        """
        return self._run(graph, inverse=True, is_training=False, seed=seed)

    def _run(self, graph, *, inverse, is_training, seed):
        filled = graphs.fill_missing(graph)
        graphs.validate(
            filled, node_size=self._node_size, dtype=self._float_type, check_values=False
        )
        result, _ = self._run_steps(
            filled,
            inverse=inverse,
            memory=self._memory,
            is_training=is_training,
            seed=seed,
        )
        return graphs.restore_missing(result, graph)
