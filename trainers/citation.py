"""Citation networks: classes of papers from few labels, in a graph taken whole (4, table 1).

    python trainers/citation.py                                     # quick, on Cora
    python trainers/citation.py --dataset pubmed --preset best
    python trainers/citation.py --split one_percent --preset paper --model neumann_rbp

Run it again to go on after an interruption, or to print a finished run's table again.
"""

import dataclasses
import os
import pathlib
import sys
from typing import Annotated, Literal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's own chatter, not its errors

import numpy as np
import tensorflow as tf
import tf_keras
import tyro
from tensorboard.plugins import projector

if __name__ == "__main__":  # a script's own folder is on the path, its project's is not
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from gnf_tf import datasets, plots
from gnf_tf.datasets import CitationNetwork
from trainers import common, training
from trainers.citation_model import NodeClassifier

# Table 1 of the paper, test accuracy in percent: GNN, GRevNet, Neumann RBP. Citeseer isn't in it.
PAPER = {
    ("cora", "public"): (71.9, 74.5, 56.5),
    ("cora", "one_percent"): (55.5, 55.8, 54.6),
    ("pubmed", "public"): (76.3, 76.0, 62.4),
    ("pubmed", "one_percent"): (76.6, 77.0, 58.5),
}
MODELS = ("gnn", "grevnet", "neumann_rbp")
# Options that change no number: a run may be resumed with others.
PLACES = ("run_dir", "checkpoint_minutes")
# Steps of message passing up to which unrolling them in a graph doesn't take minutes.
MAX_UNROLLED = 32


@dataclasses.dataclass(frozen=True)
class Config:
    """Options; each has the preset's value unless given."""

    preset: Literal["quick", "paper", "best"] = "quick"
    """quick: a minute on 2 cores; paper: section 7.1.2; best: chosen by validation on Cora"""
    dataset: Literal["cora", "citeseer", "pubmed"] = "cora"
    """a citation network, part of the package"""
    split: Literal["public", "one_percent"] = "public"
    """20 labels a class; or 1 % to train, 49 % to test, 50 % to validate, drawn by the seed"""
    model: Literal["grevnet", "gnn", "neumann_rbp"] = "grevnet"
    """gnn: the identical network with stored activations; neumann_rbp: to a fixed point"""
    memory: Literal["reversible", "stored"] | None = None
    """how the gradient gets its activations; default: reversible for grevnet, stored for gnn"""
    seeds: tuple[int, ...] = (0,)
    """of the initial weights, dropout, and the split if drawn; one model each, in turn"""
    steps: int = 200
    """training steps at most, each on the whole graph"""
    steps_per_epoch: int = 5
    """training steps between two validations"""
    num_steps: int | None = None
    """steps of message passing; default: the preset's, 100 for neumann_rbp"""
    node_size: int | None = 64
    """width to which the words are embedded; None: they stay as they are, as in the paper's code"""
    conditioner: Literal["diffusion", "convolution", "messages"] = "diffusion"
    """networks of the couplings: GraphConvolution, diagonal or full, or the paper's messages"""
    message_size: int = 64
    """width of the messages"""
    coupling: Literal["affine", "additive"] = "additive"
    """affine: the paper's equation 3; additive: the authors' code"""
    share_weights: bool = False
    """all steps of message passing share their networks"""
    batch_norm: bool | None = None
    """before each step of message passing; default: beyond 20 of them, as in the paper"""
    head_layers: Literal[1, 2] = 1
    """of the classifier; 2: the first has twice as many units as classes, as the paper's code"""
    dropout: float = 0.6
    """of the networks' inputs and the classifier's"""
    feature_dropout: float = 0.8
    """of the words"""
    optimizer: Literal["adam", "momentum"] | None = None
    """momentum: SGD with momentum 0.9; default: adam, for the paper's neumann_rbp momentum"""
    learning_rate: float | None = None
    """constant; default: the preset's, 1e-3 for the paper's neumann_rbp"""
    l2: float = 5e-4
    """weight of half the sum of squares of all weights"""
    l2_embedding: float | None = 5e-3
    """in place of `l2` for the embedding of the words; None: the same"""
    clip_norm: float = 4.0
    """gradients are scaled down to this global norm"""
    averaging: float = 0.0
    """decay of the exponential average of the weights; 0: none"""
    select: Literal["accuracy", "loss"] = "accuracy"
    """the best weights are those of the best validation accuracy, then loss; or of the loss"""
    patience: int = 20
    """epochs without better weights before stopping"""
    checkpoint_minutes: float = 5.0
    """longest time between checkpoints, which every epoch ends with too"""
    execution: Literal["xla", "function", "eager"] | None = None
    """how a training step runs; default: function up to 32 steps of message passing, else eager"""
    run_dir: Annotated[pathlib.Path | None, tyro.conf.arg(metavar="PATH")] = None
    """folder of checkpoints, TensorBoard and results; default: runs/citation-..."""


