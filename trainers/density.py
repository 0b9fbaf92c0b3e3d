"""Densities of sets of points, GNF against RealNVP and against the data's own entropy (5.1).

    python trainers/density.py                                       # quick, on MOG
    python trainers/density.py --dataset half_moons_6 --preset best --seeds 0 1 2
    python trainers/density.py --model realnvp                       # nodes are independent

Run it again to go on after an interruption, or to print a finished run's table again.
"""

import dataclasses
import pathlib
import sys
from typing import Annotated, Literal

if __name__ == "__main__":  # a script's own folder is on the path, its project's is not
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
    import trainers  # noqa: F401  # TensorFlow, quietly

import numpy as np
import tensorflow as tf
import tyro
from graph_nets import utils_tf

from gnf_tf import datasets, plots
from trainers import common, options, training
from trainers.density_model import SetDensity

# Table 2 of the paper.
PAPER = {
    ("mog", "gnf"): 3.6,
    ("mog_ring", "gnf"): 4.2,
    ("half_moons_6", "gnf"): -1.7,
    ("mog", "realnvp"): 4.2,
    ("mog_ring", "realnvp"): 5.2,
    ("half_moons_6", "realnvp"): -1.2,
}
# Fewer where the exact density of a set is a sum over 2^20 subsets; the spread is tiny there.
FLOOR_SAMPLES = {"half_moons_6_10_20": 20}
EXACT_SETS = {"half_moons_6_10_20": 150}  # held-out sets compared with their exact density
# Seeds of sets that no training step sees: those of training are positive.
VALIDATION, TEST, FIGURES = -1, -2, -3
TEST_CHUNK = 1000  # sets in one call


@dataclasses.dataclass(frozen=True)
class Config:
    """Options; each has the preset's value unless given."""

    preset: Literal["quick", "paper", "best"] = "quick"
    """quick: minutes on 2 cores; paper: section 5.1; best: under half an hour on one core"""
    dataset: Literal["mog", "mog_ring", "half_moons_6", "mog_4_9", "half_moons_6_10_20"] = "mog"
    """the last two mix sets of several sizes"""
    model: Literal["gnf", "realnvp"] = "gnf"
    """realnvp is the same flow on edgeless graphs, its networks without attention"""
    seeds: options.Seeds = (0,)
    """of the initial weights and the training sets; one model each, trained in turn"""
    steps: options.Count = 3_000
    """training steps, each on fresh sets"""
    epochs: options.Count = 10
    """parts of the training, each followed by a validation"""
    batch_size: options.Count = 64
    """sets a step"""
    validation_sets: options.AtLeast2 = 2_000
    """sets of each validation, always the same"""
    test_sets: options.AtLeast2 = 10_000
    """held-out sets"""
    num_steps: options.Count = 6
    """steps of the flow, each two couplings"""
    conditioner: Literal["attention", "transformer"] = "transformer"
    """networks of the couplings: the paper's AttentionBlock, or GraphTransformer"""
    width: options.Count = 64
    """of the networks"""
    num_blocks: options.Count = 1
    """of the transformer; hidden layers of the other"""
    num_heads: options.Count = 4
    """of the attention"""
    key_size: options.Count = 10
    """of keys, queries and values of AttentionBlock"""
    coupling: Literal["affine", "spline"] = "spline"
    """how features are transformed: the paper's equation 3, or rational-quadratic splines"""
    num_bins: options.AtLeast2 = 16
    """of the splines"""
    normalization: Literal["act_norm", "batch_norm", "none"] = "batch_norm"
    """before each step of the flow"""
    mean_scaling: bool = True
    """scale the mean of each set before each step of the flow; realnvp can't have it"""
    mixing: bool = True
    """an invertible linear map of the features before each step of the flow"""
    learning_rate: options.Positive = 2e-3
    """highest rate of Adam; it rises for 5 % of the steps, then falls to 0 as a cosine"""
    beta_2: options.Share = 0.99
    """of Adam"""
    clip_norm: options.Positive = 1.0
    """gradients are scaled down to this global norm"""
    averaging: options.Share = 0.999
    """decay of the exponential average of the weights; 0: none"""
    memory: Literal["reversible", "stored"] = "stored"
    """how the gradient gets its activations; sets are small, and storing them is faster"""
    steps_per_call: options.Count = 10
    """training steps in one call of the compiled program"""
    checkpoint_minutes: options.NotNegative = 5.0
    """longest time between checkpoints, which every epoch ends with too"""
    jit: bool = True
    """compile the training step with XLA"""
    run_dir: Annotated[pathlib.Path | None, tyro.conf.arg(metavar="PATH")] = None
    """folder of checkpoints, TensorBoard and results; default: runs/density-..."""


PRESETS = {
    "quick": Config(),
    "paper": Config(
        preset="paper",
        steps=15_000,
        epochs=30,
        batch_size=32,
        num_steps=12,
        conditioner="attention",
        width=256,
        num_blocks=4,
        num_heads=8,
        coupling="affine",
        mean_scaling=False,
        mixing=False,
        learning_rate=1e-4,
        beta_2=0.9,
        averaging=0.0,
    ),
    "best": Config(
        preset="best", steps=28_000, epochs=40, num_steps=8, width=48, learning_rate=3e-3
    ),
}


