"""Token, TLS, origins, and names that point elsewhere."""

import ssl

import grpc
import numpy as np
import pytest
import tritonclient.grpc as over_grpc
import tritonclient.http as over_http
import trustme
from tritonclient.utils import InferenceServerException

from simam_deploy.cli.serve import TOKEN_VARIABLE, main
from simam_deploy.errors import InputError
from simam_deploy.serve import server
from tests.serve import graphs
from tests.serve.running import serving
from tests.serve.test_lifecycle import X, body_of

TOKEN = "a-long-secret"


@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    path = graphs.double(tmp_path_factory.mktemp("locked"))
    with serving({"double": path}, token=TOKEN) as running:
        yield running


@pytest.mark.parametrize(
    "authorization",
    [None, "", TOKEN, "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x"],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("GET", "/v2/models/double"),
        ("POST", "/v2/models/double/infer"),
        ("POST", "/v2/models/double/classify"),
        ("POST", "/v2/repository/index"),
        ("POST", "/v2/repository/models/double/unload"),
        ("GET", "/nope"),
    ],
)
def test_without_the_token_nothing_is_told(locked, method, path, authorization):
    headers = {} if authorization is None else {"Authorization": authorization}
    status, said, got = locked.request(method, path, body_of(X), headers)
    assert status == 401
    assert set(said) == {"error"}
    assert got["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_with_the_token_everything_is(locked, scheme):
    headers = {"Authorization": f"{scheme} {TOKEN}"}
    assert locked.request("POST", "/v2/models/double/infer", body_of(X), headers)[0] == 200
    assert locked.request("GET", "/v2", headers=headers)[0] == 200


def test_probes_and_the_page_need_none(locked):
    for path in ("/v2/health/live", "/v2/health/ready", "/"):
        assert locked.request("GET", path)[0] == 200


def test_the_token_over_grpc(locked):
    with over_grpc.InferenceServerClient(locked.grpc) as client:
        assert client.is_server_ready()
        with pytest.raises(InferenceServerException, match="bearer token") as raised:
            client.get_server_metadata()
        assert raised.value.status() == "StatusCode.UNAUTHENTICATED"
        tensor = over_grpc.InferInput("x", X.shape, "FP32")
        tensor.set_data_from_numpy(X)
        with pytest.raises(InferenceServerException, match="bearer token"):
            client.infer("double", [tensor], headers={"authorization": "Bearer wrong"})
        result = client.infer("double", [tensor], headers={"authorization": f"Bearer {TOKEN}"})
    assert np.array_equal(result.as_numpy("y"), 2 * X)


def test_a_page_of_another_origin_is_refused(served):
    """A browser sends a form to loopback from any page; it names the page's origin."""
    ask = "POST", "/v2/repository/models/double/unload", b""
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
        status, said, _ = served.request(*ask, {"Origin": origin})
        assert (status, said) == (403, {"error": "requests from other origins are not served"})
    own = {"Origin": f"http://{served.http}"}
    assert served.request("POST", "/v2/models/double/infer", body_of(X), own)[0] == 200


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def certified(authority, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(folder / "chain.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    return folder


def test_tls_over_http_and_grpc(authority, certified, tmp_path):
    path = graphs.double(tmp_path)
    files = {"certificate": certified / "chain.pem", "private_key": certified / "key.pem"}
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with serving({"double": path}, **files) as running:
        tensor = over_http.InferInput("x", X.shape, "FP32")
        tensor.set_data_from_numpy(X)
        with over_http.InferenceServerClient(
            running.http, ssl=True, ssl_context_factory=lambda: context
        ) as client:
            assert np.array_equal(client.infer("double", [tensor]).as_numpy("y"), 2 * X)
        tensor = over_grpc.InferInput("x", X.shape, "FP32")
        tensor.set_data_from_numpy(X)
        roots = grpc.ssl_channel_credentials((certified / "ca.pem").read_bytes())
        with over_grpc.InferenceServerClient(running.grpc, creds=roots) as client:
            assert np.array_equal(client.infer("double", [tensor]).as_numpy("y"), 2 * X)
        with pytest.raises((OSError, ConnectionError)):
            running.request("GET", "/v2")


def test_an_encrypted_key_asks_no_terminal(certified, tmp_path):
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key((certified / "key.pem").read_bytes(), None)
    (tmp_path / "locked.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"a word"),
        )
    )
    files = {"certificate": certified / "chain.pem", "private_key": tmp_path / "locked.pem"}
    refused = pytest.raises(InputError, match=r"the key in .*locked\.pem is encrypted: decrypt it")
    with refused, serving({"double": graphs.double(tmp_path)}, **files):
        pass


def warned(*arguments, capsys, monkeypatch):
    """What the command says of a start that ends before it listens."""
    monkeypatch.setattr(server, "serve", lambda *given: True)
    assert main([*map(str, arguments), "--quiet"]) == 0
    return capsys.readouterr().err


def test_who_listens_to_everybody_without_a_token_is_warned(tmp_path, capsys, monkeypatch):
    told = {"capsys": capsys, "monkeypatch": monkeypatch}
    model, token = graphs.double(tmp_path), tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    everybody = "--host", "0.0.0.0"
    assert "WARNING: whoever reaches 0.0.0.0 can" in warned(model, *everybody, **told)
    assert warned(model, *everybody, "--token-file", token, **told) == ""
    assert warned(model, **told) == ""
    token.chmod(0o644)
    assert "WARNING: others can read the token" in warned(model, "--token-file", token, **told)


@pytest.mark.parametrize("value", ["", "  ", "two words"])
def test_a_token_in_the_environment_that_is_none(value, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv(TOKEN_VARIABLE, value)
    assert main([str(graphs.double(tmp_path))]) == 1
    assert f"{TOKEN_VARIABLE} holds no token" in capsys.readouterr().err


def test_a_certificate_that_is_none(tmp_path):
    (tmp_path / "c.pem").write_text("no certificate")
    files = {"certificate": tmp_path / "c.pem", "private_key": tmp_path / "c.pem"}
    refused = pytest.raises(InputError, match=r"cannot use .*c\.pem")
    with refused, serving({"double": graphs.double(tmp_path)}, **files):
        pass
