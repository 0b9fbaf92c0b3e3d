"""Functions that make, check, batch and pad GraphsTuples, and convert them to and from networkx.

A `graph_nets.graphs.GraphsTuple` is a batch of graphs, which are concatenated (section 2.1):

    nodes               [num_nodes, node_size]    features of the nodes of all graphs, in order
    edges               [num_edges, edge_size]    features of the edges
    globals             [n_graphs, global_size]   features of the graphs
    senders, receivers  [num_edges]               rows of `nodes`; messages go to the receiver
    n_node, n_edge      [n_graphs]                number of nodes and edges of each graph

Graphs that these functions return have int32 indices and no None fields, because None can't pass
through TFP: missing edge features and globals are tensors of width 0 with the dtype of the nodes.
A graph may have no edges or no nodes. A self loop is one edge from a node to itself. Repeated edges
are kept, and each of them carries messages.
"""

from graph_nets.graphs import GraphsTuple

from gnf_tf.graphs.blocks import Blocks
from gnf_tf.graphs.canonical import canonical
from gnf_tf.graphs.exchange import from_networkx, to_networkx
from gnf_tf.graphs.padding import edge_mask, graph_mask, node_mask, pad, unpad
from gnf_tf.graphs.segments import (
    edge_graph_ids,
    gather,
    mean_nodes,
    node_graph_ids,
    propagate,
    scatter_sum,
    sum_nodes,
    sum_of_ends,
    to_nodes,
)
from gnf_tf.graphs.structure import (
    batch,
    edgeless,
    event_ndims,
    fill_missing,
    fully_connected,
    map_fields,
    restore_missing,
    specs,
    unbatch,
)
from gnf_tf.graphs.validation import validate

__all__ = [
    "Blocks",
    "GraphsTuple",
    "batch",
    "canonical",
    "edge_graph_ids",
    "edge_mask",
    "edgeless",
    "event_ndims",
    "fill_missing",
    "from_networkx",
    "fully_connected",
    "gather",
    "graph_mask",
    "map_fields",
    "mean_nodes",
    "node_graph_ids",
    "node_mask",
    "pad",
    "propagate",
    "restore_missing",
    "scatter_sum",
    "specs",
    "sum_nodes",
    "sum_of_ends",
    "to_networkx",
    "to_nodes",
    "unbatch",
    "unpad",
    "validate",
]
