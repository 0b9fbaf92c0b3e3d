"""The one way to run a network with given values in the place of its variables.

`held_values` finds the variables and tensors that an object holds; `substituted` makes an object
that has others in their place. Both follow attributes, elements of containers, components of sparse
and ragged tensors, closure cells, default arguments and partial arguments. The original object is
not changed, so that several threads can use one network, each with its own values. `described`
tells which objects differ in nothing but these values, so that they can share what is compiled.
`created_variables` records new variables.
"""

import contextlib
import functools
import inspect
import sys
import types
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

__all__ = ["Description", "created_variables", "described", "held_values", "substituted"]

# Of the objects of these packages only `tf.Module`s are searched: the others hold no weights.
_CLOSED = {"keras", "numpy", "tensorflow", "tf_keras", *sys.stdlib_module_names}
# Packages whose objects compute nothing but tensors.
_PURE = {
    *("gnf_tf", "graph_nets", "numpy", "sonnet", "tensorflow", "tensorflow_probability"),
    *("builtins", "collections", "functools", "math", "uuid"),
}
_WITHOUT_ATTRIBUTES = (
    *(list, tuple, set, frozenset, functools.partial, types.MethodType),
    tf.types.experimental.PolymorphicFunction,
)
_COMPOSITES = (tf.SparseTensor, tf.RaggedTensor, tf.IndexedSlices)
_OURS = "_self_half_step"  # see `gnf_tf.reversible.half_step`
# Names of modules and of their scopes, Sonnet's copies of constructors' arguments, and what
# `tf.Module` keeps to make checkpoints.
_RECORDS = {
    *("_auto_repr", "_constructor_name_scope", "_name", "_name_scope", "_scope_name"),
    *("_self_name_based_restores", "_self_saveable_object_factories", "_self_update_uid"),
    *("_self_unconditional_checkpoint_dependencies", "_self_unconditional_dependency_names"),
    *("_self_unconditional_deferred_dependencies", "_self_setattr_tracking"),
}


@contextlib.contextmanager
def created_variables() -> Iterator[list[tf.Variable]]:
    """A context that yields a list, to which each variable that is made in it is added."""
    created: list[tf.Variable] = []

    def creator(next_creator, **arguments):
        created.append(next_creator(**arguments))
        return created[-1]

    with tf.variable_creator_scope(creator):
        yield created


def held_values(root: Any) -> list[tf.Variable | tf.Tensor]:
    """The variables and tensors that `root` holds, each once, in a deterministic order.

    Args:
      root: a module, a function, a container, or an object of a user's class.
    """
    return described(root).values


class Description(NamedTuple):
    """What an object consists of."""

    values: list[tf.Variable | tf.Tensor]
    """those that it holds, in the order of `held_values`"""
    structure: Hashable
    """All else but the names of modules. Objects of equal structure compute the same function of
    the values that they hold: their types and code are the same, their attributes have the same
    names, and so on with all parts. Parts of unknown types, and the globals of functions, are equal
    only if they are the same objects."""
    packages: frozenset[str]
    """Names of the packages of all types and functions that it consists of."""

    @property
    def is_pure(self) -> bool:
        """Whether none is of a user's own, whose Python may do more than compute tensors."""
        return self.packages <= _PURE

    @property
    def has_keras(self) -> bool:
        """Whether a part is of tf_keras or Keras, whose models keep records of their parts."""
        return bool(self.packages & {"keras", "tf_keras"})


def described(root: Any) -> Description:
    """See `Description`."""
    number: dict[int, tuple[int, Any]] = {}  # by id, with the object, so that no id is used again
    values = []
    structure: list[Hashable] = []
    packages = set()
    pending = [root]
    while pending:
        item = pending.pop()
        if _is_constant(item):
            structure.append((type(item), item))
        elif id(item) in number:
            structure.append(number[id(item)][0])
        else:
            number[id(item)] = len(number), item
            if _is_value(item):
                values.append(item)
                structure.append(
                    (item.dtype, tuple(item.shape) if item.shape.rank is not None else None)
                )
            else:
                parts = _opened(item)[0]
                defined = item if inspect.isfunction(item) else type(item)
                packages.add(str(defined.__module__).partition(".")[0])
                structure.append((_kind(item), len(parts)))
                pending.extend(reversed(parts))
    return Description(values, tuple(structure), frozenset(packages))


