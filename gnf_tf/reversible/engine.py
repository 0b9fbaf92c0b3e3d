"""The one entry to the engine: reversible layers run, with O(nodes) memory for their gradient."""

from collections.abc import Sequence

import tensorflow as tf
from graph_nets.graphs import GraphsTuple

from gnf_tf import options, xla
from gnf_tf.reversible.gradient import Execution, reversible_gradient
from gnf_tf.reversible.layers import (
    Memory,
    ReversibleLayer,
    check_memory,
    check_seed,
    split_nodes,
)
from gnf_tf.reversible.loop import Loop, Looped, Repeated, repeated
from gnf_tf.reversible.unrolled import Unrolled
from gnf_tf.seeds import Seed, as_pair

__all__ = ["run"]

# Up to this many layers take an XLA program without a loop a sixth less time to run on a CPU, and
# up to three times as long to compile.
_SHORT = 32


@tf.autograph.experimental.do_not_convert
def run(
    layers: Sequence[ReversibleLayer] | Loop,
    graph: GraphsTuple,
    conditional_input: tf.Tensor | None = None,
    *,
    inverse: bool = False,
    memory: Memory = "reversible",
    is_training: bool = False,
    seed: Seed | None = None,
) -> tuple[GraphsTuple, tf.Tensor]:
    """Applies `layers` in order, or with `inverse` their inverses from the last to the first.

    Under `memory="reversible"` only the output is kept for the gradient. From it the gradient goes
    back through the layers: each is inverted and differentiated from one evaluation of its network.

    Args:
      layers: a sequence, or a `Loop`, which has one variable for the weights of all its steps.
      graph: nodes [num_nodes, node_size], float, with a node_size of at least 2. Edges and globals,
        if float, are differentiable inputs of every layer.
      conditional_input: [num_nodes, conditional_size], of the nodes' dtype: features that the
        networks of the layers see, and that stay as they are.
      inverse: whether to compute the inverse map.
      memory: "reversible" keeps O(num_nodes) values for the gradient; "stored" keeps every
        intermediate one, as automatic differentiation does. The numbers are the same up to
        rounding. Choose "stored" where memory is no concern: it is faster for small graphs.
      is_training: given to the `condition` of every layer.
      seed: of the random numbers of the layers, such as dropout; see `gnf_tf.seeds`. Each layer
        draws from `seed` with its own index folded in, in either direction, so that the inverse by
        the same seed inverts the same map. None: nothing random.

    Returns:
      The graph with its new nodes, and log|det J| per node, [num_nodes]; its sum over the nodes of
      a graph is the log-determinant of that graph.

    Gradients reach the float fields of the graph, the conditional input, every trainable variable,
    and float tensors that the layers hold as attributes, closure cells or partial arguments.
    (`GraphCoupling` refuses a network that uses a float tensor held elsewhere.) Higher derivatives
    work, but those through batch statistics in training, which are a LookupError, need "stored".
    All of it works within `tf.cond`, `tf.while_loop` and `tf.map_fn` too.

    Raises:
      ValueError: for an unknown `memory`, a node width below 2, a conditional input of another
        dtype, an `is_training` that is no bool, a bad `seed`, or no seed in training for a layer
        whose `takes_seed` is true.
    """
    check_memory(memory)
    options.check_argument("is_training", bool, is_training)
    check_seed(layers.layers if isinstance(layers, Loop) else layers, seed, is_training)
    halves = split_nodes(graph)
    if conditional_input is not None:
        conditional_input = tf.convert_to_tensor(conditional_input, graph.nodes.dtype)
    loop: Loop | Repeated | None = layers if isinstance(layers, Loop) else None
    # XLA compiles each operation that it is given, and so a loop in a fraction of the time. A loop
    # also bounds its memory. Where activations are stored, a short stack is faster without one.
    if loop is None and xla.is_compiling():
        is_short = memory == "stored" and len(layers) <= _SHORT
        loop = None if is_short else repeated(layers)
    make = Looped if loop else Unrolled
    execution: Execution = make(
        loop or layers,
        graph,
        conditional_input,
        inverse=inverse,
        is_training=is_training,
        seed=None if seed is None else as_pair(seed),
    )
    if memory == "stored":
        halves, log_det, _ = execution.forward(halves, execution.tensors)
    else:
        halves, log_det = reversible_gradient(execution, halves)
    return graph.replace(nodes=tf.concat(halves, axis=-1)), log_det
