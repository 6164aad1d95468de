"""Names of ours that the documents say are there: in Python and in the environment, both ways."""

import pkgutil
import re

import pytest

from tests.docs.documents import DOCUMENTS, ROOT, codes
from tests.readmes import fences

VARIABLE = re.compile(r"\bSIMAM_[A-Z_]+")
DOCUMENTED = {
    name
    for document in DOCUMENTS
    for text in (*codes(document), *(fence.text for fence in fences(document)))
    for name in VARIABLE.findall(text)
}


def strange_names(texts):
    """Give the names below `simam_deploy` that cannot be imported."""
    named = {name for text in texts for name in re.findall(r"\bsimam_deploy(?:\.\w+)+", text)}
    return sorted(name for name in named if not _is_there(name))


def _is_there(name):
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_python_is_said_to_have_is_there(document):
    assert strange_names(codes(document)) == []


def test_a_name_that_is_not_there_is_found():
    texts = ["simam_deploy.detect.masks.paste", "simam_deploy.grad_kam", "simam_deploy.op.tortch.x"]
    assert strange_names(texts) == ["simam_deploy.grad_kam", "simam_deploy.op.tortch.x"]


def test_the_environments_variables_are_documented_and_read():
    files = (ROOT / "simam_deploy").rglob("*.py")
    read = {name for file in files for name in VARIABLE.findall(file.read_text("utf-8"))}
    assert read == DOCUMENTED
