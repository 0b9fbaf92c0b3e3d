"""Sets of molecules with 3D positions, and graphs of them."""

import dataclasses

import numpy as np
import tensorflow as tf

from gnf_tf.graphs import GraphsTuple

__all__ = ["EDGE_SIZE", "ELEMENTS", "NODE_SIZE", "Molecules"]

# Atomic numbers in the order of the one-hot node features: H, C, N, O, F.
ELEMENTS = (1, 6, 7, 8, 9)
# Covalent radii of these in angstrom: Cordero et al., Dalton Trans. 2008, 2832.
_RADII = dict(zip(ELEMENTS, (0.31, 0.76, 0.71, 0.66, 0.57), strict=True))
_BOND_TOLERANCE = 0.4  # angstrom, the usual allowance on the sum of two radii

NODE_SIZE = len(ELEMENTS)
EDGE_SIZE = 2


@dataclasses.dataclass(frozen=True)
class Molecules:
    """Molecules laid end to end; molecule i owns the atoms offsets[i] to offsets[i + 1].

    Attributes:
      n_atoms: [num_molecules] int64.
      atomic_numbers: [num_atoms] uint8.
      positions: [num_atoms, 3] float32, angstrom.
      targets: [num_molecules, num_targets] float64, in `target_units`.
      target_names: name of each column of `targets`.
      target_units: unit of each column of `targets`.
      index: [num_molecules] int32, the molecule's number in its data set.
    """

    n_atoms: np.ndarray
    atomic_numbers: np.ndarray
    positions: np.ndarray
    targets: np.ndarray
    target_names: tuple[str, ...]
    target_units: tuple[str, ...]
    index: np.ndarray

    def __len__(self) -> int:
        return len(self.n_atoms)

    @property
    def sizes(self) -> np.ndarray:
        """[num_molecules, 2]: the nodes and edges of each molecule's graph."""
        return np.stack([self.n_atoms, self.n_atoms * (self.n_atoms - 1)], axis=1)

    def select(self, rows: np.ndarray) -> "Molecules":
        """The molecules at `rows`, in that order."""
        atoms = self._atoms(rows)
        return dataclasses.replace(
            self,
            n_atoms=self.n_atoms[rows],
            atomic_numbers=self.atomic_numbers[atoms],
            positions=self.positions[atoms],
            targets=self.targets[rows],
            index=self.index[rows],
        )

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


_RADIUS_OF_NUMBER = np.zeros(max(ELEMENTS) + 1, np.float32)
for _number, _radius in _RADII.items():
    _RADIUS_OF_NUMBER[_number] = _radius


def _ranges(starts, lengths):
    """start, start + 1, ... for each (start, length), end to end."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)
