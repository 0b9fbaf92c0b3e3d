"""Trained models that ship with the package."""

import importlib.resources

from gnf_tf.models import saving

__all__ = ["PRETRAINED", "pretrained"]

# name -> description; benchmarks/RESULTS.md has the command that trained the model, and its errors.
PRETRAINED = {
    "qm9": "MoleculeRegressor of the twelve targets of QM9: organic molecules of H, C, N, O and F",
}


def pretrained(name: str) -> saving.Model:
    """Loads a trained model, to use as it is or to train further.

    Args:
      name: "qm9", a `MoleculeRegressor` of the twelve targets of QM9, for molecules of up to 29
        atoms of H, C, N, O and F in their B3LYP geometry; its u0, u, h and g are atomization
        energies. Its intervals are those of 10,000 validation molecules in such geometries.

    Raises:
      ValueError: if `name` is unknown.
    """
    if name not in PRETRAINED:
        raise ValueError(f"`name` must be one of {', '.join(PRETRAINED)}, got {name!r}")
    file = importlib.resources.files("gnf_tf.models") / "data" / f"{name}.npz"
    with importlib.resources.as_file(file) as path:
        return saving.load(path)
