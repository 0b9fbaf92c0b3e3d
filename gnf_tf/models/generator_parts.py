"""The configuration of a `GraphGenerator`, and the networks and flows that follow from it."""

import dataclasses
import functools
from typing import Any, Literal

from gnf_tf import bijectors, networks, options
from gnf_tf.models import flow_parts
from gnf_tf.models.auto_encoder import GraphAutoEncoder
from gnf_tf.models.decoding import ConstraintName
from gnf_tf.models.flow_auto_encoder import FlowAutoEncoder

__all__ = ["GeneratorConfig", "make_auto_encoder", "make_gnf"]

NOISE = ("embedding_noise", "noise_size", "noise_ranks")  # options of a network encoder alone


@dataclasses.dataclass(frozen=True)
class GeneratorConfig:
    """The sizes and choices of a `GraphGenerator`."""

    embedding_size: options.Even = 14
    """width of the node embeddings, even"""
    encoder: Literal["network", "flow"] = "network"
    """network: the paper's encoder, `GraphAutoEncoder`, trained before the flow over embeddings;
    flow: an encoder with an exact density, `FlowAutoEncoder`, trained end to end with that flow"""
    directed: bool = False
    """whether edges have a direction"""
    encoder_width: options.Count = 64
    """width of the networks of encoder and decoder, a multiple of num_heads"""
    encoder_blocks: options.Count = 6
    """number of attention blocks in each network of the encoder; in a flow encoder, every second
    block attends to all nodes and the others to neighbors"""
    encoder_steps: options.Count = 4
    """number of flow steps of a flow encoder"""
    decoder_blocks: options.AtLeast0 = 0
    """number of attention blocks of the decoder network, before equation 6; 0: no decoder network,
    as in the paper"""
    noise_variance: options.Positive | None = None
    """variance of the encoder's noise features; default: 0.3, or 1 / (2 embedding_size) for a flow
    encoder"""
    noise_size: options.Count | None = None
    """number of noise features of a network encoder; default: embedding_size, as in the paper.
    Two still tell nodes with identical neighborhoods apart, and the fewer there are, the less the
    embeddings depend on anything but the edges, so that the flow can learn their density"""
    noise_ranks: bool = False
    """whether a network encoder also gets the rank of each node's first noise feature in its graph,
    one-hot, which tells nodes with identical neighborhoods apart without error"""
    walk_length: options.AtLeast0 = 0
    """number of features of each node's place in its graph that the encoder also gets: its degree,
    and the probabilities that random walks of 2 to walk_length steps return to it. Attention along
    edges, which is a mean over neighbors, learns them slowly"""
    num_eigenvectors: options.AtLeast0 = 0
    """number of eigenvectors of the normalized adjacency that the encoder also gets. They show
    where in a large graph a node is, such as its block or its place in the plane"""
    embedding_noise: options.NotNegative = 0.0
    """standard deviation of the noise on each embedding feature of a network encoder, 0 in the
    paper. With it the decoder learns to allow for errors of the flow's samples, and no direction is
    without variance; such directions take most of the likelihood that a flow gains"""
    temperature: options.Positive = 10.0
    """C in equation 6, the slope of the decoder's sigmoid"""
    scaled_distance: bool = False
    """whether equation 6 has the squared distance divided by sqrt(embedding_size), as in the
    authors' code but not in the paper"""
    draw_edges: bool | None = None
    """whether a generated edge is drawn with its probability p of equation 6, or is present if
    p > 1/2, as in the paper; default: what gives graphs of a lesser MMD to the training graphs once
    the model is trained, and, where that was not compared, as for directed graphs, drawn for a flow
    encoder or with an embedding_noise, where embeddings leave some edges to chance"""
    constraint: ConstraintName = "none"
    """property that generated graphs keep, for sets whose graphs all have it: edges are added in
    the order of p, without those that would violate it, until there are as many as without it"""
    connected: bool = False
    """whether generated graphs are connected, for sets whose graphs all are: edges that join their
    parts are added, the most probable first"""
    num_steps: options.Count = 6
    """number of steps of the flow over embeddings"""
    width: options.Count = 64
    """width of the networks of the flow over embeddings, a multiple of num_heads"""
    num_blocks: options.Count = 1
    """number of attention blocks in each network of the flow over embeddings"""
    num_heads: options.Count = 4
    """number of attention heads in all networks"""
    coupling: Literal["affine", "spline"] = "affine"
    """transformation in the couplings of all flows: the paper's equation 3, or monotonic
    rational-quadratic splines"""
    num_bins: options.AtLeast2 = 8
    """number of bins of each spline"""

    def __post_init__(self):
        options.check(self)
        flow_parts.check_heads(self, "encoder_width", "width")
        for name in NOISE:
            value = getattr(self, name)
            if self.encoder == "flow" and value:
                raise options.OptionError(name, "left out for the encoder 'flow'", value)


def make_auto_encoder(config: GeneratorConfig, max_num_nodes: int) -> GraphAutoEncoder:
    """Makes the auto-encoder for graphs of up to `max_num_nodes` nodes."""
    make_transformer = functools.partial(
        networks.GraphTransformer,
        config.encoder_width,
        num_heads=config.num_heads,
        max_num_nodes=max_num_nodes,
    )
    options: dict[str, Any] = {
        "directed": config.directed,
        "temperature": config.temperature,
        "scaled_distance": config.scaled_distance,
        "walk_length": config.walk_length,
        "num_eigenvectors": config.num_eigenvectors,
    }
    if config.decoder_blocks:
        options["make_decoder"] = functools.partial(
            make_transformer,
            num_blocks=config.decoder_blocks,
            output_scale=0.1,
            fully_connected=True,
        )
    if config.noise_variance is not None:
        options["noise_variance"] = config.noise_variance
    if config.encoder == "network":
        options["make_encoder"] = functools.partial(
            make_transformer, num_blocks=config.encoder_blocks, output_scale=0.3
        )
        options |= {name: getattr(config, name) for name in NOISE}
        return GraphAutoEncoder(config.embedding_size, max_num_nodes, **options)
    options["make_flow"] = functools.partial(
        _make_flow,
        config,
        config.encoder_steps,
        make_conditioner=functools.partial(
            make_transformer,
            num_blocks=config.encoder_blocks,
            fully_connected=[i % 2 == 1 for i in range(config.encoder_blocks)],
        ),
        conditional_size=config.walk_length + config.num_eigenvectors,
        name="encoder",
    )
    return FlowAutoEncoder(config.embedding_size, max_num_nodes, **options)


def make_gnf(config: GeneratorConfig, max_num_nodes: int) -> bijectors.GNF:
    """Makes the flow over embeddings, whose networks attend between all nodes of a graph."""
    return _make_flow(
        config,
        config.num_steps,
        config.embedding_size,
        make_conditioner=functools.partial(
            networks.GraphTransformer,
            config.width,
            num_heads=config.num_heads,
            num_blocks=config.num_blocks,
            fully_connected=True,
            max_num_nodes=max_num_nodes,
        ),
        mean_scaling=True,
        name="gnf",
    )


def _make_flow(config, num_steps, node_size, **options):
    return bijectors.GNF(
        num_steps,
        node_size,
        coupling=flow_parts.coupling(config),
        normalization="act_norm",
        mixing=True,
        memory="stored",  # the graphs are small, and storing activations is faster
        **options,
    )
