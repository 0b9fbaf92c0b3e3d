"""Sets of molecules with 3D positions, and graphs of them."""

import copy
import dataclasses

import numpy as np
import tensorflow as tf

from gnf_tf.graphs import GraphsTuple

__all__ = ["EDGE_SIZE", "ELEMENTS", "NODE_SIZE", "Molecules"]

# Atomic numbers in the order of the one-hot node features.
ELEMENTS = (1, 6, 7, 8, 9)
_SUPPORTED = "H (1), C (6), N (7), O (8) or F (9)"
# Covalent radii of these in angstrom: Cordero et al., Dalton Trans. 2008, 2832.
_RADII = dict(zip(ELEMENTS, (0.31, 0.76, 0.71, 0.66, 0.57), strict=True))
_BOND_TOLERANCE = 0.4  # angstrom, the usual allowance on the sum of two radii

NODE_SIZE = len(ELEMENTS)
EDGE_SIZE = 2

_DTYPES = {
    "n_atoms": np.int64,
    "atomic_numbers": np.uint8,
    "positions": np.float32,
    "targets": np.float64,
    "index": np.int64,
}


@dataclasses.dataclass(frozen=True)
class Molecules:
    """Molecules laid end to end; molecule i owns the atoms offsets[i] to offsets[i + 1].

    Whole and real numbers of other types than these are converted.

    Attributes:
      n_atoms: [num_molecules] int64, at least 1 each.
      atomic_numbers: [num_atoms] uint8, of H, C, N, O and F: 1, 6, 7, 8, 9.
      positions: [num_atoms, 3] float32, angstrom.
      targets: [num_molecules, num_targets] float64, in `target_units`.
      target_names: name of each column of `targets`.
      target_units: unit of each column of `targets`.
      index: [num_molecules] int64, the molecule's number in its data set.

    Raises:
      ValueError: for another element, shapes that don't agree, a number of atoms below 1, or
        positions or targets that are not finite, naming the molecule.
    """

    n_atoms: np.ndarray
    atomic_numbers: np.ndarray
    positions: np.ndarray
    targets: np.ndarray
    target_names: tuple[str, ...]
    target_units: tuple[str, ...]
    index: np.ndarray

    def __post_init__(self):
        given = {field: np.asarray(getattr(self, field)) for field in _DTYPES}
        _check(given, self.target_names, self.target_units)
        vars(self).update((k, v.astype(_DTYPES[k], copy=False)) for k, v in given.items())

    def __len__(self) -> int:
        return len(self.n_atoms)

    @property
    def sizes(self) -> np.ndarray:
        """[num_molecules, 2]: the nodes and edges of each molecule's graph."""
        return np.stack([self.n_atoms, self.n_atoms * (self.n_atoms - 1)], axis=1)

    def select(self, rows: np.ndarray) -> "Molecules":
        """The molecules at `rows`, in that order."""
        atoms = self._atoms(rows)
        chosen = copy.copy(self)  # unlike a new one, it is not checked again
        vars(chosen).update(
            n_atoms=self.n_atoms[rows],
            atomic_numbers=self.atomic_numbers[atoms],
            positions=self.positions[atoms],
            targets=self.targets[rows],
            index=self.index[rows],
        )
        return chosen

    def element_counts(self) -> np.ndarray:
        """[num_molecules, 5] float64: the number of atoms of each element, H, C, N, O, F."""
        molecule = np.repeat(np.arange(len(self)), self.n_atoms)
        element = np.searchsorted(ELEMENTS, self.atomic_numbers)
        shape = [len(self), NODE_SIZE]
        counts = np.bincount(molecule * NODE_SIZE + element, minlength=np.prod(shape))
        return counts.reshape(shape).astype(np.float64)

    def graph(self, rows: np.ndarray) -> GraphsTuple:
        """One GraphsTuple (numpy arrays) of the molecules at `rows`, every pair of atoms joined.

        nodes [num_nodes, 5] float32: one-hot element (H, C, N, O, F).
        edges [num_edges, 2] float32: distance in angstrom; 1 if the pair is bonded, else 0. Bonds
        are read off the geometry (distance below the sum of the covalent radii plus 0.4
        angstrom). Globals have width 0.
        """
        n_node = self.n_atoms[rows]
        atoms = self._atoms(rows)
        numbers, positions = self.atomic_numbers[atoms], self.positions[atoms]
        size = np.repeat(n_node, n_node)  # of the graph of each node
        receivers = np.repeat(np.arange(len(atoms)), size)
        start = np.repeat(np.cumsum(n_node) - n_node, n_node)
        senders = _ranges(start, size)
        distinct = senders != receivers
        senders, receivers = senders[distinct], receivers[distinct]

        distance = np.linalg.norm(positions[senders] - positions[receivers], axis=1)
        radius = _RADIUS_OF_NUMBER[numbers]
        bonded = distance < radius[senders] + radius[receivers] + _BOND_TOLERANCE
        return GraphsTuple(
            nodes=(numbers[:, np.newaxis] == np.array(ELEMENTS)).astype(np.float32),
            edges=np.stack([distance, bonded], axis=1).astype(np.float32),
            globals=np.zeros([len(n_node), 0], np.float32),
            receivers=receivers.astype(np.int32),
            senders=senders.astype(np.int32),
            n_node=n_node.astype(np.int32),
            n_edge=(n_node * (n_node - 1)).astype(np.int32),
        )

    def signature(self, num_nodes: int, num_edges: int, num_graphs: int) -> GraphsTuple:
        """TensorSpecs of `graph` padded to these sizes."""
        return GraphsTuple(
            nodes=tf.TensorSpec([num_nodes, NODE_SIZE], tf.float32),
            edges=tf.TensorSpec([num_edges, EDGE_SIZE], tf.float32),
            globals=tf.TensorSpec([num_graphs, 0], tf.float32),
            receivers=tf.TensorSpec([num_edges], tf.int32),
            senders=tf.TensorSpec([num_edges], tf.int32),
            n_node=tf.TensorSpec([num_graphs], tf.int32),
            n_edge=tf.TensorSpec([num_graphs], tf.int32),
        )

    def _atoms(self, rows):
        starts = np.cumsum(self.n_atoms) - self.n_atoms
        return _ranges(starts[rows], self.n_atoms[rows])


