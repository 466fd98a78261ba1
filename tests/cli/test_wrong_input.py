"""Whatever is wrong, one line names it and says what to do, and nothing is written."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from models_in_text import normal, proto_of

CONV = "g (float[1, 4, 8, 8] x) => (float[1, 4, 8, 8] y) { [conv] y = Conv<pads=[1,1,1,1]>(x, w) }"


def model(folder: Path, text: str = CONV, name: str = "m.onnx", **weights) -> Path:
    path = folder / name
    onnx.save(proto_of(text, **(weights or {"w": normal(4, 4, 3, 3)})), path)
    return path


def truncated(folder: Path) -> list[object]:
    path = model(folder)
    path.write_bytes(path.read_bytes()[:-100])
    return [path]


def cyclic(folder: Path) -> list[object]:
    text = "g (float[1] x) => (float[1] y) { [a] y = Add(x, z) [b] z = Relu(y) }"
    path = folder / "m.onnx"
    path.write_bytes(proto_of(text).SerializeToString())
    return [path]


def without_initializer(folder: Path) -> list[object]:
    path = folder / "m.onnx"
    path.write_bytes(proto_of(CONV).SerializeToString())
    return [path]


def escaping(folder: Path) -> list[object]:
    proto = proto_of(CONV, w=normal(4, 4, 3, 3))
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"
    path = folder / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    return [path]


def unknown_op(folder: Path) -> list[object]:
    path = folder / "m.onnx"
    text = "g (float[1] x) => (float[1] y) { [odd] y = Odd(x) }"
    path.write_bytes(proto_of(text).SerializeToString())
    return [path]


def unloadable(folder: Path) -> list[object]:
    text = "g (float[1, 4, 8, 8] x) => (float[N, 4] y) { [conv] t = Conv(x, w) y = Reshape(t, s) }"
    return [model(folder, text, w=normal(4, 4, 3, 3), s=np.array([-1, 7], np.int64))]


def nan_samples(folder: Path) -> list[object]:
    np.save(folder / "s.npy", np.full((2, 4, 8, 8), np.nan, np.float32))
    return [model(folder), "--samples", folder / "s.npy"]


def misshapen_samples(folder: Path) -> list[object]:
    np.save(folder / "s.npy", normal(2, 4, 8, 9))
    return [model(folder), "--samples", folder / "s.npy"]


def no_samples(folder: Path) -> list[object]:
    (folder / "empty").mkdir()
    return [model(folder), "--samples", folder / "empty"]


def option(*arguments: str):
    def make(folder: Path) -> list[object]:
        return [model(folder), *arguments]

    make.__name__ = " ".join(arguments)
    return make


def pipe(name: str):
    """An output that is a named pipe, from which nobody reads."""

    def make(folder: Path) -> list[object]:
        path = folder / ("pipe.html" if name == "--report" else "pipe")
        os.mkfifo(path)
        return [model(folder), name, path]

    make.__name__ = f"{name} a pipe"
    return make


def folder(_: Path) -> list[object]:
    return ["."]


CASES = {
    truncated: "m.onnx",
    cyclic: "m.onnx",
    without_initializer: "'w'",
    escaping: "passwd",
    unknown_op: "Odd",
    unloadable: "m.onnx",
    nan_samples: "s.npy",
    misshapen_samples: "s.npy",
    no_samples: "empty",
    option("--samples", "absent"): "absent",
    option("--report", "r.pdf"): ".pdf",
    option("--report", "absent/r.html"): "absent/r.html",
    option("--json", "m.onnx"): "m.onnx: is an input of this run",
    option("--save-plan", "absent/p.json"): "absent/p.json",
    option("-o", "absent/o.onnx"): "absent/o.onnx",
    option("-o", "m.onnx"): "m.onnx: is an input of this run",
    option("-o", "m.onnx/o.onnx"): "m.onnx/o.onnx",
    option("-o", "."): "is a folder",
    folder: ".: is a folder; give an .onnx file",
    option("-o", "/dev/null"): "/dev/null: is a device",
    option("-o", "/dev/stdout"): "/dev/stdout: is a device",
    option("-o", "/proc/self/fd/1"): "is a device",
    option("--json", "/dev/full"): "/dev/full: is a device",
    option("--save-plan", "p.json", "--json", "./p.json"): "is asked for twice",
    option("-o", "n" * 300): "File name too long",
    pipe("-o"): "pipe: is a device or a pipe",
    pipe("--report"): "pipe.html: is a device or a pipe",
    pipe("--json"): "pipe: is a device or a pipe",
    option("--plan", "/dev/zero"): "/dev/zero",
    option("--profile", "/dev/zero"): "/dev/zero",
    option("--shape", "z:1"): "z",
    option("--shape", "x"): "name:1,3,224,224",
    option("--plan", "absent.json"): "absent.json",
    option("--plan", "m.onnx"): "m.onnx",
    option("--profile", "m.onnx"): "m.onnx",
    option("--max-error", "0.1"): "--samples",
    option("--max-drop", "1"): "--samples",
    option("--labels", "l.txt"): "--samples",
    option("--pareto", "p.csv"): "--samples",
    option("--pareto", "p.xls"): ".csv or .json",
    option("--max-bytes", "10"): "10 bytes",
    option("--image-transform", "size=x"): "size=x",
    option("--threads", "100000"): "100000 threads",
    option("--threads", "1" + "0" * 30): "threads",
    option("--shape", "x:1,4,8,1" + "0" * 30): "x",
    option("--measure-seconds", "nan"): "nan seconds of measuring",
    option("--isa", "avx9"): "does not run 'avx9'; give one of baseline",
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_wrong_input_is_one_line_and_leaves_nothing_behind(case, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = case(tmp_path)
    before = contents(tmp_path)

    code, said, complaints = run("optimize", *arguments, "--no-measure")

    assert (code, said) == (2, "")
    assert len(complaints.splitlines()) == 1
    assert complaints.startswith("error: ")
    assert CASES[case] in complaints
    assert contents(tmp_path) == before


def contents(folder: Path) -> dict[Path, bytes | None]:
    """Everything below a folder, and what files hold."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


