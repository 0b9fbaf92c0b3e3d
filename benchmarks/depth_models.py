"""The networks that `benchmarks.depth` compares, each with its training step.

A training step is the cross entropy of the training nodes, its gradient, and Adam.
"""

import warnings
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

import numpy as np

Model = Literal["grevnet", "gnn", "neumann_rbp", "pyg", "pyg_mmap"]


class Sizes(Protocol):
    """The options that shape the networks, see `benchmarks.depth.Config`."""

    state: int
    learning_rate: float


class Network(NamedTuple):
    """A citation network as arrays, of which no framework is needed."""

    features: np.ndarray  # [N, F] float32
    senders: np.ndarray
    receivers: np.ndarray
    labels: np.ndarray
    train: np.ndarray  # [N] bool
    validation: np.ndarray


class Trainer(NamedTuple):
    """A model that is being trained."""

    step: Callable[[], float]  # one training step; the loss before it
    weights: Callable[[], list[np.ndarray]]
    logits: Callable[[], np.ndarray] | None = None  # [N, classes]
    inverse_error: Callable[[], float] | None = None  # the largest of a feature


def load(dataset: str) -> Network:
    """Worker: the network with its public split."""
    from gnf_tf import datasets

    found = getattr(datasets, dataset)("public")
    ends = (found.graph.senders.numpy(), found.graph.receivers.numpy())
    return Network(found.graph.nodes.numpy(), *ends, found.labels, found.train, found.validation)


def first_nodes(network: Network, count: int) -> Network:
    """The subgraph of these nodes, all of them for training."""
    inside = (network.senders < count) & (network.receivers < count)
    return Network(
        network.features[:count],
        network.senders[inside],
        network.receivers[inside],
        network.labels[:count],
        np.ones(count, bool),
        np.ones(count, bool),
    )


def tensorflow_trainer(config: Sizes, network: Network, model: Model, depth: int) -> Trainer:
    """A network of gnf_tf, with its training step compiled by XLA."""
    import sonnet as snt
    import tensorflow as tf
    import tf_keras

    import gnf_tf
    from gnf_tf import graphs, networks

    class Block(snt.Module):
        """What a half step adds, of size 1 / depth at first so that all steps add one's worth."""

        def __init__(self, output_size):
            super().__init__()
            self._norm = snt.LayerNorm(-1, create_scale=True, create_offset=True)
            self._convolution = networks.GraphConvolution(output_size, output_scale=1.0 / depth)

        def __call__(self, graph):
            nodes = tf.nn.relu(self._norm(graph.nodes))
            return self._convolution(graph.replace(nodes=nodes))

    tf_keras.utils.set_random_seed(0)
    embed, classify = snt.Linear(config.state), snt.Linear(int(network.labels.max()) + 1)
    if model == "neumann_rbp":
        net = gnf_tf.models.NeumannRBP(
            depth,
            config.state,
            make_conditioner=lambda size: networks.GraphConvolution(size, output_scale=0.5),
        )
    else:
        net = gnf_tf.models.GRevNet(
            depth,
            config.state,
            coupling="additive",
            make_conditioner=Block,
            loop=True,
            memory="stored" if model == "gnn" else "reversible",
        )
    topology = graphs.edgeless([len(network.features)], config.state).replace(
        senders=tf.constant(network.senders, tf.int32),
        receivers=tf.constant(network.receivers, tf.int32),
        edges=tf.zeros([len(network.senders), 0]),
        n_edge=tf.constant([len(network.senders)], tf.int32),
    )
    features = tf.constant(network.features)
    rows = tf.constant(np.flatnonzero(network.train))
    labels = tf.constant(network.labels[network.train])

    def start():
        return topology.replace(nodes=tf.nn.relu(embed(features)))

    def logits():
        return classify(net(start()).nodes)

    embed(features[:1])
    classify(topology.nodes[:1])
    variables = [
        variable for part in (embed, net, classify) for variable in part.trainable_variables
    ]
    optimizer = tf_keras.optimizers.Adam(config.learning_rate, jit_compile=False)
    optimizer.build(variables)

    @tf.function(jit_compile=True, autograph=False)
    def step():
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
                labels=labels, logits=tf.gather(logits(), rows)
            )
            loss = tf.reduce_mean(losses)
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    @tf.function(autograph=False)
    def inverse_error():
        graph = start()
        return tf.reduce_max(tf.abs(net.inverse(net(graph)).nodes - graph.nodes))

    return Trainer(
        lambda: float(step()),
        lambda: [variable.numpy() for variable in variables],
        lambda: tf.function(logits, autograph=False)().numpy(),
        lambda: float(inverse_error()),
    )


