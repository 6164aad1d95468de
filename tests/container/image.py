"""The Dockerfile as its tests read it: what each target inherits, sets and starts."""

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"
TARGETS = ("cpu", "gpu")

Instruction = tuple[str, str]


def stages(text: str) -> dict[str, tuple[str, list[Instruction]]]:
    """Give each stage by its name: what it begins from, and its instructions in their order."""
    found: dict[str, tuple[str, list[Instruction]]] = {}
    last: list[Instruction] = []
    for name, rest in _instructions(text):
        if name == "FROM":
            base, _, stage = rest.split()
            last = []
            found[stage] = (base, last)
        else:
            last.append((name, rest))
    return found


def _instructions(text: str) -> Iterator[Instruction]:
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if line.strip():
            name, _, rest = line.partition(" ")
            yield name, rest.strip()


class Image:
    """What a target of the Dockerfile comes to."""

    def __init__(self, target: str, text: str | None = None) -> None:
        self.target = target
        found = stages(DOCKERFILE.read_text("utf-8") if text is None else text)
        chain = [target]
        while (base := found[chain[0]][0]) in found:
            chain.insert(0, base)
        self.base = base
        self.instructions = [each for stage in chain for each in found[stage][1]]
        sources = [re.match(r"--from=(\S+)", rest) for rest in self.all("COPY")]
        (self.packages,) = (found[each[1]][1] for each in sources if each)

    def all(self, name: str) -> list[str]:
        """Give what stands behind every instruction of a name."""
        return [rest for each, rest in self.instructions if each == name]

    def last(self, name: str) -> str:
        """Give what stands behind the instruction that holds."""
        return self.all(name)[-1]

    @property
    def command(self) -> list[str]:
        """What is started as the image stands."""
        return [*self.entry, *json.loads(self.last("CMD"))]

    @property
    def entry(self) -> list[str]:
        """What is started, without what `docker run` may replace."""
        return list(json.loads(self.last("ENTRYPOINT")))

    @property
    def health(self) -> list[str]:
        """What Docker asks whether it is well."""
        return list(json.loads(self.last("HEALTHCHECK").partition(" CMD ")[2]))

    @property
    def environment(self) -> dict[str, str]:
        """What it sets, variables in it as they stand."""
        return dict(word.split("=", 1) for rest in self.all("ENV") for word in shlex.split(rest))

    @property
    def extras(self) -> Sequence[str]:
        """What of simam-deploy is installed into it."""
        (given,) = (rest for name, rest in self.packages if name == "ARG")
        return given.removeprefix("EXTRAS=").split(",")
