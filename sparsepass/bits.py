"""How many bits a file may hold a weight in."""

from typing import Literal

from sparsepass.errors import UsageError

__all__ = ["Bits", "read_bits"]

Bits = Literal[4, 8]


def read_bits(bits: int | None) -> Bits | None:
    """The bits that were asked for, or None; raises UsageError for others than 4 and 8."""
    match bits:
        case None | 4 | 8:
            return bits
        case _:
            raise UsageError(f"weights of {bits} bits are not known; give 8 or 4")
