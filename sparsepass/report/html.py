"""The report as one HTML file that opens anywhere: no requests, and no script needed to read it."""

import base64
import hashlib

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from sparsepass.algorithms import ALGORITHMS
from sparsepass.report import charts, units
from sparsepass.report.facts import (
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
from sparsepass.report.schema import Report

__all__ = ["render_html"]


def render_html(report: Report) -> str:
    """The page.  Everything that comes from the model is escaped."""
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
    return environment.get_template("template.html.j2").render(
        report=report,
        slots=_slots(report),
        bars=charts.network_bars(report.network) if report.network is not None else (),
        stacks=charts.stacks(report),
        columns=charts.columns(report.layers),
        curve=charts.curve(report.pareto) if report.pareto else None,
        pareto_rows=pareto_rows(report.pareto),
        scatters=charts.scatters(report.layers),
        answers_fact=answers_fact,
        batch_fact=batch_fact,
        bought_facts=bought_facts,
        budget_fact=budget_fact,
        certainty_fact=certainty_fact,
        first_answer_fact=first_answer_fact,
        input_facts=input_facts,
        weight_facts=weight_facts,
        workspace_facts=workspace_facts,
    )


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
