// The operators for ONNX Runtime's CUDA provider, driven through a fake of its C API, over a fake of
// the kernel and of CUDA's runtime that remember what they were asked for, in order.
//
//     cuda_operators_host       ends with 1 and says what is wrong

#include <onnxruntime_c_api.h>

#include <cfloat>
#include <cstdio>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kernel/simam.h"

extern "C" OrtStatus* ORT_API_CALL RegisterCustomOps(OrtSessionOptions*, OrtApiBase const*);

namespace {

int failures = 0;

void expect(bool right, char const* what, int line) {
    if (right) return;
    std::printf("line %d: %s\n", line, what);
    ++failures;
}
#define EXPECT(condition) expect((condition), #condition, __LINE__)

struct Call {
    std::string what;
    std::size_t bytes;
    void* workspace;
    cudaStream_t stream;
};
std::vector<Call> calls;
simam::Params launched;
simam::Type launched_type;
cudaError_t launch_answer = cudaSuccess, malloc_answer = cudaSuccess;
alignas(16) char device[64];

struct Value {
    std::vector<std::int64_t> dims;
    void* data;
};
struct Context {
    std::vector<Value> inputs;
    Value output{};
    void* stream;
};
struct Status {
    OrtErrorCode code;
    std::string message;
};
struct Domain {
    std::string name;
    std::vector<OrtCustomOp const*> operators;
};
std::vector<Domain*> domains, added;
int infos = 0;  // taken and not yet given back
std::map<std::string, float> const attributes = {
    {"e_lambda", 0.25F}, {"clip_min", -1.0F}, {"clip_max", 6.0F}};

OrtApi fake() {
    OrtApi api{};
    api.CreateStatus = [](OrtErrorCode code, char const* message) NO_EXCEPTION {
        return reinterpret_cast<OrtStatus*>(new Status{code, message});
    };
    api.CreateCustomOpDomain = [](char const* name, OrtCustomOpDomain** made) NO_EXCEPTION {
        domains.push_back(new Domain{name, {}});
        *made = reinterpret_cast<OrtCustomOpDomain*>(domains.back());
        return static_cast<OrtStatus*>(nullptr);
    };
    api.CustomOpDomain_Add = [](OrtCustomOpDomain* domain, OrtCustomOp const* op) NO_EXCEPTION {
        reinterpret_cast<Domain*>(domain)->operators.push_back(op);
        return static_cast<OrtStatus*>(nullptr);
    };
    api.AddCustomOpDomain = [](OrtSessionOptions*, OrtCustomOpDomain* domain) NO_EXCEPTION {
        added.push_back(reinterpret_cast<Domain*>(domain));
        return static_cast<OrtStatus*>(nullptr);
    };
    api.KernelInfoGetAttribute_float = [](OrtKernelInfo const*, char const* name,
                                          float* value) NO_EXCEPTION {
        *value = attributes.at(name);
        return static_cast<OrtStatus*>(nullptr);
    };
    api.KernelContext_GetInput = [](OrtKernelContext const* context, std::size_t index,
                                    OrtValue const** value) NO_EXCEPTION {
        *value = reinterpret_cast<OrtValue const*>(
            &reinterpret_cast<Context const*>(context)->inputs.at(index));
        return static_cast<OrtStatus*>(nullptr);
    };
    api.KernelContext_GetOutput = [](OrtKernelContext* context, std::size_t,
                                     std::int64_t const* dims, std::size_t rank,
                                     OrtValue** value) NO_EXCEPTION {
        Value& output = reinterpret_cast<Context*>(context)->output;
        output.dims.assign(dims, dims + rank);
        *value = reinterpret_cast<OrtValue*>(&output);
        return static_cast<OrtStatus*>(nullptr);
    };
    api.KernelContext_GetGPUComputeStream = [](OrtKernelContext const* context,
                                               void** stream) NO_EXCEPTION {
        *stream = reinterpret_cast<Context const*>(context)->stream;
        return static_cast<OrtStatus*>(nullptr);
    };
    api.GetTensorTypeAndShape = [](OrtValue const* value,
                                   OrtTensorTypeAndShapeInfo** info) NO_EXCEPTION {
        ++infos;
        *info = reinterpret_cast<OrtTensorTypeAndShapeInfo*>(const_cast<OrtValue*>(value));
        return static_cast<OrtStatus*>(nullptr);
    };
    api.ReleaseTensorTypeAndShapeInfo = [](OrtTensorTypeAndShapeInfo*) NO_EXCEPTION { --infos; };
    api.GetDimensionsCount = [](OrtTensorTypeAndShapeInfo const* info,
                                std::size_t* count) NO_EXCEPTION {
        *count = reinterpret_cast<Value const*>(info)->dims.size();
        return static_cast<OrtStatus*>(nullptr);
    };
    api.GetDimensions = [](OrtTensorTypeAndShapeInfo const* info, std::int64_t* dims,
                           std::size_t count) NO_EXCEPTION {
        std::memcpy(dims, reinterpret_cast<Value const*>(info)->dims.data(), count * sizeof *dims);
        return static_cast<OrtStatus*>(nullptr);
    };
    api.GetTensorMutableData = [](OrtValue* value, void** data) NO_EXCEPTION {
        *data = reinterpret_cast<Value*>(value)->data;
        return static_cast<OrtStatus*>(nullptr);
    };
    return api;
}

OrtApi const api = fake();

// "" for no failure.
std::string told(OrtStatus* status) {
    if (status == nullptr) return "";
    auto* const own = reinterpret_cast<Status*>(status);
    std::string const message = own->message;
    delete own;
    return message;
}

char x[16], y[16], scale[16], bias[16], residual[16], stream[1];

Context given(std::size_t inputs, std::vector<std::int64_t> dims) {
    std::int64_t const c = dims.size() > 1 ? dims[1] : 1;
    std::vector<Value> all = {{dims, x}, {{c}, scale}, {{c}, bias}, {dims, residual}};
    all.resize(inputs);
    return {all, {{}, y}, stream};
}

std::string compute(OrtCustomOp const* op, Context& context) {
    calls.clear();
    void* kernel = nullptr;
    std::string failed = told(op->CreateKernelV2(op, &api, nullptr, &kernel));
    if (!failed.empty()) return failed;
    failed = told(op->KernelComputeV2(kernel, reinterpret_cast<OrtKernelContext*>(&context)));
    op->KernelDestroy(kernel);
    EXPECT(infos == 0);
    return failed;
}

std::vector<OrtCustomOp const*> on_cuda() {
    std::vector<OrtCustomOp const*> found;
    for (OrtCustomOp const* op : domains.at(0)->operators)
        if (std::string(op->GetExecutionProviderType(op)) == "CUDAExecutionProvider")
            found.push_back(op);
    return found;
}

void check_registration() {
    static OrtApiBase const base{[](std::uint32_t version) NO_EXCEPTION {
                                     return version <= 22 ? &api : nullptr;
                                 },
                                 nullptr};
    static OrtApiBase const old{
        [](std::uint32_t) NO_EXCEPTION { return static_cast<OrtApi const*>(nullptr); }, nullptr};
    EXPECT(told(RegisterCustomOps(nullptr, &old)).empty() && added.empty());
    for (int session = 0; session < 2; ++session)
        EXPECT(told(RegisterCustomOps(nullptr, &base)).empty());
    EXPECT(domains.size() == 2 && added.size() == 4);
    EXPECT(domains[0]->name == "simam" && domains[1]->name == "simam.nchwc");
    EXPECT(domains[0]->operators.size() == 21 && domains[1]->operators.size() == 3);
    std::set<std::pair<std::string, ONNXTensorElementDataType>> each;
    for (OrtCustomOp const* op : on_cuda()) each.insert({op->GetName(op), op->GetInputType(op, 0)});
    EXPECT(on_cuda().size() == 9 && each.size() == 9);
}

void check_what_is_enqueued(OrtCustomOp const* op) {
    std::size_t const inputs = op->GetInputTypeCount(op);
    Context context = given(inputs, {2, 3, 5, 7});
    EXPECT(compute(op, context).empty());
    EXPECT(op->GetMayInplace == nullptr);  // the kernel's y overlaps nothing
    EXPECT(calls.size() == 3 && calls[0].what == "malloc" && calls[1].what == "launch" &&
           calls[2].what == "free");
    EXPECT(calls[0].bytes == 7 * 2 * 3 * 35);
    for (Call const& call : calls)
        EXPECT(call.workspace == device &&
               static_cast<void*>(call.stream) == static_cast<void*>(stream));
    EXPECT(launched.x == x && launched.y == y && context.output.dims == context.inputs[0].dims);
    EXPECT(launched.n == 2 && launched.c == 3 && launched.hw == 35 && launched.pitch == 3);
    EXPECT(launched.lambda == 0.25F);
    bool const affine = inputs > 1;
    EXPECT(static_cast<void const*>(launched.scale) == (affine ? scale : nullptr));
    EXPECT(static_cast<void const*>(launched.bias) == (affine ? bias : nullptr));
    EXPECT(launched.residual == (inputs > 3 ? residual : nullptr));
    EXPECT(launched.clipMin == (affine ? -1.0F : -FLT_MAX));
    EXPECT(launched.clipMax == (affine ? 6.0F : FLT_MAX));
    std::map<ONNXTensorElementDataType, simam::Type> const types = {
        {ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, simam::Type::kFloat},
        {ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16, simam::Type::kHalf},
        {ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16, simam::Type::kBFloat16}};
    EXPECT(launched_type == types.at(op->GetInputType(op, 0)));
    EXPECT(op->GetOutputType(op, 0) == op->GetInputType(op, 0));
    if (affine) EXPECT(op->GetInputType(op, 1) == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT);
}

void check_what_is_not(OrtCustomOp const* op) {
    std::size_t const inputs = op->GetInputTypeCount(op);
    for (std::vector<std::int64_t> dims : {std::vector<std::int64_t>{0, 3, 5, 7}, {2, 3, 0, 7}}) {
        Context empty = given(inputs, dims);
        EXPECT(compute(op, empty).empty() && calls.empty() && empty.output.dims == dims);
    }
    // A fifth size of 4 would pass for the rank, if it were written behind the other four.
    for (std::vector<std::int64_t> dims : {std::vector<std::int64_t>{2, 3, 5}, {1, 2, 3, 4, 4}}) {
        Context other = given(inputs, dims);
        EXPECT(compute(op, other) == "SimAM takes (N, C, H, W)" && calls.empty());
    }
    if (inputs > 1) {
        Context short_bias = given(inputs, {2, 3, 5, 7});
        short_bias.inputs[2].dims = {2};
        EXPECT(compute(op, short_bias) == "SimAM's scale and bias have a value for each channel");
        EXPECT(calls.empty());
    }
    if (inputs > 3) {
        Context other = given(inputs, {2, 3, 5, 7});
        other.inputs[3].dims[3] = 8;
        EXPECT(compute(op, other) == "SimAM's residual has the shape of x" && calls.empty());
    }
}

void check_failures(OrtCustomOp const* op) {
    Context context = given(op->GetInputTypeCount(op), {2, 3, 5, 7});
    launch_answer = cudaErrorInvalidValue;
    EXPECT(compute(op, context) == "told by the runtime");
    EXPECT(calls.size() == 3 && calls[2].what == "free");  // the workspace is given back
    launch_answer = cudaSuccess;
    malloc_answer = cudaErrorMemoryAllocation;
    EXPECT(compute(op, context) == "told by the runtime");
    EXPECT(calls.size() == 1);
    malloc_answer = cudaSuccess;
}

// Elements beyond 2^31, which nothing here touches.
void check_sizes(OrtCustomOp const* op) {
    Context context = given(op->GetInputTypeCount(op), {3, 65536, 128, 128});
    EXPECT(compute(op, context).empty());
    EXPECT(launched.n * launched.c * launched.hw == std::int64_t{3} << 30);
    EXPECT(calls.at(0).bytes == std::size_t{21} << 30);
}

}  // namespace

