#pragma once

#include <cstddef>

#include "../common/dispatch.h"
#include "../common/threads.h"

namespace rsseg {

// Shapes as the operator's; every array is contiguous.
struct BilateralKernel {
    const float* range;
    const float* spatial;
    const float* temperature;
    float* kernel;
    std::size_t batch, height, width, channels, radius;
};

RSSEG_DECLARE_KERNEL(bilateral_kernel, BilateralKernel)

}  // namespace rsseg
