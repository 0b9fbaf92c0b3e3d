"""The GraphsTuple door: making, checking, batching, padding, and networkx in and out.

A graph here is a `graph_nets.graphs.GraphsTuple`, one or several graphs laid end to end:

    nodes [num_nodes, node_size], edges [num_edges, edge_size], globals [n_graphs, global_size]
    senders, receivers [num_edges]   rows of `nodes`; messages flow from sender to receiver
    n_node, n_edge [n_graphs]        how many nodes and edges each graph owns, in order

What every function here makes has int32 indices and no None: absent edge features and globals are
zero-width tensors of the nodes' dtype, because None can't pass through TFP. Graphs without edges,
of a single node, and of no node at all are graphs like others. A self loop is one edge from a
node to itself; repeated edges are kept, and count as often as they stand there.
"""

from graph_nets.graphs import GraphsTuple

from gnf_tf.graphs.blocks import Blocks
from gnf_tf.graphs.canonical import canonical
from gnf_tf.graphs.exchange import from_networkx, to_networkx
from gnf_tf.graphs.padding import edge_mask, graph_mask, node_mask, pad, unpad
from gnf_tf.graphs.segments import (
    edge_graph_ids,
    gather,
    node_graph_ids,
    scatter_sum,
    sum_nodes,
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
    "node_graph_ids",
    "node_mask",
    "pad",
    "restore_missing",
    "scatter_sum",
    "specs",
    "sum_nodes",
    "to_networkx",
    "to_nodes",
    "unbatch",
    "unpad",
    "validate",
]
