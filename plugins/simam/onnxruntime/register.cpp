// The name that ONNX Runtime looks for in a library of custom operators.
#include "cpu_operators.h"
#include "domain.h"

namespace simam::ort {
namespace {

Domain portable{"simam"}, blocked{"simam.nchwc"};

OrtStatus* make_domains() {
    static Operator everywhere[kCpuOperators], in_blocks[kBlockedOperators];
    if (blocked.made != nullptr) return nullptr;
    declare_cpu(everywhere);
    declare_blocked(in_blocks);
    return Status()
        .then([&] { return make(portable, everywhere, kCpuOperators); })
        .then([&] { return make(blocked, in_blocks, kBlockedOperators); })
        .status();
}

}  // namespace
}  // namespace simam::ort

extern "C" __attribute__((visibility("default"))) OrtStatus* ORT_API_CALL
RegisterCustomOps(OrtSessionOptions* options, OrtApiBase const* base) {
    using namespace simam::ort;
    Turn const turn;
    if (!take_api(base)) return nullptr;
    return Status()
        .then(make_domains)
        .then([&] { return api->AddCustomOpDomain(options, portable.made); })
        .then([&] { return api->AddCustomOpDomain(options, blocked.made); })
        .status();
}
