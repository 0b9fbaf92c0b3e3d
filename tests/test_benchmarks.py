"""What the benchmarks measure, where it doesn't depend on the machine."""

from benchmarks import memory


def test_buffers_of_a_compiled_training_step_do_not_grow_with_depth():
    """XLA's own account of the memory it will take, 2 and 4 steps."""
    config = memory.Config(nodes=1000, edges=4000)

    def growth(way):
        shallow, deep = (
            memory.memory_point(config, "xla", depth, way)["buffers_mb"] for depth in (2, 4)
        )
        return deep - shallow

    assert growth("reversible") < 0.1 * growth("stored")
