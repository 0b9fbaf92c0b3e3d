"""A flow over the positions of particles: likelihoods and samples against a known energy.

    python -m benchmarks.positions --system lj13

Trains a `PositionFlow` by maximum likelihood on samples of a system with energy U (see
`benchmarks.particles`). Chains for training, validation and test are different ones. The table has
negative log-likelihoods of test samples, in nats: of a Gaussian without the mean whose variance is
fitted; of the flow, as the bounds by 1 and `--num-samples` draws of the auxiliary vectors; and the
least possible one, the entropy of the system, which is log Z + E[U] with log Z from annealing. Then
the energies of samples, and the effective sample size (ESS) of importance weights of samples for
exp(-U), jointly with their auxiliary vectors. Results, model and a plot are written to `--out`.
"""

import dataclasses
import json
import math
import pathlib
import time
from typing import Literal

import numpy as np
import tensorflow as tf
import tyro

import gnf_tf
from benchmarks import particles
from gnf_tf import graphs, models, training


@dataclasses.dataclass(frozen=True)
class Config:
    """Likelihoods and samples of a flow over positions."""

    system: Literal["lj13", "dw4"] = "lj13"
    """13 Lennard-Jones particles in space, or 4 particles with a double well in the plane"""
    chains: int = 1000
    """number of chains; 80 % are for training, 10 % for validation and 10 % for test"""
    rounds: int = 50
    """number of samples of each chain"""
    epochs: int = 5
    """number of passes over the training samples"""
    learning_rate: float = 2e-3
    """peak learning rate"""
    num_steps: int = 10
    """number of steps of the flow"""
    width: int = 32
    """width of its messages"""
    num_samples: int = 20
    """number of draws of the auxiliary vectors for the tighter bound"""
    num_test: int = 2000
    """number of test samples, and of samples of the flow"""
    seed: int = 0
    """seed of the chains, of the training and of the samples"""
    out: pathlib.Path = pathlib.Path("benchmarks/results")
    """folder for positions_SYSTEM.json, .png and .npz"""


def to_graph(positions: np.ndarray) -> graphs.GraphsTuple:
    """[num_graphs, num_particles, dimension] as graphs in which each node sends to all others."""
    count, size, dimension = positions.shape
    pairs = np.stack(np.nonzero(~np.eye(size, dtype=bool)))
    starts = size * np.arange(count)[:, np.newaxis]
    senders, receivers = ((starts + row).reshape(-1).astype(np.int32) for row in pairs)
    return graphs.GraphsTuple(
        nodes=tf.constant(positions.reshape(-1, dimension), tf.float32),
        edges=tf.zeros([len(senders), 0]),
        globals=tf.zeros([count, 0]),
        senders=tf.constant(senders),
        receivers=tf.constant(receivers),
        n_node=tf.fill([count], size),
        n_edge=tf.fill([count], size * (size - 1)),
    )


def gaussian_nll(train: np.ndarray, test: np.ndarray) -> float:
    """Mean NLL of `test` by a Gaussian without the mean, of the variance of `train`."""
    degrees = test.shape[2] * (test.shape[1] - 1)
    variance, square = (
        float(np.square(x).sum(axis=(1, 2), dtype=np.float64).mean()) for x in (train, test)
    )
    variance /= degrees
    return 0.5 * (degrees * math.log(2.0 * math.pi * variance) + square / variance)


