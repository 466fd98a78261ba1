"""The benchmarks run and their pages hold together; no time is asserted."""

import filecmp
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
from advice import rows_of
from cases import Case as Network
from cases import cases, write_stack
from choices import write_page
from pages import write_pages
from results import ROOT, Results, file_here, slug, this_machine
from rows import NetworkRow, OfferRow, PeerRow, PlanRow, Row, SelectorRow
from sections import lines_of, merged_table, under
from selector_figures import Picks, picks
from selector_page import write_page as write_selector_page
from sweep import Case, measure
from tables import peer_table

import sparsepass
from sparsepass.pipeline.bench import OURS, PLAIN
from sparsepass.report.markdown import table
from sparsepass.report.schema import Engine, Latency
from sparsepass.run import silent
from sparsepass.runtime.library import instruction_sets

PAGES = ["benchmarks.md", "benchmarks/layers.md", "choices.md"]


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
    docs = tmp_path / "docs"

    write_pages(kept(tmp_path, "networks.json", row), docs)

    links = re.findall(r"\]\(([^)]+)\)", (docs / "benchmarks.md").read_text(encoding="utf-8"))
    assert [link for link in links if not (docs / link).is_file()] == []
    plot = ElementTree.parse(docs / "benchmarks" / f"{slug(row.place)}-b1-t1.svg")
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

    lines = lines_of(peer_table("", [row]))

    assert [[*line.values()][:-1] for line in lines] == [
        ["sparse", "4", "2 (2.0x)", "not installed", "2 spmm"],
        ["dense", "4", "2 (2.0x)", "not installed", "2 spmm"],
    ]


def test_machines_have_sections_of_their_own_and_keep_them(row, tmp_path):
    docs, machine = tmp_path / "docs", row.machine.model_copy(update={"cpu": "Other", "isa": "a"})
    rows = [row, *(row.model_copy(update={"machine": machine, "host": h}) for h in ("a", "b"))]

    for number, one in enumerate(rows):
        write_pages(kept(tmp_path / str(number), "networks.json", one), docs)

    for page, level in (("benchmarks.md", 3), ("benchmarks/layers.md", 2)):
        sections = under((docs / page).read_text(encoding="utf-8"), level)
        assert [*sections] == [row.place, "Other, a", "Other, a kernels on b"]
        assert {len(lines_of(text)) for text in sections.values()} == {1 if level == 3 else 2}


def test_rows_that_are_measured_again_replace_theirs_and_leave_the_others():
    note = "Measured on AMD EPYC, 2 cores; 2026-11-20.\n"
    old = f"{note}\n" + table([{"model": name, "time": "2"} for name in ("a|b", "c")])

    some = merged_table(old, [{"model": "c", "time": "1", "measured": "today"}], ["model"])
    both = merged_table(some, [{"model": "a|b", "time": "1", "measured": "today"}], ["model"])

    assert [line["time"] for line in lines_of(some)] == ["2", "1"]
    assert some.startswith(note)
    assert lines_of(both)[0] == {"model": "a|b", "time": "1", "measured": "today"}
    assert note not in both


def test_the_pages_of_the_project_stay_as_they_are_where_nothing_was_measured(tmp_path):
    docs = tmp_path / "docs"
    shutil.copytree(ROOT / "docs", docs)

    write_pages(tmp_path / "results", docs)
    write_page(docs / "choices.md", {}, Row(machine=this_machine(1)))

    assert filecmp.cmpfiles(ROOT / "docs", docs, PAGES, shallow=False)[0] == PAGES


def test_every_instruction_set_has_a_folder_of_its_own():
    files = {file_here("peers.json", isa) for isa in (None, *instruction_sets())}

    assert len(files) == len(instruction_sets())


def test_a_choice_is_written_into_the_section_of_its_machine(row, tmp_path):
    page, model = tmp_path / "choices.md", tmp_path / "model.onnx"
    write_stack(model, channels=16, size=12, depth=2)
    report = sparsepass.optimize(model, dry_run=True).report

    write_page(page, {"tiny": report}, row)

    sections = under(page.read_text(encoding="utf-8"), 2)
    assert [[*under(text, 3)] for text in sections.values()] == [[row.place]] * 2


def test_the_page_of_the_selector_has_the_regret_of_every_plan(tmp_path):
    offers = [
        OfferRow(
            layer="a",
            shape="",
            kind="spatial",
            algorithm=name,
            parameters={},
            predicted_us=p,
            measured_us=m,
        )
        for name, p, m in (("dense", 20, 30), ("spmm", 10, 11), ("cpo", 12, 10))
    ]
    plans = [PlanRow(method=name, median_ms=ms, p10_ms=ms) for name, ms in (("one", 2), ("two", 3))]
    row = SelectorRow(machine=this_machine(1), network="net", offers=offers, plans=plans)

    write_selector_page([row], tmp_path)

    page = (tmp_path / "selector.md").read_text(encoding="utf-8")
    assert lines_of(under(page, 3)["Regret of plans"]) == [
        {"network": "net", "one": "0%", "two": "50%"},
        {"network": "mean", "one": "0%", "two": "50%"},
    ]
    assert ElementTree.parse(next((tmp_path / "benchmarks").glob("*.svg"))) is not None


def test_a_pick_is_judged_by_what_was_measured():
    def offer(layer, name, predicted, measured):
        return OfferRow(layer=layer, shape="", kind="spatial", algorithm=name, parameters={},
                        predicted_us=predicted, measured_us=measured)  # fmt: skip

    offers = [
        offer("right", "dense", 20, 30), offer("right", "spmm", 10, 10),
        offer("close", "dense", 10, 104), offer("close", "spmm", 11, 100),
        offer("wrong", "dense", 10, 300), offer("wrong", "spmm", 30, 100),
        offer("wrong", "cpo", 20, 200), offer("alone", "dense", 1, 1),
    ]  # fmt: skip
    row = SelectorRow(machine=this_machine(1), network="net", offers=offers, plans=())

    found = picks([row])

    assert found == Picks(layers=3, best=1 / 3, close=2 / 3, correlation=-1.0)


def kept(folder: Path, name: str, row: Row) -> Path:
    """A folder of results that holds one row."""
    Results(folder / "results" / slug(row.place) / name, type(row)).of("tiny", lambda: row)
    return folder / "results"


def test_no_two_cases_have_the_same_row():
    rows = [name for case in cases() for name in case.inputs]

    assert len(set(rows)) == len(rows)


def test_advice_is_compared_with_what_becomes_of_it():
    network = Network("tiny", lambda path: write_stack(path, channels=32, size=12, depth=3))

    rows = list(rows_of(network, silent))

    assert [row["pruned"] for row in rows][-2:] == ["80 % everywhere", "90 % everywhere"]
    assert all(row["measured"] > 0 and row["speed-up predicted"] > 0 for row in rows)
