"""Peak memory, time and accuracy of reversible against stored training, by depth.

    python -m benchmarks.memory

Every memory point is a process of its own, since a peak never falls: peak resident memory on CPU,
the allocator's peak on GPU. Beside it stand the peak of the same depth on a graph a hundredth as
large, which is the program alone (Python, the traced and compiled steps), and under XLA the
buffers of the compiled step. Times are taken alternately in one process. Prints the tables and
writes them, with a plot, to `--out`.
"""

import dataclasses
import json
import pathlib
import platform
import sys
import time
from typing import Literal

import numpy as np
import tyro

from benchmarks.processes import in_process, peak_mb, with_buffers

Mode = Literal["xla", "function", "eager"]

# glibc's heap fragments under TensorFlow's aligned blocks of changing sizes, so that an eager
# process grows whatever it keeps; blocks from this size on come from the system instead, slowly.
# Of memory points only, reversible and stored alike.
ENVIRONMENT = {"eager": {"MALLOC_MMAP_THRESHOLD_": "1000000"}}


@dataclasses.dataclass(frozen=True)
class Config:
    """Memory and time of a GRevNet against depth."""

    nodes: int = 20_000
    """nodes of the graph"""
    edges: int = 80_000
    """edges of the graph, drawn at random"""
    node_size: int = 64
    """width of the node features"""
    depths: tuple[int, ...] = (4, 8, 16, 32, 64)
    """numbers of steps at which both ways are measured"""
    deeper: tuple[int, ...] = (128, 256, 512)
    """further numbers of steps, reversible and eager only (unrolled, they trace for minutes)"""
    parts: tuple[Literal["memory", "time", "accuracy"], ...] = ("memory", "time", "accuracy")
    """what to measure; parts measured before are kept in memory.json"""
    modes: tuple[Mode, ...] = ("xla", "function", "eager")
    """how the training step is executed"""
    time_depth: int = 12
    """number of steps at which times are compared"""
    repeats: int = 7
    """timed training steps of each kind"""
    out: pathlib.Path = pathlib.Path("benchmarks/results")
    """folder for memory.json and memory.png"""


def make_graph(nodes: int, edges: int, node_size: int, dtype):
    """A random graph: the topology and features that every point uses."""
    import tensorflow as tf

    from gnf_tf import graphs

    rng = np.random.default_rng(0)
    return graphs.GraphsTuple(
        nodes=tf.constant(rng.normal(size=[nodes, node_size]), dtype),
        edges=tf.zeros([edges, 0], dtype),
        globals=tf.zeros([1, 0], dtype),
        senders=tf.constant(rng.integers(nodes, size=edges), tf.int32),
        receivers=tf.constant(rng.integers(nodes, size=edges), tf.int32),
        n_node=tf.constant([nodes], tf.int32),
        n_edge=tf.constant([edges], tf.int32),
    )


def make_step(num_steps: int, memory: str, mode: str, graph, is_mixed: bool = False):
    """(network, one training step's loss and gradient as a function of the graph)."""
    import tensorflow as tf

    import gnf_tf

    tf.random.set_seed(0)
    size = graph.nodes.shape[-1]

    def in_bfloat16(output_size):
        # The default network otherwise.
        network = gnf_tf.networks.MessagePassing(
            (size, size), output_size, output_scale=1.0 / num_steps
        )
        return gnf_tf.networks.HalfPrecision(network)

    net = gnf_tf.models.GRevNet(
        num_steps,
        size,
        memory=memory,
        make_conditioner=in_bfloat16 if is_mixed else None,
        dtype=graph.nodes.dtype,
    )

    return net, training_step(net, mode)


def training_step(net, mode: str):
    """A function of the graph: the mean square of the new node features, and its gradient."""
    import tensorflow as tf

    def step(graph):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(net(graph).nodes))
        return loss, tape.gradient(loss, net.trainable_variables)

    if mode == "eager":
        return step
    return tf.function(step, jit_compile=mode == "xla", autograph=False)


