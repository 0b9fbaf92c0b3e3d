"""Data sets, readers of your own files, and batches."""

from gnf_tf.datasets.batching import GraphDataset, batches, node_batches, plan_batches
from gnf_tf.datasets.conformers import molecules_from_smiles
from gnf_tf.datasets.floors import (
    Estimate,
    independent_floor,
    independent_log_prob,
    log_prob,
    nll_floor,
)
from gnf_tf.datasets.graph_files import read_graphs, write_graphs
from gnf_tf.datasets.graph_rows import GraphRows, Topologies
from gnf_tf.datasets.labeled_graphs import LabeledGraph, LabeledGraphs
from gnf_tf.datasets.molecule_files import read_molecules
from gnf_tf.datasets.molecules import Molecules
from gnf_tf.datasets.node_files import node_names, read_labeled_graphs, read_node_graph
from gnf_tf.datasets.node_graphs import (
    labeled_graphs_from_networkx,
    node_graph,
    node_graph_from_networkx,
)
from gnf_tf.datasets.planetoid import citeseer, cora, pubmed
from gnf_tf.datasets.planted import PlantedClasses
from gnf_tf.datasets.ppi import ppi
from gnf_tf.datasets.qm9 import QM9_TARGETS, qm9
from gnf_tf.datasets.random_graphs import (
    GRAPH_SETS,
    community,
    community_small,
    ego_small,
    grid,
    planar,
    split_graphs,
    stochastic_blocks,
    two_communities,
)
from gnf_tf.datasets.set_files import feature_names, read_sets, set_names
from gnf_tf.datasets.splits import random_split
from gnf_tf.datasets.subgraphs import subgraphs
from gnf_tf.datasets.synthetic import POINT_SETS, PointSets, half_moons_6, mog, mog_ring
from gnf_tf.errors import DataError

__all__ = [
    "GRAPH_SETS",
    "POINT_SETS",
    "QM9_TARGETS",
    "DataError",
    "Estimate",
    "GraphDataset",
    "GraphRows",
    "LabeledGraph",
    "LabeledGraphs",
    "Molecules",
    "PlantedClasses",
    "PointSets",
    "Topologies",
    "batches",
    "citeseer",
    "community",
    "community_small",
    "cora",
    "ego_small",
    "feature_names",
    "grid",
    "half_moons_6",
    "independent_floor",
    "independent_log_prob",
    "labeled_graphs_from_networkx",
    "log_prob",
    "mog",
    "mog_ring",
    "molecules_from_smiles",
    "nll_floor",
    "node_batches",
    "node_graph",
    "node_graph_from_networkx",
    "node_names",
    "plan_batches",
    "planar",
    "ppi",
    "pubmed",
    "qm9",
    "random_split",
    "read_graphs",
    "read_labeled_graphs",
    "read_molecules",
    "read_node_graph",
    "read_sets",
    "set_names",
    "split_graphs",
    "stochastic_blocks",
    "subgraphs",
    "two_communities",
    "write_graphs",
]
