// What drives plugins through TensorRT's public interfaces, whichever operator they are of.
#pragma once

#include <NvInferRuntime.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "fakes.h"

extern "C" nvinfer1::IPluginCreatorInterface* const* getCreators(int32_t& count);
extern "C" void setLoggerFinder(nvinfer1::ILoggerFinder* finder);

using namespace nvinfer1;

inline int failures = 0;
inline Log logger;
inline Finder finder;

#define CHECK(condition) check(condition, #condition, __LINE__)
inline void check(bool holds, char const* condition, int line) {
    if (!holds) {
        std::fprintf(stderr, "line %d: not %s\n", line, condition);
        ++failures;
    }
}

inline IPluginCreatorV3One& creatorOf(std::string const& name) {
    int32_t count = 0;
    auto* const* creators = getCreators(count);
    for (int32_t i = 0; i < count; ++i) {
        auto* const creator = static_cast<IPluginCreatorV3One*>(creators[i]);
        if (name == creator->getPluginName()) {
            return *creator;
        }
    }
    std::fprintf(stderr, "no creator of %s\n", name.c_str());
    std::exit(1);
}

inline PluginField field(char const* name, void const* data, int32_t length = 1,
                         PluginFieldType type = PluginFieldType::kFLOAT32) {
    return {name, data, type, length};
}

inline std::unique_ptr<IPluginV3> create(std::string const& name,
                                         std::vector<PluginField> const& fields,
                                         TensorRTPhase phase = TensorRTPhase::kBUILD) {
    PluginFieldCollection const collection{static_cast<int32_t>(fields.size()), fields.data()};
    return std::unique_ptr<IPluginV3>(creatorOf(name).createPlugin("layer", &collection, phase));
}

template <class Interface, PluginCapabilityType kType>
Interface& as(IPluginV3& plugin) {
    return *static_cast<Interface*>(plugin.getCapabilityInterface(kType));
}
constexpr auto core = as<IPluginV3OneCore, PluginCapabilityType::kCORE>;
constexpr auto build = as<v_1_0::IPluginV3OneBuild, PluginCapabilityType::kBUILD>;
constexpr auto runtime = as<IPluginV3OneRuntime, PluginCapabilityType::kRUNTIME>;

inline bool logged(std::string const& words) {
    bool const found =
        logger.errors.size() == 1 && logger.errors[0].find(words) != std::string::npos;
    if (!found) {
        std::fprintf(stderr, "expected one message with '%s', got %zu%s%s\n", words.c_str(),
                     logger.errors.size(), logger.errors.empty() ? "" : ": ",
                     logger.errors.empty() ? "" : logger.errors[0].c_str());
    }
    logger.errors.clear();
    return found;
}

inline PluginTensorDesc tensor(std::vector<int64_t> const& dims, DataType type = DataType::kFLOAT,
                               TensorFormat format = TensorFormat::kLINEAR) {
    PluginTensorDesc desc{};
    desc.dims.nbDims = static_cast<int32_t>(dims.size());
    for (size_t i = 0; i < dims.size(); ++i) {
        desc.dims.d[i] = dims[i];
    }
    desc.type = type;
    desc.format = format;
    return desc;
}

inline std::vector<DynamicPluginTensorDesc> dynamic(
    std::vector<PluginTensorDesc> const& fixed) {
    std::vector<DynamicPluginTensorDesc> all(fixed.size());
    for (size_t i = 0; i < fixed.size(); ++i) {
        all[i].desc = fixed[i];
        all[i].min = all[i].opt = all[i].max = fixed[i].dims;
    }
    return all;
}

inline constexpr int32_t kTypes = 13, kFormats = 13;  // As many as 11.1 has, and some that 10.0 lacks.

inline void forEachCombination(std::function<void(DataType, TensorFormat)> const& visit) {
    for (int32_t type = 0; type < kTypes; ++type) {
        for (int32_t format = 0; format < kFormats; ++format) {
            visit(static_cast<DataType>(type), static_cast<TensorFormat>(format));
        }
    }
}

inline void refused(char const* op, std::vector<PluginField> const& fields, char const* words) {
    CHECK(create(op, fields) == nullptr);
    CHECK(logged(std::string(op) + " layer: " + words));
}

// Runs the check that is named, or lists them.
inline int runChecks(std::map<std::string, void (*)()> const& checks, int count, char** arguments) {
    std::string const name = count == 2 ? arguments[1] : "";
    if (name == "--list") {
        for (auto const& one : checks) {
            std::printf("%s\n", one.first.c_str());
        }
        return 0;
    }
    auto const found = checks.find(name);
    if (found == checks.end()) {
        std::fprintf(stderr, "usage: %s --list | CHECK\n", arguments[0]);
        return 2;
    }
    finder.logger = &logger;
    setLoggerFinder(&finder);
    found->second();
    return failures == 0 ? 0 : 1;
}
