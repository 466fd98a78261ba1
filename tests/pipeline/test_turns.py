"""Times of turns: what noise does to them, and what they say of a choice."""

import pytest

from sparsepass.pipeline.turns import Turns, key_of
from sparsepass.plan import Choice, Offer
from sparsepass.runtime.timing import low

SPMM, DENSE = (Choice(layer="a", algorithm=name) for name in ("spmm", "dense"))


def turns(**times: list[float]) -> Turns:
    return Turns({("a", name, ()): found for name, found in times.items()})


def test_bursts_do_not_move_the_time():
    quiet, busy = [100.0, 101.0, 102.0] * 10, [100.0, 140.0, 900.0] * 10

    assert low(quiet) == low(busy) == 100


def test_one_lucky_turn_of_many_does_not_make_the_time():
    assert low([50.0, *[100.0] * 20]) == 100


def test_an_offer_is_known_by_its_parameters_in_any_order():
    first, second = ({"rank": 8, "tile": 4}, {"tile": 4, "rank": 8})

    assert key_of("a", Offer(algorithm="x", parameters=first, predicted=1)) == key_of(
        "a", Choice(layer="a", algorithm="x", parameters=second)
    )


@pytest.mark.parametrize(
    ("spmm", "dense", "share"),
    [
        ([1, 1], [2, 2], 1.0),
        ([1, 3], [2, 2], 0.5),
        ([2, 2], [2, 2], 0.5),
        ([1, 3], [2, 4, 4], 5 / 6),
    ],
)
def test_certainty_is_the_share_of_turns_that_were_faster(spmm, dense, share):
    found = turns(spmm=spmm, dense=dense)

    assert found.certainty(SPMM) == pytest.approx(share)
    assert found.certainty(DENSE) == pytest.approx(1 - share)


def test_the_rival_is_the_best_other_offer():
    assert turns(spmm=[2, 2], dense=[9, 9], mec=[1, 1]).certainty(SPMM) == 0


def test_without_two_to_compare_nothing_is_sure():
    assert turns(dense=[1, 2]).certainty(DENSE) is None
    assert turns(dense=[1, 2]).certainty(SPMM) is None