def pyg_trainer(
    config: Sizes, network: Network, depth: int, weights: list[np.ndarray] | None = None
) -> Trainer:
    """PyTorch Geometric's, with the weights of a `tensorflow_trainer`, or new ones."""
    import torch
    from torch_geometric.nn import GCNConv
    from torch_geometric.nn.conv.gcn_conv import gcn_norm
    from torch_geometric.nn.models import GroupAddRev

    class Block(torch.nn.Module):
        def __init__(self, size):
            super().__init__()
            self.norm = torch.nn.LayerNorm(size)
            self.convolution = GCNConv(size, size, normalize=False)

        def forward(self, nodes, adjacency):
            return self.convolution(torch.relu(self.norm(nodes)), adjacency)

    warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
    torch.manual_seed(0)
    num_nodes, num_words = network.features.shape
    embed = torch.nn.Linear(num_words, config.state)
    half = config.state // 2
    stack = torch.nn.ModuleList(GroupAddRev(Block(half), num_groups=2) for _ in range(depth))
    classify = torch.nn.Linear(config.state, int(network.labels.max()) + 1)
    ends = torch.tensor(np.stack([network.senders, network.receivers]), dtype=torch.int64)
    ends, values = gcn_norm(ends, num_nodes=num_nodes)
    # Rows are receivers; as a matrix the convolution is twice as fast as along a list of edges.
    adjacency = torch.sparse_coo_tensor(
        ends.flip(0), values, (num_nodes, num_nodes), check_invariants=True
    ).to_sparse_csr()
    features = torch.tensor(network.features)
    train = torch.tensor(network.train)
    labels = torch.tensor(network.labels[network.train], dtype=torch.int64)
    if weights is not None:
        places = [embed.bias, embed.weight]
        blocks = [block for layer in stack for block in layer.convs]
        for first in range(2):
            for name in ("norm.weight", "norm.bias", "convolution.lin.weight", "convolution.bias"):
                places.append([block.get_parameter(name) for block in blocks[first::2]])
        places += [classify.bias, classify.weight]
        for place, value in zip(places, weights, strict=True):
            pairs = zip(place, value, strict=True) if isinstance(place, list) else [(place, value)]
            for parameter, array in pairs:
                # A weight matrix is [output, input] in PyTorch.
                parameter.data.copy_(torch.tensor(array.T))
    parameters = [*embed.parameters(), *stack.parameters(), *classify.parameters()]
    optimizer = torch.optim.Adam(parameters, config.learning_rate)

    def logits():
        # The first layer frees what it is given, and ReLU's gradient needs its own output.
        nodes = torch.relu(embed(features)).clone()
        for layer in stack:
            nodes = layer(nodes, adjacency)
        return classify(nodes)

    def step():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(logits()[train], labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return Trainer(step, lambda: [parameter.detach().numpy() for parameter in parameters])


def make_trainer(config: Sizes, network: Network, model: Model, depth: int) -> Trainer:
    """Of any model."""
    if model.startswith("pyg"):
        return pyg_trainer(config, network, depth)
    return tensorflow_trainer(config, network, model, depth)
