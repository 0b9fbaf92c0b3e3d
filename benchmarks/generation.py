"""Generating graphs: time and memory by number of nodes, and padding of mixed sizes.

    python -m benchmarks.generation

The generator is untrained: neither depends on the weights. Every size is generated in a process
of its own, since a peak of memory never falls, once to warm up and then `--repeats` times; the
median counts. *program* is the peak of generating one graph of two nodes. The likelihood of a
batch of mixed sizes is computed in one dense block and in buckets of like size, in turn in one
process. Prints the tables and writes them, with a plot, to `--out`.
"""

import concurrent.futures
import dataclasses
import json
import multiprocessing
import pathlib
import statistics
import time

import numpy as np
import tyro

from benchmarks.peak import peak_mb


@dataclasses.dataclass(frozen=True)
class Config:
    """Speed and memory of graph generation."""

    sizes: tuple[int, ...] = (20, 50, 100, 200, 500)
    """nodes of the graphs"""
    num_graphs: int = 1024
    """graphs of 20 nodes generated at a time; of other sizes, as many as have that many nodes"""
    embedding_size: int = 14
    """width of the embeddings"""
    num_steps: int = 8
    """steps of the flow"""
    width: int = 64
    """of its networks"""
    repeats: int = 5
    """timed calls of each"""
    sets: tuple[str, ...] = ("community_small", "ego_small", "grid", "community")
    """data sets whose training graphs' likelihood is computed"""
    batch_size: int = 64
    """graphs at a time there"""
    out: pathlib.Path = pathlib.Path("benchmarks/results")
    """folder for generation.json and generation.png"""


def make_generator(config: Config, max_num_nodes: int):
    """Of the announced sizes, untrained."""
    from gnf_tf.models import GeneratorConfig, GraphGenerator

    sizes = GeneratorConfig(
        embedding_size=config.embedding_size, num_steps=config.num_steps, width=config.width
    )
    return GraphGenerator([max_num_nodes], sizes)


def seconds_of(call, repeats: int) -> float:
    """Median of the calls; one more before them warms up."""
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def generation_point(config: Config, size: int, num_graphs: int) -> dict:
    """Worker: seconds of generating these graphs, and the process's peak memory [MB]."""
    generator = make_generator(config, size)
    seconds = seconds_of(
        lambda: generator.generate(n_node=[size] * num_graphs, seed=0), config.repeats
    )
    return {"nodes": size, "graphs": num_graphs, "seconds": seconds, "peak_mb": peak_mb()}


def likelihood_point(config: Config, name: str) -> dict:
    """Worker: share of padding and seconds of the likelihood, in one block and in buckets."""
    from gnf_tf import datasets, graphs

    sizes = np.array([len(graph) for graph in datasets.GRAPH_SETS[name]("train")])
    generator = make_generator(config, int(sizes.max()))
    order = np.random.default_rng(0).permutation(len(sizes))
    mixed = [
        datasets.BlockBatch(rows, len(rows), int(sizes.max()))
        for rows in np.array_split(order, -(-len(sizes) // config.batch_size))
    ]
    plans = {
        "mixed": mixed,
        "buckets": datasets.plan_buckets(sizes, config.batch_size, max_waste=0.2, room="pairs"),
    }

    def log_prob(plan):
        return [
            generator.embedding_log_prob(
                graphs.edgeless(sizes[batch.rows], config.embedding_size)
            ).numpy()
            for batch in plan
        ]

    row = {"set": name, "graphs": len(sizes), "smallest": int(sizes.min())}
    row["largest"] = int(sizes.max())
    for way, plan in plans.items():
        row[f"padding_{way}"] = datasets.padding_waste(plan, sizes, room="pairs")
        row[f"seconds_{way}"] = seconds_of(lambda plan=plan: log_prob(plan), config.repeats)
    return row


def in_process(worker, *arguments) -> dict:
    """A worker's answer, from a fresh process."""
    with concurrent.futures.ProcessPoolExecutor(
        1, mp_context=multiprocessing.get_context("spawn")
    ) as pool:
        return pool.submit(worker, *arguments).result()


def plot(rows: list[dict], program_mb: float, path: pathlib.Path) -> None:
    """Time and memory against the number of nodes."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib import ticker

    figure, axes = plt.subplots(1, 2, figsize=(8.0, 3.4))
    nodes = [row["nodes"] for row in rows]
    axes[0].loglog(nodes, [1e3 * row["seconds"] / row["graphs"] for row in rows], "o-")
    axes[0].set_ylabel("milliseconds a graph")
    axes[1].plot(nodes, [row["peak_mb"] for row in rows], "o-", label="peak")
    axes[1].axhline(program_mb, color="gray", ls="--", label="program")
    axes[1].set(ylabel="memory of the process [MB]", ylim=(0, None))
    axes[1].set_xscale("log")
    axes[1].legend()
    for axis in axes:
        axis.set_xlabel("nodes of a graph")
        axis.set_xticks(nodes)
        axis.xaxis.set_major_formatter(ticker.ScalarFormatter())
        axis.xaxis.set_minor_formatter(ticker.NullFormatter())
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def main(config: Config) -> None:
    """Measures, prints, writes."""
    config.out.mkdir(parents=True, exist_ok=True)
    program = in_process(generation_point, config, 2, 1)["peak_mb"]
    print(f"generation; the program alone takes {program:.0f} MB")
    print(f"{'nodes':>6}{'graphs':>8}{'graphs/s':>10}{'ms a graph':>12}{'peak MB':>9}")
    rows = []
    for size in config.sizes:
        row = in_process(generation_point, config, size, max(1, config.num_graphs * 20 // size))
        rows.append(row)
        rate = row["graphs"] / row["seconds"]
        print(
            f"{size:>6}{row['graphs']:>8}{rate:>10.1f}{1e3 / rate:>12.2f}{row['peak_mb']:>9.0f}",
            flush=True,
        )
    plot(rows, program, config.out / "generation.png")
    print("\nlikelihood of mixed sizes; padding: share of the pairs of nodes")
    print(
        f"{'set':<16}{'graphs':>7}{'nodes':>10}{'padding':>9}{'in buckets':>12}"
        f"{'seconds':>9}{'in buckets':>12}"
    )
    likelihoods = []
    for name in config.sets:
        row = in_process(likelihood_point, config, name)
        likelihoods.append(row)
        print(
            f"{name:<16}{row['graphs']:>7}{row['smallest']:>5}-{row['largest']:<4}"
            f"{row['padding_mixed']:>9.1%}{row['padding_buckets']:>12.1%}"
            f"{row['seconds_mixed']:>9.2f}{row['seconds_buckets']:>12.2f}",
            flush=True,
        )
    results = {
        "config": dataclasses.asdict(config) | {"out": str(config.out)},
        "program_mb": program,
        "generation": rows,
        "likelihood": likelihoods,
    }
    (config.out / "generation.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
