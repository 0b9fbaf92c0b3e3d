"""Trains a GRevNet that predicts properties of molecules from atoms and distances (QM9, 7.1).

Examples:
    python trainers/qm9.py                      # quick: minutes on two CPU cores
    python trainers/qm9.py --preset best        # all 130,831 molecules, two hours on two cores
    python trainers/qm9.py --data mine.xyz --targets mine.csv     # own molecules: xyz, sdf, SMILES
"""

import dataclasses
import functools
import pathlib
import sys
import warnings
from typing import Annotated, Any, ClassVar, Literal

if __name__ == "__main__":  # Python adds the folder of a script to its path, not the project's
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
    import trainers  # noqa: F401  # TensorFlow, quietly

import numpy as np

from gnf_tf import datasets, options, plots, training
from gnf_tf.datasets import Molecules
from gnf_tf.datasets.molecules import SYMBOLS
from gnf_tf.errors import UserError
from gnf_tf.files import user_path
from gnf_tf.headings import with_unit
from gnf_tf.models import MoleculeRegressor, RegressorConfig
from gnf_tf.models.composition import composition
from gnf_tf.training import RegressionSettings, distribution
from trainers import cli, report, runner

# Table 1 of the paper, in the order of TARGETS. The paper does not state units; by magnitude they
# are the units of TARGETS. Its models see bonds, not distances.
PAPER = {
    "grevnet": "0.462 0.414 0.098 0.124 0.169 26.380 0.036 0.390 0.407 0.418 0.359 0.195",
    "gnn": "0.474 0.421 0.097 0.124 0.170 27.150 0.035 0.410 0.396 0.381 0.373 0.198",
}
TARGETS = tuple(datasets.QM9_TARGETS)
ATOMIZATION = ("u0", "u", "h", "g")
COVERAGES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


@dataclasses.dataclass(frozen=True)
class Config(cli.Options):
    """The options of the trainer; one that is not given has the preset's value."""

    dataset: ClassVar[str] = "qm9"
    targets: tuple[str, ...] = ()
    """csv file with a row of targets for each molecule of --data; or names of fields of --data,
    such as columns of a csv file"""
    readouts: dict[str, str] = dataclasses.field(default_factory=dict)
    """pairs of a target and its read-out (scalar, dipole, extent or gap), as in "--readouts moment
    dipole"; default: those of QM9's mu [D], r2 [bohr^2] and gap [eV], and scalar for all others"""
    target: Literal["all", *TARGETS] = "all"
    """the targets of QM9 to predict: all, or one, for which the paper has a model each"""
    train_size: options.Count | None = 12_000
    """training molecules of QM9; None takes all 110,000"""
    validation_size: options.Count | None = 1_000
    """validation molecules of QM9; None takes all 10,000"""
    test_size: options.Count | None = 5_000
    """test molecules of QM9; None takes all 10,831"""
    data_dir: cli.Path = None
    """folder for QM9's converted data; default: the user's cache folder"""
    epochs: options.Count = 5
    """largest number of passes over the training molecules"""
    seed: options.Seed = 0
    """seed of the split, the initial weights and the order of batches"""
    strategy: distribution.StrategyName = "none"
    """mirrored uses all GPUs of a machine; multi-worker those of several, each with a TF_CONFIG"""
    network: Annotated[RegressorConfig, cli.FLAT] = RegressorConfig(num_vectors=16, message_size=24)
    settings: Annotated[RegressionSettings, cli.FLAT] = RegressionSettings(learning_rate=4e-3)

    @property
    def target_source(self) -> pathlib.Path | tuple[str, ...]:
        """The targets as `datasets.read_molecules` takes them: a file, or names."""
        is_file = len(self.targets) == 1 and self.targets[0].lower().endswith(".csv")
        return user_path(self.targets[0]) if is_file else self.targets

    def contents(self) -> dict[str, Any]:
        """See `cli.Options`."""
        source = self.target_source
        found = cli.digest(source) if isinstance(source, pathlib.Path) else list(source)
        return super().contents() | ({"targets_digest": found} if found else {})


ALL = {"train_size": None, "validation_size": None, "test_size": None}
PRESETS = {
    "quick": Config(),
    "paper": Config(  # section 7.1
        **ALL,
        epochs=160,
        network=RegressorConfig(num_steps=4, node_size=50, message_size=100),
        settings=RegressionSettings(batch_size=50, learning_rate=1e-3, l2=1e-3),
    ),
    "best": Config(
        **ALL,
        epochs=26,
        network=RegressorConfig(num_steps=4, node_size=80, num_vectors=24),
        settings=RegressionSettings(batch_size=128, learning_rate=3e-3),
    ),
}


def resolve(config: Config) -> Config:
    """Checks combinations of options, and sets the run folder.

    Raises:
      UserError: naming the option, its value and what was expected.
    """
    if config.targets and config.data is None:
        raise UserError(
            f"--targets needs --data, whose molecules they are of, got {' '.join(config.targets)}"
        )
    sizes = ("train_size", "validation_size", "test_size")
    config.check_source(PRESETS[config.preset], "target", *sizes, "data_dir")
    return config.placed("qm9", config.target, config.network.model, f"seed{config.seed}")


