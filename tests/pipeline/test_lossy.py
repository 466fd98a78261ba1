"""Lossy plans from samples to report: answers, labels, time against error."""

import json

import numpy as np
import pytest
from lossy_networks import CLASSES, classifier, images

import sparsepass
from models_in_text import normal, proto_of
from sparsepass.errors import UsageError
from sparsepass.model import load, to_bytes
from sparsepass.network import plain_session, runner
from sparsepass.pipeline.judging import too_few
from sparsepass.pipeline.study import parts_of
from sparsepass.plan import Choice
from sparsepass.profile import shipped
from sparsepass.report import Report, render_html, write, write_pareto
from sparsepass.report.schema import ExpectedDrop, PairedAnswers
from sparsepass.samples import InputSpec, load_samples


def answers_of_the_original(count: int) -> np.ndarray:
    run = runner(plain_session(to_bytes(load(classifier())), threads=1))
    return np.array([run({"x": image[None]})["y"].argmax() for image in images(count)])


def optimized(count: int = 24, **options) -> sparsepass.Result:
    return sparsepass.optimize(classifier(), samples=images(count), measure=False, **options)


def test_a_drop_is_kept_against_labels():
    labels = answers_of_the_original(24)
    labels[::5] = (labels[::5] + 1) % CLASSES

    found = optimized(labels=labels, max_drop=10.0)

    answers = found.report.verification.answers
    assert answers.against == "labels"
    assert answers.images == 12
    assert answers.judged[0] <= 10
    assert found.plan.max_drop == 10.0
    assert found.report.budget.max_drop_points == 10.0


def test_without_labels_answers_of_the_original_are_right():
    answers = optimized(max_drop=10.0).report.verification.answers

    assert (answers.against, answers.gained, answers.right_before) == ("original", 0, 1.0)


def test_more_samples_are_held_out_where_they_are_given():
    found = optimized(200, max_error=0.2, dry_run=True)

    assert found.report.samples.count == 200


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([0] * 23, "23 labels for 24 samples"),
        ([CLASSES] * 24, "label 4 is none of the network's 4 classes, 0 to 3"),
        ([-1] * 24, "below 0"),
    ],
)
def test_labels_that_do_not_match_are_refused(labels, words):
    with pytest.raises(UsageError, match=words):
        optimized(labels=labels, max_drop=1.0)


