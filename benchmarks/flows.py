"""Speed of the flows: RealNVP against TFP's and zuko's, dense against edge-list attention.

    pip install -r benchmarks/requirements.txt
    python -m benchmarks.flows

Everything is timed in turn in one process, some calls of each after the other, so that what
disturbs the machine disturbs all alike. A figure is the median of the calls, in milliseconds;
ratios are of medians. Prints the tables and writes them to `--out`.

The RealNVPs are of one shape: `--num-steps` steps of two couplings, each a perceptron of the
hidden layers `--hidden` that gives log-scale and shift, on points of `--node-size` features; ours
on graphs without edges. A training step is the mean negative log-likelihood and its gradient to
all weights. zuko is timed as its users run it, in PyTorch's eager mode.
"""

import dataclasses
import json
import pathlib
import platform
import statistics
import time
from collections.abc import Callable
from typing import Literal, NamedTuple

import tyro

Mode = Literal["eager", "function", "xla"]
TASKS = ("training step", "log_prob", "sample")
PAUSE_SECONDS = 0.02
CALLS_A_TURN = 3


class Timed(NamedTuple):
    """A flow to be timed."""

    calls: dict[str, Callable[[], object]]  # one for each of TASKS
    num_weights: int


@dataclasses.dataclass(frozen=True)
class Config:
    """Speed of flows over sets."""

    sizes: tuple[int, ...] = (4, 20, 100, 500)
    """nodes of a set"""
    nodes: int = 2_000
    """nodes of a batch in all: the number of sets is this over the size"""
    node_size: int = 6
    """width of the node features, even"""
    num_steps: int = 6
    """steps of the flow, two couplings each"""
    hidden: tuple[int, ...] = (64, 64)
    """hidden layers of the couplings' perceptrons"""
    num_heads: int = 8
    """of the attention"""
    key_size: int = 10
    """of its keys, queries and values"""
    modes: tuple[Mode, ...] = ("eager", "function", "xla")
    """how TensorFlow runs"""
    parts: tuple[Literal["peers", "attention"], ...] = ("peers", "attention")
    """what to measure"""
    repeats: int = 5
    """turns of each, three timed calls a turn"""
    out: pathlib.Path = pathlib.Path("benchmarks/results")
    """folder for flows.json"""


def compiled(function, mode: Mode):
    """`function` as TensorFlow runs it in `mode`."""
    import tensorflow as tf

    if mode == "eager":
        return function
    return tf.function(function, jit_compile=mode == "xla", autograph=False)


def timed_flow(flow, variables, event, mode: Mode) -> Timed:
    """The three tasks for a TFP distribution."""
    import tensorflow as tf

    def train(event):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(flow.log_prob(event))
        return loss, tape.gradient(loss, variables)

    tasks = (train, flow.log_prob, lambda seed: flow.sample(seed=seed))
    train, log_prob, sample = (compiled(task, mode) for task in tasks)
    seed = tf.constant([1, 2])
    calls = {
        "training step": lambda: train(_fresh(event))[0].numpy(),
        "log_prob": lambda: log_prob(_fresh(event)).numpy(),
        "sample": lambda: tf.nest.map_structure(lambda t: t.numpy(), sample(seed)),
    }
    return Timed(calls, sum(int(tf.size(v)) for v in variables))


def _fresh(event):
    """The event in new tensors: TFP caches by identity."""
    import tensorflow as tf

    return tf.nest.map_structure(tf.identity, event)


