"""A V2 server over real sockets, in a thread, that misbehaves to order."""

import asyncio
import contextlib
import json
import math
import threading

SHAPE = (-1, 3, 8, 8)


class Stub:
    """Counts what it is asked; answers one request after the other, `delay` seconds each.

    Request number `stall_at` takes `stall` seconds. `status` is what every other request gets
    where it is not 200; "garbage" and "hang up" are two more ways to answer.
    """

    def __init__(self, delay=0.0, stall_at=None, stall=0.0, status=200, token=None):
        self.delay, self.stall_at, self.stall = delay, stall_at, stall
        self.status, self.token = status, token
        self.inputs = [{"name": "input", "datatype": "FP32", "shape": list(SHAPE)}]
        self.models = ["m"]
        self.count = 0
        self.bodies = set()
        self.wrong = []

    async def infer(self):
        """Take a turn; the number of this request."""
        async with self._turn:
            self.count += 1
            number = self.count
            await asyncio.sleep(self.stall if number == self.stall_at else self.delay)
        return number

    def check(self, name, datatype, shape, raw):
        """Note what does not fit the metadata."""
        if name != "input" or datatype != "FP32" or len(raw) != 4 * math.prod(shape):
            self.wrong.append((name, datatype, shape, len(raw)))
        self.bodies.add(bytes(raw))

    @contextlib.contextmanager
    def running(self, start):
        """Serve by `start` in a thread; yields the port."""
        loop = asyncio.new_event_loop()
        started = threading.Event()

        async def serve():
            self._turn, self._stopped = asyncio.Lock(), asyncio.Event()
            self.port, stop = await start(self)
            started.set()
            await self._stopped.wait()
            await stop()

        thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
        thread.start()
        assert started.wait(10)
        try:
            yield self.port
        finally:
            loop.call_soon_threadsafe(self._stopped.set)
            thread.join()
            loop.close()


async def start_http(stub):
    tasks = set()

    async def client(reader, writer):
        tasks.add(asyncio.current_task())
        try:
            while await http_turn(stub, reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def stop():
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    server = await asyncio.start_server(client, "127.0.0.1", 0)
    return server.sockets[0].getsockname()[1], stop


async def http_turn(stub, reader, writer):
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    fields = {k.lower(): v for k, v in (line.split(": ") for line in head[1:] if line)}
    body = await reader.readexactly(int(fields.get("content-length", 0)))
    status, answer = await http_answer(stub, head[0].split()[1], fields, body)
    if status == "hang up":
        return False
    if status == "garbage":
        writer.write(b"this is no HTTP\r\n\r\n")
    else:
        text = json.dumps(answer).encode()
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(text)) + text)
    await writer.drain()
    return True


async def http_answer(stub, path, fields, body):
    if stub.token and fields.get("authorization") != f"Bearer {stub.token}":
        return 401, {"error": "no token"}
    if path == "/v2/repository/index":
        return 200, [{"name": name, "version": "1", "state": "READY"} for name in stub.models]
    if path == "/v2/models/m":
        return 200, {"name": "m", "inputs": stub.inputs, "outputs": []}
    if path != "/v2/models/m/infer":
        return 404, {"error": f"no {path}"}
    length = int(fields["inference-header-content-length"])
    header, offset = json.loads(body[:length]), length
    for tensor in header["inputs"]:
        size = tensor["parameters"]["binary_data_size"]
        raw, offset = body[offset : offset + size], offset + size
        stub.check(tensor["name"], tensor["datatype"], tensor["shape"], raw)
    if offset != len(body):
        stub.wrong.append(("rest", len(body) - offset))
    number = await stub.infer()
    return (stub.status, {"error": "busy"}) if number % 2 == 0 else (200, {"outputs": []})


async def start_grpc(stub):
    import grpc
    from tritonclient.grpc import service_pb2 as pb
    from tritonclient.grpc import service_pb2_grpc

    class Service(service_pb2_grpc.GRPCInferenceServiceServicer):
        async def RepositoryIndex(self, request, context):  # noqa: N802
            response = pb.RepositoryIndexResponse()
            for name in stub.models:
                response.models.add(name=name)
            return response

        async def ModelMetadata(self, request, context):  # noqa: N802
            if request.name != "m":
                await context.abort(grpc.StatusCode.NOT_FOUND, f"no {request.name}")
            response = pb.ModelMetadataResponse(name="m")
            for tensor in stub.inputs:
                response.inputs.add(**tensor)
            return response

        async def ModelInfer(self, request, context):  # noqa: N802
            if stub.token and ("authorization", f"Bearer {stub.token}") not in [
                tuple(pair) for pair in context.invocation_metadata()
            ]:
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, "no token")
            for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True):
                stub.check(tensor.name, tensor.datatype, tensor.shape, raw)
            if await stub.infer() % 2 == 0 and stub.status != 200:
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy")
            return pb.ModelInferResponse(model_name="m")

    server = grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return port, lambda: server.stop(None)