PRESETS = {
    "quick": Config(),
    # What section 7.1.2 leaves open is our reading: an embedding of 64 in place of a state as wide
    # as the words (--node-size None --message-size 800 on a GPU, for the authors' code), weights
    # shared as there, and when to stop.
    "paper": Config(
        preset="paper",
        steps=4_000,
        steps_per_epoch=20,
        conditioner="messages",
        share_weights=True,
        head_layers=2,
        dropout=0.0,
        feature_dropout=0.0,
        l2=1e-3,
        l2_embedding=None,
        patience=50,
    ),
    "best": Config(preset="best", seeds=(0, 1, 2), steps=400),
}
NUM_STEPS = {"quick": 5, "paper": 4, "best": 5}
LEARNING_RATE = {"quick": 5e-3, "paper": 1e-4, "best": 5e-3}


def resolve(config: Config) -> Config:
    """Checks the options and fills in those that follow from others.

    Raises:
      UserError: naming the option, its value and what was expected.
    """
    is_rbp = config.model == "neumann_rbp"
    default = {"grevnet": "reversible", "gnn": "stored", "neumann_rbp": "reversible"}
    memory = config.memory or default[config.model]
    if memory != default[config.model] and config.model != "grevnet":
        raise common.UserError(
            f"--model {config.model} has --memory {default[config.model]} by definition, "
            f"got {memory!r}"
        )
    as_paper = is_rbp and config.preset == "paper"
    num_steps = config.num_steps
    if num_steps is None:
        num_steps = 100 if is_rbp else NUM_STEPS[config.preset]
    rate = config.learning_rate
    if rate is None:
        rate = 1e-3 if as_paper else LEARNING_RATE[config.preset]
    config = dataclasses.replace(
        config,
        memory=memory,
        num_steps=num_steps,
        batch_norm=num_steps > 20 and not is_rbp
        if config.batch_norm is None
        else config.batch_norm,
        optimizer=config.optimizer or ("momentum" if as_paper else "adam"),
        learning_rate=rate,
        l2_embedding=config.l2 if config.l2_embedding is None else config.l2_embedding,
        # The steps of neumann_rbp are a loop, those of the others are unrolled.
        execution=config.execution
        or ("function" if is_rbp or num_steps <= MAX_UNROLLED else "eager"),
        run_dir=config.run_dir
        or pathlib.Path("runs")
        / f"citation-{config.dataset}-{config.split}-{config.preset}-{config.model}",
    )
    for name in ("steps", "steps_per_epoch", "num_steps", "node_size", "message_size", "patience"):
        value = getattr(config, name)
        if value is not None and value < 1:
            raise common.UserError(f"--{name.replace('_', '-')} must be at least 1, got {value}")
    for name in ("l2", "l2_embedding"):
        if not getattr(config, name) >= 0:
            raise common.UserError(
                f"--{name.replace('_', '-')} must be at least 0, got {getattr(config, name)}"
            )
    for name in ("dropout", "feature_dropout", "averaging"):
        if not 0.0 <= getattr(config, name) < 1.0:
            raise common.UserError(
                f"--{name.replace('_', '-')} must be in [0, 1), got {getattr(config, name)}"
            )
    for name in ("learning_rate", "clip_norm"):
        if not getattr(config, name) > 0:
            raise common.UserError(
                f"--{name.replace('_', '-')} must be positive, got {getattr(config, name)}"
            )
    if config.steps % config.steps_per_epoch:
        raise common.UserError(
            f"--steps must be a multiple of --steps-per-epoch, {config.steps_per_epoch}, "
            f"got {config.steps}"
        )
    if config.conditioner == "diffusion" and config.coupling != "additive" and not is_rbp:
        raise common.UserError(
            f"--conditioner diffusion needs --coupling additive, got {config.coupling!r}"
        )
    if is_rbp and config.batch_norm:
        raise common.UserError("--batch-norm is not for --model neumann_rbp")
    common.check_seeds(config.seeds)
    return config


