"""The runtime's calls, on host memory and at once; a capture records what is enqueued."""

import ctypes
import enum
import time


class cudaError_t(enum.IntEnum):  # noqa: N801 - CUDA's own names
    cudaSuccess = 0  # noqa: N815
    cudaErrorInvalidValue = 1  # noqa: N815


class cudaMemcpyKind(enum.IntEnum):  # noqa: N801
    cudaMemcpyDefault = 4  # noqa: N815


class cudaStreamCaptureMode(enum.IntEnum):  # noqa: N801
    cudaStreamCaptureModeThreadLocal = 1  # noqa: N815


cudaStreamNonBlocking = 1  # noqa: N816
OK = cudaError_t.cudaSuccess

memory: dict[int, ctypes.Array] = {}
streams: dict[int, list | None] = {}
graphs: set[int] = set()
calls: list[str] = []
events: dict[int, float] = {}
destroyed: set[int] = set()


def enqueue(handle, work):
    """What a fake library's kernel launch comes to; other threads get their turn."""
    time.sleep(1e-5)
    if streams[int(handle)] is None:
        work()
    else:
        streams[int(handle)].append(work)


def cudaStreamCreateWithFlags(flags):  # noqa: N802
    handle = 1000 + len(calls) + len(streams)
    streams[handle] = None
    return OK, handle


def cudaStreamDestroy(stream):  # noqa: N802
    del streams[stream]
    return (OK,)


def cudaStreamSynchronize(stream):  # noqa: N802
    return (OK,)


def cudaMalloc(size):  # noqa: N802
    calls.append("cudaMalloc")
    block = (ctypes.c_byte * size)()
    memory[ctypes.addressof(block)] = block
    return OK, ctypes.addressof(block)


def cudaMemGetInfo():  # noqa: N802
    total = 1 << 34
    return OK, total - sum(map(ctypes.sizeof, memory.values())), total


def cudaFree(devPtr):  # noqa: N802, N803
    if devPtr not in memory:
        return (cudaError_t.cudaErrorInvalidValue,)
    del memory[devPtr]
    return (OK,)


def cudaMemcpyAsync(dst, src, count, kind, stream):  # noqa: N802
    for address in (dst, src):
        block = memory.get(address)
        if block is not None and count > ctypes.sizeof(block):
            return (cudaError_t.cudaErrorInvalidValue,)
    enqueue(stream, lambda: ctypes.memmove(dst, src, count))
    return (OK,)


def cudaStreamBeginCapture(stream, mode):  # noqa: N802
    streams[stream] = []
    return (OK,)


def cudaStreamEndCapture(stream):  # noqa: N802
    recorded, streams[stream] = streams[stream], None
    return OK, recorded


def cudaGraphInstantiate(graph, flags):  # noqa: N802
    calls.append("cudaGraphInstantiate")
    executable = tuple(graph)
    graphs.add(id(executable))
    return OK, executable


def cudaGraphDestroy(graph):  # noqa: N802
    return (OK,)


def cudaGraphLaunch(graphExec, stream):  # noqa: N802, N803
    calls.append("cudaGraphLaunch")
    for work in graphExec:
        work()
    return (OK,)


def cudaGraphExecDestroy(graphExec):  # noqa: N802, N803
    graphs.remove(id(graphExec))
    return (OK,)


def cudaEventCreate():  # noqa: N802
    event = len(events)
    events[event] = 0.0
    return OK, event


def cudaEventRecord(event, stream):  # noqa: N802
    events[event] = time.perf_counter()
    return (OK,)


def cudaEventElapsedTime(start, end):  # noqa: N802
    return OK, 1e3 * (events[end] - events[start])


def cudaEventDestroy(event):  # noqa: N802
    destroyed.add(event)
    return (OK,)


def cudaGetErrorString(error):  # noqa: N802
    return OK, b"invalid argument"
