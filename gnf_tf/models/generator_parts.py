"""The networks and flows of a `GraphGenerator`, by its configuration."""

import dataclasses
from typing import Any, Literal

from gnf_tf import bijectors, networks, options
from gnf_tf.models.auto_encoder import FlowAutoEncoder, GraphAutoEncoder

__all__ = ["GeneratorConfig", "make_auto_encoder", "make_gnf"]


@dataclasses.dataclass(frozen=True)
class GeneratorConfig:
    """The sizes of a `GraphGenerator`."""

    embedding_size: options.Even = 14
    """width of the embeddings, even"""
    encoder: Literal["network", "flow"] = "network"
    """network: `GraphAutoEncoder`, the paper's; flow: `FlowAutoEncoder`, trained end to end"""
    directed: bool = False
    """edges have a direction"""
    encoder_width: options.Count = 64
    """width of the encoder's and the decoder's networks, a multiple of `num_heads`"""
    encoder_blocks: options.Count = 6
    """attention blocks of the encoder's networks; of a flow, every second attends to all nodes"""
    encoder_steps: options.Count = 4
    """steps of the encoder, where it is a flow"""
    decoder_blocks: options.AtLeast0 = 0
    """attention blocks between all nodes, in front of equation 6; 0: none, the paper's decoder"""
    noise_variance: options.Positive | None = None
    """of the encoder's noise features; None: 0.3, and 1 / (2 embedding_size) for a flow encoder"""
    temperature: options.Positive = 10.0
    """C of the decoder, equation 6"""
    num_steps: options.Count = 6
    """steps of the flow over embeddings"""
    width: options.Count = 64
    """width of that flow's networks, a multiple of `num_heads`"""
    num_blocks: options.Count = 1
    """attention blocks of that flow's networks"""
    num_heads: options.Count = 4
    """heads of all attention"""
    coupling: Literal["affine", "spline"] = "affine"
    """of all flows"""
    num_bins: options.AtLeast2 = 8
    """bins of the splines"""

    def __post_init__(self):
        options.check(self)
        for name in ("encoder_width", "width"):
            if getattr(self, name) % self.num_heads:
                rule = f"a multiple of the number of heads, {self.num_heads}"
                raise options.OptionError(name, rule, getattr(self, name))


def make_auto_encoder(config: GeneratorConfig, max_num_nodes: int) -> GraphAutoEncoder:
    """Encoder and decoder, for graphs of up to so many nodes."""

    def make_decoder(output_size):
        return networks.GraphTransformer(
            config.encoder_width,
            output_size,
            num_heads=config.num_heads,
            num_blocks=config.decoder_blocks,
            output_scale=0.1,
            fully_connected=True,
            max_num_nodes=max_num_nodes,
        )

    def make_encoder(output_size):
        return networks.GraphTransformer(
            config.encoder_width,
            output_size,
            num_heads=config.num_heads,
            num_blocks=config.encoder_blocks,
            output_scale=0.3,
            max_num_nodes=max_num_nodes,
        )

    def make_flow(node_size):
        return _flow(
            config,
            config.encoder_steps,
            node_size,
            width=config.encoder_width,
            num_blocks=config.encoder_blocks,
            fully_connected=[i % 2 == 1 for i in range(config.encoder_blocks)],
            max_num_nodes=max_num_nodes,
            name="encoder",
        )

    sizes: Any = (config.embedding_size, max_num_nodes)
    shared: dict[str, Any] = {
        "make_decoder": make_decoder if config.decoder_blocks else None,
        "directed": config.directed,
        "temperature": config.temperature,
    }
    variance = config.noise_variance
    if config.encoder == "flow":
        return FlowAutoEncoder(*sizes, make_flow=make_flow, noise_variance=variance, **shared)
    variance = 0.3 if variance is None else variance
    return GraphAutoEncoder(*sizes, make_encoder=make_encoder, noise_variance=variance, **shared)


def make_gnf(config: GeneratorConfig, max_num_nodes: int) -> bijectors.GNF:
    """The flow over embeddings, between all pairs of nodes."""
    return _flow(
        config,
        config.num_steps,
        config.embedding_size,
        width=config.width,
        num_blocks=config.num_blocks,
        fully_connected=True,
        max_num_nodes=max_num_nodes,
        mean_scaling=True,
        name="gnf",
    )


def _flow(
    config, num_steps, node_size, *, width, num_blocks, fully_connected, max_num_nodes, **options
):
    def make_conditioner(output_size):
        return networks.GraphTransformer(
            width,
            output_size,
            num_heads=config.num_heads,
            num_blocks=num_blocks,
            fully_connected=fully_connected,
            max_num_nodes=max_num_nodes,
        )

    is_spline = config.coupling == "spline"
    return bijectors.GNF(
        num_steps,
        node_size,
        make_conditioner=make_conditioner,
        coupling=bijectors.Spline(config.num_bins) if is_spline else config.coupling,
        normalization="act_norm",
        mixing=True,
        memory="stored",  # the graphs are small, and storing is faster
        **options,
    )