def substituted(root: Any, values: Mapping[int, Any]) -> Any:
    """`root` with some of the values that it holds replaced.

    Args:
      root: see `held_values`.
      values: from the `id` of each object to be replaced to its replacement.

    Returns:
      `root` itself if it holds none of the objects. Otherwise an object of a subclass, or a copy of
      the function or container. The object has the attributes of the original, some of them
      replaced; what is assigned to an attribute is assigned to that of the original too. The
      `variables` of a `tf.Module` are the replacements, where it has some.
    """
    found, holders = _walk(root, values)
    # Everything from which a replaced object can be reached, along whatever cycle.
    touched: set[int] = set()
    pending = [key for key in found if key in values]
    while pending:
        for holder in holders.get(pending.pop(), ()):
            if holder not in touched:
                touched.add(holder)
                pending.append(holder)
    made: dict[int, Any] = {}

    def new(item):
        key = id(item)
        if key in values:
            return values[key]
        if key not in touched:
            return item
        if key not in made:
            _, rebuild = _opened(item)
            rebuild(new, functools.partial(made.__setitem__, key))
        return made[key]

    return new(root)


def _walk(root, values):
    """The objects by id, in the order found, and for each the ids of the objects that hold it."""
    found: dict[int, Any] = {}
    holders: dict[int, list[int]] = {}
    pending = [root]
    while pending:
        item = pending.pop()
        if id(item) in found:
            continue
        found[id(item)] = item
        if id(item) in values or _is_value(item):
            continue
        parts = _opened(item)[0]
        for part in parts:
            holders.setdefault(id(part), []).append(id(item))
        pending.extend(reversed(parts))
    return found, holders


def _is_value(item):
    return isinstance(item, (tf.Variable, tf.Tensor)) and not _is_out_of_scope(item)


def _is_out_of_scope(item):
    """Whether it is a tensor of a graph that is finished, which a network kept to be looked at."""
    if isinstance(item, tf.Variable) or hasattr(item, "numpy"):
        return False
    graph = tf.compat.v1.get_default_graph() if not tf.executing_eagerly() else None
    while graph is not None and graph is not item.graph:
        graph = getattr(graph, "outer_graph", None)
    return graph is None


def _is_constant(item):
    return item is None or isinstance(item, (str, bytes, int, float))


def _kind(item):
    """What `item` is, besides its parts."""
    if isinstance(item, np.ndarray):
        return np.ndarray, item.dtype.str, item.shape, item.tobytes()
    if isinstance(item, _COMPOSITES):
        return tf.type_spec_from_value(item)
    if isinstance(item, Mapping):
        return type(item), tuple(item), tuple(_added(item))
    if inspect.isfunction(item):
        filled = tuple(map(_is_filled, item.__closure__ or ()))
        return item.__code__, id(item.__globals__), filled, tuple(vars(item))
    if isinstance(item, _WITHOUT_ATTRIBUTES):
        return type(item), tuple(_added(item))
    if _is_open(item):
        return type(item), tuple(_searched(item))
    return _Leaf(item)


class _Leaf:
    """An object without parts: equal to those that it equals, or only to itself."""

    def __init__(self, item):
        self._item = item

    def __hash__(self):
        try:
            return hash(self._item)
        except (TypeError, ValueError):
            return id(self._item)

    def __eq__(self, other):
        return isinstance(other, _Leaf) and (
            self._item is other._item
            or (type(self._item) is type(other._item) and bool(self._item == other._item))
        )


Rebuild = Callable[[Callable[[Any], Any], Callable[[Any], None]], None]


def _opened(item: Any) -> tuple[list[Any], Rebuild]:
    """The parts of `item`, and a function `rebuild(new, done)` that makes another object like it.

    `new` maps each part to its replacement. `rebuild` must call `done` with the new object, and do
    so before it calls `new` if a part may hold the object in turn (a cycle).
    """
    if _is_constant(item) or isinstance(item, np.ndarray):
        return [], lambda new, done: done(item)
    if isinstance(item, _COMPOSITES):
        parts = tf.nest.flatten(item, expand_composites=True)
        return parts, lambda new, done: done(
            tf.nest.pack_sequence_as(item, list(map(new, parts)), expand_composites=True)
        )
    if isinstance(item, Mapping):
        parts = [*item.values(), *_added(item).values()]
        return parts, lambda new, done: _fill_mapping(item, new, done)
    if isinstance(item, list):
        parts = [*item, *_added(item).values()]
        return parts, lambda new, done: _fill_list(item, new, done)
    if isinstance(item, tuple) and hasattr(item, "_fields"):
        # The class that TensorFlow's wrapper of a namedtuple names, not that of the wrapper.
        return list(item), lambda new, done: done(item.__class__(*map(new, item)))
    if isinstance(item, (tuple, set, frozenset)):
        kind = next(kind for kind in (tuple, set, frozenset) if isinstance(item, kind))
        return list(item), lambda new, done: done(kind(map(new, item)))
    if isinstance(item, functools.partial):
        return [item.func, item.args, item.keywords], lambda new, done: done(
            functools.partial(new(item.func), *new(item.args), **new(item.keywords))
        )
    if inspect.ismethod(item):
        return [item.__self__, item.__func__], lambda new, done: done(
            types.MethodType(new(item.__func__), new(item.__self__))
        )
    if inspect.isfunction(item):
        held = [cell.cell_contents for cell in item.__closure__ or () if _is_filled(cell)]
        held += [item.__defaults__, item.__kwdefaults__, *vars(item).values()]
        return held, lambda new, done: _fill_function(item, new, done)
    if isinstance(item, tf.types.experimental.PolymorphicFunction):  # its trace has old values
        return [item.python_function], lambda new, done: done(new(item.python_function))
    if _is_open(item):
        attributes = _searched(item)
        return list(attributes.values()), lambda new, done: _fill_view(item, attributes, new, done)
    return [], lambda new, done: done(item)


