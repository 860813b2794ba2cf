#pragma once

#include <cstddef>

#include "../common/dispatch.h"
#include "../common/threads.h"

namespace rsseg {

// Every array is contiguous.
struct MiddleMean {
    const float* x;  // [planes, height, width]
    float* output;   // [planes, height / factor, width / factor]
    std::size_t planes, height, width, factor;
};

RSSEG_DECLARE_KERNEL(middle_mean, MiddleMean)

}  // namespace rsseg
