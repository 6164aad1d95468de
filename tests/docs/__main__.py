"""Say how many commands the documents show, how many of them are run, and why the others are not.

python -m tests.docs
"""

import sys
from collections import Counter
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "scripts" / "bench"))

from tests.docs.documents import DOCUMENTS
from tests.readmes import Fence, fences

WHAT = {"console": "commands", "python": "programs", "sh": "installations"}


def main() -> None:
    run, reasons = Counter(), Counter()
    for fence in (each for document in DOCUMENTS for each in fences(document)):
        if fence.language in WHAT:
            counter, kind = (
                (reasons, fence.not_run) if fence.not_run else (run, WHAT[fence.language])
            )
            counter[kind] += _many(fence)
    print(f"{run['commands']} commands and {run['programs']} programs are run")
    print(f"{run['installations']} installations are read: their extras are there")
    print(f"{reasons.total()} are not run:")
    for reason, many in reasons.most_common():
        print(f"  {many}  {reason}")


def _many(fence: Fence) -> int:
    """Count the commands of a block; a program, or settings, are one."""
    return len(fence.commands) or fence.text.count("pip install") or 1


if __name__ == "__main__":
    main()
