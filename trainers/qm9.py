"""QM9: twelve properties of molecules from their atoms and 3D distances, with a GRevNet.

    python trainers/qm9.py                      # quick: minutes on two CPU cores
    python trainers/qm9.py --preset best        # all 130,831 molecules, two hours on a core

Run it again to go on after an interruption, or to print a finished run's table again.
"""

import dataclasses
import pathlib
import sys
from collections.abc import Sequence
from typing import Annotated, Literal

if __name__ == "__main__":  # a script's own folder is on the path, its project's is not
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
    import trainers  # noqa: F401  # TensorFlow, quietly

import numpy as np
import tensorflow as tf
import tyro

from gnf_tf import datasets, plots
from gnf_tf.datasets.molecules import Molecules
from trainers import common, distribution, options, training
from trainers.qm9_model import MoleculeRegressor, composition

# Table 1 of the paper, in the order of TARGETS. Units are not stated there; judged by magnitude
# they are ours. Its models see bonds and no distances.
PAPER = {
    "grevnet": "0.462 0.414 0.098 0.124 0.169 26.380 0.036 0.390 0.407 0.418 0.359 0.195",
    "gnn": "0.474 0.421 0.097 0.124 0.170 27.150 0.035 0.410 0.396 0.381 0.373 0.198",
}
TARGETS = tuple(datasets.QM9_TARGETS)
ATOMISATION = ("u0", "u", "h", "g")


@dataclasses.dataclass(frozen=True)
class Config(distribution.Options):
    """Options; each has the preset's value unless given."""

    preset: Literal["quick", "paper", "best"] = "quick"
    """quick: a subset, minutes on 2 cores; paper: section 7.1; best: all molecules, two hours"""
    target: str = "all"
    """'all', or one of mu alpha homo lumo gap r2 zpve u0 u h g cv (as the paper: a model each)"""
    model: Literal["grevnet", "gnn"] = "grevnet"
    """gnn is the identical network with stored activations"""
    memory: Literal["reversible", "stored"] | None = None
    """how the gradient gets its activations; default: reversible for grevnet, stored for gnn"""
    train_size: options.Count | None = 12_000
    """training molecules; None: all 110,000"""
    validation_size: options.Count | None = 1_000
    """validation molecules; None: all 10,000"""
    test_size: options.Count | None = 5_000
    """test molecules, never seen in training; None: all 10,831"""
    epochs: options.Count = 6
    """passes over the training molecules at most"""
    batch_size: options.Count = 32
    """molecules a step, of all replicas together"""
    num_steps: options.Count = 3
    """message passing steps of the reversible network"""
    node_size: options.Even = 64
    """width of the node features, even"""
    message_size: options.Count = 48
    """width of the messages"""
    num_basis: options.AtLeast2 = 20
    """Gaussians in which a distance is expanded"""
    coupling: Literal["affine", "additive"] = "affine"
    """affine: the paper's equation 3; additive: the authors' code"""
    learning_rate: options.Positive = 2e-3
    """highest rate of Adam; it rises for 5 % of the steps, then falls to 0 as a cosine"""
    l2: options.NotNegative = 0.0
    """weight of half the sum of squares of all weights"""
    clip_norm: options.Positive = 4.0
    """gradients are scaled down to this global norm"""
    patience: options.Count = 20
    """epochs without a better validation loss before stopping"""
    checkpoint_minutes: options.NotNegative = 5.0
    """longest time between checkpoints, which every epoch ends with too"""
    jit: bool = True
    """compile the training step with XLA"""
    seed: options.Seed = 0
    """of the split, the initial weights and the order of batches"""
    data_dir: pathlib.Path | None = None
    """folder of the converted data; default: the user's cache folder"""
    run_dir: Annotated[pathlib.Path | None, tyro.conf.arg(metavar="PATH")] = None
    """folder of checkpoints, TensorBoard and results; default: runs/qm9-..."""


