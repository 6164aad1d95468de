"""Where in a file a detector's configuration is found, and that none of it is run."""

import pytest

from simam_deploy.errors import InputError
from simam_deploy.source.stated.reading import read_stated
from tests.source.stated.configs import VERSION_2, VERSION_3
from tests.source.stated.test_detector import read, with_change


@pytest.mark.parametrize(("entry", "text"), [("config", VERSION_2), ("cfg", VERSION_3)])
def test_it_is_found_in_a_file(entry, text):
    """Version 3 holds it twice: as one text, or as another of the same."""
    file = {"meta": {entry: text}, "message_hub": {"runtime_info": {"cfg": f"{text}\nx = 1"}}}
    (found,) = read_stated(file, {}).detectors
    assert found.where == f"file (meta.{entry})"
    assert found.value == read(text)
    assert all(f"(meta.{entry}." in place for place in found.value.places.values())


def test_two_that_differ_are_both_found():
    other = with_change(VERSION_3, "nms_pre=500", "nms_pre=501")
    file = {"meta": {"cfg": VERSION_3}, "message_hub": {"runtime_info": {"cfg": other}}}
    first, second = read_stated(file, {}).detectors
    assert (first.value.settings.nms_pre, second.value.settings.nms_pre) == (500, 501)


def test_what_cannot_be_used_is_found_as_the_reason():
    """A file of another detector still gives its backbone."""
    stated = read_stated({"meta": {"cfg": "model = dict(type='RetinaNet')"}}, {})
    (found,) = stated.detectors
    assert found.value.startswith("type is 'RetinaNet', file (meta.cfg.model.type): a detector he")
    assert read_stated({"args": {"model": "resnet18"}}, {}).detectors == ()


def test_nothing_of_a_text_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = VERSION_2 + "\nmodel['neck'] = __import__('os').system('touch ran')"
    assert read_stated({"meta": {"config": text}}, {}).detectors == ()
    run = "nms_pre=__import__('os').system('touch ran')"
    with pytest.raises(InputError, match="nms_pre is no literal, file"):
        read(with_change(VERSION_2, "        nms_pre=1000", f"        {run}"))
    assert list(tmp_path.iterdir()) == []
