"""Molecules with 3-D positions, of any elements, and their graphs."""

import copy
import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from gnf_tf.datasets.ranges import ranges, row_numbers
from gnf_tf.datasets.splits import random_parts
from gnf_tf.graphs import GraphsTuple

__all__ = ["FARTHEST", "RADIUS", "SYMBOLS", "Molecules"]

# Largest coordinate in angstrom. Farther from 0, float32 changes distances by more than 1e-4.
FARTHEST = 1000

# Symbols of the elements with atomic numbers 1 to 118.
SYMBOLS = tuple(
    """H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se
    Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy
    Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf
    Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og""".split()
)
# Covalent radii in angstrom of the first 96: Cordero et al., Dalton Trans. 2008, 2832 (carbon sp3;
# Mn, Fe, Co low spin).
_RADII = """.31 .28 1.28 .96 .84 .76 .71 .66 .57 .58 1.66 1.41 1.21 1.11 1.07 1.05 1.02 1.06 2.03
    1.76 1.70 1.60 1.53 1.39 1.39 1.32 1.26 1.24 1.32 1.22 1.22 1.20 1.19 1.20 1.20 1.16 2.20 1.95
    1.90 1.75 1.64 1.54 1.47 1.46 1.42 1.39 1.45 1.44 1.42 1.39 1.39 1.38 1.39 1.40 2.44 2.15 2.07
    2.04 2.03 2.01 1.99 1.98 1.98 1.96 1.94 1.92 1.92 1.89 1.90 1.87 1.87 1.75 1.70 1.62 1.51 1.44
    1.41 1.36 1.36 1.32 1.45 1.46 1.48 1.40 1.50 1.50 2.60 2.21 2.15 2.06 2.00 1.96 1.90 1.87 1.80
    1.69"""
# By atomic number. Elements that are not in the table have no bonds.
RADIUS = np.full(1 + len(SYMBOLS), -np.inf, np.float32)
RADIUS[1:97] = np.array(_RADII.split(), np.float32)
_BOND_TOLERANCE = 0.4  # angstrom, a common tolerance on the sum of two covalent radii

_DTYPES = {
    "n_atoms": np.int64,
    "atomic_numbers": np.uint8,
    "positions": np.float32,
    "targets": np.float64,
    "index": np.int64,
}
_TEXTS = ("target_names", "target_units")


