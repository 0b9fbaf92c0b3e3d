"""Read-outs of a `MoleculeRegressor`: how the values of atoms become a target of a molecule."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import sonnet as snt
import tensorflow as tf

from gnf_tf import datasets, graphs, networks
from gnf_tf.graphs import GraphsTuple
from gnf_tf.networks import equivariant
from gnf_tf.networks.linear import Linear, output_layer

__all__ = [
    "AtomicDipoles",
    "Readout",
    "VectorDipoles",
    "check",
    "check_gap",
    "default",
    "dipole",
    "invariants",
    "squared_radius",
]

Readout = Literal["scalar", "dipole", "extent", "gap"]
# The targets of QM9, by name and unit, that are no sums of scalars over atoms.
_OF_QM9: dict[tuple[str, str], Readout] = {("mu", "D"): "dipole", ("r2", "bohr^2"): "extent"}


def default(train: datasets.Molecules) -> dict[str, Readout]:
    """Returns the read-out of each target by its name, see `MoleculeRegressor.for_data`."""
    names, units = train.target_names, train.target_units
    found = {pair[0]: _OF_QM9.get(pair, "scalar") for pair in zip(names, units, strict=True)}
    if {"homo", "lumo", "gap"} <= set(names):
        homo, lumo, gap = (names.index(name) for name in ("homo", "lumo", "gap"))
        differences = train.targets[:, lumo] - train.targets[:, homo] - train.targets[:, gap]
        if units[homo] == units[lumo] == units[gap] == "eV" and np.abs(differences).max() < 0.01:
            found["gap"] = "gap"
    return found


def check_gap(train: datasets.Molecules, target: str) -> None:
    """Checks that a target, whose read-out is a gap, is the target lumo minus the target homo.

    Raises:
      ValueError: if known units differ, or values by more than a hundredth of the largest gap.
    """
    names, units = train.target_names, train.target_units
    columns = homo, lumo, gap = [names.index(name) for name in ("homo", "lumo", target)]
    found = [units[column] for column in columns]
    if len({*found} - {""}) > 1:
        raise ValueError(
            f"`readouts` has the gap {target}, which must have the unit of homo and lumo, got "
            f"{', '.join(map(repr, found))} of homo, lumo and {target}"
        )
    error = np.abs(train.targets[:, lumo] - train.targets[:, homo] - train.targets[:, gap])
    if (error > 0.01 * np.abs(train.targets[:, gap]).max()).any():
        row = int(error.argmax())
        raise ValueError(
            f"`readouts` has the gap {target}, which must be lumo - homo, got "
            f"{train.targets[row, gap]:g} and {train.targets[row, lumo]:g} - "
            f"{train.targets[row, homo]:g} for molecule {row}"
        )


def check(readouts: Sequence[str], target_names: Sequence[str]) -> None:
    """Checks the read-outs of targets.

    Raises:
      ValueError: if a read-out is unknown, or is a gap without targets "homo" and "lumo".
    """
    known = get_args(Readout)
    for readout in readouts:
        if readout not in known:
            raise ValueError(f"`readouts` must be among {', '.join(known)}, got {readout!r}")
    if "gap" in readouts and not {"homo", "lumo"} <= set(target_names):
        names = ", ".join(target_names)
        raise ValueError(f"`readouts` has a gap and needs targets homo and lumo, got {names}")


def invariants(nodes: tf.Tensor, num_vectors: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns what read-outs see of a network's features, two halves as in `EquivariantMessages`.

    Args:
      nodes: [num_nodes, node_size + 6 num_vectors].
      num_vectors: number of vectors in each half.

    Returns:
      Scalars and norms of vectors, [num_nodes, node_size + 2 num_vectors], and vectors
      [num_nodes, 3, 2 num_vectors].
    """
    halves = [equivariant.split_vectors(half, num_vectors) for half in tf.split(nodes, 2, axis=-1)]
    vectors = tf.concat([half[1] for half in halves], axis=-1)
    scalars = tf.concat([half[0] for half in halves], axis=-1)
    return tf.concat([scalars, equivariant.norms(vectors)], axis=-1), vectors


