"""What concerns the tests' seconds: how programs are compiled, and in which order files run."""

import gc
import os

import pytest

# LLVM's optimizations take half of the seconds of a compilation, and the newer generators of fused
# loops a quarter of what is left and more memory; a program in parts takes a tenth more than one in
# a piece. All three are left out here and in the processes that tests start, but for those of
# `test_benchmarks` that measure the memory of a step with the fused loops that users have. Flags of
# the user's own replace these.
QUICK_XLA = (
    "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false "
    "--xla_cpu_parallel_codegen_split_count=1"
)
os.environ.setdefault("XLA_FLAGS", QUICK_XLA)  # before TensorFlow is imported
# To make oneDNN's kernels takes longer than such small matrices take with Eigen's.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

# What TensorFlow traces are many objects and few cycles: at Python's thresholds, searching them for
# cycles takes 4 % of the seconds.
gc.set_threshold(100_000, 20, 50)

# So that no process works on one of them while the other has finished.
LONGEST = (
    "test_trainers",
    "test_reversible_inputs",
    "test_conformance",
    "test_distribution",
    "test_notebooks",
    "test_readme",
    "test_auto_encoder",
    "test_loop",
    "test_benchmarks",
    "test_generator_training",
    "test_fit",
    "test_density_objective",
    "test_reversible",
    "test_generation_trainer",
    "test_node_objective",
    "test_dropout",
)


@pytest.fixture(scope="module")
def kept_half_steps():
    """Keeps what is traced of a layer for later tests of a file, whose layers are often alike.

    Otherwise it is freed with the model of each test.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gnf_tf.reversible.half_step._HALF_STEPS", {})
        yield


@pytest.fixture(scope="module")
def few_are_compared():
    """A generator that is trained draws so few graphs after each epoch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gnf_tf.training.generator_objective.COMPARED", 20)
        yield


def pytest_collection_modifyitems(items):
    """Keeps the order within files, and of all others."""
    place = {name: i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONGEST)))
