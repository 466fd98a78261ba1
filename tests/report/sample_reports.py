"""Reports to look at: a tiny one for goldens, and one as long as ResNet-50's."""

import math
import random

from sparsepass.algorithms import ALGORITHMS, DENSE
from sparsepass.plan import Choice, Offer, Plan, Refusal
from sparsepass.report.schema import (
    Analysis,
    ErrorBudget,
    Latency,
    LayerAnalysis,
    LayerReport,
    LayerTime,
    Machine,
    ModelFile,
    NetworkTime,
    PassRun,
    Report,
    Samples,
    Selector,
    SkippedNode,
    StageTime,
    Tensor,
    Verification,
)
from sparsepass.sparsity import ActivationStats, WeightStats

REASONS = ("3-D convolution", "not 3x3 with stride 1", "no rank below the dense work")
# Which row of the table the made-up times favour.
WINNER = len(ALGORITHMS) // 2
NAMES = [row.name for row in ALGORITHMS]
# What the goldens hold, so that a new row of the table leaves them alone.
INVENTED = [DENSE.name, "first", "second"]
MACHINE = Machine(cpu="AMD EPYC 9R14", isa="AVX-512", cores=2, onnxruntime="1.31.1", threads=1)


def tiny_report(first="/stem/conv") -> Report:
    """Two layers: one kept, one converted, with every optional part present."""
    kept = layer_report(
        first, (3, 32, 3, 1, 32), 0.0, 0.0, 0, [(0, 120.0, 118.0)],
        fate="returned to dense: slower than predicted", names=INVENTED,
    )  # fmt: skip
    converted = layer_report(
        "/block/conv", (32, 64, 1, 1, 32), 0.9, 0.5, 1, [(0, 400.0, 396.0), (1, 80.0, 99.0)],
        names=INVENTED,
    )  # fmt: skip
    return report_of((kept, converted), before=0.6, after=0.3)


def predicted_report() -> Report:
    """A dry run: nothing was timed, verified or written."""
    layers = tiny_report().layers
    bare = tuple(
        layer.model_copy(
            update={
                "input": None,
                "dense": LayerTime(predicted_us=layer.dense.predicted_us),
                "now": LayerTime(predicted_us=layer.now.predicted_us),
                "fate": "",
            }
        )
        for layer in layers
    )
    return tiny_report().model_copy(
        update={
            "layers": bare, "network": None, "verification": None, "selector": None,
            "budget": None, "samples": None, "skipped": (), "warnings": (), "passes": (),
        }
    )  # fmt: skip


