#pragma once

#include <cstddef>

#include "../common/dispatch.h"
#include "../common/threads.h"

namespace rsseg {

// Shapes as the operator's, `words` for each head; every array is contiguous.
struct CrossAttention {
    const float* x;
    const float *norm_weight, *norm_bias, *position;
    const float *keys, *values, *scores;
    const float *out_bias, *out_norm_weight, *out_norm_bias;
    float* output;
    std::size_t batch, length, channels, heads, words;
};

RSSEG_DECLARE_KERNEL(cross_attention, CrossAttention)

}  // namespace rsseg
