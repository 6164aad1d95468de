// A domain of operators, added to sessions. All share it, and it is never freed.
#pragma once

#include "node.h"

namespace simam::ort {

struct Domain {
    char const* name;
    OrtCustomOpDomain* made = nullptr;
};

// Takes the process's API: false where ONNX Runtime is older than 1.22, and the functions of a
// model are all that serves it.
bool take_api(OrtApiBase const* base);

OrtStatus* make(Domain& domain);

// Adds operators, which live as long as the process.
OrtStatus* add(Domain const& domain, Operator const* operators, std::size_t count);

// One after the other: sessions are made by several threads.
class Turn {
  public:
    Turn();
    ~Turn();
};

}  // namespace simam::ort
