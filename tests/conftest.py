from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from golden import golden, pytest_addoption  # noqa: F401

SHARED = Path(__file__).parents[2] / "shared"

# The same examples every time; `make sanitize` takes the short profile.
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=50)
settings.register_profile("short", derandomize=True, deadline=None, max_examples=8)
settings.load_profile("repeatable")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of the tests' own: neither do they read what the user measured, nor add to it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real networks and images beside the project; without it the test is skipped."""
    if not SHARED.is_dir():
        pytest.skip(f"no real networks: {SHARED} is absent")
    return SHARED
