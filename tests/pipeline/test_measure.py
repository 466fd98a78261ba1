"""Which offers are timed, and in what order, on a machine whose times are numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sparsepass.pipeline import measure as stage
from sparsepass.pipeline import measurements
from sparsepass.pipeline.measurements import Measured, Measurements
from sparsepass.pipeline.turns import Turns
from sparsepass.plan import Answer, Choice, Offer, Refusal
from sparsepass.run import RunOptions

PREPARED = SimpleNamespace(clean_content=b"", model=None, known=SimpleNamespace(shapes={}))
LAYER = cast(Any, SimpleNamespace(name="layer"))
STUDIED = cast(
    Any,
    SimpleNamespace(
        prepared=PREPARED, layers=(LAYER,), held_out=[{}], stats={"layer": None}, target=None
    ),
)
# The median error of every price, a share.
ERROR = 0.1

# What the prices of another machine say of one layer; spmm, the dearest but one, is the fastest.
WRONG = {"dense": 100, "mec": 90, "im2col": 210, "winograd2": 300, "spmm": 500, "cps": 900}
TRUE = {"dense": 100, "mec": 150, "im2col": 120, "winograd2": 130, "spmm": 20, "cps": 400}


@dataclass
class Machine:
    """Runs networks, which are choices, at true times; one race takes ``seconds``.

    ``slow`` are the races, from 0, in which a neighbour makes everything take twice as long.
    """

    true: Mapping[str, float]
    seconds: float = 1.0
    slow: tuple[int, ...] = ()
    now: float = 0.0
    races: list[list[str]] = field(default_factory=list)

    def layer_times(
        self, networks: Sequence[Sequence[Choice]], *args: object, threads: int, isa: str | None
    ) -> list[dict[str, list[float]]]:
        factor = 2.0 if len(self.races) in self.slow else 1.0
        self.now += self.seconds
        self.races.append([choice.algorithm for choices in networks for choice in choices])
        chosen = [{"layer": "dense"} | {c.layer: c.algorithm for c in n} for n in networks]
        return [
            {layer: [factor * self.true[name]] * 3 for layer, name in names.items()}
            for names in chosen
        ]

    def clock(self) -> float:
        return self.now


@pytest.fixture
def measured(monkeypatch):
    """Measure one layer that has some offers on a machine, and remember it."""

    monkeypatch.setattr(measurements, "signature", lambda layer, stats: layer.name)
    monkeypatch.setattr(measurements, "measured", lambda *args: Measured(times=[]))
    memory = Measurements(software="", layers={})

    def call(
        machine: Machine, offers: Sequence[Offer], *, trusted: bool, seconds: float = 20.0
    ) -> tuple[tuple[Answer, ...], Turns]:
        monkeypatch.setattr(stage, "layer_times", machine.layer_times)
        monkeypatch.setattr(stage, "rewrite", lambda studied, choices, fused: choices)
        monkeypatch.setattr(stage, "to_bytes", tuple)
        monkeypatch.setattr(stage, "names_of_layers", lambda *args: {})
        costs = cast(Any, SimpleNamespace(trusted=trusted, error=lambda name, layer: ERROR))
        options = RunOptions(measure_seconds=seconds)
        answers, turns = stage.measure(
            STUDIED, {"layer": tuple(offers)}, options, costs, memory, clock=machine.clock
        )
        return answers["layer"], turns

    return call


def priced(predicted: Mapping[str, float]) -> list[Offer]:
    return [Offer(algorithm=name, predicted=us) for name, us in predicted.items()]


def times(answers: Sequence[Answer]) -> dict[str, float | None]:
    return {a.algorithm: a.measured for a in answers if isinstance(a, Offer)}


def test_trusted_prices_rule_out_what_their_error_leaves_no_chance(measured):
    machine, doubt = Machine(TRUE), 1 + stage.MEDIANS * ERROR
    predicted = {"dense": 100, "mec": 90, "im2col": 0.99 * 90 * doubt**2, "spmm": 91 * doubt**2}

    answers, _ = measured(machine, priced(predicted), trusted=True)

    assert machine.races == [["mec", "im2col"]]
    assert times(answers) == {"dense": 100, "mec": 150, "im2col": 120, "spmm": None}


def test_prices_of_another_machine_rule_nothing_out(measured):
    machine = Machine(TRUE)

    answers, _ = measured(machine, priced(WRONG), trusted=False)

    assert machine.races == [["mec", "im2col", "winograd2", "spmm", "cps"]]
    assert times(answers) == TRUE


def test_what_there_is_no_time_for_is_refused_the_dearest_first(measured, monkeypatch):
    machine = Machine(TRUE)
    monkeypatch.setattr(stage, "HELD_BYTES", 1)

    answers, _ = measured(machine, priced(WRONG), trusted=False, seconds=4.5)

    assert machine.races == [["mec"], ["im2col"], ["winograd2"], ["spmm"]]
    assert isinstance(answers[-1], Refusal)
    assert "sparsepass calibrate" in answers[-1].reason


def test_two_that_are_close_are_timed_against_each_other_again(measured):
    machine = Machine({"dense": 100, "mec": 51, "spmm": 50, "cps": 90})

    _, turns = measured(
        machine, priced({"dense": 100, "mec": 40, "spmm": 50, "cps": 60}), trusted=True
    )

    again = [["spmm", "mec"]] * stage.MOST_ROUNDS
    assert machine.races == [["mec", "spmm", "cps"], *again]
    assert len(turns.times["layer", "spmm", ()]) == 3 * (1 + stage.MOST_ROUNDS)
    assert len(turns.times["layer", "cps", ()]) == 3


def test_a_slow_minute_does_not_decide(measured, monkeypatch):
    machine = Machine({"dense": 100, "mec": 60, "spmm": 40}, slow=(1,))
    monkeypatch.setattr(stage, "HELD_BYTES", 1)

    answers, _ = measured(machine, priced({"dense": 100, "mec": 50, "spmm": 700}), trusted=False)

    assert times(answers) == {"dense": 100, "mec": 60, "spmm": 40}


def test_what_was_measured_is_not_measured_again(measured):
    predicted = {"dense": 100, "mec": 50, "spmm": 60}
    first, _ = measured(
        Machine({"dense": 100, "mec": 50, "spmm": 80}), priced(predicted), trusted=True
    )
    machine = Machine({"dense": 1, "mec": 2, "spmm": 3})

    second, _ = measured(machine, priced(predicted), trusted=True)

    assert machine.races == []
    assert second == first


def test_what_is_new_is_scaled_to_the_pace_of_what_was_measured_before(measured):
    measured(Machine({"dense": 100, "mec": 50}), priced({"dense": 100, "mec": 50}), trusted=True)
    slower = Machine({"dense": 110, "mec": 55, "spmm": 44})

    answers, _ = measured(slower, priced({"dense": 100, "mec": 50, "spmm": 40}), trusted=True)

    assert slower.races == [["spmm"]]
    assert times(answers) == pytest.approx({"dense": 100, "mec": 50, "spmm": 40})


@pytest.mark.parametrize("pace", [0.7, 1.3])
def test_what_was_measured_at_another_pace_is_measured_again(measured, pace):
    found = {"dense": 100, "mec": 50, "spmm": 40}
    then = Machine({"dense": 100 * pace, "mec": 50})
    measured(then, priced({"dense": 100, "mec": 50}), trusted=True)
    now = Machine(found)

    answers, _ = measured(now, priced({"dense": 100, "mec": 50, "spmm": 40}), trusted=True)

    assert now.races[0] == ["spmm"]
    assert sorted(now.races[1]) == ["mec", "spmm"]
    assert times(answers) == found


def test_a_network_without_offers_has_dense_times(measured):
    answers, _ = measured(Machine(TRUE), priced({"dense": 90}), trusted=True)

    assert times(answers) == {"dense": 100}


def test_of_many_settings_three_are_timed_and_the_others_lie_between(measured):
    machine = Machine({"dense": 100, "spmm": 60})
    settings = [
        Offer(algorithm="spmm", parameters={"zeros": n}, predicted=120.0 - n) for n in range(9)
    ]
    offers = (Offer(algorithm="dense", predicted=100.0), *settings)

    answers, turns = measured(machine, offers, trusted=False)

    assert len({key for key in turns.times if key[1] == "spmm"}) == 3
    found = [answer.measured for answer in answers if answer.algorithm == "spmm"]
    # All are timed at 60, so that what lies between is near it.
    assert len(found) == 9
    assert all(59 < us < 61 for us in found)
