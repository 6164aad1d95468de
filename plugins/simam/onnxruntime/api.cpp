#include "api.h"

#include <algorithm>
#include <memory>

namespace simam::ort {
namespace {

struct Release {
    void operator()(OrtTensorTypeAndShapeInfo* info) const {
        api->ReleaseTensorTypeAndShapeInfo(info);
    }
};

}  // namespace

OrtApi const* api = nullptr;

OrtStatus* refuse(char const* why) { return api->CreateStatus(ORT_INVALID_ARGUMENT, why); }

OrtStatus* read(OrtKernelContext* context, std::size_t index, Input& input) {
    OrtValue const* value = nullptr;
    OrtTensorTypeAndShapeInfo* info = nullptr;
    void* values = nullptr;
    OrtStatus* failed =
        Status()
            .then([&] { return api->KernelContext_GetInput(context, index, &value); })
            .then([&] { return api->GetTensorTypeAndShape(value, &info); })
            .status();
    std::unique_ptr<OrtTensorTypeAndShapeInfo, Release> const held(info);
    if (failed) return failed;
    return Status()
        .then([&] { return api->GetDimensionsCount(info, &input.rank); })
        .then([&] {
            return api->GetDimensions(info, input.dims, std::min<std::size_t>(input.rank, 4));
        })
        // The C API has no call for constant values: what an input gives is not written to.
        .then([&] { return api->GetTensorMutableData(const_cast<OrtValue*>(value), &values); })
        .then([&] {
            input.values = values;
            return static_cast<OrtStatus*>(nullptr);
        })
        .status();
}

}  // namespace simam::ort
