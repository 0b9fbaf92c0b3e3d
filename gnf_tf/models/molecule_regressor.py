"""Regression of molecular properties from atoms and their distances, by a GRevNet (section 4)."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
import sonnet as snt
import tensorflow as tf

from gnf_tf import datasets, graphs, networks, options
from gnf_tf.graphs import GraphsTuple
from gnf_tf.models import saving
from gnf_tf.models.grevnet import GRevNet

__all__ = ["MoleculeRegressor", "RegressorConfig", "composition"]


@dataclasses.dataclass(frozen=True)
class RegressorConfig:
    """The sizes and choices of a `MoleculeRegressor`."""

    model: Literal["grevnet", "gnn"] = "grevnet"
    """grevnet: reversible, activations are reconstructed for the gradient; gnn: the identical
    network with stored activations"""
    num_steps: options.Count = 3
    """number of message passing steps, of two half steps each"""
    node_size: options.Even = 64
    """width of the node features in the network, even"""
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


def composition(molecules: datasets.Molecules, elements: Sequence[int]) -> np.ndarray:
    """Returns [num_molecules, num_elements + 1] float64: atom counts by element, and a constant 1.

    Args:
      molecules: any number.
      elements: [num_elements] atomic numbers.

    Raises:
      ValueError: if a molecule has another element.
    """
    counts = molecules.element_counts(elements)
    return np.concatenate([counts, np.ones([len(molecules), 1])], axis=1)


class MoleculeRegressor(saving.Model):
    """Predicts targets of molecules from atoms and interatomic distances, by a GRevNet.

    For a molecule with atom counts n_e, atoms a with one-hot elements o_a, and final node features
    h_a of the network,

        network output = sum_a sigmoid(gate(h_a, o_a)) value(h_a, o_a)        [num_targets]
        target = sum_e n_e w_e + w_0 + spread * network output

    The weights w are a least-squares fit to the training targets, and `spread` is the standard
    deviation of its residuals. Predictions are invariant to rotations and to the order of atoms.

        model = MoleculeRegressor.for_data(train)
        gnf_tf.training.fit(model, train, validation, epochs=20)
        model.predict(molecules)                     # [num_molecules, num_targets]

    Use `NodeClassifier` for categorical targets of nodes.
    """

    config_class = RegressorConfig

    def __init__(
        self,
        elements: Sequence[int],
        target_names: Sequence[str],
        target_units: Sequence[str],
        composition_weights: np.ndarray,
        spread: np.ndarray,
        config: RegressorConfig = RegressorConfig(),
        name: str = "molecule_regressor",
    ):
        """Makes the networks and their variables; `for_data` derives the arguments from molecules.

        Args:
          elements: [num_elements] ascending atomic numbers that molecules may contain.
          target_names: [num_targets] names.
          target_units: [num_targets] units.
          composition_weights: [num_elements + 1, num_targets], the weights w above: the share
            of an atom of each element, then the constant, in units of the targets.
          spread: [num_targets], positive: scale of the network output, in units of the targets.
          config: sizes and choices.
          name: name of the module.

        Raises:
          ValueError: if `elements` is not ascending, or an array has another shape or values that
            are not finite.
        """
        super().__init__(name=name)
        self.config = config
        self.elements = tuple(int(number) for number in elements)
        if not self.elements or list(self.elements) != sorted(set(self.elements)):
            raise ValueError(f"`elements` must be ascending atomic numbers, got {elements}")
        self.target_names, self.target_units = tuple(target_names), tuple(target_units)
        num_targets = len(self.target_names)
        shapes = {
            "target_units": (np.asarray(self.target_units), (num_targets,)),
            "composition_weights": (composition_weights, (len(self.elements) + 1, num_targets)),
            "spread": (spread, (num_targets,)),
        }
        for field, (values, shape) in shapes.items():
            if np.shape(values) != shape:
                raise ValueError(f"`{field}` must have shape {shape}, got {np.shape(values)}")
        if not np.isfinite(composition_weights).all():
            raise ValueError(f"`composition_weights` must be finite, got {composition_weights}")
        if not (np.isfinite(spread) & (np.asarray(spread) > 0)).all():
            raise ValueError(f"`spread` must be positive, got {spread}")
        self.composition_weights = np.asarray(composition_weights, np.float32)
        self.spread = np.asarray(spread, np.float32)
        self.embed = snt.Linear(config.node_size)
        self.net = GRevNet(
            config.num_steps,
            config.node_size,
            edge_size=config.num_basis + 1,
            coupling=config.coupling,
            memory={"grevnet": "reversible", "gnn": "stored"}[config.model],
            make_conditioner=self._make_conditioner,
        )
        self.gate = networks.MLP((config.node_size, num_targets), output_scale=0.1)
        self.value = networks.MLP((2 * config.node_size, num_targets), output_scale=0.1)
        self(_SAMPLE)  # makes the variables
        self._predict = tf.function(
            self.predict_graphs, input_signature=[graphs.specs(_SAMPLE)], autograph=False
        )

    @classmethod
    def for_data(
        cls, train: datasets.Molecules, config: RegressorConfig = RegressorConfig()
    ) -> Self:
        """Makes a model for the elements and targets of `train`, and fits the composition to them.

        Args:
          train: the training molecules, with targets; the model keeps only their statistics.
          config: sizes and choices.

        Raises:
          ValueError: if `train` has no molecule or no target.
        """
        if not len(train) or not train.target_names:
            raise ValueError(
                f"`train` must hold molecules with targets, got {len(train)} molecules with "
                f"{len(train.target_names)} targets"
            )
        elements = train.elements
        counts = composition(train, elements)
        weights = np.linalg.lstsq(counts, train.targets, rcond=None)[0]
        spread = (train.targets - counts @ weights).std(axis=0)
        # A fit to fewer molecules than elements is exact, with residuals from rounding alone.
        spread = np.where(spread > 1e-6 * np.abs(train.targets).max(axis=0), spread, 1.0)
        return cls(elements, train.target_names, train.target_units, weights, spread, config)

    def arguments(self) -> dict[str, Any]:
        """See `saving.Model.arguments`."""
        return {
            "elements": self.elements,
            "target_names": self.target_names,
            "target_units": self.target_units,
            "composition_weights": self.composition_weights,
            "spread": self.spread,
        }

    def _make_conditioner(self, output_size):
        network = networks.MessagePassing(
            message_sizes=(self.config.message_size, self.config.message_size),
            output_size=output_size,
            output_scale=1.0 / self.config.num_steps,
        )
        return networks.HalfPrecision(network) if self.config.mixed_precision else network

    def _one_hot(self, graph):
        """Returns one-hot elements [num_nodes, num_elements] float32, zero for padding nodes."""
        return tf.cast(graph.nodes == tf.constant([self.elements], graph.nodes.dtype), tf.float32)

    def embedded(self, graph: GraphsTuple) -> GraphsTuple:
        """Returns the network's input: embedded atoms, and distances in a basis of Gaussians.

        Args:
          graph: molecules as from `datasets.Molecules.graph`: nodes [num_nodes, 1] atomic numbers;
            edges [num_edges, 2] distances in angstrom, and 1 for a bond, else 0.

        Returns:
          Nodes [num_nodes, node_size] and edges [num_edges, num_basis + 1].
        """
        distance, bonded = tf.split(graph.edges, 2, axis=-1)
        centers = tf.cast(tf.linspace(0.8, 8.0, self.config.num_basis), tf.float32)  # angstrom
        width = centers[1] - centers[0]
        basis = tf.exp(-0.5 * tf.square((distance - centers) / width))
        return graph.replace(
            nodes=self.embed(self._one_hot(graph)), edges=tf.concat([basis, bonded], axis=-1)
        )

    def __call__(self, graph: GraphsTuple, is_training: bool = False) -> tf.Tensor:
        """Returns the network output [n_graphs, num_targets] float32, in units of `spread`.

        Args:
          graph: molecules, see `embedded`.
          is_training: ignored by the network, which has no dropout and no batch normalization.
        """
        hidden = self.net(self.embedded(graph), is_training=is_training)
        hidden = hidden.replace(nodes=tf.concat([hidden.nodes, self._one_hot(graph)], axis=-1))
        gated = tf.sigmoid(self.gate(hidden).nodes) * self.value(hidden).nodes
        return graphs.sum_nodes(gated, hidden)

    def baseline(self, graph: GraphsTuple) -> tf.Tensor:
        """Returns the fit to the composition [n_graphs, num_targets], in units of the targets."""
        counts = graphs.sum_nodes(self._one_hot(graph), graph)
        counts = tf.concat([counts, tf.ones_like(counts[:, :1])], axis=-1)
        return tf.matmul(counts, self.composition_weights)

    def predict_graphs(self, graph: GraphsTuple) -> tf.Tensor:
        """Returns predictions [n_graphs, num_targets], in units of the targets.

        Use this in TensorFlow programs, and `predict` for any number of molecules.

        Args:
          graph: molecules, see `embedded`.
        """
        return self.baseline(graph) + self.spread * self(graph)

    def predict(self, molecules: datasets.Molecules, batch_size: int = 64) -> np.ndarray:
        """Returns predictions [num_molecules, num_targets] float64, in `target_units`.

        Args:
          molecules: any number, of elements in `elements`.
          batch_size: number of molecules evaluated at a time.

        Raises:
          ValueError: if a molecule has another element, or `batch_size` is below 1.
        """
        molecules.element_counts(self.elements)  # raises for other elements
        result = np.zeros([len(molecules), len(self.target_names)])
        if not len(molecules):
            return result
        for rows in datasets.plan_batches(molecules, batch_size):
            graph = tf.nest.map_structure(tf.constant, molecules.graph(rows))
            result[rows] = self._predict(graph)
        return result


# A hydrogen molecule, which makes the variables.
_SAMPLE = GraphsTuple(
    nodes=np.ones([2, 1], np.float32),
    edges=np.array([[0.74, 1.0], [0.74, 1.0]], np.float32),
    globals=np.zeros([1, 0], np.float32),
    receivers=np.array([0, 1], np.int32),
    senders=np.array([1, 0], np.int32),
    n_node=np.array([2], np.int32),
    n_edge=np.array([2], np.int32),
)
