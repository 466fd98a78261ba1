"""What work is counted for: the instruction set of our kernels, and ONNX Runtime's layout."""

from dataclasses import dataclass

from sparsepass.tuning import Column, InstructionSet, Tuning, tuning_for

__all__ = ["CHANNEL_STEP", "Target", "block_of", "column_of"]

# ONNX Runtime blocks channels that come in fours; others it leaves to a matrix product.
CHANNEL_STEP = 4
# Floats of a vector.
LANES: dict[InstructionSet, int] = {"baseline": 4, "avx2": 8, "avx512": 16}


@dataclass(frozen=True)
class Target:
    """The instruction set of our kernels, and the channels of a block of ONNX Runtime's layout.

    The block is that of the machine, whose instruction set may be wider.  ``column`` says whose
    measured constants the kernels have, None those of the instruction set.
    """

    isa: InstructionSet
    block: int
    column: Column | None = None

    @property
    def is_narrowed(self) -> bool:
        """Whether ONNX Runtime runs wider vectors than our kernels."""
        return self.block != block_of(self.isa)

    def __str__(self) -> str:
        return f"{self.isa} kernels on avx512" if self.is_narrowed else self.isa

    def is_like(self, other: "Target") -> bool:
        """Whether vectors and layouts are the same, so that prices can be carried over."""
        return (self.isa, self.block) == (other.isa, other.block)

    @property
    def lanes(self) -> int:
        """Floats of a vector of our kernels."""
        return LANES[self.isa]

    @property
    def tuning(self) -> Tuning:
        """The measured constants of our kernels."""
        return tuning_for(self.column or self.isa)


def block_of(isa: InstructionSet) -> int:
    """Channels that ONNX Runtime keeps together in its blocked layout, by the machine's widest."""
    return 16 if isa == "avx512" else 8


def column_of(isa: InstructionSet, cpu: str) -> Column | None:
    """The constants of the maker of a processor, by the name that it gives itself."""
    return "avx512-intel" if isa == "avx512" and cpu.startswith("Intel") else None
