"""What the citation and the PPI trainer share around their model: options, training, tables."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import tensorflow as tf
import tf_keras
import tyro
from tensorboard.plugins import projector

from gnf_tf import plots
from gnf_tf.graphs import GraphsTuple
from trainers import common, options, training
from trainers.node_model import NodeModel

__all__ = [
    "MODELS",
    "Options",
    "Score",
    "compiled",
    "resolve",
    "show_figure",
    "summarize",
    "table",
    "train",
    "write_projector",
]

MODELS = ("gnn", "grevnet", "neumann_rbp")
# Steps of message passing up to which unrolling them in a graph doesn't take minutes.
MAX_UNROLLED = 32
# That model's defaults in every preset. The rate is the paper's; at 5e-3 PPI's loss becomes NaN.
# Smaller features it comes to know by weights with which its map doesn't contract.
NEUMANN_RBP = {"num_steps": 100, "learning_rate": 1e-3, "start_scale": 1.0}


@dataclasses.dataclass(frozen=True)
class Options:
    """Those that both trainers have."""

    preset: Literal["quick", "paper", "best"] = "quick"
    """quick: minutes on 2 cores; paper: section 7.1.2; best: see the trainer"""
    model: Literal["grevnet", "gnn", "neumann_rbp"] = "grevnet"
    """gnn: the identical network with stored activations; neumann_rbp: to a fixed point"""
    memory: Literal["reversible", "stored"] | None = None
    """how the gradient gets its activations; default: reversible for grevnet, stored for gnn"""
    seeds: options.Seeds = (0,)
    """of all that is random; one model each, in turn"""
    num_steps: options.Count | None = None
    """steps of message passing; default: the preset's, 100 for neumann_rbp"""
    node_size: options.Count | None = 64
    """width to which the features are embedded; None: they stay as they are"""
    start_scale: options.NotNegative | None = None
    """root mean square that each node's features are scaled to once embedded; 0: as they are;
    default: the preset's, 1 for neumann_rbp"""
    conditioner: Literal["diffusion", "convolution", "messages"] = "diffusion"
    """networks of the couplings: GraphConvolution, diagonal or full, or the paper's messages"""
    message_size: options.Count = 64
    """width of the messages"""
    message_hidden: options.Count | None = None
    """width of the hidden layer that makes them; default: the same"""
    coupling: Literal["affine", "additive"] = "additive"
    """affine: the paper's equation 3; additive: the authors' code"""
    share_weights: bool = False
    """all steps of message passing share their networks"""
    batch_norm: bool | None = None
    """before each step of message passing; default: beyond 20 of them, as in the paper"""
    loop: bool = False
    """the steps of message passing as one loop, for hundreds of them; then no batch norm"""
    head_layers: Literal[1, 2] = 1
    """of the classifier; 2: the first has twice as many units as classes, as the paper's code"""
    dropout: options.Share = 0.0
    """of the networks' inputs and the classifier's"""
    feature_dropout: options.Share = 0.0
    """of the nodes' features"""
    optimizer: Literal["adam", "momentum"] = "adam"
    """momentum: SGD with momentum 0.9, the paper's for neumann_rbp"""
    learning_rate: options.Positive | None = None
    """constant; default: the preset's, 1e-3 for neumann_rbp, whose map must stay contracting"""
    l2: options.NotNegative = 0.0
    """weight of half the sum of squares of all weights; where each of more than 5 steps has its
    own, these count 5 / num_steps"""
    l2_embedding: options.NotNegative | None = None
    """in place of `l2` for the embedding of the features; None: the same"""
    clip_norm: options.Positive = 4.0
    """gradients are scaled down to this global norm"""
    averaging: options.Share = 0.0
    """decay of the exponential average of the weights; 0: none"""
    patience: options.Count = 20
    """epochs without better weights before stopping"""
    checkpoint_minutes: options.NotNegative = 5.0
    """longest time between checkpoints, which every epoch ends with too"""
    execution: Literal["xla", "function", "eager"] | None = None
    """how a training step runs; default: function up to 32 steps of message passing, else eager;
    xla with --loop, and for neumann_rbp"""
    run_dir: Annotated[pathlib.Path | None, tyro.conf.arg(metavar="PATH")] = None
    """folder of checkpoints, TensorBoard and results; default: a new one in runs"""


