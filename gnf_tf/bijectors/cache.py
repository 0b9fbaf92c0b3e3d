"""What bijectors keep of earlier calls, so that `log_prob` evaluates each network once."""

import ctypes
import operator
import threading
import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow.python import pywrap_tfe
from tensorflow.python.eager import record, tape
from tensorflow_probability.python.internal import cache_util

__all__ = ["Cache"]


class _Recorded(threading.local):
    """Entries of eager code that a tape of a thread records, which no other thread may see.

    Without a tape, the way to a value is not recorded.
    """

    def __init__(self):
        self.tables: _Tables = weakref.WeakKeyDictionary()


# Entries by the replica that made them: replicas, whose variables differ, ask about one tensor.
_Tables = weakref.WeakKeyDictionary[Any, cache_util.EphemeralDict]
_RECORDED = _Recorded()
_OF_REPLICAS: _Tables = weakref.WeakKeyDictionary()


class _Call(NamedTuple):
    """What is known of the call that made an entry."""

    fn_name: str
    output: weakref.ref  # to the node features; None once nobody uses them any more
    variables: Sequence[tf.Variable]
    states: Sequence[Any]  # of the variables, see `_state`
    recorded: Sequence[int]  # see `_recorded`


_CALL = "call"  # its key among the attributes of an entry, beside "ildj"


class Cache(cache_util.BijectorCacheWithGreedyAttrs):
    """TFP's cache, with the entries of a traced graph in the graph itself, and none outdated.

    TFP keeps all entries in a table of the class, until their keys, which are tensors, are freed.
    A log-determinant in an entry holds its graph, and the graph holds the keys: no graph of a
    `tf.function` would ever be freed. The body of a loop and the branch of a condition are graphs
    of their own: what one of them computes, none outside may use, and what the body of a loop
    finds outside may be outdated in its second iteration.

    TFP finds entries by the identity of tensors. Between two calls, variables change, and a tape
    gets no gradient of what another tape has recorded, nor by a tensor that it began to watch only
    afterwards. So an entry counts only with the variables of when it was made, for the tape that
    recorded it, and while its result is in use: in eager mode it has the values of the variables,
    which would pile up with the inputs.

    `log_prob` asks for the log-determinant of what it has just computed. That has gradients by the
    input of the computation and the weights, but none by its output.
    """

    def __get__(self, bijector, bijector_class=None):
        bound = super().__get__(bijector, bijector_class)
        if not tf.executing_eagerly():
            graph = tf.compat.v1.get_default_graph()
            if not hasattr(graph, "_gnf_tf_caches"):
                graph._gnf_tf_caches = weakref.WeakKeyDictionary()
            bound.storage = _table(graph._gnf_tf_caches)
        elif record.could_possibly_record():
            bound.storage = _table(_RECORDED.tables)
        elif tf.distribute.has_strategy():
            bound.storage = _table(_OF_REPLICAS)
        return bound

    def inverse_log_det(self, y, **kwargs):
        """log|det| of the inverse, with which `inverse` is found or computed."""
        return self._log_det(y, self._inverse_name, self._forward_name, **kwargs)

    def forward_log_det(self, x, **kwargs):
        """log|det| of the forward map, with which `forward` is found or computed."""
        return -self._log_det(x, self._forward_name, self._inverse_name, **kwargs)

    def _log_det(self, input, forward_name, inverse_name, **kwargs):
        self._forget_outdated(input, forward_name, kwargs, is_log_det=True)
        made = super()._lookup(input, forward_name, inverse_name, **kwargs)
        log_det = super()._attributes(input, forward_name, **kwargs)["ildj"]
        del made  # and with it the attributes, if nobody else uses it
        return log_det

    def _lookup(self, input, forward_name, inverse_name, **kwargs):
        self._forget_outdated(input, forward_name, kwargs)
        return super()._lookup(input, forward_name, inverse_name, **kwargs)

    def _attributes(self, input, fn_name, **kwargs):
        self._forget_outdated(input, fn_name, kwargs, is_log_det=True)
        return super()._attributes(input, fn_name, **kwargs)

    def _forget_outdated(self, input, fn_name, kwargs, is_log_det=False):
        subkey = (self.bijector, self.bijector_class, fn_name, kwargs)
        entry = self.storage.get(cache_util.WeakStructRef(input, subkey))
        if entry is None or not entry.attributes:
            return
        call = entry.attributes.get(_CALL)  # not that of a log-determinant which TFP computed
        is_current = call is not None and call.output() is not None and _is_same_state(call)
        if is_current and record.could_possibly_record():
            of_output = call.fn_name != fn_name
            given = entry.output_ref() if of_output else input
            # The value for an output is the input, of which no tape knows how it depends on it.
            is_current = (is_log_det or not of_output) and _is_recorded(
                call, _tensors(given, kwargs), entry.attributes["ildj"], of_output=of_output
            )
        if not is_current:
            entry.input_ref.cancel()
            del self.storage[entry.input_ref]

    def _invoke(self, input, fn_name, kwargs, attributes):
        with record.VariableWatcher() as watcher:
            output = super()._invoke(input, fn_name, kwargs, attributes)
        # The watcher sees those that are trained only.
        variables = [*watcher.watched_variables(), *self.bijector.untrained_variables]
        states = list(map(_state, variables))
        outputs = output.nodes, attributes["ildj"]
        recorded = _recorded(_tensors(input, kwargs), variables, outputs)
        made = weakref.ref(output.nodes, lambda _: attributes.clear())
        attributes[_CALL] = _Call(fn_name, made, variables, states, recorded)
        return output


