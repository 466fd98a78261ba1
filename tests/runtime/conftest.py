import native
import pytest


@pytest.fixture(params=[*native.INSTRUCTION_SETS, *native.EMULATED], scope="module")
def isa(request) -> str:
    """Each instruction set; one that is not here is skipped."""
    if reason := native.absence(request.param):
        pytest.skip(reason)
    return request.param
