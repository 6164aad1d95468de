"""compose.yaml: what it asks of Docker fits the image and the command, and shuts what it can."""

import copy
from pathlib import Path

import pytest
import yaml

from simam_deploy.cli.serve import parser
from tests.container.image import ROOT, TARGETS, Image

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
ON_GPU = yaml.safe_load((ROOT / "compose.gpu.yaml").read_text("utf-8"))["services"]["serve"]
IGNORED = {*(ROOT / ".gitignore").read_text("utf-8").splitlines()}


def complaints(compose):
    """Give what would be wrong with a server so composed."""
    serve = compose["services"]["serve"]
    image = Image(serve["build"]["target"])
    args = parser().parse_args([*image.entry[1:], *serve["command"]])
    sources, places, modes = zip(*(each.split(":") for each in serve["volumes"]), strict=True)
    wanted = {
        "the file system can be written to": serve["read_only"] is True,
        "there is no place for what is written": serve["tmpfs"] == ["/tmp"],
        "it keeps capabilities": serve["cap_drop"] == ["ALL"] and "cap_add" not in serve,
        "it may gain privileges": serve["security_opt"] == ["no-new-privileges:true"],
        "it is somebody else": "user" not in serve and "privileged" not in serve,
        "other machines reach it": all(port.startswith("127.0.0.1:") for port in serve["ports"]),
        "its ports are others": [port.split(":", 1)[1] for port in serve["ports"]]
        == [f"{port}:{port}" for port in (args.http_port, args.grpc_port)],
        "the models are elsewhere": args.models == [*places],
        "the models can be written to": {*modes} == {"ro"},
        "the token is elsewhere": [f"/run/secrets/{name}" for name in serve["secrets"]]
        == [args.token_file],
        # Compose refuses any other kind beside a file system that is only read.
        "the token is no file": [[*compose["secrets"][name]] for name in serve["secrets"]]
        == [["file"]],
        "it is cut off while it drains": float(serve["stop_grace_period"].removesuffix("s"))
        > args.drain_delay + args.drain_timeout,
        "its health has two owners": "test" not in serve["healthcheck"],
        "its name is not its target's": serve["image"] == f"simam-serve:{image.target}",
    }
    kept = [*sources, *(compose["secrets"][name]["file"] for name in serve["secrets"])]
    wanted["git would take a model or the token"] = {f"/{Path(each)}" for each in kept} <= IGNORED
    return [complaint for complaint, holds in wanted.items() if not holds]


def merged():
    """Give what Compose makes of both files: what the second one says goes into the first."""
    both = copy.deepcopy(COMPOSE)
    serve = both["services"]["serve"]
    serve.update({**ON_GPU, "build": {**serve["build"], **ON_GPU["build"]}})
    return both


@pytest.mark.parametrize("compose", [COMPOSE, merged()], ids=TARGETS)
def test_it_fits_the_image_and_is_shut(compose):
    assert complaints(compose) == []


def test_the_second_file_asks_for_a_gpu_and_nothing_else():
    assert {*ON_GPU} == {"image", "build", "deploy"} and ON_GPU["build"] == {"target": "gpu"}
    (device,) = ON_GPU["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}


PLANTED = {
    "the file system can be written to": {"read_only": False},
    "there is no place for what is written": {"tmpfs": []},
    "it keeps capabilities": {"cap_add": ["NET_ADMIN"]},
    "it may gain privileges": {"security_opt": []},
    "it is somebody else": {"user": "0"},
    "other machines reach it": {"ports": ["8000:8000", "127.0.0.1:8001:8001"]},
    "its ports are others": {"ports": ["127.0.0.1:8000:8001", "127.0.0.1:8001:8001"]},
    "the models are elsewhere": {"volumes": ["./models:/model:ro"]},
    "the models can be written to": {"volumes": ["./models:/models:rw"]},
    "the token is elsewhere": {"secrets": []},
    "it is cut off while it drains": {"stop_grace_period": "10s"},
    "its health has two owners": {"healthcheck": {"test": ["CMD", "true"]}},
    "git would take a model or the token": {"volumes": ["./docs:/models:ro"]},
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(fault):
    planted = copy.deepcopy(COMPOSE)
    planted["services"]["serve"].update(PLANTED[fault])
    assert fault in complaints(planted)


def test_an_option_that_is_not_there_is_found():
    planted = copy.deepcopy(COMPOSE)
    planted["services"]["serve"]["command"] = ["/models", "--thread-count", "4"]
    with pytest.raises(SystemExit):
        complaints(planted)