PRESETS = {
    "quick": Config(),
    "paper": Config(
        preset="paper",
        train_size=None,
        validation_size=None,
        test_size=None,
        epochs=160,
        batch_size=50,
        num_steps=4,
        node_size=50,
        message_size=100,
        learning_rate=1e-3,
        l2=1e-3,
    ),
    "best": Config(
        preset="best",
        train_size=None,
        validation_size=None,
        test_size=None,
        epochs=24,
        num_steps=5,
        node_size=96,
        learning_rate=1.5e-3,
    ),
}


def resolve(config: Config) -> Config:
    """Checks the options and fills in those that follow from others.

    Raises:
      UserError: naming the option, its value and what was expected.
    """
    config = options.checked(config)
    if config.target != "all" and config.target not in TARGETS:
        raise common.UserError(
            f"--target must be 'all' or one of {', '.join(TARGETS)}, got {config.target!r}"
        )
    default = {"grevnet": "reversible", "gnn": "stored"}[config.model]
    memory = config.memory or default
    if config.model == "gnn" and memory == "reversible":
        raise common.UserError(
            "--model gnn stores its activations by definition; for --memory reversible "
            "use --model grevnet"
        )
    run_dir = config.run_dir or pathlib.Path("runs") / (
        f"qm9-{config.preset}-{config.target}-{config.model}-seed{config.seed}"
    )
    return dataclasses.replace(config, memory=memory, run_dir=run_dir)


