"""Networks that a user provides: their variables are made and tracked, and misuse is refused.

A reversible stack evaluates a network again for its gradient and its inverse, and relies on the
same result. So the network must be a function of its inputs, its variables and a given seed.
"""

import contextlib
import re
import sys
import warnings
import weakref
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import tensorflow as tf
from graph_nets.graphs import GraphsTuple
from tensorflow.python.eager import context, record
from tensorflow.python.framework import op_callbacks, op_def_registry

from gnf_tf import graphs
from gnf_tf.substitution import created_variables, described, held_values

__all__ = [
    "Conditioner",
    "MakeConditioner",
    "make_conditioner_variables",
    "make_variables",
    "sample_graph",
]

Conditioner = Callable[[GraphsTuple], GraphsTuple]
MakeConditioner = Callable[[int], Conditioner]
"""from the width of the output to a network"""

Result = TypeVar("Result")

# Operations that change a variable, or draw random numbers from a state that they change.
_ASSIGNS = re.compile("Assign|ResourceScatter|Rng|Stateful(Uniform|Standard|Truncated|Random)")
# The structures of networks that were found to be in order, with one that has each. The networks of
# a deep stack are alike, and the check takes as long as it takes to make their variables.
_CHECKED: weakref.WeakValueDictionary[Hashable, tf.Module] = weakref.WeakValueDictionary()


def sample_graph(
    node_size: int, edge_size: int, global_size: int, dtype: tf.DType = tf.float32
) -> GraphsTuple:
    """A graph of two connected nodes, all features zero: the input that makes variables.

    Returns:
      nodes [2, node_size], edges [4, edge_size], globals [1, global_size].
    """
    graph = graphs.fully_connected([2], node_size, dtype=dtype)
    return graph.replace(
        edges=tf.zeros([graph.edges.shape[0], edge_size], dtype),
        globals=tf.zeros([1, global_size], dtype),
    )


def make_conditioner_variables(
    holder: tf.Module,
    network: Conditioner,
    output_size: int,
    *,
    input_size: int,
    edge_size: int,
    global_size: int,
    dtype: tf.DType,
    use: Callable[[tf.Tensor], Any] | None = None,
) -> None:
    """`make_variables` for the network of a `make_conditioner`, whose output width it checks.

    Args:
      holder: the module that holds the network.
      network: what `make_conditioner(output_size)` returned.
      output_size: the width that its output must have.
      input_size: width of the nodes that the network gets.
      edge_size: width of the edge features.
      global_size: width of the global features.
      dtype: float type of the graphs.
      use: what `holder` does with the output [2, output_size], if that uses variables too.

    Raises:
      ValueError: as `make_variables`; if the network can't be called, or for two nodes its result
        is no GraphsTuple with nodes [2, output_size] of type `dtype`.
    """
    sample = sample_graph(input_size, edge_size, global_size, dtype)

    given = f"`make_conditioner({output_size})`"
    if not callable(network):
        raise ValueError(f"{given} must give a network, which can be called, got {network!r:.80}")

    def evaluate():
        try:
            graph = network(sample)
        except Exception as error:
            error.add_note(f"{given} gave a network that is called with a GraphsTuple, as here")
            raise
        output = getattr(graph, "nodes", None)
        if not tf.is_tensor(output):
            what = graph if output is None else output
            raise ValueError(
                f"{given} must give a network that returns a GraphsTuple, whose nodes are a "
                f"tensor, got {type(what).__name__}"
            )
        if output.dtype != sample.nodes.dtype:
            raise ValueError(
                f"{given} must give a network with nodes of the dtype of its input, "
                f"{sample.nodes.dtype.name}, got {output.dtype.name}"
            )
        if use is not None and output.shape == [2, output_size]:
            use(output)
        if getattr(network, "takes_seed", False):
            network(sample, seed=tf.zeros([2], tf.int32))
        return output.shape

    shape = make_variables(holder, "make_conditioner", evaluate)
    if shape != [2, output_size]:
        raise ValueError(
            f"{given} must give a network with nodes of width {output_size}, one row a node; 2 "
            f"nodes gave shape {shape}"
        )
    if described(network).has_keras:
        # A Sequential without an input shape builds itself anew for another number of rows. In a
        # graph it would keep tensors that are out of scope in the next.
        network(graphs.batch([sample, sample]))


