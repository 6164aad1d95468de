// What the plugin leans on, as far as a test on the host needs it: a logger that remembers, and a
// kernel and a CUDA runtime that remember what they were asked for.
#pragma once

#include <NvInferRuntime.h>

#include <string>
#include <vector>

#include "detection/detection.h"
#include "kernel/simam.h"

// Remembers errors, in order.
struct Log final : nvinfer1::ILogger {
    void log(Severity severity, nvinfer1::AsciiChar const* message) noexcept override {
        if (severity == Severity::kERROR) {
            errors.emplace_back(message);
        }
    }
    std::vector<std::string> errors;
};

struct Finder final : nvinfer1::ILoggerFinder {
    nvinfer1::ILogger* findLogger() override { return logger; }
    nvinfer1::ILogger* logger = nullptr;
};

struct Launch {
    simam::Params params;
    simam::Type type;
    simam::Layout layout;
    void* workspace;
    cudaStream_t stream;
};

template <class Params>
struct DetectionLaunch {
    Params params;
    simam::Type type;  // Of the maps.
    void* workspace;
    cudaStream_t stream;
};

struct Kernel {
    std::vector<Launch> launches;
    std::vector<Launch> workspaces;  // With no workspace and no stream.
    std::vector<DetectionLaunch<simam::AlignParams>> aligns;
    std::vector<DetectionLaunch<simam::NmsParams>> suppressions;
    cudaError_t answer = cudaSuccess;
};
extern Kernel kernel;
