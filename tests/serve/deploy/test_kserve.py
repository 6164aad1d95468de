"""The InferenceService, held against KServe's own classes where they are installed."""

import pytest

pytest.importorskip("yaml", reason="needs the extra `serve`")

import yaml

from simam_deploy.errors import InputError, UsageError
from simam_deploy.serve.deploy import write_kserve


def service(path, tmp_path, **options):
    options = {"storage_uri": "s3://bucket/models", **options}
    return yaml.safe_load(write_kserve(path, tmp_path / "s.yaml", **options).path.read_text())


def test_an_onnx(make_onnx, tmp_path):
    document = service(make_onnx(), tmp_path)
    assert document["apiVersion"] == "serving.kserve.io/v1beta1"
    assert document["kind"] == "InferenceService"
    assert document["metadata"] == {"name": "m"}
    predictor = document["spec"]["predictor"]
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (1, 4)
    model = predictor["model"]
    assert model["modelFormat"] == {"name": "onnx"}
    assert model["runtime"] == "kserve-tritonserver"
    assert model["protocolVersion"] == "v2"
    assert model["storageUri"] == "s3://bucket/models"
    assert model["resources"]["limits"] == {"cpu": "2", "memory": "4Gi"}
    assert model["resources"]["requests"] == model["resources"]["limits"]
    assert model["readinessProbe"]["httpGet"] == {"path": "/v2/models/m/ready", "port": 8080}


def test_a_plan_wants_a_gpu(make_plan, tmp_path):
    options = {"model": "Net_1.5", "name": "net", "cpu": "500m", "min_replicas": 0}
    document = service(make_plan(), tmp_path, **options)
    model = document["spec"]["predictor"]["model"]
    assert model["modelFormat"] == {"name": "tensorrt"}
    assert model["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert model["resources"]["limits"]["cpu"] == "500m"
    assert model["readinessProbe"]["httpGet"]["path"] == "/v2/models/Net_1.5/ready"


def test_the_file_stands_whole_under_its_name_alone(make_onnx, tmp_path):
    path = make_onnx()
    before = set(tmp_path.iterdir())
    service(path, tmp_path)
    assert set(tmp_path.iterdir()) - before == {tmp_path / "s.yaml"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"name": "Net"}, "Kubernetes service"),
        ({"name": "a.b"}, "Kubernetes service"),
        ({"name": "a-"}, "Kubernetes service"),
        ({"name": "a" * 64}, "Kubernetes service"),
        ({"model": "../m"}, "no model name"),
        ({"storage_uri": "/models"}, "begin with one of"),
        ({"storage_uri": "file:///models"}, "begin with one of"),
        ({"storage_uri": "s3://"}, "begin with one of"),
        ({"storage_uri": "s3://a\nb: c"}, "begin with one of"),
        ({"storage_uri": "https://me:secret@host/m"}, "no credentials"),
        ({"cpu": "two"}, "cpu must be"),
        ({"memory": "4GB"}, "memory must be"),
        ({"gpus": -1}, "GPUs must be"),
        ({"min_replicas": 5}, "replicas must be"),
        ({"min_replicas": 0, "max_replicas": 0}, "replicas must be"),
    ],
)
def test_what_does_not_fit(options, says, make_onnx, tmp_path):
    with pytest.raises(UsageError, match=says):
        service(make_onnx(), tmp_path, **options)
    assert not (tmp_path / "s.yaml").exists()


def test_an_output_that_is_no_yaml(make_onnx, tmp_path):
    with pytest.raises(UsageError, match=r"\.yaml"):
        write_kserve(make_onnx(), tmp_path / "s.txt", storage_uri="s3://b/m")
    with pytest.raises(InputError, match="cannot write"):
        write_kserve(make_onnx(), tmp_path / "m.onnx" / "s.yaml", storage_uri="s3://b/m")


def test_every_field_is_one_of_kserves(make_onnx, make_plan, tmp_path):
    """By the classes generated from KServe's and Kubernetes' published schemas."""
    kserve = pytest.importorskip("kserve", reason="needs the package kserve")
    for path in (make_onnx(), make_plan()):
        document = service(path, tmp_path)
        check(document, kserve.V1beta1InferenceService)
        document["spec"]["predictor"]["model"]["storageURI"] = "s3://bucket"
        with pytest.raises(AssertionError, match="storageURI"):
            check(document, kserve.V1beta1InferenceService)


def check(document, known):
    import kserve
    from kubernetes import client

    fields = {published: name for name, published in known.attribute_map.items()}
    for key, value in document.items():
        assert key in fields, f"{known.__name__} has no {key}"
        kind = known.openapi_types[fields[key]]
        inner = getattr(kserve, kind, None) or getattr(client, kind, None)
        if inner is not None:
            check(value, inner)
        elif kind in ("str", "int"):
            assert type(value).__name__ == kind, key
        else:
            assert kind.lower() in ("dict(str, str)", "dict[str, str]", "object"), (key, kind)
            assert isinstance(value, dict | int)
