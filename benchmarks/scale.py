"""Time and memory of a training step against the number of nodes, up to a million on one machine.

    python -m benchmarks.scale
    python -m benchmarks.scale --nodes 1000000 --depths 8 32 --models messages --repeats 1

Every graph is random, with `--edges-per-node` edges a node. Compared are

- messages: `GRevNet(loop=True)`, whose messages depend on the sender alone;
- messages_stored: the identical network with stored activations;
- grevnet and pyg: the two of `benchmarks.depth`, which are one function of the same weights, with
  a graph convolution in each half step; pyg is `GroupAddRev` of PyTorch Geometric.

A training step of the first two is the mean square of the new node features and its gradient; the
step of the others has a classifier and Adam too. Every point is a process of its own, since a peak
never falls, and is stopped beyond `--limit-mb`. Prints the table and the slopes of a log-log fit,
and writes both, with a plot, to `--out`. Points measured before are kept.
"""

import dataclasses
import json
import pathlib
import time
from typing import Any, Literal, get_args

import numpy as np
import tyro

from benchmarks.depth_models import Network, make_trainer
from benchmarks.memory import make_graph, training_step
from benchmarks.processes import in_process, peak_mb

Model = Literal["messages", "messages_stored", "grevnet", "pyg"]
Results = dict[str, dict[str, dict[str, dict[str, float] | None]]]  # model -> nodes -> depth


@dataclasses.dataclass(frozen=True)
class Config:
    """Time and memory of a training step against the number of nodes."""

    nodes: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    """nodes of the graphs"""
    edges_per_node: int = 5
    """edges of a graph, drawn at random, divided by its nodes"""
    depths: tuple[int, ...] = (8, 32, 128)
    """steps of message passing"""
    state: int = 64
    """features of a node that the steps change, even"""
    models: tuple[Model, ...] = get_args(Model)
    """what to measure"""
    execution: Literal["xla", "function"] = "xla"
    """how messages and messages_stored are executed"""
    repeats: int = 3
    """timed training steps of each point, after one that compiles"""
    limit_mb: int = 12_000
    """processes that grow beyond are stopped"""
    learning_rate: float = 1e-2
    """of Adam"""
    out: pathlib.Path = pathlib.Path("benchmarks/results")
    """folder for scale.json and scale.png"""


def measure(config: Config, model: Model, nodes: int, depth: int) -> dict[str, float]:
    """Worker: median seconds of a training step, and of processors, and the peak memory [MB]."""
    step = make_step(config, model, nodes, depth)
    step()  # compiles
    clocks = (time.perf_counter, time.process_time)
    taken = []
    for _ in range(config.repeats):
        start = [clock() for clock in clocks]
        step()
        taken.append([clock() for clock in clocks] - np.array(start))
    seconds, cpu_seconds = map(float, np.median(taken, axis=0))
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mb": peak_mb()}


def make_step(config: Config, model: Model, nodes: int, depth: int) -> Any:
    """A function without arguments: one training step, which returns its loss."""
    edges = nodes * config.edges_per_node
    if model in ("grevnet", "pyg"):
        rng = np.random.default_rng(0)
        network = Network(
            rng.normal(size=[nodes, config.state]).astype(np.float32),
            *rng.integers(nodes, size=[2, edges]),
            rng.integers(10, size=nodes),
            *np.ones([2, nodes], bool),
        )
        return make_trainer(config, network, model, depth).step

    import tensorflow as tf

    import gnf_tf

    tf.random.set_seed(0)
    net = gnf_tf.models.GRevNet(
        depth,
        config.state,
        make_conditioner=lambda output_size: gnf_tf.networks.MessagePassing(
            (config.state, config.state), output_size, sender_only=True, output_scale=1.0 / depth
        ),
        loop=True,
        memory="stored" if model == "messages_stored" else "reversible",
    )
    graph = make_graph(nodes, edges, config.state, tf.float32)
    step = training_step(net, config.execution)
    return lambda: float(step(graph)[0])


def slopes(results: Results) -> dict[str, dict[str, dict[str, float]]]:
    """model -> depth -> the exponents by which the values of `measure` grow with the nodes."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for model, sizes in results.items():
        for depth in dict.fromkeys(depth for points in sizes.values() for depth in points):
            points = {int(n): p[depth] for n, p in sizes.items() if p.get(depth) is not None}
            if len(points) > 1:
                found.setdefault(model, {})[depth] = {
                    name: float(
                        np.polyfit(*np.log([[n, p[name]] for n, p in points.items()]).T, 1)[0]
                    )
                    for name in ("seconds", "cpu_seconds", "peak_mb")
                }
    return found


def plot(results: Results, path: pathlib.Path) -> None:
    """Time for each step of message passing, and peak memory, against the number of nodes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6))
    axes = figure.subplots(1, 2)
    styles = {}
    for i, (model, sizes) in enumerate(results.items()):
        for depth in dict.fromkeys(depth for points in sizes.values() for depth in points):
            style = styles.setdefault(depth, ("o-", "s--", "^:", "v-.")[len(styles) % 4])
            points = sorted(
                (int(n), p[depth]) for n, p in sizes.items() if p.get(depth) is not None
            )
            for axis, name, unit in ((axes[0], "cpu_seconds", int(depth)), (axes[1], "peak_mb", 1)):
                axis.plot(
                    [n for n, _ in points],
                    [p[name] / unit for _, p in points],
                    style,
                    color=f"C{i}",
                    label=f"{model}, {depth} steps",
                )
    axes[0].set(ylabel="processor seconds of a step\nof message passing, trained")
    axes[1].set(ylabel="peak memory [MB]")
    for axis in axes:
        axis.set(xscale="log", yscale="log", xlabel="nodes")
        axis.grid(alpha=0.3)
    axes[1].legend(fontsize="x-small")
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def main(config: Config) -> None:
    """Measures what is asked for, prints and writes."""
    config.out.mkdir(parents=True, exist_ok=True)
    path = config.out / "scale.json"
    results: Results = json.loads(path.read_text()) if path.exists() else {}
    print("a training step: seconds and processor seconds for each step of message passing, and MB")
    print(f"{'model':>16}{'nodes':>10}{'steps':>7}{'seconds':>10}{'cpu':>10}{'peak':>9}")
    for model in config.models:
        for nodes in config.nodes:
            points = results.setdefault(model, {}).setdefault(str(nodes), {})
            for depth in config.depths:
                point = in_process(measure, config, model, nodes, depth, limit_mb=config.limit_mb)
                points[str(depth)] = point
                line = f"{model:>16}{nodes:>10}{depth:>7}"
                if point is None:
                    print(f"{line}  more than {config.limit_mb} MB", flush=True)
                    continue
                wall, cpu = point["seconds"] / depth, point["cpu_seconds"] / depth
                print(f"{line}{wall:>10.4f}{cpu:>10.4f}{point['peak_mb']:>9.0f}", flush=True)
                path.write_text(json.dumps(results, indent=1) + "\n")
    for model, depths in slopes(results).items():
        for depth, found in depths.items():
            exponents = ", ".join(f"{name} {value:.2f}" for name, value in found.items())
            print(f"{model}, {depth} steps, exponent of the number of nodes: {exponents}")
    plot(results, path.with_suffix(".png"))


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
