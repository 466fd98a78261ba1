from dataclasses import replace

import pytest
from sample_reports import INVENTED

from sparsepass.algorithms import DENSE
from sparsepass.report import html
from sparsepass.report.terminal import cells


@pytest.fixture
def invented_table(monkeypatch):
    """A table of algorithms that stays as it is when the real one grows."""
    table = tuple(replace(DENSE, name=name) for name in INVENTED)
    monkeypatch.setattr(html, "ALGORITHMS", table)
    monkeypatch.setattr(cells, "ALGORITHMS", table)
