"""Formats in which Keras can save a model whose weights are no weights of Keras layers."""

import os

__all__ = ["FORMAT_RULE", "check_format"]

FORMAT_RULE = (
    "`filepath` must be the prefix of a TensorFlow checkpoint, without a suffix .h5, .hdf5 or "
    ".keras, since Keras's own formats store weights of Keras layers only, got "
)


def check_format(filepath: str | os.PathLike, save_format: str | None = None) -> None:
    """Raises a ValueError unless the format, or that of the path, is TensorFlow's."""
    filepath = os.fspath(filepath)
    is_keras = save_format not in (None, "tf", "tensorflow")
    if is_keras or filepath.endswith((".h5", ".hdf5", ".keras")):
        raise ValueError(f"{FORMAT_RULE}{filepath!r}, save_format={save_format!r}")
