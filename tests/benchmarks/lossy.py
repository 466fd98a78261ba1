"""What an error budget buys: lossy plans against lossless ones, judged on pictures they never saw.

    python tests/benchmarks/lossy.py resnet56

Each network is optimized without loss, then within its limit, on the even pictures of ../shared,
and judged on the odd ones; then the halves change places.  Times are those of the three networks
and of ONNX Runtime's own static int8 in turn, one thread.  Rows are kept, so that an interrupted
run goes on; docs/benchmarks/lossy.md is written from them.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from pages import DOCS, with_machines
from pruning import SHARED, classes_of
from results import Results, file_here, this_machine
from rich.progress import track
from rows import LossyRow, LossyTime
from sections import merged_table, text_of, write
from superresolution import psnr_of, save_parts

from sparsepass import optimize
from sparsepass.model import load, to_bytes
from sparsepass.network import runner
from sparsepass.pictures import ImageTransform
from sparsepass.report.schema import PairedAnswers
from sparsepass.report.units import percent
from sparsepass.runtime.session import session
from sparsepass.runtime.timing import Timing, interleave
from sparsepass.samples import Samples, inputs_of, load_samples
from sparsepass.verify import compare

PICTURES = (".jpg", ".jpeg", ".png", ".bmp")
SECONDS = 8.0
# Pictures that int8 is calibrated with.
CALIBRATED = 64
REFERENCE, LOSSLESS, LOSSY, INT8 = "ONNX Runtime", "lossless", "lossy", "ONNX Runtime int8"
SIGNED = "mean=0.5;std=0.5"


@dataclass(frozen=True)
class Case:
    """A network, its pictures, what may be lost, and whether pictures show one class each.

    ``first_class`` is the number that the network gives to the first of them.  One that
    ``enlarges`` takes parts of the pictures, as they look after they were enlarged twice.
    """

    network: str
    folder: str
    limit: tuple[str, float]
    transform: str = ""
    classified: bool = True
    first_class: int = 0
    enlarges: bool = False

    @property
    def name(self) -> str:
        """The network and the limit."""
        option, value = self.limit
        return f"{self.network}, --{option.replace('_', '-')} {value:g}"


EDGETPU = "mobilenet-edgetpu-0.75-224-imagenet"
TRUNK = "resnet50v2-trunk-stage3-imagenet"
CASES = (
    Case("resnet56-cifar10", "cifar10-jpeg", ("max_drop", 1.0)),
    Case("squeezenet1.1-imagenet", "imagenet", ("max_drop", 1.0)),
    Case("squeezenet1.1-imagenet", "imagenet", ("max_error", 0.1)),
    Case(TRUNK, "imagenet", ("max_error", 0.05), classified=False),
    Case(TRUNK, "imagenet", ("max_error", 0.1), classified=False),
    Case(
        "mobilenet-edgetpu-0.75-224-imagenet", "imagenet", ("max_drop", 1.0), SIGNED, first_class=1
    ),
    Case("vdsr-superres", "coco-val2017", ("max_error", 0.005), classified=False, enlarges=True),
)

INTRODUCTION = """# Benchmarks: lossy plans

`python tests/benchmarks/lossy.py`, one thread. Each network is optimized without loss and within
its limit on one half of the pictures, and judged on the other; then the halves change places.
`error` is the relative error of the outputs on the pictures that judge, `asked` what the run itself
measured on those it held out. The drop is that of right first answers in points, paired, with its
standard error. int8 is ONNX Runtime's own static quantisation of the original (QDQ, weights by
channel, 64 pictures; activations signed or not, whichever is faster), in the same turns.
"""


def evaluate(case: Case, swap: bool) -> LossyRow:
    """Optimize on one half of the pictures, judge on the other."""
    source = SHARED / "models" / f"{case.network}.onnx"
    transform = ImageTransform.parse(case.transform) if case.transform else None
    with tempfile.TemporaryDirectory() as folder:
        halves = Path(folder, "even"), Path(folder, "odd")
        if case.enlarges:
            save_parts(SHARED / "images" / case.folder, halves)
        else:
            split(SHARED / "images" / case.folder, halves, case.classified, case.first_class)
        fitted, judged = halves[::-1] if swap else halves
        shown: dict[str, Any] = {"samples": fitted, "image_transform": transform}
        lossless = optimize(source, **shown)
        started = time.perf_counter()
        limit: dict[str, Any] = dict([case.limit])
        lossy = optimize(
            source, labels=fitted / "labels.csv" if case.classified else None, **shown, **limit
        )
        seconds = time.perf_counter() - started
        inputs = inputs_of(load(source), {})
        contents = {
            REFERENCE: source.read_bytes(),
            LOSSLESS: to_bytes(lossless.model),
            LOSSY: to_bytes(lossy.model),
            INT8: in_int8(
                source,
                load_samples(fitted, inputs, transform=transform, limit=CALIBRATED),
                Path(folder),
            ),
        }
        labels = judged / "labels.csv" if case.classified else None
        every = load_samples(judged, inputs, transform=transform, labels=labels)
        times = judge(contents, every)
        if case.enlarges:
            times = tuple(
                time.model_copy(update={"psnr_db": psnr_of(contents[time.network])})
                for time in times
            )
    budget = lossy.report.budget
    return LossyRow(
        machine=this_machine(1),
        case=case.name,
        half="odd" if swap else "even",
        seconds=seconds,
        asked_error=budget.measured if budget else None,
        lossy_layers=sum(
            any(layer.is_chosen(offer) and offer.error > 0 for offer in layer.offers)
            for layer in lossy.report.layers
        ),
        times=times,
    )


def split(folder: Path, halves: tuple[Path, Path], classified: bool, first_class: int = 0) -> None:
    """Link every other picture into each half, with its class where pictures have one."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES)
    for half in halves:
        half.mkdir()
    for number, path in enumerate(files):
        (halves[number % 2] / f"{number:05}{path.suffix}").symlink_to(path.resolve())
    if classified:
        classes = classes_of(files)
        for first, half in enumerate(halves):
            half.joinpath("labels.csv").write_text(
                "".join(
                    f"{number:05}{files[number].suffix},{classes[number] + first_class}\n"
                    for number in range(first, len(files), 2)
                )
            )


