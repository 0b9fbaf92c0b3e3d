"""Graphs of any size with planted classes: a stochastic block model and noisy features."""

import dataclasses

import numpy as np

from gnf_tf import seeds
from gnf_tf.datasets.labeled_graphs import LabeledGraph
from gnf_tf.datasets.node_graphs import node_graph

__all__ = ["PlantedClasses"]


@dataclasses.dataclass(frozen=True)
class PlantedClasses:
    """A distribution over graphs whose node classes can be found from features and neighbors.

    Classes are equally probable. Each edge joins two nodes of one class with the probability
    `homophily`, and otherwise two nodes of different classes. A node of class c has the features
    `separation` e_c + standard normal noise, where e_c is a row of the identity matrix. Use this to
    test a classifier against the best possible one, and `cora` or `pubmed` for real classes.

    Attributes:
      num_nodes: the number of nodes.
      num_classes: the number of classes, at least 2, which is the width of the features.
      degree: the mean number of neighbors of a node; repeated edges and self loops, which are few
        in large graphs, are left out.
      homophily: the share of edges within a class.
      separation: the length of the mean of the features of a class.

    Raises:
      ValueError: if an attribute is out of its range.
    """

    num_nodes: int
    num_classes: int = 4
    degree: float = 5.0
    homophily: float = 0.7
    separation: float = 1.0

    def __post_init__(self):
        if not 2 <= self.num_classes <= self.num_nodes:
            raise ValueError(
                f"`num_classes` must be from 2 to the number of nodes, {self.num_nodes}, got "
                f"{self.num_classes}"
            )
        if not 0 <= self.homophily <= 1:
            raise ValueError(f"`homophily` must be from 0 to 1, got {self.homophily}")
        if not (self.degree >= 0 and self.separation >= 0):
            raise ValueError(
                "`degree` and `separation` must not be negative, got "
                f"{self.degree} and {self.separation}"
            )

    def sample(self, seed: int = 0) -> LabeledGraph:
        """A graph with random sets of nodes for training, validation and test, see `node_graph`."""
        rng = seeds.generator(seed)
        classes, n = self.num_classes, self.num_nodes
        labels = np.sort(rng.permutation(n) % classes)  # as many nodes in each class
        num_edges = round(n * self.degree / 2)
        first = rng.integers(n, size=num_edges)
        moved = rng.integers(1, classes, size=num_edges) * (rng.random(num_edges) > self.homophily)
        starts = np.searchsorted(labels, np.arange(classes + 1))
        other = (labels[first] + moved) % classes
        second = rng.integers(starts[other], starts[other + 1])
        order = rng.permutation(n)  # otherwise the number of a node tells its class
        shuffled = np.empty_like(labels)
        shuffled[order] = labels
        features = rng.normal(size=[n, classes]).astype(np.float32)
        features[np.arange(n), shuffled] += self.separation
        return node_graph(features, order[np.stack([first, second])], shuffled, seed=seed)

    def posterior(self, network: LabeledGraph, hops: int) -> np.ndarray:
        """Probabilities of the classes by belief propagation, [num_nodes, num_classes] float32.

        They are exact, given the features within `hops` edges of a node, where these edges form a
        tree, as they nearly always do in a large graph with few edges a node. No classifier that
        sees the features of these nodes and their edges is then right more often. With 0 hops only
        the own features count. The labels of `network` are not used.
        """
        senders, receivers = network.graph.senders.numpy(), network.graph.receivers.numpy()
        # Sorted so, an edge and its reverse are at the same place of two lists.
        by_sender, by_receiver = np.lexsort([receivers, senders]), np.lexsort([senders, receivers])
        reverse = np.empty_like(by_sender)
        reverse[by_sender] = by_receiver
        own = self.separation * network.graph.nodes.numpy()
        own -= own.max(axis=1, keepdims=True)
        stay, move = self.homophily, (1 - self.homophily) / (self.num_classes - 1)
        arrived = np.zeros([len(senders), self.num_classes], np.float32)
        belief = own
        for _ in range(hops):
            # What the sender believes without the message of this receiver.
            sent = _softmax(belief[senders] - arrived[reverse])
            arrived = np.log(move + (stay - move) * sent)
            belief = own + np.stack(
                [np.bincount(receivers, column, len(own)) for column in arrived.T], axis=1
            ).astype(np.float32)
        return _softmax(belief)


def _softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
