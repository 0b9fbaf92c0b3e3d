"""The longest files run first, so that no process works on one while the others have finished."""

LONGEST = (
    "test_trainers",
    "test_reversible_inputs",
    "test_distribution",
    "test_notebooks",
    "test_readme",
    "test_auto_encoder",
    "test_benchmarks",
    "test_reversible",
    "test_conformance",
    "test_fit",
)


def pytest_collection_modifyitems(items):
    """Keeps the order within files, and of all others."""
    place = {name: i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONGEST)))
