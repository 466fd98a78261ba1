"""The constants of tuning.json and the sizes of caches, as the native library has them."""

import ctypes
from pathlib import Path
from typing import get_args

import pytest
from native import library

from sparsepass.tuning import Column, constants

COLUMNS = get_args(Column)
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


def test_the_library_has_the_values_of_the_table():
    found: dict[str, tuple[float, ...]] = {}

    @ctypes.CFUNCTYPE(None, ctypes.c_char_p, *[ctypes.c_double] * len(COLUMNS))
    def add(name, *values):
        found[name.decode()] = values

    library().sparsepass_test_tuning(add)

    assert found == {
        name: tuple(row.value_for(column) for column in COLUMNS)
        for name, row in constants().items()
    }


def test_caches_are_those_of_this_machine():
    if not CACHES.is_dir():
        pytest.skip(f"{CACHES} is absent")
    seen = {}
    for cache in CACHES.glob("index*"):
        level, kind, size = ((cache / n).read_text().strip() for n in ("level", "type", "size"))
        seen[level + kind[0]] = int(size.removesuffix("K")) * 1024

    bytes_of = (ctypes.c_int64 * 4)()
    library().sparsepass_test_caches(bytes_of)

    # No machine counts as smaller than this.
    least = {"1D": 32 << 10, "1I": 32 << 10, "2U": 256 << 10, "3U": 8 << 20}
    for found, (name, size) in zip(bytes_of, least.items(), strict=True):
        assert found == max(seen.get(name, found), size)
