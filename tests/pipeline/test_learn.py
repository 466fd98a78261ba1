"""Prices learned from what earlier runs measured."""

import pytest
from test_optimize import network

import sparsepass
from sparsepass.algorithms import Work
from sparsepass.errors import UsageError
from sparsepass.pipeline.learn import learn_profile
from sparsepass.pipeline.measurements import Measured, Measurements, measurements_path, software
from sparsepass.profile import cached_path, cpu_name, find
from sparsepass.runtime.library import target


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_without_measurements_it_says_what_to_run_first():
    with pytest.raises(UsageError, match="run sparsepass optimize on some networks first"):
        learn_profile(1)


def test_what_optimize_measured_moves_the_prices_and_their_provenance():
    here = target(None)
    known, _ = find(1, here)
    if known.target != here:
        pytest.skip(f"no profile of {here} ships")
    sparsepass.optimize(network())
    samples = Measurements.load(measurements_path(cpu_name(), here.isa, 1)).samples()

    found = learn_profile(1)

    assert {name for name, _ in (sample.kind for sample in samples)} >= {"dense", "spmm"}
    assert found.rates["spmm"] != known.rates["spmm"]
    assert found.rates["depthwise"] == known.rates["depthwise"]
    assert (found.cpu, found.threads, found.samples) == (cpu_name(), 1, len(samples))
    assert "--learn" in found.command
    assert known.date in found.command


def test_a_measurement_is_learned_from_once():
    here = target(None)
    known, _ = find(1, here)
    work = Work(macs=1e6, input_bytes=1e4, output_bytes=1e4, weight_bytes=1e4)
    measured = Measured(times=[500.0], kind="pointwise", work=work)
    path = measurements_path(cpu_name(), here.isa, 1)
    Measurements(software=software(), layers={"one": {"dense": measured}}).save(path)
    if not known.target.is_like(here):
        pytest.skip(f"no profile like {here} ships")
    first = learn_profile(1)
    first.save(cached_path(cpu_name(), here.isa, 1))

    with pytest.raises(UsageError, match="nothing new to learn from"):
        learn_profile(1)

    layers = {"one": {"dense": measured}, "another": {"dense": measured}}
    Measurements(software=software(), layers=layers).save(path)
    second = learn_profile(1)
    assert (len(first.learned), len(second.learned), second.samples) == (1, 2, 1)
