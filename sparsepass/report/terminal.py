"""The report in the terminal.  Times that were predicted, not measured, carry a ``~``."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sparsepass.algorithms import ALGORITHMS
from sparsepass.plan import Offer
from sparsepass.report import units
from sparsepass.report.facts import (
    Facts,
    advice_facts,
    answers_fact,
    batch_fact,
    bought_facts,
    budget_fact,
    certainty_fact,
    first_answer_fact,
    input_facts,
    weight_facts,
    workspace_facts,
)
from sparsepass.report.pareto import pareto_rows
from sparsepass.report.pruning import print_advice
from sparsepass.report.schema import (
    Analysis,
    LayerAnalysis,
    LayerReport,
    LayerTime,
    PruneReport,
    Report,
)
from sparsepass.run import FREE

__all__ = ["print_analysis", "print_explanation", "print_pruning", "print_report"]

# By position in the table of algorithms; the first is the reference and stays quiet.
STYLES = (
    "bright_black", "blue", "cyan", "yellow", "green", "magenta", "bright_blue", "bright_cyan",
    "bright_yellow", "bright_magenta",
)  # fmt: skip
WIDE = 96
SHAPE = 26
BAR = 8
ANALYSIS_COLUMNS = (
    "MACs",
    "zero\nW",
    "zero\nin",
    "empty\nfilters",
    "row\nbalance",
    "dead\nchannels",
)


def print_report(console: Console, report: Report, *, quiet: bool = False) -> None:
    """Headline, layers, totals, refusals and warnings; only headline and warnings if ``quiet``."""
    console.print(_headline(report))
    if not quiet:
        console.print(_context(report))
        _print_answers(console, report)
        console.print("", _layers(console, report), "", _totals(report), "", sep="\n")
        _print_pareto(console, report)
        _print_refusals(console, report)
        _print_close_calls(console, report)
        _print_skipped(console, report)
    _print_warnings(console, report.warnings)


def print_explanation(console: Console, report: Report, name: str) -> None:
    """One layer: every offer and refusal.  Raises UsageError where there is no such layer."""
    layer = report.layer(name)
    console.print(_title(layer))
    console.print(_facts(layer))
    console.print("", _bids(layer), "", sep="\n")
    why = f": {layer.chosen.reason}" if layer.chosen.reason else ""
    console.print(_styled(layer.chosen.algorithm).append(units.printable(why)))
    if layer.certainty is not None:
        console.print(Text(certainty_fact(layer.certainty), style="dim"))
    if layer.bought is not None:
        for label, fact in bought_facts(layer.bought):
            console.print(Text(f"{label:<8} {units.printable(fact)}", style="dim"), soft_wrap=True)
    if layer.fate:
        console.print(Text(units.printable(layer.fate), style="yellow"))
    advice = None if report.advice is None else report.advice.layer(name)
    if advice is not None:
        console.print(Text(f"\n{_fact_line('pruning', advice_facts(advice))}", style="dim"))


def print_analysis(console: Console, analysis: Analysis, *, quiet: bool = False) -> None:
    """Where a network is sparse, layer by layer; only headline and warnings if ``quiet``."""
    macs = sum(layer.macs for layer in analysis.layers)
    title = Text(units.printable(analysis.model.name), style="bold")
    title.append(
        f"  {len(analysis.layers)} layers, {units.count(macs)} multiply-adds", style="not bold"
    )
    console.print(title)
    if not quiet:
        console.print(_analyzed(console, analysis))
        if analysis.advice is not None:
            print_advice(console, analysis.advice)
        _print_skipped(console, analysis)
    _print_warnings(console, analysis.warnings)


def _analyzed(console: Console, analysis: Analysis) -> Table:
    table = _table()
    _add_layer_columns(table, console)
    for header in ANALYSIS_COLUMNS:
        table.add_column(header, justify="right", no_wrap=True)
    for layer in analysis.layers:
        dead = None if layer.input is None else layer.input.dead_channels
        table.add_row(
            *_layer_cells(layer, console, taken=40),
            units.count(layer.macs),
            _zeros(layer.weight_zeros),
            _zeros(layer.input_zeros),
            str(layer.weight.empty_filters),
            f"{layer.weight.row_balance:.2f}",
            units.percent(dead),
        )
    return table


def print_pruning(console: Console, report: PruneReport, *, quiet: bool = False) -> None:
    """What became zero, layer by layer; only headline and warnings if ``quiet``."""
    found = report.verification
    line = Text(f"{report.sparsity:.1%} of the weights are zero", style="bold")
    if report.pattern != FREE:
        line.append(f" ({report.pattern})", style="not bold")
    line.append(f", error {units.error(found.max_relative_error)}", style="not bold")
    line.append(f", predicted speed-up {units.factor(report.predicted_speedup)}", style="not bold")
    console.print(line)
    if found.answers is not None:
        console.print(Text(answers_fact(found.answers)), soft_wrap=True)
    if not quiet:
        console.print(_pruned(console, report))
        _print_skipped(console, report)
    _print_warnings(console, report.warnings)


def _pruned(console: Console, report: PruneReport) -> Table:
    table = _table()
    table.add_column("layer", no_wrap=True)
    for header in ("zero\nbefore", "zero\nnow", "error of\nlayer", "error of\noutputs"):
        table.add_column(header, justify="right", no_wrap=True)
    for header in ("dense\nus", "now\nus"):
        table.add_column(header, justify="right", no_wrap=True)
    mark = "..." if console.options.ascii_only else "\N{HORIZONTAL ELLIPSIS}"
    for layer in report.layers:
        table.add_row(
            _end(layer.name, max(12, console.width - 60), mark),
            _zeros(layer.zeros_before),
            _zeros(layer.zeros),
            units.error(layer.layer_error),
            units.error(layer.output_error),
            f"~{units.microseconds(layer.dense_us)}",
            f"~{units.microseconds(layer.now_us)}",
        )
    return table


def _headline(report: Report) -> Text:
    line = Text()
    if report.network is None and not report.layers:
        return line.append("no layer was changed or timed", style="bold")
    if report.network is not None:
        before, after = report.network.before.median_ms, report.network.after.median_ms
        ratio = report.network.speedup
        line.append(f"{units.milliseconds(before)} -> ")
        line.append(units.milliseconds(after), style="bold")
    else:
        before, after = report.dense_us / 1e3, report.now_us / 1e3
        ratio = before / after if after > 0 else 1.0
        line.append(f"layers {units.milliseconds(before)} -> ")
        line.append(f"{units.milliseconds(after)} (network not timed)", style="bold")
    line.append(", ").append(units.factor(ratio), style="bold green" if ratio > 1 else "bold")
    line.append(", ").append(_outputs(report))
    return line


def _outputs(report: Report) -> Text:
    found = report.verification
    if found is None:
        return Text("outputs not verified", style="yellow")
    bounds = f"{units.error(found.max_absolute_error)} (tolerance {units.error(found.tolerance)})"
    if not found.passed:
        return Text(f"OUTPUTS DIFFER by {bounds}", style="bold red")
    return Text(f"outputs equal within {bounds}")


def _context(report: Report) -> Text:
    machine = report.machine
    threads = f"{machine.threads} thread{'s' if machine.threads != 1 else ''}"
    parts = [
        report.model.name,
        machine.cpu,
        machine.isa,
        threads,
        f"ONNX Runtime {machine.onnxruntime}",
    ]
    if report.plan.tiling is not None:
        parts.append(batch_fact(report.plan.tiling))
    if report.network is not None and (fact := first_answer_fact(report.network)):
        parts.append(fact)
    if report.model.after_bytes is not None:
        sizes = report.model.before_bytes, report.model.after_bytes
        parts.append(" -> ".join(units.size(value) for value in sizes))
    if report.budget is not None:
        answers = report.verification.answers if report.verification else None
        parts.append(budget_fact(report.budget, answers))
    if report.verification is not None and report.verification.top1_agreement is not None:
        parts.append(f"top-1 agreement {units.percent(report.verification.top1_agreement)}")
    return Text(units.printable(", ".join(parts)), style="dim")


def _print_answers(console: Console, report: Report) -> None:
    """The paired drop of a classifier, where outputs may change."""
    if report.budget is not None and report.verification and report.verification.answers:
        console.print(Text(answers_fact(report.verification.answers)), soft_wrap=True)


def _layers(console: Console, report: Report) -> Table:
    longest = max((layer.dense.best_us for layer in report.layers), default=0.0)
    widest = max(len(name) for name in ("algorithm", *(x.chosen.algorithm for x in report.layers)))
    table = _table()
    _add_layer_columns(table, console)
    for header in ("zero\nW", "zero\nin"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("algorithm", no_wrap=True)
    for header in ("dense\nus", "now\nus"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("saved", no_wrap=True)
    for layer in report.layers:
        table.add_row(
            *_layer_cells(layer, console, taken=41 + widest),
            _zeros(layer.weight_zeros),
            _zeros(layer.input_zeros),
            _styled(layer.chosen.algorithm),
            _time(layer.dense),
            _time(layer.now),
            _saving(layer, longest, console),
        )
    return table


def _add_layer_columns(table: Table, console: Console) -> None:
    table.add_column("layer", no_wrap=True)
    if console.width >= WIDE:
        table.add_column("shape", no_wrap=True)


def _layer_cells(layer: LayerAnalysis, console: Console, taken: int) -> list[Text]:
    """Name, and shape where there is room beside ``taken`` columns of numbers."""
    mark = "..." if console.options.ascii_only else "\N{HORIZONTAL ELLIPSIS}"
    room = max(12, console.width - taken)
    if console.width < WIDE:
        return [_end(layer.name, room, mark)]
    return [_end(layer.name, room - SHAPE - 1, mark), _start(layer.shape, SHAPE, mark)]


def _totals(report: Report) -> Table:
    table = _table()
    table.add_column("algorithm")
    for header in (" layers", " dense us", " now us", " speed-up", " share of time now"):
        table.add_column(header, justify="right")
    for total in report.totals:
        table.add_row(
            _styled(total.algorithm),
            str(total.layers),
            units.microseconds(total.dense_us),
            units.microseconds(total.now_us),
            units.factor(total.speedup),
            units.percent(total.now_us / report.now_us if report.now_us > 0 else 0.0),
        )
    return table


def _print_pareto(console: Console, report: Report) -> None:
    """Plans for a ladder of error budgets, where they were asked for."""
    rows = pareto_rows(report.pareto)
    if not rows:
        return
    table = _table()
    for name in rows[0]:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row.values())
    console.print(table, "", sep="\n")


def _print_refusals(console: Console, report: Report) -> None:
    for total in report.refusals:
        reason = units.printable(total.reason)
        more = total.reasons - 1
        others = f" and {more} other reason{'s' if more > 1 else ''}" if more else ""
        line = _styled(total.algorithm).append(
            f" refused {total.layers}: {reason}{others}", style="dim"
        )
        console.print(line)
    for layer in report.layers:
        if layer.fate:
            console.print(Text(units.printable(f"{layer.name}: {layer.fate}"), style="yellow"))


def _print_close_calls(console: Console, report: Report) -> None:
    close = [layer for layer in report.least_sure if layer.is_close_call]
    if close:
        names = ", ".join(f"{layer.name} ({units.percent(layer.certainty)})" for layer in close)
        text = f"close calls, by the share of turns that the choice won: {names}"
        console.print(Text(units.printable(text), style="dim"))


def _print_skipped(console: Console, document: Report | Analysis | PruneReport) -> None:
    for node in document.skipped:
        text = f"skipped {node.op_type} {node.name}: {node.reason}"
        console.print(Text(units.printable(text), style="dim"))


def _print_warnings(console: Console, warnings: tuple[str, ...]) -> None:
    for warning in warnings:
        line = Text("warning: ", style="bold yellow").append(
            units.printable(warning), style="default"
        )
        # One line whatever the width, as for errors: programs that read the output count lines.
        console.print(line, soft_wrap=True)


def _title(layer: LayerReport) -> Text:
    title = Text(units.printable(layer.name), style="bold")
    detail = f"  {layer.op_type} {layer.shape}, {units.count(layer.macs)} multiply-adds"
    return title.append(units.printable(detail), style="not bold")


def _facts(layer: LayerReport) -> Text:
    lines = [_fact_line("weights", weight_facts(layer.weight))]
    if layer.input is not None:
        lines.append(_fact_line("input", input_facts(layer.input)))
    if layer.workspace_bytes:
        lines.append(_fact_line("memory", workspace_facts(layer.workspace_bytes)))
    if layer.paper_workspace_bytes:
        lines.append(_fact_line("paper", workspace_facts(layer.paper_workspace_bytes)))
    dense, now = units.size(layer.dense_bytes), units.size(layer.packed_bytes)
    lines.append(f"stored   {dense} dense, {now} now, {units.size(layer.memory_bytes)} in memory")
    if layer.epilogue:
        lines.append(f"fused    {units.printable(layer.epilogue)}")
    return Text("\n".join(lines), style="dim")


def _fact_line(title: str, facts: Facts) -> str:
    return f"{title:<8} " + ", ".join(f"{label} {value}" for label, value in facts)


def _bids(layer: LayerReport) -> Table:
    table = _table()
    table.add_column("algorithm", no_wrap=True)
    for header in ("predicted us", "measured us", "error"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("verdict")
    for offer in layer.offers:
        table.add_row(
            _styled(offer.algorithm),
            units.microseconds(offer.predicted),
            "-" if offer.measured is None else units.microseconds(offer.measured),
            units.error(offer.error),
            _verdict(layer, offer),
        )
    for refusal in layer.refusals:
        reason = Text(f"refused: {units.printable(refusal.reason)}", style="dim")
        table.add_row(_styled(refusal.algorithm), "-", "-", "-", reason)
    return table


def _verdict(layer: LayerReport, offer: Offer) -> Text:
    verdict = Text(units.parameters(offer.parameters), style="dim")
    if layer.is_chosen(offer):
        verdict = Text("chosen ", style="bold green").append(verdict)
    return verdict


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0, header_style="dim")


def _styled(algorithm: str) -> Text:
    names = [row.name for row in ALGORITHMS]
    known = algorithm in names
    style = STYLES[names.index(algorithm) % len(STYLES)] if known else "default"
    return Text(units.printable(algorithm), style=style)


def _zeros(share: float | None) -> Text:
    return Text(units.percent(share), style="" if share and share >= 0.3 else "dim")


def _time(time: LayerTime) -> str:
    mark = "~" if time.measured_us is None else ""
    return mark + units.microseconds(time.best_us)


def _saving(layer: LayerReport, longest: float, console: Console) -> Text:
    full, rest = ("#", ".") if console.options.ascii_only else ("\u2588", "\u2591")
    if longest <= 0:
        return Text("")
    dense = max(1, round(BAR * layer.dense.best_us / longest))
    now = min(dense, max(1, round(BAR * layer.now.best_us / longest)))
    bar = _styled(layer.chosen.algorithm)
    bar.plain = full * now + rest * (dense - now)
    bar.pad_right(BAR - dense)
    changed = layer.speedup != 1.0
    return bar.append(f" {units.factor(layer.speedup):>5}" if changed else "", style="default")


def _end(text: str, width: int, mark: str) -> Text:
    """The end of a long name is what tells layers apart."""
    text = units.printable(text)
    return Text(text if len(text) <= width else mark + text[len(mark) - width :])


def _start(text: str, width: int, mark: str) -> Text:
    text = units.printable(text)
    return Text(text if len(text) <= width else text[: width - len(mark)] + mark)
