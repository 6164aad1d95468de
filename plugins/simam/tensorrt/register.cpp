// Loads the plugin into a TensorRT that is in the process already, for hosts that can only open a
// library (Triton's `plugins=`, DeepStream's custom-lib-path) and know no creators.
//
// A library of its own: TensorRT itself registers libsimam_tensorrt.so when asked to load it, and
// what registered itself besides would be there twice.
#include <NvInferRuntimeCommon.h>
#include <dlfcn.h>

#include <cstdio>
#include <string>

namespace {

using GetRegistry = nvinfer1::IPluginRegistry* (*)();

// The registry of the major version compiled against: 11 moved the interface's methods. Looked for
// in that library alone, since the host may have opened it where a global look-up does not reach.
nvinfer1::IPluginRegistry* findRegistry() {
    std::string const name = "libnvinfer.so." + std::to_string(NV_TENSORRT_MAJOR);
    void* const library = dlopen(name.c_str(), RTLD_LAZY | RTLD_NOLOAD);
    if (library == nullptr) {
        return nullptr;
    }
    auto const get = reinterpret_cast<GetRegistry>(dlsym(library, "getPluginRegistry"));
    return get == nullptr ? nullptr : get();
}

// The plugin lies beside this library.
std::string pluginPath() {
    Dl_info here{};
    if (dladdr(reinterpret_cast<void const*>(&findRegistry), &here) == 0) {
        return {};
    }
    std::string const path = here.dli_fname;
    return path.substr(0, path.rfind('/') + 1) + "libsimam_tensorrt.so";
}

__attribute__((constructor)) void registerPlugin() {
    nvinfer1::IPluginRegistry* const registry = findRegistry();
    if (registry == nullptr) {
        std::fprintf(stderr, "simam: there is no TensorRT %d in this process\n", NV_TENSORRT_MAJOR);
    } else if (registry->loadLibrary(pluginPath().c_str()) == nullptr) {
        std::fprintf(stderr, "simam: TensorRT does not load %s\n", pluginPath().c_str());
    }
}

}  // namespace
