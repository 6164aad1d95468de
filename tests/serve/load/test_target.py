import socket

import pytest

from simam_deploy.errors import InputError, UsageError
from simam_deploy.serve.load import Plan
from simam_deploy.serve.load.target import find_target


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://127.0.0.1", "http://127.0.0.1:8000"),
        ("grpc://127.1.2.3:9", "grpc://127.1.2.3:9"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
        ("http://localhost:1", "http://127.0.0.1:1"),
    ],
)
def test_loopback(url, found):
    assert str(find_target(url)) == found


@pytest.mark.parametrize("host", ["192.0.2.1", "0.0.0.0", "[2001:db8::1]", "[::ffff:192.0.2.1]"])
def test_another_machine_needs_leave(host):
    with pytest.raises(UsageError, match="if it is yours, say so"):
        find_target(f"http://{host}:8000")
    assert find_target(f"http://{host}:8000", allow_remote=True).port == 8000


def test_a_name_with_one_foreign_address_is_another_machine(monkeypatch):
    found = [(socket.AF_INET, 1, 6, "", (a, 80)) for a in ("127.0.0.1", "192.0.2.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: found)
    with pytest.raises(UsageError, match="if it is yours, say so"):
        find_target("http://both.test:80")


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:8000", "https://127.0.0.1", "http://", "http://127.0.0.1:99999", "http://[::1",
     "http://127.0.0.1/v2", "http://127.0.0.1/?q", ""],
)  # fmt: skip
def test_urls_that_are_none(url):
    with pytest.raises(UsageError, match="want http://HOST:PORT"):
        find_target(url)


def test_an_unknown_host():
    with pytest.raises(InputError, match="cannot resolve"):
        find_target("http://nowhere.invalid")


@pytest.mark.parametrize(
    "figures",
    [
        {"seconds": 601}, {"seconds": 0}, {"seconds": float("nan")}, {"seconds": float("inf")},
        {"rate": 20_001}, {"rate": 0}, {"rate": -1}, {"clients": 1_001}, {"clients": 0},
        {"batch": 0}, {"batch": 1_025}, {"timeout": 0}, {"seed": -1},
    ],
)  # fmt: skip
def test_bounds(figures):
    with pytest.raises(UsageError, match=f"{next(iter(figures))} must"):
        Plan(**figures)
