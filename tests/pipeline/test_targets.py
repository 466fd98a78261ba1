"""One network planned for several machines."""

import math

import pytest
from test_optimize import network

from sparsepass import profile
from sparsepass.pipeline.targets import plan_for
from sparsepass.plan import Choice, Plan
from sparsepass.profile import MachineProfile
from sparsepass.report.targets import Target, Targets
from sparsepass.run import RunOptions

OPTIONS = RunOptions()


def machine(**changes) -> MachineProfile:
    """A shipped profile of AVX-512 with ``changes``."""
    wide = next(p for p in profile.shipped() if (p.isa, p.threads) == ("avx512", 1))
    return wide.model_copy(update=changes)


def without_sparse_kernels(factor: float) -> MachineProfile:
    rates = machine().rates
    dear = {
        kind: rate.model_copy(update={"macs": factor * rate.macs})
        for kind, rate in rates["spmm"].items()
    }
    return machine(cpu="dear", rates=rates | {"spmm": dear})


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "net.onnx"
    file.write_bytes(network().SerializeToString())
    return file


def test_equal_machines_have_one_plan(path):
    found = plan_for([machine(), machine(cpu="twin", threads=2)], path, OPTIONS)

    assert found.same
    assert found.verdict == "one file serves all: the plans are the same"
    assert [target.losses for target in found.targets] == [(0, 0), (0, 0)]
    assert [target.plan.threads for target in found.targets] == [machine().threads, 2]


def test_a_plan_loses_where_its_algorithms_are_dear(path):
    found = plan_for([machine(), without_sparse_kernels(100)], path, OPTIONS)

    sparse, dense = found.targets
    assert {choice.algorithm for choice in sparse.plan.choices} == {"spmm"}
    assert "spmm" not in {choice.algorithm for choice in dense.plan.choices}
    assert not found.same
    assert sparse.losses[0] == dense.losses[1] == 0
    assert sparse.losses[1] > 1
    assert 0 < dense.losses[0] < sparse.losses[1]
    assert found.best is dense
    assert "the plan for dear" in found.verdict


def test_another_instruction_set_counts_other_work(path):
    wide, narrow = plan_for([machine(), machine(isa="avx2", block=None)], path, OPTIONS).targets

    assert "avx512" in wide.machine
    assert "avx2" in narrow.machine
    assert wide.network_us != narrow.network_us


def test_it_is_read_as_it_was_written(path, tmp_path):
    found = plan_for([machine(), without_sparse_kernels(100)], path, OPTIONS)

    found.save(tmp_path / "targets.json")

    assert Targets.model_validate_json((tmp_path / "targets.json").read_bytes()) == found


def test_a_plan_that_is_refused_somewhere_serves_not_all():
    plan = Plan(tool="t", machine="a", threads=1, choices=(Choice(layer="x", algorithm="spmm"),))
    other = plan.model_copy(update={"choices": (Choice(layer="x", algorithm="cpo"),)})
    targets = [
        Target(machine="a", dense_us=2, network_us=1, plan=plan, losses=(0.0, None)),
        Target(machine="b", dense_us=2, network_us=1, plan=other, losses=(None, 0.0)),
    ]

    found = Targets(tool="t", model="m", targets=tuple(targets))

    assert found.best.worst == math.inf
    assert found.verdict == "no plan fits all: make a file for each"
