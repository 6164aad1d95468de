"""What GitHub and Docker read: by their schemas, and what it names of ours is there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from simam_deploy.cli import doctor

ROOT = Path(__file__).parent.parent
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
FORMS = ROOT / ".github" / "ISSUE_TEMPLATE"
BUG = FORMS / "bug.yml"
SCHEMAS = {
    WORKFLOW: "vendor.github-workflows",
    BUG: "vendor.github-issue-forms",
    FORMS / "feature.yml": "vendor.github-issue-forms",
    FORMS / "config.yml": "vendor.github-issue-config",
    ROOT / "compose.yaml": "vendor.compose-spec",
    ROOT / "compose.gpu.yaml": "vendor.compose-spec",
}
"""Schemas that check-jsonschema brings along, so that no network is asked."""
JOBS = yaml.safe_load(WORKFLOW.read_text("utf-8"))["jobs"]
STEPS = [step for job in JOBS.values() for step in job["steps"]]


def refused(file, schema):
    """Give what a file's schema has against it."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(file)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == int(done.stdout.startswith("Schema validation errors")), done.stderr
    return done.stdout if done.returncode else ""


def test_every_file_has_a_schema():
    found = {*(ROOT / ".github").rglob("*.y*ml"), *ROOT.glob("compose*.y*ml")}
    assert found == {*SCHEMAS}


@pytest.mark.parametrize("file", SCHEMAS, ids=lambda file: file.name)
def test_a_file_is_as_its_schema_says(file):
    assert refused(file, SCHEMAS[file]) == ""


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (WORKFLOW, "runs-on:", "run-on:"),
        (BUG, "type: textarea", "type: textbox"),
        (FORMS / "config.yml", "false", "perhaps"),
        (ROOT / "compose.yaml", "read_only: true", "readonly: true"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_planted_fault_is_refused(file, old, new, tmp_path):
    planted = tmp_path / file.name
    planted.write_text(file.read_text("utf-8").replace(old, new))
    assert refused(planted, SCHEMAS[file])


def test_a_job_may_read_and_no_more():
    assert yaml.safe_load(WORKFLOW.read_text("utf-8"))["permissions"] == {"contents": "read"}
    assert [name for name, job in JOBS.items() if "permissions" in job] == []
    kept = [step["with"]["persist-credentials"] for step in STEPS if "checkout@" in str(step)]
    assert kept == [False] * len(JOBS)


def test_actions_are_githubs_own_and_of_a_version():
    used = [step["uses"] for step in STEPS if "uses" in step]
    assert used and [each for each in used if not re.fullmatch(r"actions/[\w-]+@v\d+", each)] == []


def test_what_is_run_is_there():
    named = re.findall(r"(?:\.ci|scripts)/\w+(?:\.py)?", "\n".join(s.get("run", "") for s in STEPS))
    assert {*named} >= {".ci/run", "scripts/test_lowest", "scripts/check_resolution.py"}
    for name in named:
        assert os.access(ROOT / name, os.R_OK if name.endswith(".py") else os.X_OK), name


def test_a_report_of_a_fault_has_what_the_doctor_says():
    fields = {each.get("id"): each for each in yaml.safe_load(BUG.read_text("utf-8"))["body"]}
    for name in ("doctor", "command", "message"):
        assert fields[name]["validations"]["required"] is True
    program, option = fields["doctor"]["attributes"]["label"].split()
    assert program == doctor.parser().prog
    assert doctor.parser().parse_args([option]).json
    assert fields["doctor"]["attributes"]["render"] == "json"


@pytest.mark.parametrize("form", sorted(FORMS.glob("*.yml")), ids=lambda form: form.name)
def test_files_that_a_form_names_are_there(form):
    named = re.findall(r"[\w/]+\.md\b", form.read_text("utf-8"))
    assert [name for name in named if not (ROOT / name).is_file()] == []
