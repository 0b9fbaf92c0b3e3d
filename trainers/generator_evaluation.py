"""How good a trained `GraphGenerator` is: reconstruction, and a bound on the likelihood."""

from collections.abc import Mapping, Sequence
from typing import Any

import networkx as nx
import numpy as np

from gnf_tf import metrics
from gnf_tf.models import GraphGenerator
from gnf_tf.training import number

__all__ = ["DRAWS", "likelihood", "reconstruction", "reconstruction_lines"]

DRAWS = 5  # of the encoder's noise, as the paper's table 3


def likelihood(
    generator: GraphGenerator, members: Sequence[nx.Graph], *, seed: int
) -> dict[str, float | None]:
    """The mean over graphs of what training made small last, in nats, with its standard error.

    That is -log p(X) of the embeddings; end to end a bound on -log p(edges).
    """
    log_prob = generator.elbo if generator.stage == "end_to_end" else generator.log_prob
    loss, deviation = metrics.mean_and_deviation(-log_prob(members, seed=seed).numpy())
    error = None if deviation is None else deviation / np.sqrt(len(members))
    return {"loss": loss, "standard_error": error}


def reconstruction(
    generator: GraphGenerator, train: Sequence[nx.Graph], test: Sequence[nx.Graph]
) -> dict[str, list[dict[str, float]]]:
    """Totals over the training and the test graphs, as the paper's table 3, for each draw.

    Returns:
      Of each draw of the encoder's noise `cross_entropy` in nats, summed over all pairs;
      `wrong_edges`; `edges`; `pairs`.
    """
    results = {}
    for name, members in (("train", train), ("test", test)):
        edges = sum(graph.number_of_edges() for graph in members)
        pairs = sum(len(graph) * (len(graph) - 1) / 2 for graph in members)
        draws = results[f"reconstruction_{name}"] = []
        for draw in range(DRAWS):
            found = generator.reconstruction(members, seed=(-2 - draw, 0))
            cross_entropy, wrong = (float(np.sum(values, dtype=float)) for values in found)
            draws.append(
                {"cross_entropy": cross_entropy, "wrong_edges": wrong, "edges": edges}
                | {"pairs": pairs}
            )
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
