from sample_reports import latency

from sparsepass.report.markdown import table


def test_columns_are_aligned_and_numbers_stand_to_the_right():
    rows = [{"model": "resnet50", "ms": 75.2}, {"model": "vgg", "ms": 1186.31, "note": "a|b"}]

    text = table(rows)

    assert text.splitlines() == [
        "| model    |   ms | note |",
        "| -------- | ---: | ---- |",
        "| resnet50 | 75.2 |      |",
        "| vgg      | 1186 | a\\|b |",
    ]


def test_models_are_rows():
    header = table([latency(2.0)]).splitlines()[0]

    assert [cell.strip() for cell in header.split("|")[1:-1]] == [
        "median_ms", "p10_ms", "p90_ms", "runs",
    ]  # fmt: skip


def test_a_cell_cannot_leave_its_row():
    assert len(table([{"name": "a\nb<br>"}]).splitlines()) == 3


def test_no_rows_give_no_table():
    assert table([]) == ""
