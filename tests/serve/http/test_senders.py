"""Who gets in: by what name the server is asked, and what a browser says of the page that asks."""

import shutil
import socket
import subprocess

import pytest

from simam_deploy.serve.http.senders import Senders, check_page
from simam_deploy.serve.protocol.refusals import BadRequest, Forbidden
from simam_deploy.serve.settings import Settings
from tests.serve import graphs
from tests.serve.http.test_connection import error_of, status_of
from tests.serve.running import serving
from tests.serve.test_lifecycle import X, body_of

OTHERS = (
    "other.example",
    "other.example:8000",
    "localhost.other.example",
    "127.0.0.1.other.example",
    "a",
    "10.0.0.1",
    "[2001:db8::1]",
    "0.0.0.0:8000",
)
OWN = (
    "localhost",
    "LOCALHOST:8000",
    "localhost.",
    "app.localhost:1",
    "127.0.0.1:8000",
    "127.8.9.1",
    "[::1]",
    "[::1]:8000",
)
NONE = ("", " ", "a b", "other.example/localhost", "localhost:x", "user@localhost", "[::1", "é")


def check(name, **settings):
    Senders(Settings(**settings)).check_host([(b"host", name.encode("latin-1"))])


@pytest.mark.parametrize("host", OTHERS)
def test_on_loopback_no_other_name(host):
    with pytest.raises(Forbidden, match="is not served here: ask by an address"):
        check(host)


@pytest.mark.parametrize("host", OWN)
@pytest.mark.parametrize("bound", ["127.0.0.1", "localhost", "::1"])
def test_on_loopback_its_own(host, bound):
    check(host, host=bound)


@pytest.mark.parametrize("bound", ["127.0.0.1", "0.0.0.0"])
def test_names_that_were_allowed(bound):
    allowed = {"host": bound, "allow_hosts": ("Models.example", "b.example")}
    for host in ("models.example:443", "B.EXAMPLE", "localhost"):
        check(host, **allowed)
    for host in ("other.example", "x.models.example"):
        with pytest.raises(Forbidden):
            check(host, **allowed)


@pytest.mark.parametrize("bound", ["0.0.0.0", "::", "10.0.0.1"])
def test_elsewhere_every_name_is(bound):
    for host in (*OTHERS, *OWN):
        check(host, host=bound)


@pytest.mark.parametrize("host", NONE)
def test_no_host(host):
    with pytest.raises(BadRequest, match="Host header is none"):
        check(host)


@pytest.mark.parametrize("count", [0, 2])
@pytest.mark.parametrize("bound", ["127.0.0.1", "0.0.0.0"])
def test_host_once(count, bound):
    headers = [(b"host", b"localhost")] * count
    with pytest.raises(BadRequest, match=f"{count} Host headers"):
        Senders(Settings(host=bound)).check_host(headers)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "nonsense"])
@pytest.mark.parametrize("mode", [None, "cors", "no-cors", "websocket"])
@pytest.mark.parametrize("path", ["/", "/v2"])
def test_a_page_elsewhere_gets_nothing(site, mode, path):
    headers = {b"host": b"localhost", b"sec-fetch-site": site.encode()}
    if mode is not None:
        headers[b"sec-fetch-mode"] = mode.encode()
    with pytest.raises(Forbidden):
        check_page("GET", path, headers)


def test_a_link_to_the_page_may_be_followed_and_to_nothing_else():
    headers = {b"host": b"localhost", b"sec-fetch-site": b"cross-site"}
    followed = {**headers, b"sec-fetch-mode": b"navigate", b"sec-fetch-dest": b"document"}
    check_page("GET", "/", followed)
    framed = {**followed, b"sec-fetch-dest": b"iframe"}
    for method, path, given in (
        ("POST", "/", followed),
        ("GET", "/metrics", followed),
        ("GET", "/", framed),
    ):
        with pytest.raises(Forbidden):
            check_page(method, path, given)


@pytest.mark.parametrize("site", [None, "same-origin", "none"])
def test_the_servers_own_page_and_what_is_no_browser(site):
    check_page("POST", "/v2", {} if site is None else {b"sec-fetch-site": site.encode()})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/v2"),
        ("GET", "/v2/health/live"),
        ("GET", "/metrics"),
        ("POST", "/v2/models/double/infer"),
        ("POST", "/v2/repository/models/double/load"),
    ],
)
def test_a_page_that_was_rebound_to_loopback_gets_nothing(served, method, path):
    body = body_of(X) if path.endswith("infer") else b""
    rebound = {"Host": "evil.example:8000"}
    for headers in (rebound, {**rebound, "Origin": "http://evil.example:8000"}):
        status, said, _ = served.request(method, path, body, headers)
        assert status == 403
        assert set(said) == {"error"}
    status, said, _ = served.request(method, path, body, {"Sec-Fetch-Site": "cross-site"})
    assert status == 403


def raw(running, request):
    with socket.create_connection(("127.0.0.1", running.server.http_port), 30) as sock:
        sock.sendall(request)
        got = b""
        while more := sock.recv(65536):
            got += more
    return got


@pytest.mark.parametrize("hosts", [(), ("localhost", "localhost"), ("localhost", "evil.example")])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_host_once_on_the_wire(served, hosts, version):
    lines = "".join(f"Host: {host}\r\n" for host in hosts)
    got = raw(served, f"GET /v2 HTTP/{version}\r\n{lines}Connection: close\r\n\r\n".encode())
    assert status_of(got) == 400
    assert "Host headers: one is wanted" in error_of(got)


@pytest.mark.slow  # 3 s to start a browser
def test_a_browser_whose_name_server_was_turned_sees_nothing(served):
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium on PATH: no page was rebound")

    def seen(host):
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
        turned = f"--host-resolver-rules=MAP {host} 127.0.0.1"
        url = f"http://{host}:{served.server.http_port}/"
        return subprocess.run(
            [browser, *flags, turned, url], capture_output=True, text=True, timeout=120
        ).stdout

    assert "the host 'evil.example' is not served here" in seen("evil.example")
    assert "<h1>simam-serve</h1>" in seen("localhost")


def test_ipv6_over_http_and_grpc(tmp_path):
    import tritonclient.grpc as over_grpc

    if not socket.has_ipv6 or not _binds("::1"):
        pytest.skip("this machine has no IPv6 loopback")
    with serving({"double": graphs.double(tmp_path)}, host="::1") as running:
        assert f"HTTP on http://[::1]:{running.server.http_port}" in running.said
        assert f"gRPC on [::1]:{running.server.grpc_port}" in running.said
        with over_grpc.InferenceServerClient(f"[::1]:{running.server.grpc_port}") as client:
            assert client.is_server_ready()
        with socket.create_connection(("::1", running.server.http_port), 30) as sock:
            sock.sendall(b"GET /v2 HTTP/1.1\r\nHost: [::1]\r\nConnection: close\r\n\r\n")
            assert status_of(sock.recv(65536)) == 200


def _binds(host):
    with socket.socket(socket.AF_INET6) as sock:
        try:
            sock.bind((host, 0))
        except OSError:
            return False
    return True
