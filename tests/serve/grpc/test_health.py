"""grpc.health.v1, asked as generated code asks: by messages that protobuf makes of its text."""

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from tests.serve import graphs
from tests.serve.running import serving

SERVING, NOT_SERVING = 1, 2


@pytest.fixture(scope="module")
def messages():
    """The request and response of the published .proto, made in a pool of their own."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="health.proto", package="grpc.health.v1", syntax="proto3"
    )
    request = file.message_type.add(name="HealthCheckRequest")
    request.field.add(name="service", number=1, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    response = file.message_type.add(name="HealthCheckResponse")
    states = response.enum_type.add(name="ServingStatus")
    for number, name in enumerate(("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")):
        states.value.add(name=name, number=number)
    response.field.add(
        name="status", number=1, type=kinds.TYPE_ENUM, label=kinds.LABEL_OPTIONAL,
        type_name=".grpc.health.v1.HealthCheckResponse.ServingStatus",
    )  # fmt: skip
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return [
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"grpc.health.v1.{name}"))
        for name in ("HealthCheckRequest", "HealthCheckResponse")
    ]


def check(running, messages, service=""):
    request, response = messages
    with grpc.insecure_channel(running.grpc) as channel:
        ask = channel.unary_unary(
            "/grpc.health.v1.Health/Check", request.SerializeToString, response.FromString
        )
        return ask(request(service=service), timeout=30).status


@pytest.mark.parametrize("service", ["", "inference.GRPCInferenceService"])
def test_serving_without_a_token_and_not_while_it_drains(service, messages, tmp_path):
    with serving({"double": graphs.double(tmp_path)}, token="secret") as running:
        assert check(running, messages, service) == SERVING
        running.server.repository.draining = True
        assert check(running, messages, service) == NOT_SERVING


@pytest.mark.parametrize("service", ["double", "nobody", "x" * 127])
def test_another_service_is_not_found(service, served, messages):
    with pytest.raises(grpc.RpcError) as raised:
        check(served, messages, service)
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("sent", [b"\x0a", b"\x0a\x05ab", b"\x12\x00", b"\xff" * 40])
def test_what_is_no_request(sent, served):
    with grpc.insecure_channel(served.grpc) as channel:
        ask = channel.unary_unary("/grpc.health.v1.Health/Check")
        with pytest.raises(grpc.RpcError) as raised:
            ask(sent, timeout=30)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
