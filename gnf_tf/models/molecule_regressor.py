"""Properties of molecules from their atoms and 3D distances, through a GRevNet (section 4)."""

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
    """The sizes of a `MoleculeRegressor`."""

    model: Literal["grevnet", "gnn"] = "grevnet"
    """gnn is the identical network with stored activations"""
    num_steps: options.Count = 3
    """message passing steps of the reversible network"""
    node_size: options.Even = 64
    """width of the node features, even"""
    message_size: options.Count = 48
    """width of the messages"""
    num_basis: options.AtLeast2 = 20
    """Gaussians in which a distance is expanded"""
    coupling: Literal["affine", "additive"] = "affine"
    """affine: the paper's equation 3; additive: the authors' code"""
    mixed_precision: bool = False
    """the couplings' networks compute in bfloat16; variables and states stay in float32"""

    def __post_init__(self):
        options.check(self)


def composition(molecules: datasets.Molecules, elements: Sequence[int]) -> np.ndarray:
    """[num_molecules, num_elements + 1] float64: number of atoms of each element, and 1."""
    counts = molecules.element_counts(elements)
    return np.concatenate([counts, np.ones([len(molecules), 1])], axis=1)


class MoleculeRegressor(saving.Model):
    """Atoms and distances -> GRevNet -> gated sum over atoms -> targets in their units.

    A target is what a least-squares fit on the numbers of atoms of each element says, plus
    `spread` times what the network says; both are statistics of the training molecules.

        model = MoleculeRegressor.for_data(train)
        gnf_tf.training.fit(model, train, validation, epochs=20)
        model.predict(molecules)                     # [num_molecules, num_targets]
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
        """Makes the networks and their variables; `for_data` takes the rest from molecules.

        Args:
          elements: [num_elements] ascending atomic numbers of what molecules may hold.
          target_names: [num_targets].
          target_units: [num_targets].
          composition_weights: [num_elements + 1, num_targets], what an atom of each element adds to
            each target, then a constant; in the targets' units.
          spread: [num_targets], positive: the unit of what the network says of each target.
          config: sizes.
          name: as tf.Module.

        Raises:
          ValueError: for elements that are not ascending, or arrays of other shapes or that are
            not finite.
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
        """A new model for molecules of the elements, and with the targets, of these.

        Args:
          train: the training molecules, with targets; of them only statistics are kept.
          config: sizes.

        Raises:
          ValueError: if there is no molecule, or no target.
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
        # A fit on fewer molecules than elements is exact, and its rest is rounding.
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
        """[num_nodes, num_elements] float32: the element of each atom; zeros of padding."""
        return tf.cast(graph.nodes == tf.constant([self.elements], graph.nodes.dtype), tf.float32)

    def embedded(self, graph: GraphsTuple) -> GraphsTuple:
        """What the reversible network sees: atoms embedded, distances expanded in Gaussians.

        Args:
          graph: as `datasets.Molecules.graph`: nodes [num_nodes, 1], atomic numbers; edges
            [num_edges, 2], distances in angstrom, and 1 for a bond.
        """
        distance, bonded = tf.split(graph.edges, 2, axis=-1)
        centers = tf.cast(tf.linspace(0.8, 8.0, self.config.num_basis), tf.float32)  # angstrom
        width = centers[1] - centers[0]
        basis = tf.exp(-0.5 * tf.square((distance - centers) / width))
        return graph.replace(
            nodes=self.embed(self._one_hot(graph)), edges=tf.concat([basis, bonded], axis=-1)
        )

    def __call__(self, graph: GraphsTuple, is_training: bool = False) -> tf.Tensor:
        """[n_graphs, num_targets] float32: what the network says, in units of `spread`."""
        hidden = self.net(self.embedded(graph), is_training=is_training)
        hidden = hidden.replace(nodes=tf.concat([hidden.nodes, self._one_hot(graph)], axis=-1))
        gated = tf.sigmoid(self.gate(hidden).nodes) * self.value(hidden).nodes
        return graphs.sum_nodes(gated, hidden)

    def baseline(self, graph: GraphsTuple) -> tf.Tensor:
        """[n_graphs, num_targets]: the fit on the composition, in the targets' units."""
        counts = graphs.sum_nodes(self._one_hot(graph), graph)
        counts = tf.concat([counts, tf.ones_like(counts[:, :1])], axis=-1)
        return tf.matmul(counts, self.composition_weights)

    def predict_graphs(self, graph: GraphsTuple) -> tf.Tensor:
        """[n_graphs, num_targets] in the targets' units, of graphs as `embedded` takes them.

        For use within other TensorFlow programs; `predict` takes molecules.
        """
        return self.baseline(graph) + self.spread * self(graph)

    def predict(self, molecules: datasets.Molecules, batch_size: int = 64) -> np.ndarray:
        """[num_molecules, num_targets] float64, in `target_units`, in the molecules' order.

        Args:
          molecules: any number, of the elements in `elements`.
          batch_size: molecules evaluated at a time.

        Raises:
          ValueError: if a molecule has another element, naming both, or `batch_size` is below 1.
        """
        molecules.element_counts(self.elements)  # checks
        result = np.zeros([len(molecules), len(self.target_names)])
        if not len(molecules):
            return result
        for rows in datasets.plan_batches(molecules, batch_size):
            graph = tf.nest.map_structure(tf.constant, molecules.graph(rows))
            result[rows] = self._predict(graph)
        return result


# Two atoms of hydrogen, bonded.
_SAMPLE = GraphsTuple(
    nodes=np.ones([2, 1], np.float32),
    edges=np.array([[0.74, 1.0], [0.74, 1.0]], np.float32),
    globals=np.zeros([1, 0], np.float32),
    receivers=np.array([0, 1], np.int32),
    senders=np.array([1, 0], np.int32),
    n_node=np.array([2], np.int32),
    n_edge=np.array([2], np.int32),
)
