"""A flow over the positions of the atoms of molecules: likelihoods and distances.

    python -m benchmarks.molecule_positions

Trains a `PositionFlow` on the molecules of QM9 with `--atoms` atoms, by default the 19 of the
"QM9-positional" task of Satorras et al., "E(n) equivariant normalizing flows", NeurIPS 2021, from
the three splits of QM9. With `--given none` the flow sees positions alone, as in that task; with
`--given elements` it is conditioned on the element of each atom.

The table has negative log-likelihoods of the test molecules, in nats per molecule on the subspace
without the mean, with positions in angstrom: of a Gaussian without the mean whose variance is
fitted, and of the flow, as the bounds by 1 and `--num-samples` draws of the auxiliary vectors. Then
the Jensen-Shannon divergence, in nats, from the distances of pairs in test molecules to those in
samples (and of the Gaussian, and in validation molecules), and the share of samples in which no two
atoms are nearer than in any training molecule.

A run stays in `--run-dir`, so that the same command resumes it; results and a plot are written to
`--out`.
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
from scipy.spatial.distance import jensenshannon, pdist

import gnf_tf
from benchmarks.positions import gaussian_nll, to_graph
from gnf_tf import datasets, models, training
from gnf_tf.graphs import GraphsTuple

ELEMENTS = (1, 6, 7, 8, 9)
Part = tuple[np.ndarray, np.ndarray]  # positions without means, atomic numbers; see `load`
BINS = np.linspace(0.0, 12.0, 241)  # of distances, in angstrom


@dataclasses.dataclass(frozen=True)
class Config:
    """Likelihoods and samples of a flow over the positions of atoms."""

    atoms: int = 19
    """number of atoms of the molecules"""
    given: Literal["none", "elements"] = "none"
    """what the density is conditioned on"""
    epochs: int = 20
    """number of passes over the training molecules"""
    learning_rate: float = 1e-3
    """peak learning rate"""
    num_steps: int = 10
    """number of steps of the flow"""
    width: int = 32
    """width of its messages"""
    num_samples: int = 20
    """number of draws of the auxiliary vectors for the tighter bound"""
    num_test: int | None = None
    """number of test molecules, and of samples; all by default"""
    seed: int = 0
    """seed of the training and of the samples; the split is that of seed 0"""
    run_dir: pathlib.Path = pathlib.Path("runs/molecule_positions")
    """folder of the run"""
    out: pathlib.Path = pathlib.Path("benchmarks/results")
    """folder for molecule_positions_GIVEN.json and .png"""


def load(split: Literal["train", "validation", "test"], config: Config) -> Part:
    """Positions [num_molecules, atoms, 3] without their means, and elements [..., atoms]."""
    molecules = datasets.qm9(split)
    molecules = molecules.select(molecules.n_atoms == config.atoms)
    positions = molecules.positions.reshape(-1, config.atoms, 3).astype(np.float64)
    numbers = molecules.atomic_numbers.reshape(-1, config.atoms)
    return positions - positions.mean(axis=1, keepdims=True), numbers


def with_given(part: Part, config: Config) -> GraphsTuple:
    """Fully connected graphs with nodes [position, one-hot element] or [position]."""
    positions, numbers = part
    graph = to_graph(positions)
    if config.given == "none":
        return graph
    elements = numbers.reshape(-1, 1) == np.array(ELEMENTS)
    return graph.replace(nodes=tf.concat([graph.nodes, elements.astype(np.float32)], axis=-1))


def distances(positions: np.ndarray) -> np.ndarray:
    """[num_molecules, num_pairs], in angstrom."""
    return np.stack([pdist(x) for x in positions])


def divergence(first: np.ndarray, second: np.ndarray) -> float:
    """The Jensen-Shannon divergence of histograms of two sets of distances, in nats."""
    p, q = (np.histogram(np.minimum(x, BINS[-1]), BINS)[0] for x in (first, second))
    return float(jensenshannon(p, q) ** 2)  # SciPy returns its square root


def plot(shown: dict[str, np.ndarray], path: pathlib.Path) -> None:
    """Densities of all distances, and of the smallest of each molecule."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 3.4))
    axes = figure.subplots(1, 2)
    for name, values in shown.items():
        style = {"density": True, "histtype": "step", "label": name}
        axes[0].hist(values.reshape(-1), np.linspace(0.0, 8.0, 161), **style)
        axes[1].hist(values.min(axis=1), np.linspace(0.0, 1.5, 76), **style)
    axes[0].set(xlabel="distance of a pair [angstrom]", ylabel="density")
    axes[1].set(xlabel="smallest distance of a molecule [angstrom]")
    for axis in axes:
        axis.legend()
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def evaluate(
    config: Config, model: models.PositionFlow, train: Part, validation: Part, test: Part
) -> tuple[dict, dict]:
    """The numbers of the table, and the distances of the plot."""
    graph = with_given(test, config)
    bounds = {k: -model.log_prob(graph, num_samples=k, seed=1) for k in (1, config.num_samples)}
    sampled = model.sample(graph, seed=config.seed).nodes[:, :3].numpy().reshape(test[0].shape)
    noise = np.random.default_rng(0).normal(size=test[0].shape)
    noise -= noise.mean(axis=1, keepdims=True)
    noise *= math.sqrt(np.square(train[0]).sum(axis=(1, 2)).mean() / (3 * (config.atoms - 1)))
    shown = {
        name: distances(x)
        for name, x in (("data", test[0]), ("flow", sampled), ("Gaussian", noise))
    }
    nearest = distances(train[0]).min()
    return {
        "gaussian": gaussian_nll(train[0], test[0]),
        **{f"flow_{k}": float(np.mean(nll)) for k, nll in bounds.items()},
        "standard_error": float(np.std(bounds[config.num_samples]) / math.sqrt(len(test[0]))),
        "js_flow": divergence(shown["data"], shown["flow"]),
        "js_gaussian": divergence(shown["data"], shown["Gaussian"]),
        "js_validation": divergence(shown["data"], distances(validation[0])),
        "apart_flow": float((shown["flow"].min(axis=1) >= nearest).mean()),
        "apart_gaussian": float((shown["Gaussian"].min(axis=1) >= nearest).mean()),
        "nearest_in_training": float(nearest),
    }, shown


