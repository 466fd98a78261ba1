"""Measured constants: one table, ``tuning.json``, of what both languages decide or count by.

The native library is built from the same file (runtime/native/base/tuning.h).
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

__all__ = ["Constant", "InstructionSet", "Tuning", "constants", "tuning_for"]

InstructionSet = Literal["baseline", "avx2", "avx512"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class Constant(_Value, extra="forbid"):
    """A row of the table: ``value`` and ``measured`` are by instruction set, or one for all.

    ``command`` shows what the constant does to times or bytes; ``measured`` says on which machine
    and when that was looked at, and what it gave.
    """

    meaning: str
    unit: str
    value: int | float | dict[InstructionSet, int | float]
    command: str
    measured: str | dict[InstructionSet, str]

    def value_for(self, isa: InstructionSet) -> int | float:
        """The value on an instruction set."""
        return self.value[isa] if isinstance(self.value, dict) else self.value


class Tuning(_Value):
    """Those constants of one instruction set that work is counted by."""

    # weight-sparse
    prefers_code: bool
    piece_multiplies: int
    piece_units: int
    code_rows: int
    multiply_bytes: int
    panel_load_bytes: int
    load_bytes: int
    filter_bytes: int
    bounded_density: float
    unbounded_bytes: int
    few_weights: int
    panel_reuse: float
    list_panel_share: float
    list_multiply_cycles: float
    list_weight_cycles: float
    list_row_cycles: float
    list_chain_cycles: float
    list_entry_cycles: float
    list_entry_vector_cycles: float
    # depthwise
    depthwise_rows: int
    # activation-sparse
    chunk_channels: int
    merged_chunks: int
    visit_values: float
    gather_vectors: int
    finish_multiplies: float
    sweep_visit_multiplies: float
    gather_visit_multiplies: float
    sweep_weight_multiplies: float
    near_weight_multiplies: float
    far_weight_multiplies: float
    near_weight_bytes: int
    encode_multiplies: float


@cache
def constants() -> Mapping[str, Constant]:
    """The table, by name."""
    text = (files("sparsepass") / "tuning.json").read_text(encoding="utf-8")
    return TypeAdapter(dict[str, Constant]).validate_json(text)


@cache
def tuning_for(isa: InstructionSet) -> Tuning:
    """The constants of one instruction set."""
    return Tuning.model_validate({name: row.value_for(isa) for name, row in constants().items()})