def load(config: Config, seed: int) -> CitationNetwork:
    """The network with its three sets."""
    return getattr(datasets, config.dataset)(config.split, seed=seed)


def make_model(config: Config, network: CitationNetwork, seed: int) -> NodeClassifier:
    """The compiled model, its variables made."""
    model = NodeClassifier(config, network, seed)
    options = {"global_clipnorm": config.clip_norm, "jit_compile": False}
    if config.optimizer == "adam":
        optimizer = tf_keras.optimizers.Adam(config.learning_rate, **options)
    else:
        optimizer = tf_keras.optimizers.SGD(config.learning_rate, momentum=0.9, **options)
    model.compile(
        optimizer=optimizer,
        jit_compile=config.execution == "xla",
        run_eagerly=config.execution == "eager",
    )
    optimizer.build(model.trainable_variables)
    return model


def train_and_evaluate(config: Config, seed: int) -> dict:
    """Trains, or goes on training, one model; returns what its results.json holds."""
    folder = config.run_dir / f"seed{seed}"
    common.open_run(folder, dataclasses.replace(config, seeds=(seed,)), places=PLACES)
    results_path = folder / "results.json"
    if results_path.exists():
        return common.read_json(results_path)
    tf_keras.utils.set_random_seed(seed)
    network = load(config, seed)
    model = make_model(config, network, seed)
    state = training.TrainingState(
        folder,
        model,
        steps_per_epoch=config.steps_per_epoch,
        patience=config.patience,
        save_seconds=60.0 * config.checkpoint_minutes,
        monitor="val_criterion",
    )
    weights = sum(int(tf.size(v)) for v in model.trainable_variables)
    counts = [part.sum() for part in (network.train, network.validation, network.test)]
    print(
        f"{config.dataset}, seed {seed}: {counts[0]} training, {counts[1]} validation, {counts[2]} "
        f"test nodes; {weights} weights; run folder {folder}"
    )
    if state.next_epoch or state.done_steps:
        print(f"resuming after epoch {state.next_epoch}, step {state.done_steps}")

    def diagnostics() -> None:
        for name, value in model.diagnostics().items():
            tf.summary.scalar(name, value)

    step = tf.data.Dataset.from_tensors(0)
    training.fit(
        model,
        step.repeat(config.steps_per_epoch),
        state,
        epochs=config.steps // config.steps_per_epoch,
        validation_data=step,
        callbacks=[training.Scalars(folder, config, diagnostics)],
    )
    state.restore_best()
    with model.averaged():
        results = evaluate(model, folder) | model.diagnostics()
    curves = {"training": "loss", "validation": "val_loss"}
    plots.loss_curves(
        {label: [epoch[name] for epoch in state.history] for label, name in curves.items()},
        ylabel="cross entropy [nats]",
        yscale="linear",
    ).savefig(folder / "loss.png", dpi=110)
    results |= {
        "weights": weights,
        "epochs": state.next_epoch,
        "training_seconds": float(state.seconds),
        **common.environment(),
    }
    common.write_json(results_path, results)
    return results


