"""Regression of molecular properties from atoms and their positions, by a GRevNet (section 4)."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
import sonnet as snt
import tensorflow as tf

from gnf_tf import datasets, graphs, networks, options
from gnf_tf.graphs import GraphsTuple
from gnf_tf.models import familiarity, saving
from gnf_tf.models import readouts as kinds
from gnf_tf.models.composition import fit_composition
from gnf_tf.models.grevnet import GRevNet
from gnf_tf.models.intervals import Intervals
from gnf_tf.models.molecule_predictions import MoleculePredictions, check_type
from gnf_tf.models.scales import check_scales

__all__ = ["MoleculeRegressor", "RegressorConfig"]


@dataclasses.dataclass(frozen=True)
class RegressorConfig:
    """The sizes and choices of a `MoleculeRegressor`."""

    model: Literal["grevnet", "gnn"] = "grevnet"
    """grevnet: reversible, activations are reconstructed for the gradient; gnn: the identical
    network with stored activations"""
    num_steps: options.Count = 3
    """number of message passing steps, of two half steps each"""
    node_size: options.Even = 64
    """width of the scalar node features in the network, even"""
    num_vectors: options.AtLeast0 = 0
    """number of vectors in each half of a node's features, which turn with the molecule, so that
    the network sees angles; 0: it sees distances only"""
    message_size: options.Count = 48
    """width of the messages"""
    num_basis: options.AtLeast2 = 20
    """number of Gaussian basis functions in which a distance is expanded"""
    coupling: Literal["affine", "additive"] = "affine"
    """affine: equation 3; additive: without scale, as in the authors' code"""
    mixed_precision: bool = False
    """whether the networks in the couplings compute in bfloat16; variables and node features stay
    in float32"""

    def __post_init__(self):
        options.check(self)
        if self.message_size < self.num_vectors:
            rule = f"at least num_vectors, {self.num_vectors}"
            raise options.OptionError("message_size", rule, self.message_size)