def resolve(
    config: Options,
    *,
    num_steps: int,
    learning_rate: float,
    start_scale: float = 0.0,
    run_name: str,
) -> Options:
    """Checks the shared options and fills in those that follow from others.

    Args:
      config: the options of a trainer.
      num_steps: default.
      learning_rate: default.
      start_scale: default.
      run_name: of the default run folder, less the preset and the model.

    Raises:
      UserError: naming the option, its value and what was expected.
    """
    config = options.checked(config)
    is_rbp = config.model == "neumann_rbp"
    default = {"grevnet": "reversible", "gnn": "stored", "neumann_rbp": "reversible"}
    memory = config.memory or default[config.model]
    if memory != default[config.model] and config.model != "grevnet":
        raise common.UserError(
            f"--model {config.model} has --memory {default[config.model]} by definition, "
            f"got {memory!r}"
        )
    defaults = {"num_steps": num_steps, "learning_rate": learning_rate, "start_scale": start_scale}
    if is_rbp:
        defaults = NEUMANN_RBP
    values = {
        name: default if getattr(config, name) is None else getattr(config, name)
        for name, default in defaults.items()
    }
    num_steps = values["num_steps"]
    if config.loop or is_rbp:  # compiles at once, and fuses what a step of the loop does
        execution = "xla"
    elif num_steps <= MAX_UNROLLED:
        execution = "function"
    else:
        execution = "eager"
    config = dataclasses.replace(
        config,
        memory=memory,
        **values,
        batch_norm=num_steps > 20 and not is_rbp and not config.loop
        if config.batch_norm is None
        else config.batch_norm,
        l2_embedding=config.l2 if config.l2_embedding is None else config.l2_embedding,
        execution=config.execution or execution,
        run_dir=config.run_dir
        or pathlib.Path("runs") / f"{run_name}-{config.preset}-{config.model}",
    )
    if config.conditioner == "diffusion" and config.coupling != "additive" and not is_rbp:
        raise common.UserError(
            f"--conditioner diffusion needs --coupling additive, got {config.coupling!r}"
        )
    if config.loop and (is_rbp or config.batch_norm or config.share_weights):
        raise common.UserError(
            "--loop is not for --model neumann_rbp, --batch-norm or --share-weights"
        )
    if is_rbp and config.batch_norm:
        raise common.UserError("--batch-norm is not for --model neumann_rbp")
    return config


def compiled(model: NodeModel, config: Options) -> NodeModel:
    """The same model, with its optimizer, whose variables are made."""
    shared = {"global_clipnorm": config.clip_norm, "jit_compile": False}
    if config.optimizer == "adam":
        optimizer = tf_keras.optimizers.Adam(config.learning_rate, **shared)
    else:
        optimizer = tf_keras.optimizers.SGD(config.learning_rate, momentum=0.9, **shared)
    model.compile(
        optimizer=optimizer,
        jit_compile=config.execution == "xla",
        run_eagerly=config.execution == "eager",
    )
    optimizer.build(model.trainable_variables)
    return model


def train(
    config: Options,
    folder: pathlib.Path,
    model: NodeModel,
    data: str,
    *,
    steps_per_epoch: int,
    epochs: int,
    make_stream: Callable[[int, int], training.Stream],
    validation_data: training.Stream,
    validation_steps: int | None = None,
    graph: GraphsTuple,
) -> dict[str, Any]:
    """Trains, or goes on training; the model then has its best weights.

    Args:
      config: options.
      folder: of this model.
      model: compiled.
      data: what is trained on, in words, to be printed.
      steps_per_epoch: batches of the stream.
      epochs: at most.
      make_stream: first epoch, elements of it to leave out -> the stream from there on.
      validation_data: evaluated after each epoch; the best weights have the least `criterion`.
      validation_steps: see `training.fit`.
      graph: that the model's diagnostics are of.

    Returns:
      What results.json holds of the training.
    """
    state = training.TrainingState(
        folder,
        model,
        steps_per_epoch=steps_per_epoch,
        patience=config.patience,
        save_seconds=60.0 * config.checkpoint_minutes,
        monitor="val_criterion",
    )
    weights = sum(int(tf.size(v)) for v in model.trainable_variables)
    print(f"{data}; {weights} weights; run folder {folder}")

    def diagnostics() -> None:
        for name, value in model.diagnostics(graph).items():
            tf.summary.scalar(name, value)

    training.fit(
        model,
        lambda skip: make_stream(state.next_epoch, skip),
        state,
        epochs=epochs,
        validation_data=validation_data,
        validation_steps=validation_steps,
        callbacks=[training.Scalars(folder, config, diagnostics)],
    )
    state.restore_best()
    curves = {"training": "loss", "validation": "val_loss"}
    plots.loss_curves(
        {label: [epoch[name] for epoch in state.history] for label, name in curves.items()},
        ylabel="cross entropy [nats]",
        yscale="linear",
    ).savefig(folder / "loss.png", dpi=110)
    return {
        "weights": weights,
        "epochs": state.next_epoch,
        "training_seconds": float(state.seconds.numpy()),
        **common.environment(),
    }


