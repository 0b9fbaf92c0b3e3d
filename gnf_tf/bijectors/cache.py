"""What bijectors keep of earlier calls, so that `log_prob` evaluates each network once."""

import ctypes
import threading
import weakref

import tensorflow as tf
from tensorflow.python import pywrap_tfe
from tensorflow.python.eager import record
from tensorflow_probability.python.internal import cache_util

from gnf_tf.traces import outermost_graph

__all__ = ["Cache"]


class _Recorded(threading.local):
    """Entries of eager code that a tape of a thread records, which no other thread may see.

    Without a tape, the way to a value is not recorded.
    """

    def __init__(self):
        self.entries = cache_util.EphemeralDict()


_RECORDED = _Recorded()


class Cache(cache_util.BijectorCacheWithGreedyAttrs):
    """TFP's cache, with the entries of a traced graph in the graph itself, and none outdated.

    TFP keeps all entries in a table of the class, until their keys, which are tensors, are freed.
    A log-determinant in an entry holds its graph, and the graph holds the keys: no graph of a
    `tf.function` would ever be freed.

    TFP finds entries by the identity of tensors. In eager mode, weights change between two calls,
    and a tape gets no gradient of what another tape has recorded. So an entry counts only with the
    weights of when it was made, for a tape that follows it, and while its result is in use: it has
    the values of the weights, which would pile up with the inputs.
    """

    def __get__(self, bijector, bijector_class=None):
        bound = super().__get__(bijector, bijector_class)
        if tf.executing_eagerly():
            if record.could_possibly_record():
                bound.storage = _RECORDED.entries
        else:
            graph = outermost_graph()  # the branch of a condition finds what came before it
            if not hasattr(graph, "_gnf_tf_cache"):
                graph._gnf_tf_cache = cache_util.EphemeralDict()
            bound.storage = graph._gnf_tf_cache
        return bound

    def inverse_log_det(self, y, **kwargs):
        """log|det| of the inverse, with which `inverse` is found or computed."""
        made = self.inverse(y, **kwargs)
        log_det = super()._attributes(y, self._inverse_name, **kwargs)["ildj"]
        del made  # and with it the attributes, if nobody else uses it
        return log_det

    def forward_log_det(self, x, **kwargs):
        """log|det| of the forward map, with which `forward` is found or computed."""
        made = self.forward(x, **kwargs)
        log_det = super()._attributes(x, self._forward_name, **kwargs)["ildj"]
        del made
        return -log_det

    def _lookup(self, input, forward_name, inverse_name, **kwargs):
        self._forget_outdated(input, forward_name, kwargs)
        return super()._lookup(input, forward_name, inverse_name, **kwargs)

    def _attributes(self, input, fn_name, **kwargs):
        self._forget_outdated(input, fn_name, kwargs)
        return super()._attributes(input, fn_name, **kwargs)

    def _forget_outdated(self, input, fn_name, kwargs):
        if not tf.executing_eagerly():
            return
        subkey = (self.bijector, self.bijector_class, fn_name, kwargs)
        entry = self.storage.get(cache_util.WeakStructRef(input, subkey))
        if entry is not None and entry.attributes and not _is_current(**entry.attributes):
            entry.input_ref.cancel()
            del self.storage[entry.input_ref]

    def _invoke(self, input, fn_name, kwargs, attributes):
        if not tf.executing_eagerly():
            return super()._invoke(input, fn_name, kwargs, attributes)
        with record.VariableWatcher() as watcher:
            output = super()._invoke(input, fn_name, kwargs, attributes)
        weights = watcher.watched_variables()
        values = [_read(variable) for variable in weights]
        made = weakref.ref(output.nodes, lambda _: attributes.clear())
        attributes.update(weights=weights, values=values, made=made)
        return output


def _is_current(ildj, made=None, weights=(), values=()):
    """Whether the weights are the same, and a tape that records has recorded what was made."""
    nodes = made and made()
    if nodes is None:  # only TFP, which computed it then, has the log-determinant
        return False
    if record.could_possibly_record():
        if not pywrap_tfe.TFE_Py_TapeSetPossibleGradientTypes([ildj, nodes]):
            return False
    # A variable whose value is in use elsewhere, as here, gets new memory as it changes.
    same = (
        _address(_read(variable)) == _address(value)
        for variable, value in zip(weights, values, strict=True)
    )
    return all(same)


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