def make_model(config: Config, train: Molecules, batch) -> MoleculeRegressor:
    """The compiled model, its variables made by one call on `batch`."""
    model = MoleculeRegressor(config, train)
    model(batch[0])
    total = config.epochs * -(-len(train) // config.batch_size)
    optimizer = training.cosine_adam(config.learning_rate, total, clip_norm=config.clip_norm)
    model.compile(optimizer=optimizer, jit_compile=config.jit)
    return model


def predict(model: MoleculeRegressor, molecules: Molecules, batch_size: int) -> np.ndarray:
    """[num_molecules, num_targets] in the molecules' order."""
    plan = datasets.plan_batches(molecules, batch_size)
    result = np.zeros(molecules.targets.shape)
    for rows, (inputs, _, _) in zip(plan, datasets.batches(molecules, batch_size), strict=True):
        result[rows] = model.predict_compiled(inputs)[: len(rows)]
    return result


def table(rows: Sequence[dict], model: str) -> str:
    """The results as text."""
    lines = [
        f"{'target':<7}{'unit':<13}{'test MAE':>10}{'mean':>10}{'ratio':>7}{'composition':>13}"
        f"{'paper':>9}"
    ]
    for row in rows:
        row = {name: common.number(value) for name, value in row.items()}
        lines.append(
            f"{row['target']:<7}{row['unit']:<13}{row['mae']:>10.4f}{row['mae_of_mean']:>10.4f}"
            f"{row['ratio']:>7.1f}{row['mae_of_composition']:>13.4f}{row['paper']:>9.3f}"
        )
    lines.append("mean: predicts the training mean; ratio: mean over test MAE; composition: least")
    lines.append(f"squares on atom counts; paper: its {model}, from bonds, on its own split.")
    if any(row["target"] in ATOMISATION for row in rows):
        lines.append("u0, u, h, g: atomisation energies; the total ones have the same MAE.")
    return "\n".join(lines)


def evaluate(config: Config, model: MoleculeRegressor, train: Molecules, test: Molecules):
    """(rows of the table, predictions [num_molecules, num_targets])."""
    predicted = predict(model, test, config.batch_size)
    errors = np.abs(predicted - test.targets).mean(axis=0)
    of_mean = np.abs(train.targets.mean(axis=0) - test.targets).mean(axis=0)
    fit = composition(test) @ model.composition_weights.numpy()
    of_fit = np.abs(fit - test.targets).mean(axis=0)
    rows = []
    for i, (name, unit) in enumerate(zip(test.target_names, test.target_units, strict=True)):
        rows.append(
            {
                "target": name,
                "unit": unit,
                "mae": float(errors[i]),
                "mae_of_mean": float(of_mean[i]),
                "ratio": float(of_mean[i] / errors[i]),
                "mae_of_composition": float(of_fit[i]),
                "paper": float(PAPER[config.model].split()[TARGETS.index(name)]),
            }
        )
    return rows, predicted


def load(config: Config) -> list[Molecules]:
    """Training, validation and test molecules.

    Raises:
      UserError: for a size that a split doesn't have.
    """
    names = TARGETS if config.target == "all" else (config.target,)
    molecules = []
    for split in ("train", "validation", "test"):
        size = getattr(config, f"{split}_size")
        try:
            molecules.append(
                datasets.qm9(
                    split, size=size, targets=names, seed=config.seed, data_dir=config.data_dir
                )
            )
        except ValueError as error:
            raise common.UserError(f"--{split}-size: {error}") from error
    return molecules


def train_and_evaluate(config: Config) -> dict:
    """Trains, or goes on training, in `config.run_dir`; returns what results.json holds."""
    folder = config.run_dir
    results_path = folder / "results.json"
    # Before the folder is made, which data that can\'t be had leave as it is.
    molecules = None if results_path.exists() else load(config)
    common.open_run(folder, config, places=training.PLACES)
    if molecules is None:
        return common.read_json(results_path)
    train, validation, test = molecules
    training.set_seed(config.seed)
    first = next(iter(datasets.batches(validation, config.batch_size)))
    model = make_model(config, train, first)
    state = training.TrainingState(
        folder,
        model,
        steps_per_epoch=-(-len(train) // config.batch_size),
        patience=config.patience,
        save_seconds=60.0 * config.checkpoint_minutes,
    )
    print(
        f"{len(train)} training, {len(validation)} validation, {len(test)} test molecules; "
        f"{sum(int(tf.size(v)) for v in model.trainable_variables)} weights; run folder {folder}"
    )

    def figures() -> None:
        tf.summary.scalar("reconstruction_error", model.reconstruction_error(first[0]))
        tf.summary.scalar("input_wait_share", model.input_wait_share)
        sample = validation.select(np.arange(min(len(validation), 500)))
        figure = plots.predicted_against_true(
            sample.targets,
            predict(model, sample, config.batch_size),
            sample.target_names,
            sample.target_units,
        )
        tf.summary.image("predicted_against_true", plots.to_image(figure))

    def make_stream(skip: int) -> training.Stream:
        return distribution.dealt(
            datasets.batches,
            train,
            config.batch_size,
            skip=skip,
            seed=config.seed,
            first_epoch=state.next_epoch,
        )

    training.fit(
        model,
        make_stream,
        state,
        epochs=config.epochs,
        validation_data=distribution.dealt(datasets.batches, validation, config.batch_size),
        validation_steps=-(-len(validation) // config.batch_size),
        callbacks=[training.Scalars(folder, config, figures)],
    )
    state.restore_best()
    rows, predicted = evaluate(config, model, train, test)
    plots.predicted_against_true(
        test.targets, predicted, test.target_names, test.target_units
    ).savefig(folder / "predicted_against_true.png", dpi=110)
    curves = {"training": "loss", "validation": "val_loss"}
    plots.loss_curves(
        {label: [epoch[name] for epoch in state.history] for label, name in curves.items()},
        ylabel="mean absolute error (normalised)",
    ).savefig(folder / "loss.png", dpi=110)
    results = {
        "rows": rows,
        "test_molecules": len(test),
        "epochs": state.next_epoch,
        "training_seconds": float(state.seconds.numpy()),
        "best_validation_loss": float(state.best.numpy()),
        "reconstruction_error": model.reconstruction_error(first[0]),
        "input_wait_share": float(state.wait_share.numpy()),
        **common.environment(),
    }
    return common.write_json(results_path, results)


def main() -> None:
    """The command line."""
    config = resolve(common.parse(PRESETS, "quick", __doc__))
    with distribution.joined(config) as config:
        results = train_and_evaluate(config)
    print(f"\n{results['test_molecules']} test molecules, best of {results['epochs']} epochs")
    print(table(results["rows"], config.model))
    print(
        f"training {results['training_seconds']:.0f} s; waiting for data "
        f"{results['input_wait_share']:.1%} of a step; reconstruction error "
        f"{common.number(results['reconstruction_error']):.1e}"
    )
    print(f"curves and figures: tensorboard --logdir {config.run_dir}")


if __name__ == "__main__":
    common.run(main)
