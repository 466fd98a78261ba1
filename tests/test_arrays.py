"""Arrays whose headers, archives or members lie: one line, at once, and no memory for them."""

import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from sparsepass import arrays
from sparsepass.arrays import load_archive, load_array
from sparsepass.errors import UsageError

VALUES = np.arange(2 * 4 * 8 * 8, dtype=np.float32).reshape(2, 4, 8, 8)


def npy(shape: str, body: bytes = bytes(1024), dtype: str = "'<f4'") -> bytes:
    return headed(f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}", body)


def headed(header: str, body: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + body


LIES = {
    "a claim of 10^12 elements": npy("(10**12,)".replace("10**12", str(10**12))),
    "a negative size": npy("(-1, 4, 8, 8)"),
    "two negative sizes": npy("(-1, -4, 8, 8)"),
    "a product above 2^64": npy("(4294967296, 4294967296, 8, 8)"),
    "a size above 2^64": npy("(1, 4, 8, 36893488147419103240)"),
    "a size that is a float": npy("(1.0, 4, 8, 8)"),
    "a size that is a bool": npy("(True, 4, 8, 8)"),
    "no sizes": npy("4"),
    "objects": npy("(1, 4, 8, 8)", dtype="'|O'"),
    "values without bytes": npy("(1000000000000000000,)", dtype="'|V0'"),
    "long texts": npy("(256,)", dtype="'|S2147483647'"),
    "an array of arrays": npy("(1,)", dtype="('<f4', (100000, 100000))"),
    "an unknown type": npy("(1,)", dtype="'<q9'"),
    "brackets": headed("(" * 9000),
    "no header": b"\x93NUM",
    "a header of 4 GiB": b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + b"x" * 100,
    "version 9": b"\x93NUMPY\x09\x00" + bytes(100),
    "half of the values": npy("(2, 4, 8, 8)"),
    "nothing": b"",
    "text": b"not an array at all",
}


def assert_refused(load, path) -> None:
    tracemalloc.start()
    with pytest.raises(UsageError, match="write it with numpy") as caught:
        load(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert peak < 1 << 23


@pytest.mark.parametrize("content", LIES.values(), ids=list(LIES))
def test_a_file_that_lies_is_refused_before_memory_is_taken(content, tmp_path):
    alone, packed = tmp_path / "a.npy", tmp_path / "a.npz"
    alone.write_bytes(content)
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("x.npy", content)

    assert_refused(load_array, alone)
    assert_refused(load_archive, packed)


def test_an_archive_that_grows_beyond_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "MOST_ARCHIVE_BYTES", 1 << 24)
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=np.zeros(1 << 23, np.float32))

    assert path.stat().st_size < 1 << 16
    assert_refused(load_archive, path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_archive_is_refused(method, tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("x.npy", npy("(1, 4, 8, 8)"))
    whole = path.read_bytes()

    path.write_bytes(whole[: len(whole) // 2])
    assert_refused(load_archive, path)
    path.write_bytes(whole.replace(whole[60:70], b"\xff" * 10, 1))
    assert_refused(load_archive, path)


def test_a_member_that_is_no_array_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", b"text")

    assert_refused(load_archive, path)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_what_numpy_writes_is_read(version, tmp_path):
    written = io.BytesIO()
    np.lib.format.write_array(written, VALUES, version)
    alone, packed = tmp_path / "a.npy", tmp_path / "a.npz"
    alone.write_bytes(written.getvalue())
    np.savez_compressed(packed, x=VALUES, y=np.asfortranarray(VALUES), empty=VALUES[:0])

    np.testing.assert_array_equal(load_array(alone), VALUES)
    found = load_archive(packed)
    np.testing.assert_array_equal(found["x"], VALUES)
    np.testing.assert_array_equal(found["y"], VALUES)
    assert found["empty"].shape == (0, 4, 8, 8)