def show_figure(folder: pathlib.Path, name: str, figure, step: tf.Tensor) -> None:
    """Writes a matplotlib figure to the folder and to its TensorBoard."""
    figure.savefig(folder / f"{name}.png", dpi=110)
    writer = tf.summary.create_file_writer(str(folder / "tensorboard"))
    with writer.as_default(step=step):
        tf.summary.image(name, plots.to_image(figure))
    writer.close()


def write_projector(
    folder: pathlib.Path, points: np.ndarray, columns: Mapping[str, np.ndarray]
) -> None:
    """What the classes of the test nodes are read from, for TensorBoard's embedding projector.

    Args:
      folder: the run folder.
      points: [num_nodes, size].
      columns: name -> [num_nodes] whole numbers, to colour the points by.
    """
    board = folder / "tensorboard"
    np.savetxt(board / "state.tsv", points, fmt="%.5g", delimiter="\t")
    np.savetxt(
        board / "classes.tsv",
        np.stack(list(columns.values()), axis=1),
        fmt="%d",
        delimiter="\t",
        header="\t".join(columns),
        comments="",
    )
    config = projector.ProjectorConfig()
    config.embeddings.add(
        tensor_name="test nodes", tensor_path="state.tsv", metadata_path="classes.tsv"
    )
    projector.visualize_embeddings(str(board), config)


@dataclasses.dataclass(frozen=True)
class Score:
    """What models are compared by, a number for each set of nodes.

    Attributes:
      name: its results are `test_{name}` and `validation_{name}`.
      heading: in the table.
      factor: from the results to the table's unit.
      digits: in the table, after the point.
    """

    name: str
    heading: str
    factor: float
    digits: int


def summarize(
    config: Options, results: Sequence[dict], score: Score, paper: Sequence[float] | None
) -> dict[str, Any]:
    """What the results.json of all seeds together holds, besides the trainer's own; in its unit.

    Args:
      config: options.
      results: of each seed.
      score: what is averaged.
      paper: of each of MODELS.
    """
    tested, validated = (
        score.factor * np.array([run[f"{part}_{score.name}"] for run in results])
        for part in ("test", "validation")
    )
    return {
        "model": config.model,
        "preset": config.preset,
        "seeds": list(config.seeds),
        score.name: float(tested.mean()),
        "deviation": float(tested.std(ddof=1)) if len(results) > 1 else None,
        f"validation_{score.name}": float(validated.mean()),
        "paper": None if paper is None else paper[MODELS.index(config.model)],
        "runs": list(results),
    }


def table(summary: dict, score: Score, title: str, paper: str) -> str:
    """The results as text; title and the paper's results stand in the last line."""
    heading, digits = score.heading, score.digits
    lines = [
        f"{'seed':>6}{'test ' + heading:>9}{'validation ' + heading:>15}{'epochs':>8}{'seconds':>9}"
    ]
    for seed, run in zip(summary["seeds"], summary["runs"], strict=True):
        tested, validated = (
            score.factor * run[f"{part}_{score.name}"] for part in ("test", "validation")
        )
        lines.append(
            f"{seed:>6}{tested:>9.{digits}f}{validated:>15.{digits}f}"
            f"{run['epochs']:>8}{run['training_seconds']:>9.0f}"
        )
    deviation = summary["deviation"]
    spread = "" if deviation is None else f" +- {deviation:.{digits}f} (deviation of a seed)"
    lines.append(f"{title}: {summary[score.name]:.{digits}f} {heading}{spread}; {paper}")
    return "\n".join(lines)
