"""Tab completes commands, options, choices and files, in the shells themselves."""

import os
import shutil
import subprocess
import sys

import pexpect
import pytest

from simam_deploy.cli.commands import COMMANDS

PROGRAM = """#!{python}
import sys
from simam_deploy.cli{module} import main
sys.exit(main())
"""
SHELLS = {
    "bash": ("--norc --noprofile -i", 'eval "$(simam completion bash)"'),
    "zsh": ("-f -i", 'autoload -U compinit; compinit -u -D; eval "$(simam completion zsh)"'),
    "fish": ("--no-config -i", "simam completion fish | source"),
}
"""How each is started without anybody's settings, and told."""


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    """A folder with the programs, as pip makes them."""
    folder = tmp_path_factory.mktemp("programs")
    for name in ("", *COMMANDS):
        program = folder / f"simam{name and '-'}{name}"
        program.write_text(PROGRAM.format(python=sys.executable, module=name and f".{name}"))
        program.chmod(0o755)
    return folder


def completed(line, programs, folder):
    """Ask as a shell does; gives the words that it would show."""
    answer = folder / "answer"
    asked = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line))}
    answered = {"_ARGCOMPLETE_STDOUT_FILENAME": str(answer), "_ARGCOMPLETE_IFS": "\n"}
    program = programs / line.split()[0]
    subprocess.run(
        [program], env={**os.environ, **asked, **answered}, cwd=folder, check=True, timeout=60
    )
    return {word.strip() for word in answer.read_text().splitlines()}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("simam ex", {"export", "explain"}),
        ("simam co", {"completion"}),
        ("simam --v", {"--version"}),
        ("simam export --prec", {"--precision"}),
        ("simam-export --prec", {"--precision"}),
        ("simam export --format=e", {"--format=engine", "--format=epcontext"}),
        ("simam build --backend ", {"auto", "tensorrt", "rtx"}),
        ("simam completion z", {"zsh"}),
        ("simam bench --reps", set()),
        ("simam bench ops --prec", {"--precision"}),
        ("simam-bench attention --back", {"--backbones"}),
        ("simam export m", {"m.pth", "models/"}),
        ("simam-explain m.pth p", {"p.png"}),
        ("simam export m.pth --labels n", {"n.txt"}),
    ],
)
def test_what_is_completed(line, words, programs, tmp_path):
    for name in ("m.pth", "m.txt", "p.png", "p.pth", "n.txt", "n.onnx"):
        (tmp_path / name).touch()
    (tmp_path / "models").mkdir()
    assert words == completed(line, programs, tmp_path)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_completes_its_options(command, programs, tmp_path):
    assert "--version" in completed(f"simam {command} --v", programs, tmp_path)
    assert "--version" in completed(f"simam-{command} --v", programs, tmp_path)


@pytest.mark.parametrize("name", SHELLS)
def test_a_shell_completes(name, programs, tmp_path):
    """The option itself, typed in half, and then the list of its choices."""
    if shutil.which(name) is None:
        pytest.skip(f"there is no {name} here")
    options, turned_on = SHELLS[name]
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "TERM": "dumb", "HOME": str(tmp_path), "PS1": "> "}
    shell = pexpect.spawn(
        f"{name} {options}", env=environment, cwd=str(tmp_path), timeout=20, encoding="utf-8",
        dimensions=(40, 200),
    )  # fmt: skip
    try:
        shell.sendline(f"{turned_on}; echo turned''-on")
        shell.expect("turned-on\r")
        shell.send("simam-export --prec\t")
        shell.expect("--precision ")
        shell.send("\t\t")
        shell.expect("auto")  # a list in bash and zsh; the first of them in a fish that is dumb
        shell.send("\x15simam expl\t")
        shell.expect("explain")
    finally:
        shell.close(force=True)
