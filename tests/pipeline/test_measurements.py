"""Times are kept by what they depend on, and for the machine and software that they belong to."""

from dataclasses import replace

import numpy as np
import pytest

from sparsepass.layer import Epilogue, Layer
from sparsepass.pipeline import measurements
from sparsepass.pipeline.measurements import Measured, Measurements, signature, software
from sparsepass.sparsity import Stats, weight_stats


def layer(zeros: float = 0.5, **changes) -> Layer:
    weight = np.ones((8, 8, 3, 3), np.float32)
    weight.ravel()[: round(zeros * weight.size)] = 0
    made = Layer(
        name="a", op_type="Conv", batch=1, groups=1, kernel=(3, 3), strides=(1, 1),
        dilations=(1, 1), pads=(1, 1, 1, 1), input_spatial=(14, 14), weight=weight,
        bias=np.zeros(8, np.float32),
    )  # fmt: skip
    return replace(made, **changes)


def text(of: Layer) -> str:
    return signature(of, Stats(weight_stats(of)))


def test_layers_that_are_alike_have_one_signature():
    assert text(layer()) == text(layer(name="b")) == text(layer(zeros=0.505))


@pytest.mark.parametrize(
    "other",
    [
        layer(zeros=0.6), layer(batch=2), layer(pads=(0, 0, 0, 0)), layer(input_spatial=(14, 15)),
        layer(strides=(2, 2)), layer(epilogue=Epilogue(activation="Relu")),
        layer(epilogue=Epilogue(residual=True)), layer(dilations=(2, 2)),
    ],
)  # fmt: skip
def test_what_changes_the_time_changes_the_signature(other):
    assert text(other) != text(layer())


def test_times_come_back_from_the_file(tmp_path):
    path = tmp_path / "cache" / "machine.json"
    found = Measurements(
        software=software(), layers={"layer": {"spmm": Measured(times=[1.0, 2.0])}}
    )

    found.save(path)

    assert Measurements.load(path) == found


@pytest.mark.parametrize("zeros", [(0.0, 0.1), (0.9, 0.92), (0.971, 0.989), (0.99, 1.0)])
def test_shares_of_weights_that_are_left_are_compared_with_each_other(zeros):
    one, other = (text(layer(zeros=share)) for share in zeros)

    assert one != other


def test_runs_at_a_time_keep_the_times_of_each_other(tmp_path):
    path = tmp_path / "machine.json"
    started = measured_offers(old=[1.0], dropped=[2.0])
    started.save(path)
    runs = [started.model_copy(deep=True) for _ in range(2)]
    runs[0].layers["layer"]["first"] = Measured(times=[3.0])
    runs[1].layers["layer"]["second"] = Measured(times=[4.0])
    del runs[1].layers["layer"]["dropped"]

    for run in runs:
        run.save_changes(path, started)

    assert Measurements.load(path) == measured_offers(old=[1.0], first=[3.0], second=[4.0])


def measured_offers(**times: list[float]) -> Measurements:
    offers = {name: Measured(times=found) for name, found in times.items()}
    return Measurements(software=software(), layers={"layer": offers})


@pytest.mark.parametrize("content", ["", "{}", "[1, 2", '{"software": 3}'])
def test_a_file_that_is_none_of_ours_is_as_good_as_none(content, tmp_path):
    path = tmp_path / "machine.json"
    path.write_text(content)

    assert Measurements.load(path).layers == {}


def test_times_of_other_software_do_not_count(tmp_path, monkeypatch):
    path = tmp_path / "machine.json"
    Measurements(software=software(), layers={"layer": {"spmm": Measured(times=[1.0])}}).save(path)
    monkeypatch.setattr(measurements, "software", lambda: "another build")

    assert Measurements.load(path).layers == {}
