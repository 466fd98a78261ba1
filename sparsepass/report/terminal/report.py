"""What was made of a network."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sparsepass.report import units
from sparsepass.report.facts import answers_fact, batch_fact, budget_fact, first_answer_fact
from sparsepass.report.pareto import pareto_rows
from sparsepass.report.schema import Report
from sparsepass.report.terminal.cells import (
    add_layer_columns,
    layer_cells,
    new_table,
    saving_bar,
    styled,
    time_text,
    zeros_text,
)
from sparsepass.report.terminal.notes import print_skipped, print_warnings

__all__ = ["print_report"]


def print_report(console: Console, report: Report, *, quiet: bool = False) -> None:
    """Headline, layers, totals, refusals and warnings; only headline and warnings if ``quiet``."""
    console.print(headline_text(report))
    if not quiet:
        console.print(context_text(report))
        print_answers(console, report)
        console.print("", layer_table(console, report), "", total_table(report), "", sep="\n")
        print_pareto(console, report)
        print_refusals(console, report)
        print_close_calls(console, report)
        print_skipped(console, report)
    print_warnings(console, report.warnings)


def headline_text(report: Report) -> Text:
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
    line.append(", ").append(outputs_text(report))
    return line


def outputs_text(report: Report) -> Text:
    found = report.verification
    if found is None:
        return Text("outputs not verified", style="yellow")
    bounds = f"{units.error(found.max_absolute_error)} (tolerance {units.error(found.tolerance)})"
    if not found.passed:
        return Text(f"OUTPUTS DIFFER by {bounds}", style="bold red")
    return Text(f"outputs equal within {bounds}")


def context_text(report: Report) -> Text:
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


def print_answers(console: Console, report: Report) -> None:
    """The paired drop of a classifier, where outputs may change."""
    if report.budget is not None and report.verification and report.verification.answers:
        console.print(Text(answers_fact(report.verification.answers)), soft_wrap=True)


def layer_table(console: Console, report: Report) -> Table:
    longest = max((layer.dense.best_us for layer in report.layers), default=0.0)
    widest = max(len(name) for name in ("algorithm", *(x.chosen.algorithm for x in report.layers)))
    table = new_table()
    add_layer_columns(table, console)
    for header in ("zero\nW", "zero\nin"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("algorithm", no_wrap=True)
    for header in ("dense\nus", "now\nus"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("saved", no_wrap=True)
    for layer in report.layers:
        table.add_row(
            *layer_cells(layer, console, taken=41 + widest),
            zeros_text(layer.weight_zeros),
            zeros_text(layer.input_zeros),
            styled(layer.chosen.algorithm),
            time_text(layer.dense),
            time_text(layer.now),
            saving_bar(layer, longest, console),
        )
    return table


def total_table(report: Report) -> Table:
    table = new_table()
    table.add_column("algorithm")
    for header in (" layers", " dense us", " now us", " speed-up", " share of time now"):
        table.add_column(header, justify="right")
    for total in report.totals:
        table.add_row(
            styled(total.algorithm),
            str(total.layers),
            units.microseconds(total.dense_us),
            units.microseconds(total.now_us),
            units.factor(total.speedup),
            units.percent(total.now_us / report.now_us if report.now_us > 0 else 0.0),
        )
    return table


def print_pareto(console: Console, report: Report) -> None:
    """Plans for a ladder of error budgets, where they were asked for."""
    rows = pareto_rows(report.pareto)
    if not rows:
        return
    table = new_table()
    for name in rows[0]:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row.values())
    console.print(table, "", sep="\n")


def print_refusals(console: Console, report: Report) -> None:
    for total in report.refusals:
        reason = units.printable(total.reason)
        more = total.reasons - 1
        others = f" and {more} other reason{'s' if more > 1 else ''}" if more else ""
        line = styled(total.algorithm).append(
            f" refused {total.layers}: {reason}{others}", style="dim"
        )
        console.print(line)
    for layer in report.layers:
        if layer.fate:
            console.print(Text(units.printable(f"{layer.name}: {layer.fate}"), style="yellow"))


def print_close_calls(console: Console, report: Report) -> None:
    close = [layer for layer in report.least_sure if layer.is_close_call]
    if close:
        names = ", ".join(f"{layer.name} ({units.percent(layer.certainty)})" for layer in close)
        text = f"close calls, by the share of turns that the choice won: {names}"
        console.print(Text(units.printable(text), style="dim"))
