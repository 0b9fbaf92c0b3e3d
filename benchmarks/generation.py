"""Generating graphs: time and memory by number of nodes.

    python -m benchmarks.generation

The generator is untrained, because time and memory do not depend on the weights. Graphs of each
size are generated in a new process, since the peak memory of a process never falls: once to warm
up, and then `--repeats` times, of which the median counts. *program* is the peak memory of
generating one graph of two nodes. The table is printed and written, with a plot, to `--out`.
"""

import dataclasses
import json
import pathlib
import statistics
import time

import tyro

from benchmarks.processes import in_process, peak_mb


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


def plot(rows: list[dict], program_mb: float, path: pathlib.Path) -> None:
    """Time and memory against the number of nodes."""
    from matplotlib import ticker
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 3.4))
    axes = figure.subplots(1, 2)
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
    results = {
        "config": dataclasses.asdict(config) | {"out": str(config.out)},
        "program_mb": program,
        "generation": rows,
    }
    (config.out / "generation.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
