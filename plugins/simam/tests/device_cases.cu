// Every kernel on a GPU, in tensors of exactly their size: for compute-sanitizer, which sees what
// is read or written beside them. Results are held against float64 on the way.
//
// usage: device_cases          exit code 0 where all are right
#include <cuda_fp16.h>

#include <cmath>
#include <cstdio>
#include <vector>

#include "simam.h"

using namespace simam;

namespace {

struct Case {
    Layout layout;
    int64_t n, c, hw, pitch;
};

constexpr Case kCases[] = {
    {Layout::kNCHW, 2, 67, 49, 0},       {Layout::kNCHW, 1, 19, 196, 0},
    {Layout::kNCHW, 1, 9, 323, 0},       {Layout::kNCHW, 1, 5, 784, 0},
    {Layout::kNCHW, 1, 3, 3249, 0},      {Layout::kNCHW, 1, 3, 12544, 0},
    {Layout::kNCHW, 1, 2, 66800, 0},     {Layout::kNCHW, 1, 1, 1046483, 0},
    {Layout::kNHWC, 2, 67, 49, 72},      {Layout::kNHWC, 1, 64, 196, 64},
    {Layout::kNHWC, 1, 24, 784, 24},     {Layout::kNHWC, 1, 40, 3136, 40},
    {Layout::kNHWC, 1, 13, 12544, 16},   {Layout::kNHWC, 1, 35, 49, 35},
    {Layout::kNHWC, 1, 35, 3249, 35},
};

float toFloat(float value) { return value; }
float toFloat(__half value) { return __half2float(value); }

template <class T>
struct Buffer {
    T* device = nullptr;
    explicit Buffer(size_t count) { cudaMalloc(&device, count * sizeof(T)); }
    explicit Buffer(std::vector<T> const& values) : Buffer(values.size()) {
        cudaMemcpy(device, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice);
    }
    Buffer(Buffer const&) = delete;
    Buffer& operator=(Buffer const&) = delete;
    ~Buffer() { cudaFree(device); }
};

// Values of about the same spread everywhere, without a generator: the golden ratio's multiples.
float drawn(int64_t i) {
    double const turns = static_cast<double>(i + 1) * 0.6180339887498949;
    return static_cast<float>(4.0 * (turns - std::floor(turns)) - 2.0);
}

// The largest error over `tolerance` of one channel of one image.
template <class T>
double worst(Case const& given, std::vector<T> const& x, std::vector<T> const& y, int64_t image,
             int64_t channel, bool epilogue, double tolerance) {
    bool const first = given.layout == Layout::kNCHW;
    auto const at = [&](int64_t pixel) {
        return static_cast<size_t>(first ? (image * given.c + channel) * given.hw + pixel
                                         : (image * given.hw + pixel) * given.pitch + channel);
    };
    double sum = 0, squares = 0, result = 0;
    for (int64_t i = 0; i < given.hw; ++i) sum += toFloat(x[at(i)]);
    double const mean = sum / static_cast<double>(given.hw);
    for (int64_t i = 0; i < given.hw; ++i) squares += std::pow(toFloat(x[at(i)]) - mean, 2);
    double const variance = squares / static_cast<double>(given.hw - 1);
    for (int64_t i = 0; i < given.hw; ++i) {
        double const value = toFloat(x[at(i)]);
        double const z = std::pow(value - mean, 2) / (4 * (variance + 1e-4)) + 0.5;
        double want = value / (1 + std::exp(-z));
        if (epilogue) want = std::fmin(std::fmax(want * 1.5 + 0.25 + value, 0), 6);
        double const error = std::fabs(toFloat(y[at(i)]) - want);
        result = std::fmax(result, error / (tolerance * std::fabs(want) + 2e-6));
        if (!std::isfinite(toFloat(y[at(i)]))) return INFINITY;
    }
    return result;
}

template <class T>
bool run(Case const& given, Type type, bool epilogue, double tolerance) {
    int64_t const lanes = given.layout == Layout::kNCHW ? given.c : given.pitch;
    auto const count = static_cast<size_t>(given.n * lanes * given.hw);
    std::vector<T> x(count), y(count);
    for (size_t i = 0; i < count; ++i) x[i] = T(drawn(static_cast<int64_t>(i)));
    std::vector<float> const scale(static_cast<size_t>(given.c), 1.5f);
    std::vector<float> const bias(static_cast<size_t>(given.c), 0.25f);
    Buffer<T> const onX(x), onY(count);
    Buffer<float> const onScale(scale), onBias(bias);
    Params params{onX.device, onY.device, nullptr,  nullptr,     nullptr, given.n,
                  given.c,    given.hw,   given.pitch, 1e-4f, -3.402823466e+38f, 3.402823466e+38f};
    if (epilogue) {
        params.residual = onX.device;
        params.scale = onScale.device;
        params.bias = onBias.device;
        params.clipMin = 0.f;
        params.clipMax = 6.f;
    }
    Buffer<char> const workspace(workspaceSize(params, type, given.layout) + 16);
    cudaError_t status = launch(params, type, given.layout, workspace.device, nullptr);
    if (status == cudaSuccess) status = cudaDeviceSynchronize();
    cudaMemcpy(y.data(), onY.device, count * sizeof(T), cudaMemcpyDeviceToHost);
    double error = 0;
    for (int64_t i = 0; i < given.n * given.c; ++i) {
        error = std::fmax(error, worst(given, x, y, i / given.c, i % given.c, epilogue, tolerance));
    }
    bool const right = status == cudaSuccess && error <= 1;
    std::printf("%s %lldx%lldx%lld %zu bytes, epilogue %d: %s, %.2f of the tolerance%s\n",
                given.layout == Layout::kNCHW ? "NCHW" : "NHWC", static_cast<long long>(given.n),
                static_cast<long long>(given.c), static_cast<long long>(given.hw), sizeof(T),
                epilogue, cudaGetErrorString(status), error, right ? "" : "  WRONG");
    return right;
}

}  // namespace

int main() {
    bool right = true;
    for (Case const& given : kCases) {
        for (bool const epilogue : {false, true}) {
            right &= run<float>(given, Type::kFloat, epilogue, 2e-6);
            right &= run<__half>(given, Type::kHalf, epilogue, 6e-4);
        }
    }
    return right ? 0 : 1;
}