def test_a_file_of_labels_that_do_not_match_is_named(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text(f"{CLASSES}\n" * 24)

    with pytest.raises(UsageError, match=r"labels\.txt: label 4 is none of"):
        optimized(labels=path, max_drop=1.0)


def test_labels_of_another_order_are_refused():
    labels = (answers_of_the_original(64) + 2) % CLASSES

    with pytest.raises(UsageError, match="as by chance; check their order"):
        optimized(64, labels=labels, max_drop=1.0)


def test_labels_counted_from_elsewhere_are_refused_with_the_remedy():
    labels = (answers_of_the_original(64) + 1) % CLASSES

    with pytest.raises(UsageError, match=r"as by chance, and for \d+ with labels one lower"):
        optimized(64, labels=labels, max_drop=1.0)


def test_a_network_without_classes_has_no_answers_to_lose():
    net = proto_of(
        "g (float[1, 4, 8, 8] x) => (float[1, 4, 6, 6] y) { [c] y = Conv(x, w) }",
        w=normal(4, 4, 3, 3),
    )

    with pytest.raises(UsageError, match="limit the error with --max-error"):
        sparsepass.optimize(net, samples=normal(4, 4, 8, 8), max_drop=1.0)


@pytest.mark.parametrize("max_drop", [-1, 100, 250])
def test_senseless_drops_are_refused(max_drop):
    with pytest.raises(UsageError, match="makes no sense"):
        optimized(max_drop=max_drop)


def test_a_budget_that_nothing_meets_gives_the_lossless_plan_and_says_why():
    # Rank 8 is exact here but for rounding.
    found = optimized(max_error=1e-9)

    assert found.report.verification.passed
    assert any("the plan is lossless" in warning for warning in found.report.warnings)


@pytest.mark.parametrize(
    ("images_given", "error", "max_drop", "words"),
    [
        (100, 0.0, 0.5, "100 samples cannot decide 0.5 points: the standard error of the drop is "),
        (400, 1.5, 1.0, "give 900 or more"),
        (1000, 0.4, 1.0, ""),
        (10, 3.0, 0.0, "allow a drop"),
    ],
)
def test_too_few_samples_are_named(images_given, error, max_drop, words):
    expected = ExpectedDrop(points=0.0, standard_error_points=error, temperature=1.0)
    answers = PairedAnswers.count(
        "labels",
        images=images_given,
        right=images_given,
        lost=0,
        gained=0,
        expected=expected if error else None,
    )

    found = too_few(answers, max_drop)

    assert words in found
    assert bool(found) == bool(words)


# --- report --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def traded() -> sparsepass.Result:
    return optimized(max_error=0.2, pareto=True)


def test_time_against_error_has_the_lossless_plan_and_the_one_taken(traded):
    points = traded.report.pareto

    assert (points[0].budget, points[0].lossy_layers) == (0.0, 0)
    assert [point.budget for point in points] == sorted(point.budget for point in points)
    assert sum(point.chosen for point in points) == 1
    assert all(point.measured_error is not None for point in points)
    assert points[0].measured_error < 1e-4 < points[-1].measured_error


def test_a_dry_run_predicts_time_against_error():
    points = optimized(pareto=True, dry_run=True).report.pareto

    assert len(points) > 1
    assert all(point.measured_error is None for point in points)


def test_time_against_error_is_written_as_csv_and_json(traded, tmp_path):
    for name in ("p.csv", "p.json"):
        write_pareto(traded.report.pareto, tmp_path / name)

    lines = (tmp_path / "p.csv").read_text().splitlines()
    rows = json.loads((tmp_path / "p.json").read_text())
    assert lines[0].startswith("budget,lossy_layers,layers_us,error,measured_error")
    assert len(lines) - 1 == len(rows) == len(traded.report.pareto)


def test_lossy_layers_say_what_they_bought_and_their_neighbours(traded):
    lossy = [layer for layer in traded.report.layers if layer.bought]

    assert lossy
    for layer in lossy:
        taken, cheaper, dearer = layer.bought.taken, layer.bought.cheaper, layer.bought.dearer
        assert taken.parameters == layer.chosen.parameters
        assert cheaper.layer_error < taken.layer_error
        assert dearer is None or dearer.microseconds < taken.microseconds
    assert all(not layer.bought for layer in traded.report.layers if layer not in lossy)


def test_the_report_shows_the_drop_the_curve_and_what_was_bought(traded):
    page = render_html(traded.report)

    assert "Time against error" in page
    assert "top-1 drop" in page
    assert "<dt>cheaper</dt>" in page
    assert Report.model_validate_json(traded.report.model_dump_json()) == traded.report


def test_the_markdown_report_has_the_same(traded, tmp_path):
    write(traded.report, tmp_path / "r.md")

    text = (tmp_path / "r.md").read_text()
    assert text.startswith("# ")
    for words in ("## Lossy layers", "## Time against error", "top-1 drop", "cheaper"):
        assert words in text


def test_the_plan_of_a_drop_is_replayed(traded):
    plan = replace_drop(traded.plan)

    again = optimized(plan=plan)

    assert again.plan.max_drop == 50.0


@pytest.mark.parametrize("pareto", [False, True])
def test_a_replayed_choice_without_a_price_counts_with_its_error_and_no_gain(pareto):
    choice = Choice(layer="second", algorithm="prune", parameters={"zeros": 90})
    plan = sparsepass.Plan(tool="t", machine="m", threads=1, max_error=0.5, choices=(choice,))
    prices = next(found for found in shipped() if found.isa == "avx512")
    rates = {name: found for name, found in prices.rates.items() if name != "spmm"}
    profile = prices.model_copy(update={"rates": rates})

    found = optimized(dry_run=True, plan=plan, pareto=pareto, profile=profile).report

    assert found.budget.predicted > 0
    (layer,) = [layer for layer in found.layers if layer.name == "second"]
    assert layer.now == layer.dense


def replace_drop(plan: sparsepass.Plan) -> sparsepass.Plan:
    return plan.model_copy(update={"max_drop": 50.0})


@pytest.mark.parametrize(
    ("given", "most", "rest", "parts"),
    [
        (384, 256, 128, (256, 128)),  # what held out is enough, the others are fitted to
        (300, 256, 128, (172, 128)),
        (20, 256, 128, (10, 10)),
        (400, 256, 1024, (200, 200)),
        (64, 32, 32, (32, 32)),
        (1, 32, 32, (1, 1)),
    ],
)
def test_more_than_half_of_the_samples_is_fitted_to_where_the_rest_is_enough(
    given, most, rest, parts
):
    spec = InputSpec("x", np.dtype(np.float32), (1, 1))
    samples = load_samples(np.zeros((given, 1), np.float32), [spec])

    assert tuple(map(len, parts_of(samples, most, rest))) == parts
