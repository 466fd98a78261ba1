from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real networks and images beside the project; without it the test is skipped."""
    if not SHARED.is_dir():
        pytest.skip(f"no real networks: {SHARED} is absent")
    return SHARED
