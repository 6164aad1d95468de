#include "domain.h"

#include <atomic>

namespace simam::ort {

static std::atomic_flag turn = ATOMIC_FLAG_INIT;

Turn::Turn() {
    while (turn.test_and_set(std::memory_order_acquire)) {
    }
}

Turn::~Turn() { turn.clear(std::memory_order_release); }

bool take_api(OrtApiBase const* base) {
    OrtApi const* const found = base->GetApi(kApiVersion);
    if (found != nullptr) api = found;
    return found != nullptr;
}

OrtStatus* make(Domain& domain) { return api->CreateCustomOpDomain(domain.name, &domain.made); }

OrtStatus* add(Domain const& domain, Operator const* operators, std::size_t count) {
    Status status;
    for (Operator const* next = operators; next != operators + count; ++next)
        status.then([&] { return api->CustomOpDomain_Add(domain.made, next); });
    return status.status();
}

}  // namespace simam::ort
