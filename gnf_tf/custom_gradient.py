"""`tf.custom_gradient` without its leak of graphs."""

import functools
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import tensorflow as tf
from tensorflow.python.eager import record
from tensorflow.python.framework import ops

__all__ = ["custom_gradient", "local", "silu"]


def custom_gradient(function: Callable[..., Any]) -> Callable[..., Any]:
    """Like `tf.custom_gradient`, for a function of tensors, but in a graph it frees the graph.

    In a graph, `tf.custom_gradient` registers the gradient in a table of the process, which is
    never emptied. The gradient holds tensors, and these hold their graph, so each trace of a
    `tf.function` would stay in memory until the process ends. Here the graph holds the gradient,
    and the table only a weak reference to it.

    Args:
      function: see `tf.custom_gradient`; its first output is a tensor.

    Returns:
      The function with the gradient.
    """

    @functools.wraps(function)
    def unrecorded(*args):
        # As in tf.recompute_grad: an eager outer tape would otherwise keep what the function
        # computes, and in forward mode differentiate its operations too.
        with record.stop_recording():
            return function(*args)

    return _freeing(tf.custom_gradient(unrecorded))


def local(tensors: Iterable[tf.Tensor]) -> list[tf.Tensor]:
    """The tensors in the graph that is being built, which may be the body of a loop or a branch.

    A tensor of an outer graph enters an inner one at its first use. A gradient that is built in a
    third graph, such as that of a gradient, could not find it there, and a tape that did not record
    that use would miss it.
    """
    return list(tensors) if tf.executing_eagerly() else [tf.identity(x) for x in tensors]


def _freeing(recorded):
    """A function that `tf.custom_gradient` made, of which a graph keeps the gradient."""

    @functools.wraps(recorded)
    def call(*args):
        outputs = recorded(*args)
        first = tf.nest.flatten(outputs)[0]
        if not isinstance(first, ops.EagerTensor):
            _move_to_graph(first.op)
        return outputs

    return call


silu: Callable[[tf.Tensor], tf.Tensor] = _freeing(tf.nn.silu)
"""`tf.nn.silu`, x sigmoid(x), whose gradient is a custom one."""


def _move_to_graph(operation):
    """Replaces the registered gradient of the operation by a weak reference."""
    name = operation.get_attr("_gradient_op_type").decode()
    table = ops.gradient_registry._registry
    gradient, graph = table[name]["type"], operation.graph
    if not hasattr(graph, "_gnf_tf_gradients"):
        graph._gnf_tf_gradients = []
    graph._gnf_tf_gradients.append(gradient)
    reference = weakref.ref(gradient)
    table[name]["type"] = lambda *args: reference()(*args)
    weakref.finalize(graph, table.pop, name, None)
