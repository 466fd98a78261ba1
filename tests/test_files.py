"""Whatever is written appears whole or not at all, whoever writes it."""

import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from models_in_text import normal, proto_of
from sources import ROOT, relative, sources
from sparsepass.errors import UsageError
from sparsepass.files import check_targets, read_bytes, write_text
from sparsepass.model import load, save
from sparsepass.pipeline.bench import save_rows
from sparsepass.plan import Plan
from sparsepass.profile import MachineProfile

CONV = "g (float[1, 64, 8, 8] x) => (float[1, 64, 6, 6] y) { y = Conv(x, w) }"
PROFILE = ROOT / "sparsepass" / "profiles" / "x86-64-avx512-1.json"


def write_model(path: Path) -> None:
    save(load(proto_of(CONV, w=normal(64, 64, 3, 3))), path)


WRITERS = {
    "model": write_model,
    "plan": lambda path: Plan(tool="test", machine="any", threads=1, choices=()).save(path),
    "profile": lambda path: MachineProfile.load(PROFILE).save(path),
    "times": lambda path: save_rows(path, []),
    "text": lambda path: write_text(path, "new"),
}
by_writer = pytest.mark.parametrize("write", WRITERS.values(), ids=list(WRITERS))


@pytest.fixture
def old(tmp_path) -> Path:
    """A folder with an older file under the name that writers write to."""
    (tmp_path / "out").write_bytes(b"old")
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@by_writer
def test_a_full_disk_leaves_the_older_file_and_nothing_else(write, old, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(UsageError, match="No space left on device"):
        write(old / "out")

    assert contents(old) == {"out": b"old"}


@by_writer
def test_content_is_on_the_disk_before_its_name_is(write, old, monkeypatch):
    calls: list[str] = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *given, name=name, real=real: (calls.append(name), real(*given))
        )

    write(old / "out")

    assert calls == ["fsync", "replace"]
    assert [path.name for path in old.iterdir()] == ["out"]


@by_writer
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_pipe_is_refused_and_stays(write, tmp_path):
    os.mkfifo(tmp_path / "out")

    with pytest.raises(UsageError, match="is a device or a pipe"):
        write(tmp_path / "out")

    assert all(path.is_fifo() for path in tmp_path.iterdir())


LIMITED = """
import resource, sys
from sparsepass.cli import main
from sparsepass.cli import work
resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))
main(sys.argv[1:])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
@pytest.mark.parametrize(
    "option", ["-o", "--json", "--report", "--save-plan"], ids=lambda option: option.strip("-")
)
def test_a_file_that_cannot_grow_is_one_line(option, tmp_path):
    model, out = tmp_path / "m.onnx", tmp_path / "out.html"
    onnx.save(proto_of(CONV, w=normal(64, 64, 3, 3)), model)
    out.write_bytes(b"old")
    given = ["optimize", model, option, out, *([] if option == "-o" else ["--dry-run"])]

    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *map(str, given), "-q", "--no-measure"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip

    assert done.returncode == 2
    (complaint,) = done.stderr.splitlines()
    assert f"{out}: cannot be written (File too large)" in complaint
    assert contents(tmp_path) == {"m.onnx": model.read_bytes(), "out.html": b"old"}


def test_a_name_may_be_as_long_as_the_file_system_takes(tmp_path):
    path = tmp_path / ("n" * 255)

    write_text(path, "text")

    assert path.read_text() == "text"


def test_all_targets_are_checked_before_one_is_written(tmp_path):
    with pytest.raises(UsageError, match="absent"):
        check_targets([tmp_path / "fine", tmp_path / "absent" / "file"])

    with pytest.raises(UsageError, match="is asked for twice"):
        check_targets([tmp_path / "one", tmp_path / "." / "one"])


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="no /dev/zero")
def test_of_what_never_ends_no_more_than_the_limit_is_read():
    with pytest.raises(OSError, match="larger than 1000 bytes"):
        read_bytes(Path("/dev/zero"), 1000)


@pytest.mark.parametrize(
    "path", [p for f in ("sparsepass", "passes", "runtime") for p in sources(f)], ids=relative
)
def test_nobody_else_writes_files(path):
    text = path.read_text(encoding="utf-8")

    writes = [call for call in (".write_text(", ".write_bytes(", '"w"', '"wb"') if call in text]

    allowed = {"sparsepass/files.py": [".write_bytes("]}
    assert writes == allowed.get(relative(path), [])
