"""The figures of the documents, taken from the tables of the benches.

A measured figure in a Markdown file stands between two comments, which nobody sees where it is
rendered. The first says which it is: a table of results/, rows, a column and a form.

    <!--figure quantised :: network=resnet50; precision=int8 :: launches :: max .0f-->105<!--/-->

    rows     column=value, joined by semicolons; the value may have * in it, and != for what is not
    column   a column's name; * for every column that holds numbers. `a / lowering=portable` divides
             each row's a by that of the row that is the same but for its lowering
    form     how Python writes a number, as .2f or .0%; before it min, max, median, count or range
             (lowest to highest) of several rows. Without one of these, all must say the same.

    python scripts/bench/figures.py [--check] [FILE.md ...]

writes every figure anew, in all documents if none is named; --check writes nothing, and its exit
code is 1 where one differs.
"""

from __future__ import annotations

import argparse
import csv
import fnmatch
import re
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "scripts" / "bench" / "results"
MARK = re.compile(r"(<!--figure (?P<said>[^>]*?)-->)(?P<figure>[^<]*)(<!--/-->)")
_CONDITION = re.compile(r"(?P<column>[^=!]+?)(?P<sign>!?=)(?P<value>.*)")
_OTHERS = ("date", "machine", "with", "library")
"""Columns that say when and on what a row was measured: two rows may differ in them."""
Row = Mapping[str, str]


def documents() -> list[Path]:
    """List the Markdown files of the repository."""
    folders = (ROOT, ROOT / "docs", ROOT / "examples", ROOT / "plugins", ROOT / "scripts")
    found = (path for folder in folders[1:] for path in folder.rglob("*.md"))
    return sorted([*ROOT.glob("*.md"), *found])


def taken(said: str) -> str:
    """Give the figure that a mark asks for.

    Raises:
        ValueError: There is none, or more than one.
    """
    parts = [part.strip() for part in said.split("::")]
    if len(parts) != 4:
        raise ValueError("a mark is TABLE :: rows :: column :: form")
    table, rows, column, form = parts
    every = _table(table)
    chosen = [row for row in every if _fits(row, rows)]
    values = [value for row in chosen for value in _values(row, column, every)]
    if not values:
        raise ValueError(f"no row of {table} has a {column}: {rows}")
    return _written(values, form)


def _table(name: str) -> list[Row]:
    path = RESULTS / f"{name}.csv"
    if not path.is_file():
        raise ValueError(f"there is no table {path.relative_to(ROOT)}")
    with path.open(newline="", encoding="utf-8") as table:
        return list(csv.DictReader(table))


def _fits(row: Row, conditions: str) -> bool:
    return all(_holds(row, each.strip()) for each in conditions.split(";") if each.strip())


def _holds(row: Row, condition: str) -> bool:
    read = _CONDITION.fullmatch(condition)
    if read is None or read["column"] not in row:
        raise ValueError(f"no condition on a column of the table: {condition}")
    return fnmatch.fnmatchcase(row[read["column"]], read["value"]) == (read["sign"] == "=")


def _values(row: Row, column: str, every: Sequence[Row]) -> Iterator[float]:
    """Read a row's numbers of a column, of all, or a column's over those of another row."""
    name, _, other = (part.strip() for part in column.partition(" / "))
    if name == "*":
        yield from (float(value) for value in row.values() if _is_number(value))
        return
    if name not in row:
        raise ValueError(f"the table has no column {name}")
    if _is_number(row[name]):
        yield float(row[name]) / (float(_same_but(row, other, every)[name]) if other else 1)


def _same_but(row: Row, condition: str, every: Sequence[Row]) -> Row:
    """Find the row that is the same as another but for one column, and for what was measured."""
    column = condition.partition("=")[0]
    keys = [k for k, v in row.items() if k not in (*_OTHERS, column) and not _is_number(v)]
    same = [
        other
        for other in every
        if _holds(other, condition) and all(other[key] == row[key] for key in keys)
    ]
    if len(same) != 1:
        raise ValueError(f"{len(same)} rows are as {dict(row)} but for {condition}")
    return same[0]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


_SUMS: Mapping[str, Callable[[Sequence[float]], Sequence[float]]] = {
    "min": lambda values: [min(values)],
    "max": lambda values: [max(values)],
    "median": lambda values: [statistics.median(values)],
    "count": lambda values: [len(values)],
    "range": lambda values: [min(values), max(values)],
}


def _written(values: Sequence[float], form: str) -> str:
    kind, _, spec = form.rpartition(" ")
    if kind:
        if kind not in _SUMS:
            raise ValueError(f"no form: {form}; wanted {', '.join(_SUMS)} before a number's")
        return " to ".join(dict.fromkeys(_short(format(v, spec)) for v in _SUMS[kind](values)))
    written = {_short(format(value, form)) for value in values}
    if len(written) > 1:
        raise ValueError(f"{len(values)} rows say {', '.join(sorted(written))}: choose by one more")
    return written.pop()


def _short(figure: str) -> str:
    """Write 1e-3 for 1e-03."""
    return re.sub(r"(e[+-])0(?=\d)", r"\1", figure)


def renewed(text: str, where: str) -> tuple[str, list[str]]:
    """Write the figures of a document anew.

    Returns:
        The document, and a line for each that differed.

    Raises:
        ValueError: Names the line of a mark that gives none.
    """
    differed = []

    def figure(found: re.Match[str]) -> str:
        line = f"{where}:{text.count(chr(10), 0, found.start()) + 1}"
        try:
            now = taken(" ".join(found["said"].split()))
        except ValueError as error:
            raise ValueError(f"{line}: {error}") from None
        if now != found["figure"]:
            differed.append(f"{line}: {found['figure']}, and the table says {now}")
        return f"{found[1]}{now}{found[4]}"

    return MARK.sub(figure, text), differed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 where one differs")
    args = parser.parse_args()
    every = []
    for path in args.files or documents():
        try:
            text, differed = renewed(path.read_text(encoding="utf-8"), str(path))
        except ValueError as error:
            sys.exit(str(error))
        every += differed
        if differed and not args.check:
            path.write_text(text, encoding="utf-8")
    print("\n".join(every) or "every figure is its table's")
    if args.check and every:
        sys.exit(1)


if __name__ == "__main__":
    main()
