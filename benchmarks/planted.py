"""Writes a graph with planted classes for the trainer, and prints the accuracy that is possible.

    python -m benchmarks.planted --nodes 1000000 --out planted
    python trainers/citation.py --data planted/graph.npz ...
    python trainers/citation.py --data planted/edgeless.npz ...     # without message passing

The graph is a `datasets.PlantedClasses`. Its accuracies are those of the most probable class of the
test nodes, given the true parameters of the distribution and what lies within some hops of a node.
"""

import dataclasses
import pathlib

import numpy as np
import tyro

from gnf_tf import datasets


@dataclasses.dataclass(frozen=True)
class Config:
    """A graph with planted classes."""

    nodes: int = 1_000_000
    """nodes of the graph, with 5 neighbors on average"""
    classes: int = 8
    """number of classes, and of features"""
    hops: tuple[int, ...] = (0, 1, 2, 4, 8)
    """distances up to which features and edges are known"""
    seed: int = 0
    """of the graph and of the random sets of nodes"""
    out: pathlib.Path = pathlib.Path("planted")
    """folder for graph.npz and edgeless.npz"""


def main(config: Config) -> None:
    """Writes and prints."""
    planted = datasets.PlantedClasses(config.nodes, config.classes, separation=1.5)
    network = planted.sample(config.seed)
    config.out.mkdir(parents=True, exist_ok=True)
    ends = np.stack([network.graph.senders, network.graph.receivers])
    for name, edges in (("graph", ends), ("edgeless", ends[:, :0])):
        np.savez(
            config.out / f"{name}.npz",
            features=network.graph.nodes,
            edges=edges,
            labels=network.labels,
            train=network.train,
            validation=network.validation,
            test=network.test,
        )
    print(f"{config.nodes} nodes, {ends.shape[1]} edges; accuracy on the test nodes")
    for hops in config.hops:
        right = planted.posterior(network, hops).argmax(axis=1) == network.labels
        print(f"{hops:>3} hops {right[network.test].mean():7.2%}", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