def measure_peak(config: Config, num_steps: int, memory: str, mode: str) -> float:
    """Worker: peak memory [MB] of two training steps (eager: of one)."""
    import tensorflow as tf

    graph = make_graph(config.nodes, config.edges, config.node_size, tf.float32)
    _, step = make_step(num_steps, memory, mode, graph)
    for _ in range(1 if mode == "eager" else 2):
        step(graph)[0].numpy()
    return peak_mb()


def measure_times(config: Config, mode: str) -> dict:
    """Worker: seconds of a training step, reversible and stored taken in turn."""
    import tensorflow as tf

    graph = make_graph(config.nodes, config.edges, config.node_size, tf.float32)
    steps = {m: make_step(config.time_depth, m, mode, graph)[1] for m in ("reversible", "stored")}
    seconds = {memory: [] for memory in steps}
    for repeat in range(config.repeats + 1):
        for memory, step in steps.items():
            start = time.perf_counter()
            step(graph)[0].numpy()
            if repeat:  # the first call traces
                seconds[memory].append(time.perf_counter() - start)
    return {memory: float(np.median(values)) for memory, values in seconds.items()}


def measure_accuracy(config: Config, num_steps: int, dtype_name: str) -> dict:
    """Worker: reconstruction error, and gradients against the stored ones, on a smaller graph.

    "mixed" is float32 with networks in bfloat16: there too how far their stored gradients are from
    those in float32.
    """
    import tensorflow as tf

    is_mixed = dtype_name == "mixed"
    dtype = tf.dtypes.as_dtype("float32" if is_mixed else dtype_name)
    graph = make_graph(1000, 4000, config.node_size, dtype)

    def gradients(memory, is_mixed):
        net, step = make_step(num_steps, memory, "eager", graph, is_mixed)
        return net, np.concatenate([np.ravel(g) for g in step(graph)[1]])

    def difference(a, b):
        return float(np.linalg.norm(a - b) / np.linalg.norm(b))

    net, reversible = gradients("reversible", is_mixed)
    _, stored = gradients("stored", is_mixed)
    back = net.inverse(net(graph))
    row = {
        "reconstruction_error": float(np.abs(back.nodes - graph.nodes).max()),
        "gradient_difference": difference(reversible, stored),
    }
    if is_mixed:
        row["rounding_difference"] = difference(stored, gradients("stored", False)[1])
    return row


def memory_point(config: Config, mode: str, depth: int, memory: str) -> dict:
    """`measure_peak` in its process; under XLA with the buffers [MB] of the compiled step."""
    environment = ENVIRONMENT.get(mode, {})
    arguments = config, depth, memory, mode
    if mode != "xla":
        return {"peak_mb": in_process(measure_peak, *arguments, environment=environment)}
    peak, buffers = with_buffers(measure_peak, *arguments, environment=environment)
    return {"peak_mb": peak} | ({} if buffers is None else {"buffers_mb": buffers})


def growth(points: dict[int, float], depths: tuple[int, ...]) -> float:
    """MB for each added step, from the first to the last depth."""
    return (points[depths[-1]] - points[depths[0]]) / (depths[-1] - depths[0])