def load(config: Config) -> tuple[Molecules, Molecules, Molecules]:
    """Returns training, validation and test molecules.

    Raises:
      UserError: for a size that a split does not have, or molecules without targets.
    """
    if config.data is not None:
        if not config.targets:
            raise UserError(f"--targets must be given, for {config.data} has none to learn")
        with report.as_options("targets"):
            molecules = datasets.read_molecules(config.data, config.target_source)
        with report.as_options("fractions"):
            parts = molecules.split(config.fractions, seed=config.seed)
        unseen = set(molecules.atomic_numbers.tolist()) - set(parts[0].atomic_numbers.tolist())
        if unseen:
            names = ", ".join(SYMBOLS[number - 1] for number in sorted(unseen))
            raise UserError(
                f"--data has the elements {names} in no training molecule of seed {config.seed}; "
                "choose another --seed or other --fractions"
            )
        return parts
    names = TARGETS if config.target == "all" else (config.target,)
    parts = []
    for split in ("train", "validation", "test"):
        with report.as_options(f"{split}_size"):
            parts.append(
                datasets.qm9(
                    split,
                    size=getattr(config, f"{split}_size"),
                    targets=names,
                    seed=config.seed,
                    data_dir=config.data_dir,
                )
            )
    return tuple(parts)


def train_and_evaluate(
    config: Config, train: Molecules, validation: Molecules, test: Molecules
) -> dict:
    """Trains the model, or resumes its training; returns the content of its results.json."""
    training.set_seed(config.seed)
    with report.as_options("readouts"):
        model = MoleculeRegressor.for_data(train, config.network, config.readouts)
    pairs = zip(model.target_names, model.readouts, strict=True)
    print(f"read-outs: {', '.join(f'{name} {readout}' for name, readout in pairs)}")
    print(
        f"{len(train)} training, {len(validation)} validation, {len(test)} test molecules; "
        f"run folder {config.run_dir}"
    )
    history = report.fit(model, train, validation, config, config.seed)
    model.calibrate(validation, config.settings.batch_size)
    model.save(config.run_dir / "model.npz")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the results have the number of unfamiliar molecules
        predicted, lower, upper = model.predict_with_interval(
            test, COVERAGES, config.settings.batch_size
        )
    shares = ((lower <= test.targets) & (test.targets <= upper)).mean(axis=1)
    rows = evaluate(config, model, train, test, predicted)
    for row, share in zip(rows, shares[COVERAGES.index(0.9)].tolist(), strict=True):
        row["within_90"] = share if np.isfinite(upper[COVERAGES.index(0.9)]).all() else None
    figure = plots.predicted_against_true(
        test.targets, predicted, test.target_names, test.target_units
    )
    figure.savefig(config.run_dir / "predicted_against_true.png", dpi=110)
    figure = plots.calibration(COVERAGES, shares, test.target_names)
    figure.savefig(config.run_dir / "calibration.png", dpi=110)
    scores = {with_unit(f"test/mae/{row['target']}", row["unit"]): row["mae"] for row in rows}
    training.write_scores(config.run_dir, scores, history.steps)
    counts = {"test_molecules": len(test), "unfamiliar": int((model.unfamiliar(test) > 0).sum())}
    return {"rows": rows} | counts | report.trained(history)


def evaluate(
    config: Config, model: MoleculeRegressor, train: Molecules, test: Molecules, predicted
) -> list[dict]:
    """Returns the rows of the table, one for each target."""
    weights = np.linalg.lstsq(composition(train, model.elements), train.targets, rcond=None)[0]
    fit = composition(test, model.elements) @ weights
    errors, of_mean, of_fit = (
        np.abs(values - test.targets).mean(axis=0)
        for values in (predicted, train.targets.mean(axis=0), fit)
    )
    paper = dict(zip(TARGETS, PAPER[config.network.model].split(), strict=True))
    return [
        {
            "target": name,
            "unit": unit,
            "mae": float(errors[i]),
            "mae_of_mean": float(of_mean[i]),
            "ratio": float(of_mean[i] / errors[i]),
            "mae_of_composition": float(of_fit[i]),
            "paper": float(paper[name]) if config.data is None else None,
        }
        for i, (name, unit) in enumerate(zip(test.target_names, test.target_units, strict=True))
    ]


def table(results: dict, config: Config) -> str:
    """Returns the results as text."""
    text = report.table(
        results["rows"],
        ("target", "target", ""),
        ("unit", "unit", ""),
        ("test MAE", "mae", "#.4g"),
        ("mean", "mae_of_mean", "#.4g"),
        ("ratio", "ratio", ".1f"),
        ("composition", "mae_of_composition", "#.4g"),
        ("paper", "paper", ".3f"),
        ("in 90 %", "within_90", ".1%"),
    )
    text += "\nmean: predicts the training mean; ratio: mean over test MAE; composition: least\n"
    text += "squares on atom counts; in 90 %: test molecules within their intervals of 90 %"
    if any(row.get("within_90") is None for row in results["rows"]):
        text += ", which need\n18 validation molecules"
    if config.data is None:
        text += f"\npaper: its {config.network.model}, from bonds, on its own split"
        if any(row["target"] in ATOMIZATION for row in results["rows"]):
            text += "; u0, u, h, g: atomization energies; the total ones have the same MAE"
    unfamiliar = report.text(results.get("unfamiliar"), "")
    return (
        f"{results['test_molecules']} test molecules, {unfamiliar} of them unlike the training "
        f"molecules; best of {results['epochs']} epochs\n{text}.\n"
        f"training {results['training_seconds']:.0f} s; waiting for data "
        f"{results['input_wait_share']:.1%} of a step; reconstruction error "
        f"{report.text(results['reconstruction_error'], '.1e')}"
    )


def main() -> None:
    """Runs the command line."""
    config = resolve(cli.parse(PRESETS, __doc__))
    with runner.replicas(config) as own:
        work = (functools.partial(f, own) for f in (load, train_and_evaluate))
        results = runner.once(own, *work)
    report.show(config, table(results, config), "more.xyz")


if __name__ == "__main__":
    cli.run(main)