@dataclasses.dataclass(frozen=True, eq=False)
class Molecules:
    """Molecules with 3-D positions and targets, their atoms concatenated: a `GraphDataset`.

    `read_molecules` reads them from a file, `molecules_from_smiles` makes them from structural
    formulas, and `qm9` loads QM9. Arrays of other numeric types, and names and units in other
    sequences, are converted to these.

    >>> water = Molecules([3], [8, 1, 1], [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]],
    ...                   [[1.85]], ("mu",), ("D",), [0])
    >>> graph = water.graph(np.array([0]))
    >>> graph.nodes[:, 0].tolist(), graph.edges[:, 1].tolist()  # elements; O-H bonds both ways
    ([8.0, 1.0, 1.0], [1.0, 1.0, 1.0, 0.0, 1.0, 0.0])

    Attributes:
      n_atoms: [num_molecules] int64, the number of atoms of each molecule, at least 1.
      atomic_numbers: [num_atoms] uint8, 1 to 118.
      positions: [num_atoms, 3] float32 in angstrom, each coordinate within 1000 of 0, where float32
        is precise; only distances matter to models.
      targets: [num_molecules, num_targets] float64 in `target_units`; num_targets may be 0.
      target_names: the name of each column of `targets`; distinct.
      target_units: the unit of each column of `targets`.
      index: [num_molecules] int64, the number of each molecule in its data set.
      titles: the name of each molecule, or its SMILES string; None if they have none.

    Raises:
      ValueError: if shapes do not agree, a number of atoms is below 1, an atomic number or a
        position is out of its range, or a target is not finite; the message names the molecule.
        Also if two targets have the same name, or a name or unit is no text.
    """

    n_atoms: np.ndarray
    atomic_numbers: np.ndarray
    positions: np.ndarray
    targets: np.ndarray
    target_names: tuple[str, ...]
    target_units: tuple[str, ...]
    index: np.ndarray
    titles: tuple[str, ...] | None = dataclasses.field(default=None, metadata={"trains": False})

    def __post_init__(self):
        given = {field: _array(field, getattr(self, field)) for field in _DTYPES}
        fields = _TEXTS if self.titles is None else [*_TEXTS, "titles"]
        texts = {field: _texts(field, getattr(self, field)) for field in fields}
        vars(self).update(texts)
        _check(given, self.target_names, self.target_units)
        if self.titles is not None and len(self.titles) != len(self):
            raise ValueError(f"`titles` must be {len(self)} texts, got {len(self.titles)}")
        vars(self).update((k, v.astype(_DTYPES[k], copy=False)) for k, v in given.items())

    def __len__(self) -> int:
        return len(self.n_atoms)

    @property
    def sizes(self) -> np.ndarray:
        """[num_molecules, 2], the numbers of nodes and of edges of each graph."""
        return np.stack([self.n_atoms, self.n_atoms * (self.n_atoms - 1)], axis=1)

    def select(self, rows: np.ndarray) -> "Molecules":
        """The molecules with the numbers `rows`, in this order.

        Args:
          rows: [num_rows] whole numbers, or [num_molecules] bool.

        Raises:
          ValueError: if `rows` is no such vector.
          IndexError: if there is no such row.
        """
        rows = row_numbers(rows)
        atoms = self._atoms(rows)
        chosen = copy.copy(self)  # unlike the constructor, this does not repeat the checks
        vars(chosen).update(
            n_atoms=self.n_atoms[rows],
            atomic_numbers=self.atomic_numbers[atoms],
            positions=self.positions[atoms],
            targets=self.targets[rows],
            index=self.index[rows],
        )
        if self.titles is not None:
            kept = np.arange(len(self))[rows].tolist()
            vars(chosen).update(titles=tuple(self.titles[row] for row in kept))
        return chosen

    @property
    def elements(self) -> tuple[int, ...]:
        """The atomic numbers that occur in these molecules, in ascending order."""
        return tuple(np.unique(self.atomic_numbers).tolist())

    def element_counts(self, elements: Sequence[int]) -> np.ndarray:
        """The number of atoms of each element, [num_molecules, num_elements] float64.

        Args:
          elements: distinct atomic numbers, which give the order of the columns.

        Raises:
          ValueError: if a molecule has an atom of another element; the message names both.
        """
        return self._sums_by_element(elements, np.ones(len(self.atomic_numbers)))

    def extents(self, elements: Sequence[int]) -> np.ndarray:
        """The sum of |r_a - c|^2 over the atoms a of each element, [num_molecules, num_elements].

        r_a are positions and c is the center of nuclear charge; the sums are in angstrom^2.

        Args:
          elements: see `element_counts`.

        Raises:
          ValueError: see `element_counts`.
        """
        centered = _centered(self.atomic_numbers, self.positions, self.n_atoms)
        return self._sums_by_element(elements, np.square(centered).sum(axis=1))

    def _sums_by_element(self, elements, values):
        """[num_molecules, num_elements] float64, sums of `values` [num_atoms]."""
        atoms = self._owners()
        known = np.isin(self.atomic_numbers, elements)
        if not known.all():
            atom = int(known.argmin())
            names = ", ".join(SYMBOLS[number - 1] for number in elements)
            raise ValueError(
                f"molecule {atoms[atom]} has the element {SYMBOLS[self.atomic_numbers[atom] - 1]} "
                f"(atomic number {self.atomic_numbers[atom]}), expected one of {names}"
            )
        column = np.zeros(1 + len(SYMBOLS), np.int64)
        column[np.asarray(elements, np.int64)] = np.arange(len(elements))
        shape = [len(self), len(elements)]
        places = atoms * len(elements) + column[self.atomic_numbers]
        return np.bincount(places, values, minlength=np.prod(shape)).reshape(shape)

    def split(self, fractions: Sequence[float], seed: int = 0) -> tuple["Molecules", ...]:
        """Disjoint random parts of the molecules; arguments and errors as `random_split`."""
        return tuple(self.select(rows) for rows in random_parts(len(self), fractions, seed))

    def graph(self, rows: np.ndarray) -> GraphsTuple:
        """The molecules with the numbers `rows` in one GraphsTuple of NumPy arrays.

        Each pair of different atoms has an edge in each direction. A `models.MoleculeRegressor`
        sees molecules so; use `position_graph` for a `models.PositionFlow`.

        - nodes: [num_nodes, 4] float32, the atomic number, and the position in angstrom relative to
          the molecule's center of nuclear charge.
        - edges: [num_edges, 2] float32, the distance in angstrom, and 1 for a bonded pair and 0 for
          others. A pair is bonded if its distance is less than the sum of the covalent radii plus
          0.4 angstrom.
        - globals: [n_graphs, 0] float32.
        """
        n_node = self.n_atoms[rows]
        atoms = self._atoms(rows)
        numbers, positions = self.atomic_numbers[atoms], self.positions[atoms]
        size = np.repeat(n_node, n_node)  # for each node, the number of nodes of its graph
        receivers = np.repeat(np.arange(len(atoms)), size)
        start = np.repeat(np.cumsum(n_node) - n_node, n_node)
        senders = ranges(start, size)
        distinct = senders != receivers
        senders, receivers = senders[distinct], receivers[distinct]

        distance = np.linalg.norm(positions[senders] - positions[receivers], axis=1)
        radius = RADIUS[numbers]
        bonded = distance < radius[senders] + radius[receivers] + _BOND_TOLERANCE
        return GraphsTuple(
            nodes=np.c_[numbers, _centered(numbers, positions, n_node)].astype(np.float32),
            edges=np.stack([distance, bonded], axis=1).astype(np.float32),
            globals=np.zeros([len(n_node), 0], np.float32),
            receivers=receivers.astype(np.int32),
            senders=senders.astype(np.int32),
            n_node=n_node.astype(np.int32),
            n_edge=(n_node * (n_node - 1)).astype(np.int32),
        )

    def position_graph(
        self, rows: np.ndarray, elements: Sequence[int] | None = None
    ) -> GraphsTuple:
        """The molecules with the numbers `rows` as a `models.PositionFlow` takes them.

        >>> hydride = Molecules([2], [3, 1], [[0, 0, 0], [0, 0, 1.6]], [[]], (), (), [0])
        >>> hydride.position_graph(np.array([0])).nodes[:, 3:].tolist()  # H or Li
        [[0.0, 1.0], [1.0, 0.0]]

        Args:
          rows: numbers of molecules.
          elements: ascending atomic numbers; default: those of all these molecules, not only of
            `rows`.

        Returns:
          An edge in each direction between each pair of atoms, without features, and nodes
          [num_nodes, 3 + len(elements)] float32: the position in angstrom relative to the center of
          nuclear charge, and 1 for the element of the atom and 0 for the others.

        Raises:
          ValueError: if a molecule has another element.
        """
        known = np.unique(self.atomic_numbers).tolist() if elements is None else elements
        self.element_counts(known)  # raises for other elements
        graph = self.graph(rows)
        is_element = graph.nodes[:, :1] == np.asarray(known)
        nodes = np.concatenate([graph.nodes[:, 1:], is_element], axis=1, dtype=np.float32)
        return graph.replace(nodes=nodes, edges=np.zeros([len(graph.senders), 0], np.float32))

    def _owners(self):
        """[num_atoms], the row number of the molecule of each atom."""
        return np.repeat(np.arange(len(self)), self.n_atoms)

    def _atoms(self, rows):
        starts = np.cumsum(self.n_atoms) - self.n_atoms
        return ranges(starts[rows], self.n_atoms[rows])


