"""The machine as data: what counted work costs on it, measured once by ``sparsepass calibrate``.

Prices are microseconds per million of what ``algorithms.Work`` counts (per node for ``nodes``).
A profile says where it comes from and how far its predictions were off.
"""

import platform
import re
from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Literal

import onnxruntime
import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sparsepass.errors import PlanError
from sparsepass.files import make_folder, read_document, write_text
from sparsepass.target import Target, block_of, column_of
from sparsepass.tuning import InstructionSet

__all__ = [
    "MachineProfile",
    "Rates",
    "Transfer",
    "cached_path",
    "cpu_name",
    "doubt",
    "find",
    "nearest",
    "shipped",
]


# Microseconds; what is beyond is damage, on any machine, and too much for the solver.
Price = Annotated[float, Field(ge=0, le=1e9)]
# Errors, as shares of the measured time, and rates.
Figure = Annotated[float, Field(ge=0, le=1e9)]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rates(_Value):
    """Prices of one algorithm for one kind of layer, and how well they fit the ``samples``.

    Errors are shares of the measured time, of layers whose shapes were left out of the fit.
    """

    nodes: Price
    macs: Price
    moves: Price
    input_bytes: Price
    output_bytes: Price
    weight_bytes: Price
    copied_bytes: Price
    samples: int
    median_error: Figure
    worst_error: Figure


class Transfer(_Value):
    """Price of moving memory: microseconds each, and per million bytes."""

    fixed: Price
    bytes: Price


class MachineProfile(_Value):
    """Prices on one CPU with one number of threads.

    ``rates`` maps algorithm names, then kinds of layers (see ``cost``), to prices.  By the bytes of
    a tensor, ``to_blocked`` and ``from_blocked`` price ONNX Runtime's ReorderInput and
    ReorderOutput.  By the bytes that a node reads and writes, ``pass_over`` prices one that does
    little else, and ``unblocked`` maps operators to what they cost more in NCHW than in the blocked
    layout.  ``peak_gflops`` is the highest rate that a sample reached, two operations per
    multiply-add performed.  ``isa`` is that of our kernels, ``block`` the channels of a block of
    ONNX Runtime's layout, which stays that of the machine; None where both are of one.  ``learned``
    are digests of the measurements that prices were moved to, see ``pipeline.learn``.
    """

    version: Literal[1] = 1
    cpu: str
    isa: InstructionSet
    block: int | None = None
    threads: int = Field(ge=1)
    onnxruntime: str
    date: str
    command: str
    samples: int
    median_error: Figure
    worst_error: Figure
    peak_gflops: Figure
    pass_over: Transfer
    to_blocked: Transfer
    from_blocked: Transfer
    unblocked: dict[str, Transfer]
    rates: dict[str, dict[str, Rates]]
    learned: tuple[str, ...] = ()

    @property
    def target(self) -> Target:
        """What the work was counted for that the prices were fitted to."""
        block = self.block or block_of(self.isa)
        return Target(self.isa, block, column_of(self.isa, self.cpu))

    def __str__(self) -> str:
        return place(self.cpu, self.target, self.threads)

    def save(self, path: Path) -> None:
        """Write the profile as JSON, and the folders above it where they are missing.

        Raises UsageError where ``path`` cannot be written.
        """
        make_folder(path.parent)
        write_text(path, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> "MachineProfile":
        """Read a profile; raises PlanError where the file is absent or is not one."""
        try:
            return cls.model_validate_json(read_document(path))
        except OSError as error:
            raise PlanError(
                f"{path}: cannot be read ({error.strerror}); run sparsepass calibrate"
            ) from error
        except ValidationError as error:
            raise PlanError(
                f"{path}: not a machine profile of this version; run sparsepass calibrate"
            ) from error


def find(threads: int, target: Target) -> tuple[MachineProfile, str | None]:
    """The profile to use on this machine, and a warning where it is not to be trusted on it.

    ``target`` is that of this machine.  The profile of this CPU and ``threads`` comes from the
    user's cache, else, or where that file is broken, the nearest that ships with the package.
    """
    own = cached_path(cpu_name(), target.isa, threads)
    found, broken = nearest(threads, target), None
    if own.exists():
        try:
            known = MachineProfile.load(own)
        except PlanError as error:
            broken = f"{error}; until then, prices are of {found}"
        else:
            return known, outdated(known, own)
    return found, broken or doubt(found, threads, target)


def outdated(profile: MachineProfile, path: Path) -> str | None:
    """Why a profile that was measured here is not to be trusted any longer, or None; one line."""
    here = onnxruntime.__version__
    if profile.onnxruntime == here:
        return None
    return (
        f"{path}: prices are of ONNX Runtime {profile.onnxruntime}, this is {here}; "
        "run sparsepass calibrate"
    )


def nearest(threads: int, target: Target) -> MachineProfile:
    """The profile that ships with the package and comes closest to this machine."""
    cpu = cpu_name()

    def distance(profile: MachineProfile) -> tuple[bool, bool, bool, int]:
        other = profile.target
        return (
            not other.is_like(target),
            other != target,
            profile.cpu != cpu,
            abs(profile.threads - threads),
        )

    return min(shipped(), key=distance)


def doubt(profile: MachineProfile, threads: int, target: Target) -> str | None:
    """Why the prices of ``profile`` are not to be trusted on this machine, or None; one line."""
    cpu = cpu_name()
    if (profile.cpu, profile.target, profile.threads) == (cpu, target, threads):
        return None
    isa = f" --isa {target.isa}" if target.is_narrowed else ""
    return (
        f"prices are of {profile}, not of this machine "
        f"({place(cpu, target, threads)}): sparsepass calibrate{isa}, two minutes "
        "once, saves timing what its prices rule out, and prices what cannot be timed: layout "
        "changes and lossy layers"
    )


def place(cpu: str, target: Target, threads: int) -> str:
    """A machine in words."""
    return f"{cpu}, {target}, {threads} thread{'s' if threads != 1 else ''}"


def shipped() -> Iterator[MachineProfile]:
    """The profiles that come with the package, in the order of their file names."""
    with as_file(files("sparsepass") / "profiles") as folder:
        for path in sorted(folder.glob("*.json")):
            yield MachineProfile.load(path)


def cached_path(cpu: str, isa: str, threads: int) -> Path:
    """Where the profile of a machine is kept for the user."""
    name = re.sub(r"[^a-z0-9]+", "-", f"{cpu} {isa} {threads}".lower()).strip("-")
    return platformdirs.user_cache_path("sparsepass", appauthor=False) / "profiles" / f"{name}.json"


def cpu_name() -> str:
    """The name that the processor gives itself, else its architecture."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return (
        found[1].strip() if found else platform.processor() or platform.machine() or "unknown CPU"
    )
