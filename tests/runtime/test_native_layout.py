"""Which room of the native library includes which, and what kernels leave to the linker."""

import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

RUNTIME = Path(__file__).parents[2] / "runtime"
NATIVE = RUNTIME / "native"
FILES = sorted(path for path in NATIVE.rglob("*") if path.suffix in {".h", ".cc", ".inc"})

# Each may include itself and those before it.
ROOMS = (
    "base", "simd", "kernels", "conv", "jit",
    "dense", "weight_sparse", "activation_sparse", "feature_maps",
)  # fmt: skip
# These may include every room, and are included by none, but `ort` by what stands in for its host.
BORDERS = ("ort", "testing", "fuzz")
KNOW_ORT = {"ort", "fuzz"}
MOST_LINES = 300
# What CMake writes.
GENERATED = "base/tuning.inc"


def includes(path: Path) -> list[str]:
    """What a file includes of the library itself."""
    return re.findall(r'^\s*#\s*include\s+"([^"]*)"', path.read_text(), re.MULTILINE)


def room(path: Path) -> str:
    return path.relative_to(NATIVE).parts[0]


def allowed(room: str) -> tuple[str, ...]:
    if room in BORDERS:
        return (*ROOMS, room, *(("ort",) if room in KNOW_ORT else ()))
    return ROOMS[: ROOMS.index(room) + 1]


def offences(is_wrong) -> list[str]:
    """Every include for which ``is_wrong(file, included)`` holds."""
    found = ((path, name) for path in FILES for name in includes(path))
    return [f"{path.relative_to(NATIVE)}: {name}" for path, name in found if is_wrong(path, name)]


def test_every_file_is_in_a_room():
    assert {room(path) for path in FILES} == {*ROOMS, *BORDERS}


def test_a_room_includes_only_those_above_it():
    assert offences(lambda path, name: name.split("/")[0] not in allowed(room(path))) == []


def test_only_kernels_include_the_vectors_of_an_instruction_set():
    kernels = {"simd", "kernels"}

    assert offences(lambda path, name: name[:5] == "simd/" and room(path) not in kernels) == []


def test_an_include_is_a_room_and_a_file():
    assert offences(lambda _, name: not re.fullmatch(r"[a-z_]+/[a-z0-9_]+\.(h|inc)", name)) == []
    there = {str(path.relative_to(NATIVE)) for path in FILES} | {GENERATED}
    assert offences(lambda _, name: name not in there) == []


def test_only_ort_and_its_fuzzer_know_the_types_of_onnxruntime():
    abi = re.compile(r"\bort::|\bSP_ORT_|\bOrt[A-Z]|include <onnxruntime")

    knows = [path for path in FILES if room(path) not in KNOW_ORT and abi.search(path.read_text())]

    assert knows == []


def says_why(text: str) -> bool:
    """Whether the comment at the top of a file has a line that begins with "Long because"."""
    return re.match(r"(//.*\n)*// Long because", text) is not None


def test_a_long_file_says_why():
    texts = {path.relative_to(NATIVE): path.read_text() for path in FILES}

    long = [name for name, text in texts.items() if text.count("\n") > MOST_LINES]

    assert [name for name in long if not says_why(texts[name])] == []


def kernel_flags() -> dict[str, list[str]]:
    """The compiler flags of each instruction set, as CMake has them."""
    text = (RUNTIME / "CMakeLists.txt").read_text()
    return {
        isa: flags.replace('""', "").split()
        for isa, flags in re.findall(r"set\(flags_(\w+) ([^)]*)\)", text)
    }


def weak_symbols(built: Path) -> Iterator[str]:
    """Symbols of an object of which the linker keeps one copy among all objects that have them."""
    listed = subprocess.run(["nm", built], capture_output=True, text=True, check=True).stdout
    for line in listed.splitlines():
        if found := re.match(r"[0-9a-f ]{16} [VWu] (.*)", line):
            yield found[1]


@pytest.mark.parametrize("isa", kernel_flags())
def test_kernels_leave_the_linker_no_choice_between_instruction_sets(isa, tmp_path):
    for tool in ("c++", "nm"):
        if shutil.which(tool) is None:
            pytest.skip(f"there is no {tool}")
    if isa != "baseline" and platform.machine() not in {"x86_64", "AMD64"}:
        pytest.skip(f"this machine has no {isa}")
    found = (RUNTIME.parent / "build").glob(f"**/generated/{GENERATED}")
    generated = max(found, key=lambda path: path.stat().st_mtime, default=None)
    if generated is None:
        pytest.skip("the library was not built here")
    # Without optimisation, so that nothing is inlined and thereby hidden.
    folders = [f"-I{NATIVE}", f"-I{generated.parents[1]}"]
    flags = ["-std=c++17", "-O0", *folders, f"-DSPARSEPASS_ISA={isa}", *kernel_flags()[isa]]
    shared = []
    for source in sorted((NATIVE / "kernels").glob("*.cc")):
        built = tmp_path / f"{source.stem}.o"
        subprocess.run(["c++", *flags, "-c", source, "-o", built], check=True)
        own = re.compile(rf"_Z[A-Z]*NK?10sparsepass{len(isa)}{isa}")
        shared += [f"{source.name}: {name}" for name in weak_symbols(built) if not own.match(name)]

    assert shared == []
