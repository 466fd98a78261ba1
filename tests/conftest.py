from pathlib import Path

import pytest
from hypothesis import settings

from golden import golden, pytest_addoption  # noqa: F401

SHARED = Path(__file__).parents[2] / "shared"

# The same examples every time; `make sanitize` takes the short profile.
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=50)
settings.register_profile("short", derandomize=True, deadline=None, max_examples=8)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real networks and images beside the project; without it the test is skipped."""
    if not SHARED.is_dir():
        pytest.skip(f"no real networks: {SHARED} is absent")
    return SHARED
