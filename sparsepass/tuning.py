"""Measured constants: one table, ``tuning.json``, of what both languages decide or count by.

The native library is built from the same file (runtime/native/base/tuning.h).
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

__all__ = ["Column", "Constant", "InstructionSet", "Tuning", "constants", "tuning_for"]

InstructionSet = Literal["baseline", "avx2", "avx512"]
# An instruction set, or what processors of one maker differ in on it: such a column may be left
# out, and the value is then that of the instruction set.
Column = Literal[InstructionSet, "avx512-intel"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class Constant(_Value, extra="forbid"):
    """A row of the table: ``value`` and ``measured`` are by column, or one for all.

    ``command`` shows what the constant does to times or bytes; ``measured`` says on which machine
    and when that was looked at, and what it gave.
    """

    meaning: str
    unit: str
    value: int | float | dict[Column, int | float]
    command: str
    measured: str | dict[Column, str]

    def value_for(self, column: Column) -> int | float:
        """The value of a column."""
        if not isinstance(self.value, dict):
            return self.value
        if column == "avx512-intel":
            return self.value.get(column, self.value["avx512"])
        return self.value[column]


class Tuning(_Value):
    """Those constants of one column that work is counted by."""

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
def tuning_for(column: Column) -> Tuning:
    """The constants of one column."""
    return Tuning.model_validate({name: row.value_for(column) for name, row in constants().items()})
