"""The report as one HTML file that opens anywhere: no requests, and no script needed to read it."""

import base64
import hashlib

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from sparsepass.algorithms import ALGORITHMS
from sparsepass.report import charts, units
from sparsepass.report.agreement import agreement, before_and_after
from sparsepass.report.difference import Difference
from sparsepass.report.facts import (
    advice_facts,
    advice_notes,
    answers_fact,
    batch_fact,
    bought_facts,
    budget_fact,
    certainty_fact,
    first_answer_fact,
    input_facts,
    stages_fact,
    weight_facts,
    workspace_facts,
)
from sparsepass.report.lines import speedup_lines
from sparsepass.report.pareto import pareto_rows
from sparsepass.report.schema import Analysis, Report

__all__ = ["render_analysis", "render_difference", "render_html"]


def render_html(report: Report) -> str:
    """The page.  Everything that comes from the model is escaped."""
    return (
        _pages()
        .get_template("template.html.j2")
        .render(
            report=report,
            slots=_slots(report),
            bars=charts.network_bars(report.network) if report.network is not None else (),
            stacks=charts.stacks(report),
            columns=charts.columns(report.layers),
            curve=charts.curve(report.pareto) if report.pareto else None,
            pareto_rows=pareto_rows(report.pareto),
            scatters=charts.scatters(report.layers),
            agreement=agreement(report.layers),
            lines=None if report.advice is None else speedup_lines(report.advice),
            advice_facts=advice_facts,
            advice_notes=advice_notes,
            answers_fact=answers_fact,
            batch_fact=batch_fact,
            bought_facts=bought_facts,
            budget_fact=budget_fact,
            certainty_fact=certainty_fact,
            first_answer_fact=first_answer_fact,
            input_facts=input_facts,
            stages_fact=stages_fact,
            weight_facts=weight_facts,
            workspace_facts=workspace_facts,
        )
    )


def render_analysis(analysis: Analysis) -> str:
    """The page of an analysis, escaped likewise."""
    return (
        _pages()
        .get_template("analysis.html.j2")
        .render(
            report=analysis,
            lines=None if analysis.advice is None else speedup_lines(analysis.advice),
            advice_notes=advice_notes,
        )
    )


def render_difference(difference: Difference) -> str:
    """The page of two reports side by side, escaped likewise."""
    return (
        _pages()
        .get_template("difference.html.j2")
        .render(
            report=difference.after,
            difference=difference,
            slots=_slots(difference.after),
            plot=before_and_after(difference),
        )
    )


def _pages() -> Environment:
    """The templates, and how they show numbers and names."""
    environment = Environment(
        loader=PackageLoader("sparsepass.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        breakable=_breakable,
        bytes=units.size,
        count=units.count,
        error=units.error,
        factor=units.factor,
        ms=units.milliseconds,
        parameters=units.parameters,
        percent=units.percent,
        printable=units.printable,
        us=units.microseconds,
        sha256=_script_hash,
    )
    return environment


def _slots(report: Report) -> dict[str, int]:
    """The number of each algorithm's colour: its position in the table, the unknown after it."""
    names = [row.name for row in ALGORITHMS]
    names += [answer.algorithm for layer in report.layers for answer in layer.bids]
    names += [layer.chosen.algorithm for layer in report.layers]
    return {name: position for position, name in enumerate(dict.fromkeys(names))}


def _breakable(name: str) -> Markup:
    """A node name, escaped, that may be broken after its slashes."""
    return escape(name).replace("/", Markup("/<wbr>"))


def _script_hash(script: str) -> str:
    """The source expression that lets a Content-Security-Policy run this script and no other."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
