"""How good is the choice: what predictions pick against what measurements pick, and their regret.

    make selector

Every offer of every layer is measured inside its network.  Then each way to choose makes its plan,
and the plans are timed as whole networks in turn.  The regret of a plan is its time over that of
the fastest plan that any of them found, less one.  Rows are kept by network and machine, so that an
interrupted run goes on; docs/selector.md is written from them.
"""

import argparse
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from cases import Case, cases, example, written
from results import Results, file_here, this_machine
from rich.progress import track
from rows import OfferRow, PlanRow, SelectorRow
from selector_page import write_page

from sparsepass.algorithms import ALGORITHMS, algorithm
from sparsepass.algorithms.im2col import IM2COL
from sparsepass.cost import CostModel, kind
from sparsepass.pictures import ImageTransform
from sparsepass.pipeline.measure import measure
from sparsepass.pipeline.measurements import Measurements, measurements_path
from sparsepass.pipeline.offers import Offers, collect_offers
from sparsepass.pipeline.optimize import optimize
from sparsepass.pipeline.search import active
from sparsepass.pipeline.study import study
from sparsepass.pipeline.trials import open_trials
from sparsepass.plan import Answer, Choice, Offer
from sparsepass.profile import cpu_name, find, shipped
from sparsepass.run import RunOptions
from sparsepass.runtime.library import instruction_sets, target
from sparsepass.runtime.microbench import correct_profile
from sparsepass.runtime.timing import Timing, interleave

SECONDS = 8.0
# The rule of thumb that people use without a cost model.
THUMB = 0.7
ENCODED = [row.name for row in ALGORITHMS if row.source == "arXiv 2104.08314"]
SPARSE = "spmm"

Choices = tuple[Choice, ...]
Chooser = Callable[[Offers], Choices]


def predicted(offers: Offers) -> Choices:
    """The plan of least predicted time."""
    return active(offers.choose(0.0))


def greedy(offers: Offers) -> Choices:
    """The cheapest prediction of each layer, whatever its neighbours do."""
    return tuple(
        choice(layer, min(exact(answers), key=lambda offer: offer.predicted))
        for layer, answers in offers.answers.items()
    )


def thumb(offers: Offers) -> Choices:
    """The weight-sparse algorithm where over 70 % of the weights are zero, else dense."""
    return tuple(
        choice(layer, offer)
        for layer, answers in offers.answers.items()
        for offer in exact(answers)
        if offer.algorithm == SPARSE and offers.studied.stats[layer].weight.density < 1 - THUMB
    )


def papers(offers: Offers) -> Choices:
    """The choice of arXiv 2104.08314: im2col, CPO or CPS by measured time, else dense."""
    found = []
    for layer, answers in offers.answers.items():
        rivals = [o for o in exact(answers) if o.algorithm in (IM2COL.name, *ENCODED)]
        timed = [o for o in rivals if o.measured is not None]
        if timed:
            found.append(choice(layer, min(timed, key=lambda offer: offer.microseconds)))
    return tuple(found)


def exact(answers: Sequence[Answer]) -> list[Offer]:
    return [a for a in answers if isinstance(a, Offer) and a.error == 0]


def choice(layer: str, offer: Offer) -> Choice:
    return Choice(layer=layer, algorithm=offer.algorithm, parameters=offer.parameters)


