// A TensorRT that has nothing but a registry, which tells what it is asked to load.
#include <NvInferRuntime.h>

#include <cstdio>

using namespace nvinfer1;

namespace {

struct Registry final : IPluginRegistry {
#if NV_TENSORRT_MAJOR < 11
    bool registerCreator(IPluginCreator&, char const*) noexcept override { return false; }
    IPluginCreator* const* getPluginCreatorList(int32_t*) const noexcept override { return {}; }
    IPluginCreator* getPluginCreator(char const*, char const*, char const*) noexcept override {
        return nullptr;
    }
    bool deregisterCreator(IPluginCreator const&) noexcept override { return false; }
#endif
    void setErrorRecorder(IErrorRecorder*) noexcept override {}
    IErrorRecorder* getErrorRecorder() const noexcept override { return nullptr; }
    bool isParentSearchEnabled() const override { return false; }
    void setParentSearchEnabled(bool) override {}
    PluginLibraryHandle loadLibrary(char const* path) noexcept override {
        std::printf("%s\n", path);
        std::fflush(stdout);
        return this;
    }
    void deregisterLibrary(PluginLibraryHandle) noexcept override {}
    bool registerCreator(IPluginCreatorInterface&, char const*) noexcept override { return false; }
    IPluginCreatorInterface* const* getAllCreators(int32_t*) const noexcept override { return {}; }
    IPluginCreatorInterface* getCreator(char const*, char const*, char const*) noexcept override {
        return nullptr;
    }
    bool deregisterCreator(IPluginCreatorInterface const&) noexcept override { return false; }
    IPluginResource* acquirePluginResource(char const*, IPluginResource*) noexcept override {
        return nullptr;
    }
    int32_t releasePluginResource(char const*) noexcept override { return 0; }
#if NV_TENSORRT_MAJOR >= 11
    IPluginCreatorInterface* const* getAllCreatorsRecursive(int32_t*) noexcept override {
        return nullptr;
    }
#endif
};

}  // namespace

extern "C" [[gnu::visibility("default")]] IPluginRegistry* getPluginRegistry() noexcept {
    static Registry registry;
    return &registry;
}
