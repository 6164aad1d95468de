"""KServe V2 over gRPC."""
