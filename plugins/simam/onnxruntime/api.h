// ONNX Runtime's C API, as the operators call it. The version is 22, of ONNX Runtime 1.22: what comes
// later serves it as well.
#pragma once

#include <onnxruntime_c_api.h>

#include <cstddef>
#include <cstdint>

namespace simam::ort {

constexpr std::uint32_t kApiVersion = 22;

// That of the process, from the first session on that took the operators.
extern OrtApi const* api;

// The first failure of a row of calls; those after it are not made.
class Status {
  public:
    template <typename Call>
    Status& then(Call const& call) {
        if (!status_) status_ = call();
        return *this;
    }
    OrtStatus* status() const { return status_; }

  private:
    OrtStatus* status_ = nullptr;
};

OrtStatus* refuse(char const* why);

// An input's values and its shape.
struct Input {
    void const* values = nullptr;
    std::int64_t dims[4] = {};
    std::size_t rank = 0;
};

// Reads an input of a run; of more than four sizes only the first are kept.
OrtStatus* read(OrtKernelContext* context, std::size_t index, Input& input);

}  // namespace simam::ort
