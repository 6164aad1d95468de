// The kernels of one element type (-DSIMAM_ELEMENT=Float, Half or BFloat16) on fibers, for Python.
#include "../aot/whole.h"
#include "check.h"
#include "dispatch.h"
#include "fibers.h"
#include "host_launcher.h"

using namespace simam;

extern "C" int64_t simam_host_partials(Params const* params, int type, int layout) {
    return countPartials(*params, static_cast<Type>(type), static_cast<Layout>(layout));
}

extern "C" void simam_host_set_error(float error) { approximationError = error; }

extern "C" int simam_host_is_valid(Params const* params, int type, int layout,
                                   void const* workspace) {
    return isValid(*params, static_cast<Type>(type), static_cast<Layout>(layout), workspace);
}

extern "C" void simam_host_choose(Params const* params, int type, int layout, int multiprocessors,
                                  int clusters, Choice* choice) {
    *choice = choose(*params, static_cast<Type>(type), static_cast<Layout>(layout),
                     {multiprocessors, clusters != 0});
}

extern "C" void simam_host_set_range(int64_t first, int64_t last) {
    firstCluster = first;
    lastCluster = last;
}

// Runs a choice; that it suits params is the caller's concern.
extern "C" int simam_host_run(Params const* params, Choice const* choice, void* workspace) {
    HostLauncher<Fibers> launcher;
    return enqueue<SIMAM_ELEMENT>(launcher, *choice, *params, workspace);
}

// As the entries of aot/entries.cu do, on so many blocks.
extern "C" int simam_host_run_whole(Params const* params, int layout, int64_t blocks) {
    using E = SIMAM_ELEMENT;
    HostLauncher<Fibers> launcher;
    Arguments const arguments{*params, nullptr, 1, epilogueOf(*params)};
    Choice const choice{Method::kBlock, blocks, WholePlane<E>::kMaxThreads, 1, 1};
    return static_cast<Layout>(layout) == Layout::kNCHW
               ? launcher.run<WholePlane<E>>(choice, arguments)
               : launcher.run<WholeTile<E>>(choice, arguments);
}

// The entry points of kernel/entry.cpp, for the Python that calls them: on the host's memory, as a
// device of eight multiprocessors with clusters.
extern "C" int simam_abi_version() { return 1; }

extern "C" size_t simam_workspace_size(Params const* params, int type, int layout) {
    return static_cast<size_t>(simam_host_partials(params, type, layout)) * sizeof(Partial);
}

extern "C" int simam_launch(Params const* params, int type, int layout, void* workspace, void*) {
    if (!simam_host_is_valid(params, type, layout, workspace)) return 1;
    Choice choice;
    simam_host_choose(params, type, layout, 8, 1, &choice);
    return simam_host_run(params, &choice, workspace);
}

extern "C" char const* simam_error_text(int) { return "invalid argument"; }
