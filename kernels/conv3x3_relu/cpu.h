#pragma once

#include <cstddef>

#include "../common/dispatch.h"
#include "../common/threads.h"
#include "plan.h"

namespace rsseg {

// Shapes as the operators'; every array is contiguous.
struct Conv3x3 {
    const float* x;
    const float* weight;
    const float* addend;
    float* output;
    std::size_t batch, channels, filters;
    std::size_t addend_batch, addend_height, addend_width;  // 1 or the output's
    PlanTables rows, columns;
    float* packed;  // of conv3x3_packed_size() floats; filled by conv3x3_pack() from `weight`
};

// Floats of the packed weights for any instruction set of at most 16 lanes.
inline std::size_t conv3x3_packed_size(std::size_t channels, std::size_t filters) {
    return kKinds * kKinds * channels * ((filters + 31) / 32 * 32);
}

RSSEG_DECLARE_KERNEL(conv3x3_pack, Conv3x3)
RSSEG_DECLARE_KERNEL(conv3x3, Conv3x3)

}  // namespace rsseg
