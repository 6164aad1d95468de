"""What the instrument reads off a report."""

from tests.nets.judging import read

GOOD = {"passed": True}
BAD = {"passed": False}


def report(gates=(GOOD,), layers=(), results=(GOOD,), **more):
    parts = [*gates, *layers, *results]
    passed = all(check["passed"] for check in parts)
    return {
        "passed": passed,
        "failures": [] if passed else ["off"],
        "gates": list(gates),
        "layers": list(layers),
        "validation": {"results": list(results), "allowed": 5e-6},
        **more,
    }


def test_what_passes_with_no_word_is_silent():
    found = read(report())
    assert (found.caught, found.silent, found.allowed) == ("", True, 5e-6)


def test_what_fails_is_told_by_where():
    assert read(report(gates=[GOOD, BAD])).caught == "gates"
    assert read(report(layers=[BAD], results=[BAD])).caught == "layers+outputs"
    assert read(report(gates=[BAD])).said == "off"


def test_what_fails_elsewhere_is_caught_too():
    assert read({**report(), "passed": False, "failures": ["agreement"]}).caught == "failed"


def test_what_is_called_not_proved_is_no_silence():
    assert not read(report(notes=["output y: not proved"])).silent
    power = [{"fault": "SimAM dropped", "proved": True}, {"fault": "score off", "proved": False}]
    assert not read(report(power=power)).silent
    assert "score off" in read(report(power=power)).power
    assert read(report(power={"proved": True})).silent
