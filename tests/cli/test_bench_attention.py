"""The comparison of attention modules as a command, of a network of three blocks."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import pytest

from simam_deploy.cli.bench import main
from simam_deploy.models.zoo import NETWORKS
from simam_deploy.pipeline.bench_attention import COLUMNS

FAST = ("--starts", "1", "--rounds", "1", "--batch", "2", "-q")


@pytest.fixture
def tiny(monkeypatch):
    network = replace(NETWORKS["cifar_resnet20"], name="tiny", blocks=(1, 1, 1), widths=(4,))
    monkeypatch.setitem(NETWORKS, "tiny", network)
    return "tiny"


def test_a_backbone_is_exported_counted_and_measured(tiny, tmp_path, capsys):
    table = tmp_path / "t.csv"
    said = ["attention", "--backbones", tiny, "--attention", "se", "--csv", str(table)]
    assert main([*said, "--json", *FAST]) == 0
    report = json.loads(capsys.readouterr().out)
    none, se = report["rows"]
    assert (none["attention"], none["added"]) == ("none", 0)
    # 4, 8 and 16 channels to one and back.
    assert (se["attention"], se["added"]) == ("se", 2 * (4 + 8 + 16))
    assert se["parameters"] == none["parameters"] + se["added"]
    assert se["flops"] == none["flops"] + 2 * se["added"]
    for row in (none, se):
        assert row["export"] == "ok"
        assert [batch["batch"] for batch in row["batches"]] == [2]
        assert row["batches"][0]["times"]["p50_ms"] > 0
    assert se["batches"][0]["ratios"][0]["value"] > 0
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["attention"] for row in rows] == ["none", "se"]
    assert set(COLUMNS) < set(rows[0])
    assert rows[1]["added"] == "56"


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (("--backbones", "resnet19"), "unknown network 'resnet19'"),
        (("--backbones", "wespeaker_simam_resnet34_asp"), "is known with SimAM alone"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_any_work(said, message, capsys):
    assert main(["attention", *said]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (("--attention", "se,sam"), "not an attention, which is one of simam, se"),
        (("--batch", "0"), "not a whole number above 0"),
    ],
)
def test_words_that_are_none(said, message, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["attention", *said])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