def make_variables(
    holder: tf.Module, argument: str, evaluate: Callable[[], Result], *, reversible: bool = True
) -> Result:
    """Evaluates a network that `holder` holds, so that its variables are made, and checks it.

    Variables that the network uses and that `tf.Module` can't find, since a plain function or
    object holds them, become the attribute `reached_variables` of `holder`.

    Args:
      holder: the module that the variables are to belong to.
      argument: the name of the argument that gave the network, for error messages.
      evaluate: evaluates the network on a sample graph, which its closure holds.
      reversible: whether the network is part of a reversible stack: then it may not change a
        variable, draw random numbers, or use a float tensor that the gradient engine can't find.

    Returns:
      What `evaluate` returned.

    Raises:
      ValueError: if the network uses a variable that can't be found, or makes new ones at each
        call; or for what `reversible` forbids.
    """
    # The scope stops recording, which networks with tapes of their own don't survive.
    scope = contextlib.nullcontext() if tf.executing_eagerly() else tf.init_scope()
    with scope, created_variables() as created:
        # The watcher sees trainable variables only, but also where operations are fused.
        with record.VariableWatcher() as watcher:
            result = evaluate()
        description = described(evaluate)
        checked = reversible, type(holder), description.structure
        if checked in _CHECKED:
            return result
        num_created = len(created)
        operations: set[str] = set()
        handles: dict[int, tf.Tensor] = {}  # of the variables that are used
        tensors: dict[int, tf.Tensor] = {}  # float tensors that were there before
        num_run = 0
        now = tf.constant(0)._id  # eager tensors are numbered as they are made

        def observe(operation, inputs, *_, **unused):  # the latter as functions are traced
            del unused
            nonlocal num_run
            if operation in ("DestroyResourceOp", b"DestroyResourceOp"):
                return  # Python frees an object that has nothing to do with the network
            num_run += 1
            _operations(operation, operations)
            handles.update((id(x), x) for x in inputs if x.dtype == tf.resource)
            older = (x for x in inputs if x.dtype.is_floating and getattr(x, "_id", now) < now)
            tensors.update((id(x), x) for x in older)

        op_callbacks.add_op_callback(observe)
        try:
            with _training_phase() if reversible else contextlib.nullcontext():
                evaluate()
                if reversible and not description.is_pure:
                    _check_tapeless(argument, evaluate, lambda: num_run)
        finally:
            op_callbacks.remove_op_callback(observe)
    if len(created) > num_created:
        raise ValueError(
            f"`{argument}` must give a network that makes its variables once, got one that makes "
            f"{created[num_created].name} at each call"
        )
    if reversible:
        _check_repeatable(argument, operations)
        _check_found(argument, tensors, description.values)
    reached = _reached(holder, argument, [*created, *watcher.watched_variables()], handles)
    if reached:
        holder.reached_variables = (*getattr(holder, "reached_variables", ()), *reached)
    elif description.is_pure:
        _CHECKED[checked] = holder
    return result


@contextlib.contextmanager
def _training_phase():
    """In this context, layers of Keras that are told nothing act as they do in `fit`."""
    keras = sys.modules.get("tf_keras")  # a network that has its layers has imported it
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # users are to hand `training` over, which we can't do here
        with contextlib.nullcontext() if keras is None else keras.backend.learning_phase_scope(1):
            yield


def _check_tapeless(argument, evaluate, num_run):
    """Raises if the network computes something else where tapes don't record.

    That is how a reversible stack runs, so that no tape around it keeps what it computes.

    Args:
      argument: see `make_variables`.
      evaluate: see `make_variables`.
      num_run: returns how many operations were run, at first by one evaluation.
    """
    before = num_run()
    try:
        with record.stop_recording():
            evaluate()
        is_same, cause = num_run() == 2 * before, None
    except Exception as error:
        is_same, cause = False, error
    if not is_same:
        raise ValueError(
            f"`{argument}` must give a network without a tf.GradientTape of its own, which records "
            "nothing while a reversible stack computes; take this gradient by tf.gradients in a "
            "tf.function"
        ) from cause


def _check_repeatable(argument, operations):
    """Raises if the network has operations that give another result at the next evaluation."""
    stateful = sorted(filter(_has_state, operations))
    if stateful:
        raise ValueError(
            f"`{argument}` must give a network that is a function of its inputs, its weights and a "
            f"`seed`, for it is evaluated again in the gradient and the inverse; got one that runs "
            f"{', '.join(stateful)}. Use `gnf_tf.networks.dropout.dropout` by that seed "
            "(`takes_seed`) in place of tf.nn.dropout, and in place of batch norm a normalization "
            "between the steps; layers of tf_keras that are not to train can be called with "
            "`training=False`"
        )


def _check_found(argument, tensors, held):
    """Raises for a float tensor of the network's that is not among those that it holds."""
    found = set(map(id, held))
    shapes = [
        f"{x.dtype.name} of shape {x.shape}" for key, x in tensors.items() if key not in found
    ]
    if shapes:
        raise ValueError(
            f"`{argument}` must give a network whose float tensors can be found, as attributes of "
            "objects or in the closure of a function, else their gradient would be lost; got one "
            f"that uses tensors held elsewhere, such as by a Python global: {shapes}. "
            "Hold them in one of these ways, or hand them over in the edges or globals of the graph"
        )


def _operations(operation, seen):
    """Adds to `seen` the operation and, for a `tf.function`, those that it calls."""
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


def _reached(holder, argument, used, handles):
    """Of the variables `used`, and all others with these `handles`, those `holder` does not track.

    Raises if a variable can't be found.
    """
    # A distributed variable has one resource for each replica.
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
    return reached


def _handles(variable):
    """The resources of a variable, one for each replica."""
    parts = variable.values if isinstance(variable, tf.distribute.DistributedValues) else [variable]
    return [part.handle for part in parts]
