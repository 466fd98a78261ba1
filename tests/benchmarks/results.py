"""Rows of a benchmark, written as they come, so that an interrupted run goes on where it ended."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import TypeAdapter
from rows import Row, place_of

from sparsepass.files import make_folder, write_bytes
from sparsepass.pipeline.assemble import machine_of
from sparsepass.profile import cpu_name
from sparsepass.report.schema import Machine
from sparsepass.runtime.library import instruction_set

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build" / "benchmarks"


RowT = TypeVar("RowT", bound=Row)


class Results(Generic[RowT]):
    """The rows of one JSON file by key, all of one machine."""

    def __init__(self, path: Path, row: type[RowT]):
        self.path = path
        self.adapter = TypeAdapter(dict[str, row])
        self.rows: dict[str, RowT] = (
            self.adapter.validate_json(path.read_bytes()) if path.exists() else {}
        )

    def of(self, key: str, measure: Callable[[], RowT]) -> RowT:
        """The row of ``key``, measured and written where the file has none."""
        if key not in self.rows:
            self.rows[key] = measure()
            make_folder(self.path.parent)
            write_bytes(self.path, self.adapter.dump_json(self.rows, indent=1))
        return self.rows[key]


def this_machine(threads: int, isa: str | None = None) -> Machine:
    """This machine with the kernels of an instruction set, by default the widest."""
    return machine_of(cpu_name(), threads, isa)


def file_here(name: str, isa: str | None = None) -> Path:
    """Where rows of this machine are kept: no two machines and instruction sets share a file."""
    return FOLDER / slug(place_of(this_machine(1, isa), instruction_set())) / name


def slug(text: str) -> str:
    """``text`` as a file name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
