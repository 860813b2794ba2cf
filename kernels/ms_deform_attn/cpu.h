#pragma once

#include <cstddef>
#include <cstdint>

#include "../common/dispatch.h"
#include "../common/threads.h"

namespace rsseg {

// Shapes as the operator's; every array is contiguous.
struct MSDeformAttn {
    const float* value;
    const std::int64_t* spatial_shapes;
    const std::int64_t* level_start_index;
    const float* sampling_locations;
    const float* attention_weights;
    float* output;
    std::size_t batch, pixels, heads, depth, queries, levels, points;
};

RSSEG_DECLARE_KERNEL(ms_deform_attn, MSDeformAttn)

}  // namespace rsseg