class Reader(CalibrationDataReader):
    """Samples, one after the other."""

    def __init__(self, samples: Samples):
        self.feeds = iter(samples)

    def get_next(self) -> Any:
        """The next sample, or None."""
        return next(self.feeds, None)


def in_int8(source: Path, samples: Samples, folder: Path) -> bytes:
    """ONNX Runtime's own static quantisation, of the two types of activations the faster."""
    ready, made = folder / "ready.onnx", folder / "int8.onnx"
    quant_pre_process(str(source), str(ready))
    contents: list[bytes] = []
    for activations in (QuantType.QInt8, QuantType.QUInt8):
        quantize_static(
            str(ready),
            str(made),
            Reader(samples),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=activations,
        )
        contents.append(made.read_bytes())
    timings = timed(contents, samples)
    return min(zip(timings, contents, strict=True), key=lambda pair: pair[0].median_ms)[1]


def timed(contents: Sequence[bytes], samples: Samples) -> tuple[Timing, ...]:
    """The times of networks on one sample, in turn."""
    runs = [runner(session(content, threads=1)) for content in contents]
    feed = samples[0]
    return interleave([lambda run=run: run(feed) for run in runs], seconds=SECONDS)


def judge(contents: Mapping[str, bytes], samples: Samples) -> tuple[LossyTime, ...]:
    """What every network does to all samples against the first, and its time, in turn."""
    timings = timed(list(contents.values()), samples)
    runs = {name: runner(session(content, threads=1)) for name, content in contents.items()}
    compared = [compare(runs[REFERENCE], run, samples) for run in runs.values()]
    return tuple(
        LossyTime(
            network=name,
            median_ms=timing.median_ms,
            size_bytes=len(contents[name]),
            error=found.relative,
            answers=found.answers,
            agreement=found.top1,
        )
        for name, timing, found in zip(runs, timings, compared, strict=True)
    )


def lines(rows: Sequence[LossyRow]) -> list[dict[str, object]]:
    """The rows as lines of a table, one for each network that was timed."""
    return [
        {
            "case": row.case,
            "fitted on": f"{row.half} pictures",
            "network": time.network,
            "ms": f"{time.median_ms:.3g}",
            "over ONNX Runtime": f"{row.speedup(REFERENCE, time.network):.2f}x",
            "over lossless": f"{row.speedup(LOSSLESS, time.network):.2f}x",
            "MB": f"{time.size_bytes / 1e6:.2g}",
            "error": percent(time.error),
            "asked": percent(row.asked_error) if row.asked_error and time.network == LOSSY else "",
            "drop": drop_of(time.answers),
            "agreement": "" if time.agreement is None else percent(time.agreement),
            "PSNR": "" if time.psnr_db is None else f"{time.psnr_db:.2f} dB",
            "minutes": f"{row.seconds / 60:.1f}" if time.network == LOSSY else "",
            "measured": row.day,
        }
        for row in rows
        for time in row.times
        if time.network != REFERENCE
    ]


def drop_of(found: PairedAnswers | None) -> str:
    """Points of right answers lost, with the standard error."""
    if found is None or found.against != "labels":
        return ""
    return f"{found.drop_points:.2f} ± {found.standard_error_points:.2f}"


def write_page(rows: Sequence[LossyRow]) -> None:
    """Write the section of this machine; others stay as they are."""
    page = DOCS / "benchmarks" / "lossy.md"
    found = {row.place: [one for one in rows if one.place == row.place] for row in rows}
    write(page, with_machines(INTRODUCTION, text_of(page), 2, found, section))


def section(old: str, rows: Sequence[LossyRow]) -> str:
    keys = ("case", "fitted on", "network")
    new = [{key: str(value) for key, value in line.items()} for line in lines(rows)]
    return merged_table(old, new, keys)


def main() -> None:
    """Read the command line, measure, write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", help="parts of names; default: all")
    parser.add_argument("--one-half", action="store_true", help="fit on the even pictures only")
    given = parser.parse_args()
    results = Results(file_here("lossy.json"), LossyRow)
    chosen = [
        (case, swap)
        for case in CASES
        for swap in ((False,) if given.one_half else (False, True))
        if not given.networks or any(part in case.name for part in given.networks)
    ]
    for case, swap in track(chosen, "networks"):
        results.of(f"{case.name} {swap}", lambda case=case, swap=swap: evaluate(case, swap))
        write_page(list(results.rows.values()))


if __name__ == "__main__":
    main()
