// The operators of the domain `simam` for ONNX Runtime's CPU provider, through its C API.
//
// A registered operator is taken in the place of the function of that name in a model. The API's
// version is 22, of ONNX Runtime 1.22: what comes later serves it as well.

#include "operators.h"

#include <algorithm>
#include <atomic>
#include <cfloat>
#include <cstdlib>
#include <iterator>
#include <memory>

#include "typed.h"

namespace simam::ort {
namespace {

constexpr std::uint32_t kApiVersion = 22;
constexpr std::int64_t kTask = 16384;  // elements of a task: 64 KB in and as much out, half an L2

OrtApi const* api = nullptr;
cpu::Way const& chosen = cpu::best();

enum Kind { kPlain, kAffine, kResidual };

struct Kernel {
    Kind kind;
    cpu::Type type;
    float lambda = 0, low = -FLT_MAX, high = FLT_MAX;
};

struct Operator : OrtCustomOp {
    Kind kind;
    cpu::Type type;
};

struct Work {
    cpu::TypedJob typed;
    std::int64_t planes, chunk;
    std::atomic<bool> failed{false};
};

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

OrtStatus* refuse(char const* why) { return api->CreateStatus(ORT_INVALID_ARGUMENT, why); }

struct Release {
    void operator()(OrtTensorTypeAndShapeInfo* info) const {
        api->ReleaseTensorTypeAndShapeInfo(info);
    }
};

// An input's values and its shape.
struct Input {
    void const* values = nullptr;
    std::int64_t dims[4] = {};
    std::size_t rank = 0;