size_t simam::workspaceSize(Params const& params, Type, Layout layout) noexcept {
    EXPECT(layout == Layout::kNCHW);
    return static_cast<size_t>(7 * params.n * params.c * params.hw);
}

cudaError_t simam::launch(Params const& params, Type type, Layout layout, void* workspace,
                          cudaStream_t on) noexcept {
    EXPECT(layout == Layout::kNCHW);
    launched = params;
    launched_type = type;
    calls.push_back({"launch", 0, workspace, on});
    return launch_answer;
}

extern "C" {
cudaError_t CUDARTAPI cudaMallocAsync(void** room, size_t bytes, cudaStream_t on) {
    *room = malloc_answer == cudaSuccess ? device : nullptr;
    calls.push_back({"malloc", bytes, *room, on});
    return malloc_answer;
}

cudaError_t CUDARTAPI cudaFreeAsync(void* room, cudaStream_t on) {
    calls.push_back({"free", 0, room, on});
    return cudaSuccess;
}

char const* CUDARTAPI cudaGetErrorString(cudaError_t) { return "told by the runtime"; }
}

int main() {
    check_registration();
    for (OrtCustomOp const* op : on_cuda()) {
        check_what_is_enqueued(op);
        check_what_is_not(op);
        check_failures(op);
        check_sizes(op);
    }
    for (Domain* domain : domains) delete domain;
    std::printf("%d wrong\n", failures);
    return failures != 0;
}