def resolve(config: Config) -> Config:
    """Checks the options and fills in those that follow from others.

    Raises:
      UserError: naming the option, its value and what was expected.
    """
    config = options.checked(config)
    if config.steps % (config.epochs * config.steps_per_call):
        raise common.UserError(
            f"--steps must be a multiple of --epochs x --steps-per-call, "
            f"{config.epochs} x {config.steps_per_call}, got {config.steps}"
        )
    if config.conditioner == "transformer" and config.width % config.num_heads:
        raise common.UserError(
            f"--width must be a multiple of --num-heads, {config.num_heads}, got {config.width}"
        )
    run_dir = config.run_dir or pathlib.Path("runs") / (
        f"density-{config.dataset}-{config.preset}-{config.model}"
    )
    return dataclasses.replace(config, run_dir=run_dir)


def make_model(config: Config, seed: int) -> SetDensity:
    """The compiled model, its variables made."""
    model = SetDensity(config, datasets.POINT_SETS[config.dataset], seed)
    optimizer = training.cosine_adam(
        config.learning_rate, config.steps, clip_norm=config.clip_norm, beta_2=config.beta_2
    )
    model.compile(optimizer=optimizer, jit_compile=config.jit)
    model.optimizer.build(model.gnf.trainable_variables)
    return model


def sets_figure(model: SetDensity, num_sets: int = 1000, shown: int = 8):
    """Data beside samples, as the paper's figure 2."""
    seed = (0, FIGURES)
    data = model.sets.sample(num_sets, seed=seed, edges=model.edges)
    sample = model.flow(data).sample(seed=seed)
    panels = {}
    for title, graph in (("data", data), ("samples", sample)):
        nodes = graph.nodes.numpy()
        ends = np.cumsum(graph.n_node)[: shown - 1]
        panels[title] = (nodes, np.split(nodes[: sum(graph.n_node.numpy()[:shown])], ends))
    return plots.point_sets(panels)


def train_and_evaluate(config: Config, seed: int) -> dict:
    """Trains, or goes on training, one model; returns what its results.json holds."""
    folder = training.open_seed(config, seed)
    results_path = folder / "results.json"
    if results_path.exists():
        return common.read_json(results_path)
    model = make_model(config, seed)
    steps_per_epoch = config.steps // config.epochs
    state = training.TrainingState(
        folder,
        model,
        steps_per_epoch=steps_per_epoch,
        patience=config.epochs,
        save_seconds=60.0 * config.checkpoint_minutes,
        steps_per_batch=config.steps_per_call,
    )
    weights = sum(int(tf.size(v)) for v in model.gnf.trainable_variables)
    print(f"{config.dataset}, seed {seed}: {weights} weights; run folder {folder}")

    validation_stream = tf.data.Dataset.from_tensors(tf.constant([0, VALIDATION]))
    few = model.sets.sample(200, seed=(0, VALIDATION), edges=model.edges)

    def figures() -> None:
        with model.averaged():
            tf.summary.scalar("reconstruction_error", model.reconstruction_error(few))
            for i, log_det in enumerate(model.log_dets(few)):
                name = model.gnf.steps[i].name
                tf.summary.histogram(f"log_det_per_node/{i:02d}_{name}", log_det)
            tf.summary.image("sets", plots.to_image(sets_figure(model)))

    training.fit(
        model,
        seed_stream(config, state.next_epoch).skip,
        state,
        epochs=config.epochs,
        validation_data=validation_stream,
        callbacks=[training.Scalars(folder, config, figures)],
    )
    state.restore_best()
    with model.averaged():
        likelihood = held_out(model, config)
        reconstruction_error = model.reconstruction_error(few)
        sets_figure(model).savefig(folder / "sets.png", dpi=110)
    curves = {"training": "loss", "validation": "val_loss"}
    plots.loss_curves(
        {label: [epoch[name] for epoch in state.history] for label, name in curves.items()},
        ylabel="NLL per node [nats]",
        yscale="linear",
    ).savefig(folder / "loss.png", dpi=110)
    results = {
        **likelihood,
        "test_sets": config.test_sets,
        "weights": weights,
        "training_seconds": float(state.seconds),
        "best_validation_nll": float(state.best),
        "reconstruction_error": reconstruction_error,
        **common.environment(),
    }
    return common.write_json(results_path, results)


def seed_stream(config: Config, first_epoch: int) -> tf.data.Dataset:
    """Seeds of the training steps, [steps_per_call] at a time; the k-th iteration is an epoch."""
    steps_per_epoch = config.steps // config.epochs
    epoch = first_epoch - 1

    def one_epoch():
        nonlocal epoch
        epoch += 1
        first = 1 + epoch * steps_per_epoch
        for start in range(first, first + steps_per_epoch, config.steps_per_call):
            yield np.arange(start, start + config.steps_per_call, dtype=np.int32)

    stream = tf.data.Dataset.from_generator(
        one_epoch, output_signature=tf.TensorSpec([config.steps_per_call], tf.int32)
    )
    num_calls = steps_per_epoch // config.steps_per_call
    return stream.apply(tf.data.experimental.assert_cardinality(num_calls)).prefetch(2)


