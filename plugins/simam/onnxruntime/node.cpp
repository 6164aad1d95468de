#include "node.h"

#include <algorithm>
#include <cstdlib>

namespace simam::ort {
namespace {

Operator const& own(OrtCustomOp const* op) { return *static_cast<Operator const*>(op); }

OrtStatus* read_attributes(OrtKernelInfo const* info, bool blocked, Kernel& kernel) {
    auto number = [info](char const* name, float& value) {
        return api->KernelInfoGetAttribute_float(info, name, &value);
    };
    auto whole = [info](char const* name, std::int64_t& value) {
        return api->KernelInfoGetAttribute_int64(info, name, &value);
    };
    Status status;
    status.then([&] { return number("e_lambda", kernel.lambda); });
    if (kernel.kind != kPlain)
        status.then([&] { return number("clip_min", kernel.low); }).then([&] {
            return number("clip_max", kernel.high);
        });
    if (blocked)
        status.then([&] { return whole("block", kernel.block); })
            .then([&] { return whole("channels", kernel.channels); })
            .then([&] {
                bool const good = (kernel.block == 8 || kernel.block == 16) &&
                                  kernel.channels > 0 && kernel.channels <= INT32_MAX;
                return good ? nullptr : refuse("SimAM's blocks are of 8 or 16 channels");
            });
    return status.status();
}

OrtStatus* ORT_API_CALL create(OrtCustomOp const* op, OrtApi const*, OrtKernelInfo const* info,
                               void** made) {
    auto* const kernel = static_cast<Kernel*>(std::malloc(sizeof(Kernel)));
    if (!kernel) return api->CreateStatus(ORT_FAIL, "SimAM: no memory for an operator");
    *kernel = {};
    kernel->kind = own(op).kind;
    kernel->type = own(op).type;
    OrtStatus* const failed = read_attributes(info, own(op).blocked, *kernel);
    if (failed)
        std::free(kernel);
    else
        *made = kernel;
    return failed;
}

OrtStatus* ORT_API_CALL infer_shape(OrtCustomOp const*, OrtShapeInferContext* context) {
    OrtTensorTypeAndShapeInfo* x = nullptr;  // the context's, not to be released
    return Status()
        .then([&] { return api->ShapeInferContext_GetInputTypeShape(context, 0, &x); })
        .then([&] { return api->ShapeInferContext_SetOutputTypeShape(context, 0, x); })
        .status();
}

ONNXTensorElementDataType element_of(OrtCustomOp const* op) {
    switch (own(op).type) {
        case cpu::Type::kHalf: return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16;
        case cpu::Type::kBfloat16: return ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16;
        case cpu::Type::kDouble: return ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE;
        case cpu::Type::kFloat: break;
    }
    return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
}

void declare_inputs(Operator& op) {
    op.GetInputType = [](OrtCustomOp const* self, std::size_t index) {
        bool const of_channels = index == 1 || index == 2;  // scale and bias
        return of_channels ? ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT : element_of(self);
    };
    op.GetInputTypeCount = [](OrtCustomOp const* self) -> std::size_t {
        return own(self).kind == kPlain ? 1 : own(self).kind == kAffine ? 3 : 4;
    };
    op.GetInputCharacteristic = [](OrtCustomOp const*, std::size_t) {
        return INPUT_OUTPUT_REQUIRED;
    };
    op.GetInputMemoryType = [](OrtCustomOp const*, std::size_t) { return OrtMemTypeDefault; };
    op.GetVariadicInputMinArity = [](OrtCustomOp const*) { return 0; };
    op.GetVariadicInputHomogeneity = op.GetVariadicInputMinArity;
}

void declare_outputs(Operator& op) {
    op.GetOutputType = [](OrtCustomOp const* self, std::size_t) { return element_of(self); };
    op.GetOutputTypeCount = [](OrtCustomOp const*) -> std::size_t { return 1; };
    op.GetOutputCharacteristic = op.GetInputCharacteristic;
    op.GetVariadicOutputMinArity = op.GetVariadicInputMinArity;
    op.GetVariadicOutputHomogeneity = op.GetVariadicInputMinArity;
    op.InferOutputShapeFn = infer_shape;
}

// What follows the gate: scale and bias (C), and a residual of x's shape.
OrtStatus* read_epilogue(OrtKernelContext* context, Kind kind, Given& given) {
    Input scale, bias, residual;
    if (kind == kPlain) return nullptr;
    OrtStatus* failed = Status()
                            .then([&] { return read(context, 1, scale); })
                            .then([&] { return read(context, 2, bias); })
                            .status();
    if (failed) return failed;
    if (scale.rank != 1 || bias.rank != 1 || scale.dims[0] != given.channels ||
        bias.dims[0] != given.channels)
        return refuse("SimAM's scale and bias have a value for each channel");
    given.scale = static_cast<float const*>(scale.values);
    given.bias = static_cast<float const*>(bias.values);
    if (kind != kResidual) return nullptr;
    if (OrtStatus* status = read(context, 3, residual)) return status;
    if (residual.rank != 4 || !std::equal(given.dims, given.dims + 4, residual.dims))
        return refuse("SimAM's residual has the shape of x");
    given.residual = residual.values;
    return nullptr;
}

OrtStatus* read_map(OrtKernelContext* context, Kernel const& kernel, Given& given) {
    Input x;
    if (OrtStatus* status = read(context, 0, x)) return status;
    if (x.rank != 4) return refuse("SimAM takes (N, C, H, W)");
    std::copy(x.dims, x.dims + 4, given.dims);
    given.x = x.values;
    bool const blocked = kernel.block > 1;
    given.channels = blocked ? kernel.channels : x.dims[1];
    std::int64_t const padded = (given.channels + kernel.block - 1) / kernel.block * kernel.block;
    return padded == x.dims[1] ? nullptr : refuse("SimAM's blocks hold its channels");
}

}  // namespace

Operator declared(Kind kind, cpu::Type type, bool blocked) {
    Operator op{};
    op.version = kApiVersion;
    op.kind = kind;
    op.type = type;
    op.blocked = blocked;
    op.GetName = [](OrtCustomOp const* self) {
        static char const* const names[] = {"SimAM", "SimAMEpilogue", "SimAMResidualEpilogue"};
        return names[own(self).kind];
    };
    declare_inputs(op);
    declare_outputs(op);
    op.CreateKernelV2 = create;
    op.KernelDestroy = std::free;
    op.GetStartVersion = [](OrtCustomOp const*) { return 1; };
    op.GetEndVersion = op.GetStartVersion;
    return op;
}

OrtStatus* begin(OrtKernelContext* context, Kernel const& kernel, Given& given, void*& y) {
    given = {};
    OrtValue* output = nullptr;
    return Status()
        .then([&] { return read_map(context, kernel, given); })
        .then([&] { return read_epilogue(context, kernel.kind, given); })
        .then([&] { return api->KernelContext_GetOutput(context, 0, given.dims, 4, &output); })
        .then([&] { return api->GetTensorMutableData(output, &y); })
        .status();
}

}  // namespace simam::ort
