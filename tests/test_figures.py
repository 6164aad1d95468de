"""Every measured figure of the documents is its bench's, and what looks measured is marked."""

import csv
import re

import figures
import pytest

PAGES = [
    path for path in figures.documents() if path.stem not in ("CHANGELOG", "options", "predictions")
]
"""Where a figure without a mark would be one; predictions stand beside what came of them."""

STATED = {
    "100 times larger": "an input that validation draws",
    "16 times what one unit": "the bound",
    "a score off by 5 %": "a fault that the check is tried on",
    "more than 300 s, as a Loop": "a limit",
    "0.55 units of the half type": "the bound",
    "1.1 units of sum": "the bound",
    "4 times what rounding": "the bound",
    "BF16 at least 99.5 %": "held by tests/pipeline/test_conversion.py",
    "not read for 0.1 s": "a setting",
    "stops at 600 s": "a limit",
    "from 80 % of a": "where the report warns",
    "5 % more work": "what a benchmark is tried on",
    "medians within 5 %": "when a model is warm",
    "after 10 s it is timed all the same": "a limit",
    "those of 360 MB at a time": "a limit",
    "a header have 10 s": "a setting",
    "reading of an answer 20 s": "a setting",
    "an idle connection 75 s": "a setting",
    "a client that sends 16 MB again and again": "what a benchmark asks",
    "behind one that sends 55 MB": "what a benchmark asks",
    "3.3 MB for 5000 boxes": "24 bytes a box and a bit a pair",
    "of at most 256 kB": "a limit",
    "its 30 s, as": "a setting",
    "of 25 ms Hamming windows": "what the features are",
    "every 10 ms": "what the features are",
    "of samples times 32768": "what the features are",
}
"""What looks like a measurement and is none, with what it is."""
MEASURED = re.compile(
    r"\d(?:[\d.,]*\d)?(?: to \d[\d.]*)?\s*(?:times\b|[mµ]?s\b|%|[MGk]B\b|launches\b|units\b)"
)


def prose(text):
    """A document without what a machine prints or reads, and without what is marked."""
    for taken_out in (r"^```.*?^```", r"`[^`\n]*`", figures.MARK.pattern):
        text = re.sub(taken_out, "", text, flags=re.DOTALL | re.MULTILINE)
    return " ".join(text.split())


def unmarked(text, stated=STATED):
    """What looks measured, with the words about it, and is neither marked nor stated."""
    text = prose(text)
    for phrase in stated:
        text = text.replace(phrase, "")
    return [
        text[max(0, found.start() - 30) : found.end() + 30] for found in MEASURED.finditer(text)
    ]


@pytest.mark.parametrize(
    "path", figures.documents(), ids=lambda p: str(p.relative_to(figures.ROOT))
)
def test_figures_are_their_tables(path):
    """`python scripts/bench/figures.py` writes them anew."""
    assert figures.renewed(path.read_text(encoding="utf-8"), path.name)[1] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(figures.ROOT)))
def test_what_looks_measured_is_marked(path):
    """Mark it (scripts/bench/figures.py), or say in STATED what it is instead."""
    assert unmarked(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("phrase", STATED)
def test_what_is_stated_is_there(phrase):
    assert any(phrase in prose(path.read_text(encoding="utf-8")) for path in PAGES)


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A table of two networks, measured twice."""
    rows = [
        ("2026-01-01", "a, 1", "one", "10", "2.0"), ("2026-01-02", "a, 1", "two", "5", "2.5"),
        ("2026-01-01", "b", "one", "30", ""), ("2026-01-01", "b", "two", "20", "0.125"),
    ]  # fmt: skip
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("date", "of", "way", "launches", "share"), *rows])
    monkeypatch.setattr(figures, "RESULTS", tmp_path)
    monkeypatch.setattr(figures, "ROOT", tmp_path)


@pytest.mark.parametrize(
    ("said", "figure"),
    [
        ("t :: of=a* :: launches :: count .0f", "2"),
        ("t :: of=a, 1; way=one :: launches :: .0f", "10"),
        ("t :: of=b; way!=one :: share :: .1%", "12.5%"),
        ("t :: of=* :: launches :: range .0f", "5 to 30"),
        ("t :: of=a* :: launches / way=one :: max .2f", "1.00"),
        ("t :: way=two :: launches / way=one :: range .2f", "0.50 to 0.67"),
        ("t :: of=b :: * :: max .0f", "30"),
        ("t :: of=* :: launches :: median .1f", "15.0"),
    ],
)
def test_a_mark_is_read(said, figure, table):
    assert figures.taken(said) == figure
    text = f"before <!--figure {said}-->0<!--/-->, after"
    anew, differed = figures.renewed(text, "X.md")
    assert anew == f"before <!--figure {said}-->{figure}<!--/-->, after"
    assert differed == [f"X.md:1: 0, and the table says {figure}"]
    assert figures.renewed(anew, "X.md") == (anew, [])


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("t :: of=a* :: launches", "a mark is TABLE :: rows :: column :: form"),
        ("u :: of=a* :: launches :: .0f", "there is no table u.csv"),
        ("t :: to=a* :: launches :: .0f", "no condition on a column of the table: to=a"),
        ("t :: of=c :: launches :: .0f", "no row of t has a launches: of=c"),
        ("t :: of=a* :: kernels :: .0f", "the table has no column kernels"),
        ("t :: of=a* :: launches :: .0f", "2 rows say 10, 5: choose by one more"),
        ("t :: of=a* :: launches :: mean .0f", "no form: mean .0f; wanted min, max"),
        ("t :: way=one :: launches / way=three :: .0f", "0 rows are as .* but for way=three"),
    ],
)
def test_a_mark_that_gives_no_figure(said, words, table):
    with pytest.raises(ValueError, match=f"X.md:2: {words}"):
        figures.renewed(f"\n<!--figure {said}-->0<!--/-->", "X.md")


def test_a_planted_figure_is_found():
    text = (
        "It is 1.30 times\nas fast, `--wait 5 s`, <!--figure t :: a=b :: c :: .0f-->7<!--/--> ms."
    )
    assert len(unmarked(text, {})) == 1
    assert unmarked(text, {"It is 1.30 times as fast": "a joke"}) == []


def test_a_figure_that_is_changed_in_a_page_is_found():
    text = (figures.ROOT / "docs" / "graph.md").read_text(encoding="utf-8")
    marked = next(figures.MARK.finditer(text))
    wrong = text[: marked.start("figure")] + "7.77" + text[marked.end("figure") :]
    assert figures.renewed(text, "graph.md") == (text, [])
    assert figures.renewed(wrong, "graph.md")[0] == text
    assert "7.77, and the table says" in figures.renewed(wrong, "graph.md")[1][0]
    bare = text[: marked.start()] + marked["figure"] + text[marked.end() :]
    assert len(unmarked(bare)) == 1
