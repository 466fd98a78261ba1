"""The benchmarks run and their pages hold together; no time is asserted."""

import re
from xml.etree import ElementTree

import pytest
from cases import cases, write_stack
from pages import peer_table, write_pages
from results import Results, this_machine
from rows import NetworkRow, PeerRow
from sweep import Case, measure

from sparsepass.pipeline.bench import OURS, PLAIN
from sparsepass.report.schema import Engine, Latency


@pytest.fixture(scope="module")
def row() -> NetworkRow:
    def write(path, network, sparsity, batch):
        write_stack(path, channels=16, size=12, depth=2)

    return measure(Case("tiny", 90, 1, 1), write, seconds=0.1)


def latency(milliseconds: float) -> Latency:
    return Latency(median_ms=milliseconds, p10_ms=milliseconds, p90_ms=milliseconds, runs=1)


def test_a_sweep_measures_a_network_and_each_of_its_layers(row):
    assert row.speedup > 0
    assert [layer.dense_macs for layer in row.layers] == [16 * 16 * 9 * 12 * 12] * 2
    assert all(0 < layer.macs <= layer.dense_macs for layer in row.layers)


def test_a_row_that_was_written_is_not_measured_again(row, tmp_path):
    path = tmp_path / "networks.json"
    Results(path, NetworkRow).of("tiny", lambda: row)

    found = Results(path, NetworkRow).of("tiny", lambda: pytest.fail("measured again"))

    assert found == row


def test_pages_link_to_plots_and_tables_that_were_written(row, tmp_path):
    results, docs = tmp_path / "results", tmp_path / "docs"
    Results(results / "networks.json", NetworkRow).of("tiny", lambda: row)

    write_pages(results, docs)

    links = re.findall(r"\]\(([^)]+)\)", (docs / "benchmarks.md").read_text(encoding="utf-8"))
    assert [link for link in links if not (docs / link).is_file()] == []
    plot = ElementTree.parse(docs / "benchmarks" / "speedup-b1-t1.svg")
    assert [label.text for label in plot.iter() if label.text == "tiny"] == ["tiny"]


def test_the_table_of_engines_has_a_line_per_input_and_says_what_is_absent():
    engines = (
        Engine(name=PLAIN, latency=latency(4)),
        Engine(name=OURS, latency=latency(2)),
        Engine(name="Other", absent="not installed"),
    )
    row = PeerRow(
        machine=this_machine(1), algorithms={"spmm": 2}, runs={"sparse": engines, "dense": engines}
    )

    lines = peer_table([row]).splitlines()[2:]

    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells == [
        ["sparse", "4", "2 (2.0x)", "not installed", "2 spmm"],
        ["dense", "4", "2 (2.0x)", "not installed", "2 spmm"],
    ]


def test_no_two_cases_have_the_same_row():
    rows = [name for case in cases() for name in case.inputs]

    assert len(set(rows)) == len(rows)
