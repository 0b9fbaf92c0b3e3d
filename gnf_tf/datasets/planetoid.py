"""Cora, Citeseer and Pubmed: citation networks for node classification (section 4).

Sen et al., "Collective classification in network data", AI Magazine 29 (2008), with the split of
Yang, Cohen, Salakhutdinov, "Revisiting semi-supervised learning with graph embeddings", ICML 2016.
The files are part of the package; DATA.md has their source and license.
"""

import hashlib
import importlib.resources
from typing import Literal

import numpy as np
import scipy.sparse

from gnf_tf import seeds
from gnf_tf.datasets.labeled_graphs import MASKS, LabeledGraph
from gnf_tf.datasets.node_graphs import node_graph
from gnf_tf.datasets.npz_files import arrays_of
from gnf_tf.errors import DataError

__all__ = ["citeseer", "cora", "pubmed", "read_arrays"]

CitationSplit = Literal["public", "one_percent"]

# The digest also guarantees that a file has its arrays in the right shapes.
_SHA256 = {
    "cora": "ac93fa3776a1db23d390acb6291d34fd6f09dda9865b07427ff77f30139415c2",
    "citeseer": "2f5675faff6d269f2463aa1c3dc2e85989fb6a4a7956f087dcba8e93bd569f79",
    "pubmed": "4fd9bef0db1e701e1453ece981ef62bef4e2f524d38f85d47f57c92f8a99b132",
}


def cora(split: CitationSplit = "public", *, seed: int = 0, normalize: bool = True) -> LabeledGraph:
    """Cora: 2,708 papers, 5,278 citations, 1,433 words (0 or 1), 7 classes.

    The graph has both directions of each citation, without self loops and repeated edges. Edges and
    globals have width 0.

    Args:
      split: "public" for the fixed split of Yang et al., with 20 nodes of each class to train on,
        500 to validate and 1,000 to test; or "one_percent" for a random split, with 1 % of the
        labeled nodes to train on, 49 % to test, and the others to validate (section 4). In the
        random split, a class may have no training node.
      seed: seed of the random split.
      normalize: whether the features of each node are divided by their sum.

    Raises:
      ValueError: if `split` is unknown.
      DataError: if the file in the package is missing or damaged.
    """
    return _network("cora", split, seed, normalize)


def citeseer(
    split: CitationSplit = "public", *, seed: int = 0, normalize: bool = True
) -> LabeledGraph:
    """Citeseer: 3,327 papers, 4,552 citations, 3,703 words (0 or 1), 6 classes.

    15 papers, of which only citations are known, have no words and no label. The arguments and the
    errors are those of `cora`.
    """
    return _network("citeseer", split, seed, normalize)


def pubmed(
    split: CitationSplit = "public", *, seed: int = 0, normalize: bool = True
) -> LabeledGraph:
    """Pubmed: 19,717 papers, 44,324 citations, 500 words (TF-IDF), 3 classes.

    The arguments and the errors are those of `cora`.
    """
    return _network("pubmed", split, seed, normalize)


def _network(name, split, seed, normalize):
    if split not in ("public", "one_percent"):
        raise ValueError(f"`split` must be 'public' or 'one_percent', got {split!r}")
    seeds.whole_number(seed)  # checks it, also for the public split
    arrays = read_arrays(name)
    labels = arrays["labels"]
    if split == "public":
        parts = [arrays[key] for key in ("train_idx", "val_idx", "test_idx")]
    else:
        parts = _one_percent(np.flatnonzero(labels >= 0), seed)
    masks = dict(zip(MASKS, parts, strict=True))
    return node_graph(_features(arrays, normalize), arrays["edges"], labels, **masks)


def _one_percent(labeled, seed):
    order = seeds.generator(seed).permutation(labeled)
    num_train, num_test = round(0.01 * len(order)), round(0.49 * len(order))
    train, test, validation = np.split(order, [num_train, num_train + num_test])
    return train, validation, test


def _features(arrays, normalize):
    csr = tuple(arrays[f"feat_{part}"] for part in ("data", "indices", "indptr"))
    features = scipy.sparse.csr_array(csr, shape=tuple(arrays["feat_shape"])).toarray()
    if normalize:
        # The features of a paper without words stay zero.
        total = features.sum(axis=1, keepdims=True)
        features /= np.where(total, total, 1)
    return features


def read_arrays(name: str) -> dict[str, np.ndarray]:
    """The arrays in the file of a citation network.

    - feat_data, feat_indices, feat_indptr, feat_shape: the features as a CSR matrix.
    - labels: [N], the class of each node, -1 for no class.
    - edges: [2, E], each pair of adjacent nodes once, the smaller first.
    - train_idx, val_idx, test_idx: the node numbers of the public split.
    - edges_raw, test_idx_order: the adjacency lists, and the order of the test nodes, of the
      published files.

    Args:
      name: "cora", "citeseer" or "pubmed".

    Raises:
      DataError: if the file is missing or damaged.
    """
    path = importlib.resources.files("gnf_tf.datasets") / "data" / f"{name}.npz"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"the data file {path} is missing ({error.strerror or error}); reinstall gnf_tf"
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != _SHA256[name]:
        raise DataError(
            f"the data file {path} is damaged: {len(content)} bytes of sha256 {digest}, expected "
            f"{_SHA256[name]}; reinstall gnf_tf"
        )
    return dict(arrays_of(str(path), content))
