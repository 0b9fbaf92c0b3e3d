"""What concerns the tests' seconds and memory: how XLA compiles, and where and when files run."""

import concurrent.futures
import gc
import inspect
import multiprocessing
import os

import pytest

# LLVM's optimizations take half of the seconds of a compilation, and the newer generators of fused
# loops a quarter of what is left and more memory. Both are left out here and in the processes that
# tests start, but for those of `test_benchmarks` that measure the memory of a step
# with the fused loops that users have. Flags of the user's own replace this one.
QUICK_XLA = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
os.environ.setdefault("XLA_FLAGS", QUICK_XLA)  # before TensorFlow is imported

# What TensorFlow traces are many objects and few cycles: at Python's thresholds, searching them for
# cycles takes 4 % of the seconds.
gc.set_threshold(100_000, 20, 50)

# So that no process works on one of them while the others have finished. XLA's programs stay in
# the memory of a process; the files that compile most come first, each to a process of its own,
# and then those whose work is done by processes of their own.
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


def keep_half_steps(patch=setattr):
    from gnf_tf.reversible import half_step  # TensorFlow reads `XLA_FLAGS` as it is imported

    patch(half_step, "_HALF_STEPS", {})


@pytest.fixture(scope="module")
def kept_half_steps():
    """Keeps what is traced of a layer for later tests of a file, whose layers are often alike.

    Otherwise it is freed with the model of each test.
    """
    with pytest.MonkeyPatch.context() as patch:
        keep_half_steps(patch.setattr)
        yield


@pytest.fixture(scope="module")
def process(request):
    """The process in which the tests of a file run that use this fixture, see below.

    It is for files that compile much: later files don't have its memory on top of theirs.
    """
    prepare = keep_half_steps if "kept_half_steps" in request.fixturenames else None
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, spawn, prepare) as executor:
        yield executor


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Runs a test that uses the fixture `process` there, with its other arguments."""
    arguments = pyfuncitem.funcargs
    if "process" not in arguments:
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    kept = {name: arguments[name] for name in names}
    arguments["process"].submit(pyfuncitem.obj, **kept).result()
    return True


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