def _centered(numbers, positions, n_atoms):
    """[num_atoms, 3] float64, positions relative to the centers of nuclear charge."""
    if not len(n_atoms):
        return np.zeros([0, 3])
    starts = np.cumsum(n_atoms) - n_atoms
    charges = numbers[:, np.newaxis].astype(np.float64)
    centers = np.add.reduceat(charges * positions, starts) / np.add.reduceat(charges, starts)
    return positions - np.repeat(centers, n_atoms, axis=0)


def _array(field, values):
    try:
        return np.asarray(values)
    except ValueError as error:  # rows of different lengths
        raise ValueError(f"`{field}` must be an array, got {values!r:.80}") from error


def _texts(field, values):
    is_sequence = isinstance(values, Iterable) and not isinstance(values, str)
    texts = tuple(values) if is_sequence else ()
    if not is_sequence or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"`{field}` must be a sequence of texts, got {values!r:.200}")
    return tuple(map(str, texts))


def _check(given, target_names, target_units):
    if len(target_units) != len(target_names):
        raise ValueError(
            f"`target_units` must be as many as `target_names`, {len(target_names)}, "
            f"got {len(target_units)}"
        )
    if len(set(target_names)) < len(target_names):
        raise ValueError(f"`target_names` must be distinct, got {tuple(target_names)}")
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
    unknown = (numbers < 1) | (numbers > len(SYMBOLS))
    if unknown.any():
        atom = int(unknown.argmax())
        place = atom - int(n_atoms[: owner(atom)].sum())
        raise ValueError(
            f"`atomic_numbers` must be from 1 to {len(SYMBOLS)}, got {numbers[atom]} as atom "
            f"{place} of molecule {owner(atom)}"
        )
    limits = (
        ("positions", owner, FARTHEST, f"be within {FARTHEST} angstrom of the origin"),
        ("targets", int, np.finfo(np.float64).max, "be finite"),
    )
    for field, molecule, largest, rule in limits:
        allowed = np.abs(given[field]) <= largest
        if not allowed.all():
            row = int(allowed.all(axis=1).argmin())
            raise ValueError(
                f"`{field}` must {rule}, got {given[field][row].tolist()} for molecule "
                f"{molecule(row)}"
            )
