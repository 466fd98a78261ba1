"""Prices learned from what earlier runs measured."""

import pytest
from test_optimize import network

import sparsepass
from sparsepass.errors import UsageError
from sparsepass.pipeline.learn import learn_profile
from sparsepass.pipeline.measurements import Measurements, measurements_path
from sparsepass.profile import cpu_name, find
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
