"""Machine profiles: files, the user's cache, and what ships with the package."""

from pathlib import Path

import onnxruntime
import pytest

from sparsepass import profile as profiles
from sparsepass.algorithms import ALGORITHMS
from sparsepass.errors import PlanError
from sparsepass.profile import (
    MachineProfile,
    Rates,
    Transfer,
    cached_path,
    cpu_name,
    doubt,
    find,
)
from sparsepass.target import Target

RATES = Rates(
    nodes=1, macs=2, moves=0, input_bytes=0, output_bytes=0, weight_bytes=0, copied_bytes=0,
    samples=9, median_error=0.1, worst_error=0.3,
)  # fmt: skip
NOTHING = Transfer(fixed=0, bytes=0)


def profile_of(**changes) -> MachineProfile:
    return MachineProfile(
        cpu="some CPU", isa="avx2", threads=1, onnxruntime="1.31.1", date="2026-11-20",
        command="by hand", samples=9, median_error=0.1, worst_error=0.3, peak_gflops=50,
        to_blocked=NOTHING, from_blocked=NOTHING, pass_over=NOTHING, unblocked={},
        rates={"dense": {"pointwise": RATES}},
    ).model_copy(update=changes)  # fmt: skip


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache folder in the place of the user's."""
    monkeypatch.setattr(profiles.platformdirs, "user_cache_path", lambda *a, **k: tmp_path)
    return tmp_path


def test_a_profile_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "new" / "profile.json"

    profile_of().save(path)

    assert MachineProfile.load(path) == profile_of()


@pytest.mark.parametrize("price", [-1, 1e30, float("inf"), float("nan")])
def test_prices_beyond_any_machine_are_refused(price, tmp_path):
    profile_of(pass_over=NOTHING.model_copy(update={"bytes": price})).save(tmp_path / "p.json")

    with pytest.raises(PlanError, match=r"p\.json: not a machine profile"):
        MachineProfile.load(tmp_path / "p.json")


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff\xfe", b'{"version": 2}'])
def test_what_is_no_profile_is_refused_in_one_line(content, tmp_path):
    path = tmp_path / "profile.json"
    path.write_bytes(content)

    with pytest.raises(PlanError) as caught:
        MachineProfile.load(path)

    assert "profile.json" in str(caught.value)
    assert "sparsepass calibrate" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_absent_profile_is_refused(tmp_path):
    with pytest.raises(PlanError, match=r"absent\.json.*sparsepass calibrate"):
        MachineProfile.load(tmp_path / "absent.json")


def test_each_machine_and_number_of_threads_has_a_file_of_its_own(cache):
    paths = {
        cached_path(cpu, isa, threads)
        for cpu in ("A 1", "B/../2")
        for isa in ("avx2", "avx512")
        for threads in (1, 2)
    }

    assert len(paths) == 8
    assert {path.parent for path in paths} == {cache / "profiles"}


def test_a_measured_profile_is_found_without_a_warning(cache):
    own = profile_of(cpu=cpu_name(), threads=3, onnxruntime=onnxruntime.__version__)
    own.save(cached_path(own.cpu, own.isa, own.threads))

    found, warning = find(3, Target("avx2", 8))

    assert (found, warning) == (own, None)


def test_an_unmeasured_machine_gets_the_nearest_profile_and_a_warning(cache, monkeypatch):
    near, far = profile_of(), profile_of(cpu="other", isa="avx512")
    monkeypatch.setattr(profiles, "shipped", lambda: iter([far, near]))

    found, warning = find(2, Target("avx2", 8))

    assert found == near
    assert warning is not None
    assert "sparsepass calibrate" in warning


def test_processors_of_one_maker_are_nearer(cache, monkeypatch):
    amd, intel = (profile_of(cpu=cpu, isa="avx512") for cpu in ("AMD EPYC", "Intel(R) Xeon(R)"))
    monkeypatch.setattr(profiles, "shipped", lambda: iter([amd, intel]))
    monkeypatch.setattr(profiles, "cpu_name", lambda: "Intel(R) Core(TM) i9")

    assert profiles.nearest(1, Target("avx512", 16, "avx512-intel")) == intel
    assert profiles.nearest(1, Target("avx512", 16)) == amd
    assert amd.target.is_like(intel.target)
    assert not amd.target.is_like(Target("avx2", 16))


@pytest.mark.parametrize(
    "other", [{"cpu": "other"}, {"isa": "avx512"}, {"block": 16}, {"threads": 2}]
)
def test_prices_of_another_machine_are_doubted_in_one_line(other, monkeypatch):
    monkeypatch.setattr(profiles, "cpu_name", lambda: "some CPU")

    doubts = [doubt(profile_of(**changes), 1, Target("avx2", 8)) for changes in ({}, other)]

    assert doubts[0] is None
    assert doubts[1] is not None
    assert "sparsepass calibrate" in doubts[1]
    assert "\n" not in doubts[1]


def test_in_the_place_of_a_broken_cached_profile_one_that_ships_is_used_and_named(cache):
    path = cached_path(cpu_name(), "avx2", 1)
    path.parent.mkdir()
    path.write_text("broken")

    found, warning = find(1, Target("avx2", 8))

    assert found in list(profiles.shipped())
    assert warning.startswith(f"{path}: not a machine profile of this version; run sparsepass")
    assert str(found) in warning


def test_a_profile_of_another_onnx_runtime_is_used_and_not_trusted(cache):
    own = profile_of(cpu=cpu_name(), onnxruntime="1.2.3")
    own.save(cached_path(own.cpu, own.isa, own.threads))

    found, warning = find(1, Target("avx2", 8))

    assert found == own
    assert "prices are of ONNX Runtime 1.2.3, this is " in warning


def test_shipped_profiles_have_prices_for_every_algorithm_that_is_measured():
    measured = {row.name for row in ALGORITHMS if not row.prices}

    missing = {p.cpu: measured - p.rates.keys() for p in profiles.shipped()}

    assert missing
    assert not any(missing.values())


def test_shipped_profiles_say_where_they_come_from():
    for profile in profiles.shipped():
        assert profile.cpu
        assert profile.date
        assert profile.command == "sparsepass calibrate"
        assert profile.samples > 100
        assert 0 < profile.median_error < profile.worst_error


@pytest.mark.parametrize(("threads", "words"), [(1, "1 thread"), (2, "2 threads")])
def test_a_machine_in_words_counts_its_threads(threads, words, monkeypatch):
    monkeypatch.setattr(profiles, "cpu_name", lambda: "another CPU")

    doubted = doubt(profile_of(threads=threads), threads, Target("avx2", 8))

    assert str(profile_of(threads=threads)) == f"some CPU, avx2, {words}"
    assert doubted is not None
    assert doubted.count(words) == 2
    assert f"{words}s" not in doubted
