#pragma once

#include <cstddef>

#include "../common/dispatch.h"
#include "../common/threads.h"

namespace rsseg {

// Shapes as the operator's; every array is contiguous.
struct MaskedAttention {
    const float* query;
    const float* key;
    const float* value;
    const float* mask_logits;
    float* output;
    std::size_t batch, queries, length, channels, heads;
};

RSSEG_DECLARE_KERNEL(masked_attention, MaskedAttention)

}  // namespace rsseg
