"""Say how many commands the documents show, how many of them are run, and why the others are not.

python -m tests.docs
"""

from collections import Counter

from tests.docs.test_commands import ROOT
from tests.readmes import fences

EXAMPLES = sorted(ROOT.glob("examples/*/README.md"))


def main() -> None:
    run, reasons = Counter(), Counter()
    for page in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *EXAMPLES):
        for fence in fences(page):
            what = "program" if fence.language == "python" else "command"
            many = len(fence.commands) if what == "command" else 1
            (reasons if fence.not_run else run)[fence.not_run or what] += many
    print(f"{run['command']} commands and {run['program']} programs are run")
    print(f"{reasons.total()} are not:")
    for reason, many in reasons.most_common():
        print(f"  {many}  {reason}")


if __name__ == "__main__":
    main()
