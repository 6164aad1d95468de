import re
import sys
from xml.etree import ElementTree

import pytest

from simam_deploy.errors import InputError
from simam_deploy.report.page.html import tag
from simam_deploy.report.page.plots import COLOURS, VARIABLES, plot, require_matplotlib
from tests.report.page.made import HOSTILE


def drawn(name="a", label="seen", colours=("accent",)):
    def draw(axes):
        for height, colour in enumerate(colours):
            axes.plot([0, 1], [height, height], color=COLOURS[colour], marker="o")
        axes.set_title("$text$ <b>")

    return plot(name, label, (200, 100), draw)


def test_it_is_one_element_without_namespaces_or_styles_of_its_own():
    root = ElementTree.fromstring(drawn())
    assert root.tag == "svg"
    assert {element.tag for element in root.iter()} <= {
        "svg", "g", "path", "defs", "use", "text", "clipPath", "rect"
    }  # fmt: skip
    assert "http" not in drawn()
    assert float(root.get("viewBox").split()[2]) == pytest.approx(200, abs=1)


def test_colours_are_the_styles_variables():
    svg = drawn(colours=VARIABLES)
    assert {variable for variable in VARIABLES if f"stroke: var(--{variable})" in svg} == {
        *VARIABLES
    }
    assert not re.findall(r"#0000[0-9a-f]{2}", svg)


def test_text_is_text_in_the_pages_font():
    svg = drawn()
    assert "$text$ &lt;b&gt;" in svg
    assert "DejaVu" not in svg
    assert "font-size:" in svg


def test_ids_of_two_plots_differ_and_are_found():
    both = drawn("a") + drawn("b")
    ids = re.findall(r' id="([^"]+)"', both)
    assert len(ids) == len(set(ids)) > 4
    wanted = re.findall(r'(?:href="#|url\(#)([^")]+)', both)
    assert wanted
    assert set(wanted) <= set(ids)


def test_it_is_the_same_each_time():
    assert drawn() == drawn()


def test_the_label_is_escaped():
    assert "<script" not in drawn(label=HOSTILE)
    assert "\u202e" not in drawn(label=HOSTILE)
    assert tag("p", drawn(label='"')).count("&quot;") == 1


def test_without_matplotlib_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'simam-deploy\[report\]'"):
        require_matplotlib()