def evaluate(model: NodeClassifier, folder: pathlib.Path) -> dict:
    """Accuracies and the test set's confusion matrix, which go to the folder's TensorBoard too."""
    network = model.network
    state = model.state()
    logits = model.logits(state)
    predicted = tf.argmax(logits, axis=-1).numpy()
    confusion = np.zeros([network.num_classes, network.num_classes], int)
    np.add.at(confusion, (network.labels[network.test], predicted[network.test]), 1)
    figure = plots.confusion_matrix(confusion)
    figure.savefig(folder / "confusion.png", dpi=110)
    board = folder / "tensorboard"
    writer = tf.summary.create_file_writer(str(board))
    with writer.as_default(step=model.optimizer.iterations):
        tf.summary.image("confusion", plots.to_image(figure))
    writer.close()
    write_projector(board, state.numpy()[network.test], network, predicted)
    validation = model.measures(logits, network.validation)
    return {
        "test_accuracy": float(np.trace(confusion) / confusion.sum()),
        "validation_accuracy": float(validation["accuracy"]),
        "validation_loss": float(validation["loss"]),
        "confusion": confusion.tolist(),
    }


def write_projector(
    board: pathlib.Path, points: np.ndarray, network: CitationNetwork, predicted: np.ndarray
) -> None:
    """What the classes of the test nodes are read from, for TensorBoard's embedding projector."""
    np.savetxt(board / "state.tsv", points, fmt="%.5g", delimiter="\t")
    labels = np.stack([network.labels, predicted])[:, network.test]
    np.savetxt(
        board / "classes.tsv",
        labels.T,
        fmt="%d",
        delimiter="\t",
        header="class\tpredicted",
        comments="",
    )
    config = projector.ProjectorConfig()
    config.embeddings.add(
        tensor_name="test nodes", tensor_path="state.tsv", metadata_path="classes.tsv"
    )
    projector.visualize_embeddings(str(board), config)


def summarize(config: Config, results: list[dict]) -> dict:
    """What the results.json of all seeds together holds; accuracies in percent."""
    accuracies = 100.0 * np.array([run["test_accuracy"] for run in results])
    validation = 100.0 * np.array([run["validation_accuracy"] for run in results])
    paper = PAPER.get((config.dataset, config.split))
    return {
        "dataset": config.dataset,
        "split": config.split,
        "model": config.model,
        "preset": config.preset,
        "seeds": list(config.seeds),
        "accuracy": float(accuracies.mean()),
        "deviation": float(accuracies.std(ddof=1)) if len(results) > 1 else None,
        "validation_accuracy": float(validation.mean()),
        "paper": None if paper is None else paper[MODELS.index(config.model)],
        "runs": results,
    }


def table(summary: dict) -> str:
    """The results as text."""
    lines = [f"{'seed':>6}{'test %':>9}{'validation %':>14}{'epochs':>8}{'seconds':>9}"]
    for seed, run in zip(summary["seeds"], summary["runs"], strict=True):
        lines.append(
            f"{seed:>6}{100 * run['test_accuracy']:>9.1f}{100 * run['validation_accuracy']:>14.1f}"
            f"{run['epochs']:>8}{run['training_seconds']:>9.0f}"
        )
    deviation = summary["deviation"]
    spread = "" if deviation is None else f" +- {deviation:.1f} (deviation of a seed)"
    paper = "not in the paper" if summary["paper"] is None else f"paper {summary['paper']}"
    lines.append(
        f"{summary['dataset']}, {summary['split']}, {summary['model']}: "
        f"{summary['accuracy']:.1f} %{spread}; {paper}"
    )
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    config = resolve(common.parse(PRESETS, "quick", __doc__))
    results = [train_and_evaluate(config, seed) for seed in config.seeds]
    summary = summarize(config, results)
    common.write_json(config.run_dir / "results.json", summary)
    print()
    print(table(summary))
    print(f"curves and figures: tensorboard --logdir {config.run_dir}")


if __name__ == "__main__":
    common.run(main)