# Words of a command that would write to the last of them, which it reads.
OVERWRITING = (
    "optimize e.onnx -o e.data",
    "optimize e.onnx --json ./e.data",
    "optimize e.onnx --report link.json",
    "analyze e.onnx --json e.data",
    "prune e.onnx --samples s.npy --sparsity 0.5 -o e.data",
    "inline e.onnx -o e.data",
    "optimize m.onnx --samples s.npy -o s.npy",
    "optimize m.onnx --samples s.npy --json s.npy",
    "optimize m.onnx --samples pictures --json pictures/one.png",
    "optimize m.onnx --samples s.npy --labels l.csv --max-drop 1 --pareto l.csv",
    "optimize m.onnx --plan p.json --save-plan p.json",
    "optimize m.onnx --profile p.json --json p.json",
    "bench m.onnx e.onnx --json e.onnx",
    "bench m.onnx e.onnx --json e.data",
    "report r.json --compare b.html -o b.html",
)


@pytest.mark.parametrize("words", OVERWRITING)
def test_nothing_that_a_run_reads_is_replaced(words, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    proto = onnx.load(model(tmp_path))
    onnx.save(proto, "e.onnx", save_as_external_data=True, location="e.data", size_threshold=0)
    np.save("s.npy", normal(4, 4, 8, 8))
    Path("pictures").mkdir()
    for name in ("pictures/one.png", "l.csv", "p.json", "r.json", "b.html"):
        Path(name).write_text("0")
    Path("link.json").symlink_to("e.data")
    before = contents(tmp_path)

    code, said, complaints = run(*words.split())

    assert (code, said) == (2, "")
    target = Path(words.split()[-1])
    assert complaints == f"error: {target}: is an input of this run; give another path\n"
    assert contents(tmp_path) == before


@pytest.mark.parametrize("seconds", ["nan", "inf"])
def test_a_time_without_an_end_is_refused(run, tmp_path, seconds):
    code, said, complaints = run("bench", model(tmp_path), "--seconds", seconds)

    assert (code, said) == (2, "")
    assert "seconds" in complaints
    assert "Traceback" not in complaints


def test_an_unknown_option_is_an_error_of_usage(run, tmp_path):
    code, _, complaints = run("optimize", model(tmp_path), "--fast")

    assert code == 2
    assert "--fast" in complaints


NAMED = "g (float[1, 4, 8, 8] x) => (float[1, 4, 8, 8] y) { y = Conv<pads=[1,1,1,1]>(x, w) }"


def test_a_pipe_without_unicode_gets_plain_text(tmp_path):
    proto = proto_of(NAMED, w=normal(4, 4, 3, 3))
    proto.graph.node[0].name = "Schicht \u00fc\u4e2d\x1b[31m"
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())

    done = sparsepass("optimize", path, "--dry-run", PYTHONIOENCODING="ascii", COLUMNS="40")

    assert (done.returncode, done.stderr) == (0, b"")
    assert b"dense" in done.stdout
    assert not {b"\x1b", b"\r"} & {done.stdout[i : i + 1] for i in range(len(done.stdout))}


def test_the_exit_code_reaches_the_shell(tmp_path):
    done = sparsepass("verify", tmp_path / "absent.onnx", tmp_path / "absent.onnx")

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def sparsepass(*arguments: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", "from sparsepass.cli import main; main()", *map(str, arguments)],
        capture_output=True, env={**os.environ, **environment}, check=False, timeout=120,
    )  # fmt: skip
