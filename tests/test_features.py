"""What networkx graphs may carry as features, and errors that name what they may not."""

import re

import networkx as nx
import numpy as np
import pytest
import tensorflow as tf

from gnf_tf import graphs

BAD_FEATURES = {
    "symbol": "C",
    "digits": "1.5",
    "strings": ["C", "N"],
    "bytes": b"C",
    "none": None,
    "a_none": [1.0, None],
    "ragged": [[1.0], [1.0, 2.0]],
    "matrix": [[1.0, 2.0]],
    "complex": [1.0 + 2.0j, 0.0],
    "nan": [np.nan, 0.0],
    "infinite": [0.0, -np.inf],
    "too_large": [1e39, 0.0],
    "object": object(),
    "mapping": {"C": 1},
    "set": {1.0, 2.0},
    "date": np.array(["2020-01-01", "2020-01-02"], "M8[D]"),
}


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("owner", ["node", "edge", "graph"])
@pytest.mark.parametrize("kind", BAD_FEATURES)
def test_features_that_are_no_vector_of_numbers_are_named(kind, owner, place):
    """Whether they come first, and so give the width, or later."""
    value = BAD_FEATURES[kind]
    members = [nx.path_graph(["a", "b"]), nx.path_graph(["c", "d", "e"])]
    for member in members:
        member.graph["features"] = np.zeros(2)
        nx.set_node_attributes(member, np.zeros(2), "features")
        nx.set_edge_attributes(member, np.zeros(2), "features")
    member = members[place]
    node, edge = list(member)[-1], list(member.edges)[-1]
    {"node": member.nodes[node], "edge": member.edges[edge], "graph": member.graph}[owner][
        "features"
    ] = value
    name = {"node": f"node {node!r} of ", "edge": f"edge {edge!r} of ", "graph": ""}[owner]
    shown = re.escape(" ".join(repr(value).split())[:30])
    with pytest.raises(
        ValueError, match=re.escape(f"{name}graph {place} has ") + ".*" + shown
    ) as e:
        graphs.from_networkx(members)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    "value",
    [
        1,
        True,
        np.float32(1),
        np.array(1, np.uint8),
        [1],
        (1.0,),
        np.ones(1),
        tf.ones([1]),
        tf.ones([]),
    ],
)
def test_a_number_or_a_vector_of_any_real_type_is_a_feature(value):
    graph = nx.path_graph(2)
    nx.set_node_attributes(graph, value, "features")
    for dtype in (tf.float32, tf.float64, tf.bfloat16):
        nodes = graphs.from_networkx([graph], dtype=dtype).nodes
        assert nodes.dtype == dtype
        np.testing.assert_array_equal(nodes, [[1.0], [1.0]])
