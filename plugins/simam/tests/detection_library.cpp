// The kernels of detection/ on fibers, for Python: the entry points of detection/entry.cpp, on the
// host's memory.
#include "../detection/check.h"
#include "../detection/dispatch.h"
#include "fibers.h"
#include "host_launcher.h"

using namespace simam;

namespace {

constexpr int kRefused = 1;  // As cudaErrorInvalidValue is.

}  // namespace

extern "C" int simam_align(AlignParams const* params, int type, void*) {
    if (!isValid(*params)) return kRefused;
    if (isEmpty(*params)) return 0;
    HostLauncher<Fibers> launcher;
    return enqueueAlign(launcher, *params, static_cast<Type>(type));
}

extern "C" size_t simam_nms_workspace_size(int64_t batch, int64_t boxes) {
    bool const some = batch > 0 && boxes > 0 && boxes <= kMostBoxes;
    return some ? static_cast<size_t>(nmsBytes(batch, boxes)) : 0;
}

extern "C" int simam_nms(NmsParams const* params, void* workspace, void*) {
    if (!isValid(*params, workspace)) return kRefused;
    if (isEmpty(*params)) return 0;
    HostLauncher<Fibers> launcher;
    return enqueueNms(launcher, *params, workspace);
}
