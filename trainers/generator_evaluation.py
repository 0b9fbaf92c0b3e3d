"""How good a trained `GraphGenerator` is: reconstruction, and a bound on the likelihood."""

from collections.abc import Mapping, Sequence
from typing import Any

import networkx as nx
import numpy as np

from gnf_tf import datasets, graphs
from gnf_tf.models import GraphGenerator
from gnf_tf.training import number
from gnf_tf.training.generator_objective import generator_losses
from gnf_tf.training.objective import step_seed

__all__ = ["DRAWS", "likelihood", "reconstruction", "reconstruction_lines"]

DRAWS = 5  # of the encoder's noise, as the paper's table 3


def likelihood(
    generator: GraphGenerator, members: list[nx.Graph], *, seed: int
) -> dict[str, float | None]:
    """Means over graphs of what training made small last, in nats, with their error.

    Graphs of like size are evaluated together, so that few of the pairs that the networks work on
    are padding: at most a fifth, where there are graphs enough.

    Returns:
      `loss`, `cross_entropy`, `rate`: see `generator_losses`; `standard_error` of the loss, over
      graphs, None of a single one; `padding`: the share of the pairs.
    """
    topologies = generator.topologies(members)
    plan = datasets.plan_buckets(topologies.n_node, 256, max_waste=0.2, room="pairs")
    values: dict[str, list[np.ndarray]] = {}
    for i, batch in enumerate(plan):
        graph = graphs.fill_missing(topologies.graph(batch.rows))
        noise = step_seed(seed, -1 - i)
        losses = generator_losses(generator, graph, stage=generator.stage, seed=noise)
        for name, value in losses.items():
            values.setdefault(name, []).append(value.numpy())
    joined = {name: np.concatenate(parts) for name, parts in values.items()}
    error = joined["loss"].std(ddof=1) / np.sqrt(len(members)) if len(members) > 1 else None
    return {name: float(joined[name].mean()) for name in ("loss", "cross_entropy", "rate")} | {
        "standard_error": None if error is None else float(error),
        "padding": datasets.padding_waste(plan, topologies.n_node, room="pairs"),
    }


def reconstruction(
    generator: GraphGenerator, train: Sequence[nx.Graph], test: Sequence[nx.Graph]
) -> dict[str, list[dict[str, float]]]:
    """Totals over the training and the test graphs, as the paper's table 3, for each draw.

    Returns:
      Of each draw of the encoder's noise `cross_entropy` in nats, summed over all pairs;
      `wrong_edges`; `edges`; `pairs`; `nodes`.
    """
    results = {}
    for name, members in (("train", train), ("test", test)):
        sizes = np.array([len(graph) for graph in members], float)
        totals = {
            "edges": sum(graph.number_of_edges() for graph in members),
            "pairs": float((sizes * (sizes - 1) / 2).sum()),
            "nodes": float(sizes.sum()),
        }
        draws = []
        for draw in range(DRAWS):
            cross_entropy, wrong = generator.reconstruction(members, seed=(-2 - draw, 0))
            found = {"cross_entropy": cross_entropy, "wrong_edges": wrong}
            draws.append({k: float(np.sum(v, dtype=float)) for k, v in found.items()} | totals)
        results[f"reconstruction_{name}"] = draws
    return results


def reconstruction_lines(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line of text for each set of graphs; of one model or several."""
    lines = []
    for name in ("train", "test"):
        draws = [draw for run in runs for draw in run[f"reconstruction_{name}"]]
        wrong = [draw["wrong_edges"] for draw in draws]
        # Graphs of one node have no pairs, and no cross entropy.
        loss = np.mean([number(draw["cross_entropy"]) / max(draw["pairs"], 1.0) for draw in draws])
        lines.append(
            f"auto-encoder, {name}: {np.mean(wrong):.1f} ({min(wrong):.0f} to {max(wrong):.0f}) "
            f"wrong of {draws[0]['edges']:.0f} edges, cross entropy {loss:.2e} nats a pair "
            f"({len(draws)} draws)"
        )
    return lines
