"""Errors of the regressor on QM9 by number of training molecules, and by parts of the model.

    python -m benchmarks.molecules

Every point is a run of `trainers/qm9.py` with the network of its preset `quick`, in a process of
its own. Runs stay in `--runs`, so that the same command resumes them. Prints the tables and writes
them, with a plot, to `--out`.

- Learning curves: with n training molecules there are 40 sqrt(1000 / n) epochs, at least 4.
- Errors by time: `--history RUN` takes the validation errors after each epoch of a finished run of
  the trainer, in place of the above, and writes molecules_by_time.png.
- Ablation: with and without read-outs by target (all scalar), with and without vectors (their
  messages are wider, so that a training step takes as long).
"""

import dataclasses
import json
import pathlib
import subprocess
import sys

import tyro

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCALAR = ("--readouts", "mu", "scalar", "r2", "scalar", "gap", "scalar")
DISTANCES = tuple("--num-vectors 0 --message-size 48 --learning-rate 2e-3 --epochs 6".split())
VARIANTS = {
    "scalar read-outs, distances": (*SCALAR, *DISTANCES),
    "scalar read-outs, vectors": SCALAR,
    "read-outs by target, distances": DISTANCES,
    "read-outs by target, vectors": (),
}
# Errors of the message passing network of Gilmer et al. (2017), in the units of `TARGETS`.
MPNN = {
    "mu": 0.030,
    "alpha": 0.092,
    "homo": 0.043,
    "lumo": 0.038,
    "gap": 0.069,
    "r2": 0.18,
    "zpve": 0.0015,
    "u0": 0.020,
    "u": 0.020,
    "h": 0.017,
    "g": 0.019,
    "cv": 0.040,
}
Errors = dict[str, dict[str, float]]


@dataclasses.dataclass(frozen=True)
class Config:
    """Learning curves and an ablation on QM9."""

    sizes: tuple[int, ...] = (1_000, 3_000, 10_000, 30_000, 110_000)
    """numbers of training molecules"""
    seed: int = 0
    """of all runs"""
    runs: pathlib.Path = pathlib.Path("runs/molecules")
    """folder of the runs"""
    out: pathlib.Path = pathlib.Path("benchmarks/results")
    """folder for molecules.json and molecules.png"""
    options: tuple[str, ...] = ()
    """further options of all runs"""
    history: pathlib.Path | None = None
    """folder of a finished run of the trainer, for errors by time"""
    hours: float | None = None
    """hours that the training of that run took, such as of processors; by default those by the
    clock, in its results.json"""


def run(config: Config, name: str, words: tuple[str, ...]) -> dict[str, float]:
    """Runs the trainer in a process; returns its test errors by target."""
    folder = (config.runs / name).resolve()
    command = [sys.executable, "trainers/qm9.py", "--run-dir", folder, "--seed", config.seed]
    command += [*words, *config.options]
    subprocess.run(list(map(str, command)), cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    rows = json.loads((folder / "results.json").read_text())["rows"]
    return {row["target"]: row["mae"] for row in rows}


def table(title: str, errors: Errors) -> str:
    """Returns errors as text, one line for each run."""
    width = max(map(len, errors))
    lines = [title, " " * width + "".join(f"{target:>9}" for target in MPNN)]
    for name, row in errors.items():
        lines.append(f"{name:{width}}" + "".join(f"{row[target]:9.4f}" for target in MPNN))
    return "\n".join(lines)


def plot(results: dict[str, Errors], path: pathlib.Path) -> None:
    """Draws errors relative to those of MPNN: learning curves, and bars of the ablation."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2, 3))
    curves = results["learning curves"]
    for i, target in enumerate(MPNN):
        ratios = [row[target] / MPNN[target] for row in curves.values()]
        style = ("o-", "s--", "^:")[i // 4]
        left.plot([int(size) for size in curves], ratios, style, label=target, markersize=4)
    left.axhline(1.0, color="gray", linewidth=1)
    left.set(xscale="log", yscale="log", xlabel="training molecules")
    left.set(ylabel="test MAE / MAE of MPNN", title="learning curves")
    left.legend(fontsize=7, ncols=3)
    ablation = results["ablation"]
    for i, (name, row) in enumerate(ablation.items()):
        places = [j + (i - 1.5) * 0.2 for j in range(len(MPNN))]
        right.bar(places, [row[target] / MPNN[target] for target in MPNN], 0.19, label=name)
    right.axhline(1.0, color="gray", linewidth=1)
    right.set(yscale="log", title="ablation, 12,000 training molecules")
    right.set_xticks(range(len(MPNN)), list(MPNN))
    right.legend(fontsize=8)
    figure.savefig(path, dpi=130)


def by_time(config: Config) -> None:
    """Prints and draws the validation errors of a run after each epoch."""
    from matplotlib.figure import Figure

    epochs = json.loads((config.history / "history.json").read_text())
    hours = config.hours
    if hours is None:
        hours = json.loads((config.history / "results.json").read_text())["training_seconds"] / 3600
    ends = [hours * (i + 1) / len(epochs) for i in range(len(epochs))]
    errors = {
        f"{end:.2f} h": {target: epoch[f"val_mae/{target}"] for target in MPNN}
        for end, epoch in zip(ends, epochs, strict=True)
    }
    print(table("validation errors by hours of training", errors))
    figure = Figure(figsize=(6.0, 4.4), layout="constrained")
    axis = figure.subplots()
    for i, target in enumerate(MPNN):
        ratios = [row[target] / MPNN[target] for row in errors.values()]
        axis.plot(ends, ratios, ("-", "--", ":")[i // 4], label=target)
    axis.axhline(1.0, color="gray", linewidth=1)
    axis.set(yscale="log", xlabel="hours of training", ylabel="validation MAE / MAE of MPNN")
    axis.legend(fontsize=7, ncols=3)
    figure.savefig(config.out / "molecules_by_time.png", dpi=130)


def main(config: Config) -> None:
    """Runs all, prints the tables, and writes molecules.json and molecules.png."""
    config.out.mkdir(parents=True, exist_ok=True)
    if config.history is not None:
        return by_time(config)
    curves, ablation = {}, {}
    for size in config.sizes:
        epochs = max(4, round(40 * (1000 / size) ** 0.5))
        words = ("--train-size", str(size), "--epochs", str(epochs))
        curves[str(size)] = run(config, f"{size}-molecules", words)
    print(table("test errors by number of training molecules", curves), flush=True)
    for name, words in VARIANTS.items():
        ablation[name] = run(config, name.replace(", ", "-").replace(" ", "-"), words)
    print(table("\ntest errors by parts of the model", ablation))
    results = {"learning curves": curves, "ablation": ablation}
    (config.out / "molecules.json").write_text(json.dumps(results, indent=1) + "\n")
    plot(results, config.out / "molecules.png")


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
