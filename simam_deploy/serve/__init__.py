"""The embedded inference server: KServe V2 (Open Inference Protocol) over HTTP and gRPC.

    protocol   requests and answers, whatever carries them
      exchange, datatypes   a request that was read; the names of element types
      packed                the same, on its way from one process to another
      room, deadline        the memory that all requests share, and the time that one has
      check, profiles       its tensors against the model's, and against an engine's shapes
      foreseen, raw         what an answer will come to; its bytes
      refusals, token       why there is no result; who may ask
    aside      what would hold up the event loop: a process of its own for it
    models     what is served
      repository            the models by name: load, reload without a gap, unload
      model, open_runner    one loaded version, with its batcher and its runners
      warm_up               the first runs: does it work, does it keep rows apart
      batcher, lines        requests let in, computed, answered; where they wait, and for how long
      batch                 requests put together and apart
      pictures, attention   classify a JPEG or PNG; SimAM's gates as heatmaps
      gates                 their statistics in production
      seen                  what is known of one request, where somebody looks
      decoders              the threads that do
      detect, segment       boxes and masks in one; the class of each of its pixels
    describe   what the server and its models say of themselves
    http       connection (caps, time-outs), app (every request, /infer), codec, metrics
      routes, shown         every other route; those that take a picture
      page                  the page for people, of several files that go out as one
    grpc       the same over gRPC: listener (who may call, what it may take), bounds, service, codec
    watch      what an operator sees of each request: access log, traces
    server     start, signals, drain; allocator: memory that goes back to the system
    ray        the same models on several machines
    deploy     files for servers that are not ours: Triton, KServe
    load       the other end of the wire: load on one's own server

Everything runs in one event loop but the models, which have a thread an instance.
"""

from simam_deploy.serve.settings import Settings

__all__ = ["Settings"]
