#include "log.h"

#include <NvInferRuntime.h>

#include <atomic>
#include <cstdio>

namespace {

std::atomic<nvinfer1::ILoggerFinder*> finder{nullptr};

nvinfer1::ILogger* findLogger() noexcept {
    try {
        auto* const found = finder.load();
        return found == nullptr ? nullptr : found->findLogger();
    } catch (...) {  // Its code is the application's.
        return nullptr;
    }
}

}  // namespace

void simam::logError(std::string const& message) noexcept {
    if (auto* const logger = findLogger()) {
        logger->log(nvinfer1::ILogger::Severity::kERROR, message.c_str());
    } else {
        std::fprintf(stderr, "%s\n", message.c_str());
    }
}

extern "C" [[gnu::visibility("default")]] void setLoggerFinder(nvinfer1::ILoggerFinder* given) {
    finder.store(given);
}
