"""The report as one Markdown file, for threads and pages: what was made of the network."""

from sparsepass.report import units
from sparsepass.report.facts import answers_fact, bought_facts, budget_fact
from sparsepass.report.markdown import table
from sparsepass.report.pareto import pareto_rows
from sparsepass.report.schema import LayerReport, Report

__all__ = ["render_markdown"]


def render_markdown(report: Report) -> str:
    """The page; sections without content are left out."""
    bought = [row for layer in report.layers for row in bought_rows(layer)]
    sections = (
        ("", headline(report)),
        ("", "".join(f"- warning: {units.printable(text)}\n" for text in report.warnings)),
        ("Layers", table(map(layer_row, report.layers))),
        ("Lossy layers", table(bought)),
        ("Time against error", table(pareto_rows(report.pareto))),
    )
    title = f"# {units.printable(report.model.name)}\n"
    parts = (f"## {name}\n\n{text}" if name else text for name, text in sections if text)
    return "\n".join([title, *parts])


def headline(report: Report) -> str:
    """Times, outputs, and what was taken of the budget."""
    lines: list[str] = []
    if (network := report.network) is not None:
        before, after = network.before.median_ms, network.after.median_ms
        times = f"{units.milliseconds(before)} before, {units.milliseconds(after)} now"
        lines.append(f"{times}, {units.factor(network.speedup)}")
    found = report.verification
    if found is not None:
        error, allowed = units.error(found.max_absolute_error), units.error(found.tolerance)
        lines.append(f"outputs within {error}, allowed {allowed}")
    if report.budget is not None:
        answers = found.answers if found else None
        lines.append(f"budget: {budget_fact(report.budget, answers)}")
        lines += [answers_fact(answers)] if answers else []
    return "".join(f"- {line}\n" for line in lines)


def layer_row(layer: LayerReport) -> dict[str, str]:
    return {
        "layer": units.printable(layer.name),
        "shape": layer.shape,
        "algorithm": layer.chosen.algorithm,
        "setting": units.parameters(layer.chosen.parameters),
        "dense us": units.microseconds(layer.dense.best_us),
        "now us": units.microseconds(layer.now.best_us),
    }


def bought_rows(layer: LayerReport) -> list[dict[str, str]]:
    """What a lossy layer took, and its neighbours; none for an exact one."""
    facts = bought_facts(layer.bought) if layer.bought else ()
    return [{"layer": units.printable(layer.name), "": what, "offer": fact} for what, fact in facts]
