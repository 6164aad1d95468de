// Drives a detector's two plugins through TensorRT's public interfaces, on the host.
//
//     detection_host --list     the checks
//     detection_host CHECK      runs one; exit status 1 and the failed lines on stderr
//     detection_host contract   and `formats`: what is compared outside, on stdout
#include <cmath>
#include <cstdint>
#include <deque>
#include <limits>

#include "harness.h"

namespace {

using ::create;

constexpr char const* kAlign = "MultilevelRoIAlign";
constexpr char const* kNms = "BatchedNMS";
constexpr auto kReal = PluginFieldType::kFLOAT32;
constexpr auto kWhole = PluginFieldType::kINT32;

struct AlignValues {
    int32_t size = 7, ratio = 0;
    float finest = 56.0F;

    std::vector<PluginField> fields() const {
        return {field("finest_scale", &finest), field("output_size", &size, 1, kWhole),
                field("sampling_ratio", &ratio, 1, kWhole)};
    }
};

struct NmsValues {
    float threshold = 0.5F;
    int32_t groups = 80;

    std::vector<PluginField> fields() const {
        return {field("num_groups", &groups, 1, kWhole), field("iou_threshold", &threshold)};
    }
};

std::unique_ptr<IPluginV3> align(AlignValues const& values = {}) {
    return create(kAlign, values.fields());
}

std::unique_ptr<IPluginV3> nms(NmsValues const& values = {}) {
    return create(kNms, values.fields());
}

// rois, four maps and, last, y.
std::vector<PluginTensorDesc> alignTensors(DataType type = DataType::kFLOAT,
                                           TensorFormat format = TensorFormat::kLINEAR) {
    std::vector<PluginTensorDesc> all{tensor({2, 9, 4})};
    for (int64_t const size : {32, 16, 8, 4}) {
        all.push_back(tensor({2, 5, size, 2 * size}, type, format));
    }
    all.push_back(tensor({18, 5, 7, 7}, type, format));
    return all;
}

std::vector<PluginTensorDesc> nmsTensors(DataType groups = DataType::kINT64, int64_t boxes = 9) {
    return {tensor({2, boxes, 4}), tensor({2, boxes}), tensor({2, boxes}, groups),
            tensor({2, boxes})};
}

void contractOf(char const* name, size_t tensors) {
    IPluginCreatorV3One& creator = creatorOf(name);
    std::printf("%s %s %s %zu", creator.getPluginNamespace(), creator.getPluginVersion(),
                creator.getPluginName(), tensors - 1);
    PluginFieldCollection const& fields = *creator.getFieldNames();
    for (int32_t i = 0; i < fields.nbFields; ++i) {
        CHECK(fields.fields[i].length == 1 && fields.fields[i].data == nullptr);
        std::printf(" %s:%s", fields.fields[i].name,
                    fields.fields[i].type == kReal ? "float" : "int");
    }
    std::printf("\n");
}

// For comparison with simam_deploy/op/detection.py.
void contract() {
    contractOf(kAlign, alignTensors().size());
    contractOf(kNms, nmsTensors().size());
}

bool takes(IPluginV3& plugin, std::vector<PluginTensorDesc> const& all, size_t pos) {
    auto const io = dynamic(all);
    return build(plugin).supportsFormatCombination(static_cast<int32_t>(pos), io.data(),
                                                   static_cast<int32_t>(all.size()) - 1, 1);
}

// The numbers of type and format of every map that is taken.
void formats() {
    auto const plugin = align();
    forEachCombination([&](DataType type, TensorFormat format) {
        if (takes(*plugin, alignTensors(type, format), 1)) {
            std::printf("%d %d\n", static_cast<int32_t>(type), static_cast<int32_t>(format));
        }
    });
}

// Beside a first map in half and kHWC8: rois linear float32, the maps as it, y likewise or linear.
void otherTensors() {
    auto const plugin = align();
    for (size_t pos = 0; pos < 6; ++pos) {
        forEachCombination([&](DataType type, TensorFormat format) {
            auto all = alignTensors(DataType::kHALF, TensorFormat::kHWC8);
            if (pos == 1) {
                return;
            }
            all[pos].type = type;
            all[pos].format = format;
            bool const linear = format == TensorFormat::kLINEAR;
            bool const alike = format == TensorFormat::kHWC8 || (pos == 5 && linear);
            bool const wanted = pos == 0 ? type == DataType::kFLOAT && linear
                                         : type == DataType::kHALF && alike;
            CHECK(takes(*plugin, all, pos) == wanted);
        });
    }
    auto const io = dynamic(std::vector<PluginTensorDesc>(9, tensor({2, 9, 4})));
    CHECK(!build(*plugin).supportsFormatCombination(6, io.data(), 5, 1));
    CHECK(!build(*plugin).supportsFormatCombination(-1, io.data(), 5, 1));
    CHECK(!build(*plugin).supportsFormatCombination(0, io.data(), 4, 1));
    CHECK(!build(*plugin).supportsFormatCombination(0, io.data(), 5, 2));
}

void nmsFormats() {
    auto const plugin = nms();
    for (size_t pos = 0; pos < 4; ++pos) {
        forEachCombination([&](DataType type, TensorFormat format) {
            auto all = nmsTensors();
            all[pos].type = type;
            all[pos].format = format;
            bool const whole = type == DataType::kINT64 || type == DataType::kINT32;
            bool const right = pos == 2 ? whole : type == DataType::kFLOAT;
            CHECK(takes(*plugin, all, pos) == (right && format == TensorFormat::kLINEAR));
        });
    }
    CHECK(!takes(*plugin, nmsTensors(), 4));
}

void alignAttributes() {
    int32_t const seven = 7, zero = 0, below = -1, most = 129, huge = INT32_MAX;
    int64_t const wide = 7;
    float const real = 56.0F, none = 0.0F, nan = std::nanf(""), negative = -56.0F;
    float const infinite = std::numeric_limits<float>::infinity();
    PluginField const size = field("output_size", &seven, 1, kWhole);
    PluginField const ratio = field("sampling_ratio", &zero, 1, kWhole);
    PluginField const finest = field("finest_scale", &real);
    refused(kAlign, {ratio, finest}, "attribute output_size is missing");
    refused(kAlign, {size, finest}, "attribute sampling_ratio is missing");
    refused(kAlign, {size, ratio}, "attribute finest_scale is missing");
    refused(kAlign, {size, ratio, finest, size}, "output_size is given twice");
    refused(kAlign, {size, ratio, finest, field("aligned", &seven, 1, kWhole)},
            "unknown attribute aligned");
    refused(kAlign, {field("output_size", &real), ratio, finest},
            "output_size must be one int32, got type 1 of length 1");
    refused(kAlign, {field("output_size", &wide, 1, PluginFieldType::kINT64), ratio, finest},
            "output_size must be one int32");
    refused(kAlign, {field("output_size", &seven, 2, kWhole), ratio, finest},
            "output_size must be one int32, got type 5 of length 2");
    refused(kAlign, {field("output_size", nullptr, 1, kWhole), ratio, finest},
            "output_size must be one int32");
    refused(kAlign, {size, ratio, field("finest_scale", &seven, 1, kWhole)},
            "finest_scale must be one float32");
    for (int32_t const* const wrong : {&zero, &below, &most, &huge}) {
        refused(kAlign, {field("output_size", wrong, 1, kWhole), ratio, finest},
                "output_size must be 1 to 128, got ");
    }
    for (int32_t const* const wrong : {&below, &most, &huge}) {
        refused(kAlign, {size, field("sampling_ratio", wrong, 1, kWhole), finest},
                "sampling_ratio must be 0 to 128, got ");
    }
    for (float const* const wrong : {&none, &nan, &negative, &infinite}) {
        refused(kAlign, {size, ratio, field("finest_scale", wrong)},
                "finest_scale must be finite and above 0, got ");
    }
    CHECK(align() != nullptr && align({1, 128, 1e-30F}) != nullptr);
    CHECK(align({128, 0, 1e30F}) != nullptr);
    CHECK(logger.errors.empty());
}

void nmsAttributes() {
    int32_t const one = 1, zero = 0, below = INT32_MIN;
    float const half = 0.5F, nan = std::nanf(""), negative = -0.01F, above = 1.01F;
    PluginField const threshold = field("iou_threshold", &half);
    PluginField const groups = field("num_groups", &one, 1, kWhole);
    refused(kNms, {}, "attribute iou_threshold is missing");
    refused(kNms, {threshold}, "attribute num_groups is missing");
    refused(kNms, {threshold, field(nullptr, &one)}, "unknown attribute (no name)");
    for (int32_t const* const wrong : {&zero, &below}) {
        refused(kNms, {threshold, field("num_groups", wrong, 1, kWhole)},
                "num_groups must be 1 to 2147483647, got ");
    }
    for (float const* const wrong : {&nan, &negative, &above}) {
        refused(kNms, {field("iou_threshold", wrong), groups}, "iou_threshold must be 0 to 1, got ");
    }
    auto const none = std::unique_ptr<IPluginV3>(
        creatorOf(kNms).createPlugin(nullptr, nullptr, TensorRTPhase::kBUILD));
    CHECK(none == nullptr && logged("BatchedNMS (no name): attribute iou_threshold is missing"));
    CHECK(nms({0.0F, 1}) != nullptr && nms({1.0F, INT32_MAX}) != nullptr);
    CHECK(logger.errors.empty());
}

std::map<std::string, uint32_t> serialised(IPluginV3& plugin) {
    std::map<std::string, uint32_t> values;
    PluginFieldCollection const& fields = *runtime(plugin).getFieldsToSerialize();
    for (int32_t i = 0; i < fields.nbFields; ++i) {
        PluginField const& one = fields.fields[i];
        CHECK(one.length == 1);
        CHECK(one.type == (std::strchr("iof", one.name[0]) == nullptr ? kWhole : one.type));
        std::memcpy(&values[one.name], one.data, sizeof(uint32_t));
    }
    return values;
}

// Through a plan, a clone and a context, each behind the death of the one before.
void roundTrip() {
    float const odd = std::nextafterf(0.3F, 1.0F);
    for (bool const aligns : {true, false}) {
        char const* const name = aligns ? kAlign : kNms;
        auto plugin = aligns ? align({14, 2, odd}) : nms({odd, 7});
        auto const wanted = serialised(*plugin);
        uint32_t bits = 0;
        std::memcpy(&bits, &odd, sizeof bits);
        CHECK(wanted.size() == (aligns ? 3U : 2U));
        CHECK(wanted.at(aligns ? "finest_scale" : "iou_threshold") == bits);
        CHECK(wanted.at(aligns ? "output_size" : "num_groups") == (aligns ? 14U : 7U));
        plugin.reset(creatorOf(name).createPlugin("layer", runtime(*plugin).getFieldsToSerialize(),
                                                  TensorRTPhase::kRUNTIME));
        CHECK(serialised(*plugin) == wanted);
        plugin.reset(plugin->clone());
        CHECK(serialised(*plugin) == wanted);
        plugin.reset(runtime(*plugin).attachToContext(nullptr));
        CHECK(serialised(*plugin) == wanted);
        CHECK(std::strcmp(core(*plugin).getPluginName(), name) == 0);
        CHECK(std::strcmp(core(*plugin).getPluginNamespace(), "simam") == 0);
    }
}

void timingCacheId() {
    auto const idOf = [](std::unique_ptr<IPluginV3> const& plugin) {
        return std::string(build(*plugin).getTimingCacheID());
    };
    CHECK(idOf(align()) == "simam::MultilevelRoIAlign output_size=7 sampling_ratio=0 "
                           "finest_scale=0x1.cp+5");
    CHECK(idOf(align({7, 1, 56.0F})) != idOf(align()));
    CHECK(idOf(nms()) == "simam::BatchedNMS iou_threshold=0x1p-1 num_groups=80");
}

// Sizes as text.
struct Size final : IDimensionExpr {
    explicit Size(std::string given) : text(std::move(given)) {}
    std::string text;
};

struct Sizes final : IExprBuilder, apiv::VExprBuilder {
    Sizes() { mImpl = this; }
    IDimensionExpr const* of(std::string const& text) { return &made.emplace_back(text); }
    IDimensionExpr const* constant(int64_t value) override { return of(std::to_string(value)); }
    IDimensionExpr const* operation(DimensionOperation op, IDimensionExpr const& first,
                                    IDimensionExpr const& second) override {
        CHECK(op == DimensionOperation::kPROD);
        return of(textOf(&first) + "*" + textOf(&second));
    }
    IDimensionExpr const* declareSizeTensor(int32_t, IDimensionExpr const&,
                                            IDimensionExpr const&) override {
        return nullptr;
    }
    static std::string textOf(IDimensionExpr const* size) {
        return static_cast<Size const*>(size)->text;
    }
    std::deque<Size> made;
};

// The output's sizes, from inputs of these; empty where they are refused.
std::string shapeOf(IPluginV3& plugin, std::vector<std::vector<std::string>> const& inputs) {
    Sizes sizes;
    std::vector<DimsExprs> given(inputs.size());
    for (size_t i = 0; i < inputs.size(); ++i) {
        given[i].nbDims = static_cast<int32_t>(inputs[i].size());
        for (size_t k = 0; k < inputs[i].size(); ++k) {
            given[i].d[k] = sizes.of(inputs[i][k]);
        }
    }
    DimsExprs output{};
    IExprBuilder& builder = sizes;
    if (build(plugin).getOutputShapes(given.data(), static_cast<int32_t>(given.size()), nullptr, 0,
                                      &output, 1, builder) != 0) {
        return "";
    }
    std::string text;
    for (int32_t k = 0; k < output.nbDims; ++k) {
        text += (k == 0 ? "" : ",") + Sizes::textOf(output.d[k]);
    }
    return text;
}

void outputShapes() {
    std::vector<std::string> const map{"n", "c", "h", "w"};
    auto const aligner = align({14, 0, 56.0F});
    CHECK(shapeOf(*aligner, {{"n", "r", "4"}, map, map, map, map}) == "n*r,c,14,14");
    CHECK(shapeOf(*nms(), {{"b", "m", "4"}, {"b", "m"}, {"b", "m"}}) == "b,m");
    CHECK(logger.errors.empty());
    CHECK(shapeOf(*aligner, {{"n", "r"}, map, map, map, map}).empty());
    CHECK(logged("input 0 must have 3 dimensions, got 2"));
    CHECK(shapeOf(*aligner, {{"n", "r", "4"}, map, map, {"n"}, map}).empty());
    CHECK(logged("input 3 must have 4 dimensions, got 1"));
    CHECK(shapeOf(*aligner, {{"n", "r", "4"}, map, map, map}).empty());
    CHECK(logged("takes 5 inputs and gives one output, got 4 and 1"));
    CHECK(shapeOf(*nms(), {{"b", "m", "4"}, {"b", "m"}, {"b"}}).empty());
    CHECK(logged("input 2 must have 2 dimensions, got 1"));
}

void outputTypes() {
    for (DataType type : {DataType::kFLOAT, DataType::kHALF, DataType::kBF16}) {
        DataType const inputs[] = {DataType::kFLOAT, type, type, type, type};
        DataType output = DataType::kBOOL;
        CHECK(build(*align()).getOutputDataTypes(&output, 1, inputs, 5) == 0 && output == type);
    }
    DataType const inputs[] = {DataType::kFLOAT, DataType::kFLOAT, DataType::kINT64};
    DataType output = DataType::kBOOL;
    CHECK(build(*nms()).getOutputDataTypes(&output, 1, inputs, 3) == 0);
    CHECK(output == DataType::kFLOAT);
    CHECK(build(*nms()).getOutputDataTypes(&output, 1, inputs, 2) != 0);
    CHECK(logged("takes 3 inputs"));
}

// When built and when run.
std::pair<int32_t, int32_t> shapes(IPluginV3& plugin, std::vector<PluginTensorDesc> const& all) {
    auto const count = static_cast<int32_t>(all.size()) - 1;
    auto const io = dynamic(all);
    int32_t const built = build(plugin).configurePlugin(io.data(), count, &io.back(), 1);
    int32_t const ran = runtime(plugin).onShapeChange(all.data(), count, &all.back(), 1);
    return {built, ran};
}

void misfit(IPluginV3& plugin, std::vector<PluginTensorDesc> const& all, std::string const& words) {
    auto const [built, ran] = shapes(plugin, all);
    CHECK(built != 0 && ran != 0 && logger.errors.size() == 2);
    logger.errors.resize(1);
    CHECK(logged(words));
}

void shapeChange() {
    std::pair<int32_t, int32_t> const fits{0, 0};
    auto const aligner = align();
    CHECK(shapes(*aligner, alignTensors()) == fits);
    for (size_t const input : {1U, 2U, 4U}) {
        for (int32_t const dim : {0, 1}) {
            auto all = alignTensors();
            all[input].dims.d[dim] += 1;
            misfit(*aligner, all, "the maps must be (N, C, H, W), of the N of rois and of one C");
            all[input].dims.d[dim] = -1;
            CHECK(shapes(*aligner, all) == fits);
        }
    }
    auto all = alignTensors();
    all[0].dims.d[2] = 5;
    misfit(*aligner, all, "rois must be (N, R, 4)");
    auto const suppressor = nms();
    CHECK(shapes(*suppressor, nmsTensors()) == fits);
    CHECK(shapes(*suppressor, nmsTensors(DataType::kINT32, 16384)) == fits);
    misfit(*suppressor, nmsTensors(DataType::kINT32, 16385),
           "takes 16384 boxes a batch entry, got 16385");
    for (size_t const input : {1U, 2U}) {
        auto other = nmsTensors();
        other[input].dims.d[1] += 1;
        misfit(*suppressor, other, "scores and groups must be (B, M), as boxes are");
    }
    auto other = nmsTensors();
    other[0].dims.d[2] = 5;
    misfit(*suppressor, other, "boxes must be (B, M, 4)");
}

float buffers[8]{};
void const* const kInputs[] = {&buffers[0], &buffers[1], &buffers[2], &buffers[3], &buffers[4]};
void* const kOutputs[] = {&buffers[5]};
auto* const kStream = reinterpret_cast<cudaStream_t>(0x50);

int32_t run(IPluginV3& plugin, std::vector<PluginTensorDesc> const& all) {
    return runtime(plugin).enqueue(all.data(), &all.back(), kInputs, kOutputs, &buffers[6], kStream);
}

void checkAlign(simam::AlignParams const& params, int64_t pitch) {
    CHECK(params.rois == kInputs[0] && params.y == kOutputs[0]);
    CHECK(params.n == 2 && params.r == 9 && params.c == 5);
    CHECK(params.from == simam::Layout::kNCHW || params.pitch == pitch);
    CHECK(params.bins == 14 && params.ratio == 2 && params.finest == 28.0F);
    for (int32_t i = 0; i < 4; ++i) {
        CHECK(params.levels[i].x == kInputs[i + 1]);
        CHECK(params.levels[i].height == 32 >> i && params.levels[i].width == 64 >> i);
    }
}

// What the kernel is asked for, in every type and layout.
void enqueueAlign() {
    using simam::Layout;
    std::pair<DataType, simam::Type> const types[] = {{DataType::kFLOAT, simam::Type::kFloat},
                                                      {DataType::kHALF, simam::Type::kHalf},
                                                      {DataType::kBF16, simam::Type::kBFloat16}};
    std::pair<TensorFormat, int64_t> const pitches[] = {
        {TensorFormat::kLINEAR, 0}, {TensorFormat::kHWC, 5}, {TensorFormat::kHWC8, 8}};
    auto const plugin = align({14, 2, 28.0F});
    for (auto const& [type, kernelType] : types) {
        for (auto const& [format, pitch] : pitches) {
            for (TensorFormat const result : {format, TensorFormat::kLINEAR}) {
                auto all = alignTensors(type, format);
                all.back().format = result;
                kernel.aligns.clear();
                CHECK(run(*plugin, all) == 0 && kernel.aligns.size() == 1);
                auto const& launch = kernel.aligns.at(0);
                CHECK(launch.type == kernelType && launch.stream == kStream);
                CHECK((launch.params.from == Layout::kNCHW) == (format == TensorFormat::kLINEAR));
                CHECK((launch.params.to == Layout::kNCHW) == (result == TensorFormat::kLINEAR));
                checkAlign(launch.params, pitch);
            }
        }
    }
    kernel.answer = cudaErrorInvalidValue;
    CHECK(run(*plugin, alignTensors()) != 0);
    CHECK(logged("MultilevelRoIAlign: CUDA: told by the runtime"));
}

void enqueueNms() {
    auto const plugin = nms({0.7F, 5});
    for (DataType const type : {DataType::kINT64, DataType::kINT32}) {
        kernel.suppressions.clear();
        CHECK(run(*plugin, nmsTensors(type)) == 0 && kernel.suppressions.size() == 1);
        auto const& launch = kernel.suppressions.at(0);
        simam::NmsParams const& params = launch.params;
        CHECK(launch.workspace == &buffers[6] && launch.stream == kStream);
        CHECK(params.boxes == kInputs[0] && params.scores == kInputs[1]);
        CHECK(params.groups == kInputs[2] && params.kept == kOutputs[0]);
        CHECK(params.batch == 2 && params.count == 9 && params.groupCount == 5);
        CHECK(params.threshold == 0.7F && params.wideGroups == (type == DataType::kINT64));
    }
    kernel.answer = cudaErrorInvalidValue;
    CHECK(run(*plugin, nmsTensors()) != 0);
    CHECK(logged("BatchedNMS: CUDA: told by the runtime"));
}

// By the profile's largest shape.
void workspace() {
    auto all = dynamic(nmsTensors());
    all[1].desc.dims.d[0] = -1;
    all[1].max = tensor({16, 5000}).dims;
    CHECK(build(*nms()).getWorkspaceSize(all.data(), 3, &all[3], 1) == 7ULL * 16 * 5000);
    auto const maps = dynamic(alignTensors());
    CHECK(build(*align()).getWorkspaceSize(maps.data(), 5, &maps[5], 1) == 0);
}

std::map<std::string, void (*)()> const kChecks{
    {"align_attributes", alignAttributes}, {"contract", contract},
    {"enqueue_align", enqueueAlign},       {"enqueue_nms", enqueueNms},
    {"formats", formats},                  {"nms_attributes", nmsAttributes},
    {"nms_formats", nmsFormats},           {"other_tensors", otherTensors},
    {"output_shapes", outputShapes},       {"output_types", outputTypes},
    {"round_trip", roundTrip},             {"shape_change", shapeChange},
    {"timing_cache_id", timingCacheId},    {"workspace", workspace},
};

}  // namespace

int main(int count, char** arguments) { return runChecks(kChecks, count, arguments); }
