import itertools
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from simam_deploy.report.gate_plot import gate_plot
from tests.report.reports import BROKEN, COLLAPSED, report, right


def svg(page: str) -> ElementTree.Element:
    return ElementTree.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])


def of_class(root: ElementTree.Element, tag: str, kind: str) -> list[ElementTree.Element]:
    return [e for e in root.iter(tag) if e.get("class") == kind]


@pytest.mark.parametrize("sites", [2, 60])
def test_a_row_a_site_none_upon_another(sites):
    drawing = svg(gate_plot(report(*map(right, range(sites)))))
    rows = of_class(drawing, "rect", "wide")
    places = [float(row.get("y")) for row in rows]
    height = float(drawing.get("viewBox").split()[3])
    assert len(places) == sites
    assert all(b - a == 26 for a, b in itertools.pairwise(places))
    assert places[-1] < height
    assert not of_class(drawing, "path", "cross")


def test_ranges_and_errors_are_to_scale():
    drawing = svg(gate_plot(report(right(0), COLLAPSED)))
    expected, _ = of_class(drawing, "rect", "wide")
    ticks = {e.text: float(e.get("x")) for e in of_class(drawing, "text", "soft")}
    share = (0.6225 - 0.6) / 0.1
    assert float(expected.get("x")) == pytest.approx(
        ticks["0.6"] + share * (ticks["0.7"] - ticks["0.6"]), abs=0.1
    )
    good = [e for e in of_class(drawing, "rect", "good") if e.get("height") == "6"]
    bad = [e for e in of_class(drawing, "rect", "bad") if e.get("height") == "6"]
    ends = [float(e.get("x")) + float(e.get("width")) for e in (*good, *bad)]
    assert ticks["0.1"] < ends[0] < ticks["bound"]
    assert ticks["100"] < ends[1] < ticks["1000"]


def test_failures_are_marked_and_told():
    page = gate_plot(report(right(0), COLLAPSED, BROKEN))
    drawing = svg(page)
    assert len(of_class(drawing, "rect", "tint")) == 2
    assert len(of_class(drawing, "path", "cross")) == 2
    assert "3 values NaN" in page
    assert "FAILED" in page
    assert "collapsed 91.0%" in page
    assert "nan" not in page.lower().replace("nan or", "").replace("values nan", "")


def test_nothing_from_elsewhere_and_names_are_text():
    page = gate_plot(report(BROKEN))
    assert "&lt;broken&gt;" in page
    assert not re.search(r"<script|http:|https:|url\(|@import|<link|<img", page)
    assert "prefers-color-scheme: dark" in page
    HTMLParser().feed(page)
