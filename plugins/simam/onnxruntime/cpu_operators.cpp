#include "cpu_operators.h"

#include <algorithm>
#include <atomic>

namespace simam::ort {
namespace {

constexpr std::int64_t kTask = 16384;  // elements of a task: 64 KB in and as much out, half an L2
constexpr cpu::Type kTypes[] = {cpu::Type::kFloat, cpu::Type::kHalf, cpu::Type::kBfloat16,
                                cpu::Type::kDouble};

cpu::Way const& chosen = cpu::best();

struct Work {
    cpu::TypedJob typed;
    std::int64_t block, parts, chunk;  // a part is a plane, or a block of channels
    std::atomic<bool> failed{false};
};

void compute_task(void* data, std::size_t number) {
    auto& work = *static_cast<Work*>(data);
    std::int64_t const first = static_cast<std::int64_t>(number) * work.chunk;
    std::int64_t const last = std::min(work.parts, first + work.chunk);
    if (work.block > 1)
        chosen.blocks(work.typed.job, work.block, first, last);
    else if (!cpu::typed_planes(chosen, work.typed, first, last))
        work.failed = true;
}

void describe(Kernel const& kernel, Given const& given, void* y, Work& work) {
    work.typed = {{static_cast<float const*>(given.x), static_cast<float*>(y), given.scale,
                   given.bias, static_cast<float const*>(given.residual), given.channels,
                   given.hw(), kernel.lambda, kernel.low, kernel.high},
                  kernel.type, given.x, y, given.residual};
    work.block = kernel.block;
    work.parts = given.dims[0] * given.dims[1] / kernel.block;
    work.chunk = std::max<std::int64_t>(1, kTask / (given.hw() * kernel.block));
}

OrtStatus* ORT_API_CALL compute(void* self, OrtKernelContext* context) {
    auto const& kernel = *static_cast<Kernel const*>(self);
    Given given;
    void* y = nullptr;
    OrtStatus* failed = begin(context, kernel, given, y);
    if (failed || given.size() == 0) return failed;
    Work work;
    describe(kernel, given, y, work);
    auto const tasks = static_cast<std::size_t>((work.parts + work.chunk - 1) / work.chunk);
    failed = api->KernelContext_ParallelFor(context, compute_task, tasks, 0, &work);
    if (failed || !work.failed) return failed;
    return api->CreateStatus(ORT_RUNTIME_EXCEPTION, "SimAM: no memory for a plane of float32");
}

Operator on_cpu(Kind kind, cpu::Type type, bool blocked) {
    Operator op = declared(kind, type, blocked);
    op.GetExecutionProviderType = [](OrtCustomOp const*) { return "CPUExecutionProvider"; };
    op.KernelComputeV2 = compute;
    // A plane is read to its end before any of it is written, and no plane sees another.
    op.GetMayInplace = [](int** inputs, int** outputs) -> std::size_t {
        static int first[] = {0};
        *inputs = *outputs = first;
        return 1;
    };
    op.ReleaseMayInplace = [](int*, int*) {};
    return op;
}

}  // namespace

void declare_cpu(Operator (&operators)[kCpuOperators]) {
    Operator* next = operators;
    for (Kind kind : kKinds)
        for (cpu::Type type : kTypes) *next++ = on_cpu(kind, type, false);
}

void declare_blocked(Operator (&operators)[kBlockedOperators]) {
    for (Kind kind : kKinds) operators[kind] = on_cpu(kind, cpu::Type::kFloat, true);
}

}  // namespace simam::ort
