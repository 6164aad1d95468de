import os

import pytest

from simam_deploy.engine.plan.cache_guard import (
    UntrustedError,
    check_entry,
    entries,
    evict,
    make_own,
)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "simam-deploy" / "engines"
    make_own(folder)
    return folder


def keep(folder, key, size=1000, age=0.0):
    entry = folder / key
    entry.mkdir(mode=0o700)
    (entry / "plan.engine").write_bytes(bytes(size))
    (entry / "plan.engine").chmod(0o600)
    then = 2e9 - age
    os.utime(entry, (then, then))
    return entry


@pytest.fixture(autouse=True)
def now(monkeypatch):
    monkeypatch.setattr("time.time", lambda: 2e9)


def test_what_is_made_is_the_users_alone(folder):
    for part in (folder, folder.parent):
        assert part.stat().st_mode & 0o777 == 0o700
    make_own(folder)
    check_entry(folder / "not-there")


def other_owner(entry):
    os.chown(entry, 12345, -1)


def other_file(entry):
    os.chown(entry / "plan.engine", 12345, -1)


def open_to_all(entry):
    entry.chmod(0o777)


def open_file(entry):
    (entry / "plan.engine").chmod(0o666)


def linked_file(entry):
    (entry / "plan.engine").rename(entry.parent / "elsewhere")
    (entry / "plan.engine").symlink_to(entry.parent / "elsewhere")


def linked(entry):
    entry.rename(entry.parent / "elsewhere")
    entry.symlink_to(entry.parent / "elsewhere")


NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
POISON = [
    pytest.param(other_owner, "belongs to user 12345", marks=NEEDS_ROOT),
    pytest.param(other_file, "belongs to user 12345", marks=NEEDS_ROOT),
    (open_to_all, "others can write"),
    (open_file, "others can write"),
    (linked_file, "is a link"),
    (linked, "is a link"),
]


@pytest.mark.parametrize(("poison", "says"), POISON)
def test_a_poisoned_entry_is_refused(folder, poison, says):
    entry = keep(folder, "a")
    check_entry(entry)
    poison(entry)
    with pytest.raises(UntrustedError, match=says):
        check_entry(entry)


@pytest.mark.parametrize("part", ["engines", "simam-deploy"])
def test_a_cache_that_others_can_write_to_is_refused(folder, part):
    (folder if part == "engines" else folder.parent).chmod(0o777)
    with pytest.raises(UntrustedError, match="others can write"):
        make_own(folder)


def test_of_100_entries_those_taken_longest_ago_make_room(folder):
    for number in range(100):
        keep(folder, f"{number:02}", age=number)
    assert evict(folder, folder / "99", largest=60_000) == 40
    left = [entry.folder.name for entry in entries(folder)]
    assert left == ["99", *(f"{n:02}" for n in reversed(range(59)))]  # the one to keep is oldest


def test_what_was_not_taken_for_long_goes_whatever_its_size(folder):
    for number in range(10):
        keep(folder, f"{number}", age=number * 100)
    assert evict(folder, folder / "0", oldest=450) == 5
    assert [entry.folder.name for entry in entries(folder)] == ["4", "3", "2", "1", "0"]
    assert evict(folder, folder / "0", oldest=450) == 0
