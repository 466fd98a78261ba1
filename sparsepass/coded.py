"""A weight as a file holds it in few bits: codes, the levels that they stand for, and scales."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsepass.layer import Array

__all__ = ["CodedWeight"]


@dataclass(frozen=True)
class CodedWeight:
    """Codes in the shape of the constant that they replace, of 4 or 8 bits.

    Codes of 8 bits are int8 and are what they stand for; of 4 bits they are uint8 below 16, numbers
    of ``levels``.  ``scales`` multiply them: broadcast against a dense weight; of a sparse one,
    whose ``indices`` are the constant of this name, one for each filter of ``taps`` weights.
    """

    codes: NDArray[np.int8 | np.uint8]
    scales: Array
    levels: Array | None = None
    indices: str = ""
    taps: int = 1
