"""What work is counted for: an instruction set of our kernels, on a machine of ONNX Runtime's."""

from dataclasses import dataclass

from sparsepass.tuning import InstructionSet, Tuning, tuning_for

__all__ = ["Target", "block_of"]

# Floats of a vector.
LANES: dict[InstructionSet, int] = {"baseline": 4, "avx2": 8, "avx512": 16}


@dataclass(frozen=True)
class Target:
    """The instruction set of our kernels, and the channels of a block of ONNX Runtime's layout.

    The block is that of the machine, whose instruction set may be wider.
    """

    isa: InstructionSet
    block: int

    @property
    def lanes(self) -> int:
        """Floats of a vector of our kernels."""
        return LANES[self.isa]

    @property
    def tuning(self) -> Tuning:
        """The measured constants of our kernels."""
        return tuning_for(self.isa)


def block_of(isa: InstructionSet) -> int:
    """Channels that ONNX Runtime keeps together in its blocked layout, by the machine's widest."""
    return 16 if isa == "avx512" else 8