def report_memory(config: Config, mode: str) -> dict:
    """Measures and prints the table of one execution mode."""
    ways = ("reversible", "stored")
    small = dataclasses.replace(config, nodes=config.nodes // 100, edges=config.edges // 100)
    columns = [*ways, "program"] + [f"{way} buffers" for way in ways if mode == "xla"]
    peaks: dict[str, dict[int, float]] = {column: {} for column in columns}
    print(f"\n{mode}: peak memory of a training step [MB]")
    print(f"{'steps':>6}" + "".join(f"{column:>20}" for column in columns))
    for depth in config.depths + (config.deeper if mode == "eager" else ()):
        for column, sizes, memory in (
            ("reversible", config, "reversible"),
            ("stored", config, "stored"),
            ("program", small, "reversible"),
        ):
            if memory == "stored" and depth not in config.depths:
                continue
            try:
                point = memory_point(sizes, mode, depth, memory)
            except RuntimeError as error:  # with too little memory
                print(f"  {depth} steps, {column}: {error}", file=sys.stderr)
                continue
            peaks[column][depth] = point["peak_mb"]
            if f"{column} buffers" in peaks and "buffers_mb" in point:
                peaks[f"{column} buffers"][depth] = point["buffers_mb"]
        cells = [f"{peaks[c][depth]:.0f}" if depth in peaks[c] else "-" for c in columns]
        print(f"{depth:>6}" + "".join(f"{cell:>20}" for cell in cells), flush=True)
    result: dict = {"peak_mb": peaks}
    ends = (config.depths[0], config.depths[-1])
    if all(end in points for points in peaks.values() for end in ends):
        slopes = {column: growth(points, config.depths) for column, points in peaks.items()}
        result["mb_per_step"] = slopes
        print(
            f"MB per added step, {ends[0]} to {ends[1]}: "
            + ", ".join(f"{column} {slope:.2f}" for column, slope in slopes.items())
            + f"; reversible / stored {slopes['reversible'] / slopes['stored']:.1%}"
        )
    return result


def plot(results: dict, path: pathlib.Path) -> None:
    """Peak memory against depth, a panel for each execution mode."""
    from matplotlib import ticker
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(results), 3.6))
    axes = figure.subplots(1, len(results), sharey=True, squeeze=False)
    for axis, (mode, result) in zip(axes[0], results.items(), strict=True):
        for memory, points in result["peak_mb"].items():
            if "buffers" in memory:
                continue
            axis.plot(
                [int(depth) for depth in points],
                [p / 1024 for p in points.values()],
                "o-",
                label=memory,
            )
        axis.set(title=mode, xlabel="message passing steps")
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter(ticker.ScalarFormatter())
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("peak memory [GiB]")
    axes[0][0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def report_times(config: Config, mode: str) -> dict:
    """Measures and prints one line of the table of times."""
    row = in_process(measure_times, config, mode)
    a, b = row["reversible"], row["stored"]
    print(f"{mode:>9} reversible {a:.3f}, stored {b:.3f}, ratio {a / b:.2f}", flush=True)
    return row


def report_accuracy(config: Config, dtype: str, depth: int) -> dict:
    """Measures and prints one line of the table of accuracy."""
    row = in_process(measure_accuracy, config, depth, dtype)
    rounding = f"{row['rounding_difference']:>20.2e}" if "rounding_difference" in row else ""
    print(
        f"{dtype:>8} {depth:>6} {row['reconstruction_error']:>15.2e} "
        f"{row['gradient_difference']:>20.2e} {rounding}",
        flush=True,
    )
    return row


def main(config: Config) -> None:
    """Measures what is asked for, prints tables, writes memory.json and memory.png."""
    config.out.mkdir(parents=True, exist_ok=True)
    path = config.out / "memory.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    print(
        f"{config.nodes} nodes, {config.edges} edges, node width {config.node_size}, float32; "
        f"{platform.machine()}, Python {platform.python_version()}"
    )
    for mode in config.modes if "memory" in config.parts else ():
        results.setdefault("memory", {})[mode] = report_memory(config, mode)
        path.write_text(json.dumps(results, indent=1) + "\n")
    if "memory" in results:
        plot(results["memory"], config.out / "memory.png")
    if "time" in config.parts:
        print(f"\nseconds a training step at {config.time_depth} steps, taken in turn (medians)")
        results["seconds"] = {mode: report_times(config, mode) for mode in config.modes}
    if "accuracy" in config.parts:
        print("\naccuracy on 1000 nodes, 4000 edges (default initialization)")
        print(
            f"{'dtype':>8} {'steps':>6} {'reconstruction':>15} {'gradient difference':>20} "
            f"{'stored to float32':>20}"
        )
        depths = sorted({12, *config.depths, *config.deeper})
        results["accuracy"] = {
            dtype: {depth: report_accuracy(config, dtype, depth) for depth in depths}
            for dtype in ("float32", "float64", "mixed")
        }
    path.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