def weighted_samples(
    model: models.PositionFlow, system: particles.System, count: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Positions [count, ...] of samples, and log exp(-U(x)) q(a) / p(x, a) of each."""
    shape = (count, system.num_particles, system.dimension)
    joint = model.distribution(to_graph(np.zeros(shape))).sample(seed=seed)
    mean = graphs.mean_nodes(joint.nodes[:, system.dimension :], joint)
    joint = joint.replace(nodes=joint.nodes - tf.concat([mean, mean], axis=-1))
    x = model.scale * joint.nodes[:, system.dimension :].numpy().reshape(shape).astype(np.float64)
    return x, -system.energy(x) - model.log_ratio(joint, {}).numpy()


def evaluate(config: Config, system, model, train, test, log_z) -> tuple[dict, np.ndarray]:
    """The numbers of the table, and samples."""
    graph = to_graph(test)
    bounds = {k: -model.log_prob(graph, num_samples=k, seed=1) for k in (1, config.num_samples)}
    energies = system.energy(test.astype(np.float64))
    chunk = min(500, config.num_test)
    parts = [
        weighted_samples(model, system, chunk, config.seed + i)
        for i in range(config.num_test // chunk)
    ]
    samples, log_w = map(np.concatenate, zip(*parts, strict=True))
    w = np.exp(log_w - log_w.max())
    sampled = system.energy(samples)
    return {
        "gaussian": gaussian_nll(train, test),
        **{f"flow_{k}": float(np.mean(nll)) for k, nll in bounds.items()},
        "standard_error": float(np.std(bounds[config.num_samples]) / math.sqrt(len(test))),
        "entropy": float(log_z + energies.mean()),
        "energy_data": float(np.median(energies)),
        "energy_samples": float(np.median(sampled)),
        "energy_within": float((sampled < energies.max()).mean()),
        "ess": float(w.sum() ** 2 / np.square(w).sum() / len(w)),
        "log_z": log_z,
        "log_z_flow": float(log_w.max() + np.log(w.mean())),
    }, samples


def plot(system, train, test, samples, path: pathlib.Path) -> None:
    """Histograms of energies and of distances: data, samples, and the Gaussian."""
    from matplotlib.figure import Figure

    noise = np.random.default_rng(0).normal(size=test.shape)
    noise -= noise.mean(axis=1, keepdims=True)
    degrees = system.degrees
    noise *= math.sqrt(np.square(train).sum(axis=(1, 2)).mean() / degrees)
    figure = Figure(figsize=(8.0, 3.4))
    axes = figure.subplots(1, 2)
    shown = {"data": test.astype(np.float64), "flow": samples, "Gaussian": noise}
    energies = {name: system.energy(x) for name, x in shown.items()}
    low, high = energies["data"].min(), energies["data"].max()
    bins = np.linspace(low - 0.1 * (high - low), high + 0.5 * (high - low), 60)
    width = bins[1] - bins[0]
    far = np.quantile(system.distances(shown["data"]), 0.999)
    for name, x in shown.items():
        heights = np.histogram(energies[name], bins)[0] / len(x) / width
        axes[0].stairs(heights, bins, label=f"{name} ({(heights * width).sum():.0%} shown)")
        distances = system.distances(x).reshape(-1)
        axes[1].hist(
            distances, np.linspace(0.0, far, 80), density=True, histtype="step", label=name
        )
    axes[0].set(xlabel="energy [kT]", ylabel="density")
    axes[1].set(xlabel="distance of a pair")
    for axis in axes:
        axis.legend()
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def main(config: Config) -> None:
    """Samples, trains, measures, prints, writes."""
    config.out.mkdir(parents=True, exist_ok=True)
    path = config.out / f"positions_{config.system}"
    system = particles.SYSTEMS[config.system]()
    start = time.process_time()
    data = particles.anneal(system, config.chains, config.rounds, seed=config.seed)
    print(
        f"{config.system}: {config.chains} chains, {config.rounds} samples of each, "
        f"{data.acceptance:.0%} accepted, log Z {data.log_z:.2f}, "
        f"{time.process_time() - start:.0f} CPU s",
        flush=True,
    )
    parts = np.split(data.positions, [8 * config.chains // 10, 9 * config.chains // 10], axis=1)
    rng = np.random.default_rng(config.seed)
    flat = (part.reshape(-1, *part.shape[2:]) for part in parts)
    train, validation, test = (
        rng.permutation(part)[:limit]
        for part, limit in zip(flat, (None, 512, config.num_test), strict=True)
    )

    training.set_seed(config.seed)
    model = models.PositionFlow.for_data(
        to_graph(train[:1000]),
        system.dimension,
        models.PositionConfig(num_steps=config.num_steps, width=config.width),
    )
    start, wall = time.process_time(), time.time()
    history = training.fit(
        model,
        to_graph(train),
        to_graph(validation),
        epochs=config.epochs,
        seed=config.seed,
        verbose=2,
        learning_rate=config.learning_rate,
        execution="xla",
    )
    seconds = {"cpu_s": time.process_time() - start, "wall_s": time.time() - wall}
    model.save(f"{path}.npz")
    row, samples = evaluate(config, system, model, train, test, data.log_z)
    row |= seconds | {"weights": history.weights, "validation": history.history["val_loss"]}
    plot(system, train, test, samples, path.with_suffix(".png"))
    results = {"config": dataclasses.asdict(config) | {"out": str(config.out)}, **row}
    path.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")

    k = config.num_samples
    print(f"\n{len(test)} test samples, gnf_tf {gnf_tf.__version__}, {row['cpu_s']:.0f} CPU s")
    print(f"{'NLL [nats]':<34}{'Gaussian':>10}{'flow, 1':>10}{f'flow, {k}':>10}{'entropy':>10}")
    names = ("gaussian", "flow_1", f"flow_{k}", "entropy")
    print(f"{'':<34}" + "".join(f"{row[name]:>10.3f}" for name in names))
    print(f"standard error of flow, {k}: {row['standard_error']:.3f}")
    print(
        f"median energy: data {row['energy_data']:.2f}, samples {row['energy_samples']:.2f}; "
        f"{row['energy_within']:.1%} of samples below the largest energy of the data"
    )
    print(
        f"ESS {row['ess']:.2%}; log Z by annealing {row['log_z']:.2f}, by the flow's samples "
        f"{row['log_z_flow']:.2f}"
    )


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
