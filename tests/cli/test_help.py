"""Every text fits the terminal that it is read on, 40 columns too, and has no colours."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from simam_deploy.cli import main as simam
from simam_deploy.cli.commands import COMMANDS
from simam_deploy.cli.help import fitted
from tests.source import others

ROOT = Path(__file__).parent.parent.parent
EVERY = [["--help"], *([name, "--help"] for name in COMMANDS), ["bench", "ops", "--help"]]
SUMMARY = """m.onnx
  validated    3 cases against PyTorch: worst difference 3.8e-07 of the largest value
  source       c648c328bfbdea84604f8e00551c7c98dfc0ddd58948d13174433b1b87eb5760"""


def printed(words, capsys):
    try:
        assert simam(words) == 0
    except SystemExit as end:
        assert end.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
@pytest.mark.parametrize("columns", [40, 80, 200])
def test_help_fits(words, columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    for line in printed(words, capsys).splitlines():
        # A word that has no room, a long file's name or what a shell would not find, stays whole.
        assert len(line) <= min(columns, 100) or len(line.rstrip(" \\").split()) <= 3, line


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_the_same_at_any_width(name, capsys, monkeypatch):
    said = []
    for columns in ("40", "200"):
        monkeypatch.setenv("COLUMNS", columns)
        _, _, body = printed([name, "--help"], capsys).partition("options:")
        said.append({word for word in body.split() if word.startswith("--")})
    assert said[0] == said[1]
    assert len(said[0]) >= 2


def test_an_example_that_is_broken_is_still_one_command(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    _, _, examples = printed(["bench", "--help"], capsys).partition("examples:\n")
    text = examples.partition("\n\n")[0]
    commands = [shlex.split(line, comments=True) for line in text.replace("\\\n", " ").split("\n")]
    assert ["simam-bench", "model.onnx", "model-fp16.onnx", "--data", "pictures/", "--json"] in (
        commands
    )
    assert all(command[:1] in ([], ["simam-bench"]) for command in commands)


def test_the_usage_of_a_mistyped_option_is_short(capsys):
    with pytest.raises(SystemExit) as end:
        simam(["explain", "--nonsense"])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said.split()[:2] == ["usage:", "simam-explain"]
    assert said.count("\n") <= 3


def test_a_summary_is_folded_below_its_values(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert fitted(SUMMARY).splitlines() == [
        "m.onnx",
        "  validated    3 cases against PyTorch:",
        "               worst difference 3.8e-07",
        "               of the largest value",
        "  source",
        "               c648c328bfbdea84604f8e00551c7c98dfc0ddd58948d13174433b1b87eb5760",
    ]


def test_what_goes_into_a_pipe_is_not_folded(monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert fitted(SUMMARY * 3) == SUMMARY * 3


@pytest.mark.parametrize("columns", [40, 80])
def test_a_terminal_that_is_narrow(columns, tmp_path):
    """A real one: nothing but words without room is wider, and nothing is coloured."""
    (tmp_path / "m.onnx").write_bytes(others.network().SerializeToString())
    environment = {name: said for name, said in os.environ.items() if name != "COLUMNS"}
    command = ["-m", "simam_deploy", "inspect", "m.onnx"]
    child = pexpect.spawn(
        sys.executable, command, env={**environment, "FORCE_COLOR": "1"}, cwd=str(tmp_path),
        timeout=60, encoding="utf-8", dimensions=(24, columns),
    )  # fmt: skip
    child.expect(pexpect.EOF)
    text = child.before
    assert "SimAM sites" in text
    assert "\x1b" not in text
    lines = text.replace("\r\n", "\n").split("\n")
    assert all(len(line) <= columns or len(line.split()) == 1 for line in lines)


def test_help_of_a_command_is_asked_in_three_ways(capsys):
    wanted = printed(["export", "--help"], capsys)
    assert printed(["help", "export"], capsys) == wanted
    assert printed(["export", "-h"], capsys) == wanted
    assert printed(["help"], capsys) == printed([], capsys) == printed(["--help"], capsys)
    assert simam(["help", "exprot"]) == 2
    assert "did you mean export?" in capsys.readouterr().err


def test_the_first_help_imports_nothing_but_pythons_own():
    """It is there in 0.03 s; argparse, shutil and whatever else is large would double that."""
    code = """import sys
from simam_deploy.cli import main
main(["--help"])
print(*{"argparse", "shutil", "inspect", "dataclasses", "numpy", "torch"} & sys.modules.keys(),
      file=sys.stderr)"""
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip()) == (0, "")


def test_the_page_of_the_commands_lists_them_and_every_variable():
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `simam (\S+)` \| (.+) \|$", page, re.MULTILINE)
    assert dict(rows) == COMMANDS
    code = "".join(
        path.read_text(encoding="utf-8") for path in sorted((ROOT / "simam_deploy").rglob("*.py"))
    )
    for name in {"COLUMNS", *re.findall(r'"((?:SIMAM|XDG|OTEL|OMP|OPENBLAS)_[A-Z_]+)"', code)}:
        assert f"`{name}`" in page
