"""Networks as a user hands them over: their variables are made, tracked, and nothing else changes.

A reversible stack evaluates a network again for its gradient and its inverse, and takes the result
to be the same. So the network must be a function of its inputs, its variables and a given seed.
"""

import re
from collections.abc import Callable
from typing import TypeVar

import tensorflow as tf
from graph_nets.graphs import GraphsTuple
from tensorflow.python.eager import context, record
from tensorflow.python.framework import op_callbacks, op_def_registry

from gnf_tf import graphs
from gnf_tf.substitution import held_values

__all__ = ["make_variables", "sample_graph"]

Result = TypeVar("Result")

# Operations that change a variable, or draw random numbers from a state that they change.
_ASSIGNS = re.compile("Assign|ResourceScatter|Rng|Stateful(Uniform|Standard|Truncated|Random)")


def sample_graph(
    node_size: int, edge_size: int, global_size: int, dtype: tf.DType = tf.float32
) -> GraphsTuple:
    """Two joined nodes with features of zero, on which a network of these widths can be tried."""
    graph = graphs.fully_connected([2], node_size, dtype=dtype)
    return graph.replace(
        edges=tf.zeros([graph.edges.shape[0], edge_size], dtype),
        globals=tf.zeros([1, global_size], dtype),
    )


def make_variables(
    holder: tf.Module, argument: str, evaluate: Callable[[], Result], *, stateless: bool = True
) -> Result:
    """Evaluates a network that `holder` holds, so that its variables are made, and checks it.

    Variables that the network uses and that `tf.Module` can't see, since a plain function or object
    holds them, become the attribute `reached_variables` of `holder`.

    Args:
      holder: the module that the variables are to belong to.
      argument: what gave the network, for messages.
      evaluate: evaluates it on a sample.
      stateless: refuse a network that changes a variable, or draws random numbers.

    Returns:
      What `evaluate` returned.

    Raises:
      ValueError: if the network uses a variable that can't be found, makes new ones at each call,
        or, if it is to be `stateless`, changes one or draws random numbers by TensorFlow's state.
    """
    created: list[tf.Variable] = []

    def creator(next_creator, **arguments):
        created.append(next_creator(**arguments))
        return created[-1]

    with tf.init_scope(), tf.variable_creator_scope(creator):
        # It sees reads within fused operations too, of trainable variables alone.
        with record.VariableWatcher() as watcher:
            result = evaluate()
        num_created = len(created)
        operations: set[str] = set()
        handles: dict[int, tf.Tensor] = {}  # of the variables that are used

        def observe(operation, inputs, *_):
            _operations(operation, operations)
            handles.update((id(x), x) for x in inputs if x.dtype == tf.resource)

        op_callbacks.add_op_callback(observe)
        try:
            evaluate()
        finally:
            op_callbacks.remove_op_callback(observe)
    if len(created) > num_created:
        raise ValueError(
            f"`{argument}` must give a network that makes its variables once, got one that makes "
            f"{created[num_created].name} at each call"
        )
    stateful = sorted(filter(_has_state, operations))
    if stateless and stateful:
        raise ValueError(
            f"`{argument}` must give a network that is a function of its inputs, its weights and a "
            f"`seed`, for it is evaluated again in the gradient and the inverse; got one that runs "
            f"{', '.join(stateful)}. Use `gnf_tf.networks.dropout.dropout` by that seed "
            "(`takes_seed`) in place of tf.nn.dropout, and in place of batch norm a normalization "
            "between the steps"
        )
    _track(holder, argument, [*created, *watcher.watched_variables()], handles)
    return result


def _operations(operation, seen):
    """The operation, and those of the functions that it calls, as a `tf.function` does."""
    name = operation.decode() if isinstance(operation, bytes) else operation
    if name in seen:
        return
    seen.add(name)
    if context.context().has_function(name):
        for node in context.context().get_function_def(name).node_def:
            _operations(node.op, seen)
            for value in node.attr.values():
                _operations(value.func.name, seen)


def _has_state(operation):
    definition = op_def_registry.get(operation)
    if definition is None or not definition.is_stateful:
        return False
    return bool(_ASSIGNS.match(operation)) or any(a.name == "seed2" for a in definition.attr)


def _track(holder, argument, used, handles):
    """Sees to it that `holder` has the variables `used`, and all others of these `handles`."""
    # By the resources, of which a distributed variable has one for each replica.
    read = {key: "one that isn't trainable" for key in handles}
    for variable in used:
        shown = f"{variable.name} of shape {variable.shape}"
        read |= {id(handle): shown for handle in _handles(variable)}
    # Sonnet's own property raises where there are none.
    tracked = {variable.ref() for variable in tf.Module.variables.fget(holder)}
    reached = []
    for variable in held_values(holder):
        if isinstance(variable, tf.Variable):
            found = [read.pop(id(handle), None) for handle in _handles(variable)]
            if any(found) and variable.ref() not in tracked:
                reached.append(variable)
    names = sorted(set(read.values()))
    if names:
        raise ValueError(
            f"`{argument}` must give a network whose variables can be found, as attributes of "
            "`tf.Module`s (Sonnet's and tf_keras's are some, the layers of Keras 3 are none) or in "
            "the closure of a function, else they are neither trained nor saved; got variables "
            f"that are held elsewhere: {', '.join(names)}"
        )
    if reached:
        holder.reached_variables = (*getattr(holder, "reached_variables", ()), *reached)


def _handles(variable):
    """Its resources, one for each replica."""
    parts = variable.values if isinstance(variable, tf.distribute.DistributedValues) else [variable]
    return [part.handle for part in parts]