def main(config: Config) -> None:
    """Trains, measures, prints, writes."""
    config.out.mkdir(parents=True, exist_ok=True)
    path = config.out / f"molecule_positions_{config.given}"
    train, validation, test = (load(split, config) for split in ("train", "validation", "test"))
    test = (test[0][: config.num_test], test[1][: config.num_test])
    print(
        f"{len(train[0])} training, {len(validation[0])} validation, {len(test[0])} test molecules"
    )
    training.set_seed(config.seed)
    graphs = [with_given(part, config) for part in (train, validation)]
    settings = models.PositionConfig(num_steps=config.num_steps, width=config.width)
    model = models.PositionFlow.for_data(graphs[0], 3, settings)
    start, wall = time.process_time(), time.time()
    history = training.fit(
        model,
        *graphs,
        epochs=config.epochs,
        seed=config.seed,
        folder=config.run_dir,
        verbose=2,
        learning_rate=config.learning_rate,
        execution="xla",
    )
    seconds = {"cpu_s": time.process_time() - start, "wall_s": time.time() - wall}
    row, shown = evaluate(config, model, train, validation, test)
    row |= seconds | {"weights": history.weights, "validation": history.history["val_loss"]}
    plot(shown, path.with_suffix(".png"))
    options = {k: str(v) if isinstance(v, pathlib.Path) else v for k, v in vars(config).items()}
    path.with_suffix(".json").write_text(json.dumps({"config": options, **row}, indent=1) + "\n")
    print(f"\n| test NLL [nats] | Gaussian | flow, 1 draw | {config.num_samples} draws |")
    print("| --- | ---: | ---: | ---: |")
    print(
        f"| given {config.given} | {row['gaussian']:.2f} | {row['flow_1']:.2f} "
        f"| {row[f'flow_{config.num_samples}']:.2f} +- {row['standard_error']:.2f} |"
    )
    print(
        f"JS divergence of distances: flow {row['js_flow']:.4f}, "
        f"Gaussian {row['js_gaussian']:.4f}, validation molecules {row['js_validation']:.4f}; "
        f"no pair too near: flow {row['apart_flow']:.1%}, Gaussian {row['apart_gaussian']:.1%}; "
        f"{row['cpu_s']:.0f} CPU s"
    )
    print(f"TensorFlow {tf.__version__}, gnf_tf {gnf_tf.__version__}")


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