def _searched(item):
    """The attributes that can hold values, by name, without records that TensorFlow keeps."""
    ignored = {_OURS}
    if isinstance(item, tf.Module):
        ignored |= _RECORDS | getattr(item, "_TF_MODULE_IGNORED_PROPERTIES", frozenset())
    if hasattr(type(item), "parameter_properties"):  # TFP's
        ignored.add("_parameters")
    return {name: part for name, part in vars(item).items() if name not in ignored}


def _added(item):
    """The attributes of a container of a user's own class, by name."""
    return dict(vars(item)) if _is_own(item) and hasattr(item, "__dict__") else {}


def _is_open(item):
    if isinstance(item, (type, types.ModuleType)) or not hasattr(item, "__dict__"):
        return False
    return isinstance(item, tf.Module) or _is_own(item)


def _is_filled(cell):
    try:
        cell.cell_contents  # noqa: B018 -- reading an empty cell is what raises
    except ValueError:
        return False
    return True


def _fill_mapping(item, new, done):
    made = dict.__new__(type(item)) if isinstance(item, dict) and _is_own(item) else {}
    done(made)
    for key, part in item.items():
        dict.__setitem__(made, key, new(part))
    _fill_added(item, made, new)


def _fill_list(item, new, done):
    made = list.__new__(type(item)) if _is_own(item) else []
    done(made)
    list.__setitem__(made, slice(None), [new(part) for part in item])
    _fill_added(item, made, new)


def _is_own(item):
    """Whether its class is of a package whose objects may hold weights."""
    return type(item).__module__.partition(".")[0] not in _CLOSED


def _fill_added(item, made, new):
    if hasattr(made, "__dict__"):
        vars(made).update((name, new(part)) for name, part in _added(item).items())


def _fill_function(item, new, done):
    cells = [types.CellType() for _ in item.__closure__ or ()]
    made = types.FunctionType(
        item.__code__, item.__globals__, item.__name__, closure=tuple(cells) or None
    )
    done(made)
    vars(made).update((name, new(part)) for name, part in vars(item).items())
    for cell, old in zip(cells, item.__closure__ or (), strict=True):
        if _is_filled(old):
            cell.cell_contents = new(old.cell_contents)
    made.__defaults__, made.__kwdefaults__ = new(item.__defaults__), new(item.__kwdefaults__)


def _fill_view(item, attributes, new, done):
    view = object.__new__(_view_class(type(item)))
    done(view)
    object.__setattr__(view, "_viewed", item)
    object.__setattr__(view, "_new", new)
    vars(view).update(vars(item))
    vars(view).update((name, new(part)) for name, part in attributes.items())


@functools.cache
def _view_class(cls: type) -> type:
    """A subclass whose objects write their attributes to the object `_viewed` too."""

    def write(view, name, value):
        setattr(view._viewed, name, value)
        if name in vars(view._viewed):
            vars(view)[name] = vars(view._viewed)[name]

    def delete(view, name):
        delattr(view._viewed, name)
        vars(view).pop(name, None)

    def flatten(view, *args, with_path=False, **options):
        # By it a `tf.Module` finds its variables and submodules, which tensors replace.
        found = view._viewed._flatten(*args, with_path=with_path, **options)
        return ((x[0], view._new(x[1])) if with_path else view._new(x) for x in found)

    # Slots, which no search of an object's attributes finds.
    namespace = {
        "__module__": cls.__module__,
        "__slots__": ("_new", "_viewed"),
        "__setattr__": write,
        "__delattr__": delete,
    }
    if issubclass(cls, tf.Module):
        namespace["_flatten"] = flatten
    # The class's own metaclass would wrap these, as Sonnet's does all methods.
    return type.__new__(type(cls), cls.__name__, (cls,), namespace)
