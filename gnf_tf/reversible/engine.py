"""Reversible steps run one by one, their gradient from the final state alone.

Under `memory="reversible"` only the final state is kept. The gradient walks back from it: each step
is undone and differentiated from one evaluation of its network.
"""

import dataclasses
from collections.abc import Sequence

import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf.reversible.gradient import Inputs, backward, local, reversible_gradient
from gnf_tf.reversible.steps import (
    Memory,
    ReversibleStep,
    check_memory,
    check_seed,
    directed,
    forward,
    split_nodes,
)
from gnf_tf.seeds import Seed, as_pair

__all__ = ["run"]


@tf.autograph.experimental.do_not_convert
def run(
    steps: Sequence[ReversibleStep],
    graph: GraphsTuple,
    conditional_input: tf.Tensor | None = None,
    *,
    inverse: bool = False,
    memory: Memory = "reversible",
    is_training: bool = False,
    seed: Seed | None = None,
) -> tuple[GraphsTuple, tf.Tensor]:
    """Applies `steps` in order (or, with `inverse`, undoes them from the last to the first).

    Args:
      steps: what to compose.
      graph: nodes [num_nodes, node_size] with a node_size of at least 2, float. Edges and globals,
        if float, are differentiable inputs of every step.
      conditional_input: [num_nodes, any width] features that the steps' networks see and that
        stay as they are.
      inverse: run the inverse map.
      memory: "reversible" keeps O(num_nodes) values for the gradient, "stored" keeps every
        intermediate one, as automatic differentiation does. Same numbers, up to rounding.
      is_training: handed to every step's `condition`.
      seed: of the steps' random numbers, such as dropout: a whole number, or a pair (a tensor
        [2]). Folded with a step's place in `steps` it is that step's own, in either direction, so
        that the inverse by the same seed undoes the same map. None: nothing random.

    Returns:
      The graph with its new nodes, and log|det J| per node [num_nodes]; sum it over the nodes of
      a graph for the log-determinant of that graph.

    Gradients reach the float fields of the graph, the conditional input, every trainable variable,
    and float tensors that the steps hold as attributes, closure cells or partial arguments, in any
    number of places. A tensor that a network reaches in another way (a Python global, say) gets no
    gradient: hand it over in the edges or globals of the graph. Higher derivatives work, and all
    within `tf.cond`, `tf.while_loop` and `tf.map_fn` too.

    Raises:
      ValueError: for an unknown `memory`, a node width below 2, a `seed` that is none (see
        `gnf_tf.seeds`), or no seed in training for a step whose `takes_seed` is true.
    """
    check_memory(memory)
    check_seed(steps, seed, is_training)
    halves, context = split_nodes(graph, conditional_input)
    seed = None if seed is None else as_pair(seed)
    if memory == "stored":
        halves, log_det, _ = forward(*directed(steps, seed, inverse), halves, context, is_training)
    else:
        halves, log_det = reversible_gradient(
            _StepByStep(steps, seed, inverse, is_training), halves, Inputs(context, steps)
        )
    return graph.replace(nodes=tf.concat(halves, axis=-1)), log_det


@dataclasses.dataclass(frozen=True)
class _StepByStep:
    """The walk of `run`."""

    steps: Sequence[ReversibleStep]
    seed: tf.Tensor | None
    inverse: bool
    is_training: bool

    def forward(self, halves, inputs, tensors):
        steps, seeds = directed(self.steps, self.seed, self.inverse)
        return forward(steps, seeds, halves, inputs.graph(tensors), self.is_training)

    def backward(self, halves, d_halves, d_log_det, inputs, tensors, residuals):
        tensors = local(tensors)
        # Not the variables themselves: the gradient of a loop or a branch can't reach them.
        steps, seeds = directed(inputs.steps(tensors), self.seed, self.inverse)
        uses = inputs.uses()
        _, *gradients = backward(
            steps,
            seeds,
            residuals,
            halves,
            d_halves,
            d_log_det,
            inputs.graph(tensors),
            tensors,
            uses[::-1] if self.inverse else uses,
            self.is_training,
        )
        return gradients
