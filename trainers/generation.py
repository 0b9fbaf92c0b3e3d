"""Trains a graph generator, an auto-encoder and a GNF over its embeddings (5.2).

Examples:
    python trainers/generation.py                                      # quick, on ego-small
    python trainers/generation.py --dataset community_small --preset best --seeds 0 1 2
    python trainers/generation.py --end-to-end                         # both trained together
    python trainers/generation.py --data mine.g6                       # own graphs
"""

import dataclasses
import pathlib
import sys
import time
from collections.abc import Sequence

if __name__ == "__main__":  # Python adds the folder of a script to its path, not the project's
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
    import trainers  # noqa: F401  # TensorFlow, quietly

import networkx as nx
import numpy as np

from gnf_tf import metrics, options, plots, seeds, training
from gnf_tf.models import GraphGenerator
from trainers import cli, generator_options, report, runner
from trainers.generator_options import PAPER as PAPER_OPTIONS
from trainers.generator_options import PAPER_TRAINING, Network, Training, load

REPORTED = ("generation", "random_training_graphs")
SHOWN = 6  # graphs of each kind in a picture
# What training found to give the better graphs, see `GraphGenerator.draws_edges`.
EDGES = {True: "edges are drawn; ", False: "edges are those of p > 1/2; ", None: ""}
# Edges of the paper's graphs, training and test, which ours are drawn like.
SAME_RECIPE = {"community_small": (3758, 984), "ego_small": (1308, 346)}


@dataclasses.dataclass(frozen=True)
class Config(generator_options.Options):
    """The options of the trainer; one that is not given has the preset's value."""

    end_to_end: bool = False
    """trains encoder, decoder and flow together on a bound of the graphs' likelihood"""
    num_generated: options.AtLeast2 = 1024
    """graphs that are generated for one evaluation"""
    trials: options.Count = 3
    """evaluations of each model, each on newly generated graphs"""


PRESETS = {
    "quick": Config(),
    "paper": Config(  # section 5.2, for a GPU
        **PAPER_OPTIONS,
        network=Network(
            encoder_width=2048, encoder_blocks=10, num_heads=8, num_steps=12, width=2048
        ),
        settings=PAPER_TRAINING,
    ),
    "best": Config(
        steps=12_000,
        epochs=24,
        network=Network(walk_length=6),
        settings=Training(beta=0.3, patience=24),
    ),
}


def resolve(config: Config) -> Config:
    """Sets the options that follow from others, see `generator_options.resolve`."""
    if not config.end_to_end:
        return generator_options.resolve(config, "generation", "two-stage")
    sizes = {"embedding_size": 14, "encoder_blocks": 2, "decoder_blocks": 2}
    return generator_options.resolve(config, "generation", "end-to-end", encoder="flow", **sizes)


def train_and_evaluate(config: Config, seed: int, *sets: list) -> dict:
    """Trains one model, or resumes its training; returns the content of its results.json."""
    train, _, test = sets
    generator, histories = generator_options.train(config, seed, sets)
    results = {stage: report.trained(history) for stage, history in histories.items()}
    results["training_seconds"] = sum(history.seconds for history in histories.values())
    structure = metrics.shared_structure(train)
    results["structure"] = structure and structure.__name__
    results["draws_edges"] = generator.draws_edges
    results |= {name: [] for name in REPORTED}
    rng, known = seeds.generator(seed), metrics.isomorphism_classes(train)
    for trial in range(config.trials):
        start = time.perf_counter()
        generated = generator.generate(config.num_generated, seed=trial)
        seconds = time.perf_counter() - start
        # Once for all that asks for them, since they take long for large graphs.
        classes = metrics.isomorphism_classes([*generated, *train])
        results["generation"].append(
            compared(generated, test, train, classes)
            | {
                "graphs_per_second": len(generated) / seconds,
                "connected": metrics.validity(generated, metrics.is_connected),
                "valid": structure and metrics.validity(generated, structure),
                "all_three": structure
                and metrics.valid_unique_novel(generated, train, structure, classes=classes),
            }
        )
        rows = rng.choice(len(train), config.num_generated)
        drawn, classes = [train[i] for i in rows], [*(known[i] for i in rows), *known]
        results["random_training_graphs"].append(compared(drawn, test, train, classes))
    encoded = generator.decoded_encodings(train, seed=seed)
    results["decoded_encodings"] = {s: metrics.mmd(test, encoded, s) for s in metrics.STATISTICS}
    results["decoded_connected"] = metrics.validity(encoded, metrics.is_connected)
    for name, members in (("train", train), ("test", test)):
        results[f"likelihood_{name}"] = likelihood(generator, members, seed)
    step = histories[generator.stage].steps
    for name, draw, shown in (
        ("graphs", plots.graph_gallery, SHOWN),
        ("statistics", plots.graph_statistics, None),
    ):
        figure = draw({"test graphs": test[:shown], "generated": generated[:shown]})
        training.show_figure(config.run_dir, name, figure, step)
    means = metrics.over_runs(results["generation"])["gnf"]["all"]
    scores = {f"test/mmd/{name}": found["value"]["mean"] for name, found in means.items()}
    for name, value in results["decoded_encodings"].items():
        scores[f"test/mmd_of_decoded_encodings/{name}"] = value
    training.write_scores(config.run_dir / generator.stage, scores, step)
    return results | generator_options.reconstruction(generator, train, test)