def evaluate(case: Case, isa: str | None) -> SelectorRow:
    """Measure the offers of a network, and every plan for it."""
    transform = ImageTransform.parse(case.transform) if case.transform else None
    options = RunOptions(
        threads=case.threads, isa=isa, samples=case.samples, image_transform=transform
    )
    here = target(isa)
    found, _ = find(case.threads, here)
    other = next((p for p in shipped() if p.cpu != cpu_name() and p.target.is_like(here)), None)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        case.write(path)
        studied = study(path, options)
        made = optimize(
            path, samples=case.samples, image_transform=transform, threads=case.threads, isa=isa
        )
    priced = collect_offers(studied, CostModel(found), replace(options, measure=False))
    # Prices rule nothing out and the time never runs out: all offers are measured.
    path = measurements_path(cpu_name(), studied.target.isa, case.threads)
    memory, every = Measurements.load(path), replace(options, measure_seconds=math.inf)
    answers, turns = measure(
        studied, priced.answers, every, CostModel(found, trusted=False), memory
    )
    memory.save(path)
    timed = replace(priced, answers=answers, turns=turns)
    plans = {
        "all dense": (),
        "predictions": predicted(priced),
        "predictions again": predicted(priced),
        "measured offers": predicted(timed),
        "`optimize`": active(made.plan.choices),
        "greedy": greedy(priced),
        "sparse above 70 % zeros": thumb(priced),
        "papers": papers(timed),
    }
    if other:
        quick = CostModel(correct_profile(other, case.threads, isa=isa))
        offers = collect_offers(studied, quick, replace(options, measure=False))
        plans["`calibrate --quick`"] = predicted(offers)
    return SelectorRow(
        machine=this_machine(case.threads, isa),
        network=case.name,
        offers=offer_rows(timed),
        plans=plan_rows(timed, plans),
    )


def offer_rows(offers: Offers) -> tuple[OfferRow, ...]:
    layers = {layer.name: layer for layer in offers.studied.layers}
    return tuple(
        OfferRow(
            layer=name,
            shape=layers[name].shape_text,
            kind=kind(row, layers[name], offers.studied.target.block),
            algorithm=offer.algorithm,
            parameters=offer.parameters,
            predicted_us=offer.predicted,
            measured_us=offer.measured,
        )
        for name, answers in offers.answers.items()
        for offer in exact(answers)
        if offer.measured is not None and (row := algorithm(offer.algorithm)) is not None
    )


def plan_rows(offers: Offers, plans: Mapping[str, Choices]) -> tuple[PlanRow, ...]:
    """Time plain ONNX Runtime and all plans in turn, in two sets of sessions.

    Two sessions of one network differ by some percent, by where their memory lies.
    """
    names = ["plain ONNX Runtime", *plans]
    feed = offers.studied.held_out[0]
    found: dict[str, list[Timing]] = {name: [] for name in names}
    for order in (names, names[::-1]):
        trials = open_trials(offers.studied, offers.options)
        networks = [trials.make(plans[n]) if n in plans else trials.original for n in order]
        timings = interleave(
            [lambda run=network.run: run(feed) for network in networks],
            seconds=SECONDS * len(networks) / 8,
        )
        for name, timing in zip(order, timings, strict=True):
            found[name].append(timing)
    return tuple(
        PlanRow(
            method=name,
            median_ms=min(timing.median_ms for timing in found[name]),
            p10_ms=min(timing.p10_ms for timing in found[name]),
        )
        for name in names
    )


def wanted() -> list[Case]:
    """The networks that the selector is judged by."""
    made = [
        example(name, zeros, 1, 1)
        for name in ("resnet50", "mobilenet_v1", "vgg16")
        for zeros in (0, 60, 80, 90)
    ]
    drawn = written()
    known = [case for case in cases() if "%" not in case.name and "conv 3x3" not in case.name]
    real = [case for case in known if case.name not in {case.name for case in drawn}]
    others = [example("resnet50", 90, 16, 1), example("mobilenet_v1", 90, 16, 1)]
    names = ("squeezenet1.1", "mediapipe", "detector")
    two = [
        replace(case, name=f"{case.name} t2", threads=2)
        for case in (*real, *drawn)
        if case.name.startswith(names)
    ]
    return [*real, *drawn, *made, *others, example("resnet50", 90, 1, 2), *two]


def main() -> None:
    """Read the command line, measure, write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", help="parts of names; default: all")
    parser.add_argument("--isa", choices=instruction_sets(), help="of our kernels")
    arguments = parser.parse_args()
    results = Results(file_here("selector.json", arguments.isa), SelectorRow)
    chosen = [
        case
        for case in wanted()
        if not arguments.networks or any(part in case.name for part in arguments.networks)
    ]
    for case in track(chosen, "networks"):
        results.of(case.name, lambda case=case: evaluate(case, arguments.isa))
    write_page(results.rows.values())


if __name__ == "__main__":
    main()
