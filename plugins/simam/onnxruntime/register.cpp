// The name that ONNX Runtime looks for in a library of custom operators.
#include "cpu_operators.h"
#include "cuda_operators.h"
#include "domain.h"

namespace simam::ort {
namespace {

Domain portable{"simam"}, blocked{"simam.nchwc"};

OrtStatus* make_domains() {
    static Operator on_cpu[kCpuOperators], on_cuda[kCudaOperators], in_blocks[kBlockedOperators];
    if (blocked.made != nullptr) return nullptr;
    declare_cpu(on_cpu);
    declare_blocked(in_blocks);
    std::size_t const on_gpu = declare_cuda(on_cuda);
    return Status()
        .then([&] { return make(portable); })
        .then([&] { return add(portable, on_cpu, kCpuOperators); })
        .then([&] { return add(portable, on_cuda, on_gpu); })
        .then([&] { return make(blocked); })
        .then([&] { return add(blocked, in_blocks, kBlockedOperators); })
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
