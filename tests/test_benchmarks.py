"""What the benchmarks measure, where it doesn't depend on the machine."""

import dataclasses
import functools

import pytest

from benchmarks import flows, generation, memory
from gnf_tf import datasets


def test_buffers_of_a_compiled_training_step_do_not_grow_with_depth():
    """XLA's own account of the memory it will take, 2 and 4 steps."""
    config = memory.Config(nodes=1000, edges=4000)

    def growth(way):
        shallow, deep = (
            memory.memory_point(config, "xla", depth, way)["buffers_mb"] for depth in (2, 4)
        )
        return deep - shallow

    assert growth("reversible") < 0.1 * growth("stored")


def test_flows_run_and_what_is_compared_is_of_one_shape():
    """Ours against TFP's, dense against edge list; the third peer is not installed here."""
    config = flows.Config(nodes=8, num_steps=1, hidden=(5,), num_heads=2, key_size=3, repeats=1)
    pairs = [
        {"ours": flows.our_realnvp, "tfp": flows.tfp_realnvp},
        {
            "ours": functools.partial(flows.attention_gnf, dense=True),
            "edges": functools.partial(flows.attention_gnf, dense=False),
        },
    ]
    for pair in pairs:
        made = {name: functools.partial(make, config, 4, "eager") for name, make in pair.items()}
        rows = flows.compare(config, 4, "eager", made, "ours")
        assert [row["task"] for row in rows] == list(flows.TASKS)
        assert all(ms > 0 for row in rows for ms in row["ms"].values())
    other = dataclasses.replace(config, hidden=(6,))
    wrong = {
        "ours": lambda: flows.our_realnvp(config, 4, "eager"),
        "tfp": lambda: flows.tfp_realnvp(other, 4, "eager"),
    }
    with pytest.raises(RuntimeError, match="different numbers of weights"):
        flows.compare(config, 4, "eager", wrong, "ours")


def test_generation_is_measured_on_the_same_graphs_in_both_ways():
    config = generation.Config(embedding_size=4, num_steps=1, width=4, repeats=1)
    row = generation.generation_point(config, 5, 3)
    assert (row["nodes"], row["graphs"]) == (5, 3)
    assert row["seconds"] > 0 and row["peak_mb"] > 100
    row = generation.likelihood_point(config, "ego_small")
    assert row["graphs"] == len(datasets.ego_small("train"))
    assert row["padding_buckets"] < 0.2 < row["padding_mixed"]
