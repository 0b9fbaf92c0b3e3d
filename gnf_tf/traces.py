"""The graph that is being traced, which keeps what must not outlive it."""

from typing import Any

import tensorflow as tf
from tensorflow.python.framework.func_graph import FuncGraph

__all__ = ["outermost_graph"]


def outermost_graph() -> Any:
    """The graph of the outermost `tf.function` that is being traced.

    What is kept as an attribute of it is found in the bodies of its loops and branches too, and is
    freed with it.
    """
    graph = tf.compat.v1.get_default_graph()
    while isinstance(getattr(graph, "outer_graph", None), FuncGraph):
        graph = graph.outer_graph
    return graph
