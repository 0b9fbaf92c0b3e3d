"""Layouts of small graphs: `gnf_tf.layouts` against networkx's Kamada-Kawai and spring layouts.

    python -m benchmarks.layout

Prints, for each set of graphs and each layout, the processor seconds for all graphs (the median of
three runs) and the mean stress: the mean over pairs of nodes of (a |x_i - x_j| - d_ij)^2 / d_ij^2,
where d_ij is the distance in the graph and a the best scale.
"""

import statistics
import time

import networkx as nx
import numpy as np

from gnf_tf import datasets, layouts


def stress(positions: np.ndarray, graph: nx.Graph) -> float:
    """The stress of a layout [num_nodes, 2] of a connected graph."""
    wanted = nx.floyd_warshall_numpy(graph)
    pairs = np.triu_indices(len(graph), k=1)
    ratio = np.linalg.norm(positions[:, np.newaxis] - positions, axis=-1)[pairs] / wanted[pairs]
    return float(np.mean((ratio * ratio.sum() / (ratio**2).sum() - 1) ** 2))


def ours(graph: nx.Graph) -> np.ndarray:
    """The positions in a drawing by `plots.graph_gallery`, [num_nodes, 2]."""
    row = {node: i for i, node in enumerate(graph)}
    return layouts.layout(len(graph), np.array([(row[a], row[b]) for a, b in graph.edges]))


LAYOUTS = {
    "ours": ours,
    "Kamada-Kawai": lambda graph: np.array([*nx.kamada_kawai_layout(graph).values()]),
    "spring": lambda graph: np.array([*nx.spring_layout(graph, seed=0).values()]),
}


def main() -> None:
    """Measures and prints."""
    sets = {
        "16 of community-small": datasets.community_small("train")[:16],
        "16 of ego-small": datasets.ego_small("train")[:16],
        "grid of 19 x 19": [nx.grid_2d_graph(19, 19)],
    }
    print(f"{'graphs':<24}{'layout':<14}{'seconds':>9}{'stress':>9}")
    for title, graphs in sets.items():
        for name, layout in LAYOUTS.items():
            seconds = []
            for _ in range(3):
                start = time.process_time()
                drawn = [layout(graph) for graph in graphs]
                seconds.append(time.process_time() - start)
            mean = statistics.mean(map(stress, drawn, graphs))
            print(f"{title:<24}{name:<14}{statistics.median(seconds):>9.3f}{mean:>9.3f}")


if __name__ == "__main__":
    main()