class AtomicDipoles(snt.Module):
    """Sums of dipoles of atoms, which point charges of zero sum give as well.

    For atoms a and b with node features h, edge features d_ab and positions r, the atomic dipole is

        mu_a = sum over edges (b, a) of w_ab (r_b - r_a),    w_ab = MLP(h_b, h_a, d_ab)

    Since sum_a mu_a = sum_a q_a r_a with q_a = sum_b (w_ba - w_ab), this network returns charges q.
    """

    def __init__(self, num_dipoles: int, width: int = 32, name: str | None = None):
        """Stores the sizes; variables are made at the first call.

        Args:
          num_dipoles: number of dipole moments of a molecule.
          width: width of the MLP's hidden layer.
          name: name of the module.
        """
        super().__init__(name=name)
        self._from_nodes = Linear(2 * width)
        self._from_edges = Linear(width, with_bias=False)
        self._output = output_layer(num_dipoles, 0.1)

    def __call__(self, graph: GraphsTuple) -> tf.Tensor:
        """Returns charges q, [num_nodes, num_dipoles].

        Args:
          graph: nodes h [num_nodes, any] and edges d [num_edges, any].
        """
        sent, received = tf.split(self._from_nodes(graph.nodes), 2, axis=-1)
        hidden = graphs.sum_of_ends(sent, received, graph)
        weights = self._output(tf.nn.relu(hidden + self._from_edges(graph.edges)))
        size = tf.shape(graph.nodes)[0]
        ends = (graphs.scatter_sum(weights, end, size) for end in (graph.senders, graph.receivers))
        return tf.subtract(*ends)


class VectorDipoles(snt.Module):
    """Dipoles of atoms from the vectors of an equivariant network, as in PaiNN.

    For an atom with features h and vectors V_c, the atomic dipole is sum_c w_c(h) V_c, with an MLP
    w. `AtomicDipoles` is for networks without vectors.
    """

    def __init__(self, num_dipoles: int, name: str | None = None):
        """Stores the number of dipole moments of a molecule; variables are made at first call."""
        super().__init__(name=name)
        self._num_dipoles = num_dipoles

    @snt.once
    def _initialize(self, graph, num_weights):
        self._weights = networks.MLP((graph.nodes.shape[-1], num_weights), output_scale=0.1)

    def __call__(self, graph: GraphsTuple, vectors: tf.Tensor) -> tf.Tensor:
        """Returns the atomic dipoles, [num_nodes, 3, num_dipoles].

        Args:
          graph: nodes h [num_nodes, any], which are invariant.
          vectors: [num_nodes, 3, num_vectors].
        """
        num_vectors = vectors.shape[-1]
        self._initialize(graph, num_vectors * self._num_dipoles)
        weights = self._weights(graph).nodes
        return tf.matmul(vectors, tf.reshape(weights, [-1, num_vectors, self._num_dipoles]))


def squared_radius(graph: GraphsTuple) -> tf.Tensor:
    """Returns |r_a|^2 in angstrom^2 of all atoms a, [num_nodes].

    Args:
      graph: molecules as from `datasets.Molecules.graph`.
    """
    return tf.reduce_sum(tf.square(graph.nodes[:, 1:]), axis=1)


def dipole(charges: tf.Tensor, graph: GraphsTuple, atomic: tf.Tensor | None = None) -> tf.Tensor:
    """Returns |sum_a (q_a - mean_b q_b) r_a + mu_a|, the norms of dipoles of neutral molecules.

    Args:
      charges: [num_nodes], charges q_a of atoms, with any sum.
      graph: molecules as from `datasets.Molecules.graph`.
      atomic: [num_nodes, 3], dipoles mu_a of atoms, which are 0 by default.

    Returns:
      [n_graphs], in units of charge times angstrom: 1 elementary charge angstrom is 4.80320 debye.
    """
    sizes = tf.cast(tf.maximum(graph.n_node, 1), charges.dtype)
    charges -= graphs.to_nodes(graphs.sum_nodes(charges, graph) / sizes, graph)
    vectors = charges[:, tf.newaxis] * graph.nodes[:, 1:]
    vectors = graphs.sum_nodes(vectors if atomic is None else vectors + atomic, graph)
    # The gradient of the norm is infinite at 0, where padding graphs and single atoms are.
    return tf.sqrt(tf.maximum(tf.reduce_sum(tf.square(vectors), axis=1), 1e-12))