class MoleculeRegressor(MoleculePredictions, saving.Model):
    """Predicts targets of molecules from atoms and their positions, by a GRevNet.

    For a molecule with atom counts n_e of the elements e, and atoms a with one-hot elements o_a,
    final node features h_a of the network, and positions r_a relative to the center of nuclear
    charge, each target has one column y of sigmoid(gate(h_a, o_a)) value(h_a, o_a), an extent also
    a second one, y'. The kind of the target, its *read-out*, says how it is computed:

        scalar:  sum_e n_e w_e + w_0 + s sum_a y_a
        dipole:  s |sum_a (y_a - mean_b y_b) r_a + mu_a|,    mu_a = sum_b w_ab (r_b - r_a)
        extent:  sum_e n_e w_e + w_0 + sum_a (v_a + s y'_a / 10) |r_a|^2 + s sum_a y_a
        gap:     target "lumo" - target "homo"

    with lengths in angstrom. The weights w, and v_a by the element of a, are a least-squares fit to
    the training targets, and s, `spread`, is the standard deviation of its residuals; for a dipole,
    that of the target, or a tenth of its root mean square if that is more. w_ab is an MLP of h_a,
    h_b and the distance. With vectors V_ac in the network (`num_vectors`), mu_a is
    sum_c w_c(h_a) V_ac with an MLP w, as in PaiNN.

    - scalar is for energies, with w_e as the reference energy of an element, and for other
      quantities that grow with a molecule, such as polarizability, zero-point energy and heat
      capacity (Gilmer et al., "Neural message passing for quantum chemistry", 2017).
    - dipole is for the norm of a neutral molecule's dipole moment, of charges with zero sum
      (Gastegger, Behler, Marquetand, Chem. Sci. 8, 6924, 2017) and of atomic dipoles (Schuett,
      Unke, Gastegger, "Equivariant message passing", 2021: PaiNN). In debye, the charges y_a count
      in units of s / 4.80320 e.
    - extent is for the electronic spatial extent <R^2>, as in PaiNN: v_a is a number of electrons
      times a factor of units (3.5711 bohr^2 are 1 angstrom^2), and w_e the extent of an atom alone.
      The center of nuclear charge fits QM9 better than PaiNN's center of mass.
    - gap makes the orbital energies consistent; a separate prediction has no smaller error.

    Predictions are invariant to rotations, reflections and translations, and to the order of atoms.

        model = MoleculeRegressor.for_data(train)
        gnf_tf.training.fit(model, train, validation, epochs=20)
        model.calibrate(validation)                  # for `predict_interval`
        model.predict(molecules)                     # [num_molecules, num_targets]

    Use `NodeClassifier` for categorical targets of nodes.
    """

    config_class = RegressorConfig
    found_arguments = ("scale_weights", "scale_range", "quantiles")  # of `Intervals`

    def __init__(
        self,
        elements: Sequence[int],
        target_names: Sequence[str],
        target_units: Sequence[str],
        composition_weights: np.ndarray,
        spread: np.ndarray,
        readouts: Sequence[str] | None = None,
        extent_weights: np.ndarray | None = None,
        config: RegressorConfig = RegressorConfig(),
        name: str = "molecule_regressor",
        training_ranges: np.ndarray | None = None,
        **intervals: np.ndarray,
    ):
        """Makes the networks and their variables; `for_data` derives the arguments from molecules.

        Args:
          elements: [num_elements] ascending atomic numbers that molecules may contain.
          target_names: [num_targets] names.
          target_units: [num_targets] units.
          composition_weights: [num_elements + 1, num_targets], the weights w above: the share
            of an atom of each element, then the constant, in units of the targets.
          spread: [num_targets], positive: scale of the network output, in units of the targets.
          readouts: [num_targets], the read-out of each target; None for scalar ones, which files
            of earlier versions imply.
          extent_weights: [num_elements, num_targets], the weights v above, in units of the targets
            per angstrom^2; None for 0.
          config: sizes and choices.
          name: name of the module.
          training_ranges: see `familiarity.training_ranges`; None for no warnings.
          **intervals: the arguments of `Intervals`, or none before `calibrate`.

        Raises:
          ValueError: if `elements` is not ascending, an array has another shape or values that are
            not finite, or a read-out is unknown or a gap without targets "homo" and "lumo".
        """
        super().__init__(name=name)
        self.config = config = self.checked_config(config)
        self.elements = tuple(int(number) for number in elements)
        if not self.elements or list(self.elements) != sorted(set(self.elements)):
            raise ValueError(f"`elements` must be ascending atomic numbers, got {elements}")
        self.target_names, self.target_units = tuple(target_names), tuple(target_units)
        num_targets = len(self.target_names)
        self.readouts = ("scalar",) * num_targets if readouts is None else tuple(readouts)
        kinds.check(self.readouts, self.target_names)
        if extent_weights is None:
            extent_weights = np.zeros([len(self.elements), num_targets])
        shapes = {
            "target_units": (np.asarray(self.target_units), (num_targets,)),
            "composition_weights": (composition_weights, (len(self.elements) + 1, num_targets)),
            "spread": (spread, (num_targets,)),
            "readouts": (np.asarray(self.readouts), (num_targets,)),
            "extent_weights": (extent_weights, (len(self.elements), num_targets)),
        }
        if training_ranges is not None:
            *before, number = familiarity.feature_numbers(self.elements)
            of_file = np.shape(training_ranges)[-1:]
            number = next((older for older in before if of_file == (older,)), number)
            shapes["training_ranges"] = (training_ranges, (2, number))
        for field, (values, shape) in shapes.items():
            if np.shape(values) != shape:
                raise ValueError(f"`{field}` must have shape {shape}, got {np.shape(values)}")
        for field in ("composition_weights", "extent_weights"):
            if not np.isfinite(shapes[field][0]).all():
                raise ValueError(f"`{field}` must be finite, got {shapes[field][0]}")
        if not (np.isfinite(spread) & (np.asarray(spread) > 0)).all():
            raise ValueError(f"`spread` must be positive, got {spread}")
        self.composition_weights = np.asarray(composition_weights, np.float64)
        self.extent_weights = np.asarray(extent_weights, np.float64)
        self.spread = np.asarray(spread, np.float32)
        self.training_ranges = training_ranges
        self.intervals = Intervals(**intervals) if intervals else None
        self.embed = snt.Linear(config.node_size)
        width = config.node_size + 6 * config.num_vectors
        self.net = GRevNet(
            config.num_steps,
            width,
            edge_size=config.num_basis + (4 if config.num_vectors else 1),
            coupling=config.coupling,
            memory={"grevnet": "reversible", "gnn": "stored"}[config.model],
            make_conditioner=self._make_conditioner,
        )
        outputs = num_targets + self.readouts.count("extent")
        self.gate = networks.MLP((width, outputs), output_scale=0.1)
        self.value = networks.MLP((2 * width, outputs), output_scale=0.1)
        if "dipole" in self.readouts:
            num_dipoles = self.readouts.count("dipole")
            if config.num_vectors:
                self.vector_dipoles = kinds.VectorDipoles(num_dipoles)
            else:
                self.atomic_dipoles = kinds.AtomicDipoles(num_dipoles)
        self(_SAMPLE)  # makes the variables
        self._outputs = tf.function(
            self.__call__, input_signature=[graphs.specs(_SAMPLE)], autograph=False
        )

    @classmethod
    def for_data(
        cls,
        train: datasets.Molecules,
        config: RegressorConfig = RegressorConfig(),
        readouts: Mapping[str, str] | None = None,
    ) -> Self:
        """Makes a model for the elements and targets of `train`, and fits the weights to them.

        Args:
          train: the training molecules, with targets; the model keeps only their statistics.
          config: sizes and choices.
          readouts: read-outs by the name of a target. By default, those of QM9: a target "mu" in
            "D" is a dipole, "r2" in "bohr^2" an extent, and "gap" in "eV" a gap if "lumo" minus
            "homo", both in "eV", equal it within 0.01 eV in `train`; all others are scalar.

        Raises:
          ValueError: if `train` has no molecule or no target, `readouts` names an unknown target or
            read-out, a target has negative values, which no dipole and no extent has, a gap is not
            lumo minus homo, or a target has values near the limits of float32.
          TypeError: if `train` is not Molecules.
        """
        check_type(train, "train")
        if not len(train) or not train.target_names:
            raise ValueError(
                f"`train` must hold molecules with targets, got {len(train)} molecules with "
                f"{len(train.target_names)} targets"
            )
        names, elements = train.target_names, train.elements
        unknown = [name for name in readouts or {} if name not in names]
        if unknown:
            raise ValueError(f"`readouts` must be of {', '.join(names)}, got {', '.join(unknown)}")
        chosen = tuple((kinds.default(train) | dict(readouts or {})).values())
        kinds.check(chosen, names)
        for name, kind, least in zip(names, chosen, train.targets.min(axis=0), strict=True):
            if kind in ("dipole", "extent") and least < 0:
                raise ValueError(
                    f"`readouts` must be scalar for the target {name}, which is {least:g} for a "
                    f"molecule and no {kind} is negative, got {kind!r}"
                )
            if kind == "gap":
                kinds.check_gap(train, name)
        weights, extent_weights, spread = fit_composition(train, elements, chosen)
        residuals = (f"the deviation of the target {name} from its fit" for name in names)
        check_scales(dict(zip(residuals, spread, strict=True)))
        return cls(
            elements,
            names,
            train.target_units,
            composition_weights=weights,
            spread=spread,
            readouts=chosen,
            extent_weights=extent_weights,
            config=config,
            training_ranges=familiarity.training_ranges(train, elements),
        )

    def arguments(self) -> dict[str, Any]:
        """See `saving.Model.arguments`."""
        return {
            "elements": self.elements,
            "target_names": self.target_names,
            "target_units": self.target_units,
            "composition_weights": self.composition_weights,
            "spread": self.spread,
            "readouts": self.readouts,
            "extent_weights": self.extent_weights,
            "training_ranges": self.training_ranges,
            **(self.intervals.arrays() if self.intervals else {}),
        }

    def _make_conditioner(self, output_size):
        message_size, scale = self.config.message_size, 1.0 / self.config.num_steps
        if self.config.num_vectors:
            network = networks.EquivariantMessages(
                message_size, output_size, self.config.num_vectors, output_scale=scale
            )
        else:
            network = networks.MessagePassing(
                (message_size, message_size), output_size, output_scale=scale
            )
        return networks.HalfPrecision(network) if self.config.mixed_precision else network

    def _one_hot(self, graph):
        """Returns one-hot elements [num_nodes, num_elements] float32, zero for padding nodes."""
        elements = tf.constant([self.elements], graph.nodes.dtype)
        return tf.cast(graph.nodes[:, :1] == elements, tf.float32)

    def embedded(self, graph: GraphsTuple) -> GraphsTuple:
        """Returns the network's input: embedded atoms, and distances in a basis of Gaussians.

        Args:
          graph: molecules as from `datasets.Molecules.graph`: nodes [num_nodes, 4] atomic numbers,
            and positions relative to the center of nuclear charge in angstrom, which only
            read-outs and vectors use; edges [num_edges, 2] distances in angstrom, and 1 for a bond,
            else 0.

        Returns:
          Nodes [num_nodes, node_size] and edges [num_edges, num_basis + 1]. With vectors, each half
          of the nodes continues with num_vectors vectors, which are 0 at first, and the edges with
          a direction d / (|d|^3 + 0.1), where d points to the sender.
        """
        distance, bonded = tf.split(graph.edges, 2, axis=-1)
        centers = tf.cast(tf.linspace(0.8, 8.0, self.config.num_basis), tf.float32)  # angstrom
        width = centers[1] - centers[0]
        basis = tf.exp(-0.5 * tf.square((distance - centers) / width))
        nodes, edges = self.embed(self._one_hot(graph)), [basis, bonded]
        if self.config.num_vectors:
            positions = graph.nodes[:, 1:]
            differences = graphs.sum_of_ends(positions, -positions, graph)
            # Near atoms have the largest weight; it is 0 where two atoms coincide.
            edges.append(differences / (distance**3 + 0.1))
            first, second = tf.split(nodes, 2, axis=-1)
            vectors = tf.zeros([tf.shape(nodes)[0], 3 * self.config.num_vectors])
            nodes = tf.concat([first, vectors, second, vectors], axis=-1)
        return graph.replace(nodes=nodes, edges=tf.concat(edges, axis=-1))

    def __call__(self, graph: GraphsTuple, is_training: bool = False) -> tf.Tensor:
        """Returns the network output [n_graphs, num_targets] float32, in units of `spread`.

        Args:
          graph: molecules, see `embedded`.
          is_training: ignored by the network, which has no dropout and no batch normalization.
        """
        hidden = self.net(self.embedded(graph), is_training=is_training)
        invariants, vectors = kinds.invariants(hidden.nodes, self.config.num_vectors)
        invariants = tf.concat([invariants, self._one_hot(graph)], axis=-1)
        hidden = hidden.replace(nodes=invariants)
        outputs = tf.sigmoid(self.gate(hidden).nodes) * self.value(hidden).nodes
        columns = tf.unstack(graphs.sum_nodes(outputs, graph), axis=1)
        num_targets = len(self.readouts)
        columns, corrections = columns[:num_targets], tf.unstack(outputs[:, num_targets:], axis=1)
        dipoles = self._dipoles(hidden, vectors) if "dipole" in self.readouts else []
        for target, readout in enumerate(self.readouts):
            if readout == "dipole":
                charges, atomic = dipoles.pop(0)
                columns[target] = kinds.dipole(outputs[:, target] + charges, graph, atomic)
            elif readout == "extent":
                # |r_a|^2 is about 10 angstrom^2, so that both terms start with the same size.
                extents = 0.1 * corrections.pop(0) * kinds.squared_radius(graph)
                columns[target] += graphs.sum_nodes(extents, graph)
        for target, readout in enumerate(self.readouts):
            if readout == "gap":
                homo, lumo = (self.target_names.index(name) for name in ("homo", "lumo"))
                gap = self.spread[lumo] * columns[lumo] - self.spread[homo] * columns[homo]
                columns[target] = gap / self.spread[target]
        return tf.stack(columns, axis=1)

    def _dipoles(self, hidden, vectors):
        """Returns charges to be added and dipoles of atoms, for each target that is a dipole."""
        if self.config.num_vectors:
            return [(0.0, d) for d in tf.unstack(self.vector_dipoles(hidden, vectors), axis=-1)]
        return [(charges, None) for charges in tf.unstack(self.atomic_dipoles(hidden), axis=1)]

    def baseline(self, graph: GraphsTuple) -> tf.Tensor:
        """Returns the least-squares fit [n_graphs, num_targets] float32, as `fitted`.

        Args:
          graph: molecules, see `embedded`.
        """
        one_hot = self._one_hot(graph)
        counts = graphs.sum_nodes(one_hot, graph)
        counts = tf.concat([counts, tf.ones_like(counts[:, :1])], axis=-1)
        fit = tf.matmul(counts, tf.constant(self.composition_weights, tf.float32))
        if "extent" in self.readouts:
            extents = graphs.sum_nodes(one_hot * kinds.squared_radius(graph)[:, tf.newaxis], graph)
            fit += tf.matmul(extents, tf.constant(self.extent_weights, tf.float32))
        return fit

    def predict_graphs(self, graph: GraphsTuple) -> tf.Tensor:
        """Returns predictions [n_graphs, num_targets] float32, in units of the targets.

        Use this in TensorFlow programs, and `predict` for any number of molecules and for targets
        that need more digits than float32 has, such as total energies of heavy atoms.

        Args:
          graph: molecules, see `embedded`.
        """
        return self.baseline(graph) + self.spread * self(graph)


# A hydrogen molecule, which makes the variables.
_SAMPLE = GraphsTuple(
    nodes=np.array([[1.0, 0.0, 0.0, -0.37], [1.0, 0.0, 0.0, 0.37]], np.float32),
    edges=np.array([[0.74, 1.0], [0.74, 1.0]], np.float32),
    globals=np.zeros([1, 0], np.float32),
    receivers=np.array([0, 1], np.int32),
    senders=np.array([1, 0], np.int32),
    n_node=np.array([2], np.int32),
    n_edge=np.array([2], np.int32),
)
