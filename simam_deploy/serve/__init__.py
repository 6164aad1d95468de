"""The embedded inference server: KServe V2 (Open Inference Protocol) over HTTP and gRPC.

    connection    guards a TCP connection: caps, header and body timeouts, refusals
    app           what every HTTP request passes, and the lean path of /infer
    routes        every other HTTP route, on Starlette
    grpc_service  the same over gRPC
    http_codec, grpc_codec    requests to arrays and answers to bytes
    check         a request's tensors against the model's
    batcher       the queue, its bounds, and the threads that run the model
    model         one loaded version of a model: proved, warm, with its batcher
    repository    the models by name: load, reload without a gap, unload
    pictures, attention       classify a JPEG or PNG; SimAM's gates as heatmaps
    server        start, signals, drain

Everything runs in one event loop but the models, which have a thread an instance.
"""

from simam_deploy.serve.settings import Settings

__all__ = ["Settings"]
