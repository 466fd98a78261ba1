"""Runs that are cut short: by Ctrl-C, by a reader that leaves, by a full disk behind stdout."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

# Says on standard error when the first of our modules is there.
COMMAND = """
import contextlib, sys
from sparsepass.cli import main
with contextlib.suppress(OSError):
    sys.stderr.write("ready ")
    sys.stderr.flush()
main(sys.argv[1:])
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and devices of POSIX")


def start(*arguments: object, **files: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *map(str, arguments)],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **files},
    )


# Importing, reading, opening sessions, timing.
@pytest.mark.parametrize("after", [0.0, 0.05, 0.3, 0.8, 1.5, 2.5, 4.0])
def test_ctrl_c_ends_a_run_in_silence_and_leaves_nothing(after, tmp_path):
    process = start("calibrate", "-o", tmp_path / "profile.json")
    said = process.stderr.read(len("ready "))
    time.sleep(after + random.Random(after).random() / 20)

    process.send_signal(signal.SIGINT)

    _, complaints = process.communicate(timeout=60)
    assert said == b"ready "
    assert (process.returncode, complaints) == (130, b"")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "raised",
    ["SystemError('no longer an interrupt')", "ImportError", "KeyboardInterrupt"],
)
def test_an_interrupt_that_foreign_code_turned_into_an_error_stays_one(raised):
    code = f"""
import signal
from sparsepass.cli.interrupts import Interrupts
with Interrupts():
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        raise {raised}
"""

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_an_interrupt_in_a_finalizer_is_not_reported_and_not_forgotten():
    code = """
import signal
from sparsepass.cli.interrupts import Interrupts
class Final:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
with Interrupts():
    Final()
"""

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


@pytest.mark.parametrize("command", ["--help", "--version", "info"])
def test_a_reader_that_leaves_ends_it_in_silence(command):
    reader, writer = os.pipe()
    os.close(reader)

    process = start(command, stdout=writer)

    os.close(writer)
    _, complaints = process.communicate(timeout=60)
    # What a library prints itself, help, ends as that library has it.
    assert process.returncode in ({1, 141} if command == "--help" else {141})
    assert complaints == b"ready "


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
@pytest.mark.parametrize("command", ["--help", "--version", "info"])
def test_a_full_disk_behind_standard_output_is_one_line(command):
    with open("/dev/full", "wb") as full:
        process = start(command, stdout=full)
        _, complaints = process.communicate(timeout=60)

    assert process.returncode == 2
    assert complaints.decode().splitlines() == [
        "ready error: standard output: No space left on device; free space or write elsewhere"
    ]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_where_not_even_an_error_can_be_said_the_exit_code_stays():
    with open("/dev/full", "wb") as full:
        process = start("verify", "absent.onnx", "absent.onnx", stdout=full, stderr=full)

        assert process.wait(timeout=60) == 2
