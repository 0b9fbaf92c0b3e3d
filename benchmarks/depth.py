"""Memory and time of training against depth, up to a thousand steps, on a citation network.

    pip install -r benchmarks/requirements.txt
    python -m benchmarks.depth                        # Cora
    python -m benchmarks.depth --dataset pubmed --parts memory

Words are embedded to `--state` features a node, that many go through `--depths` steps of message
passing, and a linear layer reads the class. A training step is the cross entropy of the public
split's training nodes, its gradient, and Adam. Compared are

- grevnet: `GRevNet` with additive couplings, in a loop, compiled by XLA;
- gnn: the identical network with stored activations, executed in the same way;
- neumann_rbp: a graph convolution of state and embedding, iterated, compiled by XLA;
- pyg: `GroupAddRev` of PyTorch Geometric in two groups, PyTorch's eager mode, with the normalized
  adjacency as a sparse matrix made once;
- pyg_mmap: the same, memory alone, where glibc's heap can't fragment (see ENVIRONMENT).

grevnet, gnn and pyg are one function of the same weights: a network of a half step is a layer
norm, a ReLU and a graph convolution as wide as the half. Before times are taken pyg is given the
weights of grevnet, and their losses are compared.

Every memory point is a process of its own, since a peak never falls; `program` is the peak of the
same depth on a hundredth of the nodes. Times are taken in turn in one process. Prints the tables
and writes them, with a plot, to `--out`.
"""

import dataclasses
import json
import pathlib
import time
from typing import Any, Literal

import numpy as np
import tyro

from benchmarks.depth_models import (
    Model,
    Network,
    first_nodes,
    load,
    make_trainer,
    pyg_trainer,
    tensorflow_trainer,
)
from benchmarks.processes import in_process, peak_mb

TOLERANCE = 1e-3  # of the loss between frameworks, relative

# Under an eager program's blocks of changing sizes glibc's heap fragments, whatever is kept; blocks
# from this size on, less than the features of Cora's nodes, come from the system instead, slowly.
ENVIRONMENT = {"pyg_mmap": {"MALLOC_MMAP_THRESHOLD_": "100000"}}


@dataclasses.dataclass(frozen=True)
class Config:
    """Memory and time of training against depth."""

    dataset: Literal["cora", "pubmed"] = "cora"
    """a citation network, part of the package"""
    depths: tuple[int, ...] = (4, 16, 64, 256, 1000)
    """steps of message passing"""
    state: int = 64
    """features of a node that the steps change, even"""
    models: tuple[Model, ...] = ("grevnet", "gnn", "neumann_rbp", "pyg", "pyg_mmap")
    """what to measure"""
    parts: tuple[Literal["memory", "time", "train"], ...] = ("memory", "time", "train")
    """parts measured before are kept in the results"""
    limit_mb: int = 8000
    """processes that grow beyond are stopped, and deeper ones of that model not started"""
    repeats: int = 3
    """timed training steps of each model and depth, after one that compiles"""
    train_steps: int = 60
    """training steps of the part "train", a grevnet of the greatest depth"""
    learning_rate: float = 1e-2
    """of Adam"""
    out: pathlib.Path = pathlib.Path("benchmarks/results")
    """folder for depth-DATASET.json and depth-DATASET.png"""


def measure_peak(config: Config, network: Network, model: Model, depth: int) -> float:
    """Worker: peak memory [MB] of two training steps."""
    trainer = make_trainer(config, network, model, depth)
    for _ in range(2):
        trainer.step()
    return peak_mb()


def measure_times(config: Config, network: Network, models: list[Model], depth: int) -> dict:
    """Worker: median seconds of a training step of each model, and of processors, taken in turn.

    Raises:
      RuntimeError: if grevnet and pyg, given the same weights, are of different loss.
    """
    trainers = {m: make_trainer(config, network, m, depth) for m in models if m != "pyg"}
    for trainer in trainers.values():
        trainer.step()  # compiles
    row: dict[str, Any] = {}
    if "pyg" in models:
        weights = trainers["grevnet"].weights() if "grevnet" in trainers else None
        trainers["pyg"] = pyg_trainer(config, network, depth, weights)
        loss = trainers["pyg"].step()
        if weights is not None:
            expected = trainers["grevnet"].step()
            row["loss_difference"] = abs(loss - expected) / expected
            if not row["loss_difference"] < TOLERANCE:
                raise RuntimeError(f"grevnet has a loss of {expected}, pyg of {loss}")
    clocks = {"seconds": time.perf_counter, "cpu_seconds": time.process_time}
    taken: dict[str, list[np.ndarray]] = {model: [] for model in trainers}
    for _ in range(config.repeats):
        for model, trainer in trainers.items():
            start = [clock() for clock in clocks.values()]
            trainer.step()
            taken[model].append([clock() for clock in clocks.values()] - np.array(start))
    medians = {model: np.median(values, axis=0) for model, values in taken.items()}
    for i, name in enumerate(clocks):
        row[name] = {model: float(values[i]) for model, values in medians.items()}
    return row


def train(config: Config, network: Network, depth: int) -> dict:
    """Worker: a grevnet trained; losses, accuracies, and how well it still inverts."""
    trainer = tensorflow_trainer(config, network, "grevnet", depth)
    start = time.perf_counter()
    losses = [trainer.step() for _ in range(config.train_steps)]
    seconds = time.perf_counter() - start
    correct = trainer.logits().argmax(axis=1) == network.labels
    most = np.bincount(network.labels[network.validation]).max() / network.validation.sum()
    return {
        "depth": depth,
        "losses": losses,
        "seconds": seconds,
        "train_accuracy": float(correct[network.train].mean()),
        "validation_accuracy": float(correct[network.validation].mean()),
        "largest_class": float(most),
        "inverse_error": trainer.inverse_error(),
    }


