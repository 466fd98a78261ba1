import native
import pytest


@pytest.fixture(params=native.INSTRUCTION_SETS, scope="module")
def isa(request) -> str:
    """Each instruction set; one that is not here is skipped."""
    if not native.is_here(request.param):
        pytest.skip(f"this machine or build has no {request.param}")
    return request.param