def held_out(model: SetDensity, config: Config) -> dict[str, float]:
    """NLL per node on sets that training never sees, and how far above the least it is.

    The latter from the sets' exact density, over the same sets, so that its error is far below
    that of the NLL.
    """
    log_prob = tf.function(model.log_prob, jit_compile=model.jit_compile, autograph=False)
    exact = datasets.log_prob if config.model == "gnf" else datasets.independent_log_prob
    exact_sets = EXACT_SETS.get(config.dataset, config.test_sets)
    n_node, log_probs, exact_log_probs = [], [], []
    for start in range(0, config.test_sets, TEST_CHUNK):
        graph = model.sets.sample(
            min(TEST_CHUNK, config.test_sets - start), seed=(start, TEST), edges=model.edges
        )
        n_node.append(graph.n_node)
        log_probs.append(log_prob(graph))
        if start < exact_sets:
            first = utils_tf.get_graph(graph, slice(0, exact_sets - start))
            exact_log_probs.append(exact(model.sets, first))
    n_node = np.concatenate(n_node)
    log_probs = np.concatenate(log_probs).astype(np.float64)
    exact_log_probs = np.concatenate(exact_log_probs)
    nll, error = _per_node(-log_probs, n_node)
    known = slice(len(exact_log_probs))
    above, above_error = _per_node(exact_log_probs - log_probs[known], n_node[known])
    return {
        "nll": nll,
        "standard_error": error,
        "above_floor": above,
        "above_floor_error": above_error,
    }


def _per_node(values, n_node):
    """A sum over sets by that of their nodes, with its standard error."""
    mean = values.sum() / n_node.sum()
    rest = values - mean * n_node
    return float(mean), float(rest.std(ddof=1) / n_node.mean() / np.sqrt(len(values)))


def summarize(config: Config, results: list[dict]) -> dict:
    """What the results.json of all seeds together holds: nats per node, and the floors."""
    sets = datasets.POINT_SETS[config.dataset]
    floor = datasets.nll_floor(sets, FLOOR_SAMPLES.get(config.dataset, 2000))
    independent = datasets.independent_floor(sets)
    several = len(results) > 1

    def over_seeds(name, error_of_one):
        values = np.array([r[name] for r in results], float)
        if several:
            return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
        return float(values.mean()), results[0][error_of_one]

    nll, error = over_seeds("nll", "standard_error")
    above, above_error = over_seeds("above_floor", "above_floor_error")
    return {
        "dataset": config.dataset,
        "model": config.model,
        "preset": config.preset,
        "seeds": list(config.seeds),
        "nll": nll,
        "error": error,
        "above_floor": above,
        "above_floor_error": above_error,
        "error_over": "seeds" if several else "test sets",
        "floor": floor.value,
        "floor_error": floor.error,
        "independent_floor": independent.value,
        "independent_floor_error": independent.error,
        "paper": PAPER.get((config.dataset, config.model)),
        "runs": results,
    }


def table(summary: dict) -> str:
    """The results as text."""
    lines = [f"{'seed':>6}{'NLL':>10}{'+-':>9}{'above':>9}{'+-':>9}{'seconds':>9}"]
    for seed, run in zip(summary["seeds"], summary["runs"], strict=True):
        run = {name: common.number(value) for name, value in run.items()}
        lines.append(
            f"{seed:>6}{run['nll']:>10.4f}{run['standard_error']:>9.4f}"
            f"{run['above_floor']:>9.4f}{run['above_floor_error']:>9.4f}"
            f"{run['training_seconds']:>9.0f}"
        )
    paper = "not in the paper" if summary["paper"] is None else f"paper {summary['paper']}"
    summary = {name: common.number(value) for name, value in summary.items()}
    lines += [
        f"{summary['dataset']}, {summary['model']}: {summary['nll']:.4f} +- {summary['error']:.4f} "
        f"nats per node (over {summary['error_over']}; {paper})",
        f"floor of exchangeable densities {summary['floor']:.4f} +- {summary['floor_error']:.4f}, "
        f"of independent nodes {summary['independent_floor']:.4f} +- "
        f"{summary['independent_floor_error']:.4f}",
        f"above this model's floor, set by set: {summary['above_floor']:.4f} +- "
        f"{summary['above_floor_error']:.4f}",
    ]
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    config = resolve(common.parse(PRESETS, "quick", __doc__))
    results = [train_and_evaluate(config, seed) for seed in config.seeds]
    summary = summarize(config, results)
    summary = common.write_json(config.run_dir / "results.json", summary)
    print(f"\n{config.test_sets} held-out sets")
    print(table(summary))
    print(f"curves and figures: tensorboard --logdir {config.run_dir}")


if __name__ == "__main__":
    common.run(main)
