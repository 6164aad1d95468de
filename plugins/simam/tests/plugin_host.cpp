// Drives SimAM's plugins through TensorRT's public interfaces, on the host; nothing reaches a GPU.
//
//     plugin_host --list     the checks
//     plugin_host CHECK      runs one; exit status 1 and the failed lines on stderr
//     plugin_host contract   and `formats`: what is compared outside, on stdout
#include <cfloat>
#include <cmath>
#include <limits>

#include "harness.h"

namespace {

using ::create;

constexpr float kMax = FLT_MAX;
constexpr int32_t kX = 0, kScale = 1, kBias = 2, kResidual = 3;

struct Operator {
    char const* name;
    int32_t inputs;
};
constexpr Operator kOperators[] = {
    {"SimAM", 1}, {"SimAMEpilogue", 3}, {"SimAMResidualEpilogue", 4}};

std::unique_ptr<IPluginV3> create(std::string const& name, float lambda, float low = -kMax,
                                  float high = kMax) {
    std::vector<PluginField> fields{field("e_lambda", &lambda)};
    if (name != "SimAM") {
        fields.push_back(field("clip_max", &high));  // Order is nobody's business.
        fields.push_back(field("clip_min", &low));
    }
    return create(name, fields);
}

// x, scale, bias, residual and, last, y.
std::vector<PluginTensorDesc> tensors(int32_t inputs, std::vector<int64_t> const& dims,
                                      DataType type = DataType::kFLOAT,
                                      TensorFormat format = TensorFormat::kLINEAR) {
    std::vector<PluginTensorDesc> all;
    for (int32_t i = 0; i < inputs; ++i) {
        bool const vector = i == kScale || i == kBias;
        all.push_back(vector ? tensor({dims[1]}) : tensor(dims, type, format));
    }
    all.push_back(tensor(dims, type, format));
    return all;
}

// Name, inputs and attributes of each operator, for comparison with simam_deploy/op/contract.py.
void contract() {
    for (Operator const& op : kOperators) {
        IPluginCreatorV3One& creator = creatorOf(op.name);
        std::printf("%s %s %s %d", creator.getPluginNamespace(), creator.getPluginVersion(),
                    creator.getPluginName(), op.inputs);
        PluginFieldCollection const& fields = *creator.getFieldNames();
        for (int32_t i = 0; i < fields.nbFields; ++i) {
            CHECK(fields.fields[i].type == PluginFieldType::kFLOAT32);
            CHECK(fields.fields[i].length == 1);
            std::printf(" %s", fields.fields[i].name);
        }
        std::printf("\n");
    }
}

// The numbers of type and format of every x that is taken.
void formats() {
    auto const plugin = create("SimAM", 0.1F);
    forEachCombination([&](DataType type, TensorFormat format) {
        auto const io = dynamic(tensors(1, {2, 3, 5, 7}, type, format));
        if (build(*plugin).supportsFormatCombination(kX, io.data(), 1, 1)) {
            std::printf("%d %d\n", static_cast<int32_t>(type), static_cast<int32_t>(format));
        }
    });
}

// Beside any x: scale and bias linear float32, residual and y as x, in every operator.
void theOtherTensors() {
    auto const x = dynamic(tensors(1, {2, 3, 5, 7}, DataType::kHALF, TensorFormat::kHWC8))[0];
    for (Operator const& op : kOperators) {
        auto const plugin = create(op.name, 0.1F);
        for (int32_t pos = 1; pos <= op.inputs; ++pos) {
            bool const vector = pos < op.inputs && (pos == kScale || pos == kBias);
            forEachCombination([&](DataType type, TensorFormat format) {
                std::vector<DynamicPluginTensorDesc> io(op.inputs + 1U, x);
                io[pos].desc.type = type;
                io[pos].desc.format = format;
                bool const wanted =
                    vector ? type == DataType::kFLOAT && format == TensorFormat::kLINEAR
                           : type == DataType::kHALF && format == TensorFormat::kHWC8;
                CHECK(build(*plugin).supportsFormatCombination(pos, io.data(), op.inputs, 1) ==
                      wanted);
            });
        }
        std::vector<DynamicPluginTensorDesc> const io(8, x);
        CHECK(!build(*plugin).supportsFormatCombination(op.inputs + 1, io.data(), op.inputs, 1));
        CHECK(!build(*plugin).supportsFormatCombination(0, io.data(), op.inputs + 1, 1));
        CHECK(!build(*plugin).supportsFormatCombination(0, io.data(), op.inputs, 2));
    }
}

void capabilities() {
    for (Operator const& op : kOperators) {
        auto const plugin = create(op.name, 0.1F);
        CHECK(std::strcmp(core(*plugin).getInterfaceInfo().kind, "PLUGIN_V3ONE_CORE") == 0);
        CHECK(std::strcmp(build(*plugin).getInterfaceInfo().kind, "PLUGIN_V3ONE_BUILD") == 0);
        CHECK(build(*plugin).getInterfaceInfo().major == 1);
        CHECK(std::strcmp(runtime(*plugin).getInterfaceInfo().kind, "PLUGIN_V3ONE_RUNTIME") == 0);
        CHECK(std::strcmp(core(*plugin).getPluginName(), op.name) == 0);
        CHECK(std::strcmp(core(*plugin).getPluginVersion(), "1") == 0);
        CHECK(std::strcmp(core(*plugin).getPluginNamespace(), "simam") == 0);
        CHECK(build(*plugin).getNbOutputs() == 1);
        CHECK(plugin->getCapabilityInterface(static_cast<PluginCapabilityType>(9)) == nullptr);
    }
}

void badAttributes() {
    float const l = 0.1F, low = 0.0F, high = 6.0F;
    float const nan = std::nanf(""), infinite = std::numeric_limits<float>::infinity();
    float const negative = -0.1F;
    double const wide = 0.1;
    PluginField const lambda = field("e_lambda", &l);
    PluginField const least = field("clip_min", &low), most = field("clip_max", &high);
    refused("SimAM", {}, "attribute e_lambda is missing");
    refused("SimAM", {field("lambda", &l)}, "unknown attribute lambda");
    refused("SimAM", {lambda, least}, "unknown attribute clip_min");
    refused("SimAM", {field(nullptr, &l)}, "unknown attribute (no name)");
    refused("SimAM", {lambda, lambda}, "e_lambda is given twice");
    refused("SimAM", {field("e_lambda", &wide, 1, PluginFieldType::kFLOAT64)},
            "e_lambda must be one float32, got type 2");
    refused("SimAM", {field("e_lambda", &l, 0)}, "e_lambda must be one float32");
    refused("SimAM", {field("e_lambda", &l, 2)},
            "e_lambda must be one float32, got type 1 of length 2");
    refused("SimAM", {field("e_lambda", nullptr)}, "e_lambda must be one float32");
    refused("SimAM", {field("e_lambda", &nan)}, "e_lambda must be finite and not negative");
    refused("SimAM", {field("e_lambda", &infinite)}, "e_lambda must be finite");
    refused("SimAM", {field("e_lambda", &negative)},
            "e_lambda must be finite and not negative, got -0.1");
    for (char const* op : {"SimAMEpilogue", "SimAMResidualEpilogue"}) {
        refused(op, {least, most}, "attribute e_lambda is missing");
        refused(op, {lambda, most}, "attribute clip_min is missing");
        refused(op, {lambda, least}, "attribute clip_max is missing");
        refused(op, {lambda, field("clip_min", &high), field("clip_max", &low)},
                "clip_min must not be above clip_max, got 6.000000 and 0.000000");
        refused(op, {lambda, field("clip_min", &nan), most}, "clip_min must not");
        refused(op, {lambda, least, field("clip_max", &nan)}, "clip_min must not");
    }
    auto const none = std::unique_ptr<IPluginV3>(
        creatorOf("SimAM").createPlugin(nullptr, nullptr, TensorRTPhase::kBUILD));
    CHECK(none == nullptr);
    CHECK(logged("SimAM (no name): attribute e_lambda is missing"));
}

void goodAttributes() {
    float const infinite = std::numeric_limits<float>::infinity();
    CHECK(create("SimAM", 0.0F) != nullptr);
    CHECK(create("SimAM", 1e-4F) != nullptr);
    CHECK(create("SimAMEpilogue", 0.1F, 0.0F, 0.0F) != nullptr);
    CHECK(create("SimAMResidualEpilogue", 0.1F, -infinite, infinite) != nullptr);
    CHECK(logger.errors.empty());
}

std::map<std::string, float> serialised(IPluginV3& plugin) {
    std::map<std::string, float> values;
    PluginFieldCollection const& fields = *runtime(plugin).getFieldsToSerialize();
    for (int32_t i = 0; i < fields.nbFields; ++i) {
        PluginField const& one = fields.fields[i];
        CHECK(one.type == PluginFieldType::kFLOAT32 && one.length == 1);
        values[one.name] = *static_cast<float const*>(one.data);
    }
    return values;
}

// Through a plan, a clone and a context, each behind the death of the one before.
void roundTrip() {
    float const odd = std::nextafterf(0.1F, 1.0F);
    for (Operator const& op : kOperators) {
        std::map<std::string, float> const wanted =
            op.inputs == 1 ? std::map<std::string, float>{{"e_lambda", odd}}
                           : std::map<std::string, float>{
                                 {"e_lambda", odd}, {"clip_min", -0.25F}, {"clip_max", 6.5F}};
        auto plugin = create(op.name, odd, -0.25F, 6.5F);
        CHECK(serialised(*plugin) == wanted);
        plugin.reset(creatorOf(op.name).createPlugin(
            "layer", runtime(*plugin).getFieldsToSerialize(), TensorRTPhase::kRUNTIME));
        CHECK(serialised(*plugin) == wanted);
        plugin.reset(plugin->clone());
        CHECK(serialised(*plugin) == wanted);
        plugin.reset(runtime(*plugin).attachToContext(nullptr));
        CHECK(serialised(*plugin) == wanted);
        CHECK(std::strcmp(core(*plugin).getPluginName(), op.name) == 0);
    }
}

std::string idOf(std::unique_ptr<IPluginV3> const& plugin) {
    return build(*plugin).getTimingCacheID();
}

void timingCacheId() {
    std::string const id = idOf(create("SimAMEpilogue", 0.1F, 0.0F, 6.0F));
    CHECK(id == idOf(create("SimAMEpilogue", 0.1F, 0.0F, 6.0F)));
    CHECK(id != idOf(create("SimAMResidualEpilogue", 0.1F, 0.0F, 6.0F)));
    CHECK(id != idOf(create("SimAMEpilogue", std::nextafterf(0.1F, 1.0F), 0.0F, 6.0F)));
    CHECK(id != idOf(create("SimAMEpilogue", 0.1F, -1.0F, 6.0F)));
    CHECK(id != idOf(create("SimAMEpilogue", 0.1F, 0.0F, kMax)));
    auto const plain = create("SimAM", 0.1F);
    CHECK(idOf(plain).find("clip") == std::string::npos);
    std::unique_ptr<IPluginV3> const clone(plain->clone());
    CHECK(idOf(plain) == idOf(clone));
}

struct Expressions final : IExprBuilder {};

int32_t shapesOf(IPluginV3& plugin, std::vector<int32_t> const& ranks, DimsExprs& output) {
    std::vector<DimsExprs> inputs(ranks.size());
    char marks[4][4];  // Expressions to be told apart, never looked into.
    for (size_t i = 0; i < ranks.size(); ++i) {
        inputs[i].nbDims = ranks[i];
        for (int32_t k = 0; k < ranks[i] && k < 4; ++k) {
            inputs[i].d[k] = reinterpret_cast<IDimensionExpr const*>(&marks[i % 4][k]);
        }
    }
    Expressions expressions;
    int32_t const answer =
        build(plugin).getOutputShapes(inputs.data(), static_cast<int32_t>(inputs.size()), nullptr,
                                      0, &output, 1, expressions);
    if (answer == 0) {
        CHECK(output.nbDims == 4 && std::equal(output.d, output.d + 4, inputs[0].d));
    }
    return answer;
}

void outputShapes() {
    DimsExprs output{};
    CHECK(shapesOf(*create("SimAM", 0.1F), {4}, output) == 0);
    CHECK(shapesOf(*create("SimAMEpilogue", 0.1F), {4, 1, 1}, output) == 0);
    auto const plugin = create("SimAMResidualEpilogue", 0.1F);
    CHECK(shapesOf(*plugin, {4, 1, 1, 4}, output) == 0);
    CHECK(logger.errors.empty());
    CHECK(shapesOf(*plugin, {3, 1, 1, 4}, output) != 0);
    CHECK(logged("input 0 must have 4 dimensions, got 3"));
    CHECK(shapesOf(*plugin, {4, 1, 4, 4}, output) != 0);
    CHECK(logged("input 2 must have 1 dimensions, got 4"));
    CHECK(shapesOf(*plugin, {4, 1, 1, 5}, output) != 0);
    CHECK(logged("input 3 must have 4 dimensions, got 5"));
    CHECK(shapesOf(*plugin, {4, 1, 1}, output) != 0);
    CHECK(logged("takes 4 inputs"));
}

void outputTypes() {
    auto const plugin = create("SimAMEpilogue", 0.1F);
    for (DataType type : {DataType::kFLOAT, DataType::kHALF, DataType::kBF16}) {
        DataType const inputs[] = {type, DataType::kFLOAT, DataType::kFLOAT};
        DataType output = DataType::kBOOL;
        CHECK(build(*plugin).getOutputDataTypes(&output, 1, inputs, 3) == 0);
        CHECK(output == type);
        CHECK(build(*plugin).getOutputDataTypes(&output, 1, inputs, 2) != 0);
        CHECK(logged("takes 3 inputs and gives one output, got 2 and 1"));
    }
}

int32_t change(IPluginV3& plugin, std::vector<PluginTensorDesc> const& all) {
    auto const inputs = static_cast<int32_t>(all.size()) - 1;
    return runtime(plugin).onShapeChange(all.data(), inputs, &all.back(), 1);
}

void shapeChange() {
    for (Operator const& op : kOperators) {
        auto const plugin = create(op.name, 0.1F);
        CHECK(change(*plugin, tensors(op.inputs, {2, 3, 5, 7})) == 0);
        CHECK(change(*plugin, tensors(op.inputs, {0, 3, 5, 7})) == 0);
        auto wrong = tensors(op.inputs, {2, 3, 5, 7});
        wrong.back().dims.d[3] = 8;
        CHECK(change(*plugin, wrong) != 0);
        CHECK(logged("x and y must be one (N, C, H, W)"));
        for (int32_t i = 1; i < op.inputs; ++i) {
            wrong = tensors(op.inputs, {2, 3, 5, 7});
            wrong[i].dims.d[0] += 1;
            CHECK(change(*plugin, wrong) != 0);
            CHECK(logged(i == kResidual ? "the residual must have the shape of x"
                                        : "scale and bias must be (C,)"));
        }
    }
}

// What the kernel is asked for: (2, 5, 3, 7) in every operator, type and layout.
void enqueue() {
    struct Case {
        TensorFormat format;
        simam::Layout layout;
        int64_t pitch;
    };
    auto* const stream = reinterpret_cast<cudaStream_t>(0x50);
    float buffers[6]{};
    void const* inputs[] = {&buffers[0], &buffers[1], &buffers[2], &buffers[3]};
    void* outputs[] = {&buffers[4]};
    std::pair<DataType, simam::Type> const types[] = {{DataType::kFLOAT, simam::Type::kFloat},
                                                      {DataType::kHALF, simam::Type::kHalf},
                                                      {DataType::kBF16, simam::Type::kBFloat16}};
    for (Operator const& op : kOperators) {
        auto const plugin = create(op.name, 0.3F, -1.0F, 6.0F);
        for (auto const& [type, kernelType] : types) {
            for (Case const& one : {Case{TensorFormat::kLINEAR, simam::Layout::kNCHW, 0},
                                    Case{TensorFormat::kHWC, simam::Layout::kNHWC, 5},
                                    Case{TensorFormat::kHWC8, simam::Layout::kNHWC, 8}}) {
                auto const all = tensors(op.inputs, {2, 5, 3, 7}, type, one.format);
                kernel.launches.clear();
                CHECK(runtime(*plugin).enqueue(all.data(), &all.back(), inputs, outputs,
                                               &buffers[5], stream) == 0);
                CHECK(kernel.launches.size() == 1);
                Launch const& launch = kernel.launches.at(0);
                simam::Params const& params = launch.params;
                CHECK(launch.type == kernelType && launch.layout == one.layout);
                CHECK(launch.workspace == &buffers[5] && launch.stream == stream);
                CHECK(params.x == inputs[0] && params.y == outputs[0]);
                CHECK(params.n == 2 && params.c == 5 && params.hw == 21);
                CHECK(one.layout == simam::Layout::kNCHW || params.pitch == one.pitch);
                CHECK(params.lambda == 0.3F);
                bool const fused = op.inputs > 1;
                CHECK(params.scale == (fused ? inputs[kScale] : nullptr));
                CHECK(params.bias == (fused ? inputs[kBias] : nullptr));
                CHECK(params.residual == (op.inputs == 4 ? inputs[kResidual] : nullptr));
                CHECK(params.clipMin == (fused ? -1.0F : -kMax));
                CHECK(params.clipMax == (fused ? 6.0F : kMax));
            }
        }
    }
    auto const plugin = create("SimAM", 0.3F);
    auto const all = tensors(1, {2, 5, 3, 7});
    kernel.answer = cudaErrorInvalidValue;
    CHECK(runtime(*plugin).enqueue(all.data(), &all.back(), inputs, outputs, nullptr, stream) != 0);
    CHECK(logged("SimAM: CUDA: told by the runtime"));
}

// By the profile's largest shape; 65536 * 512 * 64 elements do not fit 32 bits.
void workspace() {
    auto const plugin = create("SimAMEpilogue", 0.1F);
    auto io = dynamic(tensors(3, {-1, 512, -1, -1}, DataType::kHALF, TensorFormat::kHWC8));
    io[kX].max = tensor({65536, 512, 8, 8}).dims;
    CHECK(build(*plugin).getWorkspaceSize(io.data(), 3, &io[3], 1) == 7ULL * 65536 * 512 * 64);
    CHECK(kernel.workspaces.size() == 1);
    CHECK(kernel.workspaces.at(0).type == simam::Type::kHalf);
    CHECK(kernel.workspaces.at(0).layout == simam::Layout::kNHWC);
    CHECK(kernel.workspaces.at(0).params.pitch == 512);
}

// Without a finder, and with one that finds nothing, messages go to stderr.
void noLogger() {
    setLoggerFinder(nullptr);
    CHECK(create("SimAM", -1.0F) == nullptr);
    finder.logger = nullptr;
    setLoggerFinder(&finder);
    CHECK(create("SimAM", -1.0F) == nullptr);
    CHECK(logger.errors.empty());
}

std::map<std::string, void (*)()> const kChecks{
    {"bad_attributes", badAttributes}, {"capabilities", capabilities},
    {"contract", contract},            {"enqueue", enqueue},
    {"formats", formats},              {"good_attributes", goodAttributes},
    {"no_logger", noLogger},           {"other_tensors", theOtherTensors},
    {"output_shapes", outputShapes},   {"output_types", outputTypes},
    {"round_trip", roundTrip},         {"shape_change", shapeChange},
    {"timing_cache_id", timingCacheId}, {"workspace", workspace},
};

}  // namespace

int main(int count, char** arguments) { return runChecks(kChecks, count, arguments); }
