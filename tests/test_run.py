"""A run counts the time of its own stages."""

from itertools import count

from sparsepass.run import RunOptions, Stopwatch


def test_time_counts_for_the_stage_that_began_last_until_another_begins():
    told, times = [], iter([0.0, 1.0, 3.0, 4.0, 9.0])
    watch = Stopwatch(lambda *call: told.append(call), clock=lambda: next(times))
    options = RunOptions(progress=watch)

    done = options.step("reading")
    done(1, 1)
    options.step("choosing")
    watch.stop()

    assert watch.seconds == {"starting": 1.0, "reading": 2.0 + 1.0, "choosing": 5.0}
    assert told == [("reading", 0, 1), ("reading", 1, 1), ("choosing", 0, 1)]


def test_a_stage_that_comes_again_goes_on():
    ticks = count()
    watch = Stopwatch(lambda *call: None, clock=lambda: float(next(ticks)))

    for stage in ("verifying", "timing", "verifying"):
        watch(stage, 0, 1)
    watch.stop()

    assert watch.seconds == {"starting": 1.0, "verifying": 2.0, "timing": 1.0}
