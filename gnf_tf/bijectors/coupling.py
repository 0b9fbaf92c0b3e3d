"""Affine couplings by message passing: half of a GRevNet step (paper, equations 3 and 4)."""

from collections.abc import Callable
from typing import Any, Literal, Protocol

import tensorflow as tf

from gnf_tf import options, reversible
from gnf_tf.bijectors.base import GraphLayer
from gnf_tf.bijectors.spline import Spline
from gnf_tf.networks.conditioner import MakeConditioner, make_conditioner_variables

__all__ = ["Additive", "Affine", "BoundedScale", "Coupling", "Elementwise", "GraphCoupling"]


class Elementwise(Protocol):
    """What `GraphCoupling` asks of an invertible map of single features.

    It maps features of shape [num_nodes, width] by `num_params` numbers for each; where they are
    zero it must be the identity or near it. `Affine` is the paper's map, and the simplest one. A
    map of whole rows, such as `VectorAffine`, divides its log-determinant among the features.
    """

    num_params: int

    def parameters(self, raw: tf.Tensor) -> Any:
        """Any structure of tensors, from the network's output [num_nodes, num_params, width]."""

    def forward(self, x: tf.Tensor, params: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """y and log(dy/dx), both [num_nodes, width]."""

    def inverse(self, y: tf.Tensor, params: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """x and log(dx/dy), both [num_nodes, width]."""


class BoundedScale:
    """A map whose log-scale is bounded smoothly: b tanh(s / b) for a number s of the network.

    The bound b is `max_log_scale`.
    """

    def __init__(self, max_log_scale: float = 2.0):
        """Raises a ValueError if `max_log_scale` is not positive and finite."""
        options.check_argument("max_log_scale", options.Positive, max_log_scale)
        self._max_log_scale = max_log_scale

    def bounded(self, log_scale: tf.Tensor) -> tf.Tensor:
        """b tanh(log_scale / b), of the same shape."""
        return self._max_log_scale * tf.tanh(log_scale / self._max_log_scale)


class Affine(BoundedScale):
    """The map of equations 3 and 4, as in RealNVP: y = x * exp(log_scale) + shift.

    The log-scale that the network gives, s, is bounded smoothly: log_scale = b tanh(s / b) with
    b = `max_log_scale`, see `BoundedScale`. A single coupling stretches by at most exp(b); that
    keeps a deep stack invertible in floating point.
    """

    num_params = 2

    def parameters(self, raw):
        """(log_scale, shift), each [num_nodes, width]."""
        log_scale, shift = tf.unstack(raw, axis=1)
        return self.bounded(log_scale), shift

    def forward(self, x, params):
        """Equation 3: h' = h * exp(log_scale) + shift; its log-derivative is log_scale."""
        log_scale, shift = params
        return x * tf.exp(log_scale) + shift, log_scale

    def inverse(self, y, params):
        """Equation 4: h = (h' - shift) / exp(log_scale)."""
        log_scale, shift = params
        return (y - shift) * tf.exp(-log_scale), -log_scale


class Additive:
    """The volume-preserving map of NICE, y = x + shift, which the authors' supervised code uses."""

    num_params = 1

    def parameters(self, raw):
        """shift, [num_nodes, width]."""
        return raw[:, 0]

    def forward(self, x, params):
        return x + params, tf.zeros_like(x)

    def inverse(self, y, params):
        return y - params, tf.zeros_like(y)


Coupling = Literal["affine", "additive", "spline"] | Elementwise


class GraphCoupling(GraphLayer):
    """One half of the node features changes by message passing on the other half.

    The node features h, [num_nodes, node_size], are split as [h0, h1]. With `updates=0`, and
    (log_scale, shift) computed from h1 by a network that passes messages along the edges:

        forward:   h0' = h0 * exp(log_scale(h1)) + shift(h1),    h1' = h1      (equation 3)
        inverse:   h0 = (h0' - shift(h1')) / exp(log_scale(h1')),  h1 = h1'    (equation 4)
        log|det|:  sum of log_scale(h1) over the nodes of a graph and the features of h0

    With `updates=1` the halves change places. `GNFStep` is one coupling of each kind, a full step
    of message passing. Instead of the paper's affine map the coupling can use `Additive`, whose
    log-determinant is 0, or `Spline`, which is more flexible and slower.

    The network is any function from a GraphsTuple to a GraphsTuple. It is evaluated again in the
    gradient and in the inverse, so its result may depend only on its inputs, its weights and a
    seed. If it has a true attribute `takes_seed`, it gets the keyword argument `seed`, int32 [2],
    whenever the bijector has a seed. So for dropout use the option `dropout` of `MessagePassing` or
    `GraphConvolution`, or `gnf_tf.networks.dropout.dropout`; for batch normalization use the
    `normalization` of the `GNF`. The variables and float tensors of the network must be attributes
    of `tf.Module`s or of plain objects, or be in the closure, the defaults or the partial arguments
    of a function.
    """

    def __init__(
        self,
        make_conditioner: MakeConditioner,
        node_size: int,
        *,
        updates: int = 0,
        coupling: Coupling = "affine",
        max_log_scale: float = 2.0,
        conditional_size: int = 0,
        edge_size: int = 0,
        global_size: int = 0,
        dtype: tf.DType = tf.float32,
        memory: reversible.Memory = "reversible",
        validate_args: bool = False,
        name: str = "graph_coupling",
    ):
        """Makes the network and its variables.

        Args:
          make_conditioner: a function from an output size to the network; it is called once. The
            network gets nodes [num_nodes, kept_size + conditional_size], and the edges and globals
            of the graph. It must return nodes [num_nodes, output size], with an output size of
            changed_size times the number of the map's parameters; for "affine" the output is
            [log_scale, shift].
          node_size: width of the node features, at least 2; see `reversible.half_sizes`.
          updates: which half changes, 0 (the first) or 1.
          coupling: "affine", "additive", "spline", or an `Elementwise` map such as `VectorAffine`.
          max_log_scale: bound of the log-scale of "affine", see `Affine`.
          conditional_size: width of the `conditional_input`, which every call must then have.
          edge_size: width of the edge features.
          global_size: width of the global features.
          dtype: float type of the graphs.
          memory: how the gradient gets its activations, see `gnf_tf.reversible.run`.
          validate_args: whether to check the values of each graph too.
          name: as in TFP.

        Raises:
          ValueError: for an argument out of its range; for a network of the wrong width, whose
            variables or float tensors can't be found, or which changes a variable or draws random
            numbers from TensorFlow's state.
        """
        parameters = dict(locals())
        options.check_argument("updates", int, updates)
        if updates not in (0, 1):
            raise ValueError(f"`updates` must be 0 or 1, got {updates!r}")
        super().__init__(
            node_size,
            conditional_size=conditional_size,
            dtype=dtype,
            memory=memory,
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )
        options.check_argument("edge_size", options.AtLeast0, edge_size)
        options.check_argument("global_size", options.AtLeast0, global_size)
        if not callable(make_conditioner):
            raise ValueError(
                "`make_conditioner` must be a function from an output size to a network, "
                f"got {make_conditioner!r}"
            )
        self.updates = updates
        self._map = _make_map(coupling, max_log_scale)
        halves = reversible.half_sizes(node_size)
        kept_size, self._changed_size = halves[1 - updates], halves[updates]
        output_size = self._map.num_params * self._changed_size
        self._conditioner = make_conditioner(output_size)
        self.takes_seed = getattr(self._conditioner, "takes_seed", False)
        changed = tf.zeros([2, self._changed_size], dtype)
        # Made here, not at the first call: a tf.function, a checkpoint or an optimizer then finds
        # the variables whatever comes first. The map may have some of its own.
        make_conditioner_variables(
            self,
            self._conditioner,
            output_size,
            input_size=kept_size + conditional_size,
            edge_size=edge_size,
            global_size=global_size,
            dtype=dtype,
            use=lambda output: self._check_map(changed, self._parameters_of(output)),
        )

    def _check_map(self, changed, params):
        for name in ("forward", "inverse"):
            for values in getattr(self._map, name)(changed, params):
                if values.shape != changed.shape:
                    raise ValueError(
                        f"`coupling` must map the changing half, here {tuple(changed.shape)}, to "
                        f"values and log-slopes of that shape; `{name}` gave {tuple(values.shape)}"
                    )

    def condition(self, kept, graph, *, conditional_input, is_training, seed):
        """The parameters of the map, by message passing: log_scale(kept) and shift(kept).

        Each is [num_nodes, changed_size]; see `ReversibleLayer.condition` for the arguments.
        """
        del is_training
        inputs = kept if conditional_input is None else tf.concat([kept, conditional_input], -1)
        options = {"seed": seed} if self.takes_seed and seed is not None else {}
        return self._parameters_of(self._conditioner(graph.replace(nodes=inputs), **options).nodes)

    def transform(self, changed, params):
        """Equation 3: (changed', log|det| per node), [num_nodes, changed_size] and [num_nodes]."""
        changed, log_slope = self._map.forward(changed, params)
        return changed, tf.reduce_sum(log_slope, axis=-1)

    def invert(self, changed, params):
        """Equation 4: (changed, log|det| per node of the inverse), of the same shapes."""
        changed, log_slope = self._map.inverse(changed, params)
        return changed, tf.reduce_sum(log_slope, axis=-1)

    def _parameters_of(self, output):
        shape = [-1, self._map.num_params, self._changed_size]
        return self._map.parameters(tf.reshape(output, shape))


def _make_map(coupling, max_log_scale):
    maps: dict[str, Callable[[], Elementwise]] = {
        "affine": lambda: Affine(max_log_scale),
        "additive": Additive,
        "spline": Spline,
    }
    if isinstance(coupling, str) and coupling in maps:
        return maps[coupling]()
    if isinstance(coupling, str | type) or not hasattr(coupling, "num_params"):
        raise ValueError(
            f"`coupling` must be one of {tuple(maps)}, or a map such as Spline(), got {coupling!r}"
        )
    return coupling
