"""The table of measured constants: where each was measured, that it is used, and that no other
constant of the kernels or of the algorithms was measured.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from sparsepass.tuning import Column, InstructionSet, Tuning, constants, tuning_for

ROOT = Path(__file__).parent.parent
NATIVE = ROOT / "runtime" / "native"
# What fuzzes the library is no part of it.
SOURCES = sorted(
    p for p in NATIVE.rglob("*") if p.suffix in (".h", ".cc") and p.parent.name != "fuzz"
)
ALGORITHMS = sorted((ROOT / "sparsepass" / "algorithms").glob("*.py"))
INSTRUCTION_SETS = get_args(InstructionSet)

# Constants that were not measured, by what they are instead; ort/abi.h is a format throughout.
NATIVE_NUMBERS = {
    "the machine": {"kIsaCount", "kLine", "kLineFloats", "kLarge", "kHugePage", "kAhead"},
    "lanes and registers": {
        "kLanes", "kUnit", "kTileFilters", "kTileColumns", "kTileRows", "kTilePatterns",
        "kMostVectors", "kMostUnits", "kMostTiledRows", "kPixelsAtOnce", "kMostBlock", "kQuads",
        "kMostListVectors", "kMostKept", "kRowsPerTurn", "kTogether",
    },
    "layouts": {
        "kGroup", "kGemmSlack", "kEncodingSlack", "kTile", "kTails", "kNone", "kOfInput",
        "kListUnit", "kMostListDistance",
    },
    "encodings of instructions": {
        "kMap0F", "kMap0F38", "kWindow", "kReach", "kWorthMoving",
    },
    "limits": {"kMost", "kMostFloats", "kMostSize", "kMostSizes", "most"},
    "how a measurement at run time samples": {"kTurns", "kHandovers", "kSpinsBetweenLooks"},
}  # fmt: skip
COUNTED_NUMBERS = {
    "lanes and registers": {
        "FEW_TILES",
        "LEAST_LANES",
        "MOST_VECTORS",
        "SHARING_KERNELS",
        "UNIT",
    },
    "layouts": {
        "DOT_BYTES",
        "GROUP_CHANNELS",
        "RUN_BYTES",
        "SLICE_BYTES",
        "VISIT_BYTES",
        "WEIGHT_BYTES",
    },
    "the paper": {"GROUP_ROWS"},
    "limits": {"MOST_TAPS"},
    "statistics": {"POSITIONS_PER_TAP"},
    "the machine": {"FIRST_LEVEL"},
    "ONNX Runtime's kernels": {"DENSE_PIXELS", "DENSE_BLOCKS", "BLOCK", "WIDE"},
    "mathematics": {"STRIDES"},
    "settings that are offered": {"SHARES", "ZEROS", "MOST_WORK"},
}


def native_numbers() -> Iterator[str]:
    """Names that C++ gives to numbers that do not come from the table."""
    for path in SOURCES:
        for declared in re.findall(r"\bconstexpr ([^;(]*?=[^;]*);", path.read_text("utf-8")):
            for name, value in re.findall(r"(\w+)(?:\[\w*\])? = ([^,]*)", declared):
                is_number = re.search(r"(?<!\w)\d", value) and not value.startswith("{")
                if is_number and "uning" not in value and path.name != "abi.h":
                    yield name


def counted_numbers() -> Iterator[str]:
    """Names that the algorithms give to numbers."""
    for path in ALGORITHMS:
        for names, value in re.findall(r"^([A-Z][A-Z_, ]+) = (.*)", path.read_text("utf-8"), re.M):
            if re.match(r"[-(]*\d", value):
                yield from names.split(", ")


def test_every_named_number_is_in_the_table_or_was_not_measured():
    assert set(native_numbers()) == set().union(*NATIVE_NUMBERS.values())
    assert set(counted_numbers()) == set().union(*COUNTED_NUMBERS.values())


@pytest.mark.parametrize("name", constants())
def test_every_constant_is_used(name):
    uses = rf"\b(tuning_?\.|Tuning::){name}\b"

    assert any(re.search(uses, path.read_text("utf-8")) for path in [*SOURCES, *ALGORITHMS])


@pytest.mark.parametrize("name", constants())
def test_every_constant_says_where_it_was_measured(name):
    row = constants()[name]
    by_set = row.measured if isinstance(row.measured, dict) else {"": row.measured}

    assert isinstance(row.value, dict) == isinstance(row.measured, dict)
    if isinstance(row.value, dict):
        assert row.value.keys() == row.measured.keys() >= set(INSTRUCTION_SETS)
    for isa, text in by_set.items():
        taken = re.fullmatch(r"taken from (\w+), not measured", text)
        if taken:
            assert row.value_for(isa) == row.value_for(taken[1])
        else:
            assert re.match(r"\w.*\), \d{4}-\d{2}-\d{2}(: |,|$)|follows from ", text)


@pytest.mark.parametrize("name", constants())
def test_every_command_that_measures_runs_what_is_there(name):
    command = constants()[name].command
    scripts = re.findall(r"\S+\.py\b", command)

    assert [s for s in scripts if not (ROOT / s).is_file()] == []
    assert scripts or command.startswith("sparsepass ")


@pytest.mark.parametrize("column", get_args(Column))
def test_python_reads_every_column(column):
    tuning = tuning_for(column)

    assert tuning == Tuning.model_validate(tuning.model_dump())
    assert tuning.code_rows == {"baseline": 0, "avx2": 6}.get(column, 30)


def test_a_column_of_a_maker_takes_the_rest_from_its_instruction_set():
    intel, other = tuning_for("avx512-intel").model_dump(), tuning_for("avx512").model_dump()
    own = {
        name
        for name, row in constants().items()
        if isinstance(row.value, dict) and "avx512-intel" in row.value
    }

    assert "piece_units" in own
    assert {name for name in intel if intel[name] != other[name]} == own & set(intel)