def compared(generated: list, test: list, train: list, classes: list[int]) -> dict[str, dict]:
    """Returns the report of `metrics.evaluate` for each protocol."""
    return {
        name: metrics.evaluate(generated, test, train=train, protocol=name, classes=classes)
        for name in metrics.PROTOCOLS
    }


def likelihood(
    generator: GraphGenerator, members: Sequence[nx.Graph], seed: int
) -> dict[str, float | None]:
    """Returns the mean of -log p(X) over graphs; end to end, of a bound on -log p(edges)."""
    log_prob = generator.elbo if generator.stage == "end_to_end" else generator.log_prob
    loss, deviation = metrics.mean_and_deviation(-log_prob(members, seed=seed).numpy())
    error = None if deviation is None else deviation / np.sqrt(len(members))
    return {"loss": loss, "standard_error": error}


def summarize(config: Config, runs: list[dict]) -> dict:
    """Returns means and deviations over the trials of all seeds."""
    edges = [runs[0][f"reconstruction_{name}"][0]["edges"] for name in ("train", "test")]
    return {
        "end_to_end": config.end_to_end,
        "trials": config.trials,
        "constraint": config.network.constraint,
        "connected": config.network.connected,
        **{n: metrics.over_runs([trial for run in runs for trial in run[n]]) for n in REPORTED},
        "comparable": SAME_RECIPE.get(config.dataset, edges),
    }


def table(summary: dict) -> str:
    """Returns the results as text."""
    lines, found = [], summary["generation"]
    for protocol in metrics.PROTOCOLS:
        reports = (summary[name][protocol] for name in REPORTED)
        rows = list(metrics.comparison(*reports, summary["comparable"]))
        title = f"MMD to the test graphs, protocol {protocol} ({found[protocol]['kernel']})"
        columns = [(name or title, name, name and ">") for name in rows[0]]
        lines += [report.table(rows, *columns), ""]
    shares = {
        "unique": found["gnf"]["uniqueness"],
        "not in training": found["gnf"]["novelty"],
        "connected": found["connected"],
        f"valid ({summary['runs'][0]['structure']})": found["valid"],
        "valid, unique and not in training": found.get("all_three"),  # not in earlier results
    }
    if demanded := demands(summary):
        lines.append(f"generated graphs are made {demanded}; decoded encodings are not")
    lines.append(
        ", ".join(f"{name} {share['mean']:.1%}" for name, share in shares.items() if share)
        + f"; {found['graphs_per_second']['mean']:.0f} graphs a second; {len(summary['runs'])} "
        f"models, {summary['trials']} trials each"
    )
    # Where decoded encodings are good and generated graphs are not, the flow is to blame.
    for run in summary["runs"]:
        decoded = ", ".join(f"{name} {x:.4f}" for name, x in run["decoded_encodings"].items())
        lines.append(
            f"seed {run['seed']}: {run['training_seconds']:.0f} s of training; "
            f"{EDGES[run.get('draws_edges')]}decoded encodings of training graphs: MMD {decoded}, "
            f"connected {run['decoded_connected']:.1%}"
        )
    what = "bound on -log p(graph)" if summary["end_to_end"] else "-log p(embedding)"
    for run in summary["runs"]:
        train, test = (
            report.text(found["loss"], ".2f", found["standard_error"])
            for found in (run["likelihood_train"], run["likelihood_test"])
        )
        lines.append(f"{what}, seed {run['seed']}: train {train}, test {test} nats a graph")
    return "\n".join(lines + generator_options.reconstruction_lines(summary["runs"]))


def demands(summary: dict) -> str:
    """Returns what generated graphs have by their decoding, in words."""
    found = [summary.get("constraint", "none"), "connected" if summary.get("connected") else "none"]
    return " and ".join(name for name in found if name != "none")


def main() -> None:
    """Runs the command line."""
    config = resolve(cli.parse(PRESETS, __doc__))
    summary = runner.train(config, load, train_and_evaluate, summarize)
    report.show(config, table(summary), "1000", "graphs.g6")


if __name__ == "__main__":
    cli.run(main)
