// The name that ONNX Runtime looks for in a library of custom operators.
#include "operators.h"

extern "C" __attribute__((visibility("default"))) OrtStatus* ORT_API_CALL
RegisterCustomOps(OrtSessionOptions* options, OrtApiBase const* base) {
    return simam::ort::add_operators(options, base);
}