def resnet_report() -> Report:
    """54 layers shaped as ResNet-50's at 90 % zeros; times are made up, from work."""
    rng = random.Random(0)
    layers = [layer_report("/conv1/Conv", (3, 64, 7, 2, 224), 0.12, 0.0, 0, [(0, 2400.0, 2310.0)])]
    channels, spatial = 64, 56
    for stage, blocks in enumerate((3, 4, 6, 3)):
        width = 64 << stage
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            prefix = f"/layer{stage + 1}/layer{stage + 1}.{block}"
            shapes = [
                (f"{prefix}/conv1/Conv", (channels, width, 1, 1, spatial)),
                (f"{prefix}/conv2/Conv", (width, width, 3, stride, spatial)),
                (f"{prefix}/conv3/Conv", (width, 4 * width, 1, 1, spatial // stride)),
            ]
            if not block:
                shapes.append(
                    (
                        f"{prefix}/downsample/downsample.0/Conv",
                        (channels, 4 * width, 1, stride, spatial),
                    )
                )
            layers += [random_layer(name, shape, rng) for name, shape in shapes]
            channels, spatial = 4 * width, spatial // stride
    layers.append(random_layer("/fc/Gemm", (2048, 1000, 1, 1, 1), rng))
    before = sum(layer.dense.best_us for layer in layers) / 1e3
    after = sum(layer.now.best_us for layer in layers) / 1e3
    return report_of(tuple(layers), before=before, after=after)


def analysis() -> Analysis:
    report = tiny_report()
    keep = set(LayerAnalysis.model_fields)
    return Analysis(
        tool=report.tool,
        model=report.model,
        machine=report.machine,
        samples=report.samples,
        skipped=report.skipped,
        warnings=report.warnings,
        layers=tuple(
            LayerAnalysis.model_validate({name: getattr(layer, name) for name in keep})
            for layer in report.layers
        ),
    )


def report_of(layers, before, after) -> Report:
    choices = tuple(layer.chosen for layer in layers)
    return Report(
        tool="sparsepass 0.1.0",
        model=ModelFile(
            name="resnet50-pruned90.onnx",
            digest="sha256:9f2c4a7be01d83560c5f4a0c7d93be8fb1172a5e6c4d09f8837a21d5e0b64c9a",
            ir_version=9,
            opset=17,
            before_bytes=102_400_000,
            after_bytes=21_300_000,
            inputs=(Tensor(name="data", shape=("N", 3, 224, 224)),),
        ),
        machine=MACHINE,
        samples=Samples(count=32, source="images/", seed=0),
        passes=(
            PassRun(name="fold batch norm", modified=True),
            PassRun(name="compact channels", modified=False),
        ),
        skipped=(
            SkippedNode(name="/up/ConvT", op_type="ConvTranspose", reason="transposed convolution"),
        ),
        warnings=("no profile of this machine: predictions come from another CPU; run calibrate",),
        layers=layers,
        plan=Plan(tool="sparsepass 0.1.0", machine=MACHINE.cpu, threads=1, choices=choices),
        budget=ErrorBudget(max_error=0.01, predicted=0.004, measured=0.0052),
        network=NetworkTime(
            before=latency(before),
            after=latency(after),
            first_before_ms=310.0,
            first_after_ms=290.0,
            threads=1,
            batch=1,
            command="sparsepass bench resnet50-pruned90.onnx --threads 1 --runs 50",
        ),
        verification=Verification(
            max_absolute_error=3.1e-6,
            max_relative_error=4.0e-7,
            tolerance=2.0e-5,
            derivation="eps x 4608 terms x largest output",
            samples=32,
            top1_agreement=1.0,
        ),
        selector=Selector(layers=len(layers), best_share=0.93, regret=0.012),
        stages=(
            StageTime(stage="measuring layers", seconds=12.3),
            StageTime(stage="choosing", seconds=0.0412),
        ),
    )


def layer_report(
    name, shape, weight_zeros, input_zeros, chosen, offers, fate="", names=NAMES
) -> LayerReport:
    """``offers`` are (position in the table, predicted, measured); the other rows refuse."""
    channels, filters, kernel, stride, spatial = shape
    taps = channels * kernel * kernel
    answers = [
        Offer(algorithm=names[row], predicted=predicted, measured=measured)
        for row, predicted, measured in offers
    ]
    offered = {row for row, _, _ in offers}
    answers += [
        Refusal(algorithm=names[row], reason=REASONS[row % len(REASONS)])
        for row in range(len(names))
        if row not in offered
    ]
    times = {row: LayerTime(predicted_us=p, measured_us=m) for row, p, m in offers}
    return LayerReport(
        name=name,
        op_type="Conv",
        shape=f"{channels}x{spatial}x{spatial} -> {filters}, {kernel}x{kernel}"
        + (f"/{stride}" if stride > 1 else ""),
        macs=(spatial // stride) ** 2 * filters * taps,
        weight=weight_stats(1 - weight_zeros, filters, taps),
        input=ActivationStats(
            zeros_mean=input_zeros,
            zeros_p10=0.8 * input_zeros,
            zeros_p90=min(1.0, 1.2 * input_zeros),
            dead_channels=0.1 * input_zeros,
            dense_groups=1 - input_zeros,
            empty_groups=input_zeros**4,
            samples=32,
        ),
        bids=tuple(answers),
        chosen=Choice(
            layer=name,
            algorithm=names[chosen],
            reason="predicted and measured fastest of the offers" if chosen else "",
        ),
        dense=times[0],
        now=times[chosen],
        certainty=0.97 if len(offers) > 1 else None,
        dense_bytes=4 * filters * taps,
        packed_bytes=int(filters * taps * (8 * (1 - weight_zeros) if chosen else 4)),
        memory_bytes=int(filters * taps * (12 * (1 - weight_zeros) if chosen else 4)),
        epilogue="bias, Relu",
        fate=fate,
    )


def random_layer(name, shape, rng) -> LayerReport:
    channels, filters, kernel, stride, spatial = shape
    macs = (spatial // stride) ** 2 * filters * channels * kernel * kernel
    dense = macs / 55e3 + 8
    zeros = min(0.985, rng.gauss(0.9, 0.04))
    input_zeros = min(0.9, max(0.1, rng.gauss(0.5, 0.15)))
    offers = [(0, dense * rng.gauss(1, 0.05), dense)]
    for row in range(1, len(NAMES)):
        if rng.random() < (0.8 if row == WINNER else 0.4):
            gain = math.exp(rng.gauss(1.5 if row == WINNER else 0.1, 0.4))
            offers.append((row, dense / gain * rng.gauss(1, 0.1), dense / gain))
    chosen = min(offers, key=lambda offer: offer[2])[0]
    slower = not chosen and len(offers) > 1 and rng.random() < 0.5
    fate = "returned to dense: slower than predicted" if slower else ""
    return layer_report(name, shape, zeros, input_zeros, chosen, offers, fate)


def latency(median: float) -> Latency:
    return Latency(median_ms=median, p10_ms=0.985 * median, p90_ms=1.03 * median, runs=50)


def weight_stats(density, filters, taps) -> WeightStats:
    return WeightStats(
        density=density,
        empty_filters=0,
        empty_channels=2,
        row_balance=1.4,
        nm={"2:4": 0.7, "1:4": 0.4},
        blocks={"4x1": 0.31, "1x4": 0.28},
        patterns=12,
        rank_energy={"90": max(1, min(filters, taps) // 3), "99": max(1, min(filters, taps) // 2)},
    )
