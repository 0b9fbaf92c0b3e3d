"""Files of the format in which PPI is released."""

import json

import numpy as np

# Two networks whose nodes alternate in the files; a self loop, a link given both ways.
OWNER = [7, 5, 7, 5, 7]
LINKS = [(0, 2), (2, 0), (4, 2), (1, 3), (3, 3)]


def write(folder, prefix="train", owner=OWNER, links=LINKS, **changes):
    """A split's files: random features and labels, or those of `changes`; returns the arrays."""
    rng = np.random.default_rng(0)
    arrays = {
        "feats": rng.normal(size=[len(owner), 50]),
        "labels": rng.integers(2, size=[len(owner), 121]),
        "graph_id": np.array(owner),
    } | changes
    for name, values in arrays.items():
        np.save(folder / f"{prefix}_{name}.npy", values)
    graph = {
        "directed": True,
        "multigraph": False,
        "graph": {},
        "nodes": [{"id": i} for i in range(len(owner))],
        "links": [{"source": a, "target": b} for a, b in links],
    }
    (folder / f"{prefix}_graph.json").write_text(json.dumps(graph))
    return arrays