    std::int64_t size() const {
        std::int64_t count = 1;
        for (std::size_t i = 0; i < std::min<std::size_t>(rank, 4); ++i) count *= dims[i];
        return count;
    }
};

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

// What follows the gate: scale and bias (C), and a residual of x's shape.
OrtStatus* read_epilogue(OrtKernelContext* context, Kind kind, Input const& x,
                         cpu::TypedJob& typed) {
    cpu::Job& job = typed.job;
    Input scale, bias, residual;
    if (kind == kPlain) return nullptr;
    OrtStatus* failed = Status()
                            .then([&] { return read(context, 1, scale); })
                            .then([&] { return read(context, 2, bias); })
                            .status();
    if (failed) return failed;
    if (scale.rank != 1 || bias.rank != 1 || scale.dims[0] != job.channels ||
        bias.dims[0] != job.channels)
        return refuse("SimAM's scale and bias have a value for each channel");
    job.scale = static_cast<float const*>(scale.values);
    job.bias = static_cast<float const*>(bias.values);
    if (kind != kResidual) return nullptr;
    if (OrtStatus* status = read(context, 3, residual)) return status;
    if (residual.rank != 4 || !std::equal(x.dims, x.dims + 4, residual.dims))
        return refuse("SimAM's residual has the shape of x");
    typed.residual = residual.values;
    return nullptr;
}

void compute_task(void* data, std::size_t number) {
    auto& work = *static_cast<Work*>(data);
    std::int64_t const first = static_cast<std::int64_t>(number) * work.chunk;
    std::int64_t const last = std::min(work.planes, first + work.chunk);
    if (!cpu::typed_planes(chosen, work.typed, first, last)) work.failed = true;
}

OrtStatus* ORT_API_CALL compute(void* self, OrtKernelContext* context) {
    auto const& kernel = *static_cast<Kernel const*>(self);
    Input x;
    if (OrtStatus* status = read(context, 0, x)) return status;
    if (x.rank != 4) return refuse("SimAM takes (N, C, H, W)");
    Work work;
    work.typed = {};
    cpu::Job& job = work.typed.job;
    work.typed.type = kernel.type;
    work.typed.x = x.values;
    job.channels = x.dims[1];
    job.hw = x.dims[2] * x.dims[3];
    job.lambda = kernel.lambda;
    job.low = kernel.low;
    job.high = kernel.high;
    OrtValue* output = nullptr;
    OrtStatus* failed =
        Status()
            .then([&] { return read_epilogue(context, kernel.kind, x, work.typed); })
            .then([&] { return api->KernelContext_GetOutput(context, 0, x.dims, 4, &output); })
            .then([&] { return api->GetTensorMutableData(output, &work.typed.y); })
            .status();
    if (failed || x.size() == 0) return failed;
    work.planes = x.dims[0] * x.dims[1];
    work.chunk = std::max<std::int64_t>(1, kTask / job.hw);
    auto const tasks = static_cast<std::size_t>((work.planes + work.chunk - 1) / work.chunk);
    failed = api->KernelContext_ParallelFor(context, compute_task, tasks, 0, &work);
    if (failed || !work.failed) return failed;
    return api->CreateStatus(ORT_RUNTIME_EXCEPTION, "SimAM: no memory for a plane of float32");
}

OrtStatus* ORT_API_CALL create(OrtCustomOp const* op, OrtApi const*, OrtKernelInfo const* info,
                               void** made) {
    auto* const kernel = static_cast<Kernel*>(std::malloc(sizeof(Kernel)));
    if (!kernel) return api->CreateStatus(ORT_FAIL, "SimAM: no memory for an operator");
    *kernel = {};
    kernel->kind = static_cast<Operator const*>(op)->kind;
    kernel->type = static_cast<Operator const*>(op)->type;
    auto attribute = [info](char const* name, float& value) {
        return api->KernelInfoGetAttribute_float(info, name, &value);
    };
    Status status;
    status.then([&] { return attribute("e_lambda", kernel->lambda); });
    if (kernel->kind != kPlain)
        status.then([&] { return attribute("clip_min", kernel->low); }).then([&] {
            return attribute("clip_max", kernel->high);
        });
    if (status.status())
        std::free(kernel);
    else
        *made = kernel;
    return status.status();
}

OrtStatus* ORT_API_CALL infer_shape(OrtCustomOp const*, OrtShapeInferContext* context) {
    OrtTensorTypeAndShapeInfo* x = nullptr;  // the context's, not to be released
    return Status()
        .then([&] { return api->ShapeInferContext_GetInputTypeShape(context, 0, &x); })
        .then([&] { return api->ShapeInferContext_SetOutputTypeShape(context, 0, x); })
        .status();
}

Kind kind_of(OrtCustomOp const* op) { return static_cast<Operator const*>(op)->kind; }

ONNXTensorElementDataType element_of(OrtCustomOp const* op) {
    switch (static_cast<Operator const*>(op)->type) {
        case cpu::Type::kHalf: return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16;
        case cpu::Type::kBfloat16: return ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16;
        case cpu::Type::kDouble: return ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE;
        case cpu::Type::kFloat: break;
    }
    return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
}

Operator made(Kind kind, cpu::Type type) {
    Operator op{};
    op.version = kApiVersion;
    op.kind = kind;
    op.type = type;
    op.GetName = [](OrtCustomOp const* self) {
        static char const* const names[] = {"SimAM", "SimAMEpilogue", "SimAMResidualEpilogue"};
        return names[kind_of(self)];
    };
    op.GetExecutionProviderType = [](OrtCustomOp const*) { return "CPUExecutionProvider"; };
    op.GetInputType = [](OrtCustomOp const* self, std::size_t index) {
        bool const of_channels = index == 1 || index == 2;  // scale and bias
        return of_channels ? ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT : element_of(self);
    };
    op.GetOutputType = [](OrtCustomOp const* self, std::size_t) { return element_of(self); };
    op.GetInputTypeCount = [](OrtCustomOp const* self) -> std::size_t {
        return kind_of(self) == kPlain ? 1 : kind_of(self) == kAffine ? 3 : 4;
    };
    op.GetOutputTypeCount = [](OrtCustomOp const*) -> std::size_t { return 1; };
    op.GetInputCharacteristic = [](OrtCustomOp const*, std::size_t) {
        return INPUT_OUTPUT_REQUIRED;
    };
    op.GetOutputCharacteristic = op.GetInputCharacteristic;
    op.GetInputMemoryType = [](OrtCustomOp const*, std::size_t) { return OrtMemTypeDefault; };
    op.GetVariadicInputMinArity = [](OrtCustomOp const*) { return 0; };
    op.GetVariadicInputHomogeneity = op.GetVariadicInputMinArity;
    op.GetVariadicOutputMinArity = op.GetVariadicInputMinArity;
    op.GetVariadicOutputHomogeneity = op.GetVariadicInputMinArity;
    op.CreateKernelV2 = create;
    op.KernelComputeV2 = compute;
    op.KernelDestroy = std::free;
    op.InferOutputShapeFn = infer_shape;
    op.GetStartVersion = [](OrtCustomOp const*) { return 1; };
    op.GetEndVersion = op.GetStartVersion;
    // A plane is read to its end before any of it is written, and no plane sees another.
    op.GetMayInplace = [](int** inputs, int** outputs) -> std::size_t {
        static int first[] = {0};
        *inputs = *outputs = first;
        return 1;
    };
    op.ReleaseMayInplace = [](int*, int*) {};
    return op;
}

constexpr Kind kKinds[] = {kPlain, kAffine, kResidual};
constexpr cpu::Type kTypes[] = {cpu::Type::kFloat, cpu::Type::kHalf, cpu::Type::kBfloat16,
                                cpu::Type::kDouble};

// Every operator in every type, in a domain that all sessions share and that is never freed.
OrtStatus* make_domain(OrtCustomOpDomain*& domain) {
    static Operator operators[std::size(kKinds) * std::size(kTypes)];
    Status status;
    status.then([&] { return api->CreateCustomOpDomain("simam", &domain); });
    Operator* next = operators;
    for (Kind kind : kKinds)
        for (cpu::Type type : kTypes) {
            *next = made(kind, type);
            status.then([&] { return api->CustomOpDomain_Add(domain, next); });
            ++next;
        }
    return status.status();
}

}  // namespace

OrtStatus* add_operators(OrtSessionOptions* options, OrtApiBase const* base) {
    static std::atomic_flag turn = ATOMIC_FLAG_INIT;
    static OrtCustomOpDomain* domain = nullptr;
    OrtApi const* const found = base->GetApi(kApiVersion);
    if (found == nullptr) return nullptr;  // older than 1.22: the model's functions serve it
    while (turn.test_and_set(std::memory_order_acquire)) {
    }
    api = found;
    OrtStatus* failed = domain == nullptr ? make_domain(domain) : nullptr;
    turn.clear(std::memory_order_release);
    return failed ? failed : api->AddCustomOpDomain(options, domain);
}

}  // namespace simam::ort
