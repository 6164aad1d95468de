// The operators of the domain `simam`, added to a session's options.
#pragma once

#include <onnxruntime_c_api.h>

namespace simam::ort {

OrtStatus* add_operators(OrtSessionOptions* options, OrtApiBase const* base);

}  // namespace simam::ort