def _table(tables):
    replica = tf.distribute.get_replica_context()
    owner = tf.distribute.get_strategy() if replica is None else replica
    return tables.setdefault(owner, cache_util.EphemeralDict())


def _is_same_state(call):
    """Whether the variables are as they were."""
    is_same = _is_same_value if tf.executing_eagerly() else operator.eq
    return all(is_same(_state(v), s) for v, s in zip(call.variables, call.states, strict=True))


def _is_recorded(call, inputs, log_det, *, of_output):
    """Whether what records now has recorded the call.

    Args:
      call: the call.
      inputs: the tensors that were given to it.
      log_det: the log-determinant that it computed.
      of_output: whether the call is found by its output, as `log_prob` does for the
        log-determinant.
    """
    for variable in call.variables:
        if variable.trainable:
            tape.variable_accessed(variable)  # a tape watches what is read
    now = _recorded(inputs, call.variables, (call.output(), log_det))
    # Of several tapes TensorFlow does not tell whether they are the same. Those that know an output
    # are taken for the ones that recorded it, since batch norm in training has no inverse.
    return now == call.recorded and (of_output or _SEVERAL not in now)


_SEVERAL = 2  # tapes or accumulators, or a persistent tape


def _tensors(graph, arguments):
    return [x for x in tf.nest.flatten((graph, arguments)) if tf.is_tensor(x)]


def _recorded(inputs, variables, outputs):
    """By how many tapes each input and variable is watched, and the outputs: 0, 1 or `_SEVERAL`."""
    inputs = [*inputs, *(getattr(v, "_primary", v).handle for v in variables)]
    count = pywrap_tfe.TFE_Py_TapeSetPossibleGradientTypes
    return [*(count([x]) for x in inputs), count(outputs)]


def _state(variable):
    """What tells whether a variable has changed since: its value; in a graph, how often it may."""
    if tf.executing_eagerly():
        return _read(variable)
    graph, number = tf.compat.v1.get_default_graph(), 0
    for part in getattr(variable, "_values", [variable]):  # of several replicas
        handle = graph.capture(part.handle) if hasattr(graph, "capture") else part.handle
        number += sum(operation.type not in _READS for operation in handle.consumers())
    return number


# Operations on the handle of a variable that leave it as it is.
_READS = {"ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape"}


def _is_same_value(value, other):
    if value.dtype == tf.string:  # which DLPack does not know
        return bool(tf.reduce_all(value == other))
    # A variable whose value is in use elsewhere, as here, gets new memory as it changes.
    return _address(value) == _address(other)


def _read(variable):
    """The value of a variable, in its own memory, unknown to tapes."""
    variable = getattr(variable, "_primary", variable)  # one of several replicas
    with record.stop_recording():
        return tf.raw_ops.ReadVariableOp(resource=variable.handle, dtype=variable.dtype)


_data = ctypes.pythonapi.PyCapsule_GetPointer
_data.restype, _data.argtypes = ctypes.POINTER(ctypes.c_void_p), [ctypes.py_object, ctypes.c_char_p]


def _address(value):
    """Where the memory of a tensor begins, the first field of a DLPack tensor."""
    return _data(tf.experimental.dlpack.to_dlpack(value), b"dltensor").contents.value
