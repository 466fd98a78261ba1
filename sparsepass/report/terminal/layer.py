"""One layer, with every offer and refusal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sparsepass.plan import Offer
from sparsepass.report import units
from sparsepass.report.facts import (
    Facts,
    advice_facts,
    bought_facts,
    certainty_fact,
    input_facts,
    weight_facts,
    workspace_facts,
)
from sparsepass.report.schema import LayerReport, Report
from sparsepass.report.terminal.cells import new_table, styled

__all__ = ["print_explanation"]


def print_explanation(console: Console, report: Report, name: str) -> None:
    """One layer: every offer and refusal.  Raises UsageError where there is no such layer."""
    layer = report.layer(name)
    console.print(title_text(layer))
    console.print(facts_text(layer))
    console.print("", offer_table(layer), "", sep="\n")
    why = f": {layer.chosen.reason}" if layer.chosen.reason else ""
    console.print(styled(layer.chosen.algorithm).append(units.printable(why)))
    if layer.certainty is not None:
        console.print(Text(certainty_fact(layer.certainty), style="dim"))
    if layer.bought is not None:
        for label, fact in bought_facts(layer.bought):
            console.print(Text(f"{label:<8} {units.printable(fact)}", style="dim"), soft_wrap=True)
    if layer.fate:
        console.print(Text(units.printable(layer.fate), style="yellow"))
    advice = None if report.advice is None else report.advice.layer(name)
    if advice is not None:
        console.print(Text(f"\n{fact_line('pruning', advice_facts(advice))}", style="dim"))


def title_text(layer: LayerReport) -> Text:
    title = Text(units.printable(layer.name), style="bold")
    detail = f"  {layer.op_type} {layer.shape}, {units.count(layer.macs)} multiply-adds"
    return title.append(units.printable(detail), style="not bold")


def facts_text(layer: LayerReport) -> Text:
    lines = [fact_line("weights", weight_facts(layer.weight))]
    if layer.input is not None:
        lines.append(fact_line("input", input_facts(layer.input)))
    if layer.workspace_bytes:
        lines.append(fact_line("memory", workspace_facts(layer.workspace_bytes)))
    if layer.paper_workspace_bytes:
        lines.append(fact_line("paper", workspace_facts(layer.paper_workspace_bytes)))
    dense, now = units.size(layer.dense_bytes), units.size(layer.packed_bytes)
    lines.append(f"stored   {dense} dense, {now} now, {units.size(layer.memory_bytes)} in memory")
    if layer.epilogue:
        lines.append(f"fused    {units.printable(layer.epilogue)}")
    return Text("\n".join(lines), style="dim")


def fact_line(title: str, facts: Facts) -> str:
    return f"{title:<8} " + ", ".join(f"{label} {value}" for label, value in facts)


def offer_table(layer: LayerReport) -> Table:
    table = new_table()
    table.add_column("algorithm", no_wrap=True)
    for header in ("predicted us", "measured us", "error"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("verdict")
    for offer in layer.offers:
        table.add_row(
            styled(offer.algorithm),
            units.microseconds(offer.predicted),
            "-" if offer.measured is None else units.microseconds(offer.measured),
            units.error(offer.error),
            verdict_text(layer, offer),
        )
    for refusal in layer.refusals:
        reason = Text(f"refused: {units.printable(refusal.reason)}", style="dim")
        table.add_row(styled(refusal.algorithm), "-", "-", "-", reason)
    return table


def verdict_text(layer: LayerReport, offer: Offer) -> Text:
    verdict = Text(units.parameters(offer.parameters), style="dim")
    if layer.is_chosen(offer):
        verdict = Text("chosen ", style="bold green").append(verdict)
    return verdict