def _check(given, target_names, target_units):
    if len(target_units) != len(target_names):
        raise ValueError(
            f"`target_units` must be as many as `target_names`, {len(target_names)}, "
            f"got {len(target_units)}"
        )
    for field, values in given.items():
        kinds, rule = ("iuf", "real") if field in ("positions", "targets") else ("iu", "whole")
        if values.size and values.dtype.kind not in kinds:
            raise ValueError(f"`{field}` must be {rule} numbers, got {values.dtype}")
    n_atoms = given["n_atoms"]
    if n_atoms.ndim != 1:
        raise ValueError(f"`n_atoms` must have rank 1, got shape {n_atoms.shape}")
    if (n_atoms < 1).any():
        row = int((n_atoms < 1).argmax())
        raise ValueError(f"`n_atoms` must be at least 1, got {n_atoms[row]} for molecule {row}")
    total = int(n_atoms.sum())
    shapes = {
        "atomic_numbers": (total,),
        "positions": (total, 3),
        "targets": (len(n_atoms), len(target_names)),
        "index": (len(n_atoms),),
    }
    for field, shape in shapes.items():
        if given[field].shape != shape:
            raise ValueError(f"`{field}` must have shape {shape}, got {given[field].shape}")
    _check_values(n_atoms, given)


def _check_values(n_atoms, given):
    def owner(atom):
        return int(np.searchsorted(np.cumsum(n_atoms), atom, side="right"))

    numbers = given["atomic_numbers"]
    unknown = ~np.isin(numbers, ELEMENTS)
    if unknown.any():
        atom = int(unknown.argmax())
        place = atom - int(n_atoms[: owner(atom)].sum())
        raise ValueError(
            f"`atomic_numbers` must be of {_SUPPORTED}, got number {numbers[atom]} as atom {place} "
            f"of molecule {owner(atom)}"
        )
    for field, molecule in (("positions", owner), ("targets", int)):
        # What is too large for its type would become infinite.
        finite = np.abs(given[field]) <= np.finfo(_DTYPES[field]).max
        if not finite.all():
            row = int(finite.all(axis=1).argmin())
            raise ValueError(
                f"`{field}` must be finite, got {given[field][row].tolist()} for molecule "
                f"{molecule(row)}"
            )


_RADIUS_OF_NUMBER = np.zeros(max(ELEMENTS) + 1, np.float32)
for _number, _radius in _RADII.items():
    _RADIUS_OF_NUMBER[_number] = _radius


def _ranges(starts, lengths):
    """start, start + 1, ... for each (start, length), end to end."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)