def our_realnvp(config: Config, size: int, mode: Mode) -> Timed:
    """The RealNVP of gnf_tf: a `GNF` on edgeless graphs."""
    import gnf_tf

    topology = gnf_tf.graphs.edgeless([size] * (config.nodes // size), config.node_size)
    gnf = gnf_tf.GNF(
        config.num_steps,
        config.node_size,
        make_conditioner=lambda output_size: gnf_tf.networks.MLP((*config.hidden, output_size)),
        normalization=None,
        memory="stored",
    )
    return _timed_gnf(config, size, mode, topology, gnf)


def _timed_gnf(config, size, mode, topology, gnf):
    import tensorflow as tf
    import tensorflow_probability as tfp

    import gnf_tf

    prior = gnf_tf.NodePrior(topology)
    flow = tfp.distributions.TransformedDistribution(prior, tfp.bijectors.Invert(gnf))
    event = topology.replace(nodes=_points(tf, config, size))
    return timed_flow(flow, gnf.trainable_variables, event, mode)


def _points(tf, config, size):
    rows = config.nodes // size * size
    return tf.random.stateless_normal([rows, config.node_size], seed=[0, 1])


def tfp_realnvp(config: Config, size: int, mode: Mode) -> Timed:
    """TFP's, over the same points."""
    import tensorflow as tf
    import tensorflow_probability as tfp
    import tf_keras

    tfb, tfd = tfp.bijectors, tfp.distributions
    half = config.node_size // 2

    def coupling(i):
        network = tf_keras.Sequential(
            [tf_keras.layers.Dense(width, activation="relu") for width in config.hidden]
            + [tf_keras.layers.Dense(2 * half)]
        )
        network.build([None, half])

        def shift_and_log_scale(kept, output_units, **kwargs):
            del output_units, kwargs
            return tf.split(network(kept), 2, axis=-1)

        networks.append(network)
        return tfb.RealNVP(
            num_masked=half if i % 2 else -half, shift_and_log_scale_fn=shift_and_log_scale
        )

    networks: list = []
    chain = tfb.Chain([coupling(i) for i in range(2 * config.num_steps)])
    prior = tfd.MultivariateNormalDiag(tf.zeros([config.node_size]))
    rows = config.nodes // size * size
    flow = tfd.TransformedDistribution(tfd.Sample(prior, [rows]), tfb.Invert(chain))
    variables = [v for network in networks for v in network.trainable_variables]
    return timed_flow(flow, variables, _points(tf, config, size), mode)


def zuko_realnvp(config: Config, size: int, mode: Mode) -> Timed:
    """zuko's, over the same points."""
    import torch
    import zuko

    del mode
    flow = zuko.flows.RealNVP(
        config.node_size, transforms=2 * config.num_steps, hidden_features=config.hidden
    )
    parameters = list(flow.parameters())
    rows = config.nodes // size * size
    points = torch.randn(rows, config.node_size)

    def train():
        loss = -flow().log_prob(points).mean()
        return torch.autograd.grad(loss, parameters)

    @torch.no_grad()
    def log_prob():
        return flow().log_prob(points)

    @torch.no_grad()
    def sample():
        return flow().sample((rows,))

    calls = {"training step": train, "log_prob": log_prob, "sample": sample}
    return Timed(calls, sum(p.numel() for p in parameters))


def attention_gnf(config: Config, size: int, mode: Mode, *, dense: bool) -> Timed:
    """A `GNF` on fully connected graphs, with the paper's conditioner."""
    import gnf_tf

    topology = gnf_tf.graphs.fully_connected([size] * (config.nodes // size), config.node_size)

    def make_conditioner(output_size):
        return gnf_tf.networks.AttentionBlock(
            config.num_heads,
            config.key_size,
            config.hidden,
            output_size,
            output_scale=0.1,
            fully_connected=dense,
            max_num_nodes=size if dense else None,
        )

    gnf = gnf_tf.GNF(
        config.num_steps,
        config.node_size,
        make_conditioner=make_conditioner,
        normalization=None,
        memory="stored",
    )
    return _timed_gnf(config, size, mode, topology, gnf)


def medians(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median milliseconds of each call.

    They take turns, `repeats` times: after a pause, one call to wake up and CALLS_A_TURN timed.
    PyTorch's threads spin for some milliseconds after their work, at the cost of the
    next call, so that single calls in turn would not be fair.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            time.sleep(PAUSE_SECONDS)
            call()
            for _ in range(CALLS_A_TURN):
                start = time.perf_counter()
                call()
                seconds[name].append(time.perf_counter() - start)
    return {name: 1e3 * statistics.median(values) for name, values in seconds.items()}


def compare(
    config: Config, size: int, mode: Mode, flows: dict[str, Callable[[], Timed]], ours: str
) -> list[dict]:
    """Times the flows' tasks side by side and prints them; ratio: the flow's time over ours.

    Raises:
      RuntimeError: if the flows aren't of one shape.
    """
    made = {name: make() for name, make in flows.items()}
    weights = {name: flow.num_weights for name, flow in made.items()}
    if len(set(weights.values())) > 1:
        raise RuntimeError(f"the flows to compare have different numbers of weights: {weights}")
    rows = []
    for task in TASKS:
        times = medians({name: flow.calls[task] for name, flow in made.items()}, config.repeats)
        row = {"mode": mode, "size": size, "task": task, "ms": times}
        row["ratio"] = {name: ms / times[ours] for name, ms in times.items() if name != ours}
        rows.append(row)
        print(
            f"{mode:<10}{size:>6}  {task:<15}"
            + "".join(f"{times[name]:>12.2f}" for name in flows)
            + "".join(f"{ratio:>12.2f}" for ratio in row["ratio"].values()),
            flush=True,
        )
    return rows


def header(title: str, names: list[str], ours: str) -> None:
    """Prints the head of a table."""
    others = [name for name in names if name != ours]
    print(f"\n{title}; ms, and time over that of {ours}")
    print(
        f"{'mode':<10}{'nodes':>6}  {'task':<15}"
        + "".join(f"{name:>12}" for name in names)
        + "".join(f"{'/ ' + ours:>12}" for _ in others)
    )


def main(config: Config) -> None:
    """Measures, prints, writes."""
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # it takes many flows in one process for retracing
    results: dict = {"config": dataclasses.asdict(config) | {"out": str(config.out)}}
    results["cpu"] = platform.processor() or platform.machine()
    if "peers" in config.parts:
        peers = {"ours": our_realnvp, "tfp": tfp_realnvp, "zuko": zuko_realnvp}
        header("RealNVP on edgeless graphs", list(peers), "ours")
        results["peers"] = []
        for mode in config.modes:
            for size in config.sizes:
                flows = {
                    name: lambda make=make, size=size, mode=mode: make(config, size, mode)
                    for name, make in peers.items()
                }
                results["peers"] += compare(config, size, mode, flows, "ours")
    if "attention" in config.parts:
        header("GNF with attention", ["dense", "edges"], "dense")
        results["attention"] = []
        for mode in config.modes:
            for size in config.sizes:
                flows = {
                    name: lambda dense=dense, size=size, mode=mode: attention_gnf(
                        config, size, mode, dense=dense
                    )
                    for name, dense in (("dense", True), ("edges", False))
                }
                results["attention"] += compare(config, size, mode, flows, "dense")
    config.out.mkdir(parents=True, exist_ok=True)
    (config.out / "flows.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