def report_memory(config: Config, network: Network, small: Network) -> dict:
    """Measures and prints the table of memory: model -> depth -> peaks [MB]."""
    print(f"\n{config.dataset}: peak memory of a training step, and of the program alone [MB]")
    print(f"{'steps':>6}" + "".join(f"{model:>14}{'program':>10}" for model in config.models))
    rows: dict[str, dict[int, dict]] = {model: {} for model in config.models}
    stopped = set()
    for depth in config.depths:
        line = f"{depth:>6}"
        for model in config.models:
            options = {"limit_mb": config.limit_mb, "environment": ENVIRONMENT.get(model)}
            if model not in stopped:
                peak = in_process(measure_peak, config, network, model, depth, **options)
            if model in stopped or peak is None:
                stopped.add(model)
                line += f"{f'> {config.limit_mb}':>14}{'':>10}"
                continue
            program = in_process(measure_peak, config, small, model, depth, **options)
            rows[model][depth] = {"peak_mb": peak, "program_mb": program}
            line += f"{peak:>14.0f}{program:>10.0f}"
        print(line, flush=True)
    for model, points in rows.items():
        slopes = growth(points)
        if slopes is not None:
            print(f"{model:<12} {slopes[0]:8.3f} MB a step; less the program {slopes[1]:8.3f}")
    return rows


def growth(points: dict[int, dict]) -> tuple[float, float] | None:
    """MB for each added step, from the first to the last depth: in all, and less the program."""
    if len(points) < 2:
        return None
    (first, low), (last, high) = (list(points.items())[i] for i in (0, -1))
    total = high["peak_mb"] - low["peak_mb"]
    program = high["program_mb"] - low["program_mb"]
    return total / (last - first), (total - program) / (last - first)


def report_times(config: Config, network: Network) -> dict:
    """Measures and prints the table of times: depth -> `measure_times`."""
    models = [model for model in config.models if model not in ENVIRONMENT]
    print(
        f"\n{config.dataset}: milliseconds of a training step, and of processors, for each step of "
        "message passing"
    )
    print(f"{'steps':>6}" + "".join(f"{model:>14}{'':>9}" for model in models))
    rows = {}
    for depth in config.depths:
        row = in_process(
            measure_times, config, network, models, depth, limit_mb=2 * config.limit_mb
        )
        if row is None:
            print(f"{depth:>6}  more than {2 * config.limit_mb} MB together")
            break
        rows[depth] = row
        line = f"{depth:>6}"
        for model in models:
            wall, cpu = (1e3 * row[name][model] / depth for name in ("seconds", "cpu_seconds"))
            line += f"{wall:>14.2f}{cpu:>9.2f}"
        print(line, flush=True)
    return rows


def plot(results: dict, path: pathlib.Path) -> None:
    """Memory and time against depth."""
    from matplotlib import ticker
    from matplotlib.figure import Figure

    times = results.get("time", {})
    panels = 2 if times else 1
    figure = Figure(figsize=(4.5 * panels, 3.6))
    (axes,) = figure.subplots(1, panels, squeeze=False)
    for i, (model, points) in enumerate(results["memory"].items()):
        depths = [int(depth) for depth in points]
        for name, style, label in (("peak_mb", "o-", model), ("program_mb", ":", None)):
            peaks = [point[name] for point in points.values()]
            axes[0].plot(depths, peaks, style, color=f"C{i}", label=label)
        if times and model not in ENVIRONMENT:
            seconds = [row["cpu_seconds"].get(model, np.nan) for row in times.values()]
            axes[1].plot([int(depth) for depth in times], seconds, "o-", color=f"C{i}")
    axes[0].set(ylabel="peak memory [MB], dotted: program", ylim=(0, None))
    if times:
        axes[1].set(ylabel="processor seconds of a training step", yscale="log")
    for axis in axes:
        axis.set(xscale="log", xlabel="steps of message passing")
        axis.set_xticks(sorted({int(d) for points in results["memory"].values() for d in points}))
        axis.xaxis.set_major_formatter(ticker.ScalarFormatter())
        axis.xaxis.set_minor_formatter(ticker.NullFormatter())
        axis.grid(alpha=0.3)
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def main(config: Config) -> None:
    """Measures what is asked for, prints and writes."""
    config.out.mkdir(parents=True, exist_ok=True)
    path = config.out / f"depth-{config.dataset}.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    network = in_process(load, config.dataset, limit_mb=config.limit_mb)
    small = first_nodes(network, len(network.features) // 100)
    if "memory" in config.parts:
        results.setdefault("memory", {}).update(report_memory(config, network, small))
    if "time" in config.parts:
        results["time"] = report_times(config, network)
    if "train" in config.parts:
        depth = max(config.depths)
        row = in_process(train, config, network, depth, limit_mb=config.limit_mb)
        results["train"] = row
        print(
            f"\n{depth} steps trained {config.train_steps} times, {row['seconds']:.0f} s: loss "
            f"{row['losses'][0]:.3f} to {row['losses'][-1]:.3f}; accuracy "
            f"{row['train_accuracy']:.1%} in training, {row['validation_accuracy']:.1%} in "
            f"validation, whose largest class is {row['largest_class']:.1%}; error of the inverse "
            f"{row['inverse_error']:.1e}"
        )
    values = json.dumps(results, indent=1) + "\n"
    path.write_text(values)
    if "memory" in results:
        plot(json.loads(values), path.with_suffix(".png"))


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
