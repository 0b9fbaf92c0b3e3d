"""Files of the format in which PPI is released."""

import json

import numpy as np

# Two networks whose nodes alternate in the files; a self loop, a link given both ways.
OWNER = [7, 5, 7, 5, 7]
LINKS = [(0, 2), (2, 0), (4, 2), (1, 3), (3, 3)]
# Nodes of each network of `write_splits`.
SIZES = {"train": (5, 9, 7), "valid": (6, 4), "test": (8, 3)}


def write(folder, prefix="train", owner=OWNER, links=LINKS, graph=None, **changes):
    """A split's files: random features and labels, or those of `changes`; returns the arrays.

    `graph`, where it is given, is what the JSON holds in place of `owner` and `links`.
    """
    rng = np.random.default_rng(0)
    arrays = {
        "feats": rng.normal(size=[len(owner), 50]),
        "labels": rng.integers(2, size=[len(owner), 121]),
        "graph_id": np.array(owner),
    } | changes
    for name, values in arrays.items():
        np.save(folder / f"{prefix}_{name}.npy", values)
    if graph is None:
        graph = {
            "directed": True,
            "multigraph": False,
            "graph": {},
            "nodes": [{"id": i} for i in range(len(owner))],
            "links": [{"source": a, "target": b} for a, b in links],
        }
    (folder / f"{prefix}_graph.json").write_text(json.dumps(graph))
    return arrays


def write_splits(folder):
    """All three splits, of SIZES: rings with chords."""
    for seed, (prefix, sizes) in enumerate(SIZES.items()):
        owner, links = np.repeat(np.arange(len(sizes)), sizes), []
        for graph in range(len(sizes)):
            nodes = np.flatnonzero(owner == graph).tolist()
            links += list(zip(nodes, nodes[1:] + nodes[:1], strict=True)) + [(nodes[0], nodes[2])]
        rng = np.random.default_rng(seed)
        arrays = {
            "feats": rng.normal(size=[len(owner), 50]),
            "labels": rng.integers(2, size=[len(owner), 121]),
        }
        write(folder, prefix, owner.tolist(), links, **arrays)
