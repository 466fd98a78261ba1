"""Two reports side by side, layer by layer: two runs, two machines, two prunings."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sparsepass.report import units
from sparsepass.report.markdown import table
from sparsepass.report.schema import LayerReport, Report

__all__ = ["Difference", "LayerChange", "compare", "render_markdown"]

# Times that differ by less than this share count as equal: two timings of one network do.
SAME_TIME = 0.05
# Zeros that differ by less than this share of the weights count as equal.
SAME_ZEROS = 0.005


@dataclass(frozen=True)
class LayerChange:
    """A layer in two reports; None where one of them has no such layer."""

    name: str
    before: LayerReport | None
    after: LayerReport | None

    @property
    def shape(self) -> str:
        """What the layer looks like, in the later report if it is there."""
        found = self.after or self.before
        return found.shape if found else ""

    @property
    def ratio(self) -> float | None:
        """The time before over the time after."""
        if self.before is None or self.after is None or self.after.now.best_us <= 0:
            return None
        return self.before.now.best_us / self.after.now.best_us

    @property
    def what(self) -> tuple[str, ...]:
        """What changed: "new", "gone", or any of "algorithm", "time", "zeros", "shape"."""
        if self.before is None or self.after is None:
            return ("new",) if self.before is None else ("gone",)
        before, after, ratio = self.before, self.after, self.ratio or 1.0
        changes = {
            "algorithm": setting(before) != setting(after),
            "time": not 1 - SAME_TIME <= ratio <= 1 / (1 - SAME_TIME),
            "zeros": abs(before.weight_zeros - after.weight_zeros) >= SAME_ZEROS,
            "shape": before.shape != after.shape,
        }
        return tuple(name for name, changed in changes.items() if changed)

    def cells(self) -> dict[str, str]:
        """The layer as a row of a table."""
        pair = (self.before, self.after)
        return {
            "layer": self.name,
            "algorithm": arrow(layer and algorithm_text(layer) for layer in pair),
            "us": arrow(layer and time_text(layer) for layer in pair),
            "speed-up": "-" if self.ratio is None else units.factor(self.ratio),
            "zero W": arrow(layer and units.percent(layer.weight_zeros) for layer in pair),
            "sure": arrow(layer and units.percent(layer.certainty) for layer in pair),
            "changed": ", ".join(self.what) or "-",
        }


@dataclass(frozen=True)
class Difference:
    """Two reports and their layers, in the order of the later one, then those that are gone."""

    before: Report
    after: Report
    layers: tuple[LayerChange, ...]

    @property
    def changed(self) -> tuple[LayerChange, ...]:
        """The layers that changed in any way."""
        return tuple(layer for layer in self.layers if layer.what)

    def facts(self) -> tuple[Mapping[str, str], ...]:
        """What the runs were, as rows: a fact, before, after."""
        pairs = zip(run_facts(self.before), run_facts(self.after), strict=True)
        return tuple({"": name, "before": old, "after": new} for (name, old), (_, new) in pairs)

    @property
    def both_timed(self) -> bool:
        """Whether the times that the headline compares are those of whole networks."""
        return self.before.network is not None and self.after.network is not None

    @property
    def headline(self) -> str:
        """What became of the time, and how many layers changed."""
        old, new = (self.time_ms(report) for report in (self.before, self.after))
        ratio = units.factor(old / new) if new > 0 else "-"
        what = "" if self.both_timed else "sum of the layers "
        times = what + f"{units.milliseconds(old)} -> {units.milliseconds(new)}, {ratio}"
        return f"{times}; {len(self.changed)} of {len(self.layers)} layers changed"

    def time_ms(self, report: Report) -> float:
        """Of the network where both were timed, else the sum of the layers."""
        timed = report.network if self.both_timed else None
        return timed.after.median_ms if timed else report.now_us / 1e3


def compare(before: Report, after: Report) -> Difference:
    """Match the layers of two reports by name."""
    old = {layer.name: layer for layer in before.layers}
    new = {layer.name: layer for layer in after.layers}
    names = (*new, *(name for name in old if name not in new))
    return Difference(
        before, after, tuple(LayerChange(name, old.get(name), new.get(name)) for name in names)
    )


def render_markdown(difference: Difference) -> str:
    """The comparison as Markdown: the runs, then the layers that changed."""
    changed = table([layer.cells() for layer in difference.changed])
    return "\n".join(
        [
            "# sparsepass: two reports compared",
            "",
            f"{difference.headline}.",
            "",
            table(difference.facts()),
            changed or "No layer changed.\n",
        ]
    )


def run_facts(report: Report) -> Iterable[tuple[str, str]]:
    machine, network = report.machine, report.network
    threads = f"{machine.threads} thread{'s' if machine.threads != 1 else ''}"
    yield "model", f"{report.model.name} ({report.model.digest[:12]})"
    yield "machine", f"{machine.cpu}, {machine.isa}, {threads}"
    yield "tool", f"{report.tool}, ONNX Runtime {machine.onnxruntime}"
    yield "network", units.milliseconds(network.after.median_ms) if network else "not timed"
    yield "ONNX Runtime", units.milliseconds(network.before.median_ms) if network else "not timed"
    yield "speed-up", units.factor(network.speedup) if network else "-"
    yield "sum of the layers", units.milliseconds(report.now_us / 1e3)
    counts = ", ".join(f"{total.layers} {total.algorithm}" for total in report.totals)
    yield "algorithms", counts or "none"
    weights = sum(layer.dense_bytes for layer in report.layers)
    kept = sum(layer.weight.density * layer.dense_bytes for layer in report.layers)
    yield "zeros in the weights", units.percent(1 - kept / weights if weights else None)


def setting(layer: LayerReport) -> tuple[str, dict[str, int]]:
    return layer.chosen.algorithm, layer.chosen.parameters


def algorithm_text(layer: LayerReport) -> str:
    parameters = units.parameters(layer.chosen.parameters)
    return f"{layer.chosen.algorithm} {parameters}".strip()


def time_text(layer: LayerReport) -> str:
    mark = "~" if layer.now.measured_us is None else ""
    return mark + units.microseconds(layer.now.best_us)


def arrow(texts: Iterable[str | None]) -> str:
    """Both texts, or one where they are equal."""
    old, new = (text or "-" for text in texts)
    return old if old == new else f"{old} -> {new}"
