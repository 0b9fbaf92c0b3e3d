"""PPI: networks of interacting proteins in 24 human tissues, for node classification (section 4).

Zitnik, Leskovec, "Predicting multicellular function through multi-layer tissue networks",
Bioinformatics 33 (2017), as released with Hamilton, Ying, Leskovec, "Inductive representation
learning on large graphs", NeurIPS 2017. The archive is the Deep Graph Library's. For each split it
has the edges of all graphs as networkx's node-link JSON, the features, the labels, and the number
of the graph of each node.
"""

import io
import itertools
import json
import os
import pathlib
import tokenize
import zipfile
from typing import Literal

import numpy as np

from gnf_tf.datasets.contents import content_of, opened
from gnf_tf.datasets.labeled_graphs import LabeledGraphs
from gnf_tf.errors import DataError
from gnf_tf.files import cache_folder, user_path

__all__ = ["ppi"]

_URL = "https://data.dgl.ai/dataset/ppi.zip"
_SHA256 = "1f5b2b09ac0f897fa6aa1338c64ab75a5473674cbba89380120bede8cddb2a6a"
_PREFIXES = {"train": "train", "validation": "valid", "test": "test"}
_NUM_FEATURES, _NUM_LABELS = 50, 121


def ppi(
    split: Literal["train", "validation", "test"],
    *,
    data_dir: str | os.PathLike | None = None,
) -> LabeledGraphs:
    """A split of PPI: 20 networks to train on (44,906 proteins), 2 to validate, or 2 to test.

    The features [num_nodes, 50] are positional gene sets, motif gene sets and immunological
    signatures, and the labels [num_nodes, 121] are functions of a protein, of which it has any
    number. The graphs have both directions of each edge, without self loops and repeated edges.

    Args:
      split: "train", "validation" or "test".
      data_dir: a folder with the files of the archive, or with the archive ppi.zip itself. By
        default, the archive is downloaded once (7 MB) to the user's cache folder, and its digest is
        checked.

    Raises:
      ValueError: if `split` is unknown.
      DataError: if a file is missing or damaged, or can't be downloaded.
    """
    if split not in _PREFIXES:
        raise ValueError(f"`split` must be one of {tuple(_PREFIXES)}, got {split!r}")
    if data_dir is None:
        source = _download()
    else:
        folder = user_path(data_dir)
        source = folder / "ppi.zip" if (folder / "ppi.zip").exists() else folder
    prefix = _PREFIXES[split]
    arrays = {
        name: _read_array(source, f"{prefix}_{name}.npy")
        for name in ("feats", "labels", "graph_id")
    }
    where = f"the files {prefix}_* of {source}"
    num_nodes = len(arrays["graph_id"]) if arrays["graph_id"].ndim else 0
    if not num_nodes:
        raise DataError(f"{where} have no nodes: graph_id has shape {arrays['graph_id'].shape}")
    for name, expected, is_right, rule in (
        ("graph_id", (num_nodes,), _is_whole, "whole numbers"),
        ("feats", (num_nodes, _NUM_FEATURES), _is_finite, "finite numbers"),
        ("labels", (num_nodes, _NUM_LABELS), _is_binary, "zeros and ones"),
    ):
        if arrays[name].shape != expected:
            raise DataError(
                f"{where} don't agree: {name} has shape {arrays[name].shape}, expected {expected}"
            )
        if arrays[name].size and not is_right(arrays[name]):
            raise DataError(f"{where} have {name} that are no {rule}")
    links = _read_links(source, f"{prefix}_graph.json", num_nodes, where)
    return _networks(arrays, links, where)


def _is_finite(values):
    # Larger numbers than float32 holds would become infinite.
    limit = np.finfo(np.float32).max
    return values.dtype.kind in "biuf" and (np.abs(values) <= limit).all()


def _is_binary(values):
    return values.dtype.kind in "biuf" and np.isin(values, (0, 1)).all()


def _is_whole(values):
    return values.dtype.kind in "iuf" and (np.mod(values, 1) == 0).all()


def _networks(arrays, links, where):
    owner = arrays["graph_id"]
    if (owner[links[:, 0]] != owner[links[:, 1]]).any():
        raise DataError(f"{where} have links between different networks")
    # The nodes of a network need not be consecutive in the files.
    order = np.argsort(owner, kind="stable")
    new_row = np.empty_like(order)
    new_row[order] = np.arange(len(order))
    pairs = new_row[links[links[:, 0] != links[:, 1]]]
    edges = np.unique(np.concatenate([pairs, pairs[:, ::-1]]), axis=0)
    ids, n_node = np.unique(owner, return_counts=True)
    graph_of_edge = np.searchsorted(ids, owner[order][edges[:, 0]])
    return LabeledGraphs(
        n_node=n_node.astype(np.int32),
        n_edge=np.bincount(graph_of_edge, minlength=len(ids)).astype(np.int32),
        features=arrays["feats"][order].astype(np.float32),
        labels=arrays["labels"][order] > 0,
        edges=edges.astype(np.int32),
    )


def _download():
    import pooch

    try:
        return pathlib.Path(
            pooch.retrieve(_URL, f"sha256:{_SHA256}", fname="ppi.zip", path=cache_folder())
        )
    except (OSError, ValueError) as error:
        raise DataError(
            f"PPI can't be downloaded from {_URL} ({error}); give the folder with its files, or "
            "with ppi.zip, as `data_dir`"
        ) from error


def _content(source, name):
    """The bytes of a file in a folder or in a zip archive."""
    return content_of((opened(source, zipfile.Path) if source.suffix == ".zip" else source) / name)


def _read_array(source, name):
    try:
        return np.lib.format.read_array(io.BytesIO(_content(source, name)), allow_pickle=False)
    except (ValueError, EOFError, MemoryError, SyntaxError, tokenize.TokenError) as error:
        raise DataError(f"the file {name} of {source} is damaged ({error})") from error


def _read_links(source, name, num_nodes, where):
    """[num_links, 2], the row numbers of the source and the target of each link."""
    try:
        found = json.loads(_content(source, name))
        nodes = [_hashable(node.get("id", row)) for row, node in enumerate(found["nodes"])]
        links = found["links"] if "links" in found else found["edges"]  # from networkx 3.4 on
        ends = [(_hashable(link["source"]), _hashable(link["target"])) for link in links]
        # If the ids are 0, ..., n - 1, they are row numbers; else an id is the row that lists it.
        row_of = {node: row for row, node in enumerate(nodes)}
        if row_of.keys() == set(range(len(nodes))):
            row_of = {row: row for row in row_of.values()}
        unknown = [end for end in itertools.chain.from_iterable(ends) if end not in row_of]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"the file {name} of {source} is damaged ({error!r})") from error
    if not len(nodes) == len(row_of) == num_nodes:
        raise DataError(
            f"{where} don't agree: {name} has {len(nodes)} nodes, {len(row_of)} of them different, "
            f"expected {num_nodes}"
        )
    if unknown:
        raise DataError(f"{where} have links of nodes that they don't have, as {unknown[0]!r}")
    return np.array([(row_of[a], row_of[b]) for a, b in ends], np.int64).reshape(-1, 2)


def _hashable(node):
    """The id of a node as networkx reads it: JSON stores a tuple as a list."""
    return tuple(map(_hashable, node)) if isinstance(node, list) else node
